"""A model of the zoo as two files: zoo.json, what it is made of, and model.safetensors, its weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.errors import ModelFilesError

if TYPE_CHECKING:
    from course_lib.zoo.classifier import TextClassifier

CARD, WEIGHTS = "zoo.json", "model.safetensors"


def save(model: TextClassifier, folder: str | Path) -> Path:
    """Write both files into a folder, which is made if need be; the weights last.

    Raises:
        ValueError: a model that `course_lib.zoo.build` did not make.
    """
    from safetensors.torch import save_file

    if not model.card:
        raise ValueError("This model was put together by hand; course_lib.zoo.build makes models that can be saved.")
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    card = dict(model.card)
    encoder = getattr(model.source, "bert", None)
    if encoder is not None:
        card["encoder"] = {**dataclasses.asdict(encoder.config), "pooler": encoder.pooler is not None}
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in model.state_dict().items()}
    card_part, weights_part = folder / (CARD + ".part"), folder / (WEIGHTS + ".part")
    card_part.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    save_file(tensors, str(weights_part), metadata={"format": "pt"})
    card_part.replace(folder / CARD)
    weights_part.replace(folder / WEIGHTS)
    return folder


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer that was saved beside the model: a vocabulary of its own, or that of its BERT.

    Raises:
        ModelFilesError: there is none, or it is damaged, or that of another model.
    """
    from course_lib.vocabulary import check_vocabulary, load_vocabulary

    folder = Path(folder).expanduser()
    card = _card(folder)
    encoder = card.get("encoder")
    tokenizer = load_vocabulary(folder) if encoder is None else _load_encoders(folder, encoder)
    rows = card.get("vocab_size") if encoder is None else encoder.get("vocab_size")
    check_vocabulary(tokenizer, folder, card.get("vocabulary"), rows)
    return tokenizer


def _load_encoders(folder: Path, encoder: dict[str, Any]) -> Any:
    from transformers import PreTrainedTokenizerFast

    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(
            folder, local_files_only=True, model_max_length=encoder["max_position_embeddings"]
        )
    except Exception as error:  # the tokenizers library raises plain Exception
        raise ModelFilesError(
            f"The tokenizer in '{folder}' is missing or damaged: train the model again, or copy it again."
        ) from error
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFilesError(
            f"'{folder}' has no {CARD} that can be read; give a folder that a model of the zoo was saved in."
        ) from error
    return card


def load(folder: str | Path) -> TextClassifier:
    """What `save` wrote, in evaluation mode.

    Raises:
        ModelFilesError: there is nothing of this kind, or it is damaged.
    """
    from safetensors.torch import load_file

    from course_lib.bert import BertModel
    from course_lib.config import BertConfig
    from course_lib.zoo import build

    folder = Path(folder).expanduser()
    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        raise ModelFilesError(
            f"'{folder}' has no {CARD} with a {WEIGHTS}; give a folder that a model of the zoo was saved in."
        )
    try:
        card = _card(folder)
        encoder = card.pop("encoder", None)
        if encoder is not None:
            pooler = encoder.pop("pooler")
            encoder = BertModel(BertConfig(**encoder), add_pooling_layer=pooler)
        model = build(card["name"], card["num_classes"], card.get("vocab_size"), encoder, **card["options"])
        model.load_state_dict(load_file(folder / WEIGHTS))
        if "vocabulary" in card:
            model.card["vocabulary"] = card["vocabulary"]
    except Exception as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelFilesError(
            f"The model in '{folder}' is damaged ({said}); train it again, or copy it again."
        ) from error
    return model.eval()
