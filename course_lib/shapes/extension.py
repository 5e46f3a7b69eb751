"""`%load_ext course_lib.shapes`: a failing cell explains itself, under its unchanged traceback."""

from __future__ import annotations

import contextlib
from typing import Any

_MARK = "_course_lib_shapes_showtraceback"


def load_ipython_extension(shell: Any) -> None:
    """Explain the errors of cells from now on."""
    if getattr(shell, _MARK, None) is not None:
        return
    original = shell.showtraceback

    def showtraceback(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        with contextlib.suppress(Exception):
            _explain_last(shell, args, kwargs)
        return result

    shell.showtraceback = showtraceback
    setattr(shell, _MARK, original)


def unload_ipython_extension(shell: Any) -> None:
    """Errors as they were before."""
    if getattr(shell, _MARK, None) is None:
        return
    shell.__dict__.pop("showtraceback", None)  # the shell's own method comes to light again
    original = getattr(shell, _MARK)
    if getattr(shell.showtraceback, "__func__", None) is not getattr(original, "__func__", original):
        shell.showtraceback = original  # somebody else had put a function there before us
    delattr(shell, _MARK)


def _explain_last(shell: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    import sys

    given = kwargs.get("exc_tuple", args[0] if args else None)
    error = (
        given[1]
        if isinstance(given, tuple) and len(given) > 1
        else sys.exc_info()[1] or getattr(sys, "last_value", None)
    )
    if not isinstance(error, Exception) or "torch" not in sys.modules:
        return  # without torch there are no tensors
    from course_lib.shapes.explaining import explain_error, show_diagnosis

    diagnosis = explain_error(error)
    # A misspelt name or a missing file is none of our business: only what a rule knows, or what torch refused.
    if diagnosis.known or (diagnosis.tensors and isinstance(error, RuntimeError | ValueError | IndexError | TypeError)):
        if hasattr(shell, "kernel"):
            from IPython.display import display

            display(diagnosis)
        else:
            show_diagnosis(diagnosis)
