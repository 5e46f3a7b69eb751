"""Mistakes that raise nothing: `preflight` runs a copy of a model a few times and looks for them.

No rule knows a model. The inputs are cut or repeated to prime sizes, so that each size says which dimension it is; then
one thing is changed at a time (one example, the padding, the mask, the random seed, the batch of one) and what must not
change is compared. Gradients say what is trained. Everything happens on copies, in double precision where possible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

from torch import Tensor, nn

from course_lib.shapes import copies, dependence, gradients, masks, padding, structure
from course_lib.shapes.batches import Batch, choose_sizes, other_lengths, perturb_row, resize, take_apart, widen
from course_lib.shapes.findings import KINDS, Finding, Findings
from course_lib.shapes.places import place_words
from course_lib.shapes.recording import ATTENTIONS, DROPOUTS, RANDOM, Op, Record, Runner, where_raised

__all__ = ["KINDS", "Finding", "Findings", "preflight"]


def preflight(model: nn.Module, *args: Any, loss_fn: Callable[..., Tensor] | None = None, **kwargs: Any) -> Findings:
    """Look for silent mistakes in `model`, called as model(*args, **kwargs).

    The model is not touched: not its weights, buffers, gradients, mode or hooks, nor the random generators.

    Args:
        model: any module.
        args, kwargs: one small batch, two or more examples if possible, as the model is called in training; with
            `labels` the model's own loss is looked at too.
        loss_fn: a loss, called as loss_fn(output, labels) where `labels` is given and the model does not take it, else
            as loss_fn(output).

    Returns:
        A list of `Finding`, each with `.kind`, `.module`, `.message` and `.evidence`; empty where nothing was found.

    Raises:
        TypeError: `model` is not a torch module.
        ValueError: a batch without examples.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"preflight was given a {type(model).__name__}; it takes a torch module and its inputs: preflight(model, x).")  # fmt: skip
    model = getattr(model, "_orig_mod", model)  # a compiled model: the one that was compiled
    labels = None
    if loss_fn is not None and "labels" in kwargs and not _takes(model, "labels"):
        labels = kwargs.pop("labels")
    original = take_apart(model, args, kwargs, labels)
    if original.rows == 0:
        raise ValueError(
            "preflight was given a batch of 0 examples; it looks at what becomes of them: give two or more."
        )
    with copies.random_state_kept(model, args, kwargs):
        rows, tokens = choose_sizes(model, original)
        try:
            strict = replace(original, strict=True)
            tries = (resize(original, rows, tokens), resize(strict, rows, tokens), original)
            runner = Runner(model, tries, loss_fn, labels is not None)
        except Exception as error:
            text = f"The model does not run on these inputs: {type(error).__name__}: {dependence._short(error)}. diagnose says why."  # fmt: skip
            return Findings([Finding("raises", None, text, {"error": str(error)})])
        batch, found = _prime(runner, original, rows, tokens)
        batch = dependence.settled(runner, _wide(runner, batch))
        skipped: list[str] = []
        found += _all(runner, batch, original, skipped)
    return Findings(_once(found), skipped)


def _takes(model: nn.Module, name: str) -> bool:
    import inspect

    parameters = inspect.signature(model.forward).parameters.values()
    return any(p.name == name for p in parameters)


def _prime(runner: Runner, original: Batch, rows: int | None, tokens: int | None) -> tuple[Batch, list[Finding]]:
    """The batch in prime sizes, as far as the model allows, and a finding if its number of rows may not change."""
    if runner.first is not original:
        return runner.first, []
    tries = [(rows, tokens), (rows, None)] + ([(None, tokens)] if rows else [])
    errors: list[BaseException] = []
    strict = replace(original, strict=True)
    for (r, t), sample in product(dict.fromkeys(tries), (original, strict)):
        try:
            batch = resize(sample, r, t)
            runner.plain(batch)
        except Exception as error:
            errors.append(error)
            continue
        if r is None and rows is not None:
            if _is_unbatched(runner, original):
                return replace(original, rows=None, tokens=None), []
            return batch, _fixed_rows(runner, original, rows, errors)
        return batch, []
    if _is_unbatched(runner, original):
        return replace(original, rows=None, tokens=None), []
    return original, _fixed_rows(runner, original, rows, errors) if rows is not None else []


def _wide(runner: Runner, batch: Batch) -> Batch:
    """The batch with images that are no squares, where the model and its loss take them."""
    wide = widen(batch)
    if wide is None:
        return batch
    try:
        runner.run(wide, with_loss=True)
    except Exception:  # a model for images of one size
        return batch
    return wide


def _is_unbatched(runner: Runner, original: Batch) -> bool:
    """Whether the first convolution or recurrent layer gets a single example without a batch dimension."""
    record = Record()
    runner.run(original, record)
    for op in record.ops:
        tensors = op.tensors()
        if op.name in ("conv1d", "conv2d", "conv3d"):
            return tensors[0].dim() == tensors[1].dim() - 1
        if op.name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
            return False
    return False


def _fixed_rows(runner: Runner, original: Batch, rows: int, errors: list[BaseException]) -> list[Finding]:
    sizes = {s for leaf in original.leaves for s in leaf.tensor.shape[1:]}
    equal = f" (B = {original.rows} is also the size of another dimension, which hides that one was taken for the other)" if original.rows in sizes else ""  # fmt: skip
    error = errors[-1] if errors else None
    what = f"{type(error).__name__}: {dependence._short(error)}" if error else "it fails"
    module, place = where_raised(runner.copy, error) if error else (None, None)
    what += place_words(place) if place else ""
    return [Finding("equal_sizes" if equal else "batch_of_one", module, f"The model runs with a batch of {original.rows} and with no other{equal}: with {rows} it raises {what}.", {"rows": (original.rows, rows), "fixed": True})]  # fmt: skip


def _all(runner: Runner, batch: Batch, original: Batch, skipped: list[str]) -> list[Finding]:
    def tried(what: str, experiment: Callable[..., list[Finding]], *args: Any) -> list[Finding]:
        try:
            return experiment(*args)
        except Exception as error:  # the model's, on inputs that are not the user's: said, and no reason to stop
            skipped.append(f"{what} ({type(error).__name__}: {dependence._short(error)})")
            return []

    record = Record()
    outcome, used, problem = _with_loss(runner, batch, original, record, quiet=False)
    found: list[Finding] = []
    odd = any(next(layer.parameters(), None) is not None for _, layer in record.unregistered)
    if odd or _apart(runner, runner.plain(used), outcome) is not None:
        found += tried("memory", _memory, runner, batch)
        found += gradients.unregistered(runner, batch)
        made = any(f.kind == "layer_in_forward" for f in found)
        found += tried("chance", _chance, runner, batch, made)
        record = Record()
        outcome, used, problem = _with_loss(runner, batch, original, record, quiet=True)
    found += padding.not_a_number(runner, batch)
    if any(f.kind in ("nan", "mask_kind") for f in found):
        return found  # every comparison would speak of it again
    found += problem
    seen = structure.check(record, used.rows, used.tokens, [t for _, t in outcome.floats])
    found += [f for f in seen if f.kind != "view_for_permute" or not masks.is_installed(f.evidence["place"][0])]
    found += gradients.strays(runner, outcome, runner.copy, record)
    found += tried("which example depends on which", dependence.leaks, runner, batch)
    found += tried("a batch of one", dependence.batch_of_one, runner, batch)
    found += tried("padding", padding.padding, runner, batch)
    for length in other_lengths(original):
        second = _second_sequence(runner, original, batch.rows, length)
        found += tried("padding of the second sequence", padding.padding, runner, second)
    found += tried("gradients", gradients.no_gradient, runner, used)
    return found


def _second_sequence(runner: Runner, original: Batch, rows: int | None, length: int) -> Batch:
    """The batch seen from another sequence in it: the second text of a pair, the target of a translation."""
    other = take_apart(runner.model, original.args, original.kwargs, tokens=length)
    _, tokens = choose_sizes(runner.model, other)
    for size in (tokens, None):
        batch = resize(other, rows, size)
        try:
            runner.plain(batch)
            return batch
        except Exception:  # this length does not fit the model
            continue
    return replace(other, told_by=None)


def _with_loss(
    runner: Runner, batch: Batch, original: Batch, record: Record, quiet: bool
) -> tuple[Any, Batch, list[Finding]]:
    """A recorded run with the loss, on which batch it worked, and what is wrong with the loss itself.

    A loss that fails on other sizes is looked at on the user's.
    """
    own_targets = runner.loss_fn is not None and not original.of_role("label")  # of the user's rows, then
    try:
        used = original if own_targets else batch
        return runner.run(used, record, quiet=quiet, seed=1, grad=True, with_loss=True), used, []
    except Exception as error:
        record.__init__()
        try:
            outcome = runner.run(original, record, quiet=quiet, seed=1, grad=True, with_loss=True)
        except Exception as again:
            record.__init__()
            runner.loss_fn = None
            outcome = runner.run(batch, record, quiet=quiet, seed=1, grad=True)
            text = f"The loss raises {type(again).__name__}: {dependence._short(again)}."
            return outcome, batch, [Finding("raises", None, text, {"error": str(again)})]
        return outcome, original, _loss_sizes(runner, original, batch, error)


def _loss_sizes(runner: Runner, original: Batch, batch: Batch, error: BaseException) -> list[Finding]:
    if not runner.labels_to_loss and not original.of_role("label"):
        return []  # a loss that holds its own targets fits these rows alone
    module, place = where_raised(runner.copy, error)
    return [Finding("equal_sizes", module, f"The loss works with the sizes given and not with a batch of {batch.rows} and {batch.tokens} tokens: {type(error).__name__}: {dependence._short(error)}{place_words(place)}. Two sizes that happen to be equal hide a mistake.", {"error": str(error)})]  # fmt: skip


# --- memory and chance --------------------------------------------------------------------------------------------------------


def _memory(runner: Runner, batch: Batch) -> list[Finding]:
    """Answers that depend on what the model was called with before."""
    first = runner.plain(batch)
    runner.run(_other_contents(batch))
    again = runner.run(batch)
    worst = _apart(runner, first, again)
    if worst is None:
        return []
    runner.remembers = True  # from here on every run gets a copy of its own
    if _apart(runner, runner.run(batch), runner.run(batch)) is not None:
        return []  # not memory but chance of a kind that a seed does not hold
    runner.forget()
    one, two, model = Record(), Record(), runner.fresh()
    runner.run(batch, one, keep=True, model=model)
    runner.run(_other_contents(batch), model=model)
    runner.run(batch, two, keep=True, model=model)
    op = _first_random(one, two, runner.tolerance)
    where = f"; the first call to differ is {op.name}{op.where}" if op else ""
    return [Finding("remembers", op.module if op else None, f"The same call gives another answer after another batch, in evaluation mode and with the same seed: {worst}{where}. The model keeps something from call to call (self.x = ...): reset it, or return it.", {"before": worst.before, "after": worst.after})]  # fmt: skip


def _other_contents(batch: Batch) -> Batch:
    return perturb_row(batch, 0) if batch.rows is not None else batch


def _chance(runner: Runner, batch: Batch, made: bool) -> list[Finding]:
    """Dropout, or other chance, in evaluation mode."""
    if made or _apart(runner, runner.plain(batch), runner.run(batch, quiet=False, seed=1)) is None:
        return []
    one, two = Record(), Record()
    a = runner.run(batch, one, keep=True, quiet=False, seed=1)
    b = runner.run(batch, two, keep=True, quiet=False, seed=2)
    worst = _apart(runner, a, b)
    if worst is None:
        return []
    op = _first_random(one, two, runner.tolerance)
    seen = f"two calls with the same input differ: {worst}"
    evidence = {"before": worst.before, "after": worst.after}
    if op is None:
        return [Finding("random_in_eval", None, f"In evaluation mode {seen}.", evidence)]
    awake = _in_training(runner.copy, op.module)
    if awake is not None:
        kind = "random_in_eval" if op.name in RANDOM else "dropout_in_eval"
        return [Finding(kind, awake, f"In evaluation mode {seen}, because {op.name}{op.where} draws new numbers: {awake or 'the model'} is in training mode again although .eval() was called. Something calls .train() in forward, or a train() of its own does not heed its mode.", evidence)]  # fmt: skip
    if op.name in DROPOUTS | ATTENTIONS | {"lstm", "gru", "rnn_tanh", "rnn_relu"} or op.name.startswith("bernoulli"):
        return [Finding("dropout_in_eval", op.module, f"In evaluation mode {seen}, because {op.name}{op.where} still drops numbers. Pass training=self.training, or use an nn.Dropout made in __init__.", evidence)]  # fmt: skip
    if _is_sampling(one, op):
        return []
    drawn = op.result
    if isinstance(drawn, Tensor) and drawn.dim() >= 2 and not {batch.rows, batch.tokens} & set(drawn.shape):
        return [Finding("layer_in_forward", op.module, f"{op.name}{op.where} draws {tuple(drawn.shape)} numbers anew in every forward pass, so {seen}: weights made in forward never train. Make them once, in __init__.", evidence | {"place": op.place})]  # fmt: skip
    return [Finding("random_in_eval", op.module, f"In evaluation mode {seen}, because {op.name}{op.where} draws new numbers. Draw only if self.training.", evidence)]  # fmt: skip


def _in_training(model: nn.Module, path: str) -> str | None:
    """The topmost layer on the way to `path` that is in training mode, where the last one of them is."""
    if not model.get_submodule(path).training:
        return None
    parts = path.split(".") if path else []
    ways = ["", *(".".join(parts[:n]) for n in range(1, len(parts) + 1))]
    return next(way for way in ways if model.get_submodule(way).training)


def _apart(runner: Runner, a: Any, b: Any) -> dependence.Difference | None:
    for (name, x), (_, y) in zip(a.floats, b.floats, strict=False):
        if x.shape == y.shape:
            found = dependence._difference(name, x, y, dependence.changed(x, y, runner.tolerance))
            if found is not None:
                return found
    return None


def _first_random(one: Record, two: Record, tolerance: float) -> Op | None:
    for a, b in zip(one.ops, two.ops, strict=False):
        if a.name != b.name:
            return a
        if a.name in ("empty", "empty_like", "new_empty"):
            continue  # not drawn but left over; what fills it comes next
        for x, y in zip(a.kept or [], b.kept or [], strict=False):
            if x.shape != y.shape or bool(dependence.changed(x, y, tolerance).any()):
                return a
    return None


def _is_sampling(record: Record, op: Op) -> bool:
    """Noise whose size the model has learnt (an autoencoder that samples) or that chooses (Gumbel): meant."""
    if op.name in ("gumbel_softmax", "multinomial", "exponential_"):
        return True
    if op.name not in RANDOM:
        return False
    followed = {id(op.result)}
    for later in record.ops[record.ops.index(op) + 1 :]:
        inputs = later.tensors()
        if any(id(t) in followed for t in inputs):
            if later.name.strip("_") in ("mul", "multiply", "addcmul") and any(_varies(record, t) for t in inputs if id(t) not in followed):  # fmt: skip
                return True
            if isinstance(later.result, Tensor) and later.name.strip("_") not in ("add", "sub"):
                followed.add(id(later.result))
    return False


def _varies(record: Record, tensor: Tensor) -> bool:
    """Whether a tensor was computed in the run, and is no constant."""
    return tensor.numel() > 1 and any(tensor is op.result for op in record.ops)


# --- one finding a mistake -----------------------------------------------------------------------------------------

_FIRST = ("view_for_permute", "softmax_dimension", "batch_first", "broadcast", "batch_leak", "equal_sizes")


def _once(found: list[Finding]) -> list[Finding]:
    """Leave out what another finding already explains."""
    kept: list[Finding] = []
    for finding in found:
        if "largest" in finding.evidence and kept:
            continue  # a gradient of zero follows from a wrong softmax, a mask that hides everything ...
        if finding.kind == "softmax_dimension" and any(
            k.kind == finding.kind and k.module == finding.module for k in kept
        ):
            continue
        if "longest" in finding.evidence and any(k.kind in (*_FIRST, "batch_of_one") for k in kept):
            continue  # alone, an example has no neighbours to depend on
        if finding.kind == "loss_input" and any(k.kind == "softmax_dimension" for k in found):
            continue  # log-probabilities along another dimension are what the loss complains of
        if finding.kind == "batch_of_one" and any(k.evidence.get("fixed") for k in kept):
            continue
        if finding.kind in ("mask_kind", "padding") and any(k.kind == "equal_sizes" for k in kept):
            continue
        place = finding.evidence.get("place")
        if any(place and k.evidence.get("place") == place for k in kept):
            continue  # another consequence of the same line
        if any(k.kind == finding.kind and k.module == finding.module and k.message == finding.message for k in kept):
            continue
        if finding.kind == "batch_leak" and any(k.kind in (*_FIRST, "batch_of_one") for k in kept):
            continue
        kept.append(finding)
    return kept
