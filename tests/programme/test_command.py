"""`manage.py grant_due`."""

from collections.abc import Callable

import pytest

from accounts.models import User
from tests.programme.conftest import OpenRule
from wallet.ledger.models import Grant

pytestmark = pytest.mark.django_db(transaction=True)
Command = Callable[..., str]


def test_a_dry_run_shows_what_is_due_and_grants_nothing(command: Command, open_rule: OpenRule) -> None:
    assert command("grant_due", "--dry-run") == "Nothing is due (dry run).\n"
    open_rule("REGISTERED", name="Welcome")
    open_rule("REGISTERED", name="Extra", credits=0)
    User.objects.create_user("alice@example.com", "x")

    said = command("grant_due", "--dry-run")

    lines = [line.split("  ") for line in said.splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines[1:3]] == [
        ["Extra", "Extra pool", "1", "Pool sold out"],
        ["Welcome", "Welcome pool", "1", "Within seconds"],
    ]
    assert lines[-1] == ["Dry run, nothing changed."]
    assert not Grant.objects.exists()


def test_what_is_due_is_granted_once(command: Command, open_rule: OpenRule) -> None:
    open_rule("REGISTERED")
    User.objects.create_user("alice@example.com", "x")

    assert command("grant_due", "--batch", "1") == "1 credit granted.\n"
    assert command("grant_due") == "0 credits granted.\n"
