import pytest


@pytest.fixture(autouse=True)
def an_own_progress_file(monkeypatch, tmp_path_factory):
    """No test reads or writes the progress of the person who runs it."""
    path = tmp_path_factory.mktemp("progress") / "progress.json"
    monkeypatch.setenv("COURSE_PROGRESS", str(path))
    return path
