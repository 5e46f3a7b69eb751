"""The data sets for tagging and for answering questions: form, counts, splits, and what their READMEs say of them."""

import collections
import json
import re
from pathlib import Path

import pytest

from course_lib.notebooks import ROOT

DATA = ROOT / "data"
SPLITS = ("train", "dev", "test")
TYPES = ("PER", "ORG", "LOC", "MISC")

Sentence = list[tuple[str, str]]  # (word or character, tag)


def read_sentences(path: Path) -> list[Sentence]:
    blocks = path.read_text(encoding="utf-8").removesuffix("\n").split("\n\n")
    sentences = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    assert all(len(fields) == 2 for sentence in sentences for fields in sentence)
    return [[(word, tag) for word, tag in sentence] for sentence in sentences]


def names_of(sentence: Sentence) -> list[tuple[str, tuple[str, ...]]]:
    names: list[tuple[str, list[str]]] = []
    for word, tag in sentence:
        if tag.startswith("B-"):
            names.append((tag[2:], [word]))
        elif tag.startswith("I-"):
            names[-1][1].append(word)
    return [(kind, tuple(words)) for kind, words in names]


def table_of(folder: str) -> dict[str, list[int]]:
    """The rows of the table in a folder's README: label -> its numbers."""
    lines = (DATA / folder / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \w", line)]
    return {row[0]: [int(cell.replace(",", "")) for cell in row[1:]] for row in rows}


# ---------------------------------------------------------------------------------------------------- entities

ENTITIES = {"entities_en": (360, 120, 120), "entities_zh": (200, 60, 60)}


@pytest.fixture(scope="module")
def tagged() -> dict[str, dict[str, list[Sentence]]]:
    return {name: {split: read_sentences(DATA / name / f"{split}.txt") for split in SPLITS} for name in ENTITIES}


@pytest.mark.parametrize("name", ENTITIES)
def test_every_tag_is_iob2_of_a_known_type(tagged: dict, name: str) -> None:
    for split in SPLITS:
        for sentence in tagged[name][split]:
            before = "O"
            for word, tag in sentence:
                assert word and not re.search(r"\s", word), sentence
                assert tag == "O" or re.fullmatch(f"[BI]-({'|'.join(TYPES)})", tag), (word, tag)
                if tag.startswith("I-"):
                    assert before in (f"B-{tag[2:]}", tag), sentence  # a name cannot begin with I-
                before = tag


@pytest.mark.parametrize("name", ENTITIES)
def test_entities_are_as_many_as_the_readme_says_and_every_type_is_common(tagged: dict, name: str) -> None:
    table = table_of(name)
    for column, split in enumerate(SPLITS):
        sentences = tagged[name][split]
        kinds = collections.Counter(kind for sentence in sentences for kind, _ in names_of(sentence))
        assert len(sentences) == table["sentences"][column] >= ENTITIES[name][column]
        unit = "words" if "words" in table else "characters"
        assert sum(map(len, sentences)) == table[unit][column]
        assert sum(not names_of(sentence) for sentence in sentences) == table["without a name"][column]
        assert {kind: kinds[kind] for kind in TYPES} == {kind: table[kind][column] for kind in TYPES}
        assert min(kinds.values()) > 0.15 * sum(kinds.values())
        assert 0.08 < table["without a name"][column] / len(sentences) < 0.25


@pytest.mark.parametrize("name", ENTITIES)
def test_no_sentence_twice_and_nearly_no_name_of_train_in_dev_or_test(tagged: dict, name: str) -> None:
    texts = [tuple(w.lower() for w, _ in s) for split in SPLITS for s in tagged[name][split]]
    assert len(texts) == len(set(texts))
    readme = (DATA / name / "README.md").read_text(encoding="utf-8")
    found = {
        split: {(k, tuple(w.lower() for w in ws)) for s in tagged[name][split] for k, ws in names_of(s)}
        for split in SPLITS
    }
    shared = {split: len(found[split] & found["train"]) for split in ("dev", "test")}
    assert max(shared["dev"] / len(found["dev"]), shared["test"] / len(found["test"])) < 0.1
    assert f"Of the {len(found['test'])} different names in test {shared['test']} occur in train" in readme
    assert f"and {shared['dev']} of the {len(found['dev'])} in dev" in readme


def test_entities_english_shows_what_is_hard_about_names(tagged: dict) -> None:
    for split in SPLITS:
        sentences = tagged["entities_en"][split]
        words = [[word for word, _ in sentence if word.isalpha()] for sentence in sentences]
        assert sum(all(map(str.islower, some)) for some in words) >= 4
        assert sum(all(map(str.isupper, some)) for some in words) >= 4
        kinds = collections.defaultdict(set)  # a word that is a name here and something else there
        for sentence in sentences:
            for word, tag in sentence:
                kinds[word.lower()].add(tag[2:])
        assert sum(len(found) > 1 for found in kinds.values()) >= 10


def test_entities_chinese_are_one_character_a_line(tagged: dict) -> None:
    for split in SPLITS:
        characters = [word for sentence in tagged["entities_zh"][split] for word, _ in sentence]
        assert all(len(character) == 1 for character in characters)
        assert sum("\u4e00" <= character <= "\u9fff" for character in characters) > 0.85 * len(characters)


# ---------------------------------------------------------------------------------------------------- answers

ANSWERS = {"answers_en": (60, 15, 15), "answers_zh": (12, 5, 5)}


@pytest.fixture(scope="module")
def asked() -> dict[str, dict[str, list[dict]]]:
    """Set -> split -> paragraphs."""
    read = {
        name: {split: json.loads((DATA / name / f"{split}.json").read_text(encoding="utf-8")) for split in SPLITS}
        for name in ANSWERS
    }
    return {
        name: {split: [p for title in content["data"] for p in title["paragraphs"]] for split, content in parts.items()}
        for name, parts in read.items()
    }


@pytest.mark.parametrize("name", ANSWERS)
def test_every_span_is_exact_and_only_questions_with_an_answer_have_one(asked: dict, name: str) -> None:
    for split in SPLITS:
        for paragraph in asked[name][split]:
            context = paragraph["context"]
            for question in paragraph["qas"]:
                assert question["is_impossible"] is (not question["answers"]), question
                assert len(question["answers"]) <= (1 if split == "train" else 3)
                texts = [answer["text"] for answer in question["answers"]]
                assert len(texts) == len(set(texts))
                for answer in [*question["answers"], *question.get("plausible_answers", [])]:
                    text, start = answer["text"], answer["answer_start"]
                    assert text and text == text.strip() and context[start : start + len(text)] == text, question
                    if name == "answers_en":  # whole words
                        around = context[max(start - 1, 0) : start], context[start + len(text) : start + len(text) + 1]
                        assert not (around[0].isalnum() and text[0].isalnum()), question
                        assert not (around[1].isalnum() and text[-1].isalnum()), question


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_as_many_as_the_readme_says(asked: dict, name: str) -> None:
    table = table_of(name)
    unit = "words" if "words" in table else "characters"
    for column, split in enumerate(SPLITS):
        paragraphs = asked[name][split]
        questions = [question for paragraph in paragraphs for question in paragraph["qas"]]
        lengths = [len(p["context"].split() if unit == "words" else p["context"]) for p in paragraphs]
        without = sum(question["is_impossible"] for question in questions)
        assert len(paragraphs) == table["passages"][column] >= ANSWERS[name][column]
        assert sum(lengths) == table[unit][column]
        assert sum(length >= 400 for length in lengths) == table[f"passages of 400 {unit} and more"][column]
        assert len(questions) == table["questions"][column]
        assert without == table["without an answer"][column]
        assert sum(len(q["answers"]) > 1 for q in questions) == table["with more than one span"][column]
        assert 0.15 < without / len(questions) < 0.3
        assert all(len(paragraph["qas"]) == (5 if name == "answers_en" else 4) for paragraph in paragraphs)


@pytest.mark.parametrize("name", ANSWERS)
def test_no_passage_twice_no_shared_stretch_of_text_and_ids_are_unique(asked: dict, name: str) -> None:
    everything = [paragraph for split in SPLITS for paragraph in asked[name][split]]
    ids = [question["id"] for paragraph in everything for question in paragraph["qas"]]
    assert len(ids) == len(set(ids))
    for paragraph in everything:
        assert len({question["question"] for question in paragraph["qas"]}) == len(paragraph["qas"])
    owner: dict[tuple[str, ...], int] = {}  # eight words (or characters) in a row -> the passage that has them
    for number, paragraph in enumerate(everything):
        units = paragraph["context"].lower().split() if name == "answers_en" else list(paragraph["context"])
        for start in range(len(units) - 7):
            stretch = tuple(units[start : start + 8])
            assert owner.setdefault(stretch, number) == number, stretch


def test_long_english_passages_need_windows_and_have_answers_near_their_end(asked: dict) -> None:
    for split in SPLITS:
        long = [p for p in asked["answers_en"][split] if len(p["context"].split()) >= 400]
        assert len(long) >= 2
        places = [
            question["answers"][0]["answer_start"] / len(paragraph["context"])
            for paragraph in long
            for question in paragraph["qas"]
            if question["answers"]
        ]
        assert min(places) < 0.25 and max(places) > 0.7  # both the first and the last window matter
