"""Our BERT against transformers' (sdpa): the same weights, batch and threads, in turn in one run.

Forward pass and training step (forward and backward) of the encoder on dense batches, and a training step of the
masked-word head with 15 % of the positions labelled, where ours projects those positions alone; this once more with
gradient checkpointing. Ratios are medians over paired turns: below 1, ours is faster. The matrix-product limit is what
this machine reaches on one large product, timed in the same turns; the share is how near all products of a pass come.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.record import write
from benchmarks.turns import in_turn, ratio

BATCH, TOKENS, TURNS = 16, 128, 11
LIMIT = 2048  # rows and columns of the product that stands for the machine's limit


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

    operations = products(ours, BATCH, TOKENS)
    numbers = {"forward": compare(forward, ours, theirs, operations)}
    ours.train(), theirs.train()
    # backward, each product becomes two: one for the gradient of its input, one for that of its weights
    numbers["training_step"] = compare(step, ours, theirs, 3 * operations)
    return numbers | masked_words(ids, mask)


def masked_words(ids: Any, mask: Any) -> dict[str, dict[str, float]]:
    """The training step of the masked-word head, as it is and with gradient checkpointing on both sides."""
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
    theirs.load_state_dict(ours.state_dict())
    labels = torch.where(torch.rand(ids.shape) < 0.15, ids, -100)

    def step(model: torch.nn.Module) -> None:
        model.zero_grad(set_to_none=True)
        extra = {"full_logits": False} if model is ours else {}
        model(input_ids=ids, attention_mask=mask, labels=labels, **extra).loss.backward()

    found = {"masked_words": compare(step, ours.train(), theirs.train())}
    ours.bert.gradient_checkpointing = True
    theirs.gradient_checkpointing_enable()
    return found | {"masked_words_checkpointed": compare(step, ours, theirs)}


def products(model: Any, batch: int, tokens: int) -> int:
    """Floating-point operations in the matrix products of a forward pass: linear layers and attention.

    A product of (n, k) and (k, m) is n k m multiplications and as many additions. The pooler, one row a text, is not in.
    """
    config = model.config
    weights = sum(p.numel() for name, p in model.encoder.named_parameters() if p.dim() == 2)
    attention = 2 * tokens * config.hidden_size * config.num_hidden_layers  # for each token: scores, and their mixture
    return 2 * batch * tokens * (weights + attention)


def compare(work: Callable[[Any], None], ours: Any, theirs: Any, operations: int = 0) -> dict[str, float]:
    """Seconds of both, the ratio ours / theirs, and with `operations` our share of the matrix-product limit."""
    import torch

    a, b = torch.randn(LIMIT, LIMIT), torch.randn(LIMIT, LIMIT)
    limit = {"limit": lambda: a @ b} if operations else {}
    seconds = in_turn({"ours": lambda: work(ours), **limit, "transformers": lambda: work(theirs)}, TURNS)
    found = {
        "ours_seconds": round(median(seconds["ours"]), 4),
        "transformers_seconds": round(median(seconds["transformers"]), 4),
        **ratio(seconds["ours"], seconds["transformers"]),
    }
    if operations:
        rates = [2 * LIMIT**3 / time for time in seconds["limit"]]  # operations a second
        shares = [operations / time / rate for time, rate in zip(seconds["ours"], rates, strict=True)]
        found["share_of_matrix_product_limit"] = round(median(shares), 3)
        found["matrix_product_gflops"] = round(median(rates) / 1e9, 1)
    return found


def main() -> None:
    write("bert", batch=BATCH, tokens=TOKENS, turns=TURNS, **run())
