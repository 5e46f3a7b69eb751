# %% [markdown]
# # Going bigger
#
# **You will be able to:** reckon how long a training takes, and how much memory it needs, before you
# start it; take the same lines from a laptop to a graphics card, to several cards and to several
# machines, and say what changes in batch, rate and memory; read data that do not fit into memory;
# choose a model by its name, language and size; say what came after BERT, and which lines changed.
#
# **You need:** [06_pretraining](06_pretraining.ipynb) and [07_fine_tuning](07_fine_tuning.ipynb).
#
# **Time:** 110 minutes with the exercises.
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %%
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import torch
from accelerate import PartialState
from torch import nn
from torch.nn import functional as F

from course_lib import devices, encode, metrics, optim, plots, pretrained, probing, training
from course_lib.batching import Batches, PaddedBatches
from course_lib.bert import BertModel
from course_lib.config import RELEASED, BertConfig, count_parameters
from course_lib.datasets import load_dataset
from course_lib.errors import ModelFilesError
from course_lib.exercises import going_bigger as check
from course_lib.finetuning.streams import StreamedBatches
from course_lib.pooling import masked_mean
from course_lib.remarks import remarks
from course_lib.training.sharing import Share

GIB = 2**30  # bytes
workplace = Path(tempfile.mkdtemp())  # all files of this notebook go there
os.environ["COURSE_DEVICE"] = "cpu"  # as in the text; section 3 tells of graphics cards

# %% [markdown]
# Everything in this course ran on a processor with two cores. What if the model is ten times
# larger, or the data are? The lines of code stay nearly the same. What changes can be **reckoned**
# before anything is bought, rented or downloaded.

# %% tags=["picture"]
plots.diagram(
    boxes={
        "laptop": plots.Box(0, 0, "a processor", 0, 1.0),
        "card": plots.Box(1.3, 0, "a graphics card", 1, 1.0),
        "cards": plots.Box(2.6, 0, "several cards", 2, 1.0),
        "machines": plots.Box(3.9, 0, "several machines", 3, 1.1),
        "one": plots.Box(0, 1, "one process,\neverything so far", 6, 1.1),
        "fast": plots.Box(1.3, 1, "one process:\nfaster, less memory", 6, 1.15),
        "share": plots.Box(2.6, 1, "a process a card:\ngradients are shared", 6, 1.15),
        "net": plots.Box(3.9, 1, "the same, and\na slow network", 6, 1.1),
    },
    arrows=[
        ("laptop", "card"), ("card", "cards"), ("cards", "machines"),
        ("laptop", "one"), ("card", "fast"), ("cards", "share"), ("machines", "net"),
    ],
    alt="Four steps in a row: a processor, a graphics card, several cards, several machines. Under each, what is "
    "new: one process; one process, faster and with less memory; a process for each card, which share their "
    "gradients; the same, and a slow network between them.",
)  # fmt: skip

# %% [markdown]
# ## 1 · What is slow?
#
# Notebook 06 counted: with N numbers in the matrices of the layers and D tokens, training takes
# about **6 · N · D** operations. 2 on the way forward (multiply, add), 4 on the way back. How many
# can this machine do in a second? Ask it for what it does best, the product of two large matrices.


# %%
def quickest(run, times=4):
    """Seconds of the quickest of some runs. The first one only warms up."""
    seconds = []
    for _ in range(times + 1):
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return min(seconds[1:])


square = torch.randn(1024, 1024)
peak = 2 * 1024**3 / quickest(lambda: square @ square, times=12)
print(f"products of matrices: {peak / 1e9:.0f} billion operations a second")

# %% [markdown]
# **Predict:** a step of training has more to do than products of matrices: softmax, LayerNorm,
# GELU, dropout, and copies of all kinds. And its matrices are smaller. Which share of that rate does
# it reach: 90 %, 60 %, 20 %?


# %%
def in_the_layers(model):
    """N: the numbers in the matrices of the layers."""
    return sum(p.numel() for p in model.encoder.parameters() if p.dim() == 2)


sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}
small_config = BertConfig(**sizes, intermediate_size=1024, vocab_size=1000)
training.set_seed(0)
small = BertModel(small_config, add_pooling_layer=False).train()
ids = torch.randint(5, 1000, (8, 64))


def step():
    small(ids).last_hidden_state.square().mean().backward()
    small.zero_grad()


N = in_the_layers(small)
seconds = quickest(step, times=3)
rate = 6 * N * ids.numel() / seconds
peak = max(peak, 2 * 1024**3 / quickest(lambda: square @ square, times=12))  # machines waver
reached = rate / peak
print(f"{N:,} weights, {ids.numel():,} tokens: {seconds:.2f} s for a step")
print(f"{rate / 1e9:.0f} billion operations a second, {reached:.0%} of the best")
assert N == 12 * 256 * 256 * 4

# %% [markdown]
# What is missing goes into all those other things, and into products that are too small to be quick.
# So 6 · N · D, divided by a rate that was **measured**, is good enough to plan with.
#
# ### How long will it take?
#
# The same for other machines. The rates in this cell are **theirs**, from NVIDIA's data sheets (the
# most that products of matrices can reach, in the precision that this course would use there); that
# 40 % of it is reached is our **assumption**, the one of notebook 06. Correct both lines for your own
# machine.

# %%
REACHED = 0.4
MACHINES = {  # name: operations a second, GiB, precision
    "this machine": (peak, None, "float32"),
    "T4": (8.1e12, 16, "float32"),
    "RTX 2080 Ti": (13.4e12, 11, "float32"),
    "RTX 4090": (165e12, 24, "bfloat16"),
    "A100": (312e12, 80, "bfloat16"),
    "H100": (989e12, 80, "bfloat16"),
}


def spoken(seconds):
    """Seconds in the largest unit that fits."""
    units = {"years": 365 * 86400, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
    name = next((name for name, size in units.items() if seconds >= size), "seconds")
    return f"{seconds / units[name]:,.{1 if seconds < 10 * units[name] else 0}f} {name}"


def reckoned(weights, tokens, machine):
    """Seconds of a training; here with the share that was measured, elsewhere with the assumed one."""
    share = reached if machine == "this machine" else REACHED
    return 6 * weights * tokens / (MACHINES[machine][0] * share)


def on_meta(config, **options):
    """A BERT with shapes and without numbers: it takes no memory (section 2)."""
    with torch.device("meta"):
        return BertModel(config, **options)


BASE = BertConfig()
LARGE = BertConfig(
    hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
)
N_BASE, N_LARGE = in_the_layers(on_meta(BASE)), in_the_layers(on_meta(LARGE))
headlines = 3 * 32  # three epochs, rows of 32 tokens
PRETRAINING = 900_000 * 256 * 128 + 100_000 * 256 * 512  # tokens, notebook 06
plots.Table(
    [
        "machine",
        "base, 1,230 headlines",
        "base, 180,000",
        "large, 180,000",
        "base from scratch",
    ],
    [
        [
            name,
            spoken(reckoned(N_BASE, 1_230 * headlines, name)),
            spoken(reckoned(N_BASE, 180_000 * headlines, name)),
            spoken(reckoned(N_LARGE, 180_000 * headlines, name)),
            spoken(reckoned(N_BASE, PRETRAINING, name)),
        ]
        for name in MACHINES
    ],
    right=(1, 2, 3, 4),
)

# %% [markdown]
# Read it from left to right. A task with a thousand texts runs anywhere. With a hundred thousand, a
# card is worth its money. Pretraining belongs on large cards.

# %%
assert round(N_BASE / 1e6) == 85 and round(N_LARGE / 1e6) == 302
assert 4 * 3600 < 180_000 * headlines * 6 * N_BASE / (REACHED * 1e12) < 7 * 3600

# %% [markdown] items="002-24"
# **Does so rough a sum agree with anything?** The Chinese repository's page says: one 2080 Ti, 30
# minutes of training. It does not say for which model, how many epochs, or how long the rows were.
# Take its `bert` on its 180,000 headlines, and assume three epochs and rows of 32 tokens.
# **Predict:** which share of the card's rate would 30 minutes be?

# %%
theirs = 6 * N_BASE * 180_000 * headlines / (30 * 60)
share = theirs / MACHINES["RTX 2080 Ti"][0]
print(f"{theirs / 1e12:.1f} · 10¹² operations a second, {share:.0%} of the card's float32 rate")
assert 1 / 3 < share < 0.4
assert round(reckoned(N_BASE, 180_000 * headlines, "RTX 2080 Ti") / 60) == 27

# %% [markdown] items="002-71"
# More than a third, near to what we assume, and to the 27 minutes of the table. The sum fits.
#
# Another log of that page stops speaking at 7 minutes and 23 seconds, while it evaluates 10,000 dev
# texts (notebook 07). An evaluation is the way forward alone, 2 · N · D. With rows of 32 tokens again:

# %%
forward = 2 * N_BASE * 10_000 * 32
print(f"{forward / (7 * 60 + 23) / 1e9:.0f} billion operations a second: a processor's rate")
print(f"the 2080 Ti would take {forward / (MACHINES['RTX 2080 Ti'][0] * REACHED):.0f} seconds")
assert 100e9 < forward / 443 < 150e9 and forward / (MACHINES["RTX 2080 Ti"][0] * REACHED) < 15

# %% [markdown]
# So that run was on a processor, it seems, and its log has no word about it. **Reckon before you start,
# then time two batches, as in notebook 07.** Where the two are ten times apart, something is on the
# wrong device.

# %% [markdown]
# ### Exercise 1 · How many hours? (5 minutes)
#
# Write `training_hours(weights, examples, length, epochs, rate)`: the hours that a training takes
# when the layers have `weights` numbers, each of the `examples` has `length` tokens, and the machine
# really does `rate` operations a second.


# %%
def training_hours(weights, examples, length, epochs, rate):
    # BEGIN SOLUTION
    tokens = examples * length * epochs
    return 6 * weights * tokens / rate / 3600
    # END SOLUTION


# %%
check.training_hours(training_hours)

# %% [markdown]
# <details><summary>Hint 1</summary>How many tokens are read in all? Each epoch reads all examples.</details>
# <details><summary>Hint 2</summary><code>6 * weights * tokens</code> operations; divided by the rate they are seconds.</details>

# %% [markdown]
# ## 2 · What fits?
#
# More often a card is not too slow, but too small. In training there are five things in memory:
#
# - the weights, their gradients, and the optimizer's two running means: 4 · 4 = **16 bytes a weight**
#   (notebook 07);
# - the **kept outputs**: what each layer keeps of its outputs for the way back. That grows with the
#   batch.
#
# PyTorch shows each tensor that it keeps to whoever asks. So they can be counted:


# %%
def kept_bytes(model, rows, tokens):
    """Bytes that a forward pass keeps for the way back, besides the weights."""
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # views of one tensor count once
        return tensor.detach()

    device = next(model.parameters()).device
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.zeros(rows, tokens, dtype=torch.long, device=device))
    return sum(storage.nbytes() for storage in kept.values())


for rows, tokens in ((4, 64), (8, 64), (4, 128)):
    print(f"{rows} rows of {tokens:>3}: {kept_bytes(small, rows, tokens) / 2**20:5.1f} MiB")

# %%
one, twice_rows, twice_long = (
    kept_bytes(small, *size) for size in ((4, 64), (8, 64), (4, 128))
)
assert abs(twice_rows / one - 2) < 0.01 and 2.2 < twice_long / one < 2.4

# %% [markdown]
# Twice the rows, twice the bytes. Twice as long a row takes **more** than twice: attention has a
# table of T · T numbers for each head.
#
# And now without running anything. A tensor on the device **meta** has a shape and no numbers:
# nothing is computed, no memory is taken, and PyTorch still notes what it would keep. On the small
# model both ways agree to the byte, so we may ask it about large ones.

# %%
on_paper = on_meta(small_config, add_pooling_layer=False).train()
assert kept_bytes(on_paper, 4, 64) == one
models = {"base": on_meta(BASE).train(), "large": on_meta(LARGE).train()}
parameters = {
    name: sum(count_parameters(model.config).values()) for name, model in models.items()
}
print({name: f"{count:,}" for name, count in parameters.items()})

# %% [markdown]
# **Predict:** BERT-base, 32 rows of 128 tokens. Which is larger, 16 bytes for each of its 109 million
# parameters, or the kept outputs?

# %%
state = {name: 16 * count / GIB for name, count in parameters.items()}
outputs = {name: kept_bytes(model, 32, 128) / GIB for name, model in models.items()}
for name in models:
    print(
        f"{name:<6} 16 bytes a parameter {state[name]:.1f} GiB, kept outputs {outputs[name]:.1f}"
    )
assert [round(state[name], 1) for name in models] == [1.6, 5.0]
assert [round(outputs[name], 1) for name in models] == [3.4, 9.0]
assert all(1.7 < outputs[name] / state[name] < 2.3 for name in models)

# %% [markdown]
# The kept outputs, about twice as much. That is good news: the model cannot be made smaller, the batch
# can.
#
# ### Three ways to make it fit
#
# **Smaller batches, added up.** Four batches of 8 rows give the same gradient as one of 32, if their
# gradients are added up before the step (`accumulate=4`). Only 8 rows are kept at a time. A toy shows
# that nothing else changes (dropout is off, for it would draw other places):

# %%
toy_sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
toy_config = BertConfig(
    **toy_sizes, vocab_size=100, intermediate_size=64, max_position_embeddings=16,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3,
)  # fmt: skip
draw = torch.Generator().manual_seed(0)
toy_ids = torch.randint(5, 100, (96, 16), generator=draw)
toy = {"input_ids": toy_ids, "labels": toy_ids[:, 0] % 3}


def toy_losses(size, accumulate):
    from course_lib.heads import BertForSequenceClassification

    training.set_seed(0)
    model = BertForSequenceClassification(toy_config)
    options = {"epochs": 2, "learning_rate": 1e-3, "accumulate": accumulate}
    return [step.loss for step in training.fit(model, Batches(toy, size), **options).steps]


whole, in_parts = toy_losses(32, 1), toy_losses(8, 4)
assert len(whole) == len(in_parts) == 6
furthest = max(abs(a - b) for a, b in zip(whole, in_parts, strict=True))
print(f"6 steps, loss {whole[0]:.3f} to {whole[-1]:.3f}; largest difference {furthest:.0e}")
assert furthest < 1e-5

# %% [markdown]
# **Recompute.** Keep only what goes into each layer, and compute the rest a second time on the way
# back (*gradient checkpointing*; Chen et al. 2016). **Predict:** how much is saved, and what does it
# cost?

# %%
small.gradient_checkpointing = True
few = kept_bytes(small, 4, 64)
slower = quickest(step, times=3)
small.gradient_checkpointing = False
print(f"kept: {few / one:.0%} of before; a step takes {slower / seconds:.2f} times as long")
assert few < 0.1 * one

# %% [markdown]
# Under a tenth is kept. It costs one more way forward: 8 · N · D operations in place of 6, a third
# more by this count. (What is no product of matrices, such as norms and dropout, is done again as well; so
# a step may take longer still. And one layer at a time is computed anew, so its outputs come on top for a moment.)
#
# **Fewer bits.** In bfloat16 a number has 2 bytes: a sign, the 8 bits of a float32's exponent, and 7 bits
# for its digits (8 with the leading 1, which is not stored). The recipe's `precision="auto"` takes it where the device has it.

# %%
with torch.autocast("cpu", torch.bfloat16):
    half = kept_bytes(small, 8, 64)
print(f"kept in bfloat16: {half / twice_rows:.0%} of float32")
assert 0.6 < half / twice_rows < 0.85

# %% [markdown]
# Not half: what goes into LayerNorm is kept in float32, and the products need a copy of their weights in
# bfloat16. (On a graphics card, a softmax of its own is computed in float32 too.) Weights, gradients and means stay in float32, for small steps would be lost to rounding in 8
# bits. On a card, the great gain of bfloat16 is its rate.
#
# All of it together, beside the 11 GiB of a 2080 Ti:

# %%
fitting = {}
for name, model in models.items():
    whole_batch, eighth = outputs[name], kept_bytes(model, 8, 128) / GIB
    model.gradient_checkpointing = True
    inputs_alone = kept_bytes(model, 32, 128) / GIB
    model.gradient_checkpointing = False
    fitting[f"{name}, 32 rows"] = (state[name], whole_batch)
    fitting[f"{name}, 4 times 8 rows"] = (state[name], eighth)
    one_layer = whole_batch / model.config.num_hidden_layers  # is there for a moment
    fitting[f"{name}, 32 rows, recomputed"] = (state[name], inputs_alone + one_layer)

figure, axes = plots.new_figure(7.4, 3.2)
fixed, growing = zip(*fitting.values(), strict=True)
axes.barh(
    list(fitting), [n / 2 for n in fixed], color=plots.COLOURS[0], label="weights, gradients"
)
axes.barh(list(fitting), [n / 2 for n in fixed], left=[n / 2 for n in fixed],
          color=plots.COLOURS[4], label="two means")  # fmt: skip
drawn = axes.barh(
    list(fitting), growing, left=fixed, color=plots.COLOURS[1], label="kept outputs"
)
axes.bar_label(drawn, [f"{a + b:.1f}" for a, b in fitting.values()], padding=3)
axes.axvline(11, color=plots.INK, linestyle="--", linewidth=1)
axes.text(11.1, 5.45, "11 GiB", fontsize=9)
axes.invert_yaxis()
axes.set(title="Memory of training, rows of 128 tokens", xlabel="GiB", xlim=(0, 16))
figure.legend(loc="outside lower center", ncols=3)
plots.picture(
    figure,
    alt="Six bars of GiB: "
    + "; ".join(f"{name}: {a + b:.1f}" for name, (a, b) in fitting.items())
    + ". Only large with 32 rows at once is above the dashed line at 11.",
)

# %%
assert [name for name, pair in fitting.items() if sum(pair) > 11] == ["large, 32 rows"]

# %% [markdown]
# On a card it is less than that: attention is computed there in one piece, which keeps no T · T table.
# So these sums are too large in that. They leave out what the card's own programs and the results of a
# moment take, often a GiB or so: leave room. How many rows would fit, by the sums alone?

# %%
a_row = {
    (name, tokens): kept_bytes(model, 1, tokens) / GIB
    for name, model in models.items()
    for tokens in (128, 512)
}
rows_that_fit = {
    card: [int((memory - state[name]) / each) for (name, _), each in a_row.items()]
    for card, (_, memory, _) in MACHINES.items()
    if memory
}
plots.Table(
    ["card", "GiB", *(f"{name}, T = {tokens}" for name, tokens in a_row)],
    [[card, MACHINES[card][1], *rows] for card, rows in rows_that_fit.items()],
)

# %%
assert rows_that_fit["RTX 2080 Ti"][1] == 12 and rows_that_fit["RTX 2080 Ti"][3] == 3

# %% [markdown]
# Long rows cost most. Of 512 tokens, an 11 GiB card holds twelve rows for BERT-base, and three for
# BERT-large. With `accumulate` either can be trained there all the same.

# %% [markdown]
# ### Exercise 2 · Bytes for each process (6 minutes)
#
# Write `state_bytes(trained, frozen, processes, sharded)`: the bytes of weights, gradients and means
# in **one** process. A weight that is trained takes 16 bytes; a frozen one has no gradient and no
# means, and takes 4. Usually each of the processes has everything. If `sharded` is True, each has an
# equal part of everything (that is what FSDP does, section 5).


# %%
def state_bytes(trained, frozen, processes, sharded):
    # BEGIN SOLUTION
    everything = 16 * trained + 4 * frozen
    return everything / processes if sharded else everything
    # END SOLUTION


# %%
check.state_bytes(state_bytes)

# %% [markdown]
# <details><summary>Hint 1</summary>First the sum for one process alone: two kinds of weights, two prices.</details>
# <details><summary>Hint 2</summary><code>16 * trained + 4 * frozen</code>, divided by <code>processes</code> where <code>sharded</code> is True.</details>

# %% [markdown]
# ## 3 · The same line on a graphics card
#
# `fine_tune(data)`, `pretrain`, `python -m course_lib train ...`: **nothing in them names a device.**
# *accelerate* is a small library that finds out what there is, and how many processes are to work
# together.
#
# Where there is an NVIDIA card, models go to it. The environment variable **COURSE_DEVICE** decides
# otherwise: the notebooks set it to `cpu`, so that you see the numbers that the text speaks of. On a Mac,
# `mps` asks for Apple's card; we have not tried it.

# %%
device = PartialState().device
print("accelerate found:", device, "· processes:", PartialState().num_processes)
print("chosen for models:", devices.chosen_device())
print("bfloat16 by itself:", devices.native_bfloat16(device))
assert device.type == "cpu" or torch.accelerator.is_available()

# %% [markdown]
# What to change in a recipe when a card is there:
#
# | field | on a card |
# |---|---|
# | `precision` | leave `"auto"`: bfloat16 where the card has it, from the RTX 30 and A100 on. The T4 and the 2080 Ti have none, and stay in float32. (In their float16, small gradients become 0 unless the loss is multiplied by a large number first and the gradients are divided by it afterwards; this course leaves that out) |
# | `batch_size` | as large as fits (section 2): small products do not fill a card |
# | `accumulate` | 1, as long as the batch fits |
# | `learning_rate` | goes with the batch: section 4 |
# | `epochs` | the same |
#
# For a model of your own, in a loop of your own, it is two lines: `model.to(device)`, and each batch
# `.to(device)`. Numbers agree to rounding only: a card adds up in another order.
#
# **What a card is worth**, once, as it was: mini_bert_zh, the course's Chinese BERT, was pretrained on one
# core of a Xeon first, then with the same command and larger batches on an H100 that did other work beside:

# %%
run = json.loads(Path("../data/mini_bert_zh/pretraining.json").read_text(encoding="utf-8"))
on_card = run["recipe"]["steps"] * run["batch_tokens"] / run["seconds"]
on_core = 6_500 * 4_096 / (71 * 60)  # its predecessor: 71 minutes
print(
    f"{on_core:,.0f} positions a second on the core, {on_card:,.0f} on the card: {on_card / on_core:.0f} times"
)
assert 50 < on_card / on_core < 150

# %% [markdown] items="002-81"
# The program of 2018 needed to be told. Notebook 06 has its other options; these are the last ones:

# %%
plots.Table(
    ["run_pretraining.py, 2018", "meaning", "today"],
    [
        ["use_tpu", "on a TPU, or not", "accelerate finds the device"],
        ["tpu_name, tpu_zone, gcp_project", "which TPU, in whose cloud", "none: start it where the device is"],
        ["master", "address of the meeting point", "torchrun --master_addr, several machines only"],
        ["num_tpu_cores", "how many work together", "torchrun --nproc_per_node"],
        ["iterations_per_loop", "steps between two words from the TPU", "none"],
    ],
)  # fmt: skip

# %% [markdown]
# A TPU is Google's chip for products of matrices. accelerate knows it too, with the package
# `torch_xla`; this course has not been run on one.

# %% [markdown]
# ## 4 · Two processes
#
# With two cards, two **processes** run the same program, one for each card. Each has the whole model,
# and takes half of the rows of each batch. Then each has another gradient. If each took its own step,
# there would soon be two models. So before the step they exchange their gradients, and each continues
# with the mean. That exchange is called **all-reduce**: everyone gives, everyone gets the result.

# %% tags=["picture"]
plots.diagram(
    boxes={
        "same": plots.Box(0, 0.5, "the same\nweights", 0, 0.95),
        "r0": plots.Box(1.2, 0, "process 0:\nrows 0, 2, 4 ...", 2, 1.15),
        "r1": plots.Box(1.2, 1, "process 1:\nrows 1, 3, 5 ...", 2, 1.15),
        "g0": plots.Box(2.5, 0, "gradient g₀", 1, 0.95),
        "g1": plots.Box(2.5, 1, "gradient g₁", 1, 0.95),
        "all": plots.Box(3.75, 0.5, "all-reduce:\n(g₀ + g₁) / 2", 5, 1.1),
        "s0": plots.Box(5.0, 0, "the same step", 0, 1.0),
        "s1": plots.Box(5.0, 1, "the same step", 0, 1.0),
    },
    arrows=[
        ("same", "r0"), ("same", "r1"), ("r0", "g0"), ("r1", "g1"),
        ("g0", "all"), ("g1", "all"), ("all", "s0"), ("all", "s1"),
    ],
    alt="Both processes begin with the same weights. Process 0 takes rows 0, 2, 4 and gets gradient g0, process 1 rows "
    "1, 3, 5 and g1. All-reduce gives both the mean of g0 and g1, and both take the same step.",
)  # fmt: skip

# %% [markdown]
# ### By hand
#
# `torch.distributed` has the exchange. Here is a program that trains a linear layer for one epoch:
# points with five numbers, three classes. On a processor, the messenger between processes is called
# **gloo**; between NVIDIA cards it is NCCL.

# %%
by_hand = workplace / "by_hand.py"
_ = by_hand.write_text(
    '''import sys

import torch
import torch.distributed as dist
from torch.nn import functional as F


def train(way, points, labels, me=0, everyone=1, rate=0.5):
    """An epoch, in batches of 16. This process takes its rows of each."""
    weight = torch.zeros(5, 3, requires_grad=True)
    for x, y in zip(points.split(16), labels.split(16)):
        loss = F.cross_entropy(x[me::everyone] @ weight, y[me::everyone])
        [gradient] = torch.autograd.grad(loss, weight)
        if everyone > 1 and way != "nothing sent":
            dist.all_reduce(gradient)  # now the sum over all processes, in each of them
        if way == "mean":
            gradient = gradient / everyone
        with torch.no_grad():
            weight -= rate * gradient
    return weight.detach()


if __name__ == "__main__":
    folder = sys.argv[1]
    dist.init_process_group("gloo")  # waits until all are there
    me, everyone = dist.get_rank(), dist.get_world_size()
    points, labels = torch.load(f"{folder}/points.pt")
    ways = ("mean", "sum", "nothing sent")
    found = {way: train(way, points, labels, me, everyone) for way in ways}
    torch.save(found, f"{folder}/weights-{me}.pt")
    dist.destroy_process_group()
''',
    encoding="utf-8",
)
points = torch.randn(96, 5, generator=draw)
labels = points[:, :3].argmax(dim=1)
torch.save((points, labels), workplace / "points.pt")

# %% [markdown]
# In a terminal, `torchrun --nproc_per_node=2 by_hand.py FOLDER` starts it twice. What does *torchrun*
# do? It starts the same program several times, and tells each copy who it is, in five variables:


# %%
def two_processes(program, *arguments):
    """The same program twice; each copy is told its number, and where they meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # this machine itself, at any free port
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}  # also where cards are
    if sys.platform == "win32":
        shared["USE_LIBUV"] = "0"  # torch for Windows comes without it
    started = [
        subprocess.Popen(
            [sys.executable, str(program), *map(str, arguments)],
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": n, "LOCAL_RANK": n},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in ("0", "1")
    ]
    try:
        for process in started:
            _, said = process.communicate(timeout=120)
            if process.returncode:
                raise RuntimeError(said.strip().splitlines()[-1])
    finally:
        for process in started:
            process.kill()  # one that waits for the other; does nothing to one that has ended


# %% [markdown]
# **Predict:** three ways. The gradients are averaged; they are added up; nothing is sent. In which do
# both processes end with the same weights? In which with those of one process alone?

# %%
two_processes(by_hand, workplace)
sys.path.insert(0, str(workplace))
import by_hand as program

alone = program.train("mean", points, labels)
zero, first = (torch.load(workplace / f"weights-{n}.pt") for n in (0, 1))
apart = {
    way: ((zero[way] - first[way]).abs().max().item(), (zero[way] - alone).abs().max().item())
    for way in zero
}
plots.Table(
    ["way", "process 0 and 1 differ by", "process 0 and one alone by"],
    [[way, *(f"{number:.1e}" for number in both)] for way, both in apart.items()],
    right=(1, 2),
)

# %%
twice_the_rate = program.train("mean", points, labels, rate=1.0)
assert max(apart["mean"]) < 1e-6
assert apart["sum"][0] == 0 and apart["sum"][1] > 0.1
assert torch.allclose(zero["sum"], twice_the_rate, atol=1e-5)
assert apart["nothing sent"][0] > 0.01

# %% [markdown]
# - **mean:** two processes are one process, up to rounding. That is the whole of it.
# - **sum:** they agree with each other, and with one process **at twice the rate**. Nothing fails, no
#   warning comes; with eight cards the rate would be eight times what you wrote.
# - **nothing sent:** two models, each with half of the data. The first one is saved.
#
# PyTorch's `DistributedDataParallel` (DDP; Li et al. 2020) is this, and sends the gradients of the
# upper layers while the lower ones are still being computed.

# %% [markdown]
# ### With the library
#
# `training.fit`, in a program that does not know how many will run it. It fine-tunes the lower two
# layers of the Chinese course model on Chinese headlines, 12 steps of 31 rows. 31 is odd on purpose:
# one process has 16 rows, the other 15. Dropout is off, because each process draws its own.

# %%
quiet = workplace / "without_dropout"
shutil.copytree(Path("../data/mini_bert_zh"), quiet)
config = json.loads((quiet / "config.json").read_text(encoding="utf-8"))
config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
(quiet / "config.json").write_text(json.dumps(config), encoding="utf-8")

chinese = load_dataset("../data/headlines_zh")
tokenizer = pretrained.load_tokenizer("mini_bert_zh")
columns = {**tokenizer(chinese.train.texts), "labels": chinese.train.label_ids}
(workplace / "columns.json").write_text(json.dumps(columns), encoding="utf-8")

together = workplace / "together.py"
_ = together.write_text(
    '''import json
import sys
from pathlib import Path

from course_lib import training
from course_lib.batching import PaddedBatches
from course_lib.heads import BertForSequenceClassification


def run(folder):
    """The losses of 12 steps. `size` is the batch of all processes together."""
    columns = json.loads(Path(folder, "columns.json").read_text(encoding="utf-8"))
    training.set_seed(0)
    model = BertForSequenceClassification.from_pretrained(
        Path(folder, "without_dropout"), num_labels=10, num_hidden_layers=2
    )
    batches = PaddedBatches(columns, size=31, shuffle=0)
    recipe = training.FINE_TUNING.but(learning_rate=2e-4, precision="float32")
    return [step.loss for step in training.fit(model, batches, recipe=recipe, steps=12).steps]


if __name__ == "__main__":
    losses = run(sys.argv[1])
    if training.is_main_process():
        Path(sys.argv[1], "losses.json").write_text(json.dumps(losses), encoding="utf-8")
''',
    encoding="utf-8",
)

# %%
two_processes(together, workplace)
by_two = json.loads((workplace / "losses.json").read_text(encoding="utf-8"))
import together as program

with remarks():  # it says that the head is new
    by_one = program.run(workplace)
print("step   one process   two processes")
for number in (0, 1, 5, 11):
    print(f"{number + 1:>4}   {by_one[number]:.7f}     {by_two[number]:.7f}")
furthest = max(abs(a - b) for a, b in zip(by_one, by_two, strict=True))
print(f"largest difference {furthest:.0e}")
assert len(by_one) == 12 and furthest < 1e-4

# %% [markdown]
# The same run. In a terminal it is the command that you know, with `torchrun` in the place of `python`:
#
# ```
# torchrun --standalone --nproc_per_node=2 -m course_lib train \
#   --model mini_bert_zh --data data/headlines_zh --output my_model
# ```
#
# On two cores you will hardly gain time by it: one process uses both cores too. With two cards you do.
#
# ### Every example once
#
# All processes go through the same batches, in the same order, and each takes every second row. Is any
# headline left out, or read twice?

# %%
read = {0: [], 1: []}
for batch in Batches({"number": torch.arange(len(chinese.train))}, 31, shuffle=0):
    for process, numbers in read.items():
        numbers += Share(process, 2).rows(batch).batch["number"].tolist()
print({process: len(numbers) for process, numbers in read.items()}, len(chinese.train))
assert sorted(read[0] + read[1]) == list(range(1230))

# %% [markdown]
# Many samplers instead give each process the **same** number of rows, and repeat some at the end of
# an epoch (PyTorch's `DistributedSampler`). For training that does little harm; in an evaluation it
# counts some examples twice.

# %% [markdown]
# ### Exercise 3 · One gradient of several (8 minutes)
#
# With 16 rows here and 15 there, the plain mean of two gradients is not the gradient of the batch.
# Write `joined_gradient(gradients, counts)`. `gradients` (P, n) has, for each of P processes, the
# gradient of the **mean** loss over its own items; `counts` (P,) says how many items each had. Return
# the gradient (n,) of the mean over all items. A process may have none: its count is 0, and its
# gradient nan.


# %%
def joined_gradient(gradients, counts):
    # BEGIN SOLUTION
    some = counts > 0
    share = counts[some] / counts.sum()
    return (share[:, None] * gradients[some]).sum(dim=0)
    # END SOLUTION


# %%
check.joined_gradient(joined_gradient)

# %% [markdown]
# <details><summary>Hint 1</summary>A mean times its count is a sum. Sums may be added; divide by all items at the end.</details>
# <details><summary>Hint 2</summary>0 times nan is nan, so choose the processes with items first: <code>some = counts &gt; 0</code>. Then
# <code>counts[some][:, None] * gradients[some]</code>.</details>

# %% [markdown]
# ### Whose batch is it?
#
# `--batch-size` here is the batch of **all processes together**. In many programs it is that of each:
# `per_device_train_batch_size` in transformers' Trainer. Then eight cards make the batch eight times
# as large, and an epoch has an eighth of the steps:

# %%
plots.Table(
    [
        "processes",
        "batch of each",
        "all together",
        "steps an epoch",
        "a warm-up of 100 steps is",
    ],
    [
        [
            count,
            32,
            32 * count,
            math.ceil(1230 / (32 * count)),
            f"{100 / math.ceil(1230 / (32 * count)):.1f} epochs",
        ]
        for count in (1, 2, 8)
    ],
)

# %%
assert [math.ceil(1230 / (32 * count)) for count in (1, 2, 8)] == [39, 20, 5]

# %% [markdown]
# The card of the model that this course embeds, all-MiniLM-L6-v2, is careful about it:

# %%
card = pretrained.find_model("embedded").folder / "README.md"
words = card.read_text(encoding="utf-8")
print("...", words[words.index("We train the model during") :].split(".")[0] + ".")
assert "100k steps using a batch size of 1024 (128 per TPU core)" in words and 1024 == 8 * 128

# %% [markdown]
# ### Batch and rate
#
# Fewer steps an epoch go less far, so the rate must grow with the batch. How much? Two rules are
# around. For plain SGD: **in proportion** (Goyal et al. 2017). For Adam, which divides by the size of
# the gradients: **with the root** (Malladi et al. 2022). Let us see. A linear layer on the vectors of
# the Chinese headlines trains in a blink, so we can try every rate.
#
# **Predict:** from batch 16 to batch 256, by how much does the best rate move, for SGD and for AdamW?

# %%
with remarks():
    mini = BertModel.from_pretrained("mini_bert_zh", add_pooling_layer=False)
vectors = [
    torch.from_numpy(encode.encode(part.texts, mini, tokenizer, progress=False))
    for part in (chinese.train, chinese.dev)
]
vectors = probing.standardise(*vectors)
targets = [torch.tensor(part.label_ids) for part in (chinese.train, chinese.dev)]


def dev_losses(name, batch, rates, seed):
    """Three epochs of a linear layer for each rate; the layers (H, K) learn side by side."""
    torch.manual_seed(seed)
    layers = [nn.Parameter(torch.zeros(vectors[0].shape[1], 10)) for _ in rates]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(layers, rates, strict=True)]
    optimizer = getattr(torch.optim, name)(groups)
    for _ in range(3):
        for rows in torch.randperm(len(vectors[0])).split(batch):
            scores = vectors[0][rows] @ torch.stack(layers)  # (rates, B, K)
            wanted = targets[0][rows].repeat(len(rates))
            loss = F.cross_entropy(scores.flatten(0, 1), wanted)  # a mean over all rates
            (len(rates) * loss).backward()  # each layer gets the gradient of its own loss
            optimizer.step()
            optimizer.zero_grad()
    with torch.no_grad():
        return [F.cross_entropy(vectors[1] @ layer, targets[1]).item() for layer in layers]


RATES = {
    "SGD": [0.02 * 2 ** (n / 2) for n in range(12)],
    "AdamW": [8e-4 * 2 ** (n / 2) for n in range(9)],
}
tried = {
    name: {
        size: [
            sum(both) / 2
            for both in zip(
                *(dev_losses(name, size, rates, seed) for seed in (0, 1)), strict=True
            )
        ]
        for size in (16, 64, 256)
    }
    for name, rates in RATES.items()
}

# %%
best_rates = {
    name: {size: RATES[name][losses.index(min(losses))] for size, losses in of.items()}
    for name, of in tried.items()
}
figure, panels = plots.new_figure(8.0, 3.2, 1, 2)
for axes, (name, of) in zip(panels, tried.items(), strict=True):
    for number, (size, losses) in enumerate(of.items()):
        axes.plot(RATES[name], losses, "osD"[number] + "-", color=plots.COLOURS[number],
                  label=f"batch {size}", markersize=5)  # fmt: skip
    axes.set(title=f"{name}: loss on dev", xlabel="rate", xscale="log", ylim=(0.6, 1.7))
panels[0].legend(loc="upper center")
plots.picture(
    figure,
    alt="Two panels, loss on dev against the rate, a curve for each of three batch sizes. Each curve has a lowest point, "
    "and larger batches have it at higher rates. For SGD the curves are shifted by the factor of the batch, for AdamW by less.",
)

# %%
moved = {name: rates[256] / rates[16] for name, rates in best_rates.items()}
for name, by in moved.items():
    found = ", ".join(f"{size}: {rate:.2g}" for size, rate in best_rates[name].items())
    print(f"{name:<6} best rates {found}; from 16 to 256 {by:.1f} times")
assert (
    7.9 < moved["SGD"] < 23 and 1.9 < moved["AdamW"] < 5.8 and moved["SGD"] > 2 * moved["AdamW"]
)

# %% [markdown]
# The batch is 16 times as large. SGD's best rate moves about as far; AdamW's much less, somewhere near
# the root of 16, which is 4. (Around its lowest point a curve is flat, so the rates are known to within
# a step or two.) And whoever forgets it: at the best rate of batch 16, batch 256 is still up on the
# slope.

# %%
forgotten = tried["AdamW"][256][RATES["AdamW"].index(best_rates["AdamW"][16])]
print(
    f"batch 256 at its own rate {min(tried['AdamW'][256]):.2f}, at that of 16: {forgotten:.2f}"
)
assert forgotten > min(tried["AdamW"][256]) + 0.05

# %% [markdown]
# Neither rule holds for ever. Beyond some batch size a larger one brings nothing more but cost
# (McCandlish et al. 2018). So with a new batch size: take the rule as a first guess, and try half and
# twice of it on dev.

# %% [markdown]
# ## 5 · Several machines
#
# The command is the same on each machine, but for its own number:
#
# ```
# # on the first one, which is called node1
# torchrun --nnodes=2 --node_rank=0 --nproc_per_node=8 --master_addr=node1 --master_port=29500 \
#   -m course_lib train --data /shared/data --output /shared/my_model
# # on the second
# torchrun --nnodes=2 --node_rank=1 --nproc_per_node=8 --master_addr=node1 --master_port=29500 \
#   -m course_lib train --data /shared/data --output /shared/my_model
# ```
#
# Step by step, with what goes wrong and what has been tried:
# [docs/several_machines.md](../docs/several_machines.md).
#
# What is new is the **network**. Each step sends a gradient for each weight, 4 bytes each.
# **Predict:** two machines with an H100 each train BERT-base, 32 rows of 128 tokens a process, over
# the network of an office. Which part of the time do they send?

# %%
LINKS = {  # bytes a second, one way; the last by NVIDIA's data sheet
    "office network, 1 Gbit/s": 1e9 / 8,
    "10 Gbit/s": 10e9 / 8,
    "InfiniBand, 400 Gbit/s": 400e9 / 8,
    "NVLink, between H100s of one machine": 450e9,
}
computing = reckoned(N_BASE, 32 * 128, "H100")
sending = {link: 4 * parameters["base"] / speed for link, speed in LINKS.items()}
print(
    f"computing a step: {computing * 1000:.1f} ms; sending {4 * parameters['base'] / 1e6:.0f} MB:"
)
plots.Table(
    ["link", "ms to send", "beside computing"],
    [
        [link, f"{1000 * seconds:,.1f}", f"{seconds / computing:,.1f} times"]
        for link, seconds in sending.items()
    ],
    right=(1, 2),
)

# %%
times = [seconds / computing for seconds in sending.values()]
assert times[0] > 500 and 50 < times[1] < 100 and 1 < times[2] < 3 and times[3] < 0.5

# %% [markdown]
# Over an office network, nearly all of it: over 600 times as long as they compute. (With P processes, a
# good all-reduce sends and receives 2 · (P − 1) / P times the gradient; for two that is once.) So:
#
# - within a machine first, and machines only where the link is fast;
# - a larger batch a process, or `accumulate`: **gradients are sent once a step**, however many batches
#   it has;
# - what does not learn is not sent: frozen layers, and in `fine_tune` the rows of the word table that
#   do not occur.

# %%
assert 600 < times[0] < 700

# %% [markdown]
# ### When the model itself does not fit: FSDP
#
# Above, each process holds everything: 16 bytes a parameter. *Fully sharded data parallel* (Zhao et al.
# 2023; the idea is ZeRO, Rajbhandari et al. 2020) gives each a **part** of the weights, gradients and
# means, and puts a layer together only while it is at work. It saves memory and sends more. A BERT does
# not need it; a model of some thousand million parameters does.
# [docs/several_machines.md](../docs/several_machines.md) has the command.

# %%
for name, count in {**parameters, "7 billion": 7_000_000_000}.items():
    each = 16 * count / GIB
    print(f"{name:<10} {each:6.1f} GiB in each of 8 processes; in parts {each / 8:5.1f} GiB")
assert 16 * 7e9 / GIB > 80 > 16 * 7e9 / GIB / 8

# %% [markdown]
# ## 6 · Data that do not fit
#
# So far all examples lay in memory. A **stream** reads them one after the other, whenever they are
# wanted, and forgets them again. The package `datasets` streams files, also from the hub, where
# `load_dataset("owner/name", streaming=True)` begins at once, without a download of everything.
#
# Here is a file with one JSON object a line (JSONL), the Chinese headlines, **sorted by class**, as
# data from real life often are.

# %%
import datasets

order = sorted(range(len(chinese.train)), key=lambda n: chinese.train.label_ids[n])
sorted_file = workplace / "sorted.jsonl"
with sorted_file.open("w", encoding="utf-8") as file:
    for number, place in enumerate(order):
        example = chinese.train[place]
        row = {"number": number, "text": example.text, "label": chinese.labels[example.label]}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def stream_of(*files):
    return datasets.load_dataset(
        "json", data_files=[str(file) for file in files], split="train", streaming=True
    )


stream = stream_of(sorted_file)
for row in stream.take(3):
    print(row)

# %% [markdown]
# How do you shuffle what you cannot hold? With a **buffer**: hold some, give out one of them at random,
# and put the next one of the stream in its place. (`datasets` does it by halves: fill the buffer, mix,
# give out half, fill it again.)
#
# **Predict:** a buffer of 100, on the sorted file. How many of the ten classes are in the first batch
# of 32?


# %%
def shuffled_numbers(buffer):
    return [row["number"] for row in stream.shuffle(seed=0, buffer_size=buffer)]


BUFFERS = (100, 400, len(order))
given_out = {buffer: shuffled_numbers(buffer) for buffer in BUFFERS}
classes = {
    buffer: len({chinese.train.label_ids[order[n]] for n in numbers[:32]})
    for buffer, numbers in given_out.items()
}
print("classes in the first batch:", classes)
for buffer, numbers in given_out.items():
    assert sorted(numbers) == list(range(1230))  # every one once
    assert max(number - place for place, number in enumerate(numbers)) <= buffer
assert classes[100] <= 2 and classes[len(order)] >= 8

# %%
figure, panels = plots.new_figure(8.2, 3.0, 1, 3)
for axes, (buffer, numbers) in zip(panels, given_out.items(), strict=True):
    axes.scatter(numbers, range(len(numbers)), s=2, color=plots.COLOURS[0])
    axes.set(title=f"buffer of {buffer:,}", xlabel="place in the file")
panels[0].set_ylabel("place when given out")
plots.picture(
    figure,
    alt="Three panels of points, the place in the file against the place when given out. With a buffer of 100 the "
    "points hug the diagonal, and none comes much earlier; with 400 the band is wider, with steps at its lower edge; "
    "with a buffer as large as the file they fill the square.",
)

# %% [markdown]
# **A small buffer does not mix a sorted file.** An example may wait, but none comes out much earlier
# than it stands in the file. So the model reads one class, then the next, and forgets the first. Shuffle
# the file **once, before** (`shuf` on the command line), then a small buffer is enough.

# %% [markdown]
# ### Exercise 4 · A shuffle buffer (10 minutes)
#
# Write `shuffled(items, size, draw)` and return a list. The first `size` items fill the buffer, a
# list. For each further item: draw a place with `draw(size)`, a number from 0 to size − 1; give out
# what lies there; put the new item **in its place**. At the end give out what is left, in the order in
# which it lies there. (A file may be shorter than the buffer.)


# %%
def shuffled(items, size, draw):
    # BEGIN SOLUTION
    held, out = list(items[:size]), []
    for item in items[size:]:
        place = draw(size)
        out.append(held[place])
        held[place] = item
    return out + held
    # END SOLUTION


# %%
check.shuffled(shuffled)

# %% [markdown]
# <details><summary>Hint 1</summary>Two lists: <code>held = items[:size]</code>, and what is given out. Call <code>draw</code> once for each item
# of <code>items[size:]</code>.</details>
# <details><summary>Hint 2</summary>In the loop: <code>place = draw(size)</code>, <code>out.append(held[place])</code>, <code>held[place] = item</code>. At
# the end <code>out + held</code>.</details>

# %% [markdown]
# ### Shards
#
# Large data come in many files, *shards*. Then each process can open its own ones, and nobody reads
# what he does not need.

# %%
from datasets.distributed import split_dataset_by_node

shards = []
for shard in range(4):
    shards.append(workplace / f"shard-{shard}.jsonl")
    lines = sorted_file.read_text(encoding="utf-8").splitlines()[
        310 * shard : 310 * (shard + 1)
    ]
    shards[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
for processes in (2, 3):
    parts = [
        [row["number"] for row in split_dataset_by_node(stream_of(*shards), n, processes)]
        for n in range(processes)
    ]
    print(f"{processes} processes read", *(f"{len(part)} ({part[:3]} ...)" for part in parts))
    assert [len(part) for part in parts] == ([620, 610] if processes == 2 else [410] * 3)
    assert sorted(number for part in parts for number in part) == list(range(1230))

# %% [markdown]
# With two processes each reads two of the four files whole. Three do not divide four, so each of the
# three reads **all** files and keeps every third line. **Make the number of shards a multiple of the
# number of processes.**
#
# Look at the counts, too: the last file is shorter, so 620 here and 610 there. A process that has a
# batch more than the others waits for their gradients for ever. So such a run is told its *steps*, not
# its epochs.

# %% [markdown]
# The library's own stream does it the simple way. Each process reads everything, and takes its rows of
# each batch; so two processes are still one. It holds 4,096 examples at a time, sorts these by length,
# and never knows how many there will be: `--streaming --steps 10000`.

# %%
flow = load_dataset("../data/headlines_zh", streaming=True)


def batches_of(examples, seed):
    return PaddedBatches(dict(tokenizer([e.text for e in examples])), size=32, shuffle=seed)


waiting = StreamedBatches(flow.train, batches_of, shuffle=0, buffer=500)
sizes_seen = [len(batch["input_ids"]) for batch in waiting]
print(f"{len(sizes_seen)} batches, {sum(sizes_seen):,} headlines, at most 500 held at a time")
assert sum(sizes_seen) == 1230 and not hasattr(waiting, "__len__")

# %% [markdown] items="002-34"
# ## 7 · Models by name
#
# `bert-base-uncased` for English, `bert-base-chinese` for Chinese: the name is enough, here and in
# transformers, for every command and every notebook.
#
# ```
# COURSE_MODEL=bert-base-chinese make lab
# python -m course_lib train --model bert-base-chinese --data data/headlines_zh --output my_model
# ```
#
# The first time it is downloaded, then it lies in a cache. Pages of 2019 have you fetch an archive and
# a vocabulary from two addresses, unpack, rename. Without a network, and where it is not in the cache
# yet, it is one sentence:

# %%
try:
    found = pretrained.find_model("bert-base-chinese", download=False)
    print(f"{found.name} is on this computer already")
except ModelFilesError as error:
    print(str(error).split(";")[0])

# %% [markdown] items="004-87"
# ### How much is a download?
#
# Reckon it before: **4 bytes a parameter**, those of the head included. Some notes on the source code
# print four downloads: 440M, 433M, 1.33G and 1.34G. Their models, without loading any:

# %%
from dataclasses import asdict

from course_lib import heads

released = {one.name: one for one in RELEASED}


def config_of(name, **more):
    fields = asdict(released[name])
    return BertConfig.from_dict({k: fields[k] for k in asdict(BASE) if k in fields} | more)


PRINTED = [
    ("bert-base-uncased", heads.BertForPreTraining, {}, 440e6),
    ("bert-base-cased", heads.BertForSequenceClassification, {"num_labels": 2}, 433e6),
    ("bert-large-cased", heads.BertForTokenClassification, {"num_labels": 9}, 1.33e9),
    ("bert-large-uncased", heads.BertForQuestionAnswering, {"num_labels": 2}, 1.34e9),
]
for name, head, more, printed in PRINTED:
    with torch.device("meta"):
        size = 4 * sum(p.numel() for p in head(config_of(name, **more)).parameters())
    print(f"{name:<19}{head.__name__:<31}{size / 1e6:7,.0f} MB; printed {printed / 1e6:,.0f}")
    assert abs(size / printed - 1) < 0.005

# %% [markdown]
# So a download tells you how many parameters came, and a file of the wrong size is damaged. Saved in
# half precision, 2 bytes each, it is half as much. The course keeps its own two models so; they are
# read as float32, and nothing is noticed:

# %%
file = Path("../data/mini_bert_zh/model.safetensors")
stored = sum(value.numel() for value in mini.parameters())
print(
    f"{file.stat().st_size / 1e6:.1f} MB for {stored / 1e6:.1f} million parameters and the word head"
)
assert 2 * stored < file.stat().st_size < 2.1 * stored
assert next(mini.parameters()).dtype == torch.float32

# %% [markdown] items="002-63 002-64 002-65 002-66 002-67 002-69"
# ### Which one?
#
# The repository's page advises: only English, an English model (large is better, slower, and needs more
# memory); only Chinese, the Chinese one; otherwise the multilingual one. That still holds. Its sizes do
# not, as notebook 04 counted. Here they are again, with the size of a download, and with what a training takes
# before any row is read (section 2):

# %%
BY_NEED = {
    "bert-base-uncased": "English",
    "bert-base-cased": "English, names matter",
    "bert-large-uncased": "English, more memory",
    "bert-large-cased": "the same, names matter",
    "bert-base-chinese": "Chinese",
    "hfl/chinese-macbert-base": "Chinese, later recipe",
    "bert-base-multilingual-cased": "104 languages",
    "bert-base-multilingual-uncased": "102, the older one",
    "sentence-transformers/all-MiniLM-L6-v2": "comparing English texts",
}
counts = {name: sum(count_parameters(released[name]).values()) for name in BY_NEED}
plots.Table(
    ["name", "for", "million", "MB", "GiB before any row", "page"],
    [
        [
            name.split("/")[-1],
            need,
            f"{counts[name] / 1e6:.0f}",
            f"{4 * counts[name] / 1e6:,.0f}",
            f"{16 * counts[name] / GIB:.1f}",
            released[name].documented,
        ]
        for name, need in BY_NEED.items()
    ],
    right=(2, 3, 4, 5),
)

# %%
assert [round(counts[name] / 1e6) for name in BY_NEED] == [
    109,
    108,
    335,
    334,
    102,
    102,
    178,
    167,
    23,
]

# %% [markdown]
# - **One language:** its own model. Its vocabulary cuts that language into fewer pieces.
# - **Several, or from one to another:** multilingual. It is not larger where it thinks: 92 of its 178
#   million numbers are the word table.
# - **Small machine, texts to compare:** a small model that was made for it.
# - **Anything new in English:** look at section 9 first. Of all of them, try two on your own dev.

# %%
assert (
    round(count_parameters(released["bert-base-multilingual-cased"])["word embeddings"] / 1e6)
    == 92
)

# %% [markdown] items="002-62"
# ## 8 · What the original cost
#
# Notebook 06 reckoned the pretraining of 2018. Here are its numbers in one table, beside RoBERTa, which
# came a year later (section 9). Steps and machines are what the papers state (Devlin et al. 2019, A.2;
# Liu et al. 2019, section 5); tokens, 6 · N · D and the times are reckoned, with the rates of section 1.
#
# **Predict:** RoBERTa has BERT-large's size. How many times its operations?

# %%
ROBERTA = 500_000 * 8_000 * 512  # tokens: steps, rows, tokens of a row
COST = {
    "BERT-base": ("1,000,000 of 256 rows", "4 days, 16 TPU chips", N_BASE, PRETRAINING),
    "BERT-large": ("1,000,000 of 256 rows", "4 days, 64 TPU chips", N_LARGE, PRETRAINING),
    "RoBERTa-large": ("500,000 of 8,000 rows", "1,024 V100 cards", N_LARGE, ROBERTA),
}
operations = {name: 6 * n * d for name, (*_, n, d) in COST.items()}
plots.Table(
    ["", "steps", "their machines", "tokens", "6 N D", *list(MACHINES)[2:]],
    [
        [
            name,
            *stated,
            f"{d:.1e}",
            f"{6 * n * d:.1e}",
            *(spoken(reckoned(n, d, machine)) for machine in list(MACHINES)[2:]),
        ]
        for name, (*stated, n, d) in COST.items()
    ],
    right=(3, 4, 5, 6, 7, 8),
)

# %%
more = operations["RoBERTa-large"] / operations["BERT-large"]
print(f"RoBERTa took {more:.0f} times the operations of BERT-large")
assert 45 < more < 50 and f"{operations['BERT-base']:.1e}" == "2.2e+19"
assert 13 < reckoned(N_BASE, PRETRAINING, "H100") / 3600 < 17
assert 90 < reckoned(N_LARGE, ROBERTA, "H100") / 86400 < 115

# %% [markdown]
# BERT-base is an overnight job on one H100 today, and RoBERTa a hundred days of one. All of it under
# the assumption that 40 % of the data sheet is reached; notebook 06 has the dollars, and what people
# report who really did it.

# %% [markdown]
# ## 9 · Where BERT went
#
# BERT is from 2018. Nearly all that came after is still recognisably it: tokens, embeddings, a stack of
# layers, a head. Few lines changed, and these are worth knowing.

# %% tags=["picture"]
plots.diagram(
    boxes={
        "bert": plots.Box(0, 1.5, "BERT\n2018", 0, 0.8),
        "roberta": plots.Box(1.35, 0, "RoBERTa 2019\nlonger, no pairs", 1, 1.25),
        "deberta": plots.Box(2.9, 0, "DeBERTa 2020\ndistances", 1, 1.2),
        "v3": plots.Box(4.3, 0, "DeBERTa v3 2021\nwhich word is false?", 1, 1.4),
        "electra": plots.Box(2.9, 1, "ELECTRA 2020\nwhich word is false?", 1, 1.4),
        "modern": plots.Box(4.3, 2, "ModernBERT 2024\nlong, quick", 2, 1.3),
        "sbert": plots.Box(1.35, 3, "Sentence-BERT 2019\none vector a text", 3, 1.4),
        "minilm": plots.Box(2.95, 3, "all-MiniLM 2021\nthis course's model", 3, 1.4),
    },
    arrows=[
        ("bert", "roberta"), ("roberta", "deberta"), ("deberta", "v3"), ("electra", "v3"),
        ("bert", "electra"), ("bert", "modern"), ("bert", "sbert"), ("sbert", "minilm"),
    ],
    alt="A family tree. From BERT, 2018, to RoBERTa 2019, and on to DeBERTa 2020 and DeBERTa v3 2021, into which ELECTRA, 2020, "
    "leads too; from BERT to ModernBERT 2024; from BERT to Sentence-BERT 2019 and on to all-MiniLM 2021, this course's model.",
)  # fmt: skip

# %% [markdown]
# Four of them, tiny and with new weights, but whole: transformers has the code, and the configuration
# says what is different.

# %%
import transformers

TINY = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 64, "initializer_range": 0.2,
}  # fmt: skip
with remarks():
    configs = {
        "BERT": transformers.BertConfig(**TINY, max_position_embeddings=64),
        "RoBERTa": transformers.RobertaConfig(
            **TINY, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1
        ),
        "DeBERTa v3": transformers.DebertaV2Config(
            **TINY, max_position_embeddings=64, type_vocab_size=0, relative_attention=True,
            pos_att_type=["c2p", "p2c"], position_buckets=16, share_att_key=True,
            norm_rel_ebd="layer_norm", position_biased_input=False,
        ),
        "ModernBERT": transformers.ModernBertConfig(
            **TINY, max_position_embeddings=64, local_attention=8, global_attn_every_n_layers=3,
            pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
            attn_implementation="eager",
        ),
    }  # fmt: skip
    family = {}
    for name, config in configs.items():
        torch.manual_seed(0)
        family[name] = transformers.AutoModel.from_config(config).eval()


def embedding_tables(model):
    return {
        path.split(".")[-1]: tuple(module.weight.shape)
        for path, module in model.named_modules()
        if isinstance(module, nn.Embedding)
    }


for name, model in family.items():
    print(f"{name:<11}", embedding_tables(model))

# %% [markdown]
# BERT has three tables: words, positions, sentence A or B. RoBERTa's third has one row, so it says
# nothing. DeBERTa's second table stands in the encoder, for **distances**. ModernBERT has words alone.
#
# ### Where does a token stand?
#
# **Predict:** a text of 12 tokens, and the same text with five padding tokens **before** it, which the
# attention mask hides. In which of the four do the text's vectors change?

# %%
text = torch.randint(5, 100, (1, 12), generator=draw)
changes = {}
for name, model in family.items():
    pad = model.config.pad_token_id
    later = torch.cat([torch.full((1, 5), pad), text], dim=1)
    with torch.no_grad():
        plain = model(text, attention_mask=torch.ones_like(text)).last_hidden_state
        moved_text = model(later, attention_mask=(later != pad).long()).last_hidden_state[:, 5:]
    changes[name] = (plain - moved_text).abs().max().item()
plots.Table(
    ["", "largest change of a vector", "how it knows the place"],
    [
        ["BERT", f"{changes['BERT']:.1e}", "a row for each place, counted from the beginning"],
        ["RoBERTa", f"{changes['RoBERTa']:.1e}", "a row for each place, padding is not counted"],
        ["DeBERTa v3", f"{changes['DeBERTa v3']:.1e}", "a row for each distance, in each attention"],
        ["ModernBERT", f"{changes['ModernBERT']:.1e}", "query and key are turned by the place (RoPE)"],
    ],
    right=(1,),
)  # fmt: skip

# %%
assert changes["BERT"] > 0.1 and max(changes[n] for n in family if n != "BERT") < 1e-5

# %% [markdown]
# Only in BERT. Its place 5 has another row than its place 0. (transformers' BERT counts from the
# beginning, unless you pass `position_ids`.) The other three know where tokens stand **to each other**,
# or do not count padding.

# %% [markdown]
# ### RoBERTa: the same model, better trained
#
# Liu et al. (2019) changed hardly a line of the model. They took ten times the text, batches of 8,000
# rows, new hidden words each time (*dynamic masking*, as in our notebooks), and **no pairs of
# sentences**: so no token types. It buys accuracy: it is ahead of BERT-large on every task of GLUE that
# both were measured on (their table 5). In code:
#
# ```python
# type_vocab_size=1                    # sentence A or B: gone
# max_position_embeddings=514          # 512, and two rows that are never a token's
# position = padding_idx + 1, + 2 ...  # real tokens are counted, padding is not
# ```
#
# The third line comes from its first program, and is a trap: whoever gives RoBERTa BERT's position
# ids reads the wrong rows. Let us look at what arrives at the table:

# %%
two_texts = torch.tensor([[0, 31, 7, 5, 2], [0, 9, 2, 1, 1]])  # padding is 1
seen_positions = []
table = family["RoBERTa"].embeddings.position_embeddings
hook = table.register_forward_hook(lambda module, given, out: seen_positions.append(given[0]))
with torch.no_grad():
    family["RoBERTa"](two_texts, attention_mask=(two_texts != 1).long())
hook.remove()
print(seen_positions[0])
assert seen_positions[0].tolist() == [[2, 3, 4, 5, 6], [2, 3, 4, 1, 1]]

# %% [markdown]
# A name can mislead. `hfl/chinese-roberta-wwm-ext`, which many Chinese projects use, was *trained* as
# RoBERTa was, but its files are those of a **BERT**: token types, positions from 0, `model_type` bert.
# With RoBERTa's class it would load wrong, or not at all.

# %%
assert released["hfl/chinese-roberta-wwm-ext"].model_type == "bert"
assert released["hfl/chinese-roberta-wwm-ext"].type_vocab_size == 2

# %% [markdown]
# ### Exercise 5 · Where RoBERTa begins to count (6 minutes)
#
# Write `position_ids(ids, padding)`: for each token of `ids` (B, T) its row of RoBERTa's position
# table, (B, T). The first token that is not `padding` has `padding + 1`, the next one `padding + 2`,
# and so on, also where padding stands before it. Padding itself has the position `padding`.


# %%
def position_ids(ids, padding):
    # BEGIN SOLUTION
    real = (ids != padding).long()
    return padding + real.cumsum(dim=1) * real
    # END SOLUTION


# %%
check.position_ids(position_ids)

# %% [markdown]
# <details><summary>Hint 1</summary><code>real = (ids != padding).long()</code>. Which function of a tensor adds up along a row, step by step?</details>
# <details><summary>Hint 2</summary><code>real.cumsum(dim=1)</code> counts the real tokens; times <code>real</code> it is 0 at padding. Then add
# <code>padding</code>.</details>

# %% [markdown]
# ### DeBERTa: content and distance apart
#
# In BERT, word and place are added once, at the bottom. DeBERTa (He et al. 2021) keeps them apart, in
# every layer. A score of attention has three parts: content to content, as in BERT; **content to
# distance** (what does this word look for, so many places away?); distance to content.
#
# $$a_{ij} = \frac{q_i \cdot k_j + q_i \cdot r_{i-j} + k_j \cdot s_{j-i}}{\sqrt{3 D}}$$
#
# (D is here again the numbers of one head, not the tokens of 6 · N · D; i − j is the distance.) r and s
# are made of one table of distances. In the configuration it is:
#
# ```python
# relative_attention=True
# pos_att_type=["c2p", "p2c"]        # the two new parts
# position_buckets=256               # far distances share a row
# position_biased_input=False        # nothing is added at the bottom
# ```
#
# It buys accuracy, most where the order of words matters, and costs time: three products in place of
# one. Version 3 (He et al. 2023) also has another task, from ELECTRA (Clark et al. 2020): a small model
# fills the gaps, and the large one says for **each** token whether it was replaced (*replaced-token
# detection*). Every token teaches something then, and not 15 % of them.

# %%
deberta = family["DeBERTa v3"]
distances = deberta.encoder.rel_embeddings.weight
before = deberta(text).last_hidden_state
with torch.no_grad():
    distances.zero_()  # no distance means anything any more
    without = deberta(text).last_hidden_state
    mirrored = deberta(text.flip(1)).last_hidden_state.flip(1)
print(f"table of distances {tuple(distances.shape)}: 16 to the left, 16 to the right")
print(f"without it: vectors change by {(before - without).abs().max():.2f},")
print(f"and the text read backwards differs by {(without - mirrored).abs().max():.0e}")
assert distances.shape == (32, 32) and (before - without).abs().max() > 1e-3
assert torch.allclose(without, mirrored, atol=1e-5)

# %% [markdown]
# Without that table it is a bag of words: read backwards, each token has the same vector. So all that
# it knows about order is in there.

# %% [markdown] items="002-29"
# ### ModernBERT: long texts, quickly
#
# Warner et al. (2024) collected what decoders had learned meanwhile, and trained it on 2 trillion
# tokens. It takes 8,192 tokens where BERT takes 512. (The repository's open question, whether hybrids
# are better on long texts, was measured in notebook 09: a maximum over the tokens may help a little, an
# LSTM's ends do harm. A model that reads the whole text is another answer.) What changed:
#
# | | BERT | ModernBERT | it buys |
# |---|---|---|---|
# | place | a table, 512 rows | query and key turned by an angle (RoPE; Su et al. 2021) | no table that ends at 512: 8,192 tokens, after training on long texts |
# | attention | all to all | all to all in every third layer; in the others 64 tokens to each side | time linear in T, in those layers |
# | norm | after each half layer | before it | steadier training |
# | feed-forward | W₂ gelu(W₁ x) | W₂ (gelu(W₁ x) · V x), GeGLU (Shazeer 2020) | accuracy |
# | biases | in every layer | none | a little speed |
# | padding | computed and thrown away | taken out (*unpadding*) | time |
#
# See it in the model. First, who sees whom:

# %%
long_text = torch.randint(5, 100, (1, 40), generator=draw)
with torch.no_grad():
    maps = family["ModernBERT"](long_text, output_attentions=True).attentions
whole_layer, local_layer = (maps[layer][0].mean(dim=0) for layer in (0, 1))
plots.heatmaps(
    [whole_layer / whole_layer.max(), local_layer / local_layer.max()],
    ["layer 1: all", "layer 2: 4 to each side"],
    columns=2,
    alt="Two maps of attention, 40 tokens by 40. In layer 1 every token looks at every token; in layer 2 only a band around the "
    "diagonal is filled, four tokens to each side.",
)

# %%
apart_by = (torch.arange(40)[:, None] - torch.arange(40)[None]).abs()
assert (whole_layer > 0).all() and torch.equal(local_layer > 0, apart_by <= 4)

# %% [markdown]
# (A row for the token that looks, a column for the one that is looked at; each map is scaled to its own
# largest weight. Here `local_attention=8`, so 4 to each side; ModernBERT has 128.) **Predict:** how many
# biases are left, and what shape has the first matrix of its feed-forward part, with F = 64?

# %%
modern = family["ModernBERT"]
layer = modern.layers[1]
for name, model in family.items():
    biases = sum(p.numel() for path, p in model.named_parameters() if path.endswith("bias"))
    print(f"{name:<11} {biases:>5} numbers are biases")
    assert (biases == 0) == (name == "ModernBERT")
print(
    "feed-forward:", tuple(layer.mlp.Wi.weight.shape), "and", tuple(layer.mlp.Wo.weight.shape)
)

x = torch.randn(1, 7, 32, generator=draw)
gate, value = layer.mlp.Wi(x).chunk(2, dim=-1)  # GeGLU by hand: (B, T, F) twice
by_hand_too = layer.mlp.Wo(F.gelu(gate) * value)
assert layer.mlp.Wi.weight.shape == (128, 32) and torch.allclose(layer.mlp(x), by_hand_too)

# %% [markdown]
# W₁ and V lie in one matrix, of 2 F rows. And *unpadding*? It lays the tokens of a batch one after the
# other, without padding. What would that spare on our headlines?

# %%
lengths = [len(row) for row in columns["input_ids"]]
drawn_batches = torch.tensor(lengths)[torch.randperm(1230, generator=draw)].split(32)
at_random = 1 - sum(lengths) / sum(len(part) * part.max().item() for part in drawn_batches)
by_length = PaddedBatches(columns, size=32, shuffle=0).padding
print(f"padding: {at_random:.0%} in batches as they come, {by_length:.1%} sorted by length")
assert by_length < 0.5 * at_random

# %% [markdown]
# Batches of about equal lengths (`PaddedBatches`) have spared nearly as much, with no change to the
# model. How large is it, then? The real ones, on the device meta:


# %%
def count_of(config):
    with torch.device("meta"), remarks():
        return sum(p.numel() for p in transformers.AutoModel.from_config(config).parameters())


deberta_v3 = transformers.DebertaV2Config(
    vocab_size=128100, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
    intermediate_size=3072, relative_attention=True, pos_att_type=["p2c", "c2p"],
    position_buckets=256, share_att_key=True, norm_rel_ebd="layer_norm",
    position_biased_input=False, type_vocab_size=0,
)  # fmt: skip
roberta = {"max_position_embeddings": 514, "type_vocab_size": 1}
with remarks():
    AFTER = {
        "FacebookAI/roberta-base": transformers.RobertaConfig(vocab_size=50265, **roberta),
        "FacebookAI/xlm-roberta-base": transformers.XLMRobertaConfig(
            vocab_size=250002, **roberta
        ),
        "microsoft/deberta-v3-base": deberta_v3,
        "answerdotai/ModernBERT-base": transformers.ModernBertConfig(),
    }
after_counts = {name: count_of(config) for name, config in AFTER.items()}
speaks = ["English", "100 languages", "English", "English and code"]
plots.Table(
    ["name", "for", "million", "MB", "longest text"],
    [
        [name, language, f"{count / 1e6:.0f}", f"{4 * count / 1e6:,.0f}", longest]
        for (name, count), language, longest in zip(
            after_counts.items(), speaks, (512, 512, 512, 8192), strict=True
        )
    ],
    right=(2, 3),
)

# %%
assert [round(count / 1e6) for count in after_counts.values()] == [125, 278, 184, 149]
assert AFTER["answerdotai/ModernBERT-base"].max_position_embeddings == 8192
assert AFTER["answerdotai/ModernBERT-base"].local_attention == 128

# %% [markdown]
# ### Sentence embeddings: one vector a text
#
# Which of 10,000 sentences are most alike? BERT reads pairs: that would be 50 million runs, 65 hours by
# the paper (Reimers and Gurevych 2019). With one vector a sentence it is 10,000 runs, and products of
# vectors: 5 seconds.

# %%
assert 10_000 * 9_999 // 2 == 49_995_000

# %% [markdown]
# The model stays BERT, with the mean over the tokens. What changes is the **loss**. Sentence-BERT itself
# put a classifier on the two vectors and their difference. The loss that models such as all-MiniLM learn
# from is this one. Take B pairs of
# texts that belong together. Each text of the one side must find its partner among all B of the other:
# a cross entropy over cosines, where the other B − 1 are wrong answers that come for free (*in-batch
# negatives*; the loss is called *contrastive*).
#
# $$\text{loss} = -\frac{1}{B} \sum_i \log \frac{\exp(\cos(a_i, b_i) / \tau)}{\sum_j \exp(\cos(a_i, b_j) / \tau)}$$

# %% [markdown]
# ### Exercise 6 · The partner among all (8 minutes)
#
# Write `partner_loss(a, b, temperature)`, the formula above, for `a` and `b` (B, H); τ is the
# temperature. Row i of `b` is the partner of row i of `a`. Return one number.


# %%
def partner_loss(a, b, temperature):
    # BEGIN SOLUTION
    a = torch.nn.functional.normalize(a, dim=1)
    b = torch.nn.functional.normalize(b, dim=1)
    scores = a @ b.T / temperature  # (B, B)
    return torch.nn.functional.cross_entropy(scores, torch.arange(len(a)))
    # END SOLUTION


# %%
check.partner_loss(partner_loss)

# %% [markdown]
# <details><summary>Hint 1</summary>A cosine is the product of two vectors of length 1: <code>torch.nn.functional.normalize(a, dim=1)</code>. All of
# them at once are a matrix (B, B).</details>
# <details><summary>Hint 2</summary>Row i of <code>a @ b.T / temperature</code> has the scores of text i. Its right class is i:
# <code>cross_entropy(scores, torch.arange(len(a)))</code>.</details>

# %% [markdown]
# Now live: pairs of Chinese questions that ask the same thing. The course's Chinese model has never
# been asked to compare texts. **Predict:** ten steps of training. What changes more: whether the right
# partner is found, or the cosines of questions that have nothing to do with each other?

# %%
questions = load_dataset("../data/pairs_zh")
SAME = questions.labels.index("same")
same = {
    part: [(e.text, e.pair) for e in getattr(questions, part) if e.label == SAME]
    for part in ("train", "dev", "test")
}
held_out = same["dev"] + same["test"]
candidates = [e.pair for part in ("dev", "test", "train") for e in getattr(questions, part)]
wanted = torch.tensor([candidates.index(partner) for _, partner in held_out])
print(len(same["train"]), "pairs to learn from, such as", *same["train"][0])


def vectors_of(texts):
    batch = tokenizer(list(texts), padding=True, return_tensors="pt")
    hidden = mini(batch["input_ids"], batch["attention_mask"]).last_hidden_state
    return masked_mean(hidden, batch["attention_mask"])  # (B, H)


def compare():
    """Which partner each held-out question finds, and the cosines of the first twelve."""
    asked, answers = (
        torch.from_numpy(encode.encode(texts, mini, tokenizer, normalise=True, progress=False))
        for texts in ([question for question, _ in held_out], candidates)
    )
    return (asked @ answers.T).argmax(dim=1) == wanted, asked[:12] @ answers[wanted[:12]].T


def contrastive(a, b, temperature=0.05):
    scores = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    return F.cross_entropy(scores, torch.arange(len(a)))


right_before, cosines_before = compare()
optimizer = optim.adamw(mini, learning_rate=2e-4)
training.set_seed(0)
mini.train()
for _epoch in range(2):
    for some in torch.randperm(len(same["train"])).split(32)[:5]:
        left, right = zip(*(same["train"][n] for n in some.tolist()), strict=True)
        loss = contrastive(vectors_of(left), vectors_of(right))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
right_after, cosines_after = compare()

# %%
plots.heatmaps(
    [cosines_before, cosines_after],
    ["before", "after ten steps"],
    columns=2,
    alt="Two matrices of cosines, twelve questions by their twelve partners. Before, all cells are high; after ten steps the diagonal "
    "stays high and the rest has become low.",
)

# %%
off = ~torch.eye(12, dtype=torch.bool)
strangers = [matrix[off].mean().item() for matrix in (cosines_before, cosines_after)]
partners = [matrix.diagonal().mean().item() for matrix in (cosines_before, cosines_after)]
print(f"cosine of strangers: {strangers[0]:.2f}, then {strangers[1]:.2f}")
print(f"cosine of partners:  {partners[0]:.2f}, then {partners[1]:.2f}")
print(
    f"found among {len(candidates)}: {right_before.sum()}, then {right_after.sum()} of {len(wanted)}"
)
print(metrics.paired_interval(right_before, right_after, names=("before", "after")))
assert (
    strangers[1] < strangers[0] - 0.2
    and strangers[0] - strangers[1] > partners[0] - partners[1]
)
assert len(wanted) == 80 and right_after.sum() >= right_before.sum()

# %% [markdown]
# The cosines change most. A BERT that was never asked to compare puts all texts close together; ten
# steps push strangers apart, and leave partners where they were. So a cosine of 0.7 means nothing by
# itself: **compare cosines of one model only**. The right partner is found more often, too; whether ten
# steps have shown it, the interval says. The model embedded in this course went through 100,000 such
# steps, with 1,024 pairs each.
#
# ### All in one table

# %%
plots.Table(
    ["model", "what changed in code", "what it buys", "take it when"],
    [
        ["BERT 2018", "", "", "you want to understand; or it is there in your language"],
        ["RoBERTa 2019", "no token types, positions from padding + 1, no pairs", "accuracy", "English; XLM-R for 100 languages"],
        ["DeBERTa v3 2021", "a table of distances in each layer, replaced tokens", "accuracy again", "accuracy matters more than time"],
        ["ModernBERT 2024", "RoPE, local layers, GeGLU, no biases, unpadding", "long texts, speed", "English, long, on a card"],
        ["Sentence-BERT 2019", "masked mean, another loss", "texts compared quickly", "search, grouping, few labels"],
    ],
)  # fmt: skip

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("11_going_bigger")

# %% [markdown]
# ## Summary
#
# - 6 · N · D operations, divided by what the machine really does: reckon the time first, then time two
#   batches.
# - 16 bytes a parameter, and on top what the layers keep. The batch is what you can make smaller:
#   accumulate, recompute, fewer bits.
# - The same line runs on a card. Several processes send each other gradients, and with the right mean
#   two are one.
# - Know **whose** batch it is, that of a process or of all. With the batch the rate goes: in proportion
#   for SGD, about with the root for Adam. Then try.
# - Between machines, sending costs more than computing, unless the link is fast.
# - A small buffer does not shuffle a sorted file. Make as many shards as processes, or a multiple.
# - 4 bytes a parameter is the size of a download. One language: its own model.
# - What came after BERT changed positions, attention, the task and the loss, and little else.
#
# **Read:** Chen et al., *Training Deep Nets with Sublinear Memory Cost* (2016). Goyal et al., *Accurate,
# Large Minibatch SGD* (2017). McCandlish et al., *An Empirical Model of Large-Batch Training* (2018).
# Malladi et al., *On the SDEs and Scaling Rules for Adaptive Gradient Algorithms* (2022). Li et al.,
# *PyTorch Distributed* (2020). Rajbhandari et al., *ZeRO* (2020). Zhao et al., *PyTorch FSDP* (2023).
# Liu et al., *RoBERTa* (2019). Clark et al., *ELECTRA* (2020). He et al., *DeBERTa* (2021) and
# *DeBERTaV3* (2023). Su et al., *RoFormer* (2021). Shazeer, *GLU Variants Improve Transformer* (2020).
# Warner et al., *Smarter, Better, Faster, Longer* (2024), which is ModernBERT. Reimers and Gurevych,
# *Sentence-BERT* (2019). Gao et al., *SimCSE* (2021).
#
# **Next:** this was the last notebook. Take a data set of your own and train on it:
# [07_fine_tuning](07_fine_tuning.ipynb) is where to begin. Your progress:

# %%
from course_lib.exercises import progress

progress()
