"""A corpus as ids: the same in memory and on disk, and never half."""

import json

import numpy as np
import pytest

from course_lib.datasets import Document
from course_lib.errors import DataError, TrainingError
from course_lib.pretraining import open_tokens, tokenize, write_tokens
from course_lib.wordpiece import train_wordpiece


def as_lists(documents):
    return [[sentence.tolist() for sentence in document] for document in documents]


def test_documents_and_sentences_are_those_of_the_tokenizer(corpus, tokenizer, documents) -> None:
    assert len(documents) == len(corpus.documents)
    for document, ids in zip(corpus.documents, documents, strict=True):
        expected = [tokenizer(s, add_special_tokens=False)["input_ids"] for s in document.sentences]
        assert [sentence.tolist() for sentence in ids] == expected
    assert documents.tokens == sum(len(s) for d in documents for s in d)
    assert documents.counts(len(tokenizer)).sum() == documents.tokens


def test_what_was_written_is_mapped_and_the_same(corpus, tokenizer, documents, tmp_path) -> None:
    written = write_tokens(corpus.documents, tokenizer, tmp_path / "tokens", corpus="stories")
    assert isinstance(written.ids, np.memmap) and written.ids.dtype == np.uint16
    assert as_lists(written) == as_lists(documents)
    again = open_tokens(tmp_path / "tokens", tokenizer)
    assert as_lists(again) == as_lists(documents) and again.card["corpus"] == "stories"
    assert as_lists(again[1:3]) == as_lists(documents)[1:3]
    assert [s.tolist() for s in again[-1]] == as_lists(documents)[-1]
    with pytest.raises(IndexError, match="There are"):
        again[len(again)]
    assert not (tmp_path / "tokens.part").exists()


def test_empty_documents_and_sentences_are_left_out(tokenizer) -> None:
    found = tokenize([Document(("",)), Document(("the sea", " ", "the sand"))], tokenizer)
    assert len(found) == 1 and len(found[0]) == 2


def test_a_vocabulary_beyond_two_bytes_has_four(corpus, tokenizer, tmp_path) -> None:
    class Big:
        def __len__(self) -> int:
            return 70_000

        def __getattr__(self, name):
            return getattr(tokenizer, name)

        def __call__(self, sentences, **options):
            return {"input_ids": [[69_999, 3]] * len(sentences)}

    assert write_tokens(corpus.documents, Big(), tmp_path / "tokens")[0][0].tolist() == [69_999, 3]


@pytest.mark.parametrize("documents", [[], [Document(("",)), Document((" ",))]])
def test_an_empty_corpus_is_said_and_nothing_is_left(documents, tokenizer, tmp_path) -> None:
    with pytest.raises(DataError, match="no sentence with a token"):
        write_tokens(documents, tokenizer, tmp_path / "tokens")
    with pytest.raises(DataError, match="no sentence with a token"):
        tokenize(documents, tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_damaged_and_foreign_tokens_are_refused(corpus, tokenizer, tmp_path) -> None:
    folder = tmp_path / "tokens"
    write_tokens(corpus.documents, tokenizer, folder)
    other = train_wordpiece(corpus.sentences(), 300)
    with pytest.raises(DataError, match="another vocabulary"):
        open_tokens(folder, other)
    ids = (folder / "tokens.bin").read_bytes()
    (folder / "tokens.bin").write_bytes(ids[:-2])
    with pytest.raises(DataError, match="is not whole"):
        open_tokens(folder, tokenizer)
    (folder / "tokens.bin").write_bytes(ids)
    card = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
    (folder / "tokens.json").write_text(json.dumps(card)[:20], encoding="utf-8")
    with pytest.raises(DataError, match="no whole corpus"):
        open_tokens(folder, tokenizer)
    with pytest.raises(DataError, match="no whole corpus"):
        open_tokens(tmp_path / "nowhere", tokenizer)


def test_a_folder_that_cannot_be_written_is_a_sentence(corpus, tokenizer, tmp_path) -> None:
    (tmp_path / "file").write_text("here", encoding="utf-8")
    with pytest.raises(TrainingError, match="cannot be written to"):
        write_tokens(corpus.documents, tokenizer, tmp_path / "file" / "tokens")
