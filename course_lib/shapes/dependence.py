"""Which example depends on which: change one row of the inputs and see what else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from course_lib.shapes.batches import Batch, mixed_lengths, pad, perturb_column, perturb_row, take_rows
from course_lib.shapes.findings import Finding
from course_lib.shapes.recording import Op, Record, Runner
from course_lib.shapes.structure import _SOFTMAXES, _VIEWS

Confined = Callable[[Tensor], bool]


@dataclass
class Difference:
    """The largest change of an output where none should be."""

    name: str
    size: float
    before: float
    after: float
    index: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}{list(self.index)} goes from {self.before:.5g} to {self.after:.5g}"


def changed(a: Tensor, b: Tensor, tolerance: float) -> Tensor:
    """Where two tensors of the same shape differ by more than rounding."""
    if not a.is_floating_point():
        return a != b
    a, b = a.double(), b.double()
    finite = a[a.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 1.0
    odd = a.isnan() != b.isnan()
    difference = (a - b).abs().nan_to_num(0.0)
    return (difference > tolerance * max(scale, 1e-3)) | odd


def within_row(mask: Tensor, rows: int, row: int) -> bool:
    """Whether all that changed belongs to one example, wherever the batch is in this tensor."""
    if not bool(mask.any()):
        return True
    candidates = 0
    for d, size in enumerate(mask.shape):
        if size % rows:
            continue
        candidates += 1
        shape = mask.shape
        for split in ((rows, size // rows), (size // rows, rows)):
            parts = mask.reshape(*shape[:d], *split, *shape[d + 1 :])
            at = d if split[0] == rows else d + 1
            touched = parts.movedim(at, 0).reshape(rows, -1).any(1)
            if bool(touched[row]) and int(touched.sum()) == 1:
                return True
    if candidates == 0:
        return mask.numel() == 1  # a single number about the whole batch, such as its longest length
    return _pairwise(mask, rows, row)


def _pairwise(mask: Tensor, rows: int, row: int) -> bool:
    """All pairs of examples, (B, B): row and column of the changed one."""
    places = [d for d, size in enumerate(mask.shape) if size == rows]
    if len(places) < 2:
        return False
    rest = mask.movedim((places[0], places[1]), (0, 1)).reshape(rows, rows, -1).any(-1)
    rest = rest.clone()
    rest[row], rest[:, row] = False, False
    return not bool(rest.any())


def leaks(runner: Runner, batch: Batch) -> list[Finding]:
    """Predictions that depend on their neighbours in the batch."""
    base = runner.plain(batch)
    shaped = [(n, t) for n, t in base.floats if t.dim()]
    if batch.rows is None or batch.rows < 2 or not shaped:
        return []
    if all(batch.rows not in t.shape and not any(s % batch.rows == 0 for s in t.shape) for _, t in shaped):
        return _no_batch(runner, batch, shaped)
    return _leaks(runner, batch, batch, perturb_row) or _leaks_by_length(runner, batch)


def _leaks_by_length(runner: Runner, batch: Batch) -> list[Finding]:
    """The same with texts of many lengths: who sorts by length, and forgets to sort back, mixes up only these."""
    if batch.told_by is None or batch.tokens is None or batch.tokens < 3:
        return []
    lengths = mixed_lengths(batch)

    def change(padded: Batch, row: int) -> Batch:
        return pad(perturb_row(padded, row), lengths, batch.tokens)

    padded = pad(batch, lengths, batch.tokens)
    try:
        runner.plain(padded)
        return _leaks(runner, batch, padded, change)
    except Exception:  # a model that does not take these lengths
        return []


def settled(runner: Runner, batch: Batch) -> Batch:
    """The batch, marked where the model does not take other contents than those of whole examples, such as boxes.

    The model sees another batch after this one, which a model that remembers will show.
    """
    if batch.rows is None:
        return batch
    runner.plain(batch)
    try:
        runner.run(perturb_row(batch, 0))
    except Exception:  # then only what is known to be valid may be exchanged
        return replace(batch, strict=True)
    return batch


def _leaks(runner: Runner, whole: Batch, batch: Batch, change: Callable[[Batch, int], Batch]) -> list[Finding]:
    base, last = runner.plain(batch), batch.rows - 1
    witness = _witness(batch)
    everywhere = batch
    for row in range(batch.rows):
        if row != witness:
            everywhere = change(everywhere, row)
    worst_of_all = _at_row(runner, batch, everywhere, witness)
    # Nothing reaches this example from all the others; does it reach them? It may hold the largest number of all.
    for row in (witness,) if batch.rows >= 5 and worst_of_all is None else (0, last, witness):
        other = change(batch, row)
        after = runner.run(other)
        worst = _worst_outside(base.floats, after.floats, batch.rows, row, runner.tolerance)
        if worst is None:
            continue
        if _is_time_first(runner, whole):
            return []
        op, module = _first(runner, batch, other, lambda mask, row=row: within_row(mask, batch.rows, row))
        return [_leak(op, module, worst, row, batch)]
    if not isinstance(worst_of_all, Difference) or _is_time_first(runner, whole):
        return []
    op, module = _first(runner, batch, everywhere, lambda mask: _leaves_row(mask, batch.rows, witness))
    return [_leak(op, module, worst_of_all, None, batch)]


def _witness(batch: Batch) -> int:
    """An example whose place changes when the batch is sorted by length, whichever way."""
    lengths = batch.lengths or []
    for row, n in enumerate(lengths):
        place = sum(other < n for other in lengths)
        if row > 0 and row not in (place, len(lengths) - 1 - place):
            return row
    return 1


def _at_row(runner: Runner, batch: Batch, other: Batch, row: int) -> Difference | str | None:
    """How this example's answer changes when only others' contents do; a word where that cannot be said."""
    for (name, a), (_, b) in zip(runner.plain(batch).floats, runner.run(other).floats, strict=False):
        if a.shape != b.shape or list(a.shape).count(batch.rows) != 1:
            return "no telling"
        mask = torch.zeros_like(a, dtype=torch.bool)
        at = a.shape.index(batch.rows)
        mask.select(at, row).copy_(changed(a, b, runner.tolerance).select(at, row))
        found = _difference(name, a, b, mask)
        if found is not None:
            return found
    return None


def _leaves_row(mask: Tensor, rows: int, row: int) -> bool:
    """Whether nothing that changed belongs to this example; True also where that cannot be said."""
    if list(mask.shape).count(rows) != 1:
        return mask.dim() == 0 or not bool(mask.all())
    return not bool(mask.select(mask.shape.index(rows), row).any())


def _worst_outside(before: list, after: list, rows: int, row: int, tolerance: float) -> Difference | None:
    worst = None
    for (name, a), (_, b) in zip(before, after, strict=False):
        if a.shape != b.shape or not a.dim():
            continue
        mask = changed(a, b, tolerance)
        if within_row(mask, rows, row) or (rows not in a.shape and not any(s % rows == 0 for s in a.shape)):
            continue
        if rows in a.shape:
            at = a.shape.index(rows)
            mask = mask.clone()
            mask.select(at, row).fill_(False)
        found = _difference(name, a, b, mask)
        if found is not None and (worst is None or found.size > worst.size):
            worst = found
    return worst


def _difference(name: str, a: Tensor, b: Tensor, mask: Tensor) -> Difference | None:
    if not bool(mask.any()):
        return None
    a, b = a.detach(), b.detach()
    gap = ((a - b).abs().nan_to_num(float("inf")) * mask).nan_to_num(0.0).double()
    place = int(gap.argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(place), a.shape))
    return Difference(name, float(gap.max()), float(a[index]), float(b[index]), index)


def _first(runner: Runner, batch: Batch, other: Batch, confined: Confined) -> tuple[Op | None, str | None]:
    """The first call whose result is not confined, although everything before it was."""
    one, two = Record(), Record()
    runner.run(batch, one, keep=True)
    runner.run(other, two, keep=True)
    if not (one.complete and two.complete):
        return None, None
    for a, b in zip(one.ops, two.ops, strict=False):
        if a.name != b.name or a.kept is None or b.kept is None:
            break
        for x, y in zip(a.kept, b.kept, strict=False):
            if x.shape != y.shape:
                return a, a.module
            if not confined(changed(x, y, runner.tolerance)):
                return a, a.module
    return None, None


def _leak(op: Op | None, module: str | None, worst: Difference, row: int | None, batch: Batch) -> Finding:
    if row is None:
        seen = f"with other content in all of the {batch.rows} examples but one, {worst}, which belongs to that one"
    else:
        seen = (
            f"with other content in example {row} alone, {worst}, which belongs to another example of the {batch.rows}"
        )
    evidence: dict[str, Any] = {"changed_row": row, "before": worst.before, "after": worst.after, "index": worst.index}
    if op is None:
        return Finding("batch_leak", module, f"{seen[0].upper()}{seen[1:]}.", evidence)
    evidence |= {"operation": op.name, "place": op.place}
    layer = batch_first_layer(op)
    if layer:
        return Finding("batch_first", module, f"{layer} reads dimension 0 as the tokens (batch_first=False) and gets {_shape_of(op)}, where dimension 0 is the batch: {seen}. Build the layer with batch_first=True.", evidence)  # fmt: skip
    if op.name in _SOFTMAXES and list(_shape_of(op)).count(batch.rows) == 1:
        return Finding("softmax_dimension", module, f"{op.name}{op.where} mixes the examples of a batch: {seen}. Choose the dimension of what competes, not the batch.", evidence)  # fmt: skip
    if op.name in _VIEWS:
        return Finding("view_for_permute", module, f"{op.name}{op.where} mixes the examples of a batch: {seen}. Swap with permute or transpose first.", evidence)  # fmt: skip
    if op.name == "batch_norm":
        why = f"batch_norm{op.where} uses the statistics of the batch in evaluation mode: {seen}. Keep running statistics (track_running_stats=True, training=self.training)."  # fmt: skip
    else:
        why = f"{op.name}{op.where} mixes the examples of a batch: {seen}. Let it work along another dimension than the batch."  # fmt: skip
    return Finding("batch_leak", module, why, evidence)


_RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}


def batch_first_layer(op: Op) -> str | None:
    """The kind of layer, if the call is of one that has a batch_first and reads the tokens from dimension 0."""
    names = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
    if op.name in _RECURRENT:
        if isinstance(op.args[1], Tensor) and op.args[1].dim() == 1:
            return None  # a packed sequence: its order is its own
        first = op.args[-1] if op.args and isinstance(op.args[-1], bool) else None
        return None if first else names[op.name]
    return "MultiheadAttention" if op.name == "multi_head_attention_forward" else None


def _shape_of(op: Op) -> tuple[int, ...]:
    return tuple(op.tensors()[0].shape)


# --- time first, on purpose ----------------------------------------------------------------------------------------


def _is_time_first(runner: Runner, batch: Batch) -> bool:
    """Whether the batch is dimension 1, as torch's recurrent layers have it by default, and all is well then."""
    if batch.tokens is None or batch.tokens == batch.rows:
        return False
    if any(leaf.role in ("mask", "length", "label") for leaf in batch.leaves):
        return False  # they are (B, ...), so the batch is dimension 0
    base = runner.plain(batch)
    shaped = [t for _, t in base.floats if t.dim()]
    content = [leaf for leaf in batch.leaves if leaf.role == "content"]
    if not all(batch.tokens in t.shape for t in shaped) or any(leaf.tensor.dim() < 2 for leaf in content):
        return False
    keeps_both = all(batch.rows in t.shape for t in shaped)
    if (
        keeps_both
        and not type(runner.model).__module__.startswith("torch.nn.modules.")
        and not _counts_rows(runner, batch)
    ):
        return False  # an answer for each of (B, T): both readings are possible, and the batch comes first today
    for column in (0, batch.tokens - 1):
        after = runner.run(perturb_column(batch, column))
        for (_, a), (_, b) in zip(base.floats, after.floats, strict=True):
            if a.shape != b.shape or not within_row(changed(a, b, runner.tolerance), batch.tokens, column):
                return False
    return True


def _counts_rows(runner: Runner, batch: Batch) -> bool:
    """Whether something is added along dimension 0, the same for all of dimension 1: positions of tokens."""
    record = Record()
    runner.run(batch, record)
    for op in record.ops:
        shapes = [tuple(t.shape[:2]) for t in op.tensors() if t.dim() == 3]
        if op.name.strip("_") in ("add", "radd", "iadd") and set(shapes) >= {
            (batch.rows, 1),
            (batch.rows, batch.tokens),
        }:
            return True
    return False


def _no_batch(runner: Runner, batch: Batch, shaped: list) -> list[Finding]:
    if all(t.dim() == 0 for _, t in shaped) or _is_time_first(runner, batch):
        return []
    if not any(_depends(runner, batch, row) for row in (0, batch.rows - 1)):
        return []
    confined = lambda mask: within_row(mask, batch.rows, 0)  # noqa: E731
    op, module = _first(runner, batch, perturb_row(batch, 0), confined)
    shapes = ", ".join(f"{n} {tuple(t.shape)}" for n, t in shaped[:4])
    evidence = {"rows": batch.rows, "shapes": [tuple(t.shape) for _, t in shaped]}
    layer = batch_first_layer(op) if op else None
    if layer:
        return [Finding("batch_first", module, f"{layer} reads dimension 0 as the tokens (batch_first=False) and gets {_shape_of(op)}, where dimension 0 is the batch of {batch.rows}; what comes out, {shapes}, has no dimension for the batch. Build the layer with batch_first=True.", evidence)]  # fmt: skip
    place = f" {op.name}{op.where} is the first to mix the examples." if op else ""
    return [Finding("batch_leak", module, f"What comes out, {shapes}, has no dimension for the batch of {batch.rows}, and all of it depends on every example.{place}", evidence)]  # fmt: skip


def _depends(runner: Runner, batch: Batch, row: int) -> bool:
    before, after = runner.plain(batch).floats, runner.run(perturb_row(batch, row)).floats
    return any(bool(changed(a, b, runner.tolerance).any()) for (_, a), (_, b) in zip(before, after, strict=False) if a.dim() and a.shape == b.shape)  # fmt: skip


# --- a batch of one ------------------------------------------------------------------------------------------------


def batch_of_one(runner: Runner, batch: Batch) -> list[Finding]:
    """A single example must give the same answer, in the same number of dimensions, as inside a batch."""
    if batch.rows is None or batch.rows < 2:
        return []
    found = _alone(runner, batch)
    return [] if found and _is_time_first(runner, batch) else found


def _alone(runner: Runner, batch: Batch) -> list[Finding]:
    base = runner.plain(batch)
    single = take_rows(batch, [1])  # not the first: what is added by the place in the batch shows
    record = Record()
    try:
        alone = runner.run(single, record)
    except Exception as error:
        if _asks_for_more_rows(error):
            return []  # a batch norm that uses the batch in evaluation mode: the leak is reported
        op = _first_shape_change(runner, batch, record)
        said = f"{type(error).__name__}: {_short(error)}"
        if op is None:
            return [Finding("batch_of_one", None, f"A batch of {batch.rows} runs, a batch of one raises {said}.", {"error": str(error)})]  # fmt: skip
        return [Finding("batch_of_one", op.module, f"A batch of {batch.rows} runs, a batch of one raises {said}, after {op.name}{op.where} gave {_result_shape(op)}. A squeeze without a dimension also removes the batch when it is one: name the dimension.", {"error": str(error)})]  # fmt: skip
    found = []
    for (name, many), (_, one) in zip(base.floats, alone.floats, strict=False):
        expected = tuple(1 if s == batch.rows else s for s in many.shape)
        if batch.rows not in many.shape or tuple(one.shape) == expected:
            continue
        if len(one.shape) == len(expected):
            continue  # another number of tokens, for example: the longest of the batch
        op = _first_shape_change(runner, batch, record)
        where = f" The first call to lose it is {op.name}{op.where}." if op else ""
        found.append(Finding("batch_of_one", op.module if op else None, f"{name} is {tuple(many.shape)} for a batch of {batch.rows} and {tuple(one.shape)} for a batch of one, not {expected}: the batch is lost.{where} Name the dimension to squeeze.", {"batch": tuple(many.shape), "one": tuple(one.shape), "expected": expected}))  # fmt: skip
        break
    if found or len(base.floats) != len(alone.floats):
        return found
    return _other_answer(runner, batch, base.floats, alone.floats)


def _other_answer(runner: Runner, batch: Batch, many: list, one: list) -> list[Finding]:
    for (name, a), (_, b) in zip(many, one, strict=True):
        difference = _own_difference(name, a, b, batch.rows, runner.tolerance)
        if difference is None:
            continue
        op = _first_apart(runner, batch)
        where = f"; the first call to differ is {op.name}{op.where}" if op else ""
        evidence = {"before": difference.before, "after": difference.after} | ({"place": op.place} if op else {})
        return [Finding("batch_leak", op.module if op else None, f"Example 1 alone gets another answer than as the second of {batch.rows}: {difference}{where}. Something is added or chosen by the place in the batch, as by positions that are counted along dimension 0.", evidence)]  # fmt: skip
    return []


def _own_difference(name: str, many: Tensor, one: Tensor, rows: int, tolerance: float) -> Difference | None:
    """How the second example of a batch differs from the same example alone."""
    if not many.is_floating_point() or list(many.shape).count(rows) != 1:
        return None
    mine = many.narrow(many.shape.index(rows), 1, 1)
    return _difference(name, mine, one, changed(mine, one, tolerance)) if mine.shape == one.shape else None


def _first_apart(runner: Runner, batch: Batch) -> Op | None:
    many, one = Record(), Record()
    runner.run(batch, many, keep=True)
    runner.run(take_rows(batch, [1]), one, keep=True)
    for a, b in zip(many.ops, one.ops, strict=False):
        if a.name != b.name:
            return None
        for x, y in zip(a.kept or [], b.kept or [], strict=False):
            if _own_difference("", x, y, batch.rows, runner.tolerance) is not None:
                return b
    return None


def _first_shape_change(runner: Runner, batch: Batch, single: Record) -> Op | None:
    """The first call whose result has fewer dimensions for one example than for a batch."""
    full = Record()
    runner.run(batch, full)
    for a, b in zip(full.ops, single.ops, strict=False):
        if a.name != b.name:
            return b
        if isinstance(a.result, Tensor) and isinstance(b.result, Tensor) and a.result.dim() != b.result.dim():
            return b
    return None


def _asks_for_more_rows(error: BaseException) -> bool:
    walk = error.__traceback__
    while walk is not None:
        if walk.tb_frame.f_code.co_name == "_verify_batch_size":
            return True
        walk = walk.tb_next
    return False


def _result_shape(op: Op) -> tuple[int, ...] | None:
    return tuple(op.result.shape) if isinstance(op.result, Tensor) else None


def _short(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else ""
