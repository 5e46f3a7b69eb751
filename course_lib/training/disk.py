"""Files that are there whole or not at all, and one sentence where a disk is full.

Written under another name, on the disk, and only then renamed: a kill, or a loss of power, leaves the file from before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from course_lib.errors import CourseError, TrainingError

# What to do, after the disk was put right.
ELSEWHERE = "or give another folder"
GO_ON = "then go on with resume=True (--resume); or begin anew in another folder (--output)"

_FULL = {errno.ENOSPC, errno.EDQUOT} | ({39, 112} if os.name == "nt" else set())  # by Windows' own numbers
_TORCH = ("inline_container.cc", "PytorchStreamWriter", "iostream error")  # torch.save's writer says no more than that


class Fault(NamedTuple):
    """What was said of a file that cannot be written, and whether it means that there is no room."""

    said: str
    full: bool


def fault_of(error: BaseException) -> Fault | None:
    """What is wrong with the disk; None where the error is of another kind.

    Python alone raises an OSError for it: safetensors and tokenizers have errors of their own (Rust's, which end with
    "(os error 28)"), torch.save a RuntimeError, and torch.distributed an error with those of the processes.
    """
    if isinstance(error, CourseError):  # has its sentence already, also where it is an OSError
        return None
    if isinstance(error, OSError):
        return Fault(error.strerror or str(error), error.errno in _FULL)
    if type(error).__name__ == "CheckpointException":
        faults = [fault_of(inner) for inner, _ in error.failures.values()]  # type: ignore[attr-defined]
        return next((fault for fault in faults if fault is not None), None)
    if of_rust := re.search(r"([^:]+) \(os error (\d+)\)", str(error)):
        return Fault(of_rust[1].strip(), int(of_rust[2]) in _FULL)
    if isinstance(error, RuntimeError) and any(mark in str(error) for mark in _TORCH):
        return Fault("torch.save could not write on", True)
    return None


@contextlib.contextmanager
def writing(
    what: str, where: str | Path, then: str = ELSEWHERE, left: Callable[[], str] = lambda: ""
) -> Iterator[None]:
    """Within it, an error of the disk becomes one sentence, whichever library met it; any other goes through.

    Args:
        what, where: for the sentence.
        then: what to do after the disk was put right.
        left: what there still is, asked for when something went wrong.

    Raises:
        TrainingError: `what` cannot be written to `where`; why, and what to do.
    """
    try:
        yield
    except BaseException as error:  # torch.distributed's is no Exception
        fault = fault_of(error)
        if fault is None:
            raise
        why = f": its disk is full ({fault.said})" if fault.full else f" ({fault.said})"
        first = "Free some space there" if fault.full else "See to it that you may write there"
        raise TrainingError(f"{what} cannot be written to '{where}'{why}{left()}. {first}, {then}.") from error


@contextlib.contextmanager
def whole_files(folder: Path, what: str, then: str = ELSEWHERE) -> Iterator[Path]:
    """A new folder to write files into; they are moved to `folder`, weights last, when all of them are whole.

    Raises:
        TrainingError: see `writing`; what was in `folder` before is untouched.
    """
    part = folder / ".new.part"
    try:
        with writing(what, folder, then):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            files = sorted(part.iterdir(), key=lambda path: path.suffix == ".safetensors")
            for path in files:
                flush(path)
            for path in files:
                path.replace(folder / path.name)
            flush(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_whole(path: Path, content: str | bytes, what: str, then: str = ELSEWHERE) -> None:
    """Write one file, text as UTF-8.

    Raises:
        TrainingError: see `writing`; the file that was there before is untouched.
    """
    part = path.with_name(path.name + ".part")
    try:
        with writing(what, path, then):
            part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
            flush(part)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Onto the disk, so that a loss of power after the renaming cannot leave an empty file."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDWR if path.is_file() and os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
