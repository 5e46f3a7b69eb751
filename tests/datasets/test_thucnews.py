"""Fetching published files: checked, resumed, atomic; against a server on this machine."""

import hashlib
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from course_lib.__main__ import main
from course_lib.datasets import load_dataset, thucnews
from course_lib.datasets.downloads import Published, fetch
from course_lib.errors import DataError, SetupError

CONTENTS = bytes(range(256)) * 4000  # about 1 MB


def sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def git_blob(contents: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; breaks off after so many bytes as `breaks` says, call by call; notes the ranges asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.breaks, self.asked, self.ranges = {"file.bin": CONTENTS}, [], [], True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        contents = self.server.files.get(self.path.strip("/"))
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if contents is None:
            self.send_error(404)
            return
        start = int(asked.split("=")[1].rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(contents):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(contents) - start))
        self.end_headers()
        end = start + self.server.breaks.pop(0) if self.server.breaks else len(contents)
        self.wfile.write(contents[start:end])

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


PUBLISHED = Published(sha256(CONTENTS), git_blob(CONTENTS))


def test_a_file_comes_whole_and_once(server, tmp_path) -> None:
    path = tmp_path / "new" / "file.bin"
    assert fetch(f"{server.address}/file.bin", path, PUBLISHED)
    assert path.read_bytes() == CONTENTS and [p.name for p in path.parent.iterdir()] == ["file.bin"]
    assert not fetch(f"{server.address}/file.bin", path, PUBLISHED)
    assert server.asked == [None]


def test_a_broken_connection_goes_on_where_it_broke(server, tmp_path) -> None:
    server.breaks = [300_000, 200_001]
    said = []
    assert fetch(f"{server.address}/file.bin", tmp_path / "file.bin", PUBLISHED, said.append, wait=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENTS
    assert server.asked == [None, "bytes=300000-", "bytes=500001-"] and len(said) == 2


def test_what_has_come_is_kept_for_a_later_call(server, tmp_path) -> None:
    server.breaks = [300_000, 100_000, 100_000]
    path = tmp_path / "file.bin"
    with pytest.raises(SetupError, match=r"0\.5 MB are kept"):
        fetch(f"{server.address}/file.bin", path, PUBLISHED, wait=0)
    assert not path.exists()
    assert fetch(f"{server.address}/file.bin", path, PUBLISHED, wait=0)
    assert path.read_bytes() == CONTENTS and server.asked[-1] == "bytes=500000-"


def test_a_server_that_knows_no_ranges_begins_again(server, tmp_path) -> None:
    server.ranges = False
    (tmp_path / "file.bin.part").write_bytes(CONTENTS[:1000])
    assert fetch(f"{server.address}/file.bin", tmp_path / "file.bin", PUBLISHED, wait=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENTS


def test_a_part_that_was_whole_already(server, tmp_path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENTS)
    assert fetch(f"{server.address}/file.bin", tmp_path / "file.bin", PUBLISHED, wait=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENTS


@pytest.mark.parametrize("published", [Published(sha256(b"x")), Published(git_blob=git_blob(b"x"))])
def test_another_file_is_thrown_away(server, tmp_path, published) -> None:
    with pytest.raises(DataError, match="not the published file, so it was thrown away"):
        fetch(f"{server.address}/file.bin", tmp_path / "file.bin", published)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_ones_own_is_never_overwritten(server, tmp_path) -> None:
    (tmp_path / "file.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match="move it away"):
        fetch(f"{server.address}/file.bin", tmp_path / "file.bin", PUBLISHED)
    assert (tmp_path / "file.bin").read_bytes() == b"mine"


def test_a_missing_file_and_no_network_are_a_sentence_each(server, tmp_path) -> None:
    with pytest.raises(SetupError, match="answered 404"):
        fetch(f"{server.address}/other.bin", tmp_path / "file.bin", PUBLISHED)
    address = server.address
    server.shutdown()
    server.server_close()
    with pytest.raises(SetupError, match="could not be reached"):
        fetch(f"{address}/file.bin", tmp_path / "file.bin", PUBLISHED, wait=0)


# --------------------------------------------------------------------------------------------- the headlines


@pytest.fixture
def small(server, monkeypatch):
    """A published set of four headlines in the same form, on the server."""
    words = {"金": 0, "房": 1, "<UNK>": 2, "<PAD>": 3}
    files = {
        "class.txt": b"finance\nrealty\n",
        "train.txt": "金价\t0\n房价\t1\n".encode(),
        "dev.txt": "金\t0\n".encode(),
        "test.txt": "房\t1\n".encode(),
        "embedding_Tencent.npz": b"vectors",
        "vocab.pkl": pickle.dumps(words),
    }
    server.files = files
    for table in (thucnews.TEXTS, thucnews.VECTORS):
        for name in table:
            monkeypatch.setitem(table, name, Published(sha256(files[name]), git_blob(files[name])))
    return server


def test_the_command_fetches_all_and_the_folder_can_be_trained_on(small, tmp_path, capsys) -> None:
    folder = tmp_path / "thucnews"
    assert main(["data", "thucnews", "--output", str(folder), "--address", small.address]) == 0
    out, err = capsys.readouterr()
    assert "train --model TextCNN" in out and "no licence is stated" in out
    assert err.count("fetched, and it is the published file") == 6
    assert (folder / "vocab_chars.txt").read_text(encoding="utf-8").split() == ["金", "房", "<UNK>", "<PAD>"]
    data = load_dataset(folder)
    assert data.labels == ("finance", "realty") and list(data.train.texts) == ["金价", "房价"]
    assert main(["data", "thucnews", "--output", str(folder), "--address", small.address]) == 0
    assert capsys.readouterr().err.count("was there") == 6


def test_without_vectors(small, tmp_path) -> None:
    folder = thucnews.fetch_thucnews(tmp_path, vectors=False, address=small.address)
    assert {path.name for path in folder.iterdir()} == {"class.txt", "train.txt", "dev.txt", "test.txt"}


def test_without_a_network_it_says_what_to_put_where(small, tmp_path, capsys) -> None:
    del small.files["test.txt"]
    assert main(["data", "thucnews", "--output", str(tmp_path), "--address", small.address]) == 1
    err = capsys.readouterr().err
    assert "take test.txt, train.txt, embedding_Tencent.npz, vocab.pkl from the folder THUCNews/data" in err
    assert str(tmp_path) in err and thucnews.PAGE in err and (tmp_path / "dev.txt").exists()


def test_a_pickle_that_asks_for_code_is_refused(small, tmp_path, monkeypatch) -> None:
    small.files["vocab.pkl"] = pickle.dumps(print)
    monkeypatch.setitem(thucnews.VECTORS, "vocab.pkl", Published(git_blob=git_blob(small.files["vocab.pkl"])))
    with pytest.raises(DataError, match=r"asks for builtins\.print"):
        thucnews.fetch_thucnews(tmp_path, address=small.address)


def test_course_data_finds_the_headlines(small, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "mine"))
    with pytest.raises(SetupError, match="python -m course_lib data thucnews"):
        thucnews.find_thucnews()
    inside = thucnews.fetch_thucnews(tmp_path / "mine" / "thucnews", vectors=False, address=small.address)
    assert thucnews.find_thucnews() == inside
    monkeypatch.setenv("COURSE_DATA", str(inside))
    assert thucnews.find_thucnews() == inside
    monkeypatch.delenv("COURSE_DATA")
    fetched = thucnews.fetch_thucnews(vectors=False, address=small.address)
    assert thucnews.find_thucnews() == fetched == thucnews.FOLDER


def test_the_name_finds_the_headlines(small, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COURSE_DATA", raising=False)
    for name in ("thucnews", "data/thucnews"):
        with pytest.raises(
            SetupError, match="fetch them with `python -m course_lib data thucnews`, or let COURSE_DATA name"
        ):
            load_dataset(name)
        for command in (["check"], ["train", "--output", "out"]):
            assert main([*command, "--data", name]) == 1
            said = capsys.readouterr().err
            assert "python -m course_lib data thucnews" in said and not Path("out").exists()
    mine = thucnews.fetch_thucnews(tmp_path / "mine" / "thucnews", vectors=False, address=small.address)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "mine"))
    for name in ("thucnews", "data/thucnews", Path("data", "thucnews")):
        data = load_dataset(name)
        assert data.folder == mine and data.notes == (f"'{name}' was read from '{mine}'.",)
    fetched = thucnews.fetch_thucnews(vectors=False, address=small.address)
    assert load_dataset("data/thucnews").folder == fetched and not load_dataset("data/thucnews").notes
    Path("thucnews").mkdir()
    with pytest.raises(DataError, match="The folder 'thucnews' has no data"):  # what is there is meant
        load_dataset("thucnews")


def test_the_published_files_are_those_of_the_course_data() -> None:
    """An extra: the digests above, compared with files that were fetched."""
    try:
        folder = thucnews.find_thucnews()
    except SetupError:
        pytest.skip("set COURSE_DATA to a folder with thucnews in it")
    found = {name: each.fits(folder / name) for name, each in thucnews.TEXTS.items() if (folder / name).exists()}
    assert {"class.txt", "dev.txt", "test.txt"} <= set(found) and all(found.values())
