import subprocess
import sys

import pytest

from course_lib.__main__ import main
from course_lib.errors import DataError
from course_lib.notebooks import ROOT


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "course_lib", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )


def test_help_names_every_command_and_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom course_lib.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'numpy', 'jupyterlab', 'nbclient'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("check", "lab", "course", "notebooks"):
        assert name in done.stdout


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys\nbefore = set(sys.modules)\nimport course_lib\nprint(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "['course_lib']"


def test_an_unknown_command_is_one_usage_line_and_code_2() -> None:
    done = command("chek")
    assert done.returncode == 2 and "invalid choice: 'chek'" in done.stderr and "Traceback" not in done.stderr


def test_a_course_error_is_its_sentence_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise DataError("Line 3 has no tab.")

    monkeypatch.setattr("course_lib.notebooks.build.drift", fail)
    assert main(["notebooks", "drift"]) == 1
    assert capsys.readouterr().err == "DataError: Line 3 has no tab.\n"


def test_any_other_error_is_a_bug_and_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_lib.notebooks.build.drift", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["notebooks", "drift"])


@pytest.mark.parametrize("words", [["course", "99"], ["notebooks", "build", "bert"]])
def test_a_notebook_that_does_not_exist_is_named_with_those_that_do(words: list[str]) -> None:
    done = command(*words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"DataError: No notebook begins with '{words[-1]}'; there are 00_start_here,")


@pytest.mark.slow
def test_course_prints_a_row_a_notebook_with_seconds_and_memory() -> None:
    done = command("course", "00")
    assert done.returncode == 0, done.stdout + done.stderr
    header, row = done.stdout.splitlines()
    assert header.split() == ["notebook", "result", "seconds", "peak", "memory"]
    name, result, seconds, memory, unit = row.split()
    assert (name, result, unit) == ("00_start_here", "ok", "MB")
    assert float(seconds) > 0 and 100 < float(memory.replace(",", "")) < 2000


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_reader_who_leaves_early_gets_no_traceback() -> None:
    line = f'"{sys.executable}" -u -m course_lib notebooks drift | true'
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
