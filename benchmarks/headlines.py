"""What do the course's headlines demand? Two simple baselines on the dev split, and how much a style alone gives away.

Naive Bayes on words (English) or on characters and their pairs (Chinese) is what a model must beat. The same method on
punctuation, spaces, digits and length alone should know little: the closer to chance (0.10), the less a model can win
by the habits of those who wrote the lines.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.record import write

DATA = Path(__file__).resolve().parents[1] / "data"


def style(text: str) -> str:
    """A headline without its words: the marks, and rough counts."""
    marks = " ".join(re.sub(r"[\w\s]", "", text))
    return f"{marks} length{len(text) // 4} spaces{text.count(' ')} digits{len(re.findall(r'[0-9]', text))}"


def run(language: str) -> dict[str, float]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    from course_lib.datasets import load_dataset

    data = load_dataset(DATA / f"headlines_{language}")
    listed = (DATA / f"headlines_{language}" / "hard.txt").read_text(encoding="utf-8").splitlines()
    hard = [int(number) - 1 for split, number in (line.split("\t") for line in listed) if split == "dev"]
    right = data.dev.label_ids
    pieces = CountVectorizer() if language == "en" else CountVectorizer(analyzer="char", ngram_range=(1, 2))
    words = make_pipeline(pieces, MultinomialNB(alpha=0.3)).fit(data.train.texts, data.train.label_ids)
    guessed = words.predict(data.dev.texts)
    marks = make_pipeline(CountVectorizer(token_pattern=r"\S+"), MultinomialNB())
    marks.fit([style(text) for text in data.train.texts], data.train.label_ids)
    only_style = marks.predict([style(text) for text in data.dev.texts])
    return {
        "naive_bayes": round(float((guessed == right).mean()), 3),
        "naive_bayes_hard": round(float(sum(guessed[i] == right[i] for i in hard) / len(hard)), 3),
        "style_alone": round(float((only_style == right).mean()), 3),
        "chance": 0.1,
    }


def main() -> None:
    write("headlines", split="dev", en=run("en"), zh=run("zh"))
