"""Migrations are self-contained: they create the same database whatever becomes of the code."""

import ast
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

OURS = {package.parent.name for package in settings.BASE_DIR.glob("*/__init__.py")}
FILES = sorted(path for name in OURS for path in (settings.BASE_DIR / name).glob("**/migrations/*.py"))


def first_party_imports(source: str) -> set[str]:
    """Return the first-party modules that a migration imports, except the frozen one beside it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    ours = {name for name in found if name.partition(".")[0] in OURS or name.startswith(".")}
    return {name for name in ours if not name.endswith(".migrations._frozen")}


def test_every_migration_is_checked() -> None:
    assert {"accounts", "wallet"} <= OURS
    assert {path.name for path in FILES} >= {
        "_frozen.py",
        "0002_token_families.py",
        "0005_supply.py",
        "0007_supply_added_up.py",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))
def test_no_migration_imports_code_that_can_change(path: Path) -> None:
    assert first_party_imports(path.read_text()) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from wallet.ledger.triggers import ENABLE_ALWAYS", {"wallet.ledger.triggers"}),
        ("import django.db, kernel.uuid7", {"kernel.uuid7"}),
        ("def forwards(apps, editor):\n    from cashback import grants", {"cashback"}),
        ("from ..models import Entry", {"..models"}),
        ("from wallet.ledger.migrations._frozen import ENABLE_ALWAYS", set()),
        ("from django.db import migrations", set()),
    ],
)
def test_imports_are_found_wherever_they_are(source: str, found: set[str]) -> None:
    assert first_party_imports(source) == found


@pytest.mark.django_db
def test_models_match_the_migrations() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)  # exits when anything is missing
