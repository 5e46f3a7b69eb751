"""Word vectors from every kind of file, for the tokens of a vocabulary."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.errors import DataError
from course_lib.vectors import load_vectors

TOKENS = ["[PAD]", "[UNK]", "rain", "sun", "goal"]
LINES = ["rain 1 2 3", "New York 7 8 9", "sun 4 5 6", "<unk> 0 0 1"]


def check(found) -> None:
    assert found.matrix.shape == (5, 3) and found.matrix.dtype == torch.float32
    assert found.matrix[0].tolist() == [0, 0, 0]
    assert found.matrix[1:4].tolist() == [[0, 0, 1], [1, 2, 3], [4, 5, 6]]
    assert found.found == 3 and found.missing == ("goal",)
    assert 0 < found.matrix[4].abs().max() < 20
    assert "1 of 5 tokens have no vector" in " ".join(found.notes)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
@pytest.mark.parametrize("packed", [True, False])
def test_text_files_with_and_without_a_first_line(tmp_path, header, end, packed) -> None:
    text = end.join([*(["4 3"] if header else []), *LINES]) + end
    path = tmp_path / ("v.vec.gz" if packed else "v.vec")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    check(load_vectors(path, TOKENS, 3))


def test_npz_with_words_inside_or_beside(tmp_path) -> None:
    words, rows = ["rain", "sun", "<unk>"], np.array([[1, 2, 3], [4, 5, 6], [0, 0, 1]], dtype="float64")
    np.savez(tmp_path / "a.npz", words=np.array(words), vectors=rows)
    np.savez(tmp_path / "b.npz", embeddings=rows)
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    check(load_vectors(tmp_path / "a.npz", TOKENS))
    check(load_vectors(tmp_path / "b.npz", TOKENS, vocabulary=words))
    check(load_vectors(tmp_path / "b.npz", TOKENS, vocabulary=tmp_path / "words.txt"))


def test_words_for_a_file_that_has_them_are_refused(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", words=np.array(["rain"]), vectors=np.ones((1, 3)))
    (tmp_path / "v.vec").write_text("1 3\nrain 1 2 3\n", encoding="utf-8")
    for name in ("a.npz", "v.vec"):
        with pytest.raises(DataError, match=r"has its words itself: leave the words out \(--vector-words\)"):
            load_vectors(tmp_path / name, TOKENS, vocabulary=tmp_path / "nothere")


def test_the_same_seed_draws_the_same_rows_and_another_seed_others(tmp_path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    first, again, other = (load_vectors(path, TOKENS, seed=seed).matrix for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first[4], other[4]) and torch.equal(first[:4], other[:4])


def test_damaged_and_repeated_lines_are_counted(tmp_path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("\n".join([*LINES, "sun 9 9 9", "goal 1 x 3", "goal 1"]), encoding="utf-8")
    notes = " ".join(load_vectors(path, TOKENS).notes)
    assert "2 lines" in notes and "1 words of 'v.txt' stand there again" in notes


def test_faults_are_said(tmp_path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    with pytest.raises(DataError, match="There is no file"):
        load_vectors(tmp_path / "gone.vec", TOKENS)
    with pytest.raises(DataError, match="has 3 numbers a word, and 200 were asked for"):
        load_vectors(path, TOKENS, 200)
    with pytest.raises(DataError, match="none of the 4 tokens"):
        load_vectors(path, ["[PAD]", "a", "b", "c"])
    np.savez(tmp_path / "rows.npz", embeddings=np.zeros((2, 3)))
    with pytest.raises(DataError, match="has rows and no words"):
        load_vectors(tmp_path / "rows.npz", TOKENS)
    with pytest.raises(DataError, match="a row for each word is needed"):
        load_vectors(tmp_path / "rows.npz", TOKENS, vocabulary=["rain"])
    np.savez(tmp_path / "other.npz", weights=np.zeros((2, 3)))
    with pytest.raises(DataError, match="'embeddings', or 'words' and 'vectors'"):
        load_vectors(tmp_path / "other.npz", TOKENS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "rows.npz").read_bytes()[:40])
    with pytest.raises(DataError, match="copy it again"):
        load_vectors(tmp_path / "cut.npz", TOKENS, vocabulary=["a", "b"])
    (tmp_path / "cut.vec.gz").write_bytes(gzip.compress("\n".join(LINES * 99).encode())[:60])
    with pytest.raises(DataError, match="cut off"):
        load_vectors(tmp_path / "cut.vec.gz", TOKENS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "4 8\nrain 1 2 3 4 5\nsun 1 2 3 4 5\n",
            r"rows of 5 numbers, beginning with line 2, where its first line says 8",
        ),
        (
            "4 3\nrain 1 2 3 4 5\nsun 1 2 3 4 5\n",
            r"rows of 5 numbers, beginning with line 2, where its first line says 3",
        ),
        ("", r"'.*v\.vec' is empty; a word and its numbers a line"),
        ("\n\n", r"'.*v\.vec' is empty; a word and its numbers a line"),
        ("4 8\n", r"'.*v\.vec' has a first line and no words after it"),
        ("rain\nsun\ngoal\n", r"Line 1 of '.*v\.vec' has no numbers after its word \('rain'\); a word and its numbers"),
        ("rain\tfall\nsun and moon\n", r"Line 1 of '.*v\.vec' has no numbers after its word"),
        ("rain 1 2 3\nsun nan 2 3\n", r"'.*v\.vec' has nan among the numbers of the word 'sun'"),
        ("rain 1 2 3\nsun 1 -inf 3\n", r"'.*v\.vec' has -inf among the numbers of the word 'sun'"),
        ("rain 1 2 3\nsun 1 1e50 3\n", r"'.*v\.vec' has inf among the numbers of the word 'sun'"),
    ],
)
def test_a_text_file_that_is_something_else_is_called_what_it_is(tmp_path, content, words) -> None:
    (tmp_path / "v.vec").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        load_vectors(tmp_path / "v.vec", TOKENS)


def test_a_first_row_with_a_blank_in_its_word_or_a_damaged_one_decides_nothing(tmp_path) -> None:
    for first in ("New York 7 8 9", "goal 1"):
        (tmp_path / "v.txt").write_text("\n".join([first, *LINES]), encoding="utf-8")
        assert load_vectors(tmp_path / "v.txt", TOKENS).matrix.shape == (5, 3)


def test_a_table_of_something_else_is_called_what_it_is(tmp_path) -> None:
    words = np.array(["rain", "sun"])
    for rows, said in (
        (np.array([["1", "2"], ["3", "4"]]), r"'.*a\.npz' has vectors of the type <U1; numbers are needed"),
        (np.array([[1.0, 2.0], [np.nan, 4.0]]), r"'.*a\.npz' has nan among the numbers of the word 'sun'"),
        (np.array([[1.0, 2.0], [3.0, 1e300]]), r"'.*a\.npz' has inf among the numbers of the word 'sun'"),
    ):
        np.savez(tmp_path / "a.npz", words=words, vectors=rows)
        with pytest.raises(DataError, match=said):
            load_vectors(tmp_path / "a.npz", TOKENS)


def test_one_number_has_no_spread_and_draws_rows_all_the_same(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", words=np.array(["rain"]), vectors=np.array([[0.5]]))
    matrix = load_vectors(tmp_path / "a.npz", TOKENS).matrix
    assert matrix[2].tolist() == [0.5] and bool(torch.isfinite(matrix).all()) and bool((matrix[[1, 3, 4]] != 0).all())


@pytest.mark.skipif("COURSE_DATA" not in os.environ, reason="needs COURSE_DATA")
def test_the_published_vectors_fit_the_published_characters() -> None:
    folder = Path(os.environ["COURSE_DATA"]) / "thucnews"
    found = load_vectors(
        folder / "embedding_Tencent.npz", ["[PAD]", "[UNK]", "的", "中"], 200, vocabulary=folder / "vocab_chars.txt"
    )
    assert found.found == 3
