"""`%load_ext course_lib.shapes`, `python -m course_lib shapes`: the same errors, and why under them."""

import io
import subprocess
import sys
from argparse import ArgumentParser
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from course_lib.errors import DataError
from course_lib.notebooks import ROOT
from course_lib.shapes import command

BROKEN = "import torch\nx = torch.ones(2, 3)\nprint('before')\ny = x.view(5)\n"


@pytest.fixture
def shell():
    from IPython.core.interactiveshell import InteractiveShell

    made = InteractiveShell()
    made.run_line_magic("colors", "nocolor")
    yield made
    made.run_line_magic("unload_ext", "course_lib.shapes")


def run(shell, cell: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        shell.run_cell(cell)
    return out.getvalue()


def test_a_failing_cell_explains_itself_under_the_same_traceback(shell) -> None:
    plain = run(shell, BROKEN)
    shell.run_line_magic("load_ext", "course_lib.shapes")
    explained = run(shell, BROKEN)
    assert "Why: x (2, 3) has 2 x 3 = 6 numbers" not in plain
    assert "Why: x (2, 3) has 2 x 3 = 6 numbers" in explained
    assert explained.count("before\n") == 1  # the cell ran once
    told = [line for line in plain.splitlines() if "RuntimeError" in line or "-->" in line]
    assert told and [line for line in explained.splitlines() if "RuntimeError" in line or "-->" in line] == told
    assert explained.index("Why:") > explained.index("shape '[5]' is invalid")


def test_unloading_restores(shell) -> None:
    original = shell.showtraceback
    shell.run_line_magic("load_ext", "course_lib.shapes")
    assert shell.showtraceback != original
    shell.run_line_magic("unload_ext", "course_lib.shapes")
    assert shell.showtraceback == original
    assert "Why:" not in run(shell, BROKEN)


def test_loading_twice_explains_once(shell) -> None:
    shell.run_line_magic("load_ext", "course_lib.shapes")
    shell.run_line_magic("reload_ext", "course_lib.shapes")
    assert run(shell, BROKEN).count("Why:") == 1


def test_other_errors_are_none_of_its_business(shell) -> None:
    shell.run_line_magic("load_ext", "course_lib.shapes")
    for cell in (
        "1 / 0",
        "nothing_of_that_name",
        "def broken(:",
        "{}['key']",
        "import torch; raise ValueError('mine')",
    ):
        assert "Why:" not in run(shell, cell)


def test_a_failure_of_the_helper_does_not_hide_the_error(shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from course_lib.shapes import explaining

    shell.run_line_magic("load_ext", "course_lib.shapes")
    monkeypatch.setattr(explaining, "explain_error", lambda _: 1 / 0)
    assert "shape '[5]' is invalid" in run(shell, BROKEN)


def call(script: Path, *arguments: str) -> int:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(script), *arguments]))


def test_the_command_shows_pythons_traceback_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN, encoding="utf-8")
    plain = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=ROOT)
    assert call(script) == 1
    captured = capsys.readouterr()
    assert captured.out == "before\n"
    assert captured.err.startswith(plain.stderr.rstrip())
    assert "Why: x (2, 3) has 2 x 3 = 6 numbers" in captured.err


def test_the_command_gives_the_script_its_arguments_and_returns_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "good.py"
    script.write_text(
        "import sys\nprint(sys.argv[1:], __name__)\nsys.exit(3 if '--fail' in sys.argv else 0)\n", encoding="utf-8"
    )
    kept = sys.argv, sys.path.copy()
    assert call(script, "--epochs", "2") == 0
    assert call(script, "--fail") == 3
    assert capsys.readouterr().out == "['--epochs', '2'] __main__\n['--fail'] __main__\n"
    assert (sys.argv, sys.path) == kept


def test_the_command_says_when_there_is_no_script(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        call(tmp_path / "nothing.py")


def test_errors_without_tensors_are_left_alone_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "other.py"
    script.write_text("import torch\n1 / 0\n", encoding="utf-8")
    assert call(script) == 1
    assert "ZeroDivisionError" in (err := capsys.readouterr().err) and "Why:" not in err


def test_a_number_is_not_explained_by_a_variable_of_another_cell(shell) -> None:
    shell.run_line_magic("load_ext", "course_lib.shapes")
    run(shell, "import torch\nkept = torch.zeros(5, 13, 7, 1)")
    fails = "torch.nn.functional.cross_entropy(torch.zeros(91, 3), torch.zeros(5, dtype=torch.long))"
    assert "kept" not in run(shell, fails)
    assert "91 is probably 13 x 7 of kept (5, 13, 7, 1)" in run(
        shell, fails.replace("zeros(91, 3)", "zeros(kept[0].numel(), 3)")
    )
