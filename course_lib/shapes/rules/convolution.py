"""Convolutions and poolings: what they read in each dimension, the channels, and what the window leaves."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from torch import Tensor, nn

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.provenance import provenance_of
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, absent_part, joined, same_dtype, shape_text

_SPACE = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def _many(value: object, n: int) -> list[int]:
    if isinstance(value, tuple | list):
        return [int(v) for v in value] * (n if len(value) == 1 else 1)
    return [int(value)] * n  # type: ignore[call-overload]


def convolution(call: Call, scene: Scene) -> Finding | None:
    """input (N, C, spatial) or (C, spatial); weight (out, C / groups, kernel), for a transposed one (C, out / groups, ...)."""
    kit = Kit(call, scene)
    n = int(call.op[-2])
    x, w = call.tensor("input"), call.tensor("weight")
    settings = _settings(call, kit, n)
    if settings is not None:
        return settings
    if x is None or w is None:
        return None
    name = kit.name("input")
    space = _SPACE[n]
    layout = f"(batch, channels, {', '.join(space)})"
    groups = call.get("groups", 1)
    transposed = "transpose" in call.op
    if w.dim() != n + 2:
        names = ", ".join(weight_names(transposed, n))
        cause = f"{call.operation} needs a weight of {n + 2} dimensions ({names}), but {kit.name('weight')} has {w.dim()}: {shape_text(w)}."
        fixes = []
        if w.dim() == n:
            fixes += kit.change("weight", "{}[None, None]", "one filter for one channel")
        if w.dim() == n + 1:
            fixes += kit.change("weight", "{}.unsqueeze(1)", f"{w.shape[0]} filters of one channel each")
            fixes += kit.change("weight", "{}.unsqueeze(0)", f"one filter over {w.shape[0]} channels")
        return Finding(cause, fixes, means={"weight": ("",) * w.dim()})
    expected = w.shape[0] if transposed else w.shape[1] * groups
    if x.dim() not in (n + 1, n + 2):
        cause = (
            f"{call.operation} reads {n + 2} dimensions {layout}, or {n + 1} without the batch, "
            f"but {name} has {x.dim()}: {shape_text(x)}."
        )
        return Finding(cause, list(_ranks(call, kit, n, expected)), [("input", d) for d in range(x.dim())])
    batched = x.dim() == n + 2
    read = ("batch",) * batched + ("channels", *space)
    read_as = {"input": read, "weight": weight_names(transposed, n)}
    channel = 1 if batched else 0
    came = x.shape[channel]
    if came != expected:
        unbatched = (
            ""
            if batched
            else f" It has no batch dimension, so {call.operation} takes it for one image of {came} channels."
        )
        cause = f"{call.operation} has {expected} input channel{'s' * (expected != 1)}, but {ordinal_name(channel)} of {name} {shape_text(x)} is {came}.{unbatched}"
        notes = []
        if not batched and "[1, " in scene.text:
            notes.append(
                f"torch writes the input as [1, {', '.join(map(str, x.shape))}]; the leading 1 is invented, no tensor of yours has it."
            )
        if call.layer is not None and batched and _like_a_batch(call, scene, x, expected):
            notes.append(
                f"A layer never knows the batch: in_channels is the number of channels. If the {expected} is the batch size, it does not belong there."
            )
        fixes = list(_channels(call, kit, n, expected, came))
        return Finding(cause, fixes, [("input", channel)], read_as, notes)
    kinds = same_dtype(call, kit, "input", "weight")
    if kinds is not None:
        return kinds
    if transposed:
        return None
    padding = call.get("padding", 0)
    if isinstance(padding, str):
        return None
    pads, kernel, dilation = _many(padding, n), w.shape[2:], _many(call.get("dilation", 1), n)
    sizes = x.shape[channel + 1 :]
    short = [i for i in range(n) if sizes[i] + 2 * pads[i] < dilation[i] * (kernel[i] - 1) + 1]
    if short:
        i = short[0]
        reach = dilation[i] * (kernel[i] - 1) + 1
        padded = f" ({sizes[i] + 2 * pads[i]} with padding)" if pads[i] else ""
        cause = f"The window of {call.operation} reaches over {reach} in {space[i]}, but {name} {shape_text(x)} has only {sizes[i]}{padded} there."
        return Finding(
            cause,
            list(_window(call, kit, n, short, sizes, pads, kernel, dilation)),
            [("input", channel + 1 + i)],
            read_as,
        )
    return None


def _like_a_batch(call: Call, scene: Scene, x: Tensor, expected: int) -> bool:
    """Whether a layer's in_channels were probably taken from the batch.

    They are the input's batch, or a power of two, as batches mostly are, that no dimension of the input has; but not
    where another layer in sight gives out so many channels, or those that came: deeper in a network 64 are nothing
    strange.
    """
    if x.shape[0] == expected:
        return True
    if expected in x.shape or expected < 8 or expected & (expected - 1):
        return False
    roots = [c.module for c in scene.calls] + [v for v in scene.names.values() if isinstance(v, nn.Module)]
    others = [m for root in roots for m in root.modules() if m is not call.layer]
    given = {getattr(m, setting, 0) for m in others for setting in ("out_channels", "num_features")}
    return not given & {expected, x.shape[-1 - int(call.op[-2])]}


def ordinal_name(dim: int) -> str:
    """`dimension 1 (channels)`."""
    return f"dimension {dim} (channels)"


def input_names(rank: int, n: int) -> tuple[str, ...]:
    """How a convolution over n dimensions of space reads its input; empty where the rank does not fit."""
    return {n + 2: ("batch", "channels", *_SPACE[n]), n + 1: ("channels", *_SPACE[n])}.get(rank, ())


def weight_names(transposed: bool, n: int) -> tuple[str, ...]:
    """What the dimensions of a convolution's weight are, over n dimensions of space."""
    lead = ("in_channels", "out_channels/groups") if transposed else ("out_channels", "in_channels/groups")
    return (*lead, *(f"kernel {s}" for s in _SPACE[n]))


def _settings(call: Call, kit: Kit, n: int) -> Finding | None:
    for setting in ("padding", "stride", "dilation", "kernel_size", "output_size", "output_padding"):
        value = call.args.get(setting, getattr(call.layer, setting, None) if call.layer is not None else None)
        parts = value if isinstance(value, tuple | list) else (value,)
        wrong = [p for p in parts if isinstance(p, bool | float)]
        if wrong:
            cause = f"{setting} of {call.operation} must be a whole number or {n} of them, but it is {wrong[0]!r}, a {type(wrong[0]).__name__}."
            whole = int(wrong[0])
            meant = isinstance(wrong[0], bool) and wrong[0]
            numbers = (0, 1) if meant and setting == "padding" else (whole,)
            fixes: list[Candidate] = []
            for number in dict.fromkeys((*numbers, *((0,) if setting == "padding" else ()))):
                why = f"{setting}={number}" + {
                    ("padding", 0): ": no rim of zeros",
                    ("padding", 1): ": a rim of one zero on every side" + (", if True was meant as 1" if meant else ""),
                }.get((setting, number), "")
                fixes += kit.layer(why, **{setting: number})
                fixes += kit.change(setting, str(number), why) if call.layer is None else []
            return _and_more(call, kit, setting, int(numbers[0]), Finding(cause, fixes))
        if isinstance(value, tuple | list) and len(value) not in (1, n) and setting != "output_size":
            cause = f"{setting} of {call.operation} needs {n} numbers, one for each of {', '.join(_SPACE[n])}, but {tuple(value)} has {len(value)}."
            return Finding(cause, list(kit.layer(f"{n} numbers", **{setting: value[0]})))
    return None


def _and_more(call: Call, kit: Kit, setting: str, number: int, first: Finding) -> Finding:
    """Where the input would not fit either, no repair of the setting alone can run: both faults are told."""
    if call.layer is None or not call.op.startswith("conv") or call.tensor("input") is None:
        return first
    mended = copy.copy(call)
    mended.args = {**call.args, setting: number}
    mended.layer = copy.copy(call.layer)
    setattr(mended.layer, setting, number)
    other = convolution(mended, kit.scene)
    if other is None:
        return first
    alone = [replace(fix, trial="?", why=f"{fix.why}; the other fault remains") for fix in first.fixes]
    both: list[Candidate] = []
    for fix in other.fixes:
        if not fix.trial and alone and "=" in alone[0].code.split("(")[0]:
            code = f"{alone[0].code}\n{fix.code}"
            both.append(replace(fix, code=code, why=f"{first.fixes[0].why}; {fix.why}"))
    return Finding(f"{first.cause} Beside that: {other.cause}", [*both[:2], *alone], other.focus, other.read_as)


def _ranks(call: Call, kit: Kit, n: int, expected: int) -> Iterator[Candidate]:
    x = call.args["input"]
    missing = n + 2 - x.dim()
    if missing == 2 and n > 1 and x.shape[1] == expected:
        nones = ", ".join(["None"] * n)
        yield from kit.change(
            "input", f"{{}}[:, :, {nones}]", f"each input a map of {expected} channels, 1 high and 1 wide"
        )
    if missing == 2:
        yield from kit.change("input", "{}[None, None]", "adds a batch of one and one channel")
    if missing == 1:
        yield from kit.change("input", "{}.unsqueeze(1)", "adds one channel after the batch")
    if missing < 0:
        ones = [d for d, size in enumerate(x.shape) if size == 1]
        for d in ones:
            yield from kit.change("input", f"{{}}.squeeze({d})", f"drops dimension {d}, which is 1")
        if missing == -1:
            yield from kit.change(
                "input",
                "{}.flatten(0, 1)",
                f"joins the first two dimensions: {x.shape[0]} x {x.shape[1]} = {x.shape[0] * x.shape[1]} inputs",
            )
            yield from kit.change("input", f"{{}}.flatten({n + 1})", "joins the last two dimensions")
    expects_another = expected != x.shape[1] and expected in x.shape[2:]
    if (
        call.layer is not None
        and x.dim() in (3, 4, 5)
        and type(call.layer).__name__.startswith("Conv")
        and not expects_another
    ):
        other = x.dim() - 2
        kernel = call.layer.kernel_size
        if other != n and len(set(kernel)) == 1 and other in (1, 2, 3):
            kind = type(call.layer).__name__.replace(f"{n}d", f"{other}d")
            made = f"{kit.nn}.{kind}({x.shape[1]}, {call.layer.out_channels}, {kernel[0]})"
            yield from kit.layer(
                f"a convolution over {other} dimension{'s' if other > 1 else ''}, as the input has", text=made
            )


def _channels(call: Call, kit: Kit, n: int, expected: int, came: int) -> Iterator[Candidate]:
    x = call.args["input"]
    channel = x.dim() - n - 1
    made = joined(kit, "input")
    if made is not None:
        sequence, _ = made
        yield from kit.change(
            "input", f"{kit.torch}.stack({sequence}, dim=1)",
            "stack keeps the tensors apart in a dimension of their own: each becomes a channel, and the batch stays the batch",
        )  # fmt: skip
    if x.dim() == n + 1 and expected == 1:
        yield from kit.change(
            "input",
            "{}.unsqueeze(1)",
            f"gives each of the {x.shape[0]} inputs its one channel, so that dimension 0 is the batch",
        )
    if x.dim() == n + 1 and x.shape[-1] == expected and n > 1:
        order = (x.dim() - 1, *range(x.dim() - 1))
        yield from kit.change(
            "input",
            f"{{}}.permute{order}.unsqueeze(0)",
            f"moves the {expected} channels to the front (channels last -> channels first), in a batch of one",
        )
        yield from kit.change(
            "input",
            f"{{}}.permute{order}",
            f"moves the {expected} channels to the front (channels last -> channels first)",
        )
    places = [d for d in range(x.dim()) if d != channel and x.shape[d] == expected]
    if n == 1 and x.dim() == 3 and places == [2]:
        labels = provenance_of(kit.scene, call).labels("input", x)
        if labels[:2] == ("tokens", "batch"):
            yield from kit.change(
                "input",
                "{}.permute(1, 2, 0)",
                f"the batch of {x.shape[1]} first, then the {expected} channels, then the {x.shape[0]} tokens that the window runs along",
            )
    if n == 2 and x.dim() == 4 and places == [2, 3]:
        places = []  # height and width of that size alike: a coincidence
    for d in reversed(places):
        if x.dim() == n + 1 and n > 1 and d == x.dim() - 1:
            continue
        if n == 1:
            yield from kit.change(
                "input",
                f"{{}}.transpose({channel}, {d})",
                f"moves the {expected} channels to dimension {channel}; the window then runs along dimension {d}, which has {came}",
            )
        elif d == x.dim() - 1:
            order = (*range(channel), d, *(i for i in range(channel, x.dim()) if i != d))
            yield from kit.change(
                "input",
                f"{{}}.permute{order}",
                f"moves the {expected} channels from the end to dimension {channel} (channels last -> channels first)",
            )
        else:
            yield from kit.change(
                "input", f"{{}}.transpose({channel}, {d})", f"moves the {expected} of dimension {d} to the channels"
            )
    if x.dim() == n + 2:
        yield from absent_part(kit, "input", 1, expected - came)
    if x.dim() == n + 2 and came == 4 and expected == 3:
        yield from kit.change("input", "{}[:, :3]", "the first three channels: red, green and blue without the fourth")
    if x.dim() == n + 2 and came == 1 and expected == 3:
        yield from kit.change(
            "input", "{}.expand(-1, 3, " + ", ".join(["-1"] * n) + ")", "repeats the one grey channel three times"
        )
    groups = call.get("groups", 1)
    if (
        call.layer is not None
        and x.dim() == n + 2
        and groups == expected > 1
        and call.layer.out_channels % expected == 0
    ):
        more = call.layer.out_channels // expected
        yield from kit.layer(
            f"one group for each of the {came} channels; its weights begin anew",
            in_channels=came,
            out_channels=came * more,
            groups=came,
        )
    elif call.layer is not None and x.dim() == n + 2 and came % groups == 0:
        yield from kit.layer(
            f"the layer made for {came} channel{'s' * (came != 1)}; its weights begin anew", in_channels=came
        )
    if call.layer is not None and x.dim() == n + 1 and came % groups == 0 and made is None:
        yield from kit.layer(
            f"right only if {kit.name('input')} really is one input of {came} channels without a batch",
            in_channels=came,
        )


def _window(
    call: Call,
    kit: Kit,
    n: int,
    short: list[int],
    sizes: tuple[int, ...],
    pads: list[int],
    kernel: tuple[int, ...],
    dilation: list[int],
) -> Iterator[Candidate]:
    x = call.args["input"]
    reach = [dilation[i] * (kernel[i] - 1) + 1 for i in range(n)]
    enough = [max(pads[i], -(-(reach[i] - sizes[i]) // 2)) for i in range(n)]
    first = x.dim() - n
    for order in permutations(range(n)):
        if (
            n > 1
            and order != tuple(range(n))
            and all(sizes[o] + 2 * p >= r for o, p, r in zip(order, pads, reach, strict=True))
        ):
            dims = (*range(first), *(first + o for o in order))
            yield from kit.change("input", f"{{}}.permute{dims}", "swaps the sides, so that the window fits")
    if n == 1 and x.shape[first - 1] + 2 * pads[0] >= reach[0]:
        yield from kit.change("input", f"{{}}.transpose({first - 1}, {first})", "swaps channels and length")
    if call.layer is not None:
        yield from kit.layer(
            f"padding {tuple(enough) if n > 1 else enough[0]}: a rim of zeros makes the input large enough",
            padding=tuple(enough),
        )
        fitting = tuple(
            min(k, (s + 2 * p - 1) // d + 1) for k, s, p, d in zip(kernel, sizes, pads, dilation, strict=True)
        )
        yield from kit.layer("a window that fits into the input", kernel_size=fitting)
    else:
        rim = ", ".join(f"{p}, {p}" for p in reversed([max(0, e - p) for e, p in zip(enough, pads, strict=True)]))
        yield from kit.change("input", f"{kit.F}.pad({{}}, ({rim}))", "a rim of zeros makes the input large enough")


def pooling(call: Call, scene: Scene) -> Finding | None:
    """input (N, C, spatial) or (C, spatial); what the window leaves must be at least 1."""
    kit = Kit(call, scene)
    n = int(call.op[-2])
    settings = _settings(call, kit, n)
    if settings is not None:
        return settings
    x = call.tensor("input")
    if x is None:
        return None
    name, space = kit.name("input"), _SPACE[n]
    if x.dim() not in (n + 1, n + 2):
        cause = f"{call.operation} reads (batch, channels, {', '.join(space)}), or the same without the batch, but {name} has {x.dim()} dimensions: {shape_text(x)}."
        fixes: list[Candidate] = []
        ones = [d for d in range(1, x.dim()) if x.shape[d] == 1]
        if x.dim() == n + 3:
            for d in ones[::-1]:
                fixes += kit.change("input", f"{{}}.squeeze({d})", f"drops dimension {d}, which is 1")
            if n == 1:
                fixes += _over_everything(call, kit)
            fixes += kit.change("input", "{}.flatten(0, 1)", "joins the first two dimensions into one batch")
            fixes += (
                kit.change("input", f"{{}}.flatten({n + 1})", "joins the last two dimensions into one length")
                if n == 1
                else []
            )
        if x.dim() == n:
            fixes += kit.change("input", "{}.unsqueeze(1)", "adds one channel after the batch")
        return Finding(cause, fixes, [("input", d) for d in range(x.dim())])
    read_as = {"input": ("batch",) * (x.dim() == n + 2) + ("channels", *space)}
    if "adaptive" in call.op:
        return None
    kernel = _many(call.get("kernel_size"), n)
    pads, dilation = _many(call.get("padding", 0), n), _many(call.get("dilation", 1) or 1, n)
    stride = _many(call.get("stride") or kernel, n)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        cause = f"padding of {call.operation} may be at most half of the window, but it is {max(pads)} for a window of {kernel[0]}."
        return Finding(
            cause, list(kit.layer("half of the window", padding=tuple(k // 2 for k in kernel))), read_as=read_as
        )
    sizes = x.shape[-n:]
    left = [
        (s + 2 * p - d * (k - 1) - 1) // t + 1
        for s, p, d, k, t in zip(sizes, pads, dilation, kernel, stride, strict=True)
    ]
    if min(left) > 0:
        return None
    i = next(i for i in range(n) if left[i] <= 0)
    cause = (
        f"The window of {call.operation} is {kernel[i]} in {space[i]}, but {name} {shape_text(x)} has only {sizes[i]} there, "
        f"so floor(({sizes[i]} + 2*{pads[i]} - {kernel[i]}) / {stride[i]}) + 1 = {left[i]} outputs would be left."
    )
    fitting = tuple(min(k, s) for k, s in zip(kernel, sizes, strict=True))
    fixes = []
    if n == 2 and x.shape[-1] == 1 and x.shape[-2] >= kernel[0]:
        fixes += kit.layer("pools along the height alone; the width is 1 already", kernel_size=(kernel[0], 1))
        fixes += kit.change("kernel_size", f"({kernel[0]}, 1)", "pools along the height alone; the width is 1 already")
    if call.layer is not None and not fixes:
        fixes += kit.layer("a window that fits into what is there", kernel_size=fitting if n > 1 else fitting[0])
    if call.layer is None and not fixes:
        fixes += kit.change(
            "kernel_size", repr(fitting if n > 1 else fitting[0]), "a window that fits into what is there"
        )
    if x.dim() >= 2 and n == 1 and x.shape[-2] >= kernel[0]:
        fixes += kit.change(
            "input", "{}.transpose(-1, -2)", f"pools along the {x.shape[-2]} of the dimension before instead"
        )
    kind = "Max" if "max" in call.op else "Avg"
    if call.layer is not None:
        fixes += kit.layer(
            "pools whatever length comes to one number for each channel", text=f"{kit.nn}.Adaptive{kind}Pool{n}d(1)"
        )
    return Finding(cause, fixes, [("input", x.dim() - n + i)], read_as)


def _over_everything(call: Call, kit: Kit) -> Iterator[Candidate]:
    x = call.args["input"]
    if kit.call.layer is None or not kit.editable:
        return
    kind = "amax" if "max" in call.op else "mean"
    text = call.names.get("input", "")
    if text and x.dim() == 4:
        word = "maximum" if kind == "amax" else "mean"
        yield kit.code(
            f"{text}.{kind}(dim=(2, 3))",
            f"one {word} for each channel over all that the windows saw: ({x.shape[0]}, {x.shape[1]}), in place of the layer",
        )


def interpolation(call: Call, scene: Scene) -> Finding | None:
    """As many target sizes as the input has dimensions after batch and channels."""
    kit = Kit(call, scene)
    x = call.tensor("input")
    if x is None:
        return None
    size = call.get("size")
    spatial = x.dim() - 2
    mode = call.get("mode", "nearest")
    needs = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}.get(mode, spatial)
    count = len(size) if isinstance(size, tuple | list) else spatial
    if count == spatial and needs == spatial and spatial > 0:
        return None
    want = needs if mode in ("linear", "bilinear", "bicubic", "trilinear") else count
    cause = f"{call.operation} with mode {mode!r} resizes {want} dimension{'s' if want > 1 else ''} after batch and channels, but {kit.name('input')} {shape_text(x)} has {spatial}."
    fixes = []
    if spatial == want - 1:
        fixes += kit.change("input", "{}.unsqueeze(0)", "adds a batch of one in front")
        fixes += kit.change("input", "{}.unsqueeze(1)", "adds one channel after the batch")
    return Finding(cause, fixes, read_as={"input": ("batch", "channels", *_SPACE.get(spatial, ()))[: x.dim()]})


RULES = {
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": convolution for n in (1, 2, 3)},
    **{f"{kind}_pool{n}d": pooling for n in (1, 2, 3) for kind in ("max", "avg", "adaptive_max", "adaptive_avg")},
    **{f"max_pool{n}d_with_indices": pooling for n in (1, 2, 3)},
    "interpolate": interpolation,
}
