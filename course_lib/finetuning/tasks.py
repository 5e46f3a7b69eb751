"""What all tasks share: from examples to columns, from a model's answer to scores, and to predictions in words.

A task ties one head to its kind of examples. It is the only place that knows both; the trainer knows neither.

Letters: n examples, B batch, T tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from torch import Tensor

from course_lib.batching import PaddedBatches
from course_lib.datasets import Choice, Dataset, Document, Example, Question, TaggedSentence
from course_lib.errors import DataError
from course_lib.texts import a_kind, text_fault
from course_lib.training import Evaluation, ModelLoss

EVALUATION_TOKENS = 4096  # positions in a batch that is only read


class WrongInput(DataError):
    """An input that cannot be predicted from: its number among those given, from 0, and what is wrong with it.

    The complaint is the end of a sentence that begins with a name of the input.
    """

    def __init__(self, number: int, complaint: str) -> None:
        super().__init__(f"Input {number} {complaint}")
        self.number, self.complaint = number, complaint


@dataclass(frozen=True)
class Reading:
    """How texts become tokens."""

    max_tokens: int | None = None  # longer texts are cut; None: what the model has positions for, 384 for answers
    cut: str = "head"  # what stays of a text that is too long: "head", "tail" or "head+tail"
    stride: int = 128  # tokens that two windows of a passage share
    language: str = "en"  # by whose rules answers are compared: "en", or "zh"


@dataclass
class Prepared:
    """Examples as columns, and what it takes to find the way back."""

    columns: dict[str, Any]
    examples: Sequence[Any]
    notes: list[str] = field(default_factory=list)  # what was cut or left out, in sentences
    more: dict[str, Any] = field(default_factory=dict)  # windows, alignment


_KINDS = {"tags": TaggedSentence, "answers": Question, "choices": Choice, "documents": Document}  # the others: Example


class Task:
    """One task: its head, its columns, its scores, its predictions. A subclass fills in what differs."""

    name: ClassVar[str]
    data: ClassVar[str]  # the `task` of the data sets that it takes
    metric: ClassVar[str]  # what the best checkpoint is chosen by
    score_names: ClassVar[tuple[str, ...]]  # of `scores`, by any of which it can be chosen
    max_tokens: ClassVar[int] = 512
    needs: ClassVar[tuple[str, ...]] = ("text",)  # the fields of an input to predict from
    takes: ClassVar[tuple[str, ...]] = ()  # those that may stand beside them

    form: str | None = None  # what the model was trained on, by `form_of`

    def __init__(self, labels: Sequence[str], reading: Reading) -> None:
        self.labels, self.reading = tuple(labels), reading

    def form_of(self, examples: Sequence[Any]) -> str | None:
        """Which of the forms of input that the task takes these have; None where there is one form, or they are mixed."""
        return None

    # ------------------------------------------------------------------------------------------------ the model

    def head(self) -> type:
        """The class of the model."""
        raise NotImplementedError

    def configuration(self) -> dict[str, Any]:
        """Fields of the model's configuration that the task decides."""
        return {"id2label": dict(enumerate(self.labels))}

    def loss(self) -> Any:
        """What is minimised."""
        return ModelLoss()

    # ------------------------------------------------------------------------------------------------ the data

    def kinds(self) -> tuple[type, ...]:
        """The classes of its labelled examples."""
        return (_KINDS.get(self.data, Example),)

    def relabelled(self, examples: Sequence[Any], data: Any) -> Sequence[Any]:
        """Examples of a data set with the numbers that their labels have in the model.

        Raises:
            DataError: a label that the model does not know.
        """
        if data.labels == self.labels or self.data not in ("classification", "multi-label", "tags"):
            return examples
        unknown = [label for label in data.labels if label not in self.labels]
        if unknown:
            raise DataError(
                f"'{data.folder}' has the label{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}, and the model knows "
                f"{', '.join(self.labels)}: rename what is the same, and leave out what it cannot know."
            )
        numbers = [self.labels.index(label) for label in data.labels]

        def one(example: Any) -> Any:
            if isinstance(example, TaggedSentence):
                return replace(example, tags=tuple(numbers[tag] for tag in example.tags))
            several = isinstance(example.label, tuple)
            return replace(
                example, label=tuple(sorted(numbers[i] for i in example.label)) if several else numbers[example.label]
            )

        return [one(example) for example in examples]

    def prepare(self, examples: Sequence[Any], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """Examples as columns of numbers."""
        raise NotImplementedError

    def batches(
        self, prepared: Prepared, tokenizer: Any, *, size: int | None, tokens: int | None, shuffle: int | None
    ) -> Any:
        """Batches for training."""
        return PaddedBatches(prepared.columns, tokens, size, shuffle, pad={"input_ids": tokenizer.pad_token_id or 0})

    def reading_batches(self, prepared: Prepared, tokenizer: Any) -> Any:
        """Batches for evaluation and prediction, in the order that is quickest."""
        return PaddedBatches(prepared.columns, EVALUATION_TOKENS, pad={"input_ids": tokenizer.pad_token_id or 0})

    def longest(self, tokenizer: Any) -> int:
        """How many tokens a row may have."""
        most = min(self.max_tokens, getattr(tokenizer, "model_max_length", self.max_tokens))
        asked = self.reading.max_tokens
        return most if asked is None else asked

    # ------------------------------------------------------------------------------------------------ the answers

    def keep(self, answer: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What an evaluation keeps of each batch, (B, ...) by name."""
        kept = {"logits": answer.logits}
        return {**kept, "labels": batch["labels"]} if "labels" in batch else kept

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """Numbers by name, those of `score_names`."""
        raise NotImplementedError

    def report(self, found: Evaluation, prepared: Prepared) -> Any:
        """The scores in full, to be shown."""
        raise NotImplementedError

    def examples(self, inputs: Iterable[Any]) -> list[Any]:
        """Examples without labels from what a person gives: texts, pairs, dictionaries.

        Raises:
            WrongInput: something else; the sentence says which, and what is expected.
        """
        raise NotImplementedError

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """One dictionary an example, with text, label and score among its keys."""
        raise NotImplementedError


def check_dataset(data: Any) -> None:
    """Is this a data set?

    Raises:
        DataError: it is something else, such as the name of a folder.
    """
    if not isinstance(data, Dataset):
        place = repr(data) if isinstance(data, str) else "folder"
        raise DataError(f"data is a {type(data).__name__}; a data set is needed: give load_dataset({place}).")


def check_examples(examples: Iterable[Any], kinds: tuple[type, ...], what: str) -> list[Any]:
    """Examples of some kinds, as a list.

    Args:
        what: what they are for, as the beginning of a sentence.

    Raises:
        DataError: one of another kind, or a whole data set.
    """
    if isinstance(examples, Dataset):
        raise DataError(f"{what} takes examples, and this is a whole data set: give a part of it, such as data.test.")
    examples = list(examples)
    for number, example in enumerate(examples):
        if not isinstance(example, kinds):
            raise DataError(
                f"{what} takes {' or '.join(kind.__name__ for kind in kinds)}, and number {number} is a {type(example).__name__}: "
                "give examples of a data set, or make them with that class of course_lib.datasets."
            )
    return examples


def as_dictionary(
    given: Any, number: int, fields: Sequence[str], optional: Sequence[str] = (), expected: str | None = None
) -> dict[str, Any]:
    """An input of a person as a dictionary: a text is the first field, a tuple or list all of them in order.

    Args:
        expected: what the sentences say that is expected; by default a dictionary with these fields.

    Raises:
        WrongInput: a field that is missing or no text (choices may be anything), or parts that no field takes.
    """
    if isinstance(given, str):
        given = (given,)
    if isinstance(given, tuple | list):
        names = (*fields, *optional)
        if len(given) > len(names):
            raise WrongInput(number, f"has {len(given)} parts; no more than {' and '.join(names)} can be read.")
        given = dict(zip(names, given, strict=False))
    if expected is None:
        expected = f"a dictionary with {' and '.join(fields)}"
        if optional:
            expected += f", and {' and '.join(optional)} if you like"
    if not isinstance(given, Mapping):
        raise WrongInput(number, f"is {a_kind(given)}; {expected} is expected.")
    missing = [name for name in fields if given.get(name) is None]  # null in JSON is nothing, too
    if missing:
        raise WrongInput(number, f"has no {missing[0]}; {expected} is expected.")
    for name in (*fields, *optional):
        value = given.get(name)
        if value is not None and name != "choices" and (fault := text_fault(value)):
            raise WrongInput(number, f"has {fault[0]} as {name}; {fault[1]}.")
    return dict(given)
