"""The quiz at the end of each notebook: questions with an explanation for every answer, right or wrong.

`NN_name.md` beside this file holds the quiz of one notebook. To add a question is to write in that file:

    ## How many vectors come out of 12 layers for a text of 7 tokens?

    - [ ] 12, one for each layer.
      Why somebody may think so, and what is so instead.
    - [x] 7, one for each token.
      Why it is right.

An answer is a button made of HTML alone (`details`), so it works with a kernel and without one, by mouse and by keyboard,
with no network, and in an exported page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from course_lib.errors import DataError

__all__ = ["Answer", "Question", "Quiz", "quiz", "read_quiz"]

_FOLDER = Path(__file__).parent
_ANSWER = re.compile(r"- \[(?P<mark>[ xX])\] (?P<text>.+)")
_RIGHT, _WRONG = "#009E73", "#D55E00"  # beside a mark and a word: colour alone says nothing here


@dataclass(frozen=True)
class Answer:
    """One answer of a question, in Markdown, with the reason why it is right or wrong."""

    text: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """A question in Markdown, with its answers; one of them is right."""

    text: str
    answers: tuple[Answer, ...]

    @property
    def letter(self) -> str:
        """The letter of the right answer."""
        return "ABCDEFGH"[next(place for place, answer in enumerate(self.answers) if answer.right)]


@dataclass(frozen=True)
class Quiz:
    """The questions of one notebook; the last value of a cell shows them with answers to click on."""

    notebook: str
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        lines: list[str] = []
        for number, question in enumerate(self.questions, 1):
            lines += [f"{number}. {question.text}"]
            lines += [f"   {letter}. {answer.text}" for letter, answer in zip("ABCDEFGH", question.answers, strict=False)]  # fmt: skip
            lines += [""]
        lines += ["Answers:"]
        for number, question in enumerate(self.questions, 1):
            lines += [f"{number}. {question.letter}. {next(a.why for a in question.answers if a.right)}"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return "".join(_question_html(number, question) for number, question in enumerate(self.questions, 1))


def _question_html(number: int, question: Question) -> str:
    answers = "".join(
        '<details style="margin:4px 0">'
        '<summary style="cursor:pointer;border:1px solid #767676;border-radius:4px;padding:4px 10px">'
        f"<b>{letter}</b>&nbsp; {_inline(answer.text)}</summary>"
        f'<div style="border-left:4px solid {_RIGHT if answer.right else _WRONG};margin:4px 0 8px 12px;padding:2px 10px">'
        f"{'✓ <b>Right.</b>' if answer.right else '✗ <b>Not this one.</b>'} {_inline(answer.why)}</div></details>"
        for letter, answer in zip("ABCDEFGH", question.answers, strict=False)
    )
    asked, _, more = question.text.partition("\n\n")
    return f'<div style="max-width:60em;margin:0 0 18px"><p><b>{number}.</b> {_inline(asked)}</p>{_blocks(more)}{answers}</div>'


def _blocks(markdown: str) -> str:
    import mistune

    return str(mistune.create_markdown(escape=True)(markdown)) if markdown else ""


def _inline(markdown: str) -> str:
    """Markdown of one paragraph as HTML without the paragraph around it."""
    return _blocks(markdown).strip().removeprefix("<p>").removesuffix("</p>")


def quiz(notebook: str) -> Quiz:
    """The quiz of a notebook, by its name ("01_bert_outputs") or its number ("01").

    Raises:
        DataError: no quiz begins with that name.
    """
    paths = sorted(_FOLDER.glob("[0-9][0-9]_*.md"))
    found = [path for path in paths if path.stem == notebook or path.stem.startswith(f"{notebook}_")]
    if not found:
        names = ", ".join(path.stem for path in paths)
        raise DataError(f"There is no quiz {notebook!r}; there are {names}.")
    return read_quiz(found[0])


def read_quiz(path: Path) -> Quiz:
    """The quiz in a file; its form stands at the head of this module.

    Raises:
        DataError: a question without answers, without a right one or with two, an answer without its explanation, a line
            that belongs to nothing; with the line's number.
    """
    questions: list[Question] = []
    asked: list[str] = []
    answers: list[Answer] = []
    at = 0

    def close() -> None:
        if not asked:
            return
        where = f"{path.name}, the question in line {at}"
        if len(answers) < 2:
            raise DataError(f"{where} has {len(answers)} answers; write two or more, each as `- [ ] its words`.")
        if (rights := sum(answer.right for answer in answers)) != 1:
            raise DataError(f"{where} has {rights} right answers; mark exactly one with [x].")
        if bare := next((answer for answer in answers if not answer.why), None):
            raise DataError(f"{where}: the answer {bare.text!r} has no explanation; write it below, indented by two spaces.")  # fmt: skip
        questions.append(Question("\n".join(asked).strip(), tuple(answers)))

    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            close()
            asked, answers, at = [line.removeprefix("## ").strip()], [], number
        elif found := _ANSWER.fullmatch(line.rstrip()):
            answers.append(Answer(found["text"], found["mark"] != " ", ""))
        elif answers and line.startswith("  "):
            last = answers[-1]
            answers[-1] = Answer(last.text, last.right, f"{last.why} {line.strip()}".strip())
        elif asked and not answers:
            asked.append(line)
        elif line.strip() and not line.startswith("# "):
            raise DataError(f"{path.name}, line {number} belongs to no question: {line.strip()!r}. Questions begin with ##, answers with `- [ ]`, explanations with two spaces.")  # fmt: skip
    close()
    if not questions:
        raise DataError(f"{path.name} holds no question; each begins with ##.")
    return Quiz(path.stem, tuple(questions))
