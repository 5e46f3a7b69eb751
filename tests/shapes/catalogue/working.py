"""Models that work: `diagnose` and `preflight` have nothing to say about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

MODELS: dict[str, Callable[[], tuple[Callable[..., Any], tuple, dict]]] = {}


def model(make: Callable[[], tuple]) -> Callable[[], tuple]:
    def complete() -> tuple[Callable[..., Any], tuple, dict]:
        torch.manual_seed(0)
        callee, *args = make()
        kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
        return callee, tuple(args), kwargs

    MODELS[make.__name__] = complete
    return make


def ids(batch=3, tokens=11, vocabulary=23):
    return torch.randint(1, vocabulary, (batch, tokens))


@model
def linear():
    return nn.Linear(7, 5), torch.randn(3, 7)


@model
def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(35, 13), nn.ReLU(), nn.Dropout(0.1), nn.Linear(13, 2)), torch.randn(
        3, 5, 7
    )


@model
def image_cnn():
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 7, 3),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 2))  # fmt: skip
    return net, torch.randn(3, 3, 17, 19)


@model
def depthwise():
    return nn.Sequential(nn.Conv2d(6, 6, 3, groups=6, padding="same"), nn.Conv2d(6, 7, 1)), torch.randn(3, 6, 11, 13)


@model
def unbatched_image():
    return nn.Conv2d(3, 5, 3), torch.randn(3, 17, 19)


@model
def volume():
    return nn.Sequential(nn.Conv3d(2, 3, 3), nn.MaxPool3d(2)), torch.randn(3, 2, 7, 8, 9)


@model
def autoencoder():
    net = nn.Sequential(nn.Conv2d(1, 5, 3, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(5, 1, 2, stride=2))
    return net, torch.randn(3, 1, 12, 14)


class ResidualBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(width, width, 3, padding=1), nn.GroupNorm(1, width)

    def forward(self, x):
        return x + F.gelu(self.norm(self.conv(x)))


@model
def residual():
    return nn.Sequential(ResidualBlock(5), ResidualBlock(5)), torch.randn(3, 5, 11)


class TextCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(23, 7, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv1d(7, 5, k) for k in (2, 3, 4))
        self.fc = nn.Linear(15, 3)

    def forward(self, tokens):
        x = self.embedding(tokens).transpose(1, 2)
        return self.fc(torch.cat([conv(x).relu().amax(2) for conv in self.convs], dim=1))


@model
def text_cnn():
    return TextCNN(), ids()


class TextRNN(nn.Module):
    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.embedding = nn.Embedding(23, 7)
        self.rnn = kind(7, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(10, 3)

    def forward(self, tokens):
        output, _ = self.rnn(self.embedding(tokens))
        return self.fc(output.mean(1))


@model
def text_lstm():
    return TextRNN(), ids()


@model
def text_gru():
    return TextRNN(nn.GRU), ids()


@model
def text_rnn():
    return TextRNN(nn.RNN), ids()


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(7, 5, batch_first=True)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        return hidden[-1]


@model
def packed():
    return Packed(), torch.randn(3, 11, 7), torch.tensor([5, 11, 2])


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.fc = nn.EmbeddingBag(23, 7), nn.Linear(7, 3)

    def forward(self, tokens):
        return self.fc(self.bag(tokens))


@model
def fast_text():
    return Bag(), ids()


class CellLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(7, 5)

    def forward(self, x):
        h = c = x.new_zeros(x.size(0), 5)
        for step in x.unbind(1):
            h, c = self.cell(step, (h, c))
        return h


@model
def cell_loop():
    return CellLoop(), torch.randn(3, 11, 7)


class SelfAttention(nn.Module):
    def __init__(self, width=10, heads=2):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, mask):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5
        scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, width))


@model
def self_attention():
    return SelfAttention(), torch.randn(3, 11, 10), torch.ones(3, 11, dtype=torch.bool)


class Multihead(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(10, 2, batch_first=True)

    def forward(self, x, mask):
        return self.attention(x, x, x, key_padding_mask=mask)[0]


@model
def multihead():
    return Multihead(), torch.randn(3, 11, 10), torch.zeros(3, 11, dtype=torch.bool)


@model
def transformer_encoder():
    layer = nn.TransformerEncoderLayer(10, 2, 13, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.randn(3, 11, 10)


@model
def transformer_decoder():
    return nn.TransformerDecoderLayer(10, 2, 13, batch_first=True), torch.randn(3, 5, 10), torch.randn(3, 11, 10)


@model
def whole_transformer():
    return nn.Transformer(10, 2, 1, 1, 13, batch_first=True), torch.randn(3, 11, 10), torch.randn(3, 5, 10)


class Sdpa(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@model
def sdpa():
    return Sdpa(), *(torch.randn(3, 2, 11, 5) for _ in range(3))


@model
def norms():
    return nn.Sequential(nn.LayerNorm(7), nn.Linear(7, 5), nn.RMSNorm(5)), torch.randn(3, 11, 7)


@model
def bilinear():
    return nn.Bilinear(5, 7, 3), torch.randn(3, 5), torch.randn(3, 7)


@model
def upsample():
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 5, 3)), torch.randn(3, 3, 7, 8)


@model
def pixel_shuffle():
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2)), torch.randn(3, 3, 7, 8)


class Dictionary(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(7, 3)

    def forward(self, batch):
        return {"logits": self.fc(batch["x"]), "loss": F.cross_entropy(self.fc(batch["x"]), batch["labels"])}


@model
def dictionary():
    return Dictionary(), {"batch": {"x": torch.randn(3, 7), "labels": torch.tensor([0, 2, 1])}}


@model
def losses():
    def total(logits, labels):
        one_hot = F.one_hot(labels, 5).float()
        return (
            F.cross_entropy(logits, labels)
            + F.binary_cross_entropy_with_logits(logits, one_hot)
            + F.mse_loss(logits, one_hot)
        )

    return total, torch.randn(3, 5, requires_grad=True), torch.tensor([0, 4, 2])


@model
def token_loss():
    return F.cross_entropy, torch.randn(3, 5, 11), torch.randint(0, 5, (3, 11))


@model
def einsum():
    return torch.einsum, "bth,bsh->bts", torch.randn(3, 5, 7), torch.randn(3, 11, 7)


@model
def scatter():
    return lambda x, i: torch.zeros(3, 5).scatter(1, i, x), torch.randn(3, 2), torch.tensor([[0, 1], [2, 3], [4, 0]])


def tiny_bert(attention, **options):
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=13, vocab_size=23,
                        max_position_embeddings=17, attn_implementation=attention, **options)  # fmt: skip
    return BertModel(config)


@model
def bert_eager():
    return tiny_bert("eager"), {"input_ids": ids(), "attention_mask": torch.ones(3, 11), "output_attentions": True}


@model
def bert_sdpa():
    return tiny_bert("sdpa"), {"input_ids": ids(), "attention_mask": torch.ones(3, 11), "output_hidden_states": True}


class LayersCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.bert = tiny_bert("sdpa")
        self.conv, self.fc = nn.Conv2d(3, 3, (3, 8)), nn.Linear(3, 2)

    def forward(self, input_ids, attention_mask):
        states = self.bert(input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        return self.fc(self.conv(torch.stack(states, dim=1)).amax(dim=(2, 3)))


@model
def bert_layers_cnn():
    return LayersCNN(), {"input_ids": ids(), "attention_mask": torch.ones(3, 11)}
