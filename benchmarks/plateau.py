"""How long does a BERT stand still at the entropy of single words? The small run of notebook 06 with one choice changed.

The run: the docstrings of numpy, a vocabulary of 1,000, 2 layers of 128, rows of 16 tokens, 30 % of them hidden, no dropout,
batches of 1,024 tokens, AdamW, a linear schedule with a tenth of warm-up, clipping at 1, 600 steps; new weights with a spread
of 0.05, a rate of 1.5e-3. Each other run changes one of these, or lets the positions begin as sinusoids. The seed decides new
weights, rows and hidden words. The notebook's choices were made on other runs, of one seed; its positions by a run of this one.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from benchmarks.record import write

CHANGES: dict[str, dict[str, Any]] = {
    "the notebook's": {},
    "positions as waves": {"waves": True},
    "rate 3e-3": {"rate": 3e-3},
    "rate 5e-4": {"rate": 5e-4},
    "spread 0.02": {"spread": 0.02},
    "rows of 64": {"length": 64},
}
VOCABULARY, HIDDEN, LAYERS, HEADS, TOKENS, SHARE = 1000, 128, 2, 4, 1024, 0.3
STEPS, SEEDS, WINDOW = 600, 2, 40


def one(documents: Any, dev: Any, tokenizer: Any, seed: int, *, waves: bool = False, rate: float = 1.5e-3,
        spread: float = 0.05, length: int = 16) -> dict[str, Any]:  # fmt: skip
    """One run: the loss of every step, and the scores on dev."""
    from course_lib import training
    from course_lib.config import BertConfig
    from course_lib.heads import BertForMaskedLM
    from course_lib.positions import begin_as_sinusoids
    from course_lib.pretraining import PretrainingBatches, PretrainingLoss, kept_counts, pretraining_scores

    training.set_seed(seed)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            intermediate_size=4 * HIDDEN, max_position_embeddings=length, initializer_range=spread, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip
    if waves:
        begin_as_sinusoids(model)
    loss = PretrainingLoss(pairs=False)
    history = training.fit(
        model,
        PretrainingBatches(documents, tokenizer, length=length, tokens=TOKENS, share=SHARE, shuffle=seed),
        loss=loss, steps=STEPS, learning_rate=rate, schedule="linear", warmup=0.1, clip=1.0, weight_decay=0.01, progress=False,
    )  # fmt: skip
    held_out = PretrainingBatches(dev, tokenizer, length=length, tokens=4096, shuffle=None)
    scores = pretraining_scores(training.evaluate(model, held_out, loss=loss, keep=kept_counts))
    return {"losses": [step.loss for step in history.steps], "scores": scores}


def run() -> dict[str, Any]:
    import numpy as np
    import torch

    from course_lib.corpus import docstrings
    from course_lib.pretraining import NGrams, tokenize
    from course_lib.wordpiece import train_wordpiece

    torch.set_num_threads(1)
    start = perf_counter()
    train, dev = docstrings(("numpy",)).split(0.05)
    tokenizer = train_wordpiece(train.sentences(), VOCABULARY)
    documents, held_out = (tokenize(part.documents, tokenizer) for part in (train, dev))
    found: dict[str, Any] = {}
    for name, change in CHANGES.items():
        runs = [one(documents, held_out, tokenizer, seed, **change) for seed in range(SEEDS)]
        losses = np.array([r["losses"] for r in runs]).reshape(SEEDS, -1, WINDOW).mean(axis=2)
        found[name] = {
            "steps": list(range(WINDOW, STEPS + 1, WINDOW)),
            "mean_loss": [round(float(value), 4) for value in losses.mean(axis=0)],
            "last_loss": [round(float(value), 4) for value in losses[:, -1]],
            "dev_loss": [round(r["scores"]["word_loss"], 4) for r in runs],
            "dev_accuracy": [round(r["scores"]["accuracy"], 4) for r in runs],
        }
        print(name, found[name]["dev_loss"], found[name]["dev_accuracy"], f"{perf_counter() - start:.0f} s", flush=True)
    return {
        "runs": found,
        "entropy": round(NGrams(documents, VOCABULARY).entropy, 4),
        "corpus": repr(train),
        "settings": {"steps": STEPS, "seeds": SEEDS, "tokens": TOKENS, "share": SHARE, "threads": 1},
        "seconds": round(perf_counter() - start),
    }


def main() -> None:
    write("plateau", **run())
