"""The course's own two models: small, whole, better than counting, and read by transformers as by us."""

from __future__ import annotations

import json

import pytest
import torch

from course_lib import pretrained
from course_lib.bert import BertModel
from course_lib.pretrained import OWN
from course_lib.pretraining import load_pretrained

# a text, the token expected among the first five
TEXTS = {
    "mini_bert": [
        ("This function returns a [MASK] of strings.", "list"), ("Raises an error if the file does not [MASK].", "exist"),
        ("If None, the [MASK] value is used.", "default"), ("Return the number of [MASK] in the list.", "elements"),
    ],
    "mini_bert_zh": [("我热爱这个[MASK]界。", "世"), ("股[MASK]大跌。", "指"), ("北京大[MASK]", "学"), ("中国的首都是北[MASK]。", "京")],
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(TEXTS))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def loaded(name):
    return load_pretrained(OWN[name])


def test_it_is_small_and_has_its_card(name, loaded) -> None:
    folder = OWN[name]
    assert (folder / "model.safetensors").stat().st_size <= 12_000_000
    card = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    assert card["kept"]["accuracy"] > card["baselines"]["trigram_accuracy"] + 0.05
    assert card["kept"]["word_loss"] < card["baselines"]["unigram_loss"] - 2
    for path in folder.iterdir():
        if path.suffix in (".json", ".jsonl", ".csv", ".md"):
            text = path.read_text(encoding="utf-8")
            assert "/tmp/" not in text and "/work/" not in text, path
    assert (folder / "README.md").is_file()


def test_transformers_fills_the_mask_as_we_do(name, loaded) -> None:
    from transformers import pipeline

    theirs = pipeline("fill-mask", model=str(OWN[name]), tokenizer=str(OWN[name]))
    for text, expected in TEXTS[name]:
        ours, found = loaded.fill_mask(text), theirs(text)
        assert expected in [one["token"] for one in ours]
        assert [one["token"] for one in ours] == [one["token_str"] for one in found]
        assert [one["score"] for one in ours] == pytest.approx([one["score"] for one in found], abs=1e-3)


@pytest.mark.filterwarnings("ignore:.*the pooler is new")
def test_it_has_a_name_and_loads_as_any_encoder(name) -> None:
    assert pretrained.find_model(name).folder == OWN[name]
    model, tokenizer = BertModel.from_pretrained(name).eval(), pretrained.load_tokenizer(name)
    batch = tokenizer(["a", "a longer one 世界"], padding=True, return_tensors="pt")
    assert model(**batch).last_hidden_state.dtype == torch.float32
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.model_max_length == model.config.max_position_embeddings == {"mini_bert": 64}.get(name, 128)


def test_mini_bert_tells_neighbours_from_texts_of_two_documents() -> None:
    from course_lib.corpus import docstrings
    from course_lib.pretraining import PretrainingBatches, PretrainingLoss, kept_counts, pretraining_scores, tokenize
    from course_lib.training import evaluate

    done = load_pretrained(OWN["mini_bert"])
    unread = tokenize(docstrings(["click", "jinja2"]).documents, done.tokenizer)
    batches = PretrainingBatches(unread, done.tokenizer, length=64, tokens=4096, pairs=True, shuffle=None, rows=200)
    scores = pretraining_scores(evaluate(done.model, batches, loss=PretrainingLoss(True), keep=kept_counts))
    assert scores["accuracy"] > 0.25 and scores["perplexity"] < 150
    assert scores["sentence_accuracy"] > 0.6
