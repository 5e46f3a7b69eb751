"""How a step is made: which parameters decay, how fast each learns, and how the rate changes over a run; for any model.

    groups = parameter_groups(model, weight_decay=0.01, learning_rate=2e-5)
    optimizer = adamw(groups)
    rates = schedule("linear", optimizer, warmup=0.1, steps=epochs * len(batches))
    ...                                             # in the loop: loss.backward(); optimizer.step(); rates.step()

Nothing here knows a model of ours. Where depth matters, it is found by structure: **the stack** is the largest list of
layers of one class, what the model lists before it counts as depth 0, the layers as 1 to L, and all that comes after,
pooler and task layer alike, as L + 1: **the head**. "Before" and "after" mean the order in which a model's parts were
assigned in its `__init__`; `describe_groups` and `find_stack` show what was found.

Letters: L layers, H hidden size, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from course_lib.plots import Table

Group = dict[str, Any]  # "name", "params", and the optimizer's own options: "lr", "weight_decay"

NORMALISATIONS: tuple[type[nn.Module], ...] = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.modules.batchnorm._NormBase,  # BatchNorm and InstanceNorm in all dimensions, SyncBatchNorm
)

# The usual recipe's list, as BERT's first fine-tuning scripts in PyTorch had it.
NO_DECAY_NAMES = ("bias", "LayerNorm.bias", "LayerNorm.weight")

# Where PyTorch has AdamW as one fused kernel.
FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")


# ------------------------------------------------------------------------------------------- which parameters decay


def parameter_groups(
    model: nn.Module,
    weight_decay: float = 0.01,
    learning_rate: float = 2e-5,
    layer_decay: float | None = None,
    head_learning_rate: float | None = None,
) -> list[Group]:
    """Parameters in groups for an optimizer, by what they are and not by what they are called.

    Decay is for matrices: the weights of linear layers and convolutions, and embeddings, which BERT's own optimizer
    decays too. Not for biases and the parameters of normalisation layers. The usual reasons: they are few, and decay
    pulls a scale towards 0, where a norm lets nothing through, instead of limiting what a matrix can learn by heart.
    In a short fine-tuning it makes no difference that can be measured (`benchmarks/decay.py`): at the usual numbers,
    decay takes a ten-thousandth off a weight. A norm written by hand is recognised by structure: its parameters are
    vectors.

    With `layer_decay`, lower layers learn more slowly, each by that factor: the rate is
    learning_rate * layer_decay ** (L + 1 - depth). This is the "discriminative fine-tuning" of ULMFiT (Howard and Ruder
    2018); ELECTRA (Clark et al. 2020) and BEiT (Bao et al. 2022) use it too. The lower layers hold what is general, the
    head is new.

    A group that would be empty is left out, and so are parameters with `requires_grad` False. A tied parameter, such as
    a word table that is also the decoder, is in one group, by its first place in the model.

    Args:
        weight_decay: of the matrices; torch's AdamW takes lr * weight_decay of a weight off it at each step.
        learning_rate: the highest rate, before any schedule. BERT's authors tried 2e-5 to 5e-5.
        layer_decay: more than 0, at most 1; None gives all depths the same rate.
        head_learning_rate: another rate for what comes after the stack, because it starts from random numbers.

    Raises:
        ValueError: a number out of range, nothing to train, or no stack of layers where depth is asked for.
    """
    _check_rate("learning_rate", learning_rate)
    _check_decay(weight_decay)
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is {layer_decay}; it is a factor for each layer down, above 0 and at most 1.")
    if head_learning_rate is not None:
        _check_rate("head_learning_rate", head_learning_rate)
    by_depth = layer_decay is not None
    depth, last = ({}, 0) if not by_depth and head_learning_rate is None else _depths(model)
    groups: dict[str, Group] = {}
    for _, owner, parameter in _trainable(model):
        decay, rate, place = weight_decay if decays(owner, parameter) else 0.0, learning_rate, ""
        if depth:
            at = depth[id(parameter)]
            if by_depth:
                rate, place = learning_rate * layer_decay ** (last - at), _place(at, last)
            if at == last and head_learning_rate is not None:
                rate, place = head_learning_rate, _place(at, last)
        name = ("decayed" if decays(owner, parameter) else "not decayed") + place
        group = groups.setdefault(name, {"name": name, "params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def decays(owner: nn.Module, parameter: Tensor) -> bool:
    """Is it a matrix, which decays? `owner` is the module that holds the parameter.

    Vectors do not decay, also those that are stored with sizes of 1 around them, as (1, 1, H). Nor does a normalisation
    layer's parameter of any shape: LayerNorm over (T, H) has a scale of that shape. A linear layer to one number, with
    its weight (1, H), is a matrix. So is a table of biases, one row for each of several parts.
    """
    matrix = parameter.dim() == 2 or sum(size > 1 for size in parameter.shape) > 1
    return matrix and not isinstance(owner, NORMALISATIONS)


def groups_by_name(
    model: nn.Module, weight_decay: float = 0.01, no_decay: Sequence[str] = NO_DECAY_NAMES
) -> list[Group]:
    """The usual recipe, kept as a lesson: no decay where a name *contains* one of `no_decay`.

    It holds as long as the names do. BERT calls its norms LayerNorm; in another model the same layer is norm1 or
    ln_1, and its scales decay without a word: so in DistilBERT, ALBERT, GPT-2 and ModernBERT. And "bias" also stands in
    the names of tables such as T5's relative_attention_bias. `describe_groups` shows what fell where;
    `parameter_groups` does not look at names.

    Raises:
        ValueError: a negative weight_decay, or nothing to train.
    """
    _check_decay(weight_decay)
    found: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, _, parameter in _trainable(model):
        found[not any(piece in name for piece in no_decay)].append(parameter)
    groups = [
        {"name": "decayed", "params": found[True], "weight_decay": weight_decay},
        {"name": "not decayed", "params": found[False], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def describe_groups(groups: Iterable[Group], model: nn.Module) -> Table:
    """What fell where: a row for each group and kind of parameter, such as LayerNorm.weight, with counts and an example.

    Kinds are named by class, whatever the model calls its parts: a row "decayed ... LayerNorm.weight" is the silent
    failure of `groups_by_name`. Parameters of the model that are in no group come last: frozen, or forgotten. Where a
    group has no rate or decay of its own, the cell is empty.
    """
    from course_lib.plots import Table

    groups = list(groups)
    place = {id(p): number for number, group in enumerate(groups) for p in group["params"]}
    outside = len(groups)
    rows: dict[tuple[int, str], list[Any]] = {}
    for name, owner, parameter in _owned(model):
        number = place.get(id(parameter), outside)
        kind = f"{type(owner).__name__}.{name.rpartition('.')[2]}"
        group = groups[number] if number < outside else {"name": "in no group"}
        row = rows.setdefault(
            (number, kind),
            [group.get("name", number), group.get("weight_decay", ""), group.get("lr", ""), kind, 0, 0, name],
        )
        row[4] += 1
        row[5] += parameter.numel()
    header = ("group", "weight decay", "rate", "kind", "tensors", "numbers", "the first of them")
    return Table(header, [tuple(rows[key]) for key in sorted(rows, key=lambda key: key[0])])


# ------------------------------------------------------------------------------------------------ depth, by structure


@dataclass(frozen=True)
class Stack:
    """The layers of a model, one on top of the other."""

    name: str  # dotted path of the list in the model; "" where the model itself is the list
    layers: tuple[nn.Module, ...]  # L of them, from the input to the output


def find_stack(model: nn.Module) -> Stack:
    """The ModuleList or Sequential whose parts are all of one class and hold the most numbers together.

    Not the longest: beside two layers of BERT, three small convolutions are a list too, and attention heads kept one by
    one are a list inside a layer. A list of embeddings does not count. A layer that is used again
    and again, as in ALBERT, is a stack of one. An encoder-decoder has two stacks, and this is one of them.

    Raises:
        ValueError: there is no such list.
    """
    found: list[Stack] = []
    for name, module in model.named_modules():
        layers = tuple(module.children()) if isinstance(module, (nn.ModuleList, nn.Sequential)) else ()
        alike = len({type(layer) for layer in layers}) == 1 and not isinstance(layers[0], nn.Embedding)
        if alike and all(any(True for _ in layer.parameters()) for layer in layers):
            found.append(Stack(name, layers))
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no ModuleList or Sequential of layers of one class, so its depth cannot be "
            "found; leave out layer_decay and head_learning_rate, or set requires_grad of its parameters yourself."
        )
    return max(found, key=lambda stack: sum(p.numel() for layer in stack.layers for p in layer.parameters()))


def _depths(model: nn.Module) -> tuple[dict[int, int], int]:
    """id of a parameter -> its depth, and the depth of the head, L + 1.

    A parameter that a module around the stack holds itself (a class token, positions) counts as before the stack.
    """
    stack = find_stack(model)
    inside = f"{stack.name}." if stack.name else ""
    numbers = {name: i for i, (name, _) in enumerate(model.get_submodule(stack.name).named_children(), 1)}
    depths, passed, last = {}, False, len(stack.layers) + 1
    for name, _, parameter in _owned(model):
        if name.startswith(inside):
            depths[id(parameter)], passed = numbers[name.removeprefix(inside).split(".")[0]], True
        else:
            depths[id(parameter)] = last if passed else 0
    return depths, last


def _place(depth: int, last: int) -> str:
    return {0: ", before the layers", last: ", head"}.get(depth, f", layer {depth}")


def _owned(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Name, holder and parameter, in the model's order; a tied parameter once, where it comes first."""
    seen: set[int] = set()
    for path, owner in model.named_modules():
        for name, parameter in owner.named_parameters(prefix=path, recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, owner, parameter


def _trainable(model: nn.Module) -> list[tuple[str, nn.Module, nn.Parameter]]:
    found = [entry for entry in _owned(model) if entry[2].requires_grad]
    if not found:
        raise ValueError("The model has no parameter with requires_grad=True, so there is nothing to train.")
    return found


# ------------------------------------------------------------------------------------------------------------ freezing


@dataclass(frozen=True)
class Frozen:
    """How many numbers of a model learn, and how many do not; tied ones once."""

    trainable: int
    frozen: int


def freeze(model: nn.Module, keep: str = "head", layers: int = 0) -> Frozen:
    """Let only the top of a model learn: its head, and its last `layers` layers; keep="all" lets everything learn.

    It sets `requires_grad` of every parameter, so it also takes back an earlier freeze. Gradients end at the lowest part
    that learns, which saves time and memory; `parameter_groups` and the training loop leave frozen parameters out. A
    parameter tied to a frozen one is frozen: a masked-word decoder that is the word table stays as it is.

    Dropout in frozen layers stays on in training mode, as in the whole model: the head then sees each text a little
    differently each time. For features that do not change, and always where a frozen part holds BatchNorm, whose running
    statistics move whether or not its parameters learn, call `frozen_to_eval` after `model.train()`.

    Raises:
        ValueError: another word, more layers than there are or layers beside "all", no stack of layers, or nothing
            after it to keep.
    """
    if keep not in ("head", "all"):
        raise ValueError(f'keep is {keep!r}; "head" and "all" are known, and layers=n keeps the last n layers beside.')
    if keep == "all" and layers:
        raise ValueError(
            f'keep is "all" and layers is {layers!r}; everything learns with the one, so leave out the other.'
        )
    if keep == "head":
        depths, last = _depths(model)
        if isinstance(layers, bool) or not isinstance(layers, int) or not 0 <= layers < last:
            raise ValueError(f"layers is {layers!r}; this model has {last - 1}, so a whole number from 0 to that fits.")
        learns = {key: depth >= last - layers for key, depth in depths.items()}
        if not any(learns.values()):
            raise ValueError(
                f"{type(model).__name__} has nothing after its {last - 1} layers, so nothing would learn; keep some of them "
                "with layers=n."
            )
    else:
        learns = {id(parameter): True for parameter in model.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(learns[id(parameter)])
    count = {learn: sum(p.numel() for p in model.parameters() if p.requires_grad is learn) for learn in (True, False)}
    return Frozen(count[True], count[False])


def frozen_to_eval(model: nn.Module) -> list[str]:
    """Put what is frozen into evaluation mode: no dropout in it, no running statistics. The names of those parts.

    A part is frozen if it has parameters and none of them learns. `model.train()` undoes this: call it after that.
    """
    done: list[str] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{part}.") for part in done if part) or "" in done
        parameters = list(module.parameters())
        if not inside and parameters and not any(p.requires_grad for p in parameters):
            module.eval()
            done.append(name)
    return done


# ------------------------------------------------------------------------------------------------------- the optimizer


def adamw(
    what: nn.Module | Iterable[Group],
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    fused: bool | None = None,
) -> torch.optim.AdamW:
    """AdamW for a model, or for groups: Adam with decay that is decoupled from the gradient.

    From "Decoupled Weight Decay Regularization" (Loshchilov and Hutter, ICLR 2019), which was first put on arXiv in 2017
    as "Fixing Weight Decay Regularization in Adam". It is torch.optim.AdamW; transformers' own AdamW is gone.

    Args:
        what: a model (then `parameter_groups`, with 2e-5 and 0.01 unless said otherwise), or groups.
        learning_rate, weight_decay: for groups, only what they do not state themselves; torch would silently pass over
            a number that every group overrules, so that is an error here.
        fused: one kernel for a whole step, the quickest way; None uses it where every parameter is on a device that
            has it.

    Raises:
        ValueError: a number out of range, or one that no group would use.
        TypeError: neither a model nor groups.
    """
    if isinstance(what, nn.Module):
        groups = parameter_groups(
            what,
            weight_decay=0.01 if weight_decay is None else weight_decay,
            learning_rate=2e-5 if learning_rate is None else learning_rate,
        )
    else:
        groups = [dict(group) if isinstance(group, dict) else group for group in what]
        if not groups or not all(isinstance(group, dict) and "params" in group for group in groups):
            raise TypeError("adamw takes a model, or groups: dictionaries with params, as parameter_groups makes them.")
        for name, key, value in (
            ("learning_rate", "lr", learning_rate),
            ("weight_decay", "weight_decay", weight_decay),
        ):
            if value is not None and all(key in group for group in groups):
                raise ValueError(
                    f"{name} is {value}, but every group has its own {key} and would overrule it; leave it out, or give "
                    "it to the function that made the groups."
                )
        if learning_rate is not None:
            _check_rate("learning_rate", learning_rate)
        if weight_decay is not None:
            _check_decay(weight_decay)
    for group in groups:
        group["params"] = list(group["params"])
    if fused is None:
        fused = all(
            p.device.type in FUSED_DEVICES and p.is_floating_point() for group in groups for p in group["params"]
        )
    # The optimizer's own default matters even where each group has its rate: transformers' polynomial schedule reads it.
    stated = [group["lr"] for group in groups if "lr" in group]
    rate = learning_rate if learning_rate is not None else max(stated, default=2e-5)
    decay = 0.01 if weight_decay is None else weight_decay
    return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=fused)


def _check_rate(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; a number above 0 is needed, such as 2e-5 for a whole BERT.")


def _check_decay(value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"weight_decay is {value}; a number of at least 0 is needed, such as 0.01.")


# ------------------------------------------------------------------------------------------------------------ schedules

# The six of transformers' first TYPE_TO_SCHEDULER_FUNCTION, and the options of each. It has more of them today.
SCHEDULES: dict[str, tuple[str, ...]] = {
    "linear": (),
    "cosine": ("num_cycles",),
    "cosine_with_restarts": ("num_cycles",),
    "polynomial": ("lr_end", "power"),
    "constant": (),
    "constant_with_warmup": (),
}


def schedule(
    name: str, optimizer: torch.optim.Optimizer, warmup: int | float, steps: int, **options: Any
) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate's way through a run, by transformers.get_scheduler; call its `step()` after optimizer.step().

    All but "constant" begin with a warm-up: the rate rises in a straight line from 0, which the very first step has, to
    the optimizer's rate. (Why that helps is a conjecture; that it matters at high rates, and not at moderate ones, is
    measured in `benchmarks/warmup.py`.) Then:

        linear                  in a straight line down to 0 at the end of the run; the one most used
        cosine                  along half a wave (num_cycles=0.5) to 0
        cosine_with_restarts    num_cycles times along such a half wave, each time from the top; at its default, 1, it
                                is cosine
        polynomial              down to lr_end (1e-7) as a power of the share that is left: at its default, power=1, it
                                is linear but for that end; it is no exponential curve
        constant                the optimizer's rate from the first step to the last; it takes no notice of warmup
        constant_with_warmup    constant after the warm-up

    transformers also has one function for each, such as get_linear_schedule_with_warmup. Groups keep their rates relative
    to one another.

    Args:
        warmup: steps, as a whole number; or a share of the run, as a fraction (0.1), rounded up as in transformers'
            Trainer but never the whole run. A number of steps from a recipe may exceed a short run; a share cannot.
        steps: how often optimizer.step() will be called: batches * epochs, by accumulation if there is any.
        options: of the schedule, as above.

    Raises:
        ValueError: an unknown name or option, or a warm-up that leaves no step at the full rate.
        TypeError: numbers of another kind.
    """
    from transformers import get_scheduler

    _check_schedule(name, options)
    return get_scheduler(name, optimizer, warmup_steps(warmup, steps), steps, scheduler_specific_kwargs=options)


def rates(name: str, warmup: int | float, steps: int, learning_rate: float, **options: Any) -> list[float]:
    """The learning rate of every step of a run, for a picture; arguments and errors as in `schedule`."""
    _check_rate("learning_rate", learning_rate)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=learning_rate)
    factor = schedule(name, optimizer, warmup, steps, **options).lr_lambdas[0]
    return [learning_rate * factor(step) for step in range(steps)]


def warmup_steps(warmup: int | float, steps: int) -> int:
    """A number or a share -> steps of warm-up; errors as in `schedule`."""
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(f"steps is {steps!r}; a whole number is needed, that of the optimizer's steps in the run.")
    if steps < 1:
        raise ValueError(f"steps is {steps}; a run has at least 1 step.")
    if isinstance(warmup, bool) or not isinstance(warmup, (int, float)):
        raise TypeError(f"warmup is {warmup!r}; a number of steps (100) or a share of the run (0.1) is needed.")
    if isinstance(warmup, float):
        if not 0 <= warmup < 1:
            hint = f"; for steps write {int(warmup)}" if math.isfinite(warmup) and warmup >= 1 else ""
            raise ValueError(f"warmup is {warmup}; a fraction is a share of the run, at least 0 and below 1{hint}.")
        return min(math.ceil(warmup * steps), steps - 1)
    if not 0 <= warmup < steps:
        raise ValueError(
            f"warmup is {warmup} steps and the run has {steps}, so the full rate would never be reached; take fewer, or a "
            "share of the run such as warmup=0.1."
            if warmup > 0
            else f"warmup is {warmup}; it cannot be negative."
        )
    return warmup


def _check_schedule(name: str, options: dict[str, Any]) -> None:
    if name not in SCHEDULES:
        raise ValueError(
            f"There is no schedule {name!r} here; there are {', '.join(SCHEDULES)}. transformers.get_scheduler has more."
        )
    for option in options:
        if option not in SCHEDULES[name]:  # transformers drops some of these without a word
            known = " and ".join(SCHEDULES[name]) or "none"
            raise ValueError(f"{option} is no option of the schedule {name}; its options: {known}.")


# ----------------------------------------------------------------------------------- two ways to decay, by hand


@dataclass
class Moments:
    """What Adam remembers of a parameter: running means of the gradient and of its square."""

    first: Tensor
    second: Tensor
    steps: int = 0

    @classmethod
    def of(cls, weight: Tensor) -> Self:
        """Those of a parameter before its first step."""
        return cls(torch.zeros_like(weight), torch.zeros_like(weight))


def sgd_with_l2(weight: Tensor, gradient: Tensor, learning_rate: float, weight_decay: float) -> Tensor:
    """One step of SGD with an L2 penalty: the penalty's gradient, weight_decay * weight, is added to the loss's."""
    return weight - learning_rate * (gradient + weight_decay * weight)


def sgd_decoupled(weight: Tensor, gradient: Tensor, learning_rate: float, weight_decay: float) -> Tensor:
    """One step of SGD with decoupled decay: the weight shrinks, then the gradient moves it.

    The same as `sgd_with_l2`, multiplied out. Without momentum this holds at every step; it is the reason why the two
    were long taken for one thing (Loshchilov and Hutter 2019, proposition 1).
    """
    return (1 - learning_rate * weight_decay) * weight - learning_rate * gradient


def adam_with_l2(
    weight: Tensor,
    gradient: Tensor,
    moments: Moments,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Tensor:
    """One step of Adam with an L2 penalty; it brings `moments` up to date. Equals torch.optim.Adam(weight_decay=...).

    The penalty goes through both running means, so Adam divides it by the size of the gradient: a weight with large
    gradients hardly decays, one with small gradients decays fast. Most libraries did this and called it weight decay.
    """
    penalised = gradient + weight_decay * weight
    return weight - learning_rate * _adam_direction(penalised, moments, betas, eps)


def adam_decoupled(
    weight: Tensor,
    gradient: Tensor,
    moments: Moments,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Tensor:
    """One step of AdamW; it brings `moments` up to date. Equals torch.optim.AdamW.

    The decay does not pass through the running means: every weight shrinks by the same factor. No choice of the L2
    penalty makes `adam_with_l2` do the same (Loshchilov and Hutter 2019, proposition 2).
    """
    shrunk = (1 - learning_rate * weight_decay) * weight
    return shrunk - learning_rate * _adam_direction(gradient, moments, betas, eps)


def _adam_direction(gradient: Tensor, moments: Moments, betas: tuple[float, float], eps: float) -> Tensor:
    """The running mean of the gradient over the root of that of its square, both corrected for their start at 0."""
    moments.steps += 1
    # The old form, add_(1 - beta, gradient), still runs, with a warning that it is deprecated.
    moments.first.mul_(betas[0]).add_(gradient, alpha=1 - betas[0])
    moments.second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    first = moments.first / (1 - betas[0] ** moments.steps)
    second = moments.second / (1 - betas[1] ** moments.steps)
    return first / (second.sqrt() + eps)
