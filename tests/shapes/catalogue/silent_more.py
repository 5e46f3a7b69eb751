"""More silent mistakes, said briefly: most were invented after the rules, to see whether these were general."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from catalogue.silent import Call, Net, call, encoder, padded, silent, texts, tiny_bert, words
from torch import nn
from torch.nn import functional as F

Forward = Callable[..., Any]


def pair(kind: str, module: str | None, name: str, make: Callable[[bool], Call]) -> None:
    """Enter make(False) as broken and make(True) as mended."""

    class made:
        def broken() -> Call:
            return make(False)

        def mended() -> Call:
            return make(True)

    made.__name__ = made.__doc__ = name
    silent(kind, module)(made)


def both(wrong: Forward, right: Forward, inputs: Callable[[], tuple], layers: Callable[[], dict], **named: Any) -> Callable[[bool], Call]:  # fmt: skip
    """The same layers and inputs under a wrong and a right forward function."""
    return lambda mended: call(Net(right if mended else wrong, **layers()), *inputs(), **named)


def some() -> tuple:
    return (texts(),)


def rows() -> tuple:
    return (torch.randn(4, 5),)


# --- views ---------------------------------------------------------------------------------------------------------

pair("view_for_permute", "", "channels_last_image_viewed", both(
    lambda self, x: self.out(self.conv(x.view(x.shape[0], 3, 12, 12)).amax((2, 3))),
    lambda self, x: self.out(self.conv(x.permute(0, 3, 1, 2)).amax((2, 3))),
    lambda: (torch.rand(4, 12, 12, 3),), lambda: {"conv": nn.Conv2d(3, 6, 3), "out": nn.Linear(6, 2)},
))  # fmt: skip

pair("view_for_permute", "", "stacked_layers_viewed", both(
    lambda self, x: self.out(self.conv(torch.stack([self.words(x)] * 3).view(len(x), 3, -1, 24)).amax((2, 3))),
    lambda self, x: self.out(self.conv(torch.stack([self.words(x)] * 3, dim=1)).amax((2, 3))),
    some, lambda: {"words": words(), "conv": nn.Conv2d(3, 4, (2, 24)), "out": nn.Linear(4, 2)},
))  # fmt: skip

pair("view_for_permute", "", "classes_viewed_to_the_front_for_the_loss", both(
    lambda self, x, labels: {"loss": F.cross_entropy((y := self.out(self.words(x))).view(len(x), 7, -1), labels), "logits": y},
    lambda self, x, labels: {"loss": F.cross_entropy((y := self.out(self.words(x))).transpose(1, 2), labels), "logits": y},
    some, lambda: {"words": words(), "out": nn.Linear(24, 7)}, labels=texts() % 7,
))  # fmt: skip

# --- batch_first ---------------------------------------------------------------------------------------------------

pair("batch_first", "lstm", "tagger_whose_lstm_walks_over_the_texts", lambda mended: call(
    Net(lambda self, x: self.out(self.lstm(self.words(x))[0]), words=words(), lstm=nn.LSTM(24, 6, batch_first=mended), out=nn.Linear(6, 7)), texts(),
))  # fmt: skip

pair("batch_first", "attention", "attention_of_features_without_batch_first", lambda mended: call(
    Net(lambda self, x: self.out(self.attention(x, x, x)[0]), attention=nn.MultiheadAttention(16, 4, batch_first=mended), out=nn.Linear(16, 3)), torch.randn(3, 7, 16),
))  # fmt: skip

# --- softmax -------------------------------------------------------------------------------------------------------

pair("softmax_dimension", "", "softmax_over_heads", both(
    *(
        lambda self, x, dim=dim: self.out(((h := self.words(x).unflatten(-1, (4, 6)).transpose(1, 2)) @ h.transpose(-1, -2)).softmax(dim).matmul(h).mean((1, 2)))
        for dim in (1, -1)
    ),
    some, lambda: {"words": words(), "out": nn.Linear(6, 2)},
))  # fmt: skip

pair("softmax_dimension", "", "softmax_without_a_dimension", both(
    lambda self, x: self.out((F.softmax((e := self.words(x)) @ self.key(e).transpose(1, 2)) @ e).mean(1)),
    lambda self, x: self.out((F.softmax((e := self.words(x)) @ self.key(e).transpose(1, 2), -1) @ e).mean(1)),
    some, lambda: {"words": words(), "key": nn.Linear(24, 24), "out": nn.Linear(24, 2)},
))  # fmt: skip

pair("softmax_dimension", "", "softmax_over_queries_in_einsum", both(
    *(
        lambda self, x, dim=dim: self.out(torch.einsum("bqk,bkd->bqd", torch.einsum("bqd,bkd->bqk", e := self.words(x), self.key(e)).softmax(dim), e).amax(1))
        for dim in (1, 2)
    ),
    some, lambda: {"words": words(), "key": nn.Linear(24, 24), "out": nn.Linear(24, 2)},
))  # fmt: skip

# --- broadcasting --------------------------------------------------------------------------------------------------

pair("broadcast", "", "gate_squeezed_inside_the_model", both(
    lambda self, x: self.body(x) * torch.sigmoid(self.gate(x)).squeeze(-1),
    lambda self, x: self.body(x) * torch.sigmoid(self.gate(x)),
    rows, lambda: {"body": nn.Linear(5, 1), "gate": nn.Linear(5, 1)},
))  # fmt: skip


def _own_targets(mended: bool) -> Call:
    targets = torch.randn(4, 1) if mended else torch.randn(4)
    return call(nn.Linear(5, 1), torch.randn(4, 5), loss_fn=lambda y: F.mse_loss(y, targets))


pair("broadcast", None, "loss_that_holds_its_targets", _own_targets)

# --- padding and masks ---------------------------------------------------------------------------------------------

pair("padding", "", "sum_over_tokens_divided_by_all_columns", both(
    lambda self, ids, mask: self.out((self.words(ids) * mask[..., None]).sum(1) / ids.shape[1]),
    lambda self, ids, mask: self.out((self.words(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)),
    padded, lambda: {"words": words(), "out": nn.Linear(24, 2)},
))  # fmt: skip

pair("padding", "", "zeros_at_padding_can_win_the_maximum", both(
    lambda self, ids, mask: self.out((self.bert(ids, attention_mask=mask)[0] * mask[..., None]).amax(1)),
    lambda self, ids, mask: self.out(self.bert(ids, attention_mask=mask)[0].masked_fill(mask[..., None] == 0, -1e9).amax(1)),
    padded, lambda: {"bert": tiny_bert(), "out": nn.Linear(24, 2)},
))  # fmt: skip

pair("padding", "", "attention_pooling_over_padding", both(
    lambda self, ids, mask: self.out(((h := self.bert(ids, attention_mask=mask)[0]) * self.score(h).softmax(1)).sum(1)),
    lambda self, ids, mask: self.out(((h := self.bert(ids, attention_mask=mask)[0]) * self.score(h).masked_fill(mask[..., None] == 0, -1e9).softmax(1)).sum(1)),
    padded, lambda: {"bert": tiny_bert(), "score": nn.Linear(24, 1), "out": nn.Linear(24, 2)},
))  # fmt: skip


def _bert_with_mask(mended: bool) -> Call:
    ids, mask = padded()
    return call(tiny_bert("BertForSequenceClassification", "sdpa"), ids, **({"attention_mask": mask} if mended else {}))


pair("padding", "bert.encoder.layer.0.attention.self", "bert_called_without_its_mask", _bert_with_mask)

pair("mask_ignored", "encoder", "encoder_that_never_sees_the_mask", both(
    lambda self, ids, mask: self.out(self.encoder(self.words(ids))[:, 0]),
    lambda self, ids, mask: self.out(self.encoder(self.words(ids), src_key_padding_mask=mask == 0)[:, 0]),
    padded, lambda: {"words": words(), "encoder": encoder(True), "out": nn.Linear(24, 2)},
))  # fmt: skip


def _scores(change: Callable) -> Forward:
    def forward(self: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        e = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        return self.out((change(e @ self.key(e).transpose(1, 2), mask[:, None]) @ e)[:, 0])

    return forward


def _hidden(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(mask == 0, -1e9).softmax(-1)


for _name, _change in {
    "scores_at_padding_set_to_zero": lambda s, m: s.masked_fill(m == 0, 0.0).softmax(-1),
    "mask_multiplied_in_after_the_softmax": lambda s, m: s.softmax(-1) * m,
    "mask_multiplied_in_before_the_softmax": lambda s, m: (s * m).softmax(-1),
    "mask_of_ones_and_zeros_added": lambda s, m: (s + m).softmax(-1),
    "tokens_hidden_instead_of_padding": lambda s, m: s.masked_fill(m == 1, -1e9).softmax(-1),
    "mask_too_weak": lambda s, m: (s + (1 - m) * -1.0).softmax(-1),
}.items():
    pair("mask_kind", "", _name, both(
        _scores(_change), _scores(_hidden), padded,
        lambda: {"words": words(), "places": nn.Embedding(40, 24), "key": nn.Linear(24, 24), "out": nn.Linear(24, 2)},
    ))  # fmt: skip

# --- neighbours ----------------------------------------------------------------------------------------------------

pair("batch_leak", "1", "batch_norm_without_running_statistics", lambda mended: call(
    nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6, track_running_stats=mended), nn.Linear(6, 2)), torch.randn(4, 5),
))  # fmt: skip


class Positions(nn.Module):
    def __init__(self, by_tokens: bool) -> None:
        super().__init__()
        self.by_tokens = by_tokens
        self.register_buffer("table", torch.randn(40, 1, 24))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.table[: x.size(1)].transpose(0, 1) if self.by_tokens else self.table[: x.size(0)])


pair("batch_leak", "places", "positions_counted_along_the_batch", lambda mended: call(
    Net(lambda self, x: self.out(self.places(self.words(x)).mean(1)), words=words(), places=Positions(mended), out=nn.Linear(24, 2)), texts(),
))  # fmt: skip

pair("batch_leak", "", "scaled_by_the_extremes_of_the_batch", both(
    lambda self, x: self.out((x - x.min()) / (x.max() - x.min())),
    lambda self, x: self.out((x - x.amin(1, True)) / (x.amax(1, True) - x.amin(1, True))),
    rows, lambda: {"out": nn.Linear(5, 2)},
))  # fmt: skip

pair("batch_leak", "", "examples_attending_to_each_other", both(
    lambda self, x: self.out((h := self.body(x)) + (h @ h.T).softmax(-1) @ h),
    lambda self, x: self.out(self.body(x)),
    rows, lambda: {"body": nn.Linear(5, 6), "out": nn.Linear(6, 2)},
))  # fmt: skip

pair("batch_of_one", "", "last_state_squeezed", both(
    lambda self, x: self.out(self.gru(self.words(x))[1].squeeze()),
    lambda self, x: self.out(self.gru(self.words(x))[1].squeeze(0)),
    some, lambda: {"words": words(), "gru": nn.GRU(24, 6, batch_first=True), "out": nn.Linear(6, 2)},
))  # fmt: skip

# --- weights, chance, memory ---------------------------------------------------------------------------------------


class Heads(nn.Module):
    def __init__(self, kind: Callable) -> None:
        super().__init__()
        self.body, self.heads = nn.Linear(5, 6), kind({"topic": nn.Linear(6, 2)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.heads["topic"](self.body(x))


pair("unregistered_layer", "", "heads_in_a_plain_dict", lambda mended: call(Heads(nn.ModuleDict if mended else dict), torch.randn(4, 5)))  # fmt: skip


class Weighted(nn.Module):
    def __init__(self, kind: Callable) -> None:
        super().__init__()
        self.body, self.weight = nn.Linear(5, 6), kind(torch.randn(6, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) @ self.weight


pair("unregistered_layer", "", "weight_as_a_plain_tensor", lambda mended: call(Weighted(nn.Parameter if mended else torch.Tensor.requires_grad_), torch.randn(4, 5)))  # fmt: skip

pair("layer_in_forward", "", "weights_drawn_in_forward", lambda mended: call(
    Net(lambda self, x: self.body(x) @ self.weight, body=nn.Linear(5, 6), weight=nn.Parameter(torch.randn(6, 2)))
    if mended else Net(lambda self, x: self.body(x) @ nn.Parameter(torch.randn(6, 2)), body=nn.Linear(5, 6)),
    torch.randn(4, 5),
))  # fmt: skip

pair("dropout_in_eval", "", "dropout_inside_attention_always_on", both(
    *(
        lambda self, x, p=p: self.out(F.scaled_dot_product_attention(e := self.words(x)[:, None], e, e, dropout_p=p if p else 0.3 * self.training).mean((1, 2)))
        for p in (0.3, 0.0)
    ),
    some, lambda: {"words": words(), "out": nn.Linear(24, 2)},
))  # fmt: skip

pair("random_in_eval", "", "noise_in_evaluation_mode", both(
    lambda self, x: self.out(x + 0.1 * torch.randn_like(x)),
    lambda self, x: self.out(x + 0.1 * torch.randn_like(x) if self.training else x),
    rows, lambda: {"out": nn.Linear(5, 2)},
))  # fmt: skip


def _remember(self: Any, x: torch.Tensor) -> torch.Tensor:
    y = self.body(x)
    if getattr(self, "last", None) is not None and self.last.shape == y.shape:
        y = y + 0.1 * self.last
    self.last = y.detach()
    return y


pair("remembers", None, "state_kept_from_call_to_call", both(_remember, lambda self, x: self.body(x), rows, lambda: {"body": nn.Linear(5, 6)}))  # fmt: skip

# --- gradients -----------------------------------------------------------------------------------------------------

pair("no_gradient", "body", "choice_by_argmax", both(
    lambda self, x: self.table(self.body(x).argmax(-1)),
    lambda self, x: self.body(x).softmax(-1) @ self.table.weight,
    rows, lambda: {"body": nn.Linear(5, 6), "table": nn.Embedding(6, 2)},
))  # fmt: skip

pair("no_gradient", "body", "threshold_without_a_slope", both(
    lambda self, x: self.out((self.body(x) > 0).to(x.dtype)),
    lambda self, x: self.out(torch.sigmoid(self.body(x))),
    rows, lambda: {"body": nn.Linear(5, 6), "out": nn.Linear(6, 2)},
))  # fmt: skip

pair("no_gradient", "body", "new_tensor_of_old_numbers", both(
    lambda self, x: self.out(torch.tensor(self.body(x).tolist())),
    lambda self, x: self.out(self.body(x)),
    rows, lambda: {"body": nn.Linear(5, 6), "out": nn.Linear(6, 2)},
))  # fmt: skip


def _without_graph(self: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        states = self.bert(ids)[0]
    return self.out(states[:, 0])


pair("no_gradient", "bert", "bert_under_no_grad", both(
    _without_graph, lambda self, ids: self.out(self.bert(ids)[0][:, 0]), some, lambda: {"bert": tiny_bert(), "out": nn.Linear(24, 2)},
))  # fmt: skip

pair("no_gradient", "", "loss_of_the_chosen_classes", both(
    lambda self, x, labels: {"loss": F.mse_loss((y := self.body(x)).argmax(1).to(x.dtype), labels.to(x.dtype)), "logits": y},
    lambda self, x, labels: {"loss": F.cross_entropy((y := self.body(x)), labels), "logits": y},
    rows, lambda: {"body": nn.Linear(5, 6)}, labels=torch.tensor([1, 2, 3, 4]),
))  # fmt: skip

pair("no_gradient", "lstm", "only_the_backward_half_of_an_lstm", both(
    lambda self, x: self.out(self.lstm(self.words(x))[1][0][-1]),
    lambda self, x: self.out(self.lstm(self.words(x))[1][0].sum(0)),
    some, lambda: {"words": words(), "lstm": nn.LSTM(24, 6, batch_first=True, bidirectional=True), "out": nn.Linear(6, 2)},
))  # fmt: skip
