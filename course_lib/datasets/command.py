"""`python -m course_lib data thucnews`: fetch a published data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from course_lib.datasets import thucnews


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("name", choices=("thucnews",), help="thucnews: 200,000 Chinese headlines in ten classes")
    parser.add_argument("--output", type=Path, default=thucnews.FOLDER, help=f"where to ({thucnews.FOLDER.as_posix()})")
    parser.add_argument("--no-vectors", action="store_true", help="leave Tencent's vectors of characters away (4 MB)")
    parser.add_argument("--address", default=thucnews.ADDRESS, help="of another copy of the files, such as a mirror")


def run(arguments: argparse.Namespace) -> int:
    """Fetch the files, say what was done, and what one can do with them."""
    folder = thucnews.fetch_thucnews(
        arguments.output,
        vectors=not arguments.no_vectors,
        address=arguments.address.rstrip("/"),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(f"The headlines are in '{folder}'. They were collected for research, and no licence is stated for them.")
    print(f"Next: python -m course_lib train --model TextCNN --data {folder} --output my_cnn", end="")
    print(
        ""
        if arguments.no_vectors
        else f" --vectors {folder / 'embedding_Tencent.npz'} --vector-words {folder / thucnews.WORDS}"
    )
    return 0
