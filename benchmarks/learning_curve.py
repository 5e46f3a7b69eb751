"""How many examples does fine-tuning take? From 16 English headlines to all 1,230, beside two ways that train no BERT.

For each number of examples and each seed, that many are drawn from train; the three ways learn from the same ones:

    fine-tuned                 the embedded model, all of it, by the recipe below
    logistic regression on BERT   on its vectors as they are: masked mean of the last four layers averaged, standardised
    TF-IDF                     logistic regression on counted words and pairs of words, no BERT

No epoch is chosen: accuracy is that of the last step, on dev. The recipe was chosen on dev with all examples and seed 0; the
strength C of both regressions is the best of eight on dev, for each number of examples. The drawn examples are a plain
sample, so 16 of them lack some of the ten classes. Only with all examples is the test split asked, once for each way.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.record import write

DATA = Path(__file__).resolve().parents[1] / "data" / "headlines_en"
SIZES = (16, 64, 256, 1230)
SEEDS = 5
RECIPE = {"learning_rate": 2e-4, "head_learning_rate": 1e-3, "epochs": 3}  # the rest is FINE_TUNING
BATCH, FEWEST_STEPS = 32, 60  # few examples are gone through more often
WAYS = ("logistic regression on BERT", "TF-IDF")
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 1.0, 10.0, 100.0)  # C: the larger, the freer


def fine_tuned(data: Any, examples: list[Any], seed: int) -> Any:
    """The embedded model after learning from some examples, with no look at dev."""
    from course_lib.datasets import Examples
    from course_lib.finetuning import fine_tune

    few = data.replace(train=Examples(examples), dev=Examples())
    steps = RECIPE["epochs"] * -(-len(examples) // BATCH)
    changes: dict[str, Any] = {name: value for name, value in RECIPE.items() if name != "epochs"}
    return fine_tune(few, seed=seed, batch_size=BATCH, progress=False, steps=max(FEWEST_STEPS, steps), **changes)


def right(tuned: Any, part: Any) -> np.ndarray:
    """Which examples it gets right, (n,) of 0 and 1."""
    found = tuned.evaluate(part).evaluation
    return (found.predictions == found.labels).double().numpy()


def regression(train: Any, labels: Any, strength: float) -> Any:
    """Logistic regression on features."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2000).fit(train, labels)


def drawn(seed: int, size: int, examples: int) -> np.ndarray:
    """The numbers of the examples that this seed learns from."""
    return np.random.default_rng(seed).permutation(examples)[:size]


def regressions(data: Any) -> dict[str, Any]:
    """Both regressions at every size and seed: the strength chosen for each size, accuracies on dev, on test with all."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import StandardScaler

    from course_lib import pretrained
    from course_lib.bert import BertModel
    from course_lib.probing import layer_vectors

    truth = {name: np.array(part.label_ids) for name, part in data.splits.items()}
    tokenizer, encoder = pretrained.load_tokenizer(), BertModel.from_pretrained()
    vectors = {
        name: layer_vectors(part.texts, encoder, tokenizer)["mean"][:, -4:].mean(dim=1).numpy()
        for name, part in data.splits.items()
    }
    found: dict[str, Any] = {way: {"dev": {}, "test": [], "C": {}} for way in WAYS}
    for size in SIZES:
        tried: dict[tuple[str, float], list[list[float]]] = {}
        for seed in range(SEEDS):
            chosen = drawn(seed, size, len(data.train))
            scaler = StandardScaler().fit(vectors["train"][chosen])
            words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            counted = words.fit_transform([data.train[i].text for i in chosen])
            features = {
                WAYS[0]: (scaler.transform(vectors["train"][chosen]), lambda n, s=scaler: s.transform(vectors[n])),
                WAYS[1]: (counted, lambda n, w=words: w.transform(data.splits[n].texts)),
            }
            for way, (given, of) in features.items():
                for c in STRENGTHS:
                    model = regression(given, truth["train"][chosen], c)
                    scores = [model.score(of(name), truth[name]) for name in ("dev", "test")]
                    tried.setdefault((way, c), []).append(scores)
        for way in WAYS:
            best = max(STRENGTHS, key=lambda c, way=way: np.mean([dev for dev, _ in tried[way, c]]))
            found[way]["C"][size] = best
            found[way]["dev"][size] = [dev for dev, _ in tried[way, best]]
            found[way]["test"] = [test for _, test in tried[way, best]]  # that of all examples comes last, and stays
    return found


def run() -> dict[str, Any]:
    import torch

    from course_lib import pretrained
    from course_lib.datasets import load_dataset

    torch.set_num_threads(1)
    start, data = perf_counter(), load_dataset(DATA)
    of_regressions = regressions(data)
    accuracy: dict[str, dict[int, list[float]]] = {"fine-tuned": {}}
    on_test: dict[str, list[float]] = {"fine-tuned": []}
    classes: dict[int, list[int]] = {}
    for size in SIZES:
        for seed in range(SEEDS):
            examples = [data.train[i] for i in drawn(seed, size, len(data.train))]
            classes.setdefault(size, []).append(len({example.label for example in examples}))
            tuned = fine_tuned(data, examples, seed)
            now = right(tuned, data.dev)
            accuracy["fine-tuned"].setdefault(size, []).append(float(now.mean()))
            if size == SIZES[-1]:
                on_test["fine-tuned"].append(float(right(tuned, data.test).mean()))
            print(f"{size} examples, seed {seed}: {now.mean():.3f} ({perf_counter() - start:.0f} s)", flush=True)
    for way, found in of_regressions.items():
        accuracy[way], on_test[way] = found["dev"], found["test"]
    return {
        "model": pretrained.find_model().name,
        "settings": {
            **RECIPE,
            "batch": BATCH,
            "fewest_steps": FEWEST_STEPS,
            "seeds": SEEDS,
            "precision": "auto",
            "threads": 1,
            "C": {way: {str(size): c for size, c in found["C"].items()} for way, found in of_regressions.items()},
        },
        "examples": {name: len(part) for name, part in data.splits.items()},
        "classes_among_the_drawn": {str(size): found for size, found in classes.items()},
        "dev_accuracy": {
            way: {str(size): [round(a, 4) for a in values] for size, values in curve.items()}
            for way, curve in accuracy.items()
        },
        "test_accuracy_with_all": {way: [round(a, 4) for a in values] for way, values in on_test.items()},
        "seconds_on_a_busy_machine": round(perf_counter() - start),
    }


def main() -> None:
    write("learning_curve", **run())
