"""Answers to questions, as spans of a passage.

Letters: Q questions, W windows, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from course_lib import metrics, spans
from course_lib.datasets import Question
from course_lib.finetuning.tasks import Prepared, Task, as_dictionary
from course_lib.heads import BertForQuestionAnswering
from course_lib.training import Evaluation, ModelLoss

ANSWERED = "answered"  # the form of questions of which each has an answer


class Answers(Task):
    """Where in the passage does the answer start and end? Long passages are read in windows."""

    name, data, metric = "answers", "answers", "answer_f1"
    score_names = ("loss", "exact_match", "answer_f1")
    max_tokens = 384
    needs = ("question", "context")

    def form_of(self, examples: Sequence[Question]) -> str | None:
        """ "answered" where every question has an answer, and "no answer" is then never said; None where some have none.

        (A stream is not looked through, and its model may say "no answer".)
        """
        return ANSWERED if all(question.answers for question in examples) else None

    def head(self) -> type:
        """`BertForQuestionAnswering`: two scores a token."""
        return BertForQuestionAnswering

    def configuration(self) -> dict[str, Any]:
        """Start and end are no classes: two scores."""
        return {"num_labels": 2}

    def loss(self) -> ModelLoss:
        """The head's, a mean over windows."""
        return ModelLoss(labels="start_positions")

    def prepare(self, examples: Sequence[Question], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """A row for each window: input_ids, token_type_ids, attention_mask, and start_positions, end_positions."""
        longest = self.longest(tokenizer)
        asked = min(64, longest // 3)  # a model with few positions has room for a passage all the same
        stride = min(self.reading.stride, (longest - asked - 3) // 2)
        questions, contexts = [q.question for q in examples], [q.context for q in examples]
        found = spans.windows(questions, contexts, tokenizer, longest, stride, asked)
        columns: dict[str, Any] = dict(found.columns)
        notes = []
        if found.cut_questions:
            notes.append(f"{len(found.cut_questions):,} questions are longer than {asked} tokens and were cut.")
        if len(found) > len(examples):
            notes.append(f"{len(examples):,} questions are read in {len(found):,} windows.")
        if labelled:
            columns |= spans.answer_positions(found, [q.answers for q in examples])
        return Prepared(columns, examples, notes, {"windows": found})

    def keep(self, answer: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The scores of all tokens, (B, T) each."""
        return {"start_logits": answer.start_logits, "end_logits": answer.end_logits}

    def _best(self, outputs: Mapping[str, Tensor], prepared: Prepared, n_best: int = 1) -> list[list[Any]]:
        """The model's answers, best first. It was not taught "no answer" by questions that all have one, so it never says it."""
        return spans.best_answers(
            outputs["start_logits"],
            outputs["end_logits"],
            prepared.more["windows"],
            n_best,
            no_answer_threshold=None if self.form == ANSWERED else 0.0,
        )

    def report(self, found: Evaluation, prepared: Prepared) -> metrics.AnswerScores:
        """Exact match and F1, with and without an answer."""
        texts = {
            q.id: best[0].text for q, best in zip(prepared.examples, self._best(found.outputs, prepared), strict=True)
        }
        return metrics.answer_scores(texts, prepared.examples, language=self.reading.language)

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """loss, exact_match, answer_f1."""
        report = self.report(found, prepared)
        return {"loss": found.loss, "exact_match": report.exact_match, "answer_f1": report.f1}

    def examples(self, inputs: Iterable[Any]) -> list[Question]:
        """From (question, context), or dictionaries with question and context."""
        found = []
        for number, given in enumerate(inputs):
            if isinstance(given, Mapping) and "text" in given and "question" not in given:
                given = {**given, "question": given["text"]}
            fields = as_dictionary(given, number, self.needs)
            found.append(Question(str(fields.get("id", number)), fields["question"], fields["context"], ()))
        return found

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text: the question, label: the answer, "" for none, score: its probability, start and end in the context."""
        found = []
        for question, ranked in zip(prepared.examples, self._best(outputs, prepared, n_best=5), strict=True):
            best = ranked[0]
            found.append(
                {
                    "text": question.question,
                    "label": best.text,
                    "score": best.probability,
                    "start": best.start_char,
                    "end": best.end_char,
                    "others": [{"label": other.text, "score": other.probability} for other in ranked[1:]],
                }
            )
        return found
