"""The headlines that come with the course: counts, balance, parallel lines, and no near-duplicates."""

import collections
import hashlib
import re

import numpy as np
import pytest

from course_lib.datasets import load_dataset
from course_lib.notebooks import ROOT

DATA = ROOT / "data"
LANGUAGES = ("en", "zh")
SPLITS = ("train", "dev", "test")
LABELS = (
    "finance", "realty", "stocks", "education", "science", "society", "politics", "sports", "game", "entertainment",
)  # fmt: skip


@pytest.fixture(scope="module")
def sets() -> dict:
    return {language: load_dataset(DATA / f"headlines_{language}") for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_counts_classes_and_balance(sets: dict, language: str) -> None:
    assert tuple(sets[language].labels) == LABELS
    sizes = [len(getattr(sets[language], split)) for split in SPLITS]
    assert sum(sizes) >= 2000
    assert [round(size / sum(sizes), 2) for size in sizes] == [0.6, 0.2, 0.2]
    for split in SPLITS:
        counts = collections.Counter(getattr(sets[language], split).label_ids)
        assert len(set(counts.values())) == 1 and len(counts) == 10


def test_the_languages_are_parallel_line_by_line(sets: dict) -> None:
    for split in SPLITS:
        english, chinese = getattr(sets["en"], split), getattr(sets["zh"], split)
        assert english.label_ids == chinese.label_ids
        for a, b in zip(english, chinese, strict=True):
            digits_en, digits_zh = (set(re.findall(r"\d{3,4}(?!\d|,\d)", t.text.replace(",", ""))) for t in (a, b))
            years = {d for d in digits_en | digits_zh if re.fullmatch(r"(19|20)\d\d", d)}
            assert len(years & digits_en ^ years & digits_zh) <= 1, (a.text, b.text)
    assert (DATA / "headlines_en/hard.txt").read_bytes() == (DATA / "headlines_zh/hard.txt").read_bytes()


def test_each_language_is_in_its_own_script(sets: dict) -> None:
    for split in SPLITS:
        assert not any(re.search(r"[\u3400-\u9fff]", text) for text in getattr(sets["en"], split).texts)
        for text in getattr(sets["zh"], split).texts:
            assert len(re.findall(r"[\u3400-\u9fff]", text)) >= 4, text


def test_a_tenth_is_hard_in_every_split_and_class(sets: dict) -> None:
    rows = [line.split("\t") for line in (DATA / "headlines_en/hard.txt").read_text("utf-8").splitlines()]
    assert len(rows) == len({tuple(row) for row in rows})
    for split in SPLITS:
        examples = getattr(sets["en"], split)
        hard = [examples[int(number) - 1].label for name, number in rows if name == split]
        assert 0.09 < len(hard) / len(examples) < 0.12
        assert len(set(collections.Counter(hard).values())) == 1 and len(set(hard)) == 10


@pytest.mark.parametrize(("language", "width", "low", "high"), [("en", 4, 20, 95), ("zh", 2, 8, 32)])
def test_lengths_are_natural_and_no_two_headlines_are_near_duplicates(
    sets: dict, language: str, width: int, low: int, high: int
) -> None:
    texts = [text for split in SPLITS for text in getattr(sets[language], split).texts]
    assert all(low <= len(text) <= high for text in texts)
    assert np.std([len(text) for text in texts]) > 3
    # Jaccard overlap of character n-grams, over all pairs at once: shared / (a + b - shared).
    plain = [re.sub(r"\W+", " " if language == "en" else "", text.lower()) for text in texts]
    grams = [{text[i : i + width] for i in range(len(text) - width + 1)} for text in plain]
    number = {gram: i for i, gram in enumerate(sorted(set().union(*grams)))}
    table = np.zeros((len(texts), len(number)), dtype=np.float32)
    for row, found in enumerate(grams):
        table[row, [number[gram] for gram in found]] = 1
    shared = table @ table.T
    count = table.sum(1)
    overlap = shared / (count[:, None] + count[None] - shared)
    np.fill_diagonal(overlap, 0)
    first, second = np.unravel_index(overlap.argmax(), overlap.shape)
    assert overlap.max() < 0.35, (texts[first], texts[second])


def test_no_template_an_opening_is_shared_by_few(sets: dict) -> None:
    texts = [text for split in SPLITS for text in getattr(sets["en"], split).texts]
    openings = collections.Counter(" ".join(text.lower().split()[:3]) for text in texts)
    assert openings.most_common(1)[0][1] <= 8, openings.most_common(3)


def test_the_fingerprints_are_those_of_the_files() -> None:
    lines = [line.split() for line in (DATA / "SHA256SUMS").read_text(encoding="utf-8").splitlines()]
    listed = {name: digest for digest, name in lines}
    found = {p.relative_to(DATA).as_posix() for p in DATA.glob("*/*") if p.name != "README.md"}
    assert set(listed) == found
    for name, digest in listed.items():
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest, name
