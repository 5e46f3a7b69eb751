"""What is said of a data set before anybody trains on it, and the command that says it."""

import json
from pathlib import Path

import pytest

from course_lib.__main__ import main
from course_lib.datasets import load_dataset
from course_lib.errors import ModelFilesError
from course_lib.finetuning.inspection import inspect_data

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture
def folder(tmp_path):
    """Two classes, twelve to one; a repeat, a leak, a class that dev lacks, and a long text."""
    train = [f"the shop sent number {i} in good time\tgood" for i in range(24)]
    train += ["it never came\tbad", "it never came\tbad"]
    dev = ["the shop sent number 3 in good time\tgood", "so quick\tgood"]
    test = ["a lamp " * 300 + "\tbad", "fine\tgood"]
    for name, lines in {"train": train, "dev": dev, "test": test}.items():
        (tmp_path / f"{name}.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_counts_balance_repeats_leaks_and_length_are_said(folder) -> None:
    found = inspect_data(load_dataset(folder))
    assert found.summary.sizes == {"train": 26, "dev": 2, "test": 2}
    assert found.encoder == "default" and found.limit == 512
    remarks, problems = " ".join(found.remarks), " ".join(found.problems)
    assert "Who always answers 'good' is right in 92% of train" in remarks
    assert "'good' has 24 examples in train, 'bad' 2" in remarks
    assert "1 of 2 examples of test have more than 512 tokens and will be cut" in remarks
    assert "1 of 26 examples of train repeats an earlier one" in problems
    assert "All 2 examples of dev have the label 'good'" in problems and "stands in train too: a leak" in problems
    assert "dev 1 = train 4: 'the shop sent number 3 in good time'" in problems
    assert len(found.problems) == 3
    assert (  # the words of the first text, and of the last
        "A model over word vectors, such as TextCNN, would know the 10 words that occur twice in train, and not 30.0% of the "
        "tokens of dev and 100.0% of the tokens of test." in remarks
    )
    page = str(found)
    assert all(sentence in page for sentence in (*found.remarks, *found.problems))


def test_tokens_are_those_that_the_model_reads(folder) -> None:
    from course_lib.pretrained import load_tokenizer

    data = load_dataset(folder)
    found = {one.part: one for one in inspect_data(data).tokens}
    lengths = [len(row) for row in load_tokenizer()(list(data.test.texts), verbose=False)["input_ids"]]
    assert found["test"].longest == max(lengths) and found["test"].examples == 2
    assert found["test"].lost == pytest.approx((max(lengths) - 512) / sum(lengths))


def test_where_no_word_occurs_twice_a_vocabulary_needs_another_minimum(tmp_path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\ngood\ta\nbad\tb\n", encoding="utf-8")
    said = " ".join(inspect_data(load_dataset(tmp_path)).remarks)
    assert "None of the 2 words of 2 texts occurs 2 times" in said and "--minimum 1" in said


def test_a_limit_and_the_first_examples_alone(folder) -> None:
    found = inspect_data(load_dataset(folder), limit=8, most=5)
    assert found.tokens[0].examples == found.tokens[0].too_long == 5
    assert found.summary.sizes["train"] == 26


def test_long_passages_are_counted_by_the_windows_of_training(tmp_path) -> None:
    context = "rain fell " * 210 + "in Oslo"
    answers = {"text": ["Oslo"], "answer_start": [context.index("Oslo")]}
    row = {"id": "a", "question": "Where?", "context": context, "answers": answers}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    found = inspect_data(load_dataset(tmp_path))
    assert found.limit == 384 and 384 < found.tokens[0].longest <= 512
    assert any("more than 384 tokens and are read in windows, so that nothing is lost." in s for s in found.remarks)


def test_texts_of_another_language_than_the_encoder_are_noticed() -> None:
    data = load_dataset(DATA / "headlines_zh")
    assert inspect_data(data).encoder == "mini_bert_zh"
    assert not any("unknown to" in sentence for sentence in inspect_data(data).remarks)
    other = inspect_data(data, "default")
    assert any("unknown to 'default'" in sentence for sentence in other.remarks)
    assert max(one.unknown for one in other.tokens) > 0.5
    letters = inspect_data(load_dataset(DATA / "headlines_en"), "mini_bert_zh").remarks
    assert any("pieces each in the vocabulary of 'mini_bert_zh'" in sentence for sentence in letters)


@pytest.mark.parametrize(
    "name",
    ["answers_en", "answers_zh", "choices_en", "entities_en", "entities_zh", "pairs_en", "pairs_zh", "stories_en"],
)
def test_every_task_is_looked_over(name) -> None:
    found = inspect_data(load_dataset(DATA / name))
    assert [one.part for one in found.tokens] == ["train", "dev", "test"]
    assert not found.problems and max(one.unknown for one in found.tokens) < 0.05
    json.dumps(found.as_dict(), allow_nan=False)


def test_an_empty_part_has_no_tokens(tmp_path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\ngood\ta\nbad\tb\n", encoding="utf-8")
    found = inspect_data(load_dataset(tmp_path / "train.tsv").replace(dev=[], test=[]))
    assert [one.part for one in found.tokens] == ["train"]
    assert "The part dev is empty." in found.problems
    json.dumps(found.as_dict(), allow_nan=False)


def test_an_encoder_that_is_not_there(folder) -> None:
    with pytest.raises(ModelFilesError):
        inspect_data(load_dataset(folder), "no/such_encoder_here")


def test_the_command(folder, capsys) -> None:
    assert main(["check", "--data", str(folder)]) == 0
    page = capsys.readouterr().out
    assert "Look at these first:" in page and "As the model 'default' reads them:" in page
    assert main(["check", "--data", str(folder), "--json", "--max-tokens", "9"]) == 0
    assert json.loads(capsys.readouterr().out)["limit"] == 9
    assert main(["check", "--data", str(folder), "--max-tokens", "2"]) == 1
    assert "at least 3" in capsys.readouterr().err
    assert main(["check", "--data", str(folder), "--task", "foo"]) == 1
    assert "There is no task 'foo'; it may be classification," in capsys.readouterr().err
    assert main(["check", "--data", str(DATA / "stories_en"), "--task", "masked-words"]) == 0
    assert main(["check", "--data", str(folder / "nothing")]) == 1
    assert "There is no" in capsys.readouterr().err
