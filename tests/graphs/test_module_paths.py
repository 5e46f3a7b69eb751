"""Dotted names of modules, and the way from one to another."""

from __future__ import annotations

import pytest

from course_lib.graphs.module_paths import common, components, preceding, relative, within


def test_a_module_is_within_its_parents_and_itself() -> None:
    assert within("encoder.layer.1", "encoder.layer") and within("encoder", "encoder") and within("encoder", "")
    assert not within("encoder.layer.10", "encoder.layer.1")


def test_the_way_from_a_parent() -> None:
    assert relative("encoder.layer.0", "encoder") == "layer.0" and relative("encoder", "encoder") == ""
    assert relative("pooler.dense", "encoder") == "pooler.dense"


def test_a_layer_of_a_list_is_one_step() -> None:
    assert components("encoder.layer.0.attention") == ["encoder", "layer.0", "attention"]
    assert components("encoder.layer.0.attention", "encoder.layer") == ["0", "attention"]
    assert components("0.1") == ["0", "1"] and components("") == []


def test_what_modules_have_in_common() -> None:
    assert common(["encoder.layer.0", "encoder.layer.1.output"]) == "encoder.layer"
    assert common(["encoder", "encoder"]) == "encoder" and common(["a", "b"]) == common([]) == ""


@pytest.mark.parametrize(
    ("path", "before"),
    [
        ("layer.5", "layer.4"), ("layer.10", "layer.9"), ("1", "0"), ("layer.0", None), ("layer", None), ("conv2", None),
        ("shared@1", "shared"), ("shared@2", "shared@1"),
    ],
)  # fmt: skip
def test_the_layer_before(path: str, before: str | None) -> None:
    assert preceding(path) == before
