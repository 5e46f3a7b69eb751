"""Three parts of one file, the same ones every time.

Which part an example goes to is decided by a hash of its own content (BLAKE2b), not by a random number: the same line
lands in the same part on every machine, lines added later move no other, and repeats stay together, so that nothing of
the test part stands in the training part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from course_lib.datasets.examples import SPLITS, Examples, content

SHARES = (0.8, 0.1, 0.1)  # of train, dev, test


def part_of(text: str, shares: tuple[float, float, float] = SHARES) -> str:
    """Return "train", "dev" or "test" for a text, always the same for the same text.

    Raises:
        ValueError: the shares are not three numbers from 0 that sum to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(
            f"The shares of train, dev and test are three numbers from 0 that sum to 1, for instance 0.8, 0.1, 0.1; "
            f"got {shares}."
        )
    digest = hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()
    place = int.from_bytes(digest) / 2**64  # evenly spread over 0 to 1
    if place < shares[0]:
        return SPLITS[0]
    return SPLITS[1] if place < shares[0] + shares[1] else SPLITS[2]


def stable_split(
    examples: Iterable[Any], shares: tuple[float, float, float] = SHARES
) -> tuple[Examples, Examples, Examples]:
    """Return train, dev and test of the examples, in their order.

    The shares hold on the average: of 1,000 examples about 100 go to dev, not exactly 100.
    """
    parts = {name: Examples() for name in SPLITS}
    for example in examples:
        parts[part_of(content(example), shares)].append(example)
    return parts["train"], parts["dev"], parts["test"]
