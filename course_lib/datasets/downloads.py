"""One file from the web: checked by a digest, resumed where it broke off, and never half there."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.errors import DataError, SetupError

_PIECE = 1 << 16  # bytes
_TRIES = 3
_SECONDS = 30  # without a byte


@dataclass(frozen=True)
class Published:
    """How a published file is known: by its sha256, or by git's name for its contents, or by both."""

    sha256: str | None = None
    git_blob: str | None = None  # sha1 of "blob SIZE\\0" and the contents: what a git repository calls the file

    def fits(self, path: Path) -> bool:
        """Whether the file at `path` is the published one."""
        return all(wanted is None or wanted == found for wanted, found in self._compared(path))

    def _compared(self, path: Path) -> Iterator[tuple[str | None, str]]:
        contents = hashlib.sha256()
        blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                contents.update(piece)
                blob.update(piece)
        yield self.sha256, contents.hexdigest()
        yield self.git_blob, blob.hexdigest()


def fetch(
    address: str, path: Path, published: Published, say: Callable[[str], None] = lambda line: None, wait: float = 1.0
) -> bool:
    """Bring one file. Returns False if it was there already.

    What has come stays in `path` + ".part" until it is whole and checked; a later call goes on from there. A broken
    connection is tried again twice, `wait` and twice `wait` seconds later.

    Raises:
        SetupError: the address cannot be reached, or the connection broke again and again.
        DataError: what came, or what was there, is another file than the published one.
    """
    if path.exists():
        if published.fits(path):
            return False
        raise DataError(f"'{path}' is there, but it is not the published file; move it away, and try again.")
    part = path.with_name(path.name + ".part")
    for number in range(_TRIES):
        begun = part.stat().st_size if part.exists() else 0
        if begun:
            say(f"{path.name}: going on after {begun / 1e6:.1f} MB")
        try:
            _transfer(address, part, begun)
            break
        except urllib.error.HTTPError as error:
            if error.code == 416 and begun:  # nothing is left to send: whole already, or longer than the file
                break
            raise SetupError(
                f"{address} answered {error.code} ({error.reason}): the file is not there any more."
            ) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.filename == str(part):
                raise  # the disk, not the network
            arrived = part.stat().st_size if part.exists() else 0
            if number + 1 == _TRIES or not (arrived > begun or begun):
                kept = f" {arrived / 1e6:.1f} MB are kept in '{part}', and a next try goes on there." if arrived else ""
                raise SetupError(f"{address} could not be reached ({_reason(error)}).{kept}") from None
            time.sleep(wait * (number + 1))
    if not published.fits(part):
        part.unlink()
        raise DataError(
            f"What came from {address} is not the published file, so it was thrown away: the file was changed, or "
            "something on the way gave another answer (a proxy's page?)."
        )
    part.replace(path)
    return True


def _transfer(address: str, part: Path, begun: int) -> None:
    request = urllib.request.Request(address, headers={"Range": f"bytes={begun}-"} if begun else {})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        expected = answer.headers.get("Content-Length")
        came = 0
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab" if goes_on else "wb") as file:
            while piece := answer.read(_PIECE):
                file.write(piece)
                came += len(piece)
    if expected is not None and came < int(expected):
        raise http.client.IncompleteRead(b"", int(expected) - came)


def _reason(error: Any) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended early"
    return str(getattr(error, "reason", None) or error or type(error).__name__)
