"""Checks of notebook 08_tokens_spans_choices, in its order. Letters: n texts, B batch, M choices, T tokens, K labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import (
    advised,
    as_tensor,
    expect_equal,
    expect_shape,
    judge,
    listed,
    one_number,
    seeded,
    softmax,
)

if TYPE_CHECKING:
    from torch import Tensor

_NOTEBOOK = "08_tokens_spans_choices"
_IGNORED = -100


# ------------------------------------------------------------------------------------------ labels on word pieces

_ALIGNED = (
    ([None, 0, 1, 1, 1, 2, None], [3, 0, 4]),
    ([None, 0, 0, 1, 2, 2, 3, 3, None], [1, 1, 2, 0]),
    ([None, 0, None], [5]),
    ([0, 0, 1, 2, 2, 2, 2], [6, 6, 6]),
    ([None, 0, 2, 2, 3, None, None], [1, 7, 2, 2]),
)


@exercise(_NOTEBOOK, "Labels for word pieces")
def piece_labels(answer: Any) -> str:
    """answer(word_ids of T tokens, labels of the words) -> T labels, -100 where none counts."""

    def read(got: Any, case: tuple[Any, ...]) -> list[Any]:
        found = listed(got)
        where = f"For word_ids = {case[0]}"
        expect(found is not None, f"{where} you gave {describe(got)}; a list with a label for each token is wanted.")
        words = len({word for word in case[0] if word is not None})
        if len(found) != len(case[0]):
            real = sum(word is not None for word in case[0])
            why = {
                words: "That is one for each word. The model reads tokens",
                real: "[CLS] and [SEP] are tokens too. Their label is -100",
            }.get(len(found), "Each token needs one")
            raise Mistake(f"{where} you gave {len(found)} labels for {len(case[0])} tokens. {why}.")
        return found

    judge(
        answer,
        _ALIGNED,
        _piece_labels,
        read,
        _wrong_labels(),
        lambda case: f"word_ids = {case[0]} and labels = {case[1]}",
    )
    return "Cross entropy leaves out -100, so the loss is a mean over words, and the later pieces cost nothing."


def _piece_labels(word_ids: list[int | None], labels: list[int]) -> list[Any]:
    return _labelled(word_ids, labels, lambda word, before, label: label if word != before else _IGNORED, _IGNORED)


def _labelled(
    word_ids: list[int | None], labels: list[int], choose: Callable[[int, int | None, int], Any], special: Any
) -> list[Any]:
    befores = [None, *word_ids[:-1]]
    return [
        special if word is None else choose(word, before, labels[word])
        for word, before in zip(word_ids, befores, strict=True)
    ]


def _wrong_labels() -> list[tuple[str, Callable[..., Any]]]:
    def first(word: int, before: int | None, label: int) -> int:
        return label if word != before else _IGNORED

    def later(value: Any) -> Callable[..., Any]:
        return lambda word, before, label: label if word != before else value

    def instead(value: Any) -> Callable[..., Any]:
        return lambda w, n: _labelled(w, n, later(value), value)

    def last_piece(word_ids: list[int | None], labels: list[int]) -> list[Any]:
        return _piece_labels(word_ids[::-1], labels)[::-1]

    def new_label(word_ids: list[int | None], labels: list[int]) -> list[Any]:
        """A word is taken as new when its label is."""
        found, before = [], None
        for word in word_ids:
            label = None if word is None else labels[word]
            found.append(_IGNORED if label is None or label == before else label)
            before = label
        return found

    def counted(word_ids: list[int | None], labels: list[int]) -> list[Any]:
        """The words numbered anew, so that a word without a token shifts the others."""
        found, number, before = [], -1, None
        for word in word_ids:
            number += word is not None and word != before
            found.append(_IGNORED if word is None or word == before else labels[min(number, len(labels) - 1)])
            before = word
        return found

    return [
        ("every piece has the label of its word. Here the first piece alone speaks for it; the others are -100", lambda w, n: _labelled(w, n, lambda word, before, label: label, _IGNORED)),
        ("every piece has a label, and [CLS] and [SEP] have 0. Both are to be -100", lambda w, n: _labelled(w, n, lambda word, before, label: label, 0)),
        ("[CLS] and [SEP] have the label 0, and 0 is a class. They are no words: -100", lambda w, n: _labelled(w, n, first, 0)),
        ("the later pieces have the label 0, and 0 is a class: the model would learn that names end after a piece. -100 does not count", lambda w, n: _labelled(w, n, later(0), _IGNORED)),
        ("0 stands where no label counts, and 0 is a class. Cross entropy leaves out -100", instead(0)),
        ("-1 stands where no label counts. What cross entropy leaves out is -100", instead(-1)),
        ("None stands where no label counts, and a tensor cannot hold None. -100 is left out", instead(None)),
        ("100 has lost its minus sign. Cross entropy leaves out -100", instead(100)),
        ("the last piece of a word has its label. The first one speaks for it", last_piece),
        ("a word with the label of the word before it is taken for a piece of that word. Compare the word's numbers, not the labels", new_label),
        ("a word that has no token shifts the labels of those behind it. word_ids says which word it is: labels[word]", counted),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ IOB1 and IOB2

_TAGS = (
    ["I-PER", "I-PER", "O", "I-LOC"],
    ["O", "I-PER", "I-LOC", "I-LOC", "O"],
    ["I-PER", "B-PER", "I-PER", "O", "I-ORG"],
    ["O", "O", "O"],
    ["I-ORG", "O", "I-ORG", "I-ORG", "B-ORG", "I-MISC"],
    ["I-LOC"],
)


@exercise(_NOTEBOOK, "From IOB1 to IOB2")
def to_iob2(answer: Any) -> str:
    """answer(tags in IOB1) -> the same names in IOB2."""

    def read(got: Any, case: tuple[Any, ...]) -> list[Any]:
        found = listed(got)
        where = f"For {case[0]}"
        expect(found is not None, f"{where} you gave {describe(got)}; a list of tags is wanted.")
        expect(len(found) == len(case[0]), f"{where} you gave {len(found)} tags; each of the {len(case[0])} words keeps one.")  # fmt: skip
        return found

    cases = [(tags,) for tags in _TAGS]
    judge(answer, cases, _to_iob2, read, _wrong_tags(), lambda case: str(case[0]))
    return "Whoever reads a file of tags must know which of the two it is: the same letters mark other names."


def _to_iob2(tags: list[str]) -> list[str]:
    return _begun(tags, lambda tag, before: before[2:] != tag[2:])


def _begun(tags: list[str], begins: Callable[[str, str], bool]) -> list[str]:
    """I- becomes B- where a name begins; what stands before the first tag is O."""
    befores = ["O", *tags[:-1]]
    return [
        f"B-{tag[2:]}" if tag.startswith("I-") and begins(tag, before) else tag
        for tag, before in zip(tags, befores, strict=True)
    ]


def _wrong_tags() -> list[tuple[str, Callable[..., Any]]]:
    def no_start(tags: list[str]) -> list[str]:
        return [tags[0], *_to_iob2(tags)[1:]]

    def first_alone(tags: list[str]) -> list[str]:
        place = next((i for i, tag in enumerate(tags) if tag != "O"), None)
        return [f"B-{tag[2:]}" if i == place else tag for i, tag in enumerate(tags)]

    def b_lost(tags: list[str]) -> list[str]:
        return _to_iob2([f"I-{tag[2:]}" if tag.startswith("B-") else tag for tag in tags])

    return [
        ("every I- became B-. A name of two words would be two names: only its first word has B-", lambda t: [tag.replace("I-", "B-") for tag in t]),
        ("nothing changed. In IOB2 the first word of every name has B-", list),
        ("the first tag of the sentence has nothing before it, and so it begins a name too", no_start),
        ("only after O does a name begin in yours. I-LOC after I-PER begins one as well: another type, another name", lambda t: _begun(t, lambda tag, before: before == "O")),
        ("the whole tags are compared. I-PER after B-PER goes on with the name: compare the types, tag[2:]", lambda t: _begun(t, lambda tag, before: before != tag)),
        ("the B- that was there is lost, and two names are now one. It stays B-", b_lost),
        ("only the first name of the sentence got its B-", first_alone),
        ("the types are lost. A tag is a letter, a hyphen and the type", lambda t: [tag[:1] for tag in _to_iob2(t)]),
        ("B- and I- have changed places", lambda t: [{"B": "I", "I": "B"}.get(tag[0], tag[0]) + tag[1:] for tag in _to_iob2(t)]),
        ("every name has lost the B- again that it needs: that is IOB1 for names that do not touch", lambda t: [tag.replace("B-", "I-") for tag in t]),
        ("a name begins in yours where the type stays the same. It is the other way round", lambda t: _begun(t, lambda tag, before: before[2:] == tag[2:])),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ the best span


# T, begin, after, longest, and high scores for some starts and ends: what each known mistake stumbles over.
_SPANS: tuple[tuple[int, int, int, int, dict[int, float], dict[int, float]], ...] = (
    (13, 4, 11, 3, {1: 5.0}, {2: 5.0}),  # a fine pair in the question
    (17, 5, 14, 5, {15: 5.0}, {15: 5.0}),  # one behind the passage
    (11, 3, 9, 3, {7: 2.0}, {9: 6.0}),  # an end at the last [SEP]
    (19, 2, 16, 4, {12: 4.0}, {15: 4.0}),  # the longest answer that is allowed, up to the passage's last token
    (13, 3, 11, 4, {3: 4.0}, {7: 4.0}),  # one token longer than allowed
    (7, 2, 6, 1, {3: 2.0}, {4: 2.5}),
    (11, 3, 10, 5, {6: 3.0}, {6: 3.0, 4: 4.0}),  # one token; the best end stands before it
    (17, 4, 15, 3, {5: 3.0, 9: 2.5}, {10: 3.0}),  # the best start has no good end
    (17, 3, 16, 4, {5: 3.0}, {6: 2.5, 13: 3.0}),  # the best end has no good start
)


def _span_cases() -> list[tuple[Any, ...]]:
    """start, end (T,), begin, after, longest; no two scores are equal."""
    import torch

    cases = []
    for number, (tokens, begin, after, longest, starts, ends) in enumerate(_SPANS):
        drawn = seeded(number)
        start, end = (torch.randn(tokens, generator=drawn) / 3 for _ in range(2))
        for scores, high in ((start, starts), (end, ends)):
            for place, score in high.items():
                scores[place] += score
        cases.append((start, end, begin, after, longest))
    return cases


@exercise(_NOTEBOOK, "The best span that an answer can have")
def best_span(answer: Any) -> str:
    """answer(start (T,), end (T,), begin, after, longest) -> the places of the first and the last token."""

    def read(got: Any, case: tuple[Any, ...]) -> list[Any]:
        found = listed(got)
        where = f"For {_span_words(case)}"
        wanted = "a pair of places, (first, last), is wanted"
        expect(found is not None and len(found) == 2, f"{where} you gave {describe(got)}; {wanted}.")
        places = [one_number(value) for value in found]
        expect(all(isinstance(place, int) for place in places), f"{where} you gave {describe(got)}; {wanted}, two whole numbers.")  # fmt: skip
        return places

    judge(answer, _span_cases(), _best, read, _wrong_spans(), _span_words)
    return "All pairs cost T times longest sums, which is nothing beside one layer of BERT."


def _span_words(case: tuple[Any, ...]) -> str:
    start, _, begin, after, longest = case
    return f"{len(start)} tokens with begin = {begin}, after = {after} and longest = {longest}"


def _best(
    start: Tensor,
    end: Tensor,
    begin: int,
    after: int,
    longest: int,
    score: Callable[[float, float], float] = lambda a, b: a + b,
) -> list[int]:
    pairs = [(score(float(start[i]), float(end[j])), -i, -j) for i in range(begin, after) for j in range(i, min(i + longest, after))]  # fmt: skip
    _, i, j = max(pairs)
    return [-i, -j]


def _wrong_spans() -> list[tuple[str, Callable[..., Any]]]:
    def any_order(s: Tensor, e: Tensor, begin: int, after: int, longest: int) -> list[int]:
        return [int(s.argmax()), int(e.argmax())]

    def any_order_inside(s: Tensor, e: Tensor, begin: int, after: int, longest: int) -> list[int]:
        return [begin + int(s[begin:after].argmax()), begin + int(e[begin:after].argmax())]

    def start_first(s: Tensor, e: Tensor, begin: int, after: int, longest: int) -> list[int]:
        first = begin + int(s[begin:after].argmax())
        return [first, first + int(e[first : min(first + longest, after)].argmax())]

    def end_first(s: Tensor, e: Tensor, begin: int, after: int, longest: int) -> list[int]:
        last = begin + int(e[begin:after].argmax())
        low = max(begin, last - longest + 1)
        return [low + int(s[low : last + 1].argmax()), last]

    def two_words(s: Tensor, e: Tensor, begin: int, after: int, longest: int) -> list[int]:
        pairs = [(float(s[i] + e[j]), i, j) for i in range(begin, after) for j in range(i + 1, min(i + longest, after))]
        return list(max(pairs)[1:]) if pairs else [begin, begin]

    def shifted(first: int, last: int) -> Callable[..., Any]:
        def wrong(*case: Any) -> list[int]:
            i, j = _best(*case)
            return [i + first, j + last]

        return wrong

    return [
        ("the best start and the best end of the whole row are taken each by itself, so the end may stand before the start, or in the question. Look at the pairs", any_order),
        ("the best start and the best end of the passage are taken each by itself, and the end may stand before the start. Look at the pairs", any_order_inside),
        ("the start is chosen first, and the end to fit it. Another pair has a higher sum", start_first),
        ("the end is chosen first, and the start to fit it. Another pair has a higher sum", end_first),
        ("the pairs of the question take part. The answer stands in the passage: from begin, and before after", lambda s, e, b, a, n: _best(s, e, 0, len(s), n)),
        ("the question takes part. The answer begins at begin or later", lambda s, e, b, a, n: _best(s, e, 0, a, n)),
        ("what is behind the passage takes part. An answer ends before after", lambda s, e, b, a, n: _best(s, e, b, len(s), n)),
        ("the token at after takes part. It is the first one that is no longer of the passage, the last [SEP]", lambda s, e, b, a, n: _best(s, e, b, a + 1, n)),
        ("the last token of the passage is left out. after is the place behind it", lambda s, e, b, a, n: _best(s, e, b, a - 1, n)),
        ("the first token of the passage is left out. It stands at begin", lambda s, e, b, a, n: _best(s, e, b + 1, a, n)),
        ("longest has no say. An answer has at most that many tokens", lambda s, e, b, a, n: _best(s, e, b, a, len(s))),
        ("answers of longest + 1 tokens take part. From i to j there are j - i + 1", lambda s, e, b, a, n: _best(s, e, b, a, n + 1)),
        ("answers of longest tokens are left out. From i to j there are j - i + 1", lambda s, e, b, a, n: _best(s, e, b, a, max(n - 1, 1))),
        ("answers of one token are left out. Start and end may be the same", two_words),
        ("the scores are multiplied. They may be negative: two bad ones would make a good one. Add them", lambda s, e, b, a, n: _best(s, e, b, a, n, lambda x, y: x * y)),
        ("the worst pair is taken", lambda s, e, b, a, n: _best(s, e, b, a, n, lambda x, y: -x - y)),
        ("start and end have changed places: the scores of the one were read for the other", lambda s, e, b, a, n: _best(e, s, b, a, n)),
        ("the place behind the last token is given. Give that of the last token itself", shifted(0, 1)),
        ("the pair is given the wrong way round", lambda *case: _best(*case)[::-1]),
        ("the places are counted from begin. Count them from the row's own beginning", lambda s, e, b, a, n: [p - b for p in _best(s, e, b, a, n)]),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ choices

_CHOICES = ((3, 5, 7), (2, 3, 11), (1, 4, 5))  # B, M, T


class _Encoder:
    """(N, T) ids -> (N, 1) scores, each from its own row alone."""

    def __call__(self, ids: Any) -> Tensor:
        import torch

        if getattr(ids, "ndim", None) != 2:
            have = tuple(ids.shape) if hasattr(ids, "shape") else type(ids).__name__
            raise ValueError(f"encode takes texts and tokens, (N, T), as BERT does; it was given {have}")
        if not isinstance(ids, torch.Tensor):
            raise TypeError(f"encode takes a tensor; it was given {type(ids).__name__}")
        weights = torch.arange(1, ids.shape[1] + 1) % 5 + 1.0
        return ((ids * weights).sum(1, keepdim=True) / 7).sin() * 2

    def __repr__(self) -> str:
        return "encode"


@exercise(_NOTEBOOK, "Score the choices")
def choice_probabilities(answer: Any) -> str:
    """answer(encode, input_ids (B, M, T)) -> (B, M): for each example a probability of every choice."""
    import torch

    encode = _Encoder()
    for batch, choices, tokens in _CHOICES:
        ids = torch.randint(5, 97, (batch, choices, tokens), generator=seeded(batch))
        where = f"For input_ids {(batch, choices, tokens)}"
        with advised("encode takes (B * M, T), and gives (B * M, 1)"):
            got = answer(encode, ids)
        got = as_tensor(got, where)
        shapes = {
            (batch, choices, 1): "the last dimension is still there, one score a text. Make (B, M) of it",
            (batch * choices, 1): "the choices are still rows. Make (B, M) of them: view(B, M)",
            (batch * choices,): "the choices are still rows. Make (B, M) of them: view(B, M)",
            (choices, batch): "examples and choices have changed places",
            (batch,): "there is one number an example. Give a probability for every choice",
            (batch, 1): "there is one number an example. Give a probability for every choice",
            (batch, choices, tokens): "there is still a number a token. encode makes one score of a whole text",
        }
        expect_shape(got, (batch, choices), where, "a probability for each choice of each example", shapes)
        scores = encode(ids.flatten(0, 1)).view(batch, choices).double()
        expect_equal(got, softmax(scores, 1), f"{where} the numbers are not right", _wrong_probabilities(encode, ids))
    return "The head never compares two choices: each is read alone, and only the softmax lays them side by side."


def _wrong_probabilities(encode: _Encoder, ids: Tensor) -> list[tuple[str, Tensor]]:
    batch, choices, _ = ids.shape
    flat = encode(ids.flatten(0, 1)).double()
    scores = flat.view(batch, choices)
    mixed = flat.view(choices, batch).T
    turned = encode(ids.transpose(0, 1).flatten(0, 1)).double().view(batch, choices)
    return [
        ("these are the scores. Their softmax over the choices is wanted", scores),
        ("the softmax goes over the examples, dim=0. The choices of one example compete: dim=1", softmax(scores, 0)),
        ("the softmax goes over all rows together. The choices of one example compete: reshape first", softmax(flat, 0).view(batch, choices)),
        ("the softmax goes over the one score of each text, and gives 1 everywhere. Make (B, M) first", scores * 0 + 1),
        ("these are sigmoids, each score by itself. The choices compete: softmax", scores.sigmoid()),
        ("these are logarithms. Probabilities are wanted: softmax, not log_softmax", softmax(scores, 1).log()),
        ("the scores are divided by their sum. Scores may be negative; the softmax takes powers first", scores / scores.sum(1, keepdim=True)),
        ("the choices of different examples are mixed: (B * M) was cut into (M, B). It is laid out example by example: view(B, M)", softmax(mixed, 1)),
        ("the choices of different examples are mixed: the first two dimensions were exchanged before they were joined, and not exchanged back", softmax(turned, 1)),
        ("these are the scores, with the choices of different examples mixed", mixed),
        ("the best choice has 1 and the others 0. Give the probabilities", (scores == scores.amax(1, keepdim=True)).double()),
        ("the softmax was taken twice", softmax(softmax(scores, 1), 1)),
        ("the worst choice has the highest probability: the scores have lost their sign", softmax(-scores, 1)),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ several labels

_LABELLED = (
    ([[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]], [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]),
    ([[1, 1, 0, 0, 1]], [[1, 0, 0, 1, 0]]),
    ([[0, 1], [1, 1], [0, 1]], [[0, 0], [0, 0], [0, 0]]),
    ([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]]),
)  # fmt: skip


@exercise(_NOTEBOOK, "F1 over all decisions")
def micro_f1(answer: Any) -> str:
    """answer(labels (n, K) of 0 and 1, guessed (n, K)) -> F1 over all n times K decisions."""
    import torch

    cases = [(torch.tensor(labels), torch.tensor(guessed)) for labels, guessed in _LABELLED]

    def read(got: Any, case: tuple[Any, ...]) -> float:
        number = one_number(got)
        expect(number is not None, f"For {_counts(case)} you gave {describe(got)}; one number is wanted.")
        expect(not math.isnan(number), f"For {_counts(case)} you gave nan, not a number. Where nothing is guessed, precision divides by 0; 2 tp / (2 tp + fp + fn) does not.")  # fmt: skip
        return float(number)

    judge(answer, cases, _micro, read, _wrong_f1(), _counts)
    return "What is rightly left out does not count: with many labels that would be nearly everything."


def _counts(case: tuple[Any, ...]) -> str:
    tp, fp, fn, tn = _table(*case)
    return f"{case[0].shape[0]} x {case[0].shape[1]} decisions ({tp:g} rightly yes, {fp:g} wrongly yes, {fn:g} wrongly no, {tn:g} rightly no)"  # fmt: skip


def _table(labels: Tensor, guessed: Tensor) -> tuple[float, float, float, float]:
    yes, said = labels.bool(), guessed.bool()
    return tuple(float(found.sum()) for found in (yes & said, ~yes & said, yes & ~said, ~yes & ~said))


def _f1(tp: float, fp: float, fn: float) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def _micro(labels: Tensor, guessed: Tensor) -> float:
    return _f1(*_table(labels, guessed)[:3])


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _wrong_f1() -> list[tuple[str, Callable[..., Any]]]:
    def counted(function: Callable[..., float]) -> Callable[..., float]:
        return lambda labels, guessed: function(*_table(labels, guessed))

    def over(dim: int) -> Callable[..., float]:
        def mean(labels: Tensor, guessed: Tensor) -> float:
            parts = zip(labels.unbind(dim), guessed.unbind(dim), strict=True)
            scores = [_micro(a, b) for a, b in parts]
            return sum(scores) / len(scores)

        return mean

    return [
        ("you gave the share of decisions that are right. The many that are rightly no make it high", counted(lambda tp, fp, fn, tn: _share(tp + tn, tp + fp + fn + tn))),
        ("you gave the share of texts with all labels right, subset accuracy", lambda a, b: float((a == b).all(1).double().mean())),
        ("you gave the precision. F1 takes the recall into account as well", counted(lambda tp, fp, fn, tn: _share(tp, tp + fp))),
        ("you gave the recall. F1 takes the precision into account as well", counted(lambda tp, fp, fn, tn: _share(tp, tp + fn))),
        ("you gave the mean of precision and recall. F1 is the harmonic mean, 2 p r / (p + r)", counted(lambda tp, fp, fn, tn: (_share(tp, tp + fp) + _share(tp, tp + fn)) / 2)),
        ("you gave the product of precision and recall. F1 is 2 p r / (p + r)", counted(lambda tp, fp, fn, tn: _share(tp, tp + fp) * _share(tp, tp + fn))),
        ("you gave the mean of each label's own F1, macro F1. Count over all labels first", over(1)),
        ("you gave the mean of each text's own F1. Count over all texts first", over(0)),
        ("the 2 is missing above the line", counted(lambda tp, fp, fn, tn: _share(tp, 2 * tp + fp + fn))),
        ("you gave tp / (tp + fp + fn), the Jaccard index. In F1 tp counts twice, above the line and below", counted(lambda tp, fp, fn, tn: _share(tp, tp + fp + fn))),
        ("the 2 is missing below the line", counted(lambda tp, fp, fn, tn: _share(2 * tp, tp + fp + fn))),
        ("yes and no have changed places: this is the F1 of what is left out", counted(lambda tp, fp, fn, tn: _f1(tn, fn, fp))),
        ("you gave the F1 in per cent. A share from 0 to 1 is wanted", lambda a, b: 100 * _micro(a, b)),
        ("you gave how often yes is right. It is a count; F1 is a share", counted(lambda tp, fp, fn, tn: tp)),
    ]  # fmt: skip
