"""The graph as onnxruntime really runs it: `fuse(path, target)`.

Before its first call onnxruntime looks for neighbouring operations that it can do in one walk through memory, and puts one
operation in their place: a sum and the LayerNorm behind it (SkipLayerNormalization), a bias and a GELU (BiasGelu), a product
and its factor (FusedMatMul). It does so by itself each time a file is loaded; here the result is written, to look at. The new
operations are its own (domain com.microsoft): other programs cannot run such a file, so keep the one it was made of.
"""

from __future__ import annotations

import os
from pathlib import Path

from course_lib.errors import ExportError
from course_lib.graphs.onnx_files import variant


def fuse(path: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Write the fused variant of an ONNX file.

    Args:
        path: the .onnx file.
        target: of the new file; weights that lie beside the old one lie beside the new one, in `<target>.data`.

    Raises:
        DataError: not an ONNX file, or a damaged one.
        ValueError: both are the same file.
        ExportError: onnxruntime cannot load it.
    """
    import onnxruntime

    with variant(path, target, "fused") as (source, made, weights_beside):
        options = onnxruntime.SessionOptions()
        # "Extended" is all that is the same on every processor; the level above it changes layouts for this one alone.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(made)
        options.log_severity_level = 3
        if weights_beside:
            options.add_session_config_entry(
                "session.optimized_model_external_initializers_file_name", f"{made.name}.data"
            )
        try:
            onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each status
            raise ExportError(f"{source.name} cannot be fused: {str(error).strip().splitlines()[0]}") from error
    return Path(target)
