"""Mistakes that raise nothing, each broken and mended, with the kind of finding that must name it, and where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY = 101


@dataclass
class Call:
    """A model and what it is called with."""

    model: nn.Module
    args: tuple
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class SilentBug:
    name: str
    about: str
    broken: Callable[[], Call]
    mended: Callable[[], Call]
    kind: str
    module: str | None


SILENT: list[SilentBug] = []


def silent(kind: str, module: str | None) -> Callable[[type], type]:
    """Enter a class with two functions, `broken` and `mended`, into the catalogue."""

    def enter(pair: type) -> type:
        SILENT.append(SilentBug(pair.__name__, (pair.__doc__ or "").strip(), pair.broken, pair.mended, kind, module))
        return pair

    return enter


def call(model: nn.Module, *args: Any, **kwargs: Any) -> Call:
    return Call(model, args, kwargs)


def texts(rows: int = 4, tokens: int = 12) -> torch.Tensor:
    """Ids (B, T) of texts without padding."""
    return torch.randint(1, VOCABULARY, (rows, tokens), generator=torch.Generator().manual_seed(rows * tokens))


def padded(rows: int = 4, tokens: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, T) of texts of several lengths."""
    lengths = torch.tensor([tokens - (3 * i) % (tokens - 2) for i in range(rows)])
    mask = (torch.arange(tokens)[None] < lengths[:, None]).long()
    return texts(rows, tokens) * mask, mask


def tiny_bert(kind: str = "BertModel", attention: str = "eager", **options: Any) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        max_position_embeddings=40, attn_implementation=attention, **options,
    )  # fmt: skip
    return getattr(transformers, kind)(config)


class Net(nn.Module):
    """A forward function and the layers that it uses, for models that are said in a line or two."""

    def __init__(self, run: Callable, **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.run = run

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, *args, **kwargs)


def words(size: int = 24, **options: Any) -> nn.Embedding:
    return nn.Embedding(VOCABULARY, size, **options)


class Attention(nn.Module):
    """One head of attention over (B, T, H), to be broken in one place."""

    def __init__(self, size: int = 24, dim: int = -1) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) / math.sqrt(x.shape[-1])
        return torch.softmax(scores, dim=self.dim) @ self.value(x)


class Reader(nn.Module):
    """Embedding, a body, the mean over tokens, a classifier."""

    def __init__(self, body: nn.Module, size: int = 24) -> None:
        super().__init__()
        self.words, self.body, self.out = nn.Embedding(VOCABULARY, size), body, nn.Linear(size, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.body(self.words(ids)).mean(dim=1))


# --- view for permute ----------------------------------------------------------------------------------------------


class ConvReader(nn.Module):
    def __init__(self, permute: bool) -> None:
        super().__init__()
        self.words, self.conv, self.out = nn.Embedding(VOCABULARY, 24), nn.Conv1d(24, 8, 3), nn.Linear(8, 3)
        self.permute = permute

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids)
        x = x.permute(0, 2, 1) if self.permute else x.view(x.shape[0], x.shape[2], x.shape[1])
        return self.out(torch.relu(self.conv(x)).amax(-1))


@silent("view_for_permute", "")
class tokens_viewed_as_channels:
    """(B, T, H).view(B, H, T) before a Conv1d."""

    def broken() -> Call:
        return call(ConvReader(False), texts())

    def mended() -> Call:
        return call(ConvReader(True), texts())


class Heads(nn.Module):
    """Four heads; the way into heads or back out of them may be torn."""

    def __init__(self, enter: bool = True, leave: bool = True) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(24, 24), nn.Linear(24, 24), nn.Linear(24, 24)
        self.enter, self.leave = enter, leave

    def split(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        return x.view(b, t, 4, 6).transpose(1, 2) if self.enter else x.view(b, 4, t, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        context = torch.softmax(q @ k.transpose(-1, -2) / 6**0.5, dim=-1) @ v
        if self.leave:
            context = context.transpose(1, 2)
        return context.reshape(x.shape)


@silent("view_for_permute", "body")
class heads_split_without_transpose:
    """(B, T, H).view(B, N, T, D)."""

    def broken() -> Call:
        return call(Reader(Heads(enter=False)), texts())

    def mended() -> Call:
        return call(Reader(Heads()), texts())


@silent("view_for_permute", "body")
class heads_joined_without_transpose:
    """(B, N, T, D).reshape(B, T, H)."""

    def broken() -> Call:
        return call(Reader(Heads(leave=False)), texts())

    def mended() -> Call:
        return call(Reader(Heads()), texts())


class LastStates(nn.Module):
    def __init__(self, permute: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 24)
        self.lstm = nn.LSTM(24, 6, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 3)
        self.permute = permute

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        _, (h, _) = self.lstm(self.words(ids))
        h = h.transpose(0, 1).reshape(ids.shape[0], -1) if self.permute else h.view(ids.shape[0], -1)
        return self.out(h)


@silent("view_for_permute", "")
class last_states_of_two_directions_viewed:
    """h_n (2, B, H).view(B, 2H) mixes the texts of a batch."""

    def broken() -> Call:
        return call(LastStates(False), texts())

    def mended() -> Call:
        return call(LastStates(True), texts())


class Patches(nn.Module):
    def __init__(self, right: bool) -> None:
        super().__init__()
        self.embed, self.out, self.right = nn.Linear(48, 16), nn.Linear(16, 3), right

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b = x.shape[0]
        if not self.right:
            return self.out(torch.tanh(self.embed(x.view(b, 16, 48))).mean(1))
        x = x.view(b, 3, 4, 4, 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(b, 16, 48)
        return self.out(torch.tanh(self.embed(x)).mean(1))


@silent("view_for_permute", "")
class patches_cut_by_view:
    """An image (B, 3, 16, 16).view(B, patches, 48): no patch but a strip of pixels."""

    def broken() -> Call:
        return call(Patches(False), torch.randn(4, 3, 16, 16))

    def mended() -> Call:
        return call(Patches(True), torch.randn(4, 3, 16, 16))


# --- batch_first ---------------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, kind: type, first: bool) -> None:
        super().__init__()
        self.words, self.rnn, self.out = nn.Embedding(VOCABULARY, 24), kind(24, 10, batch_first=first), nn.Linear(10, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(self.words(ids))[0][:, -1])


@silent("batch_first", "rnn")
class lstm_without_batch_first:
    """An LSTM that walks from text to text."""

    def broken() -> Call:
        return call(Recurrent(nn.LSTM, False), texts())

    def mended() -> Call:
        return call(Recurrent(nn.LSTM, True), texts())


@silent("batch_first", "rnn")
class gru_without_batch_first:
    """The same with a GRU, and a batch of two."""

    def broken() -> Call:
        return call(Recurrent(nn.GRU, False), texts(2, 9))

    def mended() -> Call:
        return call(Recurrent(nn.GRU, True), texts(2, 9))


class SelfAttended(nn.Module):
    def __init__(self, first: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 3, batch_first=first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attention(x, x, x)[0]


@silent("batch_first", "body.attention")
class attention_without_batch_first:
    """nn.MultiheadAttention lets the texts attend to each other."""

    def broken() -> Call:
        return call(Reader(SelfAttended(False)), texts())

    def mended() -> Call:
        return call(Reader(SelfAttended(True)), texts())


def encoder(first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(24, 3, 48, batch_first=first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


@silent("batch_first", "body.layers.0.self_attn")
class transformer_encoder_without_batch_first:
    """nn.TransformerEncoder likewise."""

    def broken() -> Call:
        return call(Reader(encoder(False)), texts())

    def mended() -> Call:
        return call(Reader(encoder(True)), texts())


# --- softmax -------------------------------------------------------------------------------------------------------


@silent("softmax_dimension", "body")
class softmax_over_queries:
    """Attention weights that sum to one over the queries."""

    def broken() -> Call:
        return call(Reader(Attention(dim=1)), texts())

    def mended() -> Call:
        return call(Reader(Attention(dim=-1)), texts())


@silent("softmax_dimension", "2")
class softmax_over_the_batch:
    """nn.Softmax(dim=0) at the end of a classifier."""

    def broken() -> Call:
        return call(nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 3), nn.Softmax(dim=0)), torch.randn(4, 7))

    def mended() -> Call:
        return call(nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 3), nn.Softmax(dim=-1)), torch.randn(4, 7))


class AttentionPooling(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score, self.dim = nn.Linear(24, 1), dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.score(x), dim=self.dim)
        return (weights * x).sum(1, keepdim=True)


@silent("softmax_dimension", "body")
class softmax_over_one_score:
    """(B, T, 1).softmax(-1): every weight is one, the pooling is a sum, the scorer never trains."""

    def broken() -> Call:
        return call(Reader(AttentionPooling(-1)), texts())

    def mended() -> Call:
        return call(Reader(AttentionPooling(1)), texts())


class Tagger(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.words, self.out, self.dim = nn.Embedding(VOCABULARY, 24), nn.Linear(24, 9), dim

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(self.out(self.words(ids)), dim=self.dim)


@silent("softmax_dimension", "")
class classes_of_a_token_over_tokens:
    """(B, T, K).log_softmax(1) for token classes."""

    def broken() -> Call:
        return call(Tagger(1), texts())

    def mended() -> Call:
        return call(Tagger(2), texts())


class Likelihood(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.body, self.way = nn.Linear(7, 5), way

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict:
        scores = self.body(x)
        if self.way == "softmax then cross_entropy":
            return {"loss": F.cross_entropy(scores.softmax(-1), labels), "logits": scores}
        if self.way == "nll of scores":
            return {"loss": F.nll_loss(scores, labels), "logits": scores}
        return {"loss": F.nll_loss(scores.log_softmax(-1), labels), "logits": scores}


@silent("softmax_twice", "")
class softmax_before_cross_entropy:
    """cross_entropy of probabilities."""

    def broken() -> Call:
        return call(Likelihood("softmax then cross_entropy"), torch.randn(4, 7), labels=torch.tensor([0, 1, 2, 4]))

    def mended() -> Call:
        return call(Likelihood("right"), torch.randn(4, 7), labels=torch.tensor([0, 1, 2, 4]))


@silent("loss_input", "")
class nll_loss_of_scores:
    """NLLLoss without a log_softmax."""

    def broken() -> Call:
        return call(Likelihood("nll of scores"), torch.randn(4, 7), labels=torch.tensor([0, 1, 2, 4]))

    def mended() -> Call:
        return call(Likelihood("right"), torch.randn(4, 7), labels=torch.tensor([0, 1, 2, 4]))


# --- broadcasting --------------------------------------------------------------------------------------------------


class Regression(nn.Module):
    def __init__(self, loss: Callable, squeeze: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(7, 11), nn.Tanh(), nn.Linear(11, 1))
        self.loss, self.squeeze = loss, squeeze

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict:
        y = self.body(x)
        y = y.squeeze(-1) if self.squeeze else y
        return {"loss": self.loss(y, labels), "prediction": y}


@silent("broadcast", "")
class mean_squared_error_of_a_column_and_a_row:
    """mse_loss of (B, 1) and (B,)."""

    def broken() -> Call:
        return call(Regression(F.mse_loss, False), torch.randn(6, 7), labels=torch.randn(6))

    def mended() -> Call:
        return call(Regression(F.mse_loss, True), torch.randn(6, 7), labels=torch.randn(6))


@silent("broadcast", "")
class hand_written_loss_of_a_column_and_a_row:
    """((prediction - target) ** 2).mean() of (B, 1) and (B,)."""

    def broken() -> Call:
        return call(Regression(lambda y, t: ((y - t) ** 2).mean(), False), torch.randn(6, 7), labels=torch.randn(6))

    def mended() -> Call:
        return call(Regression(lambda y, t: ((y - t) ** 2).mean(), True), torch.randn(6, 7), labels=torch.randn(6))


@silent("broadcast", None)
class loss_function_of_a_column_and_a_row:
    """The same in a loss that is not part of the model."""

    def broken() -> Call:
        return call(nn.Linear(7, 1), torch.randn(6, 7), labels=torch.randn(6), loss_fn=nn.L1Loss())

    def mended() -> Call:
        return call(nn.Linear(7, 1), torch.randn(6, 7), labels=torch.randn(6, 1), loss_fn=nn.L1Loss())


# --- padding and masks ---------------------------------------------------------------------------------------------


class Pooled(nn.Module):
    """BERT and a pooling; the mask reaches the attention."""

    def __init__(self, pooling: str, attention: str = "eager", pass_mask: bool = True) -> None:
        super().__init__()
        self.bert = tiny_bert(attention=attention, hidden_dropout_prob=0.0)
        self.out, self.pooling, self.pass_mask = nn.Linear(24, 3), pooling, pass_mask

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.bert(input_ids, attention_mask=attention_mask if self.pass_mask else None).last_hidden_state
        m = attention_mask[..., None].to(x.dtype)
        if self.pooling == "mean":
            x = x.mean(1)
        elif self.pooling == "max":
            x = x.amax(1)
        elif self.pooling == "last":
            x = x[:, -1]
        elif self.pooling == "cls":
            x = x[:, 0]
        elif self.pooling == "masked mean":
            x = (x * m).sum(1) / m.sum(1)
        elif self.pooling == "masked max":
            x = x.masked_fill(m == 0, -1e9).amax(1)
        elif self.pooling == "own last":
            x = x[torch.arange(len(x)), attention_mask.long().sum(1) - 1]
        return self.out(x)


def _pooling(wrong: str, right: str, about: str) -> None:
    class pair:
        def broken() -> Call:
            return call(Pooled(wrong), *padded())

        def mended() -> Call:
            return call(Pooled(right), *padded())

    pair.__name__, pair.__doc__ = f"{wrong}_over_padding", about
    silent("padding", "")(pair)


_pooling("mean", "masked mean", "The mean over all positions, padding among them.")
_pooling("max", "masked max", "The maximum over all positions.")
_pooling("last", "own last", "The last position, which is padding in all texts but the longest.")


@silent("mask_ignored", "bert")
class mask_not_passed_on:
    """A model that takes a mask and forgets it."""

    def broken() -> Call:
        return call(Pooled("cls", pass_mask=False), *padded())

    def mended() -> Call:
        return call(Pooled("cls"), *padded())


class Bidirectional(nn.Module):
    def __init__(self, pack: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 24, padding_idx=0)
        self.lstm = nn.LSTM(24, 6, batch_first=True, bidirectional=True)
        self.out, self.pack = nn.Linear(12, 3), pack

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        x = self.words(ids)
        if self.pack:
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(x)
        return self.out(torch.cat([h[0], h[1]], -1))


@silent("padding", "lstm")
class sequence_not_packed:
    """An LSTM in two directions that reads the padding, although the lengths are known."""

    def broken() -> Call:
        ids, mask = padded()
        return call(Bidirectional(False), ids, mask.sum(1))

    def mended() -> Call:
        ids, mask = padded()
        return call(Bidirectional(True), ids, mask.sum(1))


class LastStep(nn.Module):
    def __init__(self, own: bool) -> None:
        super().__init__()
        self.words, self.gru = nn.Embedding(VOCABULARY, 24, padding_idx=0), nn.GRU(24, 6, batch_first=True)
        self.out, self.own = nn.Linear(6, 3), own

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.gru(self.words(ids))[0]
        x = x[torch.arange(len(ids)), (ids != 0).sum(1) - 1] if self.own else x[:, -1]
        return self.out(x)


@silent("padding", "gru")
class last_step_with_nothing_but_ids:
    """The last step of a GRU; only the padding id says what padding is."""

    def broken() -> Call:
        return call(LastStep(False), padded()[0])

    def mended() -> Call:
        return call(LastStep(True), padded()[0])


def _mask_kind(name: str, attention: str, make: Callable[[torch.Tensor], torch.Tensor], about: str) -> None:
    class pair:
        def broken() -> Call:
            ids, mask = padded()
            return call(tiny_bert(attention=attention), ids, attention_mask=make(mask))

        def mended() -> Call:
            ids, mask = padded()
            return call(tiny_bert(attention=attention), ids, attention_mask=mask)

    pair.__name__, pair.__doc__ = name, about
    silent("mask_kind", "encoder.layer.0.attention.self")(pair)


_mask_kind("float_mask_in_4_d_eager", "eager", lambda m: m[:, None, None].float(), "A 4-D mask of 0.0 and 1.0 is added to the scores.")  # fmt: skip
_mask_kind("float_mask_in_4_d_sdpa", "sdpa", lambda m: m[:, None, None].float(), "The same with sdpa.")
_mask_kind("bool_mask_in_4_d_eager", "eager", lambda m: m[:, None, None].bool(), "A 4-D mask of True and False is added as 1 and 0 by eager attention.")  # fmt: skip
_mask_kind("additive_mask_in_2_d", "sdpa", lambda m: (1.0 - m) * -10000.0, "A 2-D mask of 0 and -10000 is read as 1 for -10000.")  # fmt: skip


class Keys(nn.Module):
    """torch's own attention, whose mask is True at padding."""

    def __init__(self, invert: bool) -> None:
        super().__init__()
        self.words, self.body, self.out = nn.Embedding(VOCABULARY, 24), encoder(True), nn.Linear(24, 3)
        self.invert = invert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask == 0 if self.invert else attention_mask == 1
        return self.out(self.body(self.words(input_ids), src_key_padding_mask=mask)[:, 0])


@silent("mask_kind", "body")
class key_padding_mask_the_wrong_way_round:
    """transformers' mask is 1 at tokens, torch's is True at padding."""

    def broken() -> Call:
        return call(Keys(False), *padded())

    def mended() -> Call:
        return call(Keys(True), *padded())


class QueryMask(Attention):
    def __init__(self, keys: bool) -> None:
        super().__init__()
        self.words, self.keys, self.out = nn.Embedding(VOCABULARY, 24), keys, nn.Linear(24, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.words(ids)
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        scores = scores.masked_fill((mask[:, None] if self.keys else mask[:, :, None]) == 0, -1e9)
        return self.out((scores.softmax(-1) @ self.value(x))[:, 0])


@silent("mask_kind", "")
class mask_over_queries:
    """mask.unsqueeze(-1) hides rows of the attention instead of columns."""

    def broken() -> Call:
        return call(QueryMask(False), *padded())

    def mended() -> Call:
        return call(QueryMask(True), *padded())


class SquareMask(Attention):
    def __init__(self, right: bool) -> None:
        super().__init__()
        self.words, self.right, self.out = nn.Embedding(VOCABULARY, 24), right, nn.Linear(24, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.words(ids)
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        scores = scores.masked_fill((mask[:, None] if self.right else mask) == 0, -1e9)
        return self.out((scores.softmax(-1) @ self.value(x))[:, 0])


@silent("equal_sizes", None)
class mask_that_fits_because_b_is_t:
    """A (B, T) mask on (B, T, T) scores: it fits only where B == T, and then to the wrong dimension."""

    def broken() -> Call:
        return call(SquareMask(False), *padded(6, 6))

    def mended() -> Call:
        return call(SquareMask(True), *padded(6, 6))


# --- neighbours, a batch of one ------------------------------------------------------------------------------------


class LayerAttention(nn.Module):
    """Weights over layers from scores that were summed over the batch, or not."""

    def __init__(self, over_batch: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(7, 7) for _ in range(3)])
        self.score, self.out, self.over_batch = nn.Linear(7, 1), nn.Linear(7, 2), over_batch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = []
        for layer in self.layers:
            x = torch.tanh(layer(x))
            states.append(x)
        stacked = torch.stack(states, 1)  # (B, L, H)
        scores = self.score(stacked)
        if self.over_batch:
            scores = scores.sum(0, keepdim=True)
        return self.out((scores.softmax(1) * stacked).sum(1))


@silent("batch_leak", "")
class layer_weights_from_the_whole_batch:
    """An old recipe's attention over layers: an example's answer depends on its neighbours."""

    def broken() -> Call:
        return call(LayerAttention(True), torch.randn(4, 7))

    def mended() -> Call:
        return call(LayerAttention(False), torch.randn(4, 7))


class Normalised(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body, self.out, self.dim = nn.Linear(7, 6), nn.Linear(6, 2), dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x)
        x = (x - x.mean(self.dim, keepdim=True)) / (x.std(self.dim, keepdim=True) + 1e-6)
        return self.out(x)


@silent("batch_leak", "")
class normalised_over_the_batch:
    """Standardised over dimension 0, the batch, also in evaluation mode."""

    def broken() -> Call:
        return call(Normalised(0), torch.randn(4, 7))

    def mended() -> Call:
        return call(Normalised(1), torch.randn(4, 7))


class Squeezed(nn.Module):
    def __init__(self, right: bool) -> None:
        super().__init__()
        self.words, self.conv, self.out = nn.Embedding(VOCABULARY, 24), nn.Conv2d(1, 8, (3, 24)), nn.Linear(8, 3)
        self.right = right

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv(self.words(ids)[:, None])).amax(2, keepdim=True)
        return self.out(x.flatten(1) if self.right else x.squeeze())


@silent("batch_of_one", "")
class squeeze_loses_a_batch_of_one:
    """.squeeze() without a dimension."""

    def broken() -> Call:
        return call(Squeezed(False), texts())

    def mended() -> Call:
        return call(Squeezed(True), texts())


# --- layers, dropout, gradients ------------------------------------------------------------------------------------


class Made(nn.Module):
    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.first = nn.Linear(7, 6)
        if not inside:
            self.second = nn.Linear(6, 3)
        self.inside = inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layer = nn.Linear(6, 3) if self.inside else self.second
        return layer(torch.relu(self.first(x)))


@silent("layer_in_forward", "")
class layer_made_inside_forward:
    """nn.Linear(...)(x) in forward: new random weights each time."""

    def broken() -> Call:
        return call(Made(True), torch.randn(4, 7))

    def mended() -> Call:
        return call(Made(False), torch.randn(4, 7))


class Listed(nn.Module):
    def __init__(self, kind: Callable) -> None:
        super().__init__()
        self.layers, self.out = kind([nn.Linear(7, 7), nn.Linear(7, 7)]), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)


@silent("unregistered_layer", "")
class layers_in_a_plain_list:
    """Layers in a Python list are no part of the model."""

    def broken() -> Call:
        return call(Listed(list), torch.randn(4, 7))

    def mended() -> Call:
        return call(Listed(nn.ModuleList), torch.randn(4, 7))


class Dropped(nn.Module):
    def __init__(self, right: bool) -> None:
        super().__init__()
        self.body, self.out, self.right = nn.Linear(7, 16), nn.Linear(16, 3), right

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.body(x))
        x = F.dropout(x, 0.3, training=self.training) if self.right else F.dropout(x, 0.3)
        return self.out(x)


@silent("dropout_in_eval", "")
class functional_dropout_always_on:
    """F.dropout(x) drops in evaluation mode too."""

    def broken() -> Call:
        return call(Dropped(False), torch.randn(4, 7))

    def mended() -> Call:
        return call(Dropped(True), torch.randn(4, 7))


class DropoutMade(nn.Module):
    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.body, self.inside = nn.Linear(7, 16), inside
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (nn.Dropout(0.5) if self.inside else self.dropout)(self.body(x))


@silent("dropout_in_eval", "")
class dropout_layer_made_in_forward:
    """nn.Dropout()(x) in forward is always in training mode."""

    def broken() -> Call:
        return call(DropoutMade(True), torch.randn(4, 7))

    def mended() -> Call:
        return call(DropoutMade(False), torch.randn(4, 7))


class Detached(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.body, self.out, self.way = nn.Sequential(nn.Linear(7, 6), nn.Tanh()), nn.Linear(6, 3), way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "no_grad":
            with torch.no_grad():
                return self.out(self.body(x))
        x = self.body(x)
        return self.out(x.detach() if self.way == "detach" else x)


@silent("no_gradient", "body")
class detached_in_the_middle:
    """.detach() between body and classifier."""

    def broken() -> Call:
        return call(Detached("detach"), torch.randn(4, 7))

    def mended() -> Call:
        return call(Detached("right"), torch.randn(4, 7))


@silent("no_gradient", "")
class everything_under_no_grad:
    """A forward pass under no_grad, left over from evaluation."""

    def broken() -> Call:
        return call(Detached("no_grad"), torch.randn(4, 7))

    def mended() -> Call:
        return call(Detached("right"), torch.randn(4, 7))


class Forgotten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.out = nn.Linear(7, 6), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        self.norm(x)
        return self.out(x)


class Remembered(Forgotten):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.first(x)))


@silent("no_gradient", "norm")
class result_thrown_away:
    """self.norm(x) without x = ."""

    def broken() -> Call:
        return call(Forgotten(), torch.randn(4, 7))

    def mended() -> Call:
        return call(Remembered(), torch.randn(4, 7))


class NotChained(nn.Module):
    def __init__(self, chain: bool) -> None:
        super().__init__()
        self.layers, self.chain = nn.ModuleList([nn.Linear(7, 7) for _ in range(3)]), chain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in self.layers:
            y = torch.relu(layer(y if self.chain else x))
        return y


@silent("no_gradient", "layers.0")
class layers_not_chained:
    """A loop in which every layer reads the input and only the last one counts."""

    def broken() -> Call:
        return call(NotChained(False), torch.randn(4, 7))

    def mended() -> Call:
        return call(NotChained(True), torch.randn(4, 7))


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(7, 7), nn.Linear(7, 7), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.first(torch.relu(self.first(x)))))


class Used(Unused):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.second(torch.relu(self.first(x)))))


@silent("no_gradient", "second")
class layer_never_called:
    """The same layer called twice, the second one never."""

    def broken() -> Call:
        return call(Unused(), torch.randn(4, 7))

    def mended() -> Call:
        return call(Used(), torch.randn(4, 7))
