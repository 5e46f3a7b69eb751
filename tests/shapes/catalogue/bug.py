"""One entry of the catalogue: a bug that people really post, broken and mended, and what a diagnosis must say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bug:
    name: str
    about: str
    broken: Callable[[], Any]
    mended: Callable[[], Any]
    operation: str
    module: str | None
    expression: str
    shapes: tuple[tuple[int, ...], ...]  # of tensors that must be shown
    cause: tuple[str, ...]  # phrases of the cause, the origins or the notes
    fix: str | None  # part of the code of a fix that must be verified; None where no fix is known


ENTRIES: list[Bug] = []


def bug(
    operation: str,
    module: str | None,
    expression: str,
    shapes: list[tuple[int, ...]],
    cause: str | list[str],
    fix: str | None,
) -> Callable[[type], type]:
    """Enter a class with two functions, `broken` and `mended`, into the catalogue."""

    def enter(pair: type) -> type:
        causes = (cause,) if isinstance(cause, str) else tuple(cause)
        about = (pair.__doc__ or "").strip()
        ENTRIES.append(
            Bug(
                pair.__name__,
                about,
                pair.broken,
                pair.mended,
                operation,
                module,
                expression,
                tuple(shapes),
                causes,
                fix,
            )
        )
        return pair

    return enter
