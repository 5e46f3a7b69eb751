"""The checks of notebook 03: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import inspect
import math

import pytest
import torch
from sklearn.metrics import classification_report
from torch import nn

from course_lib.exercises import shape_debugging
from course_lib.exercises.tensors import close, hidden_and_mask

from .exercise_cells import answer_of, cases, exercises_of, expect_sentence


class Mended(nn.Module):
    """A right model, in pieces that a wrong one overrides."""

    def __init__(self, layers, hidden, classes):
        super().__init__()
        self.conv = nn.Conv2d(layers, layers, (3, hidden), padding=(1, 0), groups=layers)
        self.linear = nn.Linear(layers, classes)

    def join(self, states):
        return torch.stack(states, 1)

    def kept(self, x, mask):
        return x * mask[:, None, :, None]

    def filtered(self, x):
        return self.conv(x).amax(-1)  # one number, for a window has the whole H

    def active(self, x):
        return torch.relu(x)

    def windows(self, x, mask):
        return x.masked_fill((mask == 0)[:, None], -math.inf)

    def pool(self, x):
        return x.amax(-1)

    def head(self, x):
        return self.linear(x)

    def forward(self, states, mask):
        x = self.filtered(self.kept(self.join(states), mask))
        return self.head(self.pool(self.windows(self.active(x), mask)))


def but(**changes):
    """An answer whose model does one thing, or several, in another way."""
    return lambda *sizes: type("Changed", (Mended,), changes)(*sizes)


def with_parts(make):
    """An answer whose model has other parts: make(model, layers, hidden, classes) sets them."""

    def answer(*sizes):
        model = Mended(*sizes)
        make(model, *sizes)
        return model

    return answer


class Posted(nn.Module):
    """The forum's model, with the first `repairs` of its faults mended."""

    def __init__(self, repairs, layers, hidden, classes):
        super().__init__()
        self.repairs = repairs
        padding = (1, 0) if repairs > 0 else True
        self.conv = nn.Conv2d(layers, layers, (3, hidden), padding=padding, groups=layers if repairs > 5 else 1)
        self.pool = nn.MaxPool1d(hidden, stride=1)
        self.fc = nn.Linear(layers if repairs > 3 else 9118, classes)  # 9118464, in less memory
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, states, mask):
        done = self.repairs
        x = torch.cat(states, 0) if done < 2 else torch.stack(states, 1)
        if done > 7:
            x = x * mask[:, None, :, None]
        x = torch.relu(self.conv(x))
        if done > 6:
            x = x * mask[:, None, :, None]
        x = self.fc((self.pool(x) if done < 3 else x.amax((2, 3))).flatten(1))
        return x if done > 4 else self.softmax(x)


class PerLayer(Mended):
    """A filter for each layer, in a list; nn.ModuleList registers it."""

    keep = nn.ModuleList

    def __init__(self, layers, hidden, classes):
        super().__init__(layers, hidden, classes)
        del self.conv
        self.filters = self.keep([nn.Conv1d(hidden, 1, 3, padding=1) for _ in range(layers)])

    def filtered(self, x):
        return torch.cat([f(x[:, layer].mT) for layer, f in enumerate(self.filters)], dim=1)


class Unregistered(PerLayer):
    keep = list


class Grouped1d(Mended):
    """All layers' numbers as channels of one Conv1d, in groups."""

    def __init__(self, layers, hidden, classes):
        super().__init__(layers, hidden, classes)
        self.conv = nn.Conv1d(layers * hidden, layers, 3, groups=layers)  # without zeros around the text

    def filtered(self, x):
        return self.conv(x.transpose(2, 3).flatten(1, 2))

    def windows(self, x, mask):
        return x.masked_fill((mask[:, 2:] == 0)[:, None], -math.inf)


class Unfolded(Mended):
    """Linear layers of 3 H numbers over windows that unfold makes."""

    def __init__(self, layers, hidden, classes):
        super().__init__(layers, hidden, classes)
        del self.conv
        self.filters = nn.ModuleList([nn.Linear(3 * hidden, 1) for _ in range(layers)])

    def filtered(self, x):
        x = nn.functional.pad(x, (0, 0, 1, 1)).unfold(2, 3, 1).transpose(-1, -2).flatten(3)  # (B, L, T, 3 H)
        return torch.cat([f(x[:, layer]) for layer, f in enumerate(self.filters)], dim=-1).mT


class UnfoldedByNumber(Unfolded):
    """The same, with the numbers of a window in the order in which unfold leaves them."""

    def filtered(self, x):
        x = nn.functional.pad(x, (0, 0, 1, 1)).unfold(2, 3, 1).flatten(3)
        return torch.cat([f(x[:, layer]) for layer, f in enumerate(self.filters)], dim=-1).mT


class OwnParameters(Mended):
    def __init__(self, layers, hidden, classes):
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.randn(3, layers, hidden))
        self.bias = nn.Parameter(torch.zeros(layers, 1))
        self.out = nn.Parameter(torch.randn(layers, classes))
        self.shift = nn.Parameter(torch.zeros(classes))

    def filtered(self, x):
        x = nn.functional.pad(x, (0, 0, 1, 1)).unfold(2, 3, 1)
        return torch.einsum("blthw,wlh->blt", x, self.weight) + self.bias

    def head(self, x):
        return x @ self.out + self.shift


class ByLoop(Mended):
    """Each text by itself, its padding cut off."""

    def forward(self, states, mask):
        rows = []
        for b, n in enumerate(mask.sum(1).tolist()):
            x = torch.stack([state[b, :n] for state in states])[None]
            rows.append(self.conv(x).relu().flatten(2).amax(2))
        return self.linear(torch.cat(rows))


def share_one_filter(model, layers, hidden, classes):
    model.conv = nn.Conv2d(1, 1, (3, hidden), padding=(1, 0))


def a_filter_of(*size, **options):
    def make(model, layers, hidden, classes):
        kernel = tuple(hidden if n == "H" else n for n in size)
        model.conv = nn.Conv2d(layers, layers, kernel, **{"groups": layers, "padding": (kernel[0] // 2, 0), **options})

    return make


def pad_h_too(model, layers, hidden, classes):
    model.conv.padding = (1, 1)


def zero_everything_in_place(self, states, mask):
    for state in states:
        state.zero_()
    return Mended.forward(self, states, mask)


def zero_padding_in_place(self, states, mask):
    for state in states:
        state.mul_(mask[..., None])
    return Mended.forward(self, states, mask)


def wide_padding(model, layers, hidden, classes):
    """Every window that touches the text."""
    model.conv.padding = (2, 0)
    model.windows = lambda x, mask: x.masked_fill((nn.functional.pad(mask, (2, 0), value=1) == 0)[:, None], -math.inf)


def without_bias(model, layers, hidden, classes):
    model.conv = nn.Conv2d(layers, layers, (3, hidden), padding=(1, 0), groups=layers, bias=False)


def normalised(model, layers, hidden, classes):
    model.norm = nn.BatchNorm1d(layers)


def thirteen_layers(model, layers, hidden, classes):
    model.conv = nn.Conv2d(13, 13, (3, hidden), padding=(1, 0), groups=13)


def frozen_filters(model, layers, hidden, classes):
    model.conv.requires_grad_(False)


def hidden_by_dict(model, layers, hidden, classes):
    model.__dict__["linear"] = nn.Linear(layers, classes)
    del model._modules["linear"]


def share_head(model, layers, hidden, classes):
    model.linear = nn.Linear(layers, classes, bias=False)


def no_windows_and_no_kept():
    return {"windows": lambda self, x, mask: x, "kept": lambda self, x, mask: x}


def mean_over(mask_too):
    def pool(self, x):
        x = x.masked_fill(x == -math.inf, 0)
        return x.sum(-1) / self.lengths if mask_too else x.mean(-1)

    def windows(self, x, mask):
        self.lengths = mask.sum(1, keepdim=True)
        return Mended.windows(self, x, mask)

    return but(pool=pool, windows=windows)


def out_of_model(layers, hidden, classes):
    model = Mended(layers, hidden, classes)
    return model(tuple(torch.zeros(layers, 2, 5, hidden)), torch.ones(2, 5))


def add_mean_of_batch(self, x):
    return self.linear(x) + 0.3 * x.mean(0, keepdim=True).sum()


def without_layer_2(self, states):
    return torch.stack([*states[:2], states[2] * 0, *states[3:]], 1)


def a_report(labels=None, rows=None, swapped=False, **options):
    """An answer that asks scikit-learn, with some of its parameters missing or other ones."""

    def answer(right, guessed, names):
        given = {"output_dict": True, "zero_division": 0, **options}
        if labels:
            given["labels"] = labels(right, guessed, names)
        if rows:
            given["target_names"] = rows(right, guessed, names)
        return classification_report(*((guessed, right) if swapped else (right, guessed)), **given)

    return answer


def everyone(right, guessed, names):
    return range(len(names))


def met(right, guessed, names):
    return sorted({*right, *guessed})


def all_names(right, guessed, names):
    return names


def right_report(right, guessed, names):
    return a_report(everyone, all_names)(right, guessed, names)


def right_length(n, k, s, p, d):
    return (n + 2 * p - d * (k - 1) - 1) // s + 1


def right_error(p, t):
    return ((p[:, 0] - t) ** 2).mean()


def right_step(x, m):
    return x[torch.arange(len(x)), m.sum(1) - 1]


def raise_in_helper(x):
    raise KeyError("no such layer")


# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "output_length": [
        (lambda n, k, s, p, d: (n + p - d * (k - 1) - 1) // s + 1, "at each end, so it counts twice."),
        (lambda n, k, s, p, d: (n - d * (k - 1) - 1) // s + 1, "2 * padding."),
        (lambda n, k, s, p, d: (n - 2 * p - d * (k - 1) - 1) // s + 1, "padding is subtracted"),
        (lambda n, k, s, p, d: (n + 2 * p - k) // s + 1, ": dilation has no say"),
        (lambda n, k, s, p, d: (n + 2 * p - d * k) // s + 1, "does not span dilation * kernel places"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1)) // s + 1, "one too small"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s, "the 1 for the first window is missing"),
        (lambda n, k, s, p, d: -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1, "you round up"),
        (lambda n, k, s, p, d: round((n + 2 * p - d * (k - 1) - 1) / s) + 1, "you round to the nearest"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) / s + 1, "you do not round"),
        (lambda n, k, s, p, d: n + 2 * p - d * (k - 1), "stride has no say"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1)) // s, "the 1 is added before you divide"),
        (lambda n, k, s, p, d: (n + 2 * p) // s + 1, "the span of a window is not subtracted"),
        (lambda n, k, s, p, d: (n - k) // s + 1, "2 * padding; dilation has no say in your formula"),
        (lambda n, k, s, p, d: n // s, "at stride 1. Here the windows"),
        (lambda n, k, s, p, d: -(-n // s), "what TensorFlow's padding"),
        (lambda n, k, s, p, d: n, "the length of the input"),
        (lambda n, k, s, p, d: right_length(n, k, s, p, d) + 7, "a real nn.Conv1d gives 62."),
        (lambda n, k, s, p, d: (1, k, right_length(n, k, s, p, d)), "you gave (1, 3, 62); one whole number"),
        (lambda n, k, s, p, d: str(right_length(n, k, s, p, d)), "you gave '62'"),
        (lambda n, k, s: n, "written as <lambda>(n, k, s)"),
    ],
    "layers_as_channels": [
        (lambda s: torch.cat(s, 0), "torch.cat along dim=0 made 39 texts of 3"),
        (lambda s: torch.cat(s, 1), "as a text of 91 tokens"),
        (lambda s: torch.cat(s, -1), "as vectors of 65 numbers"),
        (lambda s: torch.cat(s, 0).view(-1, len(s), *s[0].shape[1:]), "layers that lie one behind the other"),
        (lambda s: torch.cat(s, -1).reshape(-1, len(s), *s[0].shape[1:]), "you joined along the last dimension"),
        (lambda s: torch.stack(s, -1).reshape(-1, len(s), *s[0].shape[1:]), "you stacked along the last dimension"),
        (lambda s: torch.stack(s), "torch.stack put the layers first"),
        (lambda s: torch.stack(s, 2), "the layers stand behind the tokens"),
        (lambda s: torch.stack(s, -1), "the layers stand last"),
        (lambda s: torch.stack(s, 1).mT, "T and H have changed places"),
        (lambda s: torch.stack(s, 1).mT.reshape(-1, len(s), *s[0].shape[1:]), "T and H are read in the wrong order"),
        (lambda s: torch.stack(s[::-1], 1), "the layers run backwards"),
        (lambda s: torch.stack(s[1:], 1), "one layer is missing"),
        (lambda s: torch.stack([s[-1]] * len(s), 1), "every channel is the last layer"),
        (lambda s: torch.stack([s[-i] for i in range(len(s))], 1), "[-0] is [0]"),
        (lambda s: s[-1], "one layer is left"),
        (lambda s: s[-1][:, None], "there is one channel"),
        (lambda s: torch.cat(s, 0)[None], "39 channels of one text"),
        (lambda s: torch.cat(s, 0)[:, None], "39 texts with one channel"),
        (lambda s: torch.stack(s, 1).squeeze(), "a batch of one stays a batch"),
        (lambda s: list(s), "something of type list; torch.stack makes one tensor"),
        (lambda s: torch.cat(s).view(len(s), 3, 7), "If shapes do not fit there"),
        (lambda s: s.transpose(0, 1), "'tuple' object has no attribute 'transpose'"),
        (lambda s: torch.stack(s, 1) + 1, "text b of layer l belongs at [b, l]"),
    ],
    "mended": [
        (lambda *sizes: Posted(0, *sizes), "padding=True is no number"),
        (but(join=lambda self, s: torch.stack(s)), "The size of tensor a (7) must match the size of tensor b (13)"),
        (but(join=lambda self, s: torch.stack(s).view(-1, len(s), *s[0].shape[1:])), "with texts and layers mixed"),
        (with_parts(a_filter_of(3, "H", groups=1)), "each filter sees all layers, as in the forum's model"),
        (lambda *sizes: Unregistered(*sizes), "those of the filters are not among them"),
        (with_parts(hidden_by_dict), "those of the linear layer are not among them"),
        (with_parts(without_bias), "the filters have no bias"),
        (with_parts(share_head), "the linear layer has no bias"),
        (with_parts(a_filter_of(1, "H")), "your filters see one token alone"),
        (with_parts(a_filter_of(5, "H")), "your filters see five tokens"),
        (with_parts(normalised), "there is a normalisation too many"),
        (with_parts(thirteen_layers), "to have 13 channels, but got 7 channels"),
        (but(**no_windows_and_no_kept()), "the mask has no say"),
        (but(windows=lambda self, x, mask: x), "still take part in the maximum, so more padding"),
        (but(kept=lambda self, x, mask: x), "reads the vector of padding behind it"),
        (but(kept=lambda self, x, mask: x * (1 - mask)[:, None, :, None]), "not those of padding: there the mask"),
        (with_parts(pad_h_too), "padding=1, or True, adds zeros to H as well"),
        (but(active=lambda self, x: x), "the ReLU is missing"),
        (but(active=lambda self, x: nn.functional.gelu(x)), "a GELU in the place of ReLU"),
        (mean_over(True), "you gave the mean of the windows"),
        (mean_over(False), "the mean over all T = 11 windows"),
        (but(pool=lambda self, x: x.masked_fill(x == -math.inf, 0).sum(-1)), "you gave the sum of the windows"),
        (but(pool=lambda self, x: x[..., 0]), "you took the first window alone"),
        (but(pool=lambda self, x: x.amax((0, 2))), "there is one row for all texts together"),
        (but(pool=lambda self, x: x.amax((0, 2), True)[..., 0].expand(len(x), -1)), "over the texts as well"),
        (but(pool=lambda self, x: x.amax(1)), "mat1 and mat2 shapes cannot be multiplied"),
        (but(pool=lambda self, x: x.amax(-1).squeeze()), "a batch of one stays a batch"),
        (but(head=lambda self, x: self.linear(x).log_softmax(1)), "they went through log_softmax"),
        (but(head=lambda self, x: self.linear(x).softmax(1)), "they went through softmax"),
        (but(head=lambda self, x: self.linear(x).softmax(0)), "a softmax over dim=0"),
        (but(head=lambda self, x: self.linear(x).argmax(1)), "there is one number a text"),
        (but(head=lambda self, x: x), "you gave the maxima"),
        (but(head=lambda self, x: self.linear(nn.functional.dropout(x, 0.5))), "a dropout that does not heed"),
        (but(head=lambda self, x: self.linear(x.detach())), "conv.weight gets no gradient"),
        (but(head=lambda self, x: self.linear(x).detach()), "carry no gradient"),
        (but(join=lambda self, s: torch.stack(s, 1).detach()), "BERT would not learn with your model"),
        (but(join=lambda self, s: torch.stack([s[-1]] * len(s), 1)), "every filter reads the last layer"),
        (but(join=without_layer_2), "changes hidden_states[2]"),
        (but(forward=zero_everything_in_place), "the filters read nothing but zeros"),
        (but(kept=lambda self, x, mask: x * (1 + mask[:, None, :, None]) / 2), "changes the vectors of padding"),
        (but(head=add_mean_of_batch), "No text may see another"),
        (but(head=lambda self, x: self.linear(x) * 2), "off by up to"),
        (lambda *sizes: Mended(7, 5, 2), "expected input[13, 2, 11, 7] to have 7 channels"),
        (lambda *sizes: Mended, "returned the class Mended"),
        (out_of_model, "Return the model itself"),
        (lambda *sizes: lambda states, mask: 0, "something of type function; a model is wanted"),
        (but(forward=lambda self, states, mask: None), "your model returned None"),
        (but(forward=lambda self, states: 0), "takes 2 positional arguments but 3 were given"),
        (lambda layers, hidden: Mended(layers, hidden, 3), "written as <lambda>(layers, hidden)"),
    ],
    "to_channels": [
        (lambda x: x.view(len(x), x.shape[2], x.shape[1]), "a view, or reshape, cuts the same row of numbers anew"),
        (lambda x: x, "x has its old shape"),
        (lambda x: x.permute(2, 1, 0), "all three dimensions are turned round"),
        (lambda x: x.transpose(0, 1), "the texts and the tokens have changed places"),
        (lambda x: x.permute(2, 0, 1), "H stands first"),
        (lambda x: x.permute(1, 2, 0), "the batch stands last"),
        (lambda x: x[:, None], "T and H are as they were"),
        (lambda x: x.mT[:, None], "nn.Conv1d reads three"),
        (lambda x: x.flatten(1), "T and H are flattened into one"),
        (lambda x: x.mean(1), "the tokens are summed or averaged"),
        (lambda x: x.mT.squeeze(), "a batch of one stays a batch"),
        (lambda x: x.rot90(dims=(1, 2)), "the channels run backwards"),
        (lambda x: x.rot90(-1, dims=(1, 2)), "the tokens run backwards"),
        (lambda x: x.permute(2, 1, 0).reshape(x.mT.shape), "permute(2, 1, 0) and a view"),
        (lambda x: x.transpose(0, 1).reshape(x.mT.shape), "permute(1, 0, 2) and a view"),
        (lambda x: x.mT.view(len(x), -1), "RuntimeError: view size is not compatible"),
        (lambda x: x.mT + 1, "number h of token t belongs at [b, h, t]"),
        (lambda x: x.mT.numpy(), "something of type ndarray"),
        (raise_in_helper, "no such layer"),
    ],
    "last_real": [
        (lambda x, m: x[:, -1], "you took place 6, [:, -1]"),
        (lambda x, m: x[range(len(x)), m.sum(1)], "you took place n, the first padding"),
        (lambda x, m: x[:, m.sum(1).max() - 1], "the last one of the longest text"),
        (lambda x, m: x[range(len(x)), m.sum(1) - 2], "the last real token but one"),
        (lambda x, m: x[:, 0], "you took the first token"),
        (lambda x, m: x[:, m.sum(1) - 1], "each text got the places of all texts"),
        (lambda x, m: x[:, m.sum(1).min() - 1], "the last one of the shortest text"),
        (lambda x, m: x[range(len(x)), m.shape[1] - m.sum(1)], "you counted the real tokens backwards"),
        (lambda x, m: (x * m[..., None])[:, -1], "the vectors of padding are zero now"),
        (lambda x, m: (x * m[..., None]).sum(1) / m.sum(1, True), "the mean of the real tokens"),
        (lambda x, m: x.mean(1), "the mean of all places"),
        (lambda x, m: x.masked_fill(m[..., None] == 0, -1e9).amax(1), "the maximum of the real tokens"),
        (lambda x, m: x[m.bool()], "you took all real tokens of the batch"),
        (lambda x, m: x[m.bool()][-1], "there is one vector for all texts together"),
        (lambda x, m: x[0, m.sum(1) - 1], "all are looked up in the first text"),
        (lambda x, m: right_step(x, m)[:, None], "squeeze(1) drops it"),
        (lambda x, m: right_step(x, m).squeeze(), "a batch of one stays a batch"),
        (lambda x, m: x.gather(1, (m.sum(1) - 1)[:, None, None])[:, 0, 0], "there is one number a text"),
        (lambda x, m: x * m[..., None], "there is still one vector a token"),
        (lambda x, m: right_step(x, m) + 0.5, "off by up to 0.5"),
        (lambda x, m: x[m.sum(1) - 1], "index 6 is out of bounds for dimension 0 with size 3"),
    ],
    "squared_error": [
        (lambda p, t: ((p - t) ** 2).mean(), "here 49 numbers. Give both the same shape first: predictions.squeeze(1)"),
        (lambda p, t: ((p - t) ** 2).sum(), "and you summed them"),
        (lambda p, t: ((p - t) ** 2).sum() / len(t), "you divide their sum by B"),
        (lambda p, t: (p - t) ** 2, "and the mean is missing too"),
        (lambda p, t: (p[:, 0] - t) ** 2, "has shape (7,)"),
        (lambda p, t: (p - t[:, None]) ** 2, "has shape (7, 1)"),
        (lambda p, t: ((p - t[:, None]) ** 2).mean(0), "(7,) the result has shape (1,)"),
        (lambda p, t: ((p[:, 0] - t) ** 2).sum(), "the sum of the 7 squares"),
        (lambda p, t: (p[:, 0] - t).abs().mean(), "you took the absolute value of the differences"),
        (lambda p, t: right_error(p, t).sqrt(), "you took the root of the mean"),
        (lambda p, t: (p[:, 0] - t).mean() ** 2, "the square comes after the mean"),
        (lambda p, t: (p[:, 0] - t).mean(), "the square is missing, so that"),
        (lambda p, t: right_error(p, t) / 2, "there is a factor 1/2"),
        (lambda p, t: ((p[:, 0] - t) ** 2).sum() / max(len(t) - 1, 1), "you divide by B - 1"),
        (lambda p, t: ((p[:, 0] - t) ** 2).max(), "you gave the largest square"),
        (lambda p, t: ((p[0, 0] - t[0]) ** 2), "the square of the first text alone"),
        (lambda p, t: right_error(p, t).item(), "carries no gradient"),
        (lambda p, t: right_error(p, t) + 1, "compare with .mean() of the B squares"),
        (lambda p, t: right_error(p, t) if len(t) > 1 else right_error(p, t)[None], "For predictions (1, 1) and"),
        (lambda p, t: nn.functional.mse_loss(p, t), "UserWarning"),
        (lambda p, t: (p.T @ t - t) @ p[1:], "If shapes do not fit there: predictions.squeeze(1)"),
    ],
    "report": [
        (a_report(None, all_names), "Of the 7 classes 5 occur in right or guessed"),
        (a_report(met, lambda r, g, n: [n[i] for i in met(r, g, n)]), "only the 5 classes that occur"),
        (a_report(met, lambda r, g, n: n[: len(met(r, g, n))]), "got the first names, one after the other"),
        (a_report(lambda r, g, n: sorted(set(r)), lambda r, g, n: [n[i] for i in sorted(set(r))]), "occur in right have a row"),
        (a_report(lambda r, g, n: sorted(set(g)), lambda r, g, n: [n[i] for i in sorted(set(g))]), "occur in guessed have a row"),
        (a_report(everyone, lambda r, g, n: sorted(n)), "the names are sorted"),
        (a_report(everyone, lambda r, g, n: n[::-1]), "run in opposite directions"),
        (a_report(everyone, all_names, swapped=True), "precision and recall have too"),
        (a_report(everyone, all_names, zero_division=1), "by zero_division=1"),
        (a_report(everyone, all_names, zero_division=math.nan), "got nan"),
        (a_report(everyone), "the rows are named by numbers"),
        (a_report(), "the rows of classes that occur are there, and named by numbers"),
        (a_report(lambda r, g, n: range(1, len(n) + 1), all_names), "labels are counted from 1"),
        (a_report(lambda r, g, n: range(len(n) - 1), lambda r, g, n: n[:-1]), "the last class, 'food', has no row"),
        (a_report(everyone, all_names, output_dict=False), "you returned the report as text"),
        (lambda r, g, n: {k: v for k, v in right_report(r, g, n).items() if k in n}, "the averages are missing"),
        (lambda r, g, n: {k: right_report(r, g, n)[k]["f1-score"] for k in n}, "there is the f1-score alone"),
        (lambda r, g, n: {**right_report(r, g, n), "sport": 1}, "the numbers of 'sport' are 1; expected"),
        (lambda r, g, n: {**right_report(r, g, n), "other": 1}, "there is a row too many: 'other'"),
        (lambda r, g, n: {k: right_report(r, g, n)[k] for k in ["macro avg"]}, "there is no row for 'sport', 'news'"),
        (lambda r, g, n: {k: v for k, v in right_report(r, g, n).items() if k != "accuracy"}, "but 'accuracy' is missing"),
        (lambda r, g, n: list(right_report(r, g, n).values()), "something of type list; the dictionary"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(shape_debugging, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


RIGHT_TOO = {
    "output_length": [
        lambda n, k, s, p, d: -(-(n + 2 * p - d * (k - 1)) // s),
        lambda n, k, s, p, d: len(range(0, n + 2 * p - d * (k - 1), s)),
        lambda n, k, s, p, d: math.floor((n + 2 * p - d * (k - 1) - 1) / s + 1),
        lambda n, k, s, p, d: torch.tensor(right_length(n, k, s, p, d)),
        lambda n, k, s, p, d: nn.Conv1d(1, 1, k, s, p, d)(torch.zeros(1, 1, n)).shape[-1],
    ],
    "layers_as_channels": [
        lambda s: torch.cat([x[:, None] for x in s], 1),
        lambda s: torch.stack(s).transpose(0, 1),
        lambda s: torch.cat(s, 1).view(len(s[0]), len(s), *s[0].shape[1:]),
        lambda s: torch.cat(s).view(len(s), *s[0].shape).transpose(0, 1),
    ],
    "mended": [
        PerLayer,
        Grouped1d,
        Unfolded,
        UnfoldedByNumber,
        OwnParameters,
        ByLoop,
        but(windows=lambda self, x, mask: x * mask[:, None]),  # after ReLU, 0 never wins over a real window alone
        but(active=lambda self, x: x, head=lambda self, x: self.linear(x.relu())),
        but(join=lambda self, s: torch.stack(s[::-1], 1)),
        but(head=lambda self, x: self.linear(nn.functional.dropout(x, 0.5, self.training))),
        with_parts(wide_padding),
        but(forward=zero_padding_in_place),
    ],
    "to_channels": [
        lambda x: x.permute(0, 2, 1).contiguous(),
        lambda x: torch.stack([row.T for row in x]),
        lambda x: torch.einsum("bth->bht", x),
    ],
    "last_real": [
        lambda x, m: x.gather(1, (m.sum(1) - 1)[:, None, None].expand(-1, 1, x.shape[2])).squeeze(1),
        lambda x, m: torch.stack([row[n.bool()][-1] for row, n in zip(x, m, strict=True)]),
        lambda x, m: x[range(len(x)), m.argmin(1) - 1],  # in a full text argmin is 0, and place -1 is the last
        lambda x, m: x[range(len(x)), (m * torch.arange(m.shape[1])).argmax(1)],
    ],
    "squared_error": [
        lambda p, t: nn.functional.mse_loss(p, t[:, None]),
        lambda p, t: ((p.flatten() - t) ** 2).sum() / len(t),
        lambda p, t: ((p.squeeze() - t) ** 2).mean(),
        lambda p, t: (p - t).diagonal().square().mean(),
    ],
    "report": [
        lambda r, g, n: classification_report(
            [n[i] for i in r], [n[i] for i in g], labels=n, output_dict=True, zero_division=0
        ),
        lambda r, g, n: dict(reversed(right_report(r, g, n).items())),
        a_report(lambda r, g, n: [*range(len(n) - 1, -1, -1)], lambda r, g, n: n[::-1]),
    ],
}


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT_TOO for answer in RIGHT_TOO[name]])
def test_another_right_way_passes_too(name, answer):
    outcome = getattr(shape_debugging, name)(answer)
    assert outcome.passed, outcome.message


def test_every_check_has_another_right_way_and_many_wrong_ones_here():
    names = {e.name for e in exercises_of("03_shape_debugging")}
    assert set(RIGHT_TOO) == set(WRONG) == names
    assert all(len(WRONG[name]) >= 8 for name in names)


# ------------------------------------------------------------------------------------------ the sizes of the checks


@pytest.mark.parametrize("n", [5, 12, 31])
@pytest.mark.parametrize("window", [(1, 1, 0, 1), (3, 1, 1, 1), (2, 2, 0, 3), (4, 3, 2, 1), (3, 2, 1, 2), (5, 5, 2, 1)])
def test_convolution_and_maximum_have_the_length_of_the_solution(n, window):
    right = answer_of(shape_debugging.output_length, "solutions")(n, *window)
    assert nn.Conv1d(1, 1, *window)(torch.zeros(1, 1, n)).shape[-1] == right
    assert nn.MaxPool1d(*window)(torch.zeros(1, 1, n)).shape[-1] == right
    assert nn.Conv2d(1, 1, *window)(torch.zeros(1, 1, n, n)).shape[-2:] == (right, right)


def test_the_sizes_of_a_batch_are_all_different_so_that_none_stands_for_another():
    for layers, hidden, classes in shape_debugging._MODELS:
        for tokens, lengths in shape_debugging._BATCHES:
            sizes = [layers, hidden, classes, len(lengths), tokens]
            assert len(set(sizes)) == 5
            assert min(lengths) >= 3
    assert any(len(lengths) == 1 for _, lengths in shape_debugging._BATCHES)


# ------------------------------------------------------------------------------------------ known mistakes


def known_joins():
    states = tuple(torch.randn(13, 3, 7, 5))
    return torch.stack(states, 1), shape_debugging._wrong_joins(states)


def known_turns():
    x = torch.randn(3, 7, 5)
    return x.mT, shape_debugging._wrong_turns(x)


def known_steps():
    outputs, mask = hidden_and_mask(3, 7, 5)
    mask[:, -1] = 0  # as in the check: no text is full
    return right_step(outputs, mask), shape_debugging._wrong_steps(outputs, mask)


def known_errors():
    predictions, targets = torch.randn(7, 1), torch.randn(7) * 2 + 1
    return right_error(predictions, targets), shape_debugging._wrong_errors(predictions, targets)


def known_lengths():
    sizes = [case for _, case in shape_debugging._LENGTHS]
    wrong = ((words, torch.tensor(w, dtype=torch.double)) for words, w in shape_debugging._wrong_lengths())
    return torch.tensor([right_length(*case) for case in sizes]), wrong


def known_scores():
    sizes = shape_debugging._MODELS[0]
    states, mask = shape_debugging._batch(sizes, *shape_debugging._BATCHES[0])
    model = Mended(*sizes)
    filters = shape_debugging._filled(model, sizes)
    return model(states, mask), shape_debugging._wrong_scores(states, mask.bool(), filters)


@pytest.mark.parametrize("known", [known_joins, known_turns, known_steps, known_errors, known_lengths, known_scores])
def test_no_known_mistake_gives_the_numbers_of_another_or_the_right_ones(known):
    """Words that another mistake's numbers earn as well would be told to the wrong learner."""
    torch.manual_seed(3)
    right, wrong = known()
    seen = [("right", right.detach().double())]
    for words, numbers in wrong:
        if "; " in words and known in (known_lengths, known_scores):
            break  # two mistakes at once come after the single ones
        numbers = numbers.double()
        assert [w for w, others in seen if w != words and close(numbers, others)] == [], words
        seen.append((words, numbers))
    assert len(seen) > 10


def test_no_known_mistake_in_a_report_gives_the_numbers_of_another():
    right, guessed, names = shape_debugging._REPORTS[0]
    seen = [right_report(right, guessed, names)]
    for words, wrong in shape_debugging._wrong_reports(right, guessed, names):
        assert not any(shape_debugging._same_tables(wrong, other) for other in seen), words
        seen.append(wrong)


@pytest.mark.parametrize("sizes", shape_debugging._MODELS)
def test_no_known_count_of_parameters_hides_another(sizes):
    counts = shape_debugging._known_counts(*sizes)
    lines = inspect.getsource(shape_debugging._known_counts).splitlines()
    assert len(counts) == sum(line.endswith('",') for line in lines)
    assert sum(p.numel() for p in Mended(*sizes).parameters()) not in counts


# ------------------------------------------------------------------------------------------ what praise says


def praise(exercise):
    return exercise(answer_of(exercise, "solutions")).message


def test_the_counts_of_parameters_in_the_praise_are_right():
    def count(model):
        return f"{sum(p.numel() for p in model.parameters()):,}"

    said = praise(shape_debugging.mended)
    assert count(answer_of(shape_debugging.mended, "solutions")(13, 768, 3)) in said
    assert count(nn.Linear(9118464, 3, device="meta")) in said


def test_the_broken_loss_is_smallest_where_every_prediction_is_the_mean_of_the_targets():
    assert "the mean of the batch's targets" in praise(shape_debugging.squared_error)
    targets = torch.tensor([2.0, 3.0, 7.0])
    predictions = torch.full((3, 1), 4.0, requires_grad=True)
    ((predictions - targets) ** 2).mean().backward()
    assert predictions.grad.abs().max() == 0
    predictions = targets[:, None].clone().requires_grad_()
    ((predictions - targets) ** 2).mean().backward()
    assert predictions.grad.abs().max() > 0


def test_kernel_3_with_padding_1_keeps_the_length_as_padding_same_does():
    assert "Kernel 3 with padding 1" in praise(shape_debugging.output_length)
    x = torch.randn(1, 1, 11)
    layer = nn.Conv1d(1, 1, 3, padding="same")
    assert torch.equal(layer(x), nn.functional.conv1d(x, layer.weight, layer.bias, padding=1))


def test_a_view_after_a_transpose_may_fail():
    assert "a view after it may fail" in praise(shape_debugging.to_channels)
    with pytest.raises(RuntimeError, match="view"):
        torch.zeros(2, 3, 5).transpose(1, 2).view(-1)


def test_the_backward_half_of_a_recurrent_network_ends_at_the_first_token():
    assert "outputs[:, 0]" in praise(shape_debugging.last_real)
    network = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
    outputs, (last, _) = network(torch.randn(2, 7, 3))
    assert torch.equal(outputs[:, 0, 5:], last[1])
    assert torch.equal(outputs[:, -1, :5], last[0])


# ------------------------------------------------------------------------------------------ the forum's model


AFTER_REPAIRS = (
    "padding=True is no number of zeros",
    "weight of size [7, 7, 3, 5], expected input[1, 91, 11, 5] to have 7 channels",
    "max_pool1d",
    "mat1 and mat2 shapes cannot be multiplied (13x7 and 9118x2)",
    "each filter sees all layers, as in the forum's model",
    "each filter sees all layers, as in the forum's model",
    "the mask has no say",
    "reads the vector of padding behind it",
)


@pytest.mark.parametrize(("repairs", "phrase"), enumerate(AFTER_REPAIRS))
def test_the_forums_model_is_told_its_next_fault_after_each_repair(repairs, phrase):
    outcome = shape_debugging.mended(lambda *sizes: Posted(repairs, *sizes))
    expect_sentence(outcome)
    assert phrase in outcome.message


def test_the_forums_model_with_all_its_faults_mended_passes():
    assert shape_debugging.mended(lambda *sizes: Posted(len(AFTER_REPAIRS), *sizes)).passed


def test_a_filter_that_is_frozen_is_told():
    outcome = shape_debugging.mended(with_parts(frozen_filters))
    expect_sentence(outcome)
    assert "conv.weight gets no gradient" in outcome.message


def test_parameters_of_the_right_count_and_other_shapes_get_a_sentence():
    def make(model, layers, hidden, classes):
        without_bias(model, layers, hidden, classes)
        model.more = nn.Parameter(torch.zeros(layers - classes))
        model.less = nn.Parameter(torch.zeros(classes))

    outcome = shape_debugging.mended(with_parts(make))
    expect_sentence(outcome)
    assert "there are not 7 filters of 3 x 5" in outcome.message


@pytest.mark.parametrize(
    ("wrong_here", "told"),
    [
        (lambda x: len(x) == 1, "For 7 hidden states (1, 13, 5) with [9] real tokens, and 2 classes,"),
        (lambda x: x.shape[-1] == 3, "For 7 hidden states (17, 3, 5) with no padding, and 2 classes,"),
        (lambda x: x.shape[1] == 2, "For 2 hidden states (13, 11, 7) with [11, 3, 5, 4, 7, "),
    ],
    ids=["batch of one", "no padding", "other sizes"],
)
def test_a_model_that_is_wrong_for_one_input_alone_is_told_that_input(wrong_here, told):
    wrong = but(pool=lambda self, x: x[..., 0] if wrong_here(x) else x.amax(-1))
    message = shape_debugging.mended(wrong).message
    assert message.startswith(told)
    assert "you took the first window alone" in message


def test_a_report_that_is_wrong_for_one_text_alone_is_told_that_text():
    def answer(right, guessed, names):
        made = right_report(right, guessed, names)
        return made if len(right) > 1 else {names[1]: made[names[1]]}

    message = shape_debugging.report(answer).message
    assert message.startswith(
        "For right = [1], guessed = [1] and names = ['no', 'yes', 'maybe']: there is no row for 'no'"
    )


def test_the_check_leaves_the_random_numbers_of_the_notebook_as_they_are():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert shape_debugging.mended(Mended).passed
    assert torch.equal(torch.get_rng_state(), before)


def test_a_long_error_of_torch_is_cut_short():
    outcome = shape_debugging.mended(but(filtered=lambda self, x: torch.ones("word " * 99)))
    expect_sentence(outcome)
    assert len(outcome.message) < 600


def test_a_dropout_rests_while_the_check_looks():
    def with_dropout(model, layers, hidden, classes):
        model.linear = nn.Sequential(nn.Dropout(0.9), nn.Linear(layers, classes))

    assert shape_debugging.mended(with_parts(with_dropout)).passed
