"""Model graphs that can be trusted: ONNX files that compute what the model computes, and pictures that last.

    from course_lib import graphs
    path = graphs.export_onnx(model, {"input_ids": ids, "attention_mask": mask}, "bert.onnx")
    graphs.verify_onnx(path, model)
    graphs.show(path)

Importing this package imports nothing else; the parts are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

# name -> the module that has it, and its name there where it is another. No module is named like a name of the package, so
# that a function is always what one gets.
_HOMES = {
    "export_onnx": "export",
    "verify_onnx": "verification",
    "Verification": "verification",
    "OnnxModel": "running",
    "fuse": "fusing",
    "quantise": "quantising",
    "show": "netron",
    "summary": "netron",
    "picture": "model_picture.model_picture",
    "ModelPicture": "model_picture",
    "call_graph": "calls",
    "CallGraph": "calls",
    "head_view": "attention",
    "all_heads": "attention",
    "hidden_view": "attention",
    "attention_view": "attention_explorer",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _HOMES[name].partition(".")
    return getattr(importlib.import_module(f"{__name__}.{module}"), there or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
