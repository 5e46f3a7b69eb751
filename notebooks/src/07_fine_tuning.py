# %% [markdown]
# # Fine-tuning
#
# **You will be able to:** fine-tune BERT and say what it cost and what it changed; write the loop by
# hand; group parameters for AdamW and know why; choose a schedule; read a training curve; find out why a
# run came to nothing; report scores per class; compare ways of training with their spread; save, load,
# predict, and go on with a run that was cut off.
#
# **You need:** [02_heads](02_heads.ipynb).
#
# **Time:** 150 minutes with the exercises.
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %%
import contextlib
import itertools
import json
import math
import os
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import transformers
from torch import nn

from course_lib import figures, metrics, optim, plots, pooling, pretrained, probing, training
from course_lib.batching import Batches, PaddedBatches
from course_lib.bert import BertModel
from course_lib.datasets import Dataset, Example, Examples, describe, load_dataset, problems
from course_lib.exercises import fine_tuning as check
from course_lib.finetuning import FineTuned, fine_tune
from course_lib.heads import BertForSequenceClassification
from course_lib.remarks import remarks

tokenizer = pretrained.load_tokenizer()
# The numbers in the text belong to the embedded model; with another one, the checks on them are skipped.
EMBEDDED = pretrained.find_model().origin == "embedded"
workplace = Path(tempfile.mkdtemp())  # all files of this notebook go there
os.environ["COURSE_DEVICE"] = "cpu"  # as in the text; notebook 11 tells of graphics cards


def measured(name):
    """A result that is kept with the course, and whether it belongs to the embedded model."""
    found = json.loads(Path(f"../benchmarks/results/{name}.json").read_text(encoding="utf-8"))
    return found, found["model"] == "embedded"


# %% [markdown] items="003-46 004-61 002-10"
# In notebook 02 the encoder stayed as it was, and only a head learned. Now **all of BERT learns**: a
# task's labels go in, and the weights move a little. That is *fine-tuning*. An article speaks of
# training different *decoders* on BERT; they are heads, and a decoder is something else (notebook 02).
#
# The head here is `BertForSequenceClassification`, one text or a pair and one label: pooler, dropout,
# linear layer. A well-known repository of Chinese text classifiers calls this model plainly `bert`.

# %% [markdown] items="002-21 002-70"
# ## The data, in three parts
#
# That repository has 180,000 headlines to learn from, 10,000 to choose with, and 10,000 to judge with.
# Ours are fewer, in the same form: a text, a tab, the number of a class.

# %%
data = load_dataset("../data/headlines_en")
for part, examples in data.splits.items():
    print(f"{part:<6}{len(examples):>6,}", *examples[:2], sep="\n      ")
assert [len(part) for part in data.splits.values()] == [1230, 410, 410]
assert problems(data) == []  # no empty part, no repeats, no leaks

# %% [markdown]
# - **train** to learn from.
# - **dev** to choose with: epochs, rates, this model or that. What was chosen on dev looks a little too
#   good on dev.
# - **test** to judge with, **once**, when nothing is left to choose.
#
# **Predict:** ten texts of dev also stand in train. What happens to the accuracy on dev? `problems` looks
# for such *leaks*.

# %%
for sentence in problems(data.replace(dev=Examples(data.dev + data.train[:10]))):
    print(sentence)

# %% [markdown] items="002-22"
# ### Data of your own
#
# The repository's page says: bring your data into the same form, by **character**, or cut into **words**
# with spaces between, and then `--word True`. For BERT neither is needed, since its tokenizer does the
# cutting. For counted words it matters: Chinese has no spaces between words, so by spaces almost every
# headline is one long "word".

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

chinese = load_dataset("../data/headlines_zh")
print(chinese.train.texts[0], "·", chinese.labels[chinese.train.label_ids[0]])
by_unit = {}
for unit, options in {
    "words between spaces": {"analyzer": "word", "token_pattern": r"\S+"},
    "characters and pairs of them": {"analyzer": "char", "ngram_range": (1, 2)},
}.items():
    counted = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, **options), LogisticRegression(C=3, max_iter=2000)
    )
    counted.fit(chinese.train.texts, chinese.train.label_ids)
    by_unit[unit] = counted.score(chinese.dev.texts, chinese.dev.label_ids)
    print(f"{unit:<29} {by_unit[unit]:.1%}")
assert by_unit["words between spaces"] < 0.2 < 0.4 < by_unit["characters and pairs of them"]

# %% [markdown] items="002-84"
# A reader that skips a bad line without a word is a trap. One log of the repository counts 592 test lines
# while reading, and its report counts 589: **three lines vanished**, and nobody was told. Ours stops at
# the first bad line and names it; what it leaves out on purpose it lists in `notes`.

# %%
bad = workplace / "bad"
bad.mkdir()
(bad / "class.txt").write_text("finance\nsports\n", encoding="utf-8")
(bad / "train.txt").write_text("Shares fall\t0\nCup final tonight 1\n", encoding="utf-8")
_ = (bad / "test.txt").write_text("Rents rise\t0\n", encoding="utf-8")

# %% tags=["raises-exception"] raises="DataError: Line 2 of"
with contextlib.chdir(workplace):
    load_dataset("bad")

# %% [markdown]
# Count what came out at the other end, too. The tail of a data set, the last batch that is not full, is
# another place where examples get lost. (The lengths are in characters.)

# %%
print(describe(data))
pieces = PaddedBatches({"input_ids": tokenizer(data.dev.texts)["input_ids"]}, size=64)
assert sum(len(batch["input_ids"]) for batch in pieces) == len(data.dev) == 410

# %% [markdown] items="002-71"
# ## How long will it take?
#
# In one log of the repository the run says nothing for 7 minutes and 23 seconds after its first step, and
# there the log ends. It was not broken: after that step it went through 10,000 lines of dev, presumably
# without a graphics card. **Two batches tell you before you start.** (Other texts may be longer than
# those of the two batches: it is an estimate.)

# %%
training.set_seed(0)
with remarks():  # it says that the head is new
    model = BertForSequenceClassification.from_pretrained(id2label=dict(enumerate(data.labels)))
columns = {**tokenizer(data.train.texts), "labels": data.train.label_ids}
batches = PaddedBatches(columns, size=32, shuffle=0)
optimizer = optim.adamw(model)  # AdamW, BERT's usual optimizer: explained below
some = [batch for batch, _ in zip(batches, range(3), strict=False)]
for number, batch in enumerate(some):
    if number == 1:  # the first batch also warms up
        start = perf_counter()
    model(**batch).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
estimate = (perf_counter() - start) / 2 * len(batches)
print(f"{len(batches)} steps an epoch, about {estimate:.0f} seconds on this machine")
assert len(batches) == math.ceil(1230 / 32) == 39

# %% [markdown]
# ## The loop by hand
#
# Everything that `fit` and `fine_tune` do at each step fits into a dozen lines. A toy makes it quick:
# texts are points with five numbers, and a linear layer sorts them into three classes.
#
# Two of the lines have sections of their own further down: `adamw` makes the step from the gradients, for
# groups of parameters, and `schedule` changes the learning rate from step to step. Number 4 is called
# *clipping*: a gradient that is too long is shortened, so that one strange batch cannot throw the weights
# far away.

# %%
draw = torch.Generator().manual_seed(0)
points = torch.randn(97, 5, generator=draw)
toy = {"features": points, "labels": points[:, :3].argmax(dim=1)}
toy_batches = Batches(toy, 16, shuffle=0)  # 7 batches, the last of one example


def new_probe():
    training.set_seed(1)
    return probing.Probe(5, 3)


by_hand = new_probe()
groups = optim.parameter_groups(by_hand, weight_decay=0.01, learning_rate=0.05)
optimizer = optim.adamw(groups)
rate = optim.schedule("linear", optimizer, warmup=0.1, steps=3 * len(toy_batches))
by_hand.train()  # dropout on
for _epoch in range(3):
    for batch in toy_batches:
        loss = by_hand(**batch).loss  # 1. forward
        optimizer.zero_grad()  # 2. forget the last step's gradients
        loss.backward()  # 3. backward
        nn.utils.clip_grad_norm_(by_hand.parameters(), 1.0)  # 4. no gradient longer than 1
        optimizer.step()  # 5. move
        rate.step()  # 6. the rate of the next step
by_hand.eval()  # dropout off
print(f"{rate.last_epoch} steps, last loss {loss:.3f}")  # PyTorch's name; it counts rate.step()

# %% [markdown]
# The library's `fit` does this, and besides: it evaluates, keeps the best weights, saves, resumes, and
# shares the work among several graphics cards. The last line of the next cell shows its *recipe*, all
# choices of a run. Some of them come up nowhere else here: `steps` ends the run after so many steps,
# whatever `epochs` says; `save_every` saves every so many steps; `precision="auto"` computes in
# [bfloat16](../docs/glossary.md#half-precision) where the machine can (below we ask for float32, in which the
# loop by hand has computed); `accumulate=4` would add up the gradients of four
# small batches before each step ([gradient accumulation](../docs/glossary.md#gradient-accumulation)), and
# `layer_decay=0.9` would let each layer learn a tenth more slowly than the one above it.
#
# **Same seed, same data, same numbers:**

# %%
by_fit = new_probe()
report = training.fit(
    by_fit,
    Batches(toy, 16, shuffle=0),
    recipe=training.FINE_TUNING,
    learning_rate=0.05,
    precision="float32",
)
for ours, theirs in zip(by_hand.parameters(), by_fit.parameters(), strict=True):
    assert torch.equal(ours, theirs)
assert len(report.steps) == 21
training.FINE_TUNING

# %% [markdown] items="000-14"
# ### What loss?
#
# `cross_entropy` takes raw scores and makes probabilities of them itself. A softmax in the model before
# it is a mistake that raises nothing: it learns, but slowly. `LogSoftmax` as the last layer, as in a
# forum question's model, belongs to `nll_loss`; the two together are cross entropy.
#
# **Predict:** a model that knows nothing gives ten classes the same score. What is its loss?

# %%
scores, labels = torch.randn(7, 10, generator=draw), torch.arange(7)
right = nn.functional.cross_entropy(scores, labels)
assert torch.allclose(nn.functional.nll_loss(scores.log_softmax(dim=1), labels), right)
twice = nn.functional.cross_entropy(scores.softmax(dim=1), labels)  # a softmax too many
at_best = nn.functional.cross_entropy(torch.eye(10)[:7].mul(99).softmax(dim=1), labels)
assert round(math.log(10), 2) == 2.30 and round(at_best.item(), 2) == 1.46
print(f"nothing known: {nn.functional.cross_entropy(torch.zeros(7, 10), labels):.2f}")
print(f"softmax twice: {twice:.2f}; at its very best {at_best:.2f}, where 0 should be")

# %% [markdown]
# **ln 10 = 2.30 is chance** for ten classes. Remember that number: whoever sees it knows that a model has
# learned nothing.

# %% [markdown]
# ## Now BERT
#
# One call: tokens, batches, head, groups, schedule, evaluation. Two epochs, that is 78 steps; the learning
# rates were tried out on dev (2e-4 for the encoder, 1e-3 for what is above it, because the new head begins
# with random numbers). Beside the accuracy the table has the *macro F1*, a score in which each class counts
# alike, however rare it is; *What 4.92 % says*, further down, explains it.
#
# A *watcher* looks on while the model is trained. `LivePlot` is one: its figure is drawn anew after each
# evaluation. (`training.TensorBoard(folder)` is another, `--tensorboard` on the command line; then
# `tensorboard --logdir folder` shows the curves in the browser.)

# %%
start = perf_counter()
tuned = fine_tune(
    data,
    epochs=2,
    learning_rate=2e-4,
    head_learning_rate=1e-3,
    evaluate_every=26,
    progress=False,
    watchers=[training.LivePlot()],
)
print(f"{perf_counter() - start:.0f} seconds; estimated were {2 * estimate:.0f} without dev")
tuned.history

# %%
first, last = tuned.history.records[0], tuned.history.records[-1]
kept = tuned.history.kept.scores
assert 2.0 < tuned.history.steps[0].loss < 2.8 and last.step == 78
assert 0.73 < kept["accuracy"] < 0.88 or not EMBEDDED
assert first.scores["loss"] > last.scores["loss"] or not EMBEDDED

# %% [markdown]
# It begins at about 2.3, at chance. A probe on frozen vectors needed notebook 02's care, the right
# pooling and standardised vectors, to come as far. Is this one better? That question waits for its
# spread, further down.
#
# ### What has moved?
#
# **Predict:** which part of BERT has moved furthest, compared with its own size? The embeddings, the
# lower layers, the upper ones, the pooler?

# %%
before = dict(BertModel.from_pretrained().named_parameters())
parts = {}
for name, value in tuned.model.bert.named_parameters():
    part = name.split(".")[0]
    part = f"layer {int(name.split('.')[2]) + 1}" if part == "encoder" else part
    way, size = parts.setdefault(part, ([], []))
    way.append((value - before[name]).detach().norm())
    size.append(before[name].detach().norm())
moved = {
    part: (torch.stack(way).norm() / torch.stack(size).norm()).item()
    for part, (way, size) in parts.items()
}
plots.bars(
    {part: 100 * share for part, share in moved.items()},
    form="{:.1f} %",
    title="How far each part has moved, compared with its size",
    alt="Bars: how far the weights have moved, in per cent of their size. "
    + "; ".join(f"{part} {share:.1%}" for part, share in moved.items())
    + ".",
)

# %%
if EMBEDDED:
    assert max(moved, key=moved.get) == "pooler" and max(moved.values()) < 1.5
    assert all(0.005 < moved[f"layer {layer}"] < 0.2 for layer in range(1, 7))

# %% [markdown]
# The pooler: nobody had trained it for what this model was made for, and it has the higher rate. **The
# encoder itself moves by two or three per cent:** what it knows stays. And words that do not occur in the
# headlines?

# %%
seen = {
    id_
    for part in (data.train, data.dev)
    for row in tokenizer(part.texts)["input_ids"]
    for id_ in row
}
words = tuned.model.bert.embeddings.word_embeddings.weight.detach()
change = (words - before["embeddings.word_embeddings.weight"].detach()).norm(dim=1)
unseen = torch.tensor([i for i in range(len(words)) if i not in seen])
trained = torch.tensor(sorted({id_ for row in columns["input_ids"] for id_ in row}))
print(
    f"{len(trained):,} of {len(words):,} words are in train; they moved by {change[trained].mean():.4f}"
)
print(f"{len(unseen):,} are in neither part; they moved by {change[unseen].mean():.4f}")
assert change[unseen].max() == 0 or not EMBEDDED
del before, words  # memory again

# %% [markdown]
# Not at all: their gradients are 0. (In a loop of your own, weight decay would take a little off them all
# the same; `fine_tune` leaves rows that do not occur out of the training, which is also quicker.)
#
# ### What does it cost?
#
# Training keeps four numbers for each weight, 4 bytes each: the weight, its gradient, and the optimizer's
# two running means. Using the model takes the weight alone. (The outputs of all layers come on top, for
# the backward pass: they grow with the batch, and not with the model alone.)

# %%
numbers = sum(p.numel() for p in model.parameters())
model(**some[0]).loss.backward()
optimizer = optim.adamw(model)
optimizer.step()
kept = {
    "weights": sum(p.numel() * p.element_size() for p in model.parameters()),
    "gradients": sum(p.grad.numel() * p.grad.element_size() for p in model.parameters()),
    "running means": sum(
        value.numel() * value.element_size()
        for state in optimizer.state.values()
        for value in state.values()
        if value.dim() > 0
    ),
}
assert [round(n / numbers) for n in kept.values()] == [4, 4, 8]
for name, size in kept.items():
    print(f"{name:<15}{size / 2**20:6.0f} MiB")
print(f"{'together':<15}{sum(kept.values()) / 2**20:6.0f} MiB for {numbers:,} numbers")
base = 16 * 109_482_240 / 2**30
assert round(base, 1) == 1.6
print(f"bert-base, with 109,482,240: {base:.1f} GiB, before any outputs of layers")
model.zero_grad()
del optimizer  # memory again

# %% [markdown] items="004-12"
# ## Which parameters decay
#
# *Weight decay* takes a little off every weight at every step. The usual recipe, copied from script to
# script, leaves some parameters out, **by name**: `bias`, `LayerNorm.bias`, `LayerNorm.weight`. Print
# both groups before you believe it.

# %%
optim.describe_groups(optim.groups_by_name(model), model)

# %% [markdown]
# Right. **Predict:** and for DistilBERT, a smaller BERT with other names?

# %%
with remarks():
    distil = transformers.DistilBertForSequenceClassification(
        transformers.DistilBertConfig(
            vocab_size=97, dim=24, n_layers=2, n_heads=2, hidden_dim=48
        )
    )
by_name = optim.describe_groups(optim.groups_by_name(distil), distil)
by_name

# %% [markdown]
# Look at the row *decayed ... LayerNorm.weight*: four norms of the layers are called `sa_layer_norm` and
# `output_layer_norm`, the rule looks for `LayerNorm`, and **nothing is said**. The library asks what a
# parameter *is*: matrices decay, vectors and whatever belongs to a normalisation do not.

# %%
by_kind = optim.describe_groups(optim.parameter_groups(distil), distil)
found = [(row[0], row[3], row[4]) for row in by_name.rows]
assert ("decayed", "LayerNorm.weight", 4) in found
assert {row[0] for row in by_kind.rows if "LayerNorm" in row[3]} == {"not decayed"}
by_kind

# %% [markdown]
# ### Exercise 1 · Which parameters decay? (10 minutes)
#
# Write `no_decay(model)`: two lists of the parameters that learn, first those that decay, then those that
# do not. A parameter that is a vector, with one dimension, does not decay; one with more does. (That
# finds all biases and the usual norms, whatever they are called.) Parameters with `requires_grad` False
# are in neither list.


# %%
def no_decay(model):
    # BEGIN SOLUTION
    learn = [p for p in model.parameters() if p.requires_grad]
    return [p for p in learn if p.dim() > 1], [p for p in learn if p.dim() <= 1]
    # END SOLUTION


# %%
check.no_decay(no_decay)

# %% [markdown]
# <details><summary>Hint 1</summary><code>model.parameters()</code> gives each parameter once, also one that is tied and stands under two
# names. <code>parameter.requires_grad</code> says whether it learns.</details>
# <details><summary>Hint 2</summary>Two list comprehensions over the parameters that learn: <code>p.dim() &gt; 1</code> for the first,
# <code>p.dim() &lt;= 1</code> for the second.</details>

# %% [markdown] items="004-08 004-09"
# ## Decay is not a penalty
#
# Two ways to keep weights small. **L2 penalty:** add `decay * weight` to the gradient. **Weight decay:**
# shrink the weight by a factor, beside the step. For plain SGD, whose step is rate times gradient and no
# more, they are the same, and so they were long taken for one thing. One step of each, on two weights of 1:
# one with a large gradient, one with a small one.

# %%
weight, gradient = torch.tensor([1.0, 1.0]), torch.tensor([10.0, 0.01])
step, decay = 0.1, 0.05
penalty = optim.sgd_with_l2(weight, gradient, step, decay)
decoupled = optim.sgd_decoupled(weight, gradient, step, decay)
assert torch.allclose(penalty, weight - step * (gradient + decay * weight))
assert torch.allclose(penalty, decoupled)
for name, found in (("L2", penalty), ("decay", decoupled)):
    print(f"SGD with {name:<6}", *(f"{value:.4f}" for value in found.tolist()))

# %% [markdown]
# **Predict:** and with Adam, which divides each gradient by its own size? A hundred steps with gradients
# that change at random: large ones, about 10, for the first weight, and small ones, about 0.01, for the
# second.

# %%
draw = torch.Generator().manual_seed(0)
gradients = torch.randn(100, 2, generator=draw) * torch.tensor([10.0, 0.01])


def hundred_steps(one_step, decay):
    current, moments = weight, optim.Moments.of(weight)
    for gradient in gradients:
        current = one_step(current, gradient, moments, 0.01, decay)
    return current


by_l2, by_decay = (
    hundred_steps(one_step, decay) - hundred_steps(one_step, 0.0)
    for one_step in (optim.adam_with_l2, optim.adam_decoupled)
)
plots.Table(
    ["what the decay did to a weight of 1", "large gradients", "small gradients"],
    [
        [name, *(f"{value:+.3f}" for value in change.tolist())]
        for name, change in {"Adam + L2": by_l2, "AdamW": by_decay}.items()
    ],
    right=(1, 2),
)

# %%
assert abs(by_l2[0]) < 0.02 and by_l2[1] < -0.5
assert torch.allclose(by_decay, torch.tensor(-0.049), atol=0.01)

# %% [markdown]
# With L2 the penalty goes through the running means, and Adam divides it by the size of the gradients. So
# a weight with large gradients hardly decays, and one with small gradients is pulled nearly to 0. **AdamW
# takes the same share off both.** Both by hand equal PyTorch's:

# %%
for one_step, theirs in (
    (optim.adam_with_l2, torch.optim.Adam),
    (optim.adam_decoupled, torch.optim.AdamW),
):
    parameter = nn.Parameter(weight.clone())
    optimizer = theirs([parameter], lr=0.01, weight_decay=decay)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    assert torch.allclose(parameter, hundred_steps(one_step, decay), atol=1e-5)

# %% [markdown] items="004-10"
# The two algorithms beside each other, as in a lost figure of *the notes* (those on the source code of
# transformers, which notebook 02 follows). Only where the decay λ stands differs:

# %% tags=["picture"]
plots.diagram(
    boxes={
        "n1": plots.Box(-1.2, 0, "Adam + L2", 3, 0.95),
        "g1": plots.Box(0, 0, "gradient g", 0, 1.0),
        "l2": plots.Box(1.35, 0, "+ λ · weight", 1, 1.1),
        "m1": plots.Box(2.75, 0, "m, v: running\nmeans of g, g²", 2, 1.25),
        "s1": plots.Box(4.2, 0, "− rate · m / √v", 2, 1.3),
        "n2": plots.Box(-1.2, 1.1, "AdamW", 3, 0.95),
        "g2": plots.Box(0, 1.1, "gradient g", 0, 1.0),
        "m2": plots.Box(2.75, 1.1, "m, v: running\nmeans of g, g²", 2, 1.25),
        "s2": plots.Box(4.2, 1.1, "− rate · m / √v", 2, 1.3),
        "w2": plots.Box(5.75, 1.1, "− rate · λ · weight", 1, 1.45),
    },
    arrows=[("g1", "l2"), ("l2", "m1"), ("m1", "s1"), ("g2", "m2"), ("m2", "s2"), ("s2", "w2")],
    alt="Two rows. Adam with an L2 penalty: the gradient plus lambda times the weight goes into the "
    "running means, and then the step. AdamW: the gradient alone goes into the running means and "
    "the step, and rate times lambda times the weight is taken off beside it.",
)

# %% [markdown] items="004-07 004-11 004-14"
# The notes call the paper "Fixing Weight Decay Regularization in Adam", a best paper of ICLR 2017. That
# was its first name, on arXiv in 2017; it was published at **ICLR 2019** as *Decoupled Weight Decay
# Regularization* (Loshchilov and Hutter). They also say that most libraries do weight decay for Adam +
# L2. It is the other way round: **most did L2 and called it weight decay.** For further reading the notes
# name two blog posts on AdamW and super-convergence; the paper's sections 1 and 2 say it best. And they
# import transformers' AdamW, which is gone: today it is `torch.optim.AdamW`, and 2e-5 is the rate they
# give for text classification.

# %%
assert not hasattr(transformers, "AdamW")
assert type(optim.adamw(model)) is torch.optim.AdamW
assert {group["lr"] for group in optim.adamw(model).param_groups} == {2e-5}

# %% [markdown]
# ### Exercise 2 · One step of AdamW (10 minutes)
#
# Write `adamw_step(weight, gradient, first, second, step, rate, decay)` and return the new weight.
#
# - `first` and `second` are the running means of the gradient and of its square **before** this step.
#   Bring them up to date: `first = 0.9 * first + 0.1 * gradient`, and likewise with 0.999 for the square.
# - They began at 0, so divide by `1 - 0.9 ** step` and `1 - 0.999 ** step`. `step` is 1 at the first.
# - The **old** weight shrinks by the factor `1 - rate * decay`.
# - From that take the move, `rate * first / (√second + 1e-8)`: the 1e-8 is added to the root, so that nobody divides by 0.


# %%
def adamw_step(weight, gradient, first, second, step, rate, decay):
    # BEGIN SOLUTION
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    first, second = first / (1 - 0.9**step), second / (1 - 0.999**step)
    return (1 - rate * decay) * weight - rate * first / (second.sqrt() + 1e-8)
    # END SOLUTION


# %%
check.adamw_step(adamw_step)

# %% [markdown]
# <details><summary>Hint 1</summary>Follow the four points in their order. The decay never meets the gradient.</details>
# <details><summary>Hint 2</summary>The last line is <code>(1 - rate * decay) * weight - rate * first / (second.sqrt() + 1e-8)</code>.</details>

# %% [markdown] items="002-72"
# ### An old warning
#
# The repository brings its own optimizer, and PyTorch complains about one line of it. It still does, and
# it still runs. The number comes first there, where today it has a name:

# %%
next_m, grad, beta1 = torch.ones(3), torch.ones(3), 0.9
with remarks() as said:
    old = next_m.clone().mul_(beta1).add_(1 - beta1, grad)
print(said[0].split(" (Triggered")[0] if said else "said already, once a session")
new = next_m.clone().mul_(beta1).add_(grad, alpha=1 - beta1)
assert torch.equal(old, new)

# %% [markdown] items="004-13"
# ### Why no decay on biases and norms?
#
# The notes ask, and found no answer. The usual reasons: they are few; and decay limits what a *matrix*
# can learn by heart, while a norm's scale that is pulled to 0 lets nothing through at all. Is it
# noticeable? `python -m benchmarks decay` fine-tunes with decay on nothing, on matrices alone, and on
# everything.

# %%
decay_kept, OURS_DECAY = measured("decay")
arms = decay_kept["accuracy"]
none = arms["none"]["mean"]
plots.Table(
    [
        "what decays, how strongly",
        "dev accuracy",
        "from seed to seed",
        "minus none",
        "95 % of that, over seeds",
    ],
    [
        [
            name,
            f"{row['mean']:.1%}",
            f"{100 * min(row['by_seed']):.1f} to {100 * max(row['by_seed']):.1f}",
            f"{100 * (row['mean'] - none):+.1f}",
            "{:+.1f} to {:+.1f}".format(
                *(100 * end for end in decay_kept["minus_none"][name]["interval"])
            )
            if name != "none"
            else "",
        ]
        for name, row in arms.items()
    ],
)

# %%
settings = decay_kept["settings"]
print(
    f"{settings['seeds']} seeds, {settings['epochs']} epochs, rate {settings['learning_rate']}"
)
left = decay_kept["left_by_decay_alone"]
pretraining = decay_kept["left_by_decay_alone_in_pretraining"]
print(f"left of a weight after the run by decay alone: {left}")
print(f"and after BERT's own pretraining, a million steps with 0.01: {pretraining:.2f}")

# %% [markdown]
# (An interval *over seeds* says what other seeds of the same runs would give, on these headlines. Those of notebook 02, and in a table
# further down, are *over headlines*: what other headlines would give. Neither says anything of the other kind of chance.)
#
# - **With the usual 0.01, and with a hundred times as much, no difference is shown**, neither between no
#   decay and decay nor between decay on matrices and on everything. The intervals contain 0, and end
#   within one point of it.
# - The reason is in the two lines above: in 117 steps a decay of 0.01 leaves 0.9999 of a weight. In
#   BERT's own pretraining, a million steps, it left 0.61. The recipe comes from there.
# - With an absurd 100, which leaves a third of a weight, everything suffers, and then it shows: much more
#   where norms and biases decay too.
#
# So the answer: the reasons are sound, 31,114 numbers of 22.7 million are concerned, and in a short
# fine-tuning you will not notice. Do it anyway; it costs nothing, and your next run may be long.

# %%
if OURS_DECAY:
    gaps = decay_kept["everything_minus_matrices"]
    for strength in ("0.01", "1"):
        for row in (gaps[strength], decay_kept["minus_none"][f"matrices alone, {strength}"]):
            assert -0.01 < row["interval"][0] < 0 < row["interval"][1] < 0.01
    assert gaps["100"]["interval"][1] < -0.1
    assert round(left["0.01"], 4) == 0.9999 and round(pretraining, 2) == 0.61
    assert round(left["100"], 2) == 0.31 and settings["steps"] == 117
    assert decay_kept["numbers"]["not decayed"] == 31114
    assert (
        round(sum(decay_kept["numbers"][k] for k in ("decayed", "not decayed")) / 1e6, 1)
        == 22.7
    )

# %% [markdown] items="004-15 004-17 004-24"
# ## The rate over a run
#
# The notes' recipe: begin at 0, rise to 2e-5 over, say, 1,000 steps (*warm-up*), then fall to 0. Six such
# ways stood in transformers' list `TYPE_TO_SCHEDULER_FUNCTION`. **Predict:** how many *different* curves
# do six names make?

# %%
six = {
    name: optim.rates(name, warmup=20, steps=100, learning_rate=2e-5)
    for name in optim.SCHEDULES
}
figures.schedules(six, title="Six schedules, 100 steps, 20 of them warm-up")

# %% [markdown] items="004-18 004-19 004-20 004-21 004-22 004-23"
# Four, near enough:
#
# - `constant`: the same rate from the first step to the last; it takes no notice of a warm-up.
# - `constant_with_warmup`: the notes say that it changes *at every step*. Only during the warm-up; then
#   it is constant.
# - `linear`: up in a straight line, down in a straight line. The one most used.
# - `cosine`: up, then down half a wave. `cosine_with_restarts` is the **same** at its default, one cycle;
#   with `num_cycles=3` it starts from the top three times.
# - `polynomial`: the notes call it an exponential curve. It is a power of the share that is left, and
#   **at its default, power 1, it is linear**, but for its end, 1e-7 in place of 0. (The figure draws some
#   curves over others.)


# %%
def alike(one, other, within=1e-12):
    return max(abs(a - b) for a, b in zip(six[one], six[other], strict=True)) <= within


assert alike("cosine", "cosine_with_restarts") and not alike("linear", "cosine", 1e-6)
assert alike("polynomial", "linear", 1e-7) and not alike("polynomial", "linear")
assert set(six["constant"]) == {2e-5} and six["constant"][0] != six["constant_with_warmup"][0]
assert set(six["constant_with_warmup"][20:]) == {2e-5}
assert all(values[0] == 0 for name, values in six.items() if name != "constant")
three = optim.rates("cosine_with_restarts", 20, 100, 2e-5, num_cycles=3)
assert sum(later > 1.5 * earlier for earlier, later in itertools.pairwise(three[20:])) == 2
known = {kind.value for kind in transformers.optimization.TYPE_TO_SCHEDULER_FUNCTION}
assert set(six) < known
print(f"transformers knows more today: {', '.join(sorted(known - set(six)))}")

# %% [markdown]
# In transformers it is `get_scheduler(name, optimizer, num_warmup_steps, num_training_steps)`, or one
# function for each, such as `get_linear_schedule_with_warmup`. (The notes write
# *get_linear_scheduler_with_warmup*; no such name exists.)
#
# **Tie the warm-up to the length of the run.** Our run has 78 steps. With a warm-up of 1,000:

# %% tags=["raises-exception"] raises="ValueError: warmup is 1000 steps and the run has 78"
optim.rates("linear", warmup=1000, steps=78, learning_rate=2e-5)

# %%
assert not hasattr(transformers, "get_linear_scheduler_with_warmup")
optimizer = optim.adamw(model, learning_rate=2e-5)
theirs = transformers.get_linear_schedule_with_warmup(optimizer, 1000, 78)
highest = max(2e-5 * theirs.lr_lambdas[0](step) for step in range(78))
assert 1.5e-6 < highest < 1.6e-6
print(f"transformers says nothing: the highest rate of the run is {highest:.1e}, not 2e-5")

# %% [markdown]
# ### Exercise 3 · Up and down in straight lines (8 minutes)
#
# Write `linear_rate(step, steps, warmup, highest)`: the rate of one step; the first is step 0, the last
# `steps - 1`. From 0 at step 0 it rises in a straight line to `highest` at step `warmup`; then it falls
# in a straight line, so that it would be 0 at step `steps`. `warmup` may be 0: then there is no rise, and
# step 0 has the rate `highest`.


# %%
def linear_rate(step, steps, warmup, highest):
    # BEGIN SOLUTION
    if step < warmup:
        return highest * step / warmup
    return highest * (steps - step) / (steps - warmup)
    # END SOLUTION


# %%
check.linear_rate(linear_rate)

# %% [markdown]
# <details><summary>Hint 1</summary>Two cases. Before <code>warmup</code> it is a share of the way up, after it a share of the way that is left.</details>
# <details><summary>Hint 2</summary><code>highest * step / warmup</code> where <code>step &lt; warmup</code>, else
# <code>highest * (steps - step) / (steps - warmup)</code>.</details>

# %% [markdown] items="004-16"
# ### Does the warm-up help?
#
# The notes' reasons: it keeps the model from an early local optimum (weights from which every small step
# makes the loss larger, though far better ones exist elsewhere) and from overfitting, and the fall avoids
# large changes late. That is a conjecture. What can be measured: the same runs with and without warm-up
# (`python -m benchmarks warmup`). A run counts as failed where its accuracy stays below 30 %.

# %%
warm, OURS_WARM = measured("warmup")
plots.Table(
    [
        "highest rate",
        "accuracy without",
        "with",
        "with minus without",
        "95 %, over seeds",
        "runs failed without",
        "with",
    ],
    [
        [
            rate,
            f"{row['without']['accuracy']['mean']:.1%}",
            f"{row['with']['accuracy']['mean']:.1%}",
            f"{100 * row['with_minus_without']['mean']:+.1f}",
            "{:+.1f} to {:+.1f}".format(
                *(100 * end for end in row["with_minus_without"]["interval"])
            ),
            row["without"]["failed"],
            row["with"]["failed"],
        ]
        for rate, row in warm["learning_rates"].items()
    ],
)

# %% [markdown]
# - At 2e-4, a good rate: **no difference is shown**; the interval reaches two points to both sides.
# - At 1e-3, which is too high: open, with an interval that contains 0. But without a warm-up the five
#   seeds lie much further apart.
# - At 1.5e-3: without a warm-up all five runs fail, at chance; with it four of five learn something.
#
# So what a warm-up does here is to forgive a rate that is too high. Of local optima and overfitting these
# runs say nothing.

# %%
if OURS_WARM:
    good, high, highest = (
        warm["learning_rates"][rate] for rate in ("0.0002", "0.001", "0.0015")
    )
    low, up = good["with_minus_without"]["interval"]
    assert -0.021 < low < 0 < up < 0.021
    assert (
        high["with_minus_without"]["interval"][0]
        < 0
        < high["with_minus_without"]["interval"][1]
    )
    deviations = [high[way]["accuracy"]["deviation"] for way in ("without", "with")]
    assert deviations[0] > 3 * deviations[1]
    assert (highest["without"]["failed"], highest["with"]["failed"]) == (5, 1)
    assert highest["with_minus_without"]["interval"][0] > 0

# %% [markdown] items="002-46"
# ## Reading a curve
#
# A log of the repository: a small model without BERT (TextCNN, of notebook 09) on 26,612 headlines, a line
# every 100 steps. Its numbers, drawn:

# %%
train_loss = [2.3, 0.73, 0.68, 0.41, 0.55, 0.45, 0.43, 0.19, 0.2, 0.17]
train_loss += [0.17, 0.12, 0.092, 0.075, 0.051, 0.065, 0.043, 0.039, 0.04]
dev_loss = [2.6, 0.69, 0.55, 0.5, 0.47, 0.45, 0.45, 0.46, 0.44, 0.47]
dev_loss += [0.49, 0.47, 0.47, 0.47, 0.5, 0.5, 0.54, 0.52, 0.56]
dev_accuracy = [11.05, 78.57, 83.12, 84.09, 85.14, 86.11, 86.16, 85.8, 86.71, 86.17]
dev_accuracy += [85.89, 86.29, 86.8, 86.43, 86.38, 86.47, 86.24, 86.78, 86.25]
places = range(0, 1900, 100)
log = {
    name: dict(zip(places, values, strict=True))
    for name, values in (
        ("train", train_loss), ("dev", dev_loss), ("accuracy", dev_accuracy)
    )
}  # fmt: skip
figures.history(
    log["train"],
    log["dev"],
    {step: value for step, value in log["accuracy"].items() if step > 0},  # the first is 11.05
    metric_name="accuracy in %",
    kept=800,
    title="A log, drawn",
)

# %% [markdown]
# **Before you go on:** how many steps has an epoch, with batches of 128? What is 2.3? Which step would
# *you* keep?

# %% [markdown] items="002-47 002-48 002-49"
# - **26,612 lines in batches of 128: 208 steps an epoch.** The losses and accuracies of *train* in the
#   log are those of one batch: the first, 12.50 %, is 16 of 128. That is why they jump.
# - **It begins at 2.3, at ln 10: chance.** After 100 steps dev is at 0.69 and 78.57 %, after 800 at its
#   lowest, 0.44.
# - **Then train goes on falling, and dev rises** to 0.56: it learns its training texts by heart, 99.22 %
#   of a batch, and becomes more and more sure of its mistakes. *Overfitting.*
# - **The best step depends on what you ask.** By the loss it is step 800; by the accuracy step 1,200,
#   86.80 %. A mistake made with great conviction costs much loss and still counts as one mistake. Say
#   which one you chose by; `fit` does, in its last line.
# - **Patience.** "No optimization for a long time, auto-stopping": 1,000 steps after the best one, at
#   step 1,800, it stopped.

# %%
assert math.ceil(26612 / 128) == 208 and 16 / 128 == 0.125 and round(math.log(10), 1) == 2.3
assert min(log["dev"], key=log["dev"].get) == 800 and 1800 - 800 == 1000
assert max(log["accuracy"], key=log["accuracy"].get) == 1200
assert (
    log["dev"][1800] == 0.56 and log["accuracy"][1200] == 86.8 and log["accuracy"][100] == 78.57
)

# %% [markdown]
# In the library: `fine_tune(..., metric="loss", evaluate_every=100, patience=10)`. `patience` counts
# evaluations, not steps, and those at the ends of epochs count too.
#
# ### Exercise 4 · Patience (8 minutes)
#
# `losses` are the losses on dev, one an evaluation, as if they came one after the other. Write
# `patience(losses, limit)` and return two numbers: the evaluation whose weights are kept, and the last
# one that is made. Both count from 0.
#
# - A loss below all before it is a new best. An equal one is not.
# - After `limit` evaluations in a row without a new best, the run stops. Otherwise it goes on to the end.


# %%
def patience(losses, limit):
    # BEGIN SOLUTION
    best = 0
    for number, loss in enumerate(losses):
        if loss < losses[best]:
            best = number
        if number - best == limit:
            return best, number
    return best, len(losses) - 1
    # END SOLUTION


# %%
check.patience(patience)

# %% [markdown]
# <details><summary>Hint 1</summary>Go through the losses and remember the number of the best one so far. How far away is it now?</details>
# <details><summary>Hint 2</summary>Stop where <code>number - best == limit</code>. If that never happens, the last evaluation is
# <code>len(losses) - 1</code>.</details>

# %% [markdown] items="002-82 002-86"
# ## A run that came to nothing
#
# The next log is BERT itself, on a small set: 1,471 lines to train, 301 dev, three epochs. It trains for
# minutes, and the test says: **accuracy 4.92 %**, 29 of 589. Worse than chance! In the log there is a
# single line of numbers, for `Iter: 0`.
#
# **Before you go on:** what went wrong? You have all you need: 1,471 lines, batches of 128, three epochs,
# and an evaluation every 100 steps.

# %%
steps = 3 * math.ceil(1471 / 128)
evaluated = [step for step in range(steps) if step % 100 == 0]
assert steps == 36 and evaluated == [0] and round(100 * 29 / 589, 2) == 4.92
print(f"{steps} steps in all; evaluated, and saved if better: after step {evaluated}")

# %% [markdown]
# The model was evaluated **once**, right after its first step, when it had learned nothing. That was the
# best so far, so it was saved. The other 35 steps trained a model that nobody ever looked at. Then the
# saved one was loaded and tested.
#
# We repeat it in small: 96 headlines in batches of 8 are 12 steps an epoch, 36 in three. The loop is the
# repository's, step for step; and as in its test set, more than half of our examples are *education*.

# %%
education = data.labels.index("education")
others = [example for example in data.dev if example.label != education][::11]
uneven = Examples([e for e in data.dev if e.label == education] + others)
few = Examples(data.train[:96])


def some_batches(examples, size, shuffle=None):
    tokens = {**tokenizer(examples.texts), "labels": examples.label_ids}
    return PaddedBatches(tokens, size=size, shuffle=shuffle)


def new_model(seed):
    training.set_seed(seed)
    with remarks():
        return BertForSequenceClassification.from_pretrained(
            id2label=dict(enumerate(data.labels))
        )


lost = new_model(seed=0)
small, watched = some_batches(few, 8, shuffle=0), some_batches(uneven, 64)
optimizer = optim.adamw(
    optim.parameter_groups(lost, learning_rate=2e-4, head_learning_rate=1e-3)
)
rate = optim.schedule("linear", optimizer, warmup=0.1, steps=36)
iteration, best = 0, math.inf
for _epoch in range(3):
    for batch in small:
        lost.train()
        lost(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        rate.step()
        if iteration % 100 == 0:
            dev = training.evaluate(lost, watched)
            print(f"Iter: {iteration}, Val Loss: {dev.loss:.1f}, Val Acc: {dev.accuracy:.2%} *")
            if dev.loss < best:
                best = dev.loss
                saved = {name: value.clone() for name, value in lost.state_dict().items()}
        iteration += 1
at_the_end = training.evaluate(lost, watched)
lost.load_state_dict(saved)
as_saved = training.evaluate(lost, watched)
print(f"saved:   {as_saved.accuracy:.1%}, loss {as_saved.loss:.2f}")
print(f"trained: {at_the_end.accuracy:.1%}, loss {at_the_end.loss:.2f}, thrown away")

# %%
assert iteration == 36 and len(uneven) == 75 and as_saved.loss > 1.8
assert at_the_end.accuracy > as_saved.accuracy + 0.1 or not EMBEDDED
print(as_saved.predictions.bincount(minlength=10).tolist())
del lost, saved, optimizer, rate  # memory again

# %% [markdown] items="002-87 002-88"
# ### What 4.92 % says
#
# An untrained model does not guess evenly over the classes. Its random head likes some of them far more
# than others, whatever the text. Ours shows it in the row of numbers above (how often it says each class),
# and the log's *confusion matrix* shows the same. That is a table of counts: rows are what is true, columns
# what was predicted. The report below makes three shares of it for each class:
#
# - *precision*: of the texts that were **predicted** as the class, how many are of it?
# - *recall*: of the texts that **are** of the class, how many were predicted as it?
# - *F1*: both in one number, which is low if either of them is. (Exercise 6 writes all three.)

# %%
log_counts = np.array(
    [
        [2, 1, 0, 3, 0, 31, 0, 0, 0, 0],
        [3, 0, 0, 0, 0, 33, 0, 0, 0, 0],
        [3, 1, 0, 0, 0, 24, 1, 0, 0, 0],
        [110, 1, 0, 1, 0, 197, 1, 0, 13, 2],
        [4, 2, 0, 0, 0, 19, 1, 0, 0, 1],
        [3, 0, 0, 0, 0, 26, 0, 0, 0, 0],
        [8, 0, 0, 1, 0, 20, 0, 0, 0, 0],
        [4, 0, 0, 0, 0, 22, 0, 0, 0, 0],
        [4, 0, 0, 1, 0, 19, 0, 0, 0, 0],
        [0, 1, 0, 0, 1, 25, 0, 0, 0, 0],
    ]
)


def unfold(counts):
    """Labels and predictions, one for each example, from a confusion matrix."""
    rows, columns = np.indices(counts.shape)
    return np.repeat(rows.ravel(), counts.ravel()), np.repeat(columns.ravel(), counts.ravel())


metrics.classification_report(*unfold(log_counts), data.labels)

# %% [markdown]
# - 416 of 589 are called *society* and 141 *finance*. So society has a recall of 0.8966, because most
#   texts are called so, and a precision of 0.0625. **The model is not badly trained; it is not trained.**
# - 325 of the 589 are *education*. **Always saying education would have been right for 55 %.** Print what
#   the most frequent class gives beside every accuracy; the report above does.
# - The two averages of F1 differ by how they weigh: *macro* counts each class once, *weighted* each
#   example once. 0.0145 and 0.0105 here.

# %%
failed = metrics.classification_report(*unfold(log_counts), data.labels)
society = data.labels.index("society")
assert failed.examples == 589 and log_counts.sum(axis=0)[[society, 0]].tolist() == [416, 141]
assert round(failed.accuracy, 4) == 0.0492 and round(failed.majority_accuracy, 2) == 0.55
assert failed.majority == "education" and failed.support[education] == 325
assert [round(s, 4) for s in (failed.recall[society], failed.precision[society])] == [
    0.8966,
    0.0625,
]
assert [round(a.f1, 4) for a in (failed.macro, failed.weighted)] == [0.0145, 0.0105]
assert sorted(failed.support)[:-1] == sorted(s for s in failed.support if 24 <= s <= 37)

# %% [markdown] items="002-89"
# ### Mended
#
# `fit` evaluates at the end of **every epoch and of the run**, whatever `evaluate_every` says, and its
# last line names the step that was kept. Same model, same data, same 36 steps. (The loss is not quite that
# of the loop above: `fit` also clips, and computes in bfloat16 where the machine can. The log took 625
# seconds in all, 23 of them for the test, and had nothing to show. The table has ours.)

# %%
mended = new_model(seed=0)
history = training.fit(
    mended,
    some_batches(few, 8, shuffle=0),
    watched,
    recipe=training.FINE_TUNING,
    learning_rate=2e-4,
    head_learning_rate=1e-3,
    evaluate_every=100,
)
history

# %%
assert history.records[-1].step == 36 and history.kept.step > 0
assert history.kept.scores["accuracy"] > as_saved.accuracy + 0.1 or not EMBEDDED

# %% [markdown]
# ### Exercise 5 · When is the model evaluated? (8 minutes)
#
# Write `evaluations(examples, batch, epochs, every)`: the list of the steps after which the model is
# evaluated, in their order. Steps count from 1. Each epoch ends with a smaller batch where the numbers do
# not divide, and that is a step, too. Evaluate after every `every` steps of the run, **and after the last
# one**, once.


# %%
def evaluations(examples, batch, epochs, every):
    # BEGIN SOLUTION
    steps = -(-examples // batch) * epochs  # rounded up
    found = list(range(every, steps + 1, every))
    return found if steps in found else [*found, steps]
    # END SOLUTION


# %%
check.evaluations(evaluations)

# %% [markdown]
# <details><summary>Hint 1</summary>First the number of steps: batches of an epoch, rounded up (<code>math.ceil</code> or
# <code>-(-a // b)</code>), times epochs.</details>
# <details><summary>Hint 2</summary><code>range(every, steps + 1, every)</code> gives the regular ones. Add <code>steps</code> if it is not among them.</details>

# %% [markdown] items="002-83"
# ## A report that can be trusted
#
# Before that run, the same model was tested on 291 lines, and the run ended in an error: among the labels
# and the predictions only seven of the ten classes occurred. (Exercise 7 of notebook 03 mends that line;
# here is what else such a report needs.) The same with scikit-learn today:

# %%
from sklearn.metrics import classification_report

some_labels, some_predictions = [0, 1, 2, 3, 4, 5, 6, 3], [5, 1, 5, 3, 5, 5, 5, 5]

# %% tags=["raises-exception"] raises="ValueError: Number of classes, 7, does not match size of target_names, 10. Try specifying the labels parameter"
classification_report(some_labels, some_predictions, target_names=data.labels)

# %% [markdown] items="002-85"
# Ten names for the seven classes that it saw. With `labels=` you say which classes there are. (Had the list
# had seven names, by accident those of other classes, nothing would have been raised, and the wrong names
# would stand beside the numbers.) Then another
# complaint comes, as in the log's third run: a class that is never predicted has no precision, 0 of 0.
# scikit-learn puts 0 there and warns; `zero_division=` says that you know.

# %%
with remarks() as said:
    classification_report(
        some_labels, some_predictions, labels=range(10), target_names=data.labels
    )
assert all("UndefinedMetricWarning" in line for line in said) and said
print(next(line for line in said if "Precision" in line))
with remarks() as said:
    text = classification_report(
        some_labels,
        some_predictions,
        labels=range(10),
        target_names=data.labels,
        zero_division=0,
    )
assert not said

# %% [markdown]
# The course's report shows a dash where nothing is defined, and names the classes that are missing:

# %%
report = metrics.classification_report(some_labels, some_predictions, data.labels)
print(*report.notes, sep="\n")
assert len(report.notes) == 3 and "sports, game, entertainment" in report.notes[1]

# %% [markdown] items="002-52 002-53"
# ### Rows are truth
#
# The good run of the repository printed ten scores and a hundred numbers. As a picture the hundred
# numbers can be read. **Find** the three mistakes that are most frequent.

# %%
textcnn = np.array(
    [
        [856, 19, 55, 1, 17, 13, 17, 16, 1, 5],
        [13, 890, 20, 1, 16, 16, 14, 8, 3, 19],
        [63, 28, 772, 8, 53, 4, 48, 6, 10, 8],
        [0, 3, 3, 931, 10, 15, 10, 11, 3, 14],
        [7, 8, 37, 6, 809, 20, 44, 10, 36, 23],
        [4, 17, 3, 20, 9, 898, 27, 5, 5, 12],
        [12, 9, 21, 7, 16, 36, 874, 7, 4, 14],
        [2, 1, 1, 2, 6, 8, 7, 941, 3, 29],
        [1, 1, 9, 4, 66, 9, 8, 25, 851, 26],
        [3, 6, 1, 9, 11, 11, 10, 33, 20, 896],
    ]
)
figures.confusion_matrix(textcnn, data.labels, title="TextCNN on 10,000 Chinese headlines")

# %%
good = metrics.classification_report(*unfold(textcnn), data.labels)
mistakes = textcnn - np.diag(np.diag(textcnn))
for place in np.argsort(-mistakes.ravel())[:3]:
    i, j = divmod(int(place), 10)
    print(
        f"{data.labels[i]} taken for {data.labels[j]}: {mistakes[i, j]} of {good.support[i]:,}"
    )
assert np.sort(mistakes.ravel())[-3:].tolist() == [55, 63, 66]
by_f1 = sorted(zip(good.f1, good.names, strict=True))
assert [(name, round(f1, 4)) for f1, name in (by_f1[0], by_f1[1], by_f1[-1])] == [
    ("stocks", 0.8033), ("science", 0.8038), ("education", 0.9361)
]  # fmt: skip
assert round(good.macro.f1, 4) == 0.8716 and round(good.accuracy, 4) == 0.8718
assert set(good.support) == {1000} and round(good.weighted.f1, 4) == 0.8716

# %% [markdown]
# Games are taken for science, stocks for finance and finance for stocks: neighbours, for people too. Best
# is education, F1 0.9361; worst are stocks and science. *Support* is how many examples a class has, here
# 1,000 each, so that macro and weighted average agree.
#
# ### Exercise 6 · Precision, recall and F1 from the matrix (8 minutes)
#
# Write `scores(counts, k)`: `counts` (K, K) holds how often label i (row) was predicted as j (column).
# Return precision, recall and F1 of class `k`, where
#
# - precision: of those *predicted* as k, the share that is k,
# - recall: of those *labelled* k, the share that was predicted as k,
# - F1 = 2 · precision · recall / (precision + recall).
#
# Where you would divide by 0, the score is 0.


# %%
def scores(counts, k):
    # BEGIN SOLUTION
    hit, labelled, predicted = (
        counts[k, k].item(),
        counts[k].sum().item(),
        counts[:, k].sum().item(),
    )
    precision = hit / predicted if predicted else 0.0
    recall = hit / labelled if labelled else 0.0
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0
    # END SOLUTION


# %%
check.scores(scores)

# %% [markdown]
# <details><summary>Hint 1</summary>A row has all examples of a label, <code>counts[k]</code>; a column all predictions of a class,
# <code>counts[:, k]</code>. Their sums are what you divide by.</details>
# <details><summary>Hint 2</summary><code>.item()</code> makes a number of a tensor of one. Divide only <code>if</code> the sum is not 0, else give 0.</details>

# %% [markdown]
# ### And our model
#
# The report on dev, its confusion matrix, and the headlines it is most wrong about.

# %%
on_dev = tuned.evaluate("dev")
on_dev

# %%
found = on_dev.evaluation
figures.confusion_matrix(
    metrics.confusion_matrix(found.labels, found.predictions, 10),
    data.labels,
    title="Ours on the 410 headlines of dev",
)

# %%
metrics.hardest(data.dev, found.logits, found.labels, n=6, names=data.labels)

# %% [markdown]
# **Always read the hardest ones.** Some are labelled wrongly, some could be two classes, and some show
# what the model goes by: a word that usually means another class. (A tenth of our headlines are made that
# way; `hard.txt` lists them.)
#
# ### A class that is rare
#
# Our ten classes are of one size. Yours may not be: of a thousand messages perhaps ten are complaints. A
# model that never says *complaint* is right for 990 of them, and nobody wants it. So we keep three of the ten
# classes, and of *science* a tenth of the headlines. Only the head learns, which is quick.
#
# The loss is a mean over examples, so a class counts as much as it has examples. `class_weights=True`
# multiplies the loss of each example by n / (K · n_c), for n examples in K classes, n_c of them in its own:
# then **the classes count alike**, however rare one is. (Nearly so: the sum over a batch is divided by the weights in that batch, and
# a batch may hold none of the rare ones. On the command line: `--class-weights`.)
#
# **Predict:** of the headlines in dev that are of the rare class, how many are found without weights? And
# what will it cost to find more of them?

# %%
names = ("science", "sports", "society")  # the first will be rare
numbers = [data.labels.index(name) for name in names]


def of_three(examples):
    return [Example(e.text, numbers.index(e.label)) for e in examples if e.label in numbers]


everyone = of_three(data.train)
skewed = Dataset(
    "three classes",
    names,
    train=Examples(
        [e for e in everyone if e.label] + [e for e in everyone if not e.label][:12]
    ),
    dev=Examples(of_three(data.dev)),
    test=Examples(),
)
by_weight = {}
for weighted in (False, True):
    with remarks():
        three = fine_tune(
            skewed, train_layers=0, head_learning_rate=5e-3, epochs=2, class_weights=weighted
        )
    seen = three.evaluate("dev")
    by_weight[weighted] = seen.report
    print("every class counts alike:" if weighted else "every example counts alike:")
    print(seen.report, "\n")

# %%
before, after = (dict(zip(names, by_weight[w].recall, strict=True)) for w in (False, True))
assert before["science"] < 0.1 < 0.3 < after["science"] or not EMBEDDED
assert after["society"] < before["society"] or not EMBEDDED
print(
    f"of the rare class: {before['science']:.0%} found, and with weights {after['science']:.0%}"
)

# %% [markdown]
# Without weights it finds next to nothing of the rare class: with so few examples it is cheaper to be wrong
# on them. With weights it finds a good part, and pays in two ways. Not all that it now calls *science* is
# science (precision), and it finds less of *society*.
#
# The accuracy rises here because dev has the three classes in equal numbers. **Your dev will be as uneven as your
# train**, and then weights may well lower the accuracy, while the model becomes of use. So decide by the
# recall and precision of the class that you care for, or by the macro F1. And twelve examples stay twelve:
# more of them help more than any weight.
#
# ## How much is trained
#
# Everything, or the head alone, or the last two layers? Fewer weights that learn cost less time and
# memory. `freeze` switches the others off.

# %%
for layers in (0, 2, None):
    count = optim.freeze(model, "all" if layers is None else "head", layers or 0)
    print(
        f"{'all' if layers is None else layers!s:>4} layers: {count.trainable:>11,} numbers learn"
    )
training.set_seed(0)
optim.freeze(model, layers=0)
model(**some[0]).loss.backward()
assert all(p.requires_grad for p in model.bert.pooler.parameters())
assert not any(p.requires_grad for p in model.bert.encoder.parameters())

# %% [markdown]
# ### Lower layers more slowly
#
# Between *frozen* and *all alike* there is a third way. The lower layers hold what is general; the upper
# ones, and the head, have more to change. With `layer_decay=0.8` each layer learns 0.8 times as fast as the
# one above it (Howard and Ruder 2018 call it *discriminative fine-tuning*).
#
# **Predict:** the last layer has the rate 2e-4 · 0.8. What has the first of the six, and what have the
# embeddings below it?

# %%
optim.freeze(model, "all")
by_layer = optim.parameter_groups(
    model, learning_rate=2e-4, layer_decay=0.8, head_learning_rate=1e-3
)
L = model.config.num_hidden_layers
parts = ["embeddings", *(f"layer {n}" for n in range(1, L + 1)), "head"]
rates = dict(zip(parts, sorted({group["lr"] for group in by_layer}), strict=True))
assert rates["head"] == 1e-3 and math.isclose(rates["layer 1"], 2e-4 * 0.8**L)
plots.bars(
    {part: 1e5 * rates[part] for part in parts[:-1]},
    form="{:.1f}",
    title="Highest learning rate, in hundred-thousandths; that of the head is 100",
    alt="Bars for the embeddings and the layers: from one layer to the next above it the rate is a quarter higher.",
)

# %% [markdown] items="001-01 001-21 001-24 002-98"
# ### Which vector the head reads
#
# A forum question wants to classify from the **last four layers**; its title joins them, an answer
# averages them, and says that `[CLS]` is cheaper and about as good. The repository's notes quote that the
# **pooler** is a poor summary of a text. In notebook 02 the encoder was frozen, and those things
# mattered. **Predict:** do they still, when the encoder may change until its `[CLS]` is what the head
# needs?


# %%
class OnMean(BertForSequenceClassification):
    """The same head on the masked mean of the last four layers, in place of the pooler."""

    def forward(self, input_ids, attention_mask, token_type_ids=None, *, labels=None):
        states = self.bert(
            input_ids, attention_mask, token_type_ids, output_hidden_states=True
        ).hidden_states
        vector = pooling.masked_mean(pooling.mean_last(states), attention_mask)
        logits = self.classifier(self.dropout(vector))
        loss = None if labels is None else self._loss(logits, labels)
        return transformers.modeling_outputs.SequenceClassifierOutput(loss, logits)


training.set_seed(0)
with remarks():
    on_mean = OnMean.from_pretrained(id2label=dict(enumerate(data.labels)))
with torch.no_grad():
    assert on_mean(**some[0]).logits.shape == (32, 10)
# and then: fine_tune(data, on_mean, tokenizer=tokenizer)

# %% [markdown]
# All three questions took many minutes to answer, so the answers are kept: `python -m benchmarks
# fine_tuning_parts`, three epochs and three seeds for each row, with the rates of above. Only the head alone
# has a higher rate, 5e-3, the better of two that were tried on dev.

# %%
compared, OURS_PARTS = measured("fine_tuning_parts")
rows = compared["arms"]
plots.Table(
    ["what learns, what the head reads", "dev accuracy", "seeds", "minus all", "95 % of that, over headlines", "numbers that may learn"],
    [
        [
            name,
            f"{row['accuracy']:.1%}",
            f"{100 * min(row['accuracy_by_seed']):.1f} to {100 * max(row['accuracy_by_seed']):.1f}",
            f"{100 * row['minus_everything']:+.1f}",
            "{:+.1f} to {:+.1f}".format(*(100 * end for end in row["minus_everything_interval"]))
            if name != "everything"
            else "",
            f"{row['learned_numbers']:,}",
        ]
        for name, row in rows.items()
    ],
)  # fmt: skip

# %%
print(f"{compared['settings']['seeds']} seeds, {compared['date']}, {compared['machine']}")
print("seconds a run, while other work ran beside it:")
for name in ("the head alone", "the last two layers and the head", "everything"):
    print(f"  {name:<33}{rows[name]['seconds_on_a_busy_machine']:>6.0f}")

# %% [markdown]
# - **The head alone** stays some fourteen points behind. It reads `[CLS]` through the pooler, and the
#   encoder, which was tuned for its mean, does not bend.
# - **The last two layers and the head** are a sixth of the numbers and took about half the time. No
#   difference to training everything is shown.
# - **Lower layers more slowly** is one and a half points ahead of one rate for all. The interval just has 0 in
#   it: a hint, and worth a trial on your data.
# - **The five vectors now lie within about two points.** Frozen, in notebook 02, it was over ten: the
#   encoder learns to put into any of them what the head needs.
# - `[CLS]` without the pooler leads the pooler by some two points, and that interval just leaves out 0.
#   With seven rows compared, take it as a hint. Joined or averaged, four layers or one: each is compared with
#   the pooler alone, so the table does not say which of them is better.
# - The pooler's 147,840 numbers are counted in every row where all of BERT learns. Only a head that reads
#   the pooler moves them.
# - Cost is hardly an argument: pooling itself took under 1 % in notebook 01. (Where `[CLS]` alone is
#   read, a library can spare itself most of the last layer; ours does.)

# %%
if OURS_PARTS:
    apart = {
        name: row["minus_everything_interval"]
        for name, row in rows.items()
        if name != "everything"
    }
    assert apart["the head alone"][0] >= -0.19 and apart["the head alone"][1] < -0.1
    unclear = [name for name, (low, high) in apart.items() if low < 0 < high]
    assert unclear == [
        "the last two layers and the head",
        "all layers, the lower the slower",
        "everything, head on masked mean",
        "everything, head on masked mean, last four averaged",
        "everything, head on masked mean, last four joined",
    ]
    assert 0 < apart["everything, head on [CLS]"][0] < 0.005
    whole = [row["accuracy"] for name, row in rows.items() if name.startswith("everything")]
    assert len(whole) == 5 and max(whole) - min(whole) < 0.022
    share = (
        rows["the last two layers and the head"]["learned_numbers"]
        / rows["everything"]["learned_numbers"]
    )
    assert 1 / 6.5 < share < 1 / 5.5
    frozen, _ = measured("poolings")
    apart = [
        frozen["poolings"][name]["accuracy"]
        for name in ("[CLS]", "pooler", "masked mean, last four joined")
    ]
    assert max(apart) - min(apart) > 0.1

# %% [markdown] items="002-51"
# ## How many examples?
#
# The log's TextCNN reaches 87.18 %, the repository's table says 91.22 % for the same model. The log's run
# read 26,612 training lines; the table's had 180,000. **More examples, other accuracy**: two accuracies
# can be compared when the data are the same. How much do ours depend on it? From 16 headlines to all
# 1,230, five seeds each, which also draw the examples: `python -m benchmarks learning_curve`. (The
# regressions' strength C is the best of eight on dev for each size; the rates of fine-tuning were chosen
# once, with all examples. So the regressions are a little favoured where examples are few. Few examples are
# gone through more often, 60 steps at least.)

# %%
curve, OURS_CURVE = measured("learning_curve")
by_size = {
    way: {int(size): values for size, values in found.items()}
    for way, found in curve["dev_accuracy"].items()
}
figures.learning_curve(
    by_size,
    title="Accuracy on dev: mean, lowest and highest of five seeds",
    x_title="training examples, about four times as many from point to point",
    baseline=("chance", 0.1),
)

# %%
plots.Table(
    ["examples", *by_size],
    [
        [f"{size:,}", *(f"{np.mean(by_size[way][size]):.1%} ± {np.std(by_size[way][size], ddof=1):.1%}" for way in by_size)]
        for size in by_size["fine-tuned"]
    ],
)  # fmt: skip

# %% [markdown]
# - **16 examples** are not even all ten classes. Training all of BERT on them gives less than a logistic
#   regression on its vectors as they are.
# - **64 and 256:** the two are within two points of each other.
# - **1,230:** fine-tuning leads by one or two points. Whether it would do so on 410 other headlines, compared text by text, was not
#   measured here, so this is a hint and no more.
# - Counted words are far below everywhere: they know nothing but these few headlines.
# - With all 1,230 the two regressions have no spread: every seed gives them the same examples.
#
# So the first thing to try is the regression of notebook 02, which takes seconds. What fine-tuning can do
# beyond it shows with more examples than we have, and with tasks for which the vectors were not made.

# %%
if OURS_CURVE:
    tuned_curve, frozen_curve, counted_curve = (
        {size: np.mean(values) for size, values in curve_.items()}
        for curve_ in by_size.values()
    )
    assert list(by_size)[1:] == ["logistic regression on BERT", "TF-IDF"]
    assert frozen_curve[16] - tuned_curve[16] > 0.05
    assert all(abs(frozen_curve[size] - tuned_curve[size]) < 0.02 for size in (64, 256))
    assert 0.01 <= tuned_curve[1230] - frozen_curve[1230] < 0.021
    assert all(counted_curve[size] < tuned_curve[size] - 0.1 for size in counted_curve)

# %% [markdown]
# ## Seeds, luck, and one look at the test
#
# One recipe with another seed is another result: other first weights of the head, another order,
# other dropout. **One run is one draw.** Five seeds of the recipe of the learning curve (all examples, three
# epochs, the last step; our own run above had two epochs) gave:

# %%
runs = curve["dev_accuracy"]["fine-tuned"]["1230"]
spread = metrics.over_seeds([{"accuracy": accuracy} for accuracy in runs])["accuracy"]
print(f"dev: {spread}")
width = 1.96 * math.sqrt(spread.mean * (1 - spread.mean) / 410)
assert 0.03 < width < 0.045
print(f"and whichever seed: with 410 other headlines, ± {width:.3f}")
three_more = rows["everything"]["accuracy_by_seed"]  # the same recipe in the other benchmark
print("three more runs of the same recipe:", *(f"{accuracy:.1%}" for accuracy in three_more))

# %% [markdown]
# Eight runs of one recipe, and they differ as much as the rows of the table above. Whoever takes the best
# of five seeds by dev has chosen on dev once more. And both kinds of chance are at work at the same time,
# as in notebook 02: the seed, and which headlines happen to be in dev. Sometimes a difference is larger
# than both. Compare the model of the mended run, which learned from 96 headlines, with the one that learned from 1,230, on the same
# dev. (The last thing it says is [McNemar's test](../docs/glossary.md#mcnemars-test): of the headlines that only one
# of the two has right, would a coin split so unevenly? The probability of that is *p*; near 0 means: not by
# chance.)

# %%
weak = training.evaluate(mended, some_batches(data.dev, 64))  # in the order of the examples
difference = metrics.paired_interval(
    weak.predictions == weak.labels,
    found.predictions == found.labels,
    names=("96 headlines", "1,230 headlines"),
)
assert torch.equal(weak.labels, found.labels) and (difference.shown or not EMBEDDED)
print(difference)
del mended

# %% [markdown] items="002-50"
# Everything is chosen. **Now the test, once**, in the log's form (there it is 0.42, 87.18 % and six
# seconds):

# %%
start = perf_counter()
on_test = tuned.evaluate("test")
seconds = perf_counter() - start
print(f"Test Loss: {on_test.scores['loss']:.2f}, Test Acc: {on_test.scores['accuracy']:.2%}")
print(f"Time usage: {seconds:.0f} seconds")
print("five seeds of the kept runs, of three epochs:")
for way, values in curve["test_accuracy_with_all"].items():
    print(f"  {way:<28} {np.mean(values):.1%} ({min(values):.1%} to {max(values):.1%})")

# %% [markdown] items="002-73"
# ## Save, load, predict
#
# One log ends with the question "Prediction?". Here is the answer. Save:

# %%
folder = tuned.save(workplace / "headlines")
for path in sorted(folder.iterdir()):
    print(f"{path.name:<24}{path.stat().st_size / 2**20:8.2f} MiB")

# %% [markdown]
# Load, in another program or next year, and ask:

# %%
again = FineTuned.load(folder)
for answer in again.predict(
    ["Keeper saves two penalties in cup final", "Rents rise again in the capital"]
):
    print(answer)
assert not again.model.training
both = [t.predict(data.dev.texts[:20]) for t in (tuned, again)]
assert [a["label"] for a in both[0]] == [a["label"] for a in both[1]]

# %% [markdown] items="002-38"
# On a terminal, where the repository has `predict.py` and `pretrain_predict.py`: one JSON object a line,
# so that the next program can read it.
#
# ```
# python -m course_lib train --data data/headlines_en --output my_model --epochs 2 --learning-rate 2e-4
# python -m course_lib evaluate --model my_model --data data/headlines_en --part dev
# python -m course_lib predict --model my_model --text "Rain expected over the weekend"
# ```
#
# The last one, called from here:

# %%
from course_lib.__main__ import main

_ = main(["predict", "--model", str(folder), "--text", "Rain expected over the weekend"])

# %% [markdown] items="002-74"
# ### What is in the file
#
# Old pages save with `torch.save(model.state_dict(), PATH)`, and load with
# `load_state_dict(torch.load(PATH))`. Two things are right about it: a **state dict** is the weights by
# name, without the code, so it outlives a change of the code, as a pickled model does not. And they warn
# of forgetting `model.eval()`. Two things have changed:
#
# - **safetensors** in place of `torch.load`: a pickle can run any program while it is loaded.
#   (`torch.load` refuses most of that since 2.6, with `weights_only=True`.)
# - **config.json** beside it: a state dict does not say how many layers, heads and classes the model had,
#   or what class 3 is called.
#
# **Predict:** what comes out of the same text twice, if `eval()` is forgotten?

# %%
text = tokenizer("Rents rise again in the capital", return_tensors="pt")
answers = {}
with torch.no_grad():
    for mode in ("train", "eval"):
        getattr(again.model, mode)()
        twice = [again.model(**text).logits.softmax(dim=-1).max().item() for _ in range(2)]
        answers[mode] = twice
        print(f"{mode + '()':<8}", *(f"{probability:.4f}" for probability in twice))
assert answers["train"][0] != answers["train"][1] and answers["eval"][0] == answers["eval"][1]

# %% [markdown]
# Dropout is still at work: every answer is another one. `from_pretrained`, here and in transformers, ends
# with `eval()`.

# %% [markdown]
# ## Going on after a cut
#
# A computer is switched off, a job has a time limit, somebody presses the stop button. With `output=` a
# run leaves whole checkpoints; `resume=True` goes on from the newest: weights, optimizer, schedule,
# random numbers, and the place in the data. We stop the toy's run in the middle of an epoch.


# %%
class Stop(training.Watcher):
    """Presses the stop button after a step."""

    def step(self, step):
        if step.step == 10:
            raise KeyboardInterrupt


def run(probe, **options):
    return training.fit(
        probe,
        Batches(toy, 16, shuffle=0),
        recipe=training.FINE_TUNING,
        learning_rate=0.05,
        precision="float32",
        **options,
    )


cut_off = new_probe()
try:
    run(cut_off, output=workplace / "cut", watchers=[Stop()])
except KeyboardInterrupt:
    print(
        "stopped after step 10 of 21;",
        sorted(p.name for p in (workplace / "cut").glob("checkpoints/*")),
    )
assert not torch.equal(cut_off.classifier.weight, by_fit.classifier.weight)

# %% [markdown]
# **Predict:** will the weights be *about* those of the run without a break, or the very same?

# %%
gone_on = new_probe()
report = run(gone_on, output=workplace / "cut", resume=True)
assert len(report.steps) == 21
for whole, resumed in zip(by_fit.parameters(), gone_on.parameters(), strict=True):
    assert torch.equal(whole, resumed)
print(report.chosen)
del tuned, again, model, on_mean  # memory for one more model

# %% [markdown]
# The very same. With another recipe, or other data, it refuses, and says what differs.

# %% [markdown] items="004-63 004-65"
# ## Pairs, and numbers
#
# The same head takes a **pair** of texts; both go in with [SEP] between. The notes' example is *MRPC*: do
# two sentences say the same? Our pairs have a number from 0 to 5 for how close they are in meaning: from
# 4 on, call it a paraphrase, up to 2 none.

# %%
pairs = load_dataset("../data/pairs_en")


def clear(examples):
    """Pairs with a score of 4 and more, and of 2 and less; those between are left out."""
    return Examples(
        [Example(e.text, int(e.label >= 4), e.pair) for e in examples if not 2 < e.label < 4]
    )


yes_no = pairs.replace(
    labels=("not paraphrase", "is paraphrase"),
    task="classification",
    **{part: clear(examples) for part, examples in pairs.splits.items()},
)
paraphrase = fine_tune(
    yes_no, epochs=3, learning_rate=2e-4, head_learning_rate=1e-3, progress=False
)
kept = paraphrase.history.kept.scores
majority = max(np.bincount(yes_no.dev.label_ids)) / len(yes_no.dev)
print(f"{len(yes_no.train)} pairs to learn from, {len(yes_no.dev)} in dev")
print(f"dev: {kept['accuracy']:.1%}; the more frequent answer: {majority:.1%}")
assert (len(yes_no.train), len(yes_no.dev)) == (304, 104)

# %% [markdown] items="004-66"
# The notes' three sentences, in two pairs. With the model they use,
# google-bert/bert-base-cased-finetuned-mrpc, the answers are printed as 10 % and 90 %, and 94 % and 6 %;
# with `COURSE_MODEL` set to it, notebook 02 reproduces that. Ours has seen 304 pairs for a few seconds,
# and on 104 pairs of dev an accuracy is sure to some nine points: expect the order of the two to be
# right, and little more.

# %%
company = "The company HuggingFace is based in New York City"
others = [
    "HuggingFace's headquarters are situated in Manhattan",
    "Apples are especially bad for your health",
]
two = tokenizer([company] * 2, others, padding=True, return_tensors="pt")
with torch.no_grad():
    shares = paraphrase.model(**two).logits.softmax(dim=1)  # over the classes: dim=1
for other, row in zip(others, shares.tolist(), strict=True):
    print(f"{other:<54}", *(f"{n}: {s:.0%}" for n, s in zip(yes_no.labels, row, strict=True)))
assert shares[0, 1] > shares[1, 1] or not EMBEDDED
del paraphrase

# %% [markdown]
# And the numbers themselves? With `num_labels=1` the same head has **one** output, and the loss is the
# mean squared error. Whole numbers as labels do no harm in this library. The library sees that the labels are
# numbers, and does it by itself: `fine_tune(pairs)`.

# %%
with remarks():
    training.set_seed(0)
    regression = BertForSequenceClassification.from_pretrained(num_labels=1).eval()
    answer = regression(**two, labels=torch.tensor([4, 0]))
assert answer.logits.shape == (2, 1)
assert torch.allclose(
    answer.loss, (answer.logits[:, 0] - torch.tensor([4.0, 0.0])).pow(2).mean()
)
print(
    f"scores {tuple(answer.logits.shape)}, loss {answer.loss:.2f}; task of the pairs: {pairs.task}"
)

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("07_fine_tuning")

# %% [markdown]
# ## Summary
#
# - Fine-tuning moves the encoder by a few per cent, and costs 16 bytes a weight before any outputs. Time
#   two batches before you start.
# - Groups by kind, not by name. AdamW decays beside the gradient. Tie the warm-up to the length of the
#   run.
# - ln K is chance for K classes. Loss and accuracy may choose different checkpoints: say which one you
#   chose by.
# - **Evaluate at the end, say which step was kept, and print what the most frequent class gives.**
# - Report every class, also those that are missing. Rows are truth. Read the hardest examples.
# - Compare with a baseline, over seeds, with an interval; *no difference* is a result. Choose on dev;
#   look at test once.
# - Save weights as safetensors with the configuration; `eval()` before you use them.
#
# **Read:** Devlin et al., *BERT* (2019), appendix A.3. Loshchilov and Hutter, *Decoupled Weight Decay
# Regularization* (2019). Howard and Ruder, *Universal Language Model Fine-tuning* (2018). Dodge et al.,
# *Fine-Tuning Pretrained Language Models: Weight Initializations, Data Orders, and Early Stopping*
# (2020). Mosbach et al., *On the Stability of Fine-tuning BERT* (2021).
#
# **Next:** [08_tokens_spans_choices](08_tokens_spans_choices.ipynb): the other tasks, with the same call.
# Your progress so far:

# %%
from course_lib.exercises import progress

progress()
