"""Next sentence prediction: does the second text follow the first?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from course_lib.datasets import Document, Example
from course_lib.finetuning.tasks import Prepared, as_dictionary
from course_lib.finetuning.texts import Classification
from course_lib.heads import BertForNextSentencePrediction
from course_lib.sentence_pairs import next_sentence_pairs

LABELS = ("follows", "random")


class NextSentence(Classification):
    """Two classes for a pair, from the layer that BERT's pretraining has trained for it."""

    name, data, metric = "next-sentence", "documents", "accuracy"
    needs, takes = ("text", "pair"), ()

    def __init__(self, labels: Sequence[str], reading: Any) -> None:
        super().__init__(LABELS, reading)

    def kinds(self) -> tuple[type, ...]:
        """Documents, or pairs."""
        return Document, Example

    def form_of(self, examples: Sequence[Any]) -> None:
        """None: it takes pairs and nothing else."""

    def head(self) -> type:
        """`BertForNextSentencePrediction`."""
        return BertForNextSentencePrediction

    def configuration(self) -> dict[str, Any]:
        """The head has two classes by itself."""
        return {}

    def prepare(self, examples: Sequence[Document | Example], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """From documents, a pair for each two neighbours; pairs are taken as they are."""
        pairs = next_sentence_pairs(examples) if isinstance(examples[0], Document) else examples
        return super().prepare(pairs, tokenizer, labelled=labelled)

    def examples(self, inputs: Iterable[Any]) -> list[Example]:
        """From (text, pair), or dictionaries with text and pair."""
        fields = [as_dictionary(given, number, self.needs) for number, given in enumerate(inputs)]
        return [Example(one["text"], 0, one["pair"]) for one in fields]

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text, pair, label: follows or random, score: its probability."""
        return super().predictions(outputs, prepared)
