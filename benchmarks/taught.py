"""What BERT can teach the small models: the word models of the zoo on THUCNews, from labels and from teachers.

    COURSE_DATA=FOLDER WORK=FOLDER python -m benchmarks taught
    COURSE_DATA=FOLDER WORK=FOLDER PART="copies 0" python -m benchmarks taught     one part: several can run side by side

Three kinds of parts, each of which leaves a file in WORK and is not done twice:

copies N        the training headlines once more, with 30 % of the characters drawn anew by mini_bert_zh (`rewritten`)
teacher NAME    a model over mini_bert_zh, trained on the labelled headlines; what it says of all of them and of the copies
student NAME VARIANT    a word model, trained on headlines and copies by the mean of the teachers' probabilities
                        (`Distillation`), with new vectors ("random") or the published ones ("tencent")

The data and the names are those of `zoo_thucnews`: two thirds of the published training set, the published dev and test.
One seed. Neither teachers nor students see a text or a label that the models of `zoo_thucnews` do not have; what is more is
mini_bert_zh, which has read the training headlines without labels, and other Chinese text.

The teachers' settings are the only ones that were tried. Of the students' there were two, and each read test once: 3 epochs
in batches of 256 (512 for FastText) at 1e-3 (2e-3), with which TextCNN came to 90.61, TextRNN to 90.94, TextRNN_Att to
90.82 and FastText to 91.08; then those below (dev was higher with these for all but TextCNN, whose second run was not
finished: it stands with the first); the runs that they replaced are kept as `earlier`. In the results that are kept, each run says where it was made: those on a
card shared it among four, and those on a processor one of its two cores, beside other work; the teachers' mean travelled
from the card to them as logarithms of 16 bits.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.record import RESULTS, where_and_when, write
from benchmarks.zoo_thucnews import PUBLISHED, WORD_MODELS

COPIES = 4
TEACHERS = ("bert", "bert_CNN", "bert_RNN", "bert_RCNN", "bert_DPCNN")
TEACHER = {"encoder": "mini_bert_zh", "batch_size": 128, "learning_rate": 2e-4, "epochs": 3}
STUDENT: dict[str, Any] = {"batch_size": 1024, "learning_rate": 2e-3, "epochs": 6, "temperature": 2.0}


def copies(work: Path, number: int) -> None:
    from course_lib import pretrained
    from course_lib.finetuning.distillation import rewritten
    from course_lib.heads import BertForMaskedLM
    from course_lib.training import on_accelerator

    data, _ = _data()
    model = on_accelerator(BertForMaskedLM.from_pretrained("mini_bert_zh"))
    made = rewritten(list(data.train), model, pretrained.load_tokenizer("mini_bert_zh"), seed=number)
    _keep(work / f"copies-{number}.json", [example.text for example in made])


def teacher(work: Path, name: str) -> None:
    import torch

    from course_lib.finetuning import train_classifier
    from course_lib.finetuning.distillation import soft_labels

    data, _ = _data()
    start = perf_counter()
    tuned = train_classifier(name, data, progress=False, **TEACHER)
    found = _scores(tuned, perf_counter() - start)
    _keep(work / f"teacher-{name}.json", {**found, "settings": TEACHER})
    logits = soft_labels([tuned], [*data.train, *_copied(work, data)])
    torch.save(logits, work / f"logits-{name}.pt.part")
    (work / f"logits-{name}.pt.part").replace(work / f"logits-{name}.pt")


def student(work: Path, name: str, variant: str) -> None:
    import torch

    from course_lib.datasets import Examples
    from course_lib.finetuning import train_classifier
    from course_lib.finetuning.distillation import together

    data, folder = _data()
    logits = together([torch.load(work / f"logits-{one}.pt") for one in TEACHERS])
    known, copied = list(data.train), _copied(work, data)
    likeliest = logits[len(known) :].argmax(dim=-1).tolist()
    copied = [dataclasses.replace(one, label=label) for one, label in zip(copied, likeliest, strict=True)]
    more = data.replace(train=Examples([*known, *copied]))
    chosen = dict(STUDENT)
    settings = {**chosen, "copies": COPIES, "teachers": TEACHERS}
    if variant == "tencent":
        chosen |= {"vectors": folder / "embedding_Tencent.npz", "vector_words": folder / "vocab_chars.txt"}
    start = perf_counter()
    tuned = train_classifier(name, more, teacher_logits=logits, progress=False, **chosen)
    _keep(work / f"student-{name}-{variant}.json", {**_scores(tuned, perf_counter() - start), "settings": settings})


def _scores(tuned: Any, seconds: float) -> dict[str, Any]:
    result = tuned.evaluate("test")
    return {
        "dev": round(tuned.history.kept.scores["accuracy"], 4),
        "test": round(result.scores["accuracy"], 4),
        "macro_f1": round(result.scores["macro_f1"], 4),
        "parameters": sum(parameter.numel() for parameter in tuned.model.parameters()),
        "seconds": round(seconds),
        **where_and_when(),
    }


def _data() -> tuple[Any, Path]:
    from course_lib.datasets import load_dataset
    from course_lib.datasets.thucnews import find_thucnews

    folder = find_thucnews()
    return load_dataset(folder), folder


def _copied(work: Path, data: Any) -> list[Any]:
    """The copies, with the labels of their texts for now."""
    found = []
    for number in range(COPIES):
        texts = json.loads((work / f"copies-{number}.json").read_text(encoding="utf-8"))
        found += [dataclasses.replace(e, text=text) for e, text in zip(data.train, texts, strict=True)]
    return found


def _keep(path: Path, content: Any) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


def joined(work: Path) -> None:
    """Everything that is there, as one result."""
    read = lambda name: json.loads((work / f"{name}.json").read_text(encoding="utf-8"))  # noqa: E731
    kept = RESULTS / "taught.json"
    write(
        "taught",
        published={name: PUBLISHED[name] for name in (*WORD_MODELS, *TEACHERS)},
        teachers={name: read(f"teacher-{name}") for name in TEACHERS if (work / f"teacher-{name}.json").exists()},
        students={
            name: {
                variant: read(f"student-{name}-{variant}")
                for variant in ("random", "tencent")
                if (work / f"student-{name}-{variant}.json").exists()
            }
            for name in WORD_MODELS
        },
        earlier=json.loads(kept.read_text(encoding="utf-8")).get("earlier", {}) if kept.exists() else {},
    )


def main() -> None:
    if "COURSE_DATA" not in os.environ or "WORK" not in os.environ:
        print("COURSE_DATA names the folder with THUCNews and WORK one for what is made on the way; set both.")
        return
    work = Path(os.environ["WORK"])
    work.mkdir(parents=True, exist_ok=True)
    kinds = {"copies": lambda n: copies(work, int(n)), "teacher": lambda n: teacher(work, n), "student": lambda n, v: student(work, n, v)}  # fmt: skip
    if "PART" in os.environ:
        kind, *which = os.environ["PART"].split()
        kinds[kind](*which)
        joined(work)
        return
    for number in range(COPIES):
        if not (work / f"copies-{number}.json").exists():
            copies(work, number)
    for name in TEACHERS:
        if not (work / f"logits-{name}.pt").exists():
            teacher(work, name)
    for variant in ("random", "tencent"):
        for name in WORD_MODELS:
            if not (work / f"student-{name}-{variant}.json").exists():
                student(work, name, variant)
    joined(work)
