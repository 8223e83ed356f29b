"""Text of users in exported files is never a spreadsheet formula."""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.conftest import PASSWORD
from tests.security.conftest import as_caller
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

# A user chooses their email, and all of these are emails.
EXPORTS = ["admin:ledger_claimedasset_export", "admin:assets_batch_export", "admin:ledger_claimedasset_owners_export"]
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


@contextmanager
def as_before_titles_were_checked() -> Iterator[None]:
    """Let titles be written that PostgreSQL refuses now, as those of an earlier release may be there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'pgtrigger_asset_title_readable%'")
        ((name,),) = cursor.fetchall()
        trigger = f"TRIGGER {name}"
        cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE assets_cashbackasset DISABLE {trigger}")
        yield
        cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE assets_cashbackasset ENABLE ALWAYS {trigger}")


TITLES = ["a;=1+1", "a\t+1", "a|@x", "a; -2", "a\n=1", "x;＝1", "=1;=2", "plain; text", "a,=1"]


@pytest.mark.parametrize("title", TITLES)
def test_no_cell_is_a_formula_whatever_separator_the_reader_splits_at(
    client: Client, ada: User, issue: Callable[..., CashbackAsset], title: str
) -> None:
    with as_before_titles_were_checked():
        CashbackAsset.objects.filter(pk=issue().pk).update(title=title)
    by_api: Any = as_caller(ada).get("/api/v1/reports/ownership/?format=csv")
    client.force_login(ada)
    by_console: Any = client.get(reverse("admin:ledger_claimedasset_export", args=["csv"]))

    texts = [by_api.getvalue().decode(), by_console.getvalue().decode()]
    for text in texts:
        for separator in ",;\t|":
            for line in re.split("[\r\n]", text):
                starts = [cell.strip(' "') for cell in line.split(separator)] if separator != "," else cells(text)
                assert not [cell for cell in starts if cell.startswith(("=", "+", "-", "@", "＝"))], (separator, line)
    assert [row[1] for row in csv.reader(StringIO(texts[0]))][1:] == [row[1] for row in csv.reader(StringIO(texts[1]))][1:]


@pytest.mark.parametrize("bom", ["1", "0"])
def test_byte_order_mark_by_choice(client: Client, ada: User, issue: Callable[..., CashbackAsset], bom: str) -> None:
    issue()
    by_api: Any = as_caller(ada).get(f"/api/v1/reports/ownership/?format=csv&bom={bom}")
    client.force_login(ada)
    console = [client.get(reverse(name, args=["csv"]), {"bom": bom}) for name in EXPORTS]

    for answer in (by_api, *console):
        assert answer.status_code == 200
        assert answer.getvalue().startswith(b"\xef\xbb\xbf") == (bom == "1")


def test_byte_order_mark_by_an_option_of_the_command(issue: Callable[..., CashbackAsset]) -> None:
    issue()
    shell = StringIO()
    call_command("ownership_report", "--bom", format="csv", stdout=shell)

    assert shell.getvalue().startswith("\ufeffasset,")
