"""LSTM, GRU, RNN: the input's width, the order of batch and tokens, the states at the start."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.rules.containers import not_a_tensor
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, absent_part, same_dtype, shape_text


def recurrent(call: Call, scene: Scene) -> Finding | None:
    """input (T, B, input_size), or (B, T, input_size) with batch_first; states (layers x directions, B, hidden)."""
    kit = Kit(call, scene)
    layer, x = call.layer, call.tensor("input")
    if not isinstance(layer, nn.RNNBase):
        return None
    if x is None and type(call.args.get("input")).__name__ == "PackedSequence":
        return _packed_input(call, kit, scene)
    if x is None:
        return not_a_tensor(call, scene)
    name, kind = kit.name("input"), type(layer).__name__
    first = layer.batch_first
    layout = "(batch, tokens, input_size)" if first else "(tokens, batch, input_size)"
    if x.dim() not in (2, 3):
        cause = f"{kind} reads {layout}, or the same without the batch, but {name} has {x.dim()} dimensions: {shape_text(x)}."
        fixes: list[Candidate] = []
        if x.dim() == 4:
            fixes += kit.change("input", "{}.flatten(2)", "joins the last two dimensions into the features of a step")
            for d in (1, 2, 3):
                if x.shape[d] == 1:
                    fixes += kit.change("input", f"{{}}.squeeze({d})", f"drops dimension {d}, which is 1")
            fixes += kit.change("input", "{}.flatten(0, 1)", "joins the first two dimensions into one batch")
            if x.shape[1] * x.shape[2] == layer.input_size and first:
                fixes += kit.change(
                    "input",
                    "{}.permute(0, 3, 1, 2).flatten(2)",
                    "the width becomes the steps, channels x height their features",
                )
        if x.dim() == 1:
            fixes += kit.change("input", "{}.unsqueeze(-1)", "one number a step")
        return Finding(cause, fixes)
    order = ("batch", "tokens") if first else ("tokens", "batch")
    read = (*order, "features") if x.dim() == 3 else ("tokens", "features")
    if x.shape[-1] != layer.input_size:
        cause = f"{kind} has input_size {layer.input_size}, but the last dimension of {name} {shape_text(x)} is {x.shape[-1]}."
        fixes = []
        for d in range(x.dim() - 2, -1, -1):
            if x.shape[d] == layer.input_size:
                fixes += kit.change(
                    "input",
                    f"{{}}.transpose({d}, {x.dim() - 1})",
                    f"moves the {layer.input_size} features of dimension {d} to the end",
                )
        if x.dim() == 2 and layer.input_size == 1:
            fixes += kit.change("input", "{}.unsqueeze(-1)", f"one number a step: {shape_text((*x.shape, 1))}")
        fixes += absent_part(kit, "input", x.dim() - 1, layer.input_size - x.shape[-1])
        fixes += kit.layer(
            f"made for the {x.shape[-1]} features that come; its weights begin anew", input_size=x.shape[-1]
        )
        return Finding(cause, fixes, [("input", x.dim() - 1)], {"input": read})
    hidden = call.args.get("hx")
    states = list(hidden) if isinstance(hidden, tuple) else [hidden] if isinstance(hidden, Tensor) else []
    if isinstance(layer, nn.LSTM) and isinstance(hidden, Tensor):
        return Finding(f"LSTM needs two states at the start, (h_0, c_0), but {kit.name('hx')} is one tensor {shape_text(hidden)}.",
                       list(kit.change("hx", f"({{}}, {kit.torch}.zeros_like({{}}))", "with a cell state of zeros")))  # fmt: skip
    if not isinstance(layer, nn.LSTM) and isinstance(hidden, tuple):
        return Finding(
            f"{kind} has one state, but {kit.name('hx')} is a tuple of {len(hidden)}.",
            list(kit.change("hx", "{}[0]", "the hidden state alone")),
        )
    depth = layer.num_layers * (2 if layer.bidirectional else 1)
    if x.dim() == 2 and any(isinstance(s, Tensor) and s.dim() == 3 for s in states):
        state = next(s for s in states if isinstance(s, Tensor))
        cause = f"{kind} takes {name} {shape_text(x)} for one text of {x.shape[0]} tokens, as it has no third dimension, but the state {shape_text(state)} is made for a batch of {state.shape[1]}."
        d = 1 if first else 0
        fixes = []
        if state.shape[1] == x.shape[0]:
            fixes += kit.change("input", f"{{}}.unsqueeze({d})", f"each of the {x.shape[0]} inputs a text of one token")
        fixes += kit.change("input", f"{{}}.unsqueeze({1 - d})", "one text: a batch of one")
        return Finding(cause, fixes, means={"hx": ("layers x directions", "batch", "hidden")})
    for number, state in enumerate(states):
        if not isinstance(state, Tensor):
            continue
        batch = x.shape[0 if first else 1] if x.dim() == 3 else None
        width = (layer.proj_size or layer.hidden_size) if number == 0 else layer.hidden_size
        wanted = (depth, batch, width) if batch is not None else (depth, width)
        if tuple(state.shape) != wanted:
            words = f"{layer.num_layers} layer{'s' if layer.num_layers > 1 else ''}" + (
                " x 2 directions" if layer.bidirectional else ""
            )
            cause = f"{kind} needs a first state of {wanted} (layers x directions: {words}; batch {batch}; hidden {width}), but {kit.name('hx')} holds {shape_text(state)}."
            if state.dim() == 3 and len(wanted) == 3 and state.shape[0] == 2 * wanted[0] and not layer.bidirectional:
                cause += f" {state.shape[0]} = {wanted[0]} x 2 directions, as a bidirectional layer gives it; this one has one direction."
            tokens = x.shape[1 if first else 0] if x.dim() == 3 else None
            if state.dim() == 3 and len(wanted) == 3 and state.shape[1] == tokens != wanted[1]:
                cause += f" {tokens} is the number of tokens: with batch_first={first} the batch of {name} is {name}.size({0 if first else 1})."
            fixes = list(_states(call, kit, states, wanted, x))
            means = ("layers x directions", "batch", "hidden") if state.dim() == 3 else ()
            if state.dim() == 3 and state.shape[1] != wanted[1] and state.shape[0] == wanted[1]:
                means = ("batch", "layers x directions", "hidden")
            return Finding(cause, fixes, [], {"input": read}, means={"hx": means} if means else {})
    return same_dtype(call, kit, "input", "weight_ih_l0")


def _packed_input(call: Call, kit: Kit, scene: Scene) -> Finding | None:
    """A PackedSequence whose lengths do not belong to its rows: it was packed with batch and tokens in the other order."""
    import ast

    packed, layer = call.args["input"], call.layer
    rows, steps = packed.data.shape[0], int(packed.batch_sizes.sum())
    name, kind = kit.name("input"), type(layer).__name__
    if packed.data.shape[-1] != layer.input_size:
        width = packed.data.shape[-1]
        return Finding(
            f"{kind} has input_size {layer.input_size}, but {name} holds vectors of {width}.",
            list(kit.layer(f"made for the {width} features that come; its weights begin anew", input_size=width)),
        )
    if rows == steps:
        return None
    means = {"input[0]": ("tokens of all texts", "features"), "input[1]": ("texts at each token",)}
    node = ast.parse(name, mode="eval").body if name.isidentifier() or "(" in name else None
    node = kit.definition(node.id) if isinstance(node, ast.Name) else node
    cause = f"The lengths in {name} add up to {steps} tokens, but it holds {rows} vectors: pack_padded_sequence read the batch and the tokens in the other order."
    if (
        not isinstance(node, ast.Call)
        or "batch_first" in ast.unparse(node)
        or "pack_padded" not in ast.unparse(node.func)
    ):
        return Finding(cause, means=means)
    x = scene.value(node.args[0]) if node.args else None
    if isinstance(x, Tensor):
        cause += f" Without batch_first=True it reads {ast.unparse(node.args[0])} {shape_text(x)} as {x.shape[0]} tokens of a batch of {x.shape[1]}."
    text = ast.unparse(node)
    new = f"{text[:-1]}, batch_first=True)"
    if kit.editable and "(" in name:
        return Finding(cause, list(kit.change("input", new, "the batch stands first", needs_values=True)), means=means)
    return Finding(
        cause,
        [
            Candidate(
                f"{name} = {new}",
                "the batch stands first",
                trial=f"layer({new})",
                given={"layer": layer},
                needs_values=True,
                earlier=True,
            )
        ],
    )


def _states(call: Call, kit: Kit, states: list[Tensor], wanted: tuple[int, ...], x: Tensor) -> Iterator[Candidate]:
    state, layer = states[0], call.layer
    name = call.names.get("hx")
    shape = tuple(state.shape)
    if name is None:
        return
    both = "({a}, {a})" if isinstance(layer, nn.LSTM) else "{a}"

    def each(template: str) -> str:
        if isinstance(layer, nn.LSTM):
            return f"tuple([state{template} for state in {name}])"
        return f"{name}{template}"

    if len(shape) == 3 and len(wanted) == 3 and (shape[1], shape[0], shape[2]) == wanted:
        yield from kit.change(
            "hx",
            each(".transpose(0, 1).contiguous()"),
            "the states have the batch in dimension 1, whatever batch_first says",
        )
    if len(wanted) == 3 and len(shape) == 2 and wanted[0] == 1 and shape == wanted[1:]:
        yield from kit.change("hx", each(".unsqueeze(0)"), "one layer: a first dimension of 1")
    if len(wanted) == 3 and len(shape) == 3 and shape[0] == 1 and shape[1:] == wanted[1:]:
        yield from kit.change("hx", each(f".repeat({wanted[0]}, 1, 1)"), f"the same state for each of the {wanted[0]}")
    if (
        len(wanted) == 3
        and shape[-1] == wanted[-1]
        and len(shape) == 3
        and shape[0] == wanted[0]
        and shape[1] > wanted[1]
        and shape[1] != x.shape[1 if layer.batch_first else 0]
    ):
        yield from kit.change(
            "hx",
            each(f"[:, :{wanted[1]}].contiguous()"),
            f"the states of the first {wanted[1]} inputs: right where a last, smaller batch has come",
        )
    if len(wanted) == 3 and len(shape) == 3 and shape[1:] == wanted[1:] and shape[0] > wanted[0]:
        if shape[0] == 2 * wanted[0]:
            summed = (
                ".sum(dim=0, keepdim=True)"
                if wanted[0] == 1
                else f".view({wanted[0]}, 2, {wanted[1]}, {wanted[2]}).sum(dim=1)"
            )
            yield from kit.change("hx", each(summed), "the two directions of each layer added")
        last = f"the states of the last {'layer' if wanted[0] == 1 else f'{wanted[0]} layers'}"
        if shape[0] == 2 * wanted[0] and wanted[0] == 1:
            last = "the last one alone: of two directions the backward one, of two layers the upper one"
        yield from kit.change("hx", each(f"[-{wanted[0]}:].contiguous()"), last)
    if len(wanted) == 3 and len(shape) == 3 and shape[1] == 1 and (shape[0], shape[2]) == (wanted[0], wanted[2]):
        yield from kit.change(
            "hx", each(f".repeat(1, {wanted[1]}, 1)"), f"the one state for each of the {wanted[1]} inputs"
        )
    if len(wanted) == 3 and len(shape) == 3 and shape[:2] == wanted[:2] and shape[2] != wanted[2]:
        yield from kit.layer(
            f"as wide as the states that come: {shape[2]}; its weights begin anew", hidden_size=shape[2]
        )
    zeros = f"{kit.torch}.zeros{wanted}"
    yield from kit.change("hx", both.format(a=zeros), "zeros, made for each batch anew (the same as giving no state)")


def cell(call: Call, scene: Scene) -> Finding | None:
    """One step: input (B, input_size), state (B, hidden_size)."""
    kit = Kit(call, scene)
    layer, x = call.layer, call.tensor("input")
    if not isinstance(layer, nn.RNNCellBase) or x is None:
        return not_a_tensor(call, scene) if layer is not None else None
    name, kind = kit.name("input"), type(layer).__name__
    if x.dim() not in (1, 2):
        cause = f"{kind} takes one step, (batch, input_size), but {name} has {x.dim()} dimensions: {shape_text(x)}."
        return Finding(cause, [*kit.change("input", "{}[:, 0]", "the first step; loop over the steps")])
    if x.shape[-1] != layer.input_size:
        cause = f"{kind} has input_size {layer.input_size}, but the last dimension of {name} {shape_text(x)} is {x.shape[-1]}."
        return Finding(
            cause, list(kit.layer(f"made for {x.shape[-1]} features", input_size=x.shape[-1])), [("input", x.dim() - 1)]
        )
    hidden = call.args.get("hx")
    for state in hidden if isinstance(hidden, tuple) else (hidden,):
        if isinstance(state, Tensor) and tuple(state.shape) != (*x.shape[:-1], layer.hidden_size):
            cause = f"{kind} needs a state {shape_text((*x.shape[:-1], layer.hidden_size))}, but {kit.name('hx')} holds {shape_text(state)}."
            fixes = []
            if state.dim() == 3 and state.shape[0] == 1 and isinstance(hidden, Tensor):
                fixes += kit.change("hx", "{}.squeeze(0)", "drops the first dimension, which is 1")
            means = {2: ("batch", "hidden"), 3: ("layers x directions", "batch", "hidden")}.get(state.dim(), ())
            return Finding(cause, fixes, means={"hx": means} if means else {})
    if isinstance(layer, nn.LSTMCell) and isinstance(hidden, Tensor):
        return Finding(
            f"LSTMCell needs two states, (h, c), but {kit.name('hx')} is one tensor {shape_text(hidden)}.",
            list(kit.change("hx", f"({{}}, {kit.torch}.zeros_like({{}}))", "with a cell state of zeros")),
        )
    return None


def packing(call: Call, scene: Scene) -> Finding | None:
    """pack_padded_sequence: one length for each input, at least 1, on the CPU, falling unless enforce_sorted=False."""
    kit = Kit(call, scene)
    x, lengths = call.tensor("input"), call.args.get("lengths")
    first = bool(call.args.get("batch_first", False))
    if x is None or lengths is None:
        return None
    values = lengths.tolist() if isinstance(lengths, Tensor) and lengths.device.type != "meta" else lengths
    if not isinstance(values, list | tuple):
        return None
    name, batch = kit.name("lengths"), x.shape[0 if first else 1] if x.dim() > 1 else 0
    text = scene.site_frame.text()
    if isinstance(lengths, Tensor) and lengths.device.type != "cpu":
        return Finding(
            f"pack_padded_sequence needs the lengths on the CPU, but {name} is on {lengths.device}.",
            list(kit.change("lengths", "{}.cpu()", "the lengths on the CPU")),
        )
    if len(values) != batch:
        layout = "(batch, tokens, ...)" if first else "(tokens, batch, ...)"
        cause = f"pack_padded_sequence with batch_first={first} reads {layout}, so {kit.name('input')} {shape_text(x)} is a batch of {batch}, but there are {len(values)} lengths."
        fixes = []
        if not first and x.dim() > 1 and x.shape[0] == len(values) and text.endswith(")"):
            more = (
                ", enforce_sorted=False"
                if values != sorted(values, reverse=True) and "enforce_sorted" not in text
                else ""
            )
            fixes.append(kit.code(f"{text[:-1]}, batch_first=True{more})", "the batch stands first", needs_values=True))
        return Finding(cause, fixes)
    if min(values) <= 0:
        return Finding(
            f"pack_padded_sequence needs lengths of at least 1, but {name} holds {min(values)}.",
            list(
                kit.change(
                    "lengths", "{}.clamp(min=1)", "an empty text counts as one (padding) token", needs_values=True
                )
            ),
        )
    if values != sorted(values, reverse=True) and call.args.get("enforce_sorted", True):
        cause = f"pack_padded_sequence expects the lengths to fall, longest first, but {name} does not: {values[:6]}."
        return Finding(
            cause,
            [
                kit.code(
                    f"{text[:-1]}, enforce_sorted=False)",
                    "torch sorts, and puts the results back in order",
                    needs_values=True,
                )
            ]
            if text.endswith(")")
            else [],
        )
    return None


def padded(call: Call, scene: Scene) -> Finding | None:
    """pad_sequence: tensors that differ in their first dimension alone."""
    kit = Kit(call, scene)
    tensors = call.args.get("sequences")
    if not isinstance(tensors, list | tuple) or not tensors or not all(isinstance(t, Tensor) for t in tensors):
        return None
    tails = {tuple(t.shape[1:]) for t in tensors}
    if len(tails) > 1:
        a = tensors[0]
        b = next(t for t in tensors if t.shape[1:] != a.shape[1:])
        cause = f"pad_sequence evens out dimension 0 alone; the others must agree, but {shape_text(a)} and {shape_text(b)} do not."
        name, fixes = kit.name("sequences"), []
        if all(t.dim() == 2 and t.shape[0] == a.shape[0] for t in tensors):
            fixes.append(
                kit.code(
                    scene.site_frame.text().replace(name, f"[t.T for t in {name}]", 1),
                    "puts the dimension that differs first",
                )
            )
        return Finding(cause, fixes)
    return None


RULES = {"lstm": recurrent, "gru": recurrent, "rnn": recurrent, "lstm_cell": cell, "gru_cell": cell, "rnn_cell": cell,
         "pack_padded_sequence": packing, "pad_sequence": padded}  # fmt: skip
