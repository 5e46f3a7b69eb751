"""How an exercise is checked: not tried yet, passed, or failed with the mistake named.

A check is a function of the learner's answer that raises `Mistake` when a property does not hold. The decorator
`exercise` makes it a function that raises nothing and returns an `Outcome`, which the notebook shows; the outcome is
also written to a small local file, from which `progress` is drawn. Whatever the answer is, the learner gets a sentence.

The three dots of a stub are the mark of an answer not tried yet: `answer = ...`, or a function that returns `...`.
"""

from __future__ import annotations

import contextlib
import copy
import html
import inspect
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["not tried", "failed", "passed"]
Wanted = Literal["function", "value"]
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
    wanted: Wanted = "function"

    def __call__(self, answer: Any) -> Outcome:
        """Check an answer; never raises, and records what it found."""
        outcome = self._judge(answer)
        record(self, outcome.state)
        return outcome

    def _judge(self, answer: Any) -> Outcome:
        if answer is ...:
            return self._not_tried()
        try:
            praise = self.check(self._prepared(answer))
        except _StubCalled:
            return self._not_tried()
        except Mistake as mistake:
            return Outcome(self.title, "failed", str(mistake))
        except Exception as error:
            # An answer so strange that the check tripped over it. The learner's own errors are Mistakes by now.
            return Outcome(self.title, "failed", f"The check cannot make sense of this answer ({_named(error)}). Does it have the form that the task asks for?")  # fmt: skip
        return Outcome(self.title, "passed", praise or "")

    def _prepared(self, answer: Any) -> Any:
        if self.wanted == "function":
            expect(callable(answer), f"Give the check your function itself, its name without parentheses; you gave {describe(answer)}.")  # fmt: skip
            return _Tried(answer)
        name = getattr(answer, "__name__", "it")
        expect(not callable(answer), f"A value is wanted, and {name} is a function: call it, and give what it returns.")
        return answer

    def _not_tried(self) -> Outcome:
        return Outcome(self.title, "not tried", "Replace the three dots with your answer, then run both cells again.")


class _StubCalled(Exception):
    """The learner's function returned the three dots of the stub."""


class _Tried:
    """The learner's function: its errors become `Mistake`s that say on which input, its three dots end the check.

    `given` are the arguments of the last call as the function left them, for a task that is to change one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.given: tuple[Any, ...] = ()

    def __call__(self, *args: Any) -> Any:
        called = f"Called with {describe(*args)}, your function"
        self._check_parameters(args)
        try:
            # A copy: a function that writes into its input must not change what the check compares with.
            self.given = copy.deepcopy(args)
            result = self.function(*self.given)
        except Mistake:  # of something that the check has put in place of a function
            raise
        except Exception as error:
            raise Mistake(f"{called} raised {_named(error)}.{self._failing_line(error)}") from error
        if result is ...:
            raise _StubCalled
        expect(result is not None, f"{called} returned None. Is a `return` missing?")
        return result

    def _check_parameters(self, args: tuple[Any, ...]) -> None:
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):  # some built-in functions have none
            return
        try:
            signature.bind(*args)
        except TypeError:
            name = getattr(self.function, "__name__", "it")
            count = f"{len(args)} argument{'s' * (len(args) != 1)}"
            raise Mistake(f"Your function is called with {count}, but it is written as {name}{signature}. Keep the parameters of the task.") from None  # fmt: skip

    def _failing_line(self, error: Exception) -> str:
        # The learner's own lines are those of the cell that defines the function; a library may use the same names.
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        lines = [f.line for f in traceback.extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
        return f" This line of yours failed:  {lines[-1]}" if lines and lines[-1] else ""


def _named(error: Exception) -> str:
    """An error as its kind and its words, without the full stop that the sentence around it brings."""
    words = str(error).strip().removesuffix(".")
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def exercise(
    notebook: str, title: str, wanted: Wanted = "function"
) -> Callable[[Callable[[Any], str | None]], Exercise]:
    """Make a check of a function that raises `Mistake`; what it returns is a sentence of praise or explanation.

    `wanted` says what the learner's answer is: a function, which the check calls, or a value.
    """

    def make(check: Callable[[Any], str | None]) -> Exercise:
        made = Exercise(notebook, check.__name__, title, check, wanted)
        made.__dict__["__doc__"] = check.__doc__
        return made

    return make


def expect(holds: bool, message: str) -> None:
    """Raise `Mistake` with this message unless the property holds."""
    if not holds:
        raise Mistake(message)


def describe(*args: Any) -> str:
    """The input of a call in a few words: shapes of tensors, small values themselves."""
    return ", ".join(map(_describe_value, args)) or "no arguments"


def _describe_value(value: Any) -> str:
    if _is_tensor(value):
        shape = tuple(value.shape)
        whole = not (value.is_floating_point() or value.is_complex())
        return f"a tensor {shape} = {value.tolist()}" if whole and value.numel() <= 24 else f"a tensor {shape}"
    if isinstance(value, (list, tuple)) and value and all(map(_is_tensor, value)):
        return f"{len(value)} tensors {tuple(value[0].shape)}"
    text = repr(value)
    short = len(text) <= 80 and " object at 0x" not in text and "<function" not in text
    return text if short else f"something of type {type(value).__name__}"


def _is_tensor(value: Any) -> bool:
    # No tensor without torch, and no wait for its import where the learner has not imported it.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def progress_file() -> Path:
    """Where progress is kept: COURSE_PROGRESS, else .course/progress.json in the course's folder, else in the home.

    The home serves where the course's folder cannot be written, as in a shared installation.
    """
    if chosen := os.environ.get("COURSE_PROGRESS"):
        return Path(chosen).expanduser()
    course = Path(__file__).resolve().parents[2]
    if (course / "notebooks").is_dir() and os.access(course, os.W_OK):
        return course / ".course" / "progress.json"
    import platformdirs

    return platformdirs.user_data_path("bert-course") / "progress.json"


def recorded() -> dict[str, dict[str, State]]:
    """What was recorded: notebook -> exercise -> best state so far. What is damaged in the file counts as absent.

    A file that is there and cannot be read counts as empty too, with a warning.
    """
    path = progress_file()
    try:
        return _read(path)
    except OSError as error:
        _warn(f"Your progress could not be read from {path} ({error.strerror or error}).")
        return {}


def record(done: Exercise, state: State) -> None:
    """Write an outcome down; what was passed once stays passed, and a stub that is run again changes nothing.

    A file that cannot be written is a warning: the outcome of the check is worth more than its record.
    """
    if state == "not tried":
        return
    path = progress_file()
    part = path.parent / f"{path.name}.{os.getpid()}.part"  # two notebooks may write at once
    try:
        book = _read(path)  # one that cannot be read is not overwritten either: it may hold much
        states = book.setdefault(done.notebook, {})
        if states.get(done.name) in ("passed", state):
            return
        states[done.name] = state
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(book, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink(missing_ok=True)
        _warn(f"Your progress could not be written to {path} ({error.strerror or error}); the check itself is not affected.")  # fmt: skip


def _read(path: Path) -> dict[str, dict[str, State]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))  # an editor may have put a BOM before it
    except (FileNotFoundError, ValueError, RecursionError):  # absent, or no UTF-8, no JSON, brackets without an end
        return {}
    return {notebook: _states(states) for notebook, states in found.items()} if isinstance(found, dict) else {}


def _states(found: Any) -> dict[str, State]:
    entries = found.items() if isinstance(found, dict) else ()
    return {name: state for name, state in entries if isinstance(state, str) and state in _MARKS}


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)  # the caller of the check, or as near as it gets
