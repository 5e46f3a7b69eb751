"""The zoo through train, evaluate and predict: in Python and on the command line; the leaderboard."""

from __future__ import annotations

import csv
import json
import re
import shutil
from itertools import pairwise

import pytest
import torch

from course_lib import zoo
from course_lib.__main__ import main
from course_lib.datasets import Dataset, Example, Examples, load_dataset, write_dataset
from course_lib.errors import DataError, ModelFilesError, TrainingError
from course_lib.finetuning import FineTuned, train_classifier
from course_lib.finetuning.effects import token_effects
from course_lib.finetuning.leaderboard import leaderboard
from course_lib.finetuning.tasks import Reading

QUICK = {"epochs": 10, "batch_size": 4, "learning_rate": 1e-2, "precision": "float32", "minimum": 1}
SMALL = {"filters": 8, "embedding": 16, "dropout": 0.0}


@pytest.fixture(scope="module")
def text_cnn(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "cnn"
    return train_classifier("TextCNN", data["classification"], output=folder, options=SMALL, **QUICK), folder


@pytest.fixture(scope="module")
def bert_cnn(data, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "bert"
    quick = {**QUICK, "head_learning_rate": 1e-2, "learning_rate": 1e-3}
    del quick["minimum"]
    made = train_classifier(
        "bert_CNN", data["classification"], encoder=tiny, output=folder, options={"filters": 8}, **quick
    )
    return made, folder


@pytest.mark.parametrize("which", ["text_cnn", "bert_cnn"])
def test_a_trained_model_learns_and_says_the_same_when_loaded(which, data, request) -> None:
    tuned, folder = request.getfixturevalue(which)
    assert tuned.evaluate("test").scores["accuracy"] > 0.8
    again = FineTuned.load(folder)
    texts = ["rain and goal", "", "something unheard of", "goal " * 90]
    assert again.predict(texts) == tuned.predict(texts)
    assert again.evaluate(list(data["classification"].test)).scores == tuned.evaluate("test").scores


@pytest.fixture(scope="module")
def other_cnn(data, tmp_path_factory):
    """As text_cnn, with as many tokens in its vocabulary, in another order."""
    folder = tmp_path_factory.mktemp("zoo") / "other"
    known = data["classification"]
    train = Examples(
        [
            Example(text.replace("rain", "sun sun"), label)
            for text, label in zip(known.train.texts, known.train.labels, strict=True)
        ]
    )
    train_classifier("TextCNN", known.replace(train=train), output=folder, options=SMALL, **{**QUICK, "epochs": 1})
    return folder


def test_a_vocabulary_of_another_run_is_refused(text_cnn, bert_cnn, other_cnn, tmp_path) -> None:
    for number, (folder, vocabulary) in enumerate(((text_cnn[1], other_cnn), (bert_cnn[1], text_cnn[1]))):
        mixed = tmp_path / f"mix{number}"
        shutil.copytree(folder, mixed)
        assert FineTuned.load(mixed) and zoo.load_tokenizer(mixed)
        shutil.copy(vocabulary / "tokenizer.json", mixed)
        for load in (FineTuned.load, zoo.load_tokenizer):
            with pytest.raises(
                ModelFilesError, match=r"The vocabulary in '.*' is not the one that the model was trained with"
            ):
                load(mixed)


def test_of_an_old_folder_the_size_of_the_vocabulary_is_compared(text_cnn, bert_cnn, tmp_path) -> None:
    shutil.copytree(text_cnn[1], tmp_path / "old")
    for name in ("zoo.json", "fine_tuning.json"):
        card = json.loads((tmp_path / "old" / name).read_text(encoding="utf-8"))
        del card["vocabulary"]
        (tmp_path / "old" / name).write_text(json.dumps(card), encoding="utf-8")
    FineTuned.load(tmp_path / "old")
    shutil.copy(bert_cnn[1] / "tokenizer.json", tmp_path / "old")
    with pytest.raises(ModelFilesError, match=r"has 30,522 tokens, and the model has rows for 7: copy the tokenizer"):
        FineTuned.load(tmp_path / "old")


def test_what_a_loaded_model_saves_knows_its_vocabulary(text_cnn, tmp_path) -> None:
    FineTuned.load(text_cnn[1]).save(tmp_path / "again")
    for name in ("zoo.json", "fine_tuning.json"):
        first, second = (
            json.loads((place / name).read_text(encoding="utf-8")) for place in (text_cnn[1], tmp_path / "again")
        )
        assert first["vocabulary"] == second["vocabulary"]


def test_the_same_seed_gives_the_same_model(text_cnn, data) -> None:
    tuned, _ = text_cnn
    other = train_classifier("TextCNN", data["classification"], options=SMALL, **QUICK)
    state = other.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tuned.model.state_dict().items())


def test_probabilities_and_the_tokens_behind_them(text_cnn) -> None:
    tuned, _ = text_cnn
    (one,) = tuned.predict("rain and match", probabilities=True, why=True)
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert one["probabilities"][one["label"]] == pytest.approx(one["score"])
    assert [each["token"] for each in one["why"]] == ["rain", "and", "match"]
    (without,) = tuned.predict("and match", probabilities=True)
    fall = one["score"] - without["probabilities"][one["label"]]
    assert one["why"][0]["effect"] == pytest.approx(fall, abs=1e-5)


def test_a_word_that_the_vocabulary_lacks_is_named_as_it_was_written(text_cnn, bert_cnn) -> None:
    (one,) = text_cnn[0].predict("rain Xylophone and Quartz!", why=True)
    assert text_cnn[0].tokenizer.unk_token_id in text_cnn[0].tokenizer("Xylophone")["input_ids"]
    assert [each["token"] for each in one["why"]] == ["rain", "Xylophone", "and", "Quartz", "!"]
    (one,) = bert_cnn[0].predict("rain and \U0001f99c sun", why=True)  # a parrot
    assert [each["token"] for each in one["why"]] == ["rain", "and", "\U0001f99c", "sun"]


@pytest.mark.parametrize("how", ["head", "tail", "head+tail"])
def test_what_each_token_stands_for_is_cut_as_the_text_is(bert_cnn, how) -> None:
    tuned, _ = bert_cnn
    task = type(tuned.task)(tuned.task.labels, Reading(max_tokens=6, cut=how))
    example = Example("Rain, and \U0001f99c sun, goals, matches", 0)
    (ids,) = task.prepare([example], tuned.tokenizer).columns["input_ids"]
    written = task.written(example, tuned.tokenizer)
    assert len(written) == len(ids) == 6 and not written[0] and not written[-1]
    for token, piece in zip(tuned.tokenizer.convert_ids_to_tokens(ids)[1:-1], written[1:-1], strict=True):
        assert token in ("[UNK]", piece.lower(), f"##{piece.lower()}")


def test_special_tokens_are_never_taken_away(bert_cnn) -> None:
    tuned, _ = bert_cnn
    ids = tuned.tokenizer("rain and sun")["input_ids"]
    assert [token for token, _ in token_effects(tuned.model, tuned.tokenizer, ids, 0)] == ["rain", "and", "sun"]
    assert token_effects(tuned.model, tuned.tokenizer, tuned.tokenizer("rain")["input_ids"], 0) == [("rain", 0.0)]


def test_only_classification_has_probabilities(tiny, data) -> None:
    from course_lib.finetuning import fine_tune

    tags = fine_tune(data["tags"], tiny, epochs=1, batch_size=3)
    with pytest.raises(DataError, match="This model is for tags"):
        tags.predict("rain falls", why=True)


def test_a_finished_model_is_not_taken_for_another_one(text_cnn, bert_cnn, data, tiny) -> None:
    """`--model TextCNN --resume` on a folder with a BERT gave the BERT's score."""
    known, folder = data["classification"], text_cnn[1]
    assert train_classifier("TextCNN", known, output=folder, resume=True, options=SMALL, **QUICK).history is None
    with pytest.raises(TrainingError, match=r"\(model: TextCNN, not DPCNN; options: .*\): go on with the same"):
        train_classifier("DPCNN", known, output=folder, resume=True, **QUICK)
    with pytest.raises(TrainingError, match=r"\(minimum: 1, not 2\)"):
        train_classifier("TextCNN", known, output=folder, resume=True, options=SMALL, **{**QUICK, "minimum": 2})
    with pytest.raises(TrainingError, match=r"began with other choices \(model: bert_CNN, not TextCNN"):
        train_classifier("TextCNN", known, output=bert_cnn[1], resume=True, options=SMALL, **QUICK)


@pytest.mark.parametrize(
    ("name", "choices", "error", "words"),
    [
        ("TextCNN", {"encoder": "default"}, ValueError, "TextCNN has word vectors of its own and takes no encoder"),
        ("bert_CNN", {"vectors": "x.vec"}, ValueError, "bert_CNN reads BERT's and takes no vectors"),
        ("bert_CNN", {"unit": "words"}, ValueError, "bert_CNN reads BERT's and takes no unit"),
        ("bert_CNN", {"minimum": 1}, ValueError, "bert_CNN reads BERT's and takes no minimum"),
        (
            "TextCNN",
            {"vector_words": "nothere"},
            ValueError,
            "vector_words are the words of vectors, and there are none",
        ),
        (
            "TextCNN",
            {"options": {"frozen": True}},
            ValueError,
            "frozen keeps the vectors of a file as they are, and there",
        ),
        ("TextCNN", {"options": {"kernel": 3}}, TypeError, "TextCNN has no option kernel; it has filters, kernels"),
        ("TextCNN", {"minimum": 99}, DataError, "occurs 99 times"),
        ("TextCN", {}, ValueError, "Did you mean TextCNN"),
    ],
)
def test_what_does_not_fit_is_said(data, name, choices, error, words) -> None:
    with pytest.raises(error, match=words):
        train_classifier(name, data["classification"], **choices)


def test_other_tasks_are_refused(data) -> None:
    with pytest.raises(DataError, match="give data for classification"):
        train_classifier("TextCNN", data["tags"])


def test_a_class_that_train_lacks_is_reported_and_nothing_fails() -> None:
    train = Examples([Example("rain falls", 0), Example("goal scored", 1)] * 6)
    test = Examples([Example("rain falls", 0), Example("what now", 2)])
    data = Dataset("here", ("weather", "sport", "news"), train, train, test, "classification", "made")
    result = train_classifier("TextCNN", data, options=SMALL, **QUICK).evaluate("test")
    assert result.scores["accuracy"] == 0.5 and "news" in str(result.report)


def test_text_that_was_split_is_read_as_it_was_split(data, tmp_path, capsys) -> None:
    rows = ["下雨 了 ， 气温 3.5% iPhone\tweather", "进球 了 ！ C++ 比分 2:1\tsport"] * 6
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "dev"):
        (folder / f"{name}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    command = ["train", "--model", "TextCNN", "--data", str(folder), "--output", str(tmp_path / "out"), "--split"]
    assert main([*command, "--epochs", "2", "--minimum", "1", "--option", "filters=8", "embedding=16"]) == 0
    capsys.readouterr()
    assert main(["predict", "--model", str(tmp_path / "out"), "--text", "C++ 比分 3.5% 不知道", "--why"]) == 0
    (one,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert [each["token"] for each in one["why"]] == ["C++", "比分", "3.5%", "不知道"]
    vocabulary = set(FineTuned.load(tmp_path / "out").tokenizer.get_vocab())
    assert vocabulary == {"[PAD]", "[UNK]", *" ".join(row.split("\t")[0] for row in rows).split()}


def test_the_command_trains_predicts_and_evaluates(data, tmp_path, capsys) -> None:
    write_dataset(data["classification"], tmp_path / "data")
    command = ["train", "--model", "TextCNN", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    options = ["--epochs", "10", "--batch-size", "4", "--learning-rate", "0.01", "--minimum", "1", "--words"]
    assert main([*command, *options, "--option", "filters=8", "embedding=16", "dropout=0"]) == 0
    assert "test: loss" in capsys.readouterr().out
    card = json.loads((tmp_path / "out" / "zoo.json").read_text(encoding="utf-8"))
    assert card["options"]["filters"] == 8
    assert main(["predict", "--model", str(tmp_path / "out"), "--text", "rain and sun", "--why"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["label"] == "weather" and len(one["why"]) == 3
    assert (
        main(["predict", "--model", str(tmp_path / "out"), "--text", "rain", "--why", "--probabilities", "--table"])
        == 0
    )
    assert capsys.readouterr().out.splitlines()[0].split() == ["text", "label", "score", "next", "why"]
    assert main(["evaluate", "--model", str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "default", "--words"], "--words, --split or --characters is for the text classifiers of the zoo"),
        (["--model", "TextCNN", "--seeds", "2"], "go with --model all"),
        (["--model", "TextCNN", "--option", "filters"], "a name, an equals sign and a value"),
        (["--model", "TextCNN", "--option", "filter=3"], "TextCNN has no option filter"),
        (["--model", "TextCNN", "--encoder", "default"], "takes no encoder"),
        (["--model", "TextCNN", "--option", "filters=abc"], "filters is 'abc'; a whole number of at least 1 is needed"),
        (
            ["--model", "TextCNN", "--vector-words", "nothere"],
            "vector_words are the words of vectors, and there are none",
        ),
        (
            ["--model", "TextCNN", "--option", "vectors=x"],
            "--option has vectors=x; a file of word vectors goes with --vectors",
        ),
        (
            ["--model", "all", "--option", "vectors=x"],
            "--option has vectors=x; a file of word vectors goes with --vectors",
        ),
        (
            ["--model", "TextCNN", "--option", "frozen=true"],
            "frozen keeps the vectors of a file as they are, and there",
        ),
        (
            ["--model", "all", "--models", "TextRNN", "TextCNN", "--option", "frozen=true"],
            "frozen keeps the vectors of a file as they are, and there",
        ),
        (
            ["--model", "TextCNN", "--vectors", "VECTORS", "--option", "embedding=16"],
            "has 2 numbers a word, and 16 were asked for",
        ),
        (
            ["--model", "TextCNN", "--vectors", "VECTORS", "--option", "embedding=abc"],
            "embedding is 'abc'; a whole number",
        ),
        (["--model", "bert_CNN", "--words"], "bert_CNN reads BERT's and takes no unit"),
        (["--model", "all", "--models", "TextCN"], "Did you mean TextCNN"),
        (["--model", "all", "--models", "TextCNN", "nothere"], "There is no model 'nothere' in the zoo"),
        (
            ["--model", "all", "--models", "TextCNN", "TextRNN", "--option", "filters=5"],
            "TextRNN has no option filters",
        ),
        (["--model", "all", "--metric", "acuracy"], "metric is 'acuracy', and the evaluation gives loss, accuracy"),
        (["--model", "textcnn"], "neither a folder nor in the zoo: did you mean TextCNN?"),
        (["--model", "BERT_CNN"], "neither a folder nor in the zoo: did you mean bert_CNN?"),
    ],
)
def test_a_wrong_option_is_one_sentence(data, tmp_path, capsys, options, words) -> None:
    write_dataset(data["classification"], tmp_path / "data")
    (tmp_path / "v.vec").write_text("rain 1 2\nsun 3 4\n", encoding="utf-8")
    options = [str(tmp_path / "v.vec") if option == "VECTORS" else option for option in options]
    assert main(["train", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and not (tmp_path / "out").exists()


def test_a_label_that_train_does_not_know_is_said_before_training(data, tmp_path, capsys) -> None:
    folder = write_dataset(data["classification"], tmp_path / "data")
    parts = sorted(tmp_path.glob("data/test*"))
    parts[0].write_text(parts[0].read_text(encoding="utf-8") + "a strange thing\t7\n", encoding="utf-8")
    assert (
        main(["train", "--model", "TextCNN", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]) == 1
    )
    said = capsys.readouterr().err
    assert "7" in said and "Traceback" not in said and not (tmp_path / "out").exists(), folder


def test_an_encoder_of_another_language_is_said(tiny, tmp_path, capsys) -> None:
    train = Examples([Example("股价大涨三成", 0), Example("球队昨夜夺冠", 1)] * 4)
    write_dataset(Dataset("here", ("a", "b"), train, train, train, "classification", "made"), tmp_path / "data")
    command = ["train", "--model", "bert", "--encoder", str(tiny), "--data", str(tmp_path / "data"), "--epochs", "1"]
    assert main([*command, "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    line = (
        "of the tokens of these texts are unknown to the model's vocabulary: it was made for another language, or for other "
        "texts. Another encoder, such as 'mini_bert_zh', would know more of them.\n"
    )
    assert said.count(line) == 1 and said.index(line) < said.index("steps/s") and "larger training set" not in said
    command = ["train", "--model", str(tiny), "--data", str(tmp_path / "data"), "--epochs", "1"]
    assert main([*command, "--output", str(tmp_path / "fine")]) == 0
    said = capsys.readouterr().err
    assert said.count(line) == 1 and said.index(line) < said.index("steps/s")
    command = [
        "train",
        "--model",
        "all",
        "--models",
        "bert",
        "bert_CNN",
        "--encoder",
        str(tiny),
        "--data",
        str(tmp_path / "data"),
    ]
    assert main([*command, "--epochs", "1", "--seeds", "2", "--output", str(tmp_path / "all")]) == 0
    said = capsys.readouterr().err
    assert said.count(f"'{tiny}': ") == said.count(line) == 1 and said.index(line) < said.index("steps/s")


def test_a_poor_match_is_a_warning_in_python(data) -> None:
    """English has no unknown token in a Chinese vocabulary: its words fall into letters."""
    from course_lib.finetuning import fine_tune
    from course_lib.finetuning.languages import LanguageWarning, poor_match
    from course_lib.pretrained import load_tokenizer

    words = (
        r"The words of these texts fall into \d\.\d pieces each in the model's vocabulary: .* such as 'embedded', would"
    )
    with pytest.warns(LanguageWarning, match=words):
        train_classifier("bert", data["classification"], encoder="mini_bert_zh", steps=1)
    with pytest.warns(LanguageWarning, match=words):
        fine_tune(data["tags"], "mini_bert_zh", steps=1)
    for texts, encoder in (
        (["股价大涨三成 A股收涨", "iPhone发布会"], "mini_bert_zh"),
        (["Return the numpy.ndarray with dtype float64", "a goal"], "mini_bert"),
        ([], "mini_bert"),
        ([""], "embedded"),
    ):
        assert poor_match(texts, load_tokenizer(encoder)) is None
    assert "Another encoder would know" in poor_match(["Правительство объявило в четверг"], load_tokenizer("embedded"))


def test_without_a_network_an_encoder_that_is_here_is_named(data, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_dataset(data["classification"], tmp_path / "data")
    for model in (["bert_CNN", "--encoder", "no/such-bert-here"], ["ERNIE"], ["no/such-bert-here"]):
        command = ["train", "--model", *model, "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
        assert main(command) == 1
        said = capsys.readouterr().err
        option = "--model" if model[0].startswith("no/") else "--encoder"
        assert f"({option} mini_bert_zh, {option} FOLDER)." in said and "COURSE_MODEL" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            [],
            "% of the tokens of dev do not occur twice in train and are read as [UNK]: a larger training set, or --minimum 1, ",
        ),
        (
            ["--minimum", "1"],
            "% of the tokens of dev do not occur in train and are read as [UNK]: a larger training set would",
        ),
        (
            ["--most", "3"],
            "or are not among its 3 most frequent tokens, and are read as [UNK]: a larger training set, or --min",
        ),
    ],
)
def test_tokens_that_are_not_in_a_vocabulary_of_ones_own_are_said_to_be_rare(tmp_path, capsys, options, words) -> None:
    train = Examples([Example("rain falls now", 0), Example("goal scored now", 1)] * 4)
    dev = Examples([Example("rain falls here", 0), Example("goal unheard", 1)])
    write_dataset(Dataset("here", ("a", "b"), train, dev, dev, "classification", "made"), tmp_path / "data")
    (tmp_path / "rain.vec").write_text("1 2\nnow 0.5 1\n", encoding="utf-8")
    command = ["train", "--model", "TextCNN", "--data", str(tmp_path / "data"), "--steps", "1", "--output"]
    assert main([*command, str(tmp_path / "out"), "--vectors", str(tmp_path / "rain.vec"), *options]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if words in line], said
    assert [line for line in said if line.endswith("and begin at random.")], "each note has a line of its own"


def test_the_leaderboard_leaves_out_what_cannot_be_had_and_goes_on(data, tiny, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(zoo, "ERNIE", str(tmp_path / "no_such_model"))
    choices = {**QUICK, "epochs": 2}
    said: list[str] = []
    found = leaderboard(
        data["classification"],
        ["TextCNN", "ERNIE", "TextRNN"],
        seeds=(0, 1),
        output=tmp_path / "out",
        say=said.append,
        **choices,
    )
    assert [row.model for row in found.rows] == sorted(
        ["TextCNN", "TextRNN"], key=lambda name: -next(r.accuracy for r in found.rows if r.model == name)
    )
    assert all(len(row.accuracies) == 2 and row.texts_a_second > 0 and row.train_seconds > 0 for row in found.rows)
    assert "ERNIE is left out" in str(found) and "lowest" in str(found)
    with (tmp_path / "out" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"TextCNN", "TextRNN"} and rows[0]["seeds"] == "2"
    assert (tmp_path / "out" / "leaderboard.png").read_bytes()[:4] == b"\x89PNG"
    assert "TextCNN" in found.picture().alt or "TextRNN" in found.picture().alt
    with pytest.raises(DataError, match="has a trained model already"):
        leaderboard(data["classification"], ["TextCNN"], output=tmp_path / "out", **choices)
    again = leaderboard(
        data["classification"], ["TextCNN"], seeds=(0, 1), output=tmp_path / "out", resume=True, **choices
    )
    assert again.rows[0].accuracies == next(r.accuracies for r in found.rows if r.model == "TextCNN")
    known = data["classification"]
    other = known.replace(test=type(known.test)(known.test[:5]), folder="elsewhere")
    with pytest.raises(DataError, match=r"TextCNN is left out: .*\(data: made here, not elsewhere; contents: "):
        leaderboard(other, ["TextCNN"], seeds=(0, 1), output=tmp_path / "out", resume=True, **choices)


def test_all_models_say_what_one_says(tmp_path, capsys) -> None:
    """Texts that are cut, tokens without vectors, tokens that train lacks; the machine stands with the seconds."""
    train = Examples([Example("rain falls now", 0), Example("goal scored now " + "again " * 600, 1)] * 4)
    dev = Examples([Example("rain falls here", 0), Example("goal unheard", 1)])
    write_dataset(Dataset("here", ("a", "b"), train, dev, dev, "classification", "made"), tmp_path / "data")
    (tmp_path / "rain.vec").write_text("1 2\nnow 0.5 1\n", encoding="utf-8")
    command = ["train", "--data", str(tmp_path / "data"), "--steps", "1", "--vectors", str(tmp_path / "rain.vec")]
    expected = (
        "train: 4 of 8 texts are longer than 512 tokens and were cut.",
        "6 of 8 tokens have no vector in 'rain.vec' and begin at random.",
        "of the tokens of dev do not occur twice in train and are read as [UNK]",
    )
    for model in (["TextCNN"], ["all", "--models", "TextCNN", "FastText"]):
        assert main([*command, "--model", *model, "--output", str(tmp_path / model[0]), "--tensorboard"]) == 0
        said = capsys.readouterr().err
        assert [said.count(sentence) for sentence in expected] == [1, 1, 1], said
    told = json.loads((tmp_path / "all" / "leaderboard.json").read_text(encoding="utf-8"))
    assert "cores" in told["machine"] and "GiB" in told["machine"]
    for place in ("TextCNN", "all/TextCNN-seed0", "all/FastText-seed0"):
        assert list((tmp_path / place / "tensorboard").iterdir())


def test_the_leaderboard_needs_something_to_compare_on(data) -> None:
    part = data["classification"].train
    without = Dataset("here", ("a", "b"), part, Examples([]), Examples([]), "classification", "made")
    with pytest.raises(DataError, match="neither test nor dev"):
        leaderboard(without)
    with pytest.raises(ValueError, match="give output too"):
        leaderboard(data["classification"], ["TextCNN"], tensorboard=True)


def test_a_full_disk_leaves_the_table_that_was_there(tmp_path, monkeypatch) -> None:
    from pathlib import Path

    from course_lib.finetuning.leaderboard import Leaderboard

    Leaderboard((), "test", 1).write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real = Path.write_bytes

    def full(path, content):
        real(path, content[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        TrainingError, match=r"^The table of the models cannot be written to .*leaderboard\.csv': its disk"
    ):
        Leaderboard((), "test", 2).write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_the_course_is_read_with_the_usual_encoder() -> None:
    from pathlib import Path

    from course_lib.finetuning.languages import usual_encoder

    data = Path(__file__).resolve().parents[2] / "data"
    assert usual_encoder(load_dataset(data / "headlines_zh").train.texts) == "mini_bert_zh"
    assert usual_encoder(load_dataset(data / "headlines_en").train.texts) == "default"


def test_fast_text_says_when_its_pairs_have_to_share_rows(data) -> None:
    """With 100,000 rows for 400,000 pairs it lost more than a point, and nothing told."""
    known = data["classification"]
    chosen = {"epochs": 1, "batch_size": 4, "minimum": 1}
    few = train_classifier("FastText", known, options={"buckets": 7, "embedding": 4}, **chosen)
    (said,) = few.notes
    pairs = {pair for text in known.train.texts for pair in pairwise(text.split())}
    assert f"have {len(pairs)} different pairs of neighbours, and FastText 7 rows" in said
    enough = int(re.search(r"buckets=(\d+)", said)[1])
    assert 2 * len(pairs) <= enough < 5 * len(pairs) and "longest=2" in said
    (said,) = train_classifier("FastText", known, options={"buckets": 7, "embedding": 4, "longest": 2}, **chosen).notes
    assert "longest=2" not in said  # it has no triples already
    assert train_classifier("FastText", known, options={"embedding": 4, "longest": 1}, **chosen).notes == ()
    assert train_classifier("FastText", known, options={"buckets": enough, "embedding": 4}, **chosen).notes == ()
