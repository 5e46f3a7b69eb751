"""Attention and hidden states as pictures: who looks at whom, head by head, and what the layers do to each token.

Everything is a `Picture` of `course_lib.plots`: it needs no network, and stays in the saved notebook. The input is what
models return: `attentions`, L tensors (B, N, T, T), and `hidden_states`, L + 1 tensors (B, T, H), of this course's models
and of transformers' (loaded with `attn_implementation="eager"`: the faster ways never have the weights at hand). The
model's output object will do in their place.

`layer`, `head`, `text` and `token` are positions, from 0 as in the tensors; titles count layers and heads from 1, as
people do. Letters: B batch, T tokens, H hidden size, N heads, L layers.

Brightness follows the root of the weight, so that a weight of 0.04 can be told from none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from course_lib.plots import COLOURS, INK, SEQUENTIAL, Picture, heatmap, heatmaps, new_figure, picture, printable

if TYPE_CHECKING:
    import numpy as np

Style = Literal["matrix", "lines"]
Measure = Literal["change", "length", "likeness"]
_LEAST = 0.02  # a thinner line could not be seen
_SMALLEST = 5.0  # points: the smallest letters that are drawn
_TICKS = (0.0, 0.05, 0.25, 0.5, 1.0)


def head_view(
    attentions: Any,
    tokens: Sequence[Any],
    layer: int = 0,
    head: int = 0,
    text: int = 0,
    mask: Any = None,
    style: Style = "matrix",
    token: int | None = None,
    alt: str | None = None,
) -> Picture:
    """The attention of one head: a matrix (row: who looks, column: who is looked at), or lines between two columns.

    Args:
        attentions: L of (B, N, T, T), or the model's output.
        tokens: the T tokens of the text, or a list of them for each text of the batch.
        layer, head, text: which head, for which text of the batch; negative counts from the end.
        mask: the attention mask (B, T) or (T,); padding is left out.
        style: "matrix" or "lines".
        token: one token to follow; its row is framed, or its lines alone are drawn.
        alt: the alternative text; by default each token with what it looks at most.

    Raises:
        ValueError: no attention weights, other tokens than T, a layer, head, text or token that is not there.
    """
    weights, words = one_text(attentions, tokens, text, mask)
    layer, head = _position(layer, len(weights), "layer"), _position(head, weights.shape[1], "head")
    if token is not None:
        token = _position(token, len(words), "token")
    if style not in ("matrix", "lines"):
        raise ValueError(f"style='{style}' is not known: choose 'matrix' or 'lines'.")
    draw = _matrix if style == "matrix" else _lines
    figure = draw(weights[layer, head], words, f"layer {layer + 1}, head {head + 1}", token)
    return picture(figure, alt or head_words(weights[layer, head], words, layer, head, token))


def all_heads(
    attentions: Any, tokens: Sequence[Any], text: int = 0, mask: Any = None, alt: str | None = None
) -> Picture:
    """All heads of all layers as small matrices: a row of them for each layer, a column for each head.

    The tokens stand on the axes where there is room for letters.

    Args:
        attentions, tokens, text, mask: as for `head_view`.

    Raises:
        ValueError: as `head_view`.
    """
    import numpy as np
    from matplotlib.colors import PowerNorm

    weights, words = one_text(attentions, tokens, text, mask)
    layers, heads, count, _ = weights.shape
    gap = max(1, round(count * 0.08))
    step = count + gap
    grid = np.full((layers * step - gap, heads * step - gap), np.nan)
    for layer in range(layers):
        for head in range(heads):
            grid[layer * step : layer * step + count, head * step : head * step + count] = weights[layer, head]
    inches = min(6.6 / grid.shape[1], 8.0 / grid.shape[0], 0.3)  # of one weight
    names = inches * 72 >= _SMALLEST  # is there room for letters?
    room = 0.075 * max(len(printable(word)) for word in words) if names else 0.0
    figure, axes = new_figure(1.5 + room + inches * grid.shape[1], 0.8 + room + inches * grid.shape[0])
    mesh = axes.imshow(grid, cmap=SEQUENTIAL, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    middle = (count - 1) / 2
    axes.set_yticks([k * step + middle for k in range(layers)], [f"layer {k + 1}" for k in range(layers)])
    axes.set_xticks([k * step + middle for k in range(heads)], [str(k + 1) for k in range(heads)])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("head")
    axes.tick_params(length=0, labelsize=9)
    if names:
        size = min(8.0, inches * 72 * 0.9)
        rows = [layer * step + place for layer in range(layers) for place in range(count)]
        axes.tick_params(axis="y", pad=4 + room * 60)
        _minor(axes.yaxis, rows, list(words) * layers, size)
        below = axes.secondary_xaxis("bottom")
        columns = [head * step + place for head in range(heads) for place in range(count)]
        below.set_xticks(columns, [printable(word) for word in list(words) * heads], rotation=90, fontsize=size)
        below.tick_params(length=0)
        _upright(below.get_xticklabels())
        for spine in below.spines.values():
            spine.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.colorbar(mesh, ax=axes, shrink=0.6, ticks=_TICKS, label="weight")
    return picture(figure, alt or _all_words(weights, words))


def hidden_view(
    hidden_states: Any,
    tokens: Sequence[Any],
    text: int = 0,
    mask: Any = None,
    measure: Measure = "change",
    alt: str | None = None,
) -> Picture:
    """What the layers do to the vector of each token.

    Args:
        hidden_states: L + 1 of (B, T, H), the embeddings first, or the model's output.
        tokens, text, mask: as for `head_view`.
        measure: "change": 1 - cosine of a token's vector before and after each layer; "length": the vectors' lengths;
            "likeness": the cosine of each two tokens, a small matrix a layer.

    Raises:
        ValueError: no hidden states, other tokens than T, an unknown measure.
    """
    import numpy as np

    vectors, words = _one_text_of_hidden(hidden_states, tokens, text, mask)  # (L + 1, T, H)
    names = ["embeddings", *(f"layer {number}" for number in range(1, len(vectors)))]
    lengths = np.linalg.norm(vectors, axis=-1)
    units = vectors / np.maximum(lengths, 1e-12)[..., None]
    if measure == "length":
        said = f"The lengths of the vectors of {len(words)} tokens after each of {len(vectors) - 1} layers. "
        return _by_layer(lengths, words, names, "length of the vector", alt, said)
    if measure == "change":
        changes = 1 - (units[1:] * units[:-1]).sum(-1)
        said = f"How much each of {len(vectors) - 1} layers turns the vectors of {len(words)} tokens. "
        return _by_layer(changes, words, names[1:], "1 - cosine with the layer before", alt, said)
    if measure != "likeness":
        raise ValueError(f"measure='{measure}' is not known: choose 'change', 'length' or 'likeness'.")
    likeness = units @ units.transpose(0, 2, 1)
    off = ~np.eye(len(words), dtype=bool)
    means = [float(layer[off].mean()) if len(words) > 1 else 1.0 for layer in likeness]
    said = (
        f"{len(names)} heat maps over {len(words)} tokens, one a layer: the cosine of the vectors of each two tokens. "
        f"Its mean over different tokens is {means[0]:.2f} in the embeddings and {means[-1]:.2f} after the last layer."
    )
    shown = words if len(words) <= 24 else ()
    return heatmaps(list(likeness), names, alt or said, labels=shown, columns=4, limits=(min(0.0, float(likeness.min())), 1.0))  # fmt: skip


# ---------------------------------------------------------------------------------------------------- what was given


def one_text(attentions: Any, tokens: Sequence[Any], text: int = 0, mask: Any = None) -> tuple[np.ndarray, list[str]]:
    """The weights of one text as (L, N, T, T), padding left out, and its T tokens.

    Raises:
        ValueError: as `head_view`.
    """
    import numpy as np

    given = getattr(attentions, "attentions", attentions)
    if given is None or len(given) == 0 or any(layer is None for layer in given):
        raise ValueError(
            "There are no attention weights: call the model with output_attentions=True, and load a model of transformers "
            'with attn_implementation="eager".'
        )
    layers = [_array(layer) for layer in given]
    first = layers[0].shape
    if len(first) != 4 or first[2] != first[3] or any(layer.shape != first for layer in layers):
        raise ValueError(f"A layer's attention has the shape {first}: L tensors (B, N, T, T) are needed.")
    place = _position(text, first[0], "text")
    words, kept = _words(tokens, place, first[0], first[3], mask)
    weights = np.stack([layer[place] for layer in layers])
    return weights[:, :, kept][..., kept], words


def _one_text_of_hidden(hidden_states: Any, tokens: Sequence[Any], text: int, mask: Any) -> tuple[Any, list[str]]:
    import numpy as np

    given = getattr(hidden_states, "hidden_states", hidden_states)
    if given is None or len(given) == 0:
        raise ValueError("There are no hidden states: call the model with output_hidden_states=True.")
    layers = [_array(layer) for layer in given]
    first = layers[0].shape
    if len(first) != 3 or any(layer.shape != first for layer in layers):
        raise ValueError(f"A layer's hidden states have the shape {first}: L + 1 tensors (B, T, H) are needed.")
    place = _position(text, first[0], "text")
    words, kept = _words(tokens, place, first[0], first[1], mask)
    return np.stack([layer[place] for layer in layers])[:, kept], words


def _array(values: Any) -> np.ndarray:
    import numpy as np

    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=np.float32)


def _words(tokens: Sequence[Any], text: int, batch: int, length: int, mask: Any) -> tuple[list[str], Any]:
    """The tokens of a text and their places, padding left out."""
    import numpy as np

    if isinstance(tokens, str):
        raise ValueError("tokens is one string: give the list of tokens, as tokenizer.convert_ids_to_tokens does.")
    if len(tokens) and not isinstance(tokens[0], str):  # a list of tokens for each text
        if len(tokens) != batch:
            raise ValueError(f"Tokens of {len(tokens)} texts are given for a batch of {batch}: give one list a text.")
        tokens = tokens[text]
    kept = np.ones(length, dtype=bool)
    if mask is not None:
        given = _array(mask)
        if given.shape not in ((length,), (batch, length)):
            raise ValueError(f"The mask has the shape {given.shape}: ({batch}, {length}) or ({length},) is needed.")
        kept = (given if given.ndim == 1 else given[text]) > 0
    if len(tokens) == kept.sum() != length:
        return list(tokens), kept  # the padding was left out of the tokens already
    if len(tokens) != length:
        raise ValueError(
            f"{len(tokens)} tokens are given, and the model saw {length}: give them all, padding too, or a mask that leaves "
            "the padding out."
        )
    if not kept.any():
        raise ValueError("The mask leaves no token of this text: choose another text, or give its own mask.")
    return [str(token) for token, keep in zip(tokens, kept, strict=True) if keep], kept


def _position(number: int, count: int, what: str) -> int:
    if not -count <= number < count:
        named = f"{what} {count}" if what in ("layer", "head") else "the last one"
        raise ValueError(f"{what}={number} is not there: positions go from 0 to {count - 1}, which is {named}.")
    return number % count


# ----------------------------------------------------------------------------------------------------------- drawing


def _letters(inches: float, count: int) -> float:
    """Points for labels that share so many inches."""
    return max(_SMALLEST, min(10.0, inches / count * 72 * 0.85))


def _matrix(weights: np.ndarray, words: list[str], title: str, token: int | None) -> Any:
    from matplotlib.colors import PowerNorm
    from matplotlib.patches import Rectangle

    count = len(words)
    side = max(2.4, min(6.0, 0.32 * count))
    size = _letters(side, count)
    longest = max(len(printable(word)) for word in words)
    room = min(2.0, longest * size * 0.62 / 72)
    figure, axes = new_figure(side + room + 1.6, side + (room if longest > 2 else 0.2) + 0.8)
    mesh = axes.imshow(weights, cmap=SEQUENTIAL, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    shown = [printable(word) for word in words]
    axes.set_yticks(range(count), shown, fontsize=size)
    axes.set_xticks(range(count), shown, fontsize=size, rotation=90)
    _upright(axes.get_xticklabels())
    axes.set(ylabel="who looks", xlabel="who is looked at")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if token is not None:
        axes.add_patch(Rectangle((-0.5, token - 0.5), count, 1, fill=False, edgecolor=COLOURS[1], linewidth=2.5))
        axes.get_yticklabels()[token].set(fontweight="bold")
    figure.suptitle(title, fontsize=12)
    figure.colorbar(mesh, ax=axes, shrink=0.8, ticks=_TICKS, label="weight")
    return figure


def _lines(weights: np.ndarray, words: list[str], title: str, token: int | None) -> Any:
    import numpy as np
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb

    count = len(words)
    high = max(1.8, min(9.0, 0.24 * count))
    size = _letters(high, count)
    figure, axes = new_figure(6.4, high + 0.7)
    rows, columns = np.nonzero(weights >= _LEAST)
    if token is not None:
        chosen = rows == token
        rows, columns = rows[chosen], columns[chosen]
    strength = np.clip(weights[rows, columns], 0, 1)
    if token is not None:
        strength = np.sqrt(strength)  # a few lines alone can be brighter than all of them together
    colour = to_rgb(COLOURS[0] if token is None else COLOURS[1])
    segments = [((0, row), (1, column)) for row, column in zip(rows, columns, strict=True)]
    colours = [(*colour, alpha) for alpha in strength]
    axes.add_collection(LineCollection(segments, colors=colours, linewidths=0.5 + 3 * strength))
    frame = {"edgecolor": COLOURS[1], "facecolor": "none", "boxstyle": "round,pad=0.15", "linewidth": 1.5}
    for place, word in enumerate(words):
        chosen_look = {"fontweight": "bold", "bbox": frame} if place == token else {}
        axes.text(-0.03, place, printable(word), ha="right", va="center", fontsize=size, color=INK, **chosen_look)
        axes.text(1.03, place, printable(word), ha="left", va="center", fontsize=size, color=INK)
    axes.set(xlim=(-0.5, 1.5), ylim=(count - 0.4, -0.6))
    axes.axis("off")
    figure.suptitle(f"{title}: who looks (left) at whom (right)", fontsize=12)
    return figure


def _upright(labels: Any) -> None:
    for label in labels:
        if len(label.get_text()) <= 2:  # a Chinese character is not laid on its side
            label.set_rotation(0)


def _minor(axis: Any, places: list[int], words: list[str], size: float) -> None:
    axis.set_ticks(places, minor=True)
    axis.set_ticklabels([printable(word) for word in words], minor=True, fontsize=size)
    axis.set_tick_params(which="minor", length=0)


def _by_layer(values: Any, words: list[str], names: list[str], what: str, alt: str | None, said: str) -> Picture:
    row, column = divmod(int(values.T.argmax()), len(names))
    said += f"The largest value, {values.max():.2f}, is that of '{words[row]}' at {names[column]}; the smallest is {values.min():.2f}."
    return heatmap(values.T, alt or said, rows=words, columns=names, title=what)


# ------------------------------------------------------------------------------------------------------------- words


def head_words(weights: np.ndarray, words: list[str], layer: int, head: int, token: int | None = None) -> str:
    """One head in words: what each token, or one of them, looks at most."""
    said = f"Attention of layer {layer + 1}, head {head + 1}, over {len(words)} tokens. "
    if token is not None:
        return said + token_words(weights, words, token)
    best = weights.argmax(axis=1)
    shown = [f"{words[i]} at {words[j]} ({weights[i, j]:.2f})" for i, j in list(enumerate(best))[:16]]
    more = f", and {len(words) - 16} more tokens" if len(words) > 16 else ""
    return said + "Each token looks most: " + ", ".join(shown) + more + "."


def token_words(weights: np.ndarray, words: list[str], token: int, most: int = 5) -> str:
    """What one token looks at, the most first."""
    order = (-weights[token]).argsort(kind="stable")[:most]
    return f"{words[token]} looks at " + ", ".join(f"{words[j]} ({weights[token, j]:.2f})" for j in order) + "."


def _all_words(weights: np.ndarray, words: list[str]) -> str:
    sharp = weights.max(axis=-1).mean(axis=-1)  # (L, N): how much a token gives to its favourite, on average
    layers, heads = sharp.shape
    top, low = divmod(int(sharp.argmax()), heads), divmod(int(sharp.argmin()), heads)
    return (
        f"{layers * heads} small heat maps over {len(words)} tokens, {layers} rows of layers by {heads} columns of heads. "
        f"The most pointed is layer {top[0] + 1}, head {top[1] + 1}: a token gives {sharp.max():.2f} of its attention to one "
        f"token on average; the most even is layer {low[0] + 1}, head {low[1] + 1} with {sharp.min():.2f}."
    )
