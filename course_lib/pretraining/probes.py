"""Looking at a model while it learns: what it guesses at [MASK], and which tokens it holds for alike.

Letters: V vocabulary, H hidden size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.errors import DataError
from course_lib.training import Training, Watcher, disk, is_main_process


@torch.no_grad()
def fill_mask(model: nn.Module, tokenizer: Any, text: str, most: int = 5) -> list[dict[str, Any]]:
    """The likeliest tokens at the first [MASK] of a text: token and probability, the best first.

    Raises:
        DataError: the text has no [MASK] within the model's positions.
    """
    encoded, place = _masked(model, tokenizer, text)
    was_training = model.training
    model.eval()
    try:
        device = next(model.parameters()).device
        answer = model(**{name: value.to(device) for name, value in encoded.items()})
    finally:
        model.train(was_training)
    logits = getattr(answer, "prediction_logits", None)
    logits = answer.logits if logits is None else logits
    best = logits[0, place].float().softmax(dim=-1).topk(most)
    tokens = tokenizer.convert_ids_to_tokens(best.indices.tolist())
    return [{"token": t, "score": round(s, 4)} for t, s in zip(tokens, best.values.tolist(), strict=True)]


def _masked(model: nn.Module, tokenizer: Any, text: str) -> tuple[Any, int]:
    """The text as the model reads it, and the place of its first [MASK]."""
    longest = model.config.max_position_embeddings
    encoded = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
    places = (encoded["input_ids"][0] == tokenizer.mask_token_id).nonzero()
    if not len(places):
        raise DataError(
            f"'{text}' has no {tokenizer.mask_token} in its first {longest} tokens; write it where a word is to be guessed."
        )
    return encoded, int(places[0])


@torch.no_grad()
def neighbours(model: nn.Module, tokenizer: Any, token: str, most: int = 5) -> list[tuple[str, float]]:
    """The tokens whose rows of the word table (V, H) have the highest cosine with this token's.

    Raises:
        DataError: the vocabulary has no such token.
    """
    number = tokenizer.convert_tokens_to_ids(token)
    if number is None or (number == tokenizer.unk_token_id and token != tokenizer.unk_token):
        raise DataError(
            f"The vocabulary has no token {token!r}; tokenizer.tokenize(text) shows which tokens a text has."
        )
    table = model.bert.embeddings.word_embeddings.weight[: len(tokenizer)].float()
    alike = F.cosine_similarity(table, table[number : number + 1], dim=-1)
    alike[[number, *tokenizer.all_special_ids]] = -2.0
    best = alike.topk(most)
    tokens = tokenizer.convert_ids_to_tokens(best.indices.tolist())
    return [(t, round(s, 3)) for t, s in zip(tokens, best.values.tolist(), strict=True)]


class Probes(Watcher):
    """Asks the model the same questions at every evaluation, and keeps the answers.

    Args:
        texts: with [MASK].
        tokens: whose neighbours are looked up; those that the vocabulary lacks are passed over.
        most: answers a question.

    Raises:
        DataError: a text without [MASK].
    """

    def __init__(self, texts: Sequence[str] = (), tokens: Sequence[str] = (), most: int = 5) -> None:
        self.texts, self.tokens, self.most = tuple(texts), tuple(tokens), most
        for text in self.texts:
            if "[MASK]" not in text:
                raise DataError(f"'{text}' has no [MASK]; write it where a word is to be guessed.")
        self.rows: list[dict[str, Any]] = []  # one an evaluation: step, texts, neighbours
        self._model: nn.Module | None = None

    def attach(self, model: nn.Module, tokenizer: Any, path: Path | None = None, anew: bool = True) -> None:
        """Say which model is asked, and where the answers are written, a JSON object a line.

        Raises:
            DataError: a text has no [MASK] within the model's positions.
        """
        for text in self.texts:
            _masked(model, tokenizer, text)
        self._model, self._tokenizer, self._path = model, tokenizer, path
        self.rows = []
        known = tokenizer.get_vocab()
        self.tokens = tuple(token for token in self.tokens if token in known)
        if path is not None and is_main_process():
            if anew:
                path.unlink(missing_ok=True)
            elif path.is_file():
                self.rows = _whole_rows(path.read_text(encoding="utf-8"))

    def evaluated(self, training: Training) -> None:
        """Ask."""
        assert self._model is not None
        row = {
            "step": training.records[-1].step,
            "texts": {text: fill_mask(self._model, self._tokenizer, text, self.most) for text in self.texts},
            "neighbours": {t: neighbours(self._model, self._tokenizer, t, self.most) for t in self.tokens},
        }
        # a run that was killed after an evaluation, and resumed from before it, asks there once more
        self.rows = [before for before in self.rows if before["step"] < row["step"]] + [row]
        if self._path is not None:
            lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in self.rows)
            disk.write_whole(self._path, lines, "What was guessed for the probes", disk.GO_ON)

    def table(self) -> Any:
        """The best guess for each text at each evaluation, as a table."""
        from course_lib.plots import Table

        rows = [
            [row["step"], *(f"{row['texts'][t][0]['token']} {row['texts'][t][0]['score']:.2f}" for t in self.texts)]
            for row in self.rows
        ]
        return Table(["step", *self.texts], rows)


def _whole_rows(text: str) -> list[dict[str, Any]]:
    """The rows of a file; the last one may have been cut off by a kill."""
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
