"""Between files and models: transformers' checkpoints into ours, and ours into folders that transformers reads.

Names are the same on both sides but for habits of files, which are put right here: LayerNorm's `gamma` and `beta`, a
prefix `bert.` or `ernie.` where the bare encoder is wanted (or none where a head wants it), and tied weights under one
of their two names. What a file lacks or has too much is reported in words; what does not fit is an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import warnings
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from course_lib.config import BertConfig
from course_lib.errors import ModelFilesError
from course_lib.pretrained import ModelFiles, find_model, read_config, read_weights

Model = TypeVar("Model", bound=nn.Module)

# Buffers that old versions of transformers saved: nothing is lost without them.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
# One parameter under two names, unless the configuration says tie_word_embeddings: false.
_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}

# The beginning of a parameter's name -> what it means that a file lacks it, or has it and the model does not.
_NEW = {
    "pooler.": "the pooler is new: its output is random until it is trained",
    "classifier.": "the classifier is new: train it",
    "qa_outputs.": "the answer head is new: train it",
    "cls.predictions.": "the masked-word head is new: train it",
    "cls.seq_relationship.": "the next-sentence head is new: train it",
}
_UNUSED = {
    "pooler.": "the file's pooler is not used by this model",
    "classifier.": "the file's classifier is not used by this model",
    "qa_outputs.": "the file's answer head is not used by this model",
    "cls.predictions.": "the file's masked-word head is not used by this model",
    "cls.seq_relationship.": "the file's next-sentence head is not used by this model",
}


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What did not match when weights were put into a model: heads and poolers alone, for the encoder must fit."""

    missing: tuple[str, ...]  # parameters of the model that the file does not have: they are new
    unexpected: tuple[str, ...]  # tensors of the file that the model does not have: they are not used

    @property
    def sentences(self) -> list[str]:
        """A sentence for each group of names, with what it means."""
        return _explain(self.missing, _NEW) + _explain(self.unexpected, _UNUSED)


def load(model_class: type[Model], name_or_path: str | Path = "default", **overrides: Any) -> Model:
    """Build a model of this class from a checkpoint, in evaluation mode, its report at `model.load_report`.

    New parameters of a head are said in a UserWarning, because an untrained head answers at random.

    A folder needs no vocabulary here: a model alone reads no text.

    Args:
        model_class: BertModel or a head; called with a BertConfig.
        name_or_path: "default", a name on the hub, or a folder.
        overrides: fields of the configuration, with id2label as transformers has it; and add_pooling_layer, which is
            handed to the class. Fewer num_hidden_layers than the file has are its first layers.

    Raises:
        ModelFilesError: no such model, damaged files, or parameters that do not fit: each with both shapes.
        TypeError: an override that no configuration has.
    """
    files = find_model(name_or_path, vocabulary=False)
    for_class = {key: overrides.pop(key) for key in ("add_pooling_layer",) if key in overrides}
    model = model_class(read_bert_config(files, **overrides), **for_class)
    weights = read_weights(files)
    if "num_hidden_layers" in overrides:
        weights = {key: value for key, value in weights.items() if _layer(key) < overrides["num_hidden_layers"]}
    report = load_weights(model, weights, files.name)
    if new := _explain(report.missing, _NEW):
        warnings.warn(f"{files.name}: {'; '.join(new)}.", UserWarning, stacklevel=3)
    model.load_report = report
    return model.eval()


def read_bert_config(files: ModelFiles, **overrides: Any) -> BertConfig:
    """The configuration of a model's files; `id2label` names the classes, and so counts them."""
    fields = {**read_config(files), "model_type": files.model_type}
    if names := overrides.pop("id2label", None):
        if overrides.pop("num_labels", len(names)) != len(names):
            raise ValueError(
                f"id2label names {len(names)} classes, and num_labels is another number; give one of them."
            )
        fields |= {"id2label": {str(i): name for i, name in names.items()}, "num_labels": len(names)}
    overrides.pop("label2id", None)  # id2label, the other way round
    return BertConfig.from_dict(fields, **overrides)


def load_weights(model: nn.Module, weights: dict[str, Tensor], name: str = "the file") -> LoadReport:
    """Put weights into a model; the encoder must be complete.

    Raises:
        ModelFilesError: a parameter of another shape, or an encoder with parts missing or too many; the model is
            unchanged.
    """
    wanted = model.state_dict()
    found = {_our_name(key, wanted): value for key, value in weights.items() if not key.endswith(_BUFFERS)}
    aliases = _TIED if getattr(model, "tied", True) else {}
    for alias, own in aliases.items():
        copy = found.pop(alias, None)
        if copy is not None and alias in wanted and not _same(copy, found.setdefault(own, copy)):
            raise ModelFilesError(
                f"{alias} and {own} differ in '{name}', and its configuration ties them: if they are meant to differ, "
                'write "tie_word_embeddings": false into its config.json.'
            )
    for key, value in wanted.items():
        if key in found and found[key].shape != value.shape:
            raise ModelFilesError(_misfit(name, key, tuple(found[key].shape), tuple(value.shape)))
    missing = tuple(key for key in wanted if key not in found and key not in aliases)
    lost = [key for key in missing if not _plain(key).startswith(tuple(_NEW))]
    if lost:
        raise ModelFilesError(
            f"'{name}' lacks {len(lost)} parameters of the encoder, {lost[0]} first: it is another kind of model, or has "
            "fewer layers than its configuration says."
        )
    unexpected = tuple(key for key in found if key not in wanted)
    surplus = [key for key in unexpected if _plain(key).startswith(("embeddings.", "encoder."))]
    if surplus:
        raise ModelFilesError(
            f"'{name}' has {len(surplus)} parameters of an encoder for which the model has no place, {surplus[0]} first: "
            "put the configuration and the weights of one and the same model together."
        )
    model.load_state_dict(found, strict=False)
    return LoadReport(missing, unexpected)


def save(model: nn.Module, folder: str | Path) -> Path:
    """Write config.json and model.safetensors, as transformers reads them; both or, when a write fails, none.

    Raises:
        ModelFilesError: a file stands where the folder should be.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ModelFilesError(f"'{folder}' is a file; give a folder to save the model in.")
    folder.mkdir(parents=True, exist_ok=True)
    aliases = _TIED if getattr(model, "tied", True) else {}
    tensors = {
        key: value.detach().cpu().contiguous() for key, value in model.state_dict().items() if key not in aliases
    }
    config = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    if config["model_type"] == "ernie":
        config["architectures"] = [_ernie_name(type(model).__name__)]
        tensors = {"ernie." + key[5:] if key.startswith("bert.") else key: value for key, value in tensors.items()}
    config.pop("torch_dtype", None)  # the old name
    config["dtype"] = str(next(model.parameters()).dtype).removeprefix(
        "torch."
    )  # that of the file may have been another
    parts = {folder / "config.json": folder / "config.json.part"}
    parts[folder / "model.safetensors"] = folder / "model.safetensors.part"
    try:
        parts[folder / "config.json"].write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        save_file(tensors, parts[folder / "model.safetensors"], metadata={"format": "pt"})
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return folder


def _ernie_name(name: str) -> str:
    return {"BertLMHeadModel": "ErnieForCausalLM"}.get(name, name.replace("Bert", "Ernie"))


def _our_name(key: str, wanted: dict[str, Tensor]) -> str:
    key = key.removeprefix("module.")  # put there by DataParallel
    key = key.removesuffix(".gamma") + ".weight" if key.endswith(".gamma") else key
    key = key.removesuffix(".beta") + ".bias" if key.endswith(".beta") else key
    if key in wanted:
        return key
    plain = _plain(key)
    return plain if plain in wanted or f"bert.{plain}" not in wanted else f"bert.{plain}"


def _plain(key: str) -> str:
    """A name without the encoder's prefix."""
    return key.removeprefix("bert.").removeprefix("ernie.")


def _layer(key: str) -> int:
    """The number of the layer that a parameter belongs to, -1 for none."""
    match = re.search(r"encoder\.layer\.(\d+)\.", key)
    return int(match[1]) if match else -1


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and bool((a == b).all()))


def _explain(keys: tuple[str, ...], meanings: dict[str, str]) -> list[str]:
    sentences = []
    for start, meaning in meanings.items():
        if any(_plain(key).startswith(start) for key in keys):
            sentences.append(meaning)
    rest = [key for key in keys if not _plain(key).startswith(tuple(meanings))]
    return sentences + ([f"{len(rest)} more are not used by this model, {rest[0]} first"] if rest else [])


def _misfit(name: str, key: str, has: tuple[int, ...], wants: tuple[int, ...]) -> str:
    plain = _plain(key)
    if plain.startswith(("embeddings.word_embeddings", "cls.predictions")):
        reason = "another vocabulary: take the tokenizer and the vocab_size of the same model"
    elif plain.startswith("classifier"):
        reason = "another num_labels: give the file's own, or load BertModel alone and train a new classifier on it"
    elif plain.startswith(("embeddings.position", "embeddings.token_type", "embeddings.task_type")):
        reason = "a configuration with another number of positions or token types"
    else:
        reason = "a configuration of another size (hidden_size, intermediate_size)"
    return f"{key} has shape {has} in '{name}' and {wants} in the model: probably {reason}."


def weights_sha256(model: nn.Module) -> str:
    """A digest of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
