"""What must be beaten: guessing hidden words from counts alone.

Letters: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from course_lib.masking import IGNORED


class NGrams:
    """Counts of the training text: of words, of words after a word, of words between two words.

    A hidden word is guessed from its neighbours as the model sees them: the word seen most often between the two; where
    that pair was never seen, or a neighbour is hidden itself, the one seen most often after its left neighbour, then the
    most frequent word of all.

    Args:
        documents: of sentences of ids; sentences of a document are read as one row of tokens.
        vocabulary: V.
    """

    def __init__(self, documents: Sequence[Sequence[Sequence[int]]], vocabulary: int) -> None:
        self.vocabulary = vocabulary
        texts = [np.concatenate([np.asarray(s, dtype=np.int64) for s in document]) for document in documents]
        border = np.array([vocabulary])  # no word: what stands before the first and after the last
        line = np.concatenate([piece for text in texts for piece in (text, border)]) if texts else border
        before, word, after = np.concatenate([border, line[:-1]]), line, np.concatenate([line[1:], border])
        inside = word != vocabulary
        before, word, after = before[inside], word[inside], after[inside]
        self.counts = np.bincount(word, minlength=vocabulary)
        self.best_word = int(self.counts.argmax())
        self._after = _best(before, word)
        self._between = _best(before * (vocabulary + 1) + after, word)

    @property
    def entropy(self) -> float:
        """Of single words, in nats: the loss of the best guess that looks at nothing."""
        shares = self.counts[self.counts > 0] / self.counts.sum()
        return float(-(shares * np.log(shares)).sum())

    def guess(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The word for each pair of neighbours, (n,); V stands for none, and -1 for one that is hidden."""
        found = np.full(len(left), self.best_word)
        seen, word = _look_up(self._after, left)
        found[seen] = word[seen]
        seen, word = _look_up(self._between, left * (self.vocabulary + 1) + right)
        seen &= (left >= 0) & (right >= 0)
        found[seen] = word[seen]
        return found

    def scores(self, batches: Iterable[Mapping[str, Tensor]], tokenizer: Any) -> dict[str, float]:
        """unigram_entropy of the training text; on the hidden words of these batches: unigram_loss (cross entropy, with
        one added to each count), unigram_accuracy, trigram_accuracy.
        """
        chances = np.log((self.counts + 1) / (self.counts.sum() + self.vocabulary))
        none = [i for i in tokenizer.all_special_ids if i not in (tokenizer.unk_token_id, tokenizer.mask_token_id)]
        hidden = right_alone = right_between = 0
        loss = 0.0
        for batch in batches:
            ids = batch["input_ids"].numpy().astype(np.int64)
            seen = np.where(np.isin(ids, none), self.vocabulary, np.where(ids == tokenizer.mask_token_id, -1, ids))
            edge = np.full((len(ids), 1), self.vocabulary)
            left = np.concatenate([edge, seen[:, :-1]], axis=1)
            after = np.concatenate([seen[:, 1:], edge], axis=1)
            chosen = (batch["labels"] != IGNORED).numpy()
            wanted = batch["labels"].numpy()[chosen]
            hidden += len(wanted)
            loss -= float(chances[wanted].sum())
            right_alone += int((wanted == self.best_word).sum())
            right_between += int((self.guess(left[chosen], after[chosen]) == wanted).sum())
        if not hidden:
            return {"unigram_entropy": self.entropy}
        return {
            "unigram_entropy": self.entropy,
            "unigram_loss": loss / hidden,
            "unigram_perplexity": math.exp(loss / hidden),
            "unigram_accuracy": right_alone / hidden,
            "trigram_accuracy": right_between / hidden,
        }


def _best(contexts: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each context once, in order, and the word seen most often in it; of equals, the smallest id."""
    order = np.lexsort((words, contexts))
    contexts, words = contexts[order], words[order]
    new = np.concatenate([[True], (contexts[1:] != contexts[:-1]) | (words[1:] != words[:-1])])
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(words)))
    contexts, words = contexts[starts], words[starts]  # each pair of context and word once
    order = np.lexsort((words, -counts, contexts))
    contexts, words = contexts[order], words[order]
    first = np.concatenate([[True], contexts[1:] != contexts[:-1]])
    return contexts[first], words[first]


def _look_up(table: tuple[np.ndarray, np.ndarray], contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Was a context seen, and its best word."""
    known, words = table
    place = np.searchsorted(known, contexts).clip(max=len(known) - 1)
    return known[place] == contexts, words[place]
