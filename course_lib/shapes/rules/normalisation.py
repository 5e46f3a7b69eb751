"""Normalisations: how many channels or features they were made for."""

from __future__ import annotations

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, same_dtype, shape_text


def moved(rank: int, start: int, end: int) -> str:
    """A template that moves one dimension and keeps the order of the others: height and width stay what they are."""
    if rank <= 3 and abs(start - end) == 1:
        return f"{{}}.transpose({min(start, end)}, {max(start, end)})"
    order = [d for d in range(rank) if d != start]
    order.insert(end, start)
    return f"{{}}.permute({', '.join(map(str, order))})"


def layer_norm(call: Call, scene: Scene) -> Finding | None:
    """The last dimensions must be normalized_shape."""
    kit = Kit(call, scene)
    x, shape = call.tensor("input"), call.get("normalized_shape")
    if x is None or shape is None:
        return None
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    name = kit.name("input")
    if tuple(x.shape[x.dim() - len(shape) :]) != shape:
        cause = f"{call.operation} normalises over the last dimension{'s' if len(shape) > 1 else ''} {shape_text(shape)}, but {name} {shape_text(x)} ends in {shape_text(x.shape[max(0, x.dim() - len(shape)) :])}."
        fixes: list[Candidate] = []
        if len(shape) == 1 and shape[0] in x.shape[:-1]:
            d = list(x.shape).index(shape[0])
            fixes += kit.change(
                "input",
                moved(x.dim(), d, x.dim() - 1),
                f"moves the {shape[0]} to the end; move them back afterwards if the next layer wants channels first",
            )
        new = tuple(x.shape[x.dim() - len(shape) :])
        if x.dim() == 4 and len(shape) == 1 and x.shape[1] == shape[0] and call.layer is not None:
            fixes += kit.layer(
                "over all channels and places of each input, without moving anything: nearly the same",
                text=f"{kit.nn}.GroupNorm(1, {shape[0]})",
            )
        elif not fixes or x.dim() < 4:  # the last side of a map is no number of features
            fixes += kit.layer(f"made for {shape_text(new)}", normalized_shape=new)
        return Finding(cause, fixes, [("input", x.dim() - 1)])
    return same_dtype(call, kit, "input", "weight")


def batch_norm(call: Call, scene: Scene) -> Finding | None:
    """num_features in dimension 1; in training more than one value for each."""
    kit = Kit(call, scene)
    x, layer = call.tensor("input"), call.layer
    if x is None:
        return None
    name = kit.name("input")
    kind = type(layer).__name__ if layer is not None else call.operation
    n = int(kind[-2]) if kind[-1:] == "d" and kind[-2:-1].isdigit() else None
    allowed = {1: (2, 3), 2: (4,), 3: (5,)}.get(n, (x.dim(),)) if n else (x.dim(),)
    if "Instance" in kind and n:
        allowed = (n + 1, n + 2)
    layouts = {
        1: "(batch, features) or (batch, channels, length)",
        2: "(batch, channels, height, width)",
        3: "(batch, channels, depth, height, width)",
    }
    if x.dim() not in allowed:
        cause = f"{kind} reads {layouts.get(n, '')}, but {name} has {x.dim()} dimensions: {shape_text(x)}."
        fixes = []
        other = {2: 1, 3: 1, 4: 2, 5: 3}.get(x.dim())
        if layer is not None and other and other != n:
            fixes += kit.layer(
                f"the kind for {x.dim()} dimensions",
                text=f"{kit.nn}.{kind.replace(f'{n}d', f'{other}d')}({layer.num_features})",
            )
        if x.dim() == allowed[-1] - 1:
            fixes += kit.change("input", "{}.unsqueeze(0)", "adds a batch of one in front")
        return Finding(cause, fixes)
    features = getattr(layer, "num_features", None)
    place = 1 if x.dim() == allowed[-1] or x.dim() == 2 else 0
    if features is None:
        weight = call.tensor("running_mean")
        features = weight.shape[0] if weight is not None else None
    if features is not None and x.dim() > 1 and x.shape[place] != features:
        cause = f"{kind} has {features} features, but dimension {place} of {name} {shape_text(x)} is {x.shape[place]}."
        fixes = []
        if features in x.shape[2:]:
            d = list(x.shape).index(features, 2)
            fixes += kit.change(
                "input",
                moved(x.dim(), d, 1),
                f"moves the {features} to dimension 1; move them back afterwards if the next layer wants them last",
            )
        fixes += kit.layer(f"made for {x.shape[place]} features", num_features=x.shape[place])
        return Finding(cause, fixes, [("input", place)])
    values = x.numel() // x.shape[1] if x.dim() > 1 and x.shape[1] else 0
    if values == 1 and (layer is None or layer.training):
        cause = f"{kind} in training needs more than one value for each feature to have a mean and a spread, but {name} {shape_text(x)} holds one: a batch of one."
        fixes = []
        if layer is not None:
            fixes.append(Candidate(f"{call.layer_name or 'layer'}.eval()", "in evaluation it uses the means it has learned; for training use drop_last=True in the DataLoader",
                                   trial="torch.nn.functional.batch_norm(value, mean, var, training=False)",
                                   given={"value": x, "mean": layer.running_mean, "var": layer.running_var}))  # fmt: skip
            if n == 1 and x.dim() == 2:
                fixes += kit.layer("normalises each input by itself", text=f"{kit.nn}.LayerNorm({features})")
        return Finding(cause, fixes)
    return same_dtype(call, kit, "input", "weight")


def group_norm(call: Call, scene: Scene) -> Finding | None:
    """num_channels in dimension 1, divisible by num_groups."""
    kit = Kit(call, scene)
    x, groups, channels = call.tensor("input"), call.get("num_groups"), call.get("num_channels")
    if x is None or groups is None or x.dim() < 2:
        return None
    name = kit.name("input")
    if channels is not None and x.shape[1] != channels:
        cause = f"{call.operation} has {channels} channels, but dimension 1 of {name} {shape_text(x)} is {x.shape[1]}."
        fixes = []
        if channels in x.shape[2:]:
            d = list(x.shape).index(channels, 2)
            fixes += kit.change("input", moved(x.dim(), d, 1), f"moves the {channels} to dimension 1")
        if x.shape[1] % groups == 0:
            fixes += kit.layer(f"made for {x.shape[1]} channels", num_channels=x.shape[1])
        return Finding(cause, fixes, [("input", 1)])
    if x.shape[1] % groups:
        cause = f"{call.operation} parts the channels into {groups} groups, but {x.shape[1]} channels of {name} {shape_text(x)} cannot be parted so."
        divisors = [g for g in range(1, x.shape[1] + 1) if x.shape[1] % g == 0 and g <= groups]
        return Finding(
            cause, list(kit.change("num_groups", str(divisors[-1]), "the next smaller number that divides them"))
        )
    return None


def pixel(call: Call, scene: Scene) -> Finding | None:
    """pixel_shuffle takes factor * factor channels for each that it makes."""
    x = call.tensor("input")
    factor = call.get("upscale_factor", call.get("downscale_factor"))
    if x is None or not isinstance(factor, int) or x.dim() < 3:
        return None
    kit = Kit(call, scene)
    if "unshuffle" not in call.op and x.shape[-3] % factor**2:
        cause = f"{call.operation} by {factor} makes one channel of {factor} x {factor} = {factor**2}, but {x.shape[-3]} channels of {kit.name('input')} {shape_text(x)} are no multiple of that."
        return Finding(cause, [], [("input", x.dim() - 3)])
    if "unshuffle" in call.op and any(s % factor for s in x.shape[-2:]):
        return Finding(
            f"{call.operation} by {factor} needs height and width divisible by {factor}, but {kit.name('input')} is {shape_text(x)}."
        )
    return None


RULES = {"layer_norm": layer_norm, "rms_norm": layer_norm, "batch_norm": batch_norm, "instance_norm": batch_norm,
         "group_norm": group_norm, "pixel_shuffle": pixel, "pixel_unshuffle": pixel}  # fmt: skip
