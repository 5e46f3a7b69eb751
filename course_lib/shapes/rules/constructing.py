"""Layers that could not be made: settings that must divide each other, and sizes that must be whole numbers."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.rules.finding import Candidate, Finding, Kit

# (a number, its divisor): what one setting of a layer must be a multiple of
_MULTIPLES = (("embed_dim", "num_heads"), ("d_model", "nhead"), ("num_channels", "num_groups"), ("in_channels", "groups"),
              ("out_channels", "groups"))  # fmt: skip
_SIZES = ("in_features", "out_features", "in_channels", "out_channels", "num_embeddings", "embedding_dim", "input_size",
          "hidden_size", "num_features", "num_layers", "num_channels", "d_model", "embed_dim", "dim_feedforward")  # fmt: skip


def constructor(call: Call, scene: Scene) -> Finding | None:
    """A class of torch.nn that was called with settings that do not go together."""
    kind = call.function
    if call.layer is not None or not isinstance(kind, type) or not issubclass(kind, nn.Module):
        return None
    kit = Kit(call, scene)
    for setting in _SIZES:
        value = call.args.get(setting)
        if isinstance(value, float | tuple | list) and not isinstance(value, bool):
            what = f"the {type(value).__name__} {value}" if not isinstance(value, float) else f"{value}, a float"
            cause = f"{setting} of {kind.__name__} must be a whole number, but {kit.name(setting)} is {what}."
            fixes: list[Candidate] = []
            if isinstance(value, float) and value == int(value):
                text = call.names.get(setting, "")
                whole = text.replace("/", "//") if text.count("/") == 1 and "//" not in text else f"int({text})"
                fixes += kit.change(setting, whole, f"{int(value)}, a whole number")
            elif isinstance(value, float):
                fixes += kit.change(setting, "int({})", f"rounded down to {int(value)}")
            elif len(value) == 1:
                fixes += kit.change(setting, str(value[0]), "the number in it")
            return Finding(cause, fixes)
    for number, divisor in _MULTIPLES:
        n, d = call.args.get(number), call.args.get(divisor)
        if isinstance(n, int) and isinstance(d, int) and d > 0 and n % d:
            parts = {"groups": "groups", "num_groups": "groups"}.get(divisor, "heads")
            cause = (
                f"{kind.__name__} parts {number} {n} into {d} {parts}, but {n} / {d} = {n / d:.4g} is no whole number."
            )
            return Finding(cause, list(_divisors(kit, number, divisor, n, d)))
    return None


def _divisors(kit: Kit, number: str, divisor: str, n: int, d: int) -> Iterator[Candidate]:
    parts = [m for m in range(1, n + 1) if n % m == 0]
    near = sorted(parts, key=lambda m: (abs(m - d), -m))[:2]
    for m in near:
        yield from kit.change(divisor, str(m), f"{n} = {m} x {n // m}")
    if number in ("embed_dim", "d_model"):
        yield from kit.change(
            number, str(-(-n // d) * d), f"{-(-n // d) * d} = {d} x {-(-n // d)}; what comes in must be as wide"
        )
