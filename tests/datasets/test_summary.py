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


def describe_text(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return describe(load_dataset(tmp_path))


def test_missing_parts_have_no_lengths(tmp_path):
    summary = describe_text(tmp_path, "train.txt", "aa\tx\nb\ty\n")
    assert summary.sizes == {"train": 2, "dev": 0, "test": 0}
    assert summary.lengths["train"] == (1, 1.5, 2)
    assert all(number != number for number in summary.lengths["dev"])
    assert str(summary).splitlines()[-1].split() == ["longest", "text", "2", "-", "-"]


def test_scores_are_summed_up_by_their_smallest_mean_and_largest(tmp_path):
    summary = describe_text(tmp_path, "train.csv", "a,b,1.5\nc,d,3\ne,f,3\n")
    assert summary.counts["train"] == {}
    assert summary.scores["train"] == (1.5, 2.5, 3.0)
    assert "mean score" in str(summary)


@pytest.mark.parametrize(
    ("name", "text", "counts", "unit"),
    [
        ("train.conll", "a B-X\nb O\n\nc O\n", {"O": 2, "B-X": 1, "I-X": 0}, "sentence"),
        (
            "train.jsonl",
            '{"text": "a", "labels": ["x", "y"]}\n{"text": "b", "labels": ["x"]}\n',
            {"x": 2, "y": 1},
            "text",
        ),
        ("train.jsonl", '{"question": "q", "choices": ["a", "b"], "label": 1}\n', {"A": 0, "B": 1}, "question"),
        (
            "train.jsonl",
            '{"id": "1", "question": "q", "context": "c", "answers": []}\n',
            {"answerable": 0, "unanswerable": 1},
            "context",
        ),
        ("train.txt", "a.\nb.\n\nc.\n", {}, "document"),
    ],
)
def test_every_task_has_its_counts(tmp_path, name, text, counts, unit):
    summary = describe_text(tmp_path, name, text)
    assert summary.counts["train"] == counts
    assert f"longest {unit}" in str(summary)


def test_a_stream_is_described_like_a_list(folder):
    assert str(describe(load_dataset(folder, streaming=True))) == str(describe(load_dataset(folder)))
