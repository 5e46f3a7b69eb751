"""Forward pass and training step on texts of natural lengths: ours with batches by length, transformers' with its own.

The same texts, the same number of batches of 32, the same weights, in turn in one run. "as_used" sets our model on
batches of texts of like length against transformers' (sdpa) on batches in the order of the file, each padded to its
longest by DataCollatorWithPadding, which is what most people write. On "identical" batches only the code differs; what
is left between the two is what sorting saves, and it saves that for either. Batches are made beforehand.

headlines_en is the course's own. With COURSE_DATA set to a folder that holds sst2_en and thucnews (dev.tsv and dev.txt,
a text, a tab and a label a line), those are measured too. The embedded vocabulary gives Chinese one token a character.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import write
from benchmarks.turns import in_turn, ratio

TEXTS, BATCH, TURNS = 256, 32, 5
ROOT = Path(__file__).resolve().parents[1]
OTHERS = {"sst2_en": "dev.tsv", "thucnews": "dev.txt"}


def natural_texts(count: int | None = None) -> dict[str, list[str]]:
    """The first `count` texts of each data set that is there, by its name; a line on stderr for what is not."""
    files = {"headlines_en": ROOT / "data" / "headlines_en" / "train.txt"}
    if folder := os.environ.get("COURSE_DATA"):
        files |= {name: Path(folder) / name / file for name, file in OTHERS.items()}
    else:
        print(f"COURSE_DATA is not set: without {' and '.join(OTHERS)}.", file=sys.stderr)
    found = {}
    for name, path in files.items():
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()[:count]
            found[name] = [line.rsplit("\t", 1)[0] for line in lines]
        else:
            print(f"There is no {path}: without {name}.", file=sys.stderr)
    return found


def run() -> dict[str, Any]:
    from course_lib import pretrained
    from course_lib.bert import BertModel

    tokenizer = pretrained.load_tokenizer("embedded")
    models = {"ours": BertModel.from_pretrained("embedded"), "transformers": pretrained.load_model("embedded")}
    return {name: compare(texts, models, tokenizer) for name, texts in natural_texts(TEXTS).items()}


def compare(texts: list[str], models: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """Both models on both kinds of batches, forward and training step."""
    rows = tokenizer(texts, truncation=True)["input_ids"]
    in_file_order = list(range(len(rows)))
    kinds = {
        "file_order": make_batches(rows, in_file_order, tokenizer),
        "by_length": make_batches(rows, sorted(in_file_order, key=lambda i: len(rows[i])), tokenizer),
    }
    tokens = sum(map(len, rows))
    found: dict[str, Any] = {
        "texts": len(rows),
        "tokens_a_text": {"median": median(map(len, rows)), "longest": max(map(len, rows))},
        "padding_share": {
            kind: round(1 - tokens / sum(b["input_ids"].numel() for b in batches), 3) for kind, batches in kinds.items()
        },
    }
    for work in (forward, training_step):
        for model in models.values():
            model.train(work is training_step)
        ways = {
            f"{name}_{kind}": partial(work, model, batches)
            for kind, batches in kinds.items()
            for name, model in models.items()
        }
        seconds = in_turn(ways, TURNS, warm_up=1)
        found[work.__name__] = {
            "texts_per_second": {name: round(len(rows) / median(times), 1) for name, times in seconds.items()},
            "as_used": ratio(seconds["ours_by_length"], seconds["transformers_file_order"]),
            "identical_by_length": ratio(seconds["ours_by_length"], seconds["transformers_by_length"]),
            "identical_file_order": ratio(seconds["ours_file_order"], seconds["transformers_file_order"]),
        }
    return found


def make_batches(rows: list[list[int]], order: list[int], tokenizer: Any) -> list[dict[str, Any]]:
    """Batches of texts in this order, each padded to its longest."""
    from transformers import DataCollatorWithPadding

    collate = DataCollatorWithPadding(tokenizer)
    chosen = (order[start : start + BATCH] for start in range(0, len(order), BATCH))
    return [dict(collate([{"input_ids": rows[i]} for i in numbers])) for numbers in chosen]


def forward(model: Any, batches: list[dict[str, Any]]) -> None:
    import torch

    with torch.no_grad():
        for batch in batches:
            model(**batch)


def training_step(model: Any, batches: list[dict[str, Any]]) -> None:
    """Forward and backward for each batch; the optimizer's part is the same on both sides and left out."""
    for batch in batches:
        model.zero_grad(set_to_none=True)
        model(**batch).last_hidden_state.square().mean().backward()


def main() -> None:
    write("lengths", batch=BATCH, turns=TURNS, **run())
