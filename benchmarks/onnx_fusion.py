"""What fusion does: a BERT's graph run by onnxruntime as it stands, and with neighbouring operations put together.

Two encoders, mini_bert_zh (4 layers of 256) and the embedded model (6 of 384), each asked for one text of 12 tokens and for 32
texts of 32; one thread, in turn. The share of time that fusion saves, the operations before and after, and how far the
answers of the two are apart.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import write
from benchmarks.turns import in_turn, ratio

SIZES, TURNS = {"one text of 12": (1, 12), "32 texts of 32": (32, 32)}, 15


def run(name: str, folder: Path) -> dict[str, Any]:
    import onnx
    import torch

    from course_lib import graphs
    from course_lib.bert import BertModel

    model = BertModel.from_pretrained(name, add_pooling_layer=False).eval()
    draw = torch.Generator().manual_seed(0)

    def texts(size: tuple[int, int]) -> dict[str, torch.Tensor]:
        ids = torch.randint(5, model.config.vocab_size, size, generator=draw)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    path = graphs.export_onnx(model, texts((2, 9)), folder / "model.onnx")
    fused = graphs.fuse(path, folder / "fused.onnx")
    before, after = (Counter(node.op_type for node in onnx.load(str(file)).graph.node) for file in (path, fused))
    checked = graphs.verify_onnx(fused, model)
    assert checked.ok, checked
    found: dict[str, Any] = {
        "operations": {"before": before.total(), "after": after.total()},
        "new_kinds": {kind: count for kind, count in after.items() if kind not in before},
        "largest_difference_to_pytorch": max(checked.max_difference.values()),
    }
    as_it_stands, together = graphs.OnnxModel(path, 1, fused=False), graphs.OnnxModel(path, 1)
    for words, size in SIZES.items():
        given = texts(size)
        repeats = 40 if size[0] == 1 else 1

        def work(call: Any, given: Any = given, repeats: int = repeats) -> None:
            for _ in range(repeats):
                call(**given)

        ways = {"plain": lambda w=work: w(as_it_stands), "fused": lambda w=work: w(together)}
        seconds = in_turn(ways, TURNS, warm_up=2)
        found[words] = {
            "milliseconds": {way: round(1000 * median(each) / repeats, 2) for way, each in seconds.items()},
            "plain_by_fused": ratio(seconds["plain"], seconds["fused"]),
        }
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write("onnx_fusion", models={name: run(name, Path(folder)) for name in ("mini_bert_zh", "embedded")})
