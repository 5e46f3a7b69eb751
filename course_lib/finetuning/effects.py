"""Which tokens an answer hangs on: take one away, and see how far the answer's probability falls.

This asks the model itself, so it holds for every model, and it needs nothing but answers. (Zeiler and Fergus 2014 hid
parts of a picture so; Li, Monroe and Jurafsky 2016 left out words.) It sees one token at a time: where either of two
tokens would be enough, neither shows.

Letters: T tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

_ROWS = 256  # texts that are read at once


def token_effects(
    model: nn.Module,
    tokenizer: Any,
    ids: Sequence[int],
    label: int,
    token_types: Sequence[int] | None = None,
    written: Sequence[str] | None = None,
) -> list[tuple[str, float]]:
    """Each token but [CLS] and [SEP], with the label's probability with it less that without it.

    Args:
        model: answers with logits (B, K).
        ids: (T,), a text or a pair as the tokenizer gives it.
        label: number of the class.
        token_types: (T,), which of the two texts each token is of; None for a model that is not told.
        written: (T,), what each token stands for in the text, which is named in place of [UNK].
    """
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    places = [place for place, token in enumerate(ids) if token not in special]
    tokens = tokenizer.convert_ids_to_tokens([ids[place] for place in places])
    if written is not None:
        tokens = [
            written[place] or token if ids[place] == tokenizer.unk_token_id else token
            for place, token in zip(places, tokens, strict=True)
        ]
    if len(places) < 2:  # nothing would be left to ask about
        return [(token, 0.0) for token in tokens]
    columns = {"input_ids": ids} if token_types is None else {"input_ids": ids, "token_type_ids": token_types}
    without_one = {name: [[*row[:place], *row[place + 1 :]] for place in places] for name, row in columns.items()}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            whole = _probabilities(model, {name: [row] for name, row in columns.items()})[0, label]
            without = torch.cat(
                [
                    _probabilities(model, {name: rows[i : i + _ROWS] for name, rows in without_one.items()})
                    for i in range(0, len(places), _ROWS)
                ]
            )
    finally:
        model.train(was_training)
    return list(zip(tokens, (whole - without[:, label]).tolist(), strict=True))


def _probabilities(model: nn.Module, columns: dict[str, list[Any]]) -> torch.Tensor:
    device = next(model.parameters()).device
    given = {name: torch.tensor(rows, device=device) for name, rows in columns.items()}
    answer = model(**given, attention_mask=torch.ones_like(given["input_ids"]))
    return answer.logits.float().softmax(dim=-1).cpu()
