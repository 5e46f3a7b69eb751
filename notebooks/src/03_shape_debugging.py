# %% [markdown]
# # Why the shapes do not fit
#
# **You will be able to:** say on paper what a convolution, a pooling or a linear layer makes of a
# shape; read PyTorch's errors, and know when they mislead; let one line find the tensor, the
# reason and the fix, in any model; mend a model from the net, fault by fault; and find the
# mistakes that raise nothing.
#
# **You need:** [01_bert_outputs](01_bert_outputs.ipynb). Convolutions are explained here.
#
# **Time:** 120 minutes with the exercises.
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %%
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import plots, pooling, pretrained, shapes
from course_lib.exercises import shape_debugging as check

# The numbers in the text belong to the embedded model; with another one, the checks on them are skipped.
EMBEDDED = pretrained.find_model().origin == "embedded"
_ = torch.manual_seed(0)  # the same random numbers each time

# %% [markdown]
# ## One line
#
# Run the next cell, and **every cell that fails on a tensor explains itself**, below PyTorch's own
# text. It works in any notebook and for any PyTorch model; nothing of this course needs to be in
# it.

# %%
# %load_ext course_lib.shapes

# %% [markdown]
# Some cells of this notebook are meant to fail. *Run All* goes on after them.

# %% tags=["raises-exception"] raises="RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x780 and 442x3)"
features = torch.randn(32, 13, 60, 1)
to_classes = nn.Linear(442, 3)
to_classes(features.flatten(start_dim=1))

# %% [markdown]
# PyTorch says which two matrices do not fit. The explanation says *whose* they are, where 780
# comes from, and what mends it. A fix marked *tried* was run on tensors of these shapes before it
# was shown. In a script, `python -m course_lib shapes script.py` does the same; and
# `shapes.diagnose(function, *arguments)` gives it as an object.

# %%
found = shapes.diagnose(to_classes, features.flatten(start_dim=1))
found.operation, [tensor.shape for tensor in found.tensors]

# %% [markdown] items="000-01 000-02 000-04"
# ## A question from a forum
#
# Somebody wants to classify texts into three classes, with a BERT and a convolution on top. Not
# only the last layer is to count, but **all layers**:
#
# 1. Each layer of bert-base gives a matrix, 64 tokens × 768 numbers.
# 2. A window of 3 tokens × 768 numbers slides over each matrix: a *convolution*.
# 3. Of what the window finds in a layer, only the largest number is kept: *max-pooling*.
# 4. The 13 numbers, joined to one vector, go into a fully connected layer and a softmax.
#
# The question's picture is lost. Here it is, drawn again.

# %% tags=["picture"]
plots.diagram(
    boxes={
        **{
            f"m{i}": plots.Box(0, i, f"{name}\n(64, 768)", 0, 1.05)
            for i, name in enumerate(("embeddings", "layer 1", "...", "layer 12"))
        },
        **{
            f"c{i}": plots.Box(1.35, i, "window (3, 768)\n→ 62 numbers", 1, 1.2)
            for i in range(4)
        },
        **{f"x{i}": plots.Box(2.5, i, "maximum", 2, 0.85) for i in range(4)},
        "v": plots.Box(3.5, 1.5, "13 numbers", 3, 0.9),
        "f": plots.Box(4.55, 1.5, "linear\n13 → 3", 4, 0.8),
        "s": plots.Box(5.5, 1.5, "softmax", 5, 0.8),
    },
    arrows=[
        *((f"m{i}", f"c{i}") for i in range(4)),
        *((f"c{i}", f"x{i}") for i in range(4)),
        *((f"x{i}", "v") for i in range(4)),
        ("v", "f"),
        ("f", "s"),
    ],
    alt="Thirteen matrices (64, 768), the embeddings and layers 1 to 12. Over each slides a window "
    "(3, 768), which gives 62 numbers; the maximum of each becomes one of 13 numbers. They go "
    "through a linear layer 13 to 3 and a softmax.",
)

# %% [markdown]
# The asker gets an error, changes a number, gets another error, and so on. We shall do it the
# other way round: first know what comes out of each layer, then run it.

# %% [markdown] items="000-30"
# ## What a convolution expects
#
# `nn.Conv2d` reads a batch of images, **(batch, channels, height, width)**. A photo has 3 channels:
# red, green, blue. A small window, the *filter*, slides over height and width; at each place its
# numbers are multiplied with what lies under it, **in all channels**, and everything is added up to
# one number. Each filter makes one channel of the output.

# %%
photos = torch.randn(32, 3, 64, 48)
convolution = nn.Conv2d(in_channels=3, out_channels=5, kernel_size=(3, 7))
convolution(photos).shape

# %% [markdown]
# 32 images stay 32 images. 3 channels became 5, one for each filter. Height and width shrank,
# because among n numbers a window of k has only n − k + 1 places: 64 − 3 + 1 = 62 and
# 48 − 7 + 1 = 42.
#
# One answer in the forum says that the output has the same height and width "with proper padding".
# *Padding* puts p zeros at both ends, and then it has: with p = (k − 1) / 2, for an odd k. (A
# max-pooling puts minus infinity there, which is never the maximum.)

# %%
same = nn.Conv2d(3, 5, kernel_size=(3, 7), padding=(1, 3))
assert convolution(photos).shape == (32, 5, 62, 42) and same(photos).shape == (32, 5, 64, 48)
same(photos).shape

# %% [markdown]
# A window as wide as the image has one place in that direction. It can only move down.

# %% tags=["picture"]
from matplotlib.patches import Rectangle

figure, axes = plots.new_figure(7.4, 2.9, columns=2)
for axis, title, width, kernel in (
    (axes[0], "window 3 × 3: 6 × 4 places", 6, 3),
    (axes[1], "window 3 × all: 6 × 1 places", 6, 6),
):
    height = 8
    for row in range(height):
        for column in range(width):
            inside = row < 3 and column < kernel
            axis.add_patch(
                Rectangle(
                    (column, row),
                    1,
                    1,
                    facecolor=plots.SOFT_COLOURS[1 if inside else 0],
                    edgecolor=plots.COLOURS[1 if inside else 0],
                )
            )
    axis.set(xlim=(-0.1, width + 0.1), ylim=(height + 0.1, -0.1), title=title, aspect="equal")
    axis.set(xticks=[], yticks=[], xlabel="width", ylabel="height")
plots.picture(
    figure,
    alt="Two grids of height 8 and width 6 with a window in the upper left corner. A window of 3 by "
    "3 has 6 by 4 places. A window of 3 rows and the whole width has 6 places, one below the other.",
)

# %% [markdown]
# ### Exercise 1 · How long is the output? (8 minutes)
#
# Write `output_length(length, kernel, stride, padding, dilation)`: how many numbers a filter of
# `nn.Conv1d`, or `nn.MaxPool1d`, makes of `length` numbers. Count the windows:
#
# - `padding` places are added at **each** end.
# - A window reads `kernel` places, `dilation` apart. So with `dilation=2` a kernel of 3 reads the
#   places 0, 2 and 4, and spans five.
# - The first window begins at place 0, each next one `stride` places further. The last one still
#   fits inside as a whole. What is left over behind it is not read.
#
# Return a whole number. One window at least fits.


# %%
def output_length(length, kernel, stride, padding, dilation):
    # BEGIN SOLUTION
    span = dilation * (kernel - 1) + 1
    return (length + 2 * padding - span) // stride + 1
    # END SOLUTION


# %%
check.output_length(output_length)

# %% [markdown]
# <details><summary>Hint 1</summary>Between the first and the last place of a window there are <code>kernel - 1</code> steps of
# <code>dilation</code>, so it spans <code>dilation * (kernel - 1) + 1</code> places. How far can it move before it meets
# the end?</details>
# <details><summary>Hint 2</summary>It can move by <code>length + 2 * padding - span</code> places. Divide by <code>stride</code>, round
# down with <code>//</code>, and add 1 for the first window, which has not moved.</details>

# %% [markdown]
# As a formula, with n numbers, kernel k, stride s, padding p and dilation d:
#
# $$n_\text{out} = \left\lfloor \frac{n + 2p - d\,(k - 1) - 1}{s} \right\rfloor + 1$$
#
# `Conv1d`, `Conv2d`, `MaxPool1d` and `MaxPool2d` count like this, in each direction they slide over.
# (A pooling with `ceil_mode=True` rounds up. Transposed convolutions and adaptive poolings count in
# another way.)
#
# | layer | reads | slides over |
# |---|---|---|
# | `Conv1d`, `MaxPool1d` | (batch, channels, length) | length |
# | `Conv2d`, `MaxPool2d` | (batch, channels, height, width) | height and width |
#
# Each accepts its input **without the batch** as well, convolutions since PyTorch 1.11 (2022).
# Remember that; it will matter.
#
# A pooling has no weights: `MaxPool1d(3)` keeps the largest of every three numbers. Its stride is
# its kernel, unless you say otherwise.

# %%
line = torch.tensor([[[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]]])  # (1, 1, 7)
print(nn.MaxPool1d(3)(line).tolist(), nn.MaxPool1d(3, stride=1)(line).tolist())
assert nn.MaxPool1d(3)(line).shape == (1, 1, 2)

# %% [markdown] items="000-03 000-09"
# ### BERT's layers as an image
#
# Lay the hidden states of all layers on each other: an image of 13 channels (the embeddings and 12
# layers; the question calls all 13 *encoder layers*), 64 tokens high, 768 numbers wide. The window
# (3, 768) covers the whole width, so it slides over the tokens alone.
#
# **Predict:** a batch of 32 texts, (32, 13, 64, 768), goes through
# `Conv2d(13, 13, kernel_size=(3, 768))`. What comes out? And with `padding=1`?

# %%
image = torch.randn(32, 13, 64, 768)  # made of 13 tensors further below
for padding in (0, 1, (1, 0)):
    out = nn.Conv2d(13, 13, kernel_size=(3, 768), padding=padding)(image)
    print(f"padding={padding!s:6}  {tuple(image.shape)} -> {tuple(out.shape)}")

# %% [markdown]
# Height 64 − 3 + 1 = 62; width 768 − 768 + 1 = 1. With `padding=1` there is one more column on
# each side of the 768 numbers, which means nothing: the width becomes 3. Padding in the direction
# of the tokens alone, `(1, 0)`, keeps 64.

# %% [markdown] items="000-31 000-32"
# ### The weights
#
# The answer in the forum describes the filters rightly: *out_channels* of them, each (in_channels,
# height, width). And then it says that the weight tensor has shape "(batch_size, in_channels, kh,
# kw)". **It does not:** weights know nothing of a batch.

# %%
weight = nn.Conv2d(3, 5, kernel_size=(3, 7)).weight
assert weight.shape == (5, 3, 3, 7)  # (out_channels, in_channels, height, width)
weight.shape

# %% [markdown] items="000-06 000-07 000-12"
# ## The model, as it was asked about
#
# Here is the model with all its faults, rebuilt step for step. The stand-in has the shapes of
# bert-base and random numbers: the shapes are all that matters here.

# %%
from transformers.modeling_outputs import BaseModelOutputWithPooling


class StandIn(nn.Module):
    """Looks like bert-base from outside: 13 hidden states (B, T, 768), each token from a fixed table."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.randn(997, 768))

    def forward(self, input_ids, attention_mask=None, output_hidden_states=False):
        states = tuple(self.table[input_ids * (layer + 1) % 997] for layer in range(13))
        return BaseModelOutputWithPooling(
            last_hidden_state=states[-1],
            pooler_output=states[-1][:, 0],
            hidden_states=states if output_hidden_states else None,
        )


# %% [markdown]
# On top of it, the question's model:


# %%
class Posted(nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = StandIn()  # the question builds a new BERT here, and ignores its argument
        self.conv = nn.Conv2d(13, 13, kernel_size=(3, 768), padding=True)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool1d(kernel_size=768, stride=1)
        self.dropout = nn.Dropout(0.1)  # never used below
        self.fc = nn.Linear(9118464, 3)
        self.flat = nn.Flatten()
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, sent_id, mask):
        _, _, all_layers = self.bert(sent_id, attention_mask=mask, output_hidden_states=True)
        x = torch.cat(all_layers, 0)
        x = self.conv(x)
        x = self.relu(x)
        x = self.pool(x)
        x = self.flat(x)
        x = self.fc(x)
        return self.softmax(x)


sent_id = torch.randint(1000, 30000, (32, 64))
mask = torch.ones_like(sent_id)

# %% [markdown]
# Two faults raise nothing. The constructor takes a `bert` and does not use it: whoever passes a
# fine-tuned model gets a fresh one. It should say `self.bert = bert`. And `self.dropout` is built
# and never called: call it in `forward`, or leave it out.

# %% [markdown] items="000-15 000-16"
# ### Fault 1: the outputs by position
#
# **Predict:** what fails first?

# %% tags=["raises-exception"] raises="TypeError: cat(): argument 'tensors' (position 1) must be tuple of Tensors, not str"
model = Posted(bert=None)
model(sent_id, mask)

# %% [markdown]
# Not a shape at all. You know this one from notebook 01: unpacking an output gives its **names**,
# three strings. Before transformers 4 (November 2020) it gave the tensors. Take the field by name.


# %%
class ByName(Posted):
    def forward(self, sent_id, mask):
        outputs = self.bert(sent_id, attention_mask=mask, output_hidden_states=True)
        all_layers = outputs.hidden_states
        x = torch.cat(all_layers, 0)
        x = self.conv(x)
        return self.softmax(self.fc(self.flat(self.pool(self.relu(x)))))


# %% [markdown] items="000-20"
# The question also prints the layers to look at them, and sees
# `<generator object ... at 0x7fbeffc2d200>`. It printed a recipe and not what it makes: round
# brackets around a `for` make a *generator*, which computes nothing until somebody asks. A list
# asks.

# %%
layers = tuple(torch.randn(32, 64, 768) for _ in range(13))  # 13 hidden states
lazy = (tuple(layer.shape) for layer in layers[:2])
assert type(lazy).__name__ == "generator"
print(type(lazy).__name__, "->", list(lazy))

# %% [markdown] items="000-08"
# ### Fault 2: `padding=True`

# %% tags=["raises-exception"] raises="TypeError: conv2d() received an invalid combination of arguments"
model = ByName(bert=None)
model(sent_id, mask)

# %% [markdown]
# `padding=True` exists in tokenizers, where it means *fill up to the longest*. In a convolution it
# is a number of places. We take none.

# %%
model.conv = nn.Conv2d(13, 13, kernel_size=(3, 768))

# %% [markdown]
# ### Two ways to join tensors
#
# The hidden states are 13 tensors, and a convolution takes one. `cat` makes a dimension **longer**.
# `stack` makes a **new** one, at the place `dim` of the result.

# %%
three = [torch.randn(2, 5) for _ in range(3)]
torch.cat(three, 0).shape, torch.stack(three, dim=2).shape

# %% [markdown]
# ### Exercise 2 · Mend the join (5 minutes)
#
# `hidden_states` is a tuple of L + 1 tensors (B, T, H), as BERT gives them. A 2-D convolution reads
# (batch, channels, height, width), and here each layer is to be a channel: (B, L+1, T, H). The
# forum's line makes something else of them:
#
# ```python
# torch.cat(hidden_states, 0)
# ```
#
# Write `layers_as_channels(hidden_states)` with a line that is right, for a batch of one too.


# %%
def layers_as_channels(hidden_states):
    # BEGIN SOLUTION
    return torch.stack(hidden_states, dim=1)
    # END SOLUTION


# %%
check.layers_as_channels(layers_as_channels)

# %% [markdown]
# <details><summary>Hint 1</summary><code>torch.cat</code> makes a dimension longer that is already there. Which function makes a new
# one?</details>
# <details><summary>Hint 2</summary><code>torch.stack(tensors, dim=...)</code>; <code>dim</code> is the place of the new dimension in the
# result. The texts keep place 0.</details>

# %% [markdown] items="000-18 000-19 000-21"
# ### Fault 3: layers joined into the batch
#
# The forum's line, `torch.cat(all_layers, 0)`, gives the error that the question is about.

# %% tags=["raises-exception"] raises="RuntimeError: Given groups=1, weight of size [13, 13, 3, 768], expected input[1, 416, 64, 768] to have 13 channels, but got 416 channels instead"
model(sent_id, mask)

# %% [markdown]
# The question quotes an older text: *"Expected 4-dimensional input for 4-dimensional weight [13,
# 13, 3, 768], but got 3-dimensional input of size [416, 64, 768] instead"*. Today's misleads more:
# it speaks of `input[1, 416, 64, 768]`, and **there is no such tensor**. Ours is (416, 64, 768). A
# 3-D input counts as one image without a batch, and the 1 was put in front of it.
#
# Where does 416 come from? `torch.cat(..., 0)` laid 13 tensors of 32 texts end to end: 13 × 32.
# Two comments in the question take it for [32, 13, 64, 768] and [13, 32, 64, 768]. It is
# neither; before the `cat` there is no tensor at all, but a tuple of 13. `stack` keeps layers and
# texts apart, in (32, 13, 64, 768).

# %%
assert torch.cat(layers, 0).shape == (416, 64, 768)
assert torch.stack(layers, dim=1).shape == (32, 13, 64, 768)

# %% [markdown] items="000-22"
# **Predict:** the same mistake with a batch of **one** text: `cat` gives (13, 64, 768). Which error
# comes now?

# %%
one = torch.cat([layer[:1] for layer in layers], 0)
model.conv(one).shape

# %% [markdown]
# None. 13 × 1 = 13, so the layers look like 13 channels, of an image without a batch. The result is
# even what was wanted, only that the **batch is gone**. Who tries a model with one text finds it
# working, and it fails in training. **Try every model with a batch of one and of three.**

# %% [markdown] items="002-116"
# A repository's code does use `torch.cat(hidden_states)[:, :1, :].view(13, B, 1, 768)`, to get the
# `[CLS]` vectors of all layers. There the `view` is right: it splits the joined dimension exactly
# where `cat` joined it, layers first. `stack` says the same and cannot be misread.

# %%
theirs = torch.cat(layers)[:, :1, :].view(13, 32, 1, 768)
assert torch.equal(theirs, torch.stack(layers)[:, :, :1])


# %% [markdown] items="000-10 000-11"
# ### Fault 4: a pooling over what is no longer there
#
# The layers are channels now, and the convolution runs. **Predict:** which shape does the pooling
# get?


# %%
class Stacked(Posted):
    def forward(self, sent_id, mask):
        outputs = self.bert(sent_id, attention_mask=mask, output_hidden_states=True)
        x = torch.stack(outputs.hidden_states, dim=1)
        x = self.relu(self.conv(x))
        x = self.pool(x)
        return self.softmax(self.fc(self.flat(x)))


# %% tags=["raises-exception"] raises="RuntimeError: max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:[32, 13, 62, 1]"
model = Stacked(bert=None)
model.conv = nn.Conv2d(13, 13, kernel_size=(3, 768))
model(sent_id, mask)

# %% [markdown]
# The convolution gave (32, 13, 62, 1): the 768 numbers are used up. `MaxPool1d(768)` reads three
# dimensions, not four, and the 768 places for its window are gone. What the question wants is *one
# maximum for each layer*: over the 62 places. No layer is needed for that.


# %%
class OverTime(Posted):
    def forward(self, sent_id, mask):
        outputs = self.bert(sent_id, attention_mask=mask, output_hidden_states=True)
        return self.head(torch.stack(outputs.hidden_states, dim=1))

    def head(self, x):
        # (B, 13, 62, 1): the activation follows the convolution, as usual.
        x = self.relu(self.conv(x))
        x = x.squeeze(3).amax(dim=2)  # (B, 13)
        return self.softmax(self.fc(x))


# %% [markdown]
# `squeeze(3)`, never `squeeze()`: without a number it takes away **every** dimension of size 1, and
# with a batch of one, the batch too. Do not count on the loss to tell you: with one text, cross entropy
# takes scores (3,) and a label (1,) without a word.

# %% [markdown] items="000-13"
# ### Fault 5: 9,118,464 features

# %% tags=["raises-exception"] raises="RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x13 and 9118464x3)"
model = OverTime(bert=None)
model.conv = nn.Conv2d(13, 13, kernel_size=(3, 768))
model(sent_id, mask)

# %% [markdown]
# 9,118,464 = 768 · 31 · 383. The formula above tells what that is: a 3 × 3 window makes 62 × 766 of
# 64 × 768, `MaxPool2d(2)` makes 31 × 383 of that, and 768 would be the channels. So the number fits
# another model, not this one. The layer has 27 million weights, more
# than the whole embedded BERT. **13 numbers go in.**
# (`Flatten` has nothing to do here any more. It begins at dimension 1, so the batch is safe.)

# %%
assert 768 * 31 * 383 == 9118464
assert sum(p.numel() for p in model.fc.parameters()) > 27e6
model.fc = nn.Linear(13, 3)
scores = model(sent_id, mask)
assert scores.shape == (32, 3)
scores.shape

# %% [markdown] items="000-14"
# ### Fault 6: which loss?
#
# It runs. The output is `LogSoftmax`: logarithms of probabilities. That fits `NLLLoss`. The usual
# `CrossEntropyLoss` does the log-softmax **itself**, so it wants plain scores.
#
# **Predict:** what becomes of the loss if the model's last layer is a softmax, a log-softmax, or
# nothing, and cross entropy comes after it?

# %%
plain = torch.tensor([[4.0, 0.0, -2.0]])
right_class = torch.tensor([0])
for name, given in (
    ("nothing", plain),
    ("log-softmax", plain.log_softmax(1)),
    ("softmax", plain.softmax(1)),
):
    print(f"{name:12} loss {F.cross_entropy(given, right_class):.3f}")
assert torch.isclose(
    F.cross_entropy(plain, right_class), F.nll_loss(plain.log_softmax(1), right_class)
)
certain = torch.tensor([[1.0, 0.0, 0.0]])  # the best that a softmax can give
assert 0.564 < F.cross_entropy(plain.softmax(1), right_class) < 0.565
assert 0.551 < F.cross_entropy(certain, right_class) < 0.552

# %% [markdown]
# A log-softmax twice is a log-softmax: no harm, but work for nothing. A **softmax** before cross
# entropy is a silent bug. The model is sure and right, and the loss is 0.565. With three classes
# it cannot fall below 0.551, because scores between 0 and 1 are never far apart. Give plain scores
# to `CrossEntropyLoss`.

# %% [markdown] items="000-27 000-28"
# ### The mended model
#
# The asker "tried different values" until the error changed. You need not try: **go through the
# shapes on paper, then let a table confirm it.**
#
# | step | shape |
# |---|---|
# | 13 hidden states | each (32, 64, 768) |
# | stack, `dim=1` | (32, 13, 64, 768) |
# | convolution (3, 768) | (32, 13, 62, 1) |
# | maximum over the tokens | (32, 13) |
# | linear 13 → 3 | (32, 3) |

# %%
table = shapes.trace(model, sent_id, mask)
table

# %% [markdown]
# They agree. And `trace` shows each layer that is *called*: `dropout`, `pool` and `flat` have no
# row. The same as a picture, the edges in proportion:

# %%
table.draw()

# %%
assert [row.name for row in table.rows if row.failed] == []
assert not {"dropout", "pool", "flat"} & {row.name for row in table.rows}

# %% [markdown] items="000-23"
# ### Reading a traceback
#
# The question shows a traceback of seven *frames*, calls one inside the other, from the cell
# through `train()` down to `F.conv2d`. Only three are the asker's own: cell, `train` and
# `forward`. Read from the **bottom** up, past PyTorch's files, to the first line that you wrote:
# `x = self.conv(x)`. That names the layer. Then ask which tensor went in, and print its shape *one
# line earlier*. The explanations under the failing cells do exactly this.

# %% [markdown] items="000-05"
# ## One filter for each layer, or filters over all layers?
#
# The question wants to convolve "each layer alone". Its code does something else:
# `Conv2d(13, 13, ...)` has 13 filters, and **each sees all 13 layers**. One filter for each layer
# alone is `groups=13`. The shapes of the two outputs are equal, so no error will ever tell.

# %%
mixed = nn.Conv2d(13, 13, kernel_size=(3, 768))
alone = nn.Conv2d(13, 13, kernel_size=(3, 768), groups=13)
for name, convolution in (("mixed", mixed), ("groups=13", alone)):
    count = sum(p.numel() for p in convolution.parameters())
    print(f"{name:10} weight {tuple(convolution.weight.shape)}  {count:,} parameters")
assert alone(image).shape == mixed(image).shape == (32, 13, 62, 1)
assert sum(p.numel() for p in alone.parameters()) == 13 * (3 * 768 + 1)

# %% [markdown]
# With groups the weight is (out_channels, in_channels / groups, height, width). To *see* the
# difference, change layer 5 alone, and look which of the 13 outputs change.

# %%
other = image.clone()
other[:, 5] += 1
for name, convolution in (("mixed", mixed), ("groups=13", alone)):
    with torch.no_grad():
        changed = (convolution(other) - convolution(image)).abs().amax(dim=(0, 2, 3)) > 1e-6
    print(f"{name:10} outputs that change: {changed.nonzero().flatten().tolist()}")
    assert changed.sum() == (13 if convolution is mixed else 1)

# %% [markdown] items="000-29"
# ## Padding, again
#
# The question gives the mask to BERT, and to nothing else. The convolution then slides over the
# vectors of `[PAD]` as well. We test it: the same hidden states, and some padding
# behind them.
#
# **Predict:** does the answer change?

# %%
model.eval()
with torch.no_grad():
    text = torch.stack([layer[:1] for layer in layers], dim=1)  # (1, 13, 64, 768)
    behind = torch.randn(1, 13, 64, 768)  # stands for what BERT gives for 64 [PAD]
    short = model.head(text)
    longer = model.head(torch.cat([text, behind], dim=2))
print(f"largest change: {(short - longer).abs().max():.3f}")
assert (short - longer).abs().max() > 1e-3

# %% [markdown]
# It does, and nothing says so. `preflight` looks for such mistakes. It cuts the batch to small prime
# sizes, changes padding, neighbours and batch size, and watches the answers.

# %%
findings = shapes.preflight(model, sent_id, mask)
assert "mask_ignored" in {finding.kind for finding in findings}
for finding in findings:
    print(f"{finding.kind}: {finding.message}\n")

# %% [markdown]
# ### Exercise 3 · Mend the model (20 minutes)
#
# The forum's model, with BERT taken out: it gets the hidden states and the mask. The rest, from
# `padding=True` to `9118464`, stands as it was posted, but for a dropout that was never applied.
#
# ```python
# class Broken(torch.nn.Module):
#     def __init__(self, layers, hidden, classes):
#         super().__init__()
#         self.conv = torch.nn.Conv2d(layers, layers, kernel_size=(3, hidden), padding=True)
#         self.relu = torch.nn.ReLU()
#         self.pool = torch.nn.MaxPool1d(kernel_size=hidden, stride=1)
#         self.fc = torch.nn.Linear(9118464, classes)
#         self.flat = torch.nn.Flatten()
#         self.softmax = torch.nn.LogSoftmax(dim=1)
#
#     def forward(self, hidden_states, mask):
#         x = torch.cat(hidden_states, 0)
#         x = self.conv(x)
#         x = self.relu(x)
#         x = self.pool(x)
#         x = self.flat(x)
#         x = self.fc(x)
#         return self.softmax(x)
# ```
#
# Write `mended(layers, hidden, classes)`, which returns a model that works, an `nn.Module`. It is
# called as `model(hidden_states, mask)`, with a tuple of `layers` tensors (B, T, H) and a mask
# (B, T) that is 1 for real tokens and 0 for padding, which stands on the right. It does what the
# question wishes for:
#
# 1. Each layer has **one filter** of shape (3, H) with its bias, and no filter sees another layer.
# 2. **A window is three neighbouring tokens with a real token in the middle; where a neighbour is
#    padding, or missing at an end of the text, zeros stand for it.** So padding changes nothing.
#    (The check takes other windows too, as long as padding changes nothing.)
# 3. ReLU, then the **maximum over the windows**: one number a layer, (B, `layers`).
# 4. A linear layer makes the scores of it, (B, `classes`): plain scores, without a softmax.
#
# Define the class inside the function, or above it in the same cell.


# %%
def mended(layers, hidden, classes):
    # BEGIN SOLUTION
    class Mended(torch.nn.Module):
        def __init__(self):
            super().__init__()
            # groups: a filter for each channel alone; padding: zeros before and behind the text.
            size, around = (3, hidden), (1, 0)
            self.conv = torch.nn.Conv2d(layers, layers, size, padding=around, groups=layers)
            self.linear = torch.nn.Linear(layers, classes)

        def forward(self, hidden_states, mask):
            padding = (mask == 0)[:, None, :]  # (B, 1, T)
            x = torch.stack(hidden_states, dim=1)  # (B, S, T, H): S = layers
            x = x.masked_fill(padding[..., None], 0)  # the neighbours that are padding
            x = torch.relu(self.conv(x))[..., 0]  # (B, S, T): one window around each token
            x = x.masked_fill(padding, float("-inf")).amax(dim=-1)  # (B, S)
            return self.linear(x)  # (B, K)

    return Mended()
    # END SOLUTION


# %%
check.mended(mended)

# %% [markdown]
# <details><summary>Hint 1</summary>Say the shapes aloud; S is the argument <code>layers</code>, the number of hidden states
# (13 for bert-base): stack (B, S, T, H) → convolution (B, S, T, 1) → maximum over T (B, S) → linear (B, K). <code>groups=layers</code> gives each channel a filter of its own. <code>padding=(1, 0)</code> adds a zero
# vector at both ends of the text, and nothing to H.</details>
# <details><summary>Hint 2</summary>The mask is needed twice. Before the convolution <code>masked_fill</code> writes zeros into the
# vectors of padding, (B, 1, T, 1); after it, minus infinity into the windows with padding in the middle, (B, 1, T),
# so that the maximum leaves them out.</details>

# %% [markdown]
# ## Does it work?
#
# Shapes that fit are not yet a good model. We train the mended head on the course's headlines, ten
# classes, on hidden states that we compute once: BERT itself stays as it is (*frozen*). `fit` is a
# plain training loop that keeps the weights of the best epoch on *dev*, texts that it does not
# train on; notebook 07 opens it.
#
# Four heads: one filter for each layer, as the question wishes; as many filters over all layers, as
# its code does; 24 of these; and the plain one, a linear layer on the masked mean of the last
# layer.
#
# **Predict** their order.

# %%
from pathlib import Path

from course_lib.batching import Batches
from course_lib.datasets import load_dataset
from course_lib.heads import HeadOutput
from course_lib.training import fit, set_seed

del layers, image, other, theirs  # a third of a gigabyte that is not needed any more
tokenizer, encoder = pretrained.load_tokenizer(), pretrained.load_model()
data = load_dataset(Path("../data/headlines_en"))
K, H, L = len(data.labels), encoder.config.hidden_size, encoder.config.num_hidden_layers
TOKENS = 24  # all headlines but very few are shorter


@torch.no_grad()
def cached(texts, label_ids):
    batches = []
    for start in range(0, len(texts), 64):
        batch = tokenizer(
            texts[start : start + 64],
            padding="max_length",
            max_length=TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        states = encoder(**batch, output_hidden_states=True).hidden_states
        batches.append((torch.stack(states, dim=1).half(), batch["attention_mask"]))
    hidden, masks = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return {"hidden": hidden, "mask": masks, "labels": torch.tensor(label_ids)}


train = cached(data.train.texts[::2], data.train.label_ids[::2])  # half of them will do here
dev = cached(data.dev.texts, data.dev.label_ids)
# (texts, L + 1, tokens, H), with 16 bits a number (half precision) to save memory
train["hidden"].shape

# %% [markdown]
# The head below is right about padding: vectors of `[PAD]` are zero before the convolution, and only
# windows around a real token can be the maximum.


# %%
class LayersCNN(nn.Module):
    def __init__(self, filters, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(L + 1, filters, (3, H), padding=(1, 0), groups=groups)
        self.fc = nn.Linear(filters, K)

    def forward(self, hidden, mask, labels):
        real = mask[:, None, :, None]  # (B, 1, T, 1)
        # After ReLU no window is below 0, so a 0 never beats a real one.
        x = self.conv(hidden.float() * real).relu() * real
        logits = self.fc(x.amax(dim=(2, 3)))
        return HeadOutput(F.cross_entropy(logits, labels), logits)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(H, K)

    def forward(self, hidden, mask, labels):
        logits = self.fc(pooling.masked_mean(hidden[:, -1].float(), mask))
        return HeadOutput(F.cross_entropy(logits, labels), logits)


# %%
heads = {
    "one filter a layer": lambda: LayersCNN(L + 1, groups=L + 1),
    "as many, mixed": lambda: LayersCNN(L + 1),
    "24 filters, mixed": lambda: LayersCNN(24),
    "masked mean, linear": Plain,
}
rows, accuracy = [], {}
for name, make in heads.items():
    found = []
    for seed in (0, 1):
        set_seed(seed)
        head = make()
        done = fit(
            head,
            Batches(train, 32, shuffle=seed),
            Batches(dev, 64),
            epochs=6,
            learning_rate=3e-3,
        )
        found.append(done.kept.dev.accuracy)
    accuracy[name] = sum(found) / len(found)
    parameters = sum(p.numel() for p in head.parameters())
    rows.append([name, parameters, *(f"{value:.3f}" for value in found)])
plots.Table(["head", "parameters", "dev accuracy, seed 0", "seed 1"], rows)

# %%
if EMBEDDED:
    assert (
        0.45 < accuracy["one filter a layer"] < 0.68
        and 0.45 < accuracy["as many, mixed"] < 0.68
    )
    assert accuracy["masked mean, linear"] > 0.7 > accuracy["one filter a layer"]
    assert accuracy["masked mean, linear"] > max(accuracy.values()) - 0.01
    assert accuracy["24 filters, mixed"] > accuracy["as many, mixed"]
    assert L + 1 == 7 and K * (H + 1) == 3850
    assert sum(p.numel() for p in encoder.parameters()) < 27e6
assert K == 10 and len(train["labels"]) == 615 and len(dev["labels"]) == 410
assert round(2 * (0.75 * 0.25 / 410) ** 0.5, 2) == 0.04  # two standard errors

# %% [markdown]
# The model of the question works, and it is not a good one: **with one number a layer, seven in all, it
# learned far less in the same training.** (Whether seven numbers hold too little, or only learn more slowly,
# this does not tell.) More filters help. But the plain head, one linear layer with a few thousand
# parameters, is as good as any of them or better.
#
# What this does *not* say: that a CNN on BERT is useless. The encoder was frozen, and tuned for the
# masked mean; there were 615 texts to learn from; and with 410 texts on dev, four points more or
# less can be chance. Notebook 09 compares such heads with the whole model trained. **Try the
# plain head first**, and let the clever one beat it.

# %% [markdown] items="000-24 000-25 000-26"
# ## The other errors of the question
#
# While trying values, the asker met three more errors. You can explain each before you read on.

# %% tags=["raises-exception"] raises="RuntimeError: Given input size: (64x62x1). Calculated output size: (64x31x0). Output size is too small"
nn.MaxPool2d(2)(torch.randn(32, 64, 62, 1))

# %% [markdown]
# The convolution has used up the width: it is 1. A pooling of 2 × 2 fits nowhere. Pool over the
# height alone, `MaxPool2d((2, 1))`.

# %% tags=["raises-exception"] raises="RuntimeError: Given groups=1, weight of size [32, 32, 3, 3], expected input[13, 4, 64, 768] to have 32 channels, but got 4 channels instead"
nn.Conv2d(32, 32, 3)(torch.randn(13, 4, 64, 768))

# %% [markdown]
# 32 is the **batch**, given as the number of channels. A layer never knows the batch. And
# (13, 4, 64, 768) has the layers where the batch belongs: here 4 texts came with 13 layers.

# %% tags=["raises-exception"] raises="ValueError: Expected input batch_size (416) to match target batch_size (32)."
F.cross_entropy(torch.randn(416, 3), torch.randint(0, 3, (32,)))

# %% [markdown]
# The question writes X and Y; here is the 416 again: 13 layers of 32 texts gave 416 answers, and
# there are 32 labels. The fault is far above the line that fails. Repeating the labels would run,
# and hide it. Mend the `cat`.

# %% [markdown]
# ## `view` is not `permute`
#
# `Conv1d` reads (B, channels, T), and BERT gives (B, T, H). Two ways to the same shape, for one
# text:

# %%
hidden = torch.arange(6.0).reshape(3, 2)  # three tokens, two numbers each
print(hidden.tolist())
print("view:     ", hidden.view(2, 3).tolist())
print("transpose:", hidden.T.tolist())

# %% [markdown]
# The tokens are (0, 1), (2, 3), (4, 5). Transposed, the first row holds the first number of every
# token: 0, 2, 4. With `view` it holds 0, 1, 2, a mixture. **`view` reads the same numbers in the
# same order and counts them off anew.** Use it to cut or to join neighbouring dimensions, and
# `transpose` or `permute` to exchange them.

# %% [markdown]
# ### Exercise 4 · Mend the view (5 minutes)
#
# `nn.Conv1d` reads (B, H, T): the H numbers of a token are its channels. From `x` (B, T, H) this line
# makes the right shape with the wrong numbers:
#
# ```python
# B, T, H = x.shape
# x.view(B, H, T)
# ```
#
# Write `to_channels(x)`, which makes the right numbers too.


# %%
def to_channels(x):
    # BEGIN SOLUTION
    return x.transpose(1, 2)
    # END SOLUTION


# %%
check.to_channels(to_channels)

# %% [markdown]
# <details><summary>Hint 1</summary>A view reads the same numbers in the same order and cuts them anew. Here two dimensions are to
# change places.</details>
# <details><summary>Hint 2</summary><code>x.transpose(1, 2)</code> or <code>x.permute(0, 2, 1)</code>: number h of token t is then at
# <code>[b, h, t]</code>.</details>

# %% [markdown]
# ## Recurrent layers
#
# A *recurrent* layer reads tokens one after the other and hands a memory on from step to step. The LSTM is the
# usual one (notebook 09). `nn.LSTM` reads **(T, B, H)** unless you say `batch_first=True`. Without it, a batch of 32 texts of
# 64 tokens is read as 64 texts of 32 tokens, and nothing complains. And it returns a pair:

# %% tags=["raises-exception"] raises="TypeError: linear(): argument 'input' (position 1) must be Tensor, not tuple"
recurrent = nn.Sequential(nn.LSTM(24, 8, batch_first=True), nn.Linear(8, 3))
recurrent(torch.randn(2, 5, 24))

# %% [markdown]
# An `LSTM` with a layer behind it in `nn.Sequential` always ends so. Call it yourself, and unpack:
# `outputs, _ = lstm(x)`. `outputs` is (B, T, H), a vector for every step.

# %% [markdown]
# ### Exercise 5 · Mend the last step (8 minutes)
#
# A recurrent network reads a text from left to right, and its last step has seen the whole text. This
# line takes the last step of the batch, which for short texts is padding:
#
# ```python
# outputs[:, -1]
# ```
#
# Write `last_real(outputs, mask)`: `outputs` (B, T, H), `mask` (B, T) with 1 for real tokens, padding
# on the right. The result, (B, H), is the vector of each text's **last real token**.


# %%
def last_real(outputs, mask):
    # BEGIN SOLUTION
    last = mask.sum(dim=1) - 1  # (B,): counted from 0
    return outputs[torch.arange(len(outputs)), last]
    # END SOLUTION


# %%
check.last_real(last_real)

# %% [markdown]
# <details><summary>Hint 1</summary>The mask knows how many real tokens a text has. Where is the last of n, counted from 0?</details>
# <details><summary>Hint 2</summary>Index with two tensors of length B, a text and its place:
# <code>outputs[torch.arange(B), lengths - 1]</code>. With <code>outputs[:, lengths - 1]</code> every text gets all the
# places.</details>

# %% [markdown] items="002-91"
# ## Masks
#
# A mask (B, T) says which tokens are real. Scores of attention are (B, T, T), or (B, N, T, T) with
# heads. Code that adds a mask to them (0 keeps, −10000 hides) must align the two, and PyTorch aligns
# from the **right**:

# %% tags=["raises-exception"] raises="RuntimeError: The size of tensor a (64) must match the size of tensor b (8) at non-singleton dimension 1"
attention_scores = torch.randn(8, 64, 64)
attention_scores + torch.zeros(8, 64)

# %% [markdown]
# The mask's 8 texts were laid against 64 tokens. It needs a dimension in the middle: `mask[:,
# None, :]` is (8, 1, 64).
#
# **Predict:** what happens with 64 texts of 64 tokens?

# %%
attention_scores = torch.randn(64, 64, 64)
wrong = attention_scores + torch.zeros(64, 64)
wrong.shape

# %% [markdown]
# It runs. Text 1's mask is now added to *token* 1's row of scores, in every text. A mistake that
# depends on the size of the batch is the kind that costs days.
#
# For BERT give a mask (B, T) of ones and zeros; whole numbers, True and False, or 1.0 and 0.0 are
# all right, and without one everything is real. Notebook 01 shows what an *additive* mask does
# there: the opposite, in silence.

# %% [markdown]
# ## Losses and labels
#
# Cross entropy takes scores (B, K) and **one whole number a text**, (B,), from 0 to K − 1. For a
# label at each token the classes come second: (B, K, T) and (B, T).

# %% tags=["raises-exception"] raises="RuntimeError: Expected target size [32, 10], got [32, 64]"
token_scores, token_labels = torch.randn(32, 64, 10), torch.randint(0, 10, (32, 64))
F.cross_entropy(token_scores, token_labels)

# %% [markdown]
# Put the classes second, or make each token a row: the same loss.

# %%
by_classes = F.cross_entropy(token_scores.transpose(1, 2), token_labels)
flat = F.cross_entropy(token_scores.flatten(0, 1), token_labels.flatten())
assert torch.isclose(by_classes, flat)
print(f"{by_classes:.4f} = {flat:.4f}")

# %% [markdown]
# **Predict:** four texts, seven classes, the labels 0, 3, 9 and 6.

# %% tags=["raises-exception"] raises="IndexError: Target 9 is out of bounds."
class_scores, class_labels = torch.randn(4, 7), torch.tensor([0, 3, 9, 6])
F.cross_entropy(class_scores, class_labels)

# %% [markdown]
# A label 9 needs ten classes, and the model has seven. Count from the data: `num_labels =
# len(labels)`.

# %% [markdown] items="004-64"
# ### Any number of classes for a text
#
# If several labels may hold at once, a text has K numbers, 0 or 1. transformers'
# `BertForSequenceClassification` is a BERT with a layer for classes on top. Its setting `problem_type` names
# the loss; left unset, the **type** of the labels decides.
#
# **Predict:** the labels are whole numbers, (4, 7) ones and zeros. What happens?

# %% tags=["raises-exception"] raises="ValueError: Expected input batch_size (4) to match target batch_size (28)."
import transformers

tiny = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
classifier = transformers.BertForSequenceClassification(
    transformers.BertConfig(vocab_size=99, intermediate_size=48, num_labels=7, **tiny)
)
some_texts, several = torch.randint(5, 99, (4, 11)), torch.randint(0, 2, (4, 7))
classifier(some_texts, labels=several)

# %% [markdown]
# One output means `regression`; else whole numbers mean `single_label_classification`, and others
# `multi_label_classification`. So 4 × 7 = 28 labels were laid against 4 texts. And the choice is
# **kept**: the first batch wrote it into the configuration, and labels of the right type now meet
# the wrong loss. Set `problem_type` yourself, here with `.float()`. Untrained, the model pays about
# ln 2 = 0.693 a label.

# %%
assert classifier.config.problem_type == "single_label_classification"
classifier.config.problem_type = "multi_label_classification"
loss = classifier(some_texts, labels=several.float()).loss
assert abs(loss - 0.693) < 0.1
print(f"{loss:.3f}")

# %% [markdown]
# ### Exercise 6 · Mend the loss (5 minutes)
#
# A model for a number a text gives `predictions` (B, 1), and `targets` has shape (B,). This line
# raises nothing and averages B × B numbers:
#
# ```python
# ((predictions - targets) ** 2).mean()
# ```
#
# Write `squared_error(predictions, targets)`: the mean over the B texts of the squared difference
# between a text's prediction and its own target, a tensor of shape ().


# %%
def squared_error(predictions, targets):
    # BEGIN SOLUTION
    return ((predictions.squeeze(1) - targets) ** 2).mean()
    # END SOLUTION


# %%
check.squared_error(squared_error)

# %% [markdown]
# <details><summary>Hint 1</summary>Shapes are aligned from the right: (B, 1) meets (1, B), and both are repeated to (B, B).</details>
# <details><summary>Hint 2</summary>Give both the same shape before you subtract: <code>predictions.squeeze(1)</code> is (B,),
# <code>targets.unsqueeze(1)</code> is (B, 1). Say which dimension goes; a bare <code>squeeze()</code> takes the batch of one
# as well.</details>

# %% [markdown] items="002-59"
# ## One text for three tables
#
# An embedding that is asked for a row it does not have raises *index out of range in self*. The words
# are the same for all three tables. So ask which number is too large: a token (another tokenizer's id),
# a position (a text of over 512 tokens) or a type (1 and 2 in place of 0 and 1).
#
# That is on the processor. On an NVIDIA card this fault, and a label out of bounds, reads *CUDA error:
# device-side assert triggered*, often at a later, innocent line. Restart the kernel, run the same
# batch on the processor, and read the error there.

# %% tags=["raises-exception"] raises="IndexError: index out of range in self"
tokens, places = nn.Embedding(99, 24), nn.Embedding(512, 24)
long_text = torch.zeros(1, 513, dtype=torch.long)
tokens(long_text) + places(torch.arange(513))

# %% [markdown]
# 512 positions are 0 to 511: a text may have 512 tokens, and not one more. transformers' own BERT
# fails with other words. Without `token_type_ids`, it cannot expand its row of 512 zeros. With them,
# *The size of tensor a (513) must match the size of tensor b (512)*. Both mean: over 512 tokens.

# %% tags=["raises-exception"] raises="RuntimeError: The expanded size of the tensor (513) must match the existing size (512)"
assert classifier(long_text[:, :512]).logits.shape == (1, 7)
classifier(long_text)

# %% [markdown]
# ## A report with three classes missing
#
# The page of a repository that trains text classifiers shows the log of a run. After the last epoch
# it ends with an error: three of the ten classes occurred in the test neither as labels nor as guesses.

# %% [markdown]
# ### Exercise 7 · Mend the report (8 minutes)
#
# `right` and `guessed` are lists of label numbers, and `names` has the name of each number: label 0 is
# `names[0]`. scikit-learn's `classification_report` says for each class how good the guesses were (precision,
# recall and F1: notebook 07 explains them). A class may be absent from a small test set. Then this line raises an error, because
# scikit-learn counts only the classes that it meets:
#
# ```python
# classification_report(right, guessed, target_names=names, output_dict=True, zero_division=0)
# ```
#
# Write `report(right, guessed, names)`: the same dictionary, with a row for **every** class, under its
# own name. A class that is absent has zeros there.

# %%
from sklearn.metrics import classification_report


def report(right, guessed, names):
    # BEGIN SOLUTION
    return classification_report(
        right,
        guessed,
        labels=range(len(names)),
        target_names=names,
        output_dict=True,
        zero_division=0,
    )
    # END SOLUTION


# %%
check.report(report)

# %% [markdown]
# <details><summary>Hint 1</summary>Run the line above on a small test of your own: the error ends with <em>Try specifying the
# labels parameter</em>. What does <code>labels</code> expect, names or numbers?</details>
# <details><summary>Hint 2</summary><code>labels=range(len(names))</code>: all label numbers, in the order of the names.</details>

# %% [markdown]
# Here is the broken line at work. Compare the fix below with yours.

# %% tags=["raises-exception"] raises="ValueError: Number of classes, 7, does not match size of target_names, 10. Try specifying the labels parameter"
names = list(data.labels)
right = guessed = [0, 1, 2, 3, 4, 5, 6] * 2
classification_report(right, guessed, target_names=names)

# %% [markdown] items="002-44"
# ### A model that prints itself strangely
#
# The same log has a line `<bound method Module.parameters of Model(...`. The program printed the
# *method* `model.parameters` without calling it. Print `model` instead, or count its parameters.

# %%
head = LayersCNN(L + 1, groups=L + 1)
print(
    type(head.parameters).__name__, "|", sum(p.numel() for p in head.parameters()), "parameters"
)
head

# %% [markdown]
# ## The silent ones
#
# Errors are the lucky case. These seven lines raise nothing:
#
# | line | what happens |
# |---|---|
# | `x.view(B, H, T)` for a transpose | numbers of different tokens are mixed |
# | `nn.LSTM(H, 8)` on (B, T, H) | texts and tokens change places |
# | `scores.softmax(dim=0)` on (B, K) | the texts compete with each other |
# | `(B, 1) - (B,)` in a loss | (B, B) differences |
# | `x.mean(dim=1)` over padding | the answer depends on the longest text of the batch |
# | `x.squeeze()` | a batch of one is lost |
# | `nn.Linear(...)` inside `forward` | it is new every time, and never learns |
#
# `preflight` finds them by experiment: it changes one text, the padding, the size of the batch, and
# follows gradients. (For a loss outside the model, give `loss_fn=` and `labels=`.) It needs
# no rule for your model. **Predict:** which of the seven are in this one?


# %%
class Careless(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(99, 24)
        self.lstm = nn.LSTM(24, 8)

    def forward(self, input_ids, attention_mask):
        steps, _ = self.lstm(self.table(input_ids))
        pooled = steps.mean(dim=1)
        scores = nn.Linear(8, 3)(pooled)
        return scores.softmax(dim=0)


few_ids = torch.randint(1, 99, (5, 11))
findings = shapes.preflight(Careless(), few_ids, torch.ones_like(few_ids))
kinds = {"layer_in_forward", "softmax_dimension", "batch_first", "mask_ignored"}
assert {finding.kind for finding in findings} == kinds
for finding in findings:
    print(f"{finding.kind}: {finding.message}\n")

# %% [markdown]
# Four of the seven. And the mended one:


# %%
class Careful(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(99, 24)
        self.lstm = nn.LSTM(24, 8, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, input_ids, attention_mask):
        steps, _ = self.lstm(self.table(input_ids))
        return self.fc(pooling.masked_mean(steps, attention_mask))


assert shapes.preflight(Careful(), few_ids, torch.ones_like(few_ids)) == []

# %% [markdown]
# No finding. Make it a habit: **`trace` before the first run, `preflight` before the first
# training.**

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("03_shape_debugging")

# %% [markdown]
# ## Summary
#
# - Convolutions and poolings read (batch, channels, places). Of n places,
#   ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1 remain.
# - `cat` makes a dimension longer, `stack` makes a new one. Layers are channels: `stack(dim=1)`.
# - A 3-D input counts as one image. So the forum's mistake raises nothing with a batch of one.
# - Weights know no batch: (out, in / groups, height, width).
# - `view` counts off anew, `transpose` exchanges. Give `squeeze` the dimension that is to go.
# - Find the line, the tensor, its shape, in this order; mend where the number was made, not where
#   it hurts.
# - The worst mistakes raise nothing. Batches of one and three, more padding, other neighbours
#   find most of them.
#
# **Read:** Dumoulin and Visin, *A guide to convolution arithmetic for deep learning* (2016). Kim,
# *Convolutional Neural Networks for Sentence Classification* (2014): windows over words, and the
# maximum over time.
#
# **Next:** [04_bert_from_scratch](04_bert_from_scratch.ipynb). Your progress so far:

# %%
from course_lib.exercises import progress

progress()
