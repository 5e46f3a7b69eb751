from pathlib import Path

from course_lib.notebooks import statements

HEAD = "# Statements\n\n| number | the document | the course | where |\n|---|---|---|---|\n"


def index(tmp_path: Path, rows: str) -> Path:
    path = tmp_path / "sources.md"
    path.write_text(HEAD + rows, encoding="utf-8")
    return path


def only(monkeypatch, cells: dict[str, list[str]]) -> None:
    monkeypatch.setattr(statements, "treated", lambda: cells)


def test_links_are_written_and_all_other_words_stay(tmp_path, monkeypatch):
    only(monkeypatch, {"001-02": ["[01 · A](a)", "[02 · B](b)"]})
    path = index(tmp_path, "| 001-02 | a claim of `x | y` | shown | nowhere yet |\n\n## 中文\n")
    assert statements.link_index(path) == []
    assert (
        path.read_text(encoding="utf-8")
        == HEAD + "| 001-02 | a claim of `x | y` | shown | [01 · A](a), [02 · B](b) |\n\n## 中文\n"
    )


def test_a_second_time_changes_nothing(tmp_path, monkeypatch):
    only(monkeypatch, {"001-02": ["[01 · A](a)"]})
    path = index(tmp_path, "| 001-02 | claim | shown | nowhere yet |\n")
    statements.link_index(path)
    once = path.read_bytes()
    statements.link_index(path)
    assert path.read_bytes() == once


def test_what_a_person_has_to_write_is_said(tmp_path, monkeypatch):
    only(monkeypatch, {"001-02": ["[01 · A](a)"], "003-04": ["[01 · A](a)"]})
    path = index(tmp_path, "| 001-02 | claim | shown | x |\n| 002-07 | claim | shown | x |\n")
    assert statements.link_index(path) == [
        "sources.md: 003-04 is treated in a cell and has no row",
        "sources.md: no cell names 002-07",
    ]
    assert "| 002-07 | claim | shown | nowhere yet |" in path.read_text(encoding="utf-8")


def test_a_link_names_the_heading_above_its_cell_and_leads_to_the_cell():
    links = statements.treated()["001-05"]
    assert links == ["[01 · The last four layers](../notebooks/01_bert_outputs.ipynb#cell-id=the-last-four-layers-8)"]
