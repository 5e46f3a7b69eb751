"""Many texts to vectors, quickly: the encoder, a pooling, and no work on padding that can be avoided.

Texts are tokenised in bulk, sorted by length, and put into batches of about equally many tokens, so that short texts do
not wait for long ones; the order of the texts is restored at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from course_lib import pooling
from course_lib.devices import reckoning
from course_lib.texts import text_fault

if TYPE_CHECKING:
    import numpy as np

# Each takes the last hidden state (B, T, H) and the mask (B, T), and gives (B, H).
POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": pooling.masked_mean,
    "max": pooling.masked_max,
    "cls": lambda hidden, mask: pooling.cls(hidden),
}
_LONG_WORK = 2000  # texts from which a progress bar is worth its line
# Tokens in a batch. A processor is quickest when what a layer makes of a batch fits its caches, and its memory is used
# again and not asked for anew; a graphics card is quickest when it has much to do at once.
_BATCH_TOKENS_CPU, _BATCH_TOKENS_GPU = 1024, 16384


def encode(
    texts: Sequence[str],
    model: Any = None,
    tokenizer: Any = None,
    pooling: str = "mean",
    normalise: bool = False,
    batch_tokens: int | None = None,
    max_tokens: int = 512,
    precision: str = "float32",
    progress: bool | None = None,
) -> np.ndarray:
    """Vectors of texts, (texts, H) float32, in the order of the texts.

    Args:
        model, tokenizer: an encoder of ours or of transformers, and its tokenizer; both or neither: by default the
            default model and its own.
        pooling: "mean", "max" or "cls".
        normalise: scale each vector to length 1.
        batch_tokens: how many tokens, padding included, a batch may hold; memory grows with it. By default 1024 on a
            processor and 16384 on a graphics card.
        max_tokens: longer texts are cut; a model with fewer positions cuts them there.
        precision: "float32": independent of order and batch within 1e-5; "bfloat16": faster where the machine has it
            natively, cosine similarity to float32 above 0.999; "auto": bfloat16 where it is native.
        progress: show a progress bar; by default on long work.

    Raises:
        ValueError: an unknown pooling or precision, batch_tokens below 1, max_tokens below 3, or a model without its
            tokenizer or the other way round.
        TypeError: something that is not a text (the message says which), or a model that is only named.
    """
    import numpy as np
    from tqdm.auto import tqdm

    _check(texts, pooling, precision, batch_tokens, max_tokens)
    _check_both(model, tokenizer)
    if model is None:
        from course_lib import pretrained
        from course_lib.bert import BertModel

        model, tokenizer = BertModel.from_pretrained(), pretrained.load_tokenizer()
    device = next(model.parameters()).device
    if batch_tokens is None:
        batch_tokens = _BATCH_TOKENS_CPU if device.type == "cpu" else _BATCH_TOKENS_GPU
    limits = (max_tokens, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", max_tokens))
    longest = min(limit for limit in limits if limit > 0)  # transformers writes -1 for a model without a limit
    ids = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"] if len(texts) else []
    vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    was_training = model.training
    model.eval()
    bar = tqdm(
        total=len(texts), unit=" texts", disable=not (len(texts) >= _LONG_WORK if progress is None else progress)
    )
    try:
        with torch.inference_mode(), reckoning(model, precision), bar:
            for chosen in batches_by_length([len(i) for i in ids], batch_tokens):
                batch, mask = _pad([ids[i] for i in chosen], tokenizer.pad_token_id, device)
                pooled = POOLINGS[pooling](model(input_ids=batch, attention_mask=mask).last_hidden_state.float(), mask)
                if normalise:
                    pooled = torch.nn.functional.normalize(pooled, dim=-1)
                vectors[chosen] = pooled.cpu().numpy()
                bar.update(len(chosen))
    finally:
        model.train(was_training)
    return vectors


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Numbers of texts, batch by batch: the longest first, each batch at most `batch_tokens` with its padding.

    A batch that is half full takes no shorter text: beginning the next one costs less than padding all that follow.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch:
            width = lengths[batch[0]]
            full = (len(batch) + 1) * width > batch_tokens
            half_full = 2 * len(batch) * width >= batch_tokens
            if full or (half_full and lengths[number] < width):
                yield batch
                batch = []
        batch.append(number)
    if batch:
        yield batch


def _pad(rows: list[list[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    width = len(rows[0])  # the first is the longest
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(width, device=device)[None] < lengths[:, None]).long()


def _check(texts: Sequence[str], pooling: str, precision: str, batch_tokens: int | None, max_tokens: int) -> None:
    if isinstance(texts, str):
        raise TypeError("texts is one text; give a list of texts, for example [text].")
    for number, text in enumerate(texts):
        if fault := text_fault(text):
            raise TypeError(f"texts[{number}] is {fault[0]}; {fault[1]}.")
    if pooling not in POOLINGS:
        raise ValueError(f"pooling is {pooling!r}; it may be {', '.join(POOLINGS)}.")
    if precision not in ("float32", "bfloat16", "auto"):
        raise ValueError(f"precision is {precision!r}; it may be float32, bfloat16 or auto.")
    if (batch_tokens is not None and batch_tokens < 1) or max_tokens < 3:
        raise ValueError(f"batch_tokens is {batch_tokens} and max_tokens {max_tokens}; at least 1 and 3 are needed.")


def _check_both(model: Any, tokenizer: Any) -> None:
    if isinstance(model, str | os.PathLike):
        raise TypeError(
            f"model is a {type(model).__name__}: give the model itself, as BertModel.from_pretrained({str(model)!r}) returns "
            "it, and its tokenizer, as pretrained.load_tokenizer does."
        )
    if (model is None) != (tokenizer is None):
        given, missing = ("A tokenizer", "its model") if model is None else ("A model", "its tokenizer")
        raise ValueError(
            f"{given} is given without {missing}: ids mean other tokens to another model, so give both, or neither for the "
            "default model."
        )
