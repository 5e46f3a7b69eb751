"""Figures of training and of predictions, each with a text that says what is seen, made from the same numbers.

The style is that of `course_lib.plots`, which draws what every lesson needs; here are the pictures of fine-tuning. The
alternative text names what a reader would look for: the most frequent mistake, the best point, the step that was kept.
Give `alt` to say it in your own words.

Letters: T tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from course_lib.alignment import join_pieces
from course_lib.plots import COLOURS, INK, SEQUENTIAL, SOFT_COLOURS, Picture, new_figure, picture, printable

_MARKERS = "osD^vPX*"
_DRAWN_TOKENS = 40  # of a passage; more could not be read
_LINE = 74  # width of a row of tokens, in characters


def confusion_matrix(counts: Any, names: Sequence[str], title: str = "", alt: str | None = None) -> Picture:
    """A confusion matrix: colours are shares of each row, the numbers are counts.

    Args:
        counts: (K, K) how often label i was predicted as j, as `course_lib.metrics.confusion_matrix` gives them.
        names: K names.

    Raises:
        ValueError: other names than rows and columns.
    """
    import numpy as np

    counts = np.asarray(counts)
    if counts.shape != (len(names), len(names)):
        raise ValueError(
            f"counts have shape {counts.shape} and there are {len(names)} names; (K, K) for K names is needed."
        )
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    long = max(len(printable(name)) for name in names)
    cell = 0.62 if len(names) <= 10 else 7.0 / len(names)
    figure, axes = new_figure(
        min(8.2, 2.2 + 0.08 * long + cell * len(names)), min(8.0, max(2.4, 1.3 + 0.07 * long + 0.5 * len(names)))
    )
    mesh = axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    small = 10 if counts.max(initial=0) < 10_000 and len(names) <= 10 else 7
    for i, j in np.ndindex(counts.shape):
        if counts[i, j]:  # zeros would hide the mistakes
            axes.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=small, color="white" if shares[i, j] < 0.55 else INK)  # fmt: skip
    written = [printable(name) for name in names]
    axes.set_yticks(range(len(names)), written)
    axes.set_xticks(range(len(names)), written, rotation=0 if long <= 4 else 45, ha="center" if long <= 4 else "right", rotation_mode="anchor")  # fmt: skip
    axes.set(xlabel="predicted", ylabel="label")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.suptitle(printable(title), fontsize=12)
    figure.colorbar(mesh, ax=axes, shrink=0.9, label="share of the row")
    return picture(figure, alt or _confusion_words(counts, names))


def _confusion_words(counts: Any, names: Sequence[str]) -> str:
    import numpy as np

    total, right = int(counts.sum()), int(np.trace(counts))
    wrong = counts - np.diag(np.diag(counts))
    words = f"Confusion matrix of {_count(len(names), 'class')} and {_count(total, 'example')}; right, on the diagonal: {right:,}."
    if not wrong.any():
        return words
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    return f"{words} The most frequent mistake is '{names[i]}' taken for '{names[j]}', {_times(int(wrong[i, j]))}."


def learning_curve(
    series: Mapping[str, Mapping[float, Sequence[float]]],
    x_title: str = "training examples",
    y_title: str = "accuracy on dev",
    title: str = "",
    baseline: tuple[str, float] | None = None,
    alt: str | None = None,
) -> Picture:
    """How a score grows with the data: the mean over the seeds, a band from the lowest to the highest, every run a point.

    Args:
        series: name of a model -> number of examples -> scores, one a seed.
        baseline: name and height of a dashed line.

    Raises:
        ValueError: nothing to draw, or a number of examples without a score.
    """
    if not series or any(not curve or not all(len(v) for v in curve.values()) for curve in series.values()):
        raise ValueError("Every curve needs at least one number of examples, and every number at least one score.")
    figure, axes = new_figure(7.4, 3.8)
    sizes = sorted({size for curve in series.values() for size in curve})
    for number, (name, curve) in enumerate(series.items()):
        colour, places = COLOURS[number % 7], sorted(curve)
        means = [sum(curve[x]) / len(curve[x]) for x in places]
        axes.fill_between(places, [min(curve[x]) for x in places], [max(curve[x]) for x in places], color=colour, alpha=0.18, linewidth=0)  # fmt: skip
        axes.plot(places, means, color=colour, marker=_MARKERS[number % 8], label=printable(name))
        for x in places:
            axes.plot([x] * len(curve[x]), curve[x], ".", color=colour, markersize=4, alpha=0.6)
    if baseline is not None:
        axes.axhline(baseline[1], color=INK, linestyle="--", linewidth=1, label=printable(baseline[0]), zorder=0)
    if sizes[0] > 0 and sizes[-1] >= 8 * sizes[0]:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(sizes, [f"{size:,g}" for size in sizes], rotation=0 if len(sizes) <= 8 else 45)
    axes.set(title=printable(title), xlabel=x_title, ylabel=y_title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.grid(axis="y", alpha=0.3)
    return picture(figure, alt or _curve_words(series, x_title, y_title, baseline))


def _curve_words(
    series: Mapping[str, Mapping[float, Sequence[float]]], x_title: str, y_title: str, baseline: Any
) -> str:
    parts = []
    for name, curve in series.items():
        first, last = min(curve), max(curve)
        low, high = (sum(curve[x]) / len(curve[x]) for x in (first, last))
        runs = max(len(values) for values in curve.values())
        if first == last:
            parts.append(f"{name} is at {high:.3g} for {last:,g} ({_count(runs, 'run')})")
        else:
            parts.append(
                f"{name} goes from {low:.3g} at {first:,g} to {high:.3g} at {last:,g} ({_count(runs, 'run')} each)"
            )
    line = "" if baseline is None else f" A dashed line, {baseline[0]}, stands at {baseline[1]:.3g}."
    return f"{y_title[:1].upper()}{y_title[1:]} over {x_title}: {'; '.join(parts)}.{line}"


def history(
    train_loss: Mapping[int, float],
    dev_loss: Mapping[int, float] | None = None,
    metric: Mapping[int, float] | None = None,
    metric_name: str = "accuracy",
    kept: int | None = None,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """A training run: losses on the left, the metric on dev on the right, over optimiser steps.

    Args:
        train_loss, dev_loss, metric: step -> value.
        kept: the step whose weights were kept, marked in both.

    Raises:
        ValueError: no training loss.
    """
    if not train_loss:
        raise ValueError("train_loss is empty; give at least one step and its loss.")
    figure, axes = new_figure(7.8, 3.3, 1, 2 if metric else 1)
    places = list(axes) if metric else [axes]
    dense = len(train_loss) > 30
    places[0].plot(*_sorted(train_loss), color=COLOURS[0], marker="" if dense else "o", linewidth=1.4 if dense else 2, label="train")  # fmt: skip
    if dev_loss:
        places[0].plot(*_sorted(dev_loss), color=COLOURS[1], marker="s", label="dev")
    places[0].set(ylabel="loss", xlabel="step")
    if metric:
        places[1].plot(*_sorted(metric), color=COLOURS[2], marker="D", label=f"dev {metric_name.replace('_', ' ')}")
        places[1].set(ylabel=metric_name.replace("_", " "), xlabel="step")
    for place in places:
        if kept is not None:
            place.axvline(kept, color=INK, linestyle="--", linewidth=1, label=f"kept: step {kept:,}", zorder=0)
        place.set_ylim(*_margins(place.get_ylim()))
        place.grid(axis="y", alpha=0.3)
        place.legend(loc="best", fontsize=9)
    figure.suptitle(printable(title), fontsize=12)
    return picture(figure, alt or _history_words(train_loss, dev_loss, metric, metric_name, kept))


def _sorted(values: Mapping[int, float]) -> tuple[list[int], list[float]]:
    steps = sorted(values)
    return steps, [values[step] for step in steps]


def _margins(limits: tuple[float, float]) -> tuple[float, float]:
    """A loss that falls to nearly 0 is drawn with 0 in view, so that its fall is not exaggerated."""
    low, high = limits
    return (min(low, 0.0) if low < 0.35 * high else low, high)


def _history_words(train_loss: Any, dev_loss: Any, metric: Any, metric_name: str, kept: int | None) -> str:
    def course(name: str, values: Mapping[int, float]) -> str:
        steps, numbers = _sorted(values)
        return f"{name} goes from {numbers[0]:.3g} at step {steps[0]:,} to {numbers[-1]:.3g} at step {steps[-1]:,}"

    parts = [course("The training loss", train_loss)]
    if dev_loss:
        lowest = min(dev_loss, key=lambda step: dev_loss[step])
        parts.append(f"{course('the loss on dev', dev_loss)}, lowest at step {lowest:,} ({dev_loss[lowest]:.3g})")
    if metric:
        parts.append(course(f"the {metric_name.replace('_', ' ')} on dev", metric))
    if kept is not None:
        parts.append(f"a dashed line marks step {kept:,}, whose weights were kept")
    return "; ".join(parts) + "."


def schedules(rates: Mapping[str, Sequence[float]], title: str = "", alt: str | None = None) -> Picture:
    """Learning rates over the steps of a run, one curve a schedule.

    Args:
        rates: name -> the learning rate at step 0, 1, 2, ...

    Raises:
        ValueError: nothing to draw.
    """
    if not rates or not all(len(values) for values in rates.values()):
        raise ValueError("Every schedule needs at least one learning rate.")
    figure, axes = new_figure(7.4, 3.4)
    # Schedules often run along each other: colours and dashes tell them apart where they do.
    for number, (name, values) in enumerate(rates.items()):
        style = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))[number % 6]
        axes.plot(range(len(values)), values, linestyle=style, color=COLOURS[number % 7], label=printable(name.replace("_", " ")))  # fmt: skip
    axes.set(title=printable(title), xlabel="step", ylabel="learning rate")
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.grid(axis="y", alpha=0.3)
    return picture(figure, alt or _schedule_words(rates))


def _schedule_words(rates: Mapping[str, Sequence[float]]) -> str:
    parts = []
    for name, values in rates.items():
        top = max(range(len(values)), key=lambda step: values[step])
        parts.append(
            f"{name.replace('_', ' ')} begins with {values[0]:.2g}, is highest at step {top:,} with {values[top]:.2g}, and "
            f"ends with {values[-1]:.2g} at step {len(values) - 1:,}"
        )
    return f"Learning rates over the steps: {'; '.join(parts)}."


def span_heat_map(
    start_probabilities: Any,
    end_probabilities: Any,
    tokens: Sequence[str],
    max_answer_tokens: int | None = None,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """Where an answer may start and end: the product of both probabilities for each pair, the best one framed.

    Pairs that no answer can have, the end before the start or too long, are left white.

    Args:
        start_probabilities, end_probabilities: (T,) of the passage's tokens.
        tokens: the T tokens; at most 40 can be read.
        max_answer_tokens: longer answers are left out.

    Raises:
        ValueError: other numbers of probabilities than tokens, or too many tokens.
    """
    import numpy as np
    from matplotlib.patches import Rectangle

    start, end = np.asarray(start_probabilities, dtype=float), np.asarray(end_probabilities, dtype=float)
    count = len(tokens)
    if start.shape != (count,) or end.shape != (count,) or not 1 <= count <= _DRAWN_TOKENS:
        raise ValueError(
            f"There are probabilities of shapes {start.shape} and {end.shape} for {count} tokens; (T,) each for 1 to "
            f"{_DRAWN_TOKENS} tokens is needed: cut out the part of the passage that matters."
        )
    length = np.arange(count)[None] - np.arange(count)[:, None] + 1
    allowed = (length >= 1) & (length <= (max_answer_tokens or count))
    pairs = np.where(allowed, start[:, None] * end[None], np.nan)
    first, last = np.unravel_index(np.nanargmax(pairs), pairs.shape)
    side = min(7.0, 2.0 + 0.24 * count)
    figure, axes = new_figure(side + 1.0, side)
    mesh = axes.imshow(pairs, cmap=SEQUENTIAL, vmin=0)
    axes.add_patch(Rectangle((last - 0.5, first - 0.5), 1, 1, fill=False, edgecolor=COLOURS[1], linewidth=2.5))
    written = [printable(token) for token in tokens]
    size = 10 if count <= 20 else 8
    axes.set_yticks(range(count), written, fontsize=size)
    axes.set_xticks(range(count), written, rotation=90, fontsize=size)
    axes.set(ylabel="start", xlabel="end")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.suptitle(printable(title), fontsize=12)
    figure.colorbar(mesh, ax=axes, shrink=0.8, label="probability of the pair")
    words = " ".join(join_pieces(tokens[first : last + 1]))
    return picture(
        figure,
        alt
        or f"Probabilities of start and end for {count} tokens; the best pair, framed, is '{words}', from token {first + 1} "
        f"to {last + 1}, with {pairs[first, last]:.2g}. Pairs that no answer can have are left white.",
    )


def word_pieces(
    words: Sequence[str],
    tokens: Sequence[str],
    word_ids: Sequence[int | None],
    labels: Sequence[str | None] | None = None,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """Words above, their tokens below, joined by lines; under each token its label, if given.

    Long sentences go on in further rows. A word without a token stands alone, in grey.

    Args:
        words: of one sentence.
        tokens, word_ids: T tokens and the number of each one's word, None for [CLS] and [SEP].
        labels: T labels; None or -100 where a token has none.

    Raises:
        ValueError: other numbers of word ids or labels than tokens, or a word number that is not there.
    """
    if len(word_ids) != len(tokens) or (labels is not None and len(labels) != len(tokens)):
        raise ValueError(
            f"There are {len(tokens)} tokens, {len(word_ids)} word ids and {'no' if labels is None else len(labels)} labels; "
            "each token needs one."
        )
    if any(word is not None and not 0 <= word < len(words) for word in word_ids):
        raise ValueError(
            f"word_ids name words up to {max(w for w in word_ids if w is not None)}, but there are {len(words)}."
        )
    groups = _groups(words, tokens, word_ids)
    texts = [
        "" if labels is None or label in (None, -100) else str(label) for label in (labels or [None] * len(tokens))
    ]
    rows = _rows(groups, words, tokens, texts)
    tall = 1.35 if labels is None else 1.6
    figure, axes = new_figure(7.8, 0.15 + tall * len(rows) + (0.35 if title else 0))
    for number, row in enumerate(rows):
        _draw_row(axes, row, -number * tall, words, tokens, texts)
    axes.set(xlim=(-0.5, _LINE + 0.5), ylim=(-(len(rows) - 1) * tall - tall + 0.5, 0.45))
    axes.axis("off")
    axes.set_title(printable(title), fontsize=12)
    return picture(figure, alt or _piece_words(groups, words, tokens, texts))


_Group = tuple[int | None, list[int]]  # a word and its tokens; no word for [CLS] and [SEP], no tokens for a lost word


def _groups(words: Sequence[str], tokens: Sequence[str], word_ids: Sequence[int | None]) -> list[_Group]:
    """The tokens of each word, in the order of the tokens, with words that have none in their place."""
    groups: list[_Group] = []
    next_word = 0
    for place, word in enumerate(word_ids):
        if word is not None and groups and groups[-1][0] == word:
            groups[-1][1].append(place)
            continue
        last = word is None and place == len(tokens) - 1
        until = len(words) if last else next_word if word is None else word
        groups += [(lost, []) for lost in range(next_word, until)]
        groups.append((word, [place]))
        next_word = max(next_word, until, -1 if word is None else word + 1)
    return groups


def _shown(word: str) -> str:
    """A word that can be seen: a control character as its escape."""
    return word if word.strip() and word.isprintable() else repr(word)


def _wide(text: str) -> float:
    """How wide a text is drawn, in characters: Chinese ones take twice the room."""
    import unicodedata

    return sum(1.8 if unicodedata.east_asian_width(c) in "WF" else 1 for c in printable(text))


def _rows(groups: list[_Group], words: Sequence[str], tokens: Sequence[str], texts: Sequence[str]) -> list[list[Any]]:
    """Groups with their width, (group, width of the group, widths of the tokens), row by row."""
    rows: list[list[Any]] = [[]]
    used = 0.0
    for word, places in groups:
        each = [max(_wide(tokens[p]), _wide(texts[p]), 1) + 2.2 for p in places]
        whole = max(sum(each), 0 if word is None else _wide(_shown(words[word])) + 2.2)
        if used + whole > _LINE and rows[-1]:
            rows.append([])
            used = 0.0
        rows[-1].append(((word, places), whole, each))
        used += whole
    return rows


def _draw_row(
    axes: Any, row: list[Any], top: float, words: Sequence[str], tokens: Sequence[str], texts: Sequence[str]
) -> None:
    from matplotlib.patches import Rectangle

    left = 0.0
    for (word, places), whole, each in row:
        middle = left + whole / 2
        if word is not None:
            axes.text(middle, top + 0.12, printable(_shown(words[word])), ha="center", va="center", fontsize=10.5, color=INK if places else "#767676")  # fmt: skip
        at = left + (whole - sum(each)) / 2
        for piece, (place, wide) in enumerate(zip(places, each, strict=True)):
            colour = 6 if word is None else word % 6
            axes.add_patch(Rectangle((at + 0.15, top - 0.68), wide - 0.3, 0.34, facecolor=SOFT_COLOURS[colour], edgecolor=COLOURS[colour], linewidth=1.2 if piece == 0 else 0.6))  # fmt: skip
            axes.text(at + wide / 2, top - 0.51, printable(tokens[place]), ha="center", va="center", fontsize=9.5)
            if word is not None:
                axes.plot([middle, at + wide / 2], [top, top - 0.34], color=COLOURS[colour], linewidth=1)
            if texts[place]:
                axes.text(at + wide / 2, top - 0.86, printable(texts[place]), ha="center", va="center", fontsize=9)
            at += wide
        left += whole


def _piece_words(groups: list[_Group], words: Sequence[str], tokens: Sequence[str], texts: Sequence[str]) -> str:
    split = [(words[w], [tokens[p] for p in places]) for w, places in groups if w is not None and len(places) > 1]
    lost = sum(1 for word, places in groups if word is not None and not places)
    parts = [f"{_count(len(words), 'word')} above and {_count(len(tokens), 'token')} below, joined by lines."]
    if split:
        word, pieces = max(split, key=lambda item: len(item[1]))
        parts.append(f"{len(split)} of the words {'has' if len(split) == 1 else 'have'} several tokens: '{word}' is {', '.join(pieces)}.")  # fmt: skip
    if lost:
        parts.append(f"Without a token: {lost}.")
    labelled = sum(1 for text in texts if text)
    if labelled:
        parts.append(f"A label stands under {_count(labelled, 'token')}; the others have none.")
    return " ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def named_points(
    places: Mapping[str, tuple[float, float]], x_title: str, y_title: str, title: str = "", alt: str | None = None
) -> Picture:
    """A point a name; the names stand in a column beside the plot, in the order of y, each with a line to its point.

    Args:
        places: name -> (x, y). Where the largest x is ten times the smallest or more, x is drawn by its logarithm.

    Raises:
        ValueError: no points.
    """
    if not places:
        raise ValueError("There is nothing to draw: give at least one name with its place.")
    figure, axes = new_figure(7.4, max(3.4, 1.0 + 0.24 * len(places)))
    xs, ys = zip(*places.values(), strict=True)
    axes.plot(xs, ys, "o", color=COLOURS[0], markersize=7)
    if min(xs) > 0 and max(xs) >= 10 * min(xs):
        axes.set_xscale("log")
    low, high = min(ys), max(ys)
    room = (high - low) * 0.08 or 0.05
    axes.set_ylim(low - room, high + room)
    ranked = sorted(places, key=lambda name: places[name][1])
    for number, name in enumerate(ranked):
        x, y = places[name]
        height = (number + 0.5) / len(ranked)  # of the column, from the bottom
        axes.annotate(
            printable(name), xy=(x, y), xytext=(1.06, height), textcoords="axes fraction", va="center",
            fontsize=9, arrowprops={"arrowstyle": "-", "color": INK, "alpha": 0.3, "linewidth": 0.8, "shrinkB": 4},
        )  # fmt: skip
    axes.set(title=printable(title), xlabel=x_title, ylabel=y_title)
    axes.grid(alpha=0.3)
    best, cheapest = ranked[-1], min(places, key=lambda name: places[name][0])
    said = (
        f"A point for each of {_count(len(places), 'name')}, {x_title} against {y_title}. The highest is {best} with {places[best][1]:.3g} "
        f"at {places[best][0]:.3g}; furthest to the left is {cheapest} with {places[cheapest][1]:.3g} at {places[cheapest][0]:.3g}."
    )
    return picture(figure, alt or said)
