"""Fine-tuning to the same accuracy: ours beside transformers' Trainer, in turns, each in a fresh process.

One recipe for all: the embedded model, a new classifier, batches of 32, 2 epochs, AdamW 5e-5 with linear decay after 10 %
warm-up, clipping at 1, an evaluation on dev after each epoch, nothing saved. What differs:

    trainer          transformers' BertForSequenceClassification in Trainer, with the defaults of TrainingArguments
    trainer_tuned    the same with what TrainingArguments offers: group_by_length, fused AdamW, bfloat16
    ours             course_lib.finetuning.fine_tune
    without_...      ours with one of its choices switched off, which tells what that one contributes
    with_...         ours with something that was tried and not taken: query, key and value as one product of matrices;
                     torch.compile, whose compilation is a part of the run (it needs a C++ compiler)

Seconds are those of training with its evaluations, without imports, loading and tokenising. Memory is what the process held
at most, less what it held before training. Two data sets: the course's headlines, and SST-2 where COURSE_DATA is set.
Two epochs of the few headlines end in the steep part of the curve, where seeds differ by ten points and more; so there is
`headlines_longer` too, with 4 epochs at 2e-4, which end where the curve is flat. Turns have seeds 0, 1, ...; `dev_by_turn`
has their accuracies. (SETS=sst2 TURNS=1 for a part; results are added to those that the file has.)
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

from benchmarks.record import RESULTS, write
from benchmarks.turns import ratio

ROOT = Path(__file__).resolve().parents[1]
SIZE, WARMUP = 32, 0.1
EPOCHS, RATE = 2, 5e-5  # but of headlines_longer
LONGER = (4, 2e-4)
MAIN = ("ours", "trainer", "trainer_tuned")
SWITCHES = (
    "without_bfloat16", "without_length_groups", "without_quick_dropout", "without_first_token_only",
    "without_occurring_rows", "without_kept_memory", "with_one_projection", "with_compilation",
)  # fmt: skip
TURNS = int(os.environ.get("TURNS", "3"))


def run() -> dict[str, Any]:
    kept = RESULTS / "trainer.json"
    found = json.loads(kept.read_text(encoding="utf-8"))["sets"] if kept.is_file() else {}
    sets = {"headlines": ROOT / "data" / "headlines_en", "headlines_longer": ROOT / "data" / "headlines_en"}
    if "COURSE_DATA" in os.environ:
        sets["sst2"] = Path(os.environ["COURSE_DATA"]) / "sst2_en"
    for name in os.environ.get("SETS", " ".join(sets)).split():
        recipe = LONGER if name == "headlines_longer" else (EPOCHS, RATE)
        found[name] = _compare(sets[name], recipe, MAIN + (SWITCHES if name == "headlines" else ()))
    return {"sets": found}


def _compare(folder: Path, recipe: tuple[int, float], ways: tuple[str, ...]) -> dict[str, Any]:
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for turn in range(TURNS):
        for way in ways[:: 1 if turn % 2 else -1]:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.trainer", way, str(folder), str(turn), *map(str, recipe)],
                capture_output=True, text=True, cwd=ROOT, check=False,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"{way} failed:\n{done.stderr[-2000:]}")
            turns[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(folder.name, turn, way, turns[way][-1], file=sys.stderr, flush=True)
    found: dict[str, Any] = {
        way: {name: round(median(t[name] for t in each), 4) for name in each[0]} for way, each in turns.items()
    }
    seconds = {way: [t["seconds"] for t in each] for way, each in turns.items()}
    found["trainer_by_ours"] = ratio(seconds["trainer"], seconds["ours"])
    found["trainer_tuned_by_ours"] = ratio(seconds["trainer_tuned"], seconds["ours"])
    for way in ways[len(MAIN) :]:
        found[f"{way}_by_ours"] = ratio(seconds[way], seconds["ours"])
    found["dev_by_turn"] = {way: [t["dev"] for t in each] for way, each in turns.items()}
    return {"turns": TURNS, "epochs": recipe[0], "learning_rate": recipe[1], **found}


def once(way: str, folder: str, seed: int, epochs: int = EPOCHS, rate: float = RATE) -> dict[str, float]:
    """One fine-tuning in this process."""
    from course_lib.datasets import load_dataset

    data = load_dataset(folder)
    measured = (_trainer if way.startswith("trainer") else _ours)(way, data, seed, epochs, rate)
    return {name: round(value, 4) for name, value in measured.items()}


def _ours(way: str, data: Any, seed: int, epochs: int, rate: float) -> dict[str, float]:
    import torch
    from torch.nn import functional as F

    from course_lib import batching, finetuning, training
    from course_lib.bert import BertModel

    changes: dict[str, Any] = {}
    if way == "without_bfloat16":
        changes["precision"] = "float32"
    if way == "without_length_groups":  # batches as they come
        batching._length_class = lambda length: 1
    if way == "without_quick_dropout":
        import course_lib.dropout

        course_lib.dropout.dropout = F.dropout
    if way == "without_first_token_only":
        whole = BertModel.forward
        BertModel.forward = lambda self, *a, first_token_only=False, **k: whole(self, *a, **k)
    if way == "without_occurring_rows":
        import course_lib.finetuning.vocabulary

        course_lib.finetuning.vocabulary._WORTH_IT = 0.0
    if way == "without_kept_memory":
        import contextlib

        import course_lib.training.loop

        course_lib.training.loop.freed_memory_kept = contextlib.nullcontext
    if way == "with_one_projection":
        _project_once()
    clock = _Clock()
    fit = training.fit

    def timed(model: Any, *args: Any, **kwargs: Any) -> Any:
        if way == "with_compilation":
            model.bert.compile(dynamic=True)
        clock.start()
        done = fit(model, *args, **kwargs)
        clock.stop()
        return done

    training.fit = timed
    tuned = finetuning.fine_tune(
        data,
        "embedded",
        epochs=epochs,
        learning_rate=rate,
        warmup=WARMUP,
        batch_size=SIZE,
        seed=seed,
        progress=False,
        **changes,
    )
    torch.manual_seed(0)
    return {**clock.found(), "dev": tuned.history.records[-1].scores["accuracy"]}


def _project_once() -> None:
    """Query, key and value of all tokens by one product, of the three tables one below the other."""
    import torch
    from torch.nn import functional as F

    from course_lib.bert import SelfAttention

    plain = SelfAttention.forward

    def forward(self: Any, x: Any, mask: Any, causal: bool, explicit: bool, asking: Any = None) -> Any:
        if asking is not None:  # the last layer asks for [CLS] alone
            return plain(self, x, mask, causal, explicit, asking)
        parts = (self.query, self.key, self.value)
        weight, bias = (torch.cat([getattr(part, name) for part in parts]) for name in ("weight", "bias"))
        q, k, v = (self._split(one) for one in F.linear(x, weight, bias).chunk(3, dim=-1))
        weights = q @ k.transpose(-1, -2) / self.head_size**0.5
        mixed = self.dropout((weights if mask is None else weights + mask).softmax(dim=-1)) @ v
        return mixed.transpose(1, 2).flatten(2), None

    SelfAttention.forward = forward


def _trainer(way: str, data: Any, seed: int, epochs: int, rate: float) -> dict[str, float]:
    import numpy as np
    import transformers
    from datasets import Dataset

    from course_lib import pretrained

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(seed)
    tokenizer = pretrained.load_tokenizer("embedded")
    folder = pretrained.find_model("embedded").folder
    model = transformers.BertForSequenceClassification.from_pretrained(folder, num_labels=len(data.labels))

    def columns(part: Any) -> Dataset:
        rows = tokenizer(part.texts, truncation=True, max_length=512)
        return Dataset.from_dict({**rows, "labels": part.label_ids})

    train, dev = columns(data.train), columns(data.dev)
    tuned = (
        {"bf16": True, "train_sampling_strategy": "group_by_length", "optim": "adamw_torch_fused"}
        if way == "trainer_tuned"
        else {}
    )
    with tempfile.TemporaryDirectory() as output:
        arguments = transformers.TrainingArguments(
            output, num_train_epochs=epochs, learning_rate=rate, weight_decay=0.01, warmup_steps=WARMUP, seed=seed,
            per_device_train_batch_size=SIZE, per_device_eval_batch_size=64, eval_strategy="epoch", save_strategy="no",
            report_to="none", use_cpu=True, disable_tqdm=True, **tuned,
        )  # fmt: skip
        trainer = transformers.Trainer(
            model, arguments, train_dataset=train, eval_dataset=dev, processing_class=tokenizer,
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda found: {"accuracy": float((np.argmax(found.predictions, -1) == found.label_ids).mean())},
        )  # fmt: skip
        clock = _Clock()
        clock.start()
        trainer.train()
        clock.stop()
        scores = [log["eval_accuracy"] for log in trainer.state.log_history if "eval_accuracy" in log]
        return {**clock.found(), "dev": scores[-1], "fused": float("fused" in str(arguments.optim).lower())}


class _Clock:
    """Seconds, and the memory that was held at most since the start.

    What a first step or a first evaluation would import is imported before: Trainer has most of it from its own import,
    and on our side it was 2,000 modules, which took seconds and 100 MiB that are no part of training.
    """

    def start(self) -> None:
        import time

        import psutil
        import sklearn.metrics  # noqa: F401
        import torch._dynamo  # noqa: F401

        self.before = psutil.Process().memory_info().rss
        self.began = time.perf_counter()

    def stop(self) -> None:
        import time

        self.seconds = time.perf_counter() - self.began

    def found(self) -> dict[str, float]:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {"seconds": self.seconds, "added_mib": (peak - self.before) / 2**20}


def main() -> None:
    write("trainer", **run())


if __name__ == "__main__":
    one_way, where, turn, *recipe = sys.argv[1:]  # the recipe, epochs and rate, may be left out
    print(json.dumps(once(one_way, where, int(turn), *(kind(one) for kind, one in zip((int, float), recipe)))))  # noqa: B905
