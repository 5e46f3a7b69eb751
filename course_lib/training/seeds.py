"""Random numbers: starting them, and keeping where they stand, so that a run can be repeated or resumed."""

from __future__ import annotations

import random
from typing import Any

import torch


def set_seed(seed: int) -> None:
    """Start the random numbers of Python, NumPy and PyTorch at `seed`: the same run draws the same numbers again.

    Call it before the model is built, since new weights are drawn then. The same seed on another machine, or with
    another version of PyTorch, may give other digits.
    """
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """Where the random numbers stand, as tensors and numbers that `torch.save` can write."""
    import numpy as np

    name, keys, position, has_gauss, cached = np.random.get_state()
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype("int64")), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Go back to a state that `random_state` gave."""
    import numpy as np

    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype("uint32"), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
