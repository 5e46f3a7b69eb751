"""A model as an ONNX file: `export_onnx(model, example, path)`, for any nn.Module and any transformers encoder.

torch records what the model does with the example (`torch.onnx.export`, with torch.export below it) and writes the
operations down. What can go wrong there goes wrong silently, so this module meets it beforehand:

    training mode       dropout would be recorded: the model is put into evaluation mode, and back afterwards
    one fixed size      without a word, torch fixes every size to the example's: batch and length are named as changing
    a size of 1         is taken for fixed: such an example is doubled before it is recorded
    the opset           an older one than 18 is written as 18: asked for, it is refused
    no attentions       fast attention gives none: transformers' models are switched to the plain one meanwhile

The file holds the weights, and says in its metadata which model, configuration, versions and weights it was made of. It
appears under its name when it is whole.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import io
import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.checkpoint import weights_sha256
from course_lib.errors import ExportError
from course_lib.graphs.onnx_files import CLASSES, SCOPES

LARGEST = 2 * 10**9  # bytes of weights in one file: protobuf ends at 2 GiB, the graph needs some of it
OLDEST_OPSET = 18
_EXTRAS = ("hidden_states", "attentions")
_KEY = "course"  # of the metadata
_OF_THIS_COMPUTER = ("pkg.torch.onnx.stack_trace", "pkg.torch.onnx.fx_node")  # paths and lines; half of a small file


@dataclasses.dataclass(frozen=True)
class Asked:
    """What an ONNX file of ours was made to take and give; kept in its metadata as JSON."""

    model: str  # its class
    inputs: dict[str, dict[str, Any]]  # name -> {"low", "high": the example's numbers, "changing": axis -> name}
    outputs: tuple[str, ...]
    extras: tuple[str, ...]
    config: dict[str, Any]
    weights_sha256: str
    versions: dict[str, str]


def export_onnx(
    model: nn.Module,
    example: Any,
    path: str | os.PathLike,
    *,
    hidden_states: bool = False,
    attentions: bool = False,
    changing: Mapping[str, Mapping[int, str]] | None = None,
    opset: int | None = None,
) -> Path:
    """Write a model as an ONNX file.

    Args:
        model: any module; it is run in evaluation mode, and left in the mode that it was in.
        example: what the model is called with: named tensors (a dictionary, or what a tokenizer returns), one tensor, or
            several in the order of the forward method.
        path: of the new file, *.onnx. Weights of over 2 GB stand beside it in *.onnx.data.
        hidden_states, attentions: as further outputs, where the model can give them.
        changing: which axes may have other sizes than the example's, and what they are called: {"x": {0: "batch"}}. By
            default it is tried which axes may be longer. The first is called "batch", the second of whole numbers "tokens".
        opset: of ONNX; by default torch's.

    Raises:
        TypeError, ValueError: the example does not fit the model, or hidden states or attentions that it does not give.
        ExportError: the model's forward cannot be recorded, or one of its operations has no counterpart in ONNX.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model is a {type(model).__name__}: give the module itself, as BertModel.from_pretrained returns."
        )
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder: give the name of a new file, as '{path / 'model.onnx'}'.")
    if path.suffix != ".onnx":
        hint = " .pth is the usual name of a file that torch.save wrote." if path.suffix in (".pth", ".pt") else ""
        raise ValueError(
            f"'{path.name}' is to be an ONNX file, whose name ends in .onnx: take '{path.stem}.onnx'.{hint}"
        )
    if opset is not None and opset < OLDEST_OPSET:
        raise ValueError(
            f"opset={opset}: torch writes opset {OLDEST_OPSET} or newer; where it cannot turn that into {opset}, "
            f"{OLDEST_OPSET} stays in the file, and no error comes. Leave opset out, or give {OLDEST_OPSET} or more."
        )
    inputs = named_inputs(model, example)
    extras = tuple(name for name, wanted in zip(_EXTRAS, (hidden_states, attentions), strict=True) if wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    with evaluating(model), plain_attention(model, "attentions" in extras), torch.no_grad():
        flat = Flat(model, tuple(inputs), extras)
        with _explained(model):
            outputs = flat.names(inputs)
        axes = _axes(flat, inputs, changing)
        recorded = {name: _long_enough(value, axes[name]) for name, value in inputs.items()}
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
            made = Path(folder) / path.name
            with _explained(model):
                _record(flat, recorded, outputs, axes, made, opset, external=_bytes(model) > LARGEST)
            _describe(made, _asked(model, recorded, outputs, extras, axes), _growing(flat, recorded, axes))
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == made):  # the graph comes last
                file.replace(path.with_name(file.name))
    return path


def asked_of(model: Any) -> Asked | None:
    """What our metadata in an onnx.ModelProto say; None for a file of others."""
    found = next((entry.value for entry in model.metadata_props if entry.key == _KEY), None)
    if found is None:
        return None
    fields = json.loads(found)
    for name, value in fields["inputs"].items():
        fields["inputs"][name] = {**value, "changing": {int(axis): word for axis, word in value["changing"].items()}}
    return Asked(**{**fields, "outputs": tuple(fields["outputs"]), "extras": tuple(fields["extras"])})


# ----------------------------------------------------------------------------------------------- inputs and outputs


def named_inputs(model: nn.Module, example: Any) -> dict[str, Tensor]:
    """The example as named tensors.

    Raises:
        TypeError: no tensors.
        ValueError: more tensors than the forward method takes, a name that it does not know, or one that it needs.
    """
    parameters = inspect.signature(model.forward).parameters
    usual = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    anything = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    if isinstance(example, Mapping):
        found = dict(example)
    else:
        given = tuple(example) if isinstance(example, list | tuple) else (example,)
        if len(given) > len(usual):
            raise ValueError(
                f"The example has {len(given)} tensors, and {type(model).__name__}.forward takes {len(usual)}: "
                f"{', '.join(usual)}."
            )
        found = dict(zip(usual, given, strict=False))
    wrong = {name: type(value).__name__ for name, value in found.items() if not isinstance(value, Tensor)}
    if wrong or not found:
        what = ", ".join(f"{name} is a {kind}" for name, kind in wrong.items()) or "it is empty"
        raise TypeError(f"The example is to hold tensors, and {what}: leave out what is no tensor, or make it one.")
    unknown = [name for name in found if name not in parameters]
    if unknown and not anything:
        raise ValueError(f"{type(model).__name__}.forward has no argument {unknown[0]}; it takes {', '.join(usual)}.")
    needed = [
        n for n, p in parameters.items() if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    missing = [name for name in needed if name not in found]
    if missing:
        raise ValueError(
            f"{type(model).__name__}.forward also needs {', '.join(missing)}; the example has {', '.join(found)}. A graph "
            "records one call, so give everything that the call needs."
        )
    return found


class Flat(nn.Module):
    """A model with a tuple of tensors as its answer, whatever it answers with, since a graph knows tensors alone."""

    def __init__(self, model: nn.Module, inputs: Sequence[str], extras: Sequence[str] = ()) -> None:
        super().__init__()
        self.model = model
        self.inputs, self.extras = tuple(inputs), tuple(extras)
        accepted = inspect.signature(model.forward).parameters
        anything = any(p.kind == p.VAR_KEYWORD for p in accepted.values())
        self.switches = {f"output_{extra}": True for extra in extras if anything or f"output_{extra}" in accepted}

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The values in the order of the inputs' names."""
        return tuple(self.answer(dict(zip(self.inputs, values, strict=True))).values())

    def answer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every tensor of the answer by its name."""
        return _named("", self.model(**inputs, **self.switches))

    def names(self, inputs: Mapping[str, Tensor]) -> tuple[str, ...]:
        """What the outputs are called, found by a call.

        Raises:
            ValueError: the model fails, no tensors come back, or not the hidden states or attentions that were asked for.
        """
        kind = type(self.model).__name__
        try:
            found = tuple(self.answer(inputs))
        except (RuntimeError, LookupError) as error:  # torch's words for sizes, kinds of number and ids that do not fit
            shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items())
            said = str(error).strip().split("\n")[0]
            raise ValueError(
                f"{kind} does not run with the example, {shapes} ({said}): give what the model itself runs with."
            ) from error
        if not found:
            raise ValueError(f"{kind} answered without any tensor, so there is nothing to write.")
        for extra in self.extras:
            if not any(name.split(".")[0] == extra for name in found):
                raise ValueError(
                    f"{kind} gave no {extra} when asked for them; it gave {', '.join(found)}: ask without {extra}."
                )
        return found


def _named(name: str, value: Any) -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {name or "output": value}
    if isinstance(value, Mapping):
        parts = value.items()
    elif dataclasses.is_dataclass(value):
        parts = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    elif isinstance(value, list | tuple):
        parts = ((str(number) if name else f"output_{number}", each) for number, each in enumerate(value))
    else:
        return {}
    found: dict[str, Tensor] = {}
    for part, each in parts:
        found |= _named(f"{name}.{part}" if name else str(part), each)
    return found


# ---------------------------------------------------------------------------------------------------------- axes

Axes = dict[int, str]


def _axes(
    flat: Flat, inputs: Mapping[str, Tensor], changing: Mapping[str, Mapping[int, str]] | None
) -> dict[str, Axes]:
    """Which axes of which input change, and what they are called."""
    if changing is None:
        return _found_axes(flat, inputs)
    for name, axes in changing.items():
        if name not in inputs:
            raise ValueError(f"changing names an input {name!r}; the example has {', '.join(inputs)}.")
        for axis in axes:
            if not 0 <= axis < inputs[name].dim():
                raise ValueError(f"changing names axis {axis} of {name}, which has shape {tuple(inputs[name].shape)}.")
    return {name: dict(changing.get(name, {})) for name in inputs}


def _found_axes(flat: Flat, inputs: Mapping[str, Tensor]) -> dict[str, Axes]:
    """Found by trying: an axis may change if the model also runs when it is longer, in all inputs that share its size."""
    together: dict[tuple[int, int], list[str]] = {}
    for name, value in inputs.items():
        for axis, size in enumerate(value.shape):
            together.setdefault((axis, size), []).append(name)
    found: dict[str, Axes] = {name: {} for name in inputs}
    for (axis, _), names in together.items():
        whole = any(not inputs[name].is_floating_point() for name in names)
        word = _word(axis, whole or any(inputs[name].dim() == 3 for name in names))
        if any(word in axes.values() for axes in found.values()):  # another size: places in a text, beside its tokens
            word = f"{names[0]}_{axis}"
        longer = {n: torch.cat([v, v.narrow(axis, 0, 1)], dim=axis) if n in names else v for n, v in inputs.items()}
        if _runs(flat, longer):
            for name in names:
                found[name][axis] = word
        elif axis < 2 and whole:
            raise ExportError(
                f"{type(flat.model).__name__} runs with {', '.join(f'{n} {tuple(inputs[n].shape)}' for n in names)}, and "
                f"not with one more along axis {axis}, the {word}: its forward fixes that size. Take the size from the "
                "tensor, or say with `changing` which axes may change."
            )
    return found


def _word(axis: int, text: bool) -> str:
    return (
        ("batch", "tokens" if text else "axis_1", "axis_2" if text else "height", "width")[axis]
        if axis < 4
        else f"axis_{axis}"
    )


def _runs(flat: Flat, inputs: Mapping[str, Tensor]) -> bool:
    try:
        flat.answer(inputs)
    except Exception:  # whatever a model raises at a size that it does not take
        return False
    return True


def _long_enough(value: Tensor, axes: Axes) -> Tensor:
    """torch takes a size of 1 for a fixed one, so such an axis is doubled."""
    for axis in axes:
        if value.shape[axis] == 1:
            value = torch.cat([value, value], dim=axis)
    return value


# ------------------------------------------------------------------------------------------------------- recording


def _record(
    flat: Flat,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Axes],
    path: Path,
    opset: int | None,
    external: bool,
) -> None:
    shapes = tuple(dict(axes[name]) for name in inputs)
    with _quiet(), _fresh_recurrent_layers():
        torch.onnx.export(
            flat,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={"values": shapes},
            opset_version=opset,
            dynamo=True,
            external_data=external,
            verbose=False,
        )


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; every part goes back to the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextlib.contextmanager
def plain_attention(model: nn.Module, wanted: bool) -> Iterator[None]:
    """transformers' fast attention returns no weights; its plain ("eager") one does."""
    switch = getattr(model, "set_attn_implementation", None)
    before = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if not wanted or switch is None or before == "eager":
        yield
        return
    switch("eager")
    try:
        yield
    finally:
        switch(before or "sdpa")


@contextlib.contextmanager
def _fresh_recurrent_layers() -> Iterator[None]:
    """torch exchanges the LSTM for a loop while it records, and remembers the exchange wrongly from the second time on.

    Then the length would become fixed (seen in torch 2.13). Forgetting what it remembers, before and after, prevents it.
    """

    def forget() -> None:
        for operation in (torch.ops.aten.lstm.input, torch.ops.aten.gru.input):
            with contextlib.suppress(AttributeError):
                operation._dispatch_cache.clear()

    forget()
    try:
        yield
    finally:
        forget()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter warns of packages that nobody asked for and of its own future, and prints graphs when it fails."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    silent = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _explained(model: nn.Module) -> Iterator[None]:
    """torch's errors, some pages long, as a sentence."""
    from torch.onnx.errors import OnnxExporterError

    try:
        yield
    except OnnxExporterError as error:
        raise ExportError(f"{type(model).__name__} cannot be written as an ONNX graph: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    for cause in chain:
        text, kind = str(cause), type(cause).__name__
        if kind == "DispatchError" or "No ONNX function found" in text or "No decompositions registered" in text:
            found = re.search(r"op='([\w.:]+)'", text) or re.search(r"\b((?:aten|prims)[.:]{1,2}\w+)", text)
            name = f" {found[1].replace('::', '.')}" if found else " in question"
            return f"the operation{name} has no counterpart in ONNX. Write that part with other operations."
        if "GuardOnDataDependent" in kind or "data-dependent" in text.lower():
            return (
                "its forward takes a branch that depends on the numbers in a tensor (an `if`, a loop, .item(), .tolist()), "
                "and a graph has one path. Use torch.where, or take the branch outside the model."
            )
        if (
            "but your code specialized it" in text
            or "conflicts between user-specified ranges" in text
            or "inferred a static shape" in text
        ):
            return (
                "its forward fixes a size that is to change: the number of tokens or texts stands in it as a number (a view, a "
                "reshape, a table of that length). Take the size from the tensor, or say with `changing` which axes may change."
            )
    last = chain[-1]
    return f"{type(last).__name__}: {str(last).strip().splitlines()[0] if str(last).strip() else 'no reason given'}"


# --------------------------------------------------------------------------------------------------------- metadata


def _bytes(model: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))


def _asked(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    extras: Sequence[str],
    axes: Mapping[str, Axes],
) -> Asked:
    config = getattr(model, "config", None)
    config = config.to_dict() if hasattr(config, "to_dict") else getattr(model, "card", None) or {}
    return Asked(
        type(model).__name__,
        {
            name: {
                "low": value.min().item(),
                "high": value.max().item(),
                "changing": axes[name],
            }
            for name, value in inputs.items()
        },
        tuple(outputs),
        tuple(extras),
        json.loads(json.dumps(config, default=str)),
        weights_sha256(model),
        {name: version(name) for name in ("bert-course", "torch", "onnx", "transformers")},
    )


def _growing(flat: Flat, inputs: Mapping[str, Tensor], axes: Mapping[str, Axes]) -> dict[str, Axes]:
    """The axes of the outputs that change with those of the inputs, by trying, and what they are called."""
    before = flat.answer(inputs)
    found: dict[str, Axes] = {name: {} for name in before}
    for word in {word for each in axes.values() for word in each.values()}:
        longer, size = dict(inputs), 0
        for name, each in axes.items():
            for axis in (axis for axis, called in each.items() if called == word):
                size = inputs[name].shape[axis]
                longer[name] = torch.cat([longer[name], longer[name].narrow(axis, 0, 1)], dim=axis)
        for name, value in flat.answer(longer).items():
            for axis, (one, other) in enumerate(zip(before[name].shape, value.shape, strict=True)):
                if one != other:
                    found[name][axis] = word if one == size else f"{name}_{axis}"
    return found


def _describe(path: Path, asked: Asked, growing: Mapping[str, Axes]) -> None:
    """Write our metadata into the file; take out where on this computer each operation was recorded, and the wrapper.

    Sizes of outputs that change are declared so: of some, as an LSTM's, torch writes that of the example.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    entry = model.metadata_props.add()
    entry.key, entry.value = _KEY, json.dumps(dataclasses.asdict(asked), ensure_ascii=False)
    model.doc_string = f"{asked.model}, written by the BERT course"
    for node in model.graph.node:
        for number in reversed(range(len(node.metadata_props))):
            if node.metadata_props[number].key in _OF_THIS_COMPUTER:
                del node.metadata_props[number]
    _forget_wrapper(model.graph)
    for value in model.graph.output:
        for axis, word in growing.get(value.name, {}).items():
            if axis < len(dims := value.type.tensor_type.shape.dim) and dims[axis].HasField("dim_value"):
                dims[axis].dim_param = word
    onnx.save(model, str(path))


def _forget_wrapper(graph: Any) -> None:
    """Weights and modules under the names that they have in the model itself, without the `model` of `Flat` in front."""
    weights = {tensor.name for tensor in graph.initializer}
    taken = weights | {value.name for value in graph.input} | {name for node in graph.node for name in node.output}
    new = {name: name.removeprefix("model.") for name in weights if name.removeprefix("model.") not in taken}
    for tensor in graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for value in graph.value_info:
        value.name = new.get(value.name, value.name)
    for node in _all_nodes(graph):
        node.input[:] = [new.get(name, name) for name in node.input]
        properties = {entry.key: entry for entry in node.metadata_props}
        scopes = ast.literal_eval(properties[SCOPES].value) if SCOPES in properties else []
        if scopes[:2] != ["", "model"]:
            continue
        properties[SCOPES].value = repr(["", *(scope.removeprefix("model.") for scope in scopes[2:])])
        if found := properties.get(CLASSES):
            found.value = repr(ast.literal_eval(found.value)[1:])
        if found := properties.get("namespace"):
            found.value = re.sub(r"/model\.", "/", re.sub(r"^: [^/]+/model: ", ": ", found.value))


def _all_nodes(graph: Any) -> Iterator[Any]:
    """The operations of a graph and of the graphs inside them, as those of a loop."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _all_nodes(inner)
