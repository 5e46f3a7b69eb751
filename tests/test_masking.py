"""Hiding words: the shares of the paper, nothing special touched, the same seed the same words."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.masking import IGNORED, MaskedBatches, mask_tokens

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
