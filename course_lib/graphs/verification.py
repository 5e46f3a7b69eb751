"""Does the graph compute what the model computes? `verify_onnx(path, model)`.

The file is checked by ONNX's own checker. Then onnxruntime and PyTorch answer the same inputs: several batch sizes and
lengths, with padding. Each output may differ by the tolerance. That finds a graph that is secretly of one size, or one
that lost an input. It cannot find dropout that was recorded in training mode: onnxruntime takes it out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.checkpoint import weights_sha256
from course_lib.errors import DataError
from course_lib.graphs.export import Asked, Flat, asked_of, evaluating, named_inputs, plain_attention
from course_lib.graphs.onnx_files import read_onnx
from course_lib.graphs.running import OnnxModel
from course_lib.plots import Table

TOLERANCE = 1e-4  # of a number of size 1; larger numbers may differ by as much more
_WHOLE = (6, 7)  # int32 and int64 in ONNX: ids, so texts, which have many lengths
_FURTHER = 16  # tokens more, for a second try
SIZES = ((2, 7), (1, 3), (3, 1), (4, 30))  # batch, tokens


@dataclass(frozen=True)
class Verification:
    """What `verify_onnx` found; true if all is well."""

    path: Path
    tolerance: float
    max_difference: dict[str, float]  # of each output, over all shapes
    shapes: tuple[tuple[int, ...], ...]  # of the first input, each time
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """No problem was found."""
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        shapes = ", ".join(map(str, self.shapes))
        head = f"{self.path.name}: {'the same as the model' if self.ok else 'not the same as the model'}"
        tried = f"tried with {shapes}; tolerance {self.tolerance:g}" if self.shapes else "nothing could be tried"
        lines = [f"{head} ({tried})", *(f"  {name}: {each:.1e} at most" for name, each in self.max_difference.items())]
        return "\n".join([*lines, *(f"- {problem}" for problem in self.problems)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [[name, f"{each:.1e}"] for name, each in self.max_difference.items()]
        words = "".join(f"<p>{line}</p>" for line in (str(self).split("\n")[0], *self.problems))
        return words + Table(["output", "largest difference"], rows, right=(1,))._repr_html_()


def verify_onnx(
    path: str | os.PathLike,
    model: nn.Module,
    example: Any = None,
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Verification:
    """Compare an ONNX file with the model that it was made of.

    Args:
        path: the .onnx file.
        model: with the same weights; it is run in evaluation mode, and left in the mode that it was in.
        example: as in `export_onnx`; needed for files that `export_onnx` did not write. Inputs are drawn between its
            smallest and largest number.
        tolerance: how far an output may differ, for numbers up to 1; for larger ones, as a share of the largest.
        seed: of the inputs.

    Raises:
        DataError: not an ONNX file, or a damaged one.
        ValueError: an example is needed.
    """
    import onnx

    path = Path(path)
    read = read_onnx(path)
    asked = asked_of(read)
    problems = []
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # a class for each kind of fault
        problems.append(f"ONNX's checker refuses the file: {str(error).strip().splitlines()[0]}")
    if asked is None and example is None:
        raise ValueError(f"{path.name} was not written by export_onnx, so what it takes is not known: give an example.")
    ranges = (
        {
            name: (value.min().item(), value.max().item(), value.dtype)
            for name, value in named_inputs(model, example).items()
        }
        if example is not None
        else {name: (value["low"], value["high"], None) for name, value in asked.inputs.items()}  # type: ignore[union-attr]
    )
    problems += _static(read, asked, ranges)
    if asked is not None and asked.weights_sha256 != weights_sha256(model):
        problems.append("The file was made of other weights than this model has: export it again.")
    runtime = OnnxModel(path)
    lost = [name for name in ranges if name not in runtime.inputs]
    if lost:
        problems.append(f"The graph has no input {', '.join(lost)}: whatever is given there changes nothing.")
    extras = asked.extras if asked else ()
    shapes: list[tuple[int, ...]] = []
    differences: dict[str, float] = {}
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model), plain_attention(model, "attentions" in extras), torch.no_grad():
        flat = Flat(model, tuple(ranges), extras)
        for batch, tokens in SIZES:
            for length in (tokens, tokens + _FURTHER):
                inputs = {
                    n: _drawn(n, read, low, high, batch, length, generator) for n, (low, high, _) in ranges.items()
                }
                try:
                    want = flat.answer(inputs)
                except (ValueError, IndexError, RuntimeError):
                    continue  # longer than the model takes; or too short, where an input holds places in a text
                break
            else:
                continue
            shape = tuple(next(iter(inputs.values())).shape)
            if shape in shapes:
                continue
            shapes.append(shape)
            try:
                got = runtime(**{name: value for name, value in inputs.items() if name in runtime.inputs})
            except DataError as error:
                problems.append(f"{error} The model itself does.")
                continue
            problems += _compared(want, got, shape, tolerance, differences)
    if not shapes:
        problems.append(
            "The model itself ran with none of the inputs that were tried: give an example that it runs with."
        )
    return Verification(path, tolerance, differences, tuple(shapes), tuple(dict.fromkeys(problems)))


def _compared(
    want: Mapping[str, Tensor],
    got: Mapping[str, Tensor],
    shape: tuple[int, ...],
    tolerance: float,
    found: dict[str, float],
) -> list[str]:
    problems = []
    pairs = [(name, want[name], got[name]) for name in want if name in got]
    if not pairs:  # a file of others, with other names
        pairs = list(zip(want, want.values(), got.values(), strict=False))
    missing = [name for name in want if name not in {name for name, *_ in pairs}]
    if missing:
        problems.append(f"The graph does not give {', '.join(missing)}, which the model gives.")
    for name, ours, theirs in pairs:
        if ours.shape != theirs.shape:
            problems.append(
                f"{name} has shape {tuple(theirs.shape)} from the graph and {tuple(ours.shape)} from the model, for inputs of {shape}."
            )
            continue
        difference = (ours.double() - theirs.double()).abs().max().item() if ours.numel() else 0.0
        size = max(1.0, ours.double().abs().max().item()) if ours.numel() else 1.0
        found[name] = max(found.get(name, 0.0), difference)
        if not difference <= tolerance * size:  # nan is no small difference
            problems.append(
                f"{name} differs by {difference:.2g} for inputs of {shape}; {tolerance * size:.2g} would do."
            )
    return problems


def _static(read: Any, asked: Asked | None, ranges: Mapping[str, Any]) -> list[str]:
    """Is the batch, or the length, of an input fixed?"""
    fixed = []
    for value in read.graph.input:
        if value.name not in ranges:
            continue
        dims = value.type.tensor_type.shape.dim
        wanted = {0: "batch", 1: "tokens"} if value.type.tensor_type.elem_type in _WHOLE else {0: "batch"}
        if asked and value.name in asked.inputs:
            wanted = asked.inputs[value.name]["changing"]
        for axis, word in wanted.items():
            if axis < len(dims) and not dims[axis].dim_param:
                fixed.append(f"the {word} of {value.name} to {dims[axis].dim_value}")
    return [f"The graph fixes {', '.join(fixed)}: it takes no other size. Export it with export_onnx."] if fixed else []


def _drawn(
    name: str, read: Any, low: float, high: float, batch: int, tokens: int, generator: torch.Generator
) -> Tensor:
    """Numbers for one input, in the graph's shape: a mask with padding behind each text, ids, or floating numbers."""
    import onnx

    value = next((each for each in read.graph.input if each.name == name), None)
    sizes, kind = [batch, tokens], torch.int64
    if value is not None:
        tensor = value.type.tensor_type
        named = {"batch": batch, "tokens": tokens}
        sizes = [
            named.get(dim.dim_param, (batch, tokens)[axis] if axis < 2 else tokens + 8)
            if dim.dim_param
            else dim.dim_value
            for axis, dim in enumerate(tensor.shape.dim)
        ]
        kind = torch.from_numpy(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).type(0).reshape(1)).dtype
    if "mask" in name and not kind.is_floating_point and len(sizes) == 2:
        lengths = torch.randint(1, sizes[1] + 1, (sizes[0], 1), generator=generator)
        lengths[0] = sizes[1]
        return (torch.arange(sizes[1]) < lengths).to(kind)
    if kind.is_floating_point:
        return (low + (high - low) * torch.rand(sizes, generator=generator)).to(kind)
    return torch.randint(int(low), int(high) + 1, sizes, generator=generator).to(kind)
