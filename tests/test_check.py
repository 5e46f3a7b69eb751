"""course_lib.check: each line judged on made-up machines, and the whole on this one."""

import argparse
import datetime
import hashlib
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from course_lib import check
from course_lib.check import Finding

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def an_own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("COURSE_MODEL", raising=False)


def arguments(as_json=False):
    return argparse.Namespace(json=as_json, data=None)


# ------------------------------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        ("2.13.0", "ok", "the tested version"),
        ("2.13.0+cpu", "ok", "2.13.0+cpu"),
        ("2.13", "ok", "the tested version"),
        ("2.14.1", "warning", "newer than the tested 2.13.0"),
        ("2.9.0", "warning", "older than the tested 2.13.0"),
        ("2.7.9", "wrong", "the course needs 2.8 or newer"),
        (None, "wrong", "not installed"),
    ],
)
def test_a_version_is_judged_by_the_tested_and_the_oldest_one(found, state, words):
    finding = check.check_version("torch", "2.8", "2.13.0", found)
    assert finding.state == state
    assert words in finding.found
    assert ('pip install "torch==2.13.0"' in finding.advice) == (state != "ok")


def test_without_a_tested_version_only_the_oldest_counts():
    assert check.check_version("torch", "2.8", None, "2.14").state == "ok"
    assert check.check_version("torch", "2.8", None, "2.7").advice == 'python -m pip install "torch>=2.8"'
    assert check.check_version("netron", None, None, None).advice == 'python -m pip install "netron"'


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "bert-course"\ndependencies = ["pytest>=1", "Huggingface_Hub>=0.1", "no-such-package>=3"]\n',
        encoding="utf-8",
    )
    (tmp_path / "constraints.txt").write_text("# tested\nhuggingface-hub==0.2\n", encoding="utf-8")
    return tmp_path


def test_every_dependency_of_the_project_file_is_looked_up(project):
    found = {f.name: f for f in check.check_packages(project)}
    assert found["pytest"].state == "ok"
    assert "newer than the tested 0.2" in found["Huggingface_Hub"].found  # spelt in two ways
    assert found["no-such-package"].state == "wrong"


def test_many_missing_packages_become_one_line_with_one_command(project):
    names = ["no-such-package", "none-such", "not-there"]
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "bert-course"\ndependencies = {names}\n', encoding="utf-8"
    )
    (finding,) = check.check_packages(project)
    assert finding.found == "3 of 3 are not installed: no-such-package, none-such, not-there"
    assert "make lab" in finding.advice
    (project / ".venv").mkdir()
    assert str(project / ".venv") in check.check_packages(project)[0].advice


def test_a_missing_constraints_file_is_a_warning(project):
    (project / "constraints.txt").unlink()
    assert check.check_packages(project)[0] == Finding(
        "constraints.txt",
        "warning",
        "missing, so no version can be called tested",
        "Get the file again from the course's repository: git checkout -- constraints.txt",
    )


def test_outside_of_a_checkout_the_check_says_so(monkeypatch):
    monkeypatch.setattr(check, "DISTRIBUTION", "no-such-distribution")
    first, second = check.check_packages(None)
    assert (first.state, first.name) == ("ok", "course folder")
    assert "not a checkout" in first.found
    assert (second.state, second.found) == ("wrong", "no list of dependencies: no-such-distribution is not installed")


def test_an_installed_library_knows_its_dependencies_from_its_metadata(monkeypatch):
    lines = ["pytest>=1", "no-such-package>=3; extra == 'test'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    assert [f.name for f in check.check_packages(None)] == ["course folder", "pytest"]


def test_this_checkout_is_recognised():
    assert check.project_folder() == ROOT


@pytest.mark.parametrize(
    ("days", "state"), [(0, "ok"), (149, "ok"), (151, "warning"), (179, "warning"), (181, "wrong")]
)
def test_netron_is_judged_by_its_age(monkeypatch, days, state):
    released = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    monkeypatch.setattr(check, "_netron_date", lambda: released)
    finding = check.check_netron("9.0", today=released + datetime.timedelta(days=days))
    assert finding.state == state
    assert "2026-06-30" in finding.found
    assert ("pip install --upgrade netron" in finding.advice) == (state != "ok")


def test_the_installed_netron_still_carries_its_date_and_its_limit():
    page = Path(importlib.util.find_spec("netron").origin).parent
    assert check._netron_date().year >= 2025
    assert f"days > {check._NETRON_DAYS}" in (page / "browser.js").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------ torch


def test_a_torch_that_does_not_import_is_wrong_and_keeps_its_words(monkeypatch):
    def fail(name):
        raise OSError("[WinError 126] The specified module could not be found. Error loading c10.dll")

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.setattr(sys, "platform", "win32")
    (finding,) = check.check_torch()
    assert finding.state == "wrong"
    assert "WinError 126" in finding.found
    assert "Microsoft Visual C++ Redistributable" in finding.advice


@pytest.mark.parametrize(
    ("error", "system", "words"),
    [
        (ImportError("DLL load failed while importing _C"), "win32", "Visual C++"),
        (OSError("libgomp.so.1: cannot open shared object file"), "linux", "--force-reinstall --no-deps torch"),
        (ModuleNotFoundError("No module named 'sympy'", name="sympy"), "win32", "python -m pip install sympy"),
    ],
)
def test_the_advice_fits_the_failed_import(error, system, words):
    assert words in check.torch_advice(error, system)


class FakeTorch:
    """As much of torch as the check looks at."""

    def __init__(self, cuda=False, mps=False, capabilities=()):
        device = argparse.Namespace(name="Big GPU", total_memory=24_000_000_000)
        self.cuda = argparse.Namespace(is_available=lambda: cuda, get_device_properties=lambda index: device)
        self.backends = argparse.Namespace(mps=argparse.Namespace(is_available=lambda: mps))
        self.cpu = argparse.Namespace(get_capabilities=lambda: dict.fromkeys(capabilities, True))


@pytest.mark.parametrize(
    ("torch", "gpu", "bfloat16"),
    [
        (FakeTorch(), "none", "emulated"),
        (FakeTorch(cuda=True, capabilities=["amx_bf16"]), "Big GPU, 24 GB", "native on this CPU (amx_bf16)"),
        (FakeTorch(mps=True, capabilities=["bf16"]), "Apple GPU", "native on this CPU (bf16)"),
    ],
)
def test_gpu_and_bfloat16_are_told_and_nothing_of_it_is_needed(monkeypatch, torch, gpu, bfloat16):
    monkeypatch.setattr(importlib, "import_module", lambda name: torch)
    first, second = check.check_torch()
    assert first.state == second.state == "ok"
    assert gpu in first.found
    assert bfloat16 in second.found


# ------------------------------------------------------------------------------------------ model and data


def test_the_embedded_model_is_verified():
    finding = check.check_embedded_model()
    assert finding.state == "ok"
    assert "53aa51172d14" in finding.found


def test_a_wrong_embedded_model_is_wrong(monkeypatch):
    monkeypatch.setattr("course_lib.pretrained.file_sha256", lambda path: "0" * 64)
    finding = check.check_embedded_model()
    assert finding.state == "wrong"
    assert "000000000000" in finding.found
    assert finding.advice.startswith("Install it again with: python -m pip install")


def test_a_course_model_that_would_be_downloaded_is_a_warning_and_is_not_downloaded(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def only_local(name, *, local_files_only=False, **_):
        assert local_files_only
        raise LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", only_local)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("COURSE_MODEL", "bert-base-chinese")
    assert check.check_course_model().state == "warning"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert check.check_course_model().state == "wrong"
    monkeypatch.setenv("COURSE_MODEL", str(tmp_path))
    finding = check.check_course_model()
    assert finding.state == "wrong"
    assert "no config.json" in finding.found
    monkeypatch.delenv("COURSE_MODEL")
    assert check.check_course_model().state == "ok"


def test_hub_settings_are_shown_without_passwords_and_tokens():
    finding = check.check_hub_settings(
        {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "https://me:secret@mirror.example/hf", "HF_TOKEN": "hf_secret"}
    )
    assert finding.found == "HF_HUB_OFFLINE=1, HF_ENDPOINT=https://...@mirror.example"
    assert check.check_hub_settings({}).state == "ok"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "headlines"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_bytes(b"a\t0\n")
    (folder / "dev.txt").write_bytes(b"b\t1\n")
    sums = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  headlines/{p.name}\n" for p in folder.iterdir())
    (tmp_path / "data" / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return folder


def test_data_is_compared_with_its_sums(data):
    project = data.parent.parent
    assert check.check_data(project) == Finding("data", "ok", "2 files as recorded")
    (data / "train.txt").write_bytes(b"a\t1\n")
    (data / "dev.txt").unlink()
    finding = check.check_data(project)
    assert (finding.state, finding.found) == ("wrong", "missing: headlines/dev.txt; changed: headlines/train.txt")
    (data.parent / "SHA256SUMS").write_text("12 x\n", encoding="utf-8")
    assert "line 1 of" in check.check_data(project).found
    (data.parent / "SHA256SUMS").unlink()
    assert check.check_data(project).state == "wrong"
    assert check.check_data(None).state == "ok"


# ------------------------------------------------------------------------------------------ machine and programs


@pytest.mark.parametrize(
    ("available", "total", "state"), [(6e9, 8e9, "ok"), (1e9, 8e9, "warning"), (0.5e9, 1.5e9, "wrong")]
)
def test_memory_is_judged_by_what_a_notebook_takes(monkeypatch, available, total, state):
    monkeypatch.setattr("psutil.virtual_memory", lambda: argparse.Namespace(available=available, total=total))
    finding = check.check_memory()
    assert finding.state == state
    assert bool(finding.advice) == (state != "ok")


@pytest.mark.parametrize(("free", "state"), [(5e9, "ok"), (0.5e9, "warning"), (1e6, "wrong")])
def test_disk_space_is_judged(monkeypatch, tmp_path, free, state):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: argparse.Namespace(free=free))
    assert check.check_disk(tmp_path).state == state


def test_write_access_is_tried_and_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "new" / "progress.json"))
    assert [(f.name, f.state) for f in check.check_write_access(tmp_path)] == [
        ("course folder", "ok"),
        ("progress file", "ok"),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_write_access_is_told(monkeypatch, tmp_path):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    course, progress = check.check_write_access(tmp_path)
    assert (course.state, progress.state) == ("wrong", "warning")
    assert "Permission denied" in course.found
    assert "COURSE_PROGRESS" in progress.advice


def test_a_shared_course_may_be_read_only_when_the_learner_works_in_a_copy(monkeypatch, tmp_path):
    shared, copy = tmp_path / "shared", tmp_path / "copy"
    shared.mkdir(), copy.mkdir()
    real = tempfile.TemporaryFile

    def refuse_in_the_shared_one(dir):
        if Path(dir) == shared:
            raise PermissionError(13, "Permission denied")
        return real(dir=dir)

    monkeypatch.setattr("tempfile.TemporaryFile", refuse_in_the_shared_one)
    monkeypatch.setenv("COURSE_PROGRESS", str(copy / "progress.json"))
    monkeypatch.chdir(copy)
    course, progress = check.check_write_access(shared)
    assert (course.state, progress.state) == ("ok", "ok")
    assert "read-only" in course.found and str(copy) in course.found
    monkeypatch.chdir(shared)  # who works in the shared one cannot save
    assert check.check_write_access(shared)[0].state == "wrong"


def test_a_kernel_of_another_python_is_told(tmp_path):
    here, other = tmp_path / "env" / "python", tmp_path / "other" / "python"
    for program in (here, other):
        program.parent.mkdir()
        program.touch()
    assert check.judge_kernel("python", "k", str(here)).state == "ok"
    assert check.judge_kernel("python3.11", "k", str(here)).state == "ok"
    assert check.judge_kernel(str(here), "k", str(here)).state == "ok"
    assert check.judge_kernel(str(other), "k", str(here)).state == "warning"
    finding = check.judge_kernel(str(tmp_path / "gone" / "python"), "k", str(here))
    assert finding.state == "wrong"
    assert "ipykernel install --sys-prefix" in finding.advice


def test_a_missing_chinese_font_is_a_warning_with_the_command_of_the_system(monkeypatch):
    monkeypatch.setattr("course_lib.plots.find_cjk_font", lambda: None)
    finding = check.check_font()
    assert finding.state == "warning"
    assert finding.advice
    assert check.font_advice("linux", {"ubuntu", "debian"}) == "sudo apt install fonts-noto-cjk"
    assert check.font_advice("linux", {"fedora"}) == "sudo dnf install google-noto-sans-cjk-fonts"
    assert "package manager" in check.font_advice("linux", {"", "other"})
    assert "YaHei" in check.font_advice("win32", set())
    assert "PingFang" in check.font_advice("darwin", set())


def test_a_missing_graphviz_alarms_nobody(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    finding = check.check_graphviz()
    assert finding.state == "ok"
    assert "optional" in finding.found


# ------------------------------------------------------------------------------------------ the whole


def test_nothing_wrong_is_exit_code_0_and_a_warning_does_not_change_that(monkeypatch, capsys):
    monkeypatch.setattr(check, "checks", lambda: [Finding("a", "ok", "1"), Finding("b", "warning", "2", "do it")])
    assert check.run(arguments()) == 0
    assert (
        capsys.readouterr().out
        == "ok       a  1\nwarning  b  2\n            -> do it\n\n1 ok, 1 warning, nothing is wrong.\n"
    )


def test_something_wrong_is_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(check, "checks", lambda: [Finding("a", "wrong", "1", "do it")])
    assert check.run(arguments()) == 1
    assert "1 wrong" in capsys.readouterr().out


def test_json_is_the_same_findings_in_ascii(monkeypatch, capsys):
    monkeypatch.setattr(check, "checks", lambda: [Finding("a", "wrong", "文", "do it")])
    assert check.run(arguments(as_json=True)) == 1
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == [{"name": "a", "state": "wrong", "found": "文", "advice": "do it"}]


def test_the_table_keeps_to_100_columns():
    text = check.table([Finding("a name", "warning", "word " * 60, "advice " * 60), Finding("b", "ok", "x")])
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_a_check_that_fails_is_wrong_and_hides_no_other():
    def fail():
        raise KeyError("x")

    (finding,) = check._guarded("disk", fail)
    assert (finding.name, finding.state) == ("disk", "wrong")
    assert "KeyError" in finding.found


def test_a_python_that_is_too_old_is_the_only_finding(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    (finding,) = check.checks()
    assert finding.state == "wrong"
    assert "Install Python 3.11 or newer" in finding.advice


def test_the_command_looks_at_everything_without_a_network(tmp_path):
    # A process of its own, in which every connection is an error.
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('a connection was tried')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse\n"
        "from course_lib.__main__ import main\n"
        "sys.exit(main(['check', '--json']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=100)
    findings = json.loads(done.stdout)
    assert done.stderr == ""
    assert not [f for f in findings if "the check itself failed" in f["found"]]
    assert {
        "Python",
        "torch",
        "netron",
        "GPU",
        "bfloat16",
        "embedded model",
        "COURSE_MODEL",
        "data",
        "memory",
        "disk",
    } <= {f["name"] for f in findings}
    assert {"notebook kernel", "Chinese font", "Graphviz", "course folder", "progress file", "Hugging Face"} <= {
        f["name"] for f in findings
    }
    assert done.returncode == any(f["state"] == "wrong" for f in findings)
