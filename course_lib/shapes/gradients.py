"""Which parameters a loss reaches, and weights that nobody lists."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.shapes.batches import Batch
from course_lib.shapes.dependence import changed
from course_lib.shapes.findings import Finding
from course_lib.shapes.recording import Op, Outcome, Record, Runner


def unregistered(runner: Runner, batch: Batch) -> list[Finding]:
    """Layers with weights that are not part of the model: made in forward, or kept in a plain list."""
    one, two = Record(), Record()
    runner.run(batch, one)
    if one.unregistered:
        runner.run(batch, two)
    found, seen = [], set()
    again = {id(m) for _, m in two.unregistered}
    for path, module in one.unregistered:
        weights = sum(p.numel() for p in module.parameters() if p.requires_grad)
        if not weights or id(module) in seen:
            continue
        seen |= {id(m) for m in module.modules()}
        kind = type(module).__name__
        lasting = id(module) in again
        if any(f.module == path and f.evidence["layer"] == kind for f in found):
            continue
        evidence = {"layer": kind, "weights": weights}
        if lasting:
            found.append(Finding("unregistered_layer", path, f"A {kind} with {weights:,} weights is used but not part of the model: model.parameters() does not list them, so no optimizer trains them, and .to(), .eval() and state_dict() pass them by. Keep layers in nn.ModuleList or nn.ModuleDict, not in a plain list or dict.", evidence))  # fmt: skip
        else:
            found.append(Finding("layer_in_forward", path, f"A {kind} with {weights:,} weights is made anew in every forward pass: its weights are random each time and never train. Make it once, in __init__.", evidence))  # fmt: skip
    return found


def strays(runner: Runner, outcome: Outcome, model: nn.Module, record: Record) -> list[Finding]:
    """Leaves of the graph that ask for a gradient and are no parameters of the model."""
    if runner.remembers:
        return []  # its runs were made by copies, so that no parameter can be told by its identity
    known = {id(p) for p in model.parameters()}
    for _, module in record.unregistered:
        known |= {id(p) for p in module.parameters()}
    found = []
    for leaf in _leaves([t for _, t in outcome.floats] + ([outcome.loss] if outcome.loss is not None else [])):
        if id(leaf) in known:
            continue
        known.add(id(leaf))
        if any(op.result is leaf and op.tensors() for op in record.ops):
            continue  # cut out of the graph and marked anew: the weights before it are what gets no gradient
        user = next((op for op in record.ops if any(t is leaf for t in op.tensors())), None)
        name = _attribute_of(model, leaf)
        lasting = "unregistered_layer" if name else "layer_in_forward"
        what = f"the attribute {name}" if name else "it is made in forward"
        mend = "Wrap it in nn.Parameter and assign it to the module." if name else "Make it once, as an nn.Parameter in __init__."  # fmt: skip
        where = user.where if user else ""
        found.append(Finding(lasting, user.module if user else None, f"A tensor {tuple(leaf.shape)} with requires_grad=True takes part{where} and is no parameter of the model ({what}): no optimizer trains it. {mend}", {"shape": tuple(leaf.shape), "place": user.place if user else None}))  # fmt: skip
    return found


def _attribute_of(model: nn.Module, tensor: Tensor) -> str | None:
    for path, module in model.named_modules():
        for key, value in module.__dict__.items():
            if value is tensor or (isinstance(value, list | tuple) and any(v is tensor for v in value)):
                return f"{path}.{key}".lstrip(".")
            if isinstance(value, dict) and key[0] != "_" and any(v is tensor for v in value.values()):
                return f"{path}.{key}".lstrip(".")
    return None


def _leaves(tensors: list[Tensor]) -> Iterator[Tensor]:
    seen: set[Any] = set()
    stack = [t.grad_fn for t in tensors if t.grad_fn is not None]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            yield leaf
        stack += [parent for parent, _ in node.next_functions]


def no_gradient(runner: Runner, batch: Batch) -> list[Finding]:
    """Parameters that a loss does not reach."""
    model = runner.copy.train()  # the last test: nobody needs the copy as it was
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad and not _lazy(p)}
    if not trainable:
        return []
    record = Record()
    outcome = runner.run(batch, record, grad=True, model=model, with_loss=True)
    goals = [t for _, t in outcome.floats if t.requires_grad]
    loss = outcome.loss if outcome.loss is not None and outcome.loss.requires_grad else None
    if outcome.loss is not None and loss is None and outcome.loss.is_floating_point():
        return [_no_graph("the loss", record)]
    if not goals and loss is None:
        return [_no_graph("what comes out", record)] if outcome.floats else []
    reached = _reach(loss if loss is not None else _project(goals), trainable)
    silent = {n for n in trainable if reached[n] is None}
    if silent and loss is not None and goals:  # trained by another loss than the one given
        other = _reach(_project(goals), trainable)
        aside = {n for n in silent if other[n] is not None}
        silent -= aside
    else:
        aside = set()
    found = _left_out(runner, batch, model, trainable, aside, outcome)
    found += _group(runner, batch, model, record, trainable, silent, outcome)
    flat = _flat(reached, trainable, silent, model)
    for seed in (23, 29, 31, 37):  # a gate at zero, or a unit that is off, is no mistake: other weights switch it on
        if flat:
            _stir(trainable, seed)
            again = runner.run(batch, grad=True, model=model, with_loss=True)
            goal = again.loss if loss is not None else _project([t for _, t in again.floats if t.requires_grad])
            still = set(_flat(_reach(goal, trainable), trainable, silent, model))
            flat = {name: size for name, size in flat.items() if name in still}
    return found + _cancelled(flat, reached)


def _project(goals: list[Tensor]) -> Tensor:
    """One number from all outputs, with a random weight for each, so that nothing cancels."""
    generator = torch.Generator().manual_seed(5)
    total: Any = 0.0
    for goal in goals:
        weight = torch.randn(goal.shape, generator=generator).to(goal)
        total = total + (goal.nan_to_num(0.0, 0.0, 0.0) * weight).sum()
    return total


def _reach(loss: Tensor, trainable: dict) -> dict[str, Tensor | None]:
    gradients = torch.autograd.grad(loss.sum(), list(trainable.values()), allow_unused=True, retain_graph=True)
    return dict(zip(trainable, gradients, strict=True))


def _no_graph(what: str, record: Record) -> Finding:
    cuts = _cuts(record)
    where = f": {cuts[-1].name}{cuts[-1].where} cuts the graph" if len(cuts) == 1 else ""
    paths = [op.module.split(".") for op in cuts]
    common = next((".".join(paths[0][:n]) for n in range(len(paths[0]), 0, -1) if all(p[:n] == paths[0][:n] for p in paths)), "") if paths else ""  # fmt: skip
    if len(cuts) > 1:
        where = f": {len(cuts)} calls, the first of them {cuts[0].name}{cuts[0].where}, take weights and give results without a gradient, as under no_grad"  # fmt: skip
    return Finding("no_gradient", common, f"No parameter gets a gradient, because {what} has none{where}. Compute it from the model's scores, without detach, argmax, item, .data or no_grad.", {"parameters": "all"})  # fmt: skip


def _cuts(record: Record) -> list[Op]:
    """The calls that took something with a gradient and gave floating-point numbers, or a choice, without."""
    found = []
    for op in record.ops:
        result = op.result
        if isinstance(result, Tensor) and not result.requires_grad and any(t.requires_grad for t in op.tensors()):
            found.append(op)
    return found


def _left_out(
    runner: Runner, batch: Batch, model: nn.Module, trainable: dict, aside: set[str], outcome: Outcome
) -> list[Finding]:
    """Weights that the loss is made of, as its value says, but that it does not train."""
    paths: dict[str, set[str]] = {}
    for name in aside:
        paths.setdefault(_topmost(model, name, trainable, aside), set()).add(name)
    found = []
    for path, names in sorted(paths.items()):
        with _moved(model, names):
            after = runner.run(batch, grad=True, model=model, with_loss=True).loss
        if after is None or not bool(changed(outcome.loss.detach(), after.detach(), runner.tolerance).any()):
            continue  # not part of this loss: trained by another one
        before, now = float(outcome.loss.detach().sum()), float(after.detach().sum())
        one = _cut_off(path, names, trainable, f"are part of the loss, which goes from {before:.5g} to {now:.5g} with them, but get no gradient from it: .item(), float(), detach or no_grad cuts their part off. Add up the losses as tensors.")  # fmt: skip
        one.evidence |= {"before": before, "after": now}
        found.append(one)
    return found


def _group(
    runner: Runner, batch: Batch, model: nn.Module, record: Record, trainable: dict, silent: set[str], outcome: Outcome
) -> list[Finding]:
    """One finding for each topmost layer all of whose weights are cut off."""
    paths: dict[str, set[str]] = {}
    touched = {id(t) for op in record.ops for t in op.tensors()}
    untouched = {n for n in silent if _above(n) in record.called and id(trainable[n]) not in touched}
    silent = silent - untouched  # their layers ran without them: for other inputs perhaps
    for name in silent:
        paths.setdefault(_topmost(model, name, trainable, silent), set()).add(name)
    found: list[Finding] = []
    unread: dict[str, list[str]] = {}
    for path, names in sorted(paths.items()):
        if _matters(runner, batch, model, names):
            cut = _cut_after(record, path)
            where = f": {cut.name}{cut.where} cuts the graph" if cut else ": they run without a graph, as under no_grad"
            found.append(_cut_off(path, names, trainable, f"change the answer but get no gradient{where}. Take away detach, no_grad, .data or argmax between them and the loss; if they are meant to be frozen, say so with requires_grad_(False)."))  # fmt: skip
        elif _was_called(record, path):
            if not _is_extra_output(record, path):
                unread.setdefault(path.rpartition(".")[0], []).append(path)
        elif not _is_optional(model, path, record):
            found.append(_cut_off(path, names, trainable, "get no gradient: forward never uses them. Call the layer, or take it out."))  # fmt: skip
    for name in sorted(untouched):
        owner = _above(name)
        if name.rpartition(".")[2] not in _mentioned(model.get_submodule(owner)):
            found.append(_cut_off(owner, {name}, trainable, "get no gradient: forward never uses them. Use them, or take them out."))  # fmt: skip
    for together in unread.values():  # several layers of a loop that does not pass its result on are one mistake
        names = {n for path in together for n in paths[path]}
        found.append(_cut_off(together[0], names, trainable, f"get no gradient: {', '.join(together)} called, but what comes back is not used. Use the result (x = layer(x)), or take the layer out."))  # fmt: skip
    return found


def _cut_off(path: str, names: set[str], trainable: dict, what: str) -> Finding:
    count = sum(trainable[n].numel() for n in names)
    listed = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
    message = f"{len(names)} parameters ({count:,} numbers: {listed}) {what}"
    return Finding("no_gradient", path, message, {"parameters": sorted(names), "numbers": count})


def _topmost(model: nn.Module, name: str, trainable: dict, silent: set[str]) -> str:
    """The highest layer around a parameter in which everything is silent."""
    path = name.rpartition(".")[0]
    while path:
        parent = path.rpartition(".")[0]
        inside = [n for n in trainable if n.startswith(parent + ".")] if parent else list(trainable)
        if not parent or any(n not in silent for n in inside):
            return path
        path = parent
    return path


def _matters(runner: Runner, batch: Batch, model: nn.Module, names: set[str]) -> bool:
    """Whether the answer changes with these parameters."""
    before = runner.run(batch, model=model.eval())
    with _moved(model, names):
        after = runner.run(batch, model=model)
    pairs = list(zip(before.floats, after.floats, strict=False))
    if not pairs:
        a, b = copies_of(before.value), copies_of(after.value)
        return any(x.shape != y.shape or not torch.equal(x, y) for x, y in zip(a, b, strict=False))
    return any(a.shape != b.shape or bool(changed(a, b, runner.tolerance).any()) for (_, a), (_, b) in pairs)


@contextmanager
def _moved(model: nn.Module, names: set[str]) -> Iterator[None]:
    """Other numbers in these parameters."""
    parameters = dict(model.named_parameters())
    kept = {n: parameters[n].detach().clone() for n in names}
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for n in names:
            parameters[n] += torch.randn(kept[n].shape, generator=generator).to(kept[n])
    try:
        yield
    finally:
        with torch.no_grad():
            for n in names:
                parameters[n].copy_(kept[n])


def copies_of(value: Any) -> list[Tensor]:
    """The tensors in an output, of any type."""
    from course_lib.shapes.copies import flat_tensors

    return [t for _, t in flat_tensors(value)]


def _cut_after(record: Record, path: str) -> Any:
    """The first call after this layer's that drops the gradient, or that ran without one inside it."""
    inside = [i for i, op in enumerate(record.ops) if op.module == path or op.module.startswith(path + ".")]
    if not inside:
        return None
    last = record.ops[inside[-1]]
    if isinstance(last.result, Tensor) and last.result.is_floating_point() and not last.result.requires_grad:
        return None  # already without a gradient inside: no_grad around the call
    for op in record.ops[inside[-1] + 1 :]:
        result = op.result
        if isinstance(result, Tensor) and not result.requires_grad and any(t.requires_grad for t in op.tensors()):
            return op
    return None


def _was_called(record: Record, path: str) -> bool:
    return any(name == path or name.startswith(path + ".") for name in record.called)


def _is_extra_output(record: Record, path: str) -> bool:
    """Whether the layer's result is one of several that a layer around it returns, and nobody took it.

    BERT's pooler is such a layer: without weights' worth to a model that reads the hidden states, and no mistake.
    """
    while path:
        parent = path.rpartition(".")[0]
        mine = record.returned.get(path, [])
        for given in record.returned.get(parent, []) if parent else []:
            if any(ids and ids <= given and len(given) > len(ids) for ids in mine):
                return True
        path = parent
    return False


def _is_optional(model: nn.Module, path: str, record: Record) -> bool:
    """Whether a layer that was not called may well be called another time."""
    if not path:
        return False
    parent, _, name = path.rpartition(".")
    around = model.get_submodule(parent) if parent else model
    if isinstance(around, nn.ModuleList | nn.ModuleDict | nn.Sequential):
        siblings = [f"{parent}.{n}" for n, _ in around.named_children()]
        if any(_was_called(record, s) for s in siblings if s != path):
            return True  # one of several: experts, tasks, choices
        return _is_optional(model, parent, record)
    if parent and parent not in record.called:
        return True  # the layer around it is used in parts
    return name in _mentioned(around)


def _mentioned(module: nn.Module) -> set[str]:
    """Names that forward, and the methods that it calls, speak of."""
    names: set[str] = set()
    waiting = ["forward"]
    done: set[str] = set()
    while waiting:
        method = waiting.pop()
        if method in done:
            continue
        done.add(method)
        function = inspect.unwrap(getattr(type(module), method, None) or (lambda: None))
        code = getattr(function, "__code__", None)
        if code is None:
            continue
        fresh = _names_in(code)
        names |= fresh
        waiting += [n for n in fresh if callable(getattr(type(module), n, None)) and not hasattr(nn.Module, n)]
    return names


def _names_in(code: CodeType) -> set[str]:
    names = {*code.co_names, *(c for c in code.co_consts if isinstance(c, str))}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
    return names


def _stir(trainable: dict, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in trainable.values():
            spread = p.std() if p.numel() > 1 else p.abs().mean()
            p += (spread + 0.1) * torch.randn(p.shape, generator=generator).to(p)


def _flat(gradients: dict, trainable: dict, silent: set[str], model: nn.Module) -> dict[str, float]:
    """Weight matrices whose gradient is zero everywhere, with the size of it."""
    sizes = {
        n: float(torch.linalg.vector_norm(g, torch.inf)) for n, g in gradients.items() if g is not None and g.numel()
    }
    largest = max(sizes.values(), default=0.0)
    if not largest:
        return {}
    limit = largest * (1e-13 if next(iter(trainable.values())).dtype == torch.float64 else 0.0)
    flat = [n for n, size in sizes.items() if size <= limit and n not in silent and trainable[n].dim() >= 2]
    flat = [n for n in flat if not isinstance(model.get_submodule(_above(_above(n))), nn.ModuleList)]  # unused experts
    return {n: sizes[n] for n in flat}


def _cancelled(flat: dict[str, float], gradients: dict) -> list[Finding]:
    if not flat:
        return []
    names = list(flat)
    largest = max(float(g.abs().max()) for g in gradients.values() if g is not None)
    sizes = f"({flat[names[0]]:.1g}, where the largest in the model is {largest:.2g})"
    listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return [Finding("no_gradient", _above(names[0]), f"{listed}: the gradient is exactly 0 everywhere {sizes}. What these weights add is cancelled afterwards, by a softmax over one value for example, or is never read.", {"parameters": names, "largest": largest})]  # fmt: skip


def _above(path: str) -> str:
    return path.rpartition(".")[0]


def _lazy(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.parameter.UninitializedTensorMixin)
