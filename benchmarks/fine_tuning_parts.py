"""Which part of BERT is trained, and which vector the head reads: the same fine-tuning with one choice changed.

The embedded model learns all English training headlines by one recipe. Compared are

    how much is trained    the head alone (pooler and classifier), the last two layers and the head, or everything
    how fast each layer    all with one rate, or each layer with LAYER_DECAY times that of the layer above it
    what the head reads    pooler, [CLS], masked mean, and the masked mean of the last four layers, averaged or joined

All runs of a seed see the same order. No epoch is chosen: accuracy is that after the last step, on dev; the test split takes
no part. The rates are the recipe's, except for the head alone, which needs a higher one: HEAD_RATE, the best of
HEAD_RATES with seed 0. Differences to the recipe's own head, everything trained on the pooler, are paired headline by headline
(bootstrap, Efron 1979), after a mean over the seeds.

The embedded model was tuned for mean pooling (sentence-transformers), and its pooler took no part in that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.learning_curve import BATCH, DATA, RECIPE
from benchmarks.record import write

SEEDS = 3
HEAD_RATES = (1e-3, 5e-3)
LAYER_DECAY = 0.8
RESAMPLES = 10_000


class Pooled(nn.Module):
    """An encoder, a pooling, dropout and a linear layer.

    Args:
        bert: the encoder.
        pool: from its outputs and the attention mask (B, T) to (B, width).
    """

    def __init__(self, bert: Any, pool: Callable[[Any, Tensor], Tensor], width: int, classes: int) -> None:
        super().__init__()
        self.bert, self.pool = bert, pool
        self.dropout, self.classifier = nn.Dropout(0.1), nn.Linear(width, classes)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None, labels: Any = None
    ) -> Any:
        """Scores (B, K), and the loss where there are labels."""
        from course_lib.heads import HeadOutput, cross_entropy

        out = self.bert(input_ids, attention_mask, token_type_ids, output_hidden_states=True)
        logits = self.classifier(self.dropout(self.pool(out, attention_mask)))
        return HeadOutput(None if labels is None else cross_entropy(logits, labels), logits)


def poolings() -> dict[str, tuple[int, Callable[[Any, Tensor], Tensor]]]:
    """Name -> how many vectors it joins, and the function."""
    from course_lib import pooling

    return {
        "pooler": (1, lambda out, mask: out.pooler_output),
        "[CLS]": (1, lambda out, mask: pooling.cls(out.last_hidden_state)),
        "masked mean": (1, lambda out, mask: pooling.masked_mean(out.last_hidden_state, mask)),
        "masked mean, last four averaged": (
            1,
            lambda out, mask: pooling.masked_mean(pooling.mean_last(out.hidden_states), mask),
        ),
        "masked mean, last four joined": (
            4,
            lambda out, mask: pooling.masked_mean(pooling.concat_last(out.hidden_states), mask),
        ),
    }


def train(
    data: Any, seed: int, name: str, layers: int | None, rate: float | None = None, layer_decay: float | None = None
) -> dict[str, Any]:
    """One run: who is right on dev, the seconds, and how many numbers learned."""
    from course_lib import optim, pretrained
    from course_lib.bert import BertModel
    from course_lib.finetuning import fine_tune
    from course_lib.training import set_seed

    set_seed(seed)
    vectors, pool = poolings()[name]
    bert = BertModel.from_pretrained()
    model = Pooled(bert, pool, vectors * bert.config.hidden_size, len(data.labels))
    if layers is not None:
        optim.freeze(model, layers=layers)
    changes: dict[str, Any] = dict(RECIPE)
    if rate is not None:
        changes["head_learning_rate"] = rate
    if layer_decay is not None:
        changes["layer_decay"] = layer_decay
    from course_lib.datasets import Examples

    start = perf_counter()
    tuned = fine_tune(
        data.replace(dev=Examples()),
        model,
        tokenizer=pretrained.load_tokenizer(),
        seed=seed,
        batch_size=BATCH,
        progress=False,
        **changes,
    )
    seconds = perf_counter() - start
    found = tuned.evaluate(data.dev).evaluation
    right = (found.predictions == found.labels).double().numpy()
    learn = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"right": right, "seconds": seconds, "learn": learn, "loss": found.loss}


def interval(numbers: np.ndarray) -> list[float]:
    """The 95 % bootstrap interval of a mean over examples."""
    drawn = np.random.default_rng(0).integers(len(numbers), size=(RESAMPLES, len(numbers)))
    return [round(float(q), 4) for q in np.quantile(numbers[drawn].mean(axis=1), (0.025, 0.975))]


def run() -> dict[str, Any]:
    import torch

    from course_lib import pretrained
    from course_lib.datasets import load_dataset

    torch.set_num_threads(1)
    start, data = perf_counter(), load_dataset(DATA)
    tried = {rate: float(train(data, 0, "pooler", 0, rate)["right"].mean()) for rate in HEAD_RATES}
    head_rate = max(tried, key=lambda rate: tried[rate])
    arms: dict[str, tuple[str, int | None, float | None, float | None]] = {
        "the head alone": ("pooler", 0, head_rate, None),
        "the last two layers and the head": ("pooler", 2, None, None),
        "all layers, the lower the slower": ("pooler", None, None, LAYER_DECAY),
        "everything": ("pooler", None, None, None),
        **{f"everything, head on {name}": (name, None, None, None) for name in poolings() if name != "pooler"},
    }
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(SEEDS):
        for name, (pooled, layers, rate, layer_decay) in arms.items():
            done = train(data, seed, pooled, layers, rate, layer_decay)
            runs.setdefault(name, []).append(done)
            print(f"seed {seed}, {name}: {done['right'].mean():.3f} ({perf_counter() - start:.0f} s)", flush=True)
    means = {name: np.stack([run["right"] for run in found]).mean(axis=0) for name, found in runs.items()}
    return {
        "model": pretrained.find_model().name,
        "settings": {
            **RECIPE,
            "head_rate_of_the_head_alone": head_rate,
            "head_rates_tried": {f"{rate:g}": round(a, 4) for rate, a in tried.items()},
            "layer_decay_where_lower_is_slower": LAYER_DECAY,
            "batch": BATCH,
            "seeds": SEEDS,
            "precision": "auto",
            "threads": 1,
        },
        "examples": {name: len(part) for name, part in data.splits.items()},
        "arms": {
            name: {
                "accuracy": round(float(means[name].mean()), 4),
                "accuracy_by_seed": [round(float(run["right"].mean()), 4) for run in found],
                "deviation": round(float(np.std([run["right"].mean() for run in found], ddof=1)), 4),
                "loss": round(float(np.mean([run["loss"] for run in found])), 4),
                "learned_numbers": found[0]["learn"],
                "seconds_on_a_busy_machine": round(float(np.median([run["seconds"] for run in found])), 1),
                "minus_everything": round(float((means[name] - means["everything"]).mean()), 4),
                "minus_everything_interval": interval(means[name] - means["everything"]),
            }
            for name, found in runs.items()
        },
        "width_of_an_accuracy": round(1.96 * math.sqrt(0.83 * 0.17 / len(data.dev)), 4),
        "seconds_on_a_busy_machine": round(perf_counter() - start),
    }


def main() -> None:
    write("fine_tuning_parts", **run())
