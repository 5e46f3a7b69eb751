"""How far is an exported graph from its model? The largest difference of any output, model by model.

Each model is exported and verified as in notebook 10: ONNX's checker, then onnxruntime beside PyTorch on four pairs of
batch and length, texts with padding. Encoders have the released weights of the embedded model; heads, word models and the
three networks that are no BERT have new weights (seed 0) and their usual sizes. Beside it the largest number that the graph
gives for the example: float32 has about seven digits, so larger numbers differ by more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.record import write

V, CLASSES = 5000, 10  # of the word models
HEADS = (
    "BertForPreTraining", "BertForMaskedLM", "BertLMHeadModel", "BertForNextSentencePrediction",
    "BertForSequenceClassification", "BertForMultipleChoice", "BertForTokenClassification", "BertForQuestionAnswering",
)  # fmt: skip
Case = tuple[str, str, Callable[[], Any], Any]  # group, name, what makes the model, example


def cases() -> Iterator[Case]:
    import torch
    from torch import nn

    from course_lib import heads, pretrained, zoo
    from course_lib.bert import BertModel

    torch.manual_seed(0)
    mask = torch.tensor([[1] * 9, [1] * 6 + [0] * 3])
    text = {"input_ids": torch.randint(200, V, (2, 9)), "attention_mask": mask}
    choices = {name: value[:, None].repeat(1, 4, 1) for name, value in text.items()}  # (B, M, T)
    yield "encoder", "BertModel of the course", lambda: BertModel.from_pretrained("embedded"), text
    yield "encoder", "BertModel of transformers", lambda: pretrained.load_model("embedded"), text
    for name in HEADS:
        example = choices if name == "BertForMultipleChoice" else text
        options = {"is_decoder": True} if name == "BertLMHeadModel" else {}
        yield "head", name, lambda n=name, o=options: getattr(heads, n).from_pretrained("embedded", **o), example
    yield "head", "BertForSequenceClassification of transformers", _classifier_of_transformers, text
    for name in zoo.NAMES:
        make: dict[str, Any] = {"encoder": "embedded"} if zoo.reads_bert(name) else {"vocab_size": V}
        yield "zoo", name, lambda n=name, m=make: zoo.build(n, CLASSES, **m), text
    yield "other", "CNN over images", _images, torch.randn(2, 3, 32, 48)
    yield "other", "LSTM", lambda: nn.LSTM(300, 128, batch_first=True, bidirectional=True), torch.randn(2, 9, 300)
    yield "other", "TransformerEncoder", _transformer, torch.randn(2, 9, 256)


def _images() -> Any:
    from torch import nn

    first, second = (nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2)), (nn.Conv2d(16, 32, 3), nn.ReLU())
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def _transformer() -> Any:
    from torch import nn

    layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def _classifier_of_transformers() -> Any:
    import transformers

    from course_lib import pretrained

    folder = pretrained.find_model("embedded").folder
    return transformers.BertForSequenceClassification.from_pretrained(folder, num_labels=CLASSES)


def measure(group: str, name: str, make: Callable[[], Any], example: Any, folder: Path) -> dict[str, Any]:
    import torch

    from course_lib import graphs
    from course_lib.graphs.export import named_inputs
    from course_lib.remarks import remarks

    torch.manual_seed(0)
    with remarks():  # that a head is new is known here
        model = make().eval()
        path = graphs.export_onnx(model, example, folder / "model.onnx")
        found = graphs.verify_onnx(path, model, example)
        answers = graphs.OnnxModel(path)(**named_inputs(model, example))
    size = path.stat().st_size
    path.unlink()
    return {
        "group": group,
        "model": name,
        "same": found.ok,
        "problems": list(found.problems),
        "largest_difference": max(found.max_difference.values()),
        "largest_number": round(max(answer.abs().max().item() for answer in answers.values()), 2),
        "by_output": found.max_difference,
        "tried": found.shapes,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "megabytes": round(size / 1e6, 1),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(*case, Path(folder)) for case in cases()]
    write("onnx_differences", models=rows)
