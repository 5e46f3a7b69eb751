"""The checks of the course's exercises, one module a notebook, and the learner's progress over all of them."""

from __future__ import annotations

import html
import importlib
import pkgutil
from dataclasses import dataclass

from course_lib.exercises.checking import Exercise, State, recorded

__all__ = ["Exercise", "Progress", "exercises", "progress"]


def exercises() -> list[Exercise]:
    """All exercises of the course, in the order of the notebooks and, within one, as they are written."""
    found: list[Exercise] = []
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        found += [value for value in vars(importlib.import_module(module.name)).values() if isinstance(value, Exercise)]
    return sorted(found, key=lambda e: e.notebook)


@dataclass(frozen=True)
class Progress:
    """Every exercise with its state; the last value of a cell shows it as a table."""

    rows: list[tuple[Exercise, State]]

    @property
    def done(self) -> int:
        """How many exercises are passed."""
        return sum(state == "passed" for _, state in self.rows)

    def __repr__(self) -> str:
        lines = [f"{self.done} of {len(self.rows)} exercises passed"]
        lines += [f"  {e.notebook:<24} {e.title:<40} {state}" for e, state in self.rows]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        marks = {"passed": "✓ passed", "failed": "✗ not yet", "not tried": "○ not tried"}
        body = "".join(
            f"<tr><td>{html.escape(e.notebook)}</td><td style='text-align:left'>{html.escape(e.title)}</td><td style='text-align:left'>{marks[state]}</td></tr>"
            for e, state in self.rows
        )
        return (
            f"<p><b>{self.done} of {len(self.rows)}</b> exercises passed</p>"
            f"<table><tr><th>notebook</th><th>exercise</th><th>state</th></tr>{body}</table>"
        )


def progress() -> Progress:
    """What is done and what is left, over all notebooks."""
    book = recorded()
    return Progress([(e, book.get(e.notebook, {}).get(e.name, "not tried")) for e in exercises()])
