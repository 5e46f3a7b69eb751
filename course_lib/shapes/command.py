"""`python -m course_lib shapes SCRIPT`: run a script; if it fails, its traceback as ever, and under it why."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import traceback
from pathlib import Path

from course_lib.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("script", help="the Python file to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script itself is given")


def run(arguments: argparse.Namespace) -> int:
    """Run the script as `python SCRIPT` would, once; return its exit code, 1 after an error."""
    script = Path(arguments.script)
    if not script.is_file():
        raise DataError(f"There is no file {script}: give the Python script that is to be run.")
    kept_arguments, kept_path = sys.argv, sys.path.copy()
    sys.argv = [str(script), *arguments.arguments]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        runpy.run_path(str(script), run_name="__main__")
    except Exception as error:
        _report(error)
        return 1
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    finally:
        sys.argv, sys.path[:] = kept_arguments, kept_path
    return 0


def _report(error: Exception) -> None:
    shown = error.with_traceback(_script_only(error))
    traceback.print_exception(shown)
    if "torch" not in sys.modules:
        return
    from course_lib.shapes.explaining import explain_error

    diagnosis = explain_error(error)
    if diagnosis.known or diagnosis.tensors:
        print(f"\n{diagnosis}", file=sys.stderr)


def _script_only(error: Exception) -> object:
    """The traceback from the script's own first line, as Python itself would print it."""
    level = error.__traceback__
    while level is not None:
        file = level.tb_frame.f_code.co_filename
        if file != __file__ and "runpy" not in os.path.basename(file) and file != "<frozen runpy>":  # noqa: PTH119
            return level
        level = level.tb_next
    return error.__traceback__
