import json
import subprocess
import sys

import pytest
import torch

from benchmarks import shape_scores, shape_tools
from benchmarks.__main__ import NAMES
from benchmarks.record import RESULTS
from benchmarks.shape_scores import Shown
from course_lib.notebooks import ROOT


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_result_says_where_when_and_how_it_was_measured(name: str) -> None:
    kept = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert kept["command"] == f"python -m benchmarks {name}"
    assert kept["machine"] and kept["date"] and kept["versions"]["torch"]


def test_the_kept_results_keep_what_the_course_promises() -> None:
    startup = json.loads((RESULTS / "startup.json").read_text(encoding="utf-8"))
    assert startup["added_milliseconds"]["course_lib"] < 50


def test_results_without_a_benchmark_are_not_kept() -> None:
    assert {path.stem for path in RESULTS.glob("*.json")} == set(NAMES)


def test_an_unknown_benchmark_is_named_with_those_that_exist() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "poling"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"There is no benchmark poling; there are {', '.join(NAMES)}.\n"
    assert "pooling, poolings" in done.stderr


def shown(words: str = "", drawn: str = "", fixes: tuple[str, ...] = (), error: Exception | None = None) -> Shown:
    return Shown(words, drawn, fixes, error)


@pytest.mark.parametrize(
    ("text", "operation", "path", "layer_class", "named"),
    [
        ("in layer net.3: Linear", "Linear", "net.3", "Linear", True),
        ("max_pool1d() Invalid computed output size: 0", "conv1d", "pool", "MaxPool1d", True),
        ("it fails at encoder.layers.0", "add", "encoder.layers.0", "Block", True),
        ("layer 1 fails", "add", "1", "Block", True),
        ("got 1 channel", "add", "1", "Block", False),  # a number is no path
        ("expected 2D input to conv2d", "conv1d", "conv", "Conv1d", False),  # conv2d is not conv
        ("Cause: @ on tensor operand q", "matmul", None, None, True),
        ("too many indices for tensor", "getitem", None, None, True),
        ("mat1 and mat2 shapes cannot be multiplied", "Linear", "fc", "Linear", False),
    ],
)
def test_a_layer_is_named_by_path_class_or_operation(text, operation, path, layer_class, named) -> None:
    assert shape_scores.names_the_layer(shown(text), operation, path, layer_class) is named


def test_an_expression_is_found_whatever_its_spaces_and_quotes() -> None:
    assert shape_scores.shows_the_expression(shown(drawn='f(x,\n  "a")'), "f(x, 'a')")
    assert not shape_scores.shows_the_expression(shown("f(y)"), "f(x)")


def test_shapes_are_read_in_every_notation_and_must_all_be_there() -> None:
    text = "(3, 7), [5,], torch.Size([2, 1]), 35x13, (4), torch.Size([]) and 0x7f, v1x2, 1.5x3"
    assert shape_scores.shapes_in(text) == {(3, 7), (5,), (2, 1), (35, 13), (4,), ()}
    assert shape_scores.shows_the_shapes(shown("(3x780 and 442x5)"), ((3, 780), (442, 5)))
    assert not shape_scores.shows_the_shapes(shown("(3x780 and 442x5)"), ((3, 780), (5,)))


@pytest.mark.parametrize(
    ("words", "phrase", "said"),
    [
        ("expected input[13, 4, 17, 19] to have 32 channels", "32 input channels", True),  # the number, other words
        ("expected 31 channels", "32 input channels", False),
        ("got 4D input", "4 dimensions", True),
        ("conv2d failed", "has 2", False),  # the 2 of a name is no number of the rule
        ("(105x5 and 175x3)", "flattened to (105x5)", True),
        ("780\n\n13 x 60", "780 = 13 x 60", False),  # not in one paragraph
        ("index 11 is out of bounds", "11 places, 0 to 10", True),  # a range by its count
        ("index 12 is out of bounds", "0 to 10", False),
        ("the classes are said last", "the classes stand last", True),  # half of the longer words
        ("something else", "the classes stand last", False),
        ("mat1 and mat2 must have the same dtype", "numbers of one kind", True),  # PyTorch's own words for it
    ],
)
def test_a_cause_counts_in_anybodys_words(words: str, phrase: str, said: bool) -> None:
    assert shape_scores.says_the_cause(shown(words), (phrase,)) is said


def test_every_phrase_of_a_cause_must_be_said_and_not_only_drawn() -> None:
    assert not shape_scores.says_the_cause(shown("35 rows"), ("35 rows", "5 labels"))
    assert not shape_scores.says_the_cause(shown(drawn="32"), ("32 channels",))


def test_a_fix_is_code_handed_over_or_advice_in_a_sentence() -> None:
    assert shape_scores.offers_a_fix(shown(fixes=("x.T",)))
    assert shape_scores.offers_a_fix(shown("It spans two subspaces. Use .reshape(...) instead."))
    assert not shape_scores.offers_a_fix(shown("RuntimeError: in use by another, the set is full"))
    assert shape_scores.offered_code(shown("Wrong kind. Use tensor.detach().numpy() instead.")) == (
        "tensor.detach().numpy()"
    )
    assert shape_scores.offered_code(shown("Wrong. Use .reshape(...) instead.")) is None  # not whole
    assert shape_scores.offered_code(shown(fixes=("x.T", "y.T"))) == "x.T"


def test_an_error_is_kept_with_its_type_and_its_text() -> None:
    plain = ValueError("a")
    assert shape_scores.keeps_the_error(shown(error=ValueError("a")), plain)
    assert not shape_scores.keeps_the_error(shown(error=ValueError("a, b")), plain)
    assert not shape_scores.keeps_the_error(shown(error=RuntimeError("a")), plain)
    assert not shape_scores.keeps_the_error(shown(), plain)


def test_shares_are_of_all_bugs_but_safety_is_of_those_that_the_tool_was_used_on() -> None:
    good = dict.fromkeys(shape_tools.PROPERTIES, True)
    bad = dict.fromkeys(shape_tools.PROPERTIES, False)
    found = shape_tools.summed({"a": good, "b": bad, "c": None}, with_shapes={"a"}, inside={"a", "b"})
    assert found["used_on_percent"] == 66
    assert (found["layer"]["percent"], found["layer"]["percent_inside_modules"]) == (33, 50)
    assert found["shapes"]["percent"] == 100
    assert found["error_kept"]["percent"] == 50
    assert found["layer"]["missed"] == ["b"]


def test_code_that_runs_twice_is_counted_and_a_counter_leaves_nothing_behind() -> None:
    model, x = torch.nn.Linear(3, 5), torch.randn(2, 7)
    with shape_tools.Counter(model) as counter:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="cannot be multiplied"):
                model(x)
    assert (counter.calls, counter.failures) == (2, 2)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        model(x)
    assert (counter.calls, counter.failures) == (2, 2)


def test_a_model_on_another_device_or_in_another_mode_is_noticed() -> None:
    before = shape_tools.state_of(torch.nn.Linear(3, 5, device="cpu"))
    model = torch.nn.Linear(3, 5)
    assert shape_tools.state_of(model) != before  # other values
    kept = shape_tools.state_of(model)
    assert shape_tools.state_of(model.eval()) != kept
    assert shape_tools.state_of(model.train()) == kept
    assert shape_tools.state_of(model.to("meta")) != kept


def test_an_absent_tool_is_said_and_left_out(monkeypatch, capsys) -> None:
    absent = shape_tools.Tool("thing", shape_tools.torch_message, "thing", "no_such_module")
    monkeypatch.setattr(shape_tools, "TOOLS", (absent,))
    monkeypatch.setattr(shape_tools, "ASIDE", absent)
    monkeypatch.setattr(shape_tools, "catalogue", list)
    found = shape_tools.run()
    assert found["tools"] == {} and found["absent"] == ["thing", "thing"]
    assert 'thing is not installed and left out: pip install -e ".[bench]"' in capsys.readouterr().out


def test_the_published_table_is_the_kept_result() -> None:
    kept = json.loads((RESULTS / "shape_tools.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "shape_errors.md").read_text(encoding="utf-8")
    assert kept["absent"] == []
    assert shape_tools.table(kept) in page
    inside, on_meta = kept["bugs_inside_modules"], kept["aside"]["torchview, device='meta'"]
    assert f"{inside - on_meta['model_kept']['bugs']} of the {inside} models" in page
    assert kept["date"] in page and kept["command"] in page and kept["machine"] in page
