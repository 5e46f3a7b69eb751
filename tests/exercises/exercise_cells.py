"""The cells of an exercise in its notebook's source, and its answers as the learner and the solution have them.

The tests take solutions and stubs from the sources: there is no second copy that could drift.
"""

from __future__ import annotations

import functools
import linecache
import math
import re
from dataclasses import dataclass
from typing import Any

from course_lib.exercises import Exercise, exercises
from course_lib.exercises.checking import Outcome
from course_lib.notebooks import SOURCES
from course_lib.notebooks.source import Kind, code_for

# Where a message of one of these words appears, the check was taken by surprise: it must know the answer's kind.
SURPRISED = "cannot make sense"


@dataclass(frozen=True)
class Cells:
    """An exercise in its notebook: the heading's cell, the answer's code, the check's number, the text that follows."""

    task: str
    answer: str
    name: str
    number: int
    after: str


@functools.cache
def source_cells(notebook: str) -> list[Any]:
    import jupytext

    return jupytext.read(SOURCES / f"{notebook}.py", fmt="py:percent").cells


@functools.cache
def cells_of(exercise: Exercise) -> Cells:
    cells = source_cells(exercise.notebook)
    call = re.compile(rf"^check\.{exercise.name}\((\w+)\)$", re.MULTILINE)
    uses = [(number, found[1]) for number, cell in enumerate(cells) if (found := call.search(cell.source))]
    assert len(uses) == 1, f"{exercise.name} is checked in {len(uses)} cells of {exercise.notebook}"
    [(number, name)] = uses
    answer = cells[number - 1]
    assert "# BEGIN SOLUTION" in answer.source, f"the cell before the check of {exercise.name} holds no solution"
    return Cells(cells[number - 2].source, answer.source, name, number, cells[number + 1].source)


def answer_of(exercise: Exercise, kind: Kind) -> Any:
    """What the learner's cell defines, with the stub or with the solution in it."""
    import torch

    cells = cells_of(exercise)
    code = code_for(kind, cells.answer)
    return defined(code, cells.name, math=math, torch=torch, tokenizer=_tokenizer())


@functools.cache
def _tokenizer() -> Any:
    """The course's own, which a notebook loads in its first cells."""
    from course_lib import pretrained

    return pretrained.load_tokenizer("embedded")


def defined(code: str, name: str, **names: Any) -> Any:
    """Run code as a notebook runs a cell: tracebacks show its lines. Gives what it defines as `name`."""
    file = f"<cell {name}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    exec(compile(code, file, "exec"), names)
    return names[name]


def exercises_of(notebook: str) -> list[Exercise]:
    return [exercise for exercise in exercises() if exercise.notebook == notebook]


def cases(wrong: dict[str, list[tuple[Any, str]]]) -> list[tuple[str, Any, str]]:
    """The lists of wrong answers, flat: the name of the check, the answer, a phrase of its message."""
    return [(name, answer, phrase) for name, answers in wrong.items() for answer, phrase in answers]


def expect_sentence(outcome: Outcome) -> None:
    """Failed, with a sentence that a learner can use."""
    assert outcome.state == "failed"
    assert outcome.message.rstrip().endswith((".", "?")) or "This line of yours failed:" in outcome.message
    assert SURPRISED not in outcome.message
    assert " object at 0x" not in outcome.message
    assert "Traceback" not in outcome.message
    assert len(outcome.message) < 900
