# %% [markdown]
# # From outputs to a prediction: heads
#
# **You will be able to:** make one vector of a text in seven ways; train a head in a second or
# two, without training BERT; compare heads fairly; find a model whose answer to a text depends
# on the other texts of its batch; name BERT's eight heads, with their labels and losses; read
# what loading a head says.
#
# **You need:** [01_bert_outputs](01_bert_outputs.ipynb).
#
# **Time:** 110 minutes with the exercises. (With a model of your own: it needs a pooler and at
# least 4 layers.)
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %%
import inspect
import json
import math
from pathlib import Path

import torch
import transformers
from torch.nn import functional as F

from course_lib import heads, plots, pooling, pretrained, probing, training
from course_lib.batching import Batches
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.exercises import heads as check
from course_lib.remarks import remarks

tokenizer = pretrained.load_tokenizer()
encoder = BertModel.from_pretrained()

# The numbers in the text belong to the embedded model; with another one, the checks on them are skipped.
EMBEDDED = pretrained.find_model().origin == "embedded"
H, L, V = (
    encoder.config.hidden_size,
    encoder.config.num_hidden_layers,
    encoder.config.vocab_size,
)
assert L >= 4, "this notebook looks at the last four layers: choose a model with at least 4"

# %% tags=["picture"]
plots.diagram(
    boxes={
        "bert": plots.Box(0, 1.5, "BERT", 2, 0.8),
        "tokens": plots.Box(1.3, 0.5, "last_hidden_state\n(B, T, H)", 1, 1.2),
        "pooler": plots.Box(1.3, 2.5, "pooler_output\n(B, H)", 1, 1.2),
        "mlm": plots.Box(3.2, -0.7, "masked word, next word:\nV scores a token", 3, 1.8),
        "tok": plots.Box(3.2, 0.1, "a label for each token:\nK scores a token", 3, 1.8),
        "qa": plots.Box(3.2, 0.9, "an answer in the text:\n2 scores a token", 3, 1.8),
        "nsp": plots.Box(3.2, 2.1, "next sentence:\n2 scores a text", 3, 1.8),
        "cls": plots.Box(3.2, 2.9, "a label for a text:\nK scores a text", 3, 1.8),
        "mc": plots.Box(3.2, 3.7, "one of several texts:\n1 score a text", 3, 1.8),
    },
    arrows=[
        ("bert", "tokens"),
        ("bert", "pooler"),
        ("tokens", "mlm"),
        ("tokens", "tok"),
        ("tokens", "qa"),
        ("pooler", "nsp"),
        ("pooler", "cls"),
        ("pooler", "mc"),
    ],
    alt="BERT gives last_hidden_state (B, T, H) and pooler_output (B, H). On the first stand "
    "the heads for masked and next words, with V scores a token, for a label for each token, "
    "with K, and for an answer in the text, with 2. On the second stand next sentence with 2 "
    "scores a text, a label for a text with K, and one of several texts with 1.",
)

# %% [markdown] items="001-04"
# ## A head is a few lines
#
# BERT gives vectors. A task wants an answer: one of ten classes, a name in a text, the next
# word. What stands between is called a **head**. Most are one linear layer.

# %%
headlines = ["Merchant ships, monsoons, malaria: a trading game reviewed", "Rents rise again"]
batch = tokenizer(headlines, padding=True, return_tensors="pt")
with torch.no_grad():
    outputs = encoder(**batch, output_hidden_states=True)
B, T = batch["input_ids"].shape

torch.manual_seed(0)
head = torch.nn.Linear(H, 10)  # ten classes

# %% [markdown]
# **Predict:** the shape of `head(last_hidden_state)`, and of `head(pooler_output)`.

# %%
per_token, per_text = head(outputs.last_hidden_state), head(outputs.pooler_output)
assert per_token.shape == (B, T, 10) and per_text.shape == (B, 10)
assert torch.allclose(per_token[1, 2], head(outputs.last_hidden_state[1, 2]), atol=1e-5)
per_token.shape, per_text.shape

# %% [markdown]
# `nn.Linear` works on the **last** dimension. On (B, T, H) it answers for every token, on (B, H)
# for every text. So a label for each token needs no pooling, and **a label for a text needs one
# vector a text**. The ten numbers of an answer are one *score* a class, also called **logits**.

# %% [markdown] items="003-46"
# An article says: BERT is only an encoder, train different *decoders* on it. What it means are
# heads. A **decoder** is something else: a model that may not look ahead, and so can
# write a text word by word. `is_decoder` makes one of BERT; it comes further down.
#
# ## Ways to one vector
#
# A toy makes them plain: two texts, four tokens, two numbers a token. The first text has three
# tokens and one of padding.

# %%
toy = torch.tensor(
    [
        [[4.0, 0.0], [1.0, 2.0], [1.0, 7.0], [8.0, -8.0]],
        [[2.0, 2.0], [0.0, 6.0], [3.0, 1.0], [3.0, 3.0]],
    ]
)
toy_mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
plots.heatmap(
    toy.transpose(1, 2).reshape(4, 4),
    rows=["text 1", "", "text 2", ""],
    columns=["[CLS]", "token 2", "token 3", "token 4"],
    numbers="{:.0f}",
    title="Token 4 of text 1 is padding",
    alt="The toy tensor: text 1 has the vectors (4, 0), (1, 2), (1, 7) and, as padding, (8, "
    "-8); text 2 has (2, 2), (0, 6), (3, 1) and (3, 3).",
)

# %% [markdown] items="002-97"
# ### `[CLS]` and the pooler
#
# The first token of each text; and the first token through one more layer and tanh, which
# pretraining has trained with the next-sentence task.

# %%
assert pooling.cls(toy).tolist() == [[4, 0], [2, 2]]
pooler = encoder.pooler.dense
by_hand = torch.tanh(pooling.cls(outputs.last_hidden_state) @ pooler.weight.T + pooler.bias)
assert torch.allclose(by_hand, outputs.pooler_output, atol=1e-5)
pooling.cls(toy)

# %% [markdown]
# ### The mean, with the mask and without
#
# **Predict** both means of text 1: over its three tokens, and over all four places.

# %%
masked, plain = pooling.masked_mean(toy, toy_mask), toy.mean(dim=1)
assert masked.tolist() == [[2, 3], [2, 3]]  # the two texts are alike
assert plain.tolist() == [[3.5, 0.25], [2, 3]]  # and now they are not
masked.tolist(), plain.tolist()

# %% [markdown]
# Without the mask, text 1 gets another vector because it stands beside a longer text.

# %% [markdown]
# ### The maximum
#
# For each of the H numbers, the largest that any real token has. Padding must not win:

# %%
assert toy.amax(dim=1)[0].tolist() == [8, 7]  # the 8 is padding's
assert pooling.masked_max(toy, toy_mask).tolist() == [[4, 7], [3, 6]]
pooling.masked_max(toy, toy_mask)

# %% [markdown]
# ### Exercise 1 · Maximum without padding (8 minutes)
#
# Write `masked_max(hidden, mask)`: `hidden` (B, T, H), `mask` (B, T) with 1 for real tokens and 0
# for padding. For each text and each of the H numbers, the largest value that a real token has;
# the result has shape (B, H).


# %%
def masked_max(hidden, mask):
    # BEGIN SOLUTION
    padding = mask.unsqueeze(-1) == 0  # (B, T, 1)
    return hidden.masked_fill(padding, float("-inf")).amax(dim=1)
    # END SOLUTION


# %%
check.masked_max(masked_max)

# %% [markdown]
# <details><summary>Hint 1</summary>Times 0 does not help: 0 is larger than any negative number. Padding needs a value that
# never wins.</details>
# <details><summary>Hint 2</summary><code>masked_fill(condition, float("-inf"))</code> writes minus infinity where the condition
# holds; then <code>.amax(dim=1)</code>, the maximum over the tokens.</details>

# %% [markdown]
# ### The last four layers, in two ways
#
# **Joined**, a text's vector has 4H numbers; **averaged**, H. Notebook 01 showed that a head on
# the first can do whatever a head on the second can. Whether it does better is another matter.

# %%
states, mask = outputs.hidden_states, batch["attention_mask"]
joined = pooling.masked_mean(pooling.concat_last(states), mask)
averaged = pooling.masked_mean(pooling.mean_last(states), mask)
by_hand = torch.stack([pooling.masked_mean(h, mask) for h in states[-4:]]).mean(dim=0)
assert joined.shape == (B, 4 * H) and averaged.shape == (B, H)
assert torch.allclose(averaged, by_hand, atol=1e-5)
assert torch.allclose(joined.view(B, 4, H).mean(dim=1), averaged, atol=1e-5)
joined.shape, averaged.shape

# %% [markdown]
# ### A learned mix of layers
#
# Why the last four, and why all alike? `LayerMix` is a weighted mean of all L + 1 hidden states,
# with one weight a layer, learned together with the head (Peters et al. 2018, for ELMo, a model
# older than BERT). It begins with all weights alike; here we also set them by hand.

# %%
mix = pooling.LayerMix(L + 1)
assert torch.allclose(mix(states), torch.stack(states).mean(dim=0), atol=1e-5)
with torch.no_grad():
    mix.scores[-1] = 20.0  # now the last layer alone counts
    assert torch.allclose(mix(states), states[-1], atol=1e-4)
    print(*(f"{weight:.3f}" for weight in mix.scores.softmax(dim=0)))

# %% [markdown] items="002-118"
# ### Multi-sample dropout
#
# This is no pooling but a way to train the layer on top. **Dropout** sets a random share of the
# numbers to 0 while training. A repository's page drops five times, sends each result through the
# same linear layer, and takes the mean of the five answers. (The idea is Inoue's, 2019, who takes
# the mean of the five losses.) The answer is less noisy; in evaluation mode nothing is dropped, and
# one pass is enough.

# %%
vectors = pooling.masked_mean(outputs.last_hidden_state, mask)
noise = {}
for samples in (1, 5):
    dropped = pooling.MultiSampleDropout(head, samples=samples, p=0.5)
    dropped.train()
    with torch.no_grad():
        answers = torch.stack([dropped(vectors) for _ in range(300)])
    noise[samples] = answers.std(dim=0).mean().item()
    assert torch.equal(dropped.eval()(vectors), head(vectors))
assert 2.0 < noise[1] / noise[5] < 2.5  # the square root of 5 is 2.24
print(f"noise of the scores: {noise[1]:.3f} with one dropout, {noise[5]:.3f} with five")

# %% [markdown]
# ## Read once, train often
#
# Which of them is best? We leave the encoder as it is (*frozen*) and train a head on each. Then a
# text's vectors never change, so the encoder reads every text **once**. We keep the vectors.
#
# The texts are the course's headlines, of ten classes, in three parts: **train** to learn from,
# **dev** to compare and choose with, and **test**, to be looked at once, at the end.

# %%
from time import perf_counter

from course_lib.datasets import load_dataset

data = load_dataset(Path("../data/headlines_en"))
start = perf_counter()
cached = {
    name: probing.layer_vectors(part.texts, encoder, tokenizer)
    for name, part in (("train", data.train), ("dev", data.dev))
}
reading = perf_counter() - start
labels = {"train": torch.tensor(data.train.label_ids), "dev": torch.tensor(data.dev.label_ids)}
assert cached["train"]["mean"].shape == (1230, L + 1, H)
print(f"{reading:.0f} seconds for {len(data.train) + len(data.dev):,} headlines")
{name: tuple(value.shape) for name, value in cached["train"].items()}

# %% [markdown]
# For each text there is one vector from every hidden state, in three ways, and the pooler's. The
# next cell trains a head on the masked means of the last layer. A head that is to show *what is in
# the vectors* is called a **probe**. First, `standardise` brings each of the H numbers to mean 0 and
# standard deviation 1 over the training texts; we shall see why. The **seed** is where the random
# numbers begin: it decides the probe's first weights and the order of the texts.


# %%
def train_probe(train_x, dev_x, seed, **options):
    training.set_seed(seed)
    probe = probing.Probe(train_x.shape[-1], len(data.labels), **options)
    batches = Batches({"features": train_x, "labels": labels["train"]}, 64, shuffle=seed)
    dev = [{"features": dev_x, "labels": labels["dev"]}]
    return probe, training.fit(probe, batches, dev, epochs=20, learning_rate=0.002)


start = perf_counter()
means = [cached[name]["mean"][:, -1] for name in ("train", "dev")]
probe, report = train_probe(*probing.standardise(*means), seed=0)
print(f"{perf_counter() - start:.1f} seconds for {len(report.epochs)} epochs")
probe

# %% [markdown]
# `fit` goes through the training texts `epochs` times. After each it looks at dev, on which it
# does not train. At the end the probe has the weights of the epoch that was best there.

# %%
plots.lines(
    {
        "train": [epoch.train_loss for epoch in report.epochs],
        "dev": [epoch.dev.loss for epoch in report.epochs],
    },
    x=[epoch.number for epoch in report.epochs],
    title="Loss of a probe on the masked mean",
    x_title="epoch",
    y_title="loss",
    alt="Two curves of the loss over twenty epochs. The loss on the training texts keeps "
    "falling; that on dev falls as well at first and then rises slowly, above it.",
)

# %%
kept_epoch = report.kept
print(f"kept: epoch {kept_epoch.number}, dev accuracy {kept_epoch.dev.accuracy:.1%}")
best = max(epoch.dev.accuracy for epoch in report.epochs)
assert kept_epoch.dev.accuracy == best and (0.74 < best < 0.83 or not EMBEDDED)
assert report.epochs[-1].dev.loss > kept_epoch.dev.loss + 0.05 or not EMBEDDED

# %% [markdown]
# Nearly eight of ten, where guessing gives one of ten. After the kept epoch the loss on dev rises
# again: the probe learns what is true of its training texts alone (*overfitting*).
#
# **Predict:** will `[CLS]` be better or worse? And the mean of the last four layers? Three seeds
# each, to see what chance does.

# %%
ways = {
    "[CLS]": lambda vectors: vectors["cls"][:, -1],
    "masked mean": lambda vectors: vectors["mean"][:, -1],
    "masked mean, last four averaged": lambda vectors: vectors["mean"][:, -4:].mean(dim=1),
}
live = {}
for name, way in ways.items():
    scaled = probing.standardise(way(cached["train"]), way(cached["dev"]))
    live[name] = [train_probe(*scaled, seed)[1].kept.dev.accuracy for seed in range(3)]
    print(f"{name:<33}", *(f"{accuracy:.1%}" for accuracy in live[name]))

# %%
if EMBEDDED:
    assert max(live["[CLS]"]) < min(live["masked mean"])
    assert max(live["masked mean"]) < min(live["masked mean, last four averaged"])

# %% [markdown]
# And without any BERT? **TF-IDF** counts the words of a text, here the pairs of words too, and gives
# rare ones more weight; logistic regression is a linear layer on the counts. Any comparison needs
# such a **baseline**. **Predict:** how far below?

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

words = make_pipeline(
    TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
    LogisticRegression(C=3, max_iter=2000),
)
words.fit(data.train.texts, data.train.label_ids)
tfidf = words.score(data.dev.texts, data.dev.label_ids)
assert 0.4 < tfidf < 0.55
print(f"TF-IDF with logistic regression: {tfidf:.1%}")

# %% [markdown]
# Far below. A headline has few words, and many that are not in the training texts at all. BERT has
# read other texts before, and its vectors know which words are alike.

# %% [markdown] items="002-98 001-21"
# ## Every pooling, ten seeds
#
# The careful comparison takes some minutes, so its results are kept with the course: thirteen
# heads, ten seeds each, the *learning rate* chosen for each on dev (`python -m benchmarks poolings`). That rate says how
# far a step moves the weights: too small, and training takes for ever; too large, and it jumps about. (In the plainest
# training it is the factor between a gradient and the step. With AdamW, which `fit` uses, it is about the step itself,
# for each weight, however long the gradient is.)
# Below, *from seed to seed* is the lowest to the highest of the ten.

# %%
kept = json.loads(Path("../benchmarks/results/poolings.json").read_text(encoding="utf-8"))
OURS = kept["model"] == "embedded"  # was it measured with the embedded model?
rows = {name: row for name, row in kept["poolings"].items() if "hidden state" not in name}
rows["TF-IDF, no BERT"] = {**kept["tfidf"], "accuracy_by_seed": [kept["tfidf"]["accuracy"]]}
rows = dict(sorted(rows.items(), key=lambda item: -item[1]["accuracy"]))


def span(low_and_high, form):
    return " to ".join(form.format(100 * end) for end in low_and_high)


plots.Table(
    ["one vector a text", "dev accuracy", "ten seeds", "minus masked mean", "95 % of it"],
    [
        [
            name,
            f"{row['accuracy']:.1%}",
            span([min(row["accuracy_by_seed"]), max(row["accuracy_by_seed"])], "{:.1f}")
            if "TF-IDF" not in name
            else "no seed",
            f"{100 * row['minus_masked_mean']:+.1f}",
            span(row["minus_masked_mean_interval"], "{:+.1f}"),
        ]
        for name, row in rows.items()
    ],
)

# %%
plots.points(
    {name: 100 * row["accuracy"] for name, row in rows.items()},
    {
        "with other headlines (95 %)": [
            [100 * end for end in row["interval"]] for row in rows.values()
        ],
        "from seed to seed": [
            [100 * min(row["accuracy_by_seed"]), 100 * max(row["accuracy_by_seed"])]
            for row in rows.values()
        ],
    },
    title="Accuracy on the 410 headlines of dev, in %",
    line=100 * rows["masked mean"]["accuracy"],
    alt="Accuracy of thirteen heads and of TF-IDF, with two error bars each. Those from seed "
    "to seed are two or three points long, those for other headlines about eight. The masked "
    "means of several layers lead with about 81, then come the other means with 79 to 80, "
    "maximum and joined [CLS] between 71 and 78, [CLS] and the pooler with 64 to 70, and "
    "TF-IDF with 46.",
)

# %% [markdown]
# How to read it:
#
# - **Black dot:** the mean of ten seeds. **Dashed line:** the masked mean, to compare with.
# - **From seed to seed** (thick): another start, another order. Two or three points.
# - **With other headlines** (thin): dev is only 410 headlines. Draw 410 of them again and again, the same one more than
#   once if it so happens, and see how far the accuracy moves (*bootstrap*, Efron 1979). In 95 % of the draws it stays
#   within the bar. **Seven to ten points**, far more than from the seeds. (The training headlines stay the same.)
# - All heads answer the *same* headlines, so compare them headline by headline (*paired*). That is the last column of the
#   table: an interval for the difference to the masked mean. Where it contains 0, these headlines **cannot tell which is
#   better**. It does not say that the two are equal: its ends say how large the difference may still be.

# %%
if OURS:
    width = {
        name: 100 * (row["interval"][1] - row["interval"][0]) for name, row in rows.items()
    }
    spread = {
        name: 100 * (max(row["accuracy_by_seed"]) - min(row["accuracy_by_seed"]))
        for name, row in rows.items()
    }
    assert all(6 < w < 10 for w in width.values()) and max(spread.values()) < 3
    assert all(spread[name] > 1.4 for name in rows if "TF-IDF" not in name)

    def apart(name):
        """Does the interval of the difference leave out 0?"""
        low, high = rows[name]["minus_masked_mean_interval"]
        return low > 0 or high < 0

    several = [f"masked mean, last four {way}" for way in ("joined", "averaged")]
    unclear = ["mean over padding too", "masked mean, learned mix of layers"]
    unclear += [f"masked max, last four {way}" for way in ("joined", "averaged")]
    unclear += ["[CLS], last four joined"]
    assert all(
        apart(name) and 0.02 < rows[name]["minus_masked_mean"] < 0.04 for name in several
    )
    assert not any(apart(name) for name in unclear)
    reach = [max(map(abs, rows[name]["minus_masked_mean_interval"])) for name in unclear]
    assert all(0.029 < points < 0.053 for points in reach)
    dropouts = rows["masked mean, multi-sample dropout"]["minus_masked_mean_interval"]
    assert -0.01 < dropouts[0] < 0 < dropouts[1] < 0.01
    assert all(apart(name) for name in ("[CLS]", "pooler", "masked max", "TF-IDF, no BERT"))
    assert min(row["accuracy"] for name, row in rows.items() if "TF-IDF" not in name) > 0.6

# %% [markdown]
# What has come out, for this model and these headlines:
#
# - Each of the thirteen is far better than counted words.
# - Of the last layer, the masked mean is better than `[CLS]`, the maximum and the pooler.
# - The last four layers, joined or averaged, give the mean some three points more. Their intervals just leave out 0, and
#   we looked at thirteen heads: take it as a hint.
# - **Open:** the learned mix, counting the padding, `[CLS]` of four layers joined, and the maximum of four layers, joined
#   or averaged. Their intervals contain 0 and reach three to five points to one side of it.
# - Multi-sample dropout changes little: its whole interval lies within one point of 0.

# %% [markdown]
# ### Which tokens, which layers
#
# The same numbers once more, crossed: which tokens become the vector, and from which layers?

# %%
tokens = ["[CLS]", "masked mean", "masked max"]
layers = ["", ", last four averaged", ", last four joined"]
crossed = torch.tensor(
    [[100 * rows[who + where]["accuracy"] for where in layers] for who in tokens]
)
plots.heatmap(
    crossed,
    rows=tokens,
    columns=["last", "four averaged", "four joined"],
    numbers="{:.1f}",
    title="Dev accuracy in %",
    alt="Heat map of dev accuracy, tokens by layers. The mean is best in every column, 78.6 "
    "to 81.8. The last four joined are best in every row. [CLS] gains most by it: 69.0 in the "
    "last layer, 69.6 averaged, 77.3 joined.",
)

# %% [markdown]
# Look at the row of `[CLS]`: averaging four layers does next to nothing for it, joining them a great
# deal. A head on the joined layers can do whatever one on the average can; here it does more. One
# reason is easily measured: how much do the numbers of `[CLS]` vary from text to text?

# %%
for layer in range(-4, 0):
    print(f"layer {layer}: {cached['train']['cls'][:, layer].std(dim=0).mean():.4f}")

# %%
if OURS:
    assert (crossed.argmax(dim=0) == 1).all() and (crossed.argmax(dim=1) == 2).all()
    assert crossed[0, 1] - crossed[0, 0] < 1 and crossed[0, 2] - crossed[0, 0] > 7
if EMBEDDED:
    varies = cached["train"]["cls"].std(dim=0).mean(dim=-1)
    assert varies[-1] > 15 * varies[-2] > 40 * varies[-3]

# %% [markdown]
# In an average the last layer drowns the others. Joined, and standardised, each has its say.

# %% [markdown]
# ### Padding changes answers
#
# The mean over padding did not do badly: in that run every text was padded to 32 tokens, in training
# and on dev alike. The harm comes when there is more or less padding than in training. We take our probe
# and 64 headlines, pad them more and more, and give it the masked mean and the plain one.
#
# **Predict:** for how many of the 64 does the *class* change, with 40 tokens more?

# %%
some = data.dev.texts[:64]
longest = tokenizer(some, padding=True, return_tensors="pt")["input_ids"].shape[1]
widths = [longest + more for more in (0, 10, 20, 40)]
before = probe(probing.standardise(*means)[1][:64]).logits.argmax(dim=-1)
changed = {"masked mean": [], "plain mean": []}
for width in widths:
    padded = tokenizer(some, padding="max_length", max_length=width, return_tensors="pt")
    with torch.no_grad():
        hidden = encoder(**padded).last_hidden_state
        both = pooling.masked_mean(hidden, padded["attention_mask"]), hidden.mean(dim=1)
        for name, vectors in zip(changed, both, strict=True):
            after = probe(probing.standardise(means[0], vectors)[1]).logits.argmax(dim=-1)
            changed[name].append((after != before).float().mean().item())
plots.lines(
    changed,
    x=widths,
    title="Share of 64 headlines that get another class",
    x_title="tokens a text, with padding",
    y_title="share",
    alt="Two curves over the number of tokens with padding. For the masked mean no class "
    "changes. For the plain mean more and more do.",
)

# %%
other = kept["other_padding"]
assert max(changed["masked mean"]) == 0 or not EMBEDDED
if EMBEDDED:
    assert changed["plain mean"][-1] > max(0.08, changed["plain mean"][0])
if OURS:
    assert other["padded mean"]["another_class"] > 0.05 and other["mean"]["another_class"] == 0
print([f"{share:.0%}" for share in changed["plain mean"]], "of the 64")
print(
    f"kept run: padded to {other['trained_with_tokens']}, then to {other['used_with_tokens']}:"
)
for name, known_as in (("padded mean", "plain mean"), ("mean", "masked mean")):
    print(f"   {known_as:<12} {other[name]['another_class']:.1%} of the answers change")

# %% [markdown]
# Our probe was trained on masked means, so plain ones are strange to it. In the kept run (the last
# lines) each head gets the *kind* of mean that it was trained on, and only the number of padding tokens
# has changed. Still 14 % of the plain mean's answers change. A loader that
# pads to the longest text of each batch changes the padding all the time.

# %% [markdown]
# ### Which layer knows it?
#
# Now one probe for each hidden state, on the mean and on `[CLS]`.
#
# **Predict:** how good is `[CLS]` in hidden state 0, the embeddings?

# %%
LAYERS = sum(name.startswith("[CLS], hidden state") for name in kept["poolings"])
by_layer = {
    token: [kept["poolings"][f"{token}, hidden state {i}"]["accuracy"] for i in range(LAYERS)]
    + [kept["poolings"][token]["accuracy"]]
    for token in ("masked mean", "[CLS]")
}
plots.lines(
    {name: [100 * a for a in values] for name, values in by_layer.items()},
    title="Dev accuracy of a probe on each hidden state",
    x_title="hidden state (0 = embeddings)",
    y_title="%",
    alt="Two curves over the hidden states. The masked mean begins at 75 with the embeddings "
    "and stays between 76 and 80 afterwards. [CLS] begins at 10, jumps to 61 after one layer "
    "and 69 after two, and stays there.",
)

# %% [markdown]
# At 0, `[CLS]` is **the same vector for every text**: the same word at the same place. It cannot tell
# one from another, and gets one of ten. From then on attention brings the text into it; what comes
# after two layers adds little.
#
# And the mean of the **embeddings**, of words without any context, is only four points below that of
# the last layer. For the topic of a headline, knowing which words are alike is most of it.

# %%
if OURS:
    at = by_layer["[CLS]"]
    assert at[0] == 0.1 and 0.55 < at[1] < 0.65 and max(at) - at[2] < 0.03
    means_at = by_layer["masked mean"]
    assert 0.035 < means_at[-1] - means_at[0] < 0.045

# %% [markdown]
# ### A probe that fails proves nothing
#
# Why did we standardise? In hidden state 3 the `[CLS]` vectors of two headlines differ only in the
# fourth decimal. **Predict:** a probe on them as they are, with the same training: as good, a little
# worse, or no better than guessing? And what will help: larger numbers, or to take away what all
# the vectors share?

# %%
raw = [cached[name]["cls"][:, 3] for name in ("train", "dev")]
shared, scale = raw[0].mean(dim=0), raw[0].std(dim=0).mean()
print(f"size of what they share: {shared.abs().mean():.4f}, standard deviation: {scale:.4f}")
versions = {
    "as they are": raw,
    "made larger": [part / scale for part in raw],
    "minus the mean": [part - shared for part in raw],
    "standardised": probing.standardise(*raw),
}
accuracies = {}
for name, version in versions.items():
    accuracies[name] = train_probe(*version, seed=0)[1].kept.dev.accuracy
    print(f"{name:<15} {accuracies[name]:.1%}")

# %%
assert torch.equal(cached["dev"]["cls"][0, 0], cached["dev"]["cls"][1, 0])  # the embeddings
if EMBEDDED:
    assert scale < 0.001 and shared.abs().mean() > 100 * scale
    assert max(accuracies["as they are"], accuracies["made larger"]) < 0.35
    assert 0.5 < accuracies["minus the mean"] < accuracies["standardised"] - 0.05

# %% [markdown]
# It was all in the vectors. But what they **share** is a hundred times larger than what tells them
# apart, and a step of training moves the scores of all texts alike. Larger numbers help little: the shared
# part grows with the rest. Take the shared part away, and the probe learns; bring every number to the same spread as
# well, and it learns more in the same time.
#
# So a probe that succeeds shows that something **is** there; one that fails shows nothing, until
# mean, scale, learning rate and patience (how long one waits for it to get better) have been ruled out.

# %% [markdown] items="001-06"
# ### What the paper found
#
# *What is the original BERT way?*, a forum question asked in notebook 01. Here are the numbers to the
# answer (Devlin et al. 2019, section 5.3, table 7): named entities in news (CoNLL-2003), on the frozen
# features of bert-base. The head was two layers of a bidirectional LSTM, a recurrent network, and a
# classifier for each token. *F1* is the harmonic mean of two shares: of the names that were found, those that
# are right; and of the true names, those that were found. It is low if either of them is low.

# %%
paper = {
    "embeddings": 91.0,
    "last layer": 94.9,
    "weighted sum of all 12": 95.5,
    "second-to-last layer": 95.6,
    "weighted sum of the last four": 95.9,
    "last four joined": 96.1,
    "all of bert-base fine-tuned": 96.4,
}
plots.Table(["features, frozen but for the last row", "F1 on dev"], list(paper.items()))

# %% [markdown]
# The last four joined were best of the frozen ways, 0.3 below fine-tuning. The last layer alone was
# worse than everything but the embeddings. Another model, another task, another head: there too,
# several layers beat the last one. (Each number is a mean of five runs; the paper gives no spread.)

# %%
assert round(paper["all of bert-base fine-tuned"] - paper["last four joined"], 1) == 0.3
assert sorted(paper, key=paper.get)[:2] == ["embeddings", "last layer"]

# %% [markdown]
# ### What this comparison can say, and what not
#
# - **Not that `[CLS]` is bad.** The embedded model was tuned so that the *mean* of its last layer is useful. `[CLS]` and
#   the pooler had no part in that. A fair judge is a model that was not tuned so.
#   `COURSE_MODEL=bert-base-uncased python -m benchmarks poolings` measures one, and this notebook then shows its
#   numbers; it needs a network once. Offline there is no second encoder. The probes on hidden states, which the tuning
#   did not aim at, are the nearest thing to it.
# - **Nothing about differences of a point.** See the intervals.
# - **Nothing about cost**, and there is little to say: notebook 01 measured that pooling takes less than a hundredth of
#   the encoder's time.
# - Dev chose the epoch and the learning rate of every head, so all dev numbers are a little too high. The test part
#   took no part in any choice. It was asked for the best head on dev and for the baseline alone:

# %%
final = kept["test"]
print(
    f"test: {final['pooling']}: {final['accuracy']:.1%} ({span(final['interval'], '{:.1f}')})"
)
print(f"test: TF-IDF: {final['tfidf']:.1%} ({span(final['tfidf_interval'], '{:.1f}')})")
assert final["interval"][0] > final["tfidf_interval"][1] or not OURS
if OURS:
    best_on_dev = rows[final["pooling"]]["accuracy"]
    assert 0.04 < best_on_dev - final["accuracy"] < 0.06
    assert 0.04 < rows["TF-IDF, no BERT"]["accuracy"] - final["tfidf"] < 0.06

# %% [markdown]
# Both are five points lower than on dev. Choosing on dev is one reason. But for TF-IDF one number alone
# was chosen there, and it falls as far. Chance is another: these are 410 other headlines, and two such
# sets may well differ by five points. The distance between the two has stayed.


# %% [markdown] items="002-117"
# ## A text must not feel its neighbours
#
# A repository's page has a BERT model that weighs all layers: *layer attention*. Its lines, with
# today's names: for each layer a score, the softmax of the scores, the weighted sum of the layers'
# `[CLS]` vectors, a linear layer. (Its five dropouts are left out, and our encoder stays frozen.)


# %%
class LayerAttention(torch.nn.Module):
    def __init__(self, layers, size, classes):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.rand(layers, 1))
        self.fc = torch.nn.Linear(size, classes)

    def attention(self, features):
        layers = features.transpose(0, 1)  # (L + 1, B, H), as on the page
        return (layers * self.weights.view(-1, 1, 1)).sum(dim=(1, 2)).softmax(dim=0)  # (L + 1,)

    def forward(self, features, labels=None):
        layers = features.transpose(0, 1)
        scores = self.fc((layers * self.attention(features).view(-1, 1, 1)).sum(dim=0))
        return heads.HeadOutput(
            None if labels is None else F.cross_entropy(scores, labels), scores
        )


# %% [markdown]
# **Predict:** we train it like the others, in batches of 64, from four seeds, and look at dev in one
# batch of 410. Then the same headlines one at a time. What happens to the accuracy?

# %%
train_batches = {"features": cached["train"]["cls"], "labels": labels["train"]}
dev_x, dev_y = cached["dev"]["cls"], labels["dev"]
together, alone, changed = [], [], []
for seed in range(4):
    training.set_seed(seed)
    leaking = LayerAttention(L + 1, H, len(data.labels))
    training.fit(
        leaking,
        Batches(train_batches, 64, shuffle=seed),
        [{"features": dev_x, "labels": dev_y}],
        epochs=20,
        learning_rate=0.003,
    )
    with torch.no_grad():
        one_batch = leaking(dev_x).logits.argmax(dim=-1)
        one_by_one = torch.cat([leaking(row).logits for row in dev_x.split(1)]).argmax(dim=-1)
    together.append((one_batch == dev_y).float().mean().item())
    alone.append((one_by_one == dev_y).float().mean().item())
    changed.append((one_batch != one_by_one).float().mean().item())
plots.Table(
    ["seed", "in one batch", "one at a time", "answers changed"],
    [
        [seed, f"{a:.1%}", f"{b:.1%}", f"{c:.1%}"]
        for seed, (a, b, c) in enumerate(zip(together, alone, changed, strict=True))
    ],
)

# %% [markdown]
# The same texts, the same weights, other answers. Three of the four have hardly learned the task. The
# last is the worst kind: it looks as good as our probe on `[CLS]`, and loses about a quarter of that
# when the texts come one by one.

# %%
if EMBEDDED:
    assert together[3] > 0.65 and 0.15 < 1 - alone[3] / together[3] < 0.35 and changed[3] > 0.2
    assert max(together[:3]) < 0.4

# %% [markdown]
# Why? `sum(dim=(1, 2))` sums over the numbers of a vector **and over the texts of the batch**. So
# the scores of the layers depend on which other texts are there, and grow with their number, until
# the softmax gives all the weight to one layer. Here are the weights for batches of several sizes,
# all with the same first text.

# %%
sizes = [1, 2, 8, 32, len(dev_x)]
with torch.no_grad():
    attention = torch.stack([leaking.attention(dev_x[:size]) for size in sizes])
plots.heatmap(
    attention,
    rows=[f"{size} texts" if size > 1 else "alone" for size in sizes],
    columns=[str(layer) for layer in range(L + 1)],
    column_title="hidden state",
    limits=(0, 1),
    numbers="{:.2f}",
    title="Weights of the layers, by the size of the batch",
    alt="Heat map of layer weights for batches of 1, 2, 8, 32 and 410 texts. Alone, the "
    "weights are spread over several layers; in the large batch one layer has all the weight.",
)

# %%
assert torch.allclose(attention.sum(dim=1), torch.ones(len(sizes)), atol=1e-4)
assert not EMBEDDED or (attention[-1].max() > 0.95 and attention[0].max() < 0.9)

# %% [markdown]
# ### Exercise 2 · Does a neighbour change the answer? (10 minutes)
#
# Write `batch_change(model, x)`. `model` is a function that takes a batch (B, ...) and gives one
# row of K scores a text, (B, K). Give it the whole batch, then each row **alone, as a batch of
# one**, and return the largest absolute difference between the two answers of a row, over all
# rows: one number. 0 means that no text feels its neighbours. Some models drop the dimension
# of a batch of one and return (K,): the function works for them too.


# %%
def batch_change(model, x):
    # BEGIN SOLUTION
    together = model(x)
    changes = []
    for i in range(len(x)):
        alone = model(x[i : i + 1])  # the slice keeps the dimension of the batch
        changes.append((together[i] - alone).abs().max().item())
    return max(changes)
    # END SOLUTION


# %%
check.batch_change(batch_change)

# %% [markdown]
# <details><summary>Hint 1</summary><code>x[i]</code> is a row without its batch. <code>x[i : i + 1]</code> is a batch of one.</details>
# <details><summary>Hint 2</summary>Call <code>together = model(x)</code> once. In a loop over the rows,
# <code>(together[i] - model(x[i : i + 1])).abs().max()</code> fits (1, K) and (K,). Keep the largest.</details>

# %% [markdown]
# Such a test belongs beside every model: each text alone, and in a batch. No accuracy shows the
# fault, because training and evaluation both use large batches.
#
# **The mend** is `LayerMix`: the weights belong to the layers and do not see the texts.

# %%
training.set_seed(0)
mended = probing.Probe(H, len(data.labels), layers=L + 1)
training.fit(
    mended,
    Batches(train_batches, 64, shuffle=0),
    [{"features": dev_x, "labels": dev_y}],
    epochs=20,
    learning_rate=0.003,
)
with torch.no_grad():
    one_batch = mended(dev_x).logits
    one_by_one = torch.cat([mended(row).logits for row in dev_x.split(1)])
assert torch.allclose(one_batch, one_by_one, atol=1e-4)
accuracy = (one_batch.argmax(dim=-1) == dev_y).float().mean()
assert 0.6 < accuracy < 0.8 or not EMBEDDED
print(f"{accuracy:.1%}, in one batch and one at a time")

# %% [markdown]
# ### Exercise 3 · A learned mix of layers (8 minutes)
#
# Write `mix_layers(hidden_states, scores)`: `hidden_states` is the tuple of L + 1 tensors
# (B, T, H), `scores` (L + 1,) has one number a layer, which training would learn. The softmax of
# the scores gives each layer its weight, the same for all texts:
#
# $$\sum_{l=0}^{L} w_l \, h_l \qquad w = \text{softmax}(\text{scores})$$
#
# The result has shape (B, T, H).


# %%
def mix_layers(hidden_states, scores):
    # BEGIN SOLUTION
    weights = scores.softmax(dim=0)  # (L + 1,)
    layers = torch.stack(hidden_states)  # (L + 1, B, T, H)
    return (weights[:, None, None, None] * layers).sum(dim=0)
    # END SOLUTION


# %%
check.mix_layers(mix_layers)

# %% [markdown]
# <details><summary>Hint 1</summary><code>torch.stack(hidden_states)</code> has shape (L + 1, B, T, H): the layers are dim=0, and
# it is over them that you sum.</details>
# <details><summary>Hint 2</summary>Give the weights the same number of dimensions,
# <code>weights[:, None, None, None]</code>, so that each multiplies its own layer.</details>


# %% [markdown] items="004-88 004-01 004-26"
# ## The eight heads
#
# Pretraining and fine-tuning put the same few parts together in eight ways. Our library gives
# these heads the names that transformers gives them. (We follow notes on the source of
# transformers 4.4.2, whose author says that most is copied, and that not all of it was understood.
# Everything here runs on 5.23.)

# %%
plots.Table(
    ["head", "reads", "layer on top", "labels", "loss"],
    [
        ["BertForPreTraining", "tokens, pooler", "word head, H → 2", "(B, T), (B,)", "the sum of two"],
        ["BertForMaskedLM", "tokens", "word head", "(B, T): the word, or -100", "cross entropy"],
        ["BertLMHeadModel", "tokens", "word head", "(B, T): the ids; the head shifts them", "cross entropy"],
        ["BertForNextSentencePrediction", "pooler", "H → 2", "(B,): 0 = continues", "cross entropy"],
        ["BertForSequenceClassification", "pooler", "dropout, H → K", "(B,) or (B, K)", "by problem_type"],
        ["BertForMultipleChoice", "pooler of each text", "dropout, H → 1", "(B,): which text", "cross entropy"],
        ["BertForTokenClassification", "tokens", "dropout, H → K", "(B, T): a class, or -100", "cross entropy"],
        ["BertForQuestionAnswering", "tokens", "H → 2", "(B,) twice: start, end", "the mean of two"],
    ],
)  # fmt: skip

# %% [markdown]
# All read the **last layer**, and nearly all are classification, as the notes say. What is
# classified differs: a text, each token, each of several texts. Four of them need the pooler;
# the others build BERT with `add_pooling_layer=False`, and theirs has none.

# %%
NAMES = [
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertLMHeadModel",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForMultipleChoice",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
]
small = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 50}
for library, config in ((heads, BertConfig), (transformers, transformers.BertConfig)):
    with remarks(), torch.device("meta"):  # remarks() collects warnings; here nobody reads them
        models = {name: getattr(library, name)(config(**small)) for name in NAMES}
    pooled = [name for name, model in models.items() if model.bert.pooler is not None]
    assert pooled == [NAMES[0], *NAMES[3:6]]
pooled

# %% [markdown] items="004-25 004-27 004-28"
# ### Pretraining: two tasks at once
#
# BERT was pretrained on two tasks. **Masked words**: a few words are hidden, mostly behind `[MASK]`,
# and the vector at that place must tell which. **Next sentence**: does the second text continue the
# first? The vector of `[CLS]` must tell, by way of the pooler. `BertForPreTraining` has both
# heads, side by side in a part called `cls`.

# %%
torch.manual_seed(0)
with remarks() as said:
    pretraining = heads.BertForPreTraining.from_pretrained()
print(*said)
pretraining.cls

# %% [markdown]
# Read such a warning. Our model's file has the encoder alone, so **these heads are random**, and so
# are all that follow. (With `COURSE_MODEL=bert-base-uncased` these two come trained, and nothing is
# said.) From now on we load like this, without the warning:


# %%
def load(name, **options):
    """A head on the default model; what is new in it has the same random numbers each time."""
    torch.manual_seed(0)
    with remarks():
        return getattr(heads, name).from_pretrained(**options)


# %% [markdown]
# transformers has a class `BertOnlyNSPHead`, which is the layer H → 2 by itself. It is not used here,
# only in `BertForNextSentencePrediction`.

# %% [markdown] items="004-32 004-36"
# ### The labels of pretraining
#
# The labels of the words have the shape of the ids: the right id where a word is hidden, and
# **-100** everywhere else. *Cross entropy* is the loss of nearly all heads: minus the logarithm of the probability that
# the softmax gives to the right class, averaged over the labels. It leaves -100 out, because -100 is its `ignore_index`.
# transformers' documentation calls these tokens "ignored (masked)": there *masked* means left
# out, and not behind `[MASK]`.
#
# The label of a pair is **0 when the second text continues the first, 1 when it is a random one.**
# (An article's handwritten model has it the other way round.)

# %%
pairs = tokenizer(
    ["The cat sat on the mat.", "He paid the bill."],
    ["It was [MASK] there.", "The river is [MASK] today."],
    padding=True,
    return_tensors="pt",
)
hidden_words = torch.tensor(tokenizer.convert_tokens_to_ids(["warm", "wide"]))
word_labels = torch.full_like(pairs["input_ids"], -100)
word_labels[pairs["input_ids"] == tokenizer.mask_token_id] = hidden_words
pair_labels = torch.tensor([0, 1])
word_labels

# %% [markdown]
# **Predict:** a head that knows nothing gives all 30,522 words about the same chance. What is its
# loss? And that of the other head, with two classes?

# %%
with torch.no_grad():
    answer = pretraining(**pairs, labels=word_labels, next_sentence_label=pair_labels)
words_loss = F.cross_entropy(answer.prediction_logits.flatten(0, 1), word_labels.flatten())
pairs_loss = F.cross_entropy(answer.seq_relationship_logits, pair_labels)
assert torch.allclose(answer.loss, words_loss + pairs_loss, atol=1e-5)
print(f"words {words_loss:.2f}, pairs {pairs_loss:.2f}, together {answer.loss:.2f}")
print(f"log of the number of classes: {math.log(V):.2f} and {math.log(2):.2f}")

# %%
if EMBEDDED:
    assert 8 < words_loss < 17 and 0.6 < pairs_loss < 0.8
    assert round(math.log(V), 1) == 10.3 and V == 30522

# %% [markdown] items="004-42"
# A blind guess among K classes costs log K, here 10.3 and 0.69. (A random head's scores are not all
# equal, so two words may well cost more or less.) The loss of pretraining is the plain **sum**; it
# is there only if you give both labels. The answer has names again:

# %%
with torch.no_grad():
    only_words = pretraining(**pairs, labels=word_labels)
assert only_words.loss is None
plots.Table(
    ["field", "shape"],
    [
        ["loss", tuple(answer.loss.shape)],
        ["prediction_logits", tuple(answer.prediction_logits.shape)],
        ["seq_relationship_logits", tuple(answer.seq_relationship_logits.shape)],
        ["hidden_states, attentions", "None, as they were not asked for"],
        ["word_loss, sentence_loss", f"{answer.word_loss:.1f} and {answer.sentence_loss:.2f}"],
    ],
)

# %% [markdown]
# The last row is ours: the two terms of the sum, each for itself. The other names are those of
# transformers.

# %%
theirs = transformers.models.bert.modeling_bert.BertForPreTrainingOutput
ours = list(answer.__dataclass_fields__)
assert ours == [*theirs.__dataclass_fields__, "word_loss", "sentence_loss"]
assert torch.allclose(answer.word_loss + answer.sentence_loss, answer.loss)
assert answer.prediction_logits.shape == (*pairs["input_ids"].shape, V)
assert answer.seq_relationship_logits.shape == (2, 2) and answer.hidden_states is None

# %% [markdown] items="004-29 004-30 004-31 003-26"
# ### From a vector to a word
#
# The word head has two halves. The **transform** is a linear layer H to H, an activation (GELU, a
# smooth ReLU), and a LayerNorm; notebook 04 builds both. The **decoder** is a linear layer H to V: one
# score for each word of the vocabulary. (It shares the name, not more, with the decoder that writes.)

# %% tags=["picture"]
plots.diagram(
    boxes={
        "ids": plots.Box(0, 0, "ids (B, T)", 0),
        "bert": plots.Box(1.2, 0, "embeddings,\nlayers 1 to L", 2, 1.1),
        "dense": plots.Box(2.45, 0, "linear H → H,\nGELU, LayerNorm", 3, 1.2),
        "decoder": plots.Box(3.7, 0, "decoder H → V\n+ bias", 3, 1.1),
        "scores": plots.Box(4.9, 0, "scores\n(B, T, V)", 1, 1.0),
        "table": plots.Box(2.45, 1.15, "word table (V, H)", 5, 1.2),
    },
    arrows=[
        ("ids", "bert"),
        ("bert", "dense"),
        ("dense", "decoder"),
        ("decoder", "scores"),
        ("table", "bert", "puts words in"),
        ("table", "decoder", "reads words out"),
    ],
    alt="Ids go through the embeddings and the layers, then through the word head: a linear "
    "layer H to H with GELU and LayerNorm, and the decoder H to V, which gives scores (B, T, "
    "V). The word table (V, H) is used twice, at the embeddings and as the weight of the "
    "decoder.",
)

# %%
with torch.no_grad():
    tokens = pretraining.bert(**pairs).last_hidden_state
    parts = pretraining.cls.predictions
    x = F.gelu(tokens @ parts.transform.dense.weight.T + parts.transform.dense.bias)
    x = F.layer_norm(
        x, (H,), parts.transform.LayerNorm.weight, parts.transform.LayerNorm.bias, 1e-12
    )
    scores = x @ pretraining.bert.embeddings.word_embeddings.weight.T + parts.bias
assert torch.allclose(scores, answer.prediction_logits, atol=1e-3)
probabilities = scores.softmax(dim=-1)
assert torch.allclose(probabilities.sum(dim=-1), torch.ones(probabilities.shape[:2]), atol=1e-4)
print(f"sum of one token's scores {scores[0, 0].sum():.0f}, of its probabilities", end=" ")
print(f"{probabilities[0, 0].sum():.0f}")

# %% [markdown]
# Three corrections to old pages:
#
# - The (B, T, V) output is called "probability values". It holds **scores**; a softmax makes probabilities of them.
# - In the notes the decoder has `bias=False` and gets a bias of its own afterwards, so that a change of the
#   vocabulary's size reaches it. Today it has its bias from the start, tied to `predictions.bias`.
# - An article's masked-word head is Linear, **ReLU** (max(0, x)), LayerNorm, Linear, with an output matrix of its own. BERT has GELU
#   (`config.hidden_act`), and no matrix of its own, as the next cells show.

# %%
decoder = transformers.BertForMaskedLM(transformers.BertConfig(**small)).cls.predictions.decoder
assert decoder.bias is not None and parts.decoder.bias is parts.bias

# %% [markdown] items="004-03 004-05"
# ### One matrix, two uses
#
# The decoder's weight **is** the word table: one parameter under two names (*tied*). The vector
# that puts a word in also reads it out. Its size in bert-base is (30522, 768).

# %%
table = pretraining.bert.embeddings.word_embeddings.weight
assert parts.decoder.weight is table and pretraining.tied
with torch.device("meta"):
    tied = transformers.BertForPreTraining(transformers.BertConfig())
    untied = transformers.BertForPreTraining(transformers.BertConfig(tie_word_embeddings=False))
sizes = [sum(p.numel() for p in model.parameters()) for model in (tied, untied)]
shared = tied.bert.embeddings.word_embeddings.weight
assert shared.shape == (30522, 768) and shared.numel() == 23_440_896
assert sizes[1] - sizes[0] == 23_440_896 + 30_522  # the bias is tied as well
print(f"tied {sizes[0]:,}   not tied {sizes[1]:,}   the matrix {shared.numel():,}")

# %% [markdown]
# PyTorch counts a parameter once, however many names it has. And there is **one gradient**: what
# the input end and the output end each want is added up.

# %%
one = heads.BertForMaskedLM(BertConfig(**small)).eval()
two = heads.BertForMaskedLM(BertConfig(**small, other={"tie_word_embeddings": False})).eval()
two.load_state_dict(one.state_dict())
ids = torch.tensor([[5, 7, 11, 13, 17]])
for model in (one, two):
    model(ids, labels=ids).loss.backward()
ends = [
    two.bert.embeddings.word_embeddings.weight.grad,
    two.cls.predictions.decoder.weight.grad,
]
assert torch.allclose(one.cls.predictions.decoder.weight.grad, ends[0] + ends[1], atol=1e-6)
print(f"gradient of the input end {ends[0].norm():.2f}, of the output end {ends[1].norm():.2f}")

# %% [markdown] items="004-04 004-06"
# The notes say that *every* pretrained model of the library shares these weights. Only those whose
# configuration has `tie_word_embeddings` on; BERT's has. They show the method `tie_weights` of
# that time, with a copy where a model is exported and a case for models with encoder and decoder;
# today a class names what it ties in `_tied_weights_keys`.
#
# And why? "Because it is too big", the notes guess. Size is one part. The other is that **both
# ends learn one geometry**: a word that is seldom the answer still learns from being read.

# %%
assert transformers.BertConfig().tie_word_embeddings
assert (
    untied.cls.predictions.decoder.weight is not untied.bert.embeddings.word_embeddings.weight
)
dict(transformers.BertForMaskedLM._tied_weights_keys)

# %% [markdown]
# ### Exercise 4 · One matrix, two uses (5 minutes)
#
# Write `tie(decoder, embedding)`: an `nn.Linear(H, V)` and an `nn.Embedding(V, H)`. Make the
# table of the embedding the weight of the decoder as well: **one parameter, under two names**, so
# that training one trains the other. The numbers are those of the embedding; the decoder's bias
# stays as it is. Return the decoder.


# %%
def tie(decoder, embedding):
    # BEGIN SOLUTION
    decoder.weight = embedding.weight
    return decoder
    # END SOLUTION


# %%
check.tie(tie)

# %% [markdown]
# <details><summary>Hint 1</summary>Both weights have shape (V, H) already, so nothing is transposed.</details>
# <details><summary>Hint 2</summary>A parameter is an object like any other, and two names may hold the same one: one
# assignment, with no <code>.data</code> and no copy. Test it with <code>is</code>.</details>

# %% [markdown] items="004-46 004-43"
# ### Masked words alone
#
# `BertForMaskedLM` is the word head without the other one. The example of the notes and of
# transformers' documentation is *Hello, my dog is cute*. We hide the last word.

# %%
model = load("BertForMaskedLM")
example = tokenizer("Hello, my dog is [MASK]", return_tensors="pt")
with torch.no_grad():
    answer = model(**example)
place = (example["input_ids"][0] == tokenizer.mask_token_id).nonzero().item()
best = answer.logits[0, place].topk(5).indices.tolist()
assert answer.logits.shape == (1, 8, V) or not EMBEDDED
tuple(answer.logits.shape), tokenizer.convert_ids_to_tokens(best)

# %% [markdown]
# The shape is right, the words are those of a random head. With `COURSE_MODEL=bert-base-uncased`
# the same cell shows words that fit. Notebook 06 will train such a head.

# %% [markdown] items="004-47 004-48"
# ### The next word, and how not to see it
#
# `BertLMHeadModel` has the same head and another task: at each token, tell the **next** one. BERT's
# tokens look at all others, to the right as well. transformers has a remark on that:

# %%
with remarks() as said:
    transformers.BertLMHeadModel(transformers.BertConfig(**small))
print(*[line for line in said if "is_decoder" in line])
assert any("add `is_decoder=True.`" in line for line in said)

# %% [markdown]
# It is only a remark; the model runs. **Predict:** we change the last token of a text. At which places do the
# scores change, without `is_decoder` and with it?


# %%
def change_by_place(model):
    """How much the scores at each place change when the last token does: (T,)."""
    ids = tokenizer("The cat sat on the mat", return_tensors="pt")["input_ids"]
    other = ids.clone()
    other[0, -1] = tokenizer.mask_token_id
    with torch.no_grad():
        return (model(ids).logits - model(other).logits)[0].abs().mean(dim=-1)


sees_all, sees_left = load("BertLMHeadModel"), load("BertLMHeadModel", is_decoder=True)
changes = torch.stack([change_by_place(sees_all), change_by_place(sees_left)])
plots.heatmap(
    changes,
    rows=["is_decoder=False", "is_decoder=True"],
    columns=tokenizer.convert_ids_to_tokens(tokenizer("The cat sat on the mat")["input_ids"]),
    numbers="{:.2f}",
    title="Change of the scores when the last token changes",
    alt="Heat map over the eight tokens of a text. Without is_decoder the scores at every "
    "place change; with it only those at the last place.",
)

# %%
assert changes[1, :-1].max() < 1e-5 < changes[0].min() and changes[1, -1] > 1e-5
assert changes[0].min() > 0.1 or not EMBEDDED

# %% [markdown]
# Without `is_decoder` every place feels the last token: the model is asked for the next word and
# **can see it**. With it, a token sees itself and what stands before it (a *causal* mask).
#
# Does that matter in training? We let a tiny model learn random numbers from 1 to 19, in which there
# is nothing to learn. The best honest loss is log 19, 2.94.
#
# **Predict:** the loss on new random numbers after four epochs, without `is_decoder` and with it?

# %%
dice = torch.randint(1, 20, (2304, 8), generator=torch.Generator().manual_seed(0))
known, new = dice[:2048], dice[2048:]
tiny = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 20}
for is_decoder in (False, True):
    training.set_seed(0)
    model = heads.BertLMHeadModel(
        BertConfig(**tiny, intermediate_size=64, is_decoder=is_decoder, hidden_dropout_prob=0.0)
    )
    loss = training.fit(
        model,
        Batches({"input_ids": known, "labels": known}, 64, shuffle=0),
        [{"input_ids": new, "labels": new}],
        epochs=4,
        learning_rate=0.003,
    ).kept.dev.loss
    assert (loss > math.log(19) - 0.02) if is_decoder else (loss < 0.7)
    print(f"is_decoder={is_decoder!s:<6} loss {loss:.2f}")

# %% [markdown]
# A loss near 0, on dice. **Suspect a leak behind a loss that is too good**: this model has learned to
# look to the right, and nothing else.

# %% [markdown] items="004-49 004-53"
# The labels of this head are the ids themselves. The head shifts them by one: the scores at place
# t are compared with the token at t + 1. The last place has nothing to predict.

# %% [markdown]
# ### Exercise 5 · The loss of the next token (10 minutes)
#
# Write `next_token_loss(logits, labels)`: scores (B, T, V) and the text itself as labels (B, T),
# in which -100 means that a place does not count. The scores **at** a place predict the token
# **after** it. The result is one number: the mean cross entropy over all places that count.


# %%
def next_token_loss(logits, labels):
    # BEGIN SOLUTION
    scores, following = logits[:, :-1], labels[:, 1:]
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), following.flatten())
    # END SOLUTION


# %%
check.next_token_loss(next_token_loss)

# %% [markdown]
# <details><summary>Hint 1</summary>Nothing follows the last place, and nothing predicts the first: <code>logits[:, :-1]</code>
# against <code>labels[:, 1:]</code>.</details>
# <details><summary>Hint 2</summary><code>torch.nn.functional.cross_entropy</code> takes (places, V) and (places,):
# <code>flatten(0, 1)</code> and <code>flatten()</code>. It leaves out -100 by itself.</details>

# %%
ids = tokenizer(headlines[0], return_tensors="pt")["input_ids"]
with torch.no_grad():
    answer = sees_left(ids, labels=ids)
by_hand = F.cross_entropy(answer.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
assert torch.allclose(answer.loss, by_hand, atol=1e-4)
causal = transformers.modeling_outputs.CausalLMOutputWithCrossAttentions
print(f"loss {answer.loss:.1f}")
list(causal.__dataclass_fields__)

# %% [markdown] items="004-54"
# The fields are those of transformers' answer. `past_key_values` and `cross_attentions` are for
# decoders alone; both come below.
#
# Such a model writes: take the scores at the last place, choose a word, append it, go on.
# **Greedy** takes the best word each time; **sampling** draws one by its probability. Before the softmax
# the scores may be divided by a *temperature*: below 1 it makes the likely words likelier still, above 1 all words more alike.

# %%
start = tokenizer("Hello, my dog", add_special_tokens=False, return_tensors="pt")["input_ids"]
draw = torch.Generator().manual_seed(0)
print("greedy: ", tokenizer.decode(sees_left.generate(start, max_new_tokens=6)[0]))
sampled = sees_left.generate(start, max_new_tokens=6, temperature=0.8, generator=draw)
print("sampled:", tokenizer.decode(sampled[0]))
assert sampled.shape == (1, start.shape[1] + 6)

# %% [markdown]
# Word salad, and not only because this head is random. A BERT was trained with words on both
# sides; the pages that set `is_decoder=True` on bert-base print scores of a model that never
# learned to write from left to right.

# %% [markdown] items="002-103 004-51 004-52"
# ### Writing faster: the cache
#
# Each new word runs the model over the whole text again. With the causal mask the old tokens'
# keys and values, what attention reads of them, stay the same. So transformers keeps them, in
# `past_key_values` (since version 5.24 its name is `cache`), and then needs the last token alone. Old pages describe it as L tuples of 2 or 4
# tensors (B, N, T, D), for N attention heads of D numbers each. Today it is an object, a `DynamicCache`. The methods `prepare_inputs_for_generation` and
# `_reorder_cache` of the notes went: the first to the general code for generation, the second
# altogether. Our own `generate` keeps no cache: simpler, and slower.

# %%
with remarks():
    writer = transformers.BertLMHeadModel(
        transformers.BertConfig(**small, is_decoder=True)
    ).eval()
takes = inspect.signature(writer.forward).parameters
name = "cache" if "cache" in takes else "past_key_values"
ids = torch.tensor([[5, 7, 11, 13, 17]])
with torch.no_grad():
    cache = writer(ids[:, :-1], use_cache=True)[name]
    assert cache.layers[0].keys.shape == (1, 2, 4, 6)  # (B, N, T, D), one a layer
    last = writer(ids[:, -1:], **{name: cache})
    assert torch.allclose(last.logits[:, -1], writer(ids).logits[:, -1], atol=1e-5)
    with remarks():
        assert writer(ids, labels=ids).get(name) is None  # with labels there is none
assert not hasattr(writer, "_reorder_cache")
assert writer.prepare_inputs_for_generation.__qualname__.startswith("GenerationMixin")
name, type(cache).__name__

# %% [markdown] items="002-102 004-50"
# A decoder may also look at another text, of S tokens, for example one to be translated:
# `encoder_hidden_states` (B, S, H), with its own `encoder_attention_mask`. Such layers are there with
# `add_cross_attention=True`, and only then `cross_attentions` holds something. Our library leaves
# them out: no BERT was pretrained with them.

# %%
with remarks():
    crossing = transformers.BertLMHeadModel(
        transformers.BertConfig(
            **small, is_decoder=True, add_cross_attention=True, attn_implementation="eager"
        )
    )
crossed = crossing(ids, encoder_hidden_states=torch.randn(1, 7, 12), output_attentions=True)
assert [tuple(a.shape) for a in crossed.cross_attentions] == [(1, 2, 5, 7)] * 2  # (B, N, T, S)
tuple(crossed.cross_attentions[0].shape)

# %% [markdown] items="004-57 003-35"
# ### Next sentence alone
#
# The pooler, and one linear layer H to 2. An article writes Linear, Tanh, Linear for it: that is a
# pooler and this layer. But in BERT the pooler belongs to the encoder, and **other heads use it
# too**; that is how its training is of use to them.

# %%
model = load("BertForNextSentencePrediction")
with torch.no_grad():
    answer = model(**pairs, labels=pair_labels)
    by_hand = model.cls.seq_relationship(model.bert(**pairs).pooler_output)
assert torch.allclose(answer.logits, by_hand, atol=1e-6)
print(f"logits {tuple(answer.logits.shape)}, loss {answer.loss:.2f}")

# %% [markdown] items="004-58"
# The label is called `labels` here. Its older name is `next_sentence_label`; in the notes' version
# that gave a FutureWarning. **Predict:** what does transformers do with it today?

# %%
theirs = transformers.BertForNextSentencePrediction(transformers.BertConfig(**small))
tiny_ids = torch.tensor([[5, 7, 11], [5, 13, 17]])
with remarks() as said:
    answer = theirs(tiny_ids, next_sentence_label=pair_labels)
assert answer.loss is None and not said
print("transformers:", answer.loss)
try:
    model(**pairs, next_sentence_label=pair_labels)
except TypeError as error:
    print("ours:", error)

# %% [markdown]
# It swallows the argument without a word, and there is no loss. A name that is misspelt goes the same
# way. Look whether the loss is there.

# %% [markdown] items="004-59"
# The example of transformers' documentation: is the sentence about the sky what follows pizza?
# A trained head says *no*; with a random one we only look at the shape.

# %%
pizza = tokenizer(
    "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced.",
    "The sky is blue due to the shorter wavelength of blue light.",
    return_tensors="pt",
)
with torch.no_grad():
    scores = model(**pizza, labels=torch.tensor([1])).logits
if model.load_report.missing:
    print("random head:", tuple(scores.shape))
else:
    print("random text" if scores[0, 0] < scores[0, 1] else "it continues")

# %% [markdown] items="004-61 004-62"
# ### A label for a text, or for a pair
#
# `BertForSequenceClassification`: the pooler, dropout, and a linear layer H to K. The dropout is
# `classifier_dropout`, and `hidden_dropout_prob` where that is None. (The short version in the
# notes has only the second.) A pair of texts is one input, as in notebook 01.

# %%
classifier = load("BertForSequenceClassification", num_labels=10, classifier_dropout=0.25)
with torch.no_grad():
    answer = classifier(**batch, labels=torch.tensor([8, 1]))
assert classifier.dropout.p == 0.25 and answer.logits.shape == (2, 10)
assert 1.9 < answer.loss < 2.7 and round(math.log(10), 1) == 2.3
print(f"logits {tuple(answer.logits.shape)}, loss {answer.loss:.2f}")

# %% [markdown] items="004-63 004-64"
# ### Three kinds of labels
#
# One head, three losses. `problem_type` says which; without it the labels decide.
#
# | problem_type | without it, chosen when | labels | loss |
# |---|---|---|---|
# | `regression` | `num_labels` is 1 | (B,), a number | mean squared error |
# | `single_label_classification` | the labels are whole numbers | (B,), one class | cross entropy |
# | `multi_label_classification` | they are other numbers | (B, K), each class 0 or 1 | binary cross entropy |

# %%
kinds = {
    "regression": (1, torch.tensor([3.5, 1.0])),
    "single_label_classification": (3, torch.tensor([2, 0])),
    "multi_label_classification": (3, torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])),
}
tiny_batch = torch.tensor([[5, 7, 11], [5, 13, 17]])
for kind, (classes, given) in kinds.items():
    ours = heads.BertForSequenceClassification(BertConfig(**small, num_labels=classes)).eval()
    by_labels = ours(tiny_batch, labels=given).loss
    ours.config.problem_type = kind
    assert torch.equal(ours(tiny_batch, labels=given).loss, by_labels)
    theirs = transformers.BertForSequenceClassification(
        transformers.BertConfig(**small, num_labels=classes)
    )
    theirs(tiny_batch, labels=given)
    assert theirs.config.problem_type == kind  # what it chose, written down
    print(f"{kind:<28} labels {tuple(given.shape)!s:<7} loss {by_labels:.2f}")

# %% [markdown]
# Set it yourself. In transformers **the first batch decides for all that follow** and writes its
# choice into the configuration. And labels of 0 and 1 that are whole numbers are taken for classes;
# the error speaks of batch sizes. (Whole numbers for regression are fine.)

# %%
any_of_three = torch.tensor([[1, 0, 1], [0, 0, 0]])
for library, config in ((transformers, transformers.BertConfig), (heads, BertConfig)):
    model = library.BertForSequenceClassification(config(**small, num_labels=3))
    try:
        model(tiny_batch, labels=any_of_three)
    except ValueError as error:
        print(f"{library.__name__}: {error}\n")

# %% [markdown] items="004-65"
# The notes' example classifies **pairs**: do two sentences say the same (*MRPC*)? With
# `COURSE_MODEL=google-bert/bert-base-cased-finetuned-mrpc` the cell prints the published 90 % and
# 6 %; with another model, the shape.

# %%
company = "The company HuggingFace is based in New York City"
others = [
    "HuggingFace's headquarters are situated in Manhattan",
    "Apples are especially bad for your health",
]
model = load("BertForSequenceClassification")
two_pairs = tokenizer([company] * 2, others, padding=True, return_tensors="pt")
with torch.no_grad():
    share = model(**two_pairs).logits.softmax(dim=1)[:, 1]
if model.load_report.missing:
    print("random head:", tuple(two_pairs["input_ids"].shape), "->", tuple(share.shape))
else:
    print([f"{s:.0%}" for s in share])
if pretrained.find_model().name.endswith("finetuned-mrpc"):
    assert [round(100 * s) for s in share.tolist()] == [90, 6]

# %% [markdown] items="004-68"
# ### One of several texts
#
# Which of several endings fits the story (*SWAG* has four, the test of *ROCStories* two)? Each ending goes
# through BERT with the story and without the other endings, and gets **one** score. The softmax goes
# over the scores of all endings, here four. The input has a
# dimension more: (B, M, T) for M choices. It costs as much as a batch of B · M texts.

# %%
story = "She opened the door and"
endings = ["went in.", "boiled the sea.", "sold the moon.", "ate a cloud."]
choices = tokenizer([story] * 4, endings, padding=True, return_tensors="pt")
choices = {name: value.unsqueeze(0) for name, value in choices.items()}  # B = 1
model = load("BertForMultipleChoice")
with torch.no_grad():
    answer = model(**choices, labels=torch.tensor([0]))
assert choices["input_ids"].dim() == 3 and answer.logits.shape == (1, 4)
assert 1.0 < answer.loss < 1.8 and round(math.log(4), 1) == 1.4
print(f"input {tuple(choices['input_ids'].shape)}", end=", ")
print(f"logits {tuple(answer.logits.shape)}, loss {answer.loss:.2f}")

# %% [markdown] items="004-72"
# ### A label for each token
#
# Names, places, parts of speech: dropout and a linear layer on **every** token's vector; no pooler.
# Where no label counts (padding, `[CLS]`, `[SEP]`, the later pieces of a word) it is -100.

# %%
sentence = tokenizer("Ada lives in Paris", return_tensors="pt")
token_labels = torch.full_like(sentence["input_ids"], -100)
token_labels[0, 1:5] = torch.tensor([1, 0, 0, 2])  # person, other, other, place
model = load("BertForTokenClassification", num_labels=3)
with torch.no_grad():
    answer = model(**sentence, labels=token_labels)
counted = token_labels != -100
assert torch.allclose(
    answer.loss, F.cross_entropy(answer.logits[counted], token_labels[counted])
)
print(f"logits {tuple(answer.logits.shape)}, {counted.sum()} labels, loss {answer.loss:.2f}")

# %% [markdown] items="004-79 004-80"
# ### Where the answer stands
#
# The notes call the input "question + answer". It is **question + passage** (*SQuAD*); the answer is
# a piece of the passage. So the head only has to say where it starts and where it ends: two scores
# a token, no pooler, no dropout. `num_labels` must be 2; with 3, transformers fails when it is called
# (`too many values to unpack`). A position beyond the last token, as of an answer that was cut off, is
# ignored; if none is left in the batch, the loss is not a number (*nan*).

# %%
question = tokenizer("Where does Ada live?", "Ada lives in Paris.", return_tensors="pt")
words = tokenizer.convert_ids_to_tokens(question["input_ids"][0])
place = torch.tensor([words.index("paris") if "paris" in words else 1])
model = load("BertForQuestionAnswering")
with torch.no_grad():
    answer = model(**question, start_positions=place, end_positions=place)
    cut_off = model(**question, start_positions=place + 99, end_positions=place + 99)
by_hand = F.cross_entropy(answer.start_logits, place) + F.cross_entropy(
    answer.end_logits, place
)
assert torch.allclose(answer.loss, by_hand / 2)
assert cut_off.loss.isnan()  # nothing is left to take a mean of
print(
    f"start {tuple(answer.start_logits.shape)}, end {tuple(answer.end_logits.shape)}", end=", "
)
print(f"loss {answer.loss:.2f}")

# %% [markdown]
# ### Exercise 6 · Which head? (5 minutes)
#
# Six tasks. Make `answer` a dictionary: the task, as it is written here, and the name of the head
# class that fits it best, for example `{"spam or not": "BertFor...", ...}`.


# %%
tasks = [
    "spam or not",
    "which of four endings",
    "names of people in a text",
    "the passage's words that answer a question",
    "does B follow A",
    "a word behind [MASK]",
]

# BEGIN SOLUTION answer
answer = {
    "spam or not": "BertForSequenceClassification",
    "which of four endings": "BertForMultipleChoice",
    "names of people in a text": "BertForTokenClassification",
    "the passage's words that answer a question": "BertForQuestionAnswering",
    "does B follow A": "BertForNextSentencePrediction",
    "a word behind [MASK]": "BertForMaskedLM",
}
# END SOLUTION

# %%
check.choose_heads(answer)

# %% [markdown]
# <details><summary>Hint 1</summary>Ask of each task: one answer for the whole text, one for each token, or one for each
# of several texts?</details>
# <details><summary>Hint 2</summary>No class is needed twice. A span of words is a start and an end; endings are scored one
# by one and compared.</details>

# %% [markdown] items="004-37 004-38 004-39"
# ## What a head takes besides
#
# Every head hands these on to its encoder:
#
# | argument | shape | |
# |---|---|---|
# | `input_ids`, `attention_mask`, `token_type_ids` | (B, T) | as in notebook 01 |
# | `position_ids` | (B, T) | 0, 1, 2, ... if left out |
# | `inputs_embeds` | (B, T, H) | word vectors of your own, **instead of** `input_ids` |
# | `output_hidden_states`, `output_attentions` | | ask for more fields |
#
# `head_mask` of older pages, which switched attention heads off, is accepted by transformers today
# and **ignored**. With `return_dict=False` it still gives tuples, the loss first if there is one;
# `config.use_return_dict`, by which the notes decide, is deprecated. Use names.

# %%
own = classifier.bert.embeddings.word_embeddings(batch["input_ids"])
without_ids = {name: value for name, value in batch.items() if name != "input_ids"}
positions = torch.arange(T).expand(B, T)
with torch.no_grad():
    same = classifier(**without_ids, inputs_embeds=own, position_ids=positions).logits
    assert torch.allclose(same, classifier(**batch).logits, atol=1e-5)

    model = transformers.BertForSequenceClassification(transformers.BertConfig(**small)).eval()
    no_heads = model(tiny_batch, head_mask=torch.zeros(2, 2)).logits
    assert torch.equal(no_heads, model(tiny_batch).logits)  # all heads off, and nothing changed
    assert type(model(tiny_batch, return_dict=False)) is tuple
with remarks() as said:
    _ = model.config.use_return_dict
print(*said)

# %% [markdown] items="004-55 004-60"
# ## What loading a head says
#
# A file and a model need not have the same parts. **Missing** parts are those that the model has and
# the file lacks: they are new, and random. **Unexpected** parts are in the file, and the model has
# no place for them: they are left out. We save a small model with both pretraining heads, and load
# it as others.

# %%
import tempfile

folder = tempfile.mkdtemp()
transformers.utils.logging.disable_progress_bar()
with remarks():
    transformers.BertForPreTraining(transformers.BertConfig(**small)).save_pretrained(folder)


def load_report(name):
    """What transformers says when it loads the saved model as another one."""
    with remarks() as said:
        getattr(transformers, name).from_pretrained(folder)
    lines = "\n".join(said).expandtabs(1).splitlines()
    rows = [line.rstrip(" |") for line in lines if " | " in line]
    notes = [line for line in lines if line.startswith("- ")]
    return sorted(rows) + sorted(notes)


print(*load_report("BertForSequenceClassification"), sep="\n")

# %% [markdown]
# Seven parts are unexpected: the two heads of pretraining. Two are missing: the new classifier. **Both are
# as they should be.** Worry if a part of the encoder is missing. Worry too if *anything* is missing when
# you load a model as the very class that was saved. The texts that old pages print say the same in other words:
# "This IS expected if you ... another task", "This IS NOT expected if you ... exactly identical".
#
# Our library says it in sentences, and does not load at all when a part of the encoder is missing:

# %%
with remarks() as said:
    ours = heads.BertForSequenceClassification.from_pretrained(folder)
print(*ours.load_report.sentences, sep="\n")
assert len(ours.load_report.unexpected) == 7 and len(ours.load_report.missing) == 2
assert len(said) == 1 and "the classifier is new: train it" in said[0]

# %% [markdown]
# **Predict:** the same file as `BertForNextSentencePrediction` and as `BertLMHeadModel`. What is missing,
# what is unexpected?

# %%
unexpected = {}
for name in ("BertForPreTraining", "BertForNextSentencePrediction", "BertLMHeadModel"):
    with remarks():
        _, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
        report = getattr(heads, name).from_pretrained(folder).load_report
    assert len(info["missing_keys"]) == len(report.missing) == 0
    unexpected[name] = len(info["unexpected_keys"])
    assert unexpected[name] == len(report.unexpected)
    print(f"{name}: nothing missing, {unexpected[name]} unexpected")
    print(
        *(f"    {sentence}" for sentence in report.sentences),
        sep="\n",
        end="\n" if report.sentences else "",
    )
assert list(unexpected.values()) == [0, 5, 4]

# %% [markdown] items="004-44 004-56"
# The notes print other counts for these, and each difference has a reason:
#
# - *Six* unused keys for next sentence: their file held the decoder's weight a second time. What is tied is saved once today.
# - *Two* for the causal model: its class had a list of keys about which to say nothing (`_keys_to_ignore_on_load_unexpected`
#   with `pooler`). BERT's classes have no such list today, and the pooler's two are named as well.
# - For pretraining, `cls.predictions.decoder.bias` was "newly initialized", and "You should probably TRAIN this model".
#   It was harmless: that bias is tied to `cls.predictions.bias`, which had been loaded. Today nothing is said.

# %%
from safetensors import safe_open

with safe_open(f"{folder}/model.safetensors", "pt") as file:
    saved = list(file.keys())
assert "cls.predictions.bias" in saved and not any("decoder" in key for key in saved)
ignored = ("_keys_to_ignore_on_load_unexpected", "_keys_to_ignore_on_load_missing")
assert all(getattr(transformers.BertLMHeadModel, name) is None for name in ignored)

# %% [markdown] items="004-45"
# What else the notes copy is the library's own plumbing: `import *` from its source file, decorators
# that fill in documentation and the constants `_CHECKPOINT_FOR_DOC`, `_CONFIG_FOR_DOC` and
# `_TOKENIZER_FOR_DOC` (gone today), `init_weights`, and `get_output_embeddings`, by which the library
# finds the decoder to tie. You need none of it to use a head.

# %%
source = transformers.models.bert.modeling_bert
assert not any(name.endswith("_FOR_DOC") for name in dir(source))
assert tied.get_output_embeddings() is tied.cls.predictions.decoder

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("02_heads")

# %% [markdown]
# ## Summary
#
# - A head is mostly one linear layer. A label for a text needs **one vector a text**.
# - A frozen encoder reads each text once; a probe on its vectors trains in a second or two. Standardise them first.
# - Compare with a baseline, over seeds, **and** with an interval over examples; look at the test part once.
# - An interval that contains 0 does not say *equal*.
# - The layers before the last can add something: the last four together did better than the last alone. The embedded model was tuned for the mean.
# - An answer must not depend on neighbours or on padding. Test it: each text alone, and in a batch.
# - Eight heads: what is classified, from which vectors, with which labels. **-100 does not count; 0 = continues.**
# - Word heads share one matrix with the embeddings. Without `is_decoder`, a next-word head sees the answer.
# - Read what loading says: *missing* is random, *unexpected* is left out.
#
# **Read:** Devlin et al., *BERT* (2019), sections 3, 4 and 5.3. Peters et al., *Deep contextualized word
# representations* (2018), section 3.2. Press and Wolf, *Using the Output Embedding to Improve Language Models* (2017).
# Tenney et al., *BERT Rediscovers the Classical NLP Pipeline* (2019), on what each layer knows.
#
# **Next:** [03_shape_debugging](03_shape_debugging.ipynb): why shapes do not fit, and the line that mends it. Your
# progress so far:

# %%
from course_lib.exercises import progress

progress()
