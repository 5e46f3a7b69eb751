import json
import linecache
import logging
import os
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch

from course_lib.errors import DataError, SetupError
from course_lib.graphs import call_pictures, graphviz
from course_lib.graphs.calls import call_graph

THREE_MODULES = """
import torch
from torch import nn


class Base(nn.Module):
    def forward(self, x):
        return self.scaled(x)

    def scaled(self, x):
        return x


class Embed(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 4)

    def forward(self, ids):
        return self.table(ids)


class Layer(Base):
    def __init__(self, size):
        super().__init__()
        self.dense = nn.Linear(size, size)

    @property
    def factor(self):
        return 2.0

    def forward(self, x):
        return super().forward(self.dense(x).view(x.shape) * self.factor)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = Embed()
        self.layers = nn.Sequential(Layer(4), Layer(4))

    def view(self, x):
        return self.reset()

    def forward(self, ids):
        return checked(self.layers(self.embed(ids)))

    def reset(self):
        return None


def checked(x):
    return x
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def module_of(path: Path) -> dict:
    """The names of a file, its code under the file's own name."""
    names: dict = {"__name__": path.stem}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    return names


@pytest.fixture
def net(tmp_path: Path) -> tuple[Path, torch.nn.Module]:
    path = write(tmp_path, "net.py", THREE_MODULES)
    torch.manual_seed(0)
    return path, module_of(path)["Net"]()


IDS = torch.tensor([[1, 2, 3]])


def test_a_net_of_three_modules_has_all_its_forward_edges_and_no_false_one(net) -> None:
    path, model = net
    graph = call_graph(path, run=lambda: model(IDS))
    seen = {edge for edge, call in graph.calls.items() if "run" in call.found_by}
    assert seen == {
        ("Net.forward", "Embed.forward"),
        ("Net.forward", "Layer.forward"),
        ("Net.forward", "checked"),
        ("Layer.forward", "Base.forward"),  # by super()
        ("Layer.forward", "Layer.factor"),  # a property
        ("Base.forward", "Base.scaled"),
    }
    assert set(graph.edges) - seen == {
        ("Net.__init__", "Embed.__init__"),
        ("Net.__init__", "Layer.__init__"),
        ("Net.view", "Net.reset"),
    }  # true, and not part of a forward pass
    assert graph.first == ("Net.forward",)


def test_a_function_of_the_same_name_is_no_callee(net) -> None:
    """`self.dense(x).view(...)` is a tensor's; code2flow takes it for Net.view, the only `view` in the file."""
    path, model = net
    for run in (None, lambda: model(IDS)):
        graph = call_graph([path], run)
        assert ("Layer.forward", "Net.view") not in graph.edges
        assert [(d.caller, d.callee) for d in graph.dropped] == [("Layer.forward", "Net.view")]
        assert "by the name `view` alone" in graph.dropped[0].reason


def test_the_run_tells_how_often_and_from_which_line(net) -> None:
    path, model = net
    call = call_graph(path, run=lambda: model(IDS)).calls["Net.forward", "Layer.forward"]
    line = next(n for n, t in enumerate(path.read_text().splitlines(), 1) if "self.layers(self.embed" in t)
    assert (call.times, call.lines, call.found_by) == (2, (line,), ("run",))  # code2flow cannot know it


def test_functions_that_nothing_calls_stay(net) -> None:
    path, model = net
    graph = call_graph(path)
    assert {"Embed.forward", "Layer.factor"} <= set(graph.isolated)
    assert {node.name for node in graph.nodes} >= set(graph.isolated)
    assert all(node.ran is None for node in graph.nodes)
    reached = call_graph(path, run=lambda: model(IDS)).called()
    assert {node.name for node in reached.nodes} == {name for edge in reached.edges for name in edge}
    with pytest.raises(ValueError, match="without a run"):
        graph.called()


def test_a_call_of_an_overridden_method_is_not_believed_where_the_run_went_elsewhere(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "shapes.py",
        """
        class Base:
            def run(self):
                return self.step()

            def step(self):
                return 0


        class Sub(Base):
            def step(self):
                return 1
        """,
    )
    made = module_of(path)["Sub"]()
    graph = call_graph(path, run=made.run)
    assert graph.edges == (("Base.run", "Sub.step"),)
    assert [d.callee for d in graph.dropped] == ["Base.step"]
    assert "passed line 3" in graph.dropped[0].reason
    assert call_graph(path).edges == (("Base.run", "Base.step"),)  # nothing contradicts it without a run


def test_a_call_that_may_have_been_skipped_on_its_line_stays(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "perhaps.py",
        """
        def start(flag):
            return flag and second()


        def second():
            return [third() for _ in ()]


        def third():
            return 3
        """,
    )
    names = module_of(path)
    graph = call_graph(path, run=lambda: (names["start"](False), names["second"]()))
    assert set(graph.edges) == {("start", "second"), ("second", "third")}
    assert graph.dropped == () and all("run" not in call.found_by for call in graph.calls.values())


@pytest.mark.parametrize(
    "call, believed",
    [
        ("helper()", True),
        ("Maker().make()", True),
        ("maker = Maker()\n    maker.make()", True),
        ("make(1)", False),  # no function of this name in the file, only a method
        ("import numpy as np\n    np.make()", False),
        ("from json import helper\n    helper()", False),
        ("given.make()", False),  # anybody's
        ("helper = given\n    helper()", False),
    ],
)
def test_what_the_rules_of_python_allow_is_believed(tmp_path: Path, call: str, believed: bool) -> None:
    text = f"""
class Maker:
    def make(self):
        return 1


def helper():
    return 2


def start(given):
    {call}
"""
    graph = call_graph(write(tmp_path, "any.py", text))
    callees = {b for a, b in graph.edges if a == "start"} - {"Maker.__init__"}
    assert bool(callees) is believed
    assert believed or all(d.caller == "start" for d in graph.dropped)


def test_comprehensions_lambdas_generators_and_recursion_belong_to_their_function(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "inner.py",
        """
        def start():
            def inner():
                return one(1)

            return [one(x) for x in numbers()], (lambda: two())(), inner(), down(2)


        def one(x):
            return x


        def two():
            return 2


        def numbers():
            yield 1
            yield 2


        def down(n):
            return n and down(n - 1)
        """,
    )
    graph = call_graph(path, run=module_of(path)["start"])
    seen = {edge for edge, call in graph.calls.items() if "run" in call.found_by}
    assert seen == {
        ("start", "one"), ("start", "two"), ("start", "numbers"), ("start", "start.inner"), ("start.inner", "one"),
        ("start", "down"), ("down", "down"),
    }  # fmt: skip


def test_who_starts_the_run_is_no_part_of_the_graph() -> None:
    """The sources are this very file: neither the test nor the lambda called anything."""

    def asked() -> int:
        return helper_of_this_file()

    graph = call_graph(Path(__file__), run=lambda: [asked() for _ in range(2)])
    seen = {edge for edge, call in graph.calls.items() if "run" in call.found_by}
    this = "test_who_starts_the_run_is_no_part_of_the_graph"
    assert seen == {(f"{this}.asked", "helper_of_this_file")}
    assert graph.first == (f"{this}.asked",)


def helper_of_this_file() -> int:
    return 1


def test_several_files_import_each_other_and_share_names(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    write(tmp_path / "package", "__init__.py", "")
    write(tmp_path / "package", "parts.py", "def make():\n    return 1\n\n\ndef reset():\n    return 0\n")
    write(
        tmp_path / "package",
        "whole.py",
        """
        from package import parts
        from package.parts import make as build


        def make():
            return build() + parts.reset()
        """,
    )
    graph = call_graph(tmp_path / "package")
    assert {node.name for node in graph.nodes} == {"parts.make", "reset", "whole.make"}
    assert ("whole.make", "reset") in graph.edges
    sys.path.insert(0, str(tmp_path))
    try:
        import package.whole

        ran = call_graph([tmp_path / "package"], run=package.whole.make)
        assert set(ran.edges) == {("whole.make", "reset"), ("whole.make", "parts.make")}
        assert {node.name for node in call_graph(package).nodes} == {node.name for node in graph.nodes}
    finally:
        sys.path.remove(str(tmp_path))
        for name in [n for n in sys.modules if n.partition(".")[0] == "package"]:
            del sys.modules[name]


def test_cells_of_a_notebook_are_sources_of_their_model() -> None:
    cells = {
        "/tmp/ipykernel_1/1.py": "from torch import nn\n\n\nclass Part(nn.Module):\n    def forward(self, x):\n        return x\n",
        "/tmp/ipykernel_1/2.py": "class Whole(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.part = Part()\n\n    def forward(self, x):\n        return self.part(x)\n",
    }
    names: dict = {"__name__": "__main__"}
    for filename, text in cells.items():
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), names)
    try:
        model = names["Whole"]()
        graph = call_graph(model, run=lambda: model(torch.ones(1)))
    finally:
        for filename in cells:
            linecache.cache.pop(filename)
    assert graph.edges == (("Whole.forward", "Part.forward"),)
    assert {node.label for node in graph.nodes} == {"cell 1", "cell 2"}
    assert "ipykernel" not in str(graph._repr_mimebundle_()) and "/tmp" not in graph.json


def test_an_error_in_the_run_comes_through_and_the_tracer_before_it_is_back(net) -> None:
    path, model = net
    before = sys.gettrace()
    with pytest.raises(IndexError):
        call_graph(path, run=lambda: model(torch.tensor([[99]])))
    assert sys.gettrace() is before


def test_code2flow_says_nothing_and_leaves_logging_as_it_was(net, tmp_path: Path) -> None:
    script = (
        "import logging, sys; from course_lib.graphs.calls import call_graph\n"
        "root = logging.getLogger(); before = (list(root.handlers), root.level, logging.root.manager.disable)\n"
        f"graph = call_graph({str(net[0])!r})\n"
        "assert (list(root.handlers), root.level, logging.root.manager.disable) == before and graph.edges\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert logging.getLogger().isEnabledFor(logging.ERROR)


def test_a_file_that_code2flow_cannot_read_costs_its_own_static_calls_alone(tmp_path: Path) -> None:
    good = write(tmp_path, "good.py", "def a():\n    return b()\n\n\ndef b():\n    return 1\n")
    odd = write(tmp_path, "odd.py", "def c():\n    return (d or c)()\n\n\ndef d():\n    return (lambda: 1)()\n")
    graph = call_graph([good, odd], run=module_of(odd)["c"])
    assert set(graph.edges) == {("a", "b"), ("c", "d")}
    assert len(graph.notes) == 1 and "could not read odd.py" in graph.notes[0] and graph.notes[0] in repr(graph)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda folder: folder / "missing.py", "no file"),
        (lambda folder: write(folder, "notes.txt", "hello"), "not a Python file"),
        (lambda folder: write(folder, "broken.py", "def f(:\n    pass\n"), "line 1 of broken.py is not Python"),
        (lambda folder: folder, "holds no Python file"),
        (lambda folder: sys, "no Python source"),
        (lambda folder: torch.nn.Linear(2, 2), "only parts of torch's own"),
        (lambda folder: [], "No Python file was given"),
        (lambda folder: 3, "A int was given"),
    ],
)
def test_what_is_no_source_is_said_in_a_sentence(tmp_path: Path, make, said: str) -> None:
    with pytest.raises((DataError, ValueError), match=said) as raised:
        call_graph(make(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    path.write_bytes("name = '中文'\n".encode("gb18030"))
    with pytest.raises(DataError, match=r"old\.py"):
        call_graph(path)
    path.write_bytes("# -*- coding: gb18030 -*-\ndef 名字():\n    return '中文'\n".encode("gb18030"))
    assert [node.name for node in call_graph(path).nodes] == ["名字"]


def test_a_run_that_cannot_be_called_is_named(net) -> None:
    with pytest.raises(ValueError, match="run is a Tensor"):
        call_graph(net[0], run=net[1](IDS))


# ----------------------------------------------------------------------------------------------------------- pictures


def svg_of(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return root


@pytest.fixture
def without_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_pictures.shutil, "which", lambda name: None)


def test_without_dot_the_svg_has_each_function_each_call_and_links_to_the_lines(
    net, tmp_path: Path, without_dot
) -> None:
    graph = call_graph(net[0], run=lambda: net[1](IDS))
    (tmp_path / "out").mkdir()
    text = graph.to_svg(tmp_path / "out" / "calls.svg")
    assert (tmp_path / "out" / "calls.svg").read_text(encoding="utf-8") == text
    root = svg_of(text)
    told = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sum(" calls " in t and "seen in the run" in t for t in told[1:]) == 6
    for node in graph.nodes:
        assert any(t.startswith(f"{node.name}, net.py, line {node.line}") for t in told)
    links = [a.get("href") for a in root.iter("{http://www.w3.org/2000/svg}a")]
    assert f"../net.py#L{graph.nodes[0].line}" in links and len(links) == len(graph.nodes)
    assert "Net.forward calls" in root.get("aria-label")


def test_everything_lies_inside_the_picture_and_names_inside_their_cards(tmp_path: Path, without_dot) -> None:
    long = "forward_" + "with_a_very_long_name_" * 4
    path = write(tmp_path, "names.py", f"class 中文的分类模型:\n    def {long}(self):\n        return 头部()\n\n\ndef 头部():\n    return 1\n")  # fmt: skip
    graph = call_graph(path)
    assert graph.edges == ((f"中文的分类模型.{long}", "头部"),)
    root = svg_of(graph.to_svg())
    width, height = float(root.get("width")), float(root.get("height"))
    boxes = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("rx")]
    assert len(boxes) == 2
    for box in boxes:
        assert float(box.get("x")) + float(box.get("width")) <= width
        assert float(box.get("y")) + float(box.get("height")) <= height
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(t.endswith("…") for t in texts) and all(len(t) <= 40 for t in texts)


def test_cards_do_not_overlap_in_a_big_graph(without_dot) -> None:
    graph = call_graph(Path(call_pictures.__file__).parent.parent / "zoo")
    root = svg_of(graph.to_svg())
    boxes = [
        tuple(float(r.get(k)) for k in ("x", "y", "width", "height"))
        for r in root.iter("{http://www.w3.org/2000/svg}rect")
        if r.get("rx")
    ]
    assert len(boxes) > 15
    for number, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[number + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_calls_in_a_circle_are_drawn(tmp_path: Path, without_dot) -> None:
    path = write(tmp_path, "circle.py", "class A:\n    def go(self):\n        return B().back()\n\n\nclass B:\n    def back(self):\n        return A().go()\n")  # fmt: skip
    graph = call_graph(path)
    assert set(graph.edges) == {("A.go", "B.back"), ("B.back", "A.go")}
    svg_of(graph.to_svg())


def test_with_dot_the_classes_are_clusters_and_the_text_is_dots(net, tmp_path: Path, monkeypatch) -> None:
    """A program in dot's place, which keeps what it was given and answers as dot does."""
    graph = call_graph(net[0], run=lambda: net[1](IDS))
    kept = tmp_path / "kept.gv"
    monkeypatch.setattr(call_pictures.shutil, "which", lambda name: "dot")

    def answer(command: list[str], input: str, **options) -> subprocess.CompletedProcess:
        kept.write_text(input, encoding="utf-8")
        return subprocess.CompletedProcess(
            command, 0, '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n', ""
        )

    monkeypatch.setattr(graphviz.subprocess, "run", answer)
    assert "aria-label" in graph.to_svg(tmp_path / "calls.svg")
    given = kept.read_text(encoding="utf-8")
    assert given.count("subgraph cluster_") == 5 and given.count(" -> ") == len(graph.edges)
    assert 'URL="net.py#L' in given and given.count("style=dashed") == 3
    assert "URL" not in graph.dot


def test_a_dot_that_fails_is_named_where_it_was_asked_for_and_else_replaced(net, monkeypatch) -> None:
    graph = call_graph(net[0])
    monkeypatch.setattr(call_pictures.shutil, "which", lambda name: "dot")
    failed = subprocess.CompletedProcess([], 1, "", "Format: svg not recognized")
    monkeypatch.setattr(graphviz.subprocess, "run", lambda *a, **k: failed)
    assert "class" in graph.to_svg()
    with pytest.raises(SetupError, match="Format: svg not recognized"):
        graph.to_svg(dot=True)
    monkeypatch.setattr(call_pictures.shutil, "which", lambda name: None)
    with pytest.raises(SetupError, match="not installed"):
        graph.to_svg(dot=True)


def test_an_svg_that_cannot_be_written_leaves_nothing_behind(net, tmp_path: Path, without_dot) -> None:
    graph = call_graph(net[0])
    (tmp_path / "taken.svg").mkdir()
    with pytest.raises(OSError):
        graph.to_svg(tmp_path / "taken.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.py", "taken.svg"]


def test_mermaid_and_json_hold_the_same_graph(net) -> None:
    graph = call_graph(net[0], run=lambda: net[1](IDS))
    text = graph.mermaid
    assert text.startswith("flowchart LR\n") and text.count("subgraph ") == text.count("\n  end\n") == 5
    assert len(re.findall(r"--> ", text)) == 6 and len(re.findall(r"-\.-> ", text)) == 3
    whole = json.loads(graph.json)
    assert [(e["caller"], e["callee"]) for e in whole["edges"]] == list(graph.edges)
    assert {n["name"] for n in whole["nodes"]} == {n.name for n in graph.nodes}
    assert whole["dropped"][0]["callee"] == "Net.view"


def test_a_notebook_keeps_an_image_with_words_and_no_path_of_the_machine(net, tmp_path: Path, monkeypatch) -> None:
    graph = call_graph(net[0])
    page = graph._repr_mimebundle_()["text/html"]
    image = re.search(r"<img [^>]*>", page)[0]
    assert "data:image/svg+xml;base64," in image and 'alt="Call graph of 12 functions' in image
    assert str(tmp_path) not in page and "<svg" not in page
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert f'href="../net.py#L{graph.nodes[0].line}"' in graph._repr_mimebundle_()["text/html"]
    monkeypatch.chdir(os.sep)
    assert "Not believed: Layer.forward to Net.view" in page


def test_too_many_functions_for_a_page_are_said_so(tmp_path: Path) -> None:
    text = "".join(f"def f{n}():\n    return f{n + 1}()\n\n\n" for n in range(299))
    path = write(tmp_path, "many.py", text + "def f299():\n    return 0\n")
    assert 1_000 < len(call_graph(path)._repr_mimebundle_()["text/html"]) < 700_000
    write(tmp_path, "one_more.py", "def last():\n    return 0\n")
    assert "301 functions are too many" in call_graph(tmp_path)._repr_mimebundle_()["text/html"]
