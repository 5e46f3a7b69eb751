"""Pretraining speed: ours beside transformers' BertForMaskedLM with its collator and Trainer, each in a fresh process.

One corpus (the docstrings of numpy and scipy, WordPiece of 8,000 pieces learned on them), one model (mini: 4 layers of 256,
dropout 0.1), masked words alone, rows of 128 tokens, 64 rows a batch, AdamW, clipping at 1, no evaluation, nothing saved:

    trainer          Trainer with the defaults of TrainingArguments; rows of exactly 128 tokens, cut from the text run together,
                     as transformers' own example script makes them; DataCollatorForLanguageModeling
    trainer_tuned    the same in bfloat16
    ours             course_lib.pretraining: rows of whole sentences, batches and masks made on the way
    without_...      ours with one of its choices switched off

Tokens a second counts tokens of text and not padding. Memory is what the process held at most, less what it held before
training. The share of the limit: the products of matrices that a step has to do, in floating-point operations a second,
beside what one product of the model's own sizes reaches on this machine alone, in the same precision.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import write
from benchmarks.trainer import _Clock
from benchmarks.turns import ratio

ROOT = Path(__file__).resolve().parents[1]
LENGTH, ROWS, VOCABULARY = 128, 64, 8000
STEPS, TURNS = int(os.environ.get("STEPS", "40")), int(os.environ.get("TURNS", "3"))
WAYS = (
    "ours", "trainer", "trainer_tuned", "without_bfloat16", "without_gathering", "without_even_sizes",
    "without_quick_dropout", "without_fused_adamw",
)  # fmt: skip


def run() -> dict[str, Any]:
    from course_lib.corpus import docstrings
    from course_lib.wordpiece import train_wordpiece

    corpus = docstrings(["numpy", "scipy"])
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        train_wordpiece(corpus.sentences(), VOCABULARY).save_pretrained(folder)
        for turn in range(TURNS):
            for way in WAYS[:: 1 if turn % 2 else -1]:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.pretraining", way, folder],
                    capture_output=True, text=True, cwd=ROOT, check=False,
                )  # fmt: skip
                if done.returncode:
                    raise RuntimeError(f"{way} failed:\n{done.stderr[-2000:]}")
                turns[way].append(json.loads(done.stdout.splitlines()[-1]))
                print(turn, way, turns[way][-1], file=sys.stderr, flush=True)
    found: dict[str, Any] = {
        way: {name: round(median(t[name] for t in each), 3) for name in each[0]} for way, each in turns.items()
    }
    seconds = {way: [1 / t["tokens_a_second"] for t in each] for way, each in turns.items()}
    for way in WAYS[1:]:
        found[f"{way}_by_ours"] = ratio(seconds[way], seconds["ours"])
    limit = median(_limit() for _ in range(TURNS))
    found["limit_gflops"] = round(limit, 1)
    found["share_of_the_limit"] = round(found["ours"]["gflops"] / limit, 3)
    return {"steps": STEPS, "turns": TURNS, "corpus": repr(corpus), "ways": found}


def _operations(positions: int, hidden: int, config: Any) -> float:
    """Of a training step's matrix products: twice as many backward as forward, two for a product and its sum."""
    h, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    a_position = layers * (4 * h * h + 2 * h * f + 2 * LENGTH * h)  # projections, feed-forward, scores and sums
    return 6.0 * (positions * a_position + hidden * (h * h + h * config.vocab_size))


def _limit() -> float:
    """GFLOP/s of one product of the feed-forward's sizes, (rows x length, H) times (H, F), in the precision of `ours`."""
    import time

    import torch

    from course_lib.devices import native_bfloat16

    kind = torch.bfloat16 if native_bfloat16(torch.device("cpu")) else torch.float32
    x, w = torch.randn(ROWS * LENGTH, 256).to(kind), torch.randn(256, 1024).to(kind)
    for _ in range(20):
        x @ w
    times = []
    for _ in range(50):
        start = time.perf_counter()
        x @ w
        times.append(time.perf_counter() - start)
    return 2 * x.shape[0] * x.shape[1] * w.shape[1] / median(times) / 1e9


def once(way: str, folder: str) -> dict[str, float]:
    """One short pretraining in this process."""
    from transformers import BertTokenizer

    from course_lib.corpus import docstrings
    from course_lib.pretraining import tokenize

    tokenizer = BertTokenizer.from_pretrained(folder)
    documents = tokenize(docstrings(["numpy", "scipy"]).documents, tokenizer)
    return (_trainer if way.startswith("trainer") else _ours)(way, documents, tokenizer)


def _ours(way: str, documents: Any, tokenizer: Any) -> dict[str, float]:
    import torch
    from torch.nn import functional as F

    from course_lib import batching, heads, optim
    from course_lib.config import BertConfig
    from course_lib.heads import BertForMaskedLM
    from course_lib.pretraining import SIZES, PretrainingBatches, PretrainingLoss
    from course_lib.training import Recipe, fit, set_seed

    set_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=VOCABULARY, **SIZES["mini"]))
    loss = PretrainingLoss(pairs=False)
    if way == "without_gathering":
        loss.arguments = {}
    if way == "without_even_sizes":
        heads._even = lambda count: count
        batching._length_class = lambda length: length
    if way == "without_quick_dropout":
        import course_lib.dropout

        course_lib.dropout.dropout = F.dropout
    if way == "without_fused_adamw":
        plain = optim.adamw
        optim.adamw = lambda *a, **k: plain(*a, **{**k, "fused": False})
    counts = {"tokens": 0, "positions": 0, "hidden": 0}

    class Counted:
        def __iter__(self) -> Any:
            for batch in PretrainingBatches(documents, tokenizer, length=LENGTH, tokens=None, size=ROWS):
                counts["tokens"] += int(batch["attention_mask"].sum())
                counts["positions"] += batch["input_ids"].numel()
                counts["hidden"] += int((batch["labels"] != -100).sum())
                yield batch

    precision = "float32" if way == "without_bfloat16" else "auto"
    recipe = Recipe(steps=STEPS, learning_rate=5e-4, schedule="linear", warmup=0.1, clip=1.0, precision=precision)
    clock = _Clock()
    clock.start()
    history = fit(model, Counted(), recipe=recipe, loss=loss)
    clock.stop()
    found = clock.found()
    operations = _operations(counts["positions"], counts["hidden"], model.config)
    assert torch.isfinite(torch.tensor(history.steps[-1].loss))
    return {
        "tokens_a_second": counts["tokens"] / found["seconds"],
        "gflops": operations / found["seconds"] / 1e9,
        "last_loss": history.steps[-1].loss,
        **found,
    }


def _trainer(way: str, documents: Any, tokenizer: Any) -> dict[str, float]:
    import numpy as np
    import transformers
    from datasets import Dataset

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(0)
    from course_lib.pretraining import SIZES

    model = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=VOCABULARY, **SIZES["mini"]))
    rows = len(documents.ids) // (LENGTH - 2)
    ids = np.asarray(documents.ids[: rows * (LENGTH - 2)]).reshape(rows, LENGTH - 2).astype(np.int64)
    edge = [np.full((rows, 1), i) for i in (tokenizer.cls_token_id, tokenizer.sep_token_id)]
    data = Dataset.from_dict({"input_ids": np.concatenate([edge[0], ids, edge[1]], axis=1)})
    with tempfile.TemporaryDirectory() as output:
        arguments = transformers.TrainingArguments(
            output, max_steps=STEPS, learning_rate=5e-4, weight_decay=0.01, warmup_steps=0.1, seed=0,
            per_device_train_batch_size=ROWS, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
            logging_strategy="no", bf16=way == "trainer_tuned",
        )  # fmt: skip
        trainer = transformers.Trainer(
            model, arguments, train_dataset=data, data_collator=transformers.DataCollatorForLanguageModeling(tokenizer),
        )  # fmt: skip
        clock = _Clock()
        clock.start()
        done = trainer.train()
        clock.stop()
    found = clock.found()
    tokens = STEPS * ROWS * LENGTH
    return {
        "tokens_a_second": tokens / found["seconds"],
        "gflops": _operations(tokens, tokens, model.config) / found["seconds"] / 1e9,
        "last_loss": done.training_loss,
        **found,
    }


def main() -> None:
    write("pretraining", **run())


if __name__ == "__main__":
    print(json.dumps(once(sys.argv[1], sys.argv[2])))
