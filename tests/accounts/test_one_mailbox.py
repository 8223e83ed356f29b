"""One mailbox is one account, and a password works however a keyboard writes it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.hashers import get_hasher, make_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.email_addresses import normal_email
from accounts.models import Role, User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]
PASSWORD = "correct horse battery"
Send = Callable[..., Any]
BUCHER = "b@b\u00fccher.example"
FORMS = [
    BUCHER,
    "b@xn--bcher-kva.example",
    "b@XN--BCHER-KVA.example",
    "b@bu\u0308cher.example",
    "B@B\u00dcCHER.EXAMPLE",
    " b@b\u00fccher.example ",
    "b@\uff42\u00fccher.example",
    "b@b\u00fccher\u3002example",
    '"b"@b\u00fccher.example',
]
UNREADABLE = [
    "b@b\u00fc\u00adcher.example",
    "b\u00ad@bucher.example",
    "a\u200b@bucher.example",
    "a@buch\u200ber.example",
    "a@buch\u200der.example",
    "a@buch\u202eer.example",
    "\ufeffa@bucher.example",
    "\u2066a@bucher.example",
    "a\u0301@bucher.example",
    "\uff41@bucher.example",
    "\u017fa@bucher.example",
]


@pytest.mark.parametrize("again", FORMS)
@pytest.mark.parametrize("first", [FORMS[1], FORMS[3]])
def test_every_form_of_an_address_is_one_account(post: Send, first: str, again: str) -> None:
    assert post("register/", {"email": first, "password": PASSWORD}).status_code == 201

    answer = post("register/", {"email": again, "password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) in [(409, "email_taken"), (400, "invalid")]
    assert [user.email for user in User.objects.all()] == [BUCHER]


@pytest.mark.parametrize("typed", FORMS[:8])
def test_a_user_signs_in_with_every_form(post: Send, typed: str) -> None:
    post("register/", {"email": FORMS[1], "password": PASSWORD})

    page = Client().post("/sign-in/", {"username": typed, "password": PASSWORD})

    assert page.status_code == 302
    assert User.objects.get_by_natural_key(typed).email == BUCHER


@pytest.mark.parametrize("email", UNREADABLE)
def test_invisible_and_look_alike_characters_are_refused_at_every_interface(
    post: Send, client: Client, root: User, email: str
) -> None:
    answer = post("register/", {"email": email, "password": PASSWORD})
    page = client.post("/register/", {"email": email, "password": PASSWORD})
    client.force_login(root)
    form = {"email": email, "role": "USER", "password1": PASSWORD, "password2": PASSWORD}
    console = client.post("/admin/accounts/user/add/", form)
    with pytest.raises((CommandError, ValidationError)):
        call_command("createsuperuser", email=email, interactive=False)

    assert [error["field"] for error in answer.json()["errors"]] == ["email"]
    assert (answer.status_code, page.status_code, console.status_code) == (400, 200, 200)
    assert User.objects.count() == 1


@pytest.mark.parametrize("email", ["a@localhost", "a@corp.local", "a@x.test", "a@[127.0.0.1]", "a+b@x.example"])
def test_unusual_addresses_are_still_accepted(post: Send, email: str) -> None:
    assert post("register/", {"email": email, "password": PASSWORD}).json()["email"] == email


def test_what_is_no_address_is_looked_up_as_typed() -> None:
    assert normal_email(" Rubbish ") == "rubbish"
    assert normal_email("\ud800@x.example")


# --- Accounts from before --------------------------------------------------------------------------------------------------


def rewrite() -> None:
    import_module("accounts.migrations.0006_one_form_of_an_email").rewrite_emails(apps, connection.schema_editor())


def stored(*emails: str) -> list[User]:
    """Insert accounts as an earlier release stored them."""
    return User.objects.bulk_create(User(email=email, password=make_password(PASSWORD)) for email in emails)


def test_the_migration_rewrites_an_address_that_is_free() -> None:
    stored("b@xn--bcher-kva.example", "alice@example.com")

    rewrite()

    assert set(User.objects.values_list("email", flat=True)) == {BUCHER, "alice@example.com"}


def test_accounts_of_one_mailbox_are_reported_and_never_merged(capsys: pytest.CaptureFixture[str]) -> None:
    # The older one gets the address; of two ids of one millisecond either may be the lower.
    first, second = sorted(stored("b@xn--bcher-kva.example", "b@bu\u0308cher.example"), key=lambda user: user.pk)

    rewrite()

    assert set(User.objects.values_list("pk", "email")) == {(first.pk, BUCHER), (second.pk, second.email)}
    assert f"Not changed: account {second.pk}" in capsys.readouterr().err


def test_an_account_that_keeps_its_old_form_still_signs_in(post: Send) -> None:
    _, decomposed = stored(BUCHER, "b@bu\u0308cher.example")

    assert post("token/", {"email": decomposed.email, "password": PASSWORD}).status_code == 200
    assert User.objects.get_by_natural_key(decomposed.email) == decomposed
    assert User.objects.get_by_natural_key("b@xn--bcher-kva.example").email == BUCHER


# --- Passwords -----------------------------------------------------------------------------------------------------------

COMPOSED, DECOMPOSED = "cr\u00e8me br\u00fbl\u00e9e 2027", "cre\u0300me bru\u0302le\u0301e\u00a02027"


@pytest.mark.parametrize(("chosen", "typed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_password_works_in_every_form(post: Send, chosen: str, typed: str) -> None:
    post("register/", {"email": "dora@example.com", "password": chosen})

    assert post("token/", {"email": "dora@example.com", "password": typed}).status_code == 200
    assert Client().post("/sign-in/", {"username": "dora@example.com", "password": typed}).status_code == 302


def test_a_changed_password_works_in_every_form(post: Send, alice: User, pair: Any) -> None:
    change = {"current_password": PASSWORD, "new_password": DECOMPOSED}
    assert post("password/", change, pair.access).status_code == 204

    access = post("token/", {"email": alice.email, "password": COMPOSED}).json()["access"]
    assert post("password/", {"current_password": COMPOSED, "new_password": PASSWORD}, access).status_code == 204


@pytest.mark.parametrize("password", [DECOMPOSED, "zero\u200bwidth password", "tab\tin a password"])
def test_a_password_that_was_hashed_before_still_signs_in(post: Send, alice: User, password: str) -> None:
    User.objects.filter(pk=alice.pk).update(password=make_password(password))

    assert post("token/", {"email": alice.email, "password": password}).status_code == 200
    assert Client().post("/sign-in/", {"username": alice.email, "password": password}).status_code == 302
    User.objects.filter(pk=alice.pk).update(role=Role.ADMIN)
    assert Client().post("/admin/login/", {"username": alice.email, "password": password}).status_code == 302


@pytest.mark.parametrize(
    "password", ["zero\u200bwidth password", "bidi \u202e password", "tab\tin a password", "soft\u00adhyphen password"]
)
def test_a_new_password_has_no_invisible_character(post: Send, password: str) -> None:
    answer = post("register/", {"email": "dora@example.com", "password": password})

    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [("password", "unreadable")]
    assert not User.objects.exists()


def test_an_unknown_email_costs_as_much_as_a_wrong_password(post: Send, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes: list[str] = []
    kind = type(get_hasher())
    encode, verify = kind.encode, kind.verify

    def counted_encode(self: Any, password: str, salt: str) -> Any:
        hashes.append("encode")
        return encode(self, password, salt)

    def counted_verify(self: Any, password: str, encoded: str) -> Any:
        hashes.append("verify")
        return verify(self, password, encoded)

    monkeypatch.setattr(kind, "encode", counted_encode)
    monkeypatch.setattr(kind, "verify", counted_verify)
    post("token/", {"email": alice.email, "password": DECOMPOSED})
    known = hashes.count("verify")
    hashes.clear()
    post("token/", {"email": "unknown@example.com", "password": DECOMPOSED})

    assert (known, hashes.count("encode")) == (2, 2)
