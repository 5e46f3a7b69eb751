"""Pairs, choices, topics and stories that come with the course: counts, balance, no near-duplicates, no easy way round."""

import collections
import json
import re
from pathlib import Path

import numpy as np
import pytest

from course_lib.datasets import load_dataset
from course_lib.notebooks import ROOT

DATA = ROOT / "data"
SPLITS = ("train", "dev", "test")


def lines_of(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") and "\r" not in text
    lines = text.removesuffix("\n").split("\n")
    assert all(line == line.strip() for line in lines), path
    return lines


def read_tsv(folder: str, split: str, header: str) -> list[list[str]]:
    first, *rows = lines_of(DATA / folder / f"{split}.tsv")
    assert first.split("\t") == header.split()
    fields = [row.split("\t") for row in rows]
    assert all(len(row) == 3 and all(row) for row in fields)
    return fields


def check_counts(folder: str, row: str, counts: list[int]) -> None:
    """The row of the README's table that begins with this word gives the three counts and their sum."""
    readme = (DATA / folder / "README.md").read_text(encoding="utf-8")
    cells = re.search(rf"^\| {row} \|(.+)\|$", readme, re.MULTILINE)
    assert cells is not None
    assert [int(cell.replace(",", "")) for cell in cells[1].split("|")] == [*counts, sum(counts)]
    assert "Apache-2.0" in readme and "ritten for this course with the help of AI language models" in readme


def overlaps(texts: list[str], width: int) -> np.ndarray:
    """Jaccard overlap of character n-grams for all pairs of texts, 0 on the diagonal (len(texts), len(texts))."""
    plain = [re.sub(r"\W+", " " if width > 2 else "", text.lower()) for text in texts]
    grams = [{text[i : i + width] for i in range(max(1, len(text) - width + 1))} for text in plain]
    number = {gram: i for i, gram in enumerate(sorted(set().union(*grams)))}
    table = np.zeros((len(texts), len(number)), dtype=np.float32)
    for row, found in enumerate(grams):
        table[row, [number[gram] for gram in found]] = 1
    shared = table @ table.T
    count = table.sum(1)
    overlap = shared / (count[:, None] + count[None] - shared)
    np.fill_diagonal(overlap, 0)
    return overlap


def check_no_near_duplicates(texts: list[str], width: int, limit: float, group: int = 1) -> None:
    """No two texts overlap by `limit` or more, but those of one group of `group` neighbours may."""
    overlap = overlaps(texts, width)
    groups = np.arange(len(texts)) // group
    overlap[groups[:, None] == groups[None]] = 0
    first, second = np.unravel_index(overlap.argmax(), overlap.shape)
    assert overlap.max() < limit, (texts[first], texts[second])


def words_shared(a: str, b: str) -> float:
    first, second = (set(re.findall(r"[a-z0-9']+", text.lower())) for text in (a, b))
    return len(first & second) / len(first | second)


@pytest.mark.parametrize(
    ("folder", "task"),
    [
        ("pairs_en", "regression"),
        ("choices_en", "choices"),
        ("topics_en", "multi-label"),
        ("pairs_zh", "classification"),
        ("stories_en", "documents"),
    ],
)
def test_the_course_reads_each_set_as_what_it_is(folder: str, task: str) -> None:
    data = load_dataset(DATA / folder)
    assert data.task == task
    check_counts(folder, r"(?:pairs|questions|messages|documents)", [len(getattr(data, split)) for split in SPLITS])


# ---------------------------------------------------------------------------------------------------- pairs_en


@pytest.fixture(scope="module")
def pairs_en() -> dict[str, list[tuple[str, str, float]]]:
    header = "sentence1 sentence2 score"
    return {s: [(a, b, float(score)) for a, b, score in read_tsv("pairs_en", s, header)] for s in SPLITS}


def test_english_pairs_are_spread_evenly_over_the_scores(pairs_en: dict) -> None:
    check_counts("pairs_en", "pairs", [len(pairs_en[split]) for split in SPLITS])
    steps = [step / 2 for step in range(11)]
    for split in SPLITS:
        counts = collections.Counter(score for _, _, score in pairs_en[split])
        assert sorted(counts) == steps
        assert all(0.07 < count / len(pairs_en[split]) < 0.14 for count in counts.values())


def test_no_english_sentence_stands_in_two_pairs_nor_nearly_so(pairs_en: dict) -> None:
    sentences = [text for split in SPLITS for a, b, _ in pairs_en[split] for text in (a, b)]
    assert len(sentences) == len(set(sentences))
    check_no_near_duplicates(sentences, width=4, limit=0.5, group=2)


def test_english_pairs_have_traps_both_ways_in_every_split(pairs_en: dict) -> None:
    for split in SPLITS:
        rows = [(words_shared(a, b), score) for a, b, score in pairs_en[split]]
        assert sum(shared >= 0.5 and score <= 2 for shared, score in rows) >= 8
        assert sum(shared <= 0.2 and score >= 4 for shared, score in rows) >= 8


def test_neither_shared_words_nor_length_give_the_score_away(pairs_en: dict) -> None:
    rows = [row for split in SPLITS for row in pairs_en[split]]
    scores = [score for _, _, score in rows]
    assert abs(np.corrcoef([words_shared(a, b) for a, b, _ in rows], scores)[0, 1]) < 0.3
    assert abs(np.corrcoef([len(a) + len(b) for a, b, _ in rows], scores)[0, 1]) < 0.15


# ---------------------------------------------------------------------------------------------------- choices_en


@pytest.fixture(scope="module")
def choices_en() -> dict[str, list[dict]]:
    return {split: [json.loads(line) for line in lines_of(DATA / f"choices_en/{split}.jsonl")] for split in SPLITS}


def test_questions_have_four_choices_and_the_right_ones_are_in_all_places_alike(choices_en: dict) -> None:
    check_counts("choices_en", "questions", [len(choices_en[split]) for split in SPLITS])
    for split in SPLITS:
        for row in choices_en[split]:
            assert list(row) == ["context", "question", "choices", "label"]
            assert len(set(row["choices"])) == 4 and row["label"] in range(4) and row["question"].endswith("?")
        counts = collections.Counter(row["label"] for row in choices_en[split])
        assert set(counts.values()) == {len(choices_en[split]) // 4}


def test_in_a_family_each_choice_is_right_once_and_no_family_is_in_two_splits(choices_en: dict) -> None:
    families: dict[tuple, list] = collections.defaultdict(list)
    for split in SPLITS:
        for row in choices_en[split]:
            right = row["choices"][row["label"]]
            families[row["question"], *sorted(row["choices"])].append((split, right))
    check_counts("choices_en", "families", [sum(f[0][0] == split for f in families.values()) for split in SPLITS])
    for (_, *choices), members in families.items():
        assert sorted(right for _, right in members) == choices
        assert len({split for split, _ in members}) == 1


def test_wrong_choices_are_as_long_as_right_ones(choices_en: dict) -> None:
    for split in SPLITS:
        for row in choices_en[split]:
            words = [len(choice.split()) for choice in row["choices"]]
            assert max(words) - min(words) <= 3, row["choices"]
            assert len({choice.endswith(".") for choice in row["choices"]}) == 1
        longest = [max(row["choices"], key=len) == row["choices"][row["label"]] for row in choices_en[split]]
        assert 0.15 < np.mean(longest) < 0.35


def test_the_right_choice_has_no_more_words_of_the_situation_than_the_others(choices_en: dict) -> None:
    rows = [row for split in SPLITS for row in choices_en[split]]
    shared = np.array([[words_shared(row["context"], choice) for choice in row["choices"]] for row in rows])
    best = shared == shared.max(1, keepdims=True)  # ties share the point
    points = best[np.arange(len(rows)), [row["label"] for row in rows]] / best.sum(1)
    assert points.mean() < 0.33


def test_no_two_situations_are_near_duplicates(choices_en: dict) -> None:
    check_no_near_duplicates([row["context"] for split in SPLITS for row in choices_en[split]], width=4, limit=0.35)


# ---------------------------------------------------------------------------------------------------- topics_en


@pytest.fixture(scope="module")
def topics_en() -> dict[str, list[dict]]:
    return {split: [json.loads(line) for line in lines_of(DATA / f"topics_en/{split}.jsonl")] for split in SPLITS}


def test_messages_have_up_to_four_known_tags_in_the_order_of_class_txt(topics_en: dict) -> None:
    tags = lines_of(DATA / "topics_en/class.txt")
    check_counts("topics_en", "messages", [len(topics_en[split]) for split in SPLITS])
    check_counts("topics_en", "without a tag", [sum(not r["labels"] for r in topics_en[split]) for split in SPLITS])
    for split in SPLITS:
        for row in topics_en[split]:
            assert list(row) == ["text", "labels"]
            assert row["labels"] == [tag for tag in tags if tag in row["labels"]] and len(row["labels"]) <= 4
        sizes = collections.Counter(len(row["labels"]) for row in topics_en[split])
        assert min(sizes[n] for n in range(5)) >= 8


def test_every_tag_is_frequent_enough_and_counted_in_the_readme(topics_en: dict) -> None:
    readme = (DATA / "topics_en/README.md").read_text(encoding="utf-8")
    for tag in lines_of(DATA / "topics_en/class.txt"):
        counts = [sum(tag in row["labels"] for row in topics_en[split]) for split in SPLITS]
        assert counts[0] >= 40 and counts[1] >= 12 and counts[2] >= 12
        assert re.search(rf"^\| {tag} \|.*\| {counts[0]} \| {counts[1]} \| {counts[2]} \|$", readme, re.MULTILINE), tag


def test_some_messages_praise_and_complain_at_once(topics_en: dict) -> None:
    for split in SPLITS:
        assert sum({"praise", "complaint"} <= set(row["labels"]) for row in topics_en[split]) >= 5


def test_no_two_messages_are_near_duplicates(topics_en: dict) -> None:
    check_no_near_duplicates([row["text"] for split in SPLITS for row in topics_en[split]], width=4, limit=0.35)


# ---------------------------------------------------------------------------------------------------- pairs_zh


@pytest.fixture(scope="module")
def pairs_zh() -> dict[str, list[tuple[str, str, int]]]:
    header = "sentence1 sentence2 label"
    return {s: [(a, b, int(label)) for a, b, label in read_tsv("pairs_zh", s, header)] for s in SPLITS}


def characters_shared(a: str, b: str) -> float:
    first, second = (set(re.sub(r"\W", "", text)) for text in (a, b))
    return len(first & second) / len(first | second)


def test_chinese_pairs_are_balanced_and_counted(pairs_zh: dict) -> None:
    assert lines_of(DATA / "pairs_zh/class.txt") == ["different", "same"]
    check_counts("pairs_zh", "pairs", [len(pairs_zh[split]) for split in SPLITS])
    same = [sum(label for _, _, label in pairs_zh[split]) for split in SPLITS]
    check_counts("pairs_zh", "same", same)
    for split, count in zip(SPLITS, same, strict=True):
        assert {label for _, _, label in pairs_zh[split]} == {0, 1}
        assert 0.48 < count / len(pairs_zh[split]) < 0.52


def test_chinese_questions_are_written_with_chinese_marks(pairs_zh: dict) -> None:
    for text in (text for split in SPLITS for a, b, _ in pairs_zh[split] for text in (a, b)):
        assert re.fullmatch(r"[\u4e00-\u9fff\uff0c]+\uff1f", text), text


def test_neither_shared_characters_nor_length_tell_chinese_pairs_apart(pairs_zh: dict) -> None:
    rows = [row for split in SPLITS for row in pairs_zh[split]]
    for measure in (characters_shared, lambda a, b: len(a) + len(b), lambda a, b: abs(len(a) - len(b))):
        assert abs(np.corrcoef([measure(a, b) for a, b, _ in rows], [label for *_, label in rows])[0, 1]) < 0.2


def test_chinese_pairs_have_hard_ones_of_both_classes_in_every_split(pairs_zh: dict) -> None:
    for split in SPLITS:
        assert sum(characters_shared(a, b) >= 0.5 and not label for a, b, label in pairs_zh[split]) >= 8
        assert sum(characters_shared(a, b) <= 0.2 and label for a, b, label in pairs_zh[split]) >= 8


def test_no_chinese_question_stands_in_two_pairs_nor_nearly_so(pairs_zh: dict) -> None:
    questions = [text for split in SPLITS for a, b, _ in pairs_zh[split] for text in (a, b)]
    assert len(questions) == len(set(questions))
    check_no_near_duplicates(questions, width=2, limit=0.5, group=2)


# ---------------------------------------------------------------------------------------------------- stories_en


@pytest.fixture(scope="module")
def stories_en() -> dict[str, list[list[str]]]:
    texts = {split: "\n".join(lines_of(DATA / f"stories_en/{split}.txt")) for split in SPLITS}
    return {split: [document.split("\n") for document in text.split("\n\n")] for split, text in texts.items()}


def test_documents_sentences_and_words_are_counted(stories_en: dict) -> None:
    check_counts("stories_en", "documents", [len(stories_en[split]) for split in SPLITS])
    check_counts("stories_en", "sentences", [sum(map(len, stories_en[split])) for split in SPLITS])
    words = [sum(len(line.split()) for document in stories_en[split] for line in document) for split in SPLITS]
    check_counts("stories_en", "words", words)
    assert all(6 <= len(document) <= 12 for split in SPLITS for document in stories_en[split])


def test_a_line_of_a_story_is_one_whole_sentence(stories_en: dict) -> None:
    for line in (line for split in SPLITS for document in stories_en[split] for line in document):
        assert re.match(r'"?[A-Z]', line) and re.search(r'[.!?]"?$', line), line
        assert not re.search(r"[a-z][.!?] [A-Z]", line), line


def test_no_sentence_stands_in_two_documents_nor_nearly_so(stories_en: dict) -> None:
    documents = [document for split in SPLITS for document in stories_en[split]]
    sentences = [line for document in documents for line in document]
    assert len(sentences) == len(set(sentences))
    owner = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    overlap = overlaps(sentences, width=4)
    overlap[owner[:, None] == owner[None]] = 0
    first, second = np.unravel_index(overlap.argmax(), overlap.shape)
    assert overlap.max() < 0.35, (sentences[first], sentences[second])


def test_words_in_common_do_not_settle_which_sentence_follows(stories_en: dict) -> None:
    """With words alone the real next sentence is hardly told from the sentence at the same place elsewhere."""
    points = []
    for split in SPLITS:
        for number, document in enumerate(stories_en[split]):
            other = stories_en[split][number - 1]
            for first, second, wrong in zip(document, document[1:], other[1:], strict=False):
                right, false = words_shared(first, second), words_shared(first, wrong)
                points.append(0.5 if right == false else float(right > false))
    assert 0.5 < np.mean(points) < 0.75
