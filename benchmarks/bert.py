"""Our BERT against transformers' (sdpa): the same weights, batch and threads, in turn in one run.

Forward pass and training step of the encoder on dense batches, and a training step of the masked-word head with 15 % of
the positions labelled, where ours projects those positions alone. Ratios are medians over paired turns: below 1, ours is
faster. The matrix-product limit is what this machine reaches on one large product.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.record import write

BATCH, TOKENS, TURNS = 16, 128, 9


def run() -> dict[str, Any]:
    import torch

    from course_lib import pretrained
    from course_lib.bert import BertModel

    torch.manual_seed(0)
    ids = torch.randint(1000, 30000, (BATCH, TOKENS))
    mask = torch.ones_like(ids)
    ours, theirs = BertModel.from_pretrained("embedded"), pretrained.load_model("embedded")

    def forward(model: torch.nn.Module) -> None:
        with torch.no_grad():
            model(input_ids=ids, attention_mask=mask)

    def step(model: torch.nn.Module) -> None:
        model.zero_grad(set_to_none=True)
        model(input_ids=ids, attention_mask=mask).last_hidden_state.square().mean().backward()

    numbers = {"forward": compare(forward, ours, theirs)}
    ours.train(), theirs.train()
    numbers["training_step"] = compare(step, ours, theirs)
    flops = 2 * BATCH * TOKENS * sum(p.numel() for n, p in ours.named_parameters() if "encoder" in n and p.dim() == 2)
    limit = matrix_product_limit()
    numbers["forward"]["share_of_matrix_product_limit"] = round(flops / numbers["forward"]["ours_seconds"] / limit, 3)
    return {**numbers, "masked_words": masked_words(ids, mask), "matrix_product_gflops": round(limit / 1e9, 1)}


def masked_words(ids: Any, mask: Any) -> dict[str, float]:
    import torch
    import transformers

    from course_lib import pretrained
    from course_lib.checkpoint import read_bert_config
    from course_lib.heads import BertForMaskedLM

    config = read_bert_config(pretrained.find_model("embedded"))
    torch.manual_seed(0)
    ours = BertForMaskedLM(config)
    theirs = transformers.BertForMaskedLM(
        transformers.BertConfig(**pretrained.read_config(pretrained.find_model("embedded")))
    )
    labels = torch.where(torch.rand(ids.shape) < 0.15, ids, -100)

    def step(model: torch.nn.Module) -> None:
        model.zero_grad(set_to_none=True)
        extra = {"full_logits": False} if model is ours else {}
        model(input_ids=ids, attention_mask=mask, labels=labels, **extra).loss.backward()

    return compare(step, ours.train(), theirs.train())


def compare(work: Callable[[Any], None], ours: Any, theirs: Any) -> dict[str, float]:
    """Seconds of both, in turn, and the median ratio ours / theirs."""
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(TURNS + 2):
        # who goes first changes from turn to turn: a machine that slows down meets both alike
        for name, model in (("ours", ours), ("theirs", theirs))[:: 1 if turn % 2 else -1]:
            start = perf_counter()
            work(model)
            if turn >= 2:  # the first turns warm up
                times[name].append(perf_counter() - start)
    ratios = [a / b for a, b in zip(times["ours"], times["theirs"], strict=True)]
    return {
        "ours_seconds": round(median(times["ours"]), 4),
        "transformers_seconds": round(median(times["theirs"]), 4),
        "ratio": round(median(ratios), 3),
        "ratio_lowest": round(min(ratios), 3),
        "ratio_highest": round(max(ratios), 3),
    }


def matrix_product_limit(size: int = 2048, turns: int = 7) -> float:
    """Floating-point operations a second of one large float32 matrix product."""
    import torch

    a, b = torch.randn(size, size), torch.randn(size, size)
    times = []
    for _ in range(turns):
        start = perf_counter()
        a @ b
        times.append(perf_counter() - start)
    return 2 * size**3 / median(times[1:])


def main() -> None:
    write("bert", batch=BATCH, tokens=TOKENS, turns=TURNS, **run())
