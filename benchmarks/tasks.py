"""Every task on the course's own small data: the default model, a fixed recipe, three seeds.

Each run trains the whole model and keeps the epoch that was best on dev; scores of both dev and test are written down,
test once. Of the run with seed 0 the answers on dev are kept too, so that a lesson can look at the mistakes, and what
it says to the inputs that published demonstrations use. Little was tuned: the number of epochs, larger where an epoch
has fewer steps, and one learning rate for heads on tokens, another for heads on the pooler.

Two runs go side by side, each on one core. (TASKS="masked-words next-words" for a part; the results of the others are kept.)
"""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, write

DATA = Path(__file__).resolve().parents[1] / "data"
BATCH_SIZE = 16
SEEDS = (0, 1, 2)

# task -> data set, epochs, learning rate. Heads on the pooler have the lower rate: with 2e-4 one of two seeds of the
# regression did not learn.
TASKS = {
    "answers": ("answers_en", 3, 2e-4),
    "choices": ("choices_en", 4, 1e-4),
    "tags": ("entities_en", 8, 2e-4),
    "regression": ("pairs_en", 8, 1e-4),
    "next-sentence": ("stories_en", 6, 1e-4),
    "multi-label": ("topics_en", 10, 1e-4),
    "masked-words": ("stories_en", 6, 2e-4),
    "next-words": ("stories_en", 4, 2e-4),
}

COMPANY = "The company HuggingFace is based in New York City"
LIBRARY = (
    "🤗 Transformers (formerly known as pytorch-transformers and pytorch-pretrained-bert) provides general-purpose "
    "architectures (BERT, GPT-2, RoBERTa, XLM, DistilBert, XLNet…) for Natural Language Understanding (NLU) and Natural "
    "Language Generation (NLG) with over 32+ pretrained models in 100+ languages and deep interoperability between "
    "TensorFlow 2.0 and PyTorch."
)
ITALY = (
    "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced.",
    "The sky is blue due to the shorter wavelength of blue light.",
)
# What published demonstrations ask; the others are ours.
DEMONSTRATIONS: dict[str, list[Any]] = {
    "tags": [
        "Hugging Face Inc. is a company based in New York City. Its headquarters are in DUMBO, therefore very close to "
        "the Manhattan Bridge."
    ],
    "answers": [
        ("How many pretrained models are available in 🤗 Transformers?", LIBRARY),
        ("What does 🤗 Transformers provide?", LIBRARY),
        ("🤗 Transformers provides interoperability between which frameworks?", LIBRARY),
    ],
    "regression": [
        (COMPANY, "HuggingFace's headquarters are situated in Manhattan"),
        (COMPANY, "Apples are especially bad for your health"),
        ("The dog bit the man.", "The man bit the dog."),
        ("The shop opens at nine.", "The shop does not open at nine."),
    ],
    "next-sentence": [ITALY, (ITALY[0], "There it is eaten with a knife and a fork.")],
    "masked-words": ["He poured the tea into a [MASK].", "The old man walked to the [MASK].", "Paris is the capital of [MASK]."],
    "next-words": ["The old man walked to the", "In the morning"],
}  # fmt: skip


def run(task: str, seed: int) -> dict[str, Any]:
    """Train one task with one seed."""
    import torch

    from course_lib.datasets import load_dataset
    from course_lib.finetuning import fine_tune

    torch.set_num_threads(1)
    name, epochs, rate = TASKS[task]
    data = load_dataset(DATA / name)
    start = time.process_time()
    tuned = fine_tune(
        data, task=task, epochs=epochs, learning_rate=rate, batch_size=BATCH_SIZE, seed=seed, progress=False
    )
    seconds = time.process_time() - start
    found: dict[str, Any] = {"seed": seed, "epoch": tuned.history.kept.number, "cpu_seconds": round(seconds, 1)}
    found["train_loss"] = [round(record.train_loss, 4) for record in tuned.history.epochs]
    found["dev_by_epoch"] = [_rounded(record.scores) for record in tuned.history.epochs]
    for part in ("dev", "test"):
        found[part] = _rounded(tuned.evaluate(part).scores)
    if task == "answers":
        for part in ("dev", "test"):
            found[f"{part}_report"] = str(tuned.evaluate(part).report)
    if seed == SEEDS[0]:
        found["predictions"] = _on_dev(tuned, task, data)
        found["demonstrations"] = [_short(one) for one in tuned.predict(DEMONSTRATIONS.get(task, []))]
    return found


def _on_dev(tuned: Any, task: str, data: Any) -> list[Any]:
    """What it says about each example of dev, in their order."""
    if task == "answers":
        return [one["label"] for one in tuned.predict([(q.question, q.context) for q in data.dev])]
    if task == "choices":
        given = [{"question": e.question, "choices": list(e.choices), "context": e.context} for e in data.dev]
        return [[round(score, 3) for score in one["scores"]] for one in tuned.predict(given)]
    if task == "regression":
        return [round(one["score"], 2) for one in tuned.predict([(e.text, e.pair) for e in data.dev])]
    if task == "next-sentence":
        from course_lib.sentence_pairs import next_sentence_pairs

        pairs = [(e.text, e.pair) for e in next_sentence_pairs(data.dev)]
        return [[one["label"], round(one["score"], 3)] for one in tuned.predict(pairs)]
    if task == "multi-label":
        return [one["label"] for one in tuned.predict(data.dev.texts)]
    if task in ("masked-words", "next-words"):
        return _gaps(tuned, data, hidden=task == "masked-words")
    return []


def _gaps(tuned: Any, data: Any, hidden: bool, most: int = 200) -> list[dict[str, Any]]:
    """A token of each sentence, drawn: which one it is, at which rank the model has it, and what is at the first.

    Args:
        hidden: behind [MASK], with the words on both sides; else it is the next one, and what follows is not shown.
    """
    import torch

    tokenizer, draw, found = tuned.tokenizer, random.Random(0), []
    for sentence in [sentence for story in data.dev for sentence in story.sentences][:most]:
        ids = tokenizer(sentence)["input_ids"]
        place = draw.randrange(2, len(ids) - 1)  # not the first word, which has nothing before it
        given = [*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]] if hidden else ids[:place]
        with torch.inference_mode():
            scores = tuned.model(torch.tensor([given])).logits[0, place if hidden else -1]
        chances = scores.softmax(dim=-1)
        token, guess = tokenizer.convert_ids_to_tokens([ids[place], int(scores.argmax())])
        found.append(
            {
                "text": tokenizer.decode(given[1 : len(given) - hidden]),
                "token": token,
                "rank": int((scores > scores[ids[place]]).sum()) + 1,
                "guess": guess,
                "score": round(chances.max().item(), 4),
            }
        )
    return found


def _short(prediction: dict[str, Any]) -> dict[str, Any]:
    """A prediction without what can be computed from the rest."""
    kept = {name: value for name, value in prediction.items() if name not in ("words", "tags", "start", "end")}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in kept.items()}


def _rounded(scores: Any) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started below
    asked = os.environ.get("TASKS", " ".join(TASKS)).split()
    kept = RESULTS / "tasks.json"
    before = json.loads(kept.read_text(encoding="utf-8"))["tasks"] if kept.is_file() else {}
    runs: dict[str, list[dict[str, Any]]] = {
        task: [] if task in asked else before.get(task, {"runs": []})["runs"] for task in TASKS
    }
    with ProcessPoolExecutor(2) as pool:
        waiting = {pool.submit(run, task, seed): task for seed in SEEDS for task in asked}
        for done in as_completed(waiting):
            task = waiting[done]
            runs[task] = sorted([*runs[task], done.result()], key=lambda one: one["seed"])
            keep(runs)  # what is done so far: it takes a while
            print(task, done.result()["seed"], done.result()["dev"], flush=True)


def keep(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Write the result, whole or in the making."""
    tasks = {
        task: {"data": TASKS[task][0], "epochs": TASKS[task][1], "learning_rate": TASKS[task][2], "runs": done}
        for task, done in runs.items()
    }
    write("tasks", model="default", recipe={"base": "FINE_TUNING", "batch_size": BATCH_SIZE}, tasks=tasks)


if __name__ == "__main__":
    main()
