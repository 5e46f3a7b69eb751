"""A small corpus, a small vocabulary and a small model, shared by the tests of pretraining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from course_lib.config import BertConfig
from course_lib.corpus import Corpus, read_corpus
from course_lib.pretraining import TokenDocuments, tokenize
from course_lib.wordpiece import train_wordpiece

STORIES = Path(__file__).parents[2] / "data" / "stories_en"


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return read_corpus(STORIES / "dev.txt")


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus) -> Any:
    return train_wordpiece(corpus.sentences(), 400)


@pytest.fixture(scope="session")
def documents(corpus: Corpus, tokenizer: Any) -> TokenDocuments:
    return tokenize(corpus.documents, tokenizer)


@pytest.fixture(scope="session")
def small(tokenizer: Any) -> BertConfig:
    return BertConfig(
        vocab_size=len(tokenizer), hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=48, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
    )  # fmt: skip
