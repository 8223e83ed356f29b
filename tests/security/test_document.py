"""docs/security.md names existing code and tests."""

import ast
import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
DOCUMENT = (ROOT / "docs/security.md").read_text()
ROWS = {found[1]: found[0] for found in re.finditer(r"^\| (S\d+) \|.*$", DOCUMENT, re.MULTILINE)}
REQUIRED = {f"S{number}" for number in range(1, 47)} - {"S6", "S18", "S22", "S26"}  # never given out


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_requirement_has_a_row_with_a_test() -> None:
    assert set(ROWS) == REQUIRED
    assert [name for name, row in ROWS.items() if not re.search(r"`tests/\S+\.py::test_\w+`", row)] == []


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/\S+?\.py)::(test_\w+)`", DOCUMENT)

    assert len(named) > 50
    assert [f"{path}::{name}" for path, name in named if name not in functions_of(path)] == []


def test_every_named_file_exists() -> None:
    named = set(re.findall(r"`((?:accounts|cashback|dev|kernel|wallet|tests)/[\w/]+\.py)[`:]", DOCUMENT))

    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []
