"""What is installed is what was looked at: every package, those that others bring along included, at one version."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from django.conf import settings
from packaging.requirements import Requirement

ROOT = Path(settings.BASE_DIR)
PIN = re.compile(r"[a-z0-9][a-z0-9._-]*==[0-9][A-Za-z0-9.!+]*( ; .+)?")


def lines(name: str) -> list[str]:
    """Return the lines of a list of requirements that say something."""
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_package_has_one_version(name: str) -> None:
    loose = [line for line in lines(name) if not PIN.fullmatch(line)]
    packages = [Requirement(line) for line in lines(name)]

    assert loose == []
    assert len(packages) > 40
    for package in packages:
        others = [other for other in packages if other.name == package.name]
        assert len(others) == 1 or all(other.marker for other in others), package


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_what_is_asked_for_is_pinned(name: str) -> None:
    pinned = {Requirement(line).name for line in lines(f"{name}.txt")}

    assert {Requirement(line).name.lower() for line in lines(f"{name}.in")} <= pinned


def test_development_runs_on_what_production_runs_on() -> None:
    assert set(lines("requirements.txt")) <= set(lines("requirements-dev.txt"))


def test_the_packages_that_run_here_are_the_pinned_ones() -> None:
    wanted = [Requirement(line) for line in lines("requirements.txt")]
    here = [package for package in wanted if package.marker is None or package.marker.evaluate()]

    assert {package.name: version(package.name) for package in here} == {
        package.name: str(package.specifier).removeprefix("==") for package in here
    }
