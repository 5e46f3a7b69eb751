"""Which operation of torch failed, and on what: one `Call`, whether a layer, a function, a method or an operator raised."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.shapes.frames import Frame, LayerCall, frames_of, layer_calls, module_path, names_in_scope
from course_lib.shapes.history import History, operation_name
from course_lib.shapes.standins import Raised, Stage, Unknown, is_torch_function

# Names of the arguments of torch's built-in functions, which Python cannot tell; `*` takes the rest.
_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONVT = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
SIGNATURES: dict[str, tuple[str, ...]] = {
    **{f"conv{n}d": _CONV for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _CONVT for n in (1, 2, 3)},
    **{f"max_pool{n}d": _POOL for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _POOL for n in (1, 2, 3)},
    "linear": ("input", "weight", "bias"),
    "matmul": ("input", "other"), "mm": ("input", "other"), "bmm": ("input", "other"), "mv": ("input", "other"),
    "dot": ("input", "other"), "addmm": ("bias", "input", "other"), "baddbmm": ("bias", "input", "other"),
    "view": ("input", "*shape"), "reshape": ("input", "*shape"), "unflatten": ("input", "dim", "sizes"),
    "permute": ("input", "*dims"), "transpose": ("input", "dim0", "dim1"), "t": ("input",),
    "expand": ("input", "*sizes"), "repeat": ("input", "*repeats"), "expand_as": ("input", "other"),
    "squeeze": ("input", "dim"), "unsqueeze": ("input", "dim"), "flatten": ("input", "start_dim", "end_dim"),
    "cat": ("tensors", "dim"), "stack": ("tensors", "dim"), "hstack": ("tensors",), "vstack": ("tensors",),
    "split": ("input", "sizes", "dim"), "chunk": ("input", "chunks", "dim"),
    "gather": ("input", "dim", "index"), "scatter": ("input", "dim", "index", "src"),
    "scatter_add": ("input", "dim", "index", "src"), "take_along_dim": ("input", "index", "dim"),
    "index_select": ("input", "dim", "index"), "index_add": ("input", "dim", "index", "source"),
    "masked_fill": ("input", "mask", "value"), "masked_select": ("input", "mask"), "where": ("condition", "input", "other"),
    "getitem": ("input", "index"), "setitem": ("input", "index", "value"), "select": ("input", "dim", "index"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"),
    "one_hot": ("input", "num_classes"), "softmax": ("input", "dim"), "log_softmax": ("input", "dim"),
    "einsum": ("equation", "*operands"), "argmax": ("input", "dim"), "max": ("input", "dim"), "mean": ("input", "dim"),
    "sum": ("input", "dim"), "cosine_similarity": ("x1", "x2", "dim"), "bilinear": ("input1", "input2", "weight", "bias"),
    "embedding": ("input", "weight"), "pad": ("input", "pad", "mode", "value"), "item": ("input",), "numpy": ("input",),
    "backward": ("input", "gradient"), "topk": ("input", "k", "dim"), "roll": ("input", "shifts", "dims"),
    "copy": ("input", "other"), "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "cdist": ("x1", "x2"), "bincount": ("input",), "outer": ("input", "other"), "cross": ("input", "other", "dim"),
    "pixel_shuffle": ("input", "upscale_factor"), "pixel_unshuffle": ("input", "downscale_factor"),
    "tensor": ("data",), "as_tensor": ("data",), "FloatTensor": ("data",), "LongTensor": ("data",),
    "unfold": ("input", "dim", "size", "step"), "unbind": ("input", "dim"), "narrow": ("input", "dim", "start", "length"),
    "movedim": ("input", "source", "destination"), "cross_entropy": ("input", "target", "weight"),
    "nll_loss": ("input", "target", "weight"), "lstm_cell": ("input", "hx", "w_ih", "w_hh", "b_ih", "b_hh"),
}  # fmt: skip
_BINARY = ("add", "sub", "mul", "div", "pow", "eq", "ne", "lt", "le", "gt", "ge", "floordiv", "mod", "maximum", "minimum",
           "bitwise_and", "bitwise_or", "bitwise_xor", "remainder", "atan2", "logical_and", "logical_or", "fmod", "floor_divide",
           "allclose", "equal", "isclose", "addcmul", "lerp", "hypot")  # fmt: skip
_OPERATORS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.MatMult: "matmul",
    ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.BitAnd: "bitwise_and", ast.BitOr: "bitwise_or", ast.BitXor: "bitwise_xor",
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
# A layer of torch.nn -> the function whose rule it obeys
LAYERS: dict[str, str] = {
    "Linear": "linear", "NonDynamicallyQuantizableLinear": "linear", "Embedding": "embedding", "EmbeddingBag": "embedding_bag",
    "LayerNorm": "layer_norm", "GroupNorm": "group_norm", "RMSNorm": "rms_norm", "LSTM": "lstm", "GRU": "gru", "RNN": "rnn",
    "LSTMCell": "lstm_cell", "GRUCell": "gru_cell", "RNNCell": "rnn_cell", "MultiheadAttention": "multi_head_attention",
    "Flatten": "flatten", "Unflatten": "unflatten", "Bilinear": "bilinear", "Upsample": "interpolate",
    "CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll_loss", "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits", "MSELoss": "mse_loss", "L1Loss": "l1_loss",
    "SmoothL1Loss": "smooth_l1_loss", "HuberLoss": "huber_loss", "KLDivLoss": "kl_div", "CTCLoss": "ctc_loss",
    "CosineEmbeddingLoss": "cosine_embedding_loss", "TripletMarginLoss": "triplet_margin_loss",
    "MarginRankingLoss": "margin_ranking_loss", "HingeEmbeddingLoss": "hinge_embedding_loss",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss", "MultiMarginLoss": "multi_margin_loss",
    "MultiLabelMarginLoss": "multilabel_margin_loss", "PoissonNLLLoss": "poisson_nll_loss",
    "GaussianNLLLoss": "gaussian_nll_loss", "SoftMarginLoss": "soft_margin_loss", "CosineSimilarity": "cosine_similarity",
    "PairwiseDistance": "pairwise_distance", "PixelShuffle": "pixel_shuffle", "PixelUnshuffle": "pixel_unshuffle",
    "Softmax": "softmax", "LogSoftmax": "log_softmax", "Fold": "fold", "Unfold": "unfold2d", "PReLU": "prelu",
    **{f"Conv{n}d": f"conv{n}d" for n in (1, 2, 3)}, **{f"ConvTranspose{n}d": f"conv_transpose{n}d" for n in (1, 2, 3)},
    **{f"{a}Pool{n}d": f"{b}_pool{n}d" for n in (1, 2, 3)
       for a, b in (("Max", "max"), ("Avg", "avg"), ("AdaptiveMax", "adaptive_max"), ("AdaptiveAvg", "adaptive_avg"))},
    **{f"{a}{n}d": b for n in (1, 2, 3) for a, b in (("BatchNorm", "batch_norm"), ("InstanceNorm", "instance_norm"))},
    **{f"{a}Pad{n}d": "pad" for n in (1, 2, 3) for a in ("Reflection", "Replication", "Constant", "Zero", "Circular")},
}  # fmt: skip
# These layers go by their function's name, whose documentation states the rule; the others by their class.
_BY_FUNCTION = ("conv", "pool", "loss", "cross_entropy", "kl_div")


@dataclass(eq=False)
class Call:
    """The failing call: what was called, with which values, and how the source names them."""

    op: str  # the rule's name: conv2d, linear, view, cat
    operation: str  # as shown: conv2d, Linear, view, cat
    args: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # argument -> source text, where the source has one
    layer: nn.Module | None = None
    path: str | None = None
    layer_name: str = ""  # how the source reaches the layer: self.net[2]
    callee: str = ""  # the source text of what is called, where the expression calls it itself
    direct: bool = True  # the expression itself is the failing call, not something deeper
    function: Any = None
    module: str | None = None  # the path to show
    examples: list[Any] | None = None  # of a DataLoader's batch, as its data set gave them

    def get(self, name: str, default: Any = None) -> Any:
        """An argument's value, or the layer's own setting of that name."""
        if name in self.args:
            return self.args[name]
        return getattr(self.layer, name, default) if self.layer is not None else default

    def tensor(self, name: str) -> Tensor | None:
        """An argument that is a tensor."""
        value = self.get(name)
        return value if isinstance(value, Tensor) else None

    def name(self, argument: str) -> str:
        """How the source names an argument."""
        if argument in self.names:
            return self.names[argument]
        if self.layer is not None and argument in ("weight", "bias"):
            return f"{self.layer_name}.{argument}" if self.layer_name else argument
        return argument


@dataclass(eq=False)
class Scene:
    """Everything that the traceback tells, and the failing call in it."""

    error: BaseException
    frames: list[Frame]
    user: int  # level of the expression that is shown
    site: int  # level of the call into torch; deeper than `user` where a library's code stands between
    calls: list[LayerCall]
    names: dict[str, Any]  # what the site's source can name
    history: History | None = None
    call: Call | None = None

    @property
    def frame(self) -> Frame:
        """The frame whose expression is shown."""
        return self.frames[self.user]

    @property
    def site_frame(self) -> Frame:
        """The frame that called torch."""
        return self.frames[self.site]

    @property
    def in_library(self) -> bool:
        """Whether a library's own code made the failing call."""
        return self.user != self.site

    @property
    def text(self) -> str:
        """torch's sentence."""
        return str(self.error)

    def alias(self, what: str) -> str:
        """How the user's module names torch, torch.nn or torch.nn.functional."""
        targets: dict[str, Any] = {"torch": torch, "nn": nn, "F": F}
        if self.names.get(what) is targets[what]:
            return what
        for name, value in self.names.items():
            if value is targets[what]:
                return name
        if what == "torch":
            return "torch"
        return f"{self.alias('torch')}.nn" if what == "nn" else f"{self.alias('nn')}.functional"

    def stage(self, **options: Any) -> Stage:
        """A place to evaluate the site's source on stand-ins."""
        return Stage(self.names, sketch=True, **options)

    def value(self, node: ast.AST | str) -> Any:
        """The value of a part of the source: the very object where a variable holds it, else a stand-in; may be Unknown."""
        node = ast.parse(node, mode="eval").body if isinstance(node, str) else node
        try:
            real = existing(node, self.names)
            return self.stage().evaluate(node) if real is _NOTHING else real
        except (Unknown, Raised) as problem:
            return problem if isinstance(problem, Unknown) else Unknown(str(problem))
        except (SyntaxError, ValueError, TypeError, AttributeError, LookupError, RuntimeError) as problem:
            return Unknown(str(problem))


_NOTHING = object()


def existing(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """The object that a name, an attribute or an item holds, without a stand-in."""
    from course_lib.shapes.standins import attribute

    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id, _NOTHING)
    if isinstance(node, ast.Attribute):
        owner = existing(node.value, names)
        if owner is _NOTHING:
            return _NOTHING
        try:
            return attribute(owner, node.attr)
        except Unknown:
            return _NOTHING
    if isinstance(node, ast.List | ast.Tuple):
        items = [existing(item, names) for item in node.elts]
        if any(item is _NOTHING for item in items):
            return _NOTHING
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value
    if isinstance(node, ast.Subscript):
        owner, index = existing(node.value, names), existing(node.slice, names)
        if type(owner).__name__ == "BatchEncoding":
            owner = owner.data
        if isinstance(owner, list | tuple | dict) and isinstance(index, int | str):
            try:
                return owner[index]
            except (LookupError, TypeError):
                return _NOTHING
    return _NOTHING


def read(error: BaseException, history: History | None = None) -> Scene | None:
    """The scene of an error; None where its traceback holds no frame of anybody's."""
    frames = frames_of(error.__traceback__)
    if not frames:
        return None
    user = _last(frames, "user")
    site = user
    for level in range(user + 1, len(frames)):
        if frames[level].kind == "library" and _calls_torch(frames, level):
            site = level
    if frames[user].kind == "torch":  # a layer of torch's own was called, and nobody's source is there
        user = site = 0
        calls = layer_calls(frames)
        return _without_source(error, frames, calls, history) if calls else None
    calls = layer_calls(frames)
    scene = Scene(error, frames, user, site, calls, names_in_scope(frames, site), history)
    scene.call = find_call(scene)
    return scene


def _without_source(
    error: BaseException, frames: list[Frame], calls: list[LayerCall], history: History | None
) -> Scene:
    scene = Scene(error, frames, 0, -1, calls, {}, history)
    made = calls[-1]
    scene.call = _layer_call(scene, made, None)
    scene.site = 0
    if scene.call.path is not None:
        scene.call.layer_name = join_path("model", scene.call.path, calls[0].module)
    first = calls[0]
    if made.module is first.module or (isinstance(first.module, nn.Sequential) and scene.call.path == "0"):
        scene.call.names.update({a: a for a, v in scene.call.args.items() if isinstance(v, Tensor)})
    return scene


def _last(frames: list[Frame], kind: str) -> int:
    for wanted in (kind, "library", "torch"):
        levels = [level for level, frame in enumerate(frames) if frame.kind == wanted]
        if levels:
            return levels[-1]
    return 0


def _calls_torch(frames: list[Frame], level: int) -> bool:
    """A library's frame counts where it belongs to a model: a module's method, or one called from such."""
    file = frames[level].file
    if any(part in file for part in ("sklearn", "numpy", "pandas", "IPython", "joblib", "_pytest", "pluggy")):
        return False
    return any(isinstance(f.locals.get("self"), nn.Module) for f in frames[: level + 1] if f.kind == "library")


def find_call(scene: Scene) -> Call | None:
    """The failing call at the scene's site."""
    node = scene.site_frame.node
    collated = next((f.locals["batch"] for f in scene.frames[scene.site + 1 :] if "collate" in f.file and isinstance(f.locals.get("batch"), list | tuple)
                     and f.locals["batch"] and isinstance(f.locals["batch"][0], Tensor)), None)  # fmt: skip
    if collated is not None:
        made = Call("collate", "stack", {"tensors": collated}, {"tensors": "batch"}, direct=False)
        made.examples = next((f.locals["batch"] for f in scene.frames[scene.site + 1 :] if "collate" in f.file and isinstance(f.locals.get("batch"), list)), None)  # fmt: skip
        return made
    for frame in scene.frames[scene.site + 1 :]:
        if frame.kind == "torch" and frame.code.co_name == "load_state_dict" and "state_dict" in frame.locals:
            return Call(
                "load_state_dict",
                "load_state_dict",
                {"model": frame.locals["self"], "state_dict": frame.locals["state_dict"]},
            )
    inner = [call for call in scene.calls if call.level > scene.site]
    torch_layers = [c for c in inner if type(c.module).__module__.startswith("torch.nn")]
    if inner and not torch_layers:  # a user's or a library's module that was called and could not begin
        return _layer_call(scene, inner[-1], node)
    if torch_layers:
        return _layer_call(scene, torch_layers[-1], node)
    call = _source_call(scene, node)
    if call is None and scene.history is not None and scene.history.error is scene.error:
        func, args, kwargs = scene.history.failed
        call = bind(operation_name(func), func, args, kwargs)
    if call is not None and scene.history is not None and scene.history.error is scene.error:
        _complete(call, scene.history)
    if call is not None:
        call.module = _home(scene)
    return call


def _home(scene: Scene) -> str | None:
    """The path of the module in whose forward a function failed."""
    within = [c for c in scene.calls if c.level <= scene.site]
    if not within:
        return None
    return module_path(within[-1].module, _roots(scene))


def _roots(scene: Scene) -> list[nn.Module]:
    roots = [call.module for call in scene.calls]
    for level in range(scene.site, -1, -1):
        if scene.frames[level].kind in ("user", "library"):
            held = scene.names if level == scene.site else scene.frames[level].locals
            roots += [v for v in held.values() if isinstance(v, nn.Module)]
    return roots


def _layer_call(scene: Scene, made: LayerCall, node: ast.AST | None) -> Call:
    layer = getattr(made.module, "_orig_mod", made.module)  # what torch.compile wraps
    kind = type(layer).__name__
    for base in type(layer).__mro__:
        if base.__name__ in LAYERS and base.__module__.startswith("torch.nn"):
            kind = base.__name__
            break
    op = LAYERS.get(kind, kind)
    operation = op if any(part in op for part in _BY_FUNCTION) and kind in LAYERS else type(layer).__name__
    call = Call(op, operation, layer=layer, path=module_path(layer, _roots(scene)))
    call.module = call.path
    call.args = _bind_forward(layer, made)
    holder = next((c for c in scene.calls if c.level > scene.site), None)
    if isinstance(node, ast.Call):
        callee = scene.value(node.func)
        # A layer made on the spot, nn.Linear(3, 2)(x), is not the one that the stage makes of the same text.
        on_the_spot = holder is not None and holder.module is layer and isinstance(callee, nn.Module | Unknown)
        if callee is layer or on_the_spot or (isinstance(callee, types.MethodType) and callee.__self__ is layer):
            call.callee = call.layer_name = scene.site_frame.text(node.func)
            if isinstance(node.func, ast.Name):  # a loop's variable is not where the layer lives
                call.layer_name = reached(scene, layer) or call.layer_name
            call.names = _bind_texts(scene, node, list(call.args))
        else:
            call.direct = False
            within = holder.module if holder is not None else None
            inner = module_path(layer, [within]) if within is not None else None
            if inner is not None and (within is callee or type(within) is type(callee)):
                call.layer_name = join_path(scene.site_frame.text(node.func), inner, within)
                first = next(iter(within.modules()), None)
                if isinstance(first, nn.Sequential) and inner == "0" and node.args and call.args:
                    call.names = {next(iter(call.args)): scene.site_frame.text(node.args[0])}
                    call.direct = True
                if isinstance(node.func, ast.Name) and scene.names.get("self") is not None:
                    call.layer_name = reached(scene, layer) or call.layer_name  # f in a lambda, or a loop's variable
            elif within is layer:  # called through map, a partial, a lambda
                call.layer_name = _layer_source(scene, layer) or ""
    else:
        call.direct = False
    if scene.in_library:
        call.layer_name = ""
    if not call.layer_name and call.path is not None:
        call.layer_name = reached(scene, layer)
    for argument, value in call.args.items():
        if argument not in call.names and isinstance(value, Tensor):
            held = [k for k, v in scene.site_frame.locals.items() if v is value and not k.startswith(".")]
            where = call.path if call.path is not None else type(layer).__name__
            call.names[argument] = held[0] if held else f"{argument} of {where}"
    return call


def reached(scene: Scene, layer: nn.Module) -> str:
    """How the user's frame can reach a layer: `self.bert.pooler`; empty where no variable leads to it."""
    held = names_in_scope(scene.frames, scene.user)
    for name in ("self", *held):
        owner = held.get(name)
        if owner is layer and name != "self":
            return name
        path = module_path(layer, [owner]) if isinstance(owner, nn.Module) else None
        if path is not None:
            return join_path(name, path, owner)
    return ""


def _layer_source(scene: Scene, layer: nn.Module) -> str | None:
    for name, value in scene.site_frame.locals.items():
        if value is layer:
            return name
    return None


def join_path(base: str, path: str, owner: nn.Module | None = None) -> str:
    """`self.net` and `2.fc` -> `self.net[2].fc`; a ModuleDict's keys in brackets too."""
    for part in path.split("."):
        base += f"[{part}]" if part.isdigit() else f"[{part!r}]" if isinstance(owner, nn.ModuleDict) else f".{part}"
        owner = owner._modules.get(part) if owner is not None else None
    return base


def _bind_forward(layer: nn.Module, made: LayerCall) -> dict[str, Any]:
    try:
        bound = inspect.signature(type(layer).forward).bind(layer, *made.args, **made.kwargs).arguments
    except (TypeError, ValueError):
        return {**{f"argument {i}": v for i, v in enumerate(made.args)}, **made.kwargs}
    return dict(list(bound.items())[1:])


def _bind_texts(scene: Scene, node: ast.Call, arguments: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for argument, given in zip(arguments, node.args, strict=False):
        if isinstance(given, ast.Starred):
            break
        names[argument] = scene.site_frame.text(given)
    for keyword in node.keywords:
        if keyword.arg is not None:
            names[keyword.arg] = scene.site_frame.text(keyword.value)
    return names


def _source_call(scene: Scene, node: ast.AST | None) -> Call | None:
    """The failing call from the source, where no layer is involved."""
    frame = scene.site_frame
    # From Python 3.13 on, a comparison that decides a branch asks for the truth of its result in the same instruction.
    decides = frame.opcode == "COMPARE_OP" and str(scene.error).startswith("Boolean value of Tensor")
    if node is not None and ("JUMP" in frame.opcode or frame.opcode == "TO_BOOL" or decides):
        # `if tensor:` fails in the jump, whatever made the tensor
        return Call("truth", "bool", {"input": scene.value(node)}, {"input": frame.text(node)})
    match node:
        case ast.Call():
            return _function_call(scene, node)
        case ast.BinOp(left=left, right=right, op=op) | ast.AugAssign(target=left, value=right, op=op):
            return _two(scene, _OPERATORS.get(type(op), "operator"), left, right, isinstance(node, ast.AugAssign))
        case ast.Compare(left=left, comparators=[right], ops=[op]):
            return _two(scene, _OPERATORS.get(type(op), "compare"), left, right, False)
        case ast.UnaryOp(operand=operand):
            return Call("truth", "bool", {"input": scene.value(operand)}, {"input": frame.text(operand)})
        case ast.Subscript(value=value, slice=index, ctx=ast.Load()):
            args = {"input": scene.value(value), "index": _places(scene, index)}
            return Call("getitem", "getitem", args, {"input": frame.text(value), "index": frame.text(index)})
        case ast.Subscript(value=value, slice=index):
            statement = frame.statement
            args = {"input": scene.value(value), "index": scene.value(index)}
            texts = {"input": frame.text(value), "index": frame.text(index)}
            if isinstance(statement, ast.Assign):
                args["value"], texts["value"] = scene.value(statement.value), frame.text(statement.value)
            return Call("setitem", "setitem", args, texts)
        case ast.Attribute(value=value, attr=attr):
            args = {"input": scene.value(value), "attribute": attr}
            return Call("attribute", attr, args, {"input": frame.text(value)})
        case ast.Tuple() | ast.List():
            statement = frame.statement
            if isinstance(statement, ast.Assign | ast.For):
                source = statement.value if isinstance(statement, ast.Assign) else statement.iter
                args = {"input": scene.value(source), "count": len(node.elts)}
                return Call("unpack", "unpack", args, {"input": frame.text(source), "names": frame.text(node)})
    return None


def _places(scene: Scene, index: ast.AST) -> Any:
    """An index with its own tensors, whose values matter."""
    if not isinstance(index, ast.Tuple):
        return scene.value(index)
    items = tuple(scene.value(item) for item in index.elts)
    return next((item for item in items if isinstance(item, Unknown)), items)


def _two(scene: Scene, op: str, left: ast.AST, right: ast.AST, in_place: bool) -> Call:
    frame = scene.site_frame
    args = {"input": scene.value(left), "other": scene.value(right)}
    if in_place:
        args["in_place"] = True
    return Call(op, op, args, {"input": frame.text(left), "other": frame.text(right)})


def _function_call(scene: Scene, node: ast.Call) -> Call | None:
    frame = scene.site_frame
    callee = scene.value(node.func)
    values: list[Any] = []
    texts: list[str] = []
    for given in node.args:
        if isinstance(given, ast.Starred):
            inner = scene.value(given.value)
            inner = list(inner) if isinstance(inner, list | tuple) else [Unknown("*")]
            values += inner
            texts += [f"{frame.text(given.value)}[{i}]" for i in range(len(inner))]
        else:
            values.append(scene.value(given))
            texts.append(frame.text(given))
    keywords = {k.arg: scene.value(k.value) for k in node.keywords if k.arg is not None}
    keyword_texts = {k.arg: frame.text(k.value) for k in node.keywords if k.arg is not None}
    method = None
    if isinstance(node.func, ast.Attribute):
        owner = scene.value(node.func.value)
        is_method = isinstance(owner, Tensor) or (
            isinstance(owner, Unknown) and scene.history is not None and isinstance(callee, Unknown)
        )
        if is_method:
            method = owner
    while isinstance(callee, functools.partial):
        values, texts = [*callee.args, *values], [*("partial argument" for _ in callee.args), *texts]
        keywords = {**callee.keywords, **keywords}
        callee = callee.func
    if isinstance(node.func, ast.Attribute) and (method is not None or isinstance(callee, Unknown)):
        name = operation_name(types.SimpleNamespace(__name__=node.func.attr))
        values, texts = [scene.value(node.func.value), *values], [frame.text(node.func.value), *texts]
    else:
        name = operation_name(callee) if not isinstance(callee, Unknown) else frame.text(node.func).split(".")[-1]
    call = bind(name, callee, values, keywords, texts, keyword_texts)
    call.callee = frame.text(node.func)
    makes_layer = (
        isinstance(callee, type) and issubclass(callee, nn.Module) and callee.__module__.startswith("torch.nn")
    )
    call.direct = is_torch_function(callee) or method is not None or name in SIGNATURES or makes_layer
    return call


def bind(
    name: str, function: Any, values: Any, keywords: Mapping[str, Any], texts: Any = (), keyword_texts: Any = None
) -> Call:
    """Values and their source texts under the names of a function's arguments."""
    values, texts = list(values), list(texts)
    parameters: tuple[str, ...] = SIGNATURES.get(name, ())
    if not parameters and name in _BINARY:
        parameters = ("input", "other")
    if not parameters:
        try:
            parameters = tuple(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            parameters = ("input",)
    args: dict[str, Any] = {}
    names: dict[str, str] = {}
    for index, value in enumerate(values):
        key = parameters[index] if index < len(parameters) else f"argument {index}"
        if key.startswith("*"):
            rest = values[index:]
            many = rest[0] if len(rest) == 1 and isinstance(rest[0], list | tuple) else rest
            args[key[1:]] = tuple(many)
            names[key[1:]] = ", ".join(texts[index:])
            break
        args[key] = value
        if index < len(texts):
            names[key] = texts[index]
    renamed = {"target": "target", "mask": "attn_mask"} if name == "scaled_dot_product_attention" else {}
    for key, value in keywords.items():
        known = renamed.get(key, key)
        if known in ("size", "shape", "dims", "sizes") and f"*{known}" not in parameters:
            known = next((p[1:] for p in parameters if p.startswith("*")), known)
        args[known] = value
        if keyword_texts and key in keyword_texts:
            names[known] = keyword_texts[key]
    return Call(name, name, args, names, function=function)


def _complete(call: Call, history: History) -> None:
    """Values that the source alone could not give, from the run that was watched."""
    func, args, kwargs = history.failed or (None, (), {})
    if func is None or operation_name(func) != call.op:
        return
    watched = bind(call.op, func, args, kwargs)
    for key, value in watched.args.items():
        old = call.args.get(key)
        tensors = isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value)
        if old is None or isinstance(old, Unknown) or _unknown_inside(old) or isinstance(value, Tensor) or tensors:
            call.args[key] = value


def _unknown_inside(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, Unknown) for item in value)


def numbers(text: str) -> list[int]:
    """The whole numbers in a sentence."""
    return [int(n) for n in re.findall(r"-?\d+", text)]
