# %% [markdown]
# # Start here
#
# **You will be able to:** get an answer out of a real BERT, find your way through the course,
# check an exercise, switch to another model, and read an error message without fear.
#
# **You need:** Python with a little PyTorch: you have written a training loop once. Nothing
# about BERT.
#
# **Time:** 25 minutes.
#
# In JupyterLab, press **Shift+Enter** to run a cell and go to the next one. *Run → Run All
# Cells* runs everything. No cell of this course needs the internet.
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %% [markdown]
# ## A first answer
#
# BERT turns a text into vectors: lists of numbers. The BERT that comes with this course was then
# trained further, on pairs of texts that belong together, so that texts with much the same
# meaning get vectors that point in much the same direction. (A BERT fresh from its first training
# does this far less well.) Nobody told it which of our six sentences belong together.
#
# You need not understand the code yet. Notebook 01 explains the tokenizer, the model and the mean.

# %%
import torch

from course_lib import plots, pooling, pretrained

tokenizer = pretrained.load_tokenizer()
model = pretrained.load_model()

texts = [
    "How do I reset my password?",
    "I forgot the word I log in with.",
    "The soup needs more salt.",
    "This broth tastes bland.",
    "Our train leaves at nine.",
    "Departure is at 9 a.m.",
]
batch = tokenizer(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    hidden = model(**batch).last_hidden_state
vectors = torch.nn.functional.normalize(
    pooling.masked_mean(hidden, batch["attention_mask"]), dim=-1
)
similarity = vectors @ vectors.T
similarity.shape

# %% [markdown]
# *Cosine similarity* is 1 for vectors of the same direction, 0 at a right angle, and -1 for opposite
# directions. This model was tuned so that texts with nothing in common come out near 0. (In a BERT that was
# not, even they may lie far above 0: compare, and do not read off a single number.) `normalize` gives every
# vector the length 1; then the cosine of two vectors is the sum of the products of their numbers, and
# `vectors @ vectors.T` computes it for all pairs at once.
#
# **Predict before you run the next cell.** Which pairs of sentences will be most alike? No pair
# shares a word that matters.

# %%
plots.heatmap(
    similarity,
    rows=texts,
    columns=[f"{number}" for number in range(1, 7)],
    numbers="{:.2f}",
    title="How alike are two sentences? (cosine similarity)",
    alt="Heat map of six sentences against each other. Each sentence is most alike to its "
    "partner with the same meaning: the two about a password, the two about soup, the two "
    "about a departure.",
)

# %% [markdown]
# Each sentence is most alike to its partner with the same meaning. The next cell makes sure
# that this sentence is true. You will meet such cells everywhere: **what the text claims, an
# `assert` checks.** If a claim were wrong on your machine, the cell would stop with an error.
#
# The numbers in the text are those of the model that comes with the course, the *embedded*
# model. You may choose another one (see below); then the text's numbers are not yours, and the
# checks on them are skipped.

# %%
EMBEDDED = pretrained.find_model().origin == "embedded"

others = similarity.clone().fill_diagonal_(-1)
partner = others.argmax(dim=1).tolist()
assert not EMBEDDED or partner == [1, 0, 3, 2, 5, 4]
partner

# %% [markdown] items="003-02"
# ## What BERT is
#
# A **Transformer** (Vaswani et al. 2017) translates with two halves: an *encoder* that reads
# and a *decoder* that writes. **BERT** (Devlin et al. 2019) is the encoder alone, trained in
# two steps:
#
# 1. **Pretraining**: it reads a great many texts in which words are hidden, and learns to guess
#    them, and to tell whether a second text follows the first. This takes days on many machines, and it
#    is done once.
# 2. **Fine-tuning**: a small new part, the *head*, is put on top, and both learn one task from
#    a few thousand examples. This takes minutes, and everybody does it for their own task.
#
# It is the habit that image recognition had before: take a ready convolutional network, and
# train it a little further for your own pictures.
#
# The letters in the picture are explained right below it.

# %% tags=["picture"]
plots.diagram(
    boxes={
        "text": plots.Box(0, 0, "text\n“The soup needs salt.”", 5, 1.25),
        "tokens": plots.Box(1.45, 0, "tokenizer\nids (B, T)", 0),
        "bert": plots.Box(2.8, 0, "BERT\nvectors (B, T, H)", 2, 1.15),
        "head": plots.Box(4.15, 0, "head\nscores (B, K)", 1),
        "pre": plots.Box(2.8, 1, "pretraining\nmany texts, done once", 2, 1.4),
        "fine": plots.Box(4.3, 1, "fine-tuning\nyour examples", 1, 1.2),
    },
    arrows=[
        ("text", "tokens"),
        ("tokens", "bert"),
        ("bert", "head"),
        ("pre", "bert"),
        ("fine", "head"),
        ("fine", "bert"),
    ],
    alt="A text goes through the tokenizer, which gives ids; through BERT, which gives a "
    "vector for each token; and through a head, which gives scores. Pretraining makes "
    "BERT, fine-tuning makes the head and adjusts BERT.",
)

# %% [markdown]
# ## The letters
#
# Shapes are written with the same letters everywhere, in comments, pictures and docstrings.
#
# | letter | meaning | here |
# |---|---|---|
# | B | batch: how many texts at once | 6 |
# | T | tokens: pieces of text, padding included | 11 |
# | H | hidden size: numbers that stand for one token | 384 |
# | N, D | attention heads, and the size of one: D = H / N | 12, 32 |
# | F | feed-forward size inside a layer | 1,536 |
# | L | layers | 6 |
# | V | vocabulary: tokens that the model knows | 30,522 |
# | K | classes of a task | |
# | C | channels, in convolutions only | |
#
# *Head* has two meanings in this field: the small part on top of BERT that answers a task, and
# one of the N parallel parts of attention. K belongs to the first, N and D to the second.

# %%
B, T, H = hidden.shape
config = model.config
if EMBEDDED:
    assert (B, T, H) == (6, 11, 384)
    assert (config.num_attention_heads, H // config.num_attention_heads) == (12, 32)
    assert (config.intermediate_size, config.num_hidden_layers, config.vocab_size) == (
        1536,
        6,
        30522,
    )
(B, T, H)

# %% [markdown]
# ## The course
#
# Twelve notebooks. Read them in this order, or follow the arrows of the picture below: each needs
# this one and those whose arrows lead to it.
#
# | notebook | you learn | code behind it |
# |---|---|---|
# | **00_start_here** | how this course works | `course_lib.check`, `course_lib.pretrained` |
# | [**01_bert_outputs**](01_bert_outputs.ipynb) | what goes into BERT, what comes out, and which output to use | `course_lib.pooling`, `course_lib.config` |
# | [**02_heads**](02_heads.ipynb) | from an output to a prediction; eight tasks on one encoder | `course_lib.heads`, `course_lib.probing` |
# | [**03_shape_debugging**](03_shape_debugging.ipynb) | why shapes do not fit, and the line that mends it | `course_lib.shapes` |
# | [**04_bert_from_scratch**](04_bert_from_scratch.ipynb) | every line of BERT, equal to the released one | `course_lib.bert`, `course_lib.checkpoint` |
# | [**05_pretraining_tasks**](05_pretraining_tasks.ipynb) | hidden words, next sentences, tied weights | `course_lib.masking`, `course_lib.sentence_pairs` |
# | [**06_pretraining**](06_pretraining.ipynb) | a small BERT of your own, and what it costs | `course_lib.corpus`, `course_lib.pretraining` |
# | [**07_fine_tuning**](07_fine_tuning.ipynb) | training that can be trusted | `course_lib.training`, `course_lib.finetuning` |
# | [**08_tokens_spans_choices**](08_tokens_spans_choices.ipynb) | entities, answers in a text, multiple choice | `course_lib.alignment`, `course_lib.spans` |
# | [**09_classifier_zoo**](09_classifier_zoo.ipynb) | fifteen text classifiers side by side | `course_lib.zoo` |
# | [**10_model_graphs**](10_model_graphs.ipynb) | pictures of models that can be trusted | `course_lib.graphs` |
# | [**11_going_bigger**](11_going_bigger.ipynb) | from a laptop to many machines; what came after BERT | `course_lib.training` |
#
# Beside them: the [glossary](../docs/glossary.md), a [list of error messages](../docs/error_messages.md) that leads to the
# cell which explains each, and a [map](../docs/map.md) from every idea to its notebook, its code and its paper.

# %% tags=["picture"]
plots.diagram(
    boxes={
        "01": plots.Box(0, 1, "01 outputs", 0),
        "03": plots.Box(1.4, -0.2, "03 shapes", 1),
        "02": plots.Box(1.4, 1, "02 heads", 1),
        "04": plots.Box(1.4, 2.2, "04 BERT\nfrom scratch", 0),
        "09": plots.Box(4.2, -0.2, "09 classifier\nzoo", 3),
        "07": plots.Box(2.8, 1, "07 fine-tuning", 3),
        "08": plots.Box(4.2, 0.7, "08 tokens, spans,\nchoices", 3, 1.15),
        "05": plots.Box(2.8, 2.2, "05 pretraining\ntasks", 2),
        "06": plots.Box(4.2, 2.2, "06 pretraining", 2),
        "10": plots.Box(2.8, 3.2, "10 model graphs", 4, 1.1),
        "11": plots.Box(5.6, 1.7, "11 going\nbigger", 4, 0.9),
    },
    arrows=[
        ("01", "03"),
        ("01", "02"),
        ("01", "04"),
        ("02", "07"),
        ("02", "05"),
        ("03", "09"),
        ("04", "05"),
        ("04", "10"),
        ("05", "06"),
        ("07", "08"),
        ("07", "09"),
        ("07", "11"),
        ("06", "11"),
    ],
    alt="The notebooks as boxes, with arrows from each to those that need it. 01 outputs leads to 02 "
    "heads, 03 shapes and 04 BERT from scratch. 02 leads to 07 fine-tuning, 07 and 03 to 09 the "
    "classifier zoo, 07 to 08 tokens, spans and choices. 02 and 04 lead to 05 pretraining tasks, 05 to "
    "06 pretraining, 04 to 10 model graphs. 06 and 07 lead to 11 going bigger.",
)

# %% [markdown]
# ## Is everything here?
#
# The same check runs in a terminal: `python -m course_lib check`. A *warning* can wait; what is
# *wrong* comes with what to do about it.

# %%
from course_lib.check import checks

findings = checks()
for finding in findings:
    if finding.state != "ok":
        print(f"{finding.state}: {finding.name}: {finding.advice}")
print(f"{sum(f.state == 'ok' for f in findings)} of {len(findings)} checks are ok")

# %% [markdown] items="002-17 002-40"
# ### Versions
#
# An old project's page asks for Python 3.7, PyTorch 1.1, `tensorboardX` and `sklearn`, and leaves
# the rest to chance. PyTorch 1.1 exists for old Pythons only, so what the page asks for cannot be
# installed beside what you have. This course pins every package in `constraints.txt`, and is
# tested with exactly those.
#
# What do you have? In a terminal, `pip list` shows all of it. In Python:

# %%
import sys
from importlib.metadata import version

{
    "python": sys.version.split()[0],
    **{name: version(name) for name in ("torch", "transformers", "jupyterlab")},
}

# %% [markdown] items="002-42"
# **Slow or blocked downloads?** `pip install -i ADDRESS ...` takes packages from another index,
# a *mirror*. `pip config set global.index-url ADDRESS` does it for good, and `make lab` then
# follows it.
#
# **Windows:** if `import torch` fails with *"DLL load failed"* or a message that the *Microsoft
# Visual C++ Redistributable* is not installed, install that (x64) from Microsoft's site and
# start again. It is no fault of Python or Anaconda.

# %% [markdown]
# ## How exercises work
#
# An exercise has a task, an estimate of the time, a cell with **three dots** in the place of
# your answer, and a cell that checks it. Two hints wait below, the second stronger than the
# first. All solutions are in the folder `solutions`: [here are those of this
# notebook](solutions/00_start_here.ipynb). Looking is allowed; trying first teaches more.
#
# Nothing depends on your answers: *Run All* works with every exercise left open.

# %% [markdown]
# ### Exercise 1 · Read a shape (1 minute)
#
# A tensor of hidden states has shape (3, 7, 384). How many texts are in it?

# %%
# BEGIN SOLUTION texts_in_it
texts_in_it = 3
# END SOLUTION

# %%
from course_lib.exercises import start_here as check

check.read_a_shape(texts_in_it)

# %% [markdown]
# <details><summary>Hint 1</summary>Look at the table of letters: which one counts texts?</details>
# <details><summary>Hint 2</summary>The shape is (B, T, H), and B is the batch.</details>
#
# A check that was not tried says so and does no harm. One that fails says what is wrong, on
# which input, and often which mistake it was. Try it: answer 7, and run both cells.

# %% [markdown]
# ## Reading an error
#
# Errors are part of the work, and in this course part of the subject. This cell fails on
# purpose.


# %% tags=["raises-exception"] raises="RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x2 and 3x2)"
def score(features, weights):
    return features @ weights


features = torch.zeros(4, 2)  # four texts, two features each
weights = torch.zeros(3, 2)  # three classes
score(features, weights)

# %% [markdown]
# Read it **from the bottom up**:
#
# 1. **The last line** says what broke, with numbers: two matrices cannot be multiplied, (4×2) and (3×2). The inner
#    numbers, 2 and 3, would have to be equal.
# 2. **Your own lines** are those that begin with `Cell In[...]`. The arrow `---->` marks the line that was running.
#    The lowest one is where it broke, the one above is who called it.
# 3. **Everything else** is inside libraries. It is seldom where the mistake is.
#
# When you run such a cell yourself, library frames may stand in between; in the saved notebooks
# we leave them out. Notebook 03 will be about nothing else.

# %% [markdown]
# ### Exercise 2 · Read an error message (2 minutes)
#
# The four texts have two features each, so `features` is (4, 2). There are three classes, and
# the result should be (4, 3). Which shape must `weights` have?

# %%
# BEGIN SOLUTION weights_shape
weights_shape = (2, 3)
# END SOLUTION

# %%
check.read_an_error(weights_shape)

# %% [markdown]
# <details><summary>Hint 1</summary>In a matrix product the two inner numbers must be equal, and they vanish.</details>
# <details><summary>Hint 2</summary>(4, 2) @ (2, ?) = (4, ?). Which number must remain?</details>

# %% [markdown] items="002-30"
# ## The model, and how to choose another
#
# The model that answered above came with the installation: **all-MiniLM-L6-v2**, a real BERT
# with 6 layers. A model is a folder with a few files. The weights are by far the largest.

# %%
files = pretrained.find_model()
for path in sorted(files.folder.iterdir()):
    if path.is_file():
        print(f"{path.stat().st_size:>12,} bytes  {path.name}")

# %% [markdown]
# | file | what it holds |
# |---|---|
# | `config.json` | the sizes: H, L, N, V and so on. Older projects call it `bert_config.json` |
# | `model.safetensors` | all weights, as plain numbers. Older projects have `pytorch_model.bin`, a *pickle*, which can run code when it is opened; we open those in the safe way only |
# | `vocab.txt` | one token a line; the number of the line is its id |
# | `tokenizer.json`, `tokenizer_config.json` | how text is cut into tokens |
#
# An old project's folder, spelled `bert_pretain`, holds just three: the configuration, the weights
# and `vocab.txt`. Those three are enough here too. The other files that the cell above printed are
# notes for people and settings of other programs.
#
# The embedded model's weights are checked against the published fingerprint (sha256), so that
# you know what you run. The result is remembered until the file changes.

# %%
assert not EMBEDDED or files.sha256.startswith("53aa5117")
files.sha256

# %% [markdown] items="002-34"
# **Another model for every notebook:** set the variable `COURSE_MODEL` before you start, to a
# name on the Hugging Face hub or to a folder.
#
# ```
# COURSE_MODEL=bert-base-chinese make lab         # downloads it once
# COURSE_MODEL=/my/folder/bert_pretrain make lab  # no network needed
# ```
#
# On Windows, in the Anaconda Prompt: `set COURSE_MODEL=bert-base-chinese`, then
# `python -m course_lib lab`.
#
# An old project asks you to download an archive and a vocabulary by hand, to unpack both, to
# put them into a folder and to compare the file names. A name is enough now. If the hub is out
# of reach, `HF_ENDPOINT` names a mirror of it. If a model is not on your computer and cannot be
# downloaded, you get one sentence, and a guess when the name looks mistyped:

# %%
from course_lib.errors import ModelFilesError

try:
    pretrained.find_model("bert-base-unchained", download=False)  # as without a network
except ModelFilesError as error:
    print(error)

# %% [markdown]
# ## Your progress
#
# Checks write down what you have passed, in a small file on your own machine
# (`.course/progress.json`).

# %%
from course_lib.exercises import progress

progress()

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("00_start_here")

# %% [markdown]
# ## Summary
#
# - BERT is a Transformer's encoder: pretrained once by others, fine-tuned for a task by you.
# - It turns a text of T tokens into T vectors of H numbers.
# - Claims in the text are checked by `assert`; exercises are checked by `course_lib`.
# - Errors are read from the bottom up: the message, then your own lines.
#
# **Read:** Vaswani et al., *Attention Is All You Need* (2017). Devlin et al., *BERT:
# Pre-training of Deep Bidirectional Transformers for Language Understanding* (2019).
#
# **Next:** [01_bert_outputs](01_bert_outputs.ipynb): what goes in, what comes out.
