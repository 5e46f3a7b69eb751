"""Hiding words: the shares of the paper, nothing special touched, whole words whole, the same seed the same words."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import pretrained
from course_lib.masking import IGNORED, MaskedBatches, _choose_tokens, _choose_words, continuing_pieces, mask_tokens
from course_lib.training.sharing import Share

MASK, V = 103, 1000


def hidden(tokens: int = 100_000, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(200, V, (100, tokens // 100), generator=draw)
    may = torch.ones_like(ids, dtype=torch.bool)
    may[:, ::7] = False
    return ids, may, *mask_tokens(ids, may, MASK, V, generator=draw)


def test_the_shares_are_those_of_the_paper() -> None:
    ids, may, inputs, labels = hidden()
    chosen = labels != IGNORED
    n = int(chosen.sum())
    assert n / int(may.sum()) == pytest.approx(0.15, abs=0.005)
    assert int((inputs[chosen] == MASK).sum()) / n == pytest.approx(0.8, abs=0.015)
    same = int((inputs[chosen] == ids[chosen]).sum()) / n
    assert same == pytest.approx(0.1 + 0.1 / V, abs=0.012)
    other = inputs[chosen & (inputs != MASK) & (inputs != ids)]
    assert len(other) / n == pytest.approx(0.1, abs=0.012) and len(other.unique()) > 0.5 * V


def test_nothing_else_is_touched() -> None:
    ids, may, inputs, labels = hidden()
    assert torch.equal(inputs[labels == IGNORED], ids[labels == IGNORED])
    assert bool((labels[~may] == IGNORED).all())
    assert torch.equal(labels[labels != IGNORED], ids[labels != IGNORED])


def test_the_same_seed_hides_the_same_words() -> None:
    assert torch.equal(hidden(seed=3)[2], hidden(seed=3)[2]) and not torch.equal(hidden(seed=3)[2], hidden(seed=4)[2])


@pytest.mark.parametrize("share", [0, 1, -0.1, 15])
def test_a_share_that_is_none_is_refused(share) -> None:
    with pytest.raises(ValueError, match=f"share is {share}; a share between 0 and 1"):
        mask_tokens(torch.ones(1, 2), torch.ones(1, 2), 1, 2, share)


class Words:
    """What a tokenizer tells of itself."""

    pad_token_id, mask_token_id, all_special_ids = 0, 4, [0, 1, 2, 3, 4]

    def __len__(self) -> int:
        return V


@settings(deadline=None)
@given(st.lists(st.integers(3, 30), min_size=1, max_size=20), st.integers(0, 3))
def test_batches_hide_other_words_each_time_and_never_specials_or_padding(lengths, seed) -> None:
    rows = [[2, *range(10, 8 + n), 3] for n in lengths]
    batches = MaskedBatches(rows, Words(), tokens=64, shuffle=seed)
    for batch in batches:
        special = (batch["attention_mask"] == 0) | (batch["labels"] == IGNORED)
        fixed = torch.isin(batch["input_ids"], torch.tensor([0, 2, 3])) & (batch["labels"] == IGNORED)
        assert bool((batch["labels"][fixed] == IGNORED).all()) and bool(special.any())
        restored = torch.where(batch["labels"] != IGNORED, batch["labels"], batch["input_ids"])
        for row, length in zip(restored.tolist(), batch["attention_mask"].sum(dim=1).tolist(), strict=True):
            assert row[:length] in rows


def test_in_evaluation_always_the_same_words_are_hidden_and_in_training_others() -> None:
    rows = [[2, *range(10, 60), 3]] * 5
    steady, changing = MaskedBatches(rows, Words(), size=2), MaskedBatches(rows, Words(), size=2, shuffle=1)
    first, again = ([b["labels"] for b in steady] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    one, other = ([b["labels"] for b in changing] for _ in range(2))
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_state_brings_back_the_coming_words() -> None:
    rows = [[2, *range(10, 60), 3]] * 5
    batches = MaskedBatches(rows, Words(), size=2, shuffle=1)
    list(batches)
    state = batches.state_dict()
    expected = [b["input_ids"] for b in batches]
    other = MaskedBatches(rows, Words(), size=2, shuffle=9)
    other.load_state_dict(state)
    assert all(torch.equal(a, b["input_ids"]) for a, b in zip(expected, other, strict=True))


# ---- counted, and whole words

PIECES = torch.zeros(V, dtype=torch.bool)
PIECES[700:] = True  # three of eight tokens that `text` draws go on with a word
CLS, SEP, PAD = 2, 3, 0
WAYS = [{}, {"counted": True}, {"continues": PIECES}]


def text(rows: int = 400, tokens: int = 64, seed: int = 0):
    """[CLS] a [SEP] b [SEP] and padding: ids, what may be hidden, and the length of each row."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(200, V, (rows, tokens), generator=draw)
    lengths = torch.randint(5, tokens + 1, (rows,), generator=draw)
    place = torch.arange(tokens)
    ids[:, 0] = CLS
    ids[(place == lengths[:, None] // 2) | (place == lengths[:, None] - 1)] = SEP
    ids[place >= lengths[:, None]] = PAD
    return ids, ids >= 200, lengths


def near(hits: int, n: int, share: float) -> bool:
    """Within four standard deviations of what a binomial draw gives; outside one time in 16,000."""
    return abs(hits - n * share) < 4 * math.sqrt(n * share * (1 - share))


def masked(seed: int = 0, rows: int = 400, tokens: int = 64, **how):
    ids, may, lengths = text(rows, tokens, seed)
    if how:
        how = {"lengths": lengths, **how}
    return ids, may, *mask_tokens(ids, may, MASK, V, generator=torch.Generator().manual_seed(seed), **how)


@pytest.mark.parametrize("how", WAYS)
def test_80_10_10_over_100_000_hidden_tokens(how) -> None:
    ids, may, inputs, labels = masked(rows=3000, tokens=512, **how)
    chosen = labels != IGNORED
    n = int(chosen.sum())
    assert n > 100_000
    assert near(int((inputs[chosen] == MASK).sum()), n, 0.8 + 0.1 / V)
    assert near(int((inputs[chosen] == ids[chosen]).sum()), n, 0.1 + 0.1 / V)
    changed = inputs[chosen & (inputs != MASK) & (inputs != ids)]
    assert near(int((changed < 500).sum()), len(changed), 0.5)  # any token, special ones included
    assert not bool((chosen & ~may).any())
    assert torch.equal(inputs[~chosen], ids[~chosen]) and torch.equal(labels[chosen], ids[chosen])


def test_each_by_itself_15_percent_are_hidden_and_rows_differ() -> None:
    _, may, _, labels = masked(rows=3000)
    assert near(int((labels != IGNORED).sum()), int(may.sum()), 0.15)
    of_rows = (labels != IGNORED).sum(dim=1).double()
    expected = (may.sum(dim=1) * 0.15 * 0.85).mean()  # the variance of binomial draws
    assert ((of_rows - may.sum(dim=1) * 0.15) ** 2).mean().item() == pytest.approx(expected.item(), rel=0.1)


@pytest.mark.parametrize("most", [None, 1, 4])
def test_counted_each_row_hides_what_the_authors_program_counts(most) -> None:
    *_, labels = masked(counted=True, most=most)
    lengths = text()[2].tolist()
    expected = [min(most or 64, max(1, round(length * 0.15))) for length in lengths]
    assert (labels != IGNORED).sum(dim=1).tolist() == expected
    assert 10 in lengths and 30 in lengths  # 1.5 and 4.5: halves go to the even number


def test_without_lengths_the_share_is_of_what_may_be_hidden() -> None:
    ids, may, _ = text()
    _, labels = mask_tokens(ids, may, MASK, V, counted=True)
    expected = [max(1, round(n * 0.15)) for n in may.sum(dim=1).tolist()]
    assert (labels != IGNORED).sum(dim=1).tolist() == expected


def test_counted_every_token_has_the_same_chance() -> None:
    ids = torch.full((40_000, 20), 300)
    _, labels = mask_tokens(ids, ids > 0, MASK, V, generator=torch.Generator().manual_seed(5), counted=True)
    assert all(near(hits, 40_000, 3 / 20) for hits in (labels != IGNORED).sum(dim=0).tolist())


def words_of(may: list[bool], joined: list[bool]) -> list[list[int]]:
    words: list[list[int]] = []
    for place, (allowed, goes_on) in enumerate(zip(may, joined, strict=True)):
        if allowed and goes_on and place and may[place - 1]:
            words[-1].append(place)
        elif allowed:
            words.append([place])
    return words


def taken(words: list[list[int]], number: int) -> set[int]:
    """The loop of create_masked_lm_predictions over words that are already mixed."""
    chosen: list[int] = []
    for word in words:
        if len(chosen) >= number:
            break
        if len(chosen) + len(word) > number:
            continue
        chosen += word
    return set(chosen)


@pytest.mark.parametrize("most", [None, 3])
def test_whole_words_are_hidden_whole_and_as_many_as_fit(most) -> None:
    ids, may, _, labels = masked(rows=2000, continues=PIECES, most=most)
    hidden_pieces = 0
    for row, allowed, label, length in zip(
        ids.tolist(), may.tolist(), labels.tolist(), text(2000)[2].tolist(), strict=True
    ):
        words = words_of(allowed, PIECES[row].tolist())
        states = [{label[place] != IGNORED for place in word} for word in words]
        assert all(len(state) == 1 for state in states)
        number = min(most or 64, max(1, round(length * 0.15)))
        room = number - sum(len(word) for word, state in zip(words, states, strict=True) if True in state)
        left = [len(word) for word, state in zip(words, states, strict=True) if True not in state]
        assert room >= 0 and all(size > room for size in left)  # nothing that is left would have fitted
        hidden_pieces += sum(len(word) for word, state in zip(words, states, strict=True) if True in state and word[1:])
    assert hidden_pieces > 1000


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 40), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_choice_is_that_of_the_authors_loop(seed, rows, tokens, goes_on) -> None:
    draw = torch.Generator().manual_seed(seed)
    may = torch.rand(rows, tokens, generator=draw) < 0.8
    joined = torch.rand(rows, tokens, generator=draw) < goes_on
    keys = torch.rand(rows, tokens, generator=draw)
    counts = torch.randint(0, tokens + 1, (rows,), generator=draw)
    for chosen, links in (
        (_choose_words(keys, may, joined, counts), joined),
        (_choose_tokens(keys, may, counts), torch.zeros_like(joined)),
    ):
        for row in range(rows):
            words = words_of(may[row].tolist(), links[row].tolist())
            words.sort(key=lambda word: keys[row, word[0]].item())
            assert set(chosen[row].nonzero().flatten().tolist()) == taken(words, int(counts[row]))


def test_whole_words_come_as_often_as_in_the_authors_loop() -> None:
    """A row of words with 1, 2 and 3 pieces: how often each is hidden, beside the loop with Python's own shuffle."""
    words = [[0], [1, 2], [3, 4, 5], [6], [7, 8]]
    joined = torch.tensor([place != word[0] for word in words for place in word])
    ids, n = torch.where(joined, 800, 300).repeat(20_000, 1), 20_000
    _, labels = mask_tokens(
        ids, ids > 0, MASK, V, 0.33, torch.Generator().manual_seed(1), continues=PIECES, lengths=torch.full((n,), 9)
    )
    ours = (labels != IGNORED).sum(dim=0).tolist()
    draw, theirs = random.Random(1), [0] * 9
    for _ in range(n):
        mixed = draw.sample(words, len(words))
        for place in taken(mixed, 3):
            theirs[place] += 1
    for a, b in zip(ours, theirs, strict=True):
        share = (a + b) / (2 * n)
        assert abs(a - b) < 4 * math.sqrt(2 * n * share * (1 - share))


def test_pieces_of_a_word_get_fates_of_their_own() -> None:
    ids = torch.tensor([[300, 800]]).repeat(4000, 1)
    inputs, _ = mask_tokens(ids, ids > 0, MASK, V, generator=torch.Generator().manual_seed(0), continues=PIECES, most=2,
                            lengths=torch.full((4000,), 14))  # fmt: skip
    both = (inputs == MASK).all(dim=1)
    assert near(int(both.sum()), 4000, 0.64)


def test_what_follows_a_special_token_begins_a_word() -> None:
    ids = torch.tensor([[CLS, 300, SEP, 800, SEP]])
    for seed in range(20):
        _, labels = mask_tokens(
            ids, ids >= 200, MASK, V, generator=torch.Generator().manual_seed(seed), continues=PIECES
        )
        assert int((labels != IGNORED).sum()) == 1  # as one word of two they would not have fitted


def test_words_may_be_given_by_number() -> None:
    ids, may, lengths = text()
    numbers = (~PIECES[ids]).cumsum(dim=1)
    by_number, by_piece = (
        mask_tokens(ids, may, MASK, V, generator=torch.Generator().manual_seed(2), lengths=lengths, **how)
        for how in ({"words": numbers}, {"continues": PIECES})
    )
    assert torch.equal(by_number[0], by_piece[0]) and torch.equal(by_number[1], by_piece[1])


@pytest.mark.parametrize("how", WAYS)
def test_rows_in_which_nothing_may_be_hidden_stay_as_they_are(how) -> None:
    for shape in ((3, 4), (2, 0), (0, 5)):
        ids = torch.full(shape, SEP)
        inputs, labels = mask_tokens(ids, ids >= 200, MASK, V, **how)
        assert torch.equal(inputs, ids) and bool((labels == IGNORED).all())


@pytest.mark.parametrize("how", WAYS)
def test_the_same_generator_gives_the_same_masks(how) -> None:
    first, again, other = masked(1, **how), masked(1, **how), masked(2, **how)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)) and not torch.equal(first[3], other[3])


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"most": 3}, "most is 3, a limit for tokens that are counted"),
        ({"most": 0, "counted": True}, "most is 0; at least 1"),
        ({"continues": PIECES, "words": torch.zeros(2, 4)}, "give one"),
        ({"words": torch.zeros(2, 3)}, r"words has shape \(2, 3\); \(2, 4\) fits"),
        ({"continues": PIECES[:5]}, rf"continues has shape \(5,\); \({V},\) fits"),
        ({"counted": True, "lengths": torch.ones(4)}, r"lengths has shape \(4,\); \(2,\) fits"),
    ],
)
def test_choices_that_do_not_fit_are_one_sentence(how, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        mask_tokens(torch.ones(2, 4, dtype=torch.long), torch.ones(2, 4), MASK, V, **how)


# ---- beside transformers, with a real vocabulary


@pytest.fixture(scope="module")
def tokenizer():
    return pretrained.load_tokenizer("embedded")


def test_the_pieces_that_go_on_with_a_word(tokenizer) -> None:
    goes_on = continuing_pieces(tokenizer)
    ids = tokenizer("unaffable embeddings")["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert goes_on.shape == (len(tokenizer),) and goes_on[ids].tolist() == [t.startswith("##") for t in tokens]
    assert goes_on[ids].any() and not goes_on[tokenizer.all_special_ids].any()


def test_the_statistics_are_those_of_transformers_collator(tokenizer) -> None:
    from transformers import DataCollatorForLanguageModeling

    collator = DataCollatorForLanguageModeling(tokenizer, seed=0)
    collator.create_rng()
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(999, len(tokenizer), (1000, 128), generator=draw)
    ids[:, 0], ids[:, 100], ids[:, 120:] = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    may = ids >= 999
    theirs = collator.torch_mask_tokens(ids.clone(), special_tokens_mask=(~may).long())
    ours = mask_tokens(ids, may, tokenizer.mask_token_id, len(tokenizer), generator=draw)
    n = int(may.sum())
    assert n > 100_000
    for inputs, labels in (ours, theirs):
        chosen = labels != IGNORED
        hidden_tokens = int(chosen.sum())
        assert near(hidden_tokens, n, 0.15) and not bool((chosen & ~may).any())
        assert near(int((inputs[chosen] == tokenizer.mask_token_id).sum()), hidden_tokens, 0.8)
        assert near(int((inputs[chosen] == ids[chosen]).sum()), hidden_tokens, 0.1)


# ---- batches


class Vocabulary(Words):
    """Tokens from 700 on go on with a word."""

    def convert_ids_to_tokens(self, ids):
        return [f"##{i}" if i >= 700 else str(i) for i in ids]


def rows_of(n: int = 23):
    ids, _, lengths = text(n, 40)
    return [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]


def test_batches_hide_whole_words_and_count_special_tokens_as_the_authors_do() -> None:
    rows = rows_of()
    by_pieces = MaskedBatches(rows, Vocabulary(), size=4, whole_words=True, most=4)
    numbers = [(~PIECES[torch.tensor(row)]).cumsum(dim=0).tolist() for row in rows]
    by_numbers = MaskedBatches(rows, Vocabulary(), size=4, words=numbers, most=4)
    for a, b in zip(by_pieces, by_numbers, strict=True):
        assert list(a) == list(b) == ["input_ids", "attention_mask", "labels"]
        assert all(torch.equal(a[name], b[name]) for name in a)
    for batch in MaskedBatches(rows, Vocabulary(), size=4, counted=True, most=4):
        expected = [min(4, max(1, round(n * 0.15))) for n in batch["attention_mask"].sum(dim=1).tolist()]
        assert (batch["labels"] != IGNORED).sum(dim=1).tolist() == expected


@pytest.mark.parametrize("how", [{}, {"counted": True}, {"whole_words": True}])
@pytest.mark.parametrize("processes", [2, 3])
def test_what_is_hidden_does_not_depend_on_the_number_of_processes(how, processes) -> None:
    def through(share: Share) -> list[dict[str, torch.Tensor]]:
        batches = MaskedBatches(rows_of(), Vocabulary(), size=5, shuffle=1, **how)
        return [share.rows(batch).batch for _ in range(2) for batch in batches]

    alone = through(Share())
    for process in range(processes):
        for whole, part in zip(alone, through(Share(process, processes)), strict=True):
            assert all(torch.equal(whole[name][process::processes], part[name]) for name in whole)


def test_words_that_do_not_fit_the_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="Row 1 has 3 tokens and 2 numbers of words"):
        MaskedBatches([[2, 300, 3]] * 2, Vocabulary(), size=2, words=[[0, 1, 2], [0, 1]])
    with pytest.raises(ValueError, match="most is 2, a limit"):
        MaskedBatches([[2, 300, 3]], Vocabulary(), size=2, most=2)
