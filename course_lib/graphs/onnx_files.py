"""Reading an ONNX file: what every part of `graphs` does before it looks at one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from course_lib.errors import DataError

SCOPES = "pkg.torch.onnx.name_scopes"  # of an operation: the modules in which torch recorded it, as a list in text
CLASSES = "pkg.torch.onnx.class_hierarchy"  # their classes, likewise


def read_onnx(path: Path) -> Any:
    """The onnx.ModelProto of a file, without weights that stand beside it.

    Raises:
        DataError: there is no such file, or it is not an ONNX file, or a damaged one.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise DataError(f"There is no file {path}: export the model first, or check the name.")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise DataError(f"{path.name} is not an ONNX file, or was cut off: export the model again.") from error
    if not model.ir_version or not (model.graph.node or model.graph.output):
        raise DataError(f"{path.name} is not an ONNX file (it holds no graph): export the model again.")
    return model


def weight_files(model: Any, path: Path) -> list[str]:
    """The names of the files beside the model that hold weights of it.

    Raises:
        DataError: one of them is missing, or stands outside the model's folder.
    """
    names = []
    for tensor in _tensors(model.graph):
        if tensor.data_location == tensor.EXTERNAL:
            names += [entry.value for entry in tensor.external_data if entry.key == "location"]
    names = list(dict.fromkeys(names))
    folder = path.resolve().parent
    for name in names:
        place = (folder / name).resolve()
        if not place.is_relative_to(folder):
            raise DataError(f"{path.name} wants weights from outside its folder ({name}): export the model again.")
        if not place.is_file():
            raise DataError(f"{path.name} keeps its weights in {name}, which is missing: put it beside the model.")
    return names


@contextmanager
def variant(path: str | os.PathLike, target: str | os.PathLike, kind: str) -> Iterator[tuple[Path, Path, bool]]:
    """A place to write another file made of an ONNX file; what is written there becomes `target` when all went well.

    Args:
        path: the .onnx file.
        target: of the new one; its folder is made.
        kind: a word for it, as in "int8".

    Yields:
        the file, where to write, and whether the file's weights stand beside it.

    Raises:
        DataError: not an ONNX file, or a damaged one.
        ValueError: both are the same file.
    """
    path, target = Path(path), Path(target)
    beside = weight_files(read_onnx(path), path)
    if path.resolve() == target.resolve():
        raise ValueError(
            f"'{target}' is the file itself; give the {kind} variant a name of its own, such as {path.stem}_{kind}.onnx."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{kind}") as folder:
        yield path, Path(folder) / target.name, bool(beside)
        for file in sorted(Path(folder).iterdir(), reverse=True):  # weights first, the file that names them last
            file.replace(target.parent / file.name)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _tensors(inner)
