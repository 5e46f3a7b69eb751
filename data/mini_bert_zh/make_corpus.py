"""The texts that mini_bert_zh was pretrained on, from a folder of public data: python data/mini_bert_zh/make_corpus.py DATA OUTPUT

DATA holds cmrc2018_zh (SQuAD's form; of Chinese Wikipedia), xquad_en_zh, clue_corpus_small_zh (sentences, an empty line
between documents) and thucnews (headline, tab, class). OUTPUT gets a folder of text files, an empty line between
documents. Of thucnews, the training headlines alone; those that stand in its dev or test part too are left out.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from course_lib.corpus import split_sentences


def paragraphs(path: Path) -> list[str]:
    """The contexts of a file in SQuAD's form, each once."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    return list(dict.fromkeys(p["context"] for article in articles for p in article["paragraphs"]))


def headlines(folder: Path) -> tuple[list[str], int]:
    """The training headlines that are in no other part, and how many were left out."""

    def read(file: Iterable[str]) -> list[str]:
        return [line.rstrip("\n").rpartition("\t")[0] for line in file if line.strip()]

    known: set[str] = set()
    for part in ("dev.txt", "test.txt"):
        with (folder / part).open(encoding="utf-8") as file:
            known.update(read(file))
    with gzip.open(folder / "train_part.txt.gz", "rt", encoding="utf-8") as file:
        all_of_them = list(dict.fromkeys(read(file)))
    kept = [text for text in all_of_them if text not in known]
    return kept, len(all_of_them) - len(kept)


def main(data: Path, output: Path) -> None:
    """Write the texts of each source into a file of its own, and say how many."""
    output.mkdir(parents=True, exist_ok=True)
    cmrc = [p for path in sorted((data / "cmrc2018_zh").glob("*.json.gz")) for p in paragraphs(path)]
    texts = {"cmrc2018": list(dict.fromkeys(cmrc)), "xquad": paragraphs(data / "xquad_en_zh" / "xquad.zh.json.gz")}
    for name, documents in texts.items():
        write(output / f"{name}.txt", ["\n".join(split_sentences(text)) for text in documents])
    source = data / "clue_corpus_small_zh" / "CLUECorpusSmall_bert_sampled.txt.gz"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        write(output / "clue_corpus_small.txt", file.read().split("\n\n"))
    kept, left_out = headlines(data / "thucnews")
    write(output / "thucnews_train.txt", kept)
    print(f"thucnews: {len(kept):,} headlines; {left_out} that stand in dev or test too were left out")


def write(path: Path, documents: list[str]) -> None:
    """Documents with an empty line between them."""
    documents = [text.strip() for text in documents if text.strip()]
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    print(f"{path.name}: {len(documents):,} documents, {sum(map(len, documents)):,} characters")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
