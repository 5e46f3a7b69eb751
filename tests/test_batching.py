import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.batching import Batches, PaddedBatches

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


# ------------------------------------------------------------------------------------------------ padded batches


def ragged(lengths: list[int]) -> dict:
    return {
        "input_ids": [[i + 1] * length for i, length in enumerate(lengths)],
        "labels": torch.arange(len(lengths)),
    }


lengths_drawn = st.lists(st.integers(1, 90), min_size=1, max_size=60)


@given(lengths_drawn, st.integers(1, 200), st.one_of(st.none(), st.integers(0, 5)))
def test_every_row_comes_once_and_no_batch_is_over_its_budget(lengths, tokens, shuffle) -> None:
    padded = PaddedBatches(ragged(lengths), tokens=tokens, shuffle=shuffle)
    found = list(padded)
    assert sorted(i for batch in found for i in batch["labels"].tolist()) == list(range(len(lengths)))
    assert len(found) == len(padded)
    for batch in found:
        ids = batch["input_ids"]
        assert ids.numel() <= tokens or len(ids) == 1
        for row, label in zip(ids.tolist(), batch["labels"].tolist(), strict=True):
            assert row == [label + 1] * lengths[label] + [0] * (len(row) - lengths[label])
        assert ids.shape[1] == max(lengths[i] for i in batch["labels"].tolist())


@given(lengths_drawn, st.integers(1, 9))
def test_a_size_gives_batches_of_that_many_examples_and_the_number_of_batches_stays(lengths, size) -> None:
    padded = PaddedBatches(ragged(lengths), size=size, shuffle=3)
    for _ in range(3):
        sizes = [len(batch["labels"]) for batch in padded]
        assert sorted(sizes)[1:] == [size] * (len(sizes) - 1) and sum(sizes) == len(lengths)
        assert len(sizes) == len(padded)


def test_rows_of_about_one_length_come_together_in_another_order_each_time() -> None:
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 60, (500,), generator=draw).tolist()
    padded = PaddedBatches(ragged(lengths), tokens=600, shuffle=1)
    again = PaddedBatches(ragged(lengths), tokens=600, shuffle=1)
    orders = [seen(padded) for _ in range(3)]
    assert orders == [seen(again) for _ in range(3)] and len(set(map(tuple, orders))) == 3
    mates = [{frozenset(b["labels"].tolist()) for b in padded} for _ in range(2)]
    assert len(mates[0] & mates[1]) <= 2  # the same rows hardly ever meet again
    assert padded.padding < 0.08
    first_widths = [b["input_ids"].shape[1] for b in padded]
    assert first_widths != sorted(first_widths)


@given(lengths_drawn, st.integers(1, 200))
def test_what_was_collected_is_restored_to_the_order_of_the_examples(lengths, tokens) -> None:
    padded = PaddedBatches(ragged(lengths), tokens=tokens)
    collected = torch.cat([batch["labels"] for batch in padded])
    assert padded.restore(collected).tolist() == list(range(len(lengths)))


def test_labels_are_padded_with_what_does_not_count_and_others_as_asked() -> None:
    columns = {"input_ids": [[5, 6, 7], [8]], "labels": [[0, 1, 2], [1]], "token_type_ids": [[0, 1, 1], [0]]}
    (batch,) = PaddedBatches(columns, size=2, pad={"input_ids": 9})
    assert batch["input_ids"].tolist() == [[8, 9, 9], [5, 6, 7]]
    assert batch["labels"].tolist() == [[1, -100, -100], [0, 1, 2]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0], [0, 1, 1]]


def test_choices_are_padded_to_the_longest_of_the_batch_and_count_in_the_budget() -> None:
    columns = {"input_ids": [[[1, 2], [3]], [[4], [5]], [[6], [7]]], "labels": torch.tensor([0, 1, 1])}
    found = list(PaddedBatches(columns, tokens=4))
    assert [batch["input_ids"].tolist() for batch in found] == [[[[4], [5]], [[6], [7]]], [[[1, 2], [3, 0]]]]
    with pytest.raises(ValueError, match="with 1 and with 2 choices cannot share a batch"):
        list(PaddedBatches({"input_ids": [[[1]], [[2], [3]]]}, size=2))


@pytest.mark.parametrize(
    "make", [lambda s: Batches(columns(), 4, s), lambda s: PaddedBatches(ragged([3] * N), size=4, shuffle=s)]
)
def test_the_state_brings_back_the_coming_order(make) -> None:
    batches = make(3)
    seen(batches)
    state = batches.state_dict()
    expected = [seen(batches), seen(batches)]
    other = make(8)
    other.load_state_dict(state)
    assert [seen(other), seen(other)] == expected
    assert make(None).state_dict() == {}


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (ragged([2]), {}, "Give tokens"),
        (ragged([2]), {"tokens": 0}, "tokens is 0"),
        (ragged([2]), {"size": 0}, "size is 0"),
        ({"labels": [1]}, {"size": 1}, "no column input_ids"),
        ({}, {"size": 1}, "no examples in no columns"),
    ],
)
def test_what_makes_no_padded_batches_is_refused_in_a_sentence(given, options, words) -> None:
    with pytest.raises(ValueError, match=words):
        PaddedBatches(given, **options)


@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=60), tokens=st.integers(20, 300))
def test_even_widths_are_few_and_at_most_an_eighth_wider(lengths, tokens) -> None:
    rows = [[7] * length for length in lengths]
    plain = PaddedBatches({"input_ids": rows}, tokens=tokens)
    even = PaddedBatches({"input_ids": rows}, tokens=tokens, even=True)
    assert len(plain) == len(even)
    for a, b in zip(plain, even, strict=True):
        narrow, wide = a["input_ids"], b["input_ids"]
        assert len(narrow) == len(wide) and narrow.shape[1] <= wide.shape[1] <= max(lengths)
        assert wide.shape[1] <= narrow.shape[1] * 9 / 8 + 1
        assert torch.equal(wide[:, : narrow.shape[1]], narrow) and (wide[:, narrow.shape[1] :] == 0).all()
        assert len(wide) == 1 or wide.numel() <= tokens


def test_even_widths_of_many_lengths_are_some_dozen() -> None:
    rows = [[7] * length for length in range(1, 513)]
    widths = {b["input_ids"].shape[1] for b in PaddedBatches({"input_ids": rows}, size=1, even=True)}
    assert len(widths) < 60 and max(widths) == 512
