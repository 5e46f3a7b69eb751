"""BERT, all of it: from token ids to hidden states (Devlin et al. 2019, arXiv:1810.04805).

Letters: B batch, T tokens, H hidden size, N heads, D = H / N head size, F feed-forward size, L layers.

    ids (B, T) -> Embeddings (B, T, H) -> L times Layer (B, T, H) -> Pooler (B, H)

A Layer is attention, then feed-forward; each adds its result to its input and then normalises ("post-norm"):

    x = LayerNorm(x + Attention(x))        Attention(x) = softmax(Q K^T / sqrt(D) + mask) V, N heads side by side
    x = LayerNorm(x + FeedForward(x))      FeedForward(x) = W2 act(W1 x + b1) + b2

Parameters are named as in transformers, so released weights load strictly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from course_lib.config import BertConfig
from course_lib.dropout import Dropout
from course_lib.inputs import check_inputs, has_numbers, recording

# Those that released BERT configurations name. BERT's own is the exact gelu, with erf; the tanh form differs slightly.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


# Added to a score that must not count: exp of it is 0 in every precision. Not minus infinity, so that a row in which
# nothing may be seen (a text of padding alone) gives numbers and not NaN; and half of what half precision can hold, so
# that adding a score to it does not reach minus infinity either.
UNSEEN = -32768.0


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation of that name.

    Raises:
        ValueError: the name is not known; those that are, are listed.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"hidden_act is {name!r}; known activations are {', '.join(sorted(ACTIVATIONS))}.")
    return ACTIVATIONS[name]


@dataclass
class BertOutput:
    """What BERT returns. Fields that were not asked for are None."""

    last_hidden_state: Tensor  # (B, T, H)
    pooler_output: Tensor | None = None  # (B, H)
    hidden_states: tuple[Tensor, ...] | None = None  # L + 1 of (B, T, H), the embeddings first
    attentions: tuple[Tensor, ...] | None = None  # L of (B, N, T, T), after the softmax


class Embeddings(nn.Module):
    """Word + position + token type (and, in some ERNIEs, + task type), then LayerNorm and dropout."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        h = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, h, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, h)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, h)
        if config.use_task_id:
            self.task_type_embeddings = nn.Embedding(config.task_type_vocab_size, h)
        self.LayerNorm = nn.LayerNorm(h, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        words: Tensor,  # (B, T, H), looked up already
        token_type_ids: Tensor,  # (B, T)
        position_ids: Tensor,  # (B, T) or (1, T)
        task_type_ids: Tensor | None = None,
    ) -> Tensor:
        """(B, T, H) -> (B, T, H)."""
        x = words + self.token_type_embeddings(token_type_ids) + self.position_embeddings(position_ids)
        if hasattr(self, "task_type_embeddings"):
            x = x + self.task_type_embeddings(
                torch.zeros_like(token_type_ids) if task_type_ids is None else task_type_ids
            )
        return self.dropout(self.LayerNorm(x))


class SelfAttention(nn.Module):
    """N heads of scaled dot-product attention, side by side (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads, self.head_size = config.num_attention_heads, config.head_size
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = Dropout(config.attention_probs_dropout_prob)

    def forward(
        self, x: Tensor, mask: Tensor | None, causal: bool, explicit: bool, asking: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, H) -> (B, T, H), and the weights (B, N, T, T) if explicit.

        `asking`: the tokens for which it is reckoned, where not all are wanted: the first ones of x.
        """
        q = self._split(self.query(x if asking is None else asking))  # (B, N, T, D)
        k, v = self._split(self.key(x)), self._split(self.value(x))
        if mask is not None and asking is not None:
            mask = mask[..., : asking.shape[1], :]
        weights = None
        if explicit:  # the formula of the paper, which holds the (B, N, T, T) table of weights
            scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_size)
            weights = (scores if mask is None else scores + mask).softmax(dim=-1)
            mixed = self.dropout(weights) @ v
        else:  # the same numbers, fused
            dropped = self.dropout.p if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, mask, dropped, is_causal=causal and mask is None)
        return mixed.transpose(1, 2).flatten(2), weights  # (B, T, N * D) = (B, T, H)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.head_size)).transpose(1, 2)  # (B, T, H) -> (B, N, T, D)


class AddAndNorm(nn.Module):
    """A linear layer, dropout, the way round it, LayerNorm: the end of both halves of a layer."""

    def __init__(self, config: BertConfig, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(B, T, width), (B, T, H) -> (B, T, H)."""
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nn.Module):
    """Self-attention and its output layer."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AddAndNorm(config, config.hidden_size)


class Intermediate(nn.Module):
    """The widening half of the feed-forward part: H -> F."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H) -> (B, T, F)."""
        return self.act(self.dense(x))


class Layer(nn.Module):
    """One layer of the encoder: (B, T, H) -> (B, T, H)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = AddAndNorm(config, config.intermediate_size)

    def forward(
        self, x: Tensor, mask: Tensor | None, causal: bool, explicit: bool, first: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, H) -> (B, T, H), or (B, 1, H) for the first token alone; and the weights of attention if explicit."""
        wanted = x[:, :1] if first else x
        mixed, weights = self.attention.self(x, mask, causal, explicit, wanted if first else None)
        x = self.attention.output(mixed, wanted)
        return self.output(self.intermediate(x), x), weights


class Encoder(nn.Module):
    """L layers, one after the other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class Pooler(nn.Module):
    """tanh(W x_[CLS] + b): (B, T, H) -> (B, H)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H) -> (B, H)."""
        return torch.tanh(self.dense(x[:, 0]))


class BertModel(nn.Module):
    """The encoder, with or without its pooler. New weights are drawn as the paper says: N(0, initializer_range).

    `gradient_checkpointing = True` recomputes each layer in the backward pass instead of keeping it: less memory, about
    a third more time.
    """

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        initialise(self, config.initializer_range)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = "default", **overrides: Any) -> BertModel:
        """Load a model: "default", a name on the hub, or a folder. In evaluation mode.

        Args:
            overrides: fields of the configuration, and add_pooling_layer.

        Raises:
            ModelFilesError: nothing of this name, damaged files, or weights that do not fit.
        """
        from course_lib.checkpoint import load

        return load(cls, name_or_path, **overrides)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config.json and model.safetensors into a folder, as transformers reads them.

        The tokenizer is saved by `tokenizer.save_pretrained(folder)`.
        """
        from course_lib.checkpoint import save

        return save(self, folder)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        task_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        first_token_only: bool = False,
    ) -> BertOutput:
        """Run the encoder.

        Args:
            input_ids: (B, T) token ids; or inputs_embeds, (B, T, H), in their place.
            attention_mask: (B, T), 0 for padding and anything else for a token; or (B, T, T), who sees whom.
            token_type_ids, position_ids, task_type_ids: (B, T); by default 0, 0 to T - 1, and 0.
            first_token_only: nothing but [CLS], and so the pooler, is wanted of the last layer: last_hidden_state is
                (B, 1, H), the same numbers with less work. Not heeded where hidden states or attentions are asked for.

        Raises:
            ValueError: an argument of another shape, or values that a table does not have; the message says which.
            TypeError: an argument of another kind of number.
        """
        if not recording():
            check_inputs(
                self.config, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, task_type_ids
            )
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        b, t, _ = words.shape
        if token_type_ids is None:
            token_type_ids = torch.zeros(b, t, dtype=torch.long, device=words.device)
        if position_ids is None:
            position_ids = torch.arange(t, device=words.device)[None]  # (1, T)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        x = self.embeddings(words, token_type_ids, position_ids, task_type_ids)
        first_token_only = first_token_only and not (output_hidden_states or output_attentions)
        # In training on a processor the paper's formula is the quicker one: with dropout, the fused one writes the
        # table of weights too, and draws as many random numbers as it has (course_lib.dropout).
        plain = output_attentions or (
            self.training and x.device.type == "cpu" and self.config.attention_probs_dropout_prob > 0
        )
        mask = additive_mask(attention_mask, x, self.config.is_decoder, explicit=plain)
        states, weights = [x], []
        for number, layer in enumerate(self.encoder.layer, start=1):
            first = first_token_only and number == len(self.encoder.layer)
            arguments = (x, mask, self.config.is_decoder, plain, first)
            if self.gradient_checkpointing and self.training:
                x, seen = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                x, seen = layer(*arguments)
            if output_hidden_states:
                states.append(x)
            weights.append(seen)
        return BertOutput(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(weights) if output_attentions else None,
        )


def additive_mask(mask: Tensor | None, x: Tensor, causal: bool, explicit: bool) -> Tensor | None:
    """What is added to the scores: 0 to see, UNSEEN not to see. (B, 1, 1 or T, T), or None for nothing."""
    seen = None
    if mask is not None and not _all_seen(mask):
        seen = mask.bool()
        seen = seen[:, None, None, :] if mask.dim() == 2 else seen[:, None]  # (B, 1, 1, T) or (B, 1, T, T)
    if causal and (seen is not None or explicit):  # else scaled_dot_product_attention masks the future by itself
        t = x.shape[1]
        past = torch.ones(t, t, dtype=torch.bool, device=x.device).tril()
        seen = past[None, None] if seen is None else seen & past
    if seen is None:
        return None
    return torch.zeros_like(seen, dtype=x.dtype, device=x.device).masked_fill(~seen, UNSEEN)


def _all_seen(mask: Tensor) -> bool:
    """True when there is no padding, so that the mask may be left out. A graph must hold for every mask: False there."""
    return not recording() and has_numbers(mask) and bool(mask.all())


def initialise(module: nn.Module, standard_deviation: float) -> None:
    """Weights from a normal distribution, biases 0, LayerNorm 1 and 0, the row of padding 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=standard_deviation)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=standard_deviation)
            if part.padding_idx is not None:
                with torch.no_grad():
                    part.weight[part.padding_idx].zero_()
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
