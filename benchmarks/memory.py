"""Peak memory of a training step of the masked-word head: ours, scoring the labelled positions alone, and transformers'.

Each in a fresh process, with the same weights, batch and dropout. The peak is the largest resident memory that the
operating system saw. What a step adds is the peak less what is resident before it, when model, optimizer and AdamW's two
tables of averages stand. The loop is the usual one, `out = model(...); out.loss.backward()`, which keeps the logits until
the step is done; "loss_alone" lets go of them before backward. "ours_all_logits" shows what leaving out the unlabelled
positions saves; "checkpointed" is either side with gradient checkpointing.

Measured under two allocators. "resident" is malloc as it comes: it keeps much of what is freed, and the thread of the
backward pass does not get what the forward pass's thread gave back. "tensors" tells glibc to map blocks above 1 MiB one
by one and to return them at once, so that resident memory is what the tensors need; other systems ignore it.
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
from benchmarks.turns import ratio

BATCH, TOKENS, LABELLED, TURNS = 16, 128, 0.15, 3
ALLOCATORS = {"resident": {}, "tensors": {"MALLOC_MMAP_THRESHOLD_": str(2**20)}}
RATIOS = {way: (f"ours{way}", f"transformers{way}") for way in ("", "_loss_alone", "_checkpointed")}
WAYS = ("ours_all_logits", *(name for pair in RATIOS.values() for name in pair))
ROOT = Path(__file__).resolve().parents[1]


def run() -> dict[str, Any]:
    import torch

    from course_lib import pretrained
    from course_lib.checkpoint import read_bert_config
    from course_lib.heads import BertForMaskedLM

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        # The embedded model has no masked-word head; its sizes, with new weights, serve as well here.
        BertForMaskedLM(read_bert_config(pretrained.find_model("embedded"))).save_pretrained(folder)
        return {name: _compare(folder, variables) for name, variables in ALLOCATORS.items()}


def _compare(folder: str, variables: dict[str, str]) -> dict[str, Any]:
    measured: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(TURNS):
        for way in WAYS:
            measured[way].append(_in_a_fresh_process(way, folder, variables))
    found: dict[str, Any] = {
        way: {name: round(median(one[name] for one in turns), 4 if name == "loss" else 1) for name in turns[0]}
        for way, turns in measured.items()
    }
    for way, (ours, theirs) in RATIOS.items():
        for name in ("added", "peak"):
            sizes = ([turn[f"{name}_mib"] for turn in measured[side]] for side in (ours, theirs))
            found[f"{name}_ratio{way}"] = ratio(*sizes)
    return found


def _in_a_fresh_process(way: str, folder: str, variables: dict[str, str]) -> dict[str, float]:
    code = f"from benchmarks.memory import measure; measure({way!r}, {folder!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"Measuring the memory of {way} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(way: str, folder: str) -> None:
    """One training step in this process, and a line of JSON on its memory in MiB."""
    import psutil
    import torch

    model, extra = _build(way, folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 30000, (BATCH, TOKENS), generator=random)
    labels = torch.where(torch.rand(ids.shape, generator=random) < LABELLED, ids, -100)

    def step(ids: torch.Tensor, labels: torch.Tensor) -> float:
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels, **extra)
        loss = out.loss
        if way.endswith("_loss_alone"):
            del out
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    torch.manual_seed(0)  # the same dropout on both sides
    step(ids[:1, :2], ids[:1, :2])  # AdamW makes its tables in its first step
    before, highest = psutil.Process().memory_info().rss / 2**20, peak()
    loss = step(ids, labels)
    after = peak()
    if after <= highest:
        raise RuntimeError("Loading the model took more memory than the step, which cannot be seen behind it.")
    print(json.dumps({"before_mib": before, "peak_mib": after, "added_mib": after - before, "loss": loss}))


def _build(way: str, folder: str) -> tuple[Any, dict[str, bool]]:
    """The model, ready to be trained, and the arguments that only one side has."""
    if way.startswith("ours"):
        from course_lib.heads import BertForMaskedLM

        model = BertForMaskedLM.from_pretrained(folder).train()
        model.bert.gradient_checkpointing = way == "ours_checkpointed"
        return model, {"full_logits": way == "ours_all_logits"}
    import transformers

    model = transformers.BertForMaskedLM.from_pretrained(folder).train()
    if way == "transformers_checkpointed":
        model.gradient_checkpointing_enable()
    return model, {}


def peak() -> float:
    """The largest resident memory of this process so far, MiB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main() -> None:
    write("memory", batch=BATCH, tokens=TOKENS, labelled=LABELLED, turns=TURNS, **run())
