# %% [markdown]
# # BERT from scratch
#
# **You will be able to:** build every part of BERT from matrix products, say what each part is
# for, load released weights into what you built, and prove that it is BERT: number by number,
# layer by layer. Then you will read an article's handwritten BERT and name what is missing.
#
# **You need:** [01_bert_outputs](01_bert_outputs.ipynb). You need not have read about the
# Transformer before: all of it that BERT uses is written out here.
#
# **Time:** 120 minutes with the exercises.
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %%
import copy
import math

import torch
from torch.nn import functional as F

from course_lib import bert, plots, pooling, pretrained
from course_lib.exercises import bert_from_scratch as check

tokenizer = pretrained.load_tokenizer()
ours = bert.BertModel.from_pretrained()  # the course's own BERT, with real weights
theirs = pretrained.load_model(attn_implementation="eager")  # that of transformers

# The numbers in the text belong to the embedded model; with another one, the checks on them are skipped.
EMBEDDED = pretrained.find_model().origin == "embedded"
config = ours.config
H, L, N = config.hidden_size, config.num_hidden_layers, config.num_attention_heads
D, F_ = config.head_size, config.intermediate_size  # F is taken, by torch's functions
EPS = config.layer_norm_eps
assert config.hidden_act == "gelu" and not config.use_task_id, "choose a BERT of the usual form"
torch.set_grad_enabled(False)  # we read a trained model in this notebook
print(f"L = {L} layers, H = {H}, N = {N} heads of D = {D}, F = {F_}")

# %% [markdown] items="003-01 003-02"
# ## The plan
#
# BERT is the *encoder* half of the Transformer (Vaswani et al. 2017): a stack of equal layers
# that turns one row of vectors into another. An article that writes BERT by hand compares it with
# ready-made convolutional networks for images, and rightly: pretraining once, fine-tuning often, as
# notebook 00 said (BERT's pretraining needs no labels). The article asks you to read about the Transformer first, and copies the encoder
# layer from there without showing it. We write it in full.

# %% tags=["picture"]
plots.diagram(
    boxes={
        "ids": plots.Box(0, 0, "ids, types\n(B, T) each", 0, 1.2),
        "emb": plots.Box(1.45, 0, "Embeddings\n(B, T, H)", 1, 1.1),
        "l1": plots.Box(2.7, 0, "Layer 1\n(B, T, H)", 2, 0.95),
        "dots": plots.Box(3.55, 0, "...", 6, 0.5),
        "ll": plots.Box(4.4, 0, "Layer L\n(B, T, H)", 2, 0.95),
        "pool": plots.Box(5.65, 0, "Pooler\n(B, H)", 3, 0.95),
        "mask": plots.Box(0, 1.25, "mask\n(B, T)", 0, 1.2),
        "each": plots.Box(1.3, 1.25, "in each\nlayer:", 6, 0.8),
        "att": plots.Box(2.7, 1.25, "attention: tokens\nlook at each other", 4, 1.5),
        "ff": plots.Box(4.5, 1.25, "feed-forward:\neach token alone", 5, 1.35),
    },
    arrows=[
        ("ids", "emb"),
        ("emb", "l1"),
        ("l1", "dots"),
        ("dots", "ll"),
        ("ll", "pool"),
        ("mask", "each"),
        ("each", "att"),
        ("att", "ff"),
    ],
    alt="BERT from left to right: ids and types, (B, T) each, go into the embeddings, (B, T, H), "
    "through layers 1 to L, all (B, T, H), and the last one into the pooler, (B, H). The mask goes "
    "into each layer. There attention, where tokens look at each other, comes first, and then "
    "feed-forward, where each token is alone.",
)

# %% [markdown] items="003-03"
# ### Letters
#
# The course uses one set of letters everywhere. The article has others. (It also calls *m* "the
# number of words in a batch". It is the number of tokens in one sequence.)
#
# | ours | what it counts | embedded model | bert-base-uncased | the paper | the article |
# |---|---|---|---|---|---|
# | B | texts in a batch | | | | B |
# | T | tokens in a sequence | up to 512 | up to 512 | | m |
# | H | numbers in a token's vector | 384 | 768 | H | n |
# | L | layers | 6 | 12 | L | n_layers |
# | N | attention heads in a layer | 12 | 12 | A | h |
# | D | numbers in a head's vector, H / N | 32 | 64 | | k, v |
# | F | width inside the feed-forward part | 1536 | 3072 | 4H | d_ff |
# | V | tokens in the vocabulary | 30,522 | 30,522 | | vocab |

# %%
if EMBEDDED:
    assert (H, L, N, D, F_, config.vocab_size) == (384, 6, 12, 32, 1536, 30522)
base = bert.BertConfig()  # without arguments: the sizes of bert-base-uncased
assert (base.hidden_size, base.num_hidden_layers, base.head_size) == (768, 12, 64)
assert base.intermediate_size == 4 * base.hidden_size == 3072
assert (base.num_attention_heads, base.vocab_size) == (12, 30522)

# %% [markdown]
# ## The configuration: all of BERT in a few numbers
#
# A repository's page prints the eleven fields of a BERT's configuration, with a comment
# after `#` on each line. A learner pastes them into a file; here are five.
#
# **Predict:** what does Python's JSON reader say?

# %%
import json

pasted = """{
  "vocab_size": 30522,        # words in the vocabulary
  "hidden_size": 768,         # H
  "num_hidden_layers": 12,    # L
  "num_attention_heads": 12,  # A
  "intermediate_size": 3072   # 4H
}"""
try:
    json.loads(pasted)
except json.JSONDecodeError as error:
    print("JSONDecodeError:", error)

# %% [markdown] items="002-54 002-55 002-56"
# **JSON has no comments.** Without them, these five numbers fix nearly every shape in the model: V
# (the page says *words*; most are whole words, some are pieces), H, L, N (*A* in the paper) and F
# (*4H* there). Two of them belong together: the heads share the H numbers equally, so N must divide
# H.

# %%
import re

clean = json.loads(re.sub(r"#.*", "", pasted))
assert bert.BertConfig.from_dict(clean) == bert.BertConfig()
try:
    bert.BertConfig(hidden_size=768, num_attention_heads=10)
except ValueError as error:
    print(error)

# %% [markdown] items="002-30 002-31 002-32"
# ### What a model folder holds
#
# The same page lists folders with three files each. Two have other names today.
#
# | the page | today | why |
# |---|---|---|
# | `bert_config.json` | `config.json` | transformers looks for this name alone |
# | `pytorch_model.bin` | `model.safetensors` | the old file is a *pickle* |
# | `vocab.txt` | `vocab.txt`, or `tokenizer.json` with more in it | |
#
# A **pickle** is Python's own way to write any object into a file. Here is a harmless one, with a
# name that looks like weights.
#
# **Predict:** we only *read* it. What happens?

# %%
import pickle


class Weights:
    def __reduce__(self):  # what the reader of the file shall call
        return print, ("This line was run by reading a file.",)


content = pickle.dumps(Weights())
pickle.loads(content)

# %% [markdown]
# A pickle is a list of instructions, so **to read it is to run it**. It could have been any
# function. A *safetensors* file holds numbers, their names and shapes, and nothing that runs. The
# course reads old `.bin` files too, but with `torch.load(weights_only=True)`, which calls only what
# builds tensors and plain containers (PyTorch's default since 2.6):

# %%
import io

buffer = io.BytesIO()
torch.save({"weight": Weights()}, buffer)
buffer.seek(0)
try:
    torch.load(buffer, weights_only=True)
    refused = False
except pickle.UnpicklingError:
    refused = True
assert refused
print("refused:", refused)

# %% [markdown] items="003-04"
# ## A batch to work on
#
# One input is one text, or two joined by `[SEP]`. We take two pairs of different lengths, so that
# there is padding.

# %%
first = ["Where does the river end?", "The bank of the river was muddy."]
second = ["In the sea.", "It had rained all night."]
batch = tokenizer(first, second, padding=True, return_tensors="pt")
ids, types, mask = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
B, T = ids.shape
tokens = [tokenizer.convert_ids_to_tokens(row) for row in ids]
print(f"B = {B}, T = {T}")
print(*tokens[0])

# %% [markdown] items="003-05"
# ## Embeddings: three tables
#
# Every token becomes the **sum of three vectors**, each from a table whose numbers were
# learned:
#
# $$x_t = \text{word}[\text{id}_t] + \text{position}[t] + \text{type}[\text{type}_t]$$

# %% tags=["picture"]
plots.diagram(
    boxes={
        "ids": plots.Box(0, 0, "input_ids (B, T)", 0, 1.2),
        "places": plots.Box(0, 1, "0, 1, 2 ... T - 1", 0, 1.2),
        "types": plots.Box(0, 2, "token_type_ids (B, T)", 0, 1.2),
        "words": plots.Box(1.5, 0, "word table\n(V, H)", 1, 1.1),
        "positions": plots.Box(1.5, 1, "position table\n(512, H)", 1, 1.1),
        "kinds": plots.Box(1.5, 2, "type table\n(2, H)", 1, 1.1),
        "sum": plots.Box(2.7, 1, "sum\n(B, T, H)", 3, 0.8),
        "norm": plots.Box(3.7, 1, "LayerNorm,\ndropout", 4, 0.9),
        "out": plots.Box(4.75, 1, "(B, T, H)", 5, 0.8),
    },
    arrows=[
        ("ids", "words"),
        ("places", "positions"),
        ("types", "kinds"),
        ("words", "sum"),
        ("positions", "sum"),
        ("kinds", "sum"),
        ("sum", "norm"),
        ("norm", "out"),
    ],
    alt="Three tables are looked up: words (V, H) by input_ids, positions (512, H) by 0 to T "
    "- 1, types (2, H) by token_type_ids. The three results are added to (B, T, H), then "
    "LayerNorm and dropout follow.",
)

# %% [markdown]
# We take the real tables out of the model. `w` holds all its weights by name. What we build uses
# `w` alone; the model is there to compare with.

# %%
w = ours.state_dict()
words = w["embeddings.word_embeddings.weight"]
positions = w["embeddings.position_embeddings.weight"]
kinds = w["embeddings.token_type_embeddings.weight"]
words.shape, positions.shape, kinds.shape

# %% [markdown] items="003-12"
# **Words.** Books write the lookup as a product, and so does a comment of the article, [B, m] →
# [B, m, vocab] → [B, m, n]: each id becomes a row of zeros with a single 1 (*one-hot*), V numbers
# long, times the table. Indexing gives the same, and the zeros are never built.

# %%
one_hot = F.one_hot(ids, num_classes=len(words)).float()  # (B, T, V)
assert torch.allclose(one_hot @ words, words[ids], atol=1e-6)

bytes_saved = 32 * 128 * 30522 * 4  # 32 texts of 128 tokens, 4 bytes a number
print(f"{tuple(one_hot.shape)} -> {tuple(words[ids].shape)}")
print(f"never built for 32 texts of 128 tokens: {bytes_saved / 1e6:.0f} MB")
assert round(bytes_saved / 1e6) == 500

# %% [markdown] items="003-08 002-59"
# **Positions.** The Transformer reckons its positions from sines and cosines. BERT **learns**
# them: row 5 of a table is what it knows about being in place 5. There is a price: the table
# ends. It has 512 rows in every BERT that Google released, so T may be 512, and a 513th token has
# no position. (The repository's page asks for a table *larger* than the sequence. Equal is
# enough.)

# %%
longest, some_word = config.max_position_embeddings, tokenizer.unk_token_id
assert ours(torch.full((1, longest), some_word)).last_hidden_state.shape == (1, longest, H)
for name, model in (("ours", ours), ("transformers", theirs)):
    try:
        model(torch.full((1, longest + 1), some_word))
    except (ValueError, RuntimeError) as error:
        print(f"{name}: {type(error).__name__}: {error}\n")

# %% [markdown]
# What did the table learn? Compare its first 48 rows with each other.

# %%
unit = F.normalize(positions, dim=-1)
alike = unit @ unit.T
plots.heatmap(
    alike[:48, :48],
    title="Cosine similarity of position vectors",
    row_title="position",
    column_title="position",
    limits=(-0.2, 1),
    alt="Heat map of 48 position vectors against each other. Next to the bright diagonal run "
    "parallel stripes, brighter and darker by turns. Position 0 is like no other.",
)

# %%
if EMBEDDED:
    distances = {
        d: alike[1:60, 1:60].diagonal(d).mean().item() for d in (1, 3, 6, 9, 12, 21, 30)
    }
    print("distance: similarity ", {d: round(value, 2) for d, value in distances.items()})
    assert distances[1] > 0.8 and distances[3] < distances[6] > distances[9] < distances[12]
    assert abs(distances[21]) < 0.1 < 0.3 < distances[30]
    assert alike[0, 1:48].abs().max() < 0.4

# %% [markdown]
# Neighbours are alike. Nobody told the model that 5 stands next to 6; the texts did. Then come
# **waves**: positions 6 or 12 apart are more alike than positions 9 apart, at 21 they have nothing in
# common, and at 30 they are alike again. The Transformer *prescribes* waves, its sines and cosines; this BERT *learned*
# some. And position 0, where `[CLS]` always stands, is like no other.
#
# **Predict:** we set all position vectors to zero. What can the model still say about *The dog
# bites the man* and *The man bites the dog*?


# %%
def sentence_vectors(model, texts):
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    hidden = model(**encoded).last_hidden_state
    return pooling.masked_mean(hidden, encoded["attention_mask"])


bites = ["The dog bites the man.", "The man bites the dog."]
no_order = copy.deepcopy(ours)
no_order.embeddings.position_embeddings.weight.zero_()
for name, model in (("with positions", ours), ("without", no_order)):
    dog, man = sentence_vectors(model, bites)
    print(f"{name:15} largest difference {(dog - man).abs().max():.7f}")
    assert torch.allclose(dog, man, atol=1e-5) == (model is no_order)

# %% [markdown] items="003-07"
# Not a trace of the order is left. Everything else in BERT treats a text as a **bag of
# tokens**: only the positions know who bit whom. (In Chinese the two sentences, 狗咬人 and 人咬狗,
# differ in nothing but the order of three characters.)
#
# **Types.** Two rows: 0 for the first text and its special tokens, 1 for the second and its own.

# %% [markdown]
# ### Exercise 1 · Sum three tables (5 minutes)
#
# Write `embed(input_ids, token_type_ids, words, positions, types)`. `input_ids` and
# `token_type_ids` have shape (B, T). The three tables are plain tensors: `words` (V, H),
# `positions` (P, H) with P ≥ T rows, `types` (S, H). Position 0 is the first token of each text.
# The result is the sum before LayerNorm, (B, T, H).


# %%
def embed(input_ids, token_type_ids, words, positions, types):
    # BEGIN SOLUTION
    tokens = input_ids.shape[1]
    return words[input_ids] + positions[:tokens] + types[token_type_ids]
    # END SOLUTION


# %%
check.embed(embed)

# %% [markdown]
# <details><summary>Hint 1</summary>A table is indexed by a tensor of whole numbers: <code>words[input_ids]</code> has shape
# (B, T, H).</details>
# <details><summary>Hint 2</summary>All texts have the same positions, 0 to T − 1: <code>positions[:T]</code>, shape (T, H).
# Added to (B, T, H), it is repeated for each text.</details>

# %% [markdown] items="003-06"
# ### The sum
#
# In the Transformer the word vectors are multiplied by √H first, and the article says that
# BERT's are exactly the Transformer's. **They are not:** there is no such factor. We know because
# the numbers agree without it. (The LayerNorm in this cell is explained in the next section.)

# %%
total = words[ids] + positions[torch.arange(T)] + kinds[types]  # (B, T, H)
scale, shift = w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"]
x = F.layer_norm(total, (H,), scale, shift, EPS)
reference = theirs(**batch, output_hidden_states=True)
assert torch.allclose(x, reference.hidden_states[0], atol=1e-5)
assert torch.allclose(x, ours.embeddings(words[ids], types, torch.arange(T)[None]), atol=1e-6)
print(f"difference to transformers: {(x - reference.hidden_states[0]).abs().max():.0e}")

# %% [markdown]
# `positions[torch.arange(T)]` is (T, H), and the others are (B, T, H): PyTorch *broadcasts*, it
# uses the same positions for every text.
#
# How much does each table bring? By the mean length of its vectors, the words bring nearly twice
# as much as the positions:

# %%
for name, table in (("word", words[ids]), ("position", positions[:T]), ("type", kinds)):
    print(f"{name:9} {table.norm(dim=-1).mean():.2f}")
if EMBEDDED:
    ratio = words[ids].norm(dim=-1).mean() / positions[:T].norm(dim=-1).mean()
    assert 1.8 < ratio < 2

# %% [markdown] items="003-17"
# ## LayerNorm
#
# After the sum comes **LayerNorm** (Ba et al. 2016). It keeps the numbers at one size through all layers,
# whatever is added to them on the way. For each token alone, it moves and scales
# the H numbers so that their mean is 0 and their spread (standard deviation) is 1; then two
# learned vectors, *scale* and *shift*, stretch and move each of the H places by itself (most scales
# here are below 1):
#
# $$y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \cdot \text{scale} + \text{shift}$$
#
# ε, here 10⁻¹², keeps the root away from zero. In the embeddings the article leaves LayerNorm
# out, and the dropout after it too. BERT has both.

# %%
normalised = F.layer_norm(total, (H,), eps=1e-12)  # without scale and shift
for name, values in (("the sum", total), ("normalised", normalised), ("scaled, shifted", x)):
    means = " ".join(f"{value:6.2f}" for value in values[0, :4].mean(-1))
    spreads = " ".join(f"{value:5.2f}" for value in values[0, :4].std(-1, correction=0))
    print(f"{name:16} means {means}   spreads {spreads}")
assert torch.allclose(normalised.mean(-1), torch.zeros(B, T), atol=1e-5)
assert torch.allclose(normalised.std(-1, correction=0), torch.ones(B, T), atol=1e-3)
assert not EMBEDDED or (EPS == 1e-12 and (scale < 1).float().mean() > 0.9)

# %% [markdown]
# ### Exercise 2 · LayerNorm by hand (8 minutes)
#
# Write the formula above as `layer_norm(x, scale, shift, eps)` for `x` (B, T, H), without
# `nn.LayerNorm` and `F.layer_norm`; the check notices them. Each vector, that is each token of each text, has its own mean and variance:
#
# $$\mu = \frac1H \sum_h x_h \qquad \sigma^2 = \frac1H \sum_h (x_h - \mu)^2$$


# %%
def layer_norm(x, scale, shift, eps):
    # BEGIN SOLUTION
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * scale + shift
    # END SOLUTION


# %%
check.layer_norm(layer_norm)

# %% [markdown]
# <details><summary>Hint 1</summary>Means are over the last dimension: <code>dim=-1</code>. With <code>keepdim=True</code> they have
# shape (B, T, 1), so that they can be subtracted from <code>x</code>.</details>
# <details><summary>Hint 2</summary>The variance divides by H, and <code>x.var</code> by H − 1 unless you say
# <code>correction=0</code>. The eps stands inside the root.</details>

# %% [markdown]
# ## One head of attention
#
# So far every token knows only itself. **Attention** lets it gather from all tokens, those before it, itself,
# and those after it: that is the B of BERT, *bidirectional*. (GPT is *causal*: a token sees itself and what
# comes before.) Three linear layers give three views of each token:
#
# - its **query**: what am I looking for?
# - its **key**: what have I to offer?
# - its **value**: what do I hand over?
#
# The product of a query and a key is a *score*. The softmax makes weights out of a token's
# scores, positive and with sum 1; with these weights the values are averaged:
#
# $$\text{Attention}(Q, K, V) = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt{D}}\right) V$$

# %% tags=["picture"]
plots.diagram(
    boxes={
        "x": plots.Box(0, 1, "x\n(B, T, H)", 0, 0.85),
        "q": plots.Box(1.15, 0, "queries Q\n(B, T, D)", 1, 1.0),
        "k": plots.Box(1.15, 1, "keys K\n(B, T, D)", 1, 1.0),
        "v": plots.Box(1.15, 2, "values V\n(B, T, D)", 1, 1.0),
        "s": plots.Box(2.4, 0.5, "scores\n(B, T, T)", 2, 0.9),
        "a": plots.Box(3.55, 0.5, "weights\n(B, T, T)", 3, 0.9),
        "o": plots.Box(4.7, 1.25, "mixed values\n(B, T, D)", 5, 1.1),
    },
    arrows=[
        ("x", "q"),
        ("x", "k"),
        ("x", "v"),
        ("q", "s"),
        ("k", "s"),
        ("s", "a", "softmax"),
        ("a", "o"),
        ("v", "o"),
    ],
    alt="From x (B, T, H) three linear layers make queries, keys and values, (B, T, D) each. "
    "Queries times keys give scores (B, T, T), the softmax makes weights of them, and the "
    "weights average the values into (B, T, D).",
)

# %% [markdown]
# We build the first head of the first layer. Its weights are the first D rows of three matrices,
# so its queries, keys and values are the first D columns of what these give.


# %%
def linear(x, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


attention = "encoder.layer.0.attention"
q, k, v = (linear(x, f"{attention}.self.{part}") for part in ("query", "key", "value"))
q_1, k_1, v_1 = q[..., :D], k[..., :D], v[..., :D]  # head 1: (B, T, D) each
# (B, T, T): row i holds what token i thinks of each token
scores = q_1 @ k_1.transpose(1, 2) / math.sqrt(D)
q.shape, q_1.shape, scores.shape

# %% [markdown]
# ### The mask
#
# **Predict:** the first text has real tokens and padding. With these scores, how much of its
# attention goes to the padding: none, a little, or about its share of the places?

# %%
careless = scores.softmax(dim=-1)
padding = mask == 0  # (B, T)
share = careless[0][~padding[0]][:, padding[0]].sum(-1).mean()
print(f"{padding[0].sum()} of {T} places are padding; they get {share:.0%} of the attention")
assert not EMBEDDED or 0.5 < share / (padding[0].sum() / T) < 0.9

# %% [markdown]
# More than half of its share. Padding has vectors, so it has keys, so it gets weight. The mask must
# take it away **before** the softmax. Four ways to try, in one row with two real tokens and two of
# padding:

# %%
row, hidden_places = torch.tensor([1.0, 2.0, 3.0, 3.0]), torch.tensor([0, 0, 1, 1]).bool()
keep = (~hidden_places).float()
ways = {
    "scores times 0": (row * keep).softmax(-1),
    "weights times 0": row.softmax(-1) * keep,
    "scores minus infinity": row.masked_fill(hidden_places, -math.inf).softmax(-1),
    "scores minus 32768": (row - 32768 * (1 - keep)).softmax(-1),
}
for way, weights in ways.items():
    print(f"{way:22} {[round(n, 3) for n in weights.tolist()]}  sum {weights.sum():.2f}")
assert ways["scores times 0"][2] > 0.05 and ways["weights times 0"].sum() < 0.3
assert torch.equal(ways["scores minus infinity"], ways["scores minus 32768"])

# %% [markdown]
# The first leaves weight on the padding: e⁰ is 1. The second loses weight: the row does not sum
# to 1. The last two are right. They differ in one case only, a text without any token:

# %%
all_padding = torch.full((4,), True)
print(row.masked_fill(all_padding, -math.inf).softmax(-1))
print((row - 32768 * all_padding).softmax(-1))
assert row.masked_fill(all_padding, -math.inf).softmax(-1).isnan().all()

# %% [markdown]
# Not a number, and it spreads to all that is computed from it. The second row means nothing
# either, but it does no harm. So BERT **adds a large negative number** to the scores of padding.
# (Google's code adds −10000, ours −32768, half of what float16 can hold.)
#
# The mask is (B, T) and the scores (B, T, T), so it needs a dimension in the middle: it hides
# **columns**, the tokens that are looked at. In the maps below, each row is a token that looks, and
# each column a token that is looked at. The brighter a square, the more weight it has.

# %%
hide = (1 - mask)[:, None, :] * -32768.0  # (B, 1, T): 0 to see, -32768 not to see
weights = (scores + hide).softmax(dim=-1)
assert weights[0][:, padding[0]].max() == 0
assert torch.allclose(weights.sum(-1), torch.ones(B, T))

plots.heatmaps(
    [careless[0], weights[0]],
    titles=["without the mask", "with the mask"],
    labels=tokens[0],
    columns=2,
    limits=(0, 0.5),
    alt="Two heat maps of the attention of layer 1, head 1, over a text with padding. Without "
    "the mask the columns of [PAD] have weight. With it they are empty, and the rest is "
    "larger.",
)

# %% [markdown]
# The rows of `[PAD]` are still there: padding looks at the text, and gets vectors too. No real token
# reads them. They do harm only where *you* use them, as a mean without the mask does (notebook 01).

# %% [markdown]
# ### Why divide by √D?
#
# A score is a sum of D products. If each has spread 1 and knows nothing of the others, the sum has
# spread √D. And a softmax of numbers that lie far apart gives nearly everything to one place.
#
# **Predict:** take random queries and keys, 16 tokens. How much weight does the largest place
# get on average, for D from 4 to 1024, with and without the division?

# %%
generator = torch.Generator().manual_seed(0)
sizes = [4, 16, 64, 256, 1024]
largest = {"divided by √D": [], "not divided": []}
for size in sizes:
    queries, keys = torch.randn(2, 64, 16, size, generator=generator)
    raw = queries @ keys.transpose(1, 2)
    largest["divided by √D"].append((raw / math.sqrt(size)).softmax(-1).amax(-1).mean().item())
    largest["not divided"].append(raw.softmax(-1).amax(-1).mean().item())
plots.lines(
    largest,
    x=[int(math.log2(size)) for size in sizes],
    title="Weight of the place with most weight, of 16",
    x_title="D as a power of 2: at 2 it is 4, at 10 it is 1024",
    y_title="mean weight",
    y_limits=(0, 1),
    alt="Two curves over the head size D. Divided by the root of D, the largest weight stays "
    "near a quarter. Not divided, it rises from 0.4 to nearly 1.",
)

# %%
assert min(largest["divided by √D"]) > 0.2 and max(largest["divided by √D"]) < 0.3
assert 0.38 < largest["not divided"][0] < 0.46 and largest["not divided"][-1] > 0.95

# %% [markdown]
# Divided, attention can spread whatever D is. Not divided, each token would look at one place
# alone, and the softmax would pass on almost no gradient.

# %% [markdown]
# ### Exercise 3 · One head of attention (10 minutes)
#
# Write `attention_head(q, k, v, mask)`: `q`, `k` and `v` have shape (B, T, D), `mask` (B, T) is 1
# for real tokens and 0 for padding. Nobody looks at padding: its weight is 0, and the other
# weights of each row sum to 1. The result has shape (B, T, D).
#
# $$\text{softmax}\left(\frac{Q K^\top}{\sqrt{D}}\right) V$$


# %%
def attention_head(q, k, v, mask):
    # BEGIN SOLUTION
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5  # (B, T, T)
    scores = scores.masked_fill(mask[:, None, :] == 0, float("-inf"))
    return scores.softmax(dim=-1) @ v
    # END SOLUTION


# %%
check.attention_head(attention_head)

# %% [markdown]
# <details><summary>Hint 1</summary><code>scores = q @ k.transpose(1, 2)</code> has shape (B, T, T): row i holds what token i thinks
# of each other one. The softmax is over each row, <code>dim=-1</code>.</details>
# <details><summary>Hint 2</summary>Before the softmax, put minus infinity into the columns of padding:
# <code>masked_fill(mask[:, None, :] == 0, float("-inf"))</code>. e to the minus infinity is 0.</details>

# %% [markdown]
# Here is the end of our first head, and the same in the library. `causal=False`: it looks both
# ways. `explicit=True` asks for the formula, with its table of weights.

# %%
head_1 = weights @ v_1  # (B, T, D)
library = ours.encoder.layer[0].attention.self
additive = hide[:, None]  # (B, 1, 1, T): one more dimension, for the heads
mixed, library_weights = library(x, additive, causal=False, explicit=True)
assert torch.allclose(mixed[..., :D], head_1, atol=1e-5)
assert torch.allclose(library_weights[:, 0], weights, atol=1e-6)
head_1.shape, mixed.shape, library_weights.shape

# %% [markdown] items="003-14"
# ## All heads at once
#
# One head asks one question. BERT asks N questions in every layer, with **N heads side by side**.
# Each reads all of x, and has D = H / N columns of Q, K and V to itself. So together they cost
# about what one wide head would cost. (The article has widths `k=768, v=768`, and 12 heads in its
# test. Whether 768 is meant for a head or for all together cannot be seen there. In bert-base it is
# 64 for a head.)
#
# With a loop, it is N times what we did:

# %%
loop = []
for n in range(N):
    q_n, k_n, v_n = (part[..., n * D : (n + 1) * D] for part in (q, k, v))
    weights_n = (q_n @ k_n.transpose(1, 2) / math.sqrt(D) + hide).softmax(-1)
    loop.append(weights_n @ v_n)
loop = torch.cat(loop, dim=-1)  # (B, T, N * D) = (B, T, H)
assert torch.allclose(loop, mixed, atol=1e-5)
loop.shape

# %% [markdown]
# Without a loop, the heads become one more dimension of the batch: (B, T, H) must turn into
# (B, **N**, T, D). Four tokens with six numbers each show how. Every number is the number of
# its token.

# %%
toy = torch.arange(4.0)[:, None].expand(4, 6)[None].contiguous()  # (1, T = 4, H = 6), 2 heads
toy[0].int()

# %% [markdown]
# **Predict:** `toy.view(1, 2, 4, 3)` has the shape (B, N, T, D) that we want. Which tokens does
# its first head see?

# %%
wrong = toy.view(1, 2, 4, 3)
right = torch.stack([toy[..., :3], toy[..., 3:]], dim=1)  # each head its columns
assert wrong.shape == right.shape
plots.heatmap(
    torch.stack([wrong[0, 0, :, 0], wrong[0, 1, :, 0], right[0, 0, :, 0], right[0, 1, :, 0]]),
    rows=["view: head 1", "view: head 2", "by columns: head 1", "by columns: head 2"],
    columns=["row 1", "row 2", "row 3", "row 4"],
    numbers="{:.0f}",
    title="Which token stands in which row of a head",
    alt="Table of which token stands in each of the four rows of a head. With view, head 1 "
    "holds tokens 0, 0, 1, 1 and head 2 tokens 2, 2, 3, 3. By columns both heads hold "
    "tokens 0, 1, 2, 3.",
)

# %% [markdown]
# `view` never moves a number; it only counts them off in another way. The first head got tokens
# 0 and 1 twice, and the second 2 and 3. **The shape was right, no error came**, and a model would
# train with its tokens cut in pieces. One step more is needed: exercise 4.

# %%
assert wrong[0, 0, :, 0].tolist() == [0, 0, 1, 1]
assert right[0, 0, :, 0].tolist() == right[0, 1, :, 0].tolist() == [0, 1, 2, 3]

# %% [markdown]
# ### Exercise 4 · Many heads by one reshape (8 minutes)
#
# Write `split_heads(x, heads)`: (B, T, H) becomes (B, N, T, D), where N is `heads` and D = H / N.
# Head n gets the columns n·D to (n + 1)·D of every token's vector.


# %%
def split_heads(x, heads):
    # BEGIN SOLUTION
    batch, tokens, width = x.shape
    return x.view(batch, tokens, heads, width // heads).transpose(1, 2)
    # END SOLUTION


# %%
check.split_heads(split_heads)

# %% [markdown]
# <details><summary>Hint 1</summary>A view may cut the last dimension in two, (B, T, H) to (B, T, N, D); it never moves
# a number.</details>
# <details><summary>Hint 2</summary>Then let T and N change places: <code>.transpose(1, 2)</code>. A view straight to
# (B, N, T, D) has the right shape and mixes the tokens.</details>

# %% [markdown]
# ### All heads in one step
#
# In the library it is `unflatten`, which cuts one dimension in two, and `transpose`. On the way
# back, `flatten` joins N and D again.


# %%
def split(x):
    return x.unflatten(-1, (N, D)).transpose(1, 2)  # (B, T, H) -> (B, N, T, D)


weights = (split(q) @ split(k).transpose(-1, -2) / math.sqrt(D) + additive).softmax(-1)
together = (weights @ split(v)).transpose(1, 2).flatten(2)  # (B, T, H)
assert torch.allclose(together, loop, atol=1e-5)
assert torch.allclose(weights, library_weights, atol=1e-6)
weights.shape, together.shape

# %% [markdown] items="003-18"
# PyTorch has the whole of it as one function, which need not keep the (B, N, T, T) table. The
# library uses it unless you ask for attentions. (The article receives the table from every layer
# and drops it. BERT hands it out on request, and the hidden states too.)

# %%
fused = F.scaled_dot_product_attention(split(q), split(k), split(v), additive)
assert torch.allclose(fused.transpose(1, 2).flatten(2), together, atol=1e-5)
print(f"largest difference: {(fused.transpose(1, 2).flatten(2) - together).abs().max():.0e}")

# %% [markdown]
# ## Add and normalise
#
# What the heads found lies side by side. One more linear layer, H to H, mixes it. Then comes a
# move that made very deep networks trainable: the result is not the new vector, it is **added**
# to the old one (a *residual connection*, He et al. 2015), and LayerNorm follows. A layer then only has to
# learn a correction, and the sum hands gradients on to the layers below as they are.
#
# $$x \leftarrow \text{LayerNorm}\big(x + W_o\,\text{heads}(x) + b_o\big)$$
#
# BERT normalises *after* the sum (*post-norm*). Most later models normalise what goes into the
# attention and into the feed-forward part (*pre-norm*), which trains more easily.


# %%
def norm(x, name):
    return F.layer_norm(x, (H,), w[f"{name}.weight"], w[f"{name}.bias"], EPS)


after_attention = norm(
    x + linear(together, f"{attention}.output.dense"), f"{attention}.output.LayerNorm"
)
assert torch.allclose(
    after_attention, ours.encoder.layer[0].attention.output(together, x), atol=1e-5
)
after_attention.shape

# %% [markdown]
# ## Feed-forward
#
# Attention moves things between tokens. The second half of a layer works on **each token
# alone**: a linear layer widens H to F, an *activation* bends, and a second one narrows F back to
# H. (Without the bend the two linear layers would be one.) Then add and normalise again.
#
# $$x \leftarrow \text{LayerNorm}\big(x + W_2\,\text{gelu}(W_1 x + b_1) + b_2\big)$$
#
# The activation is the **GELU** (Hendrycks and Gimpel 2016): x times the probability that a
# normally distributed number (mean 0, spread 1) is below x. The Transformer has ReLU there.

# %%
line = torch.linspace(-4, 4, 33)
plots.lines(
    {"gelu": F.gelu(line), "relu": F.relu(line)},
    x=line.tolist(),
    title="Two activations",
    x_title="x",
    alt="Curves of gelu and relu from -4 to 4. Far from zero they agree. Near zero gelu is "
    "round, and a little below zero for negative x.",
)

# %% [markdown] items="002-57"
# There is a second formula, with tanh. Google's code began with the exact form, with erf, and
# later took the other. Configurations of BERT say `gelu`; transformers takes it for **the exact
# form**, and calls the other `gelu_new`.

# %%
fine = torch.linspace(-6, 6, 12001, dtype=torch.float64)
gap = (F.gelu(fine) - F.gelu(fine, approximate="tanh")).abs().max()
print(f"the two forms differ by at most {gap:.4f}")
assert 0.0004 < gap < 0.0006

# %% [markdown]
# ### Exercise 5 · The exact GELU (5 minutes)
#
# Write `gelu(x)` for a tensor of any shape, without `F.gelu` and `nn.GELU`; the check notices them. `torch.erf` is
# there to be used.
#
# $$\text{gelu}(x) = \frac{x}{2} \left(1 + \text{erf}\left(\frac{x}{\sqrt 2}\right)\right)$$


# %%
def gelu(x):
    # BEGIN SOLUTION
    return x / 2 * (1 + torch.erf(x / 2**0.5))
    # END SOLUTION


# %%
check.gelu(gelu)

# %% [markdown]
# <details><summary>Hint 1</summary>The root of 2 is <code>2**0.5</code>, and it divides inside the brackets of erf.</details>
# <details><summary>Hint 2</summary>Two factors in one line: <code>x / 2</code> times <code>(1 + torch.erf(...))</code>. Try it on 0 and
# on 10: the results are 0 and 10.</details>

# %%
first_layer = "encoder.layer.0"
wide = F.gelu(linear(after_attention, f"{first_layer}.intermediate.dense"))  # (B, T, F)
narrow = linear(wide, f"{first_layer}.output.dense")  # (B, T, H)
after_layer = norm(after_attention + narrow, f"{first_layer}.output.LayerNorm")
assert torch.allclose(after_layer, reference.hidden_states[1], atol=1e-5)
assert torch.allclose(
    after_layer, ours.encoder.layer[0](x, additive, causal=False, explicit=False)[0], atol=1e-5
)
wide.shape, after_layer.shape

# %% [markdown]
# This is the first layer's output, and it agrees with transformers. *Each token alone*: here the
# fourth token gives the same whether the others are there or not. The picture after that shows a
# whole layer.

# %%
alone = F.gelu(linear(after_attention[:, 3:4], f"{first_layer}.intermediate.dense"))
assert torch.allclose(alone, wide[:, 3:4], atol=1e-5)

# %% tags=["picture"]
plots.diagram(
    boxes={
        "x": plots.Box(0, 0, "x\n(B, T, H)", 0, 0.85),
        "att": plots.Box(1.1, 1, "N heads,\nlinear", 2, 0.95),
        "add1": plots.Box(2.2, 0, "+, LayerNorm\n(B, T, H)", 4, 1.1),
        "ff": plots.Box(3.35, 1, "H → F, gelu,\nF → H", 2, 1.05),
        "add2": plots.Box(4.5, 0, "+, LayerNorm\n(B, T, H)", 4, 1.1),
    },
    arrows=[
        ("x", "add1", "residual"),
        ("x", "att"),
        ("att", "add1"),
        ("add1", "add2", "residual"),
        ("add1", "ff"),
        ("ff", "add2"),
    ],
    alt="One layer. x goes two ways: straight on, and through the heads and a linear layer; "
    "both are added and normalised. The same again with the feed-forward part. All arrows "
    "that leave a LayerNorm carry (B, T, H).",
)

# %% [markdown] items="002-58"
# ### Where dropout acts
#
# In training, **dropout** sets random numbers to 0 and enlarges the rest, so that the model
# cannot lean on any single one. BERT has it in four places:
#
# | place | field | set to 0 |
# |---|---|---|
# | after the LayerNorm of the embeddings | `hidden_dropout_prob` | numbers of vectors |
# | after the linear layer of attention, before the sum | `hidden_dropout_prob` | the same |
# | after the second linear layer of feed-forward, before the sum | `hidden_dropout_prob` | the same |
# | after the softmax of attention | `attention_probs_dropout_prob` | **weights** |
#
# Both are 0.1 in BERT. **Predict:** after the last of them, does a row of weights still sum to 1?

# %%
torch.manual_seed(0)
dropped = F.dropout(weights, p=0.1).sum(-1)
print(f"rows sum to {dropped.min():.2f} up to {dropped.max():.2f}, mean {dropped.mean():.2f}")
assert dropped.min() < 0.95 and dropped.max() > 1.05
assert not EMBEDDED or dropped.min() < 0.005

# %% [markdown]
# It does not, only on average. One token is hidden from another for one step, in one head. Where
# nearly all weight was on that one, nearly nothing is left: a sum of 0.00.

# %% [markdown]
# ## The pooler
#
# For a task on whole texts, BERT takes the first token of the last layer through one linear
# layer and tanh. You rebuilt it in notebook 01.
#
# ## All of BERT
#
# That is everything. Here it is in one cell: three tables, L layers, the pooler. It uses the
# weights `w` and no class of any library.


# %%
def bert_by_hand(ids, types, mask):
    """Ids, types and mask (B, T) -> L + 1 hidden states (B, T, H) and the pooled (B, H)."""
    table = "embeddings.{}_embeddings.weight"
    x = w[table.format("word")][ids] + w[table.format("token_type")][types]
    x = norm(x + w[table.format("position")][: ids.shape[1]], "embeddings.LayerNorm")
    hide = (1 - mask)[:, None, None, :] * -32768.0
    states = [x]
    for number in range(L):
        layer = f"encoder.layer.{number}"
        q, k, v = (
            split(linear(x, f"{layer}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(D) + hide).softmax(-1)
        heads = (weights @ v).transpose(1, 2).flatten(2)
        x = x + linear(heads, f"{layer}.attention.output.dense")
        x = norm(x, f"{layer}.attention.output.LayerNorm")
        wide = F.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        states.append(x)
    return states, torch.tanh(linear(x[:, 0], "pooler.dense"))


states, pooled = bert_by_hand(ids, types, mask)
len(states), pooled.shape

# %% [markdown]
# **Is it BERT?** Compare with transformers, layer by layer.

# %%
real = mask.bool()
differences = {
    "embeddings" if i == 0 else f"layer {i}": (a - b)[real].abs().max().item()
    for i, (a, b) in enumerate(zip(states, reference.hidden_states, strict=True))
}
differences["pooler"] = (pooled - reference.pooler_output).abs().max().item()
assert max(differences.values()) < 1e-4 and (not EMBEDDED or max(differences.values()) < 1e-5)
assert not EMBEDDED or all((a[real].abs() < 1).float().mean() > 0.9 for a in states)
plots.bars(
    differences,
    form="{:.1e}",
    title="Largest difference to transformers",
    alt="Bar chart of the largest difference between our hidden states and those of "
    "transformers: below 0.00001 for the embeddings, every layer and the pooler.",
)

# %% [markdown]
# Most of the numbers lie between −1 and 1, and they differ in the sixth place after the point: two
# ways to add up the same sums.
#
# The library's classes do the same with modules that can be trained, and with checks where this
# cell would fail strangely, or not at all. Open `course_lib/bert.py`: one sitting is enough.

# %%
outputs = ours(**batch, output_hidden_states=True)
for mine, library_state in zip(states, outputs.hidden_states, strict=True):
    assert torch.allclose(mine[real], library_state[real], atol=1e-4)
assert torch.allclose(pooled, outputs.pooler_output, atol=1e-4)

# %% [markdown]
# ## Weights from a file
#
# A checkpoint is a dictionary, name to tensor. The names are paths through the modules. For our
# model it takes 5 tensors for the embeddings, 16 for each layer, 2 for the pooler.

# %%
assert len(w) == 5 + 16 * L + 2
[
    (name.removeprefix("encoder.layer.0."), tuple(w[name].shape))
    for name in w
    if ".layer.0." in name
]

# %% [markdown]
# The course's loading is **strict**: every name of the encoder must be there, with its shape; only the
# pooler and a head may be new. transformers draws what is missing at random, and only prints a
# warning: read it. When something does not fit, the message should say why:

# %%
from course_lib.errors import ModelFilesError

try:
    bert.BertModel.from_pretrained(vocab_size=21128)  # the vocabulary of bert-base-chinese
except ModelFilesError as error:
    print(error)

# %% [markdown]
# ### Exercise 6 · Old names of weights (8 minutes)
#
# Write `today_name(name)`: the name of a parameter in an old file becomes its name in today's
# `BertModel`. Three rules, and everything else stays as it is:
#
# - a leading `bert.` goes;
# - a last part `gamma` becomes `weight`;
# - a last part `beta` becomes `bias`.
#
# `bert.encoder.layer.3.output.LayerNorm.gamma` becomes `encoder.layer.3.output.LayerNorm.weight`.
# The parts of a name are what stands between its dots.


# %%
def today_name(name):
    # BEGIN SOLUTION
    parts = name.removeprefix("bert.").split(".")
    today = {"gamma": "weight", "beta": "bias"}
    parts[-1] = today.get(parts[-1], parts[-1])
    return ".".join(parts)
    # END SOLUTION


# %%
check.today_name(today_name)

# %% [markdown]
# <details><summary>Hint 1</summary>Text has a method for the beginning: <code>name.removeprefix("bert.")</code>.
# <code>replace</code> acts anywhere in the name, <code>lstrip</code> takes single letters.</details>
# <details><summary>Hint 2</summary><code>parts = name.split(".")</code> gives a list. Change <code>parts[-1]</code> where a dictionary
# knows it, and put the parts together with <code>".".join(parts)</code>.</details>

# %% [markdown]
# The library does this when it reads a file. To see it work, we write the weights under their old
# names, and read them again.

# %%
import tempfile
from pathlib import Path

from safetensors.torch import save_file


def old_name(name):
    ends = {"weight": "gamma", "bias": "beta"} if "LayerNorm" in name else {}
    path, _, last = name.rpartition(".")
    return f"bert.{path}.{ends.get(last, last)}"


with tempfile.TemporaryDirectory() as folder:
    ours.save_pretrained(folder)
    old = {old_name(name): tensor for name, tensor in w.items()}
    save_file(old, Path(folder) / "model.safetensors")
    again = bert.BertModel.from_pretrained(folder)
    print(next(name for name in old if "gamma" in name))
assert torch.equal(again(**batch).last_hidden_state, outputs.last_hidden_state)
assert again.load_report.missing == again.load_report.unexpected == ()

# %% [markdown]
# ## How many parameters, and where
#
# The repository's page lists the first released models and gives 110M (million) to five of them
# and 340M to two. Notebook 01 counted them; now you know the parts. **Predict:** which half of a
# layer has more parameters, attention or feed-forward?

# %%
from course_lib.config import RELEASED, count_parameters

shown = [r for r in RELEASED if r.documented]
parts = {r.name: count_parameters(r) for r in shown}
columns = {
    "words": ["word embeddings"],
    "positions, types": ["position embeddings", "token type embeddings"],
    "attention": ["attention, all layers"],
    "feed-forward": ["feed-forward, all layers"],
    "pooler": ["pooler"],
}
millions = [
    [sum(parts[r.name][part] for part in group) / 1e6 for group in columns.values()]
    + [sum(parts[r.name].values()) / 1e6]
    for r in shown
]
plots.heatmap(
    millions,
    rows=[f"{r.name} ({r.documented})" for r in shown],
    columns=[*columns, "all"],
    numbers="{:.1f}",
    limits=(0, 340),
    title="Millions of parameters; in brackets what the page says",
    alt="Table of seven released models by part, in millions. bert-base-uncased: words 23.4, "
    "attention 28.4, feed-forward 56.7, all 109.5; cased 108.3. bert-large: 335.1 and "
    "333.6. Multilingual 177.9 and 167.4, Chinese 102.3: those of base size differ in "
    "their words alone.",
)

# %%
everything = {r.name: round(sum(parts[r.name].values()) / 1e6) for r in shown}
assert everything == {
    "bert-base-uncased": 109,
    "bert-base-cased": 108,
    "bert-large-uncased": 335,
    "bert-large-cased": 334,
    "bert-base-multilingual-cased": 178,
    "bert-base-multilingual-uncased": 167,
    "bert-base-chinese": 102,
}
counted = sum(tensor.numel() for tensor in w.values())
assert counted == sum(count_parameters(config).values())  # the formula, and the real tensors
for part in parts.values():
    both = part["feed-forward, all layers"] + part["attention, all layers"]
    assert 0.66 < part["feed-forward, all layers"] / both < 0.67
five = [{**parts[r.name], "word embeddings": 0} for r in shown if r.documented == "110M"]
assert len(five) == 5 and all(part == five[0] for part in five)

# %% [markdown] items="002-63 002-64 002-65 002-66 002-67"
# In every layer, two thirds of the parameters are in the feed-forward part. Between the models of
# base size, the number of parameters differs in the word table alone. 110M is right, rounded, for the two
# English ones: 109 and 108. The multilingual ones have 178 (cased: 104 languages, the recommended
# one) and 167 (uncased: 102, the older one), the Chinese one, simplified and traditional, has 102.
# The large ones have 335 and 334, not 340.

# %% [markdown] items="002-61"
# ## New weights
#
# Before training, weights are random: normally distributed with standard deviation
# `initializer_range`, 0.02. The repository's page says *truncated* normal, and Google's code does
# draw again what falls beyond two standard deviations. transformers and this course draw from the
# plain normal distribution, which has nearly 5 % there.

# %%
torch.manual_seed(0)
tiny = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
tiny |= {"vocab_size": 1000, "intermediate_size": 192}
fresh = bert.BertModel(bert.BertConfig(**tiny))
drawn = fresh.encoder.layer[0].intermediate.dense.weight
beyond = (drawn.abs() > 2 * 0.02).float().mean()
print(f"spread {drawn.std():.4f}, beyond two of it {beyond:.1%}")
assert abs(drawn.std() - 0.02) < 0.001 and 0.03 < beyond < 0.06

# %% [markdown] items="003-11"
# The article draws its positions with `torch.randn`, standard deviation 1 (1000 of them, not 512),
# and its words come from `nn.Embedding`, which draws with 1 too. That is **50 times** BERT's 0.02.
# Is it important? A model that knows nothing should find all V words alike: each has the probability
# 1/V. The loss of a word is −ln(probability of the right word), so it is then −ln(1/V) = ln V.
# `BertForMaskedLM` has a head that guesses words by multiplying with the word table once more
# (*tied* weights). We draw the tables with 0.02, with 1, and with 1 beside a head with a matrix of
# its own.

# %%
from torch import nn

from course_lib.heads import BertForMaskedLM

some_ids = torch.randint(5, 1000, (8, 32), generator=torch.Generator().manual_seed(0))
losses = {}
for spread, tied in ((0.02, True), (1.0, True), (1.0, False)):
    torch.manual_seed(0)
    tiny["tie_word_embeddings"] = tied
    guesser = BertForMaskedLM(bert.BertConfig.from_dict(tiny)).eval()
    for table in guesser.bert.embeddings.children():
        if isinstance(table, nn.Embedding):
            table.weight.normal_(std=spread)
    losses[spread, tied] = guesser(some_ids, labels=some_ids.flip(1)).loss.item()
    print(f"tables {spread}, tied {tied}: loss {losses[spread, tied]:.1f}")
print(f"ln V = {math.log(1000):.1f}")
assert abs(losses[0.02, True] - math.log(1000)) < 0.2
assert losses[1.0, True] > 2 * math.log(1000) and abs(losses[1.0, False] - math.log(1000)) < 0.2

# %% [markdown]
# With 1 and tied weights the model begins by being **sure and wrong**: its scores are products
# with the word table, and so they are huge. It first has to unlearn that. The article's head has
# a matrix of its own, so there the 1 does not show at the start.

# %% [markdown] items="003-10 003-13"
# ## The article's BERT, beside ours
#
# Here is the article's model, written again in its own letters: the same arguments, the same
# tables, the same steps. Its `EncoderLayer` is not shown there, so we wrote the Transformer's, with
# ReLU, and with `k` and `v` as widths of one head.


# %%
class ArticleLayer(nn.Module):
    def __init__(self, n, h, k, v, d_ff):
        super().__init__()
        self.h = h
        self.query, self.key = nn.Linear(n, h * k), nn.Linear(n, h * k)
        self.value, self.out = nn.Linear(n, h * v), nn.Linear(h * v, n)
        self.norm_1, self.norm_2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.feed_forward = nn.Sequential(nn.Linear(n, d_ff), nn.ReLU(), nn.Linear(d_ff, n))

    def forward(self, x):
        q, k, v = (
            part(x).unflatten(-1, (self.h, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        x = self.norm_1(x + self.out((weights @ v).transpose(1, 2).flatten(2)))
        return self.norm_2(x + self.feed_forward(x)), weights


class ArticleBert(nn.Module):
    def __init__(self, vocab, n, d_ff, h, n_layers, max_len=1000, k=768, v=768):
        super().__init__()
        self.token_embeddings = nn.Embedding(vocab, n)
        self.segment_embeddings = nn.Embedding(2, n)
        self.pos_embeddings = nn.Parameter(torch.randn(1, max_len, n))
        self.layers = nn.ModuleList(ArticleLayer(n, h, k, v, d_ff) for _ in range(n_layers))

    def forward(self, tokens, segments, m):
        x = self.token_embeddings(tokens) + self.segment_embeddings(segments)
        x = x + self.pos_embeddings[:, : x.shape[1]]
        for layer in self.layers:
            x, _ = layer(x)
        return x


# %% [markdown]
# The article tests it with random ids below 100, random segments of 0 and 1, and a look at the
# shape. The shapes alone are enough: the *meta* device.

# %%
with torch.device("meta"):
    article = ArticleBert(100, 768, 3072, 12, 12)
    tested = article(
        torch.zeros(2, 10, dtype=torch.long), torch.zeros(2, 10, dtype=torch.long), 10
    )
assert tested.shape == (2, 10, 768)
tested.shape

# %% [markdown]
# [2, 10, 768], as in the article. **Predict:** we throw all twelve layers away. What does the
# test say?

# %%
article.layers = nn.ModuleList()
with torch.device("meta"):
    without_layers = article(
        torch.zeros(2, 10, dtype=torch.long), torch.zeros(2, 10, dtype=torch.long), 10
    )
assert without_layers.shape == (2, 10, 768)
without_layers.shape

# %% [markdown] items="003-19"
# The same. **A shape test alone proves little.** (And segments are never random: they are 0 up to and
# including the first `[SEP]`, 1 for the second text and its `[SEP]`, and 0 for padding.) Two tests that tell more: does the argument `m` do anything, and
# does padding change the answer?

# %%
torch.manual_seed(0)
small = ArticleBert(vocab=100, n=48, d_ff=96, h=4, n_layers=2, max_len=64, k=12, v=12).eval()
text = torch.tensor([[1, 17, 42, 65, 2]])  # [CLS], three words, [SEP]
padded = F.pad(text, (0, 3))  # and three of padding, id 0
none = torch.zeros_like
plain = small(text, none(text), 5)
assert torch.equal(plain, small(text, none(text), 3))
change = (small(padded, none(padded), 5)[:, :5] - plain).abs().max()
print(f"another m:    {(small(text, none(text), 3) - plain).abs().max():.2f}")
print(f"more padding: {change:.2f}")
assert change > 0.05

tiny_bert = bert.BertModel(bert.BertConfig.from_dict(tiny)).eval()
seen = F.pad(torch.ones_like(text), (0, 3))
ours_alone = tiny_bert(text).last_hidden_state
ours_padded = tiny_bert(padded, attention_mask=seen).last_hidden_state[:, :5]
print(f"ours:         {(ours_padded - ours_alone).abs().max():.0e}")
assert torch.allclose(ours_padded, ours_alone, atol=1e-5)

# %% [markdown] items="003-15 003-16"
# `m` is never used, and there is no mask: padding counts like a word. So the same text gets other
# vectors in another batch.

# %% [markdown]
# ### Difference by difference
#
# | | the article | BERT |
# |---|---|---|
# | mask | none; `m` is not used | padding is hidden from every head |
# | embeddings | the sum as it is | the sum, LayerNorm, dropout |
# | new weights | tables with spread 1 | tables and linear layers with 0.02, biases 0 |
# | positions | up to 1000 | up to 512 |
# | head width | 768; the article does not say whether for one head or for all together | D = H / N = 64 for one head |
# | activation | ReLU in the head that guesses words; the article does not show that of the layers | exact GELU in both |
# | pooler | Linear and tanh hidden inside the next-sentence head | a part of the model, for any head |
# | hidden states, attentions | dropped | handed out on request |
#
# The pooler matters for what comes next: a classifier of your own can start from BERT's
# trained pooler. The article's model keeps it where no other head can reach it.
#
# Head width, counted: if 768 is the width of *one* head, attention alone is far larger than all
# of bert-base.

# %%
with torch.device("meta"):
    per_head = ArticleBert(100, 768, 3072, 12, 12)  # k = v = 768 for each head
    in_all = ArticleBert(100, 768, 3072, 12, 12, k=64, v=64)
for name, model in (("768 a head", per_head), ("64 a head", in_all)):
    size = sum(p.numel() for p in model.layers.parameters())
    print(f"{name:11} {size / 1e6:.0f} million parameters in the layers")
assert sum(p.numel() for p in per_head.layers.parameters()) > 350e6
assert 85e6 < sum(p.numel() for p in in_all.layers.parameters()) < 86e6

# %% [markdown]
# ### What each difference does
#
# We take the *real* weights and put one difference in at a time: no mask, ReLU, no LayerNorm on
# the embeddings, words times √H, positions drawn with spread 1; and two more, GELU with tanh and
# the same weights read as half as many heads. Then 32 headlines become vectors, and we measure
# their cosine similarity to the right ones.
#
# **Predict:** which one hurts least, and which one leaves nothing?

# %%
from course_lib.datasets import load_dataset

headlines = load_dataset(Path("../data/headlines_en")).dev.texts[:32]
news = tokenizer(headlines, padding=True, return_tensors="pt")


def headline_vectors(model, **changed):
    given = {**news, **changed}
    outputs = model(**{name: value for name, value in given.items() if value is not None})
    hidden, seen = outputs.last_hidden_state, news["attention_mask"]
    return pooling.masked_mean(hidden[:, : seen.shape[1]], seen)


def changed_model(change):
    model = copy.deepcopy(ours)
    change(model)
    return model


def activation(function):
    def change(model):
        for layer in model.encoder.layer:
            layer.intermediate.act = function

    return change


def no_norm(model):
    model.embeddings.LayerNorm = nn.Identity()


def random_positions(model):
    torch.manual_seed(0)
    model.embeddings.position_embeddings.weight.normal_()


def half_the_heads(model):  # the same weights, read as N / 2 heads (one, where N is odd)
    fewer = 1 if N % 2 else N // 2
    for layer in model.encoder.layer:
        layer.attention.self.heads, layer.attention.self.head_size = fewer, H // fewer


def root_of_h(model):
    model.embeddings.word_embeddings.weight.mul_(math.sqrt(H))


right_vectors = headline_vectors(ours)
longer = F.pad(news["input_ids"], (0, 45), value=tokenizer.pad_token_id)
variants = {
    "GELU with tanh": headline_vectors(changed_model(activation(bert.ACTIVATIONS["gelu_new"]))),
    "no mask": headline_vectors(ours, attention_mask=None),
    "half as many heads": headline_vectors(changed_model(half_the_heads)),
    "words times √H": headline_vectors(changed_model(root_of_h)),
    "no mask, 45 more [PAD]": headline_vectors(
        ours, attention_mask=None, input_ids=longer, token_type_ids=None
    ),
    "ReLU": headline_vectors(changed_model(activation(F.relu))),
    "no LayerNorm on embeddings": headline_vectors(changed_model(no_norm)),
    "positions drawn with spread 1": headline_vectors(changed_model(random_positions)),
}
similarity = {
    name: torch.cosine_similarity(vectors, right_vectors).mean().item()
    for name, vectors in variants.items()
}
plots.bars(
    similarity,
    form="{:.2f}",
    title="Cosine similarity to the right vectors",
    alt="Bar chart of eight changes to the real model. GELU with tanh 1.00, no mask 0.96, "
    "half as many heads 0.87, words times root H 0.80, no mask and 45 more [PAD] 0.77, "
    "ReLU 0.63, no LayerNorm on embeddings 0.29, positions drawn with spread 1 about 0.",
)

# %%
if EMBEDDED:
    assert similarity["GELU with tanh"] > 0.999 and 0.93 < similarity["no mask"] < 0.98
    assert 0.8 < similarity["half as many heads"] < 0.93
    assert 0.7 < similarity["words times √H"] < 0.9 and 0.5 < similarity["ReLU"] < 0.75
    assert 0.7 < similarity["no mask, 45 more [PAD]"] < 0.85
    assert similarity["no LayerNorm on embeddings"] < 0.4
    assert similarity["positions drawn with spread 1"] < 0.1
    assert math.sqrt(H) > 15 * words[ids].norm(dim=-1).mean()

# %% [markdown]
# The tanh form does next to nothing. A position vector of spread 1 has length √H, about 20, and a word
# vector has length 1, so the words drown in the positions. The missing mask looks harmless at 0.96; with 45 more `[PAD]` it is 0.77. Every one
# of these models runs, gives the right shapes, and raises nothing.
#
# Read the figure with care. It says what a change does to weights **that were trained without
# it**. Trained with ReLU from the start, a model is fine: the first Transformer was. But *loading
# released weights* asks for every detail to be the same.

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("04_bert_from_scratch")

# %% [markdown]
# ## Summary
#
# - Embeddings are three tables, added and normalised. Only positions know the order.
# - A head: softmax(Q Kᵀ / √D) V, the mask added before the softmax, on columns.
# - N heads are one reshape: cut H into (N, D), then move N before T. A view alone mixes tokens.
# - A layer: heads, add, normalise; feed-forward, add, normalise. L of these, and a pooler.
# - All of BERT fits in one cell, and agrees with transformers in every layer.
# - Compare numbers, not shapes. Every wrong model above had the right shape.
#
# **Read:** Vaswani et al., *Attention Is All You Need* (2017), section 3. Devlin et al., *BERT*
# (2019), section 3. Ba et al., *Layer Normalization* (2016). Hendrycks and Gimpel, *Gaussian
# Error Linear Units* (2016). Xiong et al., *On Layer Normalization in the Transformer
# Architecture* (2020), on post-norm and pre-norm.
#
# **Next:** [05_pretraining_tasks](05_pretraining_tasks.ipynb): how a BERT learns from plain text.
# Your progress so far:

# %%
from course_lib.exercises import progress

progress()
