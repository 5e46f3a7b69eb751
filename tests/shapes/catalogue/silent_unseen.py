"""Mistakes that an earlier preflight passed over, and working models that it took for broken ones.

They come from 165 mistakes and 182 working models that were written to measure it, each group before preflight had seen
any of it. What is here needed a new experiment.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from catalogue.silent import VOCABULARY, Call, Net, call, padded, texts, tiny_bert, words
from catalogue.silent_more import both, pair, rows
from catalogue.silent_working import working
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def pair_of_texts() -> tuple:
    """Two texts an example, of two lengths, each with its mask."""
    return (*padded(4, 12), *padded(4, 9))


def lengths() -> tuple:
    """Ids and how many of them are real, the shortest text first."""
    real = torch.tensor([3, 9, 5, 7])
    return texts(4, 9) * (torch.arange(9) < real[:, None]), real


def masked_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


# --- masks and padding ---------------------------------------------------------------------------------------------


def _two_texts(self: Any, a: torch.Tensor, a_mask: torch.Tensor, b: torch.Tensor, b_mask: torch.Tensor) -> Any:
    u, v = self.bert(a, a_mask).pooler_output, self.bert(b, b_mask).pooler_output
    return self.out((u - v).abs())


pair("mask_ignored", "bert", "the_mask_of_the_second_text_replaced_by_ones", both(
    lambda self, a, a_mask, b, b_mask: _two_texts(self, a, a_mask, b, torch.ones_like(b_mask)), _two_texts,
    pair_of_texts, lambda: {"bert": tiny_bert(), "out": nn.Linear(24, 2)},
))  # fmt: skip


def _queries(self: Any, ids: torch.Tensor, mask: torch.Tensor, told: bool) -> torch.Tensor:
    memory = self.bert(ids, mask).last_hidden_state
    seen = self.cross(self.queries(torch.arange(3)).expand(len(ids), 3, 24), memory, memory, key_padding_mask=mask == 0 if told else None)[0]  # fmt: skip
    return self.out(seen.mean(1))


pair("mask_ignored", "cross", "queries_that_read_the_padding_of_an_encoder", both(
    lambda self, ids, mask: _queries(self, ids, mask, False), lambda self, ids, mask: _queries(self, ids, mask, True), padded,
    lambda: {"bert": tiny_bert(), "queries": nn.Embedding(3, 24), "cross": nn.MultiheadAttention(24, 2, batch_first=True), "out": nn.Linear(24, 2)},
))  # fmt: skip


class Roberta(nn.Module):
    """Every column of padding is the same here, so that more of it changes no maximum, and the first does."""

    def __init__(self, mended: bool) -> None:
        super().__init__()
        config = transformers.RobertaConfig(vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=32, max_position_embeddings=40, pad_token_id=0)  # fmt: skip
        self.body, self.out, self.mended = transformers.RobertaModel(config, add_pooling_layer=False), nn.Linear(24, 2), mended  # fmt: skip

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.body(input_ids, attention_mask).last_hidden_state
        if self.mended:
            hidden = hidden.masked_fill(attention_mask.unsqueeze(-1) == 0, float("-inf"))
        return self.out(hidden.amax(1))


pair("padding", "", "a_maximum_over_padding_that_looks_all_the_same", lambda mended: call(Roberta(mended), *padded()))


def _last(self: Any, ids: torch.Tensor, real: torch.Tensor, own: bool) -> torch.Tensor:
    packed = pack_padded_sequence(self.words(ids), real, batch_first=True, enforce_sorted=False)
    steps = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]
    return self.out(steps[torch.arange(len(ids)), real - 1] if own else steps[:, -1])


pair("padding", "", "the_last_step_of_the_longest_text", both(
    lambda self, ids, real: _last(self, ids, real, False), lambda self, ids, real: _last(self, ids, real, True),
    lengths, lambda: {"words": words(), "rnn": nn.GRU(24, 6, batch_first=True), "out": nn.Linear(6, 2)},
))  # fmt: skip

# --- neighbours ----------------------------------------------------------------------------------------------------


def _sorted(self: Any, ids: torch.Tensor, real: torch.Tensor, back: bool) -> torch.Tensor:
    ordered, order = real.sort(descending=True)
    state = self.rnn(pack_padded_sequence(self.words(ids[order]), ordered, batch_first=True))[1][-1]
    return self.out(state[order.argsort()] if back else state)


pair("batch_leak", "", "sorted_by_length_and_never_sorted_back", both(
    lambda self, ids, real: _sorted(self, ids, real, False), lambda self, ids, real: _sorted(self, ids, real, True),
    lengths, lambda: {"words": words(), "rnn": nn.GRU(24, 6, batch_first=True), "out": nn.Linear(6, 2)},
))  # fmt: skip

pair("batch_leak", "", "divided_by_the_largest_number_of_the_batch", both(
    lambda self, x: self.out((h := self.body(x).relu()) / h.amax()),
    lambda self, x: self.out((h := self.body(x).relu()) / (h.amax(-1, keepdim=True) + 1e-6)),
    rows, lambda: {"body": nn.Linear(5, 6), "out": nn.Linear(6, 2)},
))  # fmt: skip

pair("batch_leak", "", "a_bag_of_words_minus_the_mean_of_the_batch", both(
    lambda self, x: self.out((h := self.words(x).sum(1)) - h.mean(0)), lambda self, x: self.out(self.words(x).sum(1)),
    lambda: (texts(),), lambda: {"words": words(), "out": nn.Linear(24, 2)},
))  # fmt: skip

# --- other ---------------------------------------------------------------------------------------------------------

pair("view_for_permute", "", "a_feature_map_as_wide_and_high_as_it_is_deep", both(
    lambda self, x: self.out(self.norm((f := self.conv(x)).view(len(x), f.shape[2], f.shape[3], 6)).mean((1, 2))),
    lambda self, x: self.out(self.norm(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2))),
    lambda: (torch.rand(4, 3, 12, 12),), lambda: {"conv": nn.Conv2d(3, 6, 2, 2), "norm": nn.LayerNorm(6), "out": nn.Linear(6, 2)},
))  # fmt: skip


def _two_tasks(self: Any, x: torch.Tensor, labels: torch.Tensor, cut: bool) -> dict:
    hidden = self.body(x).relu()
    main, side = F.cross_entropy(self.main(hidden), labels), F.cross_entropy(self.side(hidden), labels)
    return {"loss": main + (side.item() if cut else side), "main": self.main(hidden), "side": self.side(hidden)}


pair("no_gradient", "side", "one_of_two_losses_added_as_a_plain_number", both(
    lambda self, x, labels: _two_tasks(self, x, labels, True), lambda self, x, labels: _two_tasks(self, x, labels, False),
    rows, lambda: {"body": nn.Linear(5, 6), "main": nn.Linear(6, 3), "side": nn.Linear(6, 3)}, labels=torch.tensor([0, 2, 1, 0]),
))  # fmt: skip


class Awake(nn.Module):
    def __init__(self, mended: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 6), nn.Dropout(0.3))
        self.out, self.mended = nn.Linear(6, 2), mended

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.mended:
            self.body.train()
        return self.out(self.body(x))


pair("dropout_in_eval", "body", "a_part_put_into_training_mode_in_forward", lambda mended: call(Awake(mended), *rows()))


class Cached(nn.Module):
    """The same text twice gives the same answer: every key stands there twice. Another text between shows it."""

    def __init__(self, mended: bool) -> None:
        super().__init__()
        self.words, self.key, self.out, self.mended = words(), nn.Linear(24, 24), nn.Linear(24, 2), mended
        self.past: torch.Tensor | None = None

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        keys = self.key(self.words(ids))
        if self.past is not None and len(self.past) == len(keys) and not self.mended:
            keys = torch.cat([self.past, keys], 1)
        self.past = keys.detach()
        return self.out(F.scaled_dot_product_attention(keys[:, -1:], keys, keys)[:, 0])


pair("remembers", "", "a_cache_of_keys_that_nobody_empties", lambda mended: call(Cached(mended), texts()))


# --- working models ------------------------------------------------------------------------------------------------


@working
def boxes_that_must_stay_boxes() -> Call:
    config = transformers.LayoutLMConfig(vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=32, max_position_embeddings=40, max_2d_position_embeddings=32)  # fmt: skip
    ids, mask = padded()
    boxes = torch.randint(0, 30, (*ids.shape, 4)).sort(-1).values
    return call(transformers.LayoutLMModel(config), ids, bbox=boxes, attention_mask=mask)


@working
def masks_of_names_beside_the_mask_of_padding() -> Call:
    ids, mask = padded()
    first, second = torch.zeros_like(mask), torch.zeros_like(mask)
    first[:, 1], second[:, 1:3] = 1, 1
    second[:, 0] = 0

    def forward(self: Any, input_ids: Any, attention_mask: Any, first_mask: Any, second_mask: Any) -> torch.Tensor:
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        return self.out(torch.cat([masked_mean(hidden, first_mask), masked_mean(hidden, second_mask)], -1))

    return call(Net(forward, bert=tiny_bert(), out=nn.Linear(48, 2)), ids, mask, first, second)


@working
def a_sum_over_padding_that_is_zero() -> Call:
    def forward(self: Any, ids: Any, mask: Any) -> torch.Tensor:
        return self.out(self.words(ids).sum(1) / mask.sum(1, keepdim=True))

    return call(Net(forward, words=words(padding_idx=0), out=nn.Linear(24, 2)), *padded())


@working
def views_of_a_library_that_skew_on_purpose() -> Call:
    config = transformers.LongformerConfig(vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32, max_position_embeddings=64, attention_window=4, pad_token_id=0)  # fmt: skip
    return call(transformers.LongformerModel(config), *padded(4, 10))


@working
def an_encoder_and_a_decoder_with_a_mask_each() -> Call:
    config = transformers.T5Config(vocab_size=VOCABULARY, d_model=24, d_kv=6, d_ff=32, num_layers=1, num_heads=4, decoder_start_token_id=0)  # fmt: skip
    (ids, mask), (target, target_mask) = padded(4, 10), padded(4, 7)
    return call(transformers.T5Model(config), input_ids=ids, attention_mask=mask, decoder_input_ids=target, decoder_attention_mask=target_mask)  # fmt: skip
