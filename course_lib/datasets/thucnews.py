"""THUCNews headlines: 200,000 Chinese headlines in ten classes, as a Chinese repository published them.

    python -m course_lib data thucnews
    python -m course_lib train --model TextCNN --data data/thucnews --output my_cnn

Train has 180,000 headlines, dev and test 10,000 each. The news are Sina's, of 2005 to 2011; they were collected by the
Natural Language Processing Lab of Tsinghua University (THUCTC, 2016), which offers them for research. The repository
states a licence for its code, none for the headlines. So the course fetches them when asked, and contains none.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_lib.datasets.downloads import Published, fetch
from course_lib.errors import DataError, SetupError

PAGE = "https://github.com/649453932/Chinese-Text-Classification-Pytorch"
COMMIT = "6cb26819af7b646275aff8a4693676f2849e67f6"
ADDRESS = f"https://raw.githubusercontent.com/649453932/Chinese-Text-Classification-Pytorch/{COMMIT}/THUCNews/data"
FOLDER = Path("data") / "thucnews"  # by this or by its name alone `load_dataset` asks for the headlines

TEXTS = {
    "class.txt": Published("005e8813ad639c219e5902dc84889202b4a717b4238497d26c3fbd5e43927a86", "4c20bac1a8a6be2c207f0e97be4c279651d76d21"),
    "dev.txt": Published("6ed73aa2c57ee1560c8f76570d48735c4b1c29ae4983fe3523d56e115813e175", "cf7f8de6fc3e3c72284ab59e7ed850f49b7185c0"),
    "test.txt": Published("ebecc8c896635ad69730083ca7b81d37c42c9a5779bc05c9d2479d894e34f026", "9c216ace7d0cf2c89fec1b4c9d49a92dc1791d0a"),
    "train.txt": Published(git_blob="ffe8979a12879da0747847aca49e9a6c1d29898f"),
}  # fmt: skip
VECTORS = {
    "embedding_Tencent.npz": Published("8c3d59d109f48f119a3e04bddd7b8ac4c11245d11c57335f6be2de7ba7130b28", "f02c9f5102854e9bcbc1a60d04e00170cca1208b"),
    "vocab.pkl": Published(git_blob="30bc6069a5b9311da71ccd4b33ab16d76e953621"),
}  # fmt: skip
WORDS = "vocab_chars.txt"  # the words of the vectors, one a line: vocab.pkl as text


def find_thucnews() -> Path:
    """Return the folder with the headlines: COURSE_DATA/thucnews, COURSE_DATA itself, or data/thucnews.

    Raises:
        SetupError: none of them has the files.
    """
    given = os.environ.get("COURSE_DATA")
    places = ([Path(given) / "thucnews", Path(given)] if given else []) + [FOLDER]
    for place in places:
        if all((place / name).is_file() for name in ("class.txt", "dev.txt", "test.txt")):
            return place
    raise SetupError(
        f"The headlines of THUCNews are not in {' or '.join(repr(str(place)) for place in places)}: fetch them with "
        "`python -m course_lib data thucnews`, or let COURSE_DATA name the folder that holds them."
    )


def fetch_thucnews(
    folder: str | Path = FOLDER,
    *,
    vectors: bool = True,
    address: str = ADDRESS,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Bring the published files into a folder; what is there already is checked and left.

    Args:
        folder: where to; `load_dataset` reads it.
        vectors: with the 200 numbers a character of Tencent's table (4 MB), for `--vectors`.
        address: of the folder with the files; a mirror where the repository cannot be reached.

    Raises:
        SetupError: no network, with what to do by hand.
        DataError: a file is another one than was published.
    """
    folder = Path(folder)
    files = {**TEXTS, **(VECTORS if vectors else {})}
    for name, published in files.items():
        try:
            new = fetch(f"{address}/{name}", folder / name, published, say)
        except SetupError as error:
            missing = [each for each in files if not (folder / each).exists()]
            raise SetupError(
                f"{error} By hand: on a machine with a network, take {', '.join(missing)} from the folder THUCNews/data of "
                f"{PAGE} (commit {COMMIT[:8]}), put them into '{folder}', and run this again; it checks them."
            ) from None
        say(f"{name}: {'fetched' if new else 'was there'}, and it is the published file")
    if vectors:
        _write_words(folder)
    return folder


def _write_words(folder: Path) -> None:
    path = folder / WORDS
    if path.exists():
        return
    numbers = _PlainUnpickler(io.BytesIO((folder / "vocab.pkl").read_bytes())).load()
    words = sorted(numbers, key=numbers.__getitem__)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{word}\n" for word in words), encoding="utf-8", newline="\n")
    part.replace(path)


class _PlainUnpickler(pickle.Unpickler):
    """Reads dictionaries, words and numbers. A pickle can run code through the classes it names; this one finds none."""

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(f"vocab.pkl asks for {module}.{name}; a plain dictionary of words was expected.")
