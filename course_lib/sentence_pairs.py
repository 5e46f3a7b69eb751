"""Pairs for next sentence prediction (Devlin et al. 2019, section 3.1): does the second text follow the first?

Half of the pairs are neighbours in a document, label 0, as in transformers; in the other half the second comes from
another document, label 1.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from course_lib.datasets import Document, Example
from course_lib.errors import DataError

FOLLOWS, RANDOM = 0, 1


def next_sentence_pairs(documents: Sequence[Document], seed: int = 0) -> list[Example]:
    """One pair for each two neighbours: every sentence but the last of its document is once the first of a pair.

    Raises:
        DataError: fewer than two documents, or none with two sentences.
    """
    if len(documents) < 2:
        raise DataError(
            f"There are {len(documents)} documents; at least two are needed, because a sentence that does not follow is "
            "taken from another one. An empty line ends a document."
        )
    draw = random.Random(seed)
    firsts = [(number, place) for number, d in enumerate(documents) for place in range(len(d.sentences) - 1)]
    if not firsts:
        raise DataError("No document has two sentences, one a line; none follows another.")
    labels = [FOLLOWS, RANDOM] * (len(firsts) // 2) + [draw.choice((FOLLOWS, RANDOM))] * (len(firsts) % 2)
    draw.shuffle(labels)
    pairs = []
    for (number, place), label in zip(firsts, labels, strict=True):
        sentences = documents[number].sentences
        if label == FOLLOWS:
            second = sentences[place + 1]
        else:
            other = draw.randrange(len(documents) - 1)
            second = draw.choice(documents[other + (other >= number)].sentences)
        pairs.append(Example(sentences[place], label, second))
    return pairs
