"""Checks of notebook 06_pretraining, in its order. Letters: B batch, T tokens, V vocabulary, L layers, H hidden size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import describe, exercise, expect
from course_lib.exercises.tensors import as_tensor, expect_equal, expect_shape, judge, one_number

if TYPE_CHECKING:
    from torch import Tensor

_NOTEBOOK = "06_pretraining"
_IGNORED = -100

# ------------------------------------------------------------------------------------------ held-out packages

Documents = list[tuple[str, list[str]]]
_SUM, _OPEN, _AXIS, _HELP, _TEMPLATE = (
    "Return the sum.", "Open a file.", "Axis is optional.", "Print help.", "Render a template."
)  # fmt: skip
_HELD_OUT: list[tuple[Documents, list[str]]] = [
    (
        [
            ("numpy", [_SUM, _AXIS]), ("click", [_OPEN, _HELP, _SUM, _HELP]), ("torch", [_OPEN]), ("click", [_SUM]),
            ("jinja2", [_TEMPLATE, _OPEN]), ("numpy", [_SUM]),
        ],
        ["click", "jinja2"],
    ),
    ([("pytorch", [_AXIS]), ("torch", [_TEMPLATE, _HELP]), ("python", [_OPEN])], ["torch"]),
    ([("click", [_TEMPLATE, _AXIS]), ("numpy", [_SUM]), ("click", [_HELP])], ["click"]),
]  # fmt: skip


@exercise(_NOTEBOOK, "Hold out whole packages")
def hold_out(answer: Any) -> str:
    """answer(documents, sources) -> (train, dev): pairs of source and sentences, none of dev's sentences in train."""
    judge(answer, _HELD_OUT, _hold_out, _read_parts, _wrong_parts(), lambda case: f"sources = {case[1]}")
    return "Docstrings are copied from package to package; without the second step, dev would reward learning by heart."


def _read_parts(got: Any, case: tuple[Any, ...]) -> list[Any]:
    where = f"For sources = {case[1]}"
    pair = isinstance(got, (list, tuple)) and len(got) == 2
    expect(pair, f"{where} you gave {describe(got)}; two lists are wanted, (train, dev).")
    return [_read_documents(part, f"{where} {name}") for name, part in zip(("train", "dev"), got, strict=True)]


def _read_documents(part: Any, where: str) -> list[Any]:
    expect(isinstance(part, (list, tuple)), f"{where} is {describe(part)}; a list of documents is wanted.")
    found = []
    for document in part:
        expect(not isinstance(document, str), f"{where} holds sentences or names by themselves; a document is a pair, (source, sentences).")  # fmt: skip
        expect(isinstance(document, (list, tuple)) and len(document) == 2, f"{where} holds {describe(document)}; a document is a pair, (source, sentences).")  # fmt: skip
        source, sentences = document
        fits = isinstance(source, str) and isinstance(sentences, (list, tuple))
        expect(fits and all(isinstance(s, str) for s in sentences), f"{where} holds {describe(document)}; a document is a pair, (source, sentences), with a list of texts.")  # fmt: skip
        found.append([source, list(sentences)])
    return found


def _hold_out(
    documents: Documents,
    sources: Sequence[str],
    *,
    held: Callable[[str, Sequence[str]], bool] = lambda source, sources: source in sources,
    clean: Callable[[Documents, Documents], tuple[Documents, Documents]] | None = None,
    empty: bool = False,
) -> list[Any]:
    train = [(s, list(t)) for s, t in documents if not held(s, sources)]
    dev = [(s, list(t)) for s, t in documents if held(s, sources)]
    train, dev = (clean or _cleaned)(train, dev)
    return [[[s, t] for s, t in part if t or empty] for part in (train, dev)]


def _cleaned(train: Documents, dev: Documents) -> tuple[Documents, Documents]:
    known = {sentence for _, sentences in train for sentence in sentences}
    return train, [(source, [s for s in sentences if s not in known]) for source, sentences in dev]


def _wrong_parts() -> list[tuple[str, Callable[..., Any]]]:
    def changed(**change: Any) -> Callable[..., Any]:
        return lambda documents, sources: _hold_out(documents, sources, **change)

    def whole(train: Documents, dev: Documents) -> tuple[Documents, Documents]:
        known = {sentence for _, sentences in train for sentence in sentences}
        return train, [(source, sentences) for source, sentences in dev if not known & set(sentences)]

    def of_train(train: Documents, dev: Documents) -> tuple[Documents, Documents]:
        return _cleaned(dev, train)[::-1]

    def once(train: Documents, dev: Documents) -> tuple[Documents, Documents]:
        train, dev = _cleaned(train, dev)
        return train, [(source, list(dict.fromkeys(sentences))) for source, sentences in dev]

    def ordered(train: Documents, dev: Documents) -> tuple[Documents, Documents]:
        train, dev = _cleaned(train, dev)
        return train, [(source, sorted(set(sentences))) for source, sentences in dev]

    def shared(train: Documents, dev: Documents) -> tuple[Documents, Documents]:
        known = {sentence for _, sentences in train for sentence in sentences}
        return train, [(source, [s for s in sentences if s in known]) for source, sentences in dev]

    def one_each(documents: Documents, sources: Sequence[str]) -> list[Any]:
        taken: set[str] = set()
        train, dev = [], []
        for source, sentences in documents:
            (dev if source in sources and source not in taken else train).append((source, sentences))
            taken.add(source)
        return [[[s, t] for s, t in part if t] for part in _cleaned(train, dev)]

    return [
        ("sentences of dev that stand in train too are still there. Leave them out of dev", changed(clean=lambda train, dev: (train, dev))),
        ("documents of dev without a sentence are still there. Leave them out", changed(empty=True)),
        ("the shared sentences were taken out of train. Train stays whole; dev loses them", changed(clean=of_train)),
        ("the shared sentences were taken out of both parts. Train stays whole", changed(clean=lambda train, dev: (_cleaned(dev, train)[1], _cleaned(train, dev)[1]))),
        ("a document of dev was left out whole because of one shared sentence. Its other sentences stay", changed(clean=whole)),
        ("the two parts have changed places. Train comes first", lambda d, s: _hold_out(d, s)[::-1]),
        ("only the first of the sources was held out", lambda d, s: _hold_out(d, s[:1])),
        ("only the last of the sources was held out", lambda d, s: _hold_out(d, s[-1:])),
        ("of each source one document was held out. All of its documents belong to dev", one_each),
        ("a source was held out because its name holds another one. Names are compared whole", changed(held=lambda source, sources: any(name in source for name in sources))),
        ("dev has lost sentences that it has twice itself. Only those of train are to go", changed(clean=once)),
        ("dev's sentences are in another order, and each is there once. Keep the order", changed(clean=ordered)),
        ("dev holds the shared sentences alone. Those are the ones to leave out", changed(clean=shared)),
        ("the sources were trained on, and all others held out", changed(held=lambda source, sources: source not in sources)),
        ("nothing was held out", changed(held=lambda source, sources: False)),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ a look at a batch

_MASK, _CLS, _SEP = 4, 2, 3
FAULTS = ("no label", "labels on padding", "labels everywhere", "labels are masks", "nothing hidden", "fine")


def _case(kind: str, seed: int) -> tuple[Any, ...]:
    """A batch of two rows with padding, with one fault: input_ids, attention_mask, labels (2, T), mask_id."""
    import torch

    drawn = torch.Generator().manual_seed(seed)
    tokens = 11
    ids = torch.randint(5, 97, (2, tokens), generator=drawn)
    ids[:, 0], ids[0, -1], ids[1, -4] = _CLS, _SEP, _SEP
    ids[1, -3:] = 0
    mask = torch.ones(2, tokens, dtype=torch.long)
    mask[1, -3:] = 0
    labels = torch.full_like(ids, _IGNORED)
    inputs = ids.clone()
    places = [(0, 2), (0, 5), (1, 1), (1, 3), (0, 7)]
    for place in places:
        labels[place] = ids[place]
    for place in places[:3]:
        inputs[place] = _MASK
    inputs[places[3]] = 5 + (int(ids[places[3]]) - 4) % 92  # a random token; the last one is kept
    if kind == "no label":
        labels[:] = _IGNORED
    elif kind == "labels on padding":
        labels[1, -2] = 0
    elif kind == "labels everywhere":
        labels = ids.masked_fill(mask == 0, _IGNORED)
    elif kind == "labels everywhere, padding too":
        labels = ids.clone()
    elif kind == "labels everywhere, no padding":
        inputs, labels, mask = inputs[:1], ids[:1], mask[:1]
    elif kind == "labels everywhere, nothing hidden":
        inputs, labels = ids, ids.masked_fill(mask == 0, _IGNORED)
    elif kind == "labels are masks":  # read off what the model reads, in place of the text
        labels = torch.where(labels != _IGNORED, inputs, _IGNORED)
    elif kind == "labels are masks alone":
        labels = torch.where(labels != _IGNORED, _MASK, _IGNORED)
    elif kind == "labels are masks, no other words":
        labels = torch.where(inputs == _MASK, _MASK, _IGNORED)
    elif kind == "nothing hidden":
        inputs = ids
    elif kind == "random words alone":
        inputs = torch.where(labels != _IGNORED, 5 + (ids - 4) % 92, ids)
    elif kind == "[MASK] is a word of the text":  # one true label may be [MASK] itself, by a random draw
        labels[places[0]] = _MASK
    return inputs, mask, labels, _MASK


_KINDS = (
    "no label", "labels on padding", "labels everywhere", "labels everywhere, padding too", "labels everywhere, no padding",
    "labels everywhere, nothing hidden", "labels are masks", "labels are masks alone",
    "labels are masks, no other words", "nothing hidden", "fine", "[MASK] is a word of the text", "random words alone",
)  # fmt: skip


@exercise(_NOTEBOOK, "What is wrong with this batch?")
def inspect_batch(answer: Any) -> str:
    """answer(input_ids, attention_mask, labels (B, T) each, mask_id) -> the name of the fault, or "fine"."""
    cases = [_case(kind, seed) for seed in (1, 2) for kind in _KINDS]

    def show(case: tuple[Any, ...]) -> str:
        return f"a batch with {_batch_looks(case)}"

    def read(got: Any, case: tuple[Any, ...]) -> str:
        expect(isinstance(got, str), f"For {show(case)} you gave {describe(got)}; a text is wanted, one of {', '.join(FAULTS)}.")  # fmt: skip
        found = got.strip().lower().rstrip(".")
        expect(found in FAULTS, f"For {show(case)} you gave {describe(got)}; one of {', '.join(FAULTS)} is wanted.")
        return found

    judge(answer, cases, _fault, read, _wrong_looks(), show)
    return "Look at one batch like this before every long run: it costs a second."


def _batch_looks(case: tuple[Any, ...]) -> str:
    inputs, mask, labels, mask_id = case
    at = labels != _IGNORED
    return (
        f"{int(at.sum())} labels, {int((at & (mask == 0)).sum())} of them on padding and {int((labels == mask_id).sum())} of "
        f"them {mask_id}, the mask_id, and {int((at & (inputs == mask_id)).sum())} places with a label that read {mask_id}"
    )


def _is(inputs: Tensor, mask: Tensor, labels: Tensor, mask_id: int) -> dict[str, bool]:
    """Which of the faults a batch has."""
    at = labels != _IGNORED
    return {
        "no label": not bool(at.any()),
        "labels on padding": bool((at & (mask == 0)).any()),
        "labels everywhere": bool(at[mask == 1].all()),
        "labels are masks": int((labels[at] == mask_id).sum()) > int(at.sum()) / 2,
        "nothing hidden": bool((inputs[at] == labels[at]).all()),
    }


_ORDER = FAULTS[:-1]


def _fault(*case: Any, order: Sequence[str] = _ORDER, **changed: Callable[..., bool]) -> str:
    found = _is(*case) | {name.replace("_", " "): bool(test(*case)) for name, test in changed.items()}
    return next((name for name in order if found[name]), "fine")


def _wrong_looks() -> list[tuple[str, Callable[..., Any]]]:
    def without(name: str) -> Callable[..., Any]:
        return lambda *case: _fault(*case, order=[n for n in _ORDER if n != name])

    def order(*names: str) -> Callable[..., Any]:
        return lambda *case: _fault(*case, order=names)

    def changed(**tests: Callable[..., bool]) -> Callable[..., Any]:
        return lambda *case: _fault(*case, **tests)

    return [
        ("it is always fine", lambda *case: "fine"),
        *((f"the fault '{name}' is never found", without(name)) for name in _ORDER),
        ("padding is asked about after the whole batch. The first fault of the list counts", order("no label", "labels everywhere", "labels on padding", "labels are masks", "nothing hidden")),
        ("'nothing hidden' is asked first. Where there is no label at all, it fits by accident", order("nothing hidden", *_ORDER[:-1])),
        ("'nothing hidden' is asked before 'labels everywhere', and may fit there too", order("no label", "nothing hidden", *_ORDER[1:-1])),
        ("'nothing hidden' is asked before 'labels are masks', and may fit there too", order("no label", "labels on padding", "labels everywhere", "nothing hidden", "labels are masks")),
        ("one label that is mask_id is enough for you. A random draw may hide [MASK] itself; more than half must be it", changed(labels_are_masks=lambda i, m, labels, k: (labels == k).any())),
        ("you ask whether all labels are mask_id. Of labels that were read too late some are random or kept words: more than half", changed(labels_are_masks=lambda i, m, labels, k: (labels != _IGNORED).any() and (labels[labels != _IGNORED] == k).all())),
        ("one label that is what the model reads is enough for you. Every tenth hidden word is kept; all of them must be", changed(nothing_hidden=lambda i, m, labels, k: (i == labels).any())),
        ("a batch without a [MASK] is not what 'nothing hidden' asks: compare what is read with the labels", changed(nothing_hidden=lambda i, m, labels, k: not (i == k).any())),
        ("'labels everywhere' looks at padding too. Real places are those with attention_mask 1", changed(labels_everywhere=lambda i, m, labels, k: (labels != _IGNORED).all())),
        ("a row without a free place is enough for you, or one label. 'labels everywhere' means all real places", changed(labels_everywhere=lambda i, m, labels, k: (labels != _IGNORED)[m == 1].any())),
        ("'labels on padding' looks for a label 0. It is attention_mask that says what padding is", changed(labels_on_padding=lambda i, m, labels, k: False if not (labels == 0).any() else (labels[:, :-3] == 0).any())),
        ("'labels on padding' looks where attention_mask is 1. Padding is where it is 0", changed(labels_on_padding=lambda i, m, labels, k: ((labels != _IGNORED) & (m == 1)).any())),
        ("'no label' looks for one place without a label. All of them must be -100", changed(no_label=lambda i, m, labels, k: (labels == _IGNORED).any())),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ entropy of single words

_COUNTS = ([5, 0, 2, 1, 0, 3, 7], [1, 1, 0, 2, 4, 9, 3, 3, 1, 5, 0], [3, 0, 11])


@exercise(_NOTEBOOK, "The entropy of single words")
def unigram_entropy(answer: Any) -> str:
    """answer(counts (V,)) -> the entropy of the shares, in nats, one number as a tensor."""
    import torch

    for row in _COUNTS:
        counts = torch.tensor(row)
        where = f"For counts = {row}"
        got = as_tensor(answer(counts), where, "one number is wanted, as a tensor")
        shapes = {
            (1,): "the sum keeps no dimension",
            (len(row),): "there is a term for each word. Their sum is wanted",
            (sum(c > 0 for c in row),): "there is a term for each word that occurs. Their sum is wanted",
        }
        expect_shape(got, (), where, "one number", shapes)
        right = _entropy(counts)
        found = f"{where} you gave {got.item():.4g}; {right.item():.4g} is right"
        expect_equal(got, right, found, _wrong_entropies(counts), why_nan="A word that never occurs has p = 0, and 0 times log 0 is nan. Leave such words out.")  # fmt: skip
    return "That is what the best guess costs that looks at nothing, and the height of the plateau in the curves below."


def _entropy(counts: Tensor) -> Tensor:
    shares = counts[counts > 0].double() / counts.sum()
    return -(shares * shares.log()).sum()


def _wrong_entropies(counts: Tensor) -> Iterator[tuple[str, Tensor]]:
    there = counts[counts > 0].double()
    shares, right = there / there.sum(), _entropy(counts)
    yield "the sign is wrong. Shares are below 1, their logarithms below 0", -right
    yield "the logarithm has base 2. Losses here are in nats: the natural one", right / math.log(2)
    yield "the logarithm has base 10. Losses here are in nats: the natural one", right / math.log(10)
    yield "this is the perplexity, exp(entropy). The entropy itself is wanted", right.exp()
    yield "this is the logarithm of V: a model that does not even know which words are frequent", shares.sum() * math.log(len(counts))  # fmt: skip
    yield "this is the logarithm of the number of words that occur. Frequent ones are easier to guess", shares.sum() * math.log(len(there))  # fmt: skip
    yield "each term was weighted alike: a mean over the words that occur. Weight each by its share", -shares.log().mean()  # fmt: skip
    yield "this is the sum of all -log p without weights. Weight each by its share", -shares.log().sum()
    yield "the sum was divided by V. The shares are weights already", right / len(counts)
    yield "the sum was divided by the number of words that occur. The shares are weights already", right / len(there)
    yield "the counts themselves are the weights. Divide them by their sum", right * there.sum()
    yield "the counts were not divided by their sum", -(there * there.log()).sum()
    yield "the counts were not divided by their sum", (there * there.log()).sum()
    yield "this is -log p of the most frequent word alone", -shares.max().log()
    more = counts.double() + 1
    more = more / more.sum()
    yield "one was added to each count. That is for words which may still come; here the counts are taken as they are", -(more * more.log()).sum()  # fmt: skip
    soft = counts.double().softmax(0)
    yield "a softmax was taken of the counts. Shares are counts divided by their sum", -(soft * soft.log()).sum()


# ------------------------------------------------------------------------------------------ guessing from neighbours

_BETWEEN = {
    ("the", "of"): Counter({"size": 3, "axis": 2, "name": 5, "part": 1, "zero": 4, "list": 2}),
    ("a", "of"): Counter({"list": 3, "zone": 1}), ("of", "the"): Counter({"all": 1}), ("any", "of"): Counter({"two": 2}),
}  # fmt: skip
_AFTER = {
    "the": Counter({"array": 6, "sum": 5, "value": 7}), "of": Counter({"a": 3, "the": 9}), "a": Counter({"list": 4, "new": 5}),
    "is": Counter({"none": 2}),
}  # fmt: skip
_WORDS = Counter({"a": 2, "the": 4, "of": 1, "value": 3})
_NEIGHBOURS = (
    ("the", "of"), ("a", "of"), ("the", "is"), ("of", "[MASK]"), ("[MASK]", "of"), ("xor", "the"), ("of", "the"), ("is", "of"),
    ("any", "of"),
)  # fmt: skip
_GAPS = [(left, right, _BETWEEN, _AFTER, _WORDS) for left, right in _NEIGHBOURS]


@exercise(_NOTEBOOK, "A guess from both neighbours")
def neighbour_guess(answer: Any) -> str:
    """answer(left, right, between, after, words) -> the word seen most often between them, or after left, or at all."""

    def read(got: Any, case: tuple[Any, ...]) -> str:
        where = f"For {_gap_words(case)}"
        if isinstance(got, (list, tuple)) and len(got) == 2 and isinstance(got[0], str):
            expect(False, f"{where} you gave {describe(got)}: a word with its count. The word alone is wanted.")
        if isinstance(got, (list, tuple)) and len(got) == 1:
            expect(False, f"{where} you gave {describe(got)}: a list of one. The word alone is wanted; most_common(1)[0][0] is it.")  # fmt: skip
        expect(isinstance(got, str), f"{where} you gave {describe(got)}; a word is wanted, a text.")
        return got

    judge(answer, _GAPS, _guess, read, _wrong_guesses(), _gap_words)
    return "Three tables of counts, and no network: what BERT's guesses must be better than."


def _gap_words(case: tuple[Any, ...]) -> str:
    return f"left = {case[0]!r} and right = {case[1]!r}"


def _most(counts: Mapping[str, int]) -> str:
    return max(counts, key=counts.__getitem__)


def _guess(
    left: str, right: str, between: Mapping[Any, Any], after: Mapping[str, Any], words: Any, *,
    first: Callable[[str, str], Any] = lambda left, right: (left, right),
    second: Callable[[str, str], Any] = lambda left, right: left,
    pick: Callable[[Mapping[str, int]], str] = _most,
) -> str:  # fmt: skip
    """What a rule guesses; `first` and `second` say which entries it asks for, None for a table that it leaves out."""
    for table, key in ((between, first(left, right)), (after, second(left, right))):
        if key in table:
            return pick(table[key])
    return pick(words)


def _wrong_guesses() -> list[tuple[str, Callable[..., Any]]]:
    def changed(**change: Any) -> Callable[..., Any]:
        return lambda *case: _guess(*case, **change)

    def other_order(left: str, right: str, between: Any, after: Any, words: Any) -> str:
        return _most(after[left]) if left in after else _most(between.get((left, right), words))

    def only_pairs_of_known(left: str, right: str, between: Any, after: Any, words: Any) -> str:
        """Looks for the pair, then says the most frequent word of its right neighbour's list."""
        return _guess(left, right, between, after, words, second=lambda left, right: right)

    def joined(left: str, right: str, between: Any, after: Any, words: Any) -> str:
        return _most(between.get((left, right), Counter()) + after.get(left, Counter()) + words)

    return [
        ("this is the most frequent word of all, whatever stands beside the gap. Ask `between` and `after` first", lambda *c: _most(c[4])),
        ("`between` was not asked. Both neighbours together know more than one", changed(first=lambda left, right: None)),
        ("`after` was not asked. Where the pair was never seen, the left neighbour still helps", changed(second=lambda left, right: None)),
        ("`after` was asked before `between`. Begin with both neighbours", other_order),
        ("the pair was looked up as (right, left)", changed(first=lambda left, right: (right, left))),
        ("`after` was asked for the right neighbour. It has what comes after the left one", only_pairs_of_known),
        ("the rarest word was taken. The one seen most often is wanted", changed(pick=lambda counts: min(counts, key=counts.__getitem__))),
        ("max(counter) compares the words themselves, by the alphabet. Compare their counts: most_common", changed(pick=max)),
        ("min(counter) compares the words themselves, by the alphabet. Compare their counts: most_common", changed(pick=min)),
        ("the first word of the table was taken. A Counter is not in the order of its counts", changed(pick=lambda counts: next(iter(counts)))),
        ("the last word of the table was taken. A Counter is not in the order of its counts", changed(pick=lambda counts: list(counts)[-1])),
        ("the counts of the three tables were added. The first table that knows the place decides alone", joined),
        ("this is the left neighbour itself", lambda *c: c[0]),
        ("this is the right neighbour itself", lambda *c: c[1]),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ perplexity

_BATCHES = [
    ([1.5, 0.5], [30, 10]), ([0.7, 1.1, 1.9], [5, 2, 1]), ([1.0], [7]), ([0.4, float("nan"), 1.2], [6, 0, 3]), ([2.0, 2.0], [3, 8])
]  # fmt: skip


@exercise(_NOTEBOOK, "Perplexity over batches")
def perplexity(answer: Any) -> str:
    """answer(losses, counts) -> exp of the mean loss of all hidden words, from each batch's mean and number of words."""

    def read(got: Any, case: tuple[Any, ...]) -> float | int:
        number = one_number(got)
        expect(number is not None, f"For {_batch_words(case)} you gave {describe(got)}; one number is wanted.")
        if case[1].count(0) and math.isnan(number):
            expect(False, f"For {_batch_words(case)} you gave nan. A batch without a hidden word has no loss, nan, and 0 times nan is nan: leave it out.")  # fmt: skip
        return number

    judge(answer, _BATCHES, _perplexity, read, _wrong_perplexities(), _batch_words)
    return "The mean over words, not over batches: so it does not depend on how the words were cut into batches."


def _batch_words(case: tuple[Any, ...]) -> str:
    return f"losses = {case[0]} and counts = {case[1]}"


def _pairs(losses: Sequence[float], counts: Sequence[int]) -> list[tuple[float, int]]:
    return [(loss, count) for loss, count in zip(losses, counts, strict=True) if count]


def _mean(losses: Sequence[float], counts: Sequence[int]) -> float:
    there = _pairs(losses, counts)
    return sum(loss * count for loss, count in there) / sum(count for _, count in there)


def _perplexity(losses: Sequence[float], counts: Sequence[int]) -> float:
    return math.exp(_mean(losses, counts))


def _wrong_perplexities() -> list[tuple[str, Callable[..., Any]]]:
    def of(function: Callable[[list[tuple[float, int]]], float]) -> Callable[..., Any]:
        return lambda losses, counts: function(_pairs(losses, counts))

    def total(pairs: list[tuple[float, int]]) -> float:
        return sum(loss * count for loss, count in pairs)

    def words(pairs: list[tuple[float, int]]) -> int:
        return sum(count for _, count in pairs)

    return [
        ("every batch counts alike. Weight each loss by its number of hidden words", of(lambda p: math.exp(sum(loss for loss, _ in p) / len(p)))),
        ("this is the mean of the batches' perplexities. Take the mean of the losses first, then exp once", of(lambda p: sum(math.exp(loss) for loss, _ in p) / len(p))),
        ("this is the weighted mean of the batches' perplexities. Take the mean of the losses first, then exp once", of(lambda p: sum(math.exp(loss) * count for loss, count in p) / words(p))),
        ("this is the mean loss. The perplexity is exp of it", _mean),
        ("this is 2 to the mean loss. The losses are in nats: exp", lambda losses, counts: 2 ** _mean(losses, counts)),
        ("this is exp of minus the mean, a probability", lambda losses, counts: math.exp(-_mean(losses, counts))),
        ("this is exp of the sum of the losses", of(lambda p: math.exp(sum(loss for loss, _ in p)))),
        ("the weighted sum was divided by the number of batches. Divide by the number of words", of(lambda p: math.exp(min(700.0, total(p) / len(p))))),
        ("the batch without a hidden word counts as one with loss 0. Leave it out", lambda losses, counts: math.exp(sum(loss for loss, count in _pairs(losses, counts)) / len(losses))),
        ("this is the perplexity of the last batch alone", of(lambda p: math.exp(p[-1][0]))),
        ("this is the perplexity of the first batch alone", of(lambda p: math.exp(p[0][0]))),
        ("this is the perplexity of the best batch alone", of(lambda p: math.exp(min(loss for loss, _ in p)))),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ times through

_PHASES = [
    ([(10, 4, 8)], 640), ([(9, 4, 8), (1, 4, 32)], 110), ([(7, 2, 16), (5, 2, 16), (2, 8, 64)], 5000), ([(3, 5, 7)], 210)
]  # fmt: skip


@exercise(_NOTEBOOK, "Times through the corpus")
def times_through(answer: Any) -> str:
    """answer(phases, corpus): each phase (steps, rows, length) -> how many times the corpus is gone through."""

    def read(got: Any, case: tuple[Any, ...]) -> float | int:
        number = one_number(got)
        expect(number is not None, f"For {_phase_words(case)} you gave {describe(got)}; one number is wanted.")
        return number

    judge(answer, _PHASES, _times, read, _wrong_times(), _phase_words)
    return "Rows of different lengths in different phases count by their tokens, not by their steps."


def _phase_words(case: tuple[Any, ...]) -> str:
    return f"phases = {case[0]} and corpus = {case[1]}"


def _times(
    phases: Sequence[tuple[int, int, int]],
    corpus: int,
    part: Callable[[int, int, int], float] = lambda steps, rows, length: steps * rows * length,
) -> float:
    return sum(part(*phase) for phase in phases) / corpus


def _wrong_times() -> list[tuple[str, Callable[..., Any]]]:
    def changed(part: Callable[[int, int, int], float]) -> Callable[..., Any]:
        return lambda phases, corpus: _times(phases, corpus, part)

    return [
        ("only the first phase was counted", lambda phases, corpus: _times(phases[:1], corpus)),
        ("only the last phase was counted", lambda phases, corpus: _times(phases[-1:], corpus)),
        ("steps times rows is a number of rows. Each row has `length` tokens", changed(lambda s, r, n: s * r)),
        ("the rows of a batch are missing", changed(lambda s, r, n: s * n)),
        ("the steps are missing: these are the tokens of one batch of each phase", changed(lambda s, r, n: r * n)),
        ("the whole times are missing what is left over: divide with /, not with //", lambda phases, corpus: int(_times(phases, corpus))),
        ("this is rounded. The exact number is wanted", lambda phases, corpus: round(_times(phases, corpus))),
        ("these are the tokens. Divide by the corpus", lambda phases, corpus: _times(phases, 1)),
        ("it is upside down: the corpus was divided by the tokens", lambda phases, corpus: 1 / _times(phases, corpus)),
        ("every row of tokens was read whole; 15 % is what is hidden, not what is read", lambda phases, corpus: 0.15 * _times(phases, corpus)),
        ("every phase was given the longest length", lambda phases, corpus: _times([(s, r, max(p[2] for p in phases)) for s, r, _ in phases], corpus)),
        ("every phase was given the mean length", lambda phases, corpus: _times([(s, r, sum(p[2] for p in phases) / len(phases)) for s, r, _ in phases], corpus)),
        ("[CLS] and [SEP] were taken off. Here every place of a row counts", changed(lambda s, r, n: s * r * (n - 2))),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ operations

_SIZES = [(2, 5, 20, 7, 100), (3, 8, 12, 11, 6), (1, 7, 7, 5, 13)]  # L, H, F, T, tokens


@exercise(_NOTEBOOK, "What does pretraining cost?")
def training_operations(answer: Any) -> str:
    """answer(layers, hidden, inner, length, tokens) -> operations of the encoder's matrix products, forward and backward."""

    def read(got: Any, case: tuple[Any, ...]) -> float | int:
        number = one_number(got)
        expect(number is not None, f"For {_size_words(case)} you gave {describe(got)}; one number is wanted.")
        return number

    judge(answer, _SIZES, _operations, read, _wrong_operations(), _size_words)
    return "For rows that are short beside H this is the well-known 6 · N · D: six operations a parameter and token."


def _size_words(case: tuple[Any, ...]) -> str:
    return "layers = {}, hidden = {}, inner = {}, length = {}, tokens = {}".format(*case)


def _operations(
    layers: int, hidden: int, inner: int, length: int, tokens: int, *,
    projections: float = 4, feed_forward: float = 2, attention: float = 2, times: float = 6,
) -> float:  # fmt: skip
    one = projections * hidden * hidden + feed_forward * hidden * inner + attention * length * hidden
    return times * layers * one * tokens


def _wrong_operations() -> list[tuple[str, Callable[..., Any]]]:
    def changed(**change: float) -> Callable[..., Any]:
        return lambda *case: _operations(*case, **change)

    return [
        ("only the way forward was counted. The way back costs twice as much again", changed(times=2)),
        ("4 a number is 2 too few: the way back was counted like the way forward, or the way forward was left out. Forward takes 2, back takes two products for each one, 4", changed(times=4)),
        ("a multiplication and an addition are two operations", changed(times=3)),
        ("multiplications were counted alone, and only on the way forward. Times 2, and times 3", changed(times=1)),
        ("the two products of attention, scores and sums, are missing: T · H each", changed(attention=0)),
        ("attention has two products, scores and sums of values: 2 · T · H", changed(attention=1)),
        ("the feed-forward part has two matrices, in and out: 2 · H · F", changed(feed_forward=1)),
        ("the feed-forward part is missing: 2 · H · F", changed(feed_forward=0)),
        ("the output projection of attention is missing: four matrices of H · H", changed(projections=3)),
        ("attention has four projections of H · H: query, key, value, output", changed(projections=1)),
        ("the four projections are missing", changed(projections=0)),
        ("only one layer was counted", lambda layers, *rest: _operations(1, *rest)),
        ("this is the cost of one token. Times the number of tokens", lambda *c: _operations(*c[:4], 1)),
        ("attention was counted with T · T for each token. For each token it has T scores of H products: T · H", lambda layers, h, f, t, n: 6 * layers * (4 * h * h + 2 * h * f + 2 * t * t) * n),
        ("attention was counted with T · T · H for each token. That is the whole row's", lambda layers, h, f, t, n: 6 * layers * (4 * h * h + 2 * h * f + 2 * t * t * h) * n),
        ("everything was multiplied by T once more. tokens are all tokens of the run, not rows", lambda *c: _operations(*c) * c[3]),
        ("F was taken as 4 · H. It is given", lambda layers, h, f, t, n: _operations(layers, h, 4 * h, t, n)),
    ]  # fmt: skip
