"""Padding and masks: the same texts with more padding behind them must get the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor

from course_lib.shapes import masks
from course_lib.shapes.batches import Batch, mask_words, masked, pad, take_rows
from course_lib.shapes.dependence import Difference, _difference, changed
from course_lib.shapes.findings import Finding
from course_lib.shapes.recording import ATTENTIONS, Op, Record, Runner
from course_lib.shapes.structure import _SOFTMAXES

_LENGTHS = (7, 3, 5, 6, 2, 4)
_ATTENDING = {*_SOFTMAXES, *ATTENTIONS, "matmul", "bmm", "einsum", "baddbmm", "__matmul__"}
_RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell"}


def padding(runner: Runner, batch: Batch) -> list[Finding]:
    """Answers that depend on the amount, or the content, of padding."""
    by = batch.told_by
    if by is None or batch.rows is None:
        return []
    short, long = _pair(runner, batch)
    if short is None:
        return []
    mixed, worst = short, _compare(runner, short, long)
    if worst is None and by == "mask" and short.tokens != long.tokens:
        # The amount of padding does not matter. Then its content must not matter to whatever lets tokens see each other,
        # and to nothing at all in a model that takes a mask without using it.
        noisy = pad(batch, short.lengths, short.tokens, noise=3)
        worst = _compare(runner, short, noisy)
        if worst is not None:
            op = _culprit(runner, short, noisy)
            if not _attends(op, short) and _influence(runner, batch, short) > 0:
                worst = None  # a window at the edge of a text sees the first columns of padding, and that is all
            else:
                long = noisy
    if worst is None and by != "id":
        short, long, worst = _with_and_without(runner, batch, short, long)
    if worst is None:
        return _beside_longer_texts(runner, mixed)
    influence = _influence(runner, batch, short) if by == "mask" else None
    op = _culprit(runner, short, long)
    return [_explain(runner, by, influence, worst, op, short, long, batch)]


def _pair(runner: Runner, batch: Batch) -> tuple[Batch | None, Batch | None]:
    """Twice the same texts, with little and with much padding, or, at a fixed length, with other content in it."""
    rows, have = batch.rows, batch.tokens
    square = any(leaf.role == "square" or (leaf.role == "mask" and leaf.tensor.dim() > 2 and leaf.real is None) for leaf in batch.leaves)  # fmt: skip
    sizes = [(11, 17), (11, 13), (7, 11), (7, 13), (5, 7)]
    if square:
        sizes = [(a, b) for a, b in sizes if b <= have]
    for few, many in sizes:
        if rows in (few, many):
            few, many = few + 2, many + 2
        lengths = [max(1, min(_LENGTHS[i % len(_LENGTHS)], few - 4)) for i in range(rows)]
        try:
            pair = (pad(batch, lengths, few), pad(batch, lengths, many))
            for one in pair:
                runner.plain(one)
            return pair
        except Exception:  # this length does not fit the model: too few positions, or a fixed length
            continue
    lengths = [max(1, min(have - 2, _LENGTHS[i % len(_LENGTHS)])) for i in range(rows)]
    try:
        pair = (pad(batch, lengths, have), pad(batch, lengths, have, noise=3))
        for one in pair:
            runner.plain(one)
        return pair
    except Exception:
        return None, None


def _with_and_without(
    runner: Runner, batch: Batch, short: Batch, long: Batch
) -> tuple[Batch, Batch, Difference | None]:
    """No padding at all against some: zeros at padding can still win a maximum."""
    record = Record()
    runner.run(short, record)
    if any(op.name.startswith(("conv", "max_pool", "avg_pool", "unfold")) for op in record.ops):
        return short, long, None  # a window at the edge of a text may well see what is behind it
    length = min(5, batch.tokens)
    try:
        bare = pad(batch, [length] * batch.rows, length)
        more = pad(batch, [length] * batch.rows, length + 4)
        return bare, more, _compare(runner, bare, more)
    except Exception:  # a fixed length
        return short, long, None


def _beside_longer_texts(runner: Runner, short: Batch) -> list[Finding]:
    """A short text alone against the same one beside longer ones: who cuts to the longest text pads the others."""
    row = min(range(short.rows), key=lambda i: short.lengths[i])
    n = short.lengths[row]
    many, one = Record(), Record()
    try:
        alone = runner.run(take_rows(short, [row]), one, keep=True)
    except Exception:  # a batch of one is looked at elsewhere
        return []
    floats = runner.plain(short).floats
    if len(floats) != len(alone.floats):
        return []
    for (name, a), (_, b) in zip(floats, alone.floats, strict=True):
        worst = _own_difference(name, a, b, short, row, runner.tolerance)
        if worst is None:
            continue
        runner.run(short, many, keep=True)
        op = None
        for x, y in zip(many.ops, one.ops, strict=False):
            if x.name != y.name:
                break
            if any(_own_difference("", p, q, short, row, runner.tolerance) for p, q in zip(x.kept or [], y.kept or [], strict=False)):  # fmt: skip
                op = x
                break
        where = f"; the first call to differ is {op.name}{op.where}" if op else ""
        evidence = {"before": worst.before, "after": worst.after, "length": n, "longest": max(short.lengths)} | ({"operation": op.name, "place": op.place} if op else {})  # fmt: skip
        return [Finding("padding", op.module if op else None, f"A text of {n} tokens gets another answer alone than beside one of {max(short.lengths)}: {worst}{where}. Mend: take each text's own last token, or pool over its own tokens, not over those of the longest text.", evidence)]  # fmt: skip
    return []


def _own_difference(
    name: str, many: Tensor, one: Tensor, short: Batch, row: int, tolerance: float
) -> Difference | None:
    """How an example in a batch differs from the same example alone, as far as its own tokens go."""
    if not many.is_floating_point() or list(many.shape).count(short.rows) != 1 or many.dim() != one.dim():
        return None
    at, n = many.shape.index(short.rows), short.lengths[row]
    mine = many.narrow(at, row, 1)
    for d in range(many.dim()):
        if mine.shape[d] == one.shape[d] and mine.shape[d] not in (short.tokens, max(short.lengths)):
            continue
        if d == at or min(mine.shape[d], one.shape[d]) < n:
            if d == at and one.shape[d] == 1:
                continue
            return None
        mine, one = mine.narrow(d, 0, n), one.narrow(d, 0, n)
    return _difference(name, mine, one, changed(mine, one, tolerance))


def _compare(runner: Runner, short: Batch, long: Batch) -> Difference | None:
    worst = None
    for (name, a), (_, b) in zip(runner.plain(short).floats, runner.plain(long).floats, strict=False):
        found = _real_difference(name, a, b, short, long, runner.tolerance)
        if found is not None and (worst is None or found.size > worst.size):
            worst = found
    return worst


def _real_difference(name: str, a: Tensor, b: Tensor, short: Batch, long: Batch, tolerance: float) -> Difference | None:
    """The largest difference at real tokens, or None."""
    cut = _align(a, b, short, long)
    if cut is None:
        return None
    a, b, real = cut
    return _difference(name, a, b, changed(a, b, tolerance) & real)


def _align(a: Tensor, b: Tensor, short: Batch, long: Batch) -> tuple[Tensor, Tensor, Tensor] | None:
    """Both tensors cut to the shorter one's tokens, and where in them real tokens are; None if that cannot be said."""
    rows, few, many = short.rows, short.tokens, long.tokens
    if a.dim() != b.dim() or not a.dim():
        return None
    a, b = _unmerge(a, b, rows, few, many)
    if rows not in a.shape or a.dim() != b.dim():
        return None
    at = a.shape.index(rows)
    real = torch.ones((), dtype=torch.bool, device=a.device)
    for d in range(a.dim()):
        s, t = a.shape[d], b.shape[d]
        if d == at:
            if s != t:
                return None
            continue
        token_like = s != t or (few == many and s == few)
        if not token_like:
            continue
        if s != t and (t < s or (few != many and (t - s) > (many - few) * max(1, s // few + 1))):
            return None
        bounds = torch.tensor([n if s >= few or s >= n + 2 else n * s // few for n in short.lengths], device=a.device)
        within = torch.arange(s, device=a.device)[None] < bounds[:, None]  # (B, s)
        shape = [1] * a.dim()
        shape[at], shape[d] = rows, s
        within = within if at < d else within.T
        real = real & within.reshape(shape)
        b = b.narrow(d, 0, s)
    return a, b, real.expand(a.shape)


def _unmerge(a: Tensor, b: Tensor, rows: int, few: int, many: int) -> tuple[Tensor, Tensor]:
    """(B*T, ...) as (B, T, ...)."""
    for d in range(a.dim()):
        if a.shape[d] == rows * few and b.shape[d] == rows * many and rows not in a.shape:
            return a.unflatten(d, (rows, few)), b.unflatten(d, (rows, many))
    return a, b


def _influence(runner: Runner, batch: Batch, short: Batch) -> float:
    """How much the mask alone changes the answers at tokens that it leaves in."""
    whole = batch
    lengths = [min(n, max(1, batch.tokens - 2)) for n in short.lengths]
    hidden = masked(batch, lengths)
    most = 0.0
    probe = hidden.with_tensors([leaf.tensor for leaf in hidden.leaves], lengths=lengths)
    for (_, a), (_, b) in zip(runner.plain(probe).floats, runner.plain(whole).floats, strict=False):
        if a.shape != b.shape or not a.dim():
            most = max(most, 1.0 if a.shape != b.shape else 0.0)
            continue
        mask = changed(a, b, runner.tolerance)
        gap = ((a - b).abs().nan_to_num(1.0) * mask).max()
        most = max(most, float(gap))
    return most


def _is_used(runner: Runner, batch: Batch, lengths: list[int]) -> bool:
    """Whether the mask changes anything that is made with weights, be it at padding alone."""
    one, two = Record(), Record()
    runner.run(batch, one, keep=True, grad=True)
    runner.run(masked(batch, lengths), two, keep=True, grad=True)
    for a, b in zip(one.ops, two.ops, strict=False):
        if not isinstance(a.result, Tensor) or not a.result.requires_grad or a.name != b.name:
            continue
        for x, y in zip(a.kept or [], b.kept or [], strict=False):
            if x.shape == y.shape and bool(changed(x, y, runner.tolerance).any()):
                return True
    return False


def _culprit(runner: Runner, short: Batch, long: Batch) -> Op | None:
    """The first call whose result differs at real tokens."""
    one, two = Record(), Record()
    runner.run(short, one, keep=True)
    runner.run(long, two, keep=True)
    if not (one.complete and two.complete):
        return None
    for a, b in _aligned(one.ops, two.ops):
        for x, y in zip(a.kept or [], b.kept or [], strict=False):
            if x.is_floating_point() and _real_difference("", x, y, short, long, runner.tolerance) is not None:
                return a
    return None


def _aligned(one: list[Op], two: list[Op]) -> Iterator[tuple[Op, Op]]:
    """The calls that two runs have in common, in order: without padding some models make no mask at all."""
    names = [[(op.name, op.module) for op in ops] for ops in (one, two)]
    if names[0] == names[1]:
        yield from zip(one, two, strict=True)
        return
    for block in SequenceMatcher(None, *names, autojunk=False).get_matching_blocks():
        yield from zip(one[block.a : block.a + block.size], two[block.b : block.b + block.size], strict=True)


def _attends(op: Op | None, batch: Batch) -> bool:
    """Whether a call lets tokens look at each other, as against pooling them."""
    if op is None or op.name not in _ATTENDING:
        return False
    return op.name not in _SOFTMAXES or list(op.result.shape).count(batch.tokens) > 1


def _explain(
    runner: Runner,
    by: str,
    influence: float | None,
    worst: Difference,
    op: Op | None,
    short: Batch,
    long: Batch,
    batch: Batch,
) -> Finding:
    more = long.tokens - short.tokens
    what = f"with {more} more columns of padding" if more else "with other content at the padding"
    row = worst.index[0] if worst.index else 0
    seen = f"{what}, {worst} (example {row} has {short.lengths[row % len(short.lengths)]} real tokens)"
    where = f"; the first call to differ is {op.name}{op.where}" if op else ""
    evidence: dict[str, Any] = {"before": worst.before, "after": worst.after, "lengths": short.lengths, "tokens": (short.tokens, long.tokens), "influence": influence}  # fmt: skip
    if op is not None:
        evidence |= {"operation": op.name, "place": op.place}
    module = op.module if op else None
    deaf = masks.without_mask(runner, short, module) if by == "mask" and module else None
    if by == "mask" and influence == 0.0 and not _is_used(runner, batch, short.lengths):
        to = f"on to {deaf}" if deaf else "on to the layer that mixes tokens"
        module = deaf or (module and masks.users_layer(runner.model, module))
        return Finding("mask_ignored", module, f"The mask ({mask_words(batch)}) changes nothing, and padding is read: {seen}{where}. Pass the mask {to}.", evidence)  # fmt: skip
    if by == "mask" and _attends(op, short):
        if deaf:
            return Finding("mask_ignored", deaf, f"The mask ({mask_words(batch)}) is used elsewhere, but {deaf} is not given it and reads the padding: {seen}{where}. Pass the mask on to {deaf} too.", evidence)  # fmt: skip
        module = module and masks.users_layer(runner.model, module)
        return Finding("mask_kind", module, f"The mask ({mask_words(batch)}) is used, but does not hide the padding: {seen}{where}. Check what this attention takes: 1/0 or True/False, (B, T) or (B, 1, 1, T), added or chosen by, and whether True means a token or padding.", evidence)  # fmt: skip
    how = "a sequence is read backwards or to its end through the padding: pack it (pack_padded_sequence)" if op is not None and op.name in _RECURRENT else "pool over the real tokens only, or take each text's own last token"  # fmt: skip
    return Finding("padding", module, f"The answer depends on the padding: {seen}{where}. Mend: {how}.", evidence)


def not_a_number(runner: Runner, batch: Batch) -> list[Finding]:
    """NaN in an answer to numbers that are all finite."""
    bad = next(((n, t) for n, t in runner.plain(batch).floats if bool(t.isnan().any())), None)
    if bad is None:
        return []
    record = Record()
    runner.run(batch, record, keep=True)
    op = next((o for o in record.ops if any(k.is_floating_point() and bool(k.isnan().any()) for k in o.kept or [])), None)  # fmt: skip
    where = f", first from {op.name}{op.where}" if op else ""
    module = op.module if op else None
    hidden = [leaf for leaf in batch.leaves if leaf.role == "mask" and leaf.real is not None]
    if hidden:
        other = batch.with_tensors([torch.full_like(leaf.tensor, leaf.padded) if leaf in hidden else leaf.tensor for leaf in batch.leaves])  # fmt: skip
        if not any(bool(t.isnan().any()) for _, t in runner.run(other).floats):
            module = module and masks.users_layer(runner.model, module)
            return [Finding("mask_kind", module, f"With the mask ({mask_words(batch)}) at its value for tokens everywhere, {bad[0]} is NaN{where}; with the value for padding it is not: the layer takes the mask the other way round. Invert it (mask == 0).", {"output": bad[0]})]  # fmt: skip
    return [Finding("nan", module, f"{bad[0]} holds NaN although the inputs are finite{where}.", {"output": bad[0]})]
