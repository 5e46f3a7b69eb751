"""What a tool showed of a failing call, and the rules that score it: the same rules for every tool.

`Shown` is what reached the user: sentences (`words`: printed lines and the messages of what was raised, causes
included), and what stands in pictures, tables and lines of code (`drawn`). It is compared with an entry of the catalogue
of raising bugs (tests/shapes/catalogue):

- layer: the path of the failing layer, its class or the operation stands in what was shown. Spelling does not matter
  (`max_pool1d` is `MaxPool1d`), an operator may stand for its name. A path that is only a number (`1` of a Sequential)
  must be said to be a layer.
- expression: the failing source expression stands there, spaces and kinds of quotes apart.
- shapes: all shapes that the entry expects stand there, as (3, 7), [3, 7] or 3x7.
- cause: for each of the entry's phrases, one paragraph of `words` holds all numbers of the phrase, in whatever words (for
  a range "0 to 10" one of its ends or its count, 11, will do); for a phrase without numbers, half of its longer words.
  PyTorch's 104 messages were read through besides: where one says the cause in other words, these stand in `OWN_WORDS`
  and count for every tool.
- fix: a piece of code is handed over as a repair, or a sentence says what to do (use, try, choose ...).
- fix runs: the first code offered is put into the failing frame, on the real tensors, and raises nothing.
- error kept: the exception that the user gets has the type and the text of the plain run's.
- nothing twice: no more calls of layers, and no more failing calls made by the bug's own code, than in the plain run.
- model kept: parameters and buffers on their device, parameters with their values, each layer in its mode, hooks as
  before; and the model, called again, raises the same error as before.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shown:
    """What one tool showed of one failure."""

    words: str = ""
    drawn: str = ""
    fixes: tuple[str, ...] = ()  # code that the tool itself hands over as a repair
    error: BaseException | None = field(default=None, compare=False)  # what the user gets

    @property
    def everything(self) -> str:
        return f"{self.words}\n\n{self.drawn}"


# The catalogue's phrase: how else it can be said. Written down from PyTorch's and scikit-learn's own messages.
OWN_WORDS = {
    "padding of conv2d must be a whole number": ("'padding' must be",),
    "only 1 there": ("output size is too small",),
    "4 dimensions": ("expected 2D or 3D",),
    "has 2": ("expected 3D .* or 4D",),
    "batch of one": ("more than 1 value per channel when training",),
    "resizes 2 dimensions": ("same number of spatial dimensions",),
    "2 dimensions": ("must be a matrix",),
    "3 dimensions": ("must be a 3D tensor",),
    "must equal": ("expected size for first two dimensions",),
    "neither is 1": ("must match .* at non-singleton dimension",),
    "compares shapes from the right": ("must match .* at non-singleton dimension",),
    "changed in place": ("doesn't match the broadcast shape",),
    "(batch, keys)": ("expected key_padded_mask.shape",),
    "attn_mask must be (queries, keys)": ("shape of the 2D attn_mask .* should be",),
    "does not fit": ("must match .* at non-singleton dimension",),
    "lie in order in memory": ("not compatible with input tensor's size and stride",),
    "letter h": ("subscript h",),
    "names 3": ("does not match the length of the desired ordering",),
    "numbered 0 to 2": ("expected to be in range",),
    "only dimensions of 1": ("must match .* at non-singleton dimension",),
    "all other sizes equal": ("must match except in dimension",),
    "same number of dimensions": ("same number of dimensions",),
    "one shape": ("expects each tensor to be equal size",),
    "one list of tensors": ("must be tuple of Tensors, not Tensor",),
    "plain numbers": ("expected Tensor .* but got float",),
    "indexes 3 dimensions": ("too many indices",),
    "A mask must have the sizes": ("shape of the mask .* does not match",),
    "as many dimensions": ("same number of dimensions",),
    "holds 2 sizes": ("expected 3, got 2",),
    "cannot be spread": ("must match .* at non-singleton dimension",),
    "rows of one length": ("expected sequence of length",),
    "one True or False": ("more than one value is ambiguous",),
    "exactly one number": ("cannot be converted to Scalar",),
    "whole numbers": ("scalar types: Long, Int",),
    "returns (output, state)": ("must be Tensor, not tuple", "'tuple' object"),
    "takes 3": ("expected 3, got 2",),
    "names of its fields": ("tuple of Tensors, not str",),
    "BaseModelOutputWithPooling": ("not BaseModelOutput",),
    "has no logits": ("no attribute 'logits'",),
    "mask was not given": ("missing 1 required positional argument: 'mask'",),
    "one target for each row": ("batch_size .* to match target batch_size",),
    "class numbers of int64": ("target dtype to be Long",),
    "one class number for each": ("0D or 1D target tensor expected",),
    "must be floats": ("expected floating point type for target",),
    "both need one shape": ("must be the same as input size", "must match the size of tensor"),
    "probabilities from 0 to 1": ("should be between 0 and 1",),
    "backward begins at one number": ("only for scalar outputs",),
    "carries gradients": ("requires grad",),
    "numbers of one kind": ("must have the same dtype",),
    "for two classes": ("multiclass but average='binary'",),
    "score for each of 3 classes": ("multiclass and continuous-multioutput",),
}

_OPERATORS = {"add": "+", "mul": "*", "div": "/", "matmul": "@", "sub": "-"}
_INDEXING = ("index", "indices", "indexed")
_ADVICE = re.compile(
    r"(?:^|[.!?;:]\s+|\bplease )(?:use|try|choose|provide|specify|call|consider|replace|set|pass|did you mean)\b[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_CODE = re.compile(r"`([^`\n]+)`|((?:[A-Za-z_][\w.]*)?\.?[A-Za-z_]\w*\([^()\n]*\)(?:\.\w+\([^()\n]*\))*)")


def names_the_layer(shown: Shown, operation: str, path: str | None, layer_class: str | None = None) -> bool:
    text = shown.everything
    words = {_plain_name(word) for word in re.findall(r"[A-Za-z_]\w*", text)}
    if any(_plain_name(name) in words for name in (operation, layer_class) if name):
        return True
    if operation in _OPERATORS and re.search(rf"(?<!\S){re.escape(_OPERATORS[operation])}(?!\S)", text):
        return True
    if operation in ("getitem", "setitem") and words & set(_INDEXING):
        return True
    if not path:
        return False
    if path.isdigit():
        return re.search(rf"\b(?:layer|module)\W{{0,3}}{path}\b|\[{path}\]\(|\({path}\):", text) is not None
    return re.search(rf"(?<![\w]){re.escape(path)}(?![\w])", text) is not None


def shows_the_expression(shown: Shown, expression: str) -> bool:
    return _squeezed(expression) in _squeezed(shown.everything)


def shapes_in(text: str) -> set[tuple[int, ...]]:
    """Every shape that is written in a text."""
    found = {
        tuple(int(n) for n in re.findall(r"\d+", inside))
        for inside in re.findall(r"[(\[]\s*((?:\d+\s*(?:,\s*\d+\s*)*,?)?)\s*[)\]]", text)
    }
    return found | {tuple(map(int, many.split("x"))) for many in re.findall(r"(?<![\w.])\d+(?:x\d+)+(?![\w.])", text)}


def shows_the_shapes(shown: Shown, shapes: tuple[tuple[int, ...], ...]) -> bool:
    return set(shapes) <= shapes_in(shown.everything)


def says_the_cause(shown: Shown, phrases: tuple[str, ...]) -> bool:
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", shown.words)]
    return all(any(_says(paragraph, phrase) for paragraph in paragraphs) for phrase in phrases)


def _says(paragraph: str, phrase: str) -> bool:
    if phrase in paragraph:
        return True
    if any(re.search(pattern, paragraph, re.IGNORECASE) for pattern in OWN_WORDS.get(phrase, ())):
        return True
    there = _numbers(paragraph)
    ranges = [int(end) for end in re.findall(r"\b0 to (\d+)", phrase)]
    numbers = _numbers(re.sub(r"\b0 to \d+", "", phrase))
    if numbers or ranges:
        return numbers <= there and all(there & {end, end + 1} for end in ranges)
    wanted = {word[:5] for word in re.findall(r"[a-z]{4,}", phrase.lower())}
    found = wanted & {word[:5] for word in re.findall(r"[a-z]{4,}", paragraph.lower())}
    return bool(wanted) and 2 * len(found) >= len(wanted)


def _numbers(text: str) -> set[int]:
    """The whole numbers of a text: 3x7 is two, 4D is one, the 2 of conv2d is none."""
    apart = re.sub(r"(?<=\d)x(?=\d)", " x ", text)
    return {int(n) for n in re.findall(r"(?<![\w.])(\d+)(?=D?\b)", apart)}


def advice(words: str) -> list[str]:
    """The sentences that say what to do."""
    return [found.group().strip(" .;:") for found in _ADVICE.finditer(words)]


def offers_a_fix(shown: Shown) -> bool:
    return bool(shown.fixes or advice(shown.words))


def offered_code(shown: Shown) -> str | None:
    """The first code offered that is whole enough to be run."""
    if shown.fixes:
        return shown.fixes[0]
    for sentence in advice(shown.words):
        for quoted, call in _CODE.findall(sentence):
            try:
                ast.parse(quoted or call)
            except SyntaxError:
                continue
            return quoted or call
    return None


def keeps_the_error(shown: Shown, plain: BaseException) -> bool:
    return type(shown.error) is type(plain) and str(shown.error) == str(plain)


def percent(count: int, of: int) -> int:
    """Rounded down to a whole per cent, so that 100 means all of them."""
    return 100 * count // of if of else 0


def _plain_name(name: str) -> str:
    return name.replace("_", "").lower()


def _squeezed(code: str) -> str:
    return re.sub(r"\s+", "", code).replace('"', "'")
