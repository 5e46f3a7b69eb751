"""What a picture of a network shows, read back from its SVG."""

from __future__ import annotations

import base64
import random
import re
import shutil
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from course_lib import zoo
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.errors import DataError, SetupError
from course_lib.graphs.model_picture import ModelPicture, model_picture

SVG = "{http://www.w3.org/2000/svg}"
KINDS = {"block", "piece", "mask", "operation", "end", "fold"}


class Wrapper(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = self.model(*values)
        return tuple(v for v in vars(given).values() if isinstance(v, torch.Tensor))


def export(model: nn.Module, path: Path, outputs: list[str]) -> Path:
    ids = torch.arange(32).view(2, 16) % 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Wrapper(model.eval()).eval(), (ids, torch.ones_like(ids)), path, input_names=["input_ids", "attention_mask"],
            output_names=outputs, dynamic_shapes={"values": ({0: "batch", 1: "tokens"},) * 2}, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip
    return path


def bert(layers: int = 6) -> BertModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 64}
    return BertModel(BertConfig(vocab_size=100, **sizes)).eval()


@pytest.fixture(scope="module")
def bert_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(bert(), tmp_path_factory.mktemp("bert") / "bert.onnx", ["last_hidden_state", "pooler_output"])


@pytest.fixture(scope="module")
def cnn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(zoo.build("TextCNN", 10, 100, embedding=16), tmp_path_factory.mktemp("cnn") / "cnn.onnx", ["logits"])


@pytest.fixture(scope="module")
def whole(bert_file: Path) -> ModelPicture:
    return model_picture(bert_file)


@pytest.fixture(scope="module")
def attention(bert_file: Path) -> ModelPicture:
    return model_picture(bert_file, block="encoder.layer.0.attention")


def small(nodes: list, weights: dict[str, list[int]] | None = None, name: str = "small") -> onnx.ModelProto:
    initial = [
        helper.make_tensor(key, TensorProto.FLOAT, dims, [1.0] * torch.Size(dims).numel())
        for key, dims in (weights or {}).items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph(nodes, name, [x], [y], initial))


def scoped(node: onnx.NodeProto, *path: str) -> onnx.NodeProto:
    """A node with the marks that torch.onnx.export leaves."""
    for key, values in (("name_scopes", ["", *path, node.output[0]]), ("class_hierarchy", ["net.Net", *path, "op"])):
        node.metadata_props.add(key=f"pkg.torch.onnx.{key}", value=repr(list(values)))
    return node


# ------------------------------------------------------------------------------------------------ reading the SVG


def groups(picture: ModelPicture, kind: str | None = None) -> list[ET.Element]:
    return [g for g in ET.fromstring(picture.svg).iter(f"{SVG}g") if g.get("class") in ({kind} if kind else KINDS)]


def names(picture: ModelPicture, kind: str | None = None) -> list[str]:
    return [g.get("data-name") for g in groups(picture, kind)]


def edges(picture: ModelPicture) -> dict[tuple[str, str], str]:
    paths = [p for p in ET.fromstring(picture.svg).iter(f"{SVG}path") if p.get("class") == "edge"]
    return {(p.get("data-from"), p.get("data-to")): p.find(f"{SVG}title").text for p in paths}


def area(element: ET.Element) -> tuple[float, float, float, float]:
    rect = element.find(f"{SVG}rect")
    x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
    return x, y, x + w, y + h


def overlap(a: tuple, b: tuple) -> bool:
    return a[0] < b[2] - 0.1 and b[0] < a[2] - 0.1 and a[1] < b[3] - 0.1 and b[1] < a[3] - 0.1


def contains(a: tuple, b: tuple) -> bool:
    return a[0] <= b[0] and a[1] <= b[1] and a[2] >= b[2] and a[3] >= b[3]


def on_the_way(path: str) -> list[tuple[float, float]]:
    """Points along a path of lines and curves, close to each other."""
    points: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([MLC])([-\d., ]+)", path):
        xy = [float(n) for n in re.findall(r"-?[\d.]+", numbers)]
        corners = list(zip(xy[::2], xy[1::2], strict=True))
        if command == "M":
            points = corners
            continue
        start = points[-1]
        for step in range(1, 21):
            t = step / 20
            if command == "L":
                weights, ends = [1 - t, t], [start, corners[0]]
            else:
                weights, ends = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3], [start, *corners]
            points.append(tuple(sum(w * e[k] for w, e in zip(weights, ends, strict=True)) for k in (0, 1)))
    return points


def check_layout(picture: ModelPicture) -> None:
    root = ET.fromstring(picture.svg)
    width, height = (float(n) for n in root.get("viewBox").split()[2:])
    boxes = [area(g) for g in groups(picture)]
    labels = [area(g) for g in root.iter(f"{SVG}g") if g.get("class") == "label"]
    for place, one in enumerate(boxes):
        assert contains((0, 0, width, height), one)
        for other in boxes[place + 1 :]:
            assert not overlap(one, other) or contains(one, other) or contains(other, one)
    outer = {area(g) for g in groups(picture, "fold")}
    for place, label in enumerate(labels):
        assert contains((0, 0, width, height), label)
        assert not any(overlap(label, box) for box in boxes if not (box in outer and contains(box, label)))
        assert not any(overlap(label, other) for other in labels[place + 1 :])
    for path in root.iter(f"{SVG}path"):
        if path.get("class") != "edge":
            continue
        for x, y in on_the_way(path.get("d")):
            assert 0 <= x <= width and 0 <= y <= height
            inside = [b for b in boxes if b[0] + 0.2 < x < b[2] - 0.2 and b[1] + 0.2 < y < b[3] - 0.2]
            assert all(box in outer for box in inside), f"{path.get('data-from')} runs through a box"
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("font-size")) >= 11
        assert 0 < float(text.get("x")) < width and 0 < float(text.get("y")) < height


# ------------------------------------------------------------------------------------------------- a whole network


def test_bert_shows_few_blocks_and_folds_its_layers(whole: ModelPicture) -> None:
    assert names(whole, "fold") == ["encoder.layer.0 to layer.5, × 6"]
    outside = {"embeddings", "pooler"}
    assert outside <= set(names(whole, "block"))
    assert set(names(whole, "block")) - outside == {"attention.self", "attention.output", "intermediate", "output"}
    assert names(whole, "mask") == ["mask and shapes"]
    assert {"input_ids", "attention_mask", "last_hidden_state", "pooler_output"} <= set(names(whole, "end"))


def test_arrows_are_the_true_flow_with_shapes(whole: ModelPicture) -> None:
    found, layers = edges(whole), "encoder.layer.0 to layer.5, × 6"
    assert found["input_ids", "embeddings"].endswith("(batch, tokens)")
    assert found["embeddings", layers].endswith("(batch, tokens, 32)")
    assert found["mask and shapes", layers].endswith("(batch, 1, 1, tokens)")
    assert found[layers, "pooler"].endswith("(batch, tokens, 32)")
    assert found["pooler", "pooler_output"].endswith("(batch, 32)")
    assert ("embeddings", "pooler") not in found and ("input_ids", "mask and shapes") not in found
    shown = "".join(ET.fromstring(whole.svg).itertext())
    assert "(batch, tokens, 64)" in shown and "val_" not in shown


def test_residual_connections_show(whole: ModelPicture) -> None:
    found = edges(whole)
    assert {("in", "attention.self"), ("in", "attention.output"), ("attention.self", "attention.output")} <= set(found)
    assert {("attention.output", "intermediate"), ("attention.output", "output"), ("output", "out")} <= set(found)


@pytest.mark.parametrize("depth", [None, 1, 2, 5])
def test_nothing_overlaps_and_all_is_inside(bert_file: Path, depth: int | None) -> None:
    check_layout(model_picture(bert_file, depth=depth))


def test_layout_of_other_pictures(attention: ModelPicture, cnn_file: Path) -> None:
    check_layout(attention)
    check_layout(model_picture(cnn_file))
    check_layout(model_picture(cnn_file, block="features"))


@pytest.mark.parametrize("seed", range(8))
def test_layout_of_any_graph(seed: int) -> None:
    chance = random.Random(seed)
    values, nodes = ["x"], []
    for n in range(chance.choice([4, 12, 30])):
        came = [chance.choice(values[-chance.choice([2, 6, 40]) :]) for _ in range(chance.randint(1, 3))]
        node = helper.make_node("Sum", came, [f"v{n}" if n != 3 else "y"])
        nodes.append(scoped(node, "ab"[n % 2], f"{'ab'[n % 2]}.{chance.randint(0, 5)}") if seed % 2 else node)
        values.append(node.output[0])
    check_layout(model_picture(small(nodes)))


def test_depth_chooses_the_level(bert_file: Path) -> None:
    assert names(model_picture(bert_file, depth=1), "block") == ["embeddings", "encoder", "pooler"]
    deep = names(model_picture(bert_file, depth=2), "block")
    assert {"embeddings.word_embeddings", "embeddings.LayerNorm", "pooler.dense"} <= set(deep)
    with pytest.raises(ValueError, match="depth=0"):
        model_picture(bert_file, depth=0)


def test_a_network_of_few_blocks_is_opened(cnn_file: Path) -> None:
    picture = model_picture(cnn_file)
    found = edges(picture)
    convolutions = [f"features.convolutions.{n}" for n in range(3)]
    assert set(convolutions) <= set(names(picture, "block"))  # side by side: none feeds the next, so none is folded
    assert not names(picture, "fold")
    assert len({end for start, end in found if start in convolutions}) == 1
    assert found["classify.1", "logits"].endswith("(batch, 10)")


def test_layers_of_different_shapes_are_not_folded() -> None:
    def chain(*sizes: int) -> onnx.ModelProto:
        weights = {f"w{n}": [a, b] for n, (a, b) in enumerate(zip((4, *sizes), sizes, strict=False))}
        values = ["x", *(f"a{n}" for n in range(len(sizes) - 1)), "y"]
        nodes = [scoped(helper.make_node("MatMul", [values[n], f"w{n}"], [values[n + 1]]), f"layer.{n}") for n in range(len(sizes))]  # fmt: skip
        return small(nodes, weights)

    assert names(model_picture(chain(4, 4, 4)), "fold") == ["layer.0 to layer.2, × 3"]
    assert names(model_picture(chain(8, 6, 5)), "block") == ["layer.0", "layer.1", "layer.2"]


def test_work_on_ids_is_folded_only_where_it_is_the_same() -> None:
    def chain(*operations: str) -> onnx.ModelProto:
        values = ["x", *(f"v{n}" for n in range(len(operations)))]
        nodes = [scoped(helper.make_node(o, [values[n]], [values[n + 1]]), f"layer.{n}") for n, o in enumerate(operations)]  # fmt: skip
        model = small([*nodes, scoped(helper.make_node("Cast", values[-1:], ["y"], to=TensorProto.FLOAT), "last")])
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
        return model

    assert names(model_picture(chain("Abs", "Abs")), "fold") == ["layer.0 to layer.1, × 2"]
    assert names(model_picture(chain("Abs", "Neg")), "block") == ["layer.0", "layer.1", "last"]


def test_two_streams_that_read_each_other_are_drawn_without_a_circle() -> None:
    nodes = [scoped(helper.make_node("Relu", ["x"], ["a0"]), "a.0"), scoped(helper.make_node("Tanh", ["x"], ["b0"]), "b.0")]  # fmt: skip
    for n in (1, 2):
        nodes += [
            scoped(helper.make_node("Add", [f"a{n - 1}", f"b{n - 1}"], [f"a{n}"]), f"a.{n}"),
            scoped(helper.make_node("Mul", [f"b{n - 1}", f"a{n - 1}"], [f"b{n}"]), f"b.{n}"),
        ]
    picture = model_picture(small([*nodes, scoped(helper.make_node("Sum", ["a2", "b2"], ["y"]), "last")]))
    check_layout(picture)
    assert {("a.1", "b.2"), ("b.1", "a.2")} <= set(edges(picture))


def test_layers_that_work_on_constants_alone_are_drawn() -> None:
    nodes, value = [], "w"
    for n in range(3):
        for step, operation in (("one", "Add"), ("two", "Mul")):
            last = n == 2 and step == "two"
            node = helper.make_node(operation, [value, "v"], ["y" if last else f"{step}{n}"])
            nodes.append(scoped(node, f"layer.{n}", f"layer.{n}.{step}"))
            value = node.output[0]
    picture = model_picture(small(nodes, {"w": [4, 4], "v": [4, 4]}), depth=1)
    assert names(picture, "fold") == ["layer.0 to layer.2, × 3"]
    assert "n0_1 -> n1 " in picture.dot_text  # from the last box inside, as there are no end pieces


def test_a_quantised_network_looks_like_the_one_it_was(bert_file: Path, whole: ModelPicture, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantization.quantize_dynamic(bert_file, tmp_path / "small.onnx")
    picture = model_picture(tmp_path / "small.onnx")
    assert set(edges(picture)) == set(edges(whole))
    assert "unk__" not in picture.svg
    pooler = next(g for g in groups(picture, "block") if g.get("data-name") == "pooler")
    assert pooler.find(f"{SVG}rect").get("fill") != "white"  # its weights are there, in eight bits


def test_weights_in_another_form_are_weights() -> None:
    nodes = [
        scoped(helper.make_node("Transpose", ["w"], ["turned"]), "linear"),
        scoped(helper.make_node("MatMul", ["x", "turned"], ["a"]), "linear"),
        scoped(helper.make_node("Relu", ["a"], ["b"]), "between"),
        scoped(helper.make_node("Shape", ["w"], ["sizes"]), "sizes"),
        scoped(helper.make_node("Reshape", ["b", "sizes"], ["y"]), "sizes"),
    ]
    drawn = groups(model_picture(small(nodes, {"w": [4, 4]})), "block")
    blue = [g.get("data-name") for g in drawn if g.find(f"{SVG}rect").get("fill") != "white"]
    assert blue == ["linear"]


def test_a_module_used_twice_is_two_boxes_and_no_circle() -> None:
    nodes = [
        scoped(helper.make_node("MatMul", ["x", "w"], ["a"]), "shared"),
        scoped(helper.make_node("Relu", ["a"], ["b"]), "between"),
        scoped(helper.make_node("MatMul", ["b", "w"], ["c"]), "shared"),
        scoped(helper.make_node("Tanh", ["c"], ["y"]), "last"),
    ]
    picture = model_picture(small(nodes, {"w": [4, 4]}))
    assert set(edges(picture)) == {
        ("x", "shared"), ("shared", "between"), ("between", "shared, call 2"), ("shared, call 2", "last"), ("last", "y")
    }  # fmt: skip


# --------------------------------------------------------------------------------------------------------- a block


def test_a_block_shows_its_operations(attention: ModelPicture) -> None:
    operations = names(attention, "operation")
    assert {"MatMul", "Softmax", "Add", "LayerNormalization"} <= set(operations)
    assert not {"Shape", "Concat", "Slice"} & set(operations)
    assert operations.count("Softmax") == 1
    found = edges(attention)
    assert found["Softmax", "MatMul"].endswith("(batch, 2, tokens, tokens)")
    ends = {"from embeddings", "from mask and shapes", "to encoder.layer.0.intermediate", "to encoder.layer.0.output"}
    assert set(names(attention, "end")) == ends
    assert ("from embeddings", "Add") in found  # the residual connection
    assert "operations on shapes not drawn" in "".join(ET.fromstring(attention.svg).itertext())


def test_a_block_may_be_named_with_its_wrapper(bert_file: Path, attention: ModelPicture) -> None:
    assert model_picture(bert_file, block="model.encoder.layer.0.attention") == attention


def test_a_block_may_be_named_with_a_wrapper_of_any_name() -> None:
    def names_of(path: str) -> list[str]:
        return [path.rsplit(".", k)[0] for k in range(path.count("."), -1, -1)]

    nodes = [
        scoped(helper.make_node("MatMul", ["x", "w"], ["a"]), *names_of("bert.encoder.dense")),
        scoped(helper.make_node("Relu", ["a"], ["y"]), *names_of("bert.pooler")),
    ]
    model = small(nodes, {"w": [4, 4]})
    assert names(model_picture(model, block="bert.encoder"), "operation") == ["MatMul"]
    assert model_picture(model, block="bert.encoder") == model_picture(model, block="encoder")
    assert names(model_picture(model, block="bert"), "operation") == ["MatMul", "Relu"]
    with pytest.raises(ValueError, match=r"no block 'bert\.nothing' in this model"):
        model_picture(model, block="bert.nothing")


def test_the_last_block_ends_in_the_output(bert_file: Path) -> None:
    assert ("Tanh", "pooler_output") in edges(model_picture(bert_file, block="pooler"))


def test_modules_inside_a_block(bert_file: Path) -> None:
    picture = model_picture(bert_file, block="encoder.layer.1", depth=1)
    assert names(picture, "block") == ["attention", "intermediate", "output"]
    assert ("from encoder.layer.0", "attention") in edges(picture)
    assert names(model_picture(bert_file, block="encoder.layer", depth=1), "fold") == ["0 to 5, × 6"]


def test_an_unknown_block_names_close_ones(bert_file: Path) -> None:
    with pytest.raises(ValueError, match=r"no block 'encoder\.layer\.0\.atention'.*encoder\.layer\.0\.attention"):
        model_picture(bert_file, block="encoder.layer.0.atention")
    with pytest.raises(ValueError, match=r"there are embeddings, .*, encoder and \d+ more\.$"):
        model_picture(bert_file, block="xyz")
    with pytest.raises(ValueError, match="which has no modules inside: leave block out"):
        model_picture(nn.Linear(4, 2), {"input": torch.ones(2, 4)}, block="xyz")


# ----------------------------------------------------------------------------------------------------- foreign files


def test_a_file_without_modules_shows_operations() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "x"], ["y"])]
    picture = model_picture(small(nodes, {"w": [4, 4]}))
    assert names(picture, "operation") == ["MatMul", "Add"]
    assert set(edges(picture)) == {("x", "MatMul"), ("MatMul", "Add"), ("x", "Add"), ("Add", "y")}
    assert edges(picture)["MatMul", "Add"].endswith("(n, 4)")  # inferred: the file does not say it
    with pytest.raises(ValueError, match="does not say which module"):
        model_picture(small(nodes, {"w": [4, 4]}), block="layer")


def test_a_graph_of_sizes_alone_is_a_graph_too() -> None:
    nodes = [helper.make_node("Shape", ["x"], ["a"]), helper.make_node("Cast", ["a"], ["y"], to=TensorProto.FLOAT)]
    picture = model_picture(small(nodes))
    assert set(edges(picture)) == {("x", "Shape"), ("Shape", "Cast"), ("Cast", "y")}
    assert "not drawn" not in picture.alt
    assert "in order" not in model_picture(small([])).alt  # and none at all is no error


def test_sixty_operations_at_most() -> None:
    values = ["x", *(f"v{n}" for n in range(79)), "y"]
    nodes = [helper.make_node("Relu", [values[n]], [values[n + 1]]) for n in range(80)]
    picture = model_picture(small(nodes))
    assert len(names(picture, "operation")) == 60
    assert "Left out: 20 operations" in " ".join(ET.fromstring(picture.svg).itertext())
    assert "20 operations" in picture.alt
    check_layout(picture)
    assert len(picture.svg.encode()) < 300_000


def test_an_unknown_shape_is_left_out() -> None:
    nodes = [helper.make_node("Mystery", ["x"], ["a"], domain="far"), helper.make_node("Relu", ["a"], ["y"])]
    picture = model_picture(small(nodes))
    assert edges(picture)["Mystery", "Relu"] == "Mystery to Relu"


def test_the_order_of_the_nodes_does_not_matter_and_a_circle_is_refused() -> None:
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Tanh", ["x"], ["a"])]
    assert names(model_picture(small(nodes)), "operation") == ["Tanh", "Relu"]
    nodes[1] = helper.make_node("Add", ["x", "y"], ["a"])
    with pytest.raises(DataError, match="circle"):
        model_picture(small(nodes))


def test_names_are_escaped_and_chinese_stays() -> None:
    model = small([helper.make_node("Relu", ["x"], ["y"])], name='a<b & "模型"')
    model.graph.input[0].name = model.graph.node[0].input[0] = "句子<i>"
    picture = model_picture(model)
    root = ET.fromstring(picture.svg)
    assert root.find(f"{SVG}title").text == 'a<b & "模型"'
    assert "句子<i>" in names(picture)
    assert "<i>" not in picture.svg and "<i>" not in picture._repr_html_()
    check_layout(picture)


# ------------------------------------------------------------------------------------------------------ an nn.Module


def test_a_module_is_drawn_in_the_order_of_its_calls() -> None:
    ids = torch.ones(2, 16, dtype=torch.long)
    picture = model_picture(bert(3), {"input_ids": ids})
    assert names(picture, "fold") == ["encoder.layer.0 to layer.2, × 3"]
    found = edges(picture)
    assert found["input_ids", "embeddings"].endswith("(2, 16)")
    assert found["embeddings", "encoder.layer.0 to layer.2, × 3"].endswith("(2, 16, 32)")
    assert "The arrows follow the order of the calls." in picture.alt
    check_layout(picture)
    inside = model_picture(bert(2), {"input_ids": ids}, block="encoder.layer.1")
    assert {"Linear", "LayerNorm"} <= set(names(inside, "operation"))


def test_a_module_needs_an_example_that_works() -> None:
    with pytest.raises(ValueError, match=r"give its inputs by name as well, graphs\.picture\(model, \{"):
        model_picture(nn.Linear(4, 2))
    with pytest.raises(ValueError, match="fails with this example"):
        model_picture(nn.Linear(4, 2), {"input": torch.ones(2, 3)})
    assert names(model_picture(nn.Linear(4, 2), {"input": torch.ones(2, 4)}), "piece") == ["Linear"]


# ------------------------------------------------------------------------------------------------- picture and files


def test_the_picture_says_in_words_what_is_seen(whole: ModelPicture) -> None:
    root = ET.fromstring(whole.svg)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "BertModel"
    assert root.find(f"{SVG}desc").text == whole.alt
    parts = ("input_ids (batch, tokens)", "embeddings", "× 6 (each with attention.self", "pooler", "pooler_output (batch, 32)")  # fmt: skip
    places = [whole.alt.index(part) for part in parts]
    assert places == sorted(places)


def test_the_background_is_white_and_the_file_small(whole: ModelPicture) -> None:
    page = next(r for r in ET.fromstring(whole.svg).iter(f"{SVG}rect") if r.get("class") == "page")
    assert (page.get("fill"), page.get("width")) == ("white", "100%")
    assert len(whole.svg.encode()) < 100_000


def test_a_cell_shows_an_image_with_its_alternative_text(whole: ModelPicture) -> None:
    shown = whole._repr_mimebundle_()["text/html"]
    data = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', shown)[1]
    assert base64.b64decode(data).decode() == whole.svg
    assert re.search('<img alt="Picture of BertModel', shown)


def test_the_same_source_gives_the_same_bytes(bert_file: Path, whole: ModelPicture) -> None:
    assert model_picture(str(bert_file)) == whole
    assert model_picture(onnx.load(bert_file)) == whole


def test_saving(whole: ModelPicture, tmp_path: Path) -> None:
    path = whole.save(tmp_path / "模型.svg")
    assert path.read_text(encoding="utf-8") == whole.svg
    assert [p.name for p in tmp_path.iterdir()] == ["模型.svg"]
    with pytest.raises(FileNotFoundError, match="no folder"):
        whole.save(tmp_path / "missing" / "a.svg")


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        model_picture(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(DataError, match="not an ONNX file"):
        model_picture(tmp_path / "text.onnx")
    with pytest.raises(TypeError, match="given a int"):
        model_picture(3)


def test_dot(whole: ModelPicture, bert_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert whole.dot_text.startswith("digraph") and "× 6" in whole.dot_text and "subgraph cluster" in whole.dot_text
    if shutil.which("dot"):
        drawn = ET.fromstring(model_picture(bert_file, dot=True).svg)
        assert drawn.get("role") == "img"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SetupError, match="Graphviz"):
        model_picture(bert_file, dot=True)
