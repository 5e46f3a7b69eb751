"""`python -m course_lib train | evaluate | predict`: from a data set to a model, to its scores, to predictions."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from course_lib.errors import CourseError, DataError, ModelFilesError
from course_lib.texts import text_fault

if TYPE_CHECKING:
    from course_lib.finetuning.tasks import Task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of whichever of the three commands this is."""
    {"train": _train_arguments, "evaluate": _evaluate_arguments, "predict": _predict_arguments}[
        parser.prog.split()[-1]
    ](parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    return {"train": train, "evaluate": evaluate, "predict": predict}[arguments.command](arguments)


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="default",
        help="default, a name on the Hugging Face hub, or a folder; or a text classifier of the zoo, such as TextCNN or bert_CNN; "
        "or all: every one of these, compared",
    )
    parser.add_argument("--data", required=True, help="a folder, a file, or a name on the hub")
    parser.add_argument("--output", required=True, type=Path, help="a new folder for the trained model")
    parser.add_argument("--task", help="guessed from the data if left out")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument("--seed", type=int, default=0, help="of new weights, dropout and the order of the examples")
    parser.add_argument(
        "--epochs", type=int, help="times through the data (3; a text classifier of the zoo has its own)"
    )
    parser.add_argument("--steps", type=int, help="optimiser steps, in place of epochs")
    parser.add_argument(
        "--batch-size", type=int, help="examples a batch (32; over word vectors 128 from 20,000 texts on)"
    )
    parser.add_argument("--batch-tokens", type=int, help="and at most so many tokens, padding included")
    parser.add_argument(
        "--learning-rate",
        type=float,
        help="the highest of the schedule (5e-5; a text classifier of the zoo has its own)",
    )
    parser.add_argument("--weight-decay", type=float, help="(0.01)")
    parser.add_argument(
        "--schedule", help="linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup"
    )
    parser.add_argument(
        "--warmup",
        type=float,
        help="share of the run, or from 1 on steps, in which the rate rises (0.1; over word vectors 0.05)",
    )
    parser.add_argument("--accumulate", type=int, help="batches a step (1)")
    parser.add_argument("--clip", type=float, help="the longest gradient (1.0)")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "auto"),
        help="auto (so if left out): bfloat16 where it is native",
    )
    parser.add_argument("--layer-decay", type=float, help="lower layers learn more slowly by this factor")
    parser.add_argument(
        "--head-learning-rate",
        type=float,
        help="another rate for the new layer (none; 1e-3 for those of the zoo that stand on a BERT)",
    )
    parser.add_argument("--train-layers", type=int, help="train the last n layers and the head alone; 0: the head")
    parser.add_argument("--class-weights", action="store_true", help="let every class count alike, however rare")
    parser.add_argument("--evaluate-every", type=int, help="steps; each epoch's end is evaluated anyway")
    parser.add_argument("--save-every", type=int, help="steps; each epoch's end is saved anyway")
    parser.add_argument("--metric", help="by which the best checkpoint is chosen; each task has its own")
    parser.add_argument("--patience", type=int, help="evaluations without a new best, after which the run stops")
    parser.add_argument("--max-tokens", type=int, help="longer texts are cut, or read in windows")
    parser.add_argument(
        "--cut", choices=("head", "tail", "head+tail"), default="head", help="what stays of a long text"
    )
    parser.add_argument("--stride", type=int, default=128, help="tokens that two windows share (128)")
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="by whose rules answers are compared")
    parser.add_argument("--streaming", action="store_true", help="do not hold the examples; needs --steps")
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="event files in OUTPUT/tensorboard (with --model all, in each model's folder)",
    )
    parser.add_argument("--columns", nargs="+", metavar="OURS=THEIRS", help="names of columns: text=body label=gold")
    zoo = parser.add_argument_group("for a text classifier of the zoo")
    zoo.add_argument("--encoder", help="of bert, bert_CNN, ...: default, a name on the hub, or a folder")
    units = zoo.add_mutually_exclusive_group()
    units.add_argument(
        "--words", dest="unit", action="store_const", const="words", help="the text is read word by word, marks apart"
    )
    units.add_argument(
        "--split", dest="unit", action="store_const", const="split",
        help="the text has been split into words already: they are what stands between blanks",
    )  # fmt: skip
    units.add_argument(
        "--characters", dest="unit", action="store_const", const="characters", help="character by character"
    )
    zoo.add_argument("--minimum", type=int, help="how often a token must occur in train (2)")
    zoo.add_argument("--most", type=int, help="tokens of the vocabulary, the most frequent ones (all)")
    zoo.add_argument(
        "--vectors",
        "--embedding",
        metavar="FILE",
        help="pretrained word vectors: .npz, .vec, word2vec or GloVe text; they go on learning, and --option frozen=true keeps "
        "them as they are",
    )
    zoo.add_argument("--vector-words", metavar="FILE", help="the words of the vectors, where their file has none")
    zoo.add_argument(
        "--option", nargs="+", default=[], metavar="NAME=VALUE", help="of the model: filters=100 dropout=0.3"
    )
    zoo.add_argument(
        "--teacher",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="trained classifiers, from whose probabilities the model learns",
    )
    zoo.add_argument("--unlabelled", metavar="FILE", help="further texts, one a line, which the teachers label")
    zoo.add_argument("--temperature", type=float, help="of the teachers' probabilities (2)")
    zoo.add_argument("--models", nargs="+", metavar="NAME", help="with --model all: these alone")
    zoo.add_argument("--seeds", type=int, default=1, help="with --model all: train each with so many seeds (1)")


_SEEDS = 2**62  # torch takes 64 bits, and each epoch counts on from its seed
_RECIPE = (
    "epochs", "steps", "learning_rate", "weight_decay", "schedule", "warmup", "accumulate", "clip", "precision", "layer_decay",
    "head_learning_rate", "evaluate_every", "save_every", "metric", "patience",
)  # fmt: skip


def train(arguments: argparse.Namespace) -> int:
    """Train, evaluate on test if there is one, and say where the model is."""
    from course_lib import training, zoo
    from course_lib.datasets import load_dataset, problems
    from course_lib.finetuning import TASKS, Reading, fine_tune, train_classifier
    from course_lib.finetuning.classifiers import unknown_note
    from course_lib.pretrained import ONE_THAT_IS_HERE

    task = arguments.task
    near = zoo.nearest(arguments.model, cutoff=0.85)
    if near not in (None, arguments.model) and not Path(arguments.model).expanduser().exists():
        raise DataError(f"There is no model {arguments.model!r}, neither a folder nor in the zoo: did you mean {near}?")
    of_zoo = arguments.model in zoo.NAMES or arguments.model == "all"
    if of_zoo and task is None:
        task = "classification"
    _check_zoo_options(arguments, of_zoo)
    if abs(arguments.seed) >= _SEEDS:
        raise DataError(f"--seed is {arguments.seed}; a whole number between -2**62 and 2**62 is needed.")
    if arguments.streaming and arguments.steps is None and not (arguments.schedule or "").startswith("constant"):
        raise DataError(
            "--streaming does not hold the examples, so their number is not known before they were read: give --steps."
        )
    if task is not None and task not in TASKS:
        raise DataError(f"There is no task {task!r}; it may be {', '.join(TASKS)}, or left out to be guessed.")
    data = load_dataset(
        arguments.data,
        None if task is None else TASKS[task].data,
        streaming=arguments.streaming,
        columns=read_columns(arguments.columns),
    )
    main = training.is_main_process()
    if main:
        for line in (
            f"{data.why}.".replace("..", "."),
            repr(data),
            *data.notes,
            *([] if arguments.streaming else problems(data)),
        ):
            print(line, file=sys.stderr)
    changes = {name: value for name in _RECIPE if (value := getattr(arguments, name)) is not None}
    if "warmup" in changes and changes["warmup"] >= 1:
        changes["warmup"] = int(changes["warmup"])
    shared = {
        "output": arguments.output,
        "resume": arguments.resume,
        "batch_tokens": arguments.batch_tokens,
        "train_layers": arguments.train_layers,
        "class_weights": arguments.class_weights,
        "reading": Reading(arguments.max_tokens, arguments.cut, arguments.stride, arguments.language),
        "watchers": [training.TensorBoard(arguments.output / "tensorboard")] if arguments.tensorboard else [],
        **changes,
    }
    try:
        if arguments.model == "all":
            return _compare(arguments, data, shared)
        if of_zoo:
            given = {**_zoo_choices(arguments), **shared}
            if arguments.encoder is not None:
                given["encoder"] = arguments.encoder
            with _plainly():
                tuned = train_classifier(arguments.model, data, seed=arguments.seed, progress=True, **given)
            tuned.notes += unknown_note(tuned, data, given)
        else:
            size = 32 if arguments.batch_size is None else arguments.batch_size
            with _plainly():
                tuned = fine_tune(
                    data, arguments.model, task=task, batch_size=size, seed=arguments.seed, progress=True, **shared
                )
    except KeyboardInterrupt as error:
        if main and (error.args or training.has_checkpoints(arguments.output)):
            print(f"Stopped. {error if error.args else 'The same command with --resume goes on.'}", file=sys.stderr)
            return 130
        raise
    except ModelFilesError as error:
        if ONE_THAT_IS_HERE not in str(error):
            raise
        option = "encoder" if of_zoo else "model"
        raise ModelFilesError(f"{str(error).rstrip('.')} (--{option} mini_bert_zh, --{option} FOLDER).") from error
    except (ValueError, TypeError) as error:  # a choice that makes no sense: its sentence, without library frames
        raise error if isinstance(error, CourseError) else DataError(str(error)) from error
    if main:
        for note in tuned.notes:
            print(note, file=sys.stderr)
        if tuned.history is not None:
            print(tuned.history)
        if next(iter(data.test), None) is not None:
            print(f"test: {tuned.evaluate('test')}")
        print(f"The model is in '{arguments.output}'.")
    return 0


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """Within it, a poor match of encoder and language is a line of its own, without a place in the code."""
    from course_lib.finetuning.languages import LanguageWarning

    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, LanguageWarning):
            print(message, file=sys.stderr, flush=True)
        else:
            usual(message, category, *place, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", LanguageWarning)
        warnings.showwarning = show
        yield


def _check_zoo_options(arguments: argparse.Namespace, of_zoo: bool) -> None:
    names = (
        "encoder", "unit", "minimum", "most", "vectors", "vector_words", "option", "models", "teacher", "unlabelled", "temperature",
    )  # fmt: skip
    given = [name for name in names if getattr(arguments, name)]
    if given and not of_zoo:
        shown = "words, --split or --characters" if given[0] == "unit" else given[0].replace("_", "-")
        raise DataError(
            f"--{shown} is for the text classifiers of the zoo, and --model is {arguments.model}: leave it out, or give such a model."
        )
    if (arguments.models or arguments.seeds != 1) and arguments.model != "all":
        raise DataError("--models and --seeds go with --model all.")
    if (arguments.unlabelled or arguments.temperature is not None) and not arguments.teacher:
        raise DataError("--unlabelled and --temperature go with --teacher: give the folder of a trained classifier.")
    if arguments.teacher and arguments.model == "all":
        raise DataError("--teacher goes with one model, and --model is all: name a model.")
    if arguments.seeds < 1:
        raise DataError(f"--seeds is {arguments.seeds}; at least 1 is needed.")


def _zoo_choices(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("unit", "minimum", "most", "vectors", "vector_words", "batch_size")
    found: dict[str, Any] = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if found.get("vectors") == "random":  # as the Chinese repository says it for vectors that are learned from nothing
        del found["vectors"]
    if arguments.temperature is not None:
        found["temperature"] = arguments.temperature
    if arguments.teacher:
        from course_lib.finetuning import FineTuned

        found["teachers"] = [FineTuned.load(folder) for folder in arguments.teacher]
    if arguments.unlabelled:
        found["unlabelled"] = _unlabelled(Path(arguments.unlabelled).expanduser())
    if arguments.option:
        found["options"] = dict(_option(one) for one in arguments.option)
    return found


def _unlabelled(path: Path) -> list[Any]:
    """The lines of a file, as examples without labels; empty lines are left out."""
    from course_lib.datasets import Example

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read ({error}); give a text file in UTF-8, one text a line.") from error
    texts = [Example(line.strip(), 0) for line in lines if line.strip()]
    if not texts:
        raise DataError(f"'{path}' has no text; give one text a line.")
    return texts


def _option(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not equals:
        raise DataError(f"--option has {given!r}; a name, an equals sign and a value are expected, as in filters=100.")
    if name == "vectors":
        raise DataError(
            f"--option has {given}; a file of word vectors goes with --vectors: --vectors {value or 'FILE'}."
        )
    try:
        return name, json.loads(value)
    except ValueError:
        return name, {"True": True, "False": False}.get(value, value)  # as Python writes them, and JSON does not


def _compare(arguments: argparse.Namespace, data: Any, shared: dict[str, Any]) -> int:
    """Train all, and print the table."""
    from course_lib.finetuning.leaderboard import leaderboard

    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    choices = {key: value for key, value in shared.items() if key not in ("output", "resume", "watchers")}
    if arguments.encoder is not None:
        choices["encoder"] = arguments.encoder
    found = leaderboard(
        data,
        arguments.models,
        seeds=seeds,
        output=arguments.output,
        resume=arguments.resume,
        tensorboard=arguments.tensorboard,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        progress=True,
        **{**_zoo_choices(arguments), **choices},
    )
    print(found)
    print(f"The models, leaderboard.csv and leaderboard.png are in '{arguments.output}'.")
    return 0


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help="a folder that train wrote")
    parser.add_argument("--data", required=True, help="a folder, a file, or a name on the hub")
    parser.add_argument("--part", choices=("train", "dev", "test"), default="test", help="of the data (test)")
    parser.add_argument("--json", action="store_true", help="the scores as JSON")
    parser.add_argument("--columns", nargs="+", metavar="OURS=THEIRS", help="names of columns: text=body label=gold")


def evaluate(arguments: argparse.Namespace) -> int:
    """Print scores and report."""
    from course_lib.datasets import load_dataset
    from course_lib.finetuning import FineTuned

    tuned = FineTuned.load(arguments.model)
    data = load_dataset(arguments.data, tuned.task.data, columns=read_columns(arguments.columns))
    result = tuned.evaluate(arguments.part, data=data)
    print(json.dumps(result.scores) if arguments.json else result)
    return 0


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help="a folder that train wrote")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--text", help="one text; for answers, the question")
    source.add_argument(
        "--file",
        help="texts, one a line; pairs with a tab between; .jsonl, .csv or .tsv with columns; - for standard input",
    )
    source.add_argument("stdin", nargs="?", choices=("-",), help="standard input, as --file -")
    parser.add_argument("--columns", nargs="+", metavar="OURS=THEIRS", help="names of columns, with --file: text=body")
    parser.add_argument("--pair", help="the second text, with --text")
    parser.add_argument("--context", help="the passage, with --text")
    parser.add_argument("--choices", nargs="+", help="what to choose from, with --text")
    parser.add_argument("--table", action="store_true", help="a table in place of one JSON object a line")
    parser.add_argument("--probabilities", action="store_true", help="of all labels, for classification")
    parser.add_argument(
        "--why", action="store_true", help="the tokens of each text, with how far the answer falls without them"
    )


def predict(arguments: argparse.Namespace) -> int:
    """Print one JSON object a line, as soon as it is there."""
    from course_lib.finetuning import FineTuned

    if (arguments.text, arguments.file, arguments.stdin) == (None, None, None):
        raise DataError("There is nothing to predict: give --text, --file, or - for standard input.")
    extra = {name: value for name in ("pair", "context", "choices") if (value := getattr(arguments, name)) is not None}
    if arguments.columns and arguments.text is not None:
        raise DataError("--columns goes with --file, and --text came: leave it out.")
    if extra and arguments.text is None:
        raise DataError(f"--{next(iter(extra))} goes with --text: give one, or leave it out.")
    tuned = FineTuned.load(arguments.model)
    for name in extra:
        if name not in (*tuned.task.needs, *tuned.task.takes):
            raise DataError(
                f"--{name} came, and the model in '{arguments.model}' is for {tuned.task.name}, which has no {name}: leave it out."
            )
    inputs: Iterable[tuple[str, Any]]
    source, skipped = arguments.file or "-", []
    if arguments.text is not None:
        inputs = [("The input", {"text": arguments.text, **extra})]
    else:
        inputs = read_inputs(source, tuned.task, read_columns(arguments.columns), skipped)
    found = tuned.predict_stream(
        inputs,
        probabilities=arguments.probabilities,
        why=arguments.why,
        named=True,
        as_they_come=arguments.text is None and source == "-",
    )
    first = next(found, None)
    if first is None:
        raise DataError(f"{'Standard input' if source == '-' else repr(source)} has no text; give at least one.")
    found = itertools.chain([first], found)
    if arguments.table:
        _print_table(found)
    else:
        for prediction in found:
            print(json.dumps(prediction, ensure_ascii=False), flush=True)
    if skipped:
        lines = "empty line was" if len(skipped) == 1 else "empty lines were"
        print(f"{len(skipped):,} {lines} left out.", file=sys.stderr)
    return 0


def read_inputs(
    name: str, task: Task, columns: Mapping[str, str] | None = None, skipped: list[int] | None = None
) -> Iterator[tuple[str, Any]]:
    """Inputs from a file or standard input, one after the other: lines, pairs, JSON objects, or rows with a header.

    Each comes after its place, such as "Line 3 of 'texts.txt'".

    Args:
        name: of the file; "-" for standard input.
        columns: our field -> the file's column, of a table or of JSON objects.
        skipped: gets the number of each empty line.

    Raises:
        DataError: no such file, not UTF-8, or a line that is not what its form promises.
    """
    columns = columns or {}
    known = ("text", *task.needs, *task.takes)
    if wrong := [ours for ours in columns if ours not in known]:
        fields = dict.fromkeys((*task.needs, *task.takes))
        raise DataError(f"columns has the field {wrong[0]!r}; the fields of this task are {', '.join(fields)}.")
    skipped = [] if skipped is None else skipped
    if name == "-":
        yield from _lines(_standard_input(), "standard input", "", task, columns, skipped)
        return
    path = Path(name)
    if path.suffix.lower() in (".csv", ".tsv"):
        yield from _rows(path, task, columns)
        return
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _lines(file, f"'{path}'", path.suffix.lower(), task, columns, skipped)
    except FileNotFoundError as error:
        raise DataError(f"There is no file '{path}'; give a file with one text a line.") from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}); give a file with one text a line.") from error


def _standard_input() -> TextIO:
    """Standard input as UTF-8, whatever the terminal's encoding is."""
    how: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "surrogateescape"}
    windows_console = sys.platform == "win32" and sys.stdin.isatty()  # its bytes are no UTF-8; Python turns them round
    try:
        number = sys.stdin.fileno()
    except (OSError, AttributeError):  # a stream in memory
        number = None
    if number is not None and not windows_console:
        # A file of our own: a thread that waits for a line of sys.stdin would block Python's end, which closes it.
        return os.fdopen(os.dup(number), **how)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(**how)
    return sys.stdin


def _rows(path: Path, task: Task, columns: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The rows of a table with a header, read as data sets are."""
    from course_lib.datasets.files import Complaint, raise_complaints
    from course_lib.datasets.records import given_fields, read_table

    fields = tuple(dict.fromkeys((*task.needs, *task.takes)))
    table = read_table(path, {**{name: name for name in ("text", *fields)}, **columns})
    first = next((row for _, row in table.source.items() if isinstance(row, dict)), {})
    names = table.names if table.header else tuple(first.values())
    theirs = given_fields(columns, names, fields, str(path))
    missing = [name for name in task.needs if name not in theirs and name not in names]
    if missing:
        raise DataError(
            f"'{path}' has the columns {', '.join(names)}, and none is called {missing[0]}: rename it, or say which it is, as in "
            f"--columns {missing[0]}={names[0]}."
        )
    for number, row in table.source.items():
        if isinstance(row, Complaint):
            raise_complaints(path, [(number, str(row))])
        yield f"Line {number} of '{path}'", _renamed(row, theirs)


def _renamed(row: Any, columns: Mapping[str, str]) -> Any:
    """A row or a JSON object by our names of fields; anything else as it is."""
    if not isinstance(row, dict) or not columns:
        return row
    others = {name: value for name, value in row.items() if name not in columns}
    return {**others, **{ours: row[theirs] for ours, theirs in columns.items() if theirs in row}}


def _lines(
    file: TextIO, name: str, ending: str, task: Task, columns: Mapping[str, str], skipped: list[int]
) -> Iterator[tuple[str, Any]]:
    # The course's own data files have a label after the tab, where a pair has its second text.
    with_labels = task.data in ("classification", "multi-label")
    labels = {*task.labels, *map(str, range(len(task.labels)))} if with_labels else set()
    for number, line in enumerate(file, start=1):
        line, place = line.rstrip("\r\n"), f"Line {number} of {name}"
        if text_fault(line):
            raise DataError(f"{place} is not UTF-8; save it as UTF-8.")
        if not line.strip():
            skipped.append(number)
            continue
        if ending in (".jsonl", ".json") or line.startswith("{"):
            try:
                given = json.loads(line)
            except (ValueError, RecursionError) as error:
                if ending:
                    raise DataError(f"{place} is no JSON object ({error}).") from error
                given = line  # a text that begins with a brace
            yield place, _renamed(given, columns)
        elif columns:
            raise DataError(
                f"--columns is for tables and JSON lines, and {place.replace('L', 'l', 1)} is a text: leave it out."
            )
        elif "\t" in line:
            parts = tuple(line.split("\t"))
            if len(parts) == 2 and parts[1].strip() in labels:
                raise DataError(
                    f"{place} has the label {parts[1]!r} after its tab, where a pair has its second text; give the texts alone, "
                    "or pairs as a .tsv with the header text, pair (`evaluate` reads labels)."
                )
            yield place, parts
        else:
            yield place, line


def read_columns(given: list[str] | None) -> dict[str, str] | None:
    """What `--columns text=body label=gold` says, as `load_dataset` takes it."""
    if given is None:
        return None
    for one in given:
        if "=" not in one:
            raise DataError(
                f"--columns has {one!r}; our name, an equals sign and theirs are expected, as in text=body."
            )
    return dict(one.split("=", 1) for one in given)


def _print_table(found: Iterable[dict[str, Any]]) -> None:
    from course_lib.plots import Table

    rows, header = [], ["text", "label", "score"]
    for one in found:
        label, score = one["label"], one["score"]
        if isinstance(label, list):
            label = ", ".join(f"{n['text']} ({n['type']})" if isinstance(n, dict) else n for n in label)
        row = [one["text"], label, f"{score:.3f}" if isinstance(score, float) else ""]
        if "probabilities" in one:
            ranked = sorted(one["probabilities"].items(), key=lambda pair: -pair[1])[1:4]
            row.append(", ".join(f"{name} {value:.3f}" for name, value in ranked))
        if "why" in one:
            ranked = sorted(one["why"], key=lambda each: -each["effect"])[:3]
            row.append(", ".join(f"{each['token']} {each['effect']:+.3f}" for each in ranked))
        rows.append(row)
        header = [
            "text",
            "label",
            "score",
            *(["next"] if "probabilities" in one else []),
            *(["why"] if "why" in one else []),
        ]
    print(repr(Table(header, rows)))
