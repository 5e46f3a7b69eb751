"""`python -m course_lib graph`: files that open from disk, and an exit code that says whether the graph is right."""

import re
from pathlib import Path

import pytest
import torch

from course_lib import graphs, zoo
from course_lib.__main__ import main
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.graphs import command
from course_lib.heads import BertForMultipleChoice
from course_lib.pretrained import load_tokenizer

SIZES = {
    "vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("model")
    BertModel(BertConfig(**SIZES)).save_pretrained(place)
    load_tokenizer().save_pretrained(place)
    return place


def page_of(output: Path) -> str:
    """The page, after a look that it needs nothing but the files beside it."""
    page = (output / "index.html").read_text(encoding="utf-8")
    for target in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (output / target).is_file(), target
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count("<img") == page.count("alt=")
    return page


def test_a_model_becomes_a_checked_graph_and_pictures(folder, tmp_path, capsys) -> None:
    assert main(["graph", str(folder), "--output", str(tmp_path / "out"), "--int8", "--attentions"]) == 0
    said = capsys.readouterr().out
    assert "model.onnx: the same as the model" in said and "model_int8.onnx has" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"model.onnx", "model_int8.onnx", "model.svg", "block.svg", "calls.svg", "index.html"}
    page = page_of(tmp_path / "out")
    assert "The operations of encoder.layer.0.attention" in page and "attentions.1" in page
    assert "SelfAttention.forward" in (tmp_path / "out" / "calls.svg").read_text(encoding="utf-8")


def test_the_graph_reads_the_second_text_of_a_pair_as_the_model_does(folder, tmp_path) -> None:
    assert main(["graph", str(folder), "--output", str(tmp_path)]) == 0
    model = BertModel.from_pretrained(folder).eval()
    pair = {"input_ids": torch.tensor([[2, 7, 3, 8, 3]]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    pair["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1]])
    with torch.no_grad():
        want = model(**pair).last_hidden_state
        as_one_text = model(**{**pair, "token_type_ids": torch.zeros_like(pair["input_ids"])}).last_hidden_state
    assert (want - as_one_text).abs().max() > 1e-3
    got = graphs.OnnxModel(tmp_path / "model.onnx")(**pair)["last_hidden_state"]
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_a_model_that_chooses_among_answers(tmp_path, monkeypatch) -> None:
    model = BertForMultipleChoice(BertConfig(**SIZES)).eval()
    monkeypatch.setattr(command, "_load", lambda given: model)
    assert main(["graph", "a_folder", "--output", str(tmp_path)]) == 0
    assert graphs.OnnxModel(tmp_path / "model.onnx").inputs == ("input_ids", "attention_mask", "token_type_ids")


def test_a_name_of_the_zoo_and_a_trained_one(tmp_path) -> None:
    torch.manual_seed(0)
    zoo.build("TextCNN", 3, 200, embedding=8, filters=4).save_pretrained(tmp_path / "mine")
    assert main(["graph", str(tmp_path / "mine"), "--output", str(tmp_path / "out")]) == 0
    assert {"model.svg", "calls.svg"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert "TextCNN.forward" in (tmp_path / "out" / "calls.svg").read_text(encoding="utf-8")
    page_of(tmp_path / "out")


def test_an_onnx_file_and_a_python_file(tmp_path) -> None:
    path = graphs.export_onnx(torch.nn.Linear(3, 2), torch.ones(2, 3), tmp_path / "linear.onnx")
    assert main(["graph", str(path), "--output", str(tmp_path / "a")]) == 0
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"model.svg", "index.html"}
    (tmp_path / "net.py").write_text("def a():\n    b()\n\n\ndef b():\n    pass\n", encoding="utf-8")
    assert main(["graph", str(tmp_path / "net.py"), "--output", str(tmp_path / "b")]) == 0
    assert {p.name for p in (tmp_path / "b").iterdir()} == {"calls.svg", "index.html"}
    page_of(tmp_path / "a"), page_of(tmp_path / "b")


@pytest.mark.parametrize(
    ("given", "words"),
    [("nowhere.onnx", "no file"), ("nowhere.py", "no file"), ("no/such_model_here", "no/such_model_here")],
)
def test_what_is_not_there_is_a_sentence(given, words, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["graph", given, "--output", "out"]) == 1
    assert words in capsys.readouterr().err.lower().replace("there is", "")


def test_a_block_that_is_not_there(tmp_path, capsys) -> None:
    path = graphs.export_onnx(
        BertModel(BertConfig(**SIZES)), {"input_ids": torch.ones(2, 4, dtype=torch.long)}, tmp_path / "bert.onnx"
    )
    assert main(["graph", str(path), "--output", str(tmp_path / "out"), "--block", "encoder.layer.9"]) == 1
    assert "--block" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["hidden-states", "attentions"])
def test_outputs_that_the_model_does_not_give_and_a_file_for_a_folder(option, tmp_path, capsys) -> None:
    assert main(["graph", "TextCNN", "--output", str(tmp_path / "out"), f"--{option}"]) == 1
    assert f"gave no {option.replace('-', '_')} when asked for them" in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["graph", "TextCNN", "--output", str(tmp_path / "file")]) == 1
    assert "cannot be made" in capsys.readouterr().err


def test_a_model_with_a_handful_of_words(tmp_path, capsys) -> None:
    """The example's ids went up to 99, and a vocabulary of 60 had no room for them."""
    torch.manual_seed(0)
    zoo.build("TextCNN", 3, 60, embedding=8, filters=4).save_pretrained(tmp_path / "few")
    assert main(["graph", str(tmp_path / "few"), "--output", str(tmp_path / "out")]) == 0
    assert "the same as the model" in capsys.readouterr().out
