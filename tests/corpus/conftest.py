"""Packages made for a test, found and read as installed ones are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`install("name", {"module.py": source}, version="1.0")` puts a package on the path; no version: no metadata."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def one(name: str, files: Mapping[str, str], version: str | None = "1.0", called: str | None = None) -> Path:
        folder = site / name
        for path, source in {"__init__.py": "", **files}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(source, encoding="utf-8")
        if version is not None:
            info = site / f"{(called or name).replace('-', '_')}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {called or name}\nVersion: {version}\n", "utf-8"
            )
            (info / "top_level.txt").write_text(f"{name}\n", "utf-8")
        return folder

    return one
