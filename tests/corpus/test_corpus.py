"""course_lib.corpus.corpus: documents, held out by source, split by content."""

import pytest

from course_lib.corpus import Corpus
from course_lib.datasets import Document, Examples, Stream
from course_lib.datasets.files import Source
from course_lib.errors import DataError

DOCUMENTS = Examples(Document((f"This is document {i}.", "It ends."), "ab"[i % 2]) for i in range(400))


@pytest.fixture(params=[False, True], ids=["held", "streamed"])
def corpus(request):
    stream = Stream(Source("x", lambda: enumerate(DOCUMENTS)), lambda document: document)
    return Corpus(stream if request.param else DOCUMENTS, "x", {"a": "1", "b": "2"}, ("a note.",))


def test_it_is_gone_through_again_and_again(corpus):
    assert list(corpus.documents) == list(corpus.documents) == DOCUMENTS
    assert list(corpus.sentences())[:3] == ["This is document 0.", "It ends.", "This is document 1."]


def test_counts(corpus):
    characters = sum(len(s) for d in DOCUMENTS for s in d.sentences)
    assert corpus.counts == {"documents": 400, "sentences": 800, "words": 400 * 6, "characters": characters}
    assert corpus.sources() == {"a": 200, "b": 200}


def test_only_a_list_says_its_counts_unasked(corpus):
    assert repr(corpus) == (
        "Corpus('x', streamed)"
        if corpus.streamed
        else f"Corpus('x', 400 documents, 800 sentences, 2,400 words, {corpus.counts['characters']:,} characters)"
    )


def test_whole_sources_are_held_out(corpus):
    without, only = corpus.without("b"), corpus.only(["b"])
    assert (without.sources(), only.sources()) == ({"a": 200}, {"b": 200})
    assert (without.name, only.name) == ("x, without b", "x, only b")
    assert (without.notes, without.versions) == (corpus.notes, corpus.versions)
    assert corpus.sources() == {"a": 200, "b": 200}


def test_a_source_that_is_not_there_is_said(corpus):
    with pytest.raises(DataError, match=r"^The corpus 'x' has no source 'c'; it has a, b\.$"):
        corpus.without(["a", "c"])
    with pytest.raises(DataError, match="is left"):
        corpus.without(["a", "b"])


def test_a_split_takes_whole_documents_by_their_text_and_is_the_same_whatever_else_is_there(corpus):
    train, dev = corpus.split(0.1)
    assert sorted([*train.documents, *dev.documents], key=str) == sorted(DOCUMENTS, key=str)
    assert 20 <= len(list(dev.documents)) <= 60  # 3.3 standard deviations around 40
    part = set(corpus.only("a").split(0.1)[1].documents)
    assert part == {d for d in dev.documents if d.source == "a"}
    assert set(corpus.split(0.05)[1].documents) <= set(dev.documents)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_is_between_0_and_1(corpus, share):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        corpus.split(share)


def test_a_part_without_documents_is_said():
    with pytest.raises(DataError, match=r"No document of the corpus 'one' is left.*by empty lines"):
        Corpus(DOCUMENTS[:1], "one").split(0.01)
