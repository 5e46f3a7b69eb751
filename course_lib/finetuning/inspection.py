"""What is in a data set, before anybody trains on it: `python -m course_lib check --data DIR`.

found = inspect_data(load_dataset("my_data"))
print(found)

Counts and lengths, the balance of the labels, repeats and leaks, and what a model would read of the texts: how many tokens
they have, how many of them its vocabulary does not know, and how much would be cut off.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any

from course_lib.datasets import Choice, Dataset, Summary, describe, problems
from course_lib.datasets.examples import texts_of
from course_lib.errors import DataError
from course_lib.finetuning.answers import Answers
from course_lib.finetuning.classifiers import MINIMUM
from course_lib.finetuning.languages import TOO_MANY_PIECES, TOO_UNKNOWN, pieces_a_word, unknown_share, usual_encoder
from course_lib.plots import Table
from course_lib.vocabulary import make_vocabulary, usual_unit

_UNEVEN = 10  # times as many examples of one label as of another


@dataclass(frozen=True)
class Tokens:
    """What one tokenizer makes of a part: tokens of an example with [CLS] and [SEP], and of the longest texts."""

    part: str
    examples: int
    median: int
    most_of_them: int  # 95 % have at most so many
    longest: int
    unknown: float  # share of all tokens, 0 to 1
    too_long: int  # examples with more than the limit
    lost: float  # share of all tokens beyond the limit, 0 to 1; of answers they are read in further windows


@dataclass(frozen=True)
class Inspection:
    """What was found; `str()` is a page to read."""

    name: str
    task: str
    why: str  # how the task was recognised
    notes: tuple[str, ...]
    summary: Summary
    tokens: tuple[Tokens, ...]
    encoder: str
    limit: int  # tokens that the model would read
    remarks: tuple[str, ...]  # about balance, unknown tokens and length: nothing is wrong, but one should know
    problems: tuple[str, ...]  # repeats, leaks, missing classes

    def __str__(self) -> str:
        rows = [
            ["tokens", *(one.part for one in self.tokens)],
            ["median", *(f"{one.median:,}" for one in self.tokens)],
            ["95 % have at most", *(f"{one.most_of_them:,}" for one in self.tokens)],
            ["longest", *(f"{one.longest:,}" for one in self.tokens)],
            ["unknown", *(f"{one.unknown:.1%}" for one in self.tokens)],
            [f"longer than {self.limit:,}", *(f"{one.too_long:,}" for one in self.tokens)],
        ]
        pieces = repr(Table(rows[0], rows[1:], right=range(1, len(rows[0])))).split("\n")
        found = [f"'{self.name}': {self.task} ({self.why})", *self.notes, "", str(self.summary)]
        if self.tokens:
            found += ["", f"As the model '{self.encoder}' reads them:", *pieces]
        for title, sentences in (("Good to know", self.remarks), ("Look at these first", self.problems)):
            if sentences:
                found += ["", f"{title}:", *(f"- {sentence}" for sentence in sentences)]
        if not self.problems:
            found += ["", "No repeats, no leaks between the parts, no missing labels."]
        return "\n".join(found)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no number for the lengths of an empty part: None."""
        found = dataclasses.asdict(self)
        for lengths in (found["summary"]["lengths"], found["summary"]["scores"] or {}):
            lengths.update({part: None for part, values in lengths.items() if any(map(math.isnan, values))})
        return found


def inspect_data(
    data: Dataset, encoder: str | None = None, *, limit: int | None = None, most: int | None = None
) -> Inspection:
    """Look over a data set.

    Args:
        data: of `load_dataset`, for any task. A streamed part is gone through twice.
        encoder: whose tokenizer reads the texts; by default one of the data's language that is here without a network.
        limit: tokens that a model would read; by default what the encoder's maker states (512 for BERT), and for answers
            the length of a window, as in training (384).
        most: tokenize so many examples of each part only, the first ones. All others are counted all the same.

    Raises:
        ModelFilesError: there is no such encoder.
    """
    from course_lib import pretrained

    parts = {name: part for name, part in data.splits.items() if next(iter(part), None) is not None}
    some = [text for part in parts.values() for example in itertools.islice(part, 300) for text in texts_of(example)]
    encoder = usual_encoder(some) if encoder is None else encoder
    tokenizer = pretrained.load_tokenizer(encoder)
    if limit is None:
        limit = pretrained.read_config(pretrained.find_model(encoder))["max_position_embeddings"]
        limit = min(tokenizer.model_max_length, limit)
        if data.task == "answers":
            limit = min(limit, Answers.max_tokens)
    tokens = tuple(_tokens(name, itertools.islice(part, most), tokenizer, limit) for name, part in parts.items())
    summary = describe(data)
    return Inspection(
        str(data.folder),
        data.task,
        data.why,
        tuple(data.notes),
        summary,
        tokens,
        encoder,
        limit,
        (
            *_balance(data, summary),
            *_unknown(tokens, encoder, pieces_a_word(some, tokenizer)),
            *_words(data, most),
            *_length(data, tokens, limit),
        ),
        tuple(problems(data)),
    )


def _tokens(name: str, part: Any, tokenizer: Any, limit: int) -> Tokens:
    special = tokenizer.num_special_tokens_to_add()
    lengths, unknown = [], 0
    examples = iter(part)
    while batch := list(itertools.islice(examples, 1000)):
        read = [_read(example) for example in batch]
        flat = [text for texts in read for text in texts]
        rows = iter(tokenizer(flat, add_special_tokens=False, verbose=False)["input_ids"])
        for texts in read:
            of_texts = [next(rows) for _ in texts]
            unknown += sum(row.count(tokenizer.unk_token_id) for row in of_texts)
            lengths.append(sum(map(len, of_texts)) + special + len(texts) - 1)
    lengths.sort()
    total = sum(lengths)
    return Tokens(
        part=name,
        examples=len(lengths),
        median=lengths[len(lengths) // 2],
        most_of_them=lengths[min(len(lengths) - 1, int(0.95 * len(lengths)))],
        longest=lengths[-1],
        unknown=unknown / max(total - (special * len(lengths)), 1),
        too_long=sum(length > limit for length in lengths),
        lost=sum(max(length - limit, 0) for length in lengths) / max(total, 1),
    )


def _read(example: Any) -> tuple[str, ...]:
    """The texts that stand in one row of a batch: of a choice the question and the longest answer."""
    if isinstance(example, Choice):
        return (f"{example.context} {example.question}".strip(), max(example.choices, key=len))
    return texts_of(example)


def _balance(data: Dataset, summary: Summary) -> list[str]:
    if data.task != "classification" or len(data.labels) < 2:
        return []
    counts = {label: count for label, count in summary.counts.get("train", {}).items() if count}
    total = sum(counts.values())
    if not counts:
        return []
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    words = [
        f"Who always answers {largest!r} is right in {counts[largest] / total:.0%} of train: any model must beat that."
    ]
    if counts[largest] > _UNEVEN * counts[smallest]:
        words.append(
            f"{largest!r} has {counts[largest]:,} examples in train, {smallest!r} {counts[smallest]:,}: look at macro F1 beside "
            "the accuracy, and try --class-weights."
        )
    return words


def _unknown(tokens: tuple[Tokens, ...], encoder: str, pieces: float) -> list[str]:
    worst = max(tokens, key=lambda one: one.unknown, default=None)
    if worst is not None and worst.unknown > TOO_UNKNOWN:
        found = f"{worst.unknown:.0%} of the tokens of {worst.part} are unknown to '{encoder}'"
    elif pieces > TOO_MANY_PIECES:
        found = f"The words of these texts fall into {pieces:.1f} pieces each in the vocabulary of '{encoder}'"
    else:
        return []
    return [
        f"{found}: its vocabulary was made for another language or other texts; take another encoder (--encoder), or a model "
        "over word vectors such as TextCNN."
    ]


def _words(data: Dataset, most: int | None) -> list[str]:
    """What the vocabulary of a model over word vectors, which is made from train, would not know of the other parts."""
    if data.task != "classification":
        return []
    texts = {
        name: [" ".join(texts_of(example)) for example in some]
        for name, part in data.splits.items()
        if (some := list(itertools.islice(part, most)))
    }
    if "train" not in texts:
        return []
    unit = usual_unit(texts["train"])
    try:
        tokenizer = make_vocabulary(texts["train"], unit, minimum=MINIMUM)
    except DataError as error:
        return [f"A model over word vectors, such as TextCNN, needs --minimum 1 here: {error}"]
    if len(texts) == 1:
        return []
    shares = [
        f"{unknown_share(some, tokenizer):.1%} of the tokens of {name}"
        for name, some in texts.items()
        if name != "train"
    ]
    known = f"the {len(tokenizer) - 2:,} {unit} that occur twice in train"
    return [f"A model over word vectors, such as TextCNN, would know {known}, and not {' and '.join(shares)}."]


def _length(data: Dataset, tokens: tuple[Tokens, ...], limit: int) -> list[str]:
    found = []
    for one in tokens:
        if one.too_long:
            read = "are read in windows, so that nothing is lost."
            cut = f"will be cut; {one.lost:.0%} of all tokens stand beyond the limit."
            found.append(
                f"{one.too_long:,} of {one.examples:,} examples of {one.part} have more than {limit:,} tokens and "
                f"{read if data.task == 'answers' else cut}"
            )
    longest = max((one.most_of_them for one in tokens), default=0)
    if 0 < longest <= limit // 4 and data.task in ("classification", "multi-label", "regression"):
        found.append(
            f"Nearly all texts have at most {longest} tokens. Batches are padded to their own longest text, so no limit need be set."
        )
    return found
