"""Positions that begin as waves."""

import pytest
import torch

from course_lib.heads import BertForMaskedLM
from course_lib.pretraining import begin_as_sinusoids, sinusoids


def test_the_product_of_two_positions_tells_their_distance_alone() -> None:
    waves = sinusoids(40, 24)
    products = waves @ waves.T
    for distance in (1, 3, 7):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[0].expand_as(diagonal), atol=1e-4)
    assert (products.diagonal(1) > products.diagonal(5)[:1]).all()


def test_values_are_those_of_the_paper() -> None:
    waves = sinusoids(6, 4, longest=10_000)
    t = torch.arange(6.0)
    expected = torch.stack([t.sin(), t.cos(), (t / 100).sin(), (t / 100).cos()], dim=1)
    assert torch.allclose(waves, expected, atol=1e-6)
    with pytest.raises(ValueError, match="even number"):
        sinusoids(6, 5)


def test_a_model_begins_with_them_as_long_as_its_words(small) -> None:
    model = BertForMaskedLM(small)
    begin_as_sinusoids(model)
    table = model.bert.embeddings.position_embeddings.weight
    words = model.bert.embeddings.word_embeddings.weight
    assert table.requires_grad
    assert table.norm(dim=1).mean().item() == pytest.approx(words.norm(dim=1).mean().item(), rel=1e-4)
    products = table @ table.T
    assert torch.allclose(products.diagonal(2), products.diagonal(2)[0].expand(46), atol=1e-4)
