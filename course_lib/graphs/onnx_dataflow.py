"""The dataflow graph of an ONNX file.

A file that torch.onnx.export wrote says for each operation in which module it happened; for the operations that its
optimiser added, and for other files, that is found out from the operations around them as far as it can be.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from course_lib.errors import DataError
from course_lib.graphs.dataflow import CONSTANT, CONTENT, DATA, SHAPE, WEIGHT, DataflowGraph, Node
from course_lib.graphs.module_paths import common, relative, within
from course_lib.graphs.onnx_files import CLASSES, SCOPES

_NO_MODULE = "_empty_nn_module_stack"  # how torch calls the place of an operation that belongs to no module


def from_onnx(model: Any, name: str) -> DataflowGraph:
    """Read an ONNX model.

    Args:
        model: an `onnx.ModelProto`; its weights may be missing.
        name: what it is called where it does not say so itself.

    Raises:
        DataError: its operations need each other in a circle.
    """
    initial = {tensor.name: _kind_of_constant(tensor) for tensor in model.graph.initializer}
    numbers = {t.name for t in model.graph.initializer if t.data_type not in _index_types() and sum(t.dims) > 1}
    inputs = [value for value in model.graph.input if value.name not in initial]
    kinds = initial | {v.name: DATA if v.type.tensor_type.elem_type in _real_types() else CONTENT for v in inputs}
    raw = _sorted(model.graph.node, set(kinds), name)
    scopes = [_scope(node) for node in raw]
    named = any(path is not None for path, _ in scopes)
    nodes = []
    for node, path in zip(raw, _paths(raw, [path for path, _ in scopes]), strict=True):
        kind = _kind(node, kinds)
        kinds |= dict.fromkeys(node.output, kind)
        used = tuple(_used(node))
        weights = any(value in numbers for value in used)
        if weights and kind in (WEIGHT, CONSTANT) and node.op_type not in ("Shape", "Size"):
            numbers |= set(node.output)  # weights in another form: transposed, or no longer in eight bits
        nodes.append(Node(node.op_type, path, used, tuple(o for o in node.output if o), weights, kind))
    classes = {path: cls for _, found in scopes for path, cls in found.items()}
    wrapper = _wrapper(nodes, classes)
    nodes = [replace(node, path=relative(node.path, wrapper)) for node in nodes]
    classes = {relative(path, wrapper): cls for path, cls in classes.items() if within(path, wrapper)}
    title = classes.get("") or name
    outputs = [value.name for value in model.graph.output]
    return DataflowGraph(
        title, nodes, [v.name for v in inputs], outputs, _shapes(model), kinds, classes, named=named, wrapper=wrapper
    )


def _real_types() -> set[int]:
    from onnx import TensorProto as T

    return {T.FLOAT, T.DOUBLE, T.FLOAT16, T.BFLOAT16}


def _index_types() -> set[int]:
    """Types of ids, sizes and masks; a quantised weight has a smaller one."""
    from onnx import TensorProto as T

    return {T.INT64, T.INT32, T.BOOL, T.STRING}


def _kind_of_constant(tensor: Any) -> str:
    return WEIGHT if len(tensor.dims) >= 2 and tensor.data_type not in _index_types() else CONSTANT


def _kind(node: Any, kinds: Mapping[str, str]) -> str:
    """The kind of what an operation gives; see `dataflow`."""
    if node.op_type == "Constant":
        held = [attribute.t for attribute in node.attribute if attribute.HasField("t")]
        return _kind_of_constant(held[0]) if held else CONSTANT
    come = {kinds.get(name, DATA) for name in _used(node)}
    if come <= {WEIGHT, CONSTANT}:
        return WEIGHT if WEIGHT in come else CONSTANT
    if node.op_type in ("Shape", "Size"):
        return SHAPE
    if come & {DATA, WEIGHT}:
        return DATA
    return CONTENT if CONTENT in come else SHAPE


def _used(node: Any) -> Iterator[str]:
    """What an operation reads, graphs inside it included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            own = {t.name for t in inner.initializer} | {v.name for v in inner.input}
            own |= {name for n in inner.node for name in n.output}
            yield from (name for n in inner.node for name in _used(n) if name not in own)
            yield from (v.name for v in inner.output if v.name not in own)


def _sorted(nodes: Iterable[Any], known: set[str], name: str) -> list[Any]:
    """The order in which each node comes after what it needs; files keep it, hand-made graphs do not always."""
    waiting, done = list(nodes), []
    given = {output for node in waiting for output in node.output}
    while waiting:
        ready, later = [], []
        for node in waiting:
            if all(value in known or value not in given for value in _used(node)):
                known |= set(node.output)
                ready.append(node)
            else:
                later.append(node)
        if not ready:
            raise DataError(f"{name} is not a valid ONNX model: its operations go round in a circle.")
        done, waiting = done + ready, later
    return done


def _scope(node: Any) -> tuple[str | None, dict[str, str]]:
    """The module of an operation, None where the file does not say; and the classes of all modules around it."""
    properties = {entry.key: entry.value for entry in node.metadata_props}
    try:
        scopes = list(ast.literal_eval(properties.get(SCOPES, "[]")))[:-1]  # the last one is the operation itself
        classes = list(ast.literal_eval(properties.get(CLASSES, "[]")))[:-1]
    except (ValueError, SyntaxError, TypeError):
        return None, {}
    if not scopes or not all(isinstance(s, str) for s in scopes) or scopes[0].startswith(_NO_MODULE):
        return None, {}
    return scopes[-1], {path: str(cls).rpartition(".")[2] for path, cls in zip(scopes, classes, strict=False)}


def _paths(nodes: Sequence[Any], said: Sequence[str | None]) -> list[str]:
    """A module for each operation; where the file does not say it, the one that all users of its results share."""
    paths = list(said)
    users: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for value in _used(node):
            users.setdefault(value, []).append(number)
    for number in reversed(range(len(nodes))):
        if paths[number] is None:
            of_users = [paths[user] or "" for value in nodes[number].output for user in users.get(value, [])]
            paths[number] = common(of_users)
    return [path or "" for path in paths]


def _wrapper(nodes: Sequence[Node], classes: Mapping[str, str]) -> str:
    """The attribute in which a module around the whole model keeps it; "" where there is no such module."""
    first = {node.path.split(".")[0] for node in nodes if node.path}
    wrapper = min(first, default="")
    steps = {node.path.split(".")[1] for node in nodes if "." in node.path}
    # A list of layers, and a chain of them, are no wrappers: what follows there is a number.
    if len(first) != 1 or not steps or wrapper not in classes or any(step.isdecimal() for step in steps):
        return ""
    return wrapper


def _shapes(model: Any) -> dict[str, str]:
    """Shape of each value as far as the file, or the rules of the operations, tell it."""
    told = {v.name: v for v in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
    wanted = {name for node in model.graph.node for name in node.output if name}
    found = {name: _shape_words(value) for name, value in told.items()}
    if any("?" in found.get(name, "?") or not found[name] for name in wanted):
        names = {part for words in found.values() for part in re.findall(r"[^\W\d]\w*", words)}
        for value in _inferred(model):
            # The inference makes up names for sizes that it does not know; we do not.
            known = _shape_words(value, names)
            if known and (not found.get(value.name) or known.count("?") < found[value.name].count("?")):
                found[value.name] = known
    return found


def _inferred(model: Any) -> list[Any]:
    import onnx

    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    light.graph.name = "shapes"
    for part in ("node", "input", "output", "value_info"):
        getattr(light.graph, part).extend(getattr(model.graph, part))
    given = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:  # large weights come without their numbers: their sizes are enough
        if tensor.data_location != tensor.EXTERNAL and sum(tensor.dims) < 64:
            light.graph.initializer.append(tensor)
        elif tensor.name not in given:
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    try:
        done = onnx.shape_inference.infer_shapes(light, data_prop=True)
    except Exception:  # its own error type, a RuntimeError or a ValueError: a picture without some shapes is still one
        return []
    return [*done.graph.value_info, *done.graph.output]


def _shape_words(value: Any, names: set[str] | None = None) -> str:
    """The sizes of a value, "?" for one that is unknown or whose name is not among `names`."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return ""
    sizes = [_size_word(d, names) for d in kind.shape.dim]
    if not sizes:
        return "one number"
    return "" if all(size == "?" for size in sizes) else f"({', '.join(sizes)})"


def _size_word(size: Any, names: set[str] | None) -> str:
    if size.dim_param:
        # Tools that inferred shapes before us left such names in the file.
        made_up = re.fullmatch(r"unk__\d+", size.dim_param) or (names is not None and size.dim_param not in names)
        return "?" if made_up else size.dim_param
    return str(size.dim_value) if size.HasField("dim_value") else "?"
