"""Text of users in exported files is never a spreadsheet formula."""

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.conftest import PASSWORD
from tests.security.conftest import as_caller
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

# A user chooses their email, and all of these are emails.
EMAILS = ["=1+1@example.com", "+cmd|calc@example.com", "-2+3@example.com"]
pytestmark = pytest.mark.usefixtures("unlimited")


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(StringIO(text, newline="")) for cell in row]


@pytest.mark.parametrize("email", EMAILS)
def test_no_email_that_a_user_may_choose_is_a_formula_in_any_file(
    client: Client, ada: User, issue: Callable[..., CashbackAsset], email: str
) -> None:
    client.post("/register/", {"email": email, "password": PASSWORD})
    claim_asset(issue().pk, User.objects.get(email=email))
    shell = StringIO()
    call_command("ownership_report", format="csv", stdout=shell)
    by_api: Any = as_caller(ada).get("/api/v1/reports/ownership/?format=csv")
    client.force_login(ada)
    by_console: Any = client.get(reverse("admin:ledger_claimedasset_export", args=["csv"]))

    for text in (shell.getvalue(), by_api.getvalue().decode(), by_console.getvalue().decode()):
        assert f"'{email}" in cells(text)
        assert not [cell for cell in cells(text) if cell.startswith(("=", "+", "-", "@"))]
