"""Hiding words for the masked-word task (Devlin et al. 2019, section 3.1).

Of all tokens but [CLS], [SEP] and padding, 15 % are chosen. Of the chosen ones 80 % become [MASK], 10 % a random token,
and 10 % stay as they are; the model must say what stood there. Labels are the hidden tokens at those places and -100
elsewhere.

Letters: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib.batching import IGNORED, PaddedBatches


def mask_tokens(
    input_ids: Tensor,
    hidden: Tensor,
    mask_id: int,
    vocabulary: int,
    share: float = 0.15,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Hide some tokens: inputs and labels, (B, T) each.

    Args:
        input_ids: (B, T).
        hidden: (B, T), False where nothing may be hidden: special tokens and padding.
        mask_id: the id of [MASK].
        vocabulary: random tokens are drawn from 0 to this.
        share: of the tokens.
        generator: where the draws come from, for the same ones twice.

    Raises:
        ValueError: a share that is none.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; a share between 0 and 1 is needed, such as 0.15.")

    def drawn(below: float) -> Tensor:
        return torch.rand(input_ids.shape, generator=generator) < below

    chosen = drawn(share) & hidden.bool()
    labels = input_ids.masked_fill(~chosen, IGNORED)
    masked = chosen & drawn(0.8)
    random = chosen & ~masked & drawn(0.5)  # half of the 20 % that are left
    words = torch.randint(vocabulary, input_ids.shape, generator=generator)
    inputs = torch.where(random, words, input_ids).masked_fill(masked, mask_id)
    return inputs, labels


class MaskedBatches(PaddedBatches):
    """Padded batches in which other words are hidden each time through; without shuffling, always the same ones.

    Args:
        rows: token ids of each text, with [CLS] and [SEP].
        tokenizer: for [MASK], the special tokens and the size of the vocabulary.
        tokens, size, shuffle: as in `PaddedBatches`.
        share: of the tokens that are hidden.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        tokenizer: Any,
        tokens: int | None = None,
        size: int | None = None,
        shuffle: int | None = None,
        share: float = 0.15,
    ) -> None:
        columns = {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}
        super().__init__(columns, tokens, size, shuffle, pad={"input_ids": tokenizer.pad_token_id})
        self._special = torch.tensor(sorted(tokenizer.all_special_ids))
        self._mask, self._vocabulary, self._share = tokenizer.mask_token_id, len(tokenizer), share
        self._draws = torch.Generator().manual_seed(0 if shuffle is None else shuffle + 1)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if not self._shuffled:
            self._draws.manual_seed(0)
        for batch in super().__iter__():
            may_hide = ~torch.isin(batch["input_ids"], self._special)
            inputs, labels = mask_tokens(
                batch["input_ids"], may_hide, self._mask, self._vocabulary, self._share, self._draws
            )
            yield {**batch, "input_ids": inputs, "labels": labels}

    def state_dict(self) -> dict[str, Any]:
        """Where order and draws stand before the next time through."""
        return {**super().state_dict(), "draws": self._draws.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was asked."""
        super().load_state_dict(state)
        self._draws.set_state(state["draws"])
