"""A tiny random BERT with the embedded model's vocabulary, in a folder, and small data for each task."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_lib import pretrained
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.datasets import Answer, Choice, Dataset, Document, Example, Examples, Question, TaggedSentence
from course_lib.training import set_seed


@pytest.fixture(scope="session")
def tokenizer():
    return pretrained.load_tokenizer("embedded")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    set_seed(0)
    config = BertConfig.from_dict(
        {
            "vocab_size": len(tokenizer), "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 23, "max_position_embeddings": 64, "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _dataset(task: str, labels: tuple[str, ...], examples: list) -> Dataset:
    part = Examples(examples)
    return Dataset("made here", labels, part, part, part, task, f"made for {task}")


@pytest.fixture(scope="session")
def data() -> dict[str, Dataset]:
    """Each set is to be learnt by heart: train, dev and test are the same."""
    words = ["rain", "sun", "goal", "match"]
    weather = [f"{word} and {other}" for word in words[:2] for other in words]
    sport = [f"{word} and {other}" for word in words[2:] for other in words[2:]]
    context = "The red fox sleeps in Turin. Nobody knows why it left Oslo in May."
    return {
        "classification": _dataset(
            "classification", ("weather", "sport"), [Example(t, 0) for t in weather] + [Example(t, 1) for t in sport]
        ),
        "multi-label": _dataset(
            "multi-label",
            ("rain", "sun", "goal"),
            [Example(t, tuple(i for i, w in enumerate(words[:3]) if w in t)) for t in weather + sport],
        ),
        "regression": _dataset(
            "regression", ("score",), [Example(a, float(words.index(a)), b) for a in words for b in words[:3]]
        ),
        "tags": _dataset(
            "tags",
            ("O", "B-PER", "I-PER"),
            [
                TaggedSentence(("Anna", "Bell", "likes", "rain"), (1, 2, 0, 0)),
                TaggedSentence(("rain", "falls"), (0, 0)),
                TaggedSentence(("then", "Unaffable", "Bell", "left", "."), (0, 1, 2, 0, 0)),
            ],
        ),
        "answers": _dataset(
            "answers",
            (),
            [
                Question("a", "Where does the fox sleep?", context, (Answer("Turin", context.index("Turin")),)),
                Question("b", "When did it leave?", context, (Answer("May", context.index("May")),)),
                Question("c", "Who feeds it?", context, ()),
            ],
        ),
        "choices": _dataset(
            "choices",
            ("A", "B", "C"),  # as the reader has it
            [
                Choice("What falls?", ("rain", "a goal", "the sun"), 0),
                Choice("What falls?", ("the sun", "rain", "a goal"), 1, "It is day."),
                Choice("What falls?", ("a goal", "the sun", "rain"), 2),
            ],
        ),
        "documents": _dataset(
            "documents",
            (),
            [
                Document(("rain falls on the roof .", "the roof leaks .", "we mend the roof .")),
                Document(("the match begins .", "a goal decides the match .")),
                Document(("the sun sets early .", "night comes .")),
            ],
        ),
    }
