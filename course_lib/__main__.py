"""The command line: `python -m course_lib COMMAND`. Each command's code is imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from course_lib.errors import CourseError

# command -> (module with add_arguments and run, one line of help)
_COMMANDS = {
    "check": ("course_lib.check", "is everything here that the course needs? With --data: what is in a data set?"),
    "data": ("course_lib.datasets.command", "fetch a published data set: thucnews"),
    "lab": ("course_lib.lab", "start JupyterLab at the first notebook"),
    "course": ("course_lib.notebooks.command", "run every notebook without a screen, and print a table"),
    "train": ("course_lib.finetuning.command", "fine-tune a model on a data set, for any task"),
    "evaluate": ("course_lib.finetuning.command", "scores and a report of a trained model"),
    "predict": ("course_lib.finetuning.command", "what a trained model says: one JSON object a line"),
    "pretrain": ("course_lib.pretraining.command", "train a BERT from text: hidden words, and next sentences if asked"),
    "graph": ("course_lib.graphs.command", "a model as an ONNX file, checked, and as pictures that open from disk"),
    "shapes": ("course_lib.shapes.command", "run a script; where it fails, say which tensor is wrong, and why"),
    "wheelhouse": ("course_lib.wheelhouse", "a folder with all packages, to install from where there is no network"),
    "slides": ("course_lib.slides.command", "the notebooks as slides that open from disk, with speaker notes"),
    "notebooks": ("course_lib.notebooks.command", "build the notebooks from notebooks/src, or look for drift"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. A `CourseError` is printed as its sentence, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m course_lib", description="The BERT course's command line.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, words) in _COMMANDS.items():
        command = commands.add_parser(name, help=words, description=words[0].upper() + words[1:])
        if arguments[:1] == [name]:  # only the command that was called is imported: --help stays instant
            importlib.import_module(module).add_arguments(command)
    chosen = parser.parse_args(arguments)
    try:
        return importlib.import_module(_COMMANDS[chosen.command][0]).run(chosen)
    except CourseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of a pipe has had enough, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more at its end
        return 0
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
