"""The room of the people, for superusers."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts import tokens
from accounts.models import User
from tests.conftest import PASSWORD

PEOPLE = reverse("admin:accounts_user_changelist")
NEW = "another horse battery"


def page(name: str, user: User) -> str:
    return reverse(f"admin:accounts_user_{name}", args=[user.pk])


def test_a_superuser_adds_somebody_whose_email_is_kept_in_lower_case(roots: Client) -> None:
    form = {"email": "Carol@Example.com", "role": "ADMIN", "usable_password": "true", "password1": NEW, "password2": NEW}

    answer = roots.post(reverse("admin:accounts_user_add"), form)

    carol = User.objects.get(email="carol@example.com")
    assert answer.status_code == 302
    assert (carol.role, carol.is_superuser, carol.check_password(NEW)) == ("ADMIN", False, True)


def test_an_email_that_has_an_account_is_refused_in_any_case(roots: Client, alice: User) -> None:
    form = {"email": "ALICE@example.com", "role": "USER", "usable_password": "true", "password1": NEW, "password2": NEW}

    answer = roots.post(reverse("admin:accounts_user_add"), form)

    assert "already has an account" in answer.content.decode()
    assert User.objects.count() == 2


def test_a_superuser_makes_somebody_an_operator_and_keeps_somebody_out(roots: Client, alice: User) -> None:
    roots.post(page("change", alice), {"email": alice.email, "role": "ADMIN"})

    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == ("ADMIN", False)


def test_a_new_password_ends_every_session_and_token(roots: Client, alice: User, client: Client) -> None:
    client.force_login(alice)
    pair = tokens.issue_pair(alice)

    answer = roots.post(
        reverse("admin:auth_user_password_change", args=[alice.pk]),
        {"password1": NEW, "password2": NEW, "usable_password": "true"},
    )

    alice.refresh_from_db()
    assert (answer.status_code, alice.check_password(NEW)) == (302, True)
    assert client.get(reverse("dashboard")).status_code == 302
    me = client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {pair.access}"})
    assert me.status_code == 401


def test_nobody_is_deleted(roots: Client, alice: User) -> None:
    assert roots.post(page("delete", alice), {"post": "yes"}).status_code == 403
    roots.post(PEOPLE, {"action": "delete_selected", "_selected_action": [str(alice.pk)], "post": "yes"})

    assert User.objects.filter(pk=alice.pk).exists()


def test_no_page_shows_a_password_or_its_hash(roots: Client, alice: User) -> None:
    shown = roots.get(page("change", alice)).content.decode() + roots.get(PEOPLE).content.decode()

    assert alice.password not in shown
    assert PASSWORD not in shown


@pytest.mark.parametrize("name", ["change", "delete", "history"])
def test_an_operator_sees_nobody_not_even_themselves(console: Client, ada: User, alice: User, name: str) -> None:
    for user in (alice, ada):
        assert console.get(page(name, user)).status_code == 403
        assert console.post(page(name, user), {"is_superuser": "on"}).status_code == 403

    assert not User.objects.filter(is_superuser=True).exists()


def test_a_person_is_told_as_they_write_themselves_and_in_utc(roots: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(created_at=datetime(2026, 3, 31, 18, 30, tzinfo=UTC))

    shown, listed = (roots.get(address).content.decode() for address in (page("change", alice), PEOPLE))

    assert "2026-03-31 18:30" in shown
    assert "2026-03-31 18:30" in listed
    assert "Alice@example.com" not in shown


def test_people_are_searched_and_filtered(roots: Client, alice: User, ada: User) -> None:
    assert list(roots.get(PEOPLE, {"q": "ALICE"}).context["cl"].result_list) == [alice]
    assert list(roots.get(PEOPLE, {"role__exact": "USER"}).context["cl"].result_list) == [alice]
