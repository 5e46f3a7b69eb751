"""The cells of a built notebook -> a deck: sections of slides, with the speaker's notes and minutes.

A section begins at each `##` heading, a slide at each heading. Pieces go onto a slide until it is full; then it goes on
on the next one. Left out are the checks of exercises, their hints and the learner's progress; a quiz becomes a slide a
question. A cell's tag says otherwise: `no-slide` leaves it out, `notes` gives its text to the speaker alone.
"""

from __future__ import annotations

import ast
import html
import math
import re
from dataclasses import dataclass, field
from typing import Any

from course_lib.notebooks.source import without_comments
from course_lib.quizzes import Question, quiz
from course_lib.slides.blocks import HEIGHT, Block, code_blocks, notes, output_blocks, rendered, text_blocks

WORDS_A_MINUTE = 130  # a calm speaker
_SECONDS_A_CELL = 40  # to run a cell and look at what comes
_SECONDS_A_PICTURE = 25
_SECONDS_A_QUESTION = 60
_NEVER_SHOWN = re.compile(r"^(check\.\w+\(|progress\(\)|from course_lib\.exercises import progress\b)", re.MULTILINE)


@dataclass
class Slide:
    """One slide: its title, pieces, the speaker's notes as HTML, and how long it takes."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def height(self) -> int:
        """Estimated height of all pieces, in pixels."""
        return sum(block.height for block in self.blocks)


@dataclass
class Section:
    """What stands under one heading of the second level."""

    title: str
    slides: list[Slide] = field(default_factory=list)
    exercise_minutes: int = 0

    @property
    def minutes(self) -> int:
        """Minutes of talk, without the exercises."""
        return max(1, math.ceil(sum(slide.seconds for slide in self.slides) / 60))


@dataclass
class Deck:
    """The slides of one notebook."""

    name: str
    title: str
    sections: list[Section]

    @property
    def slides(self) -> list[Slide]:
        """All slides, in order."""
        return [slide for section in self.sections for slide in section.slides]


def make_deck(name: str, notebook: Any) -> Deck:
    """The deck of a built notebook (nbformat 4, with its outputs); `name` is the notebook's, as "01_bert_outputs"."""
    sections: list[Section] = []
    solved = False  # behind an exercise, what comes belongs to the section again, not to the exercise
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "no-slide" in tags:
            continue
        if cell["cell_type"] == "markdown":
            for part in _by_heading(cell["source"]):
                if part.startswith("#"):
                    solved = False
                elif solved and text_blocks(part):
                    sections[-1].slides.append(Slide(sections[-1].title))
                    solved = False
                _add_text(sections, part, for_speaker="notes" in tags)
        elif asked := re.search(r"^quiz\(\"(.+)\"\)$", cell["source"], re.MULTILINE):
            for number, question in enumerate(quiz(asked[1]).questions, 1):
                sections[-1].slides.append(_question(number, question))
        elif _NEVER_SHOWN.search(cell["source"]):
            solved = cell["source"].startswith("check.")
        else:
            if solved:
                sections[-1].slides.append(Slide(sections[-1].title))
                solved = False
            _add_code(sections[-1], cell, picture="picture" in tags)
    for section in sections:  # a heading whose text stands under the next one
        section.slides = [slide for slide in section.slides if slide.blocks or slide.notes or len(section.slides) == 1]
    return Deck(name, sections[0].title if sections else name, sections)


def _by_heading(markdown: str) -> list[str]:
    """A Markdown cell cut in front of each heading outside code."""
    starts = [found.start() for found in re.finditer(r"^#{1,3} ", without_comments(markdown), re.MULTILINE)]
    ends = [*starts, len(markdown)]
    return [part for begin, end in zip([0, *starts], ends, strict=True) if (part := markdown[begin:end]).strip()]


def _add_text(sections: list[Section], markdown: str, for_speaker: bool) -> None:
    if found := re.match(r"(#{1,3}) +(.+?) *$", markdown, re.MULTILINE):
        title = found[2]
        if len(found[1]) <= 2:
            sections.append(Section(title))
        sections[-1].slides.append(Slide(title))
        if minutes := re.search(r"\((\d+) minutes?\)$", title):
            sections[-1].exercise_minutes += int(minutes[1])
    section, said = sections[-1], notes(markdown)
    words = len(re.sub(r"<[^>]+>", " ", said).split())
    if not for_speaker:
        task = section.slides[-1].title.startswith("Exercise ")  # of which every word counts
        for block in text_blocks(markdown, whole=task):
            _place(section, block)
    section.slides[-1].notes.append(said)
    section.slides[-1].seconds += words / WORDS_A_MINUTE * 60


def _add_code(section: Section, cell: Any, picture: bool) -> None:
    out = output_blocks(cell["outputs"])
    if not out and _only_asserts(cell["source"]):
        return
    picture = picture or _only_a_figure(cell["source"])
    shown = [] if picture else code_blocks(cell["source"])
    together = sum(block.height for block in [*shown, *out])
    last = section.slides[-1]
    if last.blocks and last.height + together > HEIGHT:
        # A result stays beside what made it, and a sentence that ends with a colon beside what it announces.
        section.slides.append(_continued(last))
        if len(last.blocks) > 1 and last.blocks[-1].html.rstrip().endswith(":</p>"):
            section.slides[-1].blocks.append(last.blocks.pop())
    for block in [*shown, *out]:
        _place(section, block)
    section.slides[-1].seconds += _SECONDS_A_PICTURE if picture else _SECONDS_A_CELL


def _only_asserts(code: str) -> bool:
    """Whether a cell holds the text's numbers to the truth, and shows nothing."""
    try:
        body = ast.parse(code).body
    except SyntaxError:  # a magic command
        return False
    statements = [inner for node in body for inner in (node.body if isinstance(node, ast.If) else [node])]
    return bool(statements) and all(isinstance(node, ast.Assert) for node in statements)


def _only_a_figure(code: str) -> bool:
    """Whether a cell is a single call that draws: what it draws says more on a slide."""
    return re.match(r"(plots|figures)\.\w+\(", code) is not None and len(ast.parse(code).body) == 1


def _place(section: Section, block: Block) -> None:
    last = section.slides[-1]
    if last.blocks and last.height + block.height > HEIGHT:
        last = _continued(last)
        section.slides.append(last)
    last.blocks.append(block)


def _continued(slide: Slide) -> Slide:
    return Slide(slide.title)


def _question(number: int, question: Question) -> Slide:
    """A question with its answers; after the next key, the right one."""
    answers = "".join(
        f"<li{' class=right' if answer.right else ''}>{rendered(answer.text).removeprefix('<p>').removesuffix('</p>')}"
        f"{'<span class=fragment> ✓ right</span>' if answer.right else ''}</li>"
        for answer in question.answers
    )
    asked = "".join(block.html for block in text_blocks(question.text))
    why = "".join(
        f"<p><b>{letter}</b> {'✓' if answer.right else '✗'} {html.escape(answer.why)}</p>"
        for letter, answer in zip("ABCDEFGH", question.answers, strict=False)
    )
    block = Block(f'<div class="question">{asked}<ol type="A">{answers}</ol></div>', 400, "text")
    return Slide(f"Question {number}", [block], [why], _SECONDS_A_QUESTION)
