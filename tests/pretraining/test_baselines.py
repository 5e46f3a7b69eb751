"""Counts of words and of words between words, beside the slow way."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from course_lib.pretraining import NGrams, PretrainingBatches

TEXT = [[[1, 2, 3], [1, 2]], [[1, 4, 3, 1, 2, 3]]]  # two documents
V = 6


def test_the_best_word_between_two_after_one_and_of_all() -> None:
    counts = NGrams(TEXT, V)
    assert counts.best_word == 1  # 1 comes four times
    assert counts.counts.tolist() == [0, 4, 3, 3, 1, 0]
    guess = counts.guess(np.array([1, 1, 1, 5, -1, 4]), np.array([3, 1, 5, 5, 3, -1]))
    assert guess.tolist() == [2, 2, 2, 1, 1, 3]  # 1 _ 3 is 2 twice, 4 once; never seen: after 1 comes 2; nothing: 1


def test_the_entropy_is_that_of_the_counts() -> None:
    shares = [4 / 11, 3 / 11, 3 / 11, 1 / 11]
    assert math.isclose(NGrams(TEXT, V).entropy, -sum(p * math.log(p) for p in shares))


def test_guesses_are_those_of_the_slow_way(documents, tokenizer) -> None:
    counts = NGrams(documents, len(tokenizer))
    none = len(tokenizer)
    between: dict[tuple[int, int], Counter[int]] = {}
    after: dict[int, Counter[int]] = {}
    for document in documents:
        row = [none, *(int(i) for sentence in document for i in sentence), none]
        for left, word, right in zip(row, row[1:], row[2:], strict=False):
            between.setdefault((left, right), Counter())[word] += 1
            after.setdefault(left, Counter())[word] += 1

    def best(counter: Counter[int]) -> int:
        return min(counter, key=lambda w: (-counter[w], w))

    draw = np.random.default_rng(0)
    left, right = draw.integers(-1, none + 1, 500), draw.integers(-1, none + 1, 500)
    known = list(between)[::7]
    left, right = np.append(left, [a for a, _ in known]), np.append(right, [b for _, b in known])
    for a, b, word in zip(left.tolist(), right.tolist(), counts.guess(left, right).tolist(), strict=True):
        if (a, b) in between:
            assert word == best(between[a, b])
        elif a in after:
            assert word == best(after[a])
        else:
            assert word == counts.best_word


def test_scores_of_hidden_words(documents, tokenizer) -> None:
    batches = PretrainingBatches(documents, tokenizer, length=32, tokens=300, shuffle=None)
    counts = NGrams(documents, len(tokenizer))
    scores = counts.scores(batches, tokenizer)
    labels = torch.cat([b["labels"][b["labels"] != -100] for b in batches])
    assert scores["unigram_accuracy"] == pytest.approx((labels == counts.best_word).float().mean().item())
    chance = (counts.counts + 1) / (counts.counts.sum() + len(tokenizer))
    assert scores["unigram_loss"] == pytest.approx(-np.log(chance[labels.numpy()]).mean())
    assert scores["trigram_accuracy"] > scores["unigram_accuracy"]  # of the very text that it counted
    assert counts.scores([], tokenizer) == {"unigram_entropy": counts.entropy}
