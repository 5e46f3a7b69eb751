"""Hiding words for the masked-word task (Devlin et al. 2019, section 3.1 and appendix A.1).

Of all tokens but [CLS], [SEP] and padding, 15 % are chosen. Of the chosen ones 80 % become [MASK], 10 % a random token,
and 10 % stay as they are; the model must say what stood there. Labels are the hidden tokens at those places and -100
elsewhere. Three ways to choose:

- each token by itself with probability 15 %, as transformers' DataCollatorForLanguageModeling does: some rows get more,
  some fewer;
- counted, as in the authors' own program (create_pretraining_data.py): in every row exactly 15 % of its tokens, rounded,
  but at least one and at most `most` (its max_predictions_per_seq);
- whole words, as in the authors' later models: the pieces of a word are hidden together or not at all. Words are taken in
  random order until the row has its number of tokens; a word that would exceed the number is passed over.

A random token is any of the vocabulary, special tokens and the hidden token itself included, as in both programs.

Letters: B batch, T tokens, V vocabulary, W words of the row that has most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib.batching import IGNORED, PaddedBatches


def mask_tokens(
    input_ids: Tensor,
    may_hide: Tensor,
    mask_id: int,
    vocabulary: int,
    share: float = 0.15,
    generator: torch.Generator | None = None,
    *,
    continues: Tensor | None = None,
    words: Tensor | None = None,
    counted: bool = False,
    most: int | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Hide some tokens: inputs and labels, (B, T) each.

    Args:
        input_ids: (B, T).
        may_hide: (B, T), False where nothing may be hidden: special tokens and padding.
        mask_id: the id of [MASK].
        vocabulary: random tokens are drawn from 0 to this.
        share: of the tokens.
        generator: where the draws come from, for the same ones twice.
        continues: (V,), True for a piece that goes on with the word before it (`continuing_pieces`): hide whole words.
        words: (B, T), the word that each token belongs to; neighbours with the same number are one word: hide whole
            words. For Chinese, where a token is a character and without this a word of its own; chinese-bert-wwm had
            the text cut into words beforehand, by LTP (Cui et al. 2019).
        counted: hide the same share of each row. Whole words are always counted.
        most: tokens hidden in a row, where they are counted.
        lengths: (B,), tokens of each row that `share` is of. The authors' program counts [CLS] and [SEP] with them, so
            the number of a row's tokens without padding gives its numbers; by default those that may be hidden.

    Raises:
        ValueError: a share that is none, most below 1 or without counting, both continues and words, or a shape that
            does not fit.
    """
    _check_choice(share, continues is not None, words, counted, most)
    shape = input_ids.shape
    _check_shapes(
        [("may_hide", may_hide, shape), ("words", words, shape), ("continues", continues, (vocabulary,)),
         ("lengths", lengths, shape[:1])]
    )  # fmt: skip
    may_hide = may_hide.bool()
    if continues is None and words is None and not counted:
        return _each_by_itself(input_ids, may_hide, mask_id, vocabulary, share, generator)
    keys = _uniform(input_ids.shape, input_ids.device, generator)
    counts = _numbers(may_hide.sum(dim=1) if lengths is None else lengths, share, most)
    if continues is None and words is None:
        chosen = _choose_tokens(keys, may_hide, counts)
    else:
        joined = torch.zeros_like(may_hide)
        joined[:, 1:] = words[:, 1:] == words[:, :-1] if words is not None else continues[input_ids[:, 1:]]
        chosen = _choose_words(keys, may_hide, joined, counts)
    return _replace(input_ids, chosen, mask_id, vocabulary, generator)


def _check_choice(share: float, whole_words: bool, words: Any, counted: bool, most: int | None) -> None:
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; a share between 0 and 1 is needed, such as 0.15.")
    if whole_words and words is not None:
        raise ValueError("Words came, and pieces are to be joined as well; either tells where words begin: give one.")
    if most is not None and not (counted or whole_words or words is not None):
        raise ValueError(f"most is {most}, a limit for tokens that are counted: give counted=True with it.")
    if most is not None and most < 1:
        raise ValueError(f"most is {most}; at least 1 token of a row is hidden.")


def _check_shapes(fits: Sequence[tuple[str, Tensor | None, Sequence[int]]]) -> None:
    for name, tensor, shape in fits:
        if tensor is not None and tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; {tuple(shape)} fits.")


def _each_by_itself(
    input_ids: Tensor, may_hide: Tensor, mask_id: int, vocabulary: int, share: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    def drawn(below: float) -> Tensor:
        return _uniform(input_ids.shape, input_ids.device, generator) < below

    chosen = drawn(share) & may_hide
    labels = input_ids.masked_fill(~chosen, IGNORED)
    masked = chosen & drawn(0.8)
    random = chosen & ~masked & drawn(0.5)  # half of the 20 % that are left
    words = _any_token(input_ids.shape, vocabulary, input_ids, generator)
    inputs = torch.where(random, words, input_ids).masked_fill(masked, mask_id)
    return inputs, labels


def _numbers(lengths: Tensor, share: float, most: int | None) -> Tensor:
    """How many tokens to hide in each row, (B,): min(most, max(1, round(share * length)))."""
    return (lengths.double() * share).round().long().clamp(min=1, max=most)


def _choose_tokens(keys: Tensor, may_hide: Tensor, counts: Tensor) -> Tensor:
    """The `counts` tokens of each row with the smallest keys, (B, T)."""
    if may_hide.numel() == 0:
        return may_hide
    counts = torch.minimum(counts, may_hide.sum(dim=1))
    widest = int(counts.max())
    first = keys.masked_fill(~may_hide, 2.0).topk(widest, dim=1, largest=False).indices
    taken = torch.arange(widest, device=keys.device) < counts[:, None]
    return torch.zeros_like(may_hide).scatter_(1, first, taken)


def _choose_words(keys: Tensor, may_hide: Tensor, joined: Tensor, counts: Tensor) -> Tensor:
    """The tokens of words in the order of their keys, as long as they fit into `counts`, (B, T).

    joined: (B, T), True where a token belongs to the word of the token before it.
    """
    inside = torch.zeros_like(may_hide)
    inside[:, 1:] = joined[:, 1:] & may_hide[:, :-1]  # what follows [CLS] or [SEP] begins a word
    begins = may_hide & ~inside
    word = begins.cumsum(dim=1) - 1
    found = int(word[:, -1].max()) + 1 if word.numel() else 0
    if found == 0:
        return may_hide
    word = word.clamp(min=0)
    lengths = torch.zeros(len(keys), found, dtype=torch.int32, device=keys.device)
    lengths.scatter_add_(1, word, may_hide.int())
    # In the order of the keys of their first tokens. Where a row has fewer words some come again, after all the others:
    # what was taken may be taken again, and what did not fit still does not.
    places = keys.masked_fill(~begins, 2.0).argsort(dim=1, stable=True)[:, :found]
    order = word.gather(1, places)
    taken = _take_in_order(lengths.gather(1, order), counts)
    chosen = torch.zeros_like(lengths).scatter_add_(1, order, taken.int())
    return chosen.gather(1, word).bool() & may_hide


def _take_in_order(lengths: Tensor, room: Tensor) -> Tensor:
    """Which words are taken, (B, W), going from left to right, where what exceeds the room that is left is passed over.

    Not word by word: what surely fits is taken at once, up to the first word that does not; the few rounds that follow
    look only at words small enough for the room that is left.
    """
    taken = torch.zeros_like(lengths, dtype=torch.bool)
    room = room[:, None].to(lengths.dtype)
    while True:
        lengths = lengths.masked_fill(lengths > room, 0)
        filled = lengths.cumsum(dim=1, dtype=lengths.dtype)
        fits = (filled <= room) & (lengths > 0)
        if not fits.any():  # the first word that is left always fits, so none is left
            return taken
        taken |= fits
        room = room - filled.masked_fill(~fits, 0).amax(dim=1, keepdim=True)
        lengths = lengths.masked_fill(fits, 0)


def _replace(
    input_ids: Tensor, chosen: Tensor, mask_id: int, vocabulary: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Inputs and labels, (B, T) each: of the chosen tokens 80 % become [MASK], 10 % a random one, each by itself."""
    labels = input_ids.masked_fill(~chosen, IGNORED)
    there = input_ids[chosen]
    fate = _uniform(there.shape, input_ids.device, generator)
    new = torch.where(fate < 0.9, _any_token(there.shape, vocabulary, input_ids, generator), there)
    inputs = input_ids.clone()
    inputs[chosen] = new.masked_fill(fate < 0.8, mask_id)
    return inputs, labels


def _uniform(shape: torch.Size, device: torch.device, generator: torch.Generator | None) -> Tensor:
    source = device if generator is None else generator.device
    return torch.rand(shape, generator=generator, device=source).to(device)


def _any_token(shape: torch.Size, vocabulary: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    source = like.device if generator is None else generator.device
    return torch.randint(vocabulary, shape, generator=generator, device=source).to(like)


def continuing_pieces(tokenizer: Any, mark: str = "##") -> Tensor:
    """Which of the vocabulary's tokens go on with the word before them, (V,): in WordPiece those that begin with ##."""
    return torch.tensor([t.startswith(mark) for t in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))])


class MaskedBatches(PaddedBatches):
    """Padded batches in which other words are hidden each time through; without shuffling, always the same ones.

    Where several processes train together, each makes the same batches and takes its rows of them, so what is hidden
    does not depend on their number.

    Args:
        rows: token ids of each text, with [CLS] and [SEP].
        tokenizer: for [MASK], the special tokens and the size of the vocabulary.
        tokens, size, shuffle: as in `PaddedBatches`.
        share: of the tokens that are hidden.
        whole_words: hide the pieces of a word together.
        words: the word that each token belongs to, a row for each of `rows`, as in `mask_tokens`; instead of whole_words.
        counted, most: as in `mask_tokens`; `share` is then of all tokens of a row, [CLS] and [SEP] included, as in the
            authors' program.

    Raises:
        ValueError: as `PaddedBatches` and `mask_tokens`, or words that do not fit rows.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        tokenizer: Any,
        tokens: int | None = None,
        size: int | None = None,
        shuffle: int | None = None,
        share: float = 0.15,
        *,
        whole_words: bool = False,
        words: Sequence[Sequence[int]] | None = None,
        counted: bool = False,
        most: int | None = None,
    ) -> None:
        _check_choice(share, whole_words, words, counted, most)
        columns = {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}
        if words is not None:
            columns["words"] = _same_lengths(words, rows)
        super().__init__(columns, tokens, size, shuffle, pad={"input_ids": tokenizer.pad_token_id})
        self._special = torch.tensor(sorted(tokenizer.all_special_ids))
        self._mask, self._vocabulary, self._share = tokenizer.mask_token_id, len(tokenizer), share
        self._continues = continuing_pieces(tokenizer) if whole_words else None
        self._counted, self._most = counted, most
        self._draws = torch.Generator().manual_seed(0 if shuffle is None else shuffle + 1)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if not self._shuffled:
            self._draws.manual_seed(0)
        for batch in super().__iter__():
            ids, words = batch["input_ids"], batch.pop("words", None)
            inputs, labels = mask_tokens(
                ids, ~torch.isin(ids, self._special), self._mask, self._vocabulary, self._share, self._draws,
                continues=self._continues, words=words, counted=self._counted, most=self._most,
                lengths=batch["attention_mask"].sum(dim=1),
            )  # fmt: skip
            yield {**batch, "input_ids": inputs, "labels": labels}

    def state_dict(self) -> dict[str, Any]:
        """Where order and draws stand before the next time through."""
        return {**super().state_dict(), "draws": self._draws.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was asked."""
        super().load_state_dict(state)
        self._draws.set_state(state["draws"])


def _same_lengths(words: Sequence[Sequence[int]], rows: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    for number, (of_words, of_ids) in enumerate(zip(words, rows, strict=False)):
        if len(of_words) != len(of_ids):
            raise ValueError(
                f"Row {number} has {len(of_ids)} tokens and {len(of_words)} numbers of words; give each one."
            )
    return words
