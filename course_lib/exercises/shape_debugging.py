"""Checks of notebook 03_shape_debugging, in its order.

Letters: B batch, T tokens, H hidden size, L layers, K classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import (
    SIZES,
    advised,
    as_tensor,
    close,
    combined,
    expect_equal,
    expect_shape,
    hidden_and_mask,
    one_number,
    seeded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

_NOTEBOOK = "03_shape_debugging"
Sizes = tuple[int, int, int]  # of a model: layers, hidden, classes

# Each known mistake shows in one of them at least.
_LENGTHS = (
    ("Conv1d", (64, 3, 1, 0, 1)),
    ("MaxPool1d", (19, 4, 3, 1, 1)),
    ("Conv1d", (23, 3, 1, 5, 4)),
    ("Conv1d", (17, 5, 3, 3, 2)),
    ("Conv1d", (11, 2, 5, 0, 3)),
    ("MaxPool1d", (31, 7, 2, 2, 2)),
    ("Conv1d", (7, 1, 1, 0, 1)),
    ("MaxPool1d", (62, 62, 62, 0, 1)),
)


@exercise(_NOTEBOOK, "How long is the output?")
def output_length(answer: Any) -> str:
    """answer(length, kernel, stride, padding, dilation) -> how many places nn.Conv1d and nn.MaxPool1d give."""
    given, right = [], []
    for kind, case in _LENGTHS:
        got = one_number(result := answer(*case))
        expect(got is not None, f"For {_sizes(case)} you gave {describe(result)}; one whole number is wanted.")
        given.append(got)
        right.append(_places(kind, case))
    if given != right:
        # By all cases together, because for one alone different mistakes give the same.
        why = next((words for words, wrong in _wrong_lengths() if _same_numbers(given, wrong)), "")
        at = next(i for i in range(len(right)) if given[i] != right[i])
        kind, case = _LENGTHS[at]
        raise Mistake(f"For {_sizes(case)} you gave {given[at]:g}, and a real nn.{kind} gives {right[at]}{why and ': '}{why}.")  # fmt: skip
    return "Kernel 3 with padding 1 and stride 1 keeps the length: what padding='same' works out by itself."


def _places(kind: str, case: tuple[int, ...]) -> int:
    """How many places a real layer gives, on a device that computes shapes alone."""
    import torch

    length, *window = case
    channels = (1, 1) if kind == "Conv1d" else ()
    layer = getattr(torch.nn, kind)(*channels, *window).to("meta")
    return layer(torch.empty(1, 1, length, device="meta")).shape[-1]


def _sizes(case: tuple[int, ...]) -> str:
    names = ("length", "kernel", "stride", "padding", "dilation")
    return ", ".join(f"{name} = {number}" for name, number in zip(names, case, strict=True))


def _same_numbers(some: Sequence[float], others: Sequence[float]) -> bool:
    return all(math.isclose(a, b, abs_tol=1e-3) for a, b in zip(some, others, strict=True))


def _wrong_lengths() -> Iterator[tuple[str, list[float]]]:
    """What known mistakes give for all the cases. Each part takes n, k, s, p, d as they are needed."""
    lengths: list[tuple[str, Callable[..., int]]] = [
        ("", lambda n, p: n + 2 * p),
        ("padding is added at each end, so it counts twice", lambda n, p: n + p),
        ("padding has no say in your formula. Add it at each end, 2 * padding", lambda n, p: n),
        ("padding is subtracted. It makes the input longer", lambda n, p: n - 2 * p),
        ("padding is counted four times. There is one at each end, 2 * padding", lambda n, p: n + 4 * p),
    ]
    spans: list[tuple[str, Callable[..., int]]] = [
        ("", lambda k, d: d * (k - 1) + 1),
        ("dilation has no say in your formula. A window spans dilation * (kernel - 1) + 1 places", lambda k, d: k),
        ("a window does not span dilation * kernel places. Between its kernel places there are kernel - 1 steps: dilation * (kernel - 1) + 1", lambda k, d: d * k),
        ("the span of a window is one too small. Steps and a first place: dilation * (kernel - 1) + 1", lambda k, d: d * (k - 1)),
        ("dilation and kernel are added. A window makes kernel - 1 steps of dilation: it spans dilation * (kernel - 1) + 1 places", lambda k, d: d + k - 1),
        ("dilation is counted as the places left out between two. It is the step, 1 for neighbours: a window spans dilation * (kernel - 1) + 1", lambda k, d: (d + 1) * (k - 1) + 1),
        ("the span of a window is not subtracted. The last window fits inside as a whole", lambda k, d: 0),
    ]  # fmt: skip
    steps: list[tuple[str, Callable[[int, int], float]]] = [
        ("", lambda x, s: x // s),
        ("you round up. What is left over behind the last window is not read: round down, //", lambda x, s: -(-x // s)),
        ("you round to the nearest. What is left over behind the last window is not read: round down, //", lambda x, s: round(x / s)),
        ("you do not round. Windows are whole: round down, //", lambda x, s: x / s),
        ("stride has no say in your formula. Divide by it before you add 1", lambda x, s: x),
        ("you multiply with stride. A longer step makes fewer windows: divide", lambda x, s: x * s),
        ("the 1 is added before you divide by stride. It comes after: the first window has not moved", lambda x, s: (x + 1) // s - 1),
    ]  # fmt: skip
    ends: list[tuple[str, int]] = [
        ("", 1),
        ("the 1 for the first window is missing. The division counts how often it moves", 0),
        ("you add 2 at the end. There is one window that has not moved, so 1", 2),
    ]
    for words, (length, span, step, end) in combined(lengths, spans, steps, ends):
        yield words, [step(length(n, p) - span(k, d), s) + end for _, (n, k, s, p, d) in _LENGTHS]
    yield "length / stride holds where padding is chosen for it, as padding='same' does at stride 1. Here the windows must be counted", [n // s for _, (n, _, s, _, _) in _LENGTHS]  # fmt: skip
    yield "length / stride, rounded up, is what TensorFlow's padding 'same' gives. Here padding is an argument, and the windows must be counted", [-(-n // s) for _, (n, _, s, _, _) in _LENGTHS]  # fmt: skip
    yield "you gave the length of the input", [n for _, (n, *_) in _LENGTHS]


@exercise(_NOTEBOOK, "Mend the join")
def layers_as_channels(answer: Any) -> str:
    """answer(hidden_states: L + 1 of (B, T, H)) -> (B, L + 1, T, H)."""
    import torch

    for count, (batch, tokens, width) in zip((13, 7, 5), SIZES, strict=True):
        generator = seeded(count)
        states = tuple(torch.randn(batch, tokens, width, generator=generator) for _ in range(count))
        where = f"For {count} hidden states {(batch, tokens, width)}"
        with advised(
            "torch.stack makes the new dimension by itself; a view or a transpose needs a tensor, not a tuple"
        ):
            given = answer(states)
        got = as_tensor(given, where, "torch.stack makes one tensor of the tuple")
        shapes = {
            (count * batch, tokens, width): f"torch.cat along dim=0 made {count * batch} texts of {batch}, for it joins along a dimension that is there. torch.stack makes a new one",
            (batch, count * tokens, width): f"torch.cat along dim=1 put the layers one behind the other, as a text of {count * tokens} tokens. torch.stack makes a new dimension",
            (batch, tokens, count * width): f"torch.cat along the last dimension put the layers side by side, as vectors of {count * width} numbers. torch.stack makes a new dimension",
            (count, batch, tokens, width): "torch.stack put the layers first, and a convolution reads the first dimension as the texts. dim=1 puts them second",
            (batch, tokens, count, width): "the layers stand behind the tokens. A convolution reads the channels second: dim=1",
            (batch, tokens, width, count): "the layers stand last. A convolution reads the channels second: dim=1",
            (batch, count, width, tokens): "T and H have changed places. Height is the tokens, width the numbers of a vector",
            (batch, tokens, width): "one layer is left, or the layers were added or averaged. All of them are wanted, one a channel",
            (batch, 1, tokens, width): f"there is one channel. All {count} layers are wanted",
            (batch, count - 1, tokens, width): "one layer is missing. The embeddings, index 0, are a channel as well, and so is the last",
            (1, count * batch, tokens, width): f"layers and texts became {count * batch} channels of one text. Each text keeps its own place: torch.stack with dim=1",
            (count * batch, 1, tokens, width): f"layers and texts became {count * batch} texts with one channel. Each text keeps its own place: torch.stack with dim=1",
            (batch, count, tokens * width): "T and H are flattened into one. A 2-D convolution reads them as height and width",
        }  # fmt: skip
        expect_shape(got, (batch, count, tokens, width), where, "texts, layers, tokens, numbers of a vector", shapes)
        right = torch.stack(states, 1)
        found = f"{where} the shape is right, and the numbers are not"
        expect_equal(got, right, found, _wrong_joins(states), "text b of layer l belongs at [b, l]")
    return "torch.stack copies: while both are in use, the hidden states take twice their memory."


def _wrong_joins(states: tuple[Tensor, ...]) -> Iterator[tuple[str, Tensor]]:
    import torch

    right = torch.stack(states, 1)
    layers_first = torch.stack(states)
    mixed = "A view moves no number, it only cuts the same row of numbers anew"
    # torch.cat along dim=0 and torch.stack along dim=0 hold the same numbers in the same order.
    yield f"you viewed layers that lie one behind the other, so the first text has the vectors of several texts. {mixed}. torch.stack with dim=1 puts the layers second", layers_first.reshape(right.shape)  # fmt: skip
    yield f"you joined along the last dimension, then viewed, so layers and tokens are mixed. {mixed}. torch.stack with dim=1 puts the layers second", torch.cat(states, -1).reshape(right.shape)  # fmt: skip
    yield f"you stacked along the last dimension, then viewed, so layers, tokens and numbers are mixed. {mixed}. torch.stack with dim=1 puts the layers second", torch.stack(states, -1).reshape(right.shape)  # fmt: skip
    yield f"you let the layers and the tokens change places by a view. {mixed}; .transpose(1, 2) is what makes them change places", layers_first.transpose(0, 2).reshape(right.shape)  # fmt: skip
    yield f"T and H are read in the wrong order. {mixed}", right.mT.reshape(right.shape)
    yield "the layers run backwards. Index 0, the embeddings, comes first", right.flip(1)
    yield "the texts run backwards", right.flip(0)
    yield "every channel is the last layer. Each layer has its own", states[-1][:, None].expand_as(right)
    yield "every channel is the embeddings, index 0. Each layer has its own", states[0][:, None].expand_as(right)
    yield "every channel is the mean of the layers. Each layer has its own", right.mean(1, True).expand_as(right)
    yield "every text has the layers of the first one", right[:1].expand_as(right)
    yield (
        "an index [-0] is [0]: your layers begin with the embeddings, and go on from the end",
        right.roll(-1, 1).flip(1),
    )


# layers, hidden, classes: primes, none of them 3, so that the sizes of each parameter say what it is.
_MODELS = ((7, 5, 2), (2, 7, 5))
# T, and the numbers of real tokens of B texts: padded texts, a batch of one, and short texts, in which a filter is likely
# to find nothing, so that ReLU matters. None is shorter than a window, so that windows without zeros around exist too.
_BATCHES = (
    (11, (11, 3, 5, 4, 7, 3, 10, 6, 3, 8, 4, 9, 3)),
    (13, (9,)),
    (3, (3,) * 17),
)
_CHAIN = "torch.stack(hidden_states, dim=1) is (B, S, T, H) for S hidden states, a convolution makes (B, S, T, 1) of it, its maximum over T is (B, S), and the linear layer makes (B, K)"  # fmt: skip


@exercise(_NOTEBOOK, "Mend the model")
def mended(answer: Any) -> str:
    """answer(layers, hidden, classes) -> nn.Module; model(hidden_states: layers of (B, T, H), mask (B, T)) -> (B, K)."""
    import torch

    # What the learner's model draws at random is not to change the numbers of the notebook's later cells.
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        for sizes in _MODELS:
            model = _built(answer, sizes)
            batches = [_batch(sizes, tokens, lengths) for tokens, lengths in _BATCHES]
            for states, mask in batches:
                _scores(model, sizes, states, mask)
            filters = _filled(model, sizes)
            for states, mask in batches:
                _expect_scores(model, sizes, states, mask, filters)
            _expect_gradients(model, *batches[0])
    return "For BERT base's 13 hidden states and 3 classes it has 30,007 parameters; Linear(9118464, 3) alone would have 27,355,395."


def _built(answer: Any, sizes: Sizes) -> nn.Module:
    import torch

    model = answer(*sizes)
    called = "Called with layers = {}, hidden = {} and classes = {}, your function".format(*sizes)
    if isinstance(model, type) and issubclass(model, torch.nn.Module):
        raise Mistake(f"{called} returned the class {model.__name__}. Call it and return the model that it makes: {model.__name__}(...).")  # fmt: skip
    if isinstance(model, torch.Tensor):
        raise Mistake(f"{called} returned {describe(model)}. Return the model itself; the check calls it with hidden states and a mask.")  # fmt: skip
    if not isinstance(model, torch.nn.Module):
        raise Mistake(f"{called} returned something of type {type(model).__name__}; a model is wanted, an nn.Module.")
    return model.eval()  # so that a dropout, which the forum's model has, is at rest


def _batch(sizes: Sizes, tokens: int, lengths: tuple[int, ...]) -> tuple[tuple[Tensor, ...], Tensor]:
    """Hidden states, with vectors of padding that are not 0, as BERT's are not; and their mask."""
    import torch

    layers, hidden, _ = sizes
    generator = seeded(tokens * hidden)
    mask = (torch.arange(tokens)[None] < torch.tensor(lengths)[:, None]).long()
    states = torch.randn(layers, len(lengths), tokens, hidden, generator=generator)
    return (*states,), mask


def _where(sizes: Sizes, states: tuple[Tensor, ...], mask: Tensor) -> str:
    padding = f"{mask.sum(1).tolist()} real tokens" if (mask == 0).any() else "no padding"
    return f"For {len(states)} hidden states {tuple(states[0].shape)} with {padding}, and {sizes[2]} classes,"


def _scores(model: nn.Module, sizes: Sizes, states: tuple[Tensor, ...], mask: Tensor) -> Tensor:
    """The scores (B, K) of the learner's model, or a `Mistake` that says why there are none."""
    where = _where(sizes, states, mask)
    try:
        # Clones: a model that writes into its input must not change what the check compares with.
        given = model(tuple(state.clone() for state in states), mask.clone())
    except Exception as error:
        # The first line: when torch finds no overload, it lists them all.
        words = (str(error).strip().splitlines() or [""])[0].removesuffix(", but expected one of:").removesuffix(".")
        raise Mistake(f"{where} your model raised {type(error).__name__}: {_short(words)}.{_line(model, error)}{_advice(model, error)}") from error  # fmt: skip
    expect(given is not None, f"{where} your model returned None. Is a `return` missing in forward?")
    got = as_tensor(given, where, "forward is to return the scores, one tensor (B, K)")
    (batch, tokens, width), (layers, _, classes) = states[0].shape, sizes
    known = {
        (batch, layers): f"you gave the maxima. A linear layer makes {classes} scores of them",
        (layers * batch, classes): f"there is a row for each layer of each text, {layers} x {batch}. torch.stack with dim=1 makes the layers channels of one text",
        (batch * tokens, classes): "there is a row for each token. Take the maximum over the tokens before the linear layer",
        (batch, tokens, classes): "there is a row for each token. Take the maximum over the tokens before the linear layer",
        (batch, layers, classes): "there is a row for each layer. The linear layer takes the maxima of all layers at once",
        (classes, batch): "texts and classes have changed places",
        (batch, 1, classes): "there is a dimension too many in the middle. The maxima are (B, S), S hidden states, before the linear layer",
        (batch, classes, 1): "there is a dimension too many at the end. The maxima are (B, S), S hidden states, before the linear layer",
        (classes,): "there is one row for all texts together. Each text has its own: the maximum is over the tokens alone",
        (batch,): "there is one number a text, as after an argmax or a maximum. All K scores are wanted",
        (batch, tokens): "there is one number a token. Take the maximum over the tokens, then the linear layer",
        (batch, width): "there are H numbers a text. The linear layer makes K scores of the maxima, one a layer",
    }  # fmt: skip
    expect_shape(got, (batch, classes), where.removesuffix(","), "K scores a text", known)
    return got


def _advice(model: nn.Module, error: Exception) -> str:
    if isinstance(error, TypeError):
        yes_or_no = [m for m in model.modules() if any(isinstance(p, bool) for p in getattr(m, "padding", ()) or ())]
        return "\npadding=True is no number of zeros. (1, 0) adds one at both ends of the text, and none to H." if yes_or_no else ""  # fmt: skip
    return f"\nIf shapes do not fit there: {_CHAIN}." if isinstance(error, (RuntimeError, ValueError)) else ""


def _line(model: nn.Module, error: Exception) -> str:
    import traceback

    code = getattr(model.forward, "__code__", None)
    lines = [f.line for f in traceback.extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
    return f" This line of yours failed:  {lines[-1]}" if lines and lines[-1] else ""


def _filled(model: nn.Module, sizes: Sizes) -> tuple[Tensor, ...]:
    """New numbers for the model's parameters, and what they are: filters (L, 3, H), biases (L,), head (K, L), (K,).

    The sizes are primes, so the shape of a parameter says what it is, whichever layers the learner took.
    """
    import torch

    layers, hidden, classes = sizes
    parameters = dict(model.named_parameters())
    count = sum(p.numel() for p in parameters.values())
    _expect_count(count, sizes, ", ".join(f"{name} {tuple(p.shape)}" for name, p in parameters.items()))
    generator = seeded(hidden)
    found: dict[str, list[Tensor]] = {"filters": [], "biases": [], "head": [], "shift": []}
    for parameter in parameters.values():
        with torch.no_grad():
            new = torch.randn(parameter.shape, generator=generator)
            # Of the size that makes a filter's answers spread by about 1, so that no rounding hides a mistake.
            parameter.copy_(new / math.sqrt(3 * hidden) if parameter.numel() % (3 * hidden) == 0 else new / 2)
        values, numbers = parameter.detach().cpu(), parameter.numel()
        if numbers in (3 * hidden, 3 * hidden * layers):
            found["filters"].append(_as_filters(values, hidden))
        elif numbers == layers * classes:
            found["head"].append(
                values.squeeze() if values.squeeze().shape == (classes, layers) else values.squeeze().T
            )
        else:
            found["shift" if numbers == classes else "biases"].append(values.reshape(-1))
    wanted = ((layers, 3, hidden), (layers,), (classes, layers), (classes,))
    made = tuple(torch.cat(parts) if parts else torch.empty(0) for parts in found.values())
    listed = ", ".join(str(tuple(p.shape)) for p in parameters.values())
    expect(
        tuple(tuple(m.shape) for m in made) == wanted,
        f"The count of parameters is right, but among the shapes {_short(listed)} there are not {layers} filters of 3 x {hidden} with a bias each and a linear layer from {layers} to {classes}.",
    )  # fmt: skip
    return made


def _as_filters(values: Tensor, hidden: int) -> Tensor:
    """Filters (n, 3, H) of any layer: nn.Conv2d has (n, 1, 3, H), nn.Conv1d (n, H, 3), nn.Linear (n, 3 H)."""
    sizes = list(values.squeeze().shape)
    if 3 in sizes and hidden in sizes:
        three, width = sizes.index(3), sizes.index(hidden)
        rest = [dim for dim in range(len(sizes)) if dim not in (three, width)]
        values = values.squeeze().permute(*rest, three, width)
    return values.reshape(-1, 3, hidden)


def _short(text: str) -> str:
    return text if len(text) <= 250 else f"{text[:250]} ..."


def _expect_count(count: int, sizes: Sizes, listed: str) -> None:
    layers, hidden, classes = sizes
    linear = layers * classes + classes
    right = layers * (3 * hidden + 1) + linear
    if count != right:
        why = _known_counts(layers, hidden, classes).get(count, f"they are {_short(listed)}")
        raise Mistake(f"For layers = {layers}, hidden = {hidden} and classes = {classes} your model has {count} parameters, and {right} are expected, {layers} x (3 x {hidden} + 1) in the filters and {linear} in the linear layer: {why}.")  # fmt: skip


def _known_counts(layers: int, hidden: int, classes: int) -> dict[int, str]:
    """A wrong count of parameters -> the mistake that makes it."""
    filters, linear = layers * (3 * hidden + 1), layers * classes + classes
    right = filters + linear
    apart = "A module in a plain list or dictionary is not registered, and an optimizer never sees it: nn.ModuleList registers it"
    return {
        layers * (3 * hidden * layers + 1) + linear: "each filter sees all layers, as in the forum's model. groups=layers gives each layer its own",
        3 * hidden * layers + 1 + 2 * classes: "one filter sees all layers. Each layer has its own: groups=layers",
        3 * hidden + 1 + linear: "all layers share one filter. Each has its own: groups=layers, or an nn.ModuleList of filters",
        3 * hidden + 1 + 2 * classes: "there is one filter alone. Each layer has its own: groups=layers, or an nn.ModuleList of filters",
        linear: f"those of the filters are not among them. {apart}",
        filters: f"those of the linear layer are not among them. {apart}",
        0: f"none is registered. {apart}, and super().__init__() comes first",
        right - layers: "the filters have no bias",
        right - classes: "the linear layer has no bias",
        right - layers - classes: "the biases are missing",
        layers * (hidden + 1) + linear: "your filters see one token alone. A window has three: (3, H)",
        layers * (3 + 1) + linear: "your filters see one number of each token alone. A window has whole vectors: (3, H)",
        layers * (9 + 1) + linear: "your filters are 3 x 3. A window has whole vectors: (3, H)",
        layers * (2 * hidden + 1) + linear: "your filters see two tokens. A window has three: (3, H)",
        layers * (5 * hidden + 1) + linear: "your filters see five tokens. A window has three: (3, H)",
        right + 2 * layers: "there is a normalisation too many. Batch normalisation, besides, lets the texts of a batch see each other",
        2 * right: "every layer is there twice",
    }  # fmt: skip


def _from_to(before: int, behind: int) -> Callable[[Tensor], Tensor]:
    """Which windows (B, T + 2) take part, from the real tokens (B, T): window j reads the tokens j - 2 to j.

    Those do that begin at most `before` places before the text and end at most `behind` places behind it.
    """

    def windows(real: Tensor) -> Tensor:
        import torch

        numbers, lengths = torch.arange(real.shape[1] + 2), real.sum(1, keepdim=True)
        return (numbers >= 2 - before) & (numbers <= lengths - 1 + behind)

    return windows


def _expect_scores(
    model: nn.Module, sizes: Sizes, states: tuple[Tensor, ...], mask: Tensor, filters: tuple[Tensor, ...]
) -> None:
    import torch

    got = _scores(model, sizes, states, mask)
    stacked, real = torch.stack(states, 1), mask.bool()
    zeroed = stacked.masked_fill(~real[:, None, :, None], 0)
    # The task's way, then others as good: windows that do not depend on the amount of padding either; the first filter
    # for the last layer; and the numbers of a filter by H, then by place, if they came in one row.
    by_number = filters[0].reshape(-1, sizes[1], 3).mT
    for weight, layers in itertools.product((filters[0], by_number), (zeroed, zeroed.flip(1))):
        for before, behind in ((1, 1), (0, 0), (2, 2), (0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)):
            if close(got, _forward(layers, _from_to(before, behind)(real), (weight, *filters[1:]))):
                return
    where = _where(sizes, states, mask)
    right = _forward(zeroed, _from_to(1, 1)(real), filters)
    found = f"{where} the scores are not right"
    if not close(got, _scores(model, sizes, states, mask)):
        raise Mistake(f"{where} the same input gives other scores each time. Is there a dropout that does not heed model.eval()? nn.Dropout does.")  # fmt: skip
    wrong = _wrong_scores(states, real, filters)
    expect_equal(got, right, found, wrong, _property(model, sizes, states, mask, got), "Has a text no window?")


def _forward(
    stacked: Tensor,
    windows: Tensor,
    filters: tuple[Tensor, ...],
    activation: Callable[[Tensor], Tensor] | None = None,
    pool: Callable[[Tensor, Tensor], Tensor] | None = None,
    beside: int = 0,
) -> Tensor:
    """Scores (B, K) of layers (B, L, T, H), with the maximum over the windows (B, T + 2) that are True."""
    import torch

    weight, bias, head, shift = filters
    # Two zero vectors at each end: all windows that touch the text.
    made = torch.nn.functional.conv2d(stacked, weight[:, None], bias, padding=(2, beside), groups=len(bias)).amax(-1)
    made = (activation or torch.relu)(made)
    return (pool or _maximum)(made, windows[:, None]) @ head.T + shift


def _maximum(made: Tensor, windows: Tensor) -> Tensor:
    return made.masked_fill(~windows, -math.inf).amax(-1)


def _wrong_scores(
    states: tuple[Tensor, ...], real: Tensor, filters: tuple[Tensor, ...]
) -> Iterator[tuple[str, Tensor]]:
    import torch

    f = torch.nn.functional
    stacked = torch.stack(states, 1)
    tokens = real.shape[1]
    inputs = [
        ("", stacked),
        ("torch.cat, or torch.stack with dim=0, and a view give the shape (B, L, T, H) with texts and layers mixed. torch.stack with dim=1 gives it with each in its place", torch.stack(states).reshape(stacked.shape)),
        ("the filters read nothing but zeros, as if the hidden states had been overwritten, or all of them masked", stacked * 0),
        ("every filter reads the last layer. Each has its own", stacked[:, -1:].expand_as(stacked)),
        ("every filter reads the first layer. Each has its own", stacked[:, :1].expand_as(stacked)),
        ("every filter reads the mean of the layers. Each has its own", stacked.mean(1, True).expand_as(stacked)),
    ]  # fmt: skip
    everywhere = torch.ones_like(real)
    unused = "the mask has no say: the vectors of padding are read, and their windows take part in the maximum"
    still = "the vectors of padding are zero, but the windows with padding in the middle still take part in the maximum, so more padding may change the scores. Set them to minus infinity before the maximum"
    seen = "the windows of padding are out, but the window of the last real token reads the vector of padding behind it. Set the vectors of padding to zero before the convolution"
    cut = "without zeros around the text a full text has fewer windows than the same text with padding behind it. padding=(1, 0) in the convolution gives each token its window"
    starts = "the mask is shifted: it asks for a real token at the beginning of a window, not in its middle. padding=(1, 0) in the convolution gives T windows, which fit the mask as it is"
    turned = "the mask is turned round. Padding is where it is 0"
    centre, inside = _from_to(1, 1), _from_to(0, 0)

    def within(windows: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda real: windows(real) & inside(everywhere)

    # Whose vectors are kept, and which windows take part.
    masks: list[tuple[str, tuple[Tensor, Tensor]]] = [
        ("", (real, centre(real))),
        (unused, (everywhere, centre(everywhere))),
        (unused, (everywhere, inside(everywhere))),
        (unused, (everywhere, _from_to(2, 2)(everywhere))),
        (still, (real, centre(everywhere))),
        (still, (real, inside(everywhere))),
        (still, (real, _from_to(2, 2)(everywhere))),
        (seen, (everywhere, centre(real))),
        (seen, (everywhere, _from_to(2, 2)(real))),
        (cut, (real, within(centre)(real))),
        (f"{cut}. And the vectors of padding are not zero", (everywhere, within(centre)(real))),
        (starts, (real, within(_from_to(0, 2))(real))),
        (f"{starts}. And the vectors of padding are not zero", (everywhere, within(_from_to(0, 2))(real))),
        (turned, (~real, f.pad(~real, (1, 1)))),
        (f"{turned}. And the vectors of padding are not zero", (everywhere, f.pad(~real, (1, 1)))),
        ("the vectors of the real tokens are zero, not those of padding: there the mask is turned round", (~real, centre(real))),
        ("the windows of the real tokens are out, not those of padding: there the mask is turned round", (real, f.pad(~real, (1, 1)))),
    ]  # fmt: skip
    besides = [
        ("", 0),
        ("padding=1, or True, adds zeros to H as well, so that each window is read three times, twice shifted by a number. padding=(1, 0) adds them to T alone", 1),
    ]  # fmt: skip
    activations: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("", torch.relu),
        ("the ReLU is missing: some maxima are below 0", lambda x: x),
        ("there is a GELU in the place of ReLU", f.gelu),
        ("there is a sigmoid in the place of ReLU", torch.sigmoid),
        ("there is a tanh in the place of ReLU", torch.tanh),
    ]
    pools: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
        ("", _maximum),
        ("you gave the mean of the windows. The maximum is wanted, amax", lambda x, w: (x * w).sum(-1) / w.sum(-1)),
        (f"you gave the mean over all T = {tokens} windows. The maximum is wanted, amax", lambda x, w: (x * w).sum(-1) / tokens),
        ("you gave the sum of the windows. The maximum is wanted, amax", lambda x, w: (x * w).sum(-1)),
        ("you gave the smallest window. The maximum is wanted, amax", lambda x, w: x.masked_fill(~w, math.inf).amin(-1)),
        ("you took the first window alone. The maximum is over all of them", lambda x, w: x[..., 1]),
        ("you took the last window alone. The maximum is over all of them", lambda x, w: x[..., tokens]),
        ("the maximum is over the texts as well, so that they see each other. amax(dim=-1) is over the tokens alone", lambda x, w: _maximum(x, w).amax(0, True).expand(len(x), -1)),
    ]  # fmt: skip
    ends: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("", lambda x: x),
        ("they went through log_softmax. Return plain scores: cross entropy takes log_softmax itself", lambda x: x.log_softmax(1)),
        ("they went through softmax. Return plain scores: cross entropy takes log_softmax itself", lambda x: x.softmax(1)),
        ("there is a log_softmax over dim=0, the texts. Return plain scores", lambda x: x.log_softmax(0)),
        ("there is a softmax over dim=0, the texts. Return plain scores", lambda x: x.softmax(0)),
        ("there is a sigmoid on the scores. Return them plain", torch.sigmoid),
        ("there is a ReLU on the scores. Return them plain: a score may be below 0", torch.relu),
    ]  # fmt: skip
    parts = (inputs, masks, besides, activations, pools, ends)
    for words, (read, (kept, windows), beside, activation, pool, end) in combined(*parts, most=2):
        layers = read.masked_fill(~kept[:, None, :, None], 0)
        yield words, end(_forward(layers, windows, filters, activation, pool, beside))


def _property(model: nn.Module, sizes: Sizes, states: tuple[Tensor, ...], mask: Tensor, got: Tensor) -> str:
    """A property that does not hold, for wrong scores of no known mistake; empty where all of them hold."""
    import torch

    stacked, padding = torch.stack(states), (mask == 0)[None, ..., None]

    def changed(other: Tensor, rows: slice = slice(None)) -> bool:
        return not close(_scores(model, sizes, (*other,), mask)[rows], got[rows])

    if changed(torch.where(padding, stacked + 7, stacked)):
        return "when the check changes the vectors of padding, your scores change. Padding must have no say"
    if len(mask) > 1 and changed(torch.cat([stacked[:, :1], -stacked[:, 1:]], dim=1), slice(1)):
        return "when the check changes the other texts, the scores of the first one change. No text may see another"
    for layer in range(len(states)):
        other = stacked.clone()
        other[layer] *= -5
        if not changed(other):
            return (
                f"when the check changes hidden_states[{layer}], your scores stay as they are. Every layer has a filter"
            )
    return ""


def _expect_gradients(model: nn.Module, states: tuple[Tensor, ...], mask: Tensor) -> None:
    """One step of training would reach every parameter, and BERT behind the hidden states."""
    model.zero_grad()
    leaves = [state.clone().requires_grad_() for state in states]
    scores = model(tuple(leaf.clone() for leaf in leaves), mask.clone())
    broken = "Is there a detach(), .data, .item(), torch.tensor(...) or no_grad on the way?"
    expect(scores.requires_grad, f"The scores are right, and carry no gradient, so nothing could learn. {broken}")
    scores.square().sum().backward()
    for name, parameter in model.named_parameters():
        expect(parameter.grad is not None, f"The scores are right, but {name} gets no gradient, so it would never learn. {broken}")  # fmt: skip
    reached = all(leaf.grad is not None for leaf in leaves)
    expect(reached, f"The scores are right, but no gradient goes back to the hidden states, so BERT would not learn with your model. {broken}")  # fmt: skip


@exercise(_NOTEBOOK, "Mend the view")
def to_channels(answer: Any) -> str:
    """answer(x (B, T, H)) -> (B, H, T): the dimensions change places, each number keeps its token."""
    import torch

    for batch, tokens, width in SIZES:
        x = torch.randn(batch, tokens, width, generator=seeded(width))
        where = f"For x {(batch, tokens, width)}"
        with advised(".transpose(1, 2) lets T and H change places, whatever their sizes are"):
            given = answer(x)
        got = as_tensor(given, where)
        shapes = {
            (batch, tokens, width): "x has its old shape. T and H are to change places: .transpose(1, 2)",
            (width, tokens, batch): "all three dimensions are turned round, as .T does. The batch stays first: .transpose(1, 2)",
            (tokens, batch, width): "the texts and the tokens have changed places, dimensions 0 and 1. T and H are 1 and 2",
            (width, batch, tokens): "H stands first. The batch stays there: permute(0, 2, 1)",
            (tokens, width, batch): "the batch stands last. It stays first: permute(0, 2, 1)",
            (batch, 1, tokens, width): "there is one dimension more, and T and H are as they were. They change places: .transpose(1, 2)",
            (batch, 1, width, tokens): "there is one dimension more. nn.Conv1d reads three",
            (batch, tokens * width): "T and H are flattened into one. They change places: .transpose(1, 2)",
            (batch, width): "the tokens are summed or averaged. All of them are wanted",
            (batch * tokens, width): "texts and tokens are flattened into one. T and H change places: .transpose(1, 2)",
        }  # fmt: skip
        expect_shape(got, (batch, width, tokens), where, "texts, numbers of a vector, tokens", shapes)
        found = f"{where} the shape is right, and the numbers are not"
        expect_equal(got, x.mT, found, _wrong_turns(x), "number h of token t belongs at [b, h, t]")
    return "A transpose moves no number either: it changes the strides by which they are read, and a view after it may fail."


def _wrong_turns(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    shape = x.mT.shape
    yield "a view, or reshape, cuts the same row of numbers anew, so a channel has numbers of several tokens. .transpose(1, 2) lets T and H change places", x.reshape(shape)  # fmt: skip
    for order in ((1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)):
        yield f"permute{order} and a view after it mix texts and tokens. permute(0, 2, 1) alone gives the shape and the numbers", x.permute(order).reshape(shape)  # fmt: skip
    turned = "That is a rotation, not a transpose: .transpose(1, 2)"
    yield f"the tokens run backwards. {turned}", x.mT.flip(2)
    yield f"the channels run backwards. {turned}", x.mT.flip(1)
    yield "tokens and channels both run backwards. A transpose keeps their order: .transpose(1, 2)", x.mT.flip(1, 2)
    yield "the texts run backwards", x.mT.flip(0)
    yield "every text has the numbers of the first one", x.mT[:1].expand(shape)
    yield "every token has the same numbers, their mean", x.mT.mean(2, True).expand(shape)


@exercise(_NOTEBOOK, "Mend the last step")
def last_real(answer: Any) -> str:
    """answer(outputs (B, T, H), mask (B, T)) -> (B, H): the vector of the last real token of each text."""
    for batch, tokens, width in SIZES:
        outputs, mask = hidden_and_mask(batch, tokens, width)
        if batch == 3:
            mask[:, -1] = 0  # no text is full here, so that the last place is padding in all of them
        where = f"For outputs {(batch, tokens, width)} with {mask.sum(1).tolist()} real tokens"
        with advised(
            "outputs is (B, T, H); the last of n tokens has place n - 1, and torch.arange(B) beside the places names the texts"
        ):
            given = answer(outputs, mask)
        got = as_tensor(given, where)
        shapes = {
            (batch, batch, width): "each text got the places of all texts. Two indices side by side pair text and place: outputs[torch.arange(B), lengths - 1]",
            (batch, 1, width): "the dimension of the tokens is still there. squeeze(1) drops it, and nothing else",
            (batch, tokens, width): "there is still one vector a token. One of them is wanted, the last real one",
            (tokens, width): "you took one text with all its tokens. Each text has a last real token",
            (width,): "there is one vector for all texts together. Each text has a last real token",
            (batch,): "there is one number a text. The whole vector of its last real token is wanted",
            (batch, tokens): "there is one number a token. The vector of the last real one is wanted",
            (int(mask.sum()), width): "you took all real tokens of the batch. Of each text the last one is wanted",
        }  # fmt: skip
        expect_shape(got, (batch, width), where, "one vector of length H a text", shapes)
        right = outputs[range(batch), mask.sum(1) - 1]
        expect_equal(got, right, f"{where} the numbers do not agree", _wrong_steps(outputs, mask))
    return "The backward half of a bidirectional network ends at the first token: its last step is outputs[:, 0]."


def _wrong_steps(outputs: Tensor, mask: Tensor) -> Iterator[tuple[str, Tensor]]:
    (batch, tokens, _), lengths, rows = outputs.shape, mask.sum(1), range(len(mask))
    real = mask[..., None]
    longest, shortest = int(lengths.max()), int(lengths.min())
    yield f"you took place {tokens - 1}, [:, -1], in every text. In a short text that is padding", outputs[:, -1]
    yield "of n real tokens you took place n, the first padding. Places are counted from 0, so the last is n - 1", outputs[rows, lengths.clamp(max=tokens - 1)]  # fmt: skip
    yield "you took the last real token but one. Of n tokens the last has place n - 1", outputs[rows, lengths - 2]
    yield "you took the first token, [:, 0]. The last real one is wanted", outputs[:, 0]
    yield f"you took place {longest - 1}, the last one of the longest text, in every text. Each has its own", outputs[:, longest - 1]  # fmt: skip
    yield f"you took place {shortest - 1}, the last one of the shortest text, in every text. Each has its own", outputs[:, shortest - 1]  # fmt: skip
    yield f"you counted the real tokens backwards from the end, place {tokens} - n. That is for padding on the left", outputs[rows, tokens - lengths]  # fmt: skip
    yield "the vectors of padding are zero now, but [:, -1] still takes the last place, which is padding in a short text", (outputs * real)[:, -1]  # fmt: skip
    yield "you gave the mean of the real tokens. The vector of the last one is wanted", (outputs * real).sum(1) / real.sum(1)  # fmt: skip
    yield "you gave the mean of all places, padding included. The vector of the last real token is wanted", outputs.mean(1)  # fmt: skip
    yield "you gave the sum of the real tokens. The vector of the last one is wanted", (outputs * real).sum(1)
    yield "you gave the maximum of the real tokens. The vector of the last one is wanted", outputs.masked_fill(real == 0, -math.inf).amax(1)  # fmt: skip
    yield "you gave the maximum of all places. The vector of the last real token is wanted", outputs.amax(1)
    yield "every text got the vector of the last text", outputs[-1, lengths[-1] - 1].expand(batch, -1)
    yield "every text got the vector of the first text", outputs[0, lengths[0] - 1].expand(batch, -1)
    yield "the places are right, and all are looked up in the first text. torch.arange(B) names the texts", outputs[0, lengths - 1]  # fmt: skip
    yield "the texts run backwards", outputs[rows, lengths - 1].flip(0)


@exercise(_NOTEBOOK, "Mend the loss")
def squared_error(answer: Any) -> str:
    """answer(predictions (B, 1), targets (B,)) -> (): the mean of the squared differences, text by text."""
    import torch

    for batch in (7, 1, 11):
        generator = seeded(batch + 2)
        predictions = torch.randn(batch, 1, generator=generator)
        targets = torch.randn(batch, generator=generator) * 2 + 1
        where = f"For predictions {(batch, 1)} and targets {(batch,)}"
        with advised("predictions.squeeze(1) is (B,), as targets is"):
            given = answer(predictions, targets)
        got = as_tensor(given, where, "return a tensor: a plain number, as .item() gives it, carries no gradient")
        shapes = {
            (batch, batch): "each prediction met each target, (B, 1) and (B,) make (B, B), and the mean is missing too. Give both the same shape first",
            (batch,): "there is still one number a text. The mean over the texts is wanted: .mean()",
            (batch, 1): "there is still one number a text. The mean over the texts is wanted: .mean()",
            # Last, for a batch of one, where these are all the same.
            (1,): "there is a dimension too many. .mean() without dim takes the mean of everything, of shape ()",
            (1, 1): "there are two dimensions too many. .mean() without dim takes the mean of everything, of shape ()",
        }  # fmt: skip
        expect_shape(got, (), where, "one loss for the batch", shapes)
        difference = predictions[:, 0] - targets
        found = f"{where} you gave {got.item():.4g}, and {difference.square().mean():.4g} is right"
        expect_equal(got, difference.square().mean(), found, _wrong_errors(predictions, targets), "compare with .mean() of the B squares", "")  # fmt: skip
    return "The broken line is smallest where every prediction is the mean of the batch's targets; its loss falls, and looks like learning."


def _wrong_errors(predictions: Tensor, targets: Tensor) -> Iterator[tuple[str, Tensor]]:
    difference, table = predictions[:, 0] - targets, predictions - targets
    batch = len(targets)
    squares = difference.square()
    meet = f"each prediction met each target: (B, 1) and (B,) make (B, B), here {batch * batch} numbers"
    same = "Give both the same shape first"
    yield f"{meet}. {same}: predictions.squeeze(1)", table.square().mean()
    yield f"{meet}, and you summed them. {same}, then take the mean", table.square().sum()
    yield f"{meet}, and you divide their sum by B. {same}", table.square().sum() / batch
    yield f"{meet}, and you took the absolute value. {same}, and square", table.abs().mean()
    yield f"{meet}, and you took the root. {same}, then the mean of the squares", table.square().mean().sqrt()
    yield f"you gave the sum of the {batch} squares. The mean is wanted", squares.sum()
    yield "you took the absolute value of the differences. Square them", difference.abs().mean()
    yield "you took the root of the mean. The mean of the squares is wanted, without a root", squares.mean().sqrt()
    yield "the square comes after the mean, so that differences above and below 0 cancel. Square first", difference.mean().square()  # fmt: skip
    yield "the square is missing, so that differences above and below 0 cancel", difference.mean()
    yield "the square is missing, and the sign is turned", -difference.mean()
    yield "there is a factor 1/2. The plain mean of the squares is wanted", squares.mean() / 2
    yield "you divide by B - 1, as a variance does. Divide by B", squares.sum() / (batch - 1) if batch > 1 else squares.sum() * math.nan  # fmt: skip
    yield "you gave the square of the first text alone. The mean over all texts is wanted", squares[0]
    yield "you gave the square of the last text alone. The mean over all texts is wanted", squares[-1]
    yield "you gave the largest square. Their mean is wanted", squares.max()
    yield "you gave the smallest square. Their mean is wanted", squares.min()
    yield "predictions and targets are sorted, or compared, in another order than text by text", (predictions[:, 0].flip(0) - targets).square().mean()  # fmt: skip


# Right labels, guesses and names. In the first, 3 is never guessed, 1 is guessed and never right, 4 and 6 do not occur.
_REPORTS = (
    (
        [0, 2, 2, 5, 0, 2, 5, 0, 3],
        [2, 2, 0, 5, 0, 1, 5, 0, 0],
        ["sport", "news", "music", "art", "travel", "film", "food"],
    ),
    ([1], [1], ["no", "yes", "maybe"]),
    ([2, 0, 1, 1, 0], [2, 1, 1, 0, 0], ["red", "green", "blue"]),
)
_AVERAGES = ("accuracy", "macro avg", "weighted avg")


@exercise(_NOTEBOOK, "Mend the report")
def report(answer: Any) -> str:
    """answer(right, guessed, names) -> scikit-learn's classification report, as a dictionary with a row for each name."""
    from sklearn.metrics import classification_report

    for right, guessed, names in _REPORTS:
        numbers = range(len(names))
        wanted = classification_report(right, guessed, labels=numbers, target_names=names, output_dict=True, zero_division=0)  # fmt: skip
        where = f"For right = {right}, guessed = {guessed} and names = {names}"
        got = _table(_reported(answer, right, guessed, names), names, where)
        if _same_tables(got, wanted):
            continue
        for words, wrong in _wrong_reports(right, guessed, names):
            if _same_tables(got, wrong):
                raise Mistake(f"{where}: {words}.")
        _expect_rows(got, wanted, names, where)
    return "An absent class counts as 0 in the macro average. A row's support says how many texts stand behind its numbers."


def _reported(answer: Any, right: list[int], guessed: list[int], names: list[str]) -> Any:
    try:
        return answer(right, guessed, names)
    except Mistake as mistake:
        if isinstance(mistake.__cause__, ValueError):
            met = len({*right, *guessed})
            raise Mistake(f"{mistake}\nOf the {len(names)} classes {met} occur in right or guessed, and scikit-learn looks there for them unless labels= names the numbers of all.") from mistake  # fmt: skip
        raise


def _table(got: Any, names: list[str], where: str) -> Mapping[str, Any]:
    if isinstance(got, str) and "precision" in got:
        raise Mistake(f"{where}: you returned the report as text. output_dict=True makes a dictionary of it.")
    if not isinstance(got, Mapping):
        raise Mistake(f"{where} your function returned something of type {type(got).__name__}; the dictionary of classification_report is wanted.")  # fmt: skip
    return got


def _same_tables(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """The same rows with the same numbers, whatever order they have; nan is equal to nan."""
    return some.keys() == others.keys() and all(_same_rows(some[key], others[key]) for key in some)


def _same_rows(row: Any, other: Any) -> bool:
    if isinstance(row, Mapping) and isinstance(other, Mapping):
        return row.keys() == other.keys() and all(_same_rows(row[key], other[key]) for key in row)
    a, b = one_number(row), one_number(other)
    return a is not None and b is not None and (math.isclose(a, b, abs_tol=1e-9) or (a != a and b != b))


def _wrong_reports(right: list[int], guessed: list[int], names: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from sklearn.metrics import classification_report

    def made(labels: Sequence[int], rows: Sequence[str], a: list[int] = right, b: list[int] = guessed, zero: float = 0) -> Any:  # fmt: skip
        return classification_report(a, b, labels=labels, target_names=rows, output_dict=True, zero_division=zero)

    everyone = list(range(len(names)))
    met = sorted({*right, *guessed})
    absent = [n for n in everyone if n not in met]
    of = lambda labels: [names[n] for n in labels]  # noqa: E731
    yield "right and guessed have changed places, so precision and recall have too. The right labels come first", made(everyone, names, guessed, right)  # fmt: skip
    yield "the names are sorted, and the numbers are not: names[n] belongs to label n. Give the names as they are", made(everyone, sorted(names))  # fmt: skip
    yield "names and labels run in opposite directions. names[n] belongs to label n", made(everyone, names[::-1])
    if absent:
        yield f"a class that is absent got 1, by zero_division=1. It has shown nothing: zero_division=0, as for {names[absent[0]]!r}", made(everyone, names, zero=1)  # fmt: skip
        yield "a class that is absent got nan, by zero_division. The task asks for zeros: zero_division=0", made(everyone, names, zero=math.nan)  # fmt: skip
        yield f"only the {len(met)} classes that occur have a row. labels=range(len(names)) makes one for each", made(met, of(met))  # fmt: skip
        yield "the classes that occur got the first names, one after the other, and names[n] belongs to label n. labels=range(len(names)) keeps them together", made(met, names[: len(met)])  # fmt: skip
        yield "the labels that occur come first, and the names do not follow them. labels=range(len(names)) keeps them together", made(met + absent, names)  # fmt: skip
        yield "the classes that are absent got their numbers as names. Each has its name in names", made(everyone, [names[n] if n in met else str(n) for n in everyone])  # fmt: skip
    for words, chosen in (("right", sorted(set(right))), ("guessed", sorted(set(guessed)))):
        yield f"only the classes that occur in {words} have a row. labels=range(len(names)) makes one for each", made(chosen, of(chosen))  # fmt: skip
    yield "the rows are named by numbers. target_names=names gives them their names", made(everyone, [str(n) for n in everyone])  # fmt: skip
    yield "the rows of classes that occur are there, and named by numbers. labels=range(len(names)) and target_names=names are wanted", made(met, [str(n) for n in met])  # fmt: skip
    yield "labels are counted from 1. Label 0 is names[0]: range(len(names))", made([n + 1 for n in everyone], names)
    if len(names) > 2:
        yield f"the last class, {names[-1]!r}, has no row. range(len(names)) ends with it", made(everyone[:-1], names[:-1])  # fmt: skip
        yield f"the first class, {names[0]!r}, has no row. Labels are counted from 0", made(everyone[1:], names[1:])
    rows = made(everyone, names)
    yield "the rows are right, and the averages are missing. Return the dictionary as classification_report makes it", {name: rows[name] for name in names}  # fmt: skip
    yield "the averages are there, and the rows of the classes are not. Return the dictionary as classification_report makes it", {name: rows[name] for name in _AVERAGES}  # fmt: skip
    for column in ("precision", "recall", "f1-score", "support"):
        yield f"there is the {column} alone. Return the dictionary as classification_report makes it", {name: rows[name][column] for name in names}  # fmt: skip


def _expect_rows(got: Mapping[str, Any], wanted: Mapping[str, Any], names: list[str], where: str) -> None:
    missing = [name for name in names if name not in got]
    expect(not missing, f"{where}: there is no row for {_listed(missing)}. labels=range(len(names)) makes one for each class.")  # fmt: skip
    missing = [name for name in wanted if name not in got]
    expect(not missing, f"{where}: the rows of the classes are there, but {_listed(missing)} is missing. Return the dictionary as classification_report makes it.")  # fmt: skip
    more = [name for name in got if name not in wanted]
    expect(not more, f"{where}: there is a row too many: {_listed(more)}. The classes are those of names.")
    name = next(name for name in wanted if not _same_rows(got[name], wanted[name]))
    have = {key: round(float(x), 3) for key, x in wanted[name].items()} if isinstance(wanted[name], Mapping) else round(wanted[name], 3)  # fmt: skip
    raise Mistake(f"{where}: the numbers of {name!r} are {describe(got[name])}; expected {have}.")


def _listed(keys: Sequence[Any]) -> str:
    return ", ".join(describe(key) for key in keys[:5])
