"""Batches for pretraining: rows made from documents, words hidden, both anew each time through.

Letters: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from course_lib.batching import PaddedBatches
from course_lib.errors import DataError
from course_lib.masking import continuing_pieces, mask_tokens
from course_lib.sentence_pairs import full_sentences, pretraining_pairs

BUFFER = 8192  # rows that are held, and sorted by length, at once


class PretrainingBatches:
    """Batches of documents: input_ids, attention_mask, labels (B, T); for pairs token_type_ids and next_sentence_label.

    Each time through, the documents come in another order, are cut into other rows (pairs) and have other words hidden.
    All of it follows from the seed and the number of the time through, so every process and every resumed run sees the
    same batches. Without a seed, always the same rows with the same words hidden, for evaluation.

    Args:
        documents: of sentences of ids, such as `TokenDocuments`.
        tokenizer: for the special tokens and the size of the vocabulary.
        length: the most tokens a row, T.
        tokens, size: positions, or rows, a batch, as in `PaddedBatches`.
        pairs: two segments a row for next sentence prediction; else whole sentences, as many as fit.
        crossing: without pairs, may a row go on with the next document?
        whole_words: hide all pieces of a word or none.
        counted: hide an exact number of each row's tokens, as the original did; else every token for itself.
        share: of the tokens that are hidden.
        shuffle: a seed, or None.
        rows: stop after so many rows, for an evaluation that takes its time.

    Raises:
        DataError: no document; with pairs, a single one.
        ValueError: a row too short for anything but its special tokens.
    """

    def __init__(
        self,
        documents: Sequence[Sequence[Sequence[int]]],
        tokenizer: Any,
        *,
        length: int = 128,
        tokens: int | None = 8192,
        size: int | None = None,
        pairs: bool = False,
        crossing: bool = True,
        whole_words: bool = False,
        counted: bool = False,
        share: float = 0.15,
        shuffle: int | None = 0,
        rows: int | None = None,
    ) -> None:
        if len(documents) < 2 and pairs:
            raise DataError(
                f"The corpus has {len(documents)} document(s), and next sentence prediction takes a random sentence from "
                "another one: put empty lines between documents, or pretrain on masked words alone."
            )
        if not len(documents):
            raise DataError("There is no document to make batches of; give at least one.")
        special = 3 if pairs else 2
        if length < special + 2:
            raise ValueError(f"length is {length}; a row has {special} special tokens and needs at least 2 others.")
        self.documents, self.tokenizer, self.length = documents, tokenizer, length
        self.tokens, self.size, self.pairs, self.crossing = tokens, size, pairs, crossing
        self.counted, self.share, self.shuffle, self.most_rows = counted, share, shuffle, rows
        self._continues = continuing_pieces(tokenizer) if whole_words else None
        special_ids = [i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id]
        self._special = torch.tensor(sorted(special_ids))
        self._times = 0  # that it was gone through

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        time = self._times
        self._times += 1
        if self.shuffle is None:
            time = 0
        # Also without a seed the documents are mixed, or the first few rows would all be of the first source.
        order = torch.randperm(len(self.documents), generator=_generator(self.shuffle or 0, time, -1)).tolist()
        rows = islice(self._rows(random.Random(f"{self.shuffle} {time}"), order), self.most_rows)
        number = 0
        while held := list(islice(rows, BUFFER)):
            yield from self._masked(held, _generator(self.shuffle or 0, time, number))
            number += 1

    def _rows(self, draw: random.Random, order: list[int]) -> Iterator[dict[str, Any]]:
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        if self.pairs:
            for pair in pretraining_pairs(self.documents, self.length, draw, cls=cls, sep=sep, order=order):
                yield {
                    "input_ids": pair.input_ids, "token_type_ids": pair.token_type_ids, "next_sentence_label": pair.label
                }  # fmt: skip
        else:
            for ids in full_sentences(self.documents, self.length, cls=cls, sep=sep, order=order, cross=self.crossing):
                yield {"input_ids": ids}

    def _masked(self, held: list[dict[str, Any]], draws: torch.Generator) -> Iterator[dict[str, Tensor]]:
        columns = {name: [row[name] for row in held] for name in held[0]}
        columns["attention_mask"] = [[1] * len(ids) for ids in columns["input_ids"]]
        seed = None if self.shuffle is None else int(torch.randint(2**31, (), generator=draws))
        pad = {"input_ids": self.tokenizer.pad_token_id or 0}
        for batch in PaddedBatches(columns, self.tokens, self.size, seed, pad=pad, even=True):
            ids = batch["input_ids"]
            inputs, labels = mask_tokens(
                ids,
                ~torch.isin(ids, self._special),
                self.tokenizer.mask_token_id,
                len(self.tokenizer),
                self.share,
                draws,
                continues=self._continues,
                counted=self.counted,
                lengths=batch["attention_mask"].sum(dim=1),  # the original counts [CLS] and [SEP] too
            )
            yield {**batch, "input_ids": inputs, "labels": labels}

    def state_dict(self) -> dict[str, Any]:
        """How often it was gone through."""
        return {"times": self._times}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was asked."""
        self._times = state["times"]


def _generator(seed: int, time: int, number: int) -> torch.Generator:
    """Numbers for one buffer of one time through."""
    return torch.Generator().manual_seed(random.Random(f"{seed} {time} {number}").getrandbits(62))
