"""How much of a forward pass is pooling? The masked mean of the last four layers against the encoder itself.

Both are timed in turn in one run, so that a slow moment of the machine meets both; medians over the turns.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

from benchmarks.record import write


def run() -> dict[str, float]:
    import torch

    from course_lib import pooling, pretrained

    model = pretrained.load_model("embedded")
    ids = torch.randint(1000, 30000, (32, 128), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    encoder, pool, first = [], [], []
    with torch.no_grad():
        for turn in range(12):
            start = perf_counter()
            states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            middle = perf_counter()
            pooling.masked_mean(pooling.mean_last(states), mask)
            end = perf_counter()
            pooling.cls(pooling.mean_last([state[:, :1] for state in states]))
            last = perf_counter()
            if turn >= 2:  # the first turns warm up
                encoder.append(middle - start)
                pool.append(end - middle)
                first.append(last - end)
    return {
        "batch": 32,
        "tokens": 128,
        "forward_seconds": round(median(encoder), 4),
        "pooling_seconds": round(median(pool), 5),
        "cls_seconds": round(median(first), 6),
        "pooling_share": round(median(p / e for p, e in zip(pool, encoder, strict=True)), 4),
    }


def main() -> None:
    write("pooling", **run())
