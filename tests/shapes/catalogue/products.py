"""Linear layers, matrix products, arithmetic between tensors, attention and its masks."""

import math

import torch
import torch.nn.functional as F
from catalogue.bug import bug
from torch import nn


@bug(
    "Linear",
    "net.3",
    "self.net(x)",
    [(3, 780)],
    "780 = channels 13 x height 60 x width 1 after flatten",
    "self.net[3] = nn.Linear(780, 5)",
)
class linear_after_flatten:
    """The number of features after Flatten was reckoned wrongly."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = nn.Sequential(nn.Conv2d(7, 13, (3, 1)), nn.ReLU(), nn.Flatten(), nn.Linear(442, 5))

            def forward(self, x):
                return self.net(x)

        return Model()(torch.randn(3, 7, 62, 1))

    def mended():
        net = nn.Sequential(nn.Conv2d(7, 13, (3, 1)), nn.ReLU(), nn.Flatten(), nn.Linear(780, 5))
        return net(torch.randn(3, 7, 62, 1))


@bug(
    "Linear",
    "fc",
    "self.fc(x)",
    [(3, 7, 5, 5)],
    ["175 input features", "flattened to (105x5)"],
    "self.fc(x.flatten(1))",
)
class flatten_forgotten:
    """From a map straight into a linear layer."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(2, 7, 3)
                self.fc = nn.Linear(7 * 5 * 5, 3)

            def forward(self, x):
                x = F.relu(self.conv(x))
                return self.fc(x)

        return Model()(torch.randn(3, 2, 7, 7))

    def mended():
        conv, fc = nn.Conv2d(2, 7, 3), nn.Linear(7 * 5 * 5, 3)
        return fc(F.relu(conv(torch.randn(3, 2, 7, 7))).flatten(1))


@bug(
    "Linear",
    "classifier",
    "self.classifier(hidden)",
    [(3, 26)],
    ["2 directions x hidden_size 13"],
    "self.classifier = nn.Linear(26, 5)",
)
class two_directions:
    """A bidirectional LSTM gives both directions side by side."""

    def broken():
        class TextRNN(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(7, 13, batch_first=True, bidirectional=True)
                self.classifier = nn.Linear(13, 5)

            def forward(self, x):
                output, _ = self.lstm(x)
                hidden = output[:, -1]
                return self.classifier(hidden)

        return TextRNN()(torch.randn(3, 11, 7))

    def mended():
        output, _ = nn.LSTM(7, 13, batch_first=True, bidirectional=True)(torch.randn(3, 11, 7))
        return nn.Linear(26, 5)(output[:, -1])


@bug("Linear", "fc", "self.fc(joined)", [(3, 33)], "33 = 11 + 22, joined by cat(dim=1)", "self.fc = nn.Linear(33, 2)")
class joined_features:
    """Two kinds of features joined, the layer made for one."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(22, 2)

            def forward(self, numbers, text):
                joined = torch.cat((numbers, text), dim=1)
                return self.fc(joined)

        return Model()(torch.randn(3, 11), torch.randn(3, 22))

    def mended():
        return nn.Linear(33, 2)(torch.cat((torch.randn(3, 11), torch.randn(3, 22)), dim=1))


@bug(
    "Linear", "head.out", "self.out(x.transpose(1, 2))", [(3, 11, 7)], "11 input features", "self.out = nn.Linear(7, 2)"
)
class transposed_once_too_often:
    """The features are no longer last."""

    def broken():
        class Head(nn.Module):
            def __init__(self):
                super().__init__()
                self.out = nn.Linear(11, 2)

            def forward(self, x):
                return self.out(x.transpose(1, 2))

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = Head()

            def forward(self, x):
                return self.head(x)

        return Model()(torch.randn(3, 7, 11))

    def mended():
        return nn.Linear(11, 2)(torch.randn(3, 7, 11))


@bug("linear", None, "F.linear(x, weight)", [(3, 7), (7, 5)], "7", "F.linear(x, weight.T)")
class weight_the_other_way_round:
    """F.linear's weight is (out, in)."""

    def broken():
        x, weight = torch.randn(3, 7), torch.randn(7, 5)
        return F.linear(x, weight)

    def mended():
        x, weight = torch.randn(3, 7), torch.randn(7, 5, requires_grad=True)
        return F.linear(x, weight.T)


@bug("matmul", None, "q @ k", [(3, 2, 11, 5)], "must equal", "q @ k.transpose(-1, -2)")
class scores_without_a_transpose:
    """Attention scores: the keys must be transposed."""

    def broken():
        q, k = torch.randn(3, 2, 11, 5), torch.randn(3, 2, 11, 5)
        return q @ k / math.sqrt(5)

    def mended():
        q, k = torch.randn(3, 2, 11, 5, requires_grad=True), torch.randn(3, 2, 11, 5)
        return q @ k.transpose(-1, -2) / math.sqrt(5)


@bug("mm", None, "torch.mm(x, w)", [(3, 5, 7)], "2 dimensions", "torch.matmul(x, w)")
class mm_of_three_dimensions:
    """mm multiplies matrices only."""

    def broken():
        x, w = torch.randn(3, 5, 7), torch.randn(7, 2)
        return torch.mm(x, w)

    def mended():
        x, w = torch.randn(3, 5, 7), torch.randn(7, 2, requires_grad=True)
        return torch.matmul(x, w)


@bug("bmm", None, "torch.bmm(weights, states)", [(3, 11), (3, 11, 7)], "3 dimensions", "weights.unsqueeze(1)")
class weighted_sum_by_bmm:
    """Attention weights without the row dimension that bmm needs."""

    def broken():
        weights, states = torch.rand(3, 11), torch.randn(3, 11, 7)
        return torch.bmm(weights, states)

    def mended():
        weights, states = torch.rand(3, 11, requires_grad=True), torch.randn(3, 11, 7)
        return torch.bmm(weights.unsqueeze(1), states)


@bug(
    "add",
    "attention",
    "scores + mask",
    [(3, 2, 11, 11), (3, 11)],
    "compares shapes from the right",
    "mask[:, None, None]",
)
class padding_mask_on_scores:
    """An additive mask (batch, tokens) on scores (batch, heads, queries, keys)."""

    def broken():
        class Attention(nn.Module):
            def forward(self, scores, mask):
                return (scores + mask).softmax(-1)

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.attention = Attention()

            def forward(self, scores, mask):
                return self.attention(scores, mask)

        return Model()(torch.randn(3, 2, 11, 11), torch.zeros(3, 11))

    def mended():
        scores, mask = torch.randn(3, 2, 11, 11, requires_grad=True), torch.zeros(3, 11)
        return (scores + mask[:, None, None, :]).softmax(-1)


@bug("mul", None, "hidden * mask", [(3, 11, 7), (3, 11)], "neither is 1", "hidden * mask[:, :, None]")
class mask_times_hidden:
    """Masked mean: the mask lacks the hidden dimension."""

    def broken():
        hidden, mask = torch.randn(3, 11, 7), torch.ones(3, 11)
        return (hidden * mask).sum(1) / mask.sum(1)

    def mended():
        hidden, mask = torch.randn(3, 11, 7, requires_grad=True), torch.ones(3, 11)
        return (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)


@bug("div", None, "summed / mask.sum(1)", [(3, 7), (3,)], "neither is 1", "summed / mask.sum(1)[:, None]")
class mean_without_keepdim:
    """The divisor lost its dimension."""

    def broken():
        summed, mask = torch.randn(3, 7), torch.ones(3, 11)
        return summed / mask.sum(1)

    def mended():
        summed, mask = torch.randn(3, 7, requires_grad=True), torch.ones(3, 11)
        return summed / mask.sum(1, keepdim=True)


@bug("add", None, "x + self.position", [(3, 11, 7), (13, 7)], "neither is 1", "x + self.position[:x.size(1)]")
class positions_longer_than_the_text:
    """Learned positions for the longest text, added to a shorter one."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.position = nn.Parameter(torch.randn(13, 7))

            def forward(self, x):
                return x + self.position

        return Model()(torch.randn(3, 11, 7))

    def mended():
        position, x = nn.Parameter(torch.randn(13, 7)), torch.randn(3, 11, 7)
        return x + position[: x.size(1)]


@bug("add", "block", "x + self.conv(x)", [(3, 5, 11), (3, 5, 9)], "neither is 1", None)
class residual_of_another_length:
    """A residual branch that shortens the text."""

    def broken():
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv1d(5, 5, 3)

            def forward(self, x):
                return x + self.conv(x)

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.block = Block()

            def forward(self, x):
                return self.block(x)

        return Model()(torch.randn(3, 5, 11))

    def mended():
        conv, x = nn.Conv1d(5, 5, 3, padding=1), torch.randn(3, 5, 11)
        return x + conv(x)


@bug("add", None, "total += x", [(7,), (3, 7)], "changed in place", "total + x")
class growing_in_place:
    """+= cannot enlarge a tensor."""

    def broken():
        total, x = torch.zeros(7), torch.randn(3, 7)
        total += x
        return total

    def mended():
        total, x = torch.zeros(7), torch.randn(3, 7, requires_grad=True)
        return total + x


@bug(
    "masked_fill",
    None,
    "scores.masked_fill(mask, -1e9)",
    [(3, 2, 5, 5), (3, 5)],
    "mask of bool",
    "scores.masked_fill(mask[:, None, None] == 0, -1e9)",
)
class masked_fill_with_whole_numbers:
    """An attention mask of 0 and 1, without the dimensions of heads and queries."""

    def broken():
        scores, mask = torch.randn(3, 2, 5, 5), torch.ones(3, 5, dtype=torch.long)
        return scores.masked_fill(mask, -1e9)

    def mended():
        scores, mask = torch.randn(3, 2, 5, 5, requires_grad=True), torch.ones(3, 5, dtype=torch.long)
        return scores.masked_fill(mask[:, None, None, :] == 0, -1e9)


@bug("einsum", None, 'torch.einsum("bth,bsh->bts", q, k)', [(3, 5, 7), (3, 7, 5)], "letter h", "'bth,bhs->bts'")
class letters_in_the_wrong_order:
    """einsum on keys that are transposed already."""

    def broken():
        q, k = torch.randn(3, 5, 7), torch.randn(3, 7, 5)
        return torch.einsum("bth,bsh->bts", q, k)

    def mended():
        q, k = torch.randn(3, 5, 7, requires_grad=True), torch.randn(3, 7, 5)
        return torch.einsum("bth,bhs->bts", q, k)


@bug(
    "MultiheadAttention",
    "attention",
    "self.attention(x, x, x, key_padding_mask=mask)",
    [(3, 11, 10), (3, 11)],
    "(batch, keys)",
    "batch_first=True",
)
class batch_first_forgotten:
    """A padding mask shows that the batch stands first."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.attention = nn.MultiheadAttention(10, 2)

            def forward(self, x, mask):
                return self.attention(x, x, x, key_padding_mask=mask)[0]

        return Model()(torch.randn(3, 11, 10), torch.zeros(3, 11, dtype=torch.bool))

    def mended():
        x, mask = torch.randn(3, 11, 10), torch.zeros(3, 11, dtype=torch.bool)
        return nn.MultiheadAttention(10, 2, batch_first=True)(x, x, x, key_padding_mask=mask)[0]


@bug(
    "MultiheadAttention",
    "attention",
    "self.attention(x, x, x)",
    [(3, 11, 6)],
    "embed_dim 10",
    "nn.MultiheadAttention(6, 2",
)
class attention_of_another_width:
    """The embedding's width and embed_dim differ."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.attention = nn.MultiheadAttention(10, 2, batch_first=True)

            def forward(self, x):
                return self.attention(x, x, x)[0]

        return Model()(torch.randn(3, 11, 6))

    def mended():
        x = torch.randn(3, 11, 6)
        return nn.MultiheadAttention(6, 2, batch_first=True)(x, x, x)[0]


@bug(
    "MultiheadAttention",
    "encoder.layers.0.self_attn",
    "self.encoder(x, mask=mask)",
    [(3, 11)],
    "attn_mask must be (queries, keys)",
    "src_key_padding_mask=mask",
)
class padding_mask_as_attention_mask:
    """TransformerEncoder: the padding mask was given as mask."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                layer = nn.TransformerEncoderLayer(10, 2, 13, batch_first=True)
                self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

            def forward(self, x, mask):
                return self.encoder(x, mask=mask)

        return Model()(torch.randn(3, 11, 10), torch.zeros(3, 11, dtype=torch.bool))

    def mended():
        layer = nn.TransformerEncoderLayer(10, 2, 13, batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        return encoder(torch.randn(3, 11, 10), src_key_padding_mask=torch.zeros(3, 11, dtype=torch.bool))


@bug(
    "scaled_dot_product_attention",
    None,
    "F.scaled_dot_product_attention(q, k, v, attn_mask=mask)",
    [(3, 2, 11, 5), (3, 11)],
    "does not fit",
    "attn_mask=mask[:, None, None, :]",
)
class padding_mask_for_sdpa:
    """The mask of the tokenizer straight into torch's attention."""

    def broken():
        q = k = v = torch.randn(3, 2, 11, 5)
        mask = torch.ones(3, 11, dtype=torch.bool)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def mended():
        q = k = v = torch.randn(3, 2, 11, 5, requires_grad=True)
        mask = torch.ones(3, 11, dtype=torch.bool)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])


@bug(
    "MultiheadAttention",
    "multihead_attn",
    "layer(target, memory)",
    [(5, 3, 10), (5, 11, 10)],
    "reads (tokens, batch, embed_dim)",
    "batch_first=True",
)
class decoder_without_batch_first:
    """Target and memory with the batch in front; the layer reads tokens first."""

    def broken():
        layer = nn.TransformerDecoderLayer(10, 2, 13)
        target, memory = torch.randn(5, 3, 10), torch.randn(5, 11, 10)
        return layer(target, memory)

    def mended():
        layer = nn.TransformerDecoderLayer(10, 2, 13, batch_first=True)
        return layer(torch.randn(5, 3, 10), torch.randn(5, 11, 10))


@bug("Linear", "fc", "self.fc(x)", [(3, 7)], "numbers of one kind", "self.fc(x.float())")
class numpy_makes_doubles:
    """A batch made from numpy numbers is float64."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(7, 2)

            def forward(self, x):
                return self.fc(x)

        return Model()(torch.randn(3, 7, dtype=torch.float64))

    def mended():
        return nn.Linear(7, 2)(torch.randn(3, 7, dtype=torch.float64).float())
