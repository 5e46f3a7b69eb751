"""Texts longer than the model: cut them, or read them through a window that moves.

A BERT has positions for 512 tokens and no more. Sun et al. 2019 ("How to Fine-Tune BERT for Text Classification")
compared ways to cut a long text and found the beginning together with the end the best on their two sets: an article
says at both what it is about. Nothing is lost with windows, at the price of reading each of them:

    ids      [CLS] 1 2 3 4 5 6 7 [SEP],  max_tokens 6, stride 2
    windows  [CLS] 1 2 3 4 [SEP]
             [CLS] 3 4 5 6 [SEP]
             [CLS] 5 6 7 [SEP]

`stride` is here, as in transformers, how many tokens two neighbours share. (In the original BERT the word is used for the
other number, how far the window moves.)

Letters: n texts, W windows, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

WAYS = ("head", "tail", "head+tail")
_SPECIAL = 2  # [CLS] and [SEP]


def cut(
    ids: Sequence[Any], max_tokens: int, how: str = "head", head: int | None = None, special: bool = True
) -> list[Any]:
    """A text cut to at most `max_tokens`; its [CLS] and [SEP] stay.

    Args:
        ids: [CLS] ... [SEP], as the tokenizer gives them; or something else for each token, such as its place in the text.
        max_tokens: [CLS] and [SEP] count too.
        how: "head" keeps the beginning, "tail" the end, "head+tail" both.
        head: with "head+tail", tokens of the beginning; by default a quarter, 128 of 512 as in Sun et al. 2019.
        special: False for a tokenizer that has no [CLS] and no [SEP].

    Raises:
        ValueError: an unknown way, or numbers that leave no room.
    """
    if not special:  # between two tokens that are taken off again
        if max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}; at least 1 token of the text is needed.")
        return cut([-1, *ids, -1], max_tokens + _SPECIAL, how, head)[1:-1]
    if how not in WAYS:
        raise ValueError(f"how is {how!r}; it may be {', '.join(WAYS)}.")
    room = _room(max_tokens)
    if head is None:
        head = min(max_tokens // 4, room)
    if not 0 <= head <= room:
        raise ValueError(
            f"head is {head}; beside [CLS] and [SEP] there is room for 0 to {room} of {max_tokens} tokens."
        )
    if len(ids) <= max_tokens:
        return list(ids)
    body = ids[1:-1]
    from_start = {"head": room, "tail": 0, "head+tail": head}[how]
    from_end = room - from_start
    return [ids[0], *body[:from_start], *body[len(body) - from_end :], ids[-1]]


def windows_of_text(ids: Sequence[int], max_tokens: int = 512, stride: int = 128) -> list[list[int]]:
    """A text as windows of at most `max_tokens`, each with [CLS] and [SEP]; a short text is one window.

    Args:
        ids: [CLS] ... [SEP], as the tokenizer gives them.
        max_tokens: [CLS] and [SEP] count too.
        stride: tokens that two neighbours share.

    Raises:
        ValueError: numbers with which the window would not move.
    """
    room, body = _room(max_tokens), ids[1:-1]
    return [[ids[0], *body[begin : begin + room], ids[-1]] for begin in window_begins(len(body), room, stride)]


def window_begins(tokens: int, room: int, stride: int) -> range:
    """Where windows of `room` tokens begin, so that the last one reaches the end of `tokens`; always at least one.

    Raises:
        ValueError: a stride below 0, or so large that the window would not move.
    """
    if not 0 <= stride < room:
        raise ValueError(
            f"stride is {stride} and a window has room for {room} tokens of the text; neighbours share from 0 to "
            f"{room - 1} of them: give a smaller stride or more tokens."
        )
    step = room - stride
    return range(0, max(tokens - room, 0) + step, step)


def _room(max_tokens: int) -> int:
    if max_tokens <= _SPECIAL:
        raise ValueError(f"max_tokens is {max_tokens}; [CLS], [SEP] and one token of the text need at least 3.")
    return max_tokens - _SPECIAL


@dataclass(frozen=True)
class TextWindows:
    """The windows of several texts, and which text each is from."""

    columns: dict[str, list[list[int]]]  # input_ids and attention_mask, W rows of different lengths
    text_of: list[int]  # (W,) the number of the window's text
    texts: int  # n

    def join(self, scores: Tensor, how: str = "mean") -> Tensor:
        """Scores of the windows, (W, K), to scores of the texts, (n, K).

        Args:
            how: "mean" of a text's windows, or "max", for what one passage alone may show.

        Raises:
            ValueError: another number of rows than windows, or an unknown way.
        """
        import torch

        if len(scores) != len(self.text_of):
            raise ValueError(
                f"There are {len(self.text_of)} windows and {len(scores)} rows of scores; give one row each."
            )
        if how not in ("mean", "max"):
            raise ValueError(f"how is {how!r}; it may be 'mean' or 'max'.")
        place = torch.tensor(self.text_of, device=scores.device)[:, None].expand_as(scores)
        joined = scores.new_zeros(self.texts, *scores.shape[1:])
        return joined.scatter_reduce(0, place, scores, "mean" if how == "mean" else "amax", include_self=False)


def windows_of_texts(rows: Sequence[Sequence[int]], max_tokens: int = 512, stride: int = 128) -> TextWindows:
    """`windows_of_text` for several texts at once.

    Args:
        rows: [CLS] ... [SEP] of each text.

    Raises:
        ValueError: numbers with which the window would not move.
    """
    every = [windows_of_text(ids, max_tokens, stride) for ids in rows]
    flat = [window for windows in every for window in windows]
    columns = {"input_ids": flat, "attention_mask": [[1] * len(window) for window in flat]}
    return TextWindows(columns, [n for n, windows in enumerate(every) for _ in windows], len(every))
