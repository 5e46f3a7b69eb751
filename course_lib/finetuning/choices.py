"""Multiple choice: which of M texts fits?

Letters: n questions, B batch, M choices, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib import metrics
from course_lib.datasets import Choice
from course_lib.errors import DataError
from course_lib.finetuning.tasks import Prepared, Task, WrongInput, as_dictionary
from course_lib.heads import BertForMultipleChoice
from course_lib.texts import text_fault
from course_lib.training import Evaluation


class Choices(Task):
    """Each choice is read as a pair with the question, and gets one score.

    Where there is a context, it is the first text, and the question with the choice the second.
    """

    name, data, metric = "choices", "choices", "accuracy"
    score_names = ("loss", "accuracy")
    needs, takes = ("question", "choices"), ("context",)

    def head(self) -> type:
        """`BertForMultipleChoice`: one score from the pooler of each choice."""
        return BertForMultipleChoice

    def configuration(self) -> dict[str, Any]:
        """The classes are places, and have no names."""
        return {}

    def prepare(self, examples: Sequence[Choice], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """Columns input_ids, attention_mask, token_type_ids of M rows an example, and labels (n,).

        Raises:
            DataError: a choice, or where there is a context the question with it, that fills a row by itself: were it
                cut, the choices could look alike.
        """
        longest = self.longest(tokenizer)
        # A long context loses its end, never the question.
        firsts = [e.context or e.question for e in examples for _ in e.choices]
        seconds = [f"{e.question} {choice}" if e.context else choice for e in examples for choice in e.choices]
        room = longest - tokenizer.num_special_tokens_to_add(pair=True)
        numbers = (number for number, e in enumerate(examples) for _ in e.choices)
        whole = tokenizer(seconds, add_special_tokens=False, verbose=False)["input_ids"]
        for number, ids in zip(numbers, whole, strict=True):
            if len(ids) >= room:  # one token of the first text, at least, is read with it
                what = "a question that has, with a choice," if examples[number].context else "a choice of"
                first = "context" if examples[number].context else "question"
                complaint = (
                    f"has {what} {len(ids)} tokens, and beside its {first} at most {room - 1} are read; shorten it, or leave "
                    "this one out."
                )
                raise DataError(f"Example {number} {complaint}") if labelled else WrongInput(number, complaint)
        encoded = tokenizer(firsts, seconds, truncation="only_first", max_length=longest, verbose=False)
        columns: dict[str, Any] = {}
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            if name in encoded:
                rows = iter(encoded[name])
                columns[name] = [[next(rows) for _ in e.choices] for e in examples]
        if labelled:
            columns["labels"] = torch.tensor([e.label for e in examples])
        return Prepared(columns, examples)

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """loss, accuracy."""
        return {"loss": found.loss, "accuracy": metrics.accuracy(found.labels, self._guessed(found.logits, prepared))}

    def report(self, found: Evaluation, prepared: Prepared) -> metrics.Report:
        """By the place of the right choice: a model that prefers a place shows here."""
        places = [f"choice {place + 1}" for place in range(max(len(e.choices) for e in prepared.examples))]
        return metrics.classification_report(found.labels, self._guessed(found.logits, prepared), places)

    def _guessed(self, logits: Tensor, prepared: Prepared) -> Tensor:
        """The best of the choices that an example has; a batch of fewer choices was filled up."""
        counts = torch.tensor([len(e.choices) for e in prepared.examples])
        inside = torch.arange(logits.shape[1])[None] < counts[:, None]
        return logits.masked_fill(~inside, -torch.inf).argmax(dim=-1)

    def examples(self, inputs: Iterable[Any]) -> list[Choice]:
        """From dictionaries with question and choices, and context if there is one."""
        found = []
        for number, given in enumerate(inputs):
            if isinstance(given, Mapping) and "text" in given and "question" not in given:
                given = {**given, "question": given["text"]}
            fields = as_dictionary(given, number, self.needs, self.takes)
            choices = fields["choices"]
            if not isinstance(choices, list | tuple) or len(choices) < 2:
                raise WrongInput(number, "needs choices, a list of at least two texts.")
            for choice in choices:
                if fault := text_fault(choice):
                    raise WrongInput(number, f"has {fault[0]} among its choices; {fault[1]}.")
            found.append(Choice(fields["question"], tuple(choices), 0, fields.get("context") or ""))
        return found

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text: the question, label: the choice, score: its probability, choice: its place from 0."""
        found = []
        for example, row in zip(prepared.examples, outputs["logits"], strict=True):
            probabilities = row[: len(example.choices)].softmax(dim=-1)
            place = int(probabilities.argmax())
            found.append(
                {
                    "text": example.question,
                    "label": example.choices[place],
                    "score": float(probabilities[place]),
                    "choice": place,
                    "scores": probabilities.tolist(),
                }
            )
        return found
