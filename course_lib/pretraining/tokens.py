"""A corpus as token ids on disk: read once, then mapped into memory, however big it is.

FOLDER/
  tokens.bin          the ids of all sentences one after the other; 2 bytes each, 4 where the vocabulary is bigger than 65,536
  sentences.bin       where each sentence begins in tokens.bin, and the end of the last; 8 bytes each
  documents.bin       the same for documents, in sentences
  tokens.json         counts, the vocabulary's checksum, what the corpus said of itself

The operating system reads a page of it when it is asked for, so any sentence of any document is at hand, which next
sentence prediction needs, and the memory of the process stays small.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np

from course_lib.datasets import Document
from course_lib.errors import DataError
from course_lib.training import disk

_CARD, _CHUNK = "tokens.json", 256  # documents that are tokenised at once


class TokenDocuments(Sequence[Sequence[np.ndarray]]):
    """Documents of sentences of token ids: `documents[i][j]` is an array (tokens of the sentence,).

    Args:
        tokens: (all tokens,) ids.
        sentences: (S + 1,) where each sentence begins, and the end.
        documents: (D + 1,) the first sentence of each document, and the end.
        card: what is known of it.
    """

    def __init__(self, tokens: np.ndarray, sentences: np.ndarray, documents: np.ndarray, card: dict[str, Any]) -> None:
        self.ids, self.sentences, self.documents, self.card = tokens, sentences, documents, card

    def __len__(self) -> int:
        """How many documents."""
        return len(self.documents) - 1

    @overload
    def __getitem__(self, number: int) -> list[np.ndarray]: ...
    @overload
    def __getitem__(self, number: slice) -> list[list[np.ndarray]]: ...
    def __getitem__(self, number: int | slice) -> Any:
        """The sentences of one document."""
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"There are {len(self)} documents, and number {number} was asked for.")
        number %= len(self)
        first, end = int(self.documents[number]), int(self.documents[number + 1])
        borders = self.sentences[first : end + 1]
        words = self.ids[borders[0] : borders[-1]]
        cuts = (borders - borders[0]).tolist()
        return [words[a:b] for a, b in pairwise(cuts)]

    @property
    def tokens(self) -> int:
        """How many tokens in all."""
        return len(self.ids)

    def counts(self, vocabulary: int) -> np.ndarray:
        """How often each id occurs, (V,)."""
        return np.bincount(self.ids, minlength=vocabulary)

    def __repr__(self) -> str:
        return f"{len(self):,} documents, {len(self.sentences) - 1:,} sentences, {self.tokens:,} tokens"


def tokenize(documents: Iterable[Document], tokenizer: Any) -> TokenDocuments:
    """Documents as ids, in memory: for a corpus of some hundred megabytes at most.

    Raises:
        DataError: there is no document with a token.
    """
    kind = _kind(tokenizer)
    ids: list[np.ndarray] = []
    lengths: list[int] = []
    counts: list[int] = []
    for sentences in _encoded(documents, tokenizer):
        ids.extend(np.asarray(one, dtype=kind) for one in sentences)
        lengths.extend(map(len, sentences))
        counts.append(len(sentences))
    if not counts:
        raise DataError(_EMPTY)
    return TokenDocuments(np.concatenate(ids), _borders(lengths), _borders(counts), {})


def write_tokens(documents: Iterable[Document], tokenizer: Any, folder: str | Path, **card: Any) -> TokenDocuments:
    """Write documents as ids into a folder, a few at a time, and open it. What is half written never bears its name.

    Args:
        card: goes into tokens.json.

    Raises:
        DataError: there is no document with a token.
        TrainingError: the folder cannot be written.
    """
    folder = Path(folder)
    part = folder.with_name(folder.name + ".part")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, part, ignore_errors=True)  # nothing half written stays
        stack.enter_context(disk.writing("The tokens of the corpus", folder))
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        kind = _kind(tokenizer)
        tokens = sentences = number = 0
        with (
            (part / "tokens.bin").open("wb") as ids,
            (part / "sentences.bin").open("wb") as lines,
            (part / "documents.bin").open("wb") as texts,
        ):
            for encoded in _encoded(documents, tokenizer):
                lengths = np.array([0, *map(len, encoded)], dtype=np.int64)
                ids.write(np.concatenate([np.asarray(one, dtype=kind) for one in encoded]).tobytes())
                lines.write((tokens + np.cumsum(lengths)[:-1]).tobytes())
                texts.write(np.array([sentences], dtype=np.int64).tobytes())
                tokens, sentences, number = tokens + int(lengths.sum()), sentences + len(encoded), number + 1
            lines.write(np.array([tokens], dtype=np.int64).tobytes())
            texts.write(np.array([sentences], dtype=np.int64).tobytes())
        if not number:
            raise DataError(_EMPTY)
        facts = {"documents": number, "sentences": sentences, "tokens": tokens, "kind": kind.__name__, **card}
        facts["vocabulary"] = vocabulary_checksum(tokenizer)
        (part / _CARD).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    return open_tokens(folder, tokenizer)


def open_tokens(folder: str | Path, tokenizer: Any) -> TokenDocuments:
    """Map what `write_tokens` wrote.

    Raises:
        DataError: it is not there, not whole, or of another vocabulary.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
        kind = {"uint16": np.uint16, "uint32": np.uint32}[card["kind"]]
        tokens, sentences, documents = (
            np.memmap(folder / name, dtype=of, mode="r")
            for name, of in (("tokens.bin", kind), ("sentences.bin", np.int64), ("documents.bin", np.int64))
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"'{folder}' has no whole corpus of tokens ({error}); remove it and begin anew.") from error
    if (len(tokens), len(sentences), len(documents)) != (
        card["tokens"], card["sentences"] + 1, card["documents"] + 1
    ):  # fmt: skip
        raise DataError(f"The corpus of tokens in '{folder}' is not whole; remove it and begin anew.")
    if card["vocabulary"] != vocabulary_checksum(tokenizer):
        raise DataError(
            f"The tokens in '{folder}' were made with another vocabulary than this tokenizer's; remove them, or give the "
            "tokenizer that they were made with."
        )
    return TokenDocuments(tokens, sentences, documents, card)


def vocabulary_checksum(tokenizer: Any) -> str:
    """The same for the same tokens with the same ids."""
    words = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    return hashlib.sha256("\n".join(f"{word}\t{number}" for word, number in words).encode()).hexdigest()


_EMPTY = (
    "The corpus has no sentence with a token in it; give a text file with one sentence or paragraph a line and an empty line "
    "between documents, a folder of such files, or 'docstrings'."
)


def _kind(tokenizer: Any) -> type:
    return np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32


def _encoded(documents: Iterable[Document], tokenizer: Any) -> Iterator[list[list[int]]]:
    """The ids of each document's sentences; sentences and documents without a token are left out."""
    waiting = iter(documents)
    while chunk := list(islice(waiting, _CHUNK)):
        sentences = [sentence for document in chunk for sentence in document.sentences]
        if not sentences:
            continue
        ids = iter(
            tokenizer(sentences, add_special_tokens=False, verbose=False, return_attention_mask=False)["input_ids"]
        )
        for document in chunk:
            kept = [one for _ in document.sentences if (one := next(ids))]
            if kept:
                yield kept


def _borders(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
