"""Every model of the zoo on the course's headlines, in both languages, over seeds, beside two counts of words.

Settings are the library's own (`train_classifier`); they were chosen on dev of the Chinese headlines. Test is read once a
run. The models over BERT stand on mini_bert_zh for Chinese, and on the default model for English. ERNIE needs a network.

Kept of each run: accuracy and macro F1 on test, accuracy on dev, seconds on one core, and which test texts it had right,
so that two models can be compared text by text.

    MODELS="TextCNN bert" LANGUAGES=zh SEEDS=3 python -m benchmarks zoo      a part, joined with what is there
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

from benchmarks.record import RESULTS, write

DATA = Path(__file__).resolve().parents[1] / "data"
BASELINES = ("naive Bayes", "TF-IDF + logistic regression")


def counted(kind: str, language: str) -> Any:
    """A classifier on counted words (English) or characters and their pairs (Chinese)."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    units = {} if language == "en" else {"analyzer": "char", "ngram_range": (1, 2)}
    if kind == "naive Bayes":
        return make_pipeline(CountVectorizer(**units), MultinomialNB(alpha=0.3))
    return make_pipeline(TfidfVectorizer(sublinear_tf=True, **units), LogisticRegression(C=10, max_iter=2000))


def baseline(kind: str, language: str, data: Any) -> dict[str, Any]:
    from sklearn.metrics import f1_score

    start = perf_counter()
    model = counted(kind, language).fit(data.train.texts, data.train.label_ids)
    seconds = perf_counter() - start
    start = perf_counter()
    guessed = model.predict(data.test.texts)
    speed = len(data.test) / (perf_counter() - start)
    right = guessed == data.test.label_ids
    return {
        "seed": 0,
        "test": round(float(right.mean()), 4),
        "macro_f1": round(float(f1_score(data.test.label_ids, guessed, average="macro")), 4),
        "dev": round(float(model.score(data.dev.texts, data.dev.label_ids)), 4),
        "seconds": round(seconds, 2),
        "texts_a_second": round(speed),
        "right": "".join(map(str, right.astype(int))),
    }


def run(name: str, language: str, data: Any, seed: int) -> dict[str, Any]:
    from course_lib.finetuning import train_classifier

    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = train_classifier(name, data, seed=seed, progress=False)
    seconds = perf_counter() - start
    result = tuned.evaluate("test")
    texts = list(data.test.texts)
    tuned.predict(texts[:64])
    start = perf_counter()
    tuned.predict(texts)
    speed = len(texts) / (perf_counter() - start)
    right = (result.evaluation.predictions == result.evaluation.labels).int().tolist()
    return {
        "seed": seed,
        "test": round(result.scores["accuracy"], 4),
        "macro_f1": round(result.scores["macro_f1"], 4),
        "dev": round(tuned.history.kept.scores["accuracy"], 4),
        "seconds": round(seconds, 1),
        "texts_a_second": round(speed),
        "parameters": sum(parameter.numel() for parameter in tuned.model.parameters()),
        "right": "".join(map(str, right)),
    }


def main() -> None:
    import torch

    from course_lib import zoo
    from course_lib.datasets import load_dataset

    torch.set_num_threads(1)
    path = RESULTS / "zoo.json"
    runs: dict[str, dict[str, list[Any]]] = (
        json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else {}
    )
    names = os.environ.get("MODELS", " ".join(name for name in zoo.NAMES if name != "ERNIE")).split()
    for seed in range(int(os.environ.get("SEEDS", "3"))):
        for language in os.environ.get("LANGUAGES", "zh en").split():
            data = load_dataset(DATA / f"headlines_{language}")
            of = runs.setdefault(language, {})
            for kind in BASELINES:
                of[kind] = [baseline(kind, language, data)]
            for name in names:
                others = [one for one in of.get(name, []) if one["seed"] != seed]
                of[name] = sorted([*others, run(name, language, data, seed)], key=lambda one: one["seed"])
                print(language, name, next(one for one in of[name] if one["seed"] == seed), flush=True)
                keep(runs)


def keep(runs: dict[str, dict[str, list[Any]]]) -> None:
    table = {
        language: {
            name: {key: round(mean(one[key] for one in each), 4) for key in ("test", "macro_f1", "dev", "seconds")}
            for name, each in of.items()
        }
        for language, of in runs.items()
    }
    write("zoo", encoders={"zh": "mini_bert_zh", "en": "embedded"}, threads=1, table=table, runs=runs)
