"""What a model is pretrained on: documents that can be gone through again and again, held in memory or not."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from course_lib.datasets.examples import Document, Examples, content
from course_lib.datasets.files import Stream
from course_lib.datasets.splits import part_of
from course_lib.errors import DataError


@dataclass(frozen=True, repr=False)
class Corpus:
    """Documents, and what is known of where they are from.

    `documents` is a list, or a stream that reads them whenever they are asked for and has no length.
    """

    documents: Examples | Stream | Any  # of Document
    name: str
    versions: Mapping[str, str] = field(default_factory=dict)  # source -> version, where sources have versions
    notes: tuple[str, ...] = ()  # sentences: what was left out, counted

    @property
    def streamed(self) -> bool:
        """Whether the documents are read anew each time."""
        return not hasattr(self.documents, "__len__")

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """Documents, sentences, words (between blanks) and characters; of a stream after one pass through it."""
        counts: Counter[str] = Counter(dict.fromkeys(("documents", "sentences", "words", "characters"), 0))
        for document in self.documents:
            counts["documents"] += 1
            counts["sentences"] += len(document.sentences)
            counts["words"] += sum(len(sentence.split()) for sentence in document.sentences)
            counts["characters"] += sum(map(len, document.sentences))
        return dict(counts)

    def sources(self) -> dict[str, int]:
        """Return the number of documents of each source, in the order of the corpus."""
        return dict(Counter(document.source for document in self.documents))

    def sentences(self) -> Iterable[str]:
        """Go through all sentences."""
        return (sentence for document in self.documents for sentence in document.sentences)

    def without(self, sources: str | Collection[str]) -> Corpus:
        """Return the corpus without the documents of some sources, held out whole.

        Raises:
            DataError: a source that the corpus does not have, or nothing is left.
        """
        chosen = self._known(sources)
        return self._where(lambda document: document.source not in chosen, f"without {', '.join(sorted(chosen))}")

    def only(self, sources: str | Collection[str]) -> Corpus:
        """Return the documents of some sources alone.

        Raises:
            DataError: a source that the corpus does not have.
        """
        chosen = self._known(sources)
        return self._where(lambda document: document.source in chosen, f"only {', '.join(sorted(chosen))}")

    def split(self, dev_share: float = 0.05) -> tuple[Corpus, Corpus]:
        """Return two corpora, for training and for judging: whole documents, the same ones every time.

        A hash of a document's text decides, so repeats stay together and documents added later move no other.

        Raises:
            ValueError: the share is not above 0 and below 1.
            DataError: a single document, or one of the two is empty.
        """
        if not 0 < dev_share < 1:
            raise ValueError(f"dev_share is {dev_share}; a number above 0 and below 1 is expected, such as 0.05.")
        if len(list(itertools.islice(self.documents, 2))) == 1:
            raise DataError(
                f"No document of the corpus '{self.name}' is left for train or for dev: it has one, and whole documents are "
                "held out; separate documents by empty lines, or take more of it."
            )
        shares = (1 - dev_share, dev_share, 0.0)
        parts = {
            part: self._where(lambda document, part=part: part_of(content(document), shares) == part, part)
            for part in ("train", "dev")
        }
        return parts["train"], parts["dev"]

    def _known(self, sources: str | Collection[str]) -> frozenset[str]:
        chosen = frozenset([sources] if isinstance(sources, str) else sources)
        known = self.sources()
        for source in sorted(chosen - set(known)):
            raise DataError(f"The corpus '{self.name}' has no source '{source}'; it has {', '.join(known)}.")
        return chosen

    def _where(self, keep: Callable[[Document], bool], what: str) -> Corpus:
        if self.streamed:
            documents = self.documents.where(keep)
        else:
            documents = Examples(document for document in self.documents if keep(document))
        if next(iter(documents), None) is None:
            raise DataError(f"No document of the corpus '{self.name}' is left ({what}); take more of it.")
        return dataclasses.replace(self, documents=documents, name=f"{self.name}, {what}")

    def __repr__(self) -> str:
        if self.streamed:
            return f"Corpus({self.name!r}, streamed)"
        return f"Corpus({self.name!r}, {', '.join(f'{count:,} {what}' for what, count in self.counts.items())})"
