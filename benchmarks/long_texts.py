"""Ways to read a text that is too long, where the part that matters stands at the beginning, in the middle or at the end.

No long English texts of several classes are part of the course, so the texts are made: one headline, and in front of it,
behind it or around it sentences of a story that has nothing to do with it. The class is the headline's. A text has about
120 tokens and the model reads 32 of them, as if 512 of 2,000. The encoder is frozen; logistic regression is trained on
the mean vector of what was read (of windows: on the mean over the windows, which for a linear layer is the mean of their
scores; "windows, max" takes the highest score of each class).
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from benchmarks.record import write

DATA = Path(__file__).resolve().parents[1] / "data"
TOKENS, STRIDE = 32, 8
TRAIN, DEV = 500, 200
PLACES = ("beginning", "middle", "end")
SENTENCES = 8  # of a story, around a headline


def texts(headlines: list[str], stories: list[list[str]], place: str, seed: int) -> list[str]:
    """A text for each headline."""
    draw = random.Random(seed)
    found = []
    for headline in headlines:
        story = draw.choice(stories)
        begin = draw.randrange(max(1, len(story) - SENTENCES + 1))
        around = story[begin : begin + SENTENCES]
        at = {"beginning": 0, "middle": len(around) // 2, "end": len(around)}[place]
        found.append(" ".join([*around[:at], f"{headline}.", *around[at:]]))
    return found


def vectors(model: Any, rows: list[list[int]]) -> Any:
    """The mean vector of each row, (n, H)."""
    import torch

    from course_lib import pooling
    from course_lib.batching import PaddedBatches

    batches = PaddedBatches({"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}, 4096)
    found = []
    with torch.inference_mode():
        for batch in batches:
            found.append(pooling.masked_mean(model(**batch).last_hidden_state, batch["attention_mask"]))
    return batches.restore(torch.cat(found))


def main() -> None:
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from course_lib import long_texts, pretrained
    from course_lib.bert import BertModel
    from course_lib.datasets import load_dataset

    torch.set_num_threads(1)
    data, stories = load_dataset(DATA / "headlines_en"), load_dataset(DATA / "stories_en")
    tokenizer, model = pretrained.load_tokenizer(), BertModel.from_pretrained().eval()
    parts = {"train": data.train[::2][:TRAIN], "dev": data.dev[::2][:DEV]}
    labels = {name: [example.label for example in part] for name, part in parts.items()}
    fillers = {
        name: [list(story.sentences) for story in part]
        for name, part in (("train", stories.train), ("dev", stories.dev))
    }
    found: dict[str, dict[str, Any]] = {}
    lengths: list[int] = []
    for place in PLACES:
        rows = {
            name: tokenizer(texts([e.text for e in part], fillers[name], place, 0), verbose=False)["input_ids"]
            for name, part in parts.items()
        }
        lengths += [len(row) for row in rows["dev"]]
        found[place] = {}
        for way in (*long_texts.WAYS, "windows"):
            start = time.process_time()
            means, pieces = {}, {}
            for name in parts:
                if way == "windows":
                    pieces[name] = long_texts.windows_of_texts(rows[name], TOKENS, STRIDE)
                    each = vectors(model, pieces[name].columns["input_ids"])
                    means[name] = pieces[name].join(each)
                else:
                    means[name] = vectors(model, [long_texts.cut(row, TOKENS, way) for row in rows[name]])
            reader = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            reader.fit(means["train"].numpy(), labels["train"])
            right = float(reader.score(means["dev"].numpy(), labels["dev"]))
            found[place][way] = {"accuracy": round(right, 4), "cpu_seconds": round(time.process_time() - start, 1)}
            if way == "windows":
                scores = torch.from_numpy(reader.decision_function(each.numpy()))
                highest = pieces["dev"].join(scores, "max").argmax(dim=1)
                right = float((highest == torch.tensor(labels["dev"])).double().mean())
                found[place]["windows, max"] = {"accuracy": round(right, 4)}
                found[place]["windows"]["windows_a_text"] = round(len(each) / len(labels["dev"]), 2)
            print(place, way, found[place], flush=True)
    whole = sorted(lengths)
    write(
        "long_texts",
        model="default",
        max_tokens=TOKENS,
        stride=STRIDE,
        texts={"train": TRAIN, "dev": DEV, "median_tokens": whole[len(whole) // 2], "longest": whole[-1]},
        places=found,
    )


if __name__ == "__main__":
    main()
