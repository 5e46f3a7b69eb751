import pytest
import torch

from course_lib.batching import Batches

N, H = 11, 3


def columns(n: int = N) -> dict[str, torch.Tensor]:
    return {"features": torch.arange(n * H).view(n, H).float(), "labels": torch.arange(n)}


def seen(batches: Batches) -> list[int]:
    return [label for batch in batches for label in batch["labels"].tolist()]


@pytest.mark.parametrize("size", [1, 2, 5, N, 13])
@pytest.mark.parametrize("shuffle", [None, 7])
def test_every_example_comes_once_and_the_last_batch_is_kept(size: int, shuffle: int | None) -> None:
    batches = Batches(columns(), size, shuffle)
    assert sorted(seen(batches)) == list(range(N))
    assert len(batches) == sum(1 for _ in batches) == -(-N // size)
    assert all(len(batch["labels"]) <= size for batch in batches)


def test_rows_of_all_columns_stay_together() -> None:
    for batch in Batches(columns(), 4, shuffle=3):
        assert torch.equal(batch["features"][:, 0], batch["labels"] * H)


def test_without_shuffle_the_order_is_kept_each_time() -> None:
    batches = Batches(columns(), 4)
    assert seen(batches) == seen(batches) == list(range(N))


def test_each_time_through_has_another_order_and_the_same_seed_the_same_ones() -> None:
    first, second = Batches(columns(), 4, shuffle=5), Batches(columns(), 4, shuffle=5)
    torch.manual_seed(99)  # whatever else draws
    orders = [seen(first) for _ in range(3)]
    torch.rand(7)
    assert orders == [seen(second) for _ in range(3)]
    assert len(set(map(tuple, orders))) == 3
    assert orders[0] != seen(Batches(columns(), 4, shuffle=6))


def test_shuffling_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(Batches(columns(), 4, shuffle=5))
    assert torch.equal(torch.rand(3), expected)


def test_two_walks_at_once_do_not_disturb_each_other() -> None:
    batches = Batches(columns(), 4, shuffle=5)
    pairs = list(zip(batches, batches, strict=True))
    for side in (0, 1):
        assert sorted(label for pair in pairs for label in pair[side]["labels"].tolist()) == list(range(N))


def test_adding_a_column_to_the_callers_dictionary_later_changes_nothing() -> None:
    mine = columns()
    batches = Batches(mine, 4)
    mine["extra"] = torch.zeros(2)
    assert set(next(iter(batches))) == {"features", "labels"}


def test_one_example_is_a_batch_of_one() -> None:
    (batch,) = Batches(columns(1), 4, shuffle=0)
    assert batch["features"].shape == (1, H)


@pytest.mark.parametrize(
    ("given", "size", "error", "words"),
    [
        ({}, 2, ValueError, "no columns"),
        ({"labels": torch.zeros(0)}, 2, ValueError, "no examples"),
        ({"features": torch.zeros(3, 2), "labels": torch.zeros(2)}, 2, ValueError, "'features': 3, 'labels': 2"),
        ({"labels": torch.zeros(3)}, 0, ValueError, "size is 0"),
        ({"labels": [0, 1, 2]}, 2, TypeError, "labels is a list"),
        ({"labels": torch.tensor(1)}, 2, ValueError, "labels is a single number"),
    ],
)
def test_columns_that_make_no_batches_are_refused_in_a_sentence(given, size, error, words) -> None:
    with pytest.raises(error, match=words):
        Batches(given, size)
