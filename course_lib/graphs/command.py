"""`python -m course_lib graph MODEL_OR_FILE --output DIR`: the graph of a model, as files that open without a server.

model.onnx  the graph with its weights, compared with the model     model.svg  its blocks     block.svg  one of them
calls.svg   which function calls which, as seen in a run            index.html all of it on a page
"""

from __future__ import annotations

import argparse
import ast
import html
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_lib.errors import DataError
from course_lib.graphs.onnx_files import SCOPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "model",
        metavar="MODEL_OR_FILE",
        help="default, a name on the hub or a folder; a folder that train wrote; a model of the zoo with new weights, such "
        "as TextCNN; an .onnx file; a .py file, for its call graph",
    )
    parser.add_argument("--output", required=True, type=Path, help="a folder for the files")
    parser.add_argument("--block", help="whose operations are drawn; by default the first attention, if there is one")
    parser.add_argument("--hidden-states", action="store_true", help="as further outputs of the graph")
    parser.add_argument("--attentions", action="store_true", help="as further outputs of the graph")
    parser.add_argument("--int8", action="store_true", help="write the variant with weights of 8 bits, too")


@dataclass
class _Page:
    """What stands on index.html: headings, each with pictures and HTML below it."""

    title: str
    parts: list[str] = field(default_factory=list)

    def say(self, heading: str, *body: str) -> None:
        self.parts.append(f"<h2>{html.escape(heading)}</h2>{''.join(body)}")

    def text(self) -> str:
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(self.title)}</title><style>body{{font-family:sans-serif;max-width:1100px;margin:2em auto;"
            "padding:0 1em}img{max-width:100%;height:auto}td,th{text-align:left;padding:.1em .8em .1em 0}</style></head>"
            f"<body><h1>{html.escape(self.title)}</h1>{''.join(self.parts)}</body></html>\n"
        )


def run(arguments: argparse.Namespace) -> int:
    """Write the files; 1 if the graph does not compute what the model computes."""
    output, given = arguments.output, arguments.model
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"The folder '{output}' cannot be made ({error.strerror or error}): choose another.") from error
    page, ok = _Page(f"The graph of {Path(given).name}"), True
    if given.endswith(".py"):
        _calls([_python_file(given)], None, output, page)
    elif given.endswith(".onnx"):
        _pictures(Path(given), arguments.block, output, page)
    else:
        model = _load(given)
        example = _example(model)
        ok = _export(model, example, arguments, output, page)
        _pictures(output / "model.onnx", arguments.block, output, page)
        _calls(list(_sources(model)), lambda: model(**example), output, page)
    (output / "index.html").write_text(page.text(), encoding="utf-8")
    print(f"Open '{output / 'index.html'}' in a browser.")
    return 0 if ok else 1


def _load(given: str) -> Any:
    """A model in evaluation mode."""
    import torch

    from course_lib import zoo
    from course_lib.bert import BertModel
    from course_lib.finetuning.tuned import CARD, FineTuned

    if given in zoo.NAMES:
        torch.manual_seed(0)
        model: Any = zoo.build(given, 10, None if zoo.reads_bert(given) else 5000)
    elif (Path(given) / zoo.CARD).is_file():
        model = zoo.load(given)
    elif (Path(given) / CARD).is_file():
        model = FineTuned.load(given).model
    else:
        model = BertModel.from_pretrained(given)
    return model.eval()


def _example(model: Any) -> dict[str, Any]:
    """Two texts of 9 tokens, (2, 9), or two questions with three answers each, (2, 3, 9); the second has padding.

    Token types are given to a model that has them: its graph would read a pair as one text without them.
    """
    import torch
    from torch import nn

    from course_lib.heads import BertForMultipleChoice

    shape = (2, 3, 9) if isinstance(model, BertForMultipleChoice) else (2, 9)
    words = next(module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding))
    ids = torch.randint(1, min(words, 100), shape, generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, ..., 6:] = 0
    example = {"input_ids": ids, "attention_mask": mask}
    tables = [module for name, module in model.named_modules() if name.endswith("token_type_embeddings")]
    if any(table.num_embeddings > 1 for table in tables):
        example["token_type_ids"] = (torch.arange(9) >= 5).long().expand(shape).contiguous()
    return example


def _export(model: Any, example: dict[str, Any], arguments: argparse.Namespace, output: Path, page: _Page) -> bool:
    from course_lib.graphs.export import export_onnx
    from course_lib.graphs.quantising import quantise
    from course_lib.graphs.verification import verify_onnx

    axes = {0: "batch", 1: "answers", 2: "tokens"}
    try:
        path = export_onnx(
            model,
            example,
            output / "model.onnx",
            hidden_states=arguments.hidden_states,
            attentions=arguments.attentions,
            changing=dict.fromkeys(example, axes) if example["input_ids"].dim() == 3 else None,
        )
    except ValueError as error:  # outputs were asked for that this model does not give
        raise DataError(str(error)) from error
    found = verify_onnx(path, model)
    print(found)
    words = [found._repr_html_()]
    if arguments.int8:
        small = quantise(path, output / "model_int8.onnx")
        sizes = [file.stat().st_size / 1e6 for file in (path, small)]
        said = f"model_int8.onnx has {sizes[1]:.1f} MB, model.onnx {sizes[0]:.1f} MB; compare their answers on your own texts."
        print(said)
        words.append(f"<p>{html.escape(said)}</p>")
    page.say("Does the graph compute what the model computes?", *words)
    return found.ok


def _pictures(path: Path, block: str | None, output: Path, page: _Page) -> None:
    from course_lib.graphs.model_picture import model_picture
    from course_lib.graphs.netron import summary
    from course_lib.graphs.onnx_files import read_onnx

    model = read_onnx(path)
    whole = model_picture(model)
    whole.save(output / "model.svg")
    page.say("The blocks", _image("model.svg", whole.alt))
    block = block or _first_attention(model)
    if block is not None:
        try:
            part = model_picture(model, block=block)
        except ValueError as error:
            raise DataError(f"--block: {error}") from None
        part.save(output / "block.svg")
        page.say(f"The operations of {block}", _image("block.svg", part.alt))
    page.say("Inputs, outputs, operations", summary(model)._repr_html_())


def _first_attention(model: Any) -> str | None:
    """The dotted name of the first module that is called attention."""
    scopes = (p.value for node in model.graph.node for p in node.metadata_props if p.key == SCOPES)
    names = (name for value in scopes for name in ast.literal_eval(value))
    # its parts are called, "attention.self", and itself it is often no more than their container
    found = (re.match(r"(?:model\.)?(.+?\.attention)(?:\.|$)", name) for name in names)
    return next((match[1] for match in found if match), None)


def _calls(files: list[Any], run: Any, output: Path, page: _Page) -> None:
    from course_lib.graphs.calls import call_graph

    graph = call_graph(files, run)
    if run is not None:
        graph = graph.called()
    graph.to_svg(output / "calls.svg")
    page.say("Which function calls which", _image("calls.svg", graph.alt))


def _image(name: str, alt: str) -> str:
    return f'<p><a href="{name}"><img src="{name}" alt="{html.escape(alt, quote=True)}"></a></p>'


def _sources(model: Any) -> Iterator[Path]:
    """The files in which the model's own classes stand: those of torch and transformers left out."""
    seen = set()
    for module in model.modules():
        kind = type(module)
        if kind.__module__.split(".")[0] not in ("torch", "transformers"):
            path = inspect.getsourcefile(kind)
            if path is not None and path not in seen:
                seen.add(path)
                yield Path(path)


def _python_file(given: str) -> Path:
    path = Path(given)
    if not path.is_file():
        raise DataError(f"There is no file '{path}': give a .py file, an .onnx file, or a model.")
    return path
