"""The installation script: what it decides, what it says when it cannot go on, and one real run with a real pip.

In the fast tests `.venv/bin/python` is a stand-in: it answers questions with the Python of the tests, and as pip it
notes down how it was called, prints a text of ours and ends with a code of ours.
"""

import ast
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from course_lib import install

ROOT = Path(__file__).resolve().parent.parent
OFFLINE = """Looking in indexes: https://pypi.org/simple
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection>: Failed to establish')'
ERROR: Could not find a version that satisfies the requirement setuptools>=77 (from versions: none)
ERROR: No matching distribution found for setuptools>=77
"""
INSTALLED = (
    "Collecting torch>=2.13\nInstalling collected packages: torch, bert-course\nSuccessfully installed bert-course\n"
)

FAKE_PYTHON = """#!/bin/sh
case "$*" in *"-m pip"*)
    echo "$*" >> "{folder}/pip-calls"
    cat "{folder}/pip-output"
    exit "$(cat "{folder}/pip-code")";;
esac
exec "{python}" "$@"
"""

needs_sh = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")


class Course:
    """A small copy of the project, whose environment is made with the stand-in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        (root / "pyproject.toml").write_text(
            '[project]\nname = "toy"\n[project.optional-dependencies]\ntest = [\n    "tiny",\n]\nslides = []\n'
            "[tool.ruff]\nline-length = 100\n",
            encoding="utf-8",
        )
        (root / "constraints.txt").write_text("# pins\ntorch==2.13.0\n", encoding="utf-8")
        self.pip_says(INSTALLED)

    def pip_says(self, output: str, code: int = 0) -> None:
        (self.root / "pip-output").write_text(output, encoding="utf-8")
        (self.root / "pip-code").write_text(str(code), encoding="utf-8")

    def pip_calls(self) -> list[str]:
        calls = self.root / "pip-calls"
        return calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []

    def make_environment(self, python: str, root: Path, venv: Path) -> None:
        (venv / "bin").mkdir(exist_ok=True)
        fake = venv / "bin" / "python"
        fake.write_text(FAKE_PYTHON.format(folder=self.root, python=sys.executable), encoding="utf-8")
        fake.chmod(0o755)

    def install(self, *extras: str, torch: str = "", wheelhouse: str = "") -> int:
        return install.install(self.root, extras, torch, wheelhouse=wheelhouse)

    def stamp(self) -> dict:
        return json.loads((self.venv / install.STAMP).read_text(encoding="utf-8"))


@pytest.fixture
def course(tmp_path, monkeypatch):
    course = Course(tmp_path)
    monkeypatch.setattr(install, "make_environment", course.make_environment)
    monkeypatch.setattr(install, "check_space", lambda root, torch: None)
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    return course


# ---------------------------------------------------------------------------------------------- the script as a program


def test_an_old_python_can_read_the_script():
    source = Path(install.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    with pytest.raises(SyntaxError):  # the reader above does refuse what 3.6 does not know
        ast.parse("if (n := 1): pass", feature_version=(3, 6))


def test_it_imports_nothing_but_the_standard_library():
    for node in ast.walk(ast.parse(Path(install.__file__).read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_a_module_beside_the_script_does_not_stand_in_for_the_standard_library(tmp_path):
    (tmp_path / "course_lib").mkdir()
    script = shutil.copy(install.__file__, tmp_path / "course_lib")
    (tmp_path / "course_lib" / "queue.py").write_text("raise SystemExit('the wrong queue')", encoding="utf-8")
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_failure_is_one_sentence_without_a_traceback(tmp_path):
    (tmp_path / "course_lib").mkdir()
    script = shutil.copy(install.__file__, tmp_path / "course_lib")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"pyproject.toml is missing in {tmp_path.resolve()}: bring it back with git, then run the command again."
    )
    assert not (tmp_path / ".venv").exists()


def test_an_unknown_build_of_torch_is_refused(capsys, monkeypatch):
    monkeypatch.setattr(install.signal, "signal", lambda *_: None)
    monkeypatch.setenv("TORCH", "gpu")
    assert install.main([]) == 1
    assert capsys.readouterr().err.startswith("TORCH=gpu is not known: give TORCH=cpu")


@pytest.mark.parametrize(
    ("number", "begin"),
    [
        (errno.ENOSPC, "The disk with"),
        (errno.EROFS, "The installation may not write to"),
        (errno.EIO, "The installation"),
    ],
)
def test_an_error_of_the_system_is_one_sentence(number, begin, capsys, monkeypatch):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(install.signal, "signal", lambda *_: None)
    monkeypatch.setattr(install, "install", fail)
    assert install.main(["--torch", ""]) == 1
    assert capsys.readouterr().err.startswith(begin)


# ------------------------------------------------------------------------------------------------- choosing a Python


def search_in(found: dict):
    return lambda name: found.get(name)


def test_the_running_python_is_taken_when_it_will_do():
    assert install.choose_python("here", search_in({"here": ((3, 12), True), "python3.14": ((3, 14), True)})) == "here"


def test_an_old_python_looks_for_a_newer_one_and_passes_over_shims_that_fail():
    found = {"here": ((3, 9), True), "python3.14": None, "python3.13": ((3, 13), False), "python3.12": ((3, 12), True)}
    assert install.choose_python("here", search_in(found)) == "python3.12"


def test_a_python_newer_than_the_tested_ones_gives_way_and_is_the_last_resort():
    newest = {"here": ((3, 15), True)}
    assert install.choose_python("here", search_in(newest)) == "here"
    assert install.choose_python("here", search_in({**newest, "python3.13": ((3, 13), True)})) == "python3.13"


def test_an_old_python_alone_says_what_was_found_what_is_needed_and_how_to_get_it():
    with pytest.raises(install.InstallError) as caught:
        install.choose_python("/usr/bin/python3", search_in({"/usr/bin/python3": ((3, 9), True)}))
    text = str(caught.value)
    assert text.startswith(
        "This Python is 3.9 (/usr/bin/python3), the course needs 3.11 or newer, and none of python3.14,"
    )
    assert "python.org" in text and "PYTHON=" in text and "\n" not in text


@pytest.mark.parametrize(
    "found", [{"here": ((3, 12), False)}, {"here": ((3, 8), True), "python3.12": ((3, 12), False)}]
)
def test_a_python_without_venv_names_the_debian_package(found):
    with pytest.raises(install.InstallError, match=r"apt install python3\.12-venv"):
        install.choose_python("here", search_in(found))


def test_probing_runs_the_interpreter():
    assert install.probe(sys.executable)[0] == sys.version_info[:2]
    assert install.probe("no-such-python") is None


@needs_sh
def test_a_shim_that_fails_counts_as_no_python(tmp_path):
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 3 13 1\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    assert install.probe(str(shim)) is None


# ------------------------------------------------------------------------------------------- the state of the environment


@needs_sh
def test_the_first_run_installs_and_the_second_does_not_start_pip(course, capsys):
    assert course.install() == 0
    (call,) = course.pip_calls()
    assert call.endswith("-e . -c constraints.txt")
    assert "--index-url" not in call and "--isolated" not in call
    assert "Installed in" in capsys.readouterr().out
    assert course.install() == 0
    assert len(course.pip_calls()) == 1
    assert capsys.readouterr().out == ""


@needs_sh
def test_extras_add_up_and_stay(course):
    course.install()
    course.install("test")
    assert course.pip_calls()[-1].endswith("-e .[test] -c constraints.txt")
    course.install()
    course.install("test")
    assert len(course.pip_calls()) == 2
    course.install("slides")
    assert course.pip_calls()[-1].endswith("-e .[slides,test] -c constraints.txt")


@needs_sh
def test_an_extra_that_is_gone_from_pyproject_is_forgotten(course):
    course.install("test")
    text = (course.root / "pyproject.toml").read_text(encoding="utf-8")
    (course.root / "pyproject.toml").write_text(text.replace("test = [", "tests = ["), encoding="utf-8")
    course.install("slides")
    assert course.pip_calls()[-1].endswith("-e .[slides] -c constraints.txt")


def test_an_unknown_extra_is_refused(course):
    with pytest.raises(install.InstallError, match=r"no extra tset in pyproject.toml: it has test, slides\."):
        course.install("tset")


@needs_sh
def test_a_changed_pin_installs_again_and_a_setting_of_another_tool_does_not(course):
    course.install()
    pyproject = course.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace("100", "120"), encoding="utf-8")
    course.install()
    assert len(course.pip_calls()) == 1
    (course.root / "constraints.txt").write_text("torch==2.14.0\n", encoding="utf-8")
    course.install()
    assert len(course.pip_calls()) == 2


@needs_sh
def test_an_installation_that_was_cut_off_is_made_anew_with_what_was_asked_for(course, capsys):
    course.install("test", torch="cpu")
    (course.venv / install.STAMP).rename(course.venv / install.MARKER)  # as it stands while packages are unpacked
    course.install()
    assert "anew, because the last installation did not come to its end" in capsys.readouterr().out
    assert course.pip_calls()[-1].endswith("-e .[test] -c constraints.txt")
    assert course.stamp()["torch"] == "cpu"
    assert not (course.venv / install.MARKER).exists()


@needs_sh
@pytest.mark.parametrize("output", [INSTALLED, OFFLINE])
def test_a_first_installation_that_fails_is_not_taken_for_a_whole_one(course, output, capsys):
    course.pip_says(output, code=1)
    with pytest.raises(install.InstallError):
        course.install()
    course.pip_says(INSTALLED)
    assert course.install() == 0
    assert "did not come to its end" in capsys.readouterr().out


@needs_sh
def test_a_signal_stops_pip_and_the_next_start_begins_anew(course, monkeypatch):
    def interrupted(line):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(install, "shorten", interrupted)
        with pytest.raises(KeyboardInterrupt):
            course.install()
    assert (course.venv / install.MARKER).exists() and not (course.venv / install.STAMP).exists()
    assert install.decide(course.venv, install.Wanted(str(course.root), "", (), ""))[0] == "rebuild"


@needs_sh
def test_an_environment_whose_python_is_gone_is_made_anew(course, capsys):
    course.install()
    python = course.venv / "bin" / "python"
    python.unlink()
    python.symlink_to(course.root / "python-that-was-removed")
    course.install()
    assert "its Python does not run any more" in capsys.readouterr().out
    assert course.install() == 0 and len(course.pip_calls()) == 2


@needs_sh
@pytest.mark.parametrize(
    ("change", "why"),
    [({"root": "/elsewhere"}, "moved or copied"), ({"python": [3, 10]}, "replaced by another version")],
)
def test_an_environment_that_does_not_fit_any_more_is_made_anew(course, change, why, capsys):
    course.install()
    (course.venv / install.STAMP).write_text(json.dumps({**course.stamp(), **change}), encoding="utf-8")
    course.install()
    assert why in capsys.readouterr().out
    assert course.stamp()["root"] == str(course.root)


@needs_sh
def test_an_environment_of_somebody_else_is_added_to(course, capsys):
    course.venv.mkdir()
    course.make_environment("", course.root, course.venv)
    (course.venv / "theirs.txt").write_text("stays", encoding="utf-8")
    course.install()
    assert "it was made by another program" in capsys.readouterr().out
    assert (course.venv / "theirs.txt").exists()


@needs_sh
def test_without_a_network_a_whole_environment_goes_on_being_used(course, capsys):
    course.install("test")
    (course.root / "constraints.txt").write_text("torch==2.14.0\n", encoding="utf-8")
    course.pip_says(OFFLINE, code=1)
    assert course.install() == 0
    assert "what was installed before is used" in capsys.readouterr().out
    with pytest.raises(install.PipFailed, match="could not be reached"):
        course.install("slides")  # never installed: going on would only fail later
    course.pip_says(INSTALLED)
    assert course.install() == 0
    assert len(course.pip_calls()) == 4


@needs_sh
def test_the_whole_output_of_pip_is_kept_and_its_file_named(course, capsys):
    course.pip_says("something odd\nERROR: a package is broken\n", code=2)
    with pytest.raises(install.PipFailed) as caught:
        course.install()
    assert str(caught.value) == (
        "pip could not install the course, and said: ERROR: a package is broken (pip's whole output: "
        f"{Path('.venv') / 'install.log'})."
    )
    assert "something odd" in (course.venv / "install.log").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------ TORCH=cpu


@needs_sh
def test_torch_cpu_is_installed_first_from_its_own_index_with_the_pinned_version(course):
    course.install(torch="cpu")
    first, second = course.pip_calls()
    assert first.endswith("--no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.13.0")
    assert "index" not in second


@needs_sh
def test_torch_cpu_in_place_of_the_cuda_build_makes_the_environment_anew_and_stays(course, capsys):
    course.install()
    course.install(torch="cpu")
    assert "another build of PyTorch than TORCH=cpu" in capsys.readouterr().out
    course.install("test")
    assert course.stamp()["torch"] == "cpu"


@needs_sh
def test_torch_cpu_is_content_with_a_cpu_build_that_is_there(course):
    course.install()
    (course.venv / "lib" / "python3.11" / "site-packages" / "torch-2.13.0+cpu.dist-info").mkdir(parents=True)
    course.install(torch="cpu")
    assert len(course.pip_calls()) == 1


@needs_sh
def test_torch_cpu_means_nothing_where_pip_takes_that_build_by_itself(course, monkeypatch):
    monkeypatch.setattr(install.platform, "system", lambda: "Darwin")
    course.install(torch="cpu")
    assert len(course.pip_calls()) == 1


def test_a_folder_of_wheels_can_be_the_index(tmp_path):
    first, _ = install.pip_commands("python", [], "cpu", "torch==2.13.0", str(tmp_path))
    assert first[-4:] == ["--no-index", "--find-links", str(tmp_path), "torch==2.13.0"]


# ----------------------------------------------------------------------------------------------------------- wheelhouse


@pytest.fixture
def wheelhouse(tmp_path):
    folder = tmp_path / "a stick"
    folder.mkdir()
    (folder / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").write_text("", encoding="utf-8")
    return folder


@needs_sh
def test_from_a_wheelhouse_no_index_is_asked_and_its_build_of_torch_is_kept_in_mind(course, wheelhouse, capsys):
    course.install(wheelhouse=str(wheelhouse))
    (call,) = course.pip_calls()
    assert f"--no-index --find-links {wheelhouse} -e . -c constraints.txt" in call
    assert course.stamp()["torch"] == "cpu"
    assert "CUDA" not in capsys.readouterr().out
    course.install()  # the next start, without the stick
    assert len(course.pip_calls()) == 1


@needs_sh
@pytest.mark.parametrize(
    "output",
    [
        "ERROR: No matching distribution found for torch==2.13.0",
        "The conflict is caused by:\n    The user requested (constraint) torch==2.13.0\nERROR: ResolutionImpossible",
    ],
)
def test_a_wheelhouse_for_another_python_is_named_as_such(course, wheelhouse, output):
    course.pip_says(output, code=1)
    with pytest.raises(install.PipFailed) as caught:
        course.install(wheelhouse=str(wheelhouse))
    here = ".".join(map(str, sys.version_info[:2]))
    assert f"has no torch for Python {here} on Linux" in str(caught.value)
    assert f"make wheelhouse PYTHONS={here}" in str(caught.value)


@pytest.mark.parametrize(("name", "words"), [("none", "There is no folder"), ("", "holds no packages")])
def test_a_wrong_folder_is_said_before_anything_is_changed(course, tmp_path, name, words):
    with pytest.raises(install.InstallError, match=words):
        course.install(wheelhouse=str(tmp_path / name))
    assert not course.venv.exists()


@pytest.mark.parametrize(
    ("system", "machine", "smi", "torch", "expected"),
    [
        ("Linux", "x86_64", None, "", True),
        ("Linux", "x86_64", None, "cpu", False),
        ("Linux", "x86_64", "/usr/bin/nvidia-smi", "", False),
        ("Linux", "aarch64", None, "", False),
        ("Darwin", "arm64", None, "", False),
        ("Windows", "AMD64", None, "", False),
    ],
)
def test_the_hint_about_cuda_comes_only_where_it_is_of_use(system, machine, smi, torch, expected, monkeypatch):
    monkeypatch.setattr(install.platform, "system", lambda: system)
    monkeypatch.setattr(install.platform, "machine", lambda: machine)
    monkeypatch.setattr(install.shutil, "which", lambda name: smi)
    monkeypatch.setattr(install.Path, "exists", lambda path: False)
    assert bool(install.cuda_hint(torch)) is expected


# ------------------------------------------------------------------------------------------------------ what can go wrong


@pytest.mark.parametrize(
    ("output", "begin", "offline"),
    [
        (OFFLINE, "The package server could not be reached", True),
        (
            "ERROR: HTTPSConnectionPool(host='x'): Max retries exceeded with url: /simple",
            "The package server could not",
            True,
        ),
        (
            "pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.",
            "The package server could not be reached",
            True,
        ),
        (
            "SSLError(SSLCertVerificationError(1, 'certificate verify failed'))",
            "The package server's certificate",
            False,
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "The installation ran",
            False,
        ),
        ("ERROR: [Errno 13] Permission denied: '/x/.venv/lib'", "The installation may not write to", False),
        (
            "ERROR: Could not find a version that satisfies the requirement torch>=2.13 (from versions: 2.2.2)\n"
            "ERROR: No matching distribution found for torch>=2.13",
            "PyTorch has no build for this computer",
            False,
        ),
        (
            "WARNING: Retrying after connection broken by 'ReadTimeoutError'\n"
            "ERROR: Could not find a version that satisfies the requirement onnx>=1.19 (from versions: 1.0)\n"
            "ERROR: No matching distribution found for onnx>=1.19",
            "pip did not find onnx in the package index",
            False,
        ),
        ("", "pip could not install the course, and said: no message", False),
    ],
)
def test_pips_failures_become_one_sentence(output, begin, offline):
    sentence, is_offline = install.explain(output, "/course", "install.log")
    assert sentence.startswith(begin)
    assert sentence.endswith("(pip's whole output: install.log).") and "\n" not in sentence
    assert is_offline is offline


def test_too_little_disk_is_said_before_anything_is_made(tmp_path, monkeypatch):
    course = Course(tmp_path)
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(install.shutil, "disk_usage", lambda folder: usage(4_000_000_000))
    with pytest.raises(install.InstallError, match=r"needs about [\d.]+ GB in .*, and 4\.0 GB are free .* TORCH=cpu"):
        course.install()
    assert not course.venv.exists()
    install.check_space(tmp_path, "cpu")
    monkeypatch.setattr(install.shutil, "disk_usage", lambda folder: usage(1_000_000_000))
    with pytest.raises(install.InstallError, match=r"1\.0 GB are free"):
        install.check_space(tmp_path, "cpu")


def test_a_virtual_environment_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    said = "The virtual environment was not created successfully because ensurepip is not\navailable. apt install ..."
    done = subprocess.CompletedProcess([], 1, stdout=said.encode())
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(install, "probe", lambda python: ((3, 12), True))
    (tmp_path / ".venv").mkdir()
    with pytest.raises(install.InstallError, match=r"apt install python3\.12-venv"):
        install.make_environment("python3.12", tmp_path, tmp_path / ".venv")


# --------------------------------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("line", "short"),
    [
        ("Collecting torch==2.13.0 (from -c constraints.txt (line 9))", ("looking up torch", False)),
        (
            "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (526.6 MB)",
            ("downloading torch 2.13.0 (526.6 MB)", True),
        ),
        (
            "  Downloading https://host/a/numpy-2.4.6-cp311-cp311-win_amd64.whl (12.1 MB)",
            ("downloading numpy 2.4.6 (12.1 MB)", False),
        ),
        ("  Downloading numpy-2.4.6-cp311-cp311-win_amd64.whl.metadata (62 kB)", None),
        ("  Using cached tqdm-4.70.1-py3-none-any.whl (78 kB)", ("already downloaded: tqdm 4.70.1 (78 kB)", False)),
        ("Installing collected packages: a, b, c", ("unpacking 3 packages, which takes a while", True)),
        ("Requirement already satisfied: numpy in ./.venv/lib", None),
    ],
)
def test_pips_lines_are_shortened(line, short):
    assert install.shorten(line) == short


class Terminal:
    def __init__(self, is_terminal):
        self.text = ""
        self.isatty = lambda: is_terminal
        self.flush = lambda: None

    def write(self, text):
        self.text += text


def test_a_log_gets_a_line_for_large_things_and_one_now_and_then():
    log = Terminal(False)
    progress = install.Progress(log, quiet_seconds=1000)
    progress.show("looking up numpy", False)
    progress.tick()
    assert log.text == ""
    progress.show("downloading torch", True)
    assert log.text == "  0:00 downloading torch\n"
    progress.quiet_seconds = 0
    progress.tick()
    assert log.text.count("\n") == 2


def test_a_terminal_gets_one_line_that_is_written_over():
    terminal = Terminal(True)
    progress = install.Progress(terminal)
    progress.show("looking up numpy", False)
    progress.tick()
    progress.close()
    assert "\n" not in terminal.text and terminal.text.count("looking up numpy") == 2


# ------------------------------------------------------------------------------------------------------------ the lock


@needs_sh
def test_a_second_installation_waits_for_the_first(course):
    with install.only_one(course.root), (course.root / ".course" / "install.lock").open("a+") as other:
        assert not install._lock(other)
    with (course.root / ".course" / "install.lock").open("a+") as other:
        assert install._lock(other)


# ---------------------------------------------------------------------------------------------- a real pip, a real venv

BACKEND = """
import zipfile
def get_requires_for_build_editable(config_settings=None):
    return []
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "toy-1.0-py3-none-any.whl"
    info = "Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\nRequires-Dist: torch\\nProvides-Extra: test\\nRequires-Dist: tiny; extra == 'test'\\n"
    with zipfile.ZipFile(wheel_directory + "/" + name, "w") as wheel:
        wheel.writestr("toy.pth", "")
        wheel.writestr("toy-1.0.dist-info/METADATA", info)
        wheel.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: toy\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("toy-1.0.dist-info/RECORD", "")
    return name
"""


def write_wheel(folder: Path, name: str, version: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        info = f"{name}-{version}.dist-info"
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.mark.skipif(sys.platform != "linux", reason="TORCH=cpu has a meaning on Linux alone")
def test_the_script_installs_a_small_project_with_a_real_pip_in_a_folder_with_spaces(tmp_path, monkeypatch):
    root = tmp_path / "a course 课程"
    (root / "course_lib").mkdir(parents=True)
    (root / "wheels").mkdir()
    shutil.copy(install.__file__, root / "course_lib")
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    (root / "constraints.txt").write_text("torch==2.13.0\n", encoding="utf-8")
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "toy"\nversion = "1.0"\n[project.optional-dependencies]\ntest = ["tiny"]\n',
        encoding="utf-8",
    )
    write_wheel(root / "wheels", "torch", "2.13.0+cpu")
    write_wheel(root / "wheels", "tiny", "1.0")
    source = root / "course_lib" / "install.py"
    text = source.read_text(encoding="utf-8")  # this project is small: no gigabytes need be free
    source.write_text(text.replace('"cpu": 2.7', '"cpu": 0.0').replace('"cpu": 0.6', '"cpu": 0.0'), encoding="utf-8")
    environment = {
        **os.environ,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": (root / "wheels").as_uri(),
    }
    environment |= {"TORCH_INDEX": str(root / "wheels"), "PIP_USER": "1", "PYTHONPATH": str(tmp_path)}

    def run(*options: str) -> str:
        command = [sys.executable, str(source), *options]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", env=environment, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Installed in" in run("--torch", "cpu")
    assert run() == ""
    assert "unpacking 2 packages" in run("--extra", "test")
    assert run("--extra", "test", "--torch", "cpu") == ""
    listed = subprocess.run(
        [root / ".venv" / "bin" / "python", "-I", "-m", "pip", "list", "--format=json"], capture_output=True, check=True
    )
    assert {"toy": "1.0", "tiny": "1.0", "torch": "2.13.0+cpu"}.items() <= {
        package["name"]: package["version"] for package in json.loads(listed.stdout)
    }.items()


# -------------------------------------------------------------------------------------------------------- the Makefile

needs_make = pytest.mark.skipif(not shutil.which("make") or os.name == "nt", reason="needs make and a shell")


@needs_make
def test_make_alone_lists_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = next(line for line in text.splitlines() if line.startswith(".PHONY:")).split()[1:]
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in listed.splitlines() if line.startswith("make ")} == set(targets) - {"help"}


@needs_make
def test_make_without_any_python_says_so_in_one_sentence(tmp_path):
    for name in ("make", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["make", "lab"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.startswith("Neither python3 nor python3.14 to python3.11 is a Python 3 that runs here: install")


@needs_make
@pytest.mark.parametrize(("target", "extra"), [("lab", ""), ("course", ""), ("check", ""), ("test", "--extra test")])
def test_each_command_installs_first_and_then_runs_in_the_environment(target, extra):
    plan = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert plan.index(f"course_lib/install.py {extra}") < plan.index(".venv/bin/python -m")


def test_ci_runs_the_readmes_test_command():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert text.rstrip().endswith("exec make test")
    assert os.name == "nt" or os.access(ROOT / ".ci" / "run", os.X_OK)


def test_a_terminate_signal_is_taken_as_an_interruption():
    with pytest.raises(KeyboardInterrupt):
        install._stop(signal.SIGTERM, None)
