"""A label, several labels, or a number for a text or for a pair of texts.

Letters: n examples, B batch, T tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from course_lib import metrics
from course_lib.datasets import Example
from course_lib.errors import DataError
from course_lib.finetuning.tasks import Prepared, Task, WrongInput, as_dictionary
from course_lib.heads import BertForSequenceClassification
from course_lib.long_texts import cut
from course_lib.training import Evaluation

_EXPECTED = {"text": "a text", "pair": "a dictionary with text and pair"}
_OTHER_FORM = {  # by the form that the model was trained on
    "text": "has a second text, and this model was trained on single texts; give the text alone.",
    "pair": "has one text, and this model was trained on pairs of texts; give both: text and pair.",
}


class OfTexts(Task):
    """What the three share: texts and pairs in, a score or several out."""

    problem_type: str
    takes = ("pair",)

    def head(self) -> type:
        """`BertForSequenceClassification`: a linear layer on the pooler."""
        return BertForSequenceClassification

    def configuration(self) -> dict[str, Any]:
        """The names of the labels, and which loss."""
        return {**super().configuration(), "problem_type": self.problem_type}

    def prepare(self, examples: Sequence[Example], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """Columns input_ids, attention_mask, token_type_ids, and labels."""
        longest = self.longest(tokenizer)
        columns, shortened = _encode(examples, tokenizer, longest, self.reading.cut)
        notes = []
        if shortened:
            notes.append(f"{shortened:,} of {len(examples):,} texts are longer than {longest} tokens and were cut.")
        if labelled:
            columns["labels"] = self.label_column(examples)
        return Prepared(columns, examples, notes)

    def label_column(self, examples: Sequence[Example]) -> Tensor:
        """(n,) or (n, K).

        Raises:
            DataError: a label that is no number.
        """
        return torch.tensor([self._number(example.label, place) for place, example in enumerate(examples)])

    def _number(self, label: Any, place: int) -> int:
        if isinstance(label, Integral):
            return int(label)
        known = f", and {label!r} has {self.labels.index(label)}" if label in self.labels else ""
        raise DataError(
            f"Example {place} has the label {label!r}; the number of a label is needed, 0 to {len(self.labels) - 1}{known}."
        )

    def form_of(self, examples: Sequence[Example]) -> str | None:
        """ "text" or "pair"; None where there are both."""
        forms = {"text" if example.pair is None else "pair" for example in examples}
        return forms.pop() if len(forms) == 1 else None

    def examples(self, inputs: Iterable[Any]) -> list[Example]:
        """From texts, (text, pair), or dictionaries with text and pair: what the model was trained on."""
        found = []
        for number, given in enumerate(inputs):
            fields = as_dictionary(given, number, self.needs, self.takes, _EXPECTED.get(self.form or ""))
            found.append(Example(fields["text"], 0, fields.get("pair")))
            if self.form in _OTHER_FORM and self.form_of(found[-1:]) != self.form:
                raise WrongInput(number, _OTHER_FORM[self.form])
        return found

    def written(self, example: Example, tokenizer: Any) -> list[str]:
        """What each token of an example's row stands for in its texts; "" for [CLS] and [SEP]."""
        longest = self.longest(tokenizer)
        if example.pair is None:
            row = tokenizer(example.text, return_offsets_mapping=True, verbose=False)["offset_mapping"]
            special = tokenizer.num_special_tokens_to_add() > 0
            return [example.text[a:b] for a, b in cut(row, longest, self.reading.cut, special=special)] or [""]
        row = tokenizer(
            example.text, example.pair, truncation=True, max_length=longest, return_offsets_mapping=True, verbose=False
        )  # fmt: skip
        texts = {None: "", 0: example.text, 1: example.pair}
        return [texts[of][a:b] for (a, b), of in zip(row["offset_mapping"], row.sequence_ids(), strict=True)]

    def _begin(self, example: Example) -> dict[str, Any]:
        return {"text": example.text} if example.pair is None else {"text": example.text, "pair": example.pair}


def _encode(examples: Sequence[Example], tokenizer: Any, longest: int, how: str) -> tuple[dict[str, Any], int]:
    """Columns of tokens, and how many texts were cut: pairs from the longer of the two, single texts as asked."""
    single = [number for number, example in enumerate(examples) if example.pair is None]
    paired = [number for number, example in enumerate(examples) if example.pair is not None]
    columns: dict[str, list[Any]] = {}
    shortened = 0
    if single:
        rows = tokenizer([examples[i].text for i in single], verbose=False)
        special = tokenizer.num_special_tokens_to_add() > 0
        kept = [cut(row, longest, how, special=special) for row in rows["input_ids"]]
        if not special:  # a text without any token: say that it is unknown
            kept = [row or [tokenizer.unk_token_id] for row in kept]
        shortened += sum(len(before) > len(after) for before, after in zip(rows["input_ids"], kept, strict=True))
        given = {"input_ids": kept, "attention_mask": [[1] * len(row) for row in kept]}
        if "token_type_ids" in rows:
            given["token_type_ids"] = [[0] * len(row) for row in kept]
        _place(columns, single, given, len(examples))
    if paired:
        texts, pairs = ([getattr(examples[i], side) for i in paired] for side in ("text", "pair"))
        shortened += sum(len(row) > longest for row in tokenizer(texts, pairs, verbose=False)["input_ids"])
        rows = tokenizer(texts, pairs, truncation=True, max_length=longest)
        _place(columns, paired, rows, len(examples))
    return columns, shortened


def _place(columns: dict[str, list[Any]], numbers: list[int], rows: Mapping[str, Any], examples: int) -> None:
    for name, values in rows.items():
        column = columns.setdefault(name, [None] * examples)
        for number, value in zip(numbers, values, strict=True):
            column[number] = value


class Classification(OfTexts):
    """One of K classes."""

    name, data, metric = "classification", "classification", "accuracy"
    score_names = ("loss", "accuracy", "macro_f1")
    problem_type = "single_label_classification"

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """loss, accuracy, macro_f1."""
        return {
            "loss": found.loss,
            "accuracy": found.accuracy,
            "macro_f1": metrics.macro_f1(found.labels, found.predictions),
        }

    def report(self, found: Evaluation, prepared: Prepared) -> metrics.Report:
        """Each class by itself."""
        return metrics.classification_report(found.labels, found.predictions, self.labels)

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text, label, score: the probability of that label."""
        best = outputs["logits"].softmax(dim=-1).max(dim=-1)
        return [
            {**self._begin(example), "label": self.labels[label], "score": score}
            for example, label, score in zip(
                prepared.examples, best.indices.tolist(), best.values.tolist(), strict=True
            )
        ]


class MultiLabel(OfTexts):
    """Any of K labels."""

    name, data, metric = "multi-label", "multi-label", "micro_f1"
    score_names = ("loss", "micro_f1", "macro_f1", "subset_accuracy")
    problem_type = "multi_label_classification"

    def label_column(self, examples: Sequence[Example]) -> Tensor:
        """(n, K) of 0 and 1."""
        column = torch.zeros(len(examples), len(self.labels))
        for place, (row, example) in enumerate(zip(column, examples, strict=True)):
            if not isinstance(example.label, tuple | list):
                raise DataError(
                    f"Example {place} has the label {example.label!r}; a tuple of numbers of labels is needed."
                )
            row[[self._number(label, place) for label in example.label]] = 1.0
        return column

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """loss, micro_f1, macro_f1, subset_accuracy: all labels of a text right."""
        guessed, truth = (found.logits > 0).long(), found.labels.long()
        return {
            "loss": found.loss,
            "micro_f1": metrics.micro_f1(found.labels, guessed.bool()),
            "macro_f1": metrics.macro_f1(found.labels, guessed.bool()),
            "subset_accuracy": (guessed == truth).all(dim=1).double().mean().item(),
        }

    def report(self, found: Evaluation, prepared: Prepared) -> metrics.MultilabelReport:
        """Each label by itself."""
        return metrics.multilabel_report(found.labels, (found.logits > 0).long(), self.labels)

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text, label: the names that hold, score: the probability of each name."""
        found = []
        for example, row in zip(prepared.examples, outputs["logits"].sigmoid().tolist(), strict=True):
            by_name = dict(zip(self.labels, row, strict=True))
            chosen = [name for name, score in by_name.items() if score > 0.5]
            found.append({**self._begin(example), "label": chosen, "score": by_name})
        return found


class Regression(OfTexts):
    """One number, such as how alike two sentences are."""

    name, data, metric = "regression", "regression", "spearman"
    score_names = ("loss", "pearson", "spearman")
    problem_type = "regression"

    def label_column(self, examples: Sequence[Example]) -> Tensor:
        """(n,)."""
        for place, example in enumerate(examples):
            if not isinstance(example.label, Real):
                raise DataError(f"Example {place} has the label {example.label!r}; a number is needed.")
        return torch.tensor([float(example.label) for example in examples])

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """loss, pearson, spearman."""
        values = found.logits.flatten()
        return {
            "loss": found.loss,
            "pearson": metrics.pearson(found.labels, values),
            "spearman": metrics.spearman(found.labels, values),
        }

    def report(self, found: Evaluation, prepared: Prepared) -> metrics.RegressionScores:
        """Both correlations and the mean squared error."""
        return metrics.regression_scores(found.labels, found.logits.flatten())

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text, label: the number, score: the same."""
        return [
            {**self._begin(example), "label": round(value, 4), "score": value}
            for example, value in zip(prepared.examples, outputs["logits"].flatten().tolist(), strict=True)
        ]
