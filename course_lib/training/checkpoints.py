"""Whole checkpoints on disk: written under another name, then renamed, so that a broken one never bears a good name.

    OUTPUT/
      config.json, model.safetensors        the best model so far, as `from_pretrained` reads it
      history.csv                           every evaluation
      checkpoints/step-00000120/            everything that continuing takes: weights, optimiser, schedule, random
                                            numbers, the place in the data, the history, the best weights where
                                            they are those of an earlier step (best.pt), and a list of the files

What is beside the checkpoints may be damaged or gone: a run that goes on writes the best model and the history of its
checkpoint again. A kill at any moment leaves the older checkpoint whole. The list of files (`files.json`) is written last and holds their
sizes and checksums; a folder without it, or that differs from it, is damaged and passed over with a sentence.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_lib.errors import TrainingError
from course_lib.training import disk

_FOLDER, _LIST, _STATE = "checkpoints", "files.json", "run.json"
BEST = "best.pt"  # in a checkpoint, where its own weights are not the best
_KEPT = 2  # whole checkpoints: one may be damaged on its disk


def write_checkpoint(
    output: Path,
    step: int,
    state: dict[str, Any],
    write: Callable[[Path], None],
    *,
    main: bool,
    wait: Callable[[], Any],
) -> Path:
    """Write one checkpoint, then remove those before the last two.

    Args:
        state: what goes into run.json.
        write: writes the files of this process into a folder.
        main: does this process prepare and rename the folder?
        wait: returns when all processes have called it.

    Raises:
        TrainingError: no room or no permission; the checkpoints before are untouched.
    """
    folder = output / _FOLDER / f"step-{step:08d}"
    part = folder.with_name(folder.name + ".part")

    def left() -> str:
        whole = [old.name for old in _folders(output)]
        return f"; the newest whole one is {whole[-1]}" if whole else "; there is none yet"

    try:
        with disk.writing(f"The checkpoint of step {step}", folder.parent, disk.GO_ON, left):
            if main:
                for old in folder.parent.glob("*.part"):  # of a run that was killed while it wrote
                    shutil.rmtree(old, ignore_errors=True)
                part.mkdir(parents=True)
            wait()
            write(part)
            wait()
            if main:
                (part / _STATE).write_text(json.dumps(state), encoding="utf-8")
                _list_files(part)
                shutil.rmtree(folder, ignore_errors=True)
                part.replace(folder)
                disk.flush(folder.parent)
                for old in _folders(output)[:-_KEPT]:
                    shutil.rmtree(old, ignore_errors=True)
            wait()
    except (Exception, KeyboardInterrupt):  # a second Ctrl-C does not wait
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def newest_checkpoint(output: Path) -> tuple[Path, dict[str, Any], list[str]] | None:
    """The newest whole checkpoint, what its run.json says, and a sentence for each newer one that is damaged."""
    remarks: list[str] = []
    for folder in reversed(_folders(output)):
        problem = _problem(folder)
        if problem is None:
            return folder, json.loads((folder / _STATE).read_text(encoding="utf-8")), remarks
        remarks.append(f"The checkpoint {folder.name} is damaged ({problem}) and is passed over.")
    if remarks:
        raise TrainingError(
            f"No checkpoint in '{output / _FOLDER}' is whole: {' '.join(remarks)} Start anew in another folder."
        )
    return None


def has_checkpoints(output: Path) -> bool:
    """Has a run left checkpoints here?"""
    return bool(_folders(output))


def check_made_from(output: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Is the run in `output` made from the same? Names that only one of the two has are not compared.

    The name of the data ("data") does not count where its digest ("contents") is the same: a folder may have been moved.

    Raises:
        TrainingError: it is not; every difference is named.
    """
    moved = now.get("contents") is not None and before.get("contents") == now["contents"]
    other = [name for name in now if name in before and before[name] != now[name] and not (moved and name == "data")]
    if other:
        named = "; ".join(f"{name}: {before[name]}, not {now[name]}" for name in other)
        raise TrainingError(
            f"The run in '{output}' began with other choices ({named}): go on with the same, or begin anew in another folder."
        )


def save_model(model: nn.Module, folder: Path, then: str = disk.ELSEWHERE) -> None:
    """The model alone, ready to use: by its own `save_pretrained`, or its weights as safetensors. Never half.

    Raises:
        TrainingError: no room or no permission, and `then` what to do; the model that was there before is untouched.
    """
    with disk.whole_files(folder, "The model", then) as part:
        if hasattr(model, "save_pretrained"):
            model.save_pretrained(part)
        else:
            from safetensors.torch import save_model as save_tensors

            save_tensors(model, str(part / "model.safetensors"), metadata={"format": "pt"})


def save_tokenizer(tokenizer: Any, folder: Path, then: str = disk.ELSEWHERE) -> None:
    """The files of a tokenizer, beside its model's. Never half.

    Raises:
        TrainingError: as in `save_model`.
    """
    with disk.whole_files(folder, "The tokenizer", then) as part:
        tokenizer.save_pretrained(part)


def is_finished(card: Path) -> bool:
    """Has the run that wrote this card come to its end? One that was stopped has a card too, which says so."""
    if not card.is_file():
        return False
    try:
        return bool(json.loads(card.read_text(encoding="utf-8")).get("finished", True))
    except (ValueError, AttributeError):  # damaged: whoever loads it is told
        return True


def best_weights(folder: Path) -> dict[str, Any]:
    """The state dict that a checkpoint has where its own weights are not the best.

    Raises:
        TrainingError: it has none: an older version of the course left it beside the checkpoints alone.
    """
    if not (folder / BEST).is_file():
        raise TrainingError(
            f"The checkpoint '{folder}' is of an older version of the course and lacks the best weights: begin anew in "
            "another folder."
        )
    return torch.load(folder / BEST, map_location="cpu", weights_only=True)


def weights_checksum(output: Path) -> str | None:
    """Of the weights of the best model; None where there are none, or several files of them."""
    path = output / "model.safetensors"
    return _checksum(path) if path.is_file() else None


def prepare_output(output: Path, *, resume: bool) -> None:
    """Make the folder, and see to it that it can be written.

    Raises:
        TrainingError: it is a file, cannot be written, or has a run in it that is not to be resumed.
    """
    if output.exists() and not output.is_dir():
        raise TrainingError(f"'{output}' is a file; give a folder for the trained model.")
    if has_checkpoints(output) and not resume:
        raise TrainingError(
            f"'{output}' has the checkpoints of a run already; go on with it by resume=True (--resume), or give another folder."
        )
    with disk.writing("A file", output):
        output.mkdir(parents=True, exist_ok=True)
        trial = output / f".trial-{os.getpid()}"
        try:
            trial.write_bytes(b"")
        finally:
            trial.unlink(missing_ok=True)


def _folders(output: Path) -> list[Path]:
    """Checkpoints, the oldest first."""
    place = output / _FOLDER
    if not place.is_dir():
        return []
    return sorted(p for p in place.iterdir() if p.is_dir() and p.name.startswith("step-") and not p.suffix)


def _list_files(folder: Path) -> None:
    entries = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            entries[path.relative_to(folder).as_posix()] = [path.stat().st_size, _checksum(path)]
            disk.flush(path)
    listing = folder / _LIST
    listing.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    disk.flush(listing)


def _problem(folder: Path) -> str | None:
    listing = folder / _LIST
    if not listing.is_file():
        return f"{_LIST} is missing"
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
    except ValueError:
        return f"{_LIST} cannot be read"
    for name, (size, checksum) in entries.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} of {size:,} bytes"
        if _checksum(path) != checksum:
            return f"{name} has changed since it was written"
    return None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
