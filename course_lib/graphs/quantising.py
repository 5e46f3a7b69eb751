"""An ONNX file with weights of 8 bits in place of 32: `quantise(path, target)`.

onnxruntime rounds each matrix of weights to 256 steps beforehand, and what flows through it while it runs ("dynamic"
quantisation): w is about scale * (q - zero), q of 0 to 255. The file is about a quarter as large. Answers change a
little, so compare them (`verify_onnx` with a wide tolerance) and, what matters, the accuracy on your own texts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path

from course_lib.errors import ExportError
from course_lib.graphs.onnx_files import variant


def quantise(path: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Write the int8 variant of an ONNX file.

    Args:
        path: the .onnx file with float weights.
        target: of the new file.

    Raises:
        DataError: not an ONNX file, or a damaged one.
        ValueError: both are the same file.
        ExportError: onnxruntime cannot quantise it.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    before = logging.root.manager.disable
    with variant(path, target, "int8") as (source, made, _):
        logging.disable(logging.CRITICAL)  # it advises a step that the exporter has done already
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                quantize_dynamic(str(source), str(made), weight_type=QuantType.QUInt8)
        except Exception as error:  # of many kinds; all say that an operation does not fit
            raise ExportError(f"{source.name} cannot be quantised: {str(error).strip().splitlines()[0]}") from error
        finally:
            logging.disable(before)
    return Path(target)
