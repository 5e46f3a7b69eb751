"""Shape errors explained, on anybody's `nn.Module`: `diagnose` a failure, `trace` the shapes, `preflight` the silent bugs.

    from course_lib import shapes
    print(shapes.diagnose(model, x))

In a notebook, `%load_ext course_lib.shapes` explains every cell that fails, under its unchanged traceback. Importing this
package imports nothing else; the parts are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

# name -> the module that has it. No module is named like a function, so that the function is always what one gets.
_HOMES = {
    "diagnose": "explaining",
    "explain": "explaining",
    "explain_error": "explaining",
    "Diagnosis": "diagnosis",
    "trace": "tracing",
    "preflight": "silent",
    "load_ipython_extension": "extension",
    "unload_ipython_extension": "extension",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
