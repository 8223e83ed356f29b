"""Pages and console: every URL, by GET and POST, for every role. A URL without a row fails.

The rows stand in table.txt: address, method, and what an anonymous visitor, the user, another user, an admin and a
superuser are answered. The API's rows stand in tests/api/test_permissions.py.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client

from accounts.models import User
from tests.security.addresses import addresses

pytestmark = pytest.mark.usefixtures("unlimited")
TABLE = Path(__file__).with_name("table.txt")
EVERYBODY = ("anonymous", "user", "other user", "admin", "superuser")
METHODS = ("GET", "POST")
Row = tuple[str, str]


def kept() -> dict[Row, list[int]]:
    """Return the rows of the table."""
    lines = [line.split() for line in TABLE.read_text().splitlines() if line.startswith("/")]
    return {(address, method): [int(status) for status in statuses] for address, method, *statuses in lines}


def named(ids: dict[str, str]) -> dict[str, str]:
    """Return each address as the table names it, with the one that is asked for: ids change, routes do not."""
    names = addresses({room: "{" + room + "}" for room in ids})
    return {name: address for name, address in zip(names, addresses(ids), strict=True) if not name.startswith("/api/")}


def status(visitor: Client, method: str, address: str) -> int:
    """Send one request that leaves nothing behind, and return the status."""
    cookies = {name: morsel.value for name, morsel in visitor.cookies.items()}
    before = transaction.savepoint()
    answer = visitor.generic(method, address, b"", "application/x-www-form-urlencoded")
    transaction.savepoint_rollback(before)
    visitor.cookies.clear()
    visitor.cookies.load(cookies)
    return answer.status_code


@pytest.fixture
def everybody(alice: User, bob: User, ada: User, root: User) -> list[User | None]:
    return [None, alice, bob, ada, root]


@pytest.mark.parametrize("column", range(len(EVERYBODY)), ids=EVERYBODY)
def test_every_role_gets_the_status_in_the_table(
    column: int, browser_of: Callable[..., Client], everybody: list[User | None], ids: dict[str, str]
) -> None:
    visitor, found = browser_of(everybody[column]), {}
    for name, address in named(ids).items():
        for method in METHODS:
            found[name, method] = status(visitor, method, address)

    assert found == {row: statuses[column] for row, statuses in kept().items()}


def test_every_address_has_its_rows(ids: dict[str, str]) -> None:
    assert set(kept()) == {(name, method) for name in named(ids) for method in METHODS}
    assert len(named(ids)) > 60


def test_table_allows_users_no_console_page_and_no_server_error() -> None:
    for (address, method), (anonymous, user, other, *operators) in kept().items():
        assert max(anonymous, user, other, *operators) < 500, (address, method)
        if address.startswith("/admin/") and address != "/admin/login/":
            assert {anonymous, user, other} <= {302, 404, 405}, (address, method)
