"""The three commands: train, evaluate, predict."""

import dataclasses
import io
import itertools
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from course_lib.__main__ import main
from course_lib.datasets import Examples, write_dataset

OPTIONS = ["--epochs", "3", "--batch-size", "4", "--learning-rate", "0.004", "--precision", "float32"]


@pytest.fixture(scope="module")
def trained(tiny, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    write_dataset(data["classification"], folder / "data")
    assert (
        main(["train", "--model", str(tiny), "--data", str(folder / "data"), "--output", str(folder / "out"), *OPTIONS])
        == 0
    )
    return folder


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_train_says_what_it_found_and_where_the_model_is(tiny, data, tmp_path, capsys) -> None:
    write_dataset(data["tags"], tmp_path / "data")
    arguments = ["train", "--model", str(tiny), "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    assert main([*arguments, *OPTIONS, "--tensorboard", "--warmup", "2", "--schedule", "linear"]) == 0
    said = capsys.readouterr()
    assert "tags" in said.err and "train: 3" in said.err
    assert (
        "Kept: step" in said.out and "test: loss" in said.out and f"The model is in '{tmp_path / 'out'}'." in said.out
    )
    assert list((tmp_path / "out" / "tensorboard").iterdir())


def test_train_says_what_was_cut(tiny, data, tmp_path, capsys) -> None:
    write_dataset(data["classification"], tmp_path / "data")
    arguments = ["train", "--model", str(tiny), "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    assert main([*arguments, *OPTIONS, "--max-tokens", "4"]) == 0
    assert "train: 12 of 12 texts are longer than 4 tokens and were cut." in capsys.readouterr().err


def test_the_help_names_the_defaults_that_are_used(capsys, monkeypatch) -> None:
    from course_lib import zoo
    from course_lib.training import FINE_TUNING

    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    words, bert = zoo.MODELS["TextCNN"].recipe, zoo.MODELS["bert_CNN"].recipe
    assert (
        bert["warmup"] == FINE_TUNING.warmup
        and bert["head_learning_rate"] == 1e-3
        and FINE_TUNING.learning_rate == 5e-5
    )
    own = "; a text classifier of the zoo has its own)"
    for default in (
        f"times through the data ({FINE_TUNING.epochs}{own}",
        f"the highest of the schedule (5e-5{own}",
        f"in which the rate rises ({FINE_TUNING.warmup}; over word vectors {words['warmup']})",
        "another rate for the new layer (none; 1e-3 for those of the zoo that stand on a BERT)",
        f"{FINE_TUNING.precision} (so if left out): bfloat16",
        "--option frozen=true keeps them as they are",
    ):
        assert default in said, default


def test_a_pair_of_commands_gives_the_scores_again(trained, capsys) -> None:
    assert main(["evaluate", "--model", str(trained / "out"), "--data", str(trained / "data"), "--json"]) == 0
    scores = lines(capsys)[0]
    assert set(scores) == {"loss", "accuracy", "macro_f1"}
    assert main(["evaluate", "--model", str(trained / "out"), "--data", str(trained / "data"), "--part", "dev"]) == 0
    assert "weather" in capsys.readouterr().out


def test_predict_takes_a_text_a_file_or_standard_input(trained, capsys, tmp_path, monkeypatch) -> None:
    model = ["predict", "--model", str(trained / "out")]
    assert main([*model, "--text", "rain and sun"]) == 0
    (one,) = lines(capsys)
    assert one["text"] == "rain and sun" and one["label"] in ("weather", "sport") and 0 < one["score"] <= 1
    texts = tmp_path / "texts.txt"
    texts.write_bytes("\ufeffrain and sun\r\n\r\ngoal and match\r\n".encode())
    assert main([*model, "--file", str(texts)]) == 0
    first, second = lines(capsys)
    assert first == one and second["text"] == "goal and match"
    for name, content in (
        ("a.jsonl", '{"text": "rain and sun", "other": 1}\n'),
        ("a.csv", "text,other\nrain and sun,1\n"),
        ("a.tsv", "text\tother\nrain and sun\t1\n"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert main([*model, "--file", str(tmp_path / name)]) == 0
        assert lines(capsys) == [one]
    for source in (["-"], ["--file", "-"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO("rain and sun\n{ not json\n"))
        assert main([*model, *source]) == 0
        first, second = lines(capsys)
        assert first["label"] == one["label"] and second["text"] == "{ not json"
    assert main([*model, "--text", "rain and sun", "--table"]) == 0
    assert one["label"] in capsys.readouterr().out


def test_a_vocabulary_of_another_model_is_one_sentence(trained, tmp_path, capsys) -> None:
    from course_lib.vocabulary import make_vocabulary

    folder = tmp_path / "mix"
    shutil.copytree(trained / "out", folder)
    found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = found["model"]["vocab"]  # as many tokens, two of them in the other order
    vocabulary["rain"], vocabulary["sun"] = vocabulary["sun"], vocabulary["rain"]
    (folder / "tokenizer.json").write_text(json.dumps(found), encoding="utf-8")
    said = []
    for _ in range(2):
        assert main(["predict", "--model", str(folder), "--text", "rain"]) == 1
        said.append(capsys.readouterr().err)
        make_vocabulary(["rain and sun"], minimum=1).save_pretrained(folder)
    assert "is not the one that the model was trained with" in said[0]
    assert "lacks [CLS], [SEP], [MASK]: it is not the vocabulary of a BERT" in said[1]


def test_a_table_may_have_more_rows_than_the_vocabulary_has_tokens(tokenizer, data, tmp_path) -> None:
    """Some published models are padded so."""
    from course_lib.bert import BertModel
    from course_lib.config import BertConfig
    from course_lib.finetuning import FineTuned, fine_tune

    sizes = {"vocab_size": len(tokenizer) + 70, "hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 5, "max_position_embeddings": 16}  # fmt: skip
    BertModel(BertConfig.from_dict(sizes)).save_pretrained(tmp_path / "padded")
    tokenizer.save_pretrained(tmp_path / "padded")
    fine_tune(data["classification"], tmp_path / "padded", steps=1, output=tmp_path / "out")
    assert FineTuned.load(tmp_path / "out").predict("rain")
    card = json.loads((tmp_path / "out" / "fine_tuning.json").read_text(encoding="utf-8"))
    del card["vocabulary"]
    (tmp_path / "out" / "fine_tuning.json").write_text(json.dumps(card), encoding="utf-8")
    assert FineTuned.load(tmp_path / "out").predict("rain")


def test_the_column_of_the_texts_is_given_as_in_training(trained, tmp_path, capsys) -> None:
    model = ["predict", "--model", str(trained / "out"), "--file"]
    (tmp_path / "a.csv").write_text("body,text\nrain,1\nsun,2\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"body": "rain", "text": 1}\n{"body": "sun"}\n', encoding="utf-8")
    (tmp_path / "a.txt").write_text("rain\n", encoding="utf-8")
    for name in ("a.csv", "a.jsonl"):
        assert main([*model, str(tmp_path / name), "--columns", "text=body"]) == 0
        assert [one["text"] for one in lines(capsys)] == ["rain", "sun"]
    for name, given, words in (
        ("a.csv", "text=bdy", "has no column 'bdy' (did you mean 'body'?)"),
        ("a.csv", "question=body", "columns has the field 'question'; the fields of this task are text, pair"),
        ("a.jsonl", "question=body", "columns has the field 'question'; the fields of this task are text, pair"),
        ("a.jsonl", "text=nothing", "Line 1 of"),
        ("a.txt", "text=body", "--columns is for tables and JSON lines, and line 1 of"),
        ("a.csv", "text", "--columns has 'text'"),
    ):
        assert main([*model, str(tmp_path / name), "--columns", given]) == 1
        assert words in capsys.readouterr().err
    assert main(["predict", "--model", str(trained / "out"), "--text", "a", "--columns", "text=body"]) == 1
    assert "--columns goes with --file" in capsys.readouterr().err


def test_a_byte_order_mark_is_no_part_of_the_first_text(trained, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffrain\n".encode()), encoding="ascii"))
    assert main(["predict", "--model", str(trained / "out"), "-"]) == 0
    assert [one["text"] for one in lines(capsys)] == ["rain"]


def test_empty_lines_are_counted_and_nothing_is_an_error(trained, tmp_path, capsys, monkeypatch) -> None:
    model = ["predict", "--model", str(trained / "out")]
    (tmp_path / "a.txt").write_text("rain\n\n  \nsun\n", encoding="utf-8")
    assert main([*model, "--file", str(tmp_path / "a.txt")]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2 and said.err == "2 empty lines were left out.\n"
    for text in ("", "\n\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert main([*model, "-"]) == 1
        assert capsys.readouterr().err == "DataError: Standard input has no text; give at least one.\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("rain\n\n"))
    assert main([*model, "-", "--table"]) == 0
    assert capsys.readouterr().err == "1 empty line was left out.\n"


def test_a_line_of_standard_input_is_answered_when_it_comes(trained) -> None:
    """While the pipe is open, as of a program that writes a line now and then, or a person who types."""
    command = [sys.executable, "-m", "course_lib", "predict", "--model", str(trained / "out"), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for text in ("rain", "sun", "das Wetter für 天"):
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.write(b"goal\n\xff\nsun\n")
        process.stdin.flush()  # and the pipe stays open
        assert json.loads(process.stdout.readline())["text"] == "goal"
        said = process.stderr.read().decode()
        assert process.wait(30) == 1
        assert said == "DataError: Line 5 of standard input is not UTF-8; save it as UTF-8.\n"


def test_inputs_are_handed_on_as_they_come() -> None:
    from course_lib.finetuning.waiting import as_they_come

    go_on = threading.Event()

    def items():
        yield from range(3)
        go_on.wait(30)
        yield from range(3, 10)
        raise OSError("gone")

    found = []
    chunks = as_they_come(items(), 4)
    with pytest.raises(OSError, match="gone"):
        while True:
            found.append(next(chunks))
            if sum(map(len, found)) == 3:
                go_on.set()
    assert [item for chunk in found for item in chunk] == list(range(10))
    assert all(1 <= len(chunk) <= 4 for chunk in found) and list(as_they_come([], 4)) == []
    endless = as_they_come(itertools.count(), 4)
    next(endless)
    endless.close()


def test_predictions_come_as_the_inputs_do(trained) -> None:
    """Nothing waits for the end of a long file: the first answers are there before the last input is read."""
    from course_lib.finetuning import FineTuned

    given = []

    def inputs():
        for number in range(1300):
            given.append(number)
            yield "rain"

    stream = FineTuned.load(trained / "out").predict_stream(inputs())
    next(stream)
    assert len(given) < 1300


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "--model", "OUT"], "There is nothing to predict"),
        (["predict", "--model", "OUT", "--file", "none.txt"], "There is no file 'none.txt'"),
        (["predict", "--model", "DATA", "--text", "a"], "has no fine_tuning.json"),
        (["predict", "--model", "OUT", "--text", "a", "--context", "b"], "is for classification, which has no context"),
        (["predict", "--model", "OUT", "--text", "a", "--choices", "b", "c"], "which has no choices: leave it out"),
        (["predict", "--model", "OUT", "--file", "a.txt", "--pair", "b"], "--pair goes with --text"),
        (["evaluate", "--model", "OUT", "--data", "none"], "none"),
        (["train", "--data", "DATA", "--output", "OUT"], "has a trained model already"),
        (["train", "--data", "DATA", "--output", "NEW", "--epochs", "0"], "epochs is 0"),
        (["train", "--data", "DATA", "--output", "NEW", "--batch-size", "0"], "size is 0; a batch holds at least 1"),
        (
            ["train", "--data", "DATA", "--output", "NEW", "--model", "TextCNN", "--batch-size", "0"],
            "batch_size is 0; a batch holds at least 1",
        ),
        (["train", "--data", "DATA", "--output", "NEW", "--task", "tagging"], "There is no task 'tagging'"),
        (["train", "--data", "DATA", "--output", "NEW", "--columns", "text"], "--columns has 'text'"),
        (
            ["train", "--data", "DATA", "--output", "NEW", "--seed", "99999999999999999999999"],
            "--seed is 99999999999999999999999; a whole number between -2**62 and 2**62 is needed",
        ),
        (
            ["train", "--data", "DATA", "--output", "NEW", "--streaming"],
            "is not known before they were read: give --steps",
        ),
        (
            ["train", "--data", "DATA", "--output", "NEW", "--model", "TextCNN", "--max-tokens", "0"],
            "max_tokens is 0; at least 1 token of the text is needed.",
        ),
        (["train", "--data", "DATA", "--output", "NEW", "--model", "no/where-at-all"], "no/where-at-all"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(trained, tmp_path, capsys, monkeypatch, arguments, words) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    places = {"OUT": trained / "out", "DATA": trained / "data", "NEW": tmp_path / "new"}
    assert main([str(places.get(a, a)) for a in arguments]) == 1
    said = capsys.readouterr()
    assert words in said.err and "Traceback" not in said.err and not (tmp_path / "new").exists()


def test_a_line_that_is_no_json_is_named(trained, tmp_path, capsys) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text":\n', encoding="utf-8")
    assert main(["predict", "--model", str(trained / "out"), "--file", str(tmp_path / "a.jsonl")]) == 1
    assert "Line 2 of" in capsys.readouterr().err
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    assert main(["predict", "--model", str(trained / "out"), "--file", str(tmp_path / "a.txt")]) == 1
    assert "is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "rain\n\nsun\tgoal\tmatch\n", "Line 3 of 'FILE' has 3 parts; no more than text and pair"),
        (
            "a.txt",
            "rain\nsun\t1\n",
            "Line 2 of 'FILE' has the label '1' after its tab, where a pair has its second text",
        ),
        ("a.txt", "rain\tweather\n", "Line 1 of 'FILE' has the label 'weather' after its tab"),
        ("a.jsonl", '{"text": "rain"}\n' * 600 + '{"text": null}\n', "Line 601 of 'FILE' has no text"),
        ("a.jsonl", '{"text": ["rain", "sun"]}\n', "Line 1 of 'FILE' has a list as text"),
        ("a.jsonl", '{"text": 5}\n', "Line 1 of 'FILE' has an int as text"),
        ("a.jsonl", "5\n", "Line 1 of 'FILE' is an int; a text is expected"),
        (
            "a.csv",
            'text,other\n"rain,\nsun",1\nrain\n',
            "Line 4 of 'FILE' has 1 column ('rain') where the first line has 2",
        ),
        ("a.jsonl", "[" * 100_000 + "\n", "Line 1 of 'FILE' is no JSON object"),
        (
            "a.csv",
            "body,other\nrain,1\n",
            "'FILE' has the columns body, other, and none is called text: rename it, or say which",
        ),
        ("a.csv", "body,other\nrain,1\nsun,1\n", "which it is, as in --columns text=body."),
        ("a.tsv", "headline\tlabel\nrain\t1\n", "'FILE' has the columns headline, label, and none is called text"),
        ("a.txt", "\n \n", "'FILE' has no text; give at least one."),
        (
            "a.txt",
            "rain\ngoal\tmatch\n",
            "Line 2 of 'FILE' has a second text, and this model was trained on single texts",
        ),
    ],
)
def test_an_input_of_a_file_is_named_by_its_line(trained, tmp_path, capsys, name, content, words) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert main(["predict", "--model", str(trained / "out"), "--file", str(tmp_path / name)]) == 1
    assert words.replace("FILE", str(tmp_path / name)) in capsys.readouterr().err


def test_tables_are_read_as_those_of_data_sets_are(trained, tmp_path, capsys) -> None:
    """Cells longer than the csv module likes, a number beside them, and marks that are the text's."""
    long = "rain " * 40_000
    for name, content, texts in (
        ("a.csv", f"text,other\nrain,1\n{long},sun\n", ["rain", long]),
        ("a.tsv", 'text\tother\n"rain and\t1\nsun\t2\n', ['"rain and', "sun"]),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert main(["predict", "--model", str(trained / "out"), "--file", str(tmp_path / name)]) == 0
        assert [one["text"] for one in lines(capsys)] == texts


def test_pairs_come_from_lines_and_tables_for_a_model_that_was_trained_on_pairs(tiny, data, tmp_path, capsys) -> None:
    """A number as second text is a text."""
    write_dataset(data["regression"], tmp_path / "data")
    model = ["--model", str(tmp_path / "out")]
    where = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    assert main(["train", "--model", str(tiny), *where, *OPTIONS]) == 0
    capsys.readouterr()
    for name, content in (
        ("a.txt", "rain\tsun\nrain\t1\n"),
        ("a.csv", "text,pair\nrain,sun\nrain,1\n"),
        ("a.jsonl", '{"text": "rain", "pair": "sun"}\n{"text": "rain", "pair": "1"}\n'),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert main(["predict", *model, "--file", str(tmp_path / name)]) == 0
        assert [(one["text"], one["pair"]) for one in lines(capsys)] == [("rain", "sun"), ("rain", "1")]
    assert main(["predict", *model, "--text", "rain"]) == 1
    said = capsys.readouterr().err
    assert "The input has one text, and this model was trained on pairs of texts; give both: text and pair." in said


def test_bytes_that_are_no_utf8_are_named_by_their_line(trained, tmp_path, capsys, monkeypatch) -> None:
    model = ["predict", "--model", str(trained / "out")]
    (tmp_path / "a.txt").write_bytes(b"rain\n" * 9000 + b"\xff\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"rain\n\xff\n"), encoding="ascii"))
    for source, where in (
        (["--file", str(tmp_path / "a.txt")], f"Line 9001 of '{tmp_path / 'a.txt'}'"),
        (["-"], "Line 2"),
    ):
        assert main([*model, *source]) == 1
        said = capsys.readouterr().err
        assert where in said and "is not UTF-8; save it as UTF-8." in said
    assert main([*model, "--text", "\udcff"]) == 1  # what Python makes of such a byte on the command line
    assert "has a text with half a character" in capsys.readouterr().err


def test_labels_are_found_by_their_names(trained, data, tmp_path, capsys) -> None:
    model = ["evaluate", "--json", "--model", str(trained / "out"), "--data"]
    turned = [dataclasses.replace(e, label=1 - e.label) for e in data["classification"].test]
    write_dataset(data["classification"].replace(labels=("sport", "weather"), test=Examples(turned)), tmp_path / "data")
    write_dataset(data["classification"], tmp_path / "same")
    assert main([*model, str(tmp_path / "data")]) == main([*model, str(tmp_path / "same")]) == 0
    first, second = capsys.readouterr().out.strip().split("\n")
    assert first == second
    write_dataset(data["classification"].replace(labels=("a", "b")), tmp_path / "more")
    assert main([*model, str(tmp_path / "more")]) == 1
    assert "has the labels a, b, and the model knows weather, sport" in capsys.readouterr().err
