"""Are the arguments of a model what its tables and layers can take? One sentence each, before torch's own error.

Letters: B batch, T tokens, H hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from course_lib.config import BertConfig


def check_inputs(
    config: BertConfig,
    input_ids: Tensor | None,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    task_type_ids: Tensor | None,
) -> None:
    """Raise ValueError or TypeError, a sentence, for whatever the tables and the attention could not take."""
    if (input_ids is None) == (inputs_embeds is None):
        both = "neither" if input_ids is None else "both"
        raise ValueError(f"Give either input_ids (B, T) or inputs_embeds (B, T, H); {both} came.")
    if inputs_embeds is not None:
        _check_is_tensor("inputs_embeds", inputs_embeds)
        if inputs_embeds.dim() != 3 or inputs_embeds.shape[-1] != config.hidden_size:
            raise ValueError(
                f"inputs_embeds has shape {tuple(inputs_embeds.shape)}; (B, T, {config.hidden_size}) fits."
            )
        if not inputs_embeds.is_floating_point():
            raise TypeError(f"inputs_embeds holds {inputs_embeds.dtype}; vectors are floating: inputs_embeds.float().")
        shape = tuple(inputs_embeds.shape[:2])
    else:
        _check_is_tensor("input_ids", input_ids)
        shape = tuple(input_ids.shape)
        if len(shape) != 2:
            hint = "; for one text, add the batch dimension: input_ids[None]" if len(shape) == 1 else ""
            raise ValueError(f"input_ids has shape {shape}; (B, T) fits{hint}.")
    if shape[1] == 0:
        raise ValueError(f"The input has shape {shape}: no tokens; give at least one, such as [CLS].")
    if position_ids is None and shape[1] > config.max_position_embeddings:
        raise ValueError(
            f"The input has {shape[1]} tokens, and this model has positions for {config.max_position_embeddings}: cut "
            "the texts (truncation=True in the tokenizer), or go through them in windows."
        )
    if task_type_ids is not None and not config.use_task_id:
        raise ValueError(
            "task_type_ids came, and this model has no table for them (use_task_id is False): leave them out."
        )
    tables = (
        ("input_ids", input_ids, config.vocab_size, "vocab_size"),
        ("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size"),
        ("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings"),
        ("task_type_ids", task_type_ids, config.task_type_vocab_size, "task_type_vocab_size"),
    )
    for name, ids, size, field in tables:
        if ids is not None:
            _check_ids(name, ids, size, field, shape)
    if attention_mask is not None:
        _check_mask(attention_mask, shape)


def _check_is_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        hint = ": torch.tensor(...) makes one" if isinstance(value, (list, tuple)) else ""
        if hasattr(value, "keys"):
            hint = ": take it apart, model(**batch)"
        raise TypeError(f"{name} is a {type(value).__name__}; a tensor fits{hint}.")


def _check_ids(name: str, ids: Tensor, size: int, field: str, shape: tuple[int, ...]) -> None:
    _check_is_tensor(name, ids)
    if ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} holds {ids.dtype}; ids are whole numbers: {name}.long() makes them so.")
    if tuple(ids.shape) != shape and not (name == "position_ids" and tuple(ids.shape) == (1, shape[1])):
        raise ValueError(f"{name} has shape {tuple(ids.shape)}; {shape} fits, one id for each token.")
    if ids.numel() == 0 or not has_numbers(ids):
        return
    low, high = torch.stack(ids.aminmax()).tolist()  # together: on a GPU each look at a number waits for all before it
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        raise ValueError(f"{name} holds {wrong}; this model's table has rows 0 to {size - 1} ({field} = {size}).")


def _check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    _check_is_tensor("attention_mask", mask)
    fits = (shape, (*shape, shape[1]))
    if tuple(mask.shape) not in fits:
        raise ValueError(
            f"attention_mask has shape {tuple(mask.shape)} for {shape[0]} texts of {shape[1]} tokens; "
            f"{fits[0]} fits (1 for a token, 0 for padding), or {fits[1]} (who sees whom)."
        )
    # A mask to add to scores (0 to see, a big negative number not to) would be read the wrong way round.
    if mask.dtype != torch.bool and mask.numel() and has_numbers(mask) and (low := mask.min().item()) < 0:
        raise ValueError(
            f"attention_mask holds {low:g}; 1 for a token and 0 for padding fit: mask >= 0 turns it round."
        )


def recording() -> bool:
    """True while a graph is recorded (torch.jit.trace, torch.export, torch.compile): it must not depend on numbers."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def has_numbers(tensor: Tensor) -> bool:
    """False for tensors that are a shape alone: on the meta device, or "fake" ones of a graph exporter."""
    return type(tensor) in (Tensor, nn.Parameter) and not tensor.is_meta
