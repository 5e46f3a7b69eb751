"""Every model of the zoo on one data set: `leaderboard`, as a table, a file and a picture.

Each model is trained with each seed, chosen on dev, and looked at once on test. A model that cannot be had (an encoder
that is not here and no network) is left out with a sentence; the others go on.

OUTPUT/
  NAME-seed0/        each trained model, as `train_classifier` writes it
  leaderboard.csv    a row a model
  leaderboard.json   the same with every seed's scores, machine and versions
  leaderboard.png    accuracy against seconds of training
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

from course_lib import devices, training
from course_lib.datasets import SPLITS
from course_lib.errors import CourseError, DataError
from course_lib.finetuning.classifiers import check_frozen, encoder_of, train_classifier, unknown_note
from course_lib.finetuning.languages import LanguageWarning, poor_match
from course_lib.finetuning.tasks import check_dataset
from course_lib.finetuning.tuned import CARD, FineTuned, fingerprint
from course_lib.plots import Picture, Table
from course_lib.training import disk, is_finished

_RUN = "leaderboard_run.json"
_COLUMNS = (
    "model", "accuracy", "lowest", "highest", "macro_f1", "seeds", "parameters", "train_seconds", "texts_a_second",
    "megabytes",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One model: the mean over its seeds, and every seed's accuracy."""

    model: str
    accuracies: tuple[float, ...]
    macro_f1: float
    parameters: int
    train_seconds: float
    texts_a_second: float  # predictions, from texts to labels
    megabytes: float  # of the saved weights

    @property
    def accuracy(self) -> float:
        """The mean over the seeds."""
        return mean(self.accuracies)


@dataclass(frozen=True)
class Leaderboard:
    """All models, the best first."""

    rows: Sequence[Row]
    part: str  # of the data on which they were compared
    texts: int
    notes: Sequence[str] = field(default_factory=tuple)

    def table(self) -> Table:
        """As a table."""
        several = any(len(row.accuracies) > 1 for row in self.rows)
        header = ["model", "accuracy", *(["lowest", "highest"] if several else []), "macro F1", "parameters", "train seconds", "texts a second", "MB"]  # fmt: skip
        rows = [
            [
                row.model, f"{row.accuracy:.4f}",
                *([f"{min(row.accuracies):.4f}", f"{max(row.accuracies):.4f}"] if several else []),
                f"{row.macro_f1:.4f}", row.parameters, f"{row.train_seconds:.1f}", f"{row.texts_a_second:,.0f}", f"{row.megabytes:.1f}",
            ]
            for row in self.rows
        ]  # fmt: skip
        return Table(header, rows, right=range(1, len(header)))

    def __str__(self) -> str:
        return "\n".join([repr(self.table()), f"Compared on {self.texts:,} texts of {self.part}.", *self.notes])

    def _repr_html_(self) -> str:
        from html import escape

        said = " ".join([f"Compared on {self.texts:,} texts of {self.part}.", *self.notes])
        return f"{self.table()._repr_html_()}<p>{escape(said)}</p>"

    def picture(self, title: str = "") -> Picture:
        """Accuracy against seconds of training, a named point a model."""
        from course_lib.figures import named_points

        return named_points(
            {row.model: (row.train_seconds, row.accuracy) for row in self.rows},
            "seconds of training",
            f"accuracy on {self.part}",
            title,
        )

    def as_dictionaries(self) -> list[dict[str, Any]]:
        """A dictionary a model, with the columns of leaderboard.csv."""
        return [
            dict(
                zip(
                    _COLUMNS,
                    (
                        row.model, round(row.accuracy, 4), round(min(row.accuracies), 4), round(max(row.accuracies), 4),
                        round(row.macro_f1, 4), len(row.accuracies), row.parameters, round(row.train_seconds, 1),
                        round(row.texts_a_second), round(row.megabytes, 2),
                    ),
                    strict=True,
                )
            )
            for row in self.rows
        ]  # fmt: skip

    def write(self, folder: str | Path) -> Path:
        """leaderboard.csv, .json and .png into a folder.

        Raises:
            TrainingError: they cannot be written.
        """
        folder = Path(folder).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        rows = self.as_dictionaries()
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        every = {row.model: list(row.accuracies) for row in self.rows}
        told = {"part": self.part, "texts": self.texts, "rows": rows, "accuracies": every, "notes": list(self.notes), "machine": devices.machine(), "versions": training.versions()}  # fmt: skip
        files: dict[str, str | bytes] = {
            "leaderboard.csv": text.getvalue(),
            "leaderboard.json": json.dumps(told, indent=1, ensure_ascii=False) + "\n",
        }
        if self.rows:
            files["leaderboard.png"] = self.picture().png
        for name, content in files.items():
            disk.write_whole(folder / name, content, "The table of the models", disk.GO_ON)
        return folder


def leaderboard(
    data: Any,
    names: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0,),
    output: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    say: Callable[[str], None] = lambda line: None,
    **choices: Any,
) -> Leaderboard:
    """Train models with several seeds, and compare them.

    Args:
        data: for classification, with a train part; what is compared on is test, or dev where there is none.
        names: of `course_lib.zoo.NAMES`; by default all.
        seeds: each model is trained once with each.
        output: a folder for the models, the table and the picture.
        resume: keep what an earlier call has trained there, from the same data with the same choices.
        tensorboard: event files of each training, in a folder of that name beside its model; needs `output`.
        say: told a line when a model is done.
        choices: as in `train_classifier`; encoder is for the models over BERT alone, and unit, minimum, most, vectors
            and vector_words for the others alone.

    Raises:
        ValueError, TypeError: an unknown name, an option that one of the models does not have (`course_lib.zoo.check`), or
            tensorboard without output.
        DataError: no data set, no part to compare on, or no model that could be trained.
    """
    from course_lib import zoo

    check_dataset(data)
    names = list(zoo.NAMES) if names is None else list(names)
    part = next((p for p in ("test", "dev") if next(iter(getattr(data, p)), None) is not None), None)
    if part is None:
        raise DataError(
            f"'{data.folder}' has neither test nor dev, so there is nothing to compare on: add a test part."
        )
    if tensorboard and output is None:
        raise ValueError("tensorboard writes beside the models, and there is no folder for them: give output too.")
    for name in names:  # before the first is trained
        zoo.check(name, choices.get("options") or {})
    check_frozen(choices.get("options") or {}, choices.get("vectors"))
    examples = list(getattr(data, part))
    folder = None if output is None else Path(output).expanduser()
    origin = {} if folder is None else {"data": str(data.folder), "contents": fingerprint(data, SPLITS)}
    rows, notes = [], []
    if part == "dev":
        notes.append("There is no test part: dev chose the checkpoints too, so these accuracies are a little too high.")
    matches: dict[str, str | None] = {}  # by encoder, so that each is said once
    for name in names:
        fitting = _fitting(zoo.reads_bert(name), choices)
        runs = []
        try:
            done = [resume and folder is not None and (folder / f"{name}-seed{s}" / _RUN).is_file() for s in seeds]
            if (
                zoo.reads_bert(name)
                and not all(done)
                and (said := _poor_match(name, data, choices.get("encoder"), matches))
            ):
                notes.append(said)
                say(said)
            for seed in seeds:
                place = None if folder is None else folder / f"{name}-seed{seed}"
                watchers = [training.TensorBoard(place / "tensorboard")] if tensorboard and place is not None else []
                runs.append(_run(name, data, examples, seed, place, resume, watchers, fitting, origin))
                for note in runs[-1].get("notes", ()):
                    if note not in notes:  # models over word vectors have the same vocabulary
                        notes.append(note)
                        say(note)
        except CourseError as error:
            notes.append(f"{name} is left out: {error}")
            say(notes[-1])
            continue
        rows.append(_row(name, runs))
        say(f"{name}: accuracy {rows[-1].accuracy:.4f} on {part}, {rows[-1].train_seconds:.0f} s")
        board = Leaderboard(sorted(rows, key=lambda row: -row.accuracy), part, len(examples), tuple(notes))
        if folder is not None:
            board.write(folder)  # after each model, so that a run that is cut off leaves a table
    if not rows:
        raise DataError("No model could be trained. " + " ".join(notes))
    return Leaderboard(sorted(rows, key=lambda row: -row.accuracy), part, len(examples), tuple(notes))


def _poor_match(name: str, data: Any, encoder: Any, matches: dict[str, str | None]) -> str | None:
    """What is to be said of a model's encoder and the language of the data, the first time that it is met."""
    from course_lib import pretrained

    train = data.require("train", "training")
    chosen = str(encoder_of(name, encoder, train))
    if chosen in matches:
        return None
    said = poor_match(train.texts[:1000], pretrained.load_tokenizer(chosen))
    matches[chosen] = said if said is None else f"'{chosen}': {said}"
    return matches[chosen]


def _fitting(over_bert: bool, choices: Mapping[str, Any]) -> dict[str, Any]:
    others = ("unit", "minimum", "most", "vectors", "vector_words") if over_bert else ("encoder",)
    return {key: value for key, value in choices.items() if key not in others}


def _run(
    name: str,
    data: Any,
    examples: Sequence[Any],
    seed: int,
    folder: Path | None,
    resume: bool,
    watchers: Sequence[training.Watcher],
    choices: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Train once, or read what an earlier call found; `origin` says of which data."""
    done = None if folder is None else folder / _RUN
    kept = {key: value for key, value in choices.items() if key != "save_every"}  # it changes nothing of the model
    made_from = json.loads(json.dumps({**origin, **kept}, default=str))
    if resume and done is not None and done.is_file():
        found = json.loads(done.read_text(encoding="utf-8"))
        training.check_made_from(done.parent, found.get("made_from", {}), made_from)
        return found
    if folder is not None and is_finished(folder / CARD):
        if not resume:
            raise DataError(f"'{folder}' has a trained model already; give another folder, or go on with resume.")
        shutil.rmtree(folder)  # trained, but its seconds were not kept
    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LanguageWarning)  # which is said once an encoder
        tuned = train_classifier(name, data, seed=seed, output=folder, resume=resume, watchers=watchers, **choices)
    seconds = perf_counter() - start
    scores = tuned.evaluate(examples).scores
    found = {
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "parameters": sum(parameter.numel() for parameter in tuned.model.parameters()),
        "seconds": seconds,
        "texts_a_second": _speed(tuned, [example.text for example in examples]),
        "notes": [*tuned.notes, *unknown_note(tuned, data, choices)],
        "bytes": sum(p.numel() * p.element_size() for p in tuned.model.state_dict().values()),
    }
    if done is not None:
        found["made_from"] = made_from
        disk.write_whole(done, json.dumps(found) + "\n", "What was measured", disk.GO_ON)
    return found


def _speed(tuned: FineTuned, texts: Sequence[str]) -> float:
    """Predictions a second, from texts to labels, after a warm-up."""
    tuned.predict(list(texts[:64]))
    start = perf_counter()
    tuned.predict(list(texts))
    return len(texts) / (perf_counter() - start)


def _row(name: str, runs: Sequence[Mapping[str, Any]]) -> Row:
    return Row(
        name,
        tuple(run["accuracy"] for run in runs),
        mean(run["macro_f1"] for run in runs),
        runs[0]["parameters"],
        mean(run["seconds"] for run in runs),
        mean(run["texts_a_second"] for run in runs),
        runs[0]["bytes"] / 1e6,
    )
