"""`python -m course_lib check`: is everything here that the course needs? The network is not touched.

With `--data DIR` it looks over a data set instead (`course_lib.finetuning.inspection`). Each line is ok, a warning (the course works, something may surprise you) or wrong, with what to do about it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from course_lib.devices import bfloat16_instructions
from course_lib.errors import CourseError

DISTRIBUTION = "bert-course"
_OLDEST_PYTHON = (3, 11)
_GIGABYTE = 1e9
_NOTEBOOK_BYTES = 2 * _GIGABYTE  # what one notebook may take
_NETRON_DAYS = 180  # netron's page refuses to work so many days after the release's date
_WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One line of the check."""

    name: str
    state: Literal["ok", "warning", "wrong"]
    found: str
    advice: str = ""  # what to do; empty where there is nothing to do


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--data", help="look over a data set, before training: a folder, a file, or a name on the hub")
    parser.add_argument("--task", help="of the data; guessed if left out")
    parser.add_argument("--columns", nargs="+", metavar="OURS=THEIRS", help="names of columns: text=body label=gold")
    parser.add_argument("--encoder", help="whose tokens are counted; by default a model of the data's language")
    parser.add_argument(
        "--max-tokens",
        type=int,
        help="more than so many would be cut; the encoder's own limit if left out, 384 for answers",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; return 0 when nothing is wrong, else 1."""
    if arguments.data is not None:
        return _inspect(arguments)
    findings = checks()
    print(
        json.dumps([dataclasses.asdict(f) for f in findings], indent=1)
        if arguments.json
        else _printable(table(findings))
    )
    return 1 if any(f.state == "wrong" for f in findings) else 0


def _inspect(arguments: argparse.Namespace) -> int:
    """Of data there is much to know and nothing to pass: 0 whatever is found, if it can be read."""
    from course_lib.datasets import TASKS as DATA_TASKS
    from course_lib.datasets import load_dataset
    from course_lib.finetuning import TASKS
    from course_lib.finetuning.command import read_columns
    from course_lib.finetuning.inspection import inspect_data

    if arguments.max_tokens is not None and arguments.max_tokens < 3:
        raise CourseError(
            f"--max-tokens is {arguments.max_tokens}; at least 3 are needed, as [CLS] and [SEP] count too."
        )
    of_data = {**{name: task.data for name, task in TASKS.items()}, **{name: name for name in DATA_TASKS}}
    if arguments.task is not None and arguments.task not in of_data:
        raise CourseError(
            f"There is no task {arguments.task!r}; it may be {', '.join(of_data)}, or left out to be guessed."
        )
    data = load_dataset(arguments.data, of_data.get(arguments.task), columns=read_columns(arguments.columns))
    found = inspect_data(data, arguments.encoder, limit=arguments.max_tokens)
    print(json.dumps(found.as_dict(), ensure_ascii=False, indent=1) if arguments.json else _printable(str(found)))
    return 0


def checks() -> list[Finding]:
    """Look at everything, and return one finding for each thing looked at."""
    if sys.version_info < _OLDEST_PYTHON:
        return [check_python()]  # nothing else would run
    project = project_folder()
    groups: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("Python", lambda: [check_python()]),
        ("packages", lambda: check_packages(project)),
        ("torch", check_torch),
        ("embedded model", lambda: [check_embedded_model()]),
        ("COURSE_MODEL", lambda: [check_course_model()]),
        ("Hugging Face", lambda: [check_hub_settings(os.environ)]),
        ("data", lambda: [check_data(project)]),
        ("memory", lambda: [check_memory()]),
        ("disk", lambda: [check_disk(project or Path.cwd())]),
        ("write access", lambda: check_write_access(project)),
        ("notebook kernel", lambda: [check_kernel()]),
        ("Chinese font", lambda: [check_font()]),
        ("Graphviz", lambda: [check_graphviz()]),
    ]
    return [finding for name, look in groups for finding in _guarded(name, look)]


def _guarded(name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """Run one check; a check that fails itself must not hide the others, nor pass for ok."""
    try:
        return look()
    except Exception as error:
        said = f"the check itself failed: {type(error).__name__}: {_one_line(error)}"
        return [Finding(name, "wrong", said, "Install the course again, and report this if it stays.")]


def table(findings: list[Finding]) -> str:
    """Return the findings as lines of up to 100 columns, with a last line that sums them up."""
    names = max(len(f.name) for f in findings)
    lines = []
    for finding in findings:
        head = f"{finding.state:<7}  {finding.name:<{names}}  "
        lines += _wrap(finding.found, head, " " * len(head))
        if finding.advice:
            lines += _wrap(finding.advice, " " * len(head) + "-> ", " " * len(head) + "   ")
    counts = {state: sum(f.state == state for f in findings) for state in ("ok", "warning", "wrong")}
    warned = f"{counts['warning']} warning{'s' if counts['warning'] != 1 else ''}"
    verdict = "nothing is wrong" if counts["wrong"] == 0 else f"{counts['wrong']} wrong: see what stands after ->"
    return "\n".join([*lines, "", f"{counts['ok']} ok, {warned}, {verdict}."])


def _wrap(text: str, first: str, following: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=following, break_long_words=False, break_on_hyphens=False
    ) or [first.rstrip()]


def _printable(text: str) -> str:
    """Replace what the terminal's encoding lacks (a Chinese folder name on an old Windows console)."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)


def project_folder() -> Path | None:
    """Return the checkout that this library is part of, or None where it was installed on its own."""
    folder = Path(__file__).resolve().parent.parent
    try:
        about = _read_pyproject(folder)
    except FileNotFoundError:
        return None
    return folder if about.get("project", {}).get("name") == DISTRIBUTION else None


def _read_pyproject(folder: Path) -> dict[str, Any]:
    import tomllib  # not at the top: a Python without it is too old, and check_python shall say so

    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


# ---------------------------------------------------------------------------------------------------- versions


def check_python() -> Finding:
    """Look at the version of Python."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _OLDEST_PYTHON:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        return Finding("Python", "wrong", found, f"Install Python {oldest} or newer, and start again with it.")
    return Finding("Python", "ok", found)


def check_packages(project: Path | None) -> list[Finding]:
    """Compare the version of each direct dependency with the tested one and with the oldest allowed."""
    requirements = _requirements(project)
    tested: dict[str, str] = {}
    findings = []
    if project is None:
        found = f"not a checkout of the course: course_lib is installed in {Path(__file__).resolve().parent}"
        advice = (
            "Versions are compared with the oldest allowed alone; notebooks and data are in the course's repository."
        )
        findings.append(Finding("course folder", "ok", found, advice))
    elif (constraints := project / "constraints.txt").is_file():
        tested = dict(re.findall(r"(?m)^([\w.-]+)\s*==\s*([^\s;#]+)", constraints.read_text(encoding="utf-8")))
        tested = {_canonical(name): version for name, version in tested.items()}
    else:
        advice = "Get the file again from the course's repository: git checkout -- constraints.txt"
        findings.append(Finding("constraints.txt", "warning", "missing, so no version can be called tested", advice))
    if requirements is None:
        advice = "Install the course: python -m pip install -e . in its folder."
        findings.append(
            Finding("packages", "wrong", f"no list of dependencies: {DISTRIBUTION} is not installed", advice)
        )
    missing = [name for name in requirements or {} if _installed_version(name) is None]
    if len(missing) > 2:  # one line for all of them, with one command
        found = f"{len(missing)} of {len(requirements)} are not installed: {', '.join(missing)}"
        findings.append(Finding("packages", "wrong", found, _install_advice(project)))
    for name, oldest in (requirements or {}).items():
        if name in missing and len(missing) > 2:
            continue
        finding = check_version(name, oldest, tested.get(_canonical(name)), _installed_version(name))
        if name == "netron" and finding.state != "wrong":
            finding = check_netron(finding.found)
        findings.append(finding)
    return findings


def _install_advice(project: Path | None) -> str:
    if project is None:
        return f"python -m pip install --upgrade {DISTRIBUTION}"
    own = project / ".venv"
    if own.is_dir() and own.resolve() != Path(sys.prefix).resolve():
        python = own / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        return f"The course's own Python may have them: {python} -m course_lib check"
    return "`make lab` installs everything; or, in the course's folder: python -m pip install -c constraints.txt -e ."


def _requirements(project: Path | None) -> dict[str, str | None] | None:
    """Return the oldest allowed version of each direct dependency (None: any), or None when nothing tells."""
    if project is not None:
        lines = _read_pyproject(project)["project"]["dependencies"]
    else:
        try:
            lines = importlib.metadata.requires(DISTRIBUTION) or []
        except importlib.metadata.PackageNotFoundError:
            return None
    required: dict[str, str | None] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        if "extra" in marker:
            continue
        oldest = re.search(r">=\s*([\w.]+)", requirement)
        required[re.match(r"[\w.-]+", requirement)[0]] = oldest[1] if oldest else None
    return required


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_version(name: str, oldest: str | None, tested: str | None, found: str | None) -> Finding:
    """Judge one installed version (None: not installed)."""
    wanted = f"{name}=={tested}" if tested else f"{name}>={oldest}" if oldest else name
    install = f'python -m pip install "{wanted}"'
    if found is None:
        return Finding(name, "wrong", "not installed", install)
    if oldest is not None and _release(found) < _release(oldest):
        return Finding(name, "wrong", f"{found}, and the course needs {oldest} or newer", install)
    if tested is not None and _release(found) != _release(tested):
        age = "newer" if _release(found) > _release(tested) else "older"
        advice = f"Untested, and probably fine; for the tested version: {install}"
        return Finding(name, "warning", f"{found}, {age} than the tested {tested}", advice)
    return Finding(name, "ok", f"{found} (the tested version)" if tested else found)


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without trailing zeros: "2.13.0+cpu" -> (2, 13)."""
    numbers = [int(part) for part in re.match(r"\d+(?:\.\d+)*", version)[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def check_netron(version: str, today: datetime.datetime | None = None) -> Finding:
    """Judge the age of the installed netron, which stops working by itself."""
    newer = "python -m pip install --upgrade netron"
    today = today or datetime.datetime.now(datetime.UTC)
    released = _netron_date()
    if released is None:
        return Finding("netron", "ok", f"{version} (without a date, so it does not stop by itself)")
    end = released + datetime.timedelta(days=_NETRON_DAYS)
    if today > end:
        found = f"{version} of {released:%Y-%m-%d}: it refuses to show a graph since {end:%Y-%m-%d}"
        return Finding("netron", "wrong", found, newer)
    found = f"{version} of {released:%Y-%m-%d}, works until {end:%Y-%m-%d}"
    if end - today < datetime.timedelta(days=30):
        return Finding("netron", "warning", found, f"Take a newer one before then: {newer}")
    return Finding("netron", "ok", found)


def _netron_date() -> datetime.datetime | None:
    """Return the date in the page that netron serves; the page compares this date with the clock itself."""
    spec = importlib.util.find_spec("netron")
    page = Path(spec.origin).parent / "index.html" if spec is not None and spec.origin else None
    if page is None or not page.is_file():
        return None
    match = re.search(r'<meta name="date" content="([^"]+)"', page.read_text(encoding="utf-8"))
    if match is None:
        return None
    try:
        return datetime.datetime.fromisoformat(match[1]).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None  # the page cannot read it either, and then never refuses


# ---------------------------------------------------------------------------------------------------- torch


def check_torch() -> list[Finding]:
    """Import torch; look at the GPU and at bfloat16."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch = importlib.import_module("torch")
            gpu = _gpu(torch)
    except Exception as error:  # what a broken installation raises depends on the system
        if _installed_version("torch") is None:
            return []  # the line of the package says so already
        return [
            Finding(
                "torch import",
                "wrong",
                f"{type(error).__name__}: {_one_line(error)}",
                torch_advice(error, sys.platform),
            )
        ]
    # An old driver makes torch warn and go on with the CPU.
    about_gpu = [w for w in caught if re.search("cuda|driver|nvidia", str(w.message), re.IGNORECASE)]
    if gpu is None and about_gpu:
        found = f"there may be one, but torch cannot use it: {_one_line(about_gpu[0].message)}"
        first = Finding("GPU", "warning", found, "The course runs on the CPU; to use the GPU, update its driver.")
    else:
        first = Finding("GPU", "ok", gpu or "none: the course runs on the CPU")
    return [first, _check_bfloat16(torch)]


def torch_advice(error: Exception, system: str) -> str:
    """Return what to do when torch is installed and its import fails; `system` is sys.platform."""
    if isinstance(error, ModuleNotFoundError) and error.name not in (None, "torch"):
        return f"python -m pip install {error.name.split('.')[0]}"
    if system == "win32" and (isinstance(error, OSError) or "DLL load failed" in str(error)):
        return (
            "Install the Microsoft Visual C++ Redistributable (https://aka.ms/vs/17/release/vc_redist.x64.exe), then "
            "start a new terminal."
        )
    return "Install it again: python -m pip install --force-reinstall --no-deps torch"


def _gpu(torch: Any) -> str | None:
    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        return f"{about.name}, {about.total_memory / _GIGABYTE:.0f} GB"
    if torch.backends.mps.is_available():
        return "Apple GPU (mps)"
    return None


def _check_bfloat16(torch: Any) -> Finding:
    if native := bfloat16_instructions(torch.cpu.get_capabilities()):
        return Finding("bfloat16", "ok", f"native on this CPU ({', '.join(native)})")
    return Finding("bfloat16", "ok", "emulated on this CPU, so slower: the course uses float32 here")


# ---------------------------------------------------------------------------------------------------- models and data


def check_embedded_model() -> Finding:
    """Verify the files of the embedded model, and the sha256 of its weights."""
    from course_lib.pretrained import find_model

    try:
        files = find_model("embedded")
    except CourseError as error:
        return Finding("embedded model", "wrong", *_split_advice(error))
    size = files.weights.stat().st_size / 1e6
    return Finding(
        "embedded model", "ok", f"all-MiniLM-L6-v2, {size:.0f} MB, sha256 {files.sha256[:12]}... as published"
    )


def check_course_model() -> Finding:
    """Look at the model that COURSE_MODEL asks for, when it is set; nothing is downloaded."""
    from course_lib.pretrained import NotHereError, find_model, offline_variable

    chosen = os.environ.get("COURSE_MODEL", "").strip()
    if not chosen:
        return Finding("COURSE_MODEL", "ok", "not set: the notebooks use the embedded model")
    try:
        files = find_model(download=False)
    except NotHereError as error:
        if offline_variable() is not None:
            return Finding("COURSE_MODEL", "wrong", *_split_advice(error))
        advice = "It is downloaded when first used, which needs the network; unset COURSE_MODEL for the embedded model."
        return Finding("COURSE_MODEL", "warning", f"'{chosen}' is not on this computer yet", advice)
    except CourseError as error:
        return Finding("COURSE_MODEL", "wrong", *_split_advice(error))
    place = f" in {files.folder}" if files.origin == "hub" else ""
    return Finding("COURSE_MODEL", "ok", f"'{chosen}', model type {files.model_type}{place}")


def _split_advice(error: CourseError) -> tuple[str, str]:
    """Split "what is wrong; what to do" at its last semicolon."""
    said, separator, advice = str(error).rpartition("; ")
    if separator:
        return said, advice[:1].upper() + advice[1:]
    return str(error), "Do what it says, or unset COURSE_MODEL for the embedded model."


def check_hub_settings(environment: Mapping[str, str]) -> Finding:
    """Show what steers downloads from the Hugging Face hub; nothing is sent."""
    shown = []
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE"):
        value = environment.get(name, "").strip()
        if value and "@" in value and (host := urlsplit(value).hostname):
            value = f"{urlsplit(value).scheme}://...@{host}"  # never show a password
        if value:
            shown.append(f"{name}={value}")
    usual = "usual settings: a model that is asked for by name is downloaded once, then kept"
    return Finding("Hugging Face", "ok", ", ".join(shown) or usual)


def check_data(project: Path | None) -> Finding:
    """Compare the files of data/ with the sums in data/SHA256SUMS (the format of sha256sum)."""
    if project is None:
        return Finding("data", "ok", "not looked at: the data sets are in the course's repository")
    sums = project / "data" / "SHA256SUMS"
    again = "Get the files again from the course's repository: git checkout -- data"
    if not sums.is_file():
        return Finding("data", "wrong", f"{sums} is missing", again)
    missing, changed, count = [], [], 0
    for number, line in enumerate(sums.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line.strip())
        if match is None:
            return Finding("data", "wrong", f"line {number} of {sums} is not a sha256 and a file name", again)
        count += 1
        path = sums.parent / match[2]
        if not path.is_file():
            missing.append(match[2])
        elif hashlib.sha256(path.read_bytes()).hexdigest() != match[1]:
            changed.append(match[2])
    if missing or changed:
        parts = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("changed", changed)) if names]
        return Finding("data", "wrong", "; ".join(parts), again)
    return Finding("data", "ok", f"{count} files as recorded")


# ---------------------------------------------------------------------------------------------------- machine


def check_memory() -> Finding:
    """Look at the memory: a notebook takes up to 2 GB."""
    try:
        import psutil
    except ImportError as error:
        return Finding("memory", "wrong", f"cannot be measured ({error})", "python -m pip install psutil")
    memory = psutil.virtual_memory()
    found = (
        f"{memory.available / _GIGABYTE:.1f} GB free of {memory.total / _GIGABYTE:.1f} GB; a notebook takes up to 2 GB"
    )
    if memory.total < _NOTEBOOK_BYTES:
        return Finding("memory", "wrong", found, "Use a computer with 4 GB of memory or more.")
    if memory.available < _NOTEBOOK_BYTES:
        return Finding("memory", "warning", found, "Close other programs and notebooks before you start one.")
    return Finding("memory", "ok", found)


def check_disk(folder: Path) -> Finding:
    """Look at the free space where the course lies."""
    free = shutil.disk_usage(folder).free
    found = f"{free / _GIGABYTE:.1f} GB free for {folder}"
    if free < 0.1 * _GIGABYTE:
        return Finding("disk", "wrong", found, "Free some space: notebooks cannot be saved on a full disk.")
    if free < _GIGABYTE:
        return Finding(
            "disk", "warning", found, "Enough for the notebooks; a downloaded model takes about 0.5 GB more."
        )
    return Finding("disk", "ok", found)


def check_write_access(project: Path | None) -> list[Finding]:
    """Try to write beside the notebooks and beside the progress file.

    On a hub the course is installed once, read-only, and each learner works in a copy. Then it is the copy that counts.
    """
    from course_lib.exercises.checking import progress_file

    findings = [_check_writable("progress file", progress_file().parent)]
    if project is not None:
        course, here = _check_writable("course folder", project), Path.cwd()
        if course.state != "ok" and not here.is_relative_to(project):
            copy = _check_writable("course folder", here)
            if copy.state == "ok":
                shared = f"{project} is read-only and shared; {here}, where you work, can be written"
                course = Finding("course folder", "ok", shared)
        findings.insert(0, course)
    return findings


def _check_writable(name: str, folder: Path) -> Finding:
    existing = folder
    while not existing.is_dir() and existing != existing.parent:
        existing = existing.parent  # it is made when it is needed
    try:
        with tempfile.TemporaryFile(dir=existing):
            return Finding(name, "ok", f"{folder} can be written")
    except OSError as error:
        found = f"{folder} cannot be written ({error.strerror or error})"
        move = (
            "Copy the course to a folder of your own"
            if name == "course folder"
            else "Set COURSE_PROGRESS to a file in a folder of your own"
        )
        return Finding(
            name,
            "wrong" if name == "course folder" else "warning",
            found,
            f"{move}, or change the folder's permissions.",
        )


# ---------------------------------------------------------------------------------------------------- programs


def check_kernel() -> Finding:
    """Find out whether JupyterLab's kernel "python3" is this Python."""
    repair = "python -m ipykernel install --sys-prefix"
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError as error:
        return Finding(
            "notebook kernel", "wrong", f"cannot be looked up ({error})", "python -m pip install jupyterlab ipykernel"
        )
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding("notebook kernel", "wrong", "there is no kernel named python3", repair)
    return judge_kernel(spec.argv[0], spec.resource_dir, sys.executable)


def judge_kernel(program: str, folder: str, this_python: str) -> Finding:
    """Judge the program that a kernel starts; a bare `python` is replaced by the Python that runs JupyterLab."""
    if re.fullmatch(r"python[\d.]*(\.exe)?", program, re.IGNORECASE):
        return Finding("notebook kernel", "ok", "python3 starts this Python")
    # Not resolved: in a virtual environment python is a link, and the folder is what counts.
    if os.path.normcase(Path(program).absolute().parent) == os.path.normcase(Path(this_python).absolute().parent):
        return Finding("notebook kernel", "ok", f"python3 starts {program}")
    repair = f"Remove the folder {folder}, or run: python -m ipykernel install --sys-prefix"
    if not Path(program).exists():
        return Finding("notebook kernel", "wrong", f"python3 starts {program}, which is not there", repair)
    found = f"python3 starts another Python, {program}, where the course's packages may be missing"
    return Finding("notebook kernel", "warning", found, repair)


def check_font() -> Finding:
    """Look for a font with Chinese characters."""
    from course_lib.plots import find_cjk_font

    try:
        font = find_cjk_font()
    except ImportError as error:
        return Finding("Chinese font", "warning", f"cannot be looked up ({error})", "python -m pip install matplotlib")
    if font is not None:
        return Finding("Chinese font", "ok", font)
    found = "none, so figures show Chinese characters as code points (U+4E2D)"
    return Finding("Chinese font", "warning", found, font_advice(sys.platform, _linux_names()))


def font_advice(system: str, names: set[str]) -> str:
    """Return how to install a Chinese font; `system` is sys.platform, `names` the Linux distribution and its kin."""
    if system == "win32":
        return "Windows has Microsoft YaHei: Settings, Time & language, Language, add Chinese (its fonts are enough)."
    if system == "darwin":
        return "macOS has PingFang SC: delete matplotlib's font cache (~/.matplotlib/fontlist-*.json) and check again."
    commands = {
        "debian": "sudo apt install fonts-noto-cjk",
        "ubuntu": "sudo apt install fonts-noto-cjk",
        "fedora": "sudo dnf install google-noto-sans-cjk-fonts",
        "rhel": "sudo dnf install google-noto-sans-cjk-fonts",
        "arch": "sudo pacman -S noto-fonts-cjk",
        "suse": "sudo zypper install noto-sans-sc-fonts",
        "alpine": "sudo apk add font-noto-cjk",
    }
    command = next((commands[name] for name in commands if name in names), None)
    return command or "Install the font Noto Sans CJK SC with your system's package manager."


def _linux_names() -> set[str]:
    """Return the distribution's name and those that it is like, such as {"ubuntu", "debian"}."""
    with contextlib.suppress(OSError):  # not Linux, or a very small one
        about = platform.freedesktop_os_release()
        return {about.get("ID", ""), *about.get("ID_LIKE", "").split()}
    return set()


def check_graphviz() -> Finding:
    """Look for Graphviz's dot, which the course can do without."""
    program = shutil.which("dot")
    if program:
        return Finding("Graphviz", "ok", f"{program} (optional)")
    commands = {"win32": "winget install graphviz", "darwin": "brew install graphviz"}
    found = "not installed; optional, the course draws its graphs without it"
    return Finding(
        "Graphviz",
        "ok",
        found,
        f"Only if you want code2flow's own SVG: {commands.get(sys.platform, 'sudo apt install graphviz')}",
    )


def _one_line(error: object) -> str:
    said = " ".join(str(error).split())
    return said if len(said) <= 300 else said[:297] + "..."
