"""Why no decay on biases and LayerNorm? A fine-tuning with decay on everything, on matrices alone, and on nothing.

The embedded model learns the English headlines; only the decay differs. Runs of one seed begin with the same new head, see
the same order and draw the same dropout, so differences are taken seed by seed. Accuracy is that on dev after the last
epoch: no epoch and no rate is chosen, and the test split takes no part.

Beside the outcome stands the mechanism. AdamW multiplies a decayed weight by 1 - rate * decay at each step, whatever the
gradient says. The product over a run is what decay alone does: `left_by_decay_alone` of a weight is still there. It is
reckoned for these runs, and for BERT's own pretraining from the numbers in its paper (Devlin et al. 2019, appendix A.2: a
million steps, rate 1e-4, warm-up 10,000 steps, then linear, decay 0.01).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.record import write

DATA = Path(__file__).resolve().parents[1] / "data" / "headlines_en"
SEEDS, EPOCHS, BATCH, RATE, WARMUP = 6, 3, 32, 2e-4, 0.1
DECAYS = (0.01, 1.0, 100.0)


def encoded() -> dict[str, list[tuple[list[int], int]]]:
    """Split -> (ids, label) of each headline."""
    from course_lib import pretrained
    from course_lib.datasets import load_dataset

    tokenizer, data = pretrained.load_tokenizer(), load_dataset(DATA)
    return {
        name: list(zip(tokenizer(part.texts)["input_ids"], part.label_ids, strict=True))
        for name, part in data.splits.items()
    }


def batches(examples: list[tuple[list[int], int]], generator: Any = None) -> Iterator[dict[str, Any]]:
    """Batches of texts of like length, in another order each time if there is a generator."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    order = (
        list(range(len(examples))) if generator is None else torch.randperm(len(examples), generator=generator).tolist()
    )
    order.sort(key=lambda i: len(examples[i][0]))  # stable: texts of one length stay mixed
    cut = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    turns = range(len(cut)) if generator is None else torch.randperm(len(cut), generator=generator).tolist()
    for turn in turns:
        chosen = [examples[i] for i in cut[turn]]
        lengths = torch.tensor([len(ids) for ids, _ in chosen])
        yield {
            "input_ids": pad_sequence([torch.tensor(ids) for ids, _ in chosen], batch_first=True),  # [PAD] is 0
            "attention_mask": (torch.arange(int(lengths.max()))[None] < lengths[:, None]).long(),
            "labels": torch.tensor([label for _, label in chosen]),
        }


def fine_tune(
    data: dict[str, list[tuple[list[int], int]]],
    seed: int,
    groups: Callable[[Any], list[dict[str, Any]]],
    name: str = "linear",
    warmup: float = WARMUP,
    epochs: int = EPOCHS,
) -> dict[str, Any]:
    """One run: the model before and after, the losses of its steps, who is right on dev."""
    import torch

    from course_lib.heads import BertForSequenceClassification
    from course_lib.optim import adamw, schedule
    from course_lib.training import set_seed

    set_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the head is new is what is meant
        model = BertForSequenceClassification.from_pretrained(num_labels=1 + max(label for _, label in data["train"]))
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    optimizer = adamw(groups(model))
    steps = epochs * math.ceil(len(data["train"]) / BATCH)
    rate = schedule(name, optimizer, warmup, steps)
    generator, losses = torch.Generator().manual_seed(seed), []
    model.train()
    for _ in range(epochs):
        for batch in batches(data["train"], generator):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(**batch).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            rate.step()
            losses.append(loss.item())
    model.eval()
    right = []
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for batch in batches(data["dev"]):
            right.append((model(**batch).logits.argmax(dim=-1) == batch["labels"]).double())
    return {"before": before, "model": model, "losses": losses, "right": torch.cat(right).numpy()}


def arms() -> dict[str, Callable[[Any], list[dict[str, Any]]]]:
    """What decays -> the groups for it."""
    from course_lib.optim import parameter_groups

    def everything(decay: float) -> Callable[[Any], list[dict[str, Any]]]:
        return lambda model: [{**g, "weight_decay": decay} for g in parameter_groups(model, learning_rate=RATE)]

    def matrices(decay: float) -> Callable[[Any], list[dict[str, Any]]]:
        return lambda model: parameter_groups(model, weight_decay=decay, learning_rate=RATE)

    found = {"none": everything(0.0)}
    for decay in DECAYS:
        found[f"matrices alone, {decay:g}"] = matrices(decay)
        found[f"everything, {decay:g}"] = everything(decay)
    return found


def left_by_decay_alone(rates: list[float], decay: float) -> float:
    """What is left of 1 after a run of nothing but decay."""
    return math.exp(sum(math.log1p(-rate * decay) for rate in rates))


def sizes(parameters: dict[str, Any], model: Any) -> dict[str, float]:
    """Root mean square of the LayerNorm scales, of all biases, of all matrices of layers, and the mean of the scales."""
    import torch
    from torch import nn

    kinds: dict[str, list[Any]] = {"LayerNorm scales": [], "biases": [], "matrices": []}
    for name, value in parameters.items():
        owner = model.get_submodule(name.rpartition(".")[0])
        scale = isinstance(owner, nn.LayerNorm) and name.endswith(".weight")
        if not isinstance(owner, nn.Embedding):
            kinds["LayerNorm scales" if scale else "biases" if value.dim() == 1 else "matrices"].append(value.flatten())
    joined = {kind: torch.cat(values).detach().double() for kind, values in kinds.items()}
    found = {kind: float(values.pow(2).mean().sqrt()) for kind, values in joined.items()}
    return {**found, "mean LayerNorm scale": float(joined["LayerNorm scales"].mean())}


def counts(model: Any) -> dict[str, Any]:
    """How many numbers decay by kind, and how many do not."""
    from course_lib.optim import parameter_groups

    numbers = {g["name"]: sum(p.numel() for p in g["params"]) for g in parameter_groups(model)}
    return {**numbers, "share not decayed": round(numbers["not decayed"] / sum(numbers.values()), 5)}


def spread(accuracies: list[float]) -> dict[str, Any]:
    """Mean, standard deviation and every value of a number, seed by seed."""
    return {
        "mean": round(float(np.mean(accuracies)), 4),
        "deviation": round(float(np.std(accuracies, ddof=1)), 4),
        "by_seed": [round(a, 4) for a in accuracies],
    }


def paired(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """The mean difference over seeds, with its 95 % interval (Student's t)."""
    from scipy import stats

    gaps = np.array(ours) - np.array(theirs)
    half = float(stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / math.sqrt(len(gaps)))
    return {
        "mean": round(float(gaps.mean()), 4),
        "interval": [round(float(gaps.mean()) + s * half, 4) for s in (-1, 1)],
    }


def run() -> dict[str, Any]:
    import torch

    from course_lib import pretrained
    from course_lib.optim import rates

    torch.set_num_threads(1)
    start, data = perf_counter(), encoded()
    steps = EPOCHS * math.ceil(len(data["train"]) / BATCH)
    run_rates = rates("linear", WARMUP, steps, RATE)
    accuracy: dict[str, list[float]] = {}
    size: dict[str, Any] = {}
    before, numbers = {}, {}
    for seed in range(SEEDS):
        for arm, groups in arms().items():
            done = fine_tune(data, seed, groups)
            accuracy.setdefault(arm, []).append(float(done["right"].mean()))
            if seed == 0:
                size[arm] = sizes(dict(done["model"].named_parameters()), done["model"])
                before, numbers = sizes(done["before"], done["model"]), counts(done["model"])
    return {
        "model": pretrained.find_model().name,
        "settings": {
            "seeds": SEEDS,
            "epochs": EPOCHS,
            "batch": BATCH,
            "learning_rate": RATE,
            "schedule": "linear",
            "warmup": WARMUP,
            "steps": steps,
            "precision": "bfloat16 autocast",
            "threads": 1,
        },
        "examples": {name: len(part) for name, part in data.items()},
        "numbers": numbers,
        "accuracy": {arm: spread(values) for arm, values in accuracy.items()},
        "everything_minus_matrices": {
            f"{d:g}": paired(accuracy[f"everything, {d:g}"], accuracy[f"matrices alone, {d:g}"]) for d in DECAYS
        },
        "minus_none": {arm: paired(v, accuracy["none"]) for arm, v in accuracy.items() if arm != "none"},
        "left_by_decay_alone": {f"{d:g}": round(left_by_decay_alone(run_rates, d), 6) for d in DECAYS},
        "left_by_decay_alone_in_pretraining": round(
            left_by_decay_alone(rates("linear", 10_000, 1_000_000, 1e-4), 0.01), 4
        ),
        "sizes_before": {k: round(v, 5) for k, v in before.items()},
        "sizes_after": {arm: {k: round(v, 5) for k, v in found.items()} for arm, found in size.items()},
        "seconds": round(perf_counter() - start),
    }


def main() -> None:
    write("decay", **run())
