"""How an exercise is checked: not tried yet, passed, or failed with the mistake named.

A check is a function of the learner's answer that raises `Mistake` when a property does not hold. The decorator
`exercise` makes it a function that raises nothing and returns an `Outcome`, which the notebook shows; the outcome is
also written to a small local file, from which `progress` is drawn.

The three dots of a stub are the mark of an answer not tried yet: `answer = ...`, or a function that returns `...`.
"""

from __future__ import annotations

import functools
import html
import inspect
import json
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["not tried", "failed", "passed"]
_MARKS = {"not tried": "○", "failed": "✗", "passed": "✓"}
_COLOURS = {"not tried": "#767676", "failed": "#D55E00", "passed": "#009E73"}
_WORDS = {"not tried": "Not tried yet", "failed": "Not yet", "passed": "Passed"}


class Mistake(Exception):
    """A property of the exercise does not hold; the message says which, on which input, and why if it is known."""


@dataclass(frozen=True)
class Outcome:
    """What a check found. The last value of a cell shows it."""

    title: str
    state: State
    message: str

    @property
    def passed(self) -> bool:
        """True when every property held."""
        return self.state == "passed"

    def __repr__(self) -> str:
        return f"{_MARKS[self.state]} {self.title} · {_WORDS[self.state]}. {self.message}"

    def _repr_html_(self) -> str:
        # Only the border is coloured: the words keep the reader's own theme, light or dark.
        body = html.escape(self.message).replace("\n", "<br>")
        return (
            f'<div style="border-left:4px solid {_COLOURS[self.state]};padding:2px 10px">'
            f"{_MARKS[self.state]} <b>{html.escape(self.title)} · {_WORDS[self.state]}.</b> {body}</div>"
        )


@dataclass(frozen=True)
class Exercise:
    """A check with its title and the notebook it belongs to; call it with the learner's answer."""

    notebook: str
    name: str
    title: str
    check: Callable[[Any], str | None]

    def __call__(self, answer: Any) -> Outcome:
        """Check an answer; never raises, and records what it found."""
        outcome = self._judge(answer)
        record(self, outcome.state)
        return outcome

    def _judge(self, answer: Any) -> Outcome:
        if answer is ...:
            return self._not_tried()
        tried = _Tried(answer) if inspect.isroutine(answer) else answer
        try:
            praise = self.check(tried)
        except _StubCalled:
            return self._not_tried()
        except Mistake as mistake:
            return Outcome(self.title, "failed", str(mistake))
        return Outcome(self.title, "passed", praise or "")

    def _not_tried(self) -> Outcome:
        return Outcome(self.title, "not tried", "Replace the three dots with your answer, then run both cells again.")


class _StubCalled(Exception):
    """The learner's function returned the three dots of the stub."""


class _Tried:
    """The learner's function: its errors become `Mistake`s that say on which input, its three dots end the check."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = self.function(*args, **kwargs)
        except Exception as error:
            where = [f for f in traceback.extract_tb(error.__traceback__) if f.name == self.function.__name__]
            line = f" In your function, this line failed:  {where[-1].line}" if where and where[-1].line else ""
            raise Mistake(f"Called with {describe(*args, **kwargs)}, your function raised {type(error).__name__}: {error}.{line}") from error  # fmt: skip
        if result is ...:
            raise _StubCalled
        if result is None:
            raise Mistake(f"Called with {describe(*args, **kwargs)}, your function returned None. Is a `return` missing?")  # fmt: skip
        return result


def exercise(notebook: str, title: str) -> Callable[[Callable[[Any], str | None]], Exercise]:
    """Make a check of a function that raises `Mistake`; what it returns is a sentence of praise or explanation."""

    def make(check: Callable[[Any], str | None]) -> Exercise:
        made = Exercise(notebook, check.__name__, title, check)
        made.__dict__["__doc__"] = check.__doc__
        return made

    return make


def expect(holds: bool, message: str) -> None:
    """Raise `Mistake` with this message unless the property holds."""
    if not holds:
        raise Mistake(message)


def describe(*args: Any, **kwargs: Any) -> str:
    """The input of a call in a few words: shapes of tensors, small values themselves."""
    parts = [_describe_value(a) for a in args] + [f"{name} = {_describe_value(a)}" for name, a in kwargs.items()]
    return ", ".join(parts) if parts else "no arguments"


def _describe_value(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        size = 1
        for length in shape:
            size *= length
        if size <= 24 and not getattr(value, "is_floating_point", lambda: True)():
            return f"a tensor {tuple(shape)} = {value.tolist()}"
        return f"a tensor {tuple(shape)}"
    if isinstance(value, (list, tuple)) and value and all(hasattr(v, "shape") for v in value):
        return f"{len(value)} tensors {tuple(value[0].shape)}"
    text = repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"


def progress_file() -> Path:
    """Where progress is kept: COURSE_PROGRESS, else .course/progress.json in the course's folder, else in the home.

    The home serves where the course's folder cannot be written, as in a shared installation.
    """
    if chosen := os.environ.get("COURSE_PROGRESS"):
        return Path(chosen)
    course = Path(__file__).resolve().parents[2]
    if (course / "notebooks").is_dir() and os.access(course, os.W_OK):
        return course / ".course" / "progress.json"
    import platformdirs

    return platformdirs.user_data_path("bert-course") / "progress.json"


def recorded() -> dict[str, dict[str, State]]:
    """What was recorded: notebook -> exercise -> best state so far. A damaged file counts as empty."""
    try:
        found = json.loads(progress_file().read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def record(done: Exercise, state: State) -> None:
    """Write an outcome down; what was passed once stays passed, and a stub that is run again changes nothing."""
    if state == "not tried":
        return
    book = recorded()
    states = book.setdefault(done.notebook, {})
    if states.get(done.name) == "passed":
        return
    states[done.name] = state
    path = progress_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")  # two notebooks may write at once
        part.write_text(json.dumps(book, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        import warnings

        warnings.warn(f"Your progress could not be written to {path} ({error.strerror}); the check itself is not affected.", stacklevel=3)  # fmt: skip
