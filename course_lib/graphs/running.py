"""An ONNX file as a model to call: onnxruntime behind the manner of an nn.Module.

model = OnnxModel("bert.onnx")
model(input_ids=ids, attention_mask=mask)["logits"]
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.errors import DataError
from course_lib.graphs.onnx_files import read_onnx, weight_files


class OnnxModel:
    """Tensors or arrays in by name, tensors out by name.

    Args:
        path: the .onnx file.
        threads: for one call; by default onnxruntime's own choice, all cores.
        fused: let onnxruntime put neighbouring operations together (`fuse`); False runs them as the file has them.

    Raises:
        DataError: not an ONNX file, a damaged one, or one whose weights are missing.
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None, fused: bool = True) -> None:
        import onnxruntime

        self.path = Path(path)
        weight_files(read_onnx(self.path), self.path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if not fused:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each status; all say that the file is no use
            raise DataError(
                f"{self.path.name} cannot be loaded by onnxruntime ({_first_line(error)}): export the model again."
            ) from error
        self._quiet = onnxruntime.RunOptions()
        self._quiet.log_severity_level = 4  # our own error says what went wrong; stderr need not say it too
        self.inputs = tuple(value.name for value in self.session.get_inputs())
        self.outputs = tuple(value.name for value in self.session.get_outputs())

    def __call__(self, **inputs: Any) -> dict[str, Tensor]:
        """All outputs.

        Raises:
            ValueError: an input is missing, or one that the graph does not know.
            DataError: the graph stumbled over these inputs, as one of a fixed size does.
        """
        unknown = [name for name in inputs if name not in self.inputs]
        missing = [name for name in self.inputs if name not in inputs]
        if unknown or missing:
            what = f"it has no input {unknown[0]}" if unknown else f"{', '.join(missing)} is missing"
            raise ValueError(f"{self.path.name} takes {', '.join(self.inputs)}, and {what}.")
        arrays = {
            name: value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
            for name, value in inputs.items()
        }
        try:
            found = self.session.run(None, arrays, self._quiet)
        except Exception as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise DataError(f"{self.path.name} does not run with {shapes} ({_first_line(error)}).") from error
        return {
            name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in zip(self.outputs, found, strict=True)
        }


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
