"""What do the course's smaller sets demand? Simple ways round each task, on dev and test, as their READMEs quote them.

Shared words, lengths, choices without their question: the closer to chance, the less a model can win without reading.
The embedded model's vectors, as they come, say what is in reach without training.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import write

DATA = Path(__file__).resolve().parents[1] / "data"
SPLITS = ("train", "dev", "test")
ASKED = ("dev", "test")


def rows_of(folder: str, split: str) -> list[list[str]]:
    lines = (DATA / folder / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [line.split("\t") for line in lines]


def objects_of(folder: str, split: str) -> list[dict[str, Any]]:
    lines = (DATA / folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def shared(first: set[str], second: set[str]) -> float:
    return len(first & second) / len(first | second)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9']+", text.lower()))


def cosines(first: list[str], second: list[str]) -> np.ndarray:
    """Cosine of the embedded model's mean vectors, pair by pair (B)."""
    from course_lib.encode import encode

    return (encode(first, normalise=True) * encode(second, normalise=True)).sum(axis=1)


def both(figures: dict[str, float]) -> dict[str, float]:
    return {split: round(float(figure), 3) for split, figure in figures.items()}


def pairs_en() -> dict[str, Any]:
    """Pearson correlation with the scores."""
    from sklearn.ensemble import GradientBoostingRegressor

    rows = {split: rows_of("pairs_en", split) for split in SPLITS}
    scores = {split: np.array([float(score) for _, _, score in rows[split]]) for split in SPLITS}

    def sizes(split: str) -> list[list[int]]:
        return [[len(a) + len(b), abs(len(a) - len(b)), a.count(",") + b.count(",")] for a, b, _ in rows[split]]

    def correlation(split: str, guess: Any) -> float:
        return np.corrcoef(guess, scores[split])[0, 1]

    trees = GradientBoostingRegressor(n_estimators=60, max_depth=2, random_state=0)
    trees.fit(sizes("train"), scores["train"])
    columns = {split: [list(column) for column in zip(*rows[split], strict=True)] for split in ASKED}
    return {
        "shared_words": both({s: correlation(s, [shared(words(a), words(b)) for a, b, _ in rows[s]]) for s in ASKED}),
        "lengths_and_commas": both({s: correlation(s, trees.predict(sizes(s))) for s in ASKED}),
        "cosine": both({s: correlation(s, cosines(columns[s][0], columns[s][1])) for s in ASKED}),
    }


def choices_en() -> dict[str, Any]:
    """Share of questions answered rightly."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    rows = {split: objects_of("choices_en", split) for split in SPLITS}
    choices = {split: [choice for row in rows[split] for choice in row["choices"]] for split in SPLITS}
    labels = {split: np.array([row["label"] for row in rows[split]]) for split in SPLITS}
    is_right = [place == row["label"] for row in rows["train"] for place in range(4)]
    bag = CountVectorizer(ngram_range=(1, 2)).fit(choices["train"])

    def lengths(split: str) -> np.ndarray:
        return np.array([[len(c), len(c.split()), c.endswith(".")] for c in choices[split]], dtype=float)

    def alone(features: Any) -> dict[str, float]:
        model = LogisticRegression().fit(features("train"), is_right)
        best = {s: model.predict_proba(features(s))[:, 1].reshape(-1, 4).argmax(axis=1) for s in ASKED}
        return both({s: (best[s] == labels[s]).mean() for s in ASKED})

    weights = TfidfVectorizer().fit([row["context"] for row in rows["train"]] + choices["train"])

    def by_words(split: str) -> float:
        points = []
        for row in rows[split]:
            asked = weights.transform([f"{row['context']} {row['question']}"])
            likeness = (weights.transform(row["choices"]) @ asked.T).toarray().ravel()
            best = np.flatnonzero(likeness == likeness.max())  # ties share the point
            points.append((row["label"] in best) / len(best))
        return float(np.mean(points))

    def by_vectors(split: str) -> float:
        asked = [f"{row['context']} {row['question']}" for row in rows[split] for _ in range(4)]
        return (cosines(asked, choices[split]).reshape(-1, 4).argmax(axis=1) == labels[split]).mean()

    return {
        "choices_alone_words": alone(lambda split: bag.transform(choices[split])),
        "choices_alone_length": alone(lengths),
        "shared_words": both({s: by_words(s) for s in ASKED}),
        "cosine": both({s: by_vectors(s) for s in ASKED}),
        "chance": 0.25,
    }


def topics_en() -> dict[str, Any]:
    """Micro-averaged F1 over the tags."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.multiclass import OneVsRestClassifier

    from course_lib.encode import encode

    tags = (DATA / "topics_en" / "class.txt").read_text(encoding="utf-8").split()
    rows = {split: objects_of("topics_en", split) for split in SPLITS}
    texts = {split: [row["text"] for row in rows[split]] for split in SPLITS}
    labels = {s: np.array([[int(tag in row["labels"]) for tag in tags] for row in rows[s]]) for s in SPLITS}
    bag = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts["train"])

    def regression(features: Any) -> dict[str, float]:
        model = OneVsRestClassifier(LogisticRegression(C=10, class_weight="balanced", max_iter=2000))
        model.fit(features("train"), labels["train"])
        return both({s: f1_score(labels[s], model.predict(features(s)), average="micro") for s in ASKED})

    return {
        "all_tags_always": both({s: f1_score(labels[s], np.ones_like(labels[s]), average="micro") for s in ASKED}),
        "words": regression(lambda split: bag.transform(texts[split])),
        "vectors": regression(lambda split: encode(texts[split], normalise=True)),
    }


def pairs_zh() -> dict[str, Any]:
    """Share of pairs labelled rightly."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    rows = {split: rows_of("pairs_zh", split) for split in SPLITS}
    labels = {split: [label for *_, label in rows[split]] for split in SPLITS}

    def overlap(a: str, b: str) -> list[float]:
        return [shared(set(re.sub(r"\W", "", a)), set(re.sub(r"\W", "", b)))]

    def sizes(a: str, b: str) -> list[float]:
        return [len(a) + len(b), abs(len(a) - len(b))]

    def learned(model: Any, features: Any) -> dict[str, float]:
        model.fit(features("train"), labels["train"])
        return both({s: model.score(features(s), labels[s]) for s in ASKED})

    def trees(measure: Any) -> dict[str, float]:
        model = GradientBoostingClassifier(n_estimators=40, max_depth=2, random_state=0)
        return learned(model, lambda split: [measure(a, b) for a, b, _ in rows[split]])

    joined = {split: [f"{a} {b}" for a, b, _ in rows[split]] for split in SPLITS}
    bag = CountVectorizer(analyzer="char", ngram_range=(1, 2)).fit(joined["train"])
    return {
        "shared_characters": trees(overlap),
        "lengths": trees(sizes),
        "both": trees(lambda a, b: overlap(a, b) + sizes(a, b)),
        "characters": learned(LogisticRegression(max_iter=1000), lambda split: bag.transform(joined[split])),
        "chance": 0.5,
    }


def stories_en() -> dict[str, Any]:
    """How often the real next sentence comes out before another one."""
    figures: dict[str, dict[str, float]] = {"shared_words": {}, "cosine": {}, "cosine_same_document": {}}
    for split in ASKED:
        text = (DATA / "stories_en" / f"{split}.txt").read_text(encoding="utf-8").strip()
        documents = [document.split("\n") for document in text.split("\n\n")]
        chance = random.Random(0)
        first, following, elsewhere, nearby = [], [], [], []
        for document in documents:
            others = [other for other in documents if other is not document]
            for place in range(len(document) - 1):
                first.append(document[place])
                following.append(document[place + 1])
                elsewhere.append(chance.choice(chance.choice(others)))
                nearby.append(chance.choice(document[:place] + document[place + 2 :]))
        by_words = [
            np.array([shared(words(a), words(b)) for a, b in zip(first, second, strict=True)])
            for second in (following, elsewhere)
        ]
        right = cosines(first, following)
        figures["shared_words"][split] = np.mean((by_words[0] > by_words[1]) + 0.5 * (by_words[0] == by_words[1]))
        figures["cosine"][split] = np.mean(right > cosines(first, elsewhere))
        figures["cosine_same_document"][split] = np.mean(right > cosines(first, nearby))
    return {**{name: both(figure) for name, figure in figures.items()}, "chance": 0.5}


def main() -> None:
    sets = (pairs_en, choices_en, topics_en, pairs_zh, stories_en)
    write("more_data", **{function.__name__: function() for function in sets})
