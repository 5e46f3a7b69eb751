# %% [markdown]
# # What goes into BERT, and what comes out
#
# **You will be able to:** prepare text for BERT and say what each of the three input tensors
# means; name every output and its shape; rebuild `pooler_output` by hand; draw attention;
# choose an output for a task and a [checkpoint](../docs/glossary.md#checkpoint) (saved weights) for a language.
#
# **You need:** [00_start_here](00_start_here.ipynb) and a little PyTorch.
#
# **Time:** 90 minutes with the exercises. (With a model of your own: it needs at least 4
# layers.)
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %%
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from course_lib import plots, pooling, pretrained
from course_lib.exercises import bert_outputs as check

tokenizer = pretrained.load_tokenizer()
model = pretrained.load_model()

# The numbers in the text belong to the embedded model; with another one, the checks on them are skipped.
EMBEDDED = pretrained.find_model().origin == "embedded"
H, L = model.config.hidden_size, model.config.num_hidden_layers
N = model.config.num_attention_heads
assert L >= 4, "this notebook looks at the last four layers: choose a model with at least 4"

# %% tags=["picture"]
plots.diagram(
    boxes={
        "text": plots.Box(0, 1, "text", 5),
        "ids": plots.Box(1.35, 0, "input_ids (B, T)", 0, 1.2),
        "types": plots.Box(1.35, 1, "token_type_ids (B, T)", 0, 1.2),
        "mask": plots.Box(1.35, 2, "attention_mask (B, T)", 0, 1.2),
        "bert": plots.Box(2.55, 1, "BERT", 2, 0.8),
        "last": plots.Box(3.85, -0.3, "last_hidden_state\n(B, T, H)", 1, 1.3),
        "pool": plots.Box(3.85, 0.6, "pooler_output\n(B, H)", 1, 1.3),
        "states": plots.Box(3.85, 1.5, "hidden_states\nL + 1 of (B, T, H)", 1, 1.3),
        "att": plots.Box(3.85, 2.4, "attentions\nL of (B, N, T, T)", 1, 1.3),
    },
    arrows=[
        ("text", "ids"),
        ("text", "types", "tokenizer"),
        ("text", "mask"),
        ("ids", "bert"),
        ("types", "bert"),
        ("mask", "bert"),
        ("bert", "last"),
        ("bert", "pool"),
        ("bert", "states"),
        ("bert", "att"),
    ],
    alt="The tokenizer makes three tensors of shape (B, T) from a text: input_ids, "
    "token_type_ids and attention_mask. BERT turns them into last_hidden_state (B, T, H), "
    "pooler_output (B, H) and, when asked, hidden_states, L + 1 tensors (B, T, H), and "
    "attentions, L tensors (B, N, T, T).",
)

# %% [markdown] items="002-33 001-25 004-67"
# ## From text to ids
#
# BERT does not read letters. The **tokenizer** cuts a text into *tokens* from a fixed
# vocabulary, and gives the number of each, its **id**. Call it like a function.

# %%
encoded = tokenizer("BERT reads unbelievably long sentences.")
encoded["input_ids"]

# %%
tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
tokens

# %% [markdown]
# Three things happened:
#
# - A word that is not in the vocabulary was cut into **word pieces**; `##` marks a piece that continues a word.
# - `[CLS]` was put in front and `[SEP]` at the end. They are written with square brackets; a page that calls them
#   `<CLS>` and `<SEP>` means the same two tokens.
# - Capital letters are gone: this vocabulary is *uncased*.
#
# The ids of the special tokens belong to the vocabulary. Look them up; never write 101 into
# your code.

# %%
special = {
    token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens
}
assert encoded["input_ids"][0] == tokenizer.cls_token_id == special["[CLS]"]
assert not EMBEDDED or special == {
    "[UNK]": 100,
    "[SEP]": 102,
    "[PAD]": 0,
    "[CLS]": 101,
    "[MASK]": 103,
}
special

# %% [markdown]
# | token | use |
# |---|---|
# | `[CLS]` | first token of every input; its vector is often used for the whole text |
# | `[SEP]` | ends a text; stands between the two texts of a pair |
# | `[PAD]` | fills short texts of a batch up to the longest |
# | `[UNK]` | stands for whatever the vocabulary does not have |
# | `[MASK]` | hides a word in pretraining |
#
# Where do ids come from? From `vocab.txt`: one token a line, and **the number of the line is
# the id**, counted from 0.

# %%
files = pretrained.find_model()
if files.vocabulary is None:  # some newer models keep the list in tokenizer.json alone
    lines = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
else:
    lines = files.vocabulary.read_text(encoding="utf-8").split("\n")
assert all(lines[i] == token for i, token in zip(encoded["input_ids"], tokens, strict=True))
{token: lines.index(token) for token in tokens[:4]}

# %% [markdown] items="002-68"
# ### Cased or uncased
#
# An *uncased* model's tokenizer lower-cases the text and takes the accents off (*Café* becomes
# *cafe*) before it cuts. A *cased* model keeps both, and has *us* and *US* in its vocabulary.
# The model and the tokenizer must agree.
#
# **Predict:** our vocabulary was made from lower-cased text. What happens to *US* if we switch
# lower-casing off?

# %%
keeps_case = BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False)
for text in ("The US told us.", "the us told us."):
    print(
        f"{text:18} uncased: {tokenizer.tokenize(text)}   case kept: {keeps_case.tokenize(text)}"
    )
if EMBEDDED:
    assert keeps_case.tokenize("The US told us.")[:2] == ["[UNK]", "[UNK]"]
    assert tokenizer.tokenize("Café US") == tokenizer.tokenize("cafe us")

# %% [markdown]
# Words with capitals are unknown to this vocabulary. With lower-casing on, *US* and *us* become
# one token. That difference is what an uncased model loses.

# %% [markdown] items="002-106 002-111 002-107"
# ### What became of `encode` and `encode_plus`
#
# Older pages show three ways to the same ids. One is enough.
#
# | call | gives | today |
# |---|---|---|
# | `tokenizer(text)` | `input_ids`, `token_type_ids`, `attention_mask` | **use this** |
# | `tokenizer.encode(text)` | the ids alone, a list | works |
# | `tokenizer.encode_plus(text)` | as the first | removed in transformers 5 |
#
# One page writes *encode_ids* in a comment. There is no such method; `encode_plus` was meant.

# %%
text = "I love this world"
assert tokenizer.encode(text) == tokenizer(text)["input_ids"]
assert not hasattr(tokenizer, "encode_plus")
tokenizer.encode(text)

# %% [markdown]
# The model wants a **batch**, even of one text: (B, T), never (T,). `return_tensors="pt"` gives
# PyTorch tensors of that shape. By hand it takes a pair of brackets:

# %%
by_hand = torch.tensor([tokenizer.encode(text)])
assert torch.equal(by_hand, tokenizer(text, return_tensors="pt")["input_ids"])
by_hand.shape

# %% [markdown] items="002-92 002-60 002-90"
# ## Two texts: `token_type_ids`
#
# For a pair of texts, `token_type_ids` says which token belongs to which: 0 for the first text,
# 1 for the second. The configuration calls the number of types `type_vocab_size`: 2, because
# one of BERT's pretraining tasks shows it two texts, A and B. All three inputs are whole
# numbers (`int64`) of shape (B, T).

# %%
pair = tokenizer("Where does the river end?", "In the sea.", return_tensors="pt")
pair_tokens = tokenizer.convert_ids_to_tokens(pair["input_ids"][0])
assert all(
    value.dtype == torch.int64 and value.shape == pair["input_ids"].shape
    for value in pair.values()
)
plots.heatmap(
    torch.stack([pair["token_type_ids"][0], pair["attention_mask"][0]]),
    rows=["token_type_ids", "attention_mask"],
    columns=pair_tokens,
    numbers="{:.0f}",
    limits=(0, 1),
    alt="The tokens of a pair of texts with their token types: 0 from [CLS] to the first "
    "[SEP], 1 from there to the second [SEP]. The attention mask is 1 everywhere.",
)

# %% [markdown]
# The first text has type 0, with its `[CLS]` and its `[SEP]`. The second text and its `[SEP]` have
# type 1. A pair has **three** special tokens.

# %%
first_sep = pair_tokens.index("[SEP]")
assert pair["token_type_ids"][0].tolist() == [0] * (first_sep + 1) + [1] * (
    len(pair_tokens) - first_sep - 1
)
assert model.config.type_vocab_size == 2 or not EMBEDDED

# %% [markdown] items="001-08 001-09 001-10 001-11 001-12 002-91"
# ## Several texts: padding and `attention_mask`
#
# A tensor is a rectangle, texts are not. With `padding=True` the shorter texts are filled with
# `[PAD]` up to the longest one of the batch, and `attention_mask` is 1 for tokens and 0 for
# padding. These are the two sentences of a forum question that we come back to.

# %%
sentences = ["This is a random sentence", "This is another random sentence with more words"]
batch = tokenizer(sentences, padding=True, return_tensors="pt")
batch["input_ids"]

# %%
batch["attention_mask"]

# %%
assert batch["attention_mask"].tolist() == [[1] * 7 + [0] * 3, [1] * 10] or not EMBEDDED
assert batch["token_type_ids"].sum() == 0
batch["token_type_ids"]

# %% [markdown] items="002-93"
# The forum's page prints other numbers for the same words, because it used *bert-base-cased*.
# **Another vocabulary, other ids.** With `COURSE_MODEL` set to one of these names, the next
# cell compares with what the pages printed; without it, the cell shows what they are.

# %%
published = {  # model: {text: ids}
    "bert-base-cased": {
        "This is a random sentence": "101 1188 1110 170 7091 5650 102",
        "This is another random sentence with more words": (
            "101 1188 1110 1330 7091 5650 1114 1167 1734 102"
        ),
    },
    "bert-base-chinese": {
        "我在测试bert": "101 2769 1762 3844 6407 8815 8716 102",
        "我热爱这个世界": "101 2769 4178 4263 6821 702 686 4518 102",
    },
}
for text, ids in published.get(files.name, {}).items():
    assert tokenizer.encode(text) == [int(number) for number in ids.split()]
for name, examples in published.items():
    for text, ids in examples.items():
        print(f"{name}: {text}\n    {ids}")

# %% [markdown]
# The mask matters. In each layer every token gathers something from all tokens, itself included; that is
# called *attention*. Leave the mask out, and it gathers from `[PAD]` too, as if that were a word.
#
# **Predict:** how much of the `[CLS]` vector of the short sentence changes without the mask: a
# thousandth of its length, a hundredth, or more?

# %%
with torch.no_grad():
    with_mask = model(**batch).last_hidden_state[0, 0]
    without_mask = model(input_ids=batch["input_ids"]).last_hidden_state[0, 0]
    alone = model(**tokenizer(sentences[0], return_tensors="pt")).last_hidden_state[0, 0]

length = with_mask.norm()
print(f"with the mask:    {(with_mask - alone).norm() / length:.0e} of the length")
print(f"without the mask: {(with_mask - without_mask).norm() / length:.2f} of the length")
assert torch.allclose(with_mask, alone, atol=1e-4)
assert 0.2 < (with_mask - without_mask).norm() / length < 0.35 or not EMBEDDED

# %% [markdown]
# With the mask, the sentence gets the same vector in a batch as alone, up to rounding. Without the
# mask, the vector moves by more than a quarter of its own length, and no error tells you.
#
# One old page says the mask is a *FloatTensor*. Whole numbers and True or False work as well:
# **0 hides, everything else keeps.**


# %%
def first_text(mask):
    with torch.no_grad():
        return model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state[0]


ones_and_zeros = batch["attention_mask"]
assert torch.allclose(first_text(ones_and_zeros.float()), first_text(ones_and_zeros), atol=1e-5)
assert torch.allclose(first_text(ones_and_zeros.bool()), first_text(ones_and_zeros), atol=1e-5)

# %% [markdown]
# Some code builds *additive* masks, which are added to scores: 0 keeps and −10000 hides.
# **Predict:** what happens if you pass such a mask here?

# %%
additive = (1 - ones_and_zeros.float()) * -10000
inverted = 1 - ones_and_zeros
print(
    "same as the inverted mask:",
    torch.allclose(first_text(additive), first_text(inverted), atol=1e-4),
)
assert torch.allclose(first_text(additive), first_text(inverted), atol=1e-4)

# %% [markdown]
# No error, and the opposite of what was meant: the padding is kept and the words are hidden.
# Give a (B, T) mask of ones and zeros, always.

# %% [markdown]
# ### Exercise 1 · Count the real tokens (5 minutes)
#
# Write `count_tokens(input_ids, attention_mask)`: for each text of the batch, how many tokens
# are neither padding nor `[CLS]` nor `[SEP]`? The result has shape (B,). The check makes its
# own ids, with the `[CLS]` and `[SEP]` of our tokenizer (`tokenizer.cls_token_id`,
# `tokenizer.sep_token_id`).


# %%
def count_tokens(input_ids, attention_mask):
    # BEGIN SOLUTION
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    inside = (input_ids != cls) & (input_ids != sep) & (attention_mask == 1)
    return inside.sum(dim=1)
    # END SOLUTION


# %%
check.count_tokens(count_tokens)

# %% [markdown]
# <details><summary>Hint 1</summary>Comparisons give tensors of True and False, and <code>&amp;</code> joins them.</details>
# <details><summary>Hint 2</summary>Build a (B, T) tensor that is True for the tokens you want, then
# <code>.sum(dim=1)</code>. Subtracting 2 is wrong for pairs.</details>

# %% [markdown]
# ## The configuration
#
# A few numbers define a BERT. They are in `config.json`, and in `model.config`. Here is each
# field, with its value.

# %%
from course_lib.config import FIELDS, RELEASED, count_parameters

plots.Table(
    ["field", "value", "meaning"],
    [[field, str(getattr(model.config, field)), meaning] for field, meaning in FIELDS.items()],
)

# %% [markdown]
# ### Where the parameters are
#
# The sizes say how many parameters the model has. One layer holds four linear layers of
# attention (query, key, value, output), two of the feed-forward part, and two LayerNorms:
#
# $$4\,(H^2 + H) \;+\; (HF + F) + (FH + H) \;+\; 2 \cdot 2H$$
#
# The tables of the embeddings, one more LayerNorm and the pooler come on top. What all these
# parts do is the matter of notebook 04; here we only count them. The library counts with this
# formula; PyTorch counts the real tensors. They agree.

# %%
parts = count_parameters(model.config)
counted = sum(parts.values())
assert counted == sum(p.numel() for p in model.parameters())
assert not EMBEDDED or counted == 22_713_216
print(f"{counted:,} parameters")

# %%
plots.bars(
    parts,
    title="Where the parameters of the model are",
    alt="Bar chart of parameters by part of the model. In the embedded model the word "
    "embeddings are the largest part, 11.7 of 22.7 million, then feed-forward with 7.1 "
    "and attention with 3.6 million.",
)

# %% [markdown]
# Here half of all parameters are the table of words. In bert-base-uncased it is about a fifth,
# in bert-large-uncased a tenth. With a vocabulary four times as large, as in
# bert-base-multilingual-cased, it is again about half.

# %%
assert not EMBEDDED or 0.50 < parts["word embeddings"] / counted < 0.53
share = {}
for released in RELEASED:
    its_parts = count_parameters(released)
    share[released.name] = its_parts["word embeddings"] / sum(its_parts.values())
assert 0.20 < share["bert-base-uncased"] < 0.23 and 0.08 < share["bert-large-uncased"] < 0.11
assert 0.50 < share["bert-base-multilingual-cased"] < 0.53

# %% [markdown]
# ### Exercise 2 · Count the parameters of one layer (5 minutes)
#
# Write the formula above as a function of H and F.


# %%
def layer_parameters(hidden_size, intermediate_size):
    # BEGIN SOLUTION
    h, f = hidden_size, intermediate_size
    attention = 4 * (h * h + h)
    feed_forward = (h * f + f) + (f * h + h)
    layer_norms = 2 * 2 * h
    return attention + feed_forward + layer_norms
    # END SOLUTION


# %%
check.layer_parameters(layer_parameters)

# %% [markdown]
# <details><summary>Hint 1</summary>A linear layer from a to b has a·b weights and b biases.</details>
# <details><summary>Hint 2</summary>Attention: four times H to H. Feed-forward: H to F, then F to H. LayerNorm: a scale
# and a shift, 2 H, twice.</details>

# %% [markdown] items="002-95 002-104 000-17 004-39"
# ## The outputs, by name
#
# The model returns a `ModelOutput`: an ordered dictionary whose entries are attributes too.
# Which entries it has depends on what you ask for. Ask in the call, or in the configuration;
# the result is the same.

# %%
with torch.no_grad():
    plain = model(**batch)
    outputs = model(**batch, output_hidden_states=True)
print("plain:", list(plain.keys()))
print("asked:", list(outputs.keys()))

# %%
asked_by_config = pretrained.load_model(output_hidden_states=True)
with torch.no_grad():
    same = asked_by_config(**batch)
assert list(same.keys()) == list(outputs.keys())
assert torch.equal(same.hidden_states[-1], outputs.hidden_states[-1])

# %% [markdown]
# The class is `BaseModelOutputWithPoolingAndCrossAttentions`, and it knows six fields. A field
# that was not asked for is `None`: it does not show among the keys, and it does not count.

# %%
fields = list(outputs.__dataclass_fields__)
assert len(fields) == 6 and len(outputs) == 3 and outputs.attentions is None
fields

# %% [markdown] items="000-15"
# ### Never by position
#
# A forum question writes `_, _, all_layers = self.bert(...)`. Years ago the model returned a
# tuple, and this worked.
#
# **Predict:** what are the three values today?

# %%
first, second, third = outputs
print(repr(first), repr(second), repr(third))

# %% [markdown]
# Three strings: looping over a dictionary gives its **keys**. The next line of that question
# joins the layers with `torch.cat`, and fails on a piece of text:

# %%
try:
    torch.cat(third, 0)
except TypeError as error:
    print(type(error).__name__, "-", str(error).splitlines()[0])

# %% [markdown]
# A page that says "the output is a tuple of four parts" misleads in the same way. Indexing
# gives the value and slicing a tuple of values; but which one is number 2 depends on what was
# asked for.

# %%
assert (first, second, third) == ("last_hidden_state", "pooler_output", "hidden_states")
assert torch.equal(outputs[0], outputs.last_hidden_state)
assert isinstance(outputs[:2], tuple) and torch.equal(outputs[:2][1], outputs.pooler_output)
assert torch.equal(outputs["pooler_output"], outputs.pooler_output)

# %% [markdown]
# **Use names.** `return_dict=False` still gives a plain tuple, in which a field that is None
# leaves no gap. (An older property, `config.use_return_dict`, is deprecated.)

# %%
with torch.no_grad():
    as_tuple = model(**batch, return_dict=False)
assert type(as_tuple) is tuple and len(as_tuple) == 2

# %% [markdown] items="002-96"
# ## `last_hidden_state` (B, T, H)
#
# One vector of H numbers for each token of each text, padding included, after the last layer.
# It is what you use when every token needs an answer, as for names of people and places.

# %%
B, T = batch["input_ids"].shape
assert outputs.last_hidden_state.shape == (B, T, H)
outputs.last_hidden_state.shape

# %% [markdown] items="002-97 002-109"
# ## `pooler_output` (B, H)
#
# One vector for each text. It comes from the first token alone, through a linear layer and
# tanh:
#
# $$\text{pooler\_output} = \tanh(W \, h_{\text{[CLS]}} + b)$$
#
# In BERT's pretraining the next-sentence task trained W and b. One page calls `output[1]` "the
# last hidden state of [CLS]". It is not: two steps lie between.

# %%
cls = outputs.last_hidden_state[:, 0]
linear = model.pooler.dense
by_hand = torch.tanh(linear(cls))
assert torch.allclose(by_hand, outputs.pooler_output, atol=1e-6)
assert not torch.allclose(cls, outputs.pooler_output, atol=0.1)
assert not EMBEDDED or linear.bias.abs().max() == 0
print(f"largest difference to my own: {(by_hand - outputs.pooler_output).abs().max():.0e}")

# %% [markdown]
# **A warning about the embedded model.** It was tuned so that the *mean* of its token vectors
# is useful, and its pooler was not used in that. So never judge `[CLS]` or the pooler by this
# model. Which *pooling* (one vector made of many) is better for a task is a question for an experiment over several
# [seeds](../docs/glossary.md#seed), the numbers that random choices begin with; notebook 02 makes it for *frozen* vectors, which no training
# changes. Its pooler's bias is still all zeros; the check of the next exercise
# uses a bias of its own.

# %% [markdown]
# ### Exercise 3 · Rebuild `pooler_output` (5 minutes)
#
# Write it without `nn.Linear`: a function of the last hidden state, the layer's weight and its
# bias, for any batch.


# %%
def rebuild_pooler(last_hidden_state, weight, bias):
    # BEGIN SOLUTION
    first_token = last_hidden_state[:, 0]
    return torch.tanh(first_token @ weight.T + bias)
    # END SOLUTION


# %%
check.rebuild_pooler(rebuild_pooler)

# %% [markdown]
# <details><summary>Hint 1</summary>Slice the first token of every text: <code>[:, 0]</code> gives (B, H).</details>
# <details><summary>Hint 2</summary><code>nn.Linear</code> keeps its weight as (out, in), so it computes
# <code>x @ weight.T + bias</code>.</details>

# %% [markdown] items="000-03 002-99"
# ## `hidden_states`: L + 1 tensors (B, T, H)
#
# **Predict:** our model has 6 layers. How many hidden states does it return?

# %%
assert len(outputs.hidden_states) == L + 1
len(outputs.hidden_states)

# %% [markdown]
# One more than layers: index 0 is what enters the first layer, the **embeddings**. Index L is
# what leaves the last one.

# %%
with torch.no_grad():
    embeddings = model.embeddings(
        input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"]
    )
assert torch.allclose(outputs.hidden_states[0], embeddings, atol=1e-6)
assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)

# %% tags=["picture"]
plots.diagram(
    boxes={
        "e": plots.Box(0, 0, "embeddings", 0),
        "1": plots.Box(1.15, 0, "layer 1", 2, 0.8),
        "2": plots.Box(2.15, 0, "layer 2", 2, 0.8),
        "d": plots.Box(3.0, 0, "...", 6, 0.5),
        "l": plots.Box(3.85, 0, "layer L", 2, 0.8),
        "h0": plots.Box(0.55, 1, "hidden_states[0]", 1, 1.05),
        "h1": plots.Box(1.65, 1, "[1]", 1, 0.6),
        "h2": plots.Box(2.6, 1, "[2]", 1, 0.6),
        "hl": plots.Box(4.0, 1, "[L] = [-1] =\nlast_hidden_state", 1, 1.2),
    },
    arrows=[
        ("e", "1"),
        ("1", "2"),
        ("2", "d"),
        ("d", "l"),
        ("e", "h0"),
        ("1", "h1"),
        ("2", "h2"),
        ("l", "hl"),
    ],
    alt="The embeddings and the layers 1 to L in a row. hidden_states[0] is the output of the "
    "embeddings, hidden_states[1] of layer 1, and so on; hidden_states[L], also [-1], is "
    "last_hidden_state.",
)

# %% [markdown]
# A model of the size of bert-base has 12 layers. The forum question counts "13 encoder layers,
# each (64, 768)". There are 12; the thirteenth tensor is the embeddings. We build such a model
# on PyTorch's *meta* device, which has shapes and no numbers, so that it costs neither memory
# nor time.

# %%
with torch.device("meta"):
    base = BertModel(BertConfig()).eval()
    base_outputs = base(torch.zeros(32, 64, dtype=torch.long), output_hidden_states=True)
shapes = {tuple(h.shape) for h in base_outputs.hidden_states}
assert len(base_outputs.hidden_states) == 13 and shapes == {(32, 64, 768)}
len(base_outputs.hidden_states), shapes

# %% [markdown] items="001-01 001-02 001-03 001-14"
# ## The last four layers
#
# Another forum question wants to classify texts from the last four layers, and joins them:

# %%
joined = torch.cat([outputs["hidden_states"][-i] for i in range(1, 5)], dim=-1)
assert joined.shape == (B, T, 4 * H)
assert torch.equal(joined[..., :H], outputs.last_hidden_state)  # the last layer comes first
assert torch.equal(joined, pooling.concat_last(outputs.hidden_states))
joined.shape

# %% [markdown]
# Negative indices count from the end: -1 is the last layer, -4 the fourth from the end. In a
# model of the size of bert-base, with 12 texts of 200 tokens, the shape is (12, 200, 3072),
# because 4 × 768 = 3072.

# %%
with torch.device("meta"):
    question = base(
        torch.zeros(12, 200, dtype=torch.long), output_hidden_states=True
    ).hidden_states
    assert pooling.concat_last(question).shape == (12, 200, 3072)

# %% [markdown] items="001-04"
# *"A fully connected layer needs two dimensions"*, the question says. **Predict:** what does a
# linear layer make of this tensor: an error, (B, 5), or something else?

# %%
fully_connected = torch.nn.Linear(4 * H, 5)
assert fully_connected(joined).shape == (B, T, 5)
fully_connected(joined).shape

# %% [markdown]
# `nn.Linear` works on the **last** dimension and leaves all others alone: here it gives a row
# of scores for each token. For *one label a text* you need one vector a text. That is why the
# tokens are pooled; the linear layer does not ask for it.

# %% [markdown] items="001-05"
# The question's way to pool is `torch.mean((12,200,768*4), dim=1)`. It passes a tuple of three
# numbers. Call the method of the tensor instead.

# %%
try:
    torch.mean((12, 200, 768 * 4), dim=1)
except TypeError as error:
    print(type(error).__name__, "-", str(error).splitlines()[0])
assert joined.mean(dim=1).shape == (B, 4 * H)

# %% [markdown] items="001-15 001-16 001-17"
# ### The mean, with and without padding
#
# That mean has a fault that no error reveals: the vectors of `[PAD]` are in it. Take one
# sentence and give it five tokens of padding:

# %%
short = sentences[0]
length = len(tokenizer.encode(short))
padded = tokenizer(short, padding="max_length", max_length=length + 5, return_tensors="pt")
padded["input_ids"]

# %% [markdown]
# **Predict:** with more and more padding, what happens to the plain mean of the sentence? And
# to one that leaves the padding out?

# %%
paddings, plain_similarity, masked_similarity = [0, 5, 10, 20, 40], [], []
with torch.no_grad():
    unpadded = model(**tokenizer(short, return_tensors="pt")).last_hidden_state.mean(dim=1)
    for extra in paddings:
        padded = tokenizer(
            short, padding="max_length", max_length=length + extra, return_tensors="pt"
        )
        hidden = model(**padded).last_hidden_state
        plain = hidden.mean(dim=1)
        masked = pooling.masked_mean(hidden, padded["attention_mask"])
        plain_similarity.append(torch.cosine_similarity(plain, unpadded).item())
        masked_similarity.append(torch.cosine_similarity(masked, unpadded).item())

# %%
plots.lines(
    {"masked mean": masked_similarity, "plain mean": plain_similarity},
    x=paddings,
    title="One sentence, more and more padding",
    x_title="tokens of padding",
    y_title="similarity to unpadded",
    alt="Two curves over the number of padding tokens, 0 to 40. The masked mean stays at "
    "similarity 1; the plain mean falls with every token of padding.",
)

# %%
assert min(masked_similarity) > 0.9999
if EMBEDDED:
    assert plain_similarity == sorted(plain_similarity, reverse=True)
    assert plain_similarity[-1] < 0.95

# %% [markdown]
# The same text gets another vector in another batch. A trained model may learn to live with
# that to some degree, as the answer in the forum says. With the mask there is nothing to live
# with.

# %% [markdown]
# ### Exercise 4 · Mean without padding (8 minutes)
#
# Write it yourself, from the mask $m$ (B, T) and the hidden states $h$ (B, T, H):
#
# $$\text{masked mean} = \frac{\sum_t m_t \, h_t}{\sum_t m_t}$$


# %%
def masked_mean(hidden, mask):
    # BEGIN SOLUTION
    weight = mask.unsqueeze(-1).float()
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)
    # END SOLUTION


# %%
check.masked_mean(masked_mean)

# %% [markdown]
# <details><summary>Hint 1</summary>Give the mask a third dimension with <code>unsqueeze(-1)</code>; then it multiplies
# every vector with 1 or 0.</details>
# <details><summary>Hint 2</summary>Divide by the number of real tokens <em>of each text</em>:
# <code>weight.sum(dim=1)</code>, shape (B, 1).</details>

# %% [markdown]
# The answer in the forum does it like this. The sum counts only the real tokens, and so does
# the divisor; `clamp` keeps an empty text from a division by zero. The library's `masked_mean`
# gives the same numbers.


# %%
def mean_pooling(model_output, attention_mask):
    expanded = attention_mask.unsqueeze(-1).expand(model_output.size()).float()
    return torch.sum(model_output * expanded, 1) / torch.clamp(expanded.sum(1), min=1e-9)


mask = batch["attention_mask"]
theirs = mean_pooling(outputs.last_hidden_state, mask)
assert torch.allclose(theirs, pooling.masked_mean(outputs.last_hidden_state, mask), atol=1e-6)
theirs.shape

# %% [markdown] items="001-18 001-22"
# ### Two routes to one vector
#
# The answer offers two routes from four layers to one vector a text, (B, H). **Route 1:** the
# masked mean of each layer, then the mean over the layers.

# %%
route_1 = [mean_pooling(outputs.hidden_states[-x], mask) for x in range(1, 5)]
route_1 = torch.stack(route_1, dim=1).mean(dim=1)
assert torch.allclose(
    route_1, pooling.masked_mean(pooling.mean_last(outputs.hidden_states), mask), atol=1e-6
)
route_1.shape

# %% [markdown]
# **Route 2:** the `[CLS]` vector of each layer, then the mean over the layers.

# %%
route_2 = [outputs.hidden_states[-x][:, 0] for x in range(1, 5)]
route_2 = torch.stack(route_2, dim=1).mean(dim=1)
assert torch.allclose(route_2, pooling.cls(pooling.mean_last(outputs.hidden_states)), atol=1e-6)
assert route_1.shape == route_2.shape == (B, H)
route_2.shape

# %% [markdown] items="001-19 001-23"
# The answer then prints five scores for each route, 0.0677 and so on. They cannot be
# reproduced, and they cannot be compared: each comes from a linear layer with **random weights
# that were never trained**, and nobody set the seed. Two layers, two answers:

# %%
scores = []
for seed in (0, 1):
    torch.manual_seed(seed)
    untrained = torch.nn.Linear(H, 5)
    scores.append(untrained(route_1)[0].detach())
assert not torch.allclose(scores[0], scores[1], atol=0.01)
scores[0].tolist(), scores[1].tolist()

# %% [markdown] items="001-24"
# ### Joining or averaging
#
# The question's title says *concatenate*; the answer *averages*. Joining gives (B, 4H) and a
# `Linear(4H, K)`, averaging (B, H) and a `Linear(H, K)`. **The first can do whatever the second
# can**: put the weights of the second four times side by side and divide by 4. It costs four
# times the weights in that one layer, and it may learn to prefer a layer.

# %%
averaged = torch.nn.Linear(H, 5)
concatenated = torch.nn.Linear(4 * H, 5)
with torch.no_grad():
    concatenated.weight.copy_(averaged.weight.repeat(1, 4) / 4)
    concatenated.bias.copy_(averaged.bias)

joined_text = pooling.masked_mean(pooling.concat_last(outputs.hidden_states), mask)
assert torch.allclose(concatenated(joined_text), averaged(route_1), atol=1e-5)

# %% [markdown] items="001-06 001-07"
# *What is the original BERT way* to use the last four layers?, the question asks. There is none, says
# the answer. For whole sentences that is right: there the paper uses no four layers, but the `[CLS]`
# output of the last one, and trains everything. But it also tries BERT as a frozen source of features (section 5.3). For **named
# entities**, token by token, joining the last four layers was the best of the ways it tried,
# and came close to full fine-tuning.

# %% [markdown]
# ### Exercise 5 · `[CLS]` of the last four layers (8 minutes)
#
# Write `last_four_cls(hidden_states)`: the `[CLS]` vectors of the last four layers side by
# side, the last layer first, shape (B, 4H).


# %%
def last_four_cls(hidden_states):
    # BEGIN SOLUTION
    return torch.cat([hidden_states[-i][:, 0] for i in range(1, 5)], dim=-1)
    # END SOLUTION


# %%
check.last_four_cls(last_four_cls)

# %% [markdown]
# <details><summary>Hint 1</summary><code>hidden_states[-1][:, 0]</code> is one of the four, with shape (B, H).</details>
# <details><summary>Hint 2</summary>Make a list of the four and join it with <code>torch.cat(..., dim=-1)</code>.</details>

# %% [markdown] items="001-20"
# ### Is pooling expensive?
#
# The answer calls the masked means "very expensive" and `[CLS]` cheaper. Measure it: the
# model's own work, and the pooling of four layers.

# %%
import json
from pathlib import Path
from time import perf_counter

texts = [" ".join(["several words of text"] * 15)] * 16
large = tokenizer(texts, return_tensors="pt")


def seconds(function, repeats=3):
    function()  # once unmeasured, to warm up
    times = []
    for _ in range(repeats):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return sorted(times)[repeats // 2]


with torch.no_grad():
    states = model(**large, output_hidden_states=True).hidden_states
    forward = seconds(lambda: model(**large, output_hidden_states=True))
    pool = seconds(
        lambda: pooling.masked_mean(pooling.mean_last(states), large["attention_mask"]),
        repeats=9,
    )
print(
    f"forward pass {forward * 1000:.0f} ms,",
    f"pooling of four layers {pool * 1000:.1f} ms: {pool / forward:.1%}",
)

# %% [markdown]
# On a busy machine these numbers jump. A careful measurement is kept with the course:

# %%
kept = json.loads(Path("../benchmarks/results/pooling.json").read_text(encoding="utf-8"))
print(
    f"{kept['pooling_share']:.1%} of the forward pass",
    f"({kept['machine']}, {kept['date']}; {kept['command']})",
)
assert kept["pooling_share"] < 0.01

# %% [markdown]
# Less than a hundredth of the forward pass. Cost is no argument for `[CLS]`.

# %% [markdown] items="001-13"
# ### Two habits when you only read features
#
# - `torch.no_grad()`: nothing is kept for a backward pass; it saves memory and time.
# - **evaluation mode**: *dropout*, which in training sets numbers to 0 at random, is off. A model from `from_pretrained`, and from our `load_model`,
#   is in it already. After training, call `model.eval()` yourself.
#
# **Predict:** the same batch twice, in training mode. The same numbers?

# %%
assert not model.training
model.train()
with torch.no_grad():
    once, again = (model(**batch).last_hidden_state for _ in range(2))
model.eval()
print(f"largest difference: {(once - again).abs().max():.2f}")
assert (once - again).abs().max() > 0.01

# %% [markdown]
# Dropout drew other numbers. With `eval()` forgotten, every prediction is a little random.

# %% [markdown] items="002-100 002-102"
# ## `attentions`: L tensors (B, N, T, T)
#
# In every layer each of N *heads* decides, for each token, how much it looks at every token, itself
# included:
#
# $$A = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt{D}}\right)$$
#
# Q and K (*queries* and *keys*) are two linear layers' views of the tokens, and A is a table of
# T × T weights. The softmax makes each row positive with sum 1. Notebook 04 builds all of this; here
# we only look at A.
#
# **Predict:** ask for them as you asked for hidden states. What do you get?

# %%
from course_lib.remarks import remarks

with torch.no_grad(), remarks() as said:
    surprise = model(**batch, output_attentions=True)
print(len(surprise.attentions), "attentions")
print(*said)

# %% [markdown]
# An empty tuple. No error stops you; there is only one line that is easy to miss, and it names
# the remedy. (`remarks` collects what libraries say besides their results, so that we can print
# it.) By default PyTorch's fast attention runs (*sdpa*, `scaled_dot_product_attention`). It
# does not hand out the table of weights; its fast routes never even build it as a whole, and
# that is why they are fast. Ask for the slower, explicit way when you load the model.

# %%
assert len(surprise.attentions) == 0 and model.config._attn_implementation == "sdpa"

eager = pretrained.load_model(attn_implementation="eager")
with torch.no_grad():
    looked = eager(**batch, output_attentions=True, output_hidden_states=True)
assert len(looked.attentions) == L
assert torch.allclose(looked.last_hidden_state, outputs.last_hidden_state, atol=1e-4)
[tuple(a.shape) for a in looked.attentions][:2]

# %% [markdown] items="002-101"
# The shape is (batch, **heads**, T, T), one tensor a layer. A comment in an old page says
# (batch, *layers*, T, T). In bert-base both are 12, so nobody noticed. Our model has 6 layers
# and 12 heads.
#
# Row *i* holds the weights with which token *i* looks at all tokens, itself included, so each row sums to 1.
# Nobody looks at padding. But padding looks: its rows sum to 1 too.

# %%
assert looked.attentions[0].shape == (B, N, T, T)
rows = torch.stack(looked.attentions).sum(-1)
assert torch.allclose(rows, torch.ones_like(rows), atol=1e-5)
assert torch.stack(looked.attentions)[:, 0][..., mask[0] == 0].max() < 1e-6

# %% [markdown] items="002-108"
# An old page prints `len(output)` as 4, with hidden states and attentions. Today it is 5: an
# empty `cross_attentions` is there as soon as attentions are asked for. It is for those decoders that
# also look at a second text, for example one to be translated. One more reason to use names.

# %%
assert len(looked) == 5 and looked.cross_attentions == ()
list(looked.keys())

# %% [markdown]
# ### Heads that do something you can see
#
# Most heads are hard to read. A few are not. We take one pair of texts and look at all its
# attention at once.

# %%
pair = tokenizer(
    "The cat sat on the mat.", "It was a warm mat, and the cat slept.", return_tensors="pt"
)
words = tokenizer.convert_ids_to_tokens(pair["input_ids"][0])
with torch.no_grad():
    attention = torch.stack(eager(**pair, output_attentions=True).attentions)[:, 0]
attention.shape  # (L, N, T, T)

# %% [markdown]
# Then we give every head a score for each of four habits: what share of its attention goes to
# the previous token, to the same word elsewhere, to the separators, to `[CLS]`?

# %%
same_word = torch.tensor(
    [[a == b and i != j for j, b in enumerate(words)] for i, a in enumerate(words)]
)
twice = same_word.any(dim=1)  # the tokens that occur more than once
separators = torch.tensor([word == "[SEP]" for word in words])
habits = {
    # the cells (i, i - 1): each token looks at the one before it
    "previous token": attention.diagonal(-1, 2, 3).mean(-1),
    "same word": (attention * same_word).sum(-1)[..., twice].mean(-1),
    "separator": attention[..., separators].sum(-1).mean(-1),
    "[CLS]": attention[..., 0].mean(-1),
}
{habit: tuple(score.shape) for habit, score in habits.items()}  # (L, N) each

# %% [markdown]
# For each habit, here is the head that has it most.

# %%
best = {}
for habit, score in habits.items():
    layer, head = divmod(int(score.argmax()), N)  # a flat position -> row and column
    best[habit] = layer, head
    print(f"{habit:<15} layer {layer + 1}, head {head + 1:>2}: {score[layer, head]:.2f}")

# %%
plots.heatmaps(
    [attention[layer, head] for layer, head in best.values()],
    titles=[
        f"{habit} (layer {layer + 1}, head {head + 1})" for habit, (layer, head) in best.items()
    ],
    labels=words,
    columns=2,
    alt="Four heat maps over the tokens of a pair of texts. One head looks at the previous "
    "token: a bright diagonal below the main one. One connects equal words: cat with cat, "
    "mat with mat. One looks a little more than others at the separators. One looks at "
    "[CLS] from nearly everywhere: a bright first column.",
)

# %% [markdown]
# Dark blue is a weight of 0, yellow a weight of 1. A row shows *who looks* (names on the left), a
# column *who is looked at* (names below).
#
# - The first head is nearly perfect: each token looks at the one before it.
# - The second connects equal words (*cat*, *mat*) across the two texts. It leaves `.` and `[SEP]`
#   alone.
# - The original BERT has heads that park their attention on `[SEP]` when there is nothing to do
#   (Clark et al. 2019). In this model, on this pair, **no head does**: the best gives the
#   separators about a quarter. It parks on `[CLS]` instead.

# %%
if EMBEDDED:
    assert habits["previous token"].max() > 0.9
    layer, head = best["same word"]
    first_cat, second_cat = [i for i, word in enumerate(words) if word == "cat"]
    assert attention[layer, head, first_cat, second_cat] > 0.7
    assert 0.2 < habits["separator"].max() < 0.35
    assert habits["[CLS]"].max() > 0.7

# %% [markdown]
# ### Exercise 6 · How much each head looks at `[CLS]` (10 minutes)
#
# Write `attention_to_cls(attentions, mask)`: for each layer and head, the mean over all real
# tokens of the batch (not text by text) of the weight that they give to `[CLS]`. `attentions`
# is the tuple of L tensors (B, N, T, T), `mask` is (B, T). The result has shape (L, N).


# %%
def attention_to_cls(attentions, mask):
    # BEGIN SOLUTION
    to_cls = torch.stack(attentions)[..., 0]  # (L, B, N, T): the column of [CLS]
    real = mask[None, :, None, :].float()
    return (to_cls * real).sum(dim=(1, 3)) / mask.sum()
    # END SOLUTION


# %%
check.attention_to_cls(attention_to_cls)

# %% [markdown]
# <details><summary>Hint 1</summary>Stack the layers to (L, B, N, T, T). The last dimension is who is looked at, so
# <code>[..., 0]</code> is [CLS].</details>
# <details><summary>Hint 2</summary>Rows of padding must not count: multiply with the mask, shaped (1, B, 1, T), sum over
# texts and tokens, and divide by the number of real tokens.</details>

# %% [markdown]
# Here is that table for the pair of texts above.

# %%
plots.heatmap(
    habits["[CLS]"],
    rows=[f"layer {i + 1}" for i in range(L)],
    columns=[str(i + 1) for i in range(N)],
    column_title="head",
    limits=(0, 1),
    numbers="{:.1f}",
    title="Share of attention that goes to [CLS]",
    alt="Heat map of layers by heads. In the first layer heads give [CLS] little; in the "
    "middle layers about half of all attention goes there; in the last layer less again.",
)

# %%
to_cls = habits["[CLS]"].mean(1)
assert not EMBEDDED or (
    to_cls[0] < 0.3 and to_cls[1:5].min() > 0.4 and to_cls[5] < to_cls[1:5].min()
)

# %% [markdown]
# ## How layers differ
#
# Compare each token's vector in one layer with its vector in another.

# %%
real = mask.bool()
layers = torch.stack(
    [torch.nn.functional.normalize(h[real], dim=-1) for h in outputs.hidden_states]
)
# each layer with each: cosine similarity token by token, then the mean over the tokens
between = (layers[:, None] * layers[None]).sum(-1).mean(-1)
names = ["embeddings", *(f"layer {i}" for i in range(1, L + 1))]
plots.heatmap(
    between,
    rows=names,
    columns=[str(i) for i in range(L + 1)],
    limits=(0, 1),
    numbers="{:.2f}",
    title="Mean cosine similarity of a token's vectors in two layers",
    alt="Heat map of hidden states against each other. Neighbouring layers are similar, 0.76 to "
    "0.90, and similarity falls with distance. On average the last layer is least like the others.",
)

# %% [markdown]
# Each layer changes a little; far layers differ much. The steps grow towards the end, and on
# average the last layer is least like the others. One explanation is that training asks
# something particular of the last layer. We have not tested it.

# %%
if EMBEDDED:
    steps = between.diagonal(1)
    mean_to_others = (between.sum(1) - 1) / L
    assert steps.min() > 0.7 and steps.max() < 0.95 and steps[-1] == steps.min()
    assert mean_to_others.argmin() == L

# %% [markdown]
# ## One word, two meanings
#
# What do the layers make of a word with two meanings? Eight sentences, four about rivers and
# four about money. In all of them *bank* is the second word. So word, position and type agree,
# and the eight **embeddings are equal**. (With *bank* in other places, the positions alone
# would draw groups.)

# %%
contexts = [
    ("river", "The bank of the river was muddy."),
    ("river", "The bank slopes down to the stream."),
    ("river", "The bank is covered with reeds."),
    ("river", "The bank crumbled after the flood."),
    ("money", "The bank raised its interest rates."),
    ("money", "The bank refused the loan."),
    ("money", "The bank opened an account for us."),
    ("money", "The bank closed its branch in town."),
]
meanings = [meaning for meaning, _ in contexts]
bank_batch = tokenizer([text for _, text in contexts], padding=True, return_tensors="pt")
with torch.no_grad():
    bank_states = model(**bank_batch, output_hidden_states=True).hidden_states

place = 2  # after [CLS] and "the"
bank = torch.stack([h[:, place] for h in bank_states])  # (L + 1, 8, H)
if EMBEDDED:
    assert (bank_batch["input_ids"][:, place] == tokenizer.convert_tokens_to_ids("bank")).all()
    assert torch.equal(bank[0], bank[0][:1].expand_as(bank[0]))
bank.shape

# %% [markdown]
# To draw vectors of H numbers on paper, we keep the two directions in which they differ most
# (*principal components*). Each small plot has two directions and a scale of its own, so compare
# places within a plot. The numbers 1 to 8 are the sentences, in the order of the list.
#
# **Predict:** from which layer on can you tell the two meanings apart?


# %%
def two_directions(vectors):
    centred = vectors - vectors.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:2].T


shown = sorted({1, 2, L // 2, L})
plots.scatters(
    {names[i]: two_directions(bank[i]) for i in shown},
    groups=meanings,
    marks=[str(i + 1) for i in range(8)],
    alt="Four scatter plots of the vector of the word bank in eight sentences. In layer 1 the two "
    "meanings overlap from left to right; in layers 2, 3 and 6 river lies on one side and money on the other.",
)

# %%
if EMBEDDED:
    for layer in range(1, L + 1):
        across = two_directions(bank[layer])[:, 0]
        river, money = across[:4], across[4:]
        apart = bool(river.max() < money.min() or money.max() < river.min())
        assert apart == (layer >= 2)

# %% [markdown]
# Look from left to right, the direction in which the eight vectors differ most. In layer 1 rivers and
# money overlap. From layer 2 on, river lies on one side and money on the other: the neighbours have told
# the word what it means. (A slanting line parts the two in layer 1 already. There it begins.)
#
# Cosine similarity uses all H numbers, not two directions alone. For each layer: how similar are two
# *banks* of the same meaning, and two of different meanings? Watch the distance of the two curves. (Both lie
# high, far from 0: the vectors of one layer have a large part in common. What counts is the gap.)

# %%
unit = torch.nn.functional.normalize(bank, dim=-1)
cosine = unit @ unit.transpose(1, 2)
same_meaning = torch.tensor([[a == b for b in meanings] for a in meanings])
self_pairs = torch.eye(8, dtype=torch.bool)
same_score = cosine[:, same_meaning & ~self_pairs].mean(dim=1)
different_score = cosine[:, ~same_meaning].mean(dim=1)
plots.lines(
    {"same meaning": same_score, "different meaning": different_score},
    title="Similarity of “bank” in two sentences",
    x_title="hidden state (0 = embeddings)",
    y_title="cosine similarity",
    alt="Two curves over the hidden states. In the embeddings both are 1. From the first layer on, "
    "banks of different meaning are less similar than banks of the same meaning; the gap grows up "
    "to layer 3 and is a little smaller in the last two.",
)

# %%
gap = same_score - different_score
print("gap by hidden state:", [f"{g:.3f}" for g in gap])
if EMBEDDED:
    assert gap[0].abs() < 1e-4 and (gap[1:4].diff() > 0).all()
    assert gap[3:].min() > 0.02 and gap[3:].max() < 0.06

# %% [markdown]
# ## Which output for which task
#
# | task | output | shape | notebook |
# |---|---|---|---|
# | one label for a text or a pair | `pooler_output`, or `last_hidden_state` pooled with the mask | (B, H) | 02, 07 |
# | a label for each token (names, places) | `last_hidden_state` | (B, T, H) | 08 |
# | an answer's start and end in a text | `last_hidden_state` | (B, T, H) | 08 |
# | similarity of texts, search | masked mean of `last_hidden_state`, of a model tuned for it | (B, H) | 00 |
# | features for another model, nothing fine-tuned | the last four of `hidden_states` | (B, T, 4H) | this one |
# | a CNN (convolutional network) over all layers | `hidden_states`, stacked | (B, L+1, T, H) | 03, 09 |
# | to see what a head does | `attentions`, with eager attention | L of (B, N, T, T) | this one, 10 |
#
# One page says that `pooler_output` is "not a good summary" and that a mean is better; another
# says that it depends. The second is right: it depends on how the model was trained, and on
# whether you fine-tune it. Notebook 02 measures frozen vectors over ten seeds; notebook 07 will
# fine-tune.

# %% [markdown] items="002-105"
# ## A model from a folder, in transformers' own words
#
# Our `load_model` wraps what transformers does. Done directly, for a downloaded folder, it
# looks like this. The page that this comes from loads *chinese-roberta-wwm-ext*: a RoBERTa in
# the way it was trained, a BERT in its architecture, so the BERT classes load it.

# %%
import tempfile

import transformers

transformers.utils.logging.disable_progress_bar()

with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = BertConfig.from_pretrained(
        folder, output_hidden_states=True, output_attentions=True, attn_implementation="eager"
    )
    assert config.output_hidden_states and config.output_attentions
    from_folder = BertModel.from_pretrained(folder, config=config)
    assert not from_folder.training  # evaluation mode, without a word from us
    tokenizer_from_folder = BertTokenizer.from_pretrained(folder)

input_ids = torch.tensor([tokenizer_from_folder.encode("I love this world")])
with torch.no_grad():
    result = from_folder(input_ids)
assert len(result.hidden_states) == L + 1 and len(result.attentions) == L
{
    name: tuple(value.shape) if torch.is_tensor(value) else len(value)
    for name, value in result.items()
}

# %% [markdown]
# ## A language the model has not seen
#
# Our model read English. **Predict:** what does its tokenizer make of 我热爱这个世界 (*I love this
# world*)?

# %%
chinese = "我热爱这个世界"
print(tokenizer.tokenize(chinese))

# %% [markdown]
# `[UNK]`, again and again. Five of the seven characters are lost before the model sees
# anything, and no error says so. The course has news headlines in English and in Chinese.
#
# **Predict:** what share of the tokens in the Chinese headlines is lost?

# %%
from course_lib.datasets import load_dataset


def unknown_share(name):
    texts = load_dataset(Path("../data") / name).train.texts
    ids = [i for text in texts for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
    return ids.count(tokenizer.unk_token_id) / len(ids)


shares = {name: unknown_share(name) for name in ("headlines_en", "headlines_zh")}
assert tokenizer.tokenize(chinese).count("[UNK]") == 5 or not EMBEDDED
assert (shares["headlines_en"] < 0.01 and shares["headlines_zh"] > 0.5) or not EMBEDDED
plots.bars(
    shares,
    form="{:.1%}",
    title="Share of tokens that are [UNK]",
    alt="Bar chart of the share of unknown tokens: about none in the English headlines, more "
    "than half in the Chinese ones.",
)

# %% [markdown]
# **Always look at the tokens before you train.** A vocabulary that lacks your script answers `[UNK]`, and a
# model cannot learn what it cannot see. With a language in Latin letters it is another sign: hardly any
# `[UNK]`, but words that are cut into many short pieces. So look for both.

# %%
for words in (
    "the university library was closed",
    "die Universitätsbibliothek war geschlossen",
):
    print(len(words.split()), "words:", " ".join(tokenizer.tokenize(words)))

# %% [markdown] items="002-94"
# ### The same texts with a Chinese vocabulary
#
# A Chinese vocabulary has the characters, one token each, and word pieces for Latin letters. We
# make a tiny one from the sentences of three old pages. The ids differ from those of
# *bert-base-chinese*; **the tokens are the same**. (We put *be* and *##rt* into it because the
# page shows that the real vocabulary has them.)

# %%
pages = ["我在测试bert", "我热爱这个世界", "让我们来看一下bert的输出都有哪些"]
characters = sorted(set("".join(pages)) - set("bert"))
entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, "be", "##rt"]
small = BertTokenizer(vocab={token: number for number, token in enumerate(entries)})
for page in pages:
    print(small.convert_ids_to_tokens(small(page)["input_ids"]))

# %%
testing = small(pages[0])
assert small.convert_ids_to_tokens(testing["input_ids"]) == (
    ["[CLS]", *"我在测试", "be", "##rt", "[SEP]"]
)
assert testing["token_type_ids"] == [0] * 8 and testing["attention_mask"] == [1] * 8

# %% [markdown] items="002-110"
# The second page prints `[1, 9, 768]`, 13 hidden states and 12 attentions for its sentence, the
# third one `[1, 18, 768]`, 13 and 12, and *four* keys. A model of the size of bert-base,
# without numbers, gives the same shapes. The keys are five today.

# %%
with torch.device("meta"):
    explicit = BertModel(BertConfig(attn_implementation="eager")).eval()
    for page in pages[1:]:
        count = len(small(page)["input_ids"])
        shown = explicit(
            torch.zeros(1, count, dtype=torch.long),
            output_hidden_states=True,
            output_attentions=True,
        )
        sizes = tuple(shown.last_hidden_state.shape), tuple(shown.pooler_output.shape)
        print(page, *sizes, len(shown.hidden_states), len(shown.attentions), len(shown))
        assert sizes == ((1, count, 768), (1, 768))
        assert (len(shown.hidden_states), len(shown.attentions), len(shown)) == (13, 12, 5)
        assert shown.attentions[0].shape == (1, 12, count, count)
assert [len(small(page)["input_ids"]) for page in pages] == [8, 9, 18]

# %% [markdown]
# ## Which checkpoint?
#
# The seven checkpoints of the first releases, and some that came later with the same form. The
# old pages round the sizes, and give 110M to three models that differ by more than rounding:
# the two multilingual ones are far larger, the Chinese one smaller. Their vocabularies make the
# difference. **Here they are counted.**

# %%
rows, millions = [], {}
for r in RELEASED:
    size = sum(count_parameters(r).values())
    millions[r.name] = size / 1e6
    rows.append([r.name, r.language, r.case, r.num_hidden_layers, r.vocab_size, size])
    rows[-1] += [r.documented or "-", r.max_position_embeddings, r.licence]
header = ["name", "language", "case", "layers", "vocabulary", "parameters", "the page said"]
plots.Table([*header, "longest input", "licence"], rows)

# %%
off = [name for name in millions if "base" in name and abs(millions[name] - 110) > 5]
assert off[:2] == ["bert-base-multilingual-cased", "bert-base-multilingual-uncased"]
assert off[2] == "bert-base-chinese"
sizes = [round(millions[name]) for name in off[:3]]
assert sizes == [178, 167, 102]
assert round(millions["bert-large-uncased"]) == 335  # the page: 340M
assert all(r.max_position_embeddings == 512 and r.licence == "Apache-2.0" for r in RELEASED)

# %% [markdown]
# A newer encoder, **ModernBERT** (Warner et al. 2024), reads up to 8,192 tokens. It is not a
# BERT inside (other positions, other feed-forward part, no token types), so this course's
# classes do not load it. Its size, counted in the same way:

# %%
from transformers import ModernBertConfig, ModernBertModel

with torch.device("meta"):
    modern = ModernBertModel(ModernBertConfig())
modern_size = sum(parameter.numel() for parameter in modern.parameters())
assert round(modern_size / 1e6) == 149 and modern.config.max_position_embeddings == 8192
print(f"{modern_size:,} parameters, {modern.config.max_position_embeddings:,} positions")

# %% [markdown]
# All models of the table read at most **512 tokens**, and all of them and ModernBERT are under
# the **Apache 2.0** licence: use them at work, keep the notice.
#
# | your text | begin with |
# |---|---|
# | English | `bert-base-uncased`; `bert-base-cased` where capitals carry meaning, as in names |
# | English, better and slower | `bert-large-uncased`, `bert-large-cased`: three times the size |
# | Chinese | `bert-base-chinese`, or `hfl/chinese-roberta-wwm-ext`, trained by hiding whole words |
# | several languages, or another one | `bert-base-multilingual-cased`; the uncased one is older and not recommended |
# | similarity and search in English, small and fast | `sentence-transformers/all-MiniLM-L6-v2`, the embedded one |
# | a quick try on a slow machine | `google/bert_uncased_L-4_H-256_A-4` |
# | long English texts, a new project | `answerdotai/ModernBERT-base` |
#
# To switch every notebook: `COURSE_MODEL=bert-base-chinese make lab`; on Windows, `set
# COURSE_MODEL=bert-base-chinese`, then `python -m course_lib lab`. The names are on the Hugging
# Face hub; see [00_start_here](00_start_here.ipynb) for folders and mirrors.

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("01_bert_outputs")

# %% [markdown]
# ## Summary
#
# - Three inputs of shape (B, T): ids, types, mask. Leave the mask out, and padding speaks.
# - Outputs have **names**. `hidden_states` are L + 1 and begin with the embeddings;
#   `pooler_output` is tanh(W·cls + b).
# - `attentions` need eager attention; each row sums to 1.
# - One vector a text: pool **with the mask**. It costs next to nothing.
# - Layers turn a word into its meaning in context.
# - `[UNK]`, or many pieces a word: the vocabulary is of another language. Look before you train.
#
# **Read:** Devlin et al., *BERT* (2019), sections 3 and 5.3. Clark et al., *What Does BERT Look
# At?* (2019). Ethayarajh, *How Contextual are Contextualized Word Representations?* (2019).
#
# **Next:** [02_heads](02_heads.ipynb): from an output to a prediction. Your progress so far:

# %%
from course_lib.exercises import progress

progress()
