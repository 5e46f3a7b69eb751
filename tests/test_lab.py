"""Starting JupyterLab: the options, the refusals, and one real server asked over its own interface."""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from course_lib import lab
from course_lib.errors import SetupError


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A course folder with one notebook, which `start_lab` takes for the repository."""
    root = tmp_path / "a course"
    (root / "notebooks").mkdir(parents=True)
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (root / "notebooks" / lab.FIRST_NOTEBOOK).write_text(json.dumps(empty), encoding="utf-8")
    monkeypatch.setattr(lab, "__file__", str(root / "course_lib" / "lab.py"))
    return root.resolve()


@pytest.fixture
def launched(monkeypatch):
    """The options that JupyterLab would have been started with, and JUPYTER_PATH as it would have seen it."""
    seen = {}

    def launch(options):
        seen.update(options=options, path=os.environ.get("JUPYTER_PATH"))
        return 0

    monkeypatch.setattr(lab, "_launch", launch)
    return seen


def test_it_opens_the_first_notebook_on_this_machine_alone(root, launched, capsys):
    assert lab.start_lab() == 0
    options = launched["options"]
    assert "--ServerApp.ip=127.0.0.1" in options
    assert f"--ServerApp.root_dir={root}" in options
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in options
    assert "--no-browser" not in options
    assert not any("token" in option or "password" in option for option in options)
    assert "press Ctrl-C" in capsys.readouterr().out


def test_the_usual_port_gives_way_to_the_next_free_one_and_a_given_one_does_not(root, launched):
    lab.start_lab()
    assert {"--ServerApp.port=8888", "--ServerApp.port_retries=50"} <= set(launched["options"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab.start_lab(port=port)
    assert {f"--ServerApp.port={port}", "--ServerApp.port_retries=0"} <= set(launched["options"])


def test_a_taken_port_is_refused_in_a_sentence(root, launched):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SetupError, match=rf"Port {taken.getsockname()[1]} cannot be had .*: give another number"):
            lab.start_lab(port=taken.getsockname()[1])
    assert not launched


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_an_impossible_port_is_refused(root, port):
    with pytest.raises(SetupError, match=f"Port {port} is not possible"):
        lab.start_lab(port=port)


def test_a_missing_notebook_is_said(root, launched):
    with pytest.raises(SetupError, match=r"no notebook 99_no\.ipynb in .*notebooks: bring it back"):
        lab.start_lab("99_no.ipynb")
    assert not launched


def test_a_missing_jupyterlab_is_said(root, launched, monkeypatch):
    monkeypatch.setattr(lab.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match="JupyterLab is not installed for this Python"):
        lab.start_lab()
    assert not launched


def test_a_notebook_with_a_space_in_its_name_makes_a_whole_address(root, launched):
    (root / "notebooks" / "my notes.ipynb").write_text("{}", encoding="utf-8")
    lab.start_lab("my notes.ipynb")
    assert "--LabApp.default_url=/lab/tree/notebooks/my%20notes.ipynb" in launched["options"]


def test_this_environments_kernels_come_before_those_of_jupyter_path(root, launched, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/of/the/user")
    lab.start_lab()
    assert launched["path"].split(os.pathsep) == [str(Path(sys.prefix) / "share" / "jupyter"), "/of/the/user"]
    assert os.environ["JUPYTER_PATH"] == "/of/the/user"
    monkeypatch.delenv("JUPYTER_PATH")
    lab.start_lab()
    assert launched["path"] == str(Path(sys.prefix) / "share" / "jupyter")
    assert "JUPYTER_PATH" not in os.environ


def test_settings_that_were_damaged_are_written_anew(root, launched):
    lab.start_lab()
    overrides = root / ".course" / "jupyterlab" / "settings" / "overrides.json"
    overrides.write_text("{", encoding="utf-8")
    lab.start_lab()
    assert json.loads(overrides.read_text(encoding="utf-8")) == lab._OVERRIDES


def test_a_folder_that_cannot_be_written_gets_its_settings_elsewhere(root, launched):
    (root / ".course").write_text("a file where the folder should be", encoding="utf-8")
    lab.start_lab()
    (option,) = (option for option in launched["options"] if option.startswith("--LabApp.app_settings_dir="))
    settings = Path(option.split("=", 1)[1])
    assert root not in settings.parents
    assert (settings / "overrides.json").is_file()


def test_the_command_line_passes_its_options_on(monkeypatch):
    calls = []
    monkeypatch.setattr(lab, "start_lab", lambda *args, **options: calls.append((args, options)) or 0)
    parser = argparse.ArgumentParser()
    lab.add_arguments(parser)
    assert lab.run(parser.parse_args(["--no-browser", "--port", "9000"])) == 0
    assert lab.run(parser.parse_args([])) == 0
    assert calls == [
        (("00_start_here.ipynb",), {"browser": False, "port": 9000}),
        (("00_start_here.ipynb",), {"browser": True, "port": None}),
    ]


def test_a_real_server_asks_no_questions_about_news_and_runs_this_python(root, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = (
        f"from course_lib import lab; lab.__file__ = {str(root / 'course_lib' / 'lab.py')!r}\n"
        f"raise SystemExit(lab.start_lab(browser=False, port={port}))"
    )
    kernels = tmp_path / "of another python" / "kernels" / "python3"  # what must not run the notebooks
    kernels.mkdir(parents=True)
    spec = {"argv": ["/no/python"], "display_name": "another Python", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "JUPYTER_PATH": str(kernels.parent.parent)}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    server = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = []
        for line in server.stdout:
            said.append(line)
            address = re.search(
                r"(http://127\.0\.0\.1:\d+)(/lab/tree/notebooks/00_start_here\.ipynb)\?token=(\w+)", line
            )
            if address:
                break
        assert address, "".join(said)

        until = time.monotonic() + 20  # Jupyter prints its address a moment before it listens there
        while time.monotonic() < until:
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)

        def get(path: str) -> dict:
            with urllib.request.urlopen(f"{address[1]}{path}?token={address[3]}", timeout=30) as answer:
                return json.loads(answer.read())

        news = get("/lab/api/settings/@jupyterlab/apputils-extension:notification")["schema"]["properties"]
        assert news["fetchNews"]["default"] == "false" and news["checkForUpdates"]["default"] is False
        python3 = get("/api/kernelspecs")["kernelspecs"]["python3"]["spec"]
        assert python3["display_name"] != "another Python"
        assert Path(python3["argv"][0]).name.startswith("python") or python3["argv"][0] == sys.executable
        assert get("/api/contents/notebooks/00_start_here.ipynb")["type"] == "notebook"
    finally:
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=30)
    assert server.returncode == 0 or os.name == "nt", rest
    assert "Traceback" not in rest
