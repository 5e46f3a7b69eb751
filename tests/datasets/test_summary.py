"""course_lib.datasets.summary: counts per label and lengths."""

import pytest

from course_lib.datasets import describe, load_dataset


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "headlines"
    folder.mkdir()
    (folder / "class.txt").write_text("finance\nsports\ngame\n", encoding="utf-8")
    (folder / "train.txt").write_text("rates rise\t0\nfinal whistle\t1\nold rates\tfinance\n", encoding="utf-8")
    (folder / "dev.txt").write_text("a new level\t2\n", encoding="utf-8")
    (folder / "test.txt").write_text("one more final\t1\nshares of a club\t0\n", encoding="utf-8")
    return folder


def test_the_summary_counts_labels_and_measures_texts(folder):
    summary = describe(load_dataset(folder))
    assert summary.counts["train"] == {"finance": 2, "sports": 1, "game": 0}
    assert summary.lengths["train"] == (9, 10, 13)
    assert summary.lengths["test"] == (14, 15, 16)
    assert str(summary).splitlines()[0].split() == ["label", "train", "dev", "test"]
    assert "all                3    1     2" in str(summary)


def test_the_summary_aligns_chinese_labels(folder):
    (folder / "class.txt").write_text("财经\nsports\ngame\n", encoding="utf-8")
    (folder / "train.txt").write_text("a\t0\n", encoding="utf-8")
    lines = str(describe(load_dataset(folder))).splitlines()
    assert lines[1].startswith("财经   ")
    assert lines[1].index("1") == lines[2].index("0") - 2  # two characters that are four columns wide
