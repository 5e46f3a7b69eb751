# %% [markdown]
# # Model graphs
#
# **You will be able to:** write any PyTorch model as a graph that other programs read; prove that the graph computes what
# the model computes; find attention in a graph; make a model four times smaller, and say what that costs; draw who calls
# whom; look into attention without the internet.
#
# **You need:** [04_bert_from_scratch](04_bert_from_scratch.ipynb); [09_classifier_zoo](09_classifier_zoo.ipynb) for one section.
#
# **Time:** 90 minutes with the exercises.
#
# A word you do not know? The [glossary](../docs/glossary.md) has it. An error message? [This list](../docs/error_messages.md)
# leads to the cell that explains it.

# %%
import json
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

import onnx
import torch
from torch import nn

from course_lib import graphs, plots, pretrained, zoo
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.exercises import model_graphs as check
from course_lib.remarks import remarks

workplace = Path(tempfile.mkdtemp())  # all files of this notebook go there


def results(name):
    """Measurements that are kept with the course, with the machine and the command."""
    found = json.loads(Path(f"../benchmarks/results/{name}.json").read_text(encoding="utf-8"))
    print(found["machine"], "·", found["date"], "·", found["command"])
    return found


# %% [markdown] items="003-38"
# A **graph** lists what a model computes: operations, and which result goes into which. No Python is left in it. **ONNX** is the
# usual file format for graphs. Phones, browsers and servers run it, and viewers draw it.
#
# An article wrote a BERT by hand and drew it so. Its test call has ids and segments (2, 10), and P, the places whose words are
# hidden: five for each text. Here is that model on our own BERT, smaller: H is 64 in place of 768, L is 2 in place of 12. For the
# picture that changes nothing.


# %%
class ArticleBert(nn.Module):
    """BERT, and a masked-word head at some places."""

    def __init__(self, config):
        super().__init__()
        self.bert = BertModel(config)
        self.words = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, tokens, segments, places):
        hidden = self.bert(tokens, token_type_ids=segments).last_hidden_state  # (B, T, H)
        picked = hidden.gather(
            1, places[..., None].expand(-1, -1, hidden.shape[-1])
        )  # (B, P, H)
        return hidden, self.words(picked)  # (B, T, H), (B, P, V)


torch.manual_seed(0)
config = BertConfig(
    vocab_size=100,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
)
model = ArticleBert(config).eval()
tokens = torch.randint(0, 100, (2, 10))
segments = torch.tensor([[0] * 5 + [1] * 5] * 2)
places = torch.tensor([[1, 2, 4, 6, 8], [1, 3, 4, 5, 6]])
[tuple(each.shape) for each in model(tokens, segments, places)]

# %% [markdown] items="003-40"
# ## Why the article's call fails
#
# The article writes `torch.onnx.export(test_bert, (test_tokens, test_segments), 'demo.pth')`. Two things are wrong with it.
#
# The first is the name. `.pth` is what people call a file of `torch.save`, a pickle. An ONNX file ends in `.onnx`.

# %% tags=["raises-exception"] raises="ValueError: 'demo.pth' is to be an ONNX file, whose name ends in .onnx: take 'demo.onnx'. .pth is the usual name of a file that torch.save wrote."
graphs.export_onnx(model, (tokens, segments, places), workplace / "demo.pth")

# %% [markdown] items="003-39"
# The second: the model takes **three** inputs, and the call gives two. **Predict:** what can an exporter do about that?

# %% tags=["raises-exception"] raises="ValueError: ArticleBert.forward also needs places; the example has tokens, segments. A graph records one call, so give everything that the call needs."
graphs.export_onnx(model, (tokens, segments), workplace / "demo.onnx")

# %% [markdown]
# Worse is a model in which the third input is optional. Then nothing fails: the call without it is recorded, and a part
# of the model is missing from the graph, without a word.


# %%
class Optional(ArticleBert):
    def forward(self, tokens, segments, places=None):
        if places is None:
            return self.bert(tokens, token_type_ids=segments).last_hidden_state
        return super().forward(tokens, segments, places)


torch.manual_seed(0)
optional = Optional(config).eval()
silent = graphs.export_onnx(optional, (tokens, segments), workplace / "silent.onnx")
print("outputs:", [value.name for value in onnx.load(str(silent)).graph.output])
found = graphs.verify_onnx(silent, optional, (tokens, segments, places))
print(found)
assert not found.ok and "has no input places" in found.problems[0]

# %% [markdown]
# `verify_onnx` compares the file with the model, on the inputs that **you** name. It finds what was lost.
#
# ## The right call

# %%
path = graphs.export_onnx(model, (tokens, segments, places), workplace / "demo.onnx")
checked = graphs.verify_onnx(path, model)
assert checked.ok and max(checked.max_difference.values()) < 1e-5
checked

# %% [markdown]
# Four pairs of batch size and length, no length the example's. The differences are rounding: both add the same numbers in another
# order.
#
# Is it always so little? Every model of this course at its usual size, and five others, exported and compared in the same way:

# %%
kept = results("onnx_differences")["models"]
plots.Table(
    ["model", "million weights", "MB", "largest number", "largest difference"],
    [
        [
            row["model"],
            f"{row['parameters'] / 1e6:.1f}",
            f"{row['megabytes']:.1f}",
            f"{row['largest_number']:.2f}",
            f"{row['largest_difference']:.1e}",
        ]
        for row in kept
    ],
    right=(1, 2, 3, 4),
)

# %%
assert len(kept) == 29 and all(row["same"] for row in kept)
by_size = sorted(kept, key=lambda row: row["largest_difference"])
assert by_size[-1]["largest_difference"] < 1.1e-5 and by_size[-3]["largest_difference"] < 1e-5
assert all(row["largest_difference"] < 2e-6 * row["largest_number"] for row in by_size[-3:])
assert {row["model"] for row in by_size[-3:]} == {
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertLMHeadModel",
}

# %% [markdown]
# A hundred-thousandth at most, in round numbers. The three word heads differ most: their scores go up to 6, and each is a sum of
# 384 products. Beside such a score it is less than two millionths, and float32 has about seven digits.

# %% [markdown]
# ### Exercise 1 · The same, up to rounding (5 minutes)
#
# Write the heart of such a comparison, `same_answers(ours, theirs, tolerance)`: `True` if the two tensors have the same shape, and
# no number differs by more than the tolerance. With a nan anywhere the answer is `False`.


# %%
def same_answers(ours, theirs, tolerance):
    # BEGIN SOLUTION
    if ours.shape != theirs.shape:
        return False
    return bool(((ours - theirs).abs() <= tolerance).all())
    # END SOLUTION


# %%
check.same_answers(same_answers)

# %% [markdown]
# <details><summary>Hint 1</summary>Compare the shapes first: torch would repeat the smaller tensor silently.</details>
# <details><summary>Hint 2</summary>Each comparison with nan is false. So ask whether all differences are <b>small</b>: <code>((ours - theirs).abs() &lt;= tolerance).all()</code>.</details>

# %% [markdown] items="003-42"
# ## A picture that lasts
#
# The article's figure of the graph is lost. Here is one that is not: it stands in this file as text.

# %% tags=["picture"]
graphs.picture(path)

# %% [markdown]
# Each box is a module, each arrow a tensor with its shape. Equal layers are one box, with their number. A sharp picture of any
# size is in the .svg: `graphs.picture(path).save("model.svg")`.
#
# ## Where is attention?
#
# In a graph there is no `SelfAttention`. There are simple operations, of less than twenty kinds here.

# %%
graph = onnx.load(str(path)).graph
counts = Counter(node.op_type for node in graph.node)
print(len(graph.node), "operations:", dict(counts.most_common(8)))
assert counts["Softmax"] == config.num_hidden_layers and len(counts) < 20

# %% [markdown]
# **Predict:** how would you find attention among them?
#
# By its softmax: one in each layer. Before it stands a product of queries and keys, behind it the product with the values.

# %% tags=["picture"]
graphs.picture(path, block="bert.encoder.layer.0.attention")

# %% [markdown]
# Read it from above: three linear layers (a MatMul and an Add each); Reshape and Transpose cut each into heads, and turn the
# keys round once more; two Mul, one for Q and one for K, which together divide by √D; Q times K; Softmax; times V; the heads
# joined again; one linear layer. No mask is added between Q times K and the Softmax, because the recorded call had none. The
# long arrow at the side is the residual.

# %% [markdown]
# ### Exercise 2 · Count the layers (4 minutes)
#
# Write `count_layers(graph)`: how many attention layers has an ONNX graph? `graph.node` are its operations, each with its `op_type`.


# %%
def count_layers(graph):
    # BEGIN SOLUTION
    return sum(node.op_type == "Softmax" for node in graph.node)
    # END SOLUTION


# %%
check.count_layers(count_layers)

# %% [markdown]
# <details><summary>Hint 1</summary>One softmax for each layer.</details>
# <details><summary>Hint 2</summary><code>sum(node.op_type == "Softmax" for node in graph.node)</code>.</details>

# %% [markdown]
# ## Four traps
#
# They wait for those who call torch's own exporter. **One size.** Without `dynamic_shapes` every size is the example's, and
# nothing is said:

# %%
small = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 3)).eval()
logging.disable(logging.WARNING)  # it tells of packages that we do not need
with remarks():
    torch.onnx.export(
        small,
        (tokens,),
        str(workplace / "fixed.onnx"),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
logging.disable(logging.NOTSET)
fixed = graphs.verify_onnx(workplace / "fixed.onnx", small, tokens)
print(*fixed.problems[:2], sep="\n")
assert not fixed.ok

# %% [markdown]
# ### Exercise 3 · Which sizes may change? (6 minutes)
#
# Write `changing_axes(value)`. `value` is an input of a graph, such as `graph.input[0]`. Its axes are
# `value.type.tensor_type.shape.dim`; an axis that may change has a name, `dim_param`, and a fixed one has a size, `dim_value`, and
# an empty name. Return a list with the name for each axis that may change, and `None` for each fixed one.


# %%
def changing_axes(value):
    # BEGIN SOLUTION
    return [dim.dim_param or None for dim in value.type.tensor_type.shape.dim]
    # END SOLUTION


# %%
check.changing_axes(changing_axes)

# %% [markdown]
# <details><summary>Hint 1</summary>One entry for each axis, in order.</details>
# <details><summary>Hint 2</summary><code>dim.dim_param or None</code> makes None of an empty name.</details>

# %% [markdown]
# **Training mode.** Then dropout stands in the file. A program that runs the file operation by operation answers differently
# each time. onnxruntime takes dropout out when it loads a file, so there you see nothing of it, and neither does `verify_onnx`.
# torch warns, and writes it. `export_onnx` switches to evaluation and back.
#
# **An old opset.** The opset is the version of ONNX's list of operations. Asked for 14, torch writes 18 and tries to turn it
# into 14. If that fails, as with BERT, 18 stays in the file, and only the log says so. Ours does not begin:

# %% tags=["raises-exception"] raises="ValueError: opset=14: torch writes opset 18 or newer; where it cannot turn that into 14, 18 stays in the file, and no error comes. Leave opset out, or give 18 or more."
graphs.export_onnx(small, tokens, workplace / "old.onnx", opset=14)

# %% [markdown]
# **A branch.** A graph has one path. A model that looks at its numbers to choose one cannot be written:


# %% tags=["raises-exception"] raises="ExportError: Chooses cannot be written as an ONNX graph: its forward takes a branch that depends on the numbers in a tensor (an `if`, a loop, .item(), .tolist()), and a graph has one path. Use torch.where, or take the branch outside the model."
class Chooses(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


graphs.export_onnx(Chooses(), torch.ones(2, 3), workplace / "branch.onnx")

# %% [markdown] items="003-41"
# ## Netron
#
# *Netron* is a viewer for such files. The article ends with `netron.start(file)`, which opens a browser page of its own, at
# port 8080 or at a random one where that is taken, and serves *every* file of the model's folder. Here it stands in the notebook, for this file alone, and ends with
# the kernel. What you see here without a running kernel is the picture from above.
#
# Where there is a network, Netron's page calls two services outside: it asks one for your country, without a question, and reports
# its use to the other. In Europe, and without a network, it waits for your consent in between. Click into the frame before you use
# its keys, or JupyterLab takes them.

# %%
view = graphs.show(path, picture=graphs.picture(path))
view

# %% [markdown] items="002-15"
# ## A pyramid, unrolled
#
# [Notebook 09](09_classifier_zoo.ipynb) has DPCNN, which halves a text until one place is left. How often depends on the text; a
# graph must have a fixed number of rounds. So the model takes `longest`, and the graph has rounds for that. Texts that are
# down to one place pass through.

# %%
pyramid = zoo.build("DPCNN", 10, 100, embedding=16, channels=8, longest=8).eval()
mask = torch.ones_like(tokens[:, :8])
pyramid_path = graphs.export_onnx(
    pyramid, {"input_ids": tokens[:, :8], "attention_mask": mask}, workplace / "dpcnn.onnx"
)
rounds = Counter(node.op_type for node in onnx.load(str(pyramid_path)).graph.node)["Max"]
print(rounds, "maxima of two: two for each of", rounds // 2, "rounds: 8 -> 4 -> 2 -> 1")
assert rounds == 6

# %% [markdown]
# **Predict:** a text of 9 tokens, one more than `longest`. With its three rounds the graph would be left with two places, take the
# first, and give another answer than the model. It must not do so in silence.

# %% tags=["raises-exception"] raises="DataError: dpcnn.onnx does not run"
graphs.OnnxModel(pyramid_path)(
    input_ids=tokens[:, :9], attention_mask=torch.ones_like(tokens[:, :9])
)

# %% [markdown]
# It refuses, as a BERT does beyond its 512 positions: the pyramid looks up a row for each place, in a table of `longest` rows.
# Give `longest` the longest text that you will meet.

# %% [markdown] items="003-43 003-44"
# ## Who calls whom
#
# The article draws the functions with `code2flow.code2flow([file], 'out.svg')`. For .svg and .png it needs `dot`, a program of
# Graphviz that lays graphs out; for .gv and .json it does not. code2flow reads the text of a file and guesses. **Predict:**
# what does it make of `self.layer(x)`?

# %%
net = workplace / "net.py"
net.write_text(
    """from torch import nn


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x) / 2


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Half(), Half()

    def forward(self, x):
        return self.second(self.first(x))
""",
    encoding="utf-8",
)
graphs.call_graph([net]).edges

# %% [markdown]
# `self.first(x)` calls `Half.forward`, by way of torch. That stands nowhere in the text, so no reader of texts can find it.
# A run can:

# %%
sys.path.insert(0, str(workplace))
from net import Net

calls = graphs.call_graph([net], run=lambda: Net()(torch.ones(1, 4)))
assert ("Net.forward", "Half.forward") in calls.edges
print(*calls.edges, sep="\n")

# %% [markdown]
# ### Exercise 4 · Read and seen (6 minutes)
#
# Write `joined_edges(read, seen, ran)`. `read` is a set of pairs (caller, callee) that somebody read in the text, `seen` those that
# happened in a run, `ran` the functions that ran. Return a set: all that was seen, and of what was read those pairs whose caller did
# **not** run. Of a function that ran, the run knows all calls. (The library is finer: of a function that ran it also keeps what was
# read on lines that this run did not pass, in the other branch of an `if`.)


# %%
def joined_edges(read, seen, ran):
    # BEGIN SOLUTION
    return seen | {(caller, callee) for caller, callee in read if caller not in ran}
    # END SOLUTION


# %%
check.joined_edges(joined_edges)

# %% [markdown]
# <details><summary>Hint 1</summary>Two sets are joined by <code>|</code>.</details>
# <details><summary>Hint 2</summary><code>{(a, b) for a, b in read if a not in ran}</code>.</details>

# %% [markdown] items="003-45"
# Our own BERT, as one run went through it. It is an SVG: lines and letters, not points, so it stays sharp at any size, and its
# words can be searched.

# %% tags=["picture"]
import course_lib.bert

bert = model.bert
graphs.call_graph(course_lib.bert, run=lambda: bert(tokens)).called()

# %% [markdown]
# ## Fusion
#
# A program that runs a graph need not take its operations one by one. Before its first call **onnxruntime** looks for neighbours
# that it can do in one walk through memory, and puts one operation in their place. That is **fusion**: a sum and the LayerNorm
# behind it become *SkipLayerNormalization*, a bias and a GELU *BiasGelu*, a product and its factor *FusedMatMul*.
#
# **Predict:** how many operations are left of our graph: nearly all, half, a tenth?

# %%
fused = graphs.fuse(path, workplace / "demo_fused.onnx")
after = Counter(node.op_type for node in onnx.load(str(fused)).graph.node)
new = {kind: count for kind, count in after.items() if kind not in counts}
print(f"{counts.total()} operations become {after.total()}; among them {new}")
assert 0.7 * counts.total() < after.total() < counts.total()
assert new["SkipLayerNormalization"] == 2 * config.num_hidden_layers
assert new["BiasGelu"] == config.num_hidden_layers
graphs.verify_onnx(fused, model)

# %% [markdown]
# Most stay: the products of matrices, and the reshaping around the heads. The answers are the same, up to rounding. The new
# kinds are onnxruntime's own, so other programs cannot run this file. Keep the first one: onnxruntime fuses by itself, each
# time it loads a file.
#
# Is it worth it? One thread, the graph as it stands beside the fused one, timed in turn. The milliseconds are the median of
# each. The last column is the median of the ratios turn by turn, and in brackets the smallest and the largest: below 1, the
# fused graph is the slower one. **Predict:** where is more to be gained, with one short text or with a batch?

# %%
fusion = results("onnx_fusion")
plots.Table(
    ["encoder", "operations", "texts", "as it stands, ms", "fused, ms", "times as fast"],
    [
        [
            name,
            f"{found['operations']['before']} -> {found['operations']['after']}",
            texts,
            f"{found[texts]['milliseconds']['plain']:.1f}",
            f"{found[texts]['milliseconds']['fused']:.1f}",
            "{ratio:.2f} ({ratio_lowest:.2f} to {ratio_highest:.2f})".format(
                **found[texts]["plain_by_fused"]
            ),
        ]
        for name, found in fusion["models"].items()
        for texts in ("one text of 12", "32 texts of 32")
    ],
    right=(3, 4, 5),
)

# %%
speeds = [
    found[texts]["plain_by_fused"]
    for found in fusion["models"].values()
    for texts in ("one text of 12", "32 texts of 32")
]
assert all(
    one["ratio"] < 1 and one["ratio_lowest"] < 1 < one["ratio_highest"] for one in speeds
)

# %% [markdown]
# Nowhere, here: in every row the turns lie on both sides of 1. One explanation is that the products of matrices take the time,
# and fusion leaves them as they are; we have not tested it. On a graphics card, where each operation has to be launched and
# memory is the bottleneck, it can be another matter.
# **Fewer boxes in a graph are not yet less time**: measure.

# %% [markdown]
# ## Eight bits
#
# Weights have 32 bits each. **int8** rounds each matrix to 256 steps, $w \approx s\,(q - z)$: a scale s, a zero z, whole
# numbers q of 0 to 255. The weights are rounded once, in the file. What flows through the graph is rounded too, batch by batch
# while it runs (*dynamic* quantisation), so that products of whole numbers can be taken. **Predict** how much smaller the file
# becomes, and how many answers change.

# %% [markdown]
# ### Exercise 5 · Round to 256 steps (8 minutes)
#
# Write `eight_bits(w)`: there are 256 steps from the smallest to the largest number of `w`, with equal distances. Move each
# number to the nearest step, and return the result as floating numbers of the shape of `w`.


# %%
def eight_bits(w):
    # BEGIN SOLUTION
    low, high = w.min(), w.max()
    s = (high - low) / 255
    q = ((w - low) / s).round()  # 0 to 255
    return q * s + low
    # END SOLUTION


# %%
check.eight_bits(eight_bits)

# %% [markdown]
# <details><summary>Hint 1</summary>256 steps have 255 distances: <code>s = (w.max() - w.min()) / 255</code>.</details>
# <details><summary>Hint 2</summary><code>q = ((w - w.min()) / s).round()</code>, whole numbers of 0 to 255; then back. (onnxruntime's file
# has nearly these: it shifts the steps a little, so that 0 is one of them.)</details>

# %%
mini = BertModel.from_pretrained("mini_bert_zh", add_pooling_layer=False).eval()
tokenizer = pretrained.load_tokenizer("mini_bert_zh")
batch = tokenizer(
    ["央行宣布下调贷款利率", "主队三比一逆转取胜"], padding=True, return_tensors="pt"
)
inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
full = graphs.export_onnx(mini, inputs, workplace / "mini.onnx", attentions=True)
int8 = graphs.quantise(full, workplace / "mini_int8.onnx")
sizes = [file.stat().st_size / 1e6 for file in (full, int8)]
print(f"{sizes[0]:.1f} MB, {sizes[1]:.1f} MB")
assert sizes[1] < 0.35 * sizes[0]
graphs.verify_onnx(int8, mini, tolerance=0.5)

# %% [markdown]
# About a quarter. The vectors differ by up to 0.29, where float32 differs by a millionth. What matters is whether the
# **answers** differ. Measured on two `bert` classifiers, fine-tuned on the headlines, on two processor cores:

# %%
measured = results("onnx_speed")
ways = {
    "PyTorch": "pytorch",
    "onnxruntime": "onnxruntime",
    "onnxruntime, int8": "onnxruntime_int8",
}
plots.Table(
    ["headlines", "run by", "MB", "texts a second", "test accuracy"],
    [
        [
            {"zh": "Chinese", "en": "English"}[language],
            name,
            f"{measured[language]['megabytes']['int8' if 'int8' in way else 'float32']:.1f}",
            f"{measured[language]['threads_2']['texts_a_second'][way]:,}",
            f"{measured[language]['accuracy'][way]:.3f}",
        ]
        for language in ("zh", "en")
        for name, way in ways.items()
    ],
    right=(2, 3, 4),
)

# %%
for language in ("zh", "en"):
    lost = (
        measured[language]["accuracy"]["pytorch"]
        - measured[language]["accuracy"]["onnxruntime_int8"]
    )
    assert abs(lost) < 0.02
    speed = measured[language]["threads_2"]["texts_a_second"]
    assert 1.3 < speed["onnxruntime_int8"] / speed["pytorch"] < 1.6
    print(f"{language}: right answers of 410, int8 minus PyTorch: {-410 * lost:+.0f}")

# %% [markdown]
# One text of 410 more or fewer, which is nothing, for a quarter of the size, and 1.3 to 1.6 times as many texts a second as PyTorch. That is no law:
# measure your own.
#
# ## Looking into attention
#
# The graph gives the attention weights as outputs, as we asked. They need no PyTorch. (The pictures count layers and heads
# from 1, Python counts from 0.)

# %%
answers = graphs.OnnxModel(full)(**inputs)
attentions = [answers[f"attentions.{layer}"] for layer in range(mini.config.num_hidden_layers)]
words = tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
print(tuple(attentions[0].shape), "(B, N, T, T) for each layer")
graphs.all_heads(attentions, words, mask=batch["attention_mask"])

# %%
graphs.head_view(attentions, words, layer=1, head=0, mask=batch["attention_mask"])

# %% [markdown]
# And to click through, in a running notebook: choose layer, head and token. (With the keyboard: Tab goes from one to the
# next, a number chooses in a list, the space bar chooses a token. The arrow keys are JupyterLab's: they go to other cells.)

# %%
graphs.attention_view(attentions, words, mask=batch["attention_mask"])

# %% [markdown]
# ## Your own model
#
# Nearly any module will do; the last of the four traps says which will not. Which sizes may change is found out by trying.

# %%
mine = nn.Sequential(
    nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
).eval()
own = graphs.export_onnx(mine, torch.randn(2, 3, 16, 16), workplace / "mine.onnx")
dims = onnx.load(str(own)).graph.input[0].type.tensor_type.shape.dim
print([dim.dim_param or dim.dim_value for dim in dims])
assert graphs.verify_onnx(own, mine).ok

# %% [markdown]
# At the command line, with pictures and a page that opens from disk:
#
#     python -m course_lib graph my_model --output my_graph

# %% [markdown]
# ## Quiz
#
# Decide first, then click: each answer says why it is right, or what would have to be different. Nothing is counted.

# %%
from course_lib.quizzes import quiz

quiz("10_model_graphs")

# %% [markdown]
# ## Summary
#
# - A graph records **one** call. What that call did not do is not in it.
# - Batch and length must be declared as changing; else they are fixed, silently.
# - Compare the file with the model, on other sizes than the example's, with padding.
# - Reading code finds calls by name. Calls by way of torch show in a run alone.
# - int8 is a quarter of the size. Measure the answers, not the vectors.
# - An SVG in the notebook outlives every server.
#
# **Read:** the ONNX specification of operators (onnx.ai). Jacob et al., *Quantization and Training of Neural Networks for
# Efficient Integer-Arithmetic-Only Inference* (2018).
#
# **Next:** [11_going_bigger](11_going_bigger.ipynb). Your progress so far:

# %%
from course_lib.exercises import progress

progress()
