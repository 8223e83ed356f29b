"""The section of the users, for superusers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts import tokens
from accounts.models import User
from tests.conftest import PASSWORD

PEOPLE = reverse("admin:accounts_user_changelist")
NEW = "another horse battery"


def page(name: str, user: User) -> str:
    return reverse(f"admin:accounts_user_{name}", args=[user.pk])


def test_superuser_adds_a_user_with_a_lower_case_email(root_client: Client) -> None:
    form = {"email": "Carol@Example.com", "role": "ADMIN", "usable_password": "true", "password1": NEW, "password2": NEW}

    answer = root_client.post(reverse("admin:accounts_user_add"), form)

    carol = User.objects.get(email="carol@example.com")
    assert answer.status_code == 302
    assert (carol.role, carol.is_superuser, carol.check_password(NEW)) == ("ADMIN", False, True)


def test_a_user_is_added_with_a_line_in_both_logs(root_client: Client, audited: Callable[[], list[dict[str, Any]]]) -> None:
    form = {"email": "carol@example.com", "role": "USER", "usable_password": "true", "password1": NEW, "password2": NEW}

    root_client.post(reverse("admin:accounts_user_add"), form)

    carol = User.objects.get(email="carol@example.com")
    assert LogEntry.objects.get().object_id == str(carol.pk)
    assert [line["person"] for line in audited() if line["event"] == "person_change"] == [str(carol.pk)]


def test_taken_email_is_refused_in_any_case(root_client: Client, alice: User) -> None:
    form = {"email": "ALICE@example.com", "role": "USER", "usable_password": "true", "password1": NEW, "password2": NEW}

    answer = root_client.post(reverse("admin:accounts_user_add"), form)

    assert "already has an account" in answer.content.decode()
    assert User.objects.count() == 2


def test_superuser_changes_role_and_deactivates_a_user(root_client: Client, alice: User) -> None:
    root_client.post(page("change", alice), {"email": alice.email, "role": "ADMIN"})

    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == ("ADMIN", False)


def test_an_email_that_a_superuser_typed_is_not_verified(root_client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(email_verified_at=datetime.now(UTC))
    form = {"email": alice.email, "role": "USER", "is_active": "on"}
    root_client.post(page("change", alice), form)
    alice.refresh_from_db()
    assert alice.email_verified_at is not None

    root_client.post(page("change", alice), form | {"email": "alice.rao@example.com"})

    alice.refresh_from_db()
    assert alice.email_verified_at is None


def test_new_password_revokes_every_session_and_token(root_client: Client, alice: User, client: Client) -> None:
    client.force_login(alice)
    pair = tokens.issue_pair(alice)

    answer = root_client.post(
        reverse("admin:auth_user_password_change", args=[alice.pk]),
        {"password1": NEW, "password2": NEW, "usable_password": "true"},
    )

    alice.refresh_from_db()
    assert (answer.status_code, alice.check_password(NEW)) == (302, True)
    assert client.get(reverse("dashboard")).status_code == 302
    me = client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {pair.access}"})
    assert me.status_code == 401


def test_users_cannot_be_deleted(root_client: Client, alice: User) -> None:
    assert root_client.post(page("delete", alice), {"post": "yes"}).status_code == 403
    root_client.post(PEOPLE, {"action": "delete_selected", "_selected_action": [str(alice.pk)], "post": "yes"})

    assert User.objects.filter(pk=alice.pk).exists()


def test_pages_show_neither_password_nor_hash(root_client: Client, alice: User) -> None:
    shown = root_client.get(page("change", alice)).content.decode() + root_client.get(PEOPLE).content.decode()

    assert alice.password not in shown
    assert PASSWORD not in shown


@pytest.mark.parametrize("name", ["change", "delete", "history"])
def test_operator_cannot_see_any_user_including_themselves(console: Client, ada: User, alice: User, name: str) -> None:
    for user in (alice, ada):
        assert console.get(page(name, user)).status_code == 403
        assert console.post(page(name, user), {"is_superuser": "on"}).status_code == 403

    assert not User.objects.filter(is_superuser=True).exists()


def test_user_page_shows_the_stored_email_and_utc_times(root_client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(created_at=datetime(2026, 3, 31, 18, 30, tzinfo=UTC))

    shown, listed = (root_client.get(address).content.decode() for address in (page("change", alice), PEOPLE))

    assert "2026-03-31 18:30" in shown
    assert "2026-03-31 18:30" in listed
    assert "Alice@example.com" not in shown


def test_users_are_searched_and_filtered(root_client: Client, alice: User, ada: User) -> None:
    assert list(root_client.get(PEOPLE, {"q": "ALICE"}).context["cl"].result_list) == [alice]
    assert list(root_client.get(PEOPLE, {"role__exact": "USER"}).context["cl"].result_list) == [alice]


@pytest.mark.parametrize("section", ["accounts/user", "django_q/schedule", "django_q/success", "django_q/failure"])
@pytest.mark.parametrize("query", ["p=abc", "p=0", "p=1_0", "nonsense__exact=1"])
def test_unreadable_page_or_filter_of_a_superusers_list_is_refused(root_client: Client, section: str, query: str) -> None:
    assert root_client.get(f"/admin/{section}/?{query}").status_code == 400
