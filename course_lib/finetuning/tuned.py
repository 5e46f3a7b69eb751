"""`fine_tune`: a model, a data set and a recipe in; a model that evaluates and predicts out.

OUTPUT/
  config.json, model.safetensors     the best model, as transformers reads it too
  tokenizer.json, ...                its tokenizer
  fine_tuning.json                   task, labels, recipe, data, what it was made from, scores, versions
  history.csv                        every evaluation

All but the scores is there from the beginning, and a model from the first evaluation on: a run that somebody stops leaves
its best model so far ready to use. "finished" in the card says whether it came to its end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_lib import training
from course_lib.errors import DataError, ModelFilesError, TrainingError
from course_lib.finetuning.answers import Answers
from course_lib.finetuning.choices import Choices
from course_lib.finetuning.languages import warn_poor_match
from course_lib.finetuning.sentences import NextSentence
from course_lib.finetuning.streams import StreamedBatches
from course_lib.finetuning.tags import Tags
from course_lib.finetuning.tasks import Prepared, Reading, Task, WrongInput, check_dataset, check_examples
from course_lib.finetuning.texts import Classification, MultiLabel, Regression
from course_lib.finetuning.vocabulary import rows_that_occur
from course_lib.finetuning.waiting import as_they_come as given_slowly
from course_lib.finetuning.words import MaskedWords, NextWords
from course_lib.training import FINE_TUNING, Evaluation, Recipe, Training, Watcher, disk
from course_lib.vocabulary import check_vocabulary, vocabulary_digest

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Classification, MultiLabel, Regression, Tags, Answers, Choices, NextSentence, MaskedWords, NextWords
    )
}  # fmt: skip
CARD = "fine_tuning.json"
_CHUNK = 512  # inputs that are predicted at once


@dataclass(frozen=True)
class Result:
    """How good a model is on some examples."""

    scores: dict[str, float]
    report: Any  # to be shown
    evaluation: Evaluation
    examples: Sequence[Any]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        return "\n".join([numbers, *self.notes, "", str(self.report)])

    def _repr_html_(self) -> str:
        from html import escape

        numbers = ", ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        shown = getattr(self.report, "_repr_html_", lambda: f"<pre>{escape(str(self.report))}</pre>")()
        return f"<p>{escape(' '.join([numbers + '.', *self.notes]))}</p>{shown}"


class FineTuned:
    """A model with its task: evaluates, predicts, saves itself."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        task: Task,
        *,
        data: Any = None,
        history: Training | None = None,
        precision: str = "float32",
    ) -> None:
        self.model, self.tokenizer, self.task = model, tokenizer, task
        self.data, self.history, self.precision = data, history, precision
        self.notes: tuple[str, ...] = ()  # sentences: what training cut of its texts, or lacked

    @classmethod
    def load(cls, folder: str | Path) -> FineTuned:
        """What `fine_tune` wrote into its output folder.

        Raises:
            ModelFilesError: there is no such folder, or not of this kind, or with another model's vocabulary.
        """
        from course_lib import pretrained

        folder = Path(folder).expanduser()
        card = folder / CARD
        if not card.is_file():
            what = "has no " + CARD if folder.is_dir() else "is no folder"
            raise ModelFilesError(
                f"'{folder}' {what}; give a folder that `python -m course_lib train --output` or fine_tune wrote."
            )
        try:
            known = json.loads(card.read_text(encoding="utf-8"))
            task = TASKS[known["task"]](known["labels"], Reading(**known["reading"]))
            task.form = known.get("form")
            precision = training.Recipe(precision=known["recipe"]["precision"]).precision
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFilesError(f"'{card}' is damaged ({error}); train again into another folder.") from error
        if not known.get("finished", True) and not _has_weights(folder):
            raise ModelFilesError(
                f"'{folder}' has no model yet: its run goes on, or was stopped before it was evaluated; the command that began "
                "it, with --resume (resume=True), goes on with it."
            )
        from course_lib import zoo

        if (folder / zoo.CARD).is_file():
            model, tokenizer = zoo.load(folder), zoo.load_tokenizer(folder)
        else:
            model, tokenizer = task.head().from_pretrained(folder), pretrained.load_tokenizer(str(folder))
        of_zoo = isinstance(model, zoo.TextClassifier)  # then load_tokenizer has compared the rows of its table
        check_vocabulary(tokenizer, folder, known.get("vocabulary"), None if of_zoo else model.config.vocab_size)
        scores = model.num_classes if of_zoo else model.config.num_labels
        if "id2label" in task.configuration() and len(task.labels) != scores:
            raise ModelFilesError(
                f"'{card}' is damaged (labels: {len(task.labels)}, scores of the model: {scores}); train again into another "
                "folder."
            )
        try:
            _check_positions(task, model)
        except ValueError as error:
            raise ModelFilesError(f"'{card}' does not fit its model: {error}") from None
        return cls(training.on_accelerator(model), tokenizer, task, precision=precision)

    def evaluate(self, examples: Any = "test", *, data: Any = None, precision: str | None = None) -> Result:
        """Scores and a report on labelled examples: the name of a part, or a list.

        Args:
            examples: the name of a part of `data`; or examples, whose labels are numbers of the model's own labels.
            data: another data set than the one it was trained on; its labels are found by their names, in whatever order
                they are, and some of the model's may be missing.
            precision: by default that of the training.

        Raises:
            DataError: no examples, some of another kind, labels that the model does not know, or no data set to take the
                part from.
        """
        if isinstance(examples, str):
            data = self.data if data is None else data
            if data is None:
                raise DataError(
                    f"This model was loaded and has no data set with it; say which, as in "
                    f"evaluate({examples!r}, data=load_dataset(folder))."
                )
            check_dataset(data)
            examples = self.task.relabelled(data.require(examples, "the evaluation"), data)
        elif data is not None:
            raise DataError("data goes with the name of one of its parts, and examples came: give one of the two.")
        examples = check_examples(examples, self.task.kinds(), "evaluate")
        if not examples:
            raise DataError("There are no examples to evaluate; give at least one.")
        prepared = self.task.prepare(examples, self.tokenizer)
        found = training.evaluate(
            self.model,
            self.task.reading_batches(prepared, self.tokenizer),
            loss=self.task.loss(),
            keep=self.task.keep,
            precision=self.precision if precision is None else precision,
        )
        return Result(
            self.task.scores(found, prepared),
            self.task.report(found, prepared),
            found,
            prepared.examples,
            tuple(prepared.notes),
        )

    def predict(self, inputs: Any, *, probabilities: bool = False, why: bool = False) -> list[dict[str, Any]]:
        """A dictionary for each input, with text, label and score: for one text, or a list.

        For classification, `probabilities` adds those of all labels, by name, and `why` the tokens of the text, each
        with how far the label's probability falls without it (`token_effects`).

        What an input is depends on the task: a text; a pair, (text, pair); (question, context); a dictionary with
        question and choices; a sentence or a list of words; a text with [MASK].

        Raises:
            DataError: an input of another kind, or too long; the sentence says which, counted from 0, and what is
                expected.
        """
        one = isinstance(inputs, str | dict | tuple)
        return list(self.predict_stream([inputs] if one else inputs, probabilities=probabilities, why=why))

    def predict_stream(
        self,
        inputs: Iterable[Any],
        *,
        probabilities: bool = False,
        why: bool = False,
        named: bool = False,
        as_they_come: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """As `predict`, of any number of inputs: some hundred are held at a time.

        `named` inputs are pairs: what sentences shall call the input, such as "Line 3 of 'texts.txt'", and the input.
        `as_they_come` does not wait for some hundred, but answers what is there: for inputs that come slowly.
        """
        if (probabilities or why) and not isinstance(self.task, Classification):
            raise DataError(
                f"This model is for {self.task.name}; the probabilities of all labels and the tokens behind them are "
                "there for classification."
            )
        waiting = iter(inputs if named else ((f"Input {number}", given) for number, given in enumerate(inputs)))
        for chunk in given_slowly(waiting, _CHUNK) if as_they_come else _chunks(waiting):
            try:
                found = self._predict(self.task.examples([given for _, given in chunk]), probabilities, why)
            except WrongInput as error:
                raise DataError(f"{chunk[error.number][0]} {error.complaint}") from None
            yield from found

    def _predict(self, examples: list[Any], probabilities: bool, why: bool) -> list[dict[str, Any]]:
        prepared = self.task.prepare(examples, self.tokenizer, labelled=False)
        if isinstance(self.task, NextWords):
            return self.task.generate(self.model, prepared)
        outputs = answers(self.model, self.task.reading_batches(prepared, self.tokenizer), self.task)
        found = self.task.predictions(outputs, prepared)
        if probabilities:
            for one, row in zip(found, outputs["logits"].softmax(dim=-1).tolist(), strict=True):
                one["probabilities"] = dict(zip(self.task.labels, row, strict=True))
        if why:
            from course_lib.finetuning.effects import token_effects

            rows = prepared.columns["input_ids"]
            types = prepared.columns.get("token_type_ids", [None] * len(rows))
            for one, example, ids, of_ids in zip(found, examples, rows, types, strict=True):
                label = self.task.labels.index(one["label"])
                written = self.task.written(example, self.tokenizer)
                effects = token_effects(self.model, self.tokenizer, ids, label, of_ids, written)
                one["why"] = [{"token": token, "effect": effect} for token, effect in effects]
        return found

    def save(self, folder: str | Path, **more: Any) -> Path:
        """Model, tokenizer and card into a folder, as transformers' pipelines and `load` read them.

        Raises:
            TrainingError: the folder cannot be written.
        """
        folder = Path(folder).expanduser()
        training.prepare_output(folder, resume=True)
        training.save_model(self.model, folder)
        self._write_card(folder, **more)
        return folder

    def _write_card(self, folder: Path, then: str = disk.ELSEWHERE, **more: Any) -> None:
        training.save_tokenizer(self.tokenizer, folder, then)
        card = {
            "task": self.task.name,
            "labels": self.task.labels,
            "reading": dataclasses.asdict(self.task.reading),
            "form": self.task.form,
            "vocabulary": vocabulary_digest(self.tokenizer),
            "recipe": {"precision": self.precision},
            "finished": True,
            **more,
        }
        content = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        disk.write_whole(folder / CARD, content, "The card of the model", then)


def _chunks(inputs: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(inputs, _CHUNK)):
        yield chunk


def answers(model: nn.Module, batches: Any, task: Task, precision: str = "float32") -> dict[str, Tensor]:
    """What the model says about examples without labels: what the task keeps, (n, ...) by name, in their order."""
    import torch

    from course_lib.devices import reckoning
    from course_lib.training.evaluation import join_batches, to_device

    was_training = model.training
    model.eval()
    found: dict[str, list[Tensor]] = {}
    try:
        with torch.inference_mode(), reckoning(model, precision):
            for batch in batches:
                for name, tensor in task.keep(model(**to_device(batch, model)), batch).items():
                    found.setdefault(name, []).append(tensor.float().cpu())
    finally:
        model.train(was_training)
    return {name: batches.restore(join_batches(name, tensors)) for name, tensors in found.items()}


def fine_tune(
    data: Any,
    model: str | Path | nn.Module = "default",
    *,
    task: str | None = None,
    tokenizer: Any = None,
    recipe: Recipe = FINE_TUNING,
    output: str | Path | None = None,
    resume: bool = False,
    batch_size: int | None = 32,
    batch_tokens: int | None = None,
    train_layers: int | None = None,
    class_weights: bool = False,
    teacher_logits: Tensor | None = None,
    temperature: float = 2.0,
    reading: Reading | None = None,
    seed: int = 0,
    watchers: Sequence[Watcher] = (),
    progress: bool | None = None,
    made_from: Mapping[str, Any] | None = None,
    **changes: Any,
) -> FineTuned:
    """Fine-tune a model on a data set; the best checkpoint on dev is what comes back.

    Args:
        data: of `load_dataset`; with streaming=True its train part is read anew each epoch and never held (give steps).
        model: "default", a name on the hub, or a folder; or a head of ours or transformers', with its tokenizer.
        task: one of `TASKS`; by default what the data set is for ("masked-words" for plain documents).
        recipe: how to train; `changes` are fields of it, as in `fine_tune(data, epochs=2)`.
        output: a folder for the model; a run that was cut off goes on from there with resume=True.
        batch_size, batch_tokens: examples, or positions with their padding, a batch; either or both.
        train_layers: None trains everything; n the last n layers and the head; 0 the head alone.
        class_weights: let every class count alike in the loss, however rare.
        teacher_logits, temperature: a teacher's scores of the training examples, (n, K), which count for nine tenths of
            the loss (`training.Distillation`; `distillation.soft_labels` makes them).
        reading: how texts become tokens.
        seed: of new weights, dropout and the order of the examples.
        watchers, progress: as in `training.fit`.
        made_from: more that a resumed run must have in common with its beginning than model, data and the choices above, by
            name, as JSON keeps it.

    Raises:
        DataError: no data set, or one without train, with one class only, or of another task.
        ValueError: an unknown task or choice, or more tokens a row than the model has positions for.
        TrainingError: see `training.fit`; a finished model in `output`, without resume or made from something else; the
            model of a run that was stopped and cannot go on.
        KeyboardInterrupt: somebody stopped it; see `training.fit`. What is in `output` by then can be used.

    Warns:
        LanguageWarning: the model's vocabulary was made for another language.
    """
    check_dataset(data)
    recipe = recipe.but(**changes)
    kind = _task(data, task)(data.labels, reading or Reading())
    if recipe.metric is not None and recipe.metric not in kind.score_names:
        raise ValueError(
            f"metric is {recipe.metric!r}, and the evaluation gives {', '.join(kind.score_names)}: choose one of these."
        )
    examples = data.require("train", "training")
    _check_labels(kind, data)
    folder = None if output is None else Path(output).expanduser()
    origin = {
        "model": type(model).__name__ if isinstance(model, nn.Module) else str(model),
        "task": kind.name, "labels": list(kind.labels),
        "data": str(data.folder), "contents": None if folder is None else fingerprint(data),
        "reading": dataclasses.asdict(kind.reading), "batch_size": batch_size, "batch_tokens": batch_tokens,
        "train_layers": train_layers, "class_weights": class_weights, "seed": seed, **(made_from or {}),
    }  # fmt: skip
    if folder is not None and training.is_finished(folder / CARD):
        if not resume:
            raise TrainingError(f"'{folder}' has a trained model already; give another folder, or remove it first.")
        return _finished(folder, data, recipe, origin)
    if (
        folder is not None
        and (folder / CARD).is_file()
        and _has_weights(folder)
        and not training.has_checkpoints(folder)
    ):
        raise TrainingError(
            f"'{folder}' has the best model of a run that was stopped, and its checkpoints are gone, so it cannot go on; use the "
            "model as it is, and give another folder to train again."
        )
    training.set_seed(seed)
    model, tokenizer = _model(model, tokenizer, kind, examples)
    _check_positions(kind, model)
    if train_layers is not None:
        from course_lib import optim

        optim.freeze(model, layers=train_layers)
    streamed = not hasattr(examples, "__len__")
    train = Prepared({}, examples) if streamed else kind.prepare(examples, tokenizer)
    if not streamed:
        kind.form = kind.form_of(examples)
    held = list(data.dev)
    dev = kind.prepare(held, tokenizer) if held else None
    loss = kind.loss()
    if class_weights:
        if not isinstance(kind, Classification):
            raise ValueError(f"class_weights are for classification; the task is {kind.name}.")
        if streamed:
            raise ValueError(
                "class_weights count the labels of all examples first, and a stream is not held: leave one out."
            )
        loss = training.WeightedCrossEntropy(training.class_weights(train.columns["labels"], len(kind.labels)))
    if teacher_logits is not None:
        if not isinstance(kind, Classification) or class_weights or streamed:
            raise ValueError(
                "teacher_logits go with classification of examples that are held, and without class_weights: leave one out."
            )
        if tuple(teacher_logits.shape) != (len(examples), len(kind.labels)):
            raise ValueError(
                f"teacher_logits has shape {tuple(teacher_logits.shape)}; a row for each of the {len(examples):,} training examples and "
                f"a column for each of the {len(kind.labels)} labels are needed."
            )
        train.columns["teacher_logits"] = teacher_logits
        loss = training.Distillation(temperature)
    sizes = {"size": batch_size, "tokens": batch_tokens}
    if streamed:
        batches: Any = StreamedBatches(
            examples,
            lambda some, seed: kind.batches(kind.prepare(some, tokenizer), tokenizer, shuffle=seed, **sizes),
            seed,
        )
    else:
        batches = kind.batches(train, tokenizer, shuffle=seed, **sizes)
    columns = [part.columns for part in (train, dev) if part is not None]
    every_row = streamed or training.is_sharded()  # in parts, the table is saved by its parameters' own names
    tuned = FineTuned(model, tokenizer, kind, data=data, precision=recipe.precision)
    card = {
        "recipe": dataclasses.asdict(recipe),
        "batch": {"size": batch_size, "tokens": batch_tokens},
        "seed": seed,
        "data": str(data.folder),
        "made_from": origin,
        "examples": {n: len(part) if hasattr(part, "__len__") else "streamed" for n, part in data.splits.items()},
        "notes": [*data.notes, *train.notes],
        "versions": training.versions(),
    }
    with contextlib.nullcontext() if every_row else rows_that_occur(model, columns):
        history = training.fit(
            model,
            batches,
            None if dev is None else kind.reading_batches(dev, tokenizer),
            recipe=recipe if recipe.metric or dev is None else recipe.but(metric=kind.metric),
            output=folder,
            resume=resume,
            loss=loss,
            keep=kind.keep,
            score=lambda found: kind.scores(found, dev),
            watchers=watchers if folder is None else [_Beside(tuned, folder, card), *watchers],
            progress=progress,
            made_from=origin,
        )
    tuned.history = history
    tuned.notes = tuple(f"train: {note}" for note in train.notes)
    if folder is not None and training.is_main_process():
        tuned._write_card(
            folder,
            disk.GO_ON,
            **card,
            kept={"step": history.kept.step, "epoch": history.kept.number, **history.kept.scores},
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # the run is over: nothing to go on from
    return tuned


class _Beside(Watcher):
    """Puts the tokenizer and the card into the folder when the run begins: its best model so far is to be used with them."""

    def __init__(self, tuned: FineTuned, folder: Path, card: Mapping[str, Any]) -> None:
        self.tuned, self.folder, self.card = tuned, folder, card

    def begin(self, steps: int | None, done: int) -> None:
        """Only now is it known that the folder is this run's."""
        self.tuned._write_card(self.folder, disk.GO_ON, **self.card, finished=False)


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))  # a batch that made a run diverge is saved there too


def fingerprint(data: Any, parts: Sequence[str] = ("train", "dev")) -> str:
    """A short digest of the labels and of every example of some parts; by default of what is trained on and chosen by.

    Of a stream its place alone counts: all of it would have to be read.
    """
    digest = hashlib.blake2b(repr(data.labels).encode(), digest_size=6)
    for name in parts:
        part = data.splits[name]
        for example in part if hasattr(part, "__len__") else [str(data.folder)]:
            digest.update(f"{name}{example!r}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _finished(folder: Path, data: Any, recipe: Recipe, origin: Mapping[str, Any]) -> FineTuned:
    """The model that an earlier run left in its folder, if this run would have made it.

    Raises:
        TrainingError: it would not. Of an old folder, whose card does not say what it was made from, task and labels count.
    """
    done = FineTuned.load(folder)
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    before = {"task": done.task.name, "labels": list(done.task.labels)}
    if "made_from" in card:
        before |= {**card["made_from"], **card["recipe"]}
    now = {**origin, **dataclasses.asdict(recipe)}
    del now["save_every"]  # it changes nothing of the model
    training.check_made_from(folder, before, now)
    done.data = data
    return done


def _task(data: Any, name: str | None) -> type[Task]:
    if name is None:
        name = "masked-words" if data.task == "documents" else data.task
    if name not in TASKS:
        raise ValueError(f"There is no task {name!r}; it may be {', '.join(TASKS)}.")
    if TASKS[name].data != data.task:
        raise DataError(
            f"'{data.folder}' is for {data.task} ({data.why.rstrip('.')}), and {name} needs data for {TASKS[name].data}: give other data, "
            "or leave the task out."
        )
    return TASKS[name]


def _check_labels(task: Task, data: Any) -> None:
    if isinstance(task, Classification) and task.data == "classification" and hasattr(data.train, "__len__"):
        seen = {example.label for example in data.train}
        if len(seen) < 2:
            raise DataError(
                f"All {len(data.train):,} training examples of '{data.folder}' have the label "
                f"'{data.labels[next(iter(seen))]}'; a classifier needs examples of at least two."
            )


def _check_positions(task: Task, model: nn.Module) -> None:
    """Has the model a position for each token of a row?

    Raises:
        ValueError: more tokens are asked for.
    """
    asked = task.reading.max_tokens
    there = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if asked is not None and there is not None and asked > there:
        raise ValueError(
            f"max_tokens is {asked:,}, and the model has positions for {there:,} tokens: give at most {there:,}."
        )


def _model(model: Any, tokenizer: Any, task: Task, examples: Iterable[Any]) -> tuple[nn.Module, Any]:
    from course_lib import pretrained

    if isinstance(model, nn.Module):
        if tokenizer is None:
            raise ValueError("A model that is built already needs its tokenizer: give tokenizer=.")
        return model, tokenizer
    tokenizer = pretrained.load_tokenizer(str(model)) if tokenizer is None else tokenizer
    if training.is_main_process():
        warn_poor_match(examples, tokenizer, stacklevel=4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is new.*")  # we are about to train it
        built = task.head().from_pretrained(model, **task.configuration())
    return training.on_accelerator(built), tokenizer
