"""Models that work, of the kinds people really write: preflight must stay silent on every one of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from catalogue.silent import VOCABULARY, Attention, Call, Heads, Reader, call, encoder, padded, texts, tiny_bert
from torch import nn
from torch.nn import functional as F

WORKING: dict[str, Callable[[], Call]] = {}


def working(make: Callable[[], Call]) -> Callable[[], Call]:
    WORKING[make.__name__] = make
    return make


def image(rows: int = 4, size: int = 12) -> torch.Tensor:
    return torch.rand(rows, 3, size, size, generator=torch.Generator().manual_seed(rows))


# --- plain ---------------------------------------------------------------------------------------------------------


@working
def linear() -> Call:
    return call(nn.Linear(7, 3), torch.randn(4, 7))


@working
def mlp() -> Call:
    return call(nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)), torch.randn(4, 7))


@working
def mlp_with_a_loss_function() -> Call:
    model = nn.Sequential(nn.Linear(7, 16), nn.GELU(), nn.Linear(16, 3))
    return call(model, torch.randn(4, 7), labels=torch.tensor([0, 2, 1, 1]), loss_fn=nn.CrossEntropyLoss())


@working
def regression_with_equal_shapes() -> Call:
    return call(nn.Linear(7, 1), torch.randn(4, 7), labels=torch.randn(4, 1), loss_fn=nn.MSELoss())


@working
def log_softmax_and_nll() -> Call:
    model = nn.Sequential(nn.Linear(7, 5), nn.LogSoftmax(dim=1))
    return call(model, torch.randn(4, 7), labels=torch.tensor([0, 2, 1, 4]), loss_fn=nn.NLLLoss())


@working
def sigmoid_and_binary_cross_entropy() -> Call:
    model = nn.Sequential(nn.Linear(7, 1), nn.Sigmoid(), nn.Flatten(0))
    return call(model, torch.randn(4, 7), labels=torch.tensor([0.0, 1, 1, 0]), loss_fn=nn.BCELoss())


@working
def a_loss_that_holds_its_targets() -> Call:
    targets = torch.randn(4, 3)
    return call(nn.Linear(7, 3), torch.randn(4, 7), loss_fn=lambda y: F.mse_loss(y, targets))


@working
def batchnorm_net() -> Call:
    return call(nn.Sequential(nn.Linear(7, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)), torch.randn(4, 7))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.SiLU()) for _ in range(3)])
        self.gates = nn.Parameter(torch.zeros(3))  # at the start every block is skipped
        self.out = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for gate, block in zip(self.gates, self.blocks, strict=True):
            x = x + gate * block(x)
        return self.out(x)


@working
def residual_with_gates_at_zero() -> Call:
    return call(Residual(), torch.randn(4, 8))


class LowRank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 8).requires_grad_(False)
        self.a, self.b = nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.b(self.a(x))


@working
def low_rank_adapter() -> Call:
    return call(LowRank(), torch.randn(4, 8))


@working
def frozen_body() -> Call:
    model = nn.Sequential(nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3))
    model[0].requires_grad_(False)
    return call(model, torch.randn(4, 7))


@working
def everything_frozen() -> Call:
    return call(nn.Sequential(nn.Linear(7, 6), nn.Tanh()).requires_grad_(False), torch.randn(4, 7))


@working
def model_in_half_precision() -> Call:
    return call(nn.Sequential(nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 2)).bfloat16(), torch.randn(4, 7).bfloat16())


class FixedDtype(nn.Module):
    """Casts to float32 inside, so that it cannot be run in double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float() @ self.weight + torch.zeros(3, dtype=torch.float32)


@working
def model_that_insists_on_float32() -> Call:
    return call(FixedDtype(), torch.randn(4, 7))


@working
def one_example_only() -> Call:
    return call(nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 2)), torch.randn(1, 7))


# --- images --------------------------------------------------------------------------------------------------------


@working
def small_cnn() -> Call:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip
    return call(model, image())


class Flattened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)
        self.pool, self.fc = nn.MaxPool2d(2, 2), nn.Linear(8 * 4 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv2(torch.relu(self.conv1(x)))
        return self.fc(self.pool(torch.relu(x)).view(-1, 8 * 4 * 4))


@working
def cnn_flattened_by_view() -> Call:
    return call(Flattened(), image())


@working
def convolutional_autoencoder() -> Call:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(8, 3, 2, stride=2), nn.Sigmoid(),
    )  # fmt: skip
    return call(model, image(), labels=image(), loss_fn=nn.MSELoss())


class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(7, 8), nn.Linear(4, 7)

    def forward(self, x: torch.Tensor) -> tuple:
        mean, spread = self.encoder(x).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * spread) * torch.randn_like(spread)
        return self.decoder(z), mean, spread


@working
def variational_autoencoder() -> Call:
    return call(Variational(), torch.randn(4, 7))


class Vision(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.cls = nn.Conv2d(3, 24, 4, stride=4), nn.Parameter(torch.zeros(1, 1, 24))
        self.positions, self.body, self.out = nn.Parameter(torch.zeros(1, 10, 24)), encoder(True), nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.out(self.body(x)[:, 0])


@working
def vision_transformer() -> Call:
    return call(Vision(), image())


class Shuffle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.Conv2d(8, 12, 1, groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
        return F.pixel_shuffle(self.out(x), 2)


@working
def shuffled_channels_and_pixels() -> Call:
    return call(Shuffle(), image())


class Squeeze(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(3, 8, 3), nn.Linear(8, 2), nn.Linear(2, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        gate = torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3))))))
        return (x * gate[:, :, None, None]).flatten(2).amax(-1)


@working
def squeeze_and_excitation() -> Call:
    return call(Squeeze(), image())


# --- texts ---------------------------------------------------------------------------------------------------------


class TextCNN(nn.Module):
    def __init__(self, mask: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 24, padding_idx=0)
        self.convs = nn.ModuleList([nn.Conv2d(1, 8, (k, 24)) for k in (2, 3, 4)])
        self.dropout, self.out = nn.Dropout(0.5), nn.Linear(24, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids).unsqueeze(1)
        x = [torch.relu(conv(x)).squeeze(3) for conv in self.convs]
        x = [F.max_pool1d(c, c.size(2)).squeeze(2) for c in x]
        return self.out(self.dropout(torch.cat(x, 1)))


@working
def text_cnn() -> Call:
    return call(TextCNN(), texts())


@working
def text_cnn_on_padded_texts() -> Call:
    return call(TextCNN(), padded(4, 14)[0])


class MaskedCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 24, padding_idx=0)
        self.conv, self.out = nn.Conv1d(24, 8, 3, padding=1), nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        m = attention_mask[:, None].bool()
        x = self.conv(self.words(ids).transpose(1, 2).masked_fill(~m, 0.0))
        return self.out(torch.relu(x).masked_fill(~m, float("-inf")).amax(-1))


@working
def text_cnn_with_a_mask() -> Call:
    return call(MaskedCNN(), *padded())


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(VOCABULARY, 24, padding_idx=0), nn.Linear(24, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        count = (ids != 0).sum(1, keepdim=True).clamp(min=1)
        return self.out(self.words(ids).sum(1) / count)


@working
def bag_of_words() -> Call:
    return call(Bag(), padded()[0])


@working
def embedding_bag() -> Call:
    return call(nn.Sequential(nn.EmbeddingBag(VOCABULARY, 8), nn.Linear(8, 3)), texts())


class Packed(nn.Module):
    def __init__(self, kind: type = nn.LSTM) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 24)
        self.rnn, self.out = kind(24, 6, num_layers=2, dropout=0.3, batch_first=True, bidirectional=True), nn.Linear(12, 3)  # fmt: skip

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        x = nn.utils.rnn.pack_padded_sequence(self.words(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        h = self.rnn(x)[1]
        h = h[0] if isinstance(h, tuple) else h
        return self.out(torch.cat([h[-2], h[-1]], dim=1))


@working
def packed_lstm() -> Call:
    ids, mask = padded()
    return call(Packed(), ids, mask.sum(1))


@working
def packed_gru() -> Call:
    ids, mask = padded()
    return call(Packed(nn.GRU), ids, lengths=mask.sum(1))


class PaddedBack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn, self.out = nn.Embedding(VOCABULARY, 24), nn.LSTM(24, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        lengths = attention_mask.sum(1).cpu()
        x = nn.utils.rnn.pack_padded_sequence(self.words(ids), lengths, batch_first=True, enforce_sorted=False)
        x, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(x)[0], batch_first=True)
        return self.out(x)


@working
def tagger_with_packing() -> Call:
    return call(PaddedBack(), *padded())


class LastStep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn, self.out = nn.Embedding(VOCABULARY, 24), nn.LSTM(24, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(self.words(ids))[0][:, -1])


@working
def last_step_of_unpadded_texts() -> Call:
    return call(LastStep(), texts())


class TimeFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.LSTM(5, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][-1])


@working
def lstm_with_time_first_on_purpose() -> Call:
    return call(TimeFirst(), torch.randn(9, 4, 5))


@working
def bare_lstm_with_time_first() -> Call:
    return call(nn.LSTM(5, 6), torch.randn(9, 4, 5))


@working
def bare_transformer_with_time_first() -> Call:
    return call(encoder(False), torch.randn(9, 4, 24))


@working
def transformer_encoder() -> Call:
    return call(Reader(encoder(True)), texts())


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.body, self.out = nn.Embedding(VOCABULARY, 24), encoder(True), nn.Linear(24, 3)

    def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.body(self.words(ids), src_key_padding_mask=attention_mask == 0)
        m = attention_mask[..., None].to(x.dtype)
        return self.out((x * m).sum(1) / m.sum(1).clamp(min=1))


@working
def transformer_encoder_with_mask() -> Call:
    return call(Masked(), *padded())


@working
def own_attention() -> Call:
    return call(Reader(Attention()), texts())


@working
def own_heads() -> Call:
    return call(Reader(Heads()), texts())


class Additive(nn.Module):
    """Attention pooling over an LSTM, with the mask where it belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn = nn.Embedding(VOCABULARY, 24), nn.GRU(24, 12, batch_first=True)
        self.score, self.out = nn.Linear(12, 1), nn.Linear(12, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple:
        x, _ = self.rnn(self.words(ids))
        scores = self.score(torch.tanh(x)).squeeze(-1).masked_fill(mask == 0, -1e9)
        weights = scores.softmax(-1)
        return self.out(torch.bmm(weights.unsqueeze(1), x).squeeze(1)), weights


@working
def attention_pooling() -> Call:
    return call(Additive(), *padded())


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(VOCABULARY, 24), nn.Embedding(40, 24)
        self.qkv, self.mix, self.norm = nn.Linear(24, 72), nn.Linear(24, 24), nn.LayerNorm(24)
        self.head = nn.Linear(24, VOCABULARY, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("mask", torch.tril(torch.ones(40, 40)).view(1, 1, 40, 40))

    def forward(self, ids: torch.Tensor, labels: torch.Tensor | None = None) -> dict:
        b, t = ids.shape
        x = self.words(ids) + self.positions(torch.arange(t))
        q, k, v = (y.view(b, t, 3, 8).transpose(1, 2) for y in self.qkv(self.norm(x)).split(24, dim=2))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(8)
        scores = scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        x = x + self.mix((scores.softmax(-1) @ v).transpose(1, 2).contiguous().view(b, t, 24))
        logits = self.head(x)
        loss = None if labels is None else F.cross_entropy(logits.view(-1, VOCABULARY), labels.view(-1))
        return {"logits": logits, "loss": loss}


@working
def small_gpt() -> Call:
    return call(Causal(), texts())


@working
def small_gpt_with_labels() -> Call:
    return call(Causal(), texts(), labels=texts())


class Cross(nn.Module):
    """Two sequences of different lengths that look at each other, with softmaxes over both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(VOCABULARY, 24), nn.Linear(48, 3)

    def forward(self, question: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        q, t = self.words(question), self.words(text)
        scores = q @ t.transpose(1, 2)
        a = scores.softmax(2) @ t
        b = scores.softmax(1).transpose(1, 2) @ q
        return self.out(torch.cat([a.amax(1), b.amax(1)], -1))


@working
def two_sequences_attending_to_each_other() -> Call:
    return call(Cross(), texts(4, 6), texts(4, 12))


class Towers(nn.Module):
    """Similarities of all pairs in a batch: (B, B) is meant."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(7, 5), nn.Linear(6, 5)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict:
        a, b = F.normalize(self.left(a), dim=-1), F.normalize(self.right(b), dim=-1)
        scores = a @ b.T / 0.1
        return {"scores": scores, "loss": F.cross_entropy(scores, torch.arange(len(a)))}


@working
def contrastive_towers() -> Call:
    return call(Towers(), torch.randn(4, 7), torch.randn(4, 6))


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 3)
        self.experts = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.gate(x).softmax(-1)
        return (torch.stack([e(x) for e in self.experts], -2) * weights.unsqueeze(-1)).sum(-2)


@working
def mixture_of_experts() -> Call:
    return call(Experts(), torch.randn(4, 8))


class Tasks(nn.Module):
    """One head a task; this call uses one of them, and there is an optional input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(7, 8)
        self.heads = nn.ModuleDict({"topic": nn.Linear(8, 5), "mood": nn.Linear(8, 2)})
        self.extra = nn.Linear(3, 8)

    def forward(self, x: torch.Tensor, extra: torch.Tensor | None = None, task: str = "topic") -> torch.Tensor:
        x = self.body(x)
        if extra is not None:
            x = x + self.extra(extra)
        return self.heads[task](torch.relu(x))


@working
def one_of_several_tasks() -> Call:
    return call(Tasks(), torch.randn(4, 7), task="mood")


class MultiOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.a, self.b = nn.Linear(7, 8), nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict:
        x = torch.relu(self.body(x))
        out = {"class": self.a(x), "size": self.b(x).squeeze(-1)}
        if labels is not None:
            out["loss"] = F.cross_entropy(out["class"], labels)
        return out


@working
def several_outputs() -> Call:
    return call(MultiOutput(), torch.randn(4, 7))


@working
def several_outputs_and_a_loss_for_one() -> Call:
    return call(MultiOutput(), torch.randn(4, 7), labels=torch.tensor([0, 1, 2, 0]))


class Graph(nn.Module):
    """Nodes are not a batch: neighbours are meant to matter."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(7, 3)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        return adjacency @ self.layer(x)


@working
def graph_convolution() -> Call:
    return call(Graph(), torch.randn(5, 7), torch.ones(5, 5) / 5)


# --- transformers --------------------------------------------------------------------------------------------------


def _bert(name: str, kind: str, attention: str, labels: Callable[[], Any] | None = None, **options: Any) -> None:
    def make() -> Call:
        ids, mask = padded()
        kwargs = {} if labels is None else {"labels": labels()}
        return call(tiny_bert(kind, attention, **options), ids, attention_mask=mask, **kwargs)

    make.__name__ = name
    working(make)


for _attention in ("eager", "sdpa"):
    _bert(f"bert_model_{_attention}", "BertModel", _attention)
    _bert(f"bert_classifier_{_attention}", "BertForSequenceClassification", _attention, num_labels=5)
    _bert(f"bert_classifier_with_labels_{_attention}", "BertForSequenceClassification", _attention, lambda: torch.tensor([0, 4, 2, 1]), num_labels=5)  # fmt: skip
    _bert(f"bert_tagger_with_labels_{_attention}", "BertForTokenClassification", _attention, lambda: texts() % 5, num_labels=5)  # fmt: skip
_bert("bert_masked_language_model", "BertForMaskedLM", "sdpa", texts)
_bert("bert_regression", "BertForSequenceClassification", "sdpa", lambda: torch.randn(4), num_labels=1)
_bert("bert_with_all_outputs", "BertModel", "eager", output_hidden_states=True, output_attentions=True)
_bert("bert_next_sentence", "BertForNextSentencePrediction", "sdpa", lambda: torch.tensor([0, 1, 1, 0]))
_bert("bert_question_answering", "BertForQuestionAnswering", "sdpa")


@working
def bert_with_token_types_and_four_d_masks() -> Call:
    ids, mask = padded()
    additive = (1.0 - mask[:, None, None].float()) * torch.finfo(torch.float32).min
    return call(tiny_bert(), ids, attention_mask=additive, token_type_ids=torch.zeros_like(ids))


@working
def bert_with_a_four_d_bool_mask_in_sdpa() -> Call:
    ids, mask = padded()
    return call(tiny_bert(attention="sdpa"), ids, attention_mask=mask[:, None, None].bool())


class BertCNN(nn.Module):
    """Hidden states of all layers as channels; BERT's pooler is not used, and that is no mistake."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = tiny_bert(attention="sdpa")
        self.conv, self.out = nn.Conv2d(3, 8, (3, 24)), nn.Linear(8, 3)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        states = self.bert(input_ids, output_hidden_states=True).hidden_states
        return self.out(torch.relu(self.conv(torch.stack(states, 1))).amax((2, 3)))


@working
def bert_cnn_over_layers() -> Call:
    return call(BertCNN(), texts())


@working
def two_towers_of_t5() -> Call:
    import transformers

    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=24, d_kv=8, d_ff=48, num_layers=1, num_heads=3, decoder_start_token_id=0
    )
    ids, mask = padded()
    return call(transformers.T5ForConditionalGeneration(config), ids, attention_mask=mask, labels=texts(4, 6))


@working
def gpt2_of_transformers() -> Call:
    import transformers

    config = transformers.GPT2Config(vocab_size=VOCABULARY, n_positions=40, n_embd=24, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=1)  # fmt: skip
    return call(transformers.GPT2LMHeadModel(config), texts(), labels=texts())


@working
def distilbert_of_transformers() -> Call:
    import transformers

    config = transformers.DistilBertConfig(vocab_size=VOCABULARY, max_position_embeddings=40, dim=24, n_layers=2, n_heads=3, hidden_dim=48)  # fmt: skip
    return call(transformers.DistilBertForSequenceClassification(config), *padded())
