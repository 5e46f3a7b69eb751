"""A folder to install from without a network: what goes in for which computer. pip itself is a stand-in here."""

import sys

import pytest

from course_lib import install, wheelhouse
from course_lib.__main__ import main

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "windows" if wheelhouse.this_target() != "windows" else "linux"


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """The calls of pip; the first one leaves two wheels, one for every system and one with machine code."""
    calls = []

    def called(*arguments):
        calls.append(list(arguments))
        (tmp_path / "house").mkdir(exist_ok=True)
        for name in (
            "tqdm-4.70.1-py3-none-any.whl",
            "numpy-2.4.6-cp311-abi3-linux.whl",
            "bert_course-0.1.0-py3-none-any.whl",
        ):
            (tmp_path / "house" / name).write_bytes(b"x" * 1000)

    monkeypatch.setattr(wheelhouse, "_pip", called)
    monkeypatch.setattr(install, "installed_torch", lambda venv: "")
    return calls


def test_for_this_computer_pip_does_it_alone_and_the_course_itself_stays_out(pip, tmp_path, capsys):
    assert main(["wheelhouse", "--output", str(tmp_path / "house")]) == 0
    (call,) = pip
    assert call[0] == "wheel"
    assert "constraints.txt" in " ".join(call) and wheelhouse._BUILD in call
    assert not list((tmp_path / "house").glob("bert_course*"))
    assert "WHEELHOUSE=" in (tmp_path / "house" / "HOW_TO_INSTALL.txt").read_text(encoding="utf-8")
    assert "2 packages" in capsys.readouterr().out


def test_for_another_system_only_what_holds_machine_code_is_fetched_once_more(pip, tmp_path):
    assert main(["wheelhouse", "--output", str(tmp_path / "house"), "--for", OTHER, "--python", HERE, "3.13"]) == 0
    _own, *others = pip
    assert len(others) == 2
    for call, python in zip(others, (HERE, "3.13"), strict=True):
        assert call[0] == "download"
        assert python in call
        assert any(part.startswith("numpy==") for part in call)
        assert not any(part.startswith("tqdm") for part in call)
        assert set(wheelhouse.TARGETS[OTHER].tags) <= set(call)


def test_an_extra_that_is_not_there_is_named_before_pip_runs(pip, tmp_path, capsys):
    assert main(["wheelhouse", "--output", str(tmp_path / "house"), "--extra", "foo"]) == 1
    assert "There is no extra 'foo': choose among test, slides, bench." in capsys.readouterr().err
    assert pip == []
    assert main(["wheelhouse", "--output", str(tmp_path / "house"), "--extra", "slides"]) == 0


def test_the_cpu_build_of_torch_comes_from_its_own_index(pip, tmp_path, monkeypatch):
    monkeypatch.setattr(install, "installed_torch", lambda venv: "cpu")
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    wheelhouse.fill_for(tmp_path / "house", "linux", "3.13", [], "cpu")
    torch, rest = pip
    assert install.TORCH_CPU_INDEX in torch and "torch==2.13.0" in torch
    assert not any(part.startswith(("torch==", "nvidia-", "triton")) for part in rest)


def test_what_only_another_system_needs_is_found_through_its_markers():
    on = {target: wheelhouse.needed(target, "3.12", []) for target in wheelhouse.TARGETS}
    assert "pywinpty" in on["windows"] and "pywinpty" not in on["linux"]
    assert "pexpect" in on["linux"] and "pexpect" not in on["windows"]
    for found in on.values():
        assert found["torch"] == "torch==2.13.0"
        assert found["netron"] == "netron"  # never pinned
        assert "pytest" not in found
    assert "pytest" in wheelhouse.needed("linux", "3.12", ["test"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "amiga"], "There is no system 'amiga': choose among linux, windows, macos."),
        (["--python", "312"], "'312' is no version of Python: give one as 3.12."),
        (["--output", __file__], "cannot be made"),
    ],
)
def test_a_wrong_wish_is_a_sentence(arguments, words, capsys, pip):
    assert main(["wheelhouse", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert pip == []


def test_pips_own_words_are_kept_and_a_sentence_said(monkeypatch, tmp_path, capsys):
    class Failed:
        returncode, stdout, stderr = 1, "", "ERROR: No matching distribution found for numpy==2.4.6"

    monkeypatch.setattr(wheelhouse.subprocess, "run", lambda *args, **named: Failed)
    monkeypatch.setattr(wheelhouse.sys, "prefix", str(tmp_path))
    assert main(["wheelhouse", "--output", str(tmp_path / "house")]) == 1
    assert "pip did not find numpy" in capsys.readouterr().err
    assert "numpy==2.4.6" in (tmp_path / "wheelhouse.log").read_text(encoding="utf-8")
