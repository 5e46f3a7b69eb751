"""ONNX files: they take any batch and length, compute what the model computes, and say so where they do not."""

import json
import warnings
from pathlib import Path

import onnx
import pytest
import torch
import transformers
from torch import nn

from course_lib import graphs, zoo
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.errors import DataError, ExportError
from course_lib.graphs.export import asked_of
from course_lib.heads import BertForMaskedLM, BertForSequenceClassification

SIZES = {
    "vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20,
}  # fmt: skip
IDS = {"input_ids": torch.randint(1, 100, (2, 5)), "attention_mask": torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])}


def seeded(make):
    torch.manual_seed(0)
    return make()


@pytest.fixture(scope="module")
def bert():
    return seeded(lambda: BertModel(BertConfig(**SIZES)))


@pytest.fixture(scope="module")
def file(bert, tmp_path_factory):
    return graphs.export_onnx(bert, IDS, tmp_path_factory.mktemp("onnx") / "bert.onnx")


# ------------------------------------------------------------------------------------------------ the same answers


def test_bert_is_the_same_for_any_batch_length_and_padding(bert, file) -> None:
    found = graphs.verify_onnx(file, bert)
    assert found.ok and found and not found.problems
    assert found.shapes == ((2, 7), (1, 3), (3, 1), (4, 30))
    assert set(found.max_difference) == {"last_hidden_state", "pooler_output"}
    assert max(found.max_difference.values()) < 1e-5
    assert "the same as the model" in str(found) and "last_hidden_state" in found._repr_html_()


MODELS = {
    "classification": lambda: BertForSequenceClassification(BertConfig(**SIZES, num_labels=3)),
    "masked words": lambda: BertForMaskedLM(BertConfig(**SIZES)),
    "transformers' BertModel": lambda: transformers.BertModel(transformers.BertConfig(**SIZES)),
    "transformers' classifier": lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES)),
    "TextCNN": lambda: zoo.build("TextCNN", 4, 100, embedding=8, filters=5),
    "TextRNN_Att": lambda: zoo.build("TextRNN_Att", 4, 100, embedding=8, hidden=6),
    "DPCNN": lambda: zoo.build("DPCNN", 4, 100, embedding=8, channels=6, longest=32),
    "FastText": lambda: zoo.build("FastText", 4, 100, embedding=8, buckets=50),
    "bert_RCNN": lambda: zoo.build("bert_RCNN", 4, encoder=BertModel(BertConfig(**SIZES)), hidden=6, features=5),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_over_ids(name, tmp_path) -> None:
    model = seeded(MODELS[name])
    found = graphs.verify_onnx(graphs.export_onnx(model, IDS, tmp_path / "model.onnx"), model)
    assert found.ok, found
    assert max(found.max_difference.values()) < 1e-5 and len(found.shapes) == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in zoo.NAMES if n not in MODELS])
def test_every_other_model_of_the_zoo(name, tmp_path) -> None:
    over = {"encoder": BertModel(BertConfig(**SIZES))} if zoo.reads_bert(name) else {"vocab_size": 100, "embedding": 8}
    options = {"longest": 32} if "DPCNN" in name else {}
    if name == "Transformer":
        options["embedding"] = 16
    model = seeded(lambda: zoo.build(name, 4, **{**over, **options}))
    found = graphs.verify_onnx(graphs.export_onnx(model, IDS, tmp_path / "model.onnx"), model)
    assert found.ok and max(found.max_difference.values()) < 1e-5, found


OTHERS = {
    "images": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
        (2, 3, 6, 7),
        ("batch", 3, "height", "width"),
    ),
    "LSTM": (lambda: nn.LSTM(5, 6, batch_first=True), (2, 4, 5), ("batch", "tokens", 5)),
    "second LSTM": (lambda: nn.LSTM(5, 3, batch_first=True, bidirectional=True), (1, 4, 5), ("batch", "tokens", 5)),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False),
        (2, 4, 8),
        ("batch", "tokens", 8),
    ),
    "fixed length": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (2, 4, 3), ("batch", 4, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_any_module_and_which_axes_may_change_is_found_out(name, tmp_path) -> None:
    make, shape, axes = OTHERS[name]
    model = seeded(make)
    path = graphs.export_onnx(model, torch.randn(shape), tmp_path / "model.onnx")
    (value,) = onnx.load(str(path)).graph.input
    assert tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim) == axes
    assert graphs.verify_onnx(path, model).ok


class WordsAtPlaces(nn.Module):
    """As in the article: one of the inputs holds places in the text."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(100, 6)

    def forward(self, tokens, places):
        hidden = self.table(tokens)
        return hidden.gather(1, places[..., None].expand(-1, -1, 6))


def test_places_in_a_text_have_a_length_of_their_own(tmp_path) -> None:
    model = seeded(WordsAtPlaces)
    example = (torch.randint(0, 100, (2, 10)), torch.tensor([[1, 2, 8], [1, 3, 4]]))
    path = graphs.export_onnx(model, example, tmp_path / "model.onnx")
    names = [[d.dim_param for d in v.type.tensor_type.shape.dim] for v in onnx.load(str(path)).graph.input]
    assert names == [["batch", "tokens"], ["batch", "places_1"]]
    found = graphs.verify_onnx(path, model)
    assert found.ok and len(found.shapes) == 4, found


def test_a_model_that_runs_with_nothing_that_is_tried(tmp_path) -> None:
    class Never(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    path = graphs.export_onnx(nn.Linear(3, 2), torch.ones(2, 3), tmp_path / "model.onnx")
    found = graphs.verify_onnx(path, Never(), {"x": torch.ones(2, 3)})
    assert not found.ok and "ran with none of the inputs" in " ".join(found.problems)


def test_hidden_states_and_attentions_are_further_outputs(bert, tmp_path) -> None:
    path = graphs.export_onnx(bert, IDS, tmp_path / "all.onnx", hidden_states=True, attentions=True)
    found = graphs.verify_onnx(path, bert)
    assert found.ok
    names = [f"hidden_states.{i}" for i in range(3)] + ["attentions.0", "attentions.1"]
    assert set(names) < set(found.max_difference)
    weights = graphs.OnnxModel(path)(**IDS)["attentions.1"]
    assert weights.shape == (2, 2, 5, 5) and torch.allclose(weights.sum(-1), torch.ones(2, 2, 5), atol=1e-5)


def test_attentions_of_transformers_and_its_fast_attention_comes_back(tmp_path) -> None:
    model = transformers.BertModel(transformers.BertConfig(**SIZES)).train()
    before = model.config._attn_implementation
    path = graphs.export_onnx(model, IDS, tmp_path / "all.onnx", attentions=True)
    assert model.config._attn_implementation == before != "eager" and model.training
    assert graphs.verify_onnx(path, model).ok
    assert "attentions.1" in graphs.OnnxModel(path).outputs


# -------------------------------------------------------------------------------------------------- what is kept


def test_the_file_says_what_it_was_made_of(bert, file) -> None:
    asked = asked_of(onnx.load(str(file)))
    assert asked.model == "BertModel" and asked.config["hidden_size"] == 16 and set(asked.inputs) == set(IDS)
    assert asked.outputs == ("last_hidden_state", "pooler_output") and "torch" in asked.versions
    assert asked_of(onnx.ModelProto()) is None


def test_nothing_of_this_computer_is_in_the_file(file) -> None:
    content = file.read_bytes()
    assert b"stack_trace" not in content and str(Path(graphs.__file__).parents[2]).encode() not in content
    assert b"encoder.layer.1.attention" in content  # the modules stay


def test_dropout_is_left_out_and_the_mode_comes_back(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)).train()
    model[0].eval()
    path = graphs.export_onnx(model, torch.randn(2, 3), tmp_path / "model.onnx")
    assert [part.training for part in model] == [False, True]
    assert graphs.verify_onnx(path, model).ok
    assert "Dropout" not in {node.op_type for node in onnx.load(str(path)).graph.node}


def test_a_text_of_one_token_is_example_enough(bert, tmp_path) -> None:
    one = {name: value[:1, :1] for name, value in IDS.items()}
    assert graphs.verify_onnx(graphs.export_onnx(bert, one, tmp_path / "model.onnx"), bert).ok


def test_nothing_is_said_beside_the_file(bert, tmp_path, capfd) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graphs.export_onnx(bert, IDS, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_large_weights_stand_beside_the_file(bert, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("course_lib.graphs.export.LARGEST", 1000)
    path = graphs.export_onnx(bert, IDS, tmp_path / "model.onnx")
    assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}
    assert graphs.verify_onnx(path, bert).ok
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(DataError, match="which is missing"):
        graphs.verify_onnx(path, bert)


# ------------------------------------------------------------------------------------------------ what goes wrong


class Branches(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Unknown(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


class FixedLength(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(100, 4)

    def forward(self, x):
        return self.table(x).view(-1, 20)


@pytest.mark.parametrize(
    ("model", "example", "words"),
    [
        (Branches(), torch.ones(2, 3), "a branch that depends on the numbers"),
        (Unknown(), torch.ones(2, 3), "bessel_j0 has no counterpart in ONNX"),
        (FixedLength(), IDS["input_ids"], "its forward fixes that size"),
    ],
)
def test_a_model_that_cannot_be_recorded_is_a_sentence(model, example, words, tmp_path, capfd) -> None:
    with pytest.raises(ExportError, match=words):
        graphs.export_onnx(model, example, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"path": "model.pth"}, ValueError, "'model.onnx'.*torch.save"),
        ({"opset": 14}, ValueError, "18 stays in the file, and no error comes. Leave opset out"),
        ({"example": {"input_ids": [[1, 2]]}}, TypeError, "input_ids is a list"),
        ({"example": {"ids": IDS["input_ids"]}}, ValueError, "no argument ids"),
        ({"example": {}}, TypeError, "empty"),
        ({"changing": {"ids": {0: "batch"}}}, ValueError, "the example has input_ids"),
        ({"changing": {"input_ids": {5: "batch"}}}, ValueError, "axis 5"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(bert, change, kind, words, tmp_path) -> None:
    given = {"example": IDS, "path": "model.onnx", **change}
    path = tmp_path / given.pop("path")
    with pytest.raises(kind, match=words):
        graphs.export_onnx(bert, given.pop("example"), path, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_a_number_and_a_width_that_do_not_serve(tmp_path) -> None:
    (tmp_path / "d.onnx").mkdir()
    for model, example, name, kind, words in (
        (nn.Linear(4, 3), torch.ones(2, 4), "d.onnx", ValueError, "is a folder"),
        (5, torch.ones(2, 4), "a.onnx", TypeError, "model is a int"),
        (
            nn.Linear(4, 3),
            torch.ones(2, 5),
            "a.onnx",
            ValueError,
            r"Linear does not run with the example, input \(2, 5\)",
        ),
    ):
        with pytest.raises(kind, match=words):
            graphs.export_onnx(model, example, tmp_path / name)


def test_an_argument_that_the_call_needs_is_missed(tmp_path) -> None:
    class Article(nn.Module):
        def forward(self, tokens, segments, places):
            return tokens + segments + places

    example = (torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match="also needs places"):
        graphs.export_onnx(Article(), example, tmp_path / "model.onnx")


def test_attentions_that_a_model_does_not_give(tmp_path) -> None:
    with pytest.raises(ValueError, match="gave no attentions"):
        graphs.export_onnx(nn.Linear(3, 2), torch.ones(2, 3), tmp_path / "model.onnx", attentions=True)


# --------------------------------------------------------------------------------------- what verification catches


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")  # torch's own
def test_a_graph_that_is_secretly_of_one_size_is_caught(tmp_path) -> None:
    """torch.onnx.export without dynamic_shapes: it says nothing of it."""
    model = seeded(lambda: nn.Sequential(nn.Embedding(100, 4), nn.Linear(4, 2))).eval()
    path, ids = tmp_path / "model.onnx", IDS["input_ids"]
    torch.onnx.export(model, (ids,), str(path), input_names=["input"], dynamo=True, external_data=False, verbose=False)
    found = graphs.verify_onnx(path, model, ids)
    assert not found.ok
    assert "fixes the batch of input to 2, the tokens of input to 5" in found.problems[0]


def test_one_size_that_was_asked_for_is_no_fault(bert, tmp_path) -> None:
    path = graphs.export_onnx(bert, IDS, tmp_path / "model.onnx", changing={})
    found = graphs.verify_onnx(path, bert)
    assert found.ok and found.shapes == ((2, 5),)


def test_other_weights_are_caught(file) -> None:
    other = BertModel(BertConfig(**SIZES))
    found = graphs.verify_onnx(file, other)
    assert not found.ok and "made of other weights" in found.problems[0]
    assert any("last_hidden_state differs by" in problem for problem in found.problems)
    assert "not the same as the model" in str(found)


def test_a_lost_input_is_caught(bert, tmp_path) -> None:
    path = graphs.export_onnx(bert, {"input_ids": IDS["input_ids"]}, tmp_path / "model.onnx")
    found = graphs.verify_onnx(path, bert, IDS)
    assert not found.ok and "has no input attention_mask" in " ".join(found.problems)
    assert any("differs by" in problem for problem in found.problems)


def test_a_graph_that_computes_something_else_is_caught(tmp_path) -> None:
    """The answers twice: made by hand, since export_onnx does not write such a graph."""
    make = onnx.helper
    value = [make.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["batch", 3]) for n in ("x", "output")]
    nodes = [make.make_node("Mul", ["x", "twice"], ["output"])]
    twice = make.make_tensor("twice", onnx.TensorProto.FLOAT, [], [2.0])
    model = make.make_model(
        make.make_graph(nodes, "g", value[:1], value[1:], [twice]),
        ir_version=10,
        opset_imports=[make.make_opsetid("", 20)],
    )
    onnx.save(model, str(tmp_path / "twice.onnx"))

    class Once(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(ValueError, match="give an example"):
        graphs.verify_onnx(tmp_path / "twice.onnx", Once())
    found = graphs.verify_onnx(tmp_path / "twice.onnx", Once(), torch.ones(2, 3))
    assert not found.ok and "output differs by 1" in found.problems[0]


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x07"])
def test_a_file_that_is_no_graph(bert, content, tmp_path) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(DataError, match="not an ONNX file"):
        graphs.verify_onnx(tmp_path / "x.onnx", bert)


def test_a_file_that_was_cut_off(bert, file, tmp_path) -> None:
    (tmp_path / "x.onnx").write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(DataError):
        graphs.verify_onnx(tmp_path / "x.onnx", bert)


# ---------------------------------------------------------------------------------------------- running, and int8


def test_a_graph_is_called_like_the_model(bert, file) -> None:
    model = graphs.OnnxModel(file, threads=1)
    with torch.no_grad():
        want = bert.eval()(**IDS).pooler_output
    assert torch.allclose(model(**IDS)["pooler_output"], want, atol=1e-5)
    with pytest.raises(ValueError, match="attention_mask is missing"):
        model(input_ids=IDS["input_ids"])
    with pytest.raises(ValueError, match="no input ids"):
        model(**IDS, ids=IDS["input_ids"])


def test_int8_is_smaller_and_near(bert, file, tmp_path) -> None:
    small = graphs.quantise(file, tmp_path / "int8.onnx")
    assert small.stat().st_size < file.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["int8.onnx"]
    wide = graphs.verify_onnx(small, bert, tolerance=0.2)
    assert wide.ok, wide
    assert max(wide.max_difference.values()) > 1e-5  # it is another model
    with pytest.raises(ValueError, match="a name of its own"):
        graphs.quantise(file, file)


def test_a_fused_graph_has_fewer_operations_and_the_same_answers(bert, file, tmp_path) -> None:
    fused = graphs.fuse(file, tmp_path / "fused.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["fused.onnx"]
    before, after = ([node.op_type for node in onnx.load(str(path)).graph.node] for path in (file, fused))
    assert len(after) < len(before)
    # Of each layer: two sums with their LayerNorms, and the bias of the wide half with its GELU.
    assert after.count("SkipLayerNormalization") == 4 and after.count("BiasGelu") == 2
    found = graphs.verify_onnx(fused, bert)
    assert found.ok and len(found.shapes) == 4 and max(found.max_difference.values()) < 1e-5
    with pytest.raises(ValueError, match="a name of its own"):
        graphs.fuse(file, file)


def test_a_fused_graph_keeps_large_weights_beside_it(bert, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("course_lib.graphs.export.LARGEST", 1000)
    path = graphs.export_onnx(bert, IDS, tmp_path / "model.onnx")
    fused = graphs.fuse(path, tmp_path / "new" / "fused.onnx")
    assert {p.name for p in fused.parent.iterdir()} == {"fused.onnx", "fused.onnx.data"}
    assert graphs.verify_onnx(fused, bert).ok


def test_operations_as_they_stand_give_the_same_answers(file) -> None:
    fused, plain = graphs.OnnxModel(file)(**IDS), graphs.OnnxModel(file, fused=False)(**IDS)
    for name, answer in fused.items():
        assert torch.allclose(answer, plain[name], atol=1e-5)


def test_names_of_the_package() -> None:
    assert {"export_onnx", "verify_onnx", "call_graph", "show"} <= set(dir(graphs))
    assert all(getattr(graphs, name) is not None for name in graphs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        graphs.exprot  # noqa: B018
    json.dumps(graphs.__all__)


def test_the_file_names_weights_and_modules_as_the_model_does(bert, tmp_path) -> None:
    chain = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    for model, example in ((chain, torch.ones(2, 3)), (bert, IDS)):
        read = onnx.load(str(graphs.export_onnx(model, example, tmp_path / "model.onnx")))
        named = {tensor.name for tensor in read.graph.initializer} & {name for name, _ in model.named_parameters()}
        assert len(named) >= 4  # the others were folded or turned
        assert not [tensor.name for tensor in read.graph.initializer if tensor.name.startswith("model.")]
        said = " ".join(entry.value for node in read.graph.node for entry in node.metadata_props)
        assert "export.Flat" not in said
    drawn = graphs.picture(graphs.export_onnx(chain, torch.ones(2, 3), tmp_path / "chain.onnx"))
    assert "Picture of Sequential" in drawn.alt
    assert "0 (Linear" in drawn.alt and "model.0" not in drawn.alt


class Reader(nn.Module):
    """Answers with something a token, and something a text."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 4, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        every, _ = self.lstm(x)
        return {"every": every, "pairs": every[:, 1:], "last": every[:, -1]}


def test_sizes_of_outputs_that_change_are_declared_so(tmp_path) -> None:
    """torch writes the example's length into the answer of an LSTM, though the graph runs with any."""
    path = graphs.export_onnx(Reader(), {"x": torch.randn(2, 7, 5)}, tmp_path / "model.onnx")
    said = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in onnx.load(str(path)).graph.output}  # fmt: skip
    assert said["every"] == ["batch", "tokens", 8]
    assert said["last"] == ["batch", 8]
    assert said["pairs"][0] == "batch" and isinstance(said["pairs"][1], str) and said["pairs"][1] != "tokens"
    assert graphs.OnnxModel(path)(x=torch.randn(3, 11, 5))["every"].shape == (3, 11, 8)


def test_a_pyramid_refuses_a_text_beyond_its_longest(tmp_path) -> None:
    """With too few rounds it gave another answer, and nobody was told."""
    torch.manual_seed(0)
    model = zoo.build("DPCNN", 4, 100, embedding=8, channels=6, longest=13).eval()
    ids = torch.randint(1, 100, (2, 13))
    path = graphs.export_onnx(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, tmp_path / "m.onnx")
    graph = graphs.OnnxModel(path)
    with torch.no_grad():
        want = model(ids, torch.ones_like(ids)).logits
    torch.testing.assert_close(graph(input_ids=ids, attention_mask=torch.ones_like(ids))["logits"], want)
    longer = torch.randint(1, 100, (2, 14))
    with pytest.raises(DataError, match=r"does not run with input_ids \(2, 14\)"):
        graph(input_ids=longer, attention_mask=torch.ones_like(longer))


def test_an_input_that_still_has_gradients_is_taken(tmp_path) -> None:
    path = graphs.export_onnx(nn.Linear(3, 2), {"input": torch.randn(2, 3)}, tmp_path / "m.onnx")
    assert graphs.OnnxModel(path)(input=torch.randn(2, 3, requires_grad=True))["output"].shape == (2, 2)
