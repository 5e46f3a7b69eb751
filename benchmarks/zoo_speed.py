"""TextCNN's speed: ours beside a plain PyTorch loop in the manner of the Chinese repository, in turn.

Both: characters, vectors of 300, 256 filters of 2, 3 and 4, dropout 0.5, batches of 128, Adam's rate 1e-3, the Chinese
headlines of the course ten times over (no text longer than 32 characters is cut by either). One time through the data is
timed, then predictions, from ids to classes.

    plain   every text padded or cut to 32, float32, `nn.Conv2d(1, 256, (k, 300))` over one channel, Adam
    ours    `training.fit`: batches by length, bfloat16 where it is native, windows as one linear layer, fused AdamW
    ours_float32, ours_fixed_length   ours with one choice taken back
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import write
from benchmarks.turns import in_turn, ratio

DATA = Path(__file__).resolve().parents[1] / "data" / "headlines_zh"
LENGTH, BATCH, TIMES, TURNS = 32, 128, 10, 5


def run() -> dict[str, Any]:
    import torch
    from torch import nn
    from torch.nn import functional as F

    from course_lib import training, zoo
    from course_lib.batching import PaddedBatches
    from course_lib.datasets import load_dataset
    from course_lib.vocabulary import make_vocabulary

    texts = load_dataset(DATA).train
    vocabulary = make_vocabulary(texts.texts)
    ids = vocabulary(list(texts.texts))["input_ids"] * TIMES
    labels = torch.tensor(list(texts.label_ids) * TIMES)

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(len(vocabulary), 300, padding_idx=0)
            self.filters = nn.ModuleList(nn.Conv2d(1, 256, (k, 300)) for k in (2, 3, 4))
            self.dropout, self.last = nn.Dropout(0.5), nn.Linear(768, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.table(x).unsqueeze(1)  # (B, 1, T, E)
            found = [F.relu(conv(x)).squeeze(3) for conv in self.filters]
            return self.last(self.dropout(torch.cat([F.max_pool1d(c, c.shape[2]).squeeze(2) for c in found], 1)))

    def padded(rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor([row[:LENGTH] + [0] * (LENGTH - len(row)) for row in rows])

    torch.manual_seed(0)
    plain = Plain()
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3)

    def plain_training() -> None:
        plain.train()
        for i in range(0, len(ids), BATCH):
            adam.zero_grad()
            F.cross_entropy(plain(padded(ids[i : i + BATCH])), labels[i : i + BATCH]).backward()
            adam.step()

    def plain_predictions() -> None:
        plain.eval()
        with torch.no_grad():
            for i in range(0, len(ids), BATCH):
                plain(padded(ids[i : i + BATCH])).argmax(1).tolist()

    fixed = [row[:LENGTH] + [0] * (LENGTH - len(row)) for row in ids]

    def columns(rows: list[list[int]]) -> dict[str, Any]:
        masks = [[int(i < len(ids[n])) for i in range(len(row))] for n, row in enumerate(rows)]
        return {"input_ids": rows, "attention_mask": masks, "labels": labels}

    def ours(rows: list[list[int]], precision: str) -> Any:
        torch.manual_seed(0)
        model = zoo.build("TextCNN", 10, len(vocabulary))
        batches = PaddedBatches(columns(rows), size=BATCH, shuffle=0)
        return lambda: training.fit(model, batches, epochs=1, learning_rate=1e-3, precision=precision)

    def our_predictions() -> Any:
        model = zoo.build("TextCNN", 10, len(vocabulary)).eval()
        batches = PaddedBatches(columns(ids), 4096)
        return lambda: training.evaluate(model, batches, precision="auto")

    train = {
        "plain": plain_training,
        "ours": ours(ids, "auto"),
        "ours_float32": ours(ids, "float32"),
        "ours_fixed_length": ours(fixed, "auto"),
    }
    seconds = in_turn(train, TURNS, warm_up=1)
    predict = in_turn({"plain": plain_predictions, "ours": our_predictions()}, TURNS, warm_up=1)
    return {
        "texts": len(ids),
        "mean_length": round(sum(map(len, ids)) / len(ids), 1),
        "train_seconds": {way: round(median(each), 2) for way, each in seconds.items()},
        "predictions_a_second": {way: round(len(ids) / median(each)) for way, each in predict.items()},
        "training_plain_by_ours": ratio(seconds["plain"], seconds["ours"]),
        "training_plain_by_ours_float32": ratio(seconds["plain"], seconds["ours_float32"]),
        "training_plain_by_ours_fixed_length": ratio(seconds["plain"], seconds["ours_fixed_length"]),
        "predictions_plain_by_ours": ratio(predict["plain"], predict["ours"]),
    }


def main() -> None:
    write("zoo_speed", **run())
