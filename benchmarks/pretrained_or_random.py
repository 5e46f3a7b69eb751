"""How many labelled examples is pretraining worth? The course's small BERTs beside the same architecture with new weights.

Three tasks, and of each 50, 200 and all examples to learn from:

    headlines        ten classes, data/headlines_en; the model is data/mini_bert, pretrained on docstrings
    which library?   six classes: which package is a docstring of? The packages were held out of mini_bert's pretraining
    headlines, zh    ten classes, data/headlines_zh; the model is data/mini_bert_zh, pretrained on Chinese texts

Three ways learn from the same examples:

    pretrained       the model, fine-tuned
    random           the same configuration and tokenizer, new weights, the same training
    counted words    logistic regression on counts of words and pairs of words (characters in Chinese), no BERT

The learning rate (for counted words the strength C) is the best of three on dev, for each task, way and number of examples on
its own, with the first seed; the other seeds then run with it. The number of steps is fixed: four times through, but at least
80. Nothing else was chosen. Test is read once, by the runs with the chosen rate. The seed draws the examples (a plain sample),
the new weights, the order and dropout.

    TASKS="headlines, zh" python -m benchmarks pretrained_or_random      a part, joined with what is there
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.record import RESULTS, write

DATA = Path(__file__).resolve().parents[1] / "data"
# Of the ten that were held out, those with most text.
PACKAGES = ("networkx", "fontTools", "tornado", "prompt_toolkit", "werkzeug", "mpmath")
PER_CLASS, SHARES = 300, (0.6, 0.2, 0.2)  # docstrings of a package, and of them train, dev, test
SIZES, SEEDS = (50, 200, None), 3
RATES = {"pretrained": (3e-4, 1e-3, 2e-3), "random": (1e-4, 3e-4, 1e-3)}
STRENGTHS = (1.0, 10.0, 100.0)
BATCH, TIMES_THROUGH, FEWEST_STEPS, TOKENS = 32, 4, 80, 48


def tasks() -> dict[str, tuple[Any, Path]]:
    """Task -> its data, and the folder of its model."""
    from course_lib.corpus.topics import docstring_topics
    from course_lib.datasets import load_dataset

    return {
        "headlines": (load_dataset(DATA / "headlines_en"), DATA / "mini_bert"),
        "which library?": (docstring_topics(PACKAGES, PER_CLASS, shares=SHARES), DATA / "mini_bert"),
        "headlines, zh": (load_dataset(DATA / "headlines_zh"), DATA / "mini_bert_zh"),
    }


def drawn(data: Any, size: int | None, seed: int) -> Any:
    """The data with `size` examples to learn from, and no look at dev during training."""
    from course_lib.datasets import Examples

    order = np.random.default_rng(seed).permutation(len(data.train))[:size]
    return data.replace(train=Examples(data.train[i] for i in order), dev=Examples())


def fine_tuned(data: Any, folder: Path, way: str, rate: float, seed: int) -> Any:
    """The model after learning: pretrained weights, or new ones with the same configuration."""
    from course_lib import pretrained, training
    from course_lib.config import BertConfig
    from course_lib.finetuning import Reading, fine_tune
    from course_lib.heads import BertForSequenceClassification

    model: Any = str(folder)
    if way == "random":
        training.set_seed(seed)
        config = BertConfig.from_file(folder / "config.json", id2label=dict(enumerate(data.labels)))
        model = BertForSequenceClassification(config)
    return fine_tune(
        data,
        model,
        tokenizer=pretrained.load_tokenizer(str(folder)),
        reading=Reading(max_tokens=TOKENS),
        batch_size=BATCH,
        steps=max(FEWEST_STEPS, TIMES_THROUGH * -(-len(data.train) // BATCH)),
        learning_rate=rate,
        seed=seed,
        progress=False,
    )


def accuracies(tuned: Any, data: Any) -> list[float]:
    """On dev and on test."""
    return [tuned.evaluate(list(part)).scores["accuracy"] for part in (data.dev, data.test)]


def of_counts(few: Any, data: Any, strength: float, chinese: bool) -> list[float]:
    """On dev and on test: logistic regression on counted words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(analyzer="char" if chinese else "word", ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=strength, max_iter=2000).fit(words.fit_transform(few.train.texts), few.train.label_ids)
    return [model.score(words.transform(part.texts), part.label_ids) for part in (data.dev, data.test)]


def scores(task: str, data: Any, folder: Path, way: str, size: int | None, rate: float, seed: int) -> list[float]:
    """Accuracy on dev and on test of one run."""
    few = drawn(data, size, seed)
    if way == "counted words":
        return of_counts(few, data, rate, task.endswith("zh"))
    return accuracies(fine_tuned(few, folder, way, rate, seed), data)


def run(
    chosen: Mapping[str, tuple[Any, Path]] | None = None, sizes: Sequence[int | None] = SIZES, seeds: int = SEEDS
) -> dict[str, Any]:
    import torch

    torch.set_num_threads(min(2, torch.get_num_threads()))
    start = perf_counter()
    found: dict[str, Any] = {}
    for task, (data, folder) in (tasks() if chosen is None else chosen).items():
        ways: dict[str, dict[str, Any]] = {"pretrained": {}, "random": {}, "counted words": {}}
        for size in sizes:
            for way, entry in ways.items():
                case = (task, data, folder, way, size)
                tried = {rate: scores(*case, rate, seed=0) for rate in RATES.get(way, STRENGTHS)}
                best = max(tried, key=lambda rate: tried[rate][0])
                results = [tried[best], *(scores(*case, best, seed) for seed in range(1, seeds))]
                entry[str(size or len(data.train))] = {
                    "C" if way == "counted words" else "learning_rate": best,
                    "dev_of_each_tried": {str(rate): round(dev, 4) for rate, (dev, _) in tried.items()},
                    "dev": [round(dev, 4) for dev, _ in results],
                    "test": [round(test, 4) for _, test in results],
                }
                print(task, size, way, results, f"{perf_counter() - start:.0f} s", flush=True)
        found[task] = {
            "classes": len(data.labels),
            "examples": {name: len(part) for name, part in data.splits.items()},
            "most_frequent_class": round(max(np.bincount(data.test.label_ids)) / len(data.test), 4),
            "notes": list(data.notes),
            "ways": ways,
        }
    return {
        "tasks": found,
        "settings": {
            "seeds": seeds, "batch": BATCH, "times_through": TIMES_THROUGH, "fewest_steps": FEWEST_STEPS, "max_tokens": TOKENS,
            "learning_rates": RATES, "C": STRENGTHS, "recipe": "FINE_TUNING", "packages": PACKAGES,
        },
        "threads": torch.get_num_threads(),
        "seconds": round(perf_counter() - start),
    }  # fmt: skip


def main() -> None:
    asked = os.environ.get("TASKS")
    chosen = {name: given for name, given in tasks().items() if asked is None or name in asked.split(";")}
    found = run(chosen)
    file = RESULTS / "pretrained_or_random.json"
    if asked is not None and file.is_file():  # the others stay as they were measured
        kept = json.loads(file.read_text(encoding="utf-8"))
        found["tasks"] = {**kept["tasks"], **found["tasks"]}
        found["seconds"] = kept["seconds"]
    write("pretrained_or_random", **found)
