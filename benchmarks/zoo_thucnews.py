"""The zoo on the headlines of THUCNews, beside the figures of the Chinese repository: what is reached, and how.

    COURSE_DATA=FOLDER python -m benchmarks zoo_thucnews
    COURSE_DATA=FOLDER MODELS=TextCNN VARIANTS="random tencent" python -m benchmarks zoo_thucnews      a part, joined

The folder (`find_thucnews`) that the figures are of holds the published dev and test (10,000 each) and a training set of
116,378 headlines, two thirds of the published 180,000. Settings are the library's own, but for `SETTINGS`; they were chosen
on dev, and test is read once a run.
`random` begins with new vectors of 300 (FastText: of 128), `tencent` with the published 200 numbers a character, which learn on.
One seed. `pairs` (MODELS=FastText VARIANTS=pairs; three seeds) is FastText without triples and with a million rows for
pairs: in the 100,000 rows of its usual form nearly every pair of so many headlines shares its row. TABLES=1 compares such
tables on dev alone.

The log of the repository's TextCNN has 26,612 training headlines and 87.18 % on test, its table 91.22 %. `curve` trains
with that log's settings (300, 256 filters of 2, 3 and 4, dropout 0.5, batches of 128, rate 1e-3) on 26,612, on twice as
many, and on all: the first lines of the file, which is in a drawn order. With VARIANTS=pairs CURVE=1 it is FastText's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.record import RESULTS, where_and_when, write

# Test accuracy in per cent, as the repository's page has it, from 180,000 headlines and Sogou's 300 numbers a character.
PUBLISHED = {
    "TextCNN": 91.22, "TextRNN": 91.12, "TextRNN_Att": 90.90, "TextRCNN": 91.54, "FastText": 92.23, "DPCNN": 91.25,
    "Transformer": 89.91, "bert": 94.83, "ERNIE": 94.61, "bert_CNN": 94.44, "bert_RNN": 94.57, "bert_RCNN": 94.51,
    "bert_DPCNN": 94.47,
}  # fmt: skip
WORD_MODELS = ("TextCNN", "TextRNN", "TextRNN_Att", "TextRCNN", "FastText", "DPCNN", "Transformer")
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("FastText", "random"): {"batch_size": 512, "epochs": 3, "learning_rate": 2e-3},
    ("FastText", "tencent"): {"batch_size": 512, "epochs": 3, "learning_rate": 2e-3},
    ("FastText", "pairs"): {
        "options": {"longest": 2, "buckets": 1_000_000, "embedding": 64}, "batch_size": 512, "epochs": 3, "learning_rate": 4e-3,
    },
}  # fmt: skip
CURVE = (26_612, 53_224, None)
# FastText's tables, looked at on dev alone: rows, tokens of the longest n-gram, numbers a row, learning rate
TABLES = (
    (100_000, 3, 128, 2e-3),
    (100_000, 2, 128, 2e-3),
    (1_000_000, 3, 128, 2e-3),
    (1_000_000, 2, 128, 2e-3),
    (1_000_000, 2, 64, 4e-3),
)


def run(name: str, variant: str, data: Any, folder: Path, **more: Any) -> dict[str, Any]:
    from course_lib.finetuning import train_classifier

    chosen: dict[str, Any] = {**SETTINGS.get((name, variant), {}), **more}
    if variant == "tencent":
        chosen |= {"vectors": folder / "embedding_Tencent.npz", "vector_words": folder / "vocab_chars.txt"}
    elif variant not in ("random", "pairs"):  # a model over BERT, and the name of its encoder
        chosen["encoder"] = variant
    start = perf_counter()
    tuned = train_classifier(name, data, progress=False, **chosen)
    seconds = perf_counter() - start
    result = tuned.evaluate("test")
    texts = list(data.test.texts)
    start = perf_counter()
    tuned.predict(texts)
    return {
        "train": len(data.train),
        "epochs": tuned.history.records[-1].number,
        "kept_step": tuned.history.kept.step,
        "dev": round(tuned.history.kept.scores["accuracy"], 4),
        "test": round(result.scores["accuracy"], 4),
        "macro_f1": round(result.scores["macro_f1"], 4),
        "parameters": sum(parameter.numel() for parameter in tuned.model.parameters()),
        "seconds": round(seconds),
        "texts_a_second": round(len(texts) / (perf_counter() - start)),
        "settings": {key: value for key, value in chosen.items() if key not in ("vectors", "vector_words")},
        **where_and_when(),
    }


def on_dev(data: Any, rows: int, longest: int, size: int, rate: float) -> dict[str, Any]:
    """FastText with tables of another size; and how many of the pairs, and of the triples, have a row to themselves."""
    import torch

    from course_lib.finetuning import train_classifier
    from course_lib.zoo.fast_text import hashed

    options = {"buckets": rows, "longest": longest, "embedding": size}
    start = perf_counter()
    tuned = train_classifier(
        "FastText", data, options=options, batch_size=512, epochs=3, learning_rate=rate, progress=False
    )
    seconds = perf_counter() - start
    ids = tuned.tokenizer(list(data.train.texts), add_special_tokens=False)["input_ids"]
    alone = {}
    for n in range(2, longest + 1):
        grams = torch.tensor(sorted({tuple(row[i : i + n]) for row in ids for i in range(len(row) - n + 1)}))
        found, _ = hashed(grams, torch.ones_like(grams), n, rows)
        counts = found[:, 0].bincount(minlength=rows)
        alone[str(n)] = {"different": len(grams), "alone": round((counts[found[:, 0]] == 1).double().mean().item(), 3)}
    return {
        "dev": round(tuned.history.kept.scores["accuracy"], 4),
        "options": options,
        "learning_rate": rate,
        "grams": alone,
        "seconds": round(seconds),
        **where_and_when(),
    }


def lengths(texts: list[str]) -> dict[str, float]:
    """How many characters the texts have."""
    counts = sorted(map(len, texts))
    inside = sum(20 <= n <= 30 for n in counts) / len(counts)
    return {
        "shortest": counts[0],
        "median": counts[len(counts) // 2],
        "longest": counts[-1],
        "share_20_to_30": round(inside, 3),
    }


def naive_bayes(data: Any) -> dict[str, Any]:
    from benchmarks.zoo import baseline

    found = baseline("naive Bayes", "zh", data)
    return {key: found[key] for key in ("dev", "test", "macro_f1", "seconds", "texts_a_second")}


def main() -> None:
    import torch

    from course_lib.datasets import Examples, load_dataset
    from course_lib.datasets.thucnews import find_thucnews

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    folder = find_thucnews()
    data = load_dataset(folder)
    path = RESULTS / "zoo_thucnews.json"
    if "TABLES" in os.environ:
        for number, table in enumerate(TABLES):
            _joined(path, "FastText on dev", str(number), on_dev(data, *table))
        return
    found = {}
    for variant in os.environ.get("VARIANTS", "random tencent").split():
        for name in os.environ.get("MODELS", " ".join(WORD_MODELS)).split():
            found = _joined(path, name, variant, run(name, variant, data, folder))
            for seed in (1, 2) if variant == "pairs" else ():
                _joined(path, name, f"{variant}, seed {seed}", run(name, variant, data, folder, seed=seed))
    if "naive Bayes" not in found:
        _joined(path, "naive Bayes", "counted", naive_bayes(data))
    if "MODELS" not in os.environ or "CURVE" in os.environ:
        of_the_log = {"options": {"embedding_dropout": 0.0}, "batch_size": 128}
        for variant in os.environ.get("VARIANTS", "random tencent").split():
            for size in CURVE:
                some = data if size is None else data.replace(train=Examples(list(data.train)[:size]))
                epochs = 5 if size is None else 10
                if variant == "pairs":
                    done = run("FastText", variant, some, folder, epochs=3 if size is None else 6)
                else:
                    done = run("TextCNN", variant, some, folder, epochs=epochs, **of_the_log)
                _joined(path, "curve", f"{variant} {len(some.train)}", done)


def _joined(path: Path, name: str, variant: str, done: dict[str, Any]) -> dict[str, Any]:
    """Several processes may each add a part."""
    kept = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else {}
    kept.setdefault(name, {})[variant] = done
    print(name, variant, done["dev"], done.get("test", ""), done["seconds"], flush=True)
    from course_lib.datasets import load_dataset
    from course_lib.datasets.thucnews import find_thucnews

    data = load_dataset(find_thucnews())
    found = {part: lengths(list(getattr(data, part).texts)) for part in ("dev", "test")}
    write("zoo_thucnews", published=PUBLISHED, lengths=found, threads=1, runs=kept)
    return kept
