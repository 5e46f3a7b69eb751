"""From rows to the examples of a task, the same for files and for the hub: labels named, all parts checked, `why` said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from course_lib.datasets import answers, choices, documents, labelled, tags
from course_lib.datasets.examples import Examples
from course_lib.datasets.files import Source, Stream, counted
from course_lib.datasets.records import SCORES, Columns, Table, given_fields, named, sample
from course_lib.errors import DataError


@dataclass
class Found:
    """What a reader makes of the files."""

    task: str
    labels: tuple[str, ...]
    parts: dict[str, Examples | Stream]
    why: str
    notes: list[str] = field(default_factory=list)


def guess_task(names: Iterable[str], record: dict[str, Any], columns: Columns) -> str:
    """Return the task that a record's fields are made for: "tags", "answers", "choices", "documents" or "labelled"."""
    names = [*names, *columns]
    if choices.are_choices(names, record):
        return "choices"
    if "context" in names and "question" in names and "answers" in names:
        return "answers"
    if named(names, ("tokens", "words")) and tags_name(names):
        return "tags"
    if "sentences" in names or (named(names, labelled.LABELS) is None and len(set(names)) == 1 and "text" in names):
        return "documents"
    return "labelled"


def tags_name(names: Iterable[str]) -> str | None:
    """Return the field that holds the tags, by its usual names, or None."""
    return named(names, ("tags", "ner_tags", "pos_tags", "chunk_tags", "labels", "ner"))


def labelled_found(
    tables: dict[str, Table], task: str | None, columns: Columns, streaming: bool, names: list[str] | None
) -> Found:
    """Return the examples of rows with a text and a label; `names` are the labels' names where they are known."""
    first = next(iter(tables.values()))
    fields = {
        part: labelled.labelled_fields(table.names, columns, sample(table.source), table.source.place, table.header)
        for part, table in tables.items()
    }
    of_first = fields[next(iter(tables))]
    many = columns.get("label")
    many = list(many) if isinstance(many, (list, tuple)) else None
    if task is None and (many or _has_several(first, of_first)):
        task = "multi-label"
    if task == "regression":
        kinds = labelled.LabelKinds("regression", ("score",))
    elif names is not None:
        kinds = labelled.LabelKinds(task or "classification", tuple(names))
    elif many:
        kinds = labelled.LabelKinds("multi-label", tuple(many))
    else:
        written = labelled.all_labels(first.source, of_first, task or "")
        score = of_first["label"].lower() in SCORES
        kinds = labelled.infer_labels(written, first.source.place, task, score=score)
    numbers = {name: number for number, name in enumerate(kinds.names)}

    origin = "" if names is not None or many else labelled.origin(first.source.name)

    def parse(part: str) -> Callable[[Any], Any]:
        return lambda record: labelled.parse_row(record, fields[part], many, kinds.task, numbers, origin)

    parts = {part: table.source.read(parse(part), streaming=streaming) for part, table in tables.items()}
    labels = {"regression": "its labels are numbers"}.get(kinds.task, f"it has {counted(len(kinds.names), 'label')}")
    why = f"{first.source.name} is {first.form} (read as {of_first}) and {labels}: {kinds.task}"
    notes = [kinds.note] if kinds.note else []
    if of_first.unused:
        notes.append(f"Columns of '{first.source.name}' that were not read: {', '.join(of_first.unused)}.")
    return Found(kinds.task, kinds.names, parts, why, notes)


def _has_several(table: Table, fields: Any) -> bool:
    values = [row.get(fields["label"]) for row in sample(table.source)]
    written = fields["label"].lower() == "labels"
    return any(isinstance(v, (list, tuple)) or (written and isinstance(v, str) and "|" in v) for v in values)


def tag_words(names: Iterable[str], columns: Columns, place: str) -> Callable[[Any], Any]:
    """Return the parser of records with a list of words and one of tags."""
    names = list(names)
    words, tag = tag_fields(names, columns, place)
    if words is None or tag is None:
        raise DataError(
            f"'{place}' has the fields {', '.join(names)}, and none is known to be the words or the tags; say which: "
            'columns={"words": "...", "tags": "..."}.'
        )
    return lambda record: tags.words_and_tags(record, (words, tag))


def tag_fields(names: Iterable[str], columns: Columns, place: str) -> tuple[str | None, str | None]:
    """Return the fields of the words and of their tags, None where none is known."""
    names = list(names)
    given = given_fields(columns, names, ("words", "tags"), place)
    return given.get("words") or named(names, ("tokens", "words")), given.get("tags") or tags_name(names)


def tags_found(
    sources: dict[str, Source], parsers: dict[str, Callable[[Any], Any]], labels: list[str] | None, streaming: bool
) -> Found:
    """Return the tagged sentences of all parts, in IOB2."""
    counts = {part: tags.survey(source, parsers[part]) for part, source in sources.items()}
    schemes = {part: count.scheme for part, count in counts.items()}
    names = tuple(labels) if labels else tags.tag_labels(tag for count in counts.values() for tag in count.iob2)
    parts, notes = {}, []
    for part, source in sources.items():
        parser = tags.TagParser(parsers[part], names, schemes[part])
        parts[part] = source.read(parser, streaming=streaming)
        if parser.wrong:
            more = " and so on" if parser.wrong > len(parser.named) else ""
            notes.append(
                f"{parser.wrong:,} tags of '{source.name}' cannot stand where they stand in {schemes[part]} "
                f"({'; '.join(parser.named)}{more}); an entity begins or ends there."
            )
    scheme = ", ".join(dict.fromkeys(schemes.values()))
    first = next(iter(sources.values())).name
    kind = "tags without B- and I-" if scheme == "plain" else f"tags in {scheme}"
    converted = "" if scheme in ("IOB2", "plain") else ", converted to IOB2"
    return Found("tags", names, parts, f"{first} has words with {kind}{converted}: tags", notes)


def answers_found(sources: dict[str, Source], fields: dict[str, dict[str, str]], streaming: bool) -> Found:
    """Return the questions of all parts."""
    parts, notes = {}, []
    for part, source in sources.items():
        parser = answers.QuestionParser(fields[part], unique=not streaming)
        parts[part] = source.read(parser, streaming=streaming)
        notes += parser.notes(source.name)
    first = next(iter(sources.values())).name
    return Found("answers", (), parts, f"{first} has questions, contexts and answers: answers", notes)


def choices_found(sources: dict[str, Source], fields: dict[str, dict[str, str]], streaming: bool) -> Found:
    """Return the questions with choices of all parts; the labels are A, B ... for as many choices as there are."""
    sizes: Counter[int] = Counter()

    def parse(part: str) -> Callable[[Any], Any]:
        def one(record: Any) -> Any:
            choice = choices.parse_choice(record, fields[part])
            sizes[len(choice.choices)] += 1
            return choice

        return one

    parts = {part: source.read(parse(part), streaming=streaming) for part, source in sources.items()}
    most = max(sizes)
    count = f"{most} choices" if len(sizes) == 1 else f"{min(sizes)} to {most} choices"
    labels = tuple(chr(ord("A") + i) if most <= 26 else str(i) for i in range(most))
    first = next(iter(sources.values())).name
    return Found("choices", labels, parts, f"{first} has questions with {count}: choices", [])


def documents_found(
    sources: dict[str, Source], parsers: dict[str, Callable[[Any], Any]], streaming: bool, what: str
) -> Found:
    """Return the documents of all parts; `what` says what they were recognised by."""
    parts = {part: source.read(parsers[part], streaming=streaming) for part, source in sources.items()}
    first = next(iter(sources.values())).name
    return Found("documents", (), parts, f"{first} has {what}: documents")


def document_parser(names: Iterable[str], columns: Columns, place: str) -> Callable[[Any], Any]:
    """Return the parser of records with a list of sentences or one text."""
    given = tuple(given_fields(columns, names, ("sentences",), place).values()) or ("sentences", "text")
    return lambda record: documents.parse_document(record, given)
