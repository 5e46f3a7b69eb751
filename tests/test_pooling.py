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


@masked
def test_an_array_is_no_tensor(pool) -> None:
    hidden, mask = torch.randn(2, 7, 3), torch.ones(2, 7)
    with pytest.raises(TypeError, match="hidden is a ndarray; a tensor is needed"):
        pool(hidden.numpy(), mask.numpy())
    with pytest.raises(TypeError, match="mask is a list"):
        pool(hidden, mask.tolist())


@pytest.mark.parametrize("states", [torch.randn(2, 3, 5), (torch.randn(2, 3, 5),) * 3])
def test_too_few_layers_are_named(states) -> None:
    with pytest.raises(ValueError, match=r"outputs\.hidden_states"):
        pooling.concat_last(states)


def test_the_layer_mix_starts_as_the_plain_mean_and_learns_one_weight_a_layer() -> None:
    states = tuple(torch.randn(2, 3, 5) for _ in range(7))
    mix = pooling.LayerMix(7)
    torch.testing.assert_close(mix(states), torch.stack(states).mean(0))
    with torch.no_grad():
        mix.scores[2] = 50.0
    torch.testing.assert_close(mix(states), states[2])
    mix(states).sum().backward()
    assert mix.scores.grad.shape == (7,)


@given(batches(), st.integers(0, 99))
def test_the_layer_mix_of_a_text_does_not_depend_on_its_neighbours(made, seed: int) -> None:
    hidden, _ = made
    states = tuple(hidden * (layer + 1) for layer in range(4))
    mix = pooling.LayerMix(4)
    torch.nn.init.normal_(mix.scores, generator=torch.Generator().manual_seed(seed))
    together = mix(states)
    for i in range(len(hidden)):
        torch.testing.assert_close(mix([state[i : i + 1] for state in states]), together[i : i + 1])


def test_the_old_recipe_of_layer_attention_does_depend_on_them() -> None:
    """The repository's page sums the scores over the batch: what the test above is there to find."""
    states = torch.randn(13, 4, 1, 8)  # layers, texts, [CLS], hidden
    given_weights = torch.rand(13, 1)

    def old_recipe(of: torch.Tensor) -> torch.Tensor:
        scores = torch.sum(of * given_weights.view(13, 1, 1, 1), dim=[1, 3])
        weights = torch.softmax(scores.view(-1), dim=0)
        return torch.sum(of * weights.view(13, 1, 1, 1), dim=[0, 2])

    assert not torch.allclose(old_recipe(states)[:1], old_recipe(states[:, :1]), atol=1e-3)


def test_a_mix_of_too_few_states_is_named() -> None:
    with pytest.raises(ValueError, match="last 7 layers of 3"):
        pooling.LayerMix(7)([torch.randn(1, 2, 3)] * 3)


def test_multi_sample_dropout_is_one_pass_in_evaluation_and_a_mean_in_training() -> None:
    layer = torch.nn.Linear(64, 3)
    several = pooling.MultiSampleDropout(layer, samples=4, p=0.5)
    x = torch.randn(2, 64)
    torch.testing.assert_close(several.eval()(x), layer(x))
    several.train()
    single = torch.stack([layer(several.dropout(x)) for _ in range(200)]).std(0).mean()
    averaged = torch.stack([several(x) for _ in range(200)]).std(0).mean()
    assert 0.35 < averaged / single < 0.65  # the spread of a mean of 4 is half of one


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_half_and_close(dtype: torch.dtype) -> None:
    hidden, mask = torch.randn(2, 5, 8), torch.tensor([[1, 1, 0, 0, 0], [1] * 5])
    states = tuple(hidden.to(dtype) for _ in range(5))
    for pooled, exact in (
        (pooling.masked_mean(hidden.to(dtype), mask), pooling.masked_mean(hidden, mask)),
        (pooling.masked_max(hidden.to(dtype), mask), pooling.masked_max(hidden, mask)),
        (pooling.LayerMix(5)(states), hidden),
    ):
        assert pooled.dtype == dtype
        torch.testing.assert_close(pooled.float(), exact, atol=0.05, rtol=0.05)
