"""Advisory locks: every key is a constant of the registry (kernel.sql), and no two are equal."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from kernel import sql

PRODUCT = ("accounts", "cashback", "dev", "kernel", "wallet")
KEYS = {name: key for name, key in vars(sql).items() if name.endswith("_LOCK")}
CALL = re.compile(r"pg_\w*advisory\w*\((.{0,80})", re.DOTALL)
# A key is the constant itself, or the constant with its places filled.
FROM_REGISTRY = re.compile(r"\{(" + "|".join(KEYS) + r")(\.format\(|\}\))")


def keys_elsewhere(source: str) -> list[str]:
    """Return the keys of advisory locks that are not from the registry."""
    return [call.group(1) for call in CALL.finditer(source) if not FROM_REGISTRY.match(call.group(1))]


def product_files() -> list[Path]:
    files = (path for name in PRODUCT for path in (settings.BASE_DIR / name).glob("**/*.py"))
    return sorted(path for path in files if "migrations" not in path.parts)


def test_the_product_takes_no_lock_by_a_key_of_its_own() -> None:
    found = {str(path): keys_elsewhere(path.read_text()) for path in product_files()}
    calls = sum(len(CALL.findall(path.read_text())) for path in product_files())

    assert {path: keys for path, keys in found.items() if keys} == {}
    assert calls == 17


@pytest.mark.parametrize(
    "source",
    [
        '"SELECT pg_advisory_lock(42)"',
        "\"SELECT pg_advisory_xact_lock(hashtext('wallet.tasks'))\"",
        'f"SELECT pg_try_advisory_xact_lock({OWN_KEY})"',
        'f"SELECT pg_advisory_xact_lock({DEMO_DATA_LOCK} + 1)"',
    ],
)
def test_a_key_that_is_not_from_the_registry_is_found(source: str) -> None:
    assert len(keys_elsewhere(source)) == 1


@pytest.mark.django_db
def test_no_two_keys_are_equal() -> None:
    keys = {
        name: key.format(pool="'pool'", user="'user'", currency="'INR'", route="'claim'", key="'key'")
        for name, key in KEYS.items()
    }

    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"({key})::bigint" for key in keys.values()))
        values = cursor.fetchone()

    assert len(keys) == 9
    assert len(set(values)) == len(keys)
