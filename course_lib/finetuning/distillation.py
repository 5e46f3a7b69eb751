"""A small model that learns from a big one: knowledge distillation (Hinton, Vinyals and Dean 2015).

A label says which class is right. A trained model's probabilities say more: which other class the text could have been,
and how nearly. A small model that is asked for these probabilities learns more from each text, and it can also learn
from texts that nobody has labelled, since the teacher has an answer for any text. Tang et al. (2019) made texts by
changing those of the training set; that is `altered`. Jiao et al. (2020) let a masked language model write other words
into them; that is `rewritten`.

    loss = (1 - share) ce(label) + share T^2 KL(teacher_T || student_T)        `training.Distillation`

Letters: n texts, T tokens or the temperature, K classes.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.datasets import Example
from course_lib.errors import DataError

_LEFT_OUT = 0.1  # share of the units of a text that a copy lacks
_JOINED = 0.25  # share of copies that end as another text does
_CHUNK = 128  # texts that are read at once: the longest decides how much padding they have


def soft_labels(teachers: Sequence[Any], examples: Sequence[Example]) -> Tensor:
    """What some trained classifiers say of texts: the logarithm of the mean of their probabilities, (n, K).

    Args:
        teachers: `FineTuned` models for classification, with the same labels in the same order.
        examples: their labels are not looked at.

    Raises:
        DataError: see `check_teachers`.
    """
    from course_lib.finetuning.tuned import answers

    check_teachers(teachers)
    said = []
    for teacher in teachers:
        prepared = teacher.task.prepare(list(examples), teacher.tokenizer, labelled=False)
        batches = teacher.task.reading_batches(prepared, teacher.tokenizer)
        said.append(answers(teacher.model, batches, teacher.task, teacher.precision)["logits"])
    return together(said)


def check_teachers(teachers: Sequence[Any]) -> None:
    """Can these teach together?

    Raises:
        DataError: no teacher, something that is none, one for another task, or teachers with other labels.
    """
    from course_lib.finetuning.texts import Classification
    from course_lib.finetuning.tuned import FineTuned

    if isinstance(teachers, str | FineTuned):
        raise DataError(f"teachers is a {type(teachers).__name__}; a list of trained classifiers is needed.")
    if not teachers:
        raise DataError("There is no teacher; give at least one trained classifier.")
    for teacher in teachers:
        if not isinstance(teacher, FineTuned):
            raise DataError(
                f"A teacher is a {type(teacher).__name__}; a trained classifier is needed, such as FineTuned.load(folder) gives."
            )
        if not isinstance(teacher.task, Classification):
            raise DataError(f"A teacher is for {teacher.task.name}; give one for classification.")
        if teacher.task.labels != teachers[0].task.labels:
            raise DataError(
                f"A teacher has the labels {', '.join(teacher.task.labels)}, and another {', '.join(teachers[0].task.labels)}; "
                "give teachers with the same labels in the same order."
            )


def together(scores: Sequence[Tensor]) -> Tensor:
    """What several teachers say as one: the logarithm of the mean of their probabilities, (n, K) each -> (n, K)."""
    mean = sum(one.double().softmax(dim=-1) for one in scores) / len(scores)
    return mean.clamp(min=1e-12).log().float()


def altered(examples: Sequence[Example], copies: int, seed: int = 0, unit: str | None = None) -> list[Example]:
    """Changed copies of texts, for a teacher to label: `copies` of each, n * copies in all.

    A copy lacks a tenth of its units, drawn for each copy; a quarter of the copies go on, from somewhere in their middle,
    as another text does. The labels of the copies are those of their texts, which may be wrong now: ask a teacher.

    Args:
        unit: "characters", or "words" ("split" is the same here); by default what suits the texts.
    """
    from course_lib.vocabulary import usual_unit

    draw = random.Random(seed)
    unit = usual_unit(example.text for example in examples[:1000]) if unit is None else unit
    between = "" if unit == "characters" else " "
    parts = [list(e.text) if unit == "characters" else e.text.split() for e in examples]
    made = []
    for _ in range(copies):
        for example, units in zip(examples, parts, strict=True):
            if draw.random() < _JOINED:
                other = parts[draw.randrange(len(parts))]
                units = units[: draw.randint(0, len(units))] + other[draw.randint(0, len(other)) :] or units
            kept = [one for one in units if draw.random() >= _LEFT_OUT] or units[:1]
            made.append(dataclasses.replace(example, text=between.join(kept)))
    return made


def rewritten(
    examples: Sequence[Example], model: nn.Module, tokenizer: Any, copies: int = 1, share: float = 0.3, seed: int = 0
) -> list[Example]:
    """Copies of texts in which a masked language model has written other tokens, n * copies in all.

    Each token is hidden with probability `share`; what stands there then is drawn from the model's probabilities, so the
    copies are texts as the model knows them, and most stay near to what they were. The second text of a pair stays as it is.

    Args:
        model: a `BertForMaskedLM`; it is read where it is, on a graphics card or not.
        tokenizer: its tokenizer, a fast one.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    special = torch.tensor(sorted(tokenizer.all_special_ids), device=device)
    was_training = model.training
    model.eval()
    made: list[Example] = []
    try:
        for _ in range(copies):
            for start in range(0, len(examples), _CHUNK):
                chunk = examples[start : start + _CHUNK]
                texts = [example.text for example in chunk]
                found = tokenizer(
                    texts, padding=True, truncation=True, return_tensors="pt", return_offsets_mapping=True,
                    max_length=model.config.max_position_embeddings,
                )  # fmt: skip
                offsets = found.pop("offset_mapping").tolist()
                ids = found["input_ids"].to(device)  # (B, T)
                hidden = torch.rand(ids.shape, generator=generator, device=device) < share
                hidden &= ~torch.isin(ids, special)
                shown = ids.masked_fill(hidden, tokenizer.mask_token_id)
                with torch.no_grad():  # scores for the hidden places alone: a vocabulary of them is long
                    seen = model.bert(shown, found["attention_mask"].to(device)).last_hidden_state  # (B, T, H)
                    logits = model.cls.predictions(seen[hidden]).float()  # (hidden, V)
                logits[:, special] = -torch.inf
                drawn = iter([])
                if len(logits):
                    drawn = iter(torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).flatten().tolist())
                for example, row, places in zip(chunk, hidden.tolist(), offsets, strict=True):
                    text, end, pieces = example.text, 0, []
                    for is_hidden, (start, stop) in zip(row, places, strict=True):
                        if is_hidden:
                            token = tokenizer.convert_ids_to_tokens(next(drawn))
                            pieces += [text[end:start], token.removeprefix("##")]
                            end = stop
                    made.append(dataclasses.replace(example, text="".join([*pieces, text[end:]])))
    finally:
        model.train(was_training)
    return made
