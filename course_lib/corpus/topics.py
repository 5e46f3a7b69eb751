"""Which library wrote this? A classification set from docstrings, without a download.

A text is a few sentences of a module, its label the package. Names that would give it away (torch.nn.Linear, np., the
package's own name) are replaced by one word in all texts alike. Modules, not texts, are split into train, dev and test:
sentences of one file are about the same things, and some are nearly equal.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from course_lib.corpus.packages import docstrings
from course_lib.datasets.examples import SPLITS, Dataset, Document, Example, Examples, content
from course_lib.datasets.splits import SHARES, part_of
from course_lib.errors import DataError

# Each package, and the names by which texts speak of it.
NAMES: Mapping[str, tuple[str, ...]] = {
    "python": ("python", "cpython"),
    "numpy": ("numpy", "np"),
    "scipy": ("scipy", "sp"),
    "pandas": ("pandas", "pd"),
    "matplotlib": ("matplotlib", "mpl", "pyplot", "plt", "pylab", "mplot3d", "mpl_toolkits"),
    "sklearn": ("sklearn", "scikit-learn", "scikit learn", "scikits"),
    "sympy": ("sympy", "sym"),
    "networkx": ("networkx", "nx"),
    "torch": (
        "torch",
        "pytorch",
        "torchvision",
        "torchaudio",
        "libtorch",
        "torchscript",
        "torchelastic",
        "aten",
        "c10",
    ),
    "transformers": ("transformers", "huggingface", "hugging face", "hf", "🤗"),
}
TOPICS = tuple(NAMES)
_FEWEST, _MOST = 20, 80  # words of a text


def docstring_topics(
    packages: Sequence[str] = TOPICS,
    per_class: int = 1000,
    *,
    shares: tuple[float, float, float] = SHARES,
    mask: str = "library",
    seed: int = 0,
) -> Dataset:
    """Return texts of 20 to 80 words from docstrings, labelled with the package, as many of each.

    Args:
        packages: the classes, as for `docstrings`; of the ten by default every one has enough.
        per_class: texts of each, train, dev and test together.
        shares: of train, dev and test, as for `stable_split`.
        mask: what stands for the names of the packages; "" leaves them out.
        seed: which texts are taken, where there are more.

    Raises:
        DataError: fewer than two packages, one that is not installed, or one with too few texts.
        ValueError: per_class is too small for one text a part, or the shares are wrong.
    """
    if len(set(packages)) < 2:
        raise DataError(f"Texts are told apart between two packages or more; got {', '.join(packages) or 'none'}.")
    wanted = _wanted(per_class, shares)
    corpus = docstrings(packages)
    labels = tuple(corpus.versions)
    hide = _hiding(labels, mask)
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    seen: set[str] = set()
    for document in corpus.documents:
        part, label = part_of(content(document), shares), labels.index(document.source)
        for text in map(hide, _texts(document)):
            key = re.sub(r"[\W\d]+", " ", text.lower())
            if key not in seen:
                seen.add(key)
                found[part, label].append(text)
    draw = random.Random(seed)
    parts = {part: Examples() for part in SPLITS}
    for part, count in wanted.items():
        for label, name in enumerate(labels):
            texts = found[part, label]
            if len(texts) < count:
                raise DataError(
                    f"The docstrings of {name} have {len(texts):,} texts for {part} and {count:,} are wanted; ask for fewer "
                    "(per_class), or leave the package out."
                )
            parts[part] += [Example(text, label) for text in draw.sample(texts, count)]
        draw.shuffle(parts[part])
    versions = ", ".join(f"{name} {version}" for name, version in corpus.versions.items())
    return Dataset(
        "docstring topics",
        labels,
        *parts.values(),
        why=f"docstrings of {len(labels)} packages, split by module, their names replaced by '{mask}': classification",
        notes=(f"Versions: {versions}.",),
    )


def _wanted(per_class: int, shares: tuple[float, float, float]) -> dict[str, int]:
    """Return the texts of each part and class."""
    part_of("", shares)  # complains about wrong shares
    counts = [round(per_class * share) for share in shares[1:]]
    wanted = dict(zip(SPLITS, (per_class - sum(counts), *counts), strict=True))
    for part, share in zip(SPLITS, shares, strict=True):
        if share > 0 and wanted[part] < 1:
            raise ValueError(f"per_class is {per_class}, which leaves no text for {part}; take at least 10.")
    return wanted


def _texts(document: Document) -> Iterator[str]:
    """Go through a module's sentences, as many in a row as make a text of the shortest length."""
    held: list[str] = []
    words = 0
    for sentence in document.sentences:
        held.append(sentence)
        words += len(sentence.split())
        if words >= _FEWEST:
            if words <= _MOST:
                yield " ".join(held)
            held, words = [], 0


def _hiding(packages: Sequence[str], mask: str) -> Callable[[str], str]:
    """Return the function that replaces every name of these packages, and what is written behind it with dots."""
    names = {name for package in packages for name in (package, *NAMES.get(package, ()))}
    pattern = "|".join(sorted(map(re.escape, names), key=lambda name: (-len(name), name)))
    known = re.compile(rf"(?<![^\W_])(?:{pattern})(?![^\W_])(?:[.:]+\w+)*", re.IGNORECASE)
    return lambda text: " ".join(known.sub(mask, text).split())
