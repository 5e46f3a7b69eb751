import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib import pooling

sizes = st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 5, 7]), st.sampled_from([1, 3, 5]))


@st.composite
def batches(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    batch, tokens, width = draw(sizes)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    lengths = torch.tensor([draw(st.integers(1, tokens)) for _ in range(batch)])
    hidden = torch.randn(batch, tokens, width, generator=generator)
    return hidden, (torch.arange(tokens)[None] < lengths[:, None]).long()


masked = pytest.mark.parametrize("pool", [pooling.masked_mean, pooling.masked_max])


@masked
@given(batches(), st.integers(1, 5), st.sampled_from([0.0, 1e6, -1e6]))
def test_more_padding_changes_nothing(pool, made, extra: int, value: float) -> None:
    hidden, mask = made
    batch, _, width = hidden.shape
    longer = torch.cat([hidden, torch.full((batch, extra, width), value)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(batch, extra, dtype=torch.long)], dim=1)
    torch.testing.assert_close(pool(longer, longer_mask), pool(hidden, mask))


@masked
@given(batches())
def test_each_text_is_pooled_alone(pool, made) -> None:
    hidden, mask = made
    together = pool(hidden, mask)
    for i in range(len(hidden)):
        torch.testing.assert_close(pool(hidden[i : i + 1], mask[i : i + 1]), together[i : i + 1])


@given(batches())
def test_without_padding_they_are_the_plain_mean_and_maximum(made) -> None:
    hidden, _ = made
    full = torch.ones(hidden.shape[:2])
    torch.testing.assert_close(pooling.masked_mean(hidden, full), hidden.mean(1))
    torch.testing.assert_close(pooling.masked_max(hidden, full), hidden.amax(1))


@masked
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_any_kind_of_mask_will_do(pool, dtype: torch.dtype) -> None:
    hidden = torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    torch.testing.assert_close(pool(hidden, mask.to(dtype)), pool(hidden, mask))


@masked
def test_a_row_without_tokens_gives_zeros(pool) -> None:
    hidden = torch.randn(2, 3, 5)
    pooled = pool(hidden, torch.tensor([[0, 0, 0], [1, 1, 0]]))
    assert pooled[0].tolist() == [0.0] * 5 and pooled[1].abs().min() > 0


def test_the_forum_answers_function_gives_the_same_mean() -> None:
    hidden, mask = torch.randn(3, 7, 5), torch.tensor([[1] * 7, [1] * 2 + [0] * 5, [1] * 5 + [0] * 2])
    expanded = mask.unsqueeze(-1).expand(hidden.size()).float()
    theirs = torch.sum(hidden * expanded, 1) / torch.clamp(expanded.sum(1), min=1e-9)
    torch.testing.assert_close(pooling.masked_mean(hidden, mask), theirs)


def test_the_last_layers_are_joined_last_first_and_averaged() -> None:
    states = tuple(torch.full((2, 3, 5), float(layer)) for layer in range(7))
    joined = pooling.concat_last(states)
    assert joined.shape == (2, 3, 20)
    assert joined[0, 0].tolist() == [6.0] * 5 + [5.0] * 5 + [4.0] * 5 + [3.0] * 5
    assert torch.equal(pooling.mean_last(states), torch.full((2, 3, 5), 4.5))


def test_cls_keeps_a_batch_of_one() -> None:
    assert pooling.cls(torch.randn(1, 1, 5)).shape == (1, 5)


@masked
def test_shapes_that_do_not_fit_are_named(pool) -> None:
    with pytest.raises(ValueError, match=r"\(2, 7, 3\) and mask \(2, 5\)"):
        pool(torch.randn(2, 7, 3), torch.ones(2, 5))


@pytest.mark.parametrize("states", [torch.randn(2, 3, 5), (torch.randn(2, 3, 5),) * 3])
def test_too_few_layers_are_named(states) -> None:
    with pytest.raises(ValueError, match=r"outputs\.hidden_states"):
        pooling.concat_last(states)
