"""Running a copy of a model, over and over, and writing down what every function in it made.

`Runner` owns the copy: in double precision where the model allows it, so that a true dependence (1e-3) and rounding
(1e-15) are never confused; in evaluation mode; with randomness silenced unless it is what is looked for. `Op` is one
call of a torch function: which one, in which layer, on which line, from what to what.
"""

from __future__ import annotations

import linecache
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.overrides import TorchFunctionMode

from course_lib.shapes import copies
from course_lib.shapes.batches import Batch
from course_lib.shapes.places import place_words

_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parent)
_KEEP_AT_MOST = 80_000_000  # numbers kept of one recorded run; beyond that a module is named less exactly

DROPOUTS = {
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "feature_dropout",
    "dropout_", "alpha_dropout_", "feature_dropout_",
}  # fmt: skip
ATTENTIONS = {"scaled_dot_product_attention", "multi_head_attention_forward"}
RANDOM = {
    "rand", "randn", "rand_like", "randn_like", "normal", "normal_", "uniform_", "bernoulli", "bernoulli_",
    "exponential_", "multinomial", "randint", "randint_like", "randperm", "poisson", "cauchy_", "log_normal_",
}  # fmt: skip


@dataclass
class Op:
    """One call of a torch function during a recorded run."""

    name: str
    module: str  # dotted path of the layer in whose forward it was called; "" for the model itself
    place: tuple[str, int]  # file and line of the nearest frame outside torch
    args: tuple
    kwargs: dict
    result: Any
    kept: list[Tensor] | None = None  # copies of the result's tensors, where they are compared later
    changed_in_place: bool = False

    @property
    def line(self) -> str:
        """The source line, or ""."""
        return linecache.getline(*self.place).strip()

    @property
    def where(self) -> str:
        """ " on line 12 (x = x.view(2, 3))", or "" where the source is not to be had."""
        return place_words(self.place)

    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments, one level deep in lists."""
        found = []
        for value in (*self.args, *self.kwargs.values()):
            if isinstance(value, Tensor):
                found.append(value)
            elif isinstance(value, list | tuple):
                found += [v for v in value if isinstance(v, Tensor)]
        return found


@dataclass
class Record:
    """A recorded run."""

    ops: list[Op] = field(default_factory=list)
    called: dict[str, nn.Module] = field(default_factory=dict)
    returned: dict[str, list[set[int]]] = field(default_factory=dict)  # path -> ids of the tensors of each return value
    received: dict[str, set[int]] = field(default_factory=dict)  # path -> ids of the tensors that it was called with
    given: list[Tensor] = field(default_factory=list)  # the model's own inputs, in the order of the batch's leaves
    unregistered: list[tuple[str, nn.Module]] = field(default_factory=list)  # (path of the caller, layer)
    alive: list[Any] = field(default_factory=list)  # keeps tensors, so that an id stays one tensor's
    complete: bool = True


@dataclass
class Outcome:
    """What a run gave."""

    value: Any
    floats: list[tuple[str, Tensor]]  # floating-point tensors with their names, the loss left out
    loss: Tensor | None = None


class Runner:
    """A private copy of a model, to be run as often as needed.

    Raises:
        Exception: whatever the model itself raises on the user's inputs.
    """

    def __init__(
        self, model: nn.Module, batches: Sequence[Batch], loss_fn: Callable | None, labels_to_loss: bool
    ) -> None:
        """Make the copy and run it on the first of `batches` that it takes, in double precision if possible."""
        self.model, self.loss_fn, self.labels_to_loss = model, loss_fn, labels_to_loss
        self.remembers = False
        self._plain: dict[tuple[int, ...], tuple[Batch, Outcome]] = {}
        self.first = self._start(batches)
        self.tolerance = 1e-7 if self._computes_in_double(self.first) else 2e-4

    def _start(self, batches: Sequence[Batch]) -> Batch:
        error: BaseException | None = None
        for self.double in (True, False):  # not every model can be run in double precision
            self.copy = self.fresh()
            for batch in batches:
                try:
                    self.plain(batch)
                    return batch
                except Exception as raised:
                    error = raised
        raise error or ValueError("There is no batch to run.")

    def _computes_in_double(self, batch: Batch) -> bool:
        return self.double and any(t.dtype == torch.float64 for _, t in self.plain(batch).floats)

    def plain(self, batch: Batch) -> Outcome:
        """The outcome of an ordinary run in evaluation mode, made once for each batch."""
        key = tuple(id(leaf.tensor) for leaf in batch.leaves)
        if key not in self._plain:
            self._plain[key] = (batch, self.run(batch))  # the batch too, so that its tensors keep their ids
        return self._plain[key][1]

    def forget(self) -> None:
        """Drop outcomes that were made by a copy with a memory."""
        self._plain.clear()
        self.copy = self.fresh()

    def fresh(self) -> nn.Module:
        """A new copy, in evaluation mode."""
        return copies.copy_model(self.model, copies.doubled if self.double else copies.real).eval()

    def run(
        self,
        batch: Batch,
        record: Record | None = None,
        keep: bool = False,
        quiet: bool = True,
        seed: int = 0,
        grad: bool = False,
        model: nn.Module | None = None,
        with_loss: bool = False,
    ) -> Outcome:
        """One call of the copy.

        Args:
            record: where to write down what was called.
            keep: keep a copy of everything made.
            quiet: without dropout and noise.
        """
        if model is None:
            model = self.fresh() if self.remembers else self.copy
        args, kwargs = copies.map_tensors(batch.call(), self._input)
        if record is not None:
            record.given = [t for _, t in copies.flat_tensors([args, kwargs])]
        labels = kwargs.pop("labels") if self.labels_to_loss else None
        with (
            copies.random_state_kept(model, args, kwargs),
            warnings.catch_warnings(),
            _default_dtype(torch.float64) if self.double else nullcontext(),
            torch.set_grad_enabled(grad),
        ):
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            with _Watch(model, record, keep, quiet, batch), _layers_noted(model, record):
                value = model(*args, **kwargs)
                loss = self._loss(value, labels) if with_loss else _own_loss(value)
        floats = [(n, t) for n, t in copies.flat_tensors(value) if t.is_floating_point() and t is not loss]
        return Outcome(value, floats, loss)

    def _input(self, tensor: Tensor) -> Tensor:
        fresh = tensor.detach().clone()  # the model may change its inputs in place
        return fresh.double() if self.double and fresh.is_floating_point() else fresh

    def _loss(self, value: Any, labels: Tensor | None) -> Tensor | None:
        if self.loss_fn is None:
            return _own_loss(value)
        return self.loss_fn(value) if labels is None else self.loss_fn(value, labels)


def _own_loss(value: Any) -> Tensor | None:
    loss = value.get("loss") if isinstance(value, dict) else getattr(value, "loss", None)
    if isinstance(loss, Tensor) and loss.is_floating_point():
        return loss
    return None


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


_stack = threading.local()


@contextmanager
def _layers_noted(model: nn.Module, record: Record | None) -> Iterator[None]:
    """Keep the path of the layer that is running; note layers that are not part of the model."""
    names = {id(m): name for name, m in model.named_modules()}
    _stack.names = [""]
    thread = threading.get_ident()

    def enter(module: nn.Module, args: Any) -> None:
        if threading.get_ident() != thread:
            return
        name = names.get(id(module))
        if record is not None:
            record.alive.append(module)
            if name is None:
                record.unregistered.append((_stack.names[-1], module))
            else:
                record.called[name] = module
        _stack.names.append(_stack.names[-1] if name is None else name)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        if threading.get_ident() != thread:
            return
        if len(_stack.names) > 1:
            _stack.names.pop()
        name = names.get(id(module))
        if record is not None and name is not None:
            tensors = [t for _, t in copies.flat_tensors(output)]
            record.alive += tensors
            record.returned.setdefault(name, []).append({id(t) for t in tensors})

    def receive(module: nn.Module, args: Any, kwargs: Any) -> None:
        if threading.get_ident() == thread:
            tensors = [t for _, t in copies.flat_tensors([args, kwargs])]
            record.alive += tensors
            record.received.setdefault(names[id(module)], set()).update(id(t) for t in tensors)

    # Global hooks, because a layer that is made inside forward is in no list of the model's.
    layers = list(model.modules()) if record is not None else []
    handles = [
        *(layer.register_forward_pre_hook(receive, with_kwargs=True) for layer in layers),
        module_hooks.register_module_forward_pre_hook(enter),
        module_hooks.register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Watch(TorchFunctionMode):
    """Sees every torch function that is called, silences chance, writes down the rest."""

    def __init__(self, model: nn.Module, record: Record | None, keep: bool, quiet: bool, batch: Batch) -> None:
        super().__init__()
        self.record, self.keep, self.quiet = record, keep, quiet
        self.sizes = {s for s in (batch.rows, batch.tokens) if s}
        self.kept = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        if self.quiet:
            if name in DROPOUTS:
                return args[0] if args else kwargs["input"]
            if name == "scaled_dot_product_attention" and (len(args) > 4 or "dropout_p" in kwargs):
                args, kwargs = (*args[:4], *([0.0] if len(args) > 4 else []), *args[5:]), {**kwargs, **({"dropout_p": 0.0} if "dropout_p" in kwargs else {})}  # fmt: skip
            if name == "gumbel_softmax":
                return _chosen(*args, **kwargs)
            if name == "multi_head_attention_forward" and len(args) < 14:
                kwargs = {**kwargs, "training": False}
        result = func(*args, **kwargs)
        if self.quiet and name in RANDOM:
            result = self._silence(name, result)
        if self.record is not None and name not in ("__get__", "__set__", "size", "dim", "stride", "backward"):
            self._note(name, args, kwargs, result)
        return result

    def _silence(self, name: str, result: Any) -> Any:
        """Noise of the batch's size becomes a constant; a weight drawn inside forward stays what it is."""
        if not isinstance(result, Tensor) or not result.is_floating_point():
            return result
        if not any(s in self.sizes for s in result.shape):
            return result
        with torch.no_grad():
            return result.fill_({"exponential_": 1.0, "rand": 0.5, "rand_like": 0.5, "uniform_": 0.5}.get(name, 0.0))

    def _note(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        if in_place and name == "__setitem__":
            result = args[0]
        tensors = [t for _, t in copies.flat_tensors(result)]
        if not tensors:
            return
        op = Op(name, _stack.names[-1], _place(), args, kwargs, result, changed_in_place=in_place)
        if self.keep and self.record.complete:
            self.kept += sum(t.numel() for t in tensors)
            if self.kept > _KEEP_AT_MOST:
                self.record.complete = False
            else:
                op.kept = [t.detach().clone() for t in tensors]
        self.record.ops.append(op)


def _chosen(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 0.0, dim: int = -1) -> Tensor:
    """A Gumbel softmax without its noise."""
    soft = (logits / tau).softmax(dim)
    if not hard:
        return soft
    one = torch.zeros_like(soft).scatter_(dim, soft.argmax(dim, keepdim=True), 1.0)
    return one - soft.detach() + soft


def where_raised(model: nn.Module, error: BaseException) -> tuple[str | None, tuple[str, int] | None]:
    """The innermost layer of `model` whose own code an error went through, and the line in it."""
    names = {id(m): name for name, m in model.named_modules()}
    module, place = None, None
    walk = error.__traceback__
    while walk is not None:
        code, owner = walk.tb_frame.f_code, walk.tb_frame.f_locals.get("self")
        if not code.co_filename.startswith((_TORCH, _HERE)):
            place = (code.co_filename, walk.tb_lineno)
        if isinstance(owner, nn.Module) and id(owner) in names and not code.co_filename.startswith(_TORCH):
            module = names[id(owner)]
        walk = walk.tb_next
    return module, place


def _place() -> tuple[str, int]:
    """The nearest frame outside torch and this package."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_TORCH, _HERE)):
            return name, frame.f_lineno
        frame = frame.f_back
    return "", 0
