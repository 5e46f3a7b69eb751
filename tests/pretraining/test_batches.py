"""Rows and hidden words: everything once, anew each time, the same from the same seed."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import DataError
from course_lib.pretraining import PretrainingBatches
from course_lib.pretraining import batches as module

KINDS = [
    {}, {"crossing": False}, {"whole_words": True}, {"counted": True}, {"pairs": True}, {"pairs": True, "whole_words": True},
]  # fmt: skip


def made(documents, tokenizer, **options):
    return PretrainingBatches(documents, tokenizer, **{"length": 24, "tokens": 200, "shuffle": 3, **options})


def original(batch):
    """The ids before words were hidden."""
    return torch.where(batch["labels"] != -100, batch["labels"], batch["input_ids"])


def equal(a, b):
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(torch.equal(x[n], y[n]) for n in x) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("options", KINDS)
def test_shapes_limits_and_what_may_be_hidden(documents, tokenizer, options) -> None:
    names = {"input_ids", "attention_mask", "labels"} | (
        {"token_type_ids", "next_sentence_label"} if options.get("pairs") else set()
    )
    for batch in made(documents, tokenizer, **options):
        assert set(batch) == names
        b, t = batch["input_ids"].shape
        assert t <= 24 and b * t <= 200
        assert batch["labels"].shape == batch["attention_mask"].shape == (b, t)
        hidden, whole = batch["labels"] != -100, original(batch)
        special = torch.isin(
            whole, torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id])
        )
        assert not (hidden & special).any() and not (hidden & (batch["attention_mask"] == 0)).any()
        assert (whole[:, 0] == tokenizer.cls_token_id).all()
        last = batch["attention_mask"].sum(dim=1) - 1
        assert (whole[torch.arange(b), last] == tokenizer.sep_token_id).all()


@pytest.mark.parametrize("options", KINDS[:4])
def test_every_token_of_the_corpus_comes_once_each_time_through(documents, tokenizer, options) -> None:
    batches = made(documents, tokenizer, **options)
    expected = Counter(documents.ids.tolist())
    for _ in range(2):
        seen: Counter[int] = Counter()
        for batch in batches:
            seen.update(original(batch).flatten().tolist())
        for special in (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id):
            del seen[special]
        assert seen == expected


@pytest.mark.parametrize("options", KINDS)
def test_another_time_through_is_another_one_and_the_same_from_the_same_seed(documents, tokenizer, options) -> None:
    batches = made(documents, tokenizer, **options)
    first, second = list(batches), list(batches)
    assert not equal(first, second)
    again = made(documents, tokenizer, **options)
    assert equal(list(again), first) and equal(list(again), second)
    later = made(documents, tokenizer, **options)
    later.load_state_dict({"times": 1})
    assert equal(list(later), second)
    assert not equal(list(made(documents, tokenizer, **options, shuffle=4)), first)


def test_an_evaluation_is_always_the_same_and_from_all_over_the_corpus(documents, tokenizer) -> None:
    batches = made(documents, tokenizer, shuffle=None, rows=4)
    first = list(batches)
    assert equal(first, list(batches)) and sum(len(b["labels"]) for b in first) == 4
    start = {row[0] for document in documents[:2] for row in [document[0].tolist()]}
    assert any(int(ids[1]) not in start for batch in first for ids in original(batch))


def test_rows_are_held_a_buffer_at_a_time(documents, tokenizer, monkeypatch) -> None:
    monkeypatch.setattr(module, "BUFFER", 5)
    batches = list(made(documents, tokenizer, size=5, tokens=None))
    seen = Counter(i for batch in batches for i in original(batch).flatten().tolist() if i > 4)
    assert seen == Counter(i for i in documents.ids.tolist() if i > 4)


@settings(max_examples=25, deadline=None)
@given(length=st.integers(5, 40), seed=st.integers(0, 99), pairs=st.booleans(), whole=st.booleans())
def test_any_length_and_seed_gives_rows_within_their_limit(documents, tokenizer, length, seed, pairs, whole) -> None:
    for batch in made(documents, tokenizer, length=length, shuffle=seed, pairs=pairs, whole_words=whole):
        assert batch["input_ids"].shape[1] <= length
        assert batch["input_ids"].max() < len(tokenizer) and batch["input_ids"].min() >= 0


def test_one_document_has_no_other_for_a_random_pair(documents, tokenizer) -> None:
    with pytest.raises(DataError, match="another one"):
        made(documents[:1], tokenizer, pairs=True)
    assert list(made(documents[:1], tokenizer))
    with pytest.raises(DataError, match="no document"):
        made([], tokenizer)


@pytest.mark.parametrize(("length", "pairs"), [(3, False), (4, True), (0, False)])
def test_a_row_needs_room_for_words(documents, tokenizer, length, pairs) -> None:
    with pytest.raises(ValueError, match="special tokens"):
        made(documents, tokenizer, length=length, pairs=pairs)
