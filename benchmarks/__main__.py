"""`python -m benchmarks [NAME ...]`: run the measurements and keep them in benchmarks/results."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmarks.record import RESULTS

NAMES = (
    "startup", "pooling", "poolings", "headlines", "bert", "lengths", "memory", "encode", "shapes", "preflight",
    "shape_tools", "more_data", "decay", "warmup", "learning_curve", "fine_tuning_parts", "trainer",
    "tasks", "more_answers", "long_texts", "public_data", "plateau", "pretrained_or_random",
    "masking_mix",
    "onnx_speed",
    "onnx_differences",
    "onnx_fusion",
    "pretraining",
    "zoo",
    "zoo_long",
    "zoo_speed",
    "zoo_thucnews",
    "taught",
)  # fmt: skip


def main() -> int:
    chosen = sys.argv[1:] or list(NAMES)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    for name in chosen:
        print(f"{name} ...", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
        print(Path(RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
