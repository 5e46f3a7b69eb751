"""scikit-learn's reports on predictions: one prediction for each label, and names for all classes."""

from __future__ import annotations

import ast
from typing import Any

from torch import Tensor

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.rules.finding import Candidate, Finding, Kit
from course_lib.shapes.standins import Unknown


def _array(value: Any) -> Any:
    import numpy as np

    if isinstance(value, Unknown) or value is None:
        return None
    try:
        return np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value)
    except (ValueError, TypeError, RuntimeError):
        return None


def _from_frames(scene: Scene, call: Call) -> None:
    """The values as scikit-learn's own frame holds them, where the source does not name them."""
    for frame in scene.frames[scene.site + 1 :]:
        if "sklearn" in frame.file:
            for name, value in frame.locals.items():
                if name in ("y_true", "y_pred", "y_score", "target_names") and isinstance(
                    call.args.get(name, Unknown("")), Unknown
                ):
                    call.args.setdefault(name, value)
                    if isinstance(call.args[name], Unknown):
                        call.args[name] = value


def _run(call: Call, scene: Scene, **changed: Any) -> bool:
    """Whether the metric accepts the changed arguments. scikit-learn's functions have no side effects."""
    import warnings

    function = getattr(call.function, "__wrapped__", call.function)
    if not callable(function) or not (getattr(function, "__module__", "") or "").startswith("sklearn"):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = {k: v for k, v in {**call.args, **changed}.items() if not isinstance(v, Unknown)}
            call.function(
                **{
                    k: _array(v) if isinstance(v, Tensor) else v
                    for k, v in values.items()
                    if k in _parameters(call.function)
                }
            )
    except Exception:
        return False
    return True


def _parameters(function: Any) -> list[str]:
    import inspect

    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def report(call: Call, scene: Scene) -> Finding | None:
    """y_true and y_pred: class numbers of one length; target_names: one for each of the labels."""
    import numpy as np

    _from_frames(scene, call)
    kit = Kit(call, scene)
    truth, predicted = _array(call.args.get("y_true")), _array(call.args.get("y_pred", call.args.get("y_score")))
    name_t, name_p = kit.name("y_true"), kit.name("y_pred" if "y_pred" in call.args else "y_score")
    second = "y_pred" if "y_pred" in call.args else "y_score"
    if truth is None or predicted is None:
        return None
    text = scene.site_frame.text()

    def swap(argument: str, new: str, why: str, value: Any) -> Candidate | None:
        try:
            code = kit.rewritten(**{argument: new})
        except (Unknown, SyntaxError):
            return None
        return Candidate(code, why, checked=_run(call, scene, **{argument: value}), trial="!")

    fixes: list[Candidate | None] = []
    if truth.ndim and predicted.ndim and len(truth) != len(predicted):
        cause = f"{call.operation} needs one prediction for each label: {name_t} has {len(truth)}, {name_p} has {len(predicted)}."
        kept = _only_the_last(scene, name_t, name_p)
        if kept is not None:
            cause += kept[0]
            return Finding(cause, [Candidate(kept[1], kept[2], trial="?")], operation=call.operation)
        if (
            truth.ndim == 1
            and predicted.ndim == 1
            and max(len(truth), len(predicted)) % max(1, min(len(truth), len(predicted))) == 0
        ):
            cause += f" {max(len(truth), len(predicted))} = {max(len(truth), len(predicted)) // min(len(truth), len(predicted))} x {min(len(truth), len(predicted))}."
        return Finding(cause, [], operation=call.operation)
    axis = f"{name_p}.argmax(axis=1)" if not isinstance(call.args.get(second), Tensor) else f"{name_p}.argmax(dim=1)"
    if predicted.ndim == 2 and truth.ndim == 1 and predicted.shape[1] > 1 and second == "y_pred":
        cause = f"{call.operation} compares class numbers, but {name_p} {predicted.shape} holds a score for each of {predicted.shape[1]} classes."
        fixes.append(swap(second, axis, "the class of the highest score", predicted.argmax(1)))
        return Finding(cause, [f for f in fixes if f], operation=call.operation)
    if predicted.dtype.kind == "f" and truth.dtype.kind in "iub" and predicted.ndim == 1 and second == "y_pred":
        cause = f"{call.operation} compares class numbers, but {name_p} holds numbers such as {predicted.flat[0]:.3g}: scores or probabilities."
        fixes.append(
            swap(second, f"({name_p} > 0.5)", "a class from a probability; for raw scores take > 0", predicted > 0.5)
        )
        return Finding(cause, [f for f in fixes if f], operation=call.operation)
    if truth.ndim == 2 and predicted.ndim == 1 and truth.shape[1] > 1:
        cause = f"{call.operation} compares class numbers, but {name_t} {truth.shape} has {truth.shape[1]} columns: one-hot rows."
        axis_t = (
            f"{name_t}.argmax(axis=1)" if not isinstance(call.args.get("y_true"), Tensor) else f"{name_t}.argmax(dim=1)"
        )
        fixes.append(swap("y_true", axis_t, "the class of each row", truth.argmax(1)))
        return Finding(cause, [f for f in fixes if f], operation=call.operation)
    names, labels = call.args.get("target_names"), call.args.get("labels")
    if names is not None and not isinstance(names, Unknown) and (labels is None or isinstance(labels, Unknown)):
        present = np.union1d(truth, predicted)
        if len(present) != len(names):
            cause = f"{call.operation} found {len(present)} classes in {name_t} and {name_p} ({', '.join(map(str, present[:10]))}), but target_names holds {len(names)} names."
            if text.endswith(")"):
                code = f"{text[:-1].rstrip().rstrip(',')}, labels=range({len(names)}), zero_division=0)"
                ok = _run(call, scene, labels=list(range(len(names))))
                fixes.append(
                    Candidate(
                        code,
                        f"a row for each of the {len(names)} classes, also for those that do not occur: their scores are set to 0",
                        checked=ok,
                        trial="!",
                    )
                )
            return Finding(cause, [f for f in fixes if f], operation=call.operation)
    if second == "y_pred" and call.args.get("average", "binary") == "binary" and "average" in scene.text:
        count = len(np.union1d(truth, predicted))
        cause = f"{call.operation} by itself is for two classes, but {name_t} and {name_p} hold {count}."
        for kind, why in (
            ("macro", "the mean over the classes, each counting alike"),
            ("weighted", "the mean over the classes, by their number"),
        ):
            fixes.append(
                Candidate(
                    f"{text[:-1].rstrip().rstrip(',')}, average={kind!r})",
                    why,
                    checked=_run(call, scene, average=kind),
                    trial="!",
                )
            )
        return Finding(cause, [f for f in fixes if f], operation=call.operation)
    if second == "y_score" and predicted.ndim == 2 and "multi_class" in scene.text:
        cause = f"{call.operation} on {predicted.shape[1]} classes must be told how to compare them."
        fixes.append(
            Candidate(
                f"{text[:-1].rstrip().rstrip(',')}, multi_class='ovr')",
                "each class against all others; the scores must be probabilities",
                checked=_run(call, scene, multi_class="ovr"),
                trial="!",
            )
        )
        return Finding(cause, [f for f in fixes if f], operation=call.operation)
    return None


def _only_the_last(scene: Scene, truth: str, predicted: str) -> tuple[str, str, str] | None:
    """One list grows in a loop over batches, the other is made anew in each turn: it holds the last batch alone."""
    function = scene.site_frame.function
    for loop in ast.walk(function) if function is not None else ():
        if not isinstance(loop, ast.For) or loop.lineno > scene.site_frame.line:
            continue
        grown = {
            ast.unparse(n.func.value): n.func.attr
            for n in ast.walk(loop)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in ("append", "extend")
        }
        anew = {ast.unparse(n.targets[0]): n.value for n in ast.walk(loop) if isinstance(n, ast.Assign)}
        for lost, kept in ((predicted, truth), (truth, predicted)):
            if kept in grown and lost in anew and lost not in grown:
                cause = f" {kept} grows in the loop of line {loop.lineno}, {lost} is made anew in each turn: it holds the last batch alone."
                return (
                    cause,
                    f"{lost}.{grown[kept]}({ast.unparse(anew[lost])})",
                    f"in the loop, in place of {lost} = ...",
                )
    return None


RULES: dict[str, Any] = {}
