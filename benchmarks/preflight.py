"""Seconds that preflight takes on a BERT of the default model's size, and trace on one of the size of bert-large."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.record import write

TURNS = 5


def run() -> dict[str, Any]:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    from course_lib.shapes.silent import preflight
    from course_lib.shapes.tracing import trace

    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=3)  # fmt: skip
    small = BertForSequenceClassification(config)
    seconds = {}
    for rows in (3, 4, 5):
        ids = torch.randint(1, 1000, (rows, 11))
        mask = torch.ones_like(ids)
        mask[1, 7:] = 0
        labels = torch.arange(rows) % 3
        times = []
        for _ in range(TURNS):
            start = perf_counter()
            found = preflight(small, ids, attention_mask=mask, labels=labels)
            times.append(perf_counter() - start)
        seconds[f"batch of {rows}"] = round(median(times), 2)
        assert found == [], found
    with torch.device("meta"):
        large = BertModel(BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096))  # fmt: skip
    large = large.to_empty(device="cpu")
    times = []
    for _ in range(TURNS):
        start = perf_counter()
        found = trace(large, torch.randint(1, 1000, (32, 128)))
        times.append(perf_counter() - start)
        assert found.error is None and not found.real
    return {
        "preflight_seconds": seconds,
        "parameters": sum(p.numel() for p in small.parameters()),
        "trace_of_bert_large_seconds": round(median(times), 2),
        "trace_rows": len(found.rows),
    }


def main() -> None:
    write("preflight", turns=TURNS, **run())
