"""course_lib.datasets.loading: which files, which task, what is said about it."""

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
