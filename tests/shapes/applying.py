"""Putting a shown repair to use: its code is run in the frame that failed, on the real tensors."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

from torch.overrides import TorchFunctionMode

from course_lib.shapes.diagnosis import Diagnosis, Fix
from course_lib.shapes.frames import frames_of, layer_calls, names_in_scope


def apply_earlier(diagnosis: Diagnosis, fix: Fix) -> Any:
    """A repair of what stands before the failing line: the whole function runs again, with it."""
    frames = frames_of(diagnosis.error.__traceback__)
    level = next(i for i in range(len(frames) - 1, -1, -1) if (frames[i].file, frames[i].line) == diagnosis.location)
    frame = frames[level]
    names = {**frame.globals, **names_in_scope(frames, level)}
    tree = ast.parse(ast.unparse(frame.function))
    function = tree.body[0]
    *others, mended = ast.parse(fix.code).body
    flat = [s for s in others if ast.unparse(s).endswith(".flatten(1)")]
    if flat:  # in place of a view in the model's own forward, which cannot be rewritten here
        with Flattening():
            return apply_earlier(diagnosis, replace(fix, code=ast.unparse(mended)))
    for other in others:
        exec(ast.unparse(other), names)
    target = ast.unparse(mended.targets[0])
    body = []
    alike = [
        s for s in function.body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) in (target, f"({target})")
    ]
    for statement in function.body:
        same = statement in alike[-1:]
        body.append(mended if same else statement)
        if isinstance(statement, ast.Assign) and not alike and _assigns(statement, target.split(".")[0]):
            body.append(mended)  # a layer of a model, or one of several made in one line
    function.body = body
    owner = frame.locals.get("self")
    if owner is not None and target.startswith("self."):
        exec(fix.code, names)
    exec(compile(ast.fix_missing_locations(tree), "<mended>", "exec"), names)
    if owner is None:
        return names[function.name]()
    made = next(c for c in reversed(layer_calls(frames)) if c.module is owner)
    return names[function.name](owner, *made.args, **made.kwargs)


class Flattening(TorchFunctionMode):
    """Every view that changes the batch is a flatten(1)."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        split = getattr(func, "__name__", "") in ("view", "reshape") and result.shape[0] != args[0].shape[0]
        return args[0].flatten(1) if split else result


def _assigns(statement: ast.Assign, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for t in statement.targets for n in ast.walk(t))


def apply(diagnosis: Diagnosis, fix: Fix) -> Any:
    """The value of the repaired expression. Whatever the repair raises is raised."""
    import torch
    import torch.nn.functional as F

    if fix.earlier:
        return apply_earlier(diagnosis, fix)
    frames = frames_of(diagnosis.error.__traceback__)
    level = next(i for i in range(len(frames) - 1, -1, -1) if (frames[i].file, frames[i].line) == diagnosis.location)
    names = {"torch": torch, "nn": torch.nn, "F": F, **names_in_scope(frames, level)}
    tree = ast.parse(fix.code)
    changes_a_layer = ".insert(" in fix.code or fix.code.endswith(".eval()")
    if len(tree.body) > 1 and isinstance(tree.body[-1], ast.Expr) and not changes_a_layer:
        exec(compile(ast.Module(tree.body[:-1], []), "<fix>", "exec"), names)
        return eval(ast.unparse(tree.body[-1]), names)
    if isinstance(tree.body[-1], ast.Expr) and not changes_a_layer:
        return eval(fix.code, names)
    target = tree.body[-1].targets[0] if isinstance(tree.body[-1], ast.Assign) else None
    replaced = eval(ast.unparse(target), names) if isinstance(target, ast.Attribute | ast.Subscript) else None
    exec(fix.code, names)
    for name, value in list(names.items()):
        if isinstance(value, torch.nn.Module) and value is replaced:  # a loop's variable still holds the old layer
            names[name] = eval(ast.unparse(target), names)
    called = diagnosis.expression.partition("(")[0]
    if isinstance(replaced, torch.nn.Module) and called.isidentifier() and called not in names:
        names[called] = eval(ast.unparse(target), names)  # from Python 3.12 on, a comprehension's variable is gone
    try:
        return eval(diagnosis.expression, names)
    except SyntaxError:
        return None  # the repair itself is the whole statement
