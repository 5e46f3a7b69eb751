"""The measurement of mixes: what becomes of chosen tokens, which words are wrong, how runs are compared."""

import numpy as np
import pytest
import torch

from benchmarks import masking_mix

MASK, VOCABULARY = 4, 101


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Random tokens of which a quarter was chosen; some of these are hidden already."""
    draws = torch.Generator().manual_seed(0)
    truth = torch.randint(5, VOCABULARY, (31, 64), generator=draws)
    chosen = torch.rand(truth.shape, generator=draws) < 0.25
    return {"input_ids": truth.masked_fill(chosen, MASK), "labels": truth.masked_fill(~chosen, -100), "truth": truth}


def remixed(batch: dict[str, torch.Tensor], mix: tuple[float, float]) -> torch.Tensor:
    return masking_mix.remixed(batch, mix, MASK, VOCABULARY, torch.Generator().manual_seed(1))["input_ids"]


def test_without_masks_and_random_tokens_the_text_is_as_it_was(batch) -> None:
    assert torch.equal(remixed(batch, (0.0, 0.0)), batch["truth"])


def test_with_masks_alone_every_chosen_token_is_one_and_no_other(batch) -> None:
    assert torch.equal(remixed(batch, (1.0, 0.0)) == MASK, batch["labels"] >= 0)


@pytest.mark.parametrize("name", masking_mix.MIXES)
def test_the_chosen_tokens_have_the_shares_of_their_mix(batch, name) -> None:
    mask, random = masking_mix.MIXES[name]
    chosen = batch["labels"] >= 0
    inputs, truth = remixed(batch, (mask, random))[chosen], batch["truth"][chosen]
    assert torch.equal(remixed(batch, (mask, random))[~chosen], batch["truth"][~chosen])
    assert abs((inputs == MASK).double().mean() - mask) < 0.06
    assert abs(((inputs != MASK) & (inputs != truth)).double().mean() - random) < 0.06
    assert name == "/".join(f"{100 * abs(share):.0f}" for share in (mask, random, 1 - mask - random))


def test_a_tenth_of_the_words_is_wrong_and_comes_from_the_batch(batch) -> None:
    special = torch.tensor([0, 1, 2, 3, 4])
    batch["truth"][:, 0] = 2
    broken = masking_mix.wrong_words(batch, special, torch.Generator().manual_seed(0))["input_ids"]
    wrong = broken != batch["truth"]
    assert 0.07 < wrong.double().mean() < 0.12
    assert not wrong[:, 0].any() and not torch.isin(broken[wrong], special).any()
    assert torch.isin(broken[wrong], batch["truth"]).all()


def test_the_area_is_one_where_all_positives_score_higher_and_a_half_by_chance() -> None:
    assert masking_mix.area(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])) == 1
    assert masking_mix.area(np.array([0.5, 0.5, 0.5, 0.5]), np.array([False, True, False, True])) == 0.5


def test_mixes_are_compared_with_the_papers_seed_by_seed() -> None:
    runs = {"100/0/0": [{"loss": 1.0}, {"loss": 4.0}], masking_mix.PAPER: [{"loss": 2.0}, {"loss": 3.0}]}
    found = masking_mix.summed(runs)["100/0/0"]["loss"]
    assert found == {
        "mean": 2.5, "lowest": 1.0, "highest": 4.0, "minus_paper": 0.0, "minus_paper_by_seed": [-1.0, 1.0]
    }  # fmt: skip
