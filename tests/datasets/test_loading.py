"""course_lib.datasets.loading: which files, which task, what is said about it."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from course_lib.datasets import Example, load_dataset
from course_lib.errors import DataError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "headlines"
    folder.mkdir()
    (folder / "class.txt").write_text("finance\nsports\ngame\n", encoding="utf-8")
    (folder / "train.txt").write_text("rates rise\t0\nfinal whistle\t1\nold rates\tfinance\n", encoding="utf-8")
    (folder / "dev.txt").write_text("a new level\t2\n", encoding="utf-8")
    (folder / "test.txt").write_text("one more final\t1\nshares of a club\t0\n", encoding="utf-8")
    return folder


def complaint(function, *arguments):
    with pytest.raises(DataError) as caught:
        function(*arguments)
    return str(caught.value)


def test_a_folder_becomes_a_data_set(folder):
    dataset = load_dataset(folder)
    assert dataset.labels == ("finance", "sports", "game")
    assert dataset.train == [Example("rates rise", 0), Example("final whistle", 1), Example("old rates", 0)]
    assert dataset.test.texts == ["one more final", "shares of a club"]
    assert dataset.test.label_ids == [1, 0]
    assert list(dataset.splits) == ["train", "dev", "test"]
    assert load_dataset(str(folder)) == dataset
    assert "3 labels, train: 3, dev: 1, test: 2" in repr(dataset)


def test_a_part_that_is_missing_is_empty(folder):
    (folder / "dev.txt").unlink()
    (folder / "train.txt").unlink()
    dataset = load_dataset(folder)
    assert (dataset.train, dataset.dev) == ([], [])
    assert len(dataset.test) == 2


def test_a_folder_without_any_part_says_what_is_expected(tmp_path):
    (tmp_path / "class.txt").write_text("a\nb\n", encoding="utf-8")
    assert f"'{tmp_path}' has no data: files called train, dev" in complaint(load_dataset, tmp_path)


def test_label_names_and_numbers_together_need_a_list_of_names(folder):
    (folder / "class.txt").unlink()
    message = complaint(load_dataset, folder)
    assert "label names ('finance') and label numbers ('0')" in message
    assert "put a class.txt" in message


def test_a_misspelt_folder_a_folder_above_and_a_list_of_labels_get_a_hint(folder):
    assert f"did you mean '{folder}'?" in complaint(load_dataset, folder.parent / "headline")
    assert f"did you mean its folder '{folder}'?" in complaint(load_dataset, folder.parent)
    assert f"give its folder '{folder}'" in complaint(load_dataset, folder / "class.txt")


def test_a_wrong_line_of_any_part_stops_the_reading(folder):
    (folder / "test.txt").write_text("a\t9\n", encoding="utf-8")
    assert complaint(load_dataset, folder).startswith(f"Line 1 of '{folder / 'test.txt'}'")


def test_what_was_recognised_is_said_in_one_sentence(folder):
    assert load_dataset(folder).why == "train.txt has lines text<TAB>label and class.txt has 3 names: classification"


@pytest.mark.parametrize("name", ["dev", "valid", "validation", "val", "DEV", "my-dev-set", "wiki.valid"])
def test_the_dev_part_has_several_names(folder, name):
    (folder / "dev.txt").rename(folder / f"{name}.txt")
    assert len(load_dataset(folder).dev) == 1


def test_names_that_were_guessed_and_files_that_were_not_read_are_said(folder):
    (folder / "train.txt").rename(folder / "my_train.txt")
    (folder / "hard.txt").write_text("a\t0\n", encoding="utf-8")
    (folder / "README.md").write_text("mine", encoding="utf-8")
    dataset = load_dataset(folder)
    assert len(dataset.train) == 3
    assert dataset.notes == (
        "Taken by a word in their names: 'my_train.txt' as train.",
        "Not read, because not called train, dev or test: hard.txt.",
    )


def test_two_files_for_one_part_are_refused(folder):
    (folder / "train.csv").write_text("text,label\na,b\n", encoding="utf-8")
    assert "several files for train: train.csv, train.txt; leave one" in complaint(load_dataset, folder)


@pytest.mark.parametrize("task", ["clasification", "tag", 3])
def test_an_unknown_task_is_refused(folder, task):
    with pytest.raises(ValueError, match="There is no task"):
        load_dataset(folder, task)


@pytest.mark.parametrize("given", [5, None, ["data"]])
def test_what_is_neither_a_path_nor_a_name_is_refused(given):
    with pytest.raises(TypeError, match="the path of a folder or a file, or a name on the hub, is expected"):
        load_dataset(given)


def test_a_given_task_is_not_guessed(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,1\nb,2\n", encoding="utf-8")
    assert load_dataset(tmp_path).task == "classification"
    assert load_dataset(tmp_path, "regression").train.labels == [1.0, 2.0]
    (tmp_path / "train.csv").write_text("text,label\na,x;y\nb,x\n", encoding="utf-8")
    assert load_dataset(tmp_path, "multi-label").train.labels == [(0, 1), (0,)]


# ------------------------------------------------------------------------------------------ one file


def many(tmp_path, count=500, name="all.txt"):
    path = tmp_path / name
    path.write_text("".join(f"text {i}\t{'xyz'[i % 3]}\n" for i in range(count)), encoding="utf-8")
    return path


def test_one_file_is_split_and_it_is_said(tmp_path):
    dataset = load_dataset(many(tmp_path))
    sizes = [len(part) for part in dataset.splits.values()]
    assert sum(sizes) == 500
    assert min(sizes) > 20
    assert dataset.labels == ("x", "y", "z")
    assert dataset.notes[-1].endswith(f"({sizes[0]}, {sizes[1]}, {sizes[2]}).")


def test_lines_that_are_added_or_repeated_move_no_other(tmp_path):
    before = load_dataset(many(tmp_path))
    path = many(tmp_path, 700)
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    after = load_dataset(path)
    for name, part in before.splits.items():
        assert set(part) <= set(after.splits[name])
    texts = [set(part.texts) for part in after.splits.values()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 700


def test_a_part_given_as_a_file_says_that_there_are_others_and_uses_their_labels(folder):
    dataset = load_dataset(folder / "dev.txt")
    assert dataset.labels == ("finance", "sports", "game")
    assert f"give its folder '{folder}' to read them all" in dataset.notes[0]
    assert sum(len(part) for part in dataset.splits.values()) == 1


def test_a_file_of_unknown_ending_is_refused(tmp_path):
    (tmp_path / "data.xlsx").write_text("a", encoding="utf-8")
    assert "has an ending that no reader knows" in complaint(load_dataset, tmp_path / "data.xlsx")


# ------------------------------------------------------------------------------------------ streaming


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_stream_gives_the_same_examples_in_the_same_order_again_and_again(tmp_path, as_folder):
    source = many(tmp_path, name="train.txt")
    source = tmp_path if as_folder else source
    read, streamed = load_dataset(source), load_dataset(source, streaming=True)
    assert (streamed.task, streamed.labels, streamed.why) == (read.task, read.labels, read.why)
    for name in ("train", "dev", "test"):
        assert list(streamed.splits[name]) == list(streamed.splits[name]) == read.splits[name]
    assert "train: streamed" in repr(streamed)


def test_a_stream_checks_every_line_at_the_beginning(tmp_path):
    path = many(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + "no tab\nno tab either\n", encoding="utf-8")
    assert complaint(lambda: load_dataset(path, streaming=True)) == complaint(load_dataset, path)
    assert "Line 501 of" in complaint(load_dataset, path)


@pytest.mark.parametrize("name", ["train.txt", "train.tsv", "train.jsonl", "train.conll"])
def test_a_stream_never_holds_the_file(tmp_path, name):
    form = {
        "train.txt": "{text}\t{label}\n",
        "train.tsv": "{text}\tpair\t{label}\n",
        "train.jsonl": '{{"text": "{text}", "label": "{label}"}}\n',
        "train.conll": "{text}\tB-{label}\n\n",
    }[name]
    with (tmp_path / name).open("w", encoding="utf-8") as file:
        for i in range(4000):
            file.write(form.format(text=f"{i:04d}" + "x" * 1000, label="ab"[i % 2]))
    tracemalloc.start()
    try:
        dataset = load_dataset(tmp_path, streaming=True)
        assert sum(1 for _ in dataset.train) == 4000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / name).stat().st_size > 4_000_000
    assert peak < 2_600_000  # the 1,000 rows from which the form is guessed, and no more


# ------------------------------------------------------------------------------------------ real data

REAL = Path(os.environ.get("COURSE_DATA", ""))
SIZES = {  # as the README files of the sets state them: task, train, dev, test
    "thucnews": ("classification", 116_378, 10_000, 10_000),
    "sst2_en": ("classification", 6920, 872, 1821),
    "chnsenticorp_zh": ("classification", 9600, 1200, 1200),
    "stsb_en": ("regression", 5749, 1500, 1379),
    "afqmc_zh": ("classification", 34_334, 4316, 0),
    "resume_ner_zh": ("tags", 3821, 463, 477),
    "squad11_en": ("answers", 4370, 10_570, 0),
    "cmrc2018_zh": ("answers", 0, 3219, 0),
    "commonsenseqa_en": ("choices", 9741, 1221, 0),
    "wikitext2_en": ("documents", 0, 60, 62),
}


@pytest.mark.parametrize(
    "record",
    [
        {"text": "a\ud800", "label": "x"},
        {"text": "a", "pair": "b\ud800", "label": "x"},
        {"words": ["a", "\ud800"], "tags": ["O", "O"]},
        {"question": "a", "choices": ["b", "c\ud800"], "label": 0},
        {"question": "a", "context": "b\ud800", "answers": []},
        {"sentences": ["a", "b\ud800"]},
        {"text": "a\ud800"},
    ],
)
def test_a_text_with_half_a_character_is_named_by_its_line(tmp_path, record):
    """JSON can write what no tokenizer takes; the sentence shows it so that it can be printed."""
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"Line 1 of .*half a character \(.ud800 at place [01]\); take that out"
    ) as error:
        load_dataset(path)
    str(error.value).encode()


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("COURSE_DATA"), reason="COURSE_DATA names no folder of real data")
@pytest.mark.parametrize("name", SIZES)
def test_real_data_has_the_published_sizes(name):
    if not (REAL / name).is_dir():
        pytest.skip(f"COURSE_DATA has no {name}")
    dataset = load_dataset(REAL / name)
    assert (dataset.task, *map(len, dataset.splits.values())) == SIZES[name]


def test_rows_that_are_all_wider_than_the_header_are_said_once(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nrain,a,1\nsun,b,2\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"The first line of '.*a\.csv' names 2 columns \(text, label\), and its rows have 3"
    ):
        load_dataset(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("text,label\nrain,now,a\nsun,b\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"Line 2 of '.*a\.csv' has 3 columns .* where the first line has 2; a comma within"
    ):
        load_dataset(tmp_path / "a.csv")


def test_text_without_labels_says_what_a_line_is(tmp_path):
    (tmp_path / "a.txt").write_text("rain falls\nsun shines\n", encoding="utf-8")
    with pytest.raises(
        DataError,
        match=r"a\.txt' has no labels, and classification needs them: write a text, a tab and a label a line\.",
    ):
        load_dataset(tmp_path / "a.txt", "classification")


def test_a_column_that_is_not_known_is_named_for_python_and_for_the_command_line(tmp_path):
    (tmp_path / "a.csv").write_text("text,kind\n" + "rain,a\nsun,b\n" * 6, encoding="utf-8")
    with pytest.raises(DataError, match=r'say which: columns=\{"label": "kind"\} \(--columns label=kind\)\.'):
        load_dataset(tmp_path / "a.csv", "classification")
    (tmp_path / "a.csv").write_text("article,genre\n" + "rain,a\nsun,b\n" * 6, encoding="utf-8")
    with pytest.raises(
        DataError, match=r'columns=\{"text": "article", "label": "genre"\} \(--columns text=article label=genre\)\.'
    ):
        load_dataset(tmp_path / "a.csv", "classification")
    (tmp_path / "b.csv").write_text("".join(f"{i},{'ab'[i % 2]},rain {i},x y\n" for i in range(12)), encoding="utf-8")
    with pytest.raises(DataError, match=r'columns=\{"text": 1, "label": 0\} \(--columns text=1 label=0\)\.'):
        load_dataset(tmp_path / "b.csv", "classification")
    data = load_dataset(tmp_path / "b.csv", columns={"text": "2", "label": "1"})  # as the command line gives places
    assert data.labels == ("a", "b") and data.train[0].text.startswith("rain")
