"""A folder with every package the course needs, from which a room without a network installs: `make wheelhouse`.

First pip builds or fetches the wheels for this computer, in the versions of constraints.txt. For other systems most of
them serve as they are; those that hold machine code are fetched once more. What depends on what is read from the packages
installed here, with their markers evaluated for the other system: pip itself evaluates them for the one it runs on.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from course_lib import install
from course_lib.errors import SetupError

_ROOT = Path(__file__).resolve().parent.parent
_PROJECT = "bert-course"
_BUILD = "setuptools>=77"  # what installing the course itself needs
_CUDA = re.compile(
    r"(nvidia-|cuda-|triton\b)"
)  # what PyTorch's usual build for Linux needs, and the CPU build does not
_MANUAL = "HOW_TO_INSTALL.txt"


class Target(NamedTuple):
    """A kind of computer: pip's names for it, and the values of the markers that packages use."""

    tags: tuple[str, ...]
    markers: dict[str, str]


TARGETS = {
    "linux": Target(
        ("manylinux2014_x86_64", *(f"manylinux_2_{glibc}_x86_64" for glibc in range(17, 35))),
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    ),
    "windows": Target(("win_amd64",), {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"}),
    "macos": Target(
        ("macosx_14_0_arm64", "macosx_13_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64", "macosx_11_0_universal2", "macosx_10_9_universal2"),
        {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    ),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--output", type=Path, default=Path("wheelhouse"), help="the folder (wheelhouse)")
    parser.add_argument("--for", dest="targets", nargs="+", default=[], metavar="SYSTEM", help=f"other systems than this one: {', '.join(TARGETS)}")  # fmt: skip
    parser.add_argument("--python", dest="pythons", nargs="+", default=[], metavar="VERSION", help="other Pythons than this one, as 3.12")  # fmt: skip
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra of pyproject.toml: test, slides")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Fill the folder and say what it holds."""
    for name in arguments.targets:
        if name not in TARGETS:
            raise SetupError(f"There is no system {name!r}: choose among {', '.join(TARGETS)}.")
    extras = _extras()
    for name in arguments.extra:
        if _canonical(name) not in extras:  # pip would go on without it
            raise SetupError(f"There is no extra {name!r}: choose among {', '.join(extras)}.")
    for version in arguments.pythons:
        if not re.fullmatch(r"3\.\d+", version):
            raise SetupError(f"{version!r} is no version of Python: give one as 3.12.")
    folder = arguments.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{folder} cannot be made: {error.strerror or error}. Choose another with --output.") from error  # fmt: skip
    own_python = f"{sys.version_info.major}.{sys.version_info.minor}"
    build = install.installed_torch(Path(sys.prefix))
    print(f"For this computer and Python {own_python} ...", flush=True)
    fill(folder, arguments.extra, build)
    for target in arguments.targets or [this_target()]:
        for python in arguments.pythons or [own_python]:
            if (target, python) != (this_target(), own_python):
                print(f"For {target} and Python {python} ...", flush=True)
                fill_for(folder, target, python, arguments.extra, build)
    wheels = list(folder.glob("*.whl"))
    (folder / _MANUAL).write_text(_manual(arguments.targets, arguments.pythons, own_python), encoding="utf-8")
    size = sum(path.stat().st_size for path in wheels) / 1e9
    print(f"{len(wheels)} packages, {size:.1f} GB in {folder}. How to install from it stands in {folder / _MANUAL}.")
    return 0


def _extras() -> list[str]:
    import tomllib  # not at the top: a Python without it is too old, which `check` says

    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [_canonical(name) for name in project["optional-dependencies"]]


def _manual(targets: Sequence[str], pythons: Sequence[str], own_python: str) -> str:
    systems, versions = ", ".join(targets) or this_target(), ", ".join(pythons) or own_python
    return f"""Everything the BERT course needs, for {systems} with Python {versions}. No network is needed.

Copy this folder and the folder of the course onto the computer, or leave this one on the stick. In the course's folder:

    make lab WHEELHOUSE=/path/to/this/folder

Windows:

    py course_lib\\install.py --wheelhouse D:\\path\\to\\this\\folder
    .venv\\Scripts\\python -m course_lib lab
"""


def this_target() -> str:
    """The name of the kind of computer this is."""
    return {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")


# ------------------------------------------------------------------------------------------------ this computer


def fill(folder: Path, extras: Iterable[str], build: str) -> None:
    """All wheels that this computer needs. `build`: "cpu" where PyTorch's CPU build is installed.

    Raises:
        SetupError: pip ended with an error.
    """
    names = ",".join(sorted(extras))
    found = []
    if build == "cpu":
        _pip("wheel", "--no-deps", *_cpu_index(), "--wheel-dir", str(folder), install.torch_pin(_ROOT))
        # The pin with its build: an index that has the usual build of the same version would else win.
        wheel = next(folder.glob("torch-*cpu*.whl"), None)
        found = [str(wheel)] if wheel else []
    _pip("wheel", "--find-links", str(folder), "--wheel-dir", str(folder), "-c", str(_ROOT / "constraints.txt"),
         *found, f"{_ROOT}[{names}]" if names else str(_ROOT), _BUILD)  # fmt: skip
    for path in folder.glob("bert_course-*.whl"):
        path.unlink()  # the course itself is installed from its folder, to be changed


def _cpu_index() -> list[str]:
    """pip's options for where PyTorch's CPU build is found: an address, or a folder with wheel files."""
    index = os.environ.get("TORCH_INDEX") or install.TORCH_CPU_INDEX
    return ["--no-index", "--find-links", index] if Path(index).is_dir() else ["--index-url", index]


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", *arguments, "--progress-bar", "off"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        log = Path(sys.prefix) / "wheelhouse.log"
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        raise SetupError(install.explain(done.stdout + done.stderr, "the wheelhouse", str(log))[0])


# ------------------------------------------------------------------------------------------------ other computers


def fill_for(folder: Path, target: str, python: str, extras: Iterable[str], build: str) -> None:
    """Fetch the wheels of another kind of computer that those of this one cannot stand for.

    Raises:
        SetupError: one of them does not exist, or pip ended with another error.
    """
    own = {_canonical(path.name.split("-")[0]) for path in folder.glob("*-none-any.whl")}
    wanted = [line for name, line in needed(target, python, extras).items() if name not in own]
    tags = [part for tag in TARGETS[target].tags for part in ("--platform", tag)]
    download = ["download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), "--implementation", "cp",
                "--python-version", python, *tags]  # fmt: skip
    if build == "cpu" and target == "linux":
        wanted = [line for line in wanted if not _CUDA.match(line) and not line.startswith("torch==")]
        _pip(*download, *_cpu_index(), install.torch_pin(_ROOT))
    _pip(*download, "--find-links", str(folder), *wanted)


def needed(target: str, python: str, extras: Iterable[str]) -> dict[str, str]:
    """Package -> requirement line, for everything that the course needs on another kind of computer.

    Versions are those of constraints.txt; a package that only the other system needs has the bounds that its parent gives.
    """
    from packaging.requirements import Requirement

    markers = {**TARGETS[target].markers, "python_version": python, "python_full_version": f"{python}.0", "platform_release": "", "platform_version": "", "implementation_name": "cpython", "platform_python_implementation": "CPython"}  # fmt: skip
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", (_ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))  # fmt: skip
    pinned = {_canonical(name): version for name, version in pins.items()}
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    open_: list[tuple[str, str]] = [(_PROJECT, extra) for extra in ("", *extras)]
    while open_:
        name, extra = open_.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # only the other system has it
        for line in lines:
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({**markers, "extra": extra}):
                continue
            child = _canonical(requirement.name)
            found[child] = f"{child}=={pinned[child]}" if child in pinned else f"{child}{requirement.specifier}"
            open_ += [(child, part) for part in ("", *requirement.extras)]
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
