"""onnxruntime beside PyTorch, in float32 and in int8: texts a second, size of the file, and accuracy on the headlines.

The models are `bert` of the zoo, fine-tuned with its usual settings: over mini_bert_zh on the Chinese headlines, over the
embedded model on the English ones. Dev and test together are answered in batches of 32, sorted by length; in turn, on two
threads and on one. The accuracy is that of test: what rounding to 8 bits costs, on the same model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import write
from benchmarks.turns import in_turn, ratio

DATA = Path(__file__).resolve().parents[1] / "data"
BATCH, TURNS = 32, 5


def run(language: str, folder: Path) -> dict[str, Any]:
    import torch

    from course_lib import graphs
    from course_lib.batching import PaddedBatches
    from course_lib.datasets import load_dataset
    from course_lib.finetuning import train_classifier

    data = load_dataset(DATA / f"headlines_{language}")
    tuned = train_classifier("bert", data, progress=False)
    model = tuned.model.eval()
    texts = [*data.test.texts, *data.dev.texts]
    rows = tuned.tokenizer(texts, verbose=False)["input_ids"]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    columns = {"input_ids": [rows[i] for i in order], "attention_mask": [[1] * len(rows[i]) for i in order]}
    batches = [dict(batch) for batch in PaddedBatches(columns, size=BATCH)]
    path = graphs.export_onnx(model, {name: batches[0][name] for name in columns}, folder / f"{language}.onnx")
    small = graphs.quantise(path, folder / f"{language}_int8.onnx")
    checked = graphs.verify_onnx(path, model)
    assert checked.ok, checked

    def answers(call: Any) -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([call(**{name: batch[name] for name in columns}).argmax(-1) for batch in batches])

    def accuracy(call: Any) -> float:
        found = dict(zip(order, answers(call).tolist(), strict=True))
        labels = data.test.label_ids
        return round(sum(found[i] == labels[i] for i in range(len(labels))) / len(labels), 4)

    found: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "largest_difference": max(checked.max_difference.values()),
        "megabytes": {"float32": round(path.stat().st_size / 1e6, 1), "int8": round(small.stat().st_size / 1e6, 1)},
    }
    for threads in (2, 1):
        torch.set_num_threads(threads)
        float32, int8 = graphs.OnnxModel(path, threads), graphs.OnnxModel(small, threads)
        ways = {
            "pytorch": lambda **inputs: model(**inputs).logits,
            "onnxruntime": lambda run=float32, **inputs: run(**inputs)["logits"],
            "onnxruntime_int8": lambda run=int8, **inputs: run(**inputs)["logits"],
        }
        if threads == 2:
            found["accuracy"] = {name: accuracy(call) for name, call in ways.items()}
        seconds = in_turn({name: lambda call=call: answers(call) for name, call in ways.items()}, TURNS, warm_up=1)
        found[f"threads_{threads}"] = {
            "texts_a_second": {name: round(len(texts) / median(each)) for name, each in seconds.items()},
            "pytorch_by_onnxruntime": ratio(seconds["pytorch"], seconds["onnxruntime"]),
            "pytorch_by_int8": ratio(seconds["pytorch"], seconds["onnxruntime_int8"]),
        }
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write("onnx_speed", **{language: run(language, Path(folder)) for language in ("zh", "en")})
