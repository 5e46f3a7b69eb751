"""Is a value a text that a tokenizer can read? Asked of what a person gives to predict or encode, and of data files."""

from __future__ import annotations

from typing import Any


def a_kind(value: Any) -> str:
    """What a value is, with its article: "a list", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def text_fault(value: Any) -> tuple[str, str] | None:
    r"""What a value is that is no text for a tokenizer, and what to do: two ends of a sentence. None: nothing is wrong.

    Beside what is no str at all, that is a text with half a character: a code point from U+D800 to U+DFFF, of which
    JSON writes two for one character ("\ud83d\ude00"), and which Python makes of bytes that are not UTF-8. UTF-8 has
    none of them, and the tokenizers take nothing else.
    """
    if not isinstance(value, str):
        return a_kind(value), "a text is expected"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):x}"
        return (
            f"a text with half a character ({half} at place {error.start})",
            "take that out, or read the text as UTF-8 again",
        )
    return None
