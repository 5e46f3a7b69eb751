import datetime
import logging
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest

from course_lib import check
from course_lib.errors import DataError, SetupError
from course_lib.graphs import netron as ours
from course_lib.plots import Table


def small_model(name: str = "Relu", weights: int = 0) -> onnx.ModelProto:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 4])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 4])
    nodes = [onnx.helper.make_node(name, ["x"], ["y"])]
    initial = [onnx.numpy_helper.from_array(np.zeros(weights, np.float32), "w")] if weights else []
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "small", [x], [y], initial))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(small_model(), tmp_path / "small.onnx")
    return tmp_path / "small.onnx"


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at the notebook."""
    monkeypatch.setattr(ours, "frontend", lambda: "person")


@pytest.fixture
def opened():
    views: list[ours.NetronView] = []
    yield views
    for view in views:
        view.close()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def test_a_frame_for_the_server_and_under_it_the_picture(path: Path, person, opened) -> None:
    opened.append(view := ours.show(path, height=432))
    assert view.address[0] == "127.0.0.1" and view.address[1] > 0
    page = view._repr_mimebundle_()["text/html"]
    assert view.url in page and '"432"' in page
    script, _, after = page.partition("</script>")
    assert "asks an outside service" in script and "does not answer any more" in script
    assert after.startswith("<table>") and "Relu" in after
    assert "<iframe" not in page  # only the script makes one, where the server answers
    assert onnx.load_from_string(get(f"{view.url}/data/small.onnx")).graph.node[0].op_type == "Relu"
    assert b"netron" in get(view.url).lower()


def test_the_server_has_the_model_alone(path: Path, person, opened) -> None:
    (path.parent / "secret.txt").write_text("mine")
    opened.append(view := ours.show(path))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{view.url}/data/secret.txt")


def test_two_models_at_a_time_keep_apart(path: Path, person, opened) -> None:
    onnx.save(small_model("Tanh"), path.with_name("other.onnx"))
    opened += [first := ours.show(path), second := ours.show(path.with_name("other.onnx"))]
    assert first.address != second.address
    for view, name in ((first, "Relu"), (second, "Tanh")):
        assert f"/data/{view.name}".encode() in get(view.url)
        assert onnx.load_from_string(get(f"{view.url}/data/{view.name}")).graph.node[0].op_type == name
    with pytest.raises(urllib.error.HTTPError):
        get(f"{first.url}/data/other.onnx")


def test_weights_in_a_file_beside_it_come_along(tmp_path: Path, person, opened) -> None:
    path = tmp_path / "big.onnx"
    onnx.save(small_model(weights=2000), path, save_as_external_data=True, location="big.data", size_threshold=0)
    opened.append(view := ours.show(path))
    assert get(f"{view.url}/data/big.data") == bytes(8000)
    (tmp_path / "big.data").unlink()
    with pytest.raises(DataError, match=r"big\.data, which is missing"):
        ours.show(path)


def test_weights_from_outside_the_folder_are_refused(tmp_path: Path, person) -> None:
    (tmp_path / "inner").mkdir()
    model = small_model(weights=2000)
    onnx.save(model, tmp_path / "inner" / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    text = (tmp_path / "inner" / "m.onnx").read_bytes().replace(b"m.data", b"../m.d")
    (tmp_path / "inner" / "m.onnx").write_bytes(text)
    with pytest.raises(DataError, match="outside its folder"):
        ours.show(tmp_path / "inner" / "m.onnx")


def test_closing_ends_the_server_and_removes_the_folder(path: Path, person) -> None:
    view = ours.show(path)
    url, folder = view.url, view._folder
    assert folder.is_dir()
    view.close()
    view.close()
    assert not folder.exists() and view.url is None and "<script" not in view._repr_mimebundle_()["text/html"]
    with pytest.raises(OSError):
        get(url)
    assert path.is_file()


def test_the_server_and_its_folder_end_with_the_process(path: Path, tmp_path: Path) -> None:
    script = (
        "from course_lib.graphs import netron as ours\n"
        "ours.frontend = lambda: 'person'\n"
        f"view = ours.show({str(path)!r})\n"
        "import urllib.request; urllib.request.urlopen(view.url).read()\n"
        "print(view._folder)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
    assert not Path(done.stdout.strip()).exists()


def test_nothing_is_logged_and_logging_stays_as_it_was(path: Path, person, capfd) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("netron.server").level)
    ours.show(path).close()
    assert (list(root.handlers), root.level, logging.getLogger("netron.server").level) == before
    assert capfd.readouterr() == ("", "")


def test_names_that_an_address_could_not_hold(tmp_path: Path, person, opened) -> None:
    path = tmp_path / 'mo"del #1 <b> 中文 50%.onnx'
    onnx.save(small_model(), path)
    opened.append(view := ours.show(path))
    name = re.search(r'name="file" content="/data/([^"]+)"', get(view.url).decode())[1]
    assert name == "mo_del _1 _b_ 中文 50_.onnx"
    assert get(f"{view.url}/data/{urllib.request.quote(name)}") == path.read_bytes()
    page = view._repr_mimebundle_()["text/html"]
    assert page.count("</script>") == page.count("<script>") == 1


# ---------------------------------------------------------------------------------------------------- only a picture


def test_a_notebook_run_by_a_program_gets_the_picture_and_no_server(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ours, "frontend", lambda: "program")
    view = ours.show(path)
    page = view._repr_mimebundle_()["text/html"]
    assert view.address is None and "<script" not in page and "127.0.0.1" not in page
    assert "when you run this cell" in page and "Relu" in page


def test_the_table_tells_inputs_outputs_and_operations() -> None:
    table = ours.summary(small_model(weights=3))
    assert list(table.rows) == [
        ("input", "x", "(batch, 4) float"),
        ("output", "y", "(batch, 4) float"),
        ("operation", "Relu", "once"),
    ]


def test_a_picture_of_ones_own_takes_the_tables_place(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ours, "frontend", lambda: "program")
    page = ours.show(path, picture=Table(("mine",), [("picture",)]))._repr_mimebundle_()["text/html"]
    assert "mine" in page and "Relu" not in page
    with pytest.raises(ValueError, match="picture is a int"):
        ours.show(path, picture=3)


def test_an_old_netron_leaves_the_picture_and_says_what_to_do(path: Path, person, monkeypatch) -> None:
    old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=200)
    monkeypatch.setattr(check, "_netron_date", lambda: old)
    view = ours.show(path)
    page = view._repr_mimebundle_()["text/html"]
    assert view.address is None and "<table>" in page
    assert "refuses to show a graph since" in page and "pip install --upgrade netron" in page


def test_without_netron_there_is_the_picture_and_how_to_get_it(path: Path, person, monkeypatch) -> None:
    monkeypatch.setattr(ours.importlib.util, "find_spec", lambda name: None)
    view = ours.show(path)
    assert view.address is None and "netron is not installed" in view.remark


# --------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "holds no graph"),
        (b"this is a text, not a model\n" * 40, "not an ONNX file"),
        (small_model(weights=2000).SerializeToString()[:-700], "cut off"),
        (b"PK\x03\x04" + bytes(range(256)) * 4, "not an ONNX file"),
    ],
)
def test_a_file_that_is_no_whole_onnx_model_is_named(tmp_path: Path, person, content: bytes, said: str) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as raised:
        ours.show(path)
    assert str(raised.value).startswith("wrong.onnx") and "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path, person) -> None:
    with pytest.raises(DataError, match=r"no file .*missing\.onnx"):
        ours.show(tmp_path / "missing.onnx")


def test_a_port_that_is_taken_is_named_and_nothing_stays_behind(path: Path, person, monkeypatch) -> None:
    folders: list[str] = []
    made = ours.tempfile.mkdtemp
    monkeypatch.setattr(ours.tempfile, "mkdtemp", lambda **k: folders.append(made(**k)) or folders[-1])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SetupError, match=f"Port {port} is taken"):
            ours.show(path, port=port)
        monkeypatch.setattr(ours, "_taken", lambda port: False)  # taken in the moment between looking and starting
        with pytest.raises(SetupError, match="could not be started"):
            ours.show(path, port=port)
    assert folders and not any(Path(folder).exists() for folder in folders)


@pytest.mark.parametrize("options", [{"port": -1}, {"port": 70000}, {"height": 0}])
def test_impossible_ports_and_heights_are_named(path: Path, person, options: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        ours.show(path, **options)


def test_a_plain_terminal_is_told_where_to_go(path: Path) -> None:
    with pytest.raises(SetupError, match=r"plain terminal.*python -m netron small\.onnx --browse"):
        ours.show(path)
