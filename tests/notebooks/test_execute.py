import os
from pathlib import Path

import nbformat.v4 as v4
import pytest

from course_lib.notebooks.course import Row, _untagged_error
from course_lib.notebooks.execute import Run, execute


def run(folder: Path, *sources: str, **options) -> Run:
    cells = [v4.new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources)]
    return execute(v4.new_notebook(cells=cells), folder, **options)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One kernel for several questions: kernels are slow to start."""
    return run(
        tmp_path_factory.mktemp("books"),
        "import os, socket, subprocess, sys\nfrom pathlib import Path\nprint(Path.cwd().name)",
        "try:\n    socket.create_connection(('192.0.2.1', 80), 5)\nexcept ConnectionRefusedError as e:\n    print(e)",
        "try:\n    socket.getaddrinfo('example.com', 80)\nexcept ConnectionRefusedError as e:\n    print(e)",
        "code = 'import socket; socket.create_connection((\"192.0.2.1\", 80), 5)'\n"
        "print(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stderr)",
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    socket.create_connection(server.getsockname(), 5).close()\nprint('local is fine')",
        "print(os.environ['HF_HUB_OFFLINE'], os.environ['OMP_NUM_THREADS'], os.environ['COURSE_PROGRESS'])",
        "block = bytearray(200_000_000)\nimport time\ntime.sleep(0.5)",
        "print(sys.executable)",
        threads=1,
    )


def test_the_kernel_ends_with_its_notebook_whether_or_not_a_cell_failed(tmp_path: Path) -> None:
    import psutil

    def kernels() -> set[int]:
        return {child.pid for child in psutil.Process().children(recursive=True)}

    before = kernels()
    assert run(tmp_path, "1 + 1").error is None
    assert "ZeroDivisionError" in run(tmp_path, "1 / 0").error
    assert kernels() <= before


def text(ran: Run, cell: int) -> str:
    return "".join(o.get("text", "") for o in ran.notebook.cells[cell].outputs)


def test_it_runs_in_the_folder_with_this_python(ran: Run) -> None:
    import sys

    assert ran.error is None
    assert text(ran, 0).startswith("books")
    assert Path(text(ran, 7).strip()).samefile(sys.executable)


@pytest.mark.parametrize("cell", [1, 2, 3])
def test_connections_out_of_this_machine_are_refused_in_the_kernel_and_its_children(ran: Run, cell: int) -> None:
    assert "a connection to" in text(ran, cell) and "was refused" in text(ran, cell)


def test_connections_within_this_machine_work(ran: Run) -> None:
    assert text(ran, 4) == "local is fine\n"


def test_the_hub_is_offline_and_the_learners_progress_is_elsewhere(ran: Run) -> None:
    offline, threads, progress = text(ran, 5).split()
    assert (offline, threads) == ("1", "1")
    assert ".course" not in progress


def test_time_and_memory_are_measured(ran: Run) -> None:
    assert 200_000_000 < ran.peak_bytes < 2_000_000_000
    assert ran.seconds > 0.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system starts processes without a copy of the parent")
def test_a_process_that_is_about_to_become_another_is_not_counted_twice(tmp_path: Path) -> None:
    held = "import os, time\nheld = bytearray(b'x') * 400_000_000"
    copy = "copy = os.fork()\nif not copy:\n    time.sleep(0.3)\n    os._exit(0)\nos.waitpid(copy, 0)"
    ran = run(tmp_path, held, copy)
    assert ran.error is None and 400_000_000 < ran.peak_bytes < 700_000_000


def test_a_failing_cell_is_named_with_its_line(tmp_path: Path) -> None:
    failed = run(tmp_path, "x = 1", "y = 2\nx / 0", "z = 3")
    assert failed.error == "cell c1, at `x / 0`: ZeroDivisionError: division by zero"
    assert failed.notebook.cells[2].execution_count is None


def test_outputs_of_an_earlier_run_do_not_survive_a_failure(tmp_path: Path) -> None:
    old = v4.new_output("error", ename="Old", evalue="from an earlier run", traceback=["---> 1 old()"])
    cells = [v4.new_code_cell("1 / 0", id="c0"), v4.new_code_cell("old()", id="c1", outputs=[old])]
    failed = execute(v4.new_notebook(cells=cells), tmp_path)
    assert failed.error == "cell c0, at `1 / 0`: ZeroDivisionError: division by zero"
    assert failed.notebook.cells[1].outputs == []


def test_a_cell_that_takes_too_long_ends_the_run(tmp_path: Path) -> None:
    stuck = run(tmp_path, "import time\ntime.sleep(60)", timeout=2)
    assert stuck.error is not None and stuck.seconds < 30


def test_tagged_errors_do_not_fail_a_notebook() -> None:
    error = v4.new_output("error", ename="E", evalue="e", traceback=[])
    meant = v4.new_code_cell("x", outputs=[error], metadata={"tags": ["raises-exception"]})
    assert _untagged_error(v4.new_notebook(cells=[meant])) is None
    assert _untagged_error(v4.new_notebook(cells=[v4.new_code_cell("x", outputs=[error])])) == "E: e"
    assert Row("a", None, 1.0, 1).error is None
