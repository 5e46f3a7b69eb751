"""Every task on public data: the default model fine-tuned by one recipe, ours beside transformers' Trainer.

    COURSE_DATA=FOLDER python -m benchmarks public_data          (SETS="sst2_en stsb_en" SEEDS=3 SIDES=ours for a part)

The recipe: 2 epochs (3 for tags), batches of 32 (16 questions with answers), AdamW 5e-5 (1e-4 for tags), linear decay
after 10 % warm-up, clipping at 1, bfloat16 where it is native; the last epoch's weights are scored, not the best ones, for
dev is all that some sets have. Trainer has the same recipe in what it calls by the same names, group_by_length and fused
AdamW included. Columns and scores are ours on both sides. English sets have the embedded model; it knows two thirds of the
Chinese characters as [UNK], so the Chinese sets have mini_bert_zh, which this course pretrained.

Repeats are left out where a set has texts of train in dev or test. Results are added to those that the file has; no times
are kept, for sets may run side by side. MODEL names another model than the embedded one for the English sets.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, versions, where_and_when, write

EPOCHS, RATE, WARMUP, SIZE = 2, 5e-5, 0.1, 32
CHINESE = {"model": "mini_bert_zh", "learning_rate": 2e-4}  # a small model takes a higher rate
SETS: dict[str, dict[str, Any]] = {
    "sst2_en": {}, "stsb_en": {}, "wnut17_en": {"epochs": 3, "learning_rate": 1e-4}, "commonsenseqa_en": {},
    "squad11_en": {"batch_size": 16}, "chnsenticorp_zh": CHINESE, "afqmc_zh": CHINESE,
}  # fmt: skip


def run() -> None:
    folder = Path(os.environ["COURSE_DATA"])
    for name in os.environ.get("SETS", " ".join(SETS)).split():
        for side in os.environ.get("SIDES", "ours trainer").split():
            runs = [_run(folder / name, side, seed, SETS[name]) for seed in range(int(os.environ.get("SEEDS", "1")))]
            found = _known()  # read again: two sets can be measured side by side
            found.setdefault(name, {})[side] = _with(found.get(name, {}).get(side, []), runs)
            write("public_data", sets=found)


def _known() -> dict[str, Any]:
    file = RESULTS / "public_data.json"
    return json.loads(file.read_text(encoding="utf-8"))["sets"] if file.is_file() else {}


def _with(known: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All runs; one with the same seed on the same machine takes the place of an older one."""
    kept = {(one["machine"], one["seed"]): one for one in [*known, *runs]}
    return [kept[key] for key in sorted(kept)]


def load(folder: Path) -> Any:
    """The data set, without test and dev examples that train has too."""
    from course_lib.datasets import Examples, load_dataset
    from course_lib.datasets.examples import content

    if folder.name == "wnut17_en":  # its files have other names
        with tempfile.TemporaryDirectory() as place:
            for part, pattern in (("train", "wnut17train*"), ("dev", "emerging.dev*"), ("test", "emerging.test*")):
                file = next(folder.glob(pattern))
                content_bytes = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
                (Path(place) / f"{part}.conll").write_bytes(content_bytes)
            data = load_dataset(place)
    else:
        data = load_dataset(folder)
    seen = {content(example) for example in data.train}
    parts = {n: Examples(e for e in getattr(data, n) if content(e) not in seen) for n in ("dev", "test")}
    return data.replace(**parts)


def _run(folder: Path, side: str, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    from course_lib.datasets import Examples
    from course_lib.finetuning import FineTuned, fine_tune

    data = load(folder)
    without_dev = data.replace(dev=Examples())  # the last weights are scored
    recipe = {"epochs": EPOCHS, "learning_rate": RATE, "warmup": WARMUP, "batch_size": SIZE, **changes}
    name = recipe.pop("model", os.environ.get("MODEL", "embedded"))
    if side == "ours":
        tuned: FineTuned = fine_tune(without_dev, name, seed=seed, progress=False, **recipe)
    else:
        tuned = _trainer(without_dev, name, seed, recipe)
    sizes = {n: len(p) for n, p in data.splits.items()}
    found: dict[str, Any] = {
        "seed": seed, **where_and_when(), "versions": versions(),
        "model": name, "examples": sizes,
    }  # fmt: skip
    for part in ("dev", "test"):
        if len(getattr(data, part)):
            scores = tuned.evaluate(getattr(data, part), precision="auto").scores
            found[part] = {metric: round(value, 4) for metric, value in scores.items()}
    print(folder.name, side, seed, json.dumps(found), flush=True)
    return found


def _trainer(data: Any, name: str, seed: int, recipe: dict[str, Any]) -> Any:
    import torch
    import transformers
    from datasets import Dataset

    from course_lib import pretrained
    from course_lib.batching import PaddedBatches
    from course_lib.finetuning import TASKS, FineTuned, Reading

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(seed)
    tokenizer = pretrained.load_tokenizer(name)
    task = TASKS[data.task](data.labels, Reading())
    kind = getattr(transformers, task.head().__name__)
    model = kind.from_pretrained(pretrained.find_model(name).folder, dtype="float32", **task.configuration())
    columns = {
        key: column.tolist() if hasattr(column, "tolist") else column
        for key, column in task.prepare(data.train, tokenizer).columns.items()
    }

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return next(iter(PaddedBatches({n: [row[n] for row in rows] for n in columns}, size=len(rows))))

    with tempfile.TemporaryDirectory() as output:
        arguments = transformers.TrainingArguments(
            output, num_train_epochs=recipe["epochs"], learning_rate=recipe["learning_rate"], weight_decay=0.01,
            warmup_steps=recipe["warmup"], seed=seed, per_device_train_batch_size=recipe["batch_size"], save_strategy="no",
            report_to="none", use_cpu=not torch.cuda.is_available(), disable_tqdm=True, bf16=True, train_sampling_strategy="group_by_length",
            remove_unused_columns=False,
        )  # fmt: skip
        transformers.Trainer(model, arguments, train_dataset=Dataset.from_dict(columns), data_collator=collate).train()
    return FineTuned(model, tokenizer, task)


def main() -> None:
    if "COURSE_DATA" not in os.environ:
        print("COURSE_DATA is not set, so nothing is measured here; it names the folder with the public data sets.")
        return
    run()
