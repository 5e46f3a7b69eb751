"""The rules that torch's operations lay down for shapes, one module a family; `find` asks those that concern a call."""

from __future__ import annotations

from torch import Tensor

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.rules import (
    attention,
    constructing,
    containers,
    convolution,
    embedding,
    losses,
    normalisation,
    products,
    recurrent,
    reports,
    reshaping,
)
from course_lib.shapes.rules.finding import Finding, Kit

FAMILIES = (convolution, products, reshaping, losses, embedding, attention, recurrent, normalisation)


def find(call: Call, scene: Scene) -> Finding | None:
    """The first rule that the call breaks; None where none is known to be broken."""
    if any("sklearn" in frame.file for frame in scene.frames[scene.site + 1 :]):
        return reports.report(call, scene)
    for rule in (
        embedding.too_long,
        devices,
        constructing.constructor,
        containers.arguments,
        containers.RULES.get(call.op),
        containers.not_a_tensor,
    ):
        found = rule(call, scene) if rule is not None else None
        if found is not None:
            return found
    for family in FAMILIES:
        rule = family.RULES.get(call.op)
        found = rule(call, scene) if rule is not None else None
        if found is not None:
            return found
    return None


def devices(call: Call, scene: Scene) -> Finding | None:
    """All tensors of one call on one device."""
    values = dict(call.args)
    if call.layer is not None:
        values |= dict(call.layer.named_parameters(recurse=False))
    places = {name: value.device for name, value in values.items() if isinstance(value, Tensor) and value.dim()}
    if len({str(d) for d in places.values()}) < 2 or (
        scene.history is None and any(d.type == "meta" for d in places.values())
    ):
        return None
    if "device" not in scene.text and "backend" not in scene.text:
        return None
    kit = Kit(call, scene)
    (one, here), *rest = places.items()
    other, there = next((name, d) for name, d in rest if d != here)
    cause = f"All tensors of {call.operation} must be on one device, but {kit.name(one)} is on {here} and {kit.name(other)} on {there}."
    return Finding(cause, list(kit.change(one, f"{{}}.to({kit.name(other)}.device)", f"moves it to {there}")))
