"""`load_dataset`: from a folder, a file or a name to a data set, with what was recognised said in words.

A folder holds files called train, dev (or valid, validation) and test, each in one of the forms of the readers; a
class.txt beside them names the labels. A single file is split into three parts, always the same. Anything that is
neither is looked for on the hub.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_lib.datasets import answers, assembly, choices, documents, hub, labelled, tags
from course_lib.datasets.assembly import Found
from course_lib.datasets.examples import SPLITS, TASKS, Dataset, Examples, content
from course_lib.datasets.files import Stream, counted, numbered_lines, suffix
from course_lib.datasets.labelled import LABELS_FILE
from course_lib.datasets.records import Columns, given_fields, read_table, sample
from course_lib.datasets.splits import part_of, stable_split
from course_lib.errors import DataError

PART_NAMES = {"train": ("train", "training"), "dev": ("dev", "valid", "validation", "val"), "test": ("test",)}
TAG_FILES = (".conll", ".bio", ".bioes", ".bmes", ".iob", ".iob2")
TEXT_FILES = (".txt", ".tokens")
ENDINGS = (".txt", ".tsv", ".csv", ".jsonl", ".json", ".tokens", *TAG_FILES)
_WHOLE = "file"  # the part that a single file is, before it is split
_EXPECTED = f"files called train, dev (or valid, validation) and test, ending in {', '.join(ENDINGS[:5])} or .conll"


@dataclass
class Files:
    """The files of a data set, by part, and what was noticed on the way."""

    place: Path
    parts: dict[str, Path]
    labels: Path | None  # class.txt
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> Path:
        """The training file, or whatever there is."""
        return next(iter(self.parts.values()))


def load_dataset(
    path_or_name: str | Path, task: str | None = None, *, streaming: bool = False, columns: Columns | None = None
) -> Dataset:
    """Read a data set, check every line of it, and say what was recognised (`Dataset.why`) and skipped (`.notes`).

    Args:
        path_or_name: a folder; a file, which is split 80/10/10 by a hash of each example; or a name on the hub,
            "owner/name" or "owner/name:configuration"; or "thucnews", wherever `find_thucnews` finds it.
        task: one of `TASKS`; guessed if not given.
        streaming: read the examples whenever they are asked for instead of keeping them. Everything is checked once
            at the beginning all the same.
        columns: our field -> the file's column, where its name is not a usual one: {"text": "body", "label": "gold"}.
            A list of columns for "label" means one column a label, with 0 and 1.

    Raises:
        DataError: there is no such folder, file or name, or a line is not what it should be.
        SetupError: "thucnews" is asked for and not here; the sentence says how to fetch it.
        ValueError: the task is none of `TASKS`.
        TypeError: neither a path nor a name is given.
    """
    if not isinstance(path_or_name, str | os.PathLike):
        kind = type(path_or_name).__name__
        raise TypeError(f"path_or_name is a {kind}; the path of a folder or a file, or a name on the hub, is expected.")
    if task is not None and task not in TASKS:
        near = difflib.get_close_matches(str(task), TASKS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"There is no task {task!r}{hint}; one of {', '.join(TASKS)} is expected, or None to guess.")
    asked, path_or_name = path_or_name, _known_place(path_or_name)
    if hub.is_name(path_or_name, ENDINGS):
        return hub.load_from_hub(str(path_or_name), task, streaming=streaming, columns=columns or {})
    files = _find(Path(path_or_name).expanduser())
    found = _reader(files, task, columns or {})(files, task, columns or {}, streaming)
    notes = files.notes + found.notes
    if path_or_name != asked:
        notes.insert(0, f"'{asked}' was read from '{path_or_name}'.")
    if _WHOLE in found.parts:
        parts, note = _split(found.parts[_WHOLE], files.first, streaming)
        notes.append(note)
    else:
        parts = {name: found.parts.get(name, Examples()) for name in SPLITS}
    return Dataset(files.place, found.labels, *parts.values(), found.task, found.why, tuple(notes))


def _split(whole: Examples | Stream, path: Path, streaming: bool) -> tuple[dict[str, Any], str]:
    how = f"'{path.name}' is one file, so its examples were split by a hash of their text into train, dev and test"
    if streaming:
        parts = {name: whole.where(lambda example, name=name: part_of(content(example)) == name) for name in SPLITS}
        return parts, f"{how} (about 80, 10 and 10 percent)."
    parts = dict(zip(SPLITS, stable_split(whole), strict=True))
    return parts, f"{how} ({', '.join(f'{len(part):,}' for part in parts.values())})."


# ---------------------------------------------------------------------------------------------------- which files


def _known_place(path_or_name: str | Path) -> str | Path:
    """Where THUCNews is, if it is asked for by its name or by the place that it would be fetched to; else as it is."""
    path = Path(path_or_name)
    if path.name != "thucnews" or path.exists():
        return path_or_name
    from course_lib.datasets import thucnews  # with the network's modules, which nothing else here needs

    return thucnews.find_thucnews() if path in (Path(path.name), thucnews.FOLDER) else path_or_name


def _find(path: Path) -> Files:
    if path.is_file():
        if suffix(path) not in ENDINGS:
            raise DataError(f"'{path}' has an ending that no reader knows; one of {', '.join(ENDINGS)} is expected.")
        labels = path.parent / LABELS_FILE
        if path == labels:
            raise DataError(f"'{path}' is a list of labels, not of examples; give its folder '{path.parent}'.")
        siblings = _parts(path.parent)[0]
        notes = []
        if path in siblings.values() and len(siblings) > 1:
            notes.append(f"'{path.name}' has other parts beside it; give its folder '{path.parent}' to read them all.")
        return Files(path, {_WHOLE: path}, labels if labels.is_file() else None, notes)
    if not path.is_dir():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.6)
        hint = f" (did you mean '{path.parent / near[0]}'?)" if near else ""
        raise DataError(f"There is no folder '{path}'{hint}; a folder with {_EXPECTED}, or one file, is expected.")
    parts, notes = _parts(path)
    if not parts:
        inside = sorted(p for p in path.iterdir() if p.is_dir() and _parts(p)[0])
        hint = f"; did you mean its folder '{inside[0]}'?" if inside else "."
        raise DataError(f"The folder '{path}' has no data: {_EXPECTED} are expected{hint}")
    labels = path / LABELS_FILE
    return Files(path, parts, labels if labels.is_file() else None, notes)


def _parts(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the files of the parts: those called just train, dev, test, else those with that word in their name."""
    data = sorted(p for p in folder.iterdir() if suffix(p) in ENDINGS and p.is_file() and p.name != LABELS_FILE)
    parts, notes, guessed = {}, [], []
    for part, names in PART_NAMES.items():
        exact = [p for p in data if _stem(p).split(".")[0] in names]
        like = [p for p in data if set(names) & set(re.split("[^a-z0-9]+", _stem(p)))]
        candidates = exact or like
        if len(candidates) > 1:
            raise DataError(
                f"The folder '{folder}' has several files for {part}: {', '.join(p.name for p in candidates)}; leave one, "
                "or give a file instead of the folder."
            )
        if candidates:
            parts[part] = candidates[0]
            if not exact:
                guessed.append(f"'{candidates[0].name}' as {part}")
    if guessed:
        notes.append(f"Taken by a word in their names: {', '.join(guessed)}.")
    unread = [p.name for p in data if p not in parts.values()]
    if unread and parts:
        notes.append(f"Not read, because not called train, dev or test: {', '.join(unread)}.")
    return parts, notes


def _stem(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").removesuffix(suffix(path))


# ---------------------------------------------------------------------------------------------------- which reader

Reader = Callable[[Files, "str | None", Columns, bool], Found]


def _reader(files: Files, task: str | None, columns: Columns) -> Reader:
    """Return the reader for the task, or for what the first file looks like."""
    readers = {"tags": _read_tags, "answers": _read_answers, "choices": _read_choices, "documents": _read_documents}
    if task is not None:
        return readers.get(task, _read_labelled)
    path = files.first
    ending = suffix(path)
    if ending in TAG_FILES:
        return _read_tags
    if ending in (*TEXT_FILES, ".tsv") and tags.looks_tagged(path):
        return _read_tags
    if ending in TEXT_FILES:
        lines = itertools.islice(numbered_lines(path), 1000)
        running = files.labels is None and not columns and not any("\t" in line for _, line in lines)
        return _read_documents if running else _read_labelled
    if ending == ".json" and answers.is_squad(path):
        return _read_answers
    table = read_table(path, columns)
    return readers.get(
        assembly.guess_task(table.names, next(iter(sample(table.source, 1)), {}), columns), _read_labelled
    )


# ---------------------------------------------------------------------------------------------------- readers


def _read_labelled(files: Files, task: str | None, columns: Columns, streaming: bool) -> Found:
    if not columns and task in (None, "classification") and all(map(_are_headlines, files.parts.values())):
        found = _read_headlines(files, task, streaming)
        if found is not None:
            return found
    tables = {part: read_table(path, columns) for part, path in files.parts.items()}
    names = labelled.read_labels(files.labels) if files.labels else None
    return assembly.labelled_found(tables, task, columns, streaming, names)


def _are_headlines(path: Path) -> bool:
    """Whether most lines of a text file have at most one tab."""
    if suffix(path) != ".txt":
        return False
    tabs = Counter(min(line.count("\t"), 2) for _, line in itertools.islice(numbered_lines(path), 1000))
    return tabs[2] <= tabs[0] + tabs[1]


def _read_headlines(files: Files, task: str | None, streaming: bool) -> Found | None:
    """Read lines `text<TAB>label`; None if the labels are scores, which a table's reader knows."""
    lines = f"{files.first.name} has lines text<TAB>label"
    if files.labels is not None:
        kinds = labelled.LabelKinds("classification", tuple(labelled.read_labels(files.labels)))
        origin = ""
        why = f"{lines} and {LABELS_FILE} has {counted(len(kinds.names), 'name')}: classification"
    else:
        if next(labelled.headline_labels(files.first), None) is None:
            raise DataError(
                f"'{files.first}' has no labels, and classification needs them: write a text, a tab and a label a line."
            )
        kinds = labelled.infer_labels(labelled.headline_labels(files.first), str(files.first), task)
        if kinds.task != "classification":
            return None
        origin = labelled.origin(files.first.name)
        why = f"{lines} with {counted(len(kinds.names), 'label')}: classification"
    parts = {
        part: labelled.read_headlines(path, kinds.names, streaming=streaming, origin=origin)
        for part, path in files.parts.items()
    }
    return Found("classification", kinds.names, parts, why, [kinds.note] if kinds.note else [])


def _read_tags(files: Files, task: str | None, columns: Columns, streaming: bool) -> Found:
    skipped = {part: Counter() for part in files.parts}
    sources, parsers = {}, {}
    for part, path in files.parts.items():
        if suffix(path) in (".jsonl", ".json"):
            table = read_table(path, columns)
            sources[part], parsers[part] = table.source, assembly.tag_words(table.names, columns, str(path))
        else:
            sources[part], parsers[part] = tags.sentence_source(path), tags.words_and_tags
            tags.count_skipped(path, skipped[part])
    labels = labelled.read_labels(files.labels) if files.labels else None
    found = assembly.tags_found(sources, parsers, labels, streaming)
    for part, counts in skipped.items():
        found.notes += [
            f"{counted(count, kind)} of '{files.parts[part].name}' skipped." for kind, count in counts.items()
        ]
    return found


def _read_answers(files: Files, task: str | None, columns: Columns, streaming: bool) -> Found:
    sources, fields = {}, {}
    for part, path in files.parts.items():
        if suffix(path) == ".json" and answers.is_squad(path):
            if streaming:
                raise DataError(
                    f"'{path}' is one JSON value, which can only be read whole; leave out streaming=True, or write it as JSON "
                    "lines with id, question, context and answers."
                )
            sources[part], fields[part] = answers.squad_source(path), {}
        else:
            table = read_table(path, columns)
            sources[part] = table.source
            fields[part] = given_fields(columns, table.names, answers.FIELDS, str(path))
    return assembly.answers_found(sources, fields, streaming)


def _read_choices(files: Files, task: str | None, columns: Columns, streaming: bool) -> Found:
    tables = {part: read_table(path, columns) for part, path in files.parts.items()}
    sources = {part: table.source for part, table in tables.items()}
    given = {part: given_fields(columns, t.names, choices.FIELDS, t.source.place) for part, t in tables.items()}
    fields = {part: choices.choice_fields(table.names, given[part]) for part, table in tables.items()}
    return assembly.choices_found(sources, fields, streaming)


def _read_documents(files: Files, task: str | None, columns: Columns, streaming: bool) -> Found:
    sources, parsers, notes = {}, {}, []
    form = "JSON"
    for part, path in files.parts.items():
        if suffix(path) in TEXT_FILES:
            sources[part], parsers[part] = documents.document_source(path), documents.parse_document
            form = documents.text_form(path)
            if form == "Gutenberg":
                notes.append(
                    f"{documents.left_out(path):,} lines of '{path.name}' before and after the book were left out."
                )
        else:
            table = read_table(path, columns)
            sources[part] = table.source
            parsers[part] = assembly.document_parser(table.names, columns, str(path))
    what = {
        "plain": "lines without tabs, and empty lines between documents",
        "WikiText": "articles that begin with a line = Title =",
        "Gutenberg": "a book of Project Gutenberg",
        "JSON": "sentences without labels",
    }[form]
    found = assembly.documents_found(sources, parsers, streaming, what)
    found.notes += notes
    return found
