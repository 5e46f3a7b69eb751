"""Links lead somewhere, the index of statements agrees with the notebooks, and the README's commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib.notebooks import NOTEBOOKS, ROOT
from course_lib.notebooks.build import sources
from course_lib.notebooks.source import notebook

SKIP = {".ipynb_checkpoints", ".venv", ".git", ".course", "build", "dist", ".pytest_cache", ".hypothesis"}
PAGES = sorted(p for p in ROOT.rglob("*.md") if not SKIP & set(p.relative_to(ROOT).parts))
# JupyterLab leaves copies in .ipynb_checkpoints wherever somebody worked
BOOKS = sorted(p for p in NOTEBOOKS.rglob("*.ipynb") if not SKIP & set(p.relative_to(ROOT).parts))
STATEMENTS = {"000": 32, "001": 25, "002": 118, "003": 46, "004": 88}  # how many each of the five documents makes
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")


def cells_of(path: Path) -> dict[str, str]:
    return {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}


def anchors(markdown: str) -> set[str]:
    """The anchors of headings, as repository pages and as JupyterLab make them."""
    titles = re.findall(r"^#{1,6} +(.+?) *$", markdown, re.MULTILINE)
    plain = [re.sub(r"[`*]", "", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in plain} | {t.replace(" ", "-") for t in plain}


def dead_links(path: Path, text: str) -> list[str]:
    dead = []
    for link in _LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, fragment = link.partition("#")
        goal = (path.parent / name).resolve() if name else path
        if not goal.exists():
            dead.append(f"{path.name}: {link}: there is no such file")
        elif fragment.startswith("cell-id="):
            if fragment.removeprefix("cell-id=") not in cells_of(goal):
                dead.append(f"{path.name}: {link}: there is no such cell")
        elif fragment:
            full = "\n".join(cells_of(goal).values()) if goal.suffix == ".ipynb" else goal.read_text("utf-8")
            if fragment not in anchors(full):
                dead.append(f"{path.name}: {link}: there is no such heading")
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_of_pages_lead_somewhere(page: Path) -> None:
    assert dead_links(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_pictures_of_pages_are_there_with_words_for_those_who_do_not_see_them(page: Path) -> None:
    for words, name in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / name).is_file(), name
        assert len(words.split()) >= 5, f"{name} has no words that say what is seen"


@pytest.mark.parametrize("book", BOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_of_notebooks_lead_somewhere(book: Path) -> None:
    markdown = [c.source for c in nbformat.read(book, as_version=4).cells if c.cell_type == "markdown"]
    assert dead_links(book, "\n".join(markdown)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_link_to_a_cell_is_called_by_the_cells_heading(page: Path) -> None:
    wrong = []
    for text, name, cell in re.findall(
        r"\[(\d\d · (?:`[^`]*`|[^\]])+)\]\(([^)#\s]+\.ipynb)#cell-id=([\w-]+)\)", page.read_text("utf-8")
    ):
        goal = (page.parent / name).resolve()
        titles = headings(goal, cell)
        if text not in {f"{goal.name[:2]} · {title}" for title in titles}:
            wrong.append(f"{text} leads to {titles}")
    assert wrong == []


def headings(book: Path, cell_id: str) -> set[str]:
    """The headings in a cell, or in the last cell above it that has any."""
    last: list[str] = []
    for cell in nbformat.read(book, as_version=4).cells:
        if cell.cell_type == "markdown":
            last = re.findall(r"^#{1,4} +(.+?) *$", cell.source, re.MULTILINE) or last
        if cell.id == cell_id:
            break
    return {title.replace("|", "\\|") for title in last}


@pytest.mark.parametrize("book", BOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_headings_of_a_notebook_leave_no_level_out(book: Path) -> None:
    text = "\n".join(c.source for c in nbformat.read(book, as_version=4).cells if c.cell_type == "markdown")
    assert gaps(text) == []
    assert len(re.findall(r"^# ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_headings_of_a_page_leave_no_level_out(page: Path) -> None:
    assert gaps(page.read_text(encoding="utf-8")) == []


def gaps(markdown: str) -> list[str]:
    """Headings that are more than one level below the one above them."""
    found, before = [], 0
    for marks, title in re.findall(
        r"^(#{1,6}) +(.+?) *$", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL), re.MULTILINE
    ):
        if len(marks) > before + 1:
            found.append(f"{marks} {title}")
        before = len(marks)
    return found


def test_a_level_that_is_left_out_is_found() -> None:
    assert gaps("# One\n## Two\n### Three\n# Four\n### Five\n```\n#### no heading\n```") == ["### Five"]


def test_the_index_has_every_statement_of_the_five_documents() -> None:
    index = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3})-(\d+) \|", index, re.MULTILINE)
    counted = {document: sorted(int(number) for d, number in rows if d == document) for document, _ in rows}
    assert {document: len(numbers) for document, numbers in counted.items()} == STATEMENTS
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in counted.values())
    assert "nowhere yet" not in index


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# One two\n[a](gone.md) [b](#one-two) [c](#three) [d](https://example.org/x)\n```\n[e](no.md)\n```"
    page.write_text(text, encoding="utf-8")
    assert [d.split(": ")[1] for d in dead_links(page, text)] == ["gone.md", "#three"]


def test_the_index_of_statements_and_the_notebooks_agree() -> None:
    index = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}-\d+) \|.*\| (.+?) \|$", index, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a number stands twice in the index"
    listed = {number: set(re.findall(r"notebooks/(\w+)\.ipynb#cell-id=([\w-]+)", links)) for number, links in rows}
    claimed: dict[str, set[tuple[str, str]]] = {}
    for source in sources():
        for cell in notebook(source, "learner").cells:
            for number in cell.metadata.get("items", "").split():
                claimed.setdefault(number, set()).add((source.stem, cell.id))
    assert listed == claimed


def test_the_statements_to_judge_agree_with_the_index() -> None:
    index = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    rows = {
        n: (what, links)
        for n, what, links in re.findall(r"^\| (\d{3}-\d+) \|.*?\| (.*) \| (.+?) \|$", index, re.MULTILINE)
    }
    page = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    items = re.findall(
        r"^\*\*(\d{3}-\d+)\.\*\* .*?^\*\*([A-Z][a-z ]+)\.\*\* (.*?)^</details>", page, re.MULTILINE | re.DOTALL
    )
    assert len(items) == page.count("<details>") == len({number for number, _, _ in items}) >= 45
    for number, verdict, answer in items:
        treated, links = rows[number]
        assert set(re.findall(r"cell-id=([\w-]+)", answer)) & set(re.findall(r"cell-id=([\w-]+)", links)), number
        assert verdict in ("Right", "Wrong", "Right once", "Not shown"), number
        if verdict != "Not shown":
            assert ("corrected" in treated) == (verdict != "Right"), (number, verdict, treated)
    assert {verdict for _, verdict, _ in items} == {"Right", "Wrong", "Right once", "Not shown"}


def test_the_readme_names_only_targets_that_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    targets = {name for line in targets for name in line.split()}
    named = {
        name
        for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
        for name in re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        for name in name
        if name
    }
    assert named and named <= targets


def test_the_readme_shows_what_its_script_is_told(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    script = re.search(r"^```python\n(# script\.py\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```\n(conv\(x\).*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "script.py").write_text(script[1], encoding="utf-8")
    command = [sys.executable, "-m", "course_lib", "shapes", "script.py"]
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(shown[1].strip())
