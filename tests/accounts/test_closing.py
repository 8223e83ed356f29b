"""Closing an account: the person is gone from every table, the ledger stays, and it cannot be undone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from pytest_django import Settings

from accounts import closing, tokens, two_factor
from accounts.models import Role, TokenFamily, User
from accounts.registration import register_user
from tests.accounts.test_two_factor import code_at
from tests.conftest import PASSWORD
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

pytestmark = pytest.mark.django_db
CLOSE = "/account/close/"


def tables_that_contain(text: str) -> list[str]:
    """Return the tables with a row that contains the text, in any column."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" AS each_row WHERE each_row::text ILIKE %s', [f"%{text}%"])  # noqa: S608
            if cursor.fetchone()[0]:
                found.append(table)
    return found


def test_no_table_contains_the_old_address_afterwards(
    client: Client, ada: User, root: User, issue: Callable[..., CashbackAsset], settings: Settings
) -> None:
    """An operator has left traces wherever a person can: history, console's log, sign-ins, second factor, queue."""
    settings.RATES = dict.fromkeys(settings.RATES, "off")
    edit_asset.update_asset(issue().pk, ada, title="Better bonus")
    claim_asset(issue().pk, ada)
    roots = Client()
    roots.force_login(root)
    form = {"email": "ada.l@example.com", "role": "ADMIN", "is_active": "on"}
    roots.post(f"/admin/accounts/user/{ada.pk}/change/", form)
    roots.post(f"/admin/accounts/user/{ada.pk}/change/", form | {"email": ada.email})
    client.post("/sign-in/", {"username": ada.email, "password": PASSWORD})
    client.post("/account/email/", {"email": "ada.lovelace@example.com", "current_password": PASSWORD})
    client.post("/password/forgotten/", {"email": ada.email})
    tokens.sign_in(ada.email, PASSWORD)
    assert {"accounts_user", "pghistory_context", "django_admin_log"} <= set(tables_that_contain("ada"))

    client.post(CLOSE, {"current_password": PASSWORD})

    for address in ("ada@example.com", "ada.l@example.com", "ada.lovelace@example.com"):
        assert tables_that_contain(address) == []
    assert Entry.objects.get().user_id == ada.pk


def test_the_page_says_what_happens_and_signs_out(client: Client, alice: User) -> None:
    client.force_login(alice)

    page = client.get(CLOSE).content.decode()
    answer = client.post(CLOSE, {"current_password": PASSWORD}, follow=True)

    assert "can&#x27;t be undone" in page or "can't be undone" in page
    assert "Your account is closed." in answer.content.decode()
    assert client.get("/account/").status_code == 302
    alice.refresh_from_db()
    assert alice.email == f"closed-{alice.pk.hex[-12:]}@closed.invalid"
    assert (alice.is_active, alice.has_usable_password(), alice.closed_at is not None) == (False, False, True)


def test_the_api_closes_with_the_password(client: Client, alice: User) -> None:
    pair = tokens.issue_pair(alice)

    def close(password: str) -> Any:
        headers = {"Authorization": f"Bearer {pair.access}"}
        body = {"current_password": password}
        return client.post("/api/v1/me/close/", body, content_type="application/json", headers=headers)

    wrong, right, again = close("wrong"), close(PASSWORD), close(PASSWORD)

    assert [answer.status_code for answer in (wrong, right, again)] == [400, 204, 401]
    assert TokenFamily.objects.count() == 0


def test_a_wrong_password_closes_nothing(client: Client, alice: User) -> None:
    client.force_login(alice)

    answer = client.post(CLOSE, {"current_password": "wrong"})

    assert "current_password" in answer.context["form"].errors
    assert User.objects.get(pk=alice.pk).closed_at is None


def test_the_address_registers_again_as_a_new_person(alice: User, issue: Callable[..., CashbackAsset]) -> None:
    claim_asset(issue().pk, alice)
    closing.close_account(alice, PASSWORD)

    again = register_user("alice@example.com", PASSWORD)

    assert again.pk != alice.pk
    assert Entry.objects.filter(user=again).count() == 0
    assert Entry.objects.filter(user=alice).count() == 1


def test_the_ledger_still_verifies(alice: User, issue: Callable[..., CashbackAsset]) -> None:
    claim_asset(issue().pk, alice)

    closing.close_account(alice, PASSWORD)

    call_command("verify_ledger", "--wait", "0")


def test_the_only_operator_cannot_close(client: Client, ada: User) -> None:
    User.objects.create_user("former@example.com", PASSWORD, role=Role.ADMIN, is_active=False)
    client.force_login(ada)

    page = client.post(CLOSE, {"current_password": PASSWORD}).content.decode()

    assert "You are the only operator." in page
    ada.refresh_from_db()
    assert (ada.closed_at, ada.is_active) == (None, True)
    User.objects.create_user("second@example.com", PASSWORD, role=Role.ADMIN)
    closing.close_account(ada, PASSWORD)


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_who_close_at_once_one_stays() -> None:
    admins = [User.objects.create_user(f"{name}@example.com", PASSWORD, role=Role.ADMIN) for name in ("ada", "eve")]

    def close(user: User) -> bool:
        try:
            closing.close_account(user, PASSWORD)
        except closing.LastAdmin:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(close, admins)) == [False, True]


def test_an_account_with_two_step_verification_needs_its_code(client: Client, ada: User, root: User) -> None:
    two_factor.start_setup(ada, PASSWORD)
    two_factor.confirm_setup(ada, code_at(ada, -1), None)
    client.force_login(User.objects.get(pk=ada.pk))

    refused = client.post(CLOSE, {"current_password": PASSWORD, "code": ""})
    client.post(CLOSE, {"current_password": PASSWORD, "code": code_at(ada)})

    assert "code" in refused.context["form"].errors
    assert User.objects.get(pk=ada.pk).closed_at is not None


def test_a_superuser_sees_a_closed_account_and_cannot_change_it(client: Client, root: User, alice: User) -> None:
    closing.close_account(alice, PASSWORD)
    client.force_login(root)
    url = f"/admin/accounts/user/{alice.pk}/change/"

    listed, answer = client.get("/admin/accounts/user/"), client.post(url, {"is_active": "on", "role": "ADMIN"})

    assert "closed account" in listed.content.decode()
    assert answer.status_code == 403
    assert client.post(f"/admin/accounts/user/{alice.pk}/password/", {}).status_code == 403
    alice.refresh_from_db()
    assert alice.is_active is False


def test_the_database_refuses_a_closed_account_that_is_active_or_named(alice: User) -> None:
    closing.close_account(alice, PASSWORD)

    for change in ({"is_active": True}, {"email": "alice@example.com"}, {"is_superuser": True}):
        with pytest.raises(IntegrityError, match="user_closed_is_pseudonymous"), transaction.atomic():
            User.objects.filter(pk=alice.pk).update(**change)


@pytest.mark.parametrize(
    "attack",
    [
        """UPDATE pghistory_context SET metadata = metadata || '{"email": "innocent@example.com"}'""",
        """UPDATE pghistory_context SET metadata = metadata || '{"channel": "sql"}'""",
        """UPDATE pghistory_context SET metadata = '{}'""",
    ],
)
def test_the_change_history_takes_no_other_name(
    ada: User, root: User, issue: Callable[..., CashbackAsset], attack: str
) -> None:
    edit_asset.update_asset(issue().pk, ada, title="Better bonus")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pghistory_context DISABLE TRIGGER USER")
        cursor.execute("UPDATE pghistory_context SET created_at = now() - interval '1 day'")
        cursor.execute("ALTER TABLE pghistory_context ENABLE TRIGGER USER; SELECT public.harden_triggers()")
    closing.close_account(ada, PASSWORD)

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(attack)

    assert tables_that_contain("ada@example.com") == []


def test_a_password_changed_meanwhile_closes_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = User.objects.get(pk=alice.pk)
    alice.set_password("another horse battery")
    alice.save(update_fields=["password"])
    monkeypatch.setattr(User, "check_password", lambda *_: True)  # it was right before the change

    with pytest.raises(ValidationError):
        closing.close_account(stale, PASSWORD)

    assert User.objects.get(pk=alice.pk).closed_at is None
