"""Make the project's virtual environment, `.venv`, and install the course into it: `python3 course_lib/install.py`.

The Makefile runs this before every command. The first run downloads and installs; every later one finds the stamp that
the first left behind and is done in a fraction of a second, without starting pip and without a network. It uses the
standard library alone, and syntax that Python 3.6 reads, so that an old Python can say that it is too old.

What it keeps in `.venv`: `install.log`, pip's whole output; `course-install.json`, the stamp of a finished
installation; `course-installing`, there while one changes things: found at the start, it means that that was cut off.
"""

import os
import sys

if __name__ == "__main__" and os.path.realpath(sys.path[0] + "/install.py") == os.path.realpath(__file__):
    del sys.path[0]  # else a module of the package could stand in for one of the standard library

import argparse
import contextlib
import errno
import hashlib
import json
import locale
import platform
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, TextIO, Tuple

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 14)  # a newer one is tried when there is no other: PyTorch may have no build for it
OTHER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# Gigabytes, measured on Linux with Python 3.11 in November 2026: what the installed environment takes, and what pip
# downloads into the folder for temporary files on the way (its cache keeps as much again).
INSTALLED_GB = {"cuda": 6.7, "cpu": 2.7}
DOWNLOAD_GB = {"cuda": 3.1, "cpu": 0.6}

STAMP = "course-install.json"
MARKER = "course-installing"
LOG = "install.log"

Version = Tuple[int, int]


class InstallError(Exception):
    """The installation cannot go on; the message is one sentence for the person at the keyboard."""


class PipFailed(InstallError):
    """pip ended with an error. `offline`: for want of a network."""

    def __init__(self, message: str, offline: bool) -> None:
        super().__init__(message)
        self.offline = offline


class Wanted(NamedTuple):
    """What an installation should hold."""

    root: str  # the repository's folder
    inputs: str  # fingerprint of the files that say what to install
    extras: Tuple[str, ...]  # extras of pyproject.toml, sorted
    torch: str  # "cpu": PyTorch's CPU build was asked for; "": whatever pip takes by itself


# ------------------------------------------------------------------------------------------ what is there, what is wanted


def tables(root: Path) -> Iterator[Tuple[str, str]]:
    """The lines of pyproject.toml, each with the name of the table that it stands in.

    Enough of TOML for our own file; Python has a reader of its own only from 3.11 on.
    """
    table = ""
    for line in (root / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        heading = re.match(r"\[+\s*([^\]]+?)\s*\]", line)  # at the start of the line: an indented [ begins a list
        table = heading.group(1) if heading else table
        yield table, line


def fingerprint(root: Path) -> str:
    """Hash of what decides the installation: constraints.txt and the parts of pyproject.toml that pip reads.

    Settings of other tools (a new rule for the linter) are left out: they are no reason to install again.
    """
    wanted = ("project", "build-system")
    kept = [
        line for table, line in tables(root) if table.split(".")[0] in wanted or table.startswith("tool.setuptools")
    ]
    kept.extend((root / "constraints.txt").read_text(encoding="utf-8").splitlines())
    return hashlib.sha256("\n".join(kept).encode("utf-8")).hexdigest()


def known_extras(root: Path) -> List[str]:
    """Names of the extras that pyproject.toml declares."""
    lines = [line for table, line in tables(root) if table == "project.optional-dependencies"]
    return [found.group(1) for found in (re.match(r"([A-Za-z0-9_.-]+)\s*=", line) for line in lines) if found]


def environment_python(venv: Path) -> Path:
    """Path of the interpreter inside a virtual environment, on this system."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def ask_python(python: str, question: str, flags: Sequence[str] = ("-I",)) -> Optional[List[str]]:
    """Run `question` (a line of Python that prints) with an interpreter; its words, or None where it does not run.

    It is run, not looked at: a name on PATH may be a shim that fails, a link in an old `.venv` may lead nowhere.
    """
    try:
        done = subprocess.run(
            [python, *flags, "-c", question],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("ascii", "replace").split() if done.returncode == 0 else None


def version_in(venv: Path) -> Optional[Version]:
    """Version of a virtual environment's Python, or None where there is none that runs."""
    words = ask_python(str(environment_python(venv)), "import sys; print(*sys.version_info[:2])", ("-I", "-S"))
    return (int(words[0]), int(words[1])) if words and len(words) == 2 else None


def read_note(path: Path) -> Optional[Dict]:
    """What `write_note` wrote: the stamp or the marker; None where there is none that can be read."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def write_note(path: Path, wanted: Wanted) -> None:
    """Write down, in one step, what is or will be installed, and the version of the environment's Python."""
    note = dict(wanted._asdict(), python=list(version_in(path.parent) or ()))
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def decide(venv: Path, wanted: Wanted) -> Tuple[str, str]:
    """What to do: ("ready" | "update" | "create" | "rebuild", why, in words that follow "because")."""
    if not os.path.lexists(str(venv)):
        return "create", ""
    version = version_in(venv)
    stamp = read_note(venv / STAMP)
    if (venv / MARKER).exists():
        return "rebuild", "the last installation did not come to its end"
    if version is None:
        return "rebuild", "its Python does not run any more"
    if version < OLDEST_PYTHON:
        return "rebuild", "its Python is {}.{}, and the course needs a newer one".format(*version)
    if stamp is None:  # made by somebody else: add to it, and take nothing away
        has_pip = ask_python(str(environment_python(venv)), "import pip; print(1)")
        return ("update", "it was made by another program") if has_pip else ("rebuild", "it has no pip")
    if stamp.get("root") != wanted.root:
        return "rebuild", "the folder of the course was moved or copied"
    if stamp.get("python") != list(version):
        return "rebuild", "its Python was replaced by another version"
    if wanted.torch and wanted.torch not in (stamp.get("torch"), installed_torch(venv)):
        return "rebuild", f"it has another build of PyTorch than TORCH={wanted.torch}"
    if stamp.get("inputs") != wanted.inputs:
        return "update", "the list of packages has changed"
    if not set(wanted.extras) <= set(stamp.get("extras", [])):
        return "update", "more packages are needed"
    return "ready", ""


# ------------------------------------------------------------------------------------------------- choosing a Python


def this_python() -> str:
    """Path of the interpreter that runs this; inside a virtual environment, of the one that it was made with."""
    if sys.prefix != sys.base_prefix:
        return getattr(sys, "_base_executable", None) or sys.executable
    return sys.executable


def probe(python: str) -> Optional[Tuple[Version, bool]]:
    """Version of an interpreter and whether it can make virtual environments, or None where it does not run."""
    question = (
        "import sys, importlib.util as u; "
        "print(*sys.version_info[:2], int(all(u.find_spec(m) for m in ('venv', 'ensurepip'))))"
    )
    words = ask_python(python, question)
    return ((int(words[0]), int(words[1])), words[2] == "1") if words and len(words) == 3 else None


def choose_python(
    current: str, search: Callable[[str], Optional[Tuple[Version, bool]]] = probe, others: Sequence[str] = OTHER_PYTHONS
) -> str:
    """The interpreter to make the environment with: `current` if it will do, else the first of `others` that does.

    Raises InstallError, saying what was found, what is needed and how to get it, where none will do.
    """
    found = search(current)
    if found and OLDEST_PYTHON <= found[0] <= NEWEST_PYTHON and found[1]:
        return current
    without_venv = None  # type: Optional[Tuple[str, Version]]
    for name in others:
        other = search(name)
        if other and other[0] >= OLDEST_PYTHON:
            if other[1]:
                return name
            without_venv = without_venv or (name, other[0])
    if found and found[0] >= OLDEST_PYTHON:
        if found[1]:
            return current  # newer than any that the course was tried with
        without_venv = (current, found[0])
    if without_venv:
        raise InstallError(missing_venv_sentence(*without_venv))
    version = "{}.{}".format(*found[0]) if found else "of an unknown version"
    raise InstallError(
        "This Python is {} ({}), the course needs {}.{} or newer, and none of {} runs here: install one from "
        "https://www.python.org/downloads (Debian, Ubuntu: sudo apt install python3 python3-venv; macOS: brew install "
        "python), or name one that you have, as in PYTHON=/path/to/python3.12 before the command, and run it again.".format(
            version, current, OLDEST_PYTHON[0], OLDEST_PYTHON[1], ", ".join(others)
        )
    )


def missing_venv_sentence(python: str, version: Version) -> str:
    """What to say where Python came without the modules that make virtual environments (Debian's habit)."""
    return (
        f"Python {version[0]}.{version[1]} ({python}) cannot make a virtual environment, because its venv or ensurepip module is missing: on "
        f"Debian and Ubuntu, sudo apt install python{version[0]}.{version[1]}-venv brings it; then run the command again."
    )


# ---------------------------------------------------------------------------------------------------- what can go wrong

NO_SPACE = re.compile(
    r"No space left on device|\[Errno 28\]|not enough space on the disk|Disk quota exceeded|WinError 112"
)
NO_NETWORK = re.compile(
    r"connection broken by|Max retries exceeded|NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError"
    r"|Read timed out|ProxyError|Temporary failure in name resolution|getaddrinfo failed|Network is unreachable"
    r"|Connection refused|Connection reset|IncompleteRead|RemoteDisconnected",
)
BAD_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|certificate verify failed")
PINNED_PACKAGE = re.compile(r"The user requested \(constraint\) ([\w.-]+)==")
NO_PACKAGE = re.compile(r"No matching distribution found for ([A-Za-z0-9_.\-]+)")
NO_PERMISSION = re.compile(r"Permission denied|\[Errno 13\]|Read-only file system|\[Errno 30\]|Access is denied")
AGAIN = "then run the command again"


def explain(output: str, folder: str, log: str) -> Tuple[str, bool]:
    """One sentence for a failed installation, from pip's whole output, and whether the network was the reason.

    `folder` is the repository's folder and `log` the file that holds the output, as they should be named.
    """
    tail = f" (pip's whole output: {log})."
    package = NO_PACKAGE.search(output)
    if NO_SPACE.search(output):
        where = f"the disk is full, or the one with the temporary files ({tempfile.gettempdir()}) or pip's cache"
        return "The installation ran out of space: " + where + "; free some space, " + AGAIN + tail, False
    if NO_PERMISSION.search(output) and not package:
        return f"The installation may not write to {folder}: copy the course to a folder of yours, {AGAIN}{tail}", False
    if BAD_CERTIFICATE.search(output):
        return (
            "The package server's certificate was refused, as happens behind a company's proxy: ask its administrators how "
            "to set up pip there (pip config set global.cert FILE), " + AGAIN + tail
        ), False
    if NO_NETWORK.search(output) and (package is None or "from versions: none" in output):
        return (
            "The package server could not be reached: installing needs the internet (behind a proxy, set "
            "HTTPS_PROXY), so connect, " + AGAIN + "; what was downloaded is kept" + tail
        ), True
    if package and package.group(1).lower() == "torch":
        return (
            f"PyTorch has no build for this computer ({platform.system()} {platform.machine()}, Python {platform.python_version()}): take Python 3.11 to 3.13, 64 bits, or install with "
            f"conda from environment.yml{tail}"
        ), False
    if package:
        return (
            f"pip did not find {package.group(1)} in the package index that it is set up with: check `pip config list`, {AGAIN}{tail}"
        ), False
    errors = [line for line in output.splitlines() if line.strip().lower().startswith("error")]
    last = (errors or output.strip().splitlines() or ["no message"])[-1].strip().rstrip(".")
    return f"pip could not install the course, and said: {last}{tail}", False


def build_of_torch(torch: str) -> str:
    """Which sizes to reckon with: "cuda" on Linux unless the CPU build was asked for, else "cpu"."""
    return "cuda" if platform.system() == "Linux" and torch != "cpu" else "cpu"


def check_space(root: Path, torch: str) -> None:
    """Raise InstallError where the disk, or the one for temporary files, is too small for a new installation."""
    build = build_of_torch(torch)
    temporary = tempfile.gettempdir()
    needs = {str(root): INSTALLED_GB[build]}
    if Path(temporary).stat().st_dev == root.stat().st_dev:
        needs[str(root)] += DOWNLOAD_GB[build]
    else:
        needs[temporary] = DOWNLOAD_GB[build]
    for folder, need in needs.items():
        free = shutil.disk_usage(folder).free / 1e9
        if free < need:
            smaller = " or take PyTorch's smaller CPU build with TORCH=cpu," if build == "cuda" and free > 3 else ""
            elsewhere = " or set TMPDIR to a folder on a bigger disk," if folder == temporary else ""
            raise InstallError(
                f"The installation needs about {need:.1f} GB in {folder}, and {free:.1f} GB are free there: "
                f"make room,{smaller}{elsewhere} {AGAIN}."
            )


def cuda_hint(torch: str) -> Optional[str]:
    """A line for Linux users without an NVIDIA driver, whom pip would bring gigabytes of CUDA; None for the others."""
    if build_of_torch(torch) != "cuda" or platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        return None
    return (
        "Hint: there is no NVIDIA driver here, and pip's usual PyTorch for Linux comes with CUDA, some {:g} GB to download; "
        "with `make lab TORCH=cpu` it is {:g} GB in all. To change over, press Ctrl-C and begin again with that.".format(
            DOWNLOAD_GB["cuda"], DOWNLOAD_GB["cpu"]
        )
    )


# ------------------------------------------------------------------------------------------------------ running, in view


def shorten(line: str) -> Optional[Tuple[str, bool]]:
    """A line of pip's in a few words, and whether it deserves a line of its own in a log; None for the others."""
    line = line.strip()
    if line.startswith("Collecting "):
        return "looking up " + re.split(r"[\s<>=!~;\[(]", line[len("Collecting ") :])[0], False
    download = re.match(
        r"(Downloading|Using cached) (?:\S*/)?([^-/\s]+)-([^-\s]+)-\S*\.whl \(([\d.]+) ([kMG]B)\)", line
    )
    if download:
        verb, name, version, size, unit = download.groups()
        large = verb == "Downloading" and (unit == "GB" or (unit == "MB" and float(size) >= 20))
        verb = "downloading" if verb == "Downloading" else "already downloaded:"
        return f"{verb} {name} {version} ({size} {unit})", large
    if line.startswith("Installing build dependencies"):
        return "preparing the course's own package", False
    if line.startswith("Installing collected packages:"):
        count = line.count(",") + 1
        return "unpacking {} package{}".format(count, "" if count == 1 else "s, which takes a while"), True
    return None


class Progress:
    """Says on the terminal what is going on: one line that is written over, or, in a log, a line now and then."""

    def __init__(self, stream: TextIO, quiet_seconds: float = 30.0) -> None:
        self.stream = stream
        self.quiet_seconds = quiet_seconds
        self.is_terminal = stream.isatty()
        self.phrase = "starting"
        self.began = self.last_line = time.monotonic()

    def show(self, phrase: str, worth_a_line: bool) -> None:
        """A new thing is going on."""
        self.phrase = phrase
        if self.is_terminal or worth_a_line:
            self._write()

    def tick(self) -> None:
        """Time goes by: show that something is still going on."""
        if self.is_terminal or time.monotonic() - self.last_line >= self.quiet_seconds:
            self._write()

    def close(self) -> None:
        """Leave the terminal's cursor on a clean line."""
        if self.is_terminal:
            self.stream.write("\r" + " " * self._width() + "\r")
            self.stream.flush()

    @staticmethod
    def _width() -> int:
        return max(20, shutil.get_terminal_size().columns - 1)  # some terminals say that they have no columns

    def _write(self) -> None:
        seconds = int(time.monotonic() - self.began)
        text = f"  {seconds // 60}:{seconds % 60:02d} {self.phrase}"
        if self.is_terminal:
            self.stream.write("\r" + text[: self._width()].ljust(self._width()))
        else:
            self.stream.write(text + "\n")
        self.stream.flush()
        self.last_line = time.monotonic()


def pip_environment() -> Dict[str, str]:
    """The environment for pip: the user's, with the few settings that cannot work in a virtual environment taken back."""
    return dict(os.environ, PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")


def run_logged(
    command: Sequence[str], cwd: Path, log: Path, watch: Callable[[str], None], tick: Callable[[], None], lock: int
) -> Tuple[int, str]:
    """Run a command in `cwd` and append its output to `log`. Returns its exit code and output.

    watch: called with every line of output. tick: called every second without one.

    It inherits the file descriptor `lock`, so that it holds the lock for as long as it lives: killed outright, we could
    not end it, and the next installation must wait for it.
    """
    lines = queue.Queue()  # type: queue.Queue[Optional[str]]
    with log.open("a", encoding="utf-8") as file:
        file.write("$ " + " ".join(command) + "\n")
        process = subprocess.Popen(
            list(command),
            cwd=str(cwd),
            env=pip_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=() if os.name == "nt" else (lock,),
        )

        def read() -> None:
            for raw in process.stdout or ():
                lines.put(raw.decode(locale.getpreferredencoding(False), "replace"))
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        output = []
        try:
            while True:
                try:
                    line = lines.get(timeout=1.0)
                except queue.Empty:
                    tick()
                    continue
                if line is None:
                    break
                output.append(line)
                file.write(line)
                file.flush()
                watch(line)
            return process.wait(), "".join(output)
        finally:
            if process.poll() is None:  # interrupted: leave nothing running behind our back
                process.terminate()
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[int]:
    """Hold the lock under which `.venv` may be changed; wait for another installation that holds it.

    Gives the file descriptor of the lock. Closing it, or the end of the process however it comes, gives the lock back.
    """
    folder = root / ".course"
    folder.mkdir(exist_ok=True)
    with (folder / "install.lock").open("a+") as file:
        said = False
        while not _lock(file):
            if not said:
                print("Another installation is at work in this folder; waiting for it.", flush=True)
                said = True
            time.sleep(0.5)
        yield file.fileno()


def _lock(file: TextIO) -> bool:
    """Try to lock an open file; False while another process has it. True also where the disk knows no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


# ------------------------------------------------------------------------------------------------------ the installation


def make_environment(python: str, root: Path, venv: Path) -> None:
    """Make `.venv` anew with the given interpreter, with whatever was in it before taken out but the marker."""
    for entry in list(venv.iterdir()):  # not `venv --clear`, which would take the marker away for a while
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        elif entry.name != MARKER:
            entry.unlink()
    done = subprocess.run(
        [python, "-I", "-m", "venv", str(venv)],
        cwd=str(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = done.stdout.decode(locale.getpreferredencoding(False), "replace")
    (venv / LOG).write_text(output, encoding="utf-8")
    if done.returncode:
        if "ensurepip" in output and not NO_SPACE.search(output):
            found = probe(python)
            raise InstallError(missing_venv_sentence(python, found[0] if found else sys.version_info[:2]))
        raise InstallError(explain(output, str(root), str(Path(".venv") / LOG))[0])


def pip_commands(
    python: str, extras: Iterable[str], torch: str, torch_pin: str, index: str, wheelhouse: str = ""
) -> List[List[str]]:
    """The commands that install the course, to be run in the repository's folder, in this order.

    The user's own pip configuration holds; only PyTorch's CPU build, where asked for, names its own index (an address,
    or a folder with wheel files). It comes first and alone, since that index does not have the versions of the rest.
    With a wheelhouse, a folder that has everything, no index is asked at all.
    """
    pip = [python, "-I", "-u", "-m", "pip", "install", "--progress-bar", "off"]
    commands = []
    if wheelhouse:
        pip += ["--no-index", "--find-links", wheelhouse]
    elif torch == "cpu":
        source = ["--no-index", "--find-links", index] if Path(index).is_dir() else ["--index-url", index]
        commands.append([*pip, "--no-deps", *source, torch_pin])
    names = ",".join(sorted(extras))
    commands.append([*pip, "-e", f".[{names}]" if names else ".", "-c", "constraints.txt"])
    return commands


def not_in_wheelhouse(wheelhouse: str, package: str) -> str:
    """The sentence for a wheelhouse that was made for another system or another Python."""
    return (
        "{} has no {} for Python {}.{} on {}: where there is a network, make the folder for that too (make wheelhouse "
        "PYTHONS={}.{}, or FOR=windows, macos or linux), or take the Python that it was made for (make lab PYTHON=...); "
        "pip's whole output: {}.".format(
            wheelhouse, package, *sys.version_info[:2], platform.system(), *sys.version_info[:2], Path(".venv") / LOG
        )
    )


def torch_pin(root: Path) -> str:
    """The line of constraints.txt that pins torch, as in torch==2.13.0."""
    for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("torch=="):
            return line.strip()
    raise InstallError(
        "constraints.txt has no line that begins with torch==: bring the file back with git and try again."
    )


def installed_torch(venv: Path) -> str:
    """ "cpu" where the PyTorch inside calls itself a CPU build, else ""."""
    patterns = ("lib/python*/site-packages/torch-*.dist-info", "Lib/site-packages/torch-*.dist-info")
    return "cpu" if any("+cpu" in path.name for pattern in patterns for path in venv.glob(pattern)) else ""


def run_pip(root: Path, venv: Path, wanted: Wanted, index: str, lock: int, wheelhouse: str = "") -> None:
    """Install; raise PipFailed with a sentence where that fails. Leaves the marker from when `.venv` begins to change."""
    progress = Progress(sys.stdout)

    def watch(line: str) -> None:
        if line.startswith("Installing collected packages:"):
            write_note(venv / MARKER, wanted)
        short = shorten(line)
        if short:
            progress.show(*short)

    pin = torch_pin(root) if wanted.torch else ""
    for command in pip_commands(str(environment_python(venv)), wanted.extras, wanted.torch, pin, index, wheelhouse):
        try:
            code, output = run_logged(command, root, venv / LOG, watch, progress.tick, lock)
        finally:
            progress.close()
        if code:
            missing = NO_PACKAGE.search(output) or PINNED_PACKAGE.search(output)
            if wheelhouse and missing:
                raise PipFailed(not_in_wheelhouse(wheelhouse, missing.group(1)), False)
            raise PipFailed(*explain(output, str(root), str(Path(".venv") / LOG)))


def install(
    root: Path, extras: Iterable[str] = (), torch: str = "", index: str = TORCH_CPU_INDEX, wheelhouse: str = ""
) -> int:
    """Bring `.venv` in `root` to the state that pyproject.toml and constraints.txt ask for. Returns an exit code.

    extras: names of extras in pyproject.toml; those that were installed before stay.
    torch: "cpu" for PyTorch's CPU build (on Linux; elsewhere pip takes that by itself), or "".
    index: where that build is found.
    wheelhouse: a folder that holds every package, or ""; with it no network is asked.
    Raises InstallError where it cannot be done.
    """
    venv = root / ".venv"
    for name in ("pyproject.toml", "constraints.txt"):
        if not (root / name).is_file():
            raise InstallError(f"{name} is missing in {root}: bring it back with git, {AGAIN}.")
    if wheelhouse and not any(Path(wheelhouse).glob("*.whl")):
        raise InstallError(
            "{} holds no packages (*.whl): give the folder that make wheelhouse filled.".format(wheelhouse)
            if Path(wheelhouse).is_dir()
            else "There is no folder {}: give the one that make wheelhouse filled.".format(wheelhouse)
        )
    known = known_extras(root)
    for name in extras:
        if name not in known:
            raise InstallError(
                "There is no extra {} in pyproject.toml: it has {}.".format(name, ", ".join(known) or "none")
            )
    if wheelhouse and any(Path(wheelhouse).glob("torch-*cpu*.whl")):
        torch = "cpu"
    torch = torch if platform.system() == "Linux" else ""
    wanted = Wanted(str(root), fingerprint(root), tuple(sorted(set(extras))), torch)
    if decide(venv, wanted)[0] == "ready":
        return 0
    with only_one(root) as lock:
        action, why = decide(venv, wanted)  # once more: another installation may just have done it
        if action == "ready":
            return 0
        # What was asked for once stays: extras, and PyTorch's CPU build. So it is for one that was cut off, too.
        before = read_note(venv / MARKER) or read_note(venv / STAMP) or {}
        extras_before = set(before.get("extras", []))
        wanted = wanted._replace(
            extras=tuple(sorted(set(wanted.extras) | (extras_before & set(known)))),
            torch=torch or before.get("torch", ""),
        )
        anew = action in ("create", "rebuild")
        python = choose_python(this_python()) if anew else ""
        if action == "create":
            check_space(root, wanted.torch)
        announce(action, why, wanted.torch, wheelhouse)
        began = time.monotonic()
        if anew:
            venv.mkdir(exist_ok=True)
            write_note(venv / MARKER, wanted)
            make_environment(python, root, venv)
        if action == "rebuild":
            check_space(root, wanted.torch)  # only now, when the old one has made room
        try:
            run_pip(root, venv, wanted, index, lock, wheelhouse)
        except PipFailed as error:
            untouched = before and not (venv / MARKER).exists()
            if untouched and error.offline and set(extras) <= extras_before:
                print(f"Warning: not brought up to date, what was installed before is used. {error}", flush=True)
                return 0
            raise
        write_note(venv / STAMP, wanted)
        with contextlib.suppress(FileNotFoundError):
            (venv / MARKER).unlink()
        print(f"Installed in {(time.monotonic() - began) / 60:.1f} minutes.", flush=True)
    return 0


def announce(action: str, why: str, torch: str, wheelhouse: str = "") -> None:
    """Say what is about to happen, and where to look meanwhile."""
    intention = {
        "create": "Installing the course into .venv, once; this takes some minutes",
        "rebuild": f"Installing into .venv anew, because {why}",
        "update": f"Bringing .venv up to date, because {why}",
    }[action]
    print("{}. (pip's whole output: {})".format(intention, Path(".venv") / LOG), flush=True)
    hint = cuda_hint(torch) if action in ("create", "rebuild") and not wheelhouse else None
    if hint:
        print(hint, flush=True)


def _stop(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(argv: Optional[Sequence[str]] = None) -> int:
    """The command line. Prints one sentence to stderr and returns 1 where the installation cannot be made."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a path that the terminal cannot show is no reason to stop
    parser = argparse.ArgumentParser(description="Install the course into .venv, or bring it up to date.")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra of pyproject.toml: test")
    parser.add_argument(
        "--torch", default=os.environ.get("TORCH", ""), metavar="BUILD", help="cpu: PyTorch without CUDA (on Linux)"
    )
    parser.add_argument(
        "--wheelhouse",
        default=os.environ.get("WHEELHOUSE", ""),
        metavar="FOLDER",
        help="packages to install from, without a network",
    )
    arguments = parser.parse_args(argv)
    root = Path(os.path.realpath(__file__)).parent.parent
    signal.signal(signal.SIGTERM, _stop)
    try:
        if arguments.torch.lower() not in ("", "cpu"):
            raise InstallError(
                f"TORCH={arguments.torch} is not known: give TORCH=cpu for PyTorch's CPU build, or leave it out."
            )
        index = os.environ.get("TORCH_INDEX") or TORCH_CPU_INDEX
        wheelhouse = str(Path(arguments.wheelhouse).resolve()) if arguments.wheelhouse else ""
        return install(root, arguments.extra, arguments.torch.lower(), index, wheelhouse)
    except InstallError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("\nThe installation was stopped; the next start takes it up again.", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            text = f"The installation may not write to {root}: copy the course to a folder of yours, {AGAIN} there."
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"The disk with {root} is full: make room, {AGAIN}."
        else:
            text = f"The installation stopped at an error of the system: {error}; mend it, {AGAIN}."
        print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
