import pytest
import torch
from torch import nn

from course_lib.dropout import Dropout, dropout, noise


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_share_of_zeros_is_p_and_the_mean_stays(p: float, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    found = dropout(torch.ones(1009, 997, dtype=kind), p, True).float()
    assert (found == 0).double().mean().item() == pytest.approx(p, abs=0.002)
    assert found.double().mean().item() == pytest.approx(1.0, abs=0.02)
    assert found.unique().numel() == 2


def test_neighbours_are_drawn_independently() -> None:
    """Four of them come from one draw of 64 bits."""
    torch.manual_seed(1)
    zero = (noise(torch.ones(4_000_000), 0.3) == 0).double()
    for distance in (1, 2, 3, 4, 5):
        both = (zero[:-distance] * zero[distance:]).mean().item()
        assert both == pytest.approx(0.09, abs=0.002)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 11), (0, 4)])
def test_any_shape_keeps_its_shape(shape) -> None:
    assert dropout(torch.ones(shape), 0.5, True).shape == shape


def test_in_evaluation_and_without_p_nothing_happens() -> None:
    x = torch.randn(5, 7)
    assert Dropout(0.5).eval()(x) is x and dropout(x, 0.0, True) is x


def test_all_can_be_dropped() -> None:
    assert not dropout(torch.ones(5, 7), 1.0, True).any()


def test_the_gradient_passes_where_the_number_stayed() -> None:
    torch.manual_seed(0)
    x = torch.ones(100, requires_grad=True)
    y = dropout(x, 0.4, True)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach()) and 0 < int((x.grad == 0).sum()) < 100


def test_the_same_seed_drops_the_same() -> None:
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return dropout(torch.ones(999), 0.5, True)

    assert torch.equal(drawn(3), drawn(3)) and not torch.equal(drawn(3), drawn(4))


def test_it_is_a_dropout_to_whoever_looks_for_one() -> None:
    assert isinstance(Dropout(0.1), nn.Dropout) and Dropout(0.1).p == 0.1
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(1.5)


def test_a_strided_tensor_is_dropped_too() -> None:
    x = torch.ones(6, 10).t()
    assert dropout(x, 0.5, True).shape == (10, 6)
