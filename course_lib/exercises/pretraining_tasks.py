"""Checks of notebook 05_pretraining_tasks, in its order. Letters: B batch, T tokens, V vocabulary, p hidden places, n width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import (
    advised,
    as_tensor,
    expect_by_hand,
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

_NOTEBOOK = "05_pretraining_tasks"
_IGNORED = -100
_ROWS = ((3, 23), (1, 13), (2, 31))  # B, T: enough tokens for every case to occur in the first


def _batch(batch: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Ids from 0 to 96, with a special token at both ends and padding, and where something may be hidden: (B, T) each."""
    import torch

    drawn = seeded(tokens)
    ids = torch.randint(5, 97, (batch, tokens), generator=drawn)
    ids[:, 4] = 0  # a token like any other, with the number 0
    may_hide = torch.ones(batch, tokens, dtype=torch.bool)
    may_hide[:, 0] = may_hide[:, -1] = False
    may_hide[-1, -3:] = False
    return ids, may_hide


def _expect_whole(got: Tensor, where: str) -> None:
    import torch

    expect(bool((got == got.round()).all()) or bool(torch.isnan(got).any()), f"{where} some of your numbers are no whole ones; tokens have whole numbers.")  # fmt: skip


# ------------------------------------------------------------------------------------------ hiding


def _draws(batch: int, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """choose, fate and any_token of a batch; a quarter is chosen, and the three limits occur themselves."""
    import torch

    drawn = seeded(100 + tokens)
    choose = torch.rand(batch, tokens, generator=drawn) * 0.6
    fate = torch.rand(batch, tokens, generator=drawn) * 0.5 + 0.5
    any_token = torch.randint(5, 97, (batch, tokens), generator=drawn)
    choose[:, 1:9] = torch.tensor([0.01, 0.02, 0.03, 0.04, 0.13, 0.15, 0.14, 0.05])
    fate[:, 1:9] = torch.tensor([0.30, 0.85, 0.95, 0.80, 0.10, 0.10, 0.82, 0.90])
    choose[:, [0, -1]] = 0.03  # as if [CLS] and [SEP] were chosen
    fate[:, [0, -1]] = torch.tensor([0.5, 0.85])
    return choose, fate, any_token


@exercise(_NOTEBOOK, "Hide words by given draws")
def hide_words(answer: Any) -> str:
    """answer(ids, may_hide, choose, fate, any_token (B, T) each, mask_id) -> what the model reads, (B, T)."""
    for batch, tokens in _ROWS:
        ids, may_hide = _batch(batch, tokens)
        choose, fate, any_token = _draws(batch, tokens)
        where = f"For ids {(batch, tokens)}"
        given = (ids, may_hide, choose, fate, any_token, 99)
        with advised("all of them are (B, T), and so is the result"):
            got = as_tensor(answer(*given), where, "the ids that the model reads are wanted, a tensor")
        shapes = {(batch * tokens,): "the rows are lost. The model reads a batch"}
        expect_shape(got, (batch, tokens), where, "an id for each token", shapes)
        _expect_whole(got, where)
        expect_equal(got, _hidden(*given), f"{where} some ids are not right", _wrong_hidden(*given))
    return "In a text 12 % of the tokens become [MASK], 1.5 % a random one, and 1.5 % are asked about as they are."


def _hidden(
    ids: Tensor,
    may_hide: Tensor,
    choose: Tensor,
    fate: Tensor,
    any_token: Tensor,
    mask_id: int,
    chosen: Tensor | None = None,
    masked: Tensor | None = None,
    random: Tensor | None = None,
) -> Tensor:
    import torch

    chosen = (choose < 0.15) & may_hide if chosen is None else chosen
    masked = fate < 0.8 if masked is None else masked
    random = (fate >= 0.8) & (fate < 0.9) if random is None else random
    return torch.where(chosen & random, any_token, ids).masked_fill(chosen & masked, mask_id)


def _wrong_hidden(
    ids: Tensor, may_hide: Tensor, choose: Tensor, fate: Tensor, any_token: Tensor, mask_id: int
) -> Iterator[tuple[str, Tensor]]:
    import torch

    none, every = torch.zeros_like(may_hide), torch.ones_like(may_hide)

    def wrong(**changed: Tensor) -> Tensor:
        return _hidden(ids, may_hide, choose, fate, any_token, mask_id, **changed)

    yield "nothing was hidden", ids
    yield "special tokens and padding are hidden too. may_hide is False there", wrong(chosen=choose < 0.15)
    yield "every chosen token became mask_id. Only those with fate below 0.8 do", wrong(masked=every)
    yield "all tokens are treated as if they were chosen. choose must be below 0.15 as well", wrong(chosen=may_hide)
    yield "all tokens, special ones too, are treated as if they were chosen", wrong(chosen=every)
    yield "the tokens that were not chosen are hidden. Chosen are those with choose below 0.15", wrong(chosen=(choose >= 0.15) & may_hide)  # fmt: skip
    yield "random and kept have changed places. From 0.8 to below 0.9 a token becomes a random one", wrong(random=fate >= 0.9)  # fmt: skip
    yield "every chosen token without mask_id became a random one. Those with fate of 0.9 and more stay", wrong(random=fate >= 0.8)  # fmt: skip
    yield "no token became a random one. Those with fate from 0.8 to below 0.9 do", wrong(random=none)
    yield "random tokens were written over mask_id. Below 0.9 are those below 0.8 too", wrong(masked=none, random=fate < 0.9)  # fmt: skip
    yield "mask_id stands where fate is below 0.9. The limit is 0.8", wrong(masked=fate < 0.9, random=none)
    yield "a token with choose of 0.15 was chosen. Below 0.15 means less", wrong(chosen=(choose <= 0.15) & may_hide)
    yield "a token with fate of 0.8 became mask_id. Below 0.8 means less", wrong(masked=fate <= 0.8)
    yield "a token with fate of 0.9 became a random one. Below 0.9 means less", wrong(random=(fate >= 0.8) & (fate <= 0.9))  # fmt: skip
    yield "the token 0 is never hidden. It is a token like any other", wrong(chosen=(choose < 0.15) & may_hide & (ids > 0))  # fmt: skip
    chosen = (choose < 0.15) & may_hide
    yield "these are the labels. What the model reads is wanted", ids.masked_fill(~chosen, _IGNORED)
    yield "where nothing is hidden stands 0. The token stays there", torch.where(chosen, wrong(), 0)


# ------------------------------------------------------------------------------------------ labels


@exercise(_NOTEBOOK, "Labels for hidden words")
def word_labels(answer: Any) -> str:
    """answer(ids (B, T) before anything was hidden, chosen (B, T)) -> labels (B, T), -100 where none counts."""
    for batch, tokens in _ROWS:
        ids, may_hide = _batch(batch, tokens)
        chosen = (_draws(batch, tokens)[0] < 0.15) & may_hide
        where = f"For ids {(batch, tokens)} with {int(chosen.sum())} chosen tokens"
        with advised("ids, chosen and the labels have one shape, (B, T)"):
            got = as_tensor(answer(ids, chosen), where, "the labels are wanted, a tensor")
        shapes = {
            (int(chosen.sum()),): "only the chosen tokens are there. Every place has a label, most of them -100",
            (batch * tokens,): "the rows are lost",
        }
        expect_shape(got, (batch, tokens), where, "a label for each token", shapes)
        _expect_whole(got, where)
        right = ids.masked_fill(~chosen, _IGNORED)
        expect_equal(got, right, f"{where} some labels are not right", _wrong_labels(ids, chosen))
    return "Cross entropy leaves -100 out, so the mean goes over chosen tokens alone, whatever became of them."


def _wrong_labels(ids: Tensor, chosen: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "every token has its id as a label. Then the model is trained to copy what it sees", ids
    yield "0 stands where no label counts, and 0 is a token: [PAD] would be trained. Write -100", ids.masked_fill(~chosen, 0)  # fmt: skip
    yield "-1 stands where no label counts, and is no token: cross entropy raises an error. Write -100", ids.masked_fill(~chosen, -1)  # fmt: skip
    yield "100 has lost its minus sign. It is a token, [UNK] in many vocabularies", ids.masked_fill(~chosen, 100)
    yield "it is the wrong way round: -100 stands at the chosen tokens", ids.masked_fill(chosen, _IGNORED)
    yield "the ids have lost their numbers: 1 stands at chosen tokens", chosen.long().masked_fill(~chosen, _IGNORED)
    yield "this is chosen itself, 1 and 0. At a chosen place stands the id of the word", chosen.long()
    yield "a chosen token with the id 0 has lost its label. 0 is an id like any other", ids.masked_fill(~chosen | (ids == 0), _IGNORED)  # fmt: skip
    yield "all labels are -100. At a chosen place the label is the token's id", ids * 0 + _IGNORED
    yield "-100 was added to the id, or taken away from it, at places that were not chosen", ids - 100 * (~chosen).long()  # fmt: skip


# ------------------------------------------------------------------------------------------ loss

_SCORED = ((3, 7, 11), (1, 5, 3), (2, 13, 5))  # B, T, V


def _scored(batch: int, tokens: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Scores (B, T, V), and labels (B, T): another number of them in each row; 0 and V - 1 occur."""
    import torch

    drawn = seeded(vocabulary)
    logits = torch.randn(batch, tokens, vocabulary, generator=drawn) * 2
    labels = torch.randint(vocabulary, (batch, tokens), generator=drawn)
    labels[0, 1], labels[0, 2] = 0, vocabulary - 1
    keep = torch.zeros(batch, tokens, dtype=torch.bool)
    for row in range(batch):
        keep[row, 1 : 3 + row] = True
    return logits, labels.masked_fill(~keep, _IGNORED)


@exercise(_NOTEBOOK, "The loss of hidden words")
def word_loss(answer: Any) -> str:
    """answer(logits (B, T, V), labels (B, T)) -> mean of -log p over places with a label, one number."""
    for sizes in _SCORED:
        logits, labels = _scored(*sizes)
        count = int((labels != _IGNORED).sum())
        where = f"For logits {sizes} and {count} labels"
        with advised("logits[labels != -100] is (places, V), labels[labels != -100] is (places,)"):
            got = as_tensor(answer(logits, labels), where, "one number is wanted, as a tensor")
        shapes = {
            (1,): "the mean keeps no dimension",
            (count,): "there is a loss for each label. Their mean is wanted",
            sizes[:2]: "there is a loss for each place. The mean over those with a label is wanted",
            (sizes[0],): "there is a loss for each row. The mean over all labels is wanted",
        }
        expect_shape(got, (), where, "one number", shapes)
        expect_equal(got, _loss(logits, labels), f"{where} you gave {got.item():.4g}; {_loss(logits, labels).item():.4g} is right", _wrong_losses(logits, labels))  # fmt: skip
    expect_by_hand(answer, (logits, labels), "cross_entropy", "nll_loss")
    return "The same as F.cross_entropy(logits.flatten(0, 1), labels.flatten()), which leaves out -100 by itself."


def _each(logits: Tensor, labels: Tensor, dim: int = -1) -> Tensor:
    """-log p of the right tokens, (labelled,); the softmax goes over `dim`."""
    at = labels != _IGNORED
    return -softmax(logits.double(), dim)[at].log().gather(1, labels[at][:, None])[:, 0]


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    return _each(logits, labels).mean()


def _wrong_losses(logits: Tensor, labels: Tensor) -> Iterator[tuple[str, Tensor]]:
    import torch

    at = labels != _IGNORED
    each, right = _each(logits, labels), _loss(logits, labels)
    batch, tokens = labels.shape
    yield "the sign is wrong. Probabilities are below 1, their logarithms below 0", -right
    yield "this is the sum. The mean over the labels is wanted", each.sum()
    yield "the sum is divided by all B * T places. Divide by the number of labels", each.sum() / (batch * tokens)
    yield "the sum is divided by the B rows. Divide by the number of labels", each.sum() / batch
    rows = torch.stack([part.mean() for part in each.split(at.sum(dim=1).tolist())])
    yield "this is the mean of each row's own mean. Rows with few labels then count too much: one mean over all", rows.mean()  # fmt: skip
    yield "this is the mean probability. The mean of -log p is wanted", (-each).exp().mean()
    yield "this is minus the mean probability. The logarithm is missing", -(-each).exp().mean()
    yield "the logarithm was taken after the mean. Take it of each probability", -(-each).exp().mean().log()
    yield "this is the perplexity, exp(loss). The loss itself is wanted", right.exp()
    yield "the logarithm has base 2. The natural one is wanted", right / 0.6931471805599453
    yield "the logarithm has base 10. The natural one is wanted", right / 2.302585092994046
    scores = logits.double()
    yield "the scores themselves are taken as if they were logarithms. The softmax is missing", -scores[at].gather(1, labels[at][:, None]).mean()  # fmt: skip
    yield "the softmax goes over the tokens, dim=1. A token's words compete: the last dimension", _each(logits, labels, 1).mean()  # fmt: skip
    yield "the softmax goes over the rows, dim=0. A token's words compete: the last dimension", _each(logits, labels, 0).mean()  # fmt: skip
    yield "the softmax was taken twice. cross_entropy and log_softmax take scores", _each(softmax(scores, -1), labels).mean()  # fmt: skip
    best = scores[at].argmax(dim=-1)
    yield "the probability is that of the best word. That of the label is wanted", -softmax(scores, -1)[at].log().gather(1, best[:, None]).mean()  # fmt: skip
    zeros = labels.clamp(min=0)
    everywhere = -softmax(scores, -1).log().gather(2, zeros[..., None])[..., 0]
    yield "places with -100 count as if their label were 0. Leave them out", everywhere.mean()
    few = at & (labels != 0)
    yield "the label 0 was left out. It is a token like any other; -100 alone does not count", everywhere[few].mean()


# ------------------------------------------------------------------------------------------ hidden places

_PICKED = ((3, 7, 5, 4), (1, 5, 3, 2), (2, 11, 2, 3))  # B, T, n, p


def _picked(batch: int, tokens: int, width: int, places: int) -> tuple[Tensor, Tensor]:
    """Vectors (B, T, n), and places (B, p), in no order."""
    import torch

    drawn = seeded(tokens)
    x = torch.randn(batch, tokens, width, generator=drawn)
    p = torch.stack([torch.randperm(tokens, generator=drawn)[:places] for _ in range(batch)])
    p[0, 0], p[0, 1] = tokens - 1, 0  # neither sorted nor without the ends
    for later in range(2, places):
        p[0, later] = later
    return x, p


@exercise(_NOTEBOOK, "Pick the hidden vectors")
def pick_places(answer: Any) -> str:
    """answer(X (B, T, n), P (B, p)) -> (B, p, n): of each row the vectors at its places."""
    for sizes in _PICKED:
        batch, tokens, width, places = sizes
        x, p = _picked(*sizes)
        where = f"For X {(batch, tokens, width)} and P {(batch, places)}"
        with advised("X[rows, P] wants rows of a shape that goes with (B, p), such as (B, 1)"):
            got = as_tensor(answer(x, p), where, "a tensor of the picked vectors is wanted")
        shapes = {
            (batch, batch, places, width): "every row was asked for the places of all rows, as X[:, P] does. The index of the row is needed too",
            (batch * places, width): "the vectors of all rows stand in one list. Make (B, p, n) of it",
            (places, batch, width): "rows and places have changed places",
            (batch, width, places): "places and numbers have changed places",
            (batch, places, tokens, width): "X[P] picks whole rows. The index of the row comes first, that of the token second",
            (batch, places, places, width): "rows and tokens were crossed. Each place belongs to one row",
            (batch, places): "one number a place is left. The whole vectors are wanted",
            (batch, width): "one vector a row is left. The vectors at all its places are wanted",
        }  # fmt: skip
        expect_shape(got, (batch, places, width), where, "the vectors at the places of each row", shapes)
        expect_equal(got, _pick(x, p), f"{where} the numbers are not right", _wrong_picks(x, p))
    return "X[labels != -100] gives the same vectors in one list, and needs no P: rows may have different numbers."


def _pick(x: Tensor, p: Tensor) -> Tensor:
    import torch

    return torch.stack([row[places] for row, places in zip(x, p, strict=True)])


def _wrong_picks(x: Tensor, p: Tensor) -> Iterator[tuple[str, Tensor]]:
    import torch

    batch, tokens, _ = x.shape
    places = p.shape[1]
    yield "the vectors stand in the order of the text. P has an order of its own", _pick(x, p.sort(dim=1).values)
    yield "every row has the places of the first. P has its own for each", _pick(x, p[:1].expand_as(p))
    yield "all vectors are those of the first row of X", x[0][p]
    rows = torch.arange(batch).repeat(places)
    yield "rows and tokens do not match: arange(B).repeat(p) says 0, 1, 2, 0, 1, 2. repeat_interleave says 0, 0, 1, 1, 2, 2", x[rows, p.reshape(-1)].reshape(batch, places, -1)  # fmt: skip
    yield "the vectors are right, but (p, B, n) was read as (B, p, n). Lay them out row by row", _pick(x, p).transpose(0, 1).reshape(batch, places, -1)  # fmt: skip
    yield "these are the vectors one place before. Tokens are counted from 0", _pick(x, (p - 1) % tokens)
    yield "these are the vectors one place behind. Tokens are counted from 0", _pick(x, (p + 1) % tokens)
    yield "these are the first p tokens of each row. P says which ones", x[:, :places]
    yield "these are the last p tokens of each row. P says which ones", x[:, tokens - places :]
    yield "the places are counted from the end", _pick(x, tokens - 1 - p)
    yield "the places of each row stand the wrong way round", _pick(x, p).flip(1)


# ------------------------------------------------------------------------------------------ a pair

_DOCUMENT = [["the", "cat", "sat"], ["it", "slept"], ["then", "it", "woke", "up", "."], ["nobody", "saw"]]
_OTHER = ["rain", "fell", "all", "night"]
_PAIRS = [(_DOCUMENT, 0, _OTHER, True), (_DOCUMENT, 0, _OTHER, False), (_DOCUMENT, 2, ["snow"], True), (_DOCUMENT, 1, ["snow"], False)]  # fmt: skip


@exercise(_NOTEBOOK, "A pair with its label")
def sentence_pair(answer: Any) -> str:
    """answer(document, place, other, follows) -> tokens, segments, label as in transformers."""
    judge(answer, _PAIRS, _pair, _read_pair, _wrong_pairs(), _pair_words)
    return "The label is 0 for a pair that belongs together; a model trained elsewhere may count the other way."


def _pair_words(case: tuple[Any, ...]) -> str:
    return f"place = {case[1]} and follows = {case[3]}"


def _read_pair(got: Any, case: tuple[Any, ...]) -> list[Any]:
    where = f"For {_pair_words(case)}"
    expect(isinstance(got, (list, tuple)) and len(got) == 3, f"{where} you gave {describe(got)}; three things are wanted: tokens, segments, label.")  # fmt: skip
    tokens, segments = listed(got[0]), listed(got[1])
    expect(tokens is not None, f"{where} your tokens are {describe(got[0])}; a list of tokens is wanted.")
    if any(isinstance(token, (list, tuple)) for token in tokens):
        raise Mistake(f"{where} there is a list among your tokens. Join the lists: ['[CLS]', *a, '[SEP]', *b, '[SEP]'].")  # fmt: skip
    expect(all(isinstance(token, str) for token in tokens), f"{where} not all of your tokens are texts; a list of tokens is wanted.")  # fmt: skip
    expect(segments is not None, f"{where} your segments are {describe(got[1])}; a list with a number for each token is wanted.")  # fmt: skip
    numbers = [one_number(value) for value in segments]
    expect(None not in numbers, f"{where} not all of your segments are numbers; 0 and 1 are wanted.")
    label = int(got[2]) if isinstance(got[2], bool) else one_number(got[2])
    expect(label is not None, f"{where} your label is {describe(got[2])}; 0 or 1 is wanted.")
    lengths = len(tokens), len(numbers)
    expect(lengths[0] == lengths[1] or tokens != _pair(*case)[0], f"{where} there are {lengths[1]} segments for {lengths[0]} tokens. Each token has one, [CLS] and [SEP] too.")  # fmt: skip
    return [tokens, numbers, label]


def _pair(
    document: Sequence[Sequence[str]],
    place: int,
    other: Sequence[str],
    follows: bool,
    *,
    a: Callable[..., Sequence[str]] = lambda document, place, other, follows: document[place],
    b: Callable[..., Sequence[str]] = lambda document, place, other, follows: document[place + 1] if follows else other,
    names: tuple[str, str, str] = ("[CLS]", "[SEP]", "[SEP]"),
    border: int = 2,
    numbers: tuple[int, int] = (0, 1),
    label: Callable[[bool], int] = lambda follows: 0 if follows else 1,
) -> list[Any]:
    first, second = (part(document, place, other, follows) for part in (a, b))
    tokens = [token for token in (names[0], *first, names[1], *second, names[2]) if token]
    zeros = len(first) + border
    return [tokens, [numbers[0]] * zeros + [numbers[1]] * (len(tokens) - zeros), label(follows)]


def _wrong_pairs() -> list[tuple[str, Callable[..., Any]]]:
    def changed(**change: Any) -> Callable[..., Any]:
        return lambda *case: _pair(*case, **change)

    def last_zero(*case: Any) -> list[Any]:
        tokens, segments, label = _pair(*case)
        return [tokens, [*segments[:-1], 0], label]

    return [
        ("the label is the wrong way round. In transformers 0 says that B follows, and 1 that it is random; the article has it the other way", changed(label=int)),
        ("the label is always 0. A random B has 1", changed(label=lambda follows: 0)),
        ("the label is always 1. A B that follows has 0", changed(label=lambda follows: 1)),
        ("the special tokens are [CLS] and [SEP], not <cls> and <sep>", changed(names=("<cls>", "<sep>", "<sep>"))),
        ("the last [SEP] is missing. Each text ends with one", changed(names=("[CLS]", "[SEP]", ""))),
        ("[CLS] is missing at the front", changed(names=("", "[SEP]", "[SEP]"), border=1)),
        ("there is no [SEP] between A and B", changed(names=("[CLS]", "", "[SEP]"), border=1)),
        ("B has a [CLS] of its own. A row has one, at the front", changed(names=("[CLS]", "[SEP]", "[SEP]"), b=lambda d, p, o, f: ["[CLS]", *(d[p + 1] if f else o)])),
        ("the [SEP] behind A has segment 1. It belongs to A", changed(border=1)),
        ("B's first token has segment 0", changed(border=3)),
        ("all segments are 0. B and the last [SEP] have 1", changed(numbers=(0, 0))),
        ("segments are 1 and 2. They are numbers of rows in a table of two: 0 and 1", changed(numbers=(1, 2))),
        ("segments are the wrong way round: A has 0", changed(numbers=(1, 0))),
        ("the last [SEP] has segment 0. It belongs to B", last_zero),
        ("B is always the next sentence. Where follows is False it is other", changed(b=lambda d, p, o, f: d[p + 1])),
        ("B is always other. Where follows is True it is the next sentence", changed(b=lambda d, p, o, f: o)),
        ("the two cases have changed places: other was taken where follows is True", changed(b=lambda d, p, o, f: o if f else d[p + 1])),
        ("B is A itself. The sentence after it is at place + 1", changed(b=lambda d, p, o, f: d[p] if f else o)),
        ("A is always the first sentence. It is the one at place", changed(a=lambda d, p, o, f: d[0])),
        ("A and B have changed places", changed(a=lambda d, p, o, f: d[p + 1] if f else o, b=lambda d, p, o, f: d[p])),
        ("B is all that comes after A. One sentence is wanted", changed(b=lambda d, p, o, f: [t for s in d[p + 1 :] for t in s] if f else o)),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ cutting

_CUTS = [
    (list("abcdefghi"), list("xyz"), 8), (list("abcde"), list("vwxyz"), 7), (list("ab"), list("uvwxyz"), 5),
    (list("abc"), list("xy"), 5), (list("abcdef"), list("uvwxyz"), 4), (list("abcdefg"), list("x"), 2), (list("abc"), list("xyz"), 30),
]  # fmt: skip


@exercise(_NOTEBOOK, "Cut a pair to size")
def cut_pair(answer: Any) -> str:
    """answer(a, b, room) -> (a, b), cut at their ends, the longer one first, to room tokens together."""

    def read(got: Any, case: tuple[Any, ...]) -> list[Any]:
        where = f"For {_cut_words(case)}"
        pair = got if isinstance(got, (list, tuple)) and len(got) == 2 else None
        parts = None if pair is None else [_characters(part) for part in pair]
        expect(parts is not None and None not in parts, f"{where} you gave {describe(got)}; two lists of tokens are wanted, (a, b).")  # fmt: skip
        return parts

    judge(answer, _CUTS, _cut, read, _wrong_cuts(), _cut_words)
    return "A short text stays whole as long as it can; a tokenizer calls this truncation=\"longest_first\"."  # fmt: skip


def _characters(part: Any) -> str | None:
    """A list of one-character tokens as one text."""
    found = listed(part)
    return None if found is None or not all(isinstance(token, str) for token in found) else "".join(found)


def _cut_words(case: tuple[Any, ...]) -> str:
    return f"a of {len(case[0])} tokens, b of {len(case[1])} and room = {case[2]}"


def _cut(
    a: Sequence[str],
    b: Sequence[str],
    room: int,
    a_gives: Callable[[int, int], bool] = lambda a, b: a > b,
    end: int = -1,
    tokens: int = 1,
    more: int = 0,
) -> list[str]:
    a, b = list(a), list(b)
    while len(a) + len(b) > max(room + more, 0):
        giver = a if (a_gives(len(a), len(b)) and a) or not b else b
        for _ in range(min(tokens, len(giver))):
            giver.pop(end)
    return ["".join(a), "".join(b)]


def _wrong_cuts() -> list[tuple[str, Callable[..., Any]]]:
    def changed(**change: Any) -> Callable[..., Any]:
        return lambda a, b, room: _cut(a, b, room, **change)

    def halves(a: Sequence[str], b: Sequence[str], room: int) -> list[str]:
        return ["".join(a[: room - room // 2]), "".join(b[: room // 2])]

    def once(a: Sequence[str], b: Sequence[str], room: int) -> list[str]:
        """The longer one at the start gives everything."""
        surplus = max(0, len(a) + len(b) - room)
        longer_a = len(a) > len(b)
        return ["".join(a[: len(a) - surplus] if longer_a and surplus else a), "".join(b if longer_a or not surplus else b[: max(0, len(b) - surplus)])]  # fmt: skip

    def swapped(a: Sequence[str], b: Sequence[str], room: int) -> list[str]:
        return _cut(a, b, room)[::-1]

    def one_time(a: Sequence[str], b: Sequence[str], room: int) -> list[str]:
        return _cut(a, b, max(room, len(a) + len(b) - 1))

    return [
        ("nothing was cut", lambda a, b, room: ["".join(a), "".join(b)]),
        ("only one token was taken away. Go on while there are more than room: `while`, not `if`", one_time),
        ("where both are equally long, a loses a token. Then it is b's turn", changed(a_gives=lambda a, b: a >= b)),
        ("the shorter text loses its tokens", changed(a_gives=lambda a, b: a < b)),
        ("b alone loses tokens, as where the joined row is cut at its end. The longer one does, whichever it is", changed(a_gives=lambda a, b: False)),
        ("a alone loses tokens. The longer one does, whichever it is", changed(a_gives=lambda a, b: True)),
        ("tokens are taken away at the front. Take the last ones", changed(end=0)),
        ("each gets half of the room. A short text then leaves room unused, or loses tokens that fit", halves),
        ("which one is longer was asked once. Ask anew for each token", once),
        ("one token too many is left. room tokens fit, not more", changed(more=1)),
        ("one token too many was taken away. room tokens fit", changed(more=-1)),
        ("two tokens were taken away at a time", changed(tokens=2)),
        ("a and b have changed places", swapped),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ counting


def _models() -> list[tuple[str, dict[str, Tensor]]]:
    """Dictionaries of tensors: several names for one memory, one object twice, equal numbers that are two tensors."""
    import torch

    table, bias = torch.randn(11, 5, generator=seeded(1)), torch.zeros(11)
    tied = {
        "table": table,
        "query": torch.randn(5, 5, generator=seeded(2)),
        "key": torch.randn(5, 5, generator=seeded(3)),
        "norm": torch.ones(5),
        "norm_2": torch.ones(5),
        "decoder": table.detach(),
        "bias": bias,
        "decoder_bias": bias,
    }
    apart = {"table": table, "decoder": table.clone(), "bias": torch.zeros(11)}
    thrice = {"a": bias, "b": bias.detach(), "c": bias.detach(), "table": table, "other": torch.zeros(7, 3)}
    return [
        ("a tied decoder, a bias with two names, and two equal norms", tied),
        ("a decoder with equal numbers that is a tensor of its own", apart),
        ("a bias with three names", thrice),
    ]


@exercise(_NOTEBOOK, "Count what is there")
def count_once(answer: Any) -> str:
    """answer(names -> tensors) -> how many numbers there are, one memory counted once."""

    def read(got: Any, case: tuple[Any, ...]) -> int | float:
        number = one_number(got)
        expect(number is not None, f"For {_model_words(case)} you gave {describe(got)}; one number is wanted.")
        return number

    judge(answer, [(tensors,) for _, tensors in _models()], _once, read, _wrong_counts(), _model_words)
    return "model.parameters() counts like this by itself; state_dict() has every name, so that old files load."


def _model_words(case: tuple[Any, ...]) -> str:
    return next(words for words, tensors in _models() if list(tensors) == list(case[0]))


def _once(tensors: Mapping[str, Tensor], key: Callable[[Tensor], Any] | None = None) -> int:
    """Numbers of all tensors, where those with the same key count once; by default the same memory."""
    return sum({(t.data_ptr() if key is None else key(t)): t.numel() for t in tensors.values()}.values())


def _wrong_counts() -> list[tuple[str, Callable[..., Any]]]:
    def shared_again(tensors: Mapping[str, Tensor]) -> int:
        """What has several names is left out altogether."""
        places = [t.data_ptr() for t in tensors.values()]
        return sum(t.numel() for t in tensors.values() if places.count(t.data_ptr()) == 1)

    return [
        ("every name was counted. A tensor with two names is there once", lambda t: sum(x.numel() for x in t.values())),
        ("tensors with equal numbers were counted once. They are two, if their memory is not the same", lambda t: _once(t, lambda x: tuple(x.flatten().tolist()))),
        ("tensors of the same shape were counted once", lambda t: _once(t, lambda x: tuple(x.shape))),
        ("id() or `is` tells objects apart. Two objects may be the same memory: data_ptr()", lambda t: _once(t, id)),
        ("what has several names was left out altogether. It counts once", shared_again),
        ("tensors were counted, not their numbers", lambda t: len({x.data_ptr() for x in t.values()})),
        ("names were counted", len),
        ("bytes were counted. A number has several of them", lambda t: 4 * _once(t)),
        ("only the rows were counted. A matrix has rows times columns: numel()", lambda t: sum({x.data_ptr(): len(x) for x in t.values()}.values())),
        ("what is saved was counted, not what is there", lambda t: sum(x.numel() for x in t.values()) - _once(t)),
    ]  # fmt: skip
