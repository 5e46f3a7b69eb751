import pytest


@pytest.fixture(autouse=True)
def an_own_progress_file(monkeypatch, tmp_path_factory):
    """No test reads or writes the progress of the person who runs it."""
    path = tmp_path_factory.mktemp("progress") / "progress.json"
    monkeypatch.setenv("COURSE_PROGRESS", str(path))
    return path


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """torch wakes all its threads for a softmax of ten numbers; where other work runs beside, that takes 20 ms each."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
