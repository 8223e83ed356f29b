"""Guessing reveals nothing and is limited; deactivation takes effect at once."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.conftest import PASSWORD
from tests.responses import ClientResponse
from tests.security.conftest import as_caller

Browser = Callable[..., Client]
NEW = "another horse battery"
DOORS = ["/api/v1/auth/token/", "/sign-in/", "/admin/login/"]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed, in order."""
    seen: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> str:
        seen.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    return seen


def knock(client: Client, door: str, email: str, password: str) -> ClientResponse:
    """Try to sign in."""
    if door.startswith("/api/"):
        return client.post(door, {"email": email, "password": password}, content_type="application/json")
    return client.post(door, {"username": email, "password": password})


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("door", DOORS)
def test_known_unknown_and_closed_accounts_get_the_same_answer_after_the_same_work(
    *, browser_of: Browser, ada: User, bob: User, door: str, hashed: list[str]
) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False, role="ADMIN")
    tries = [(ada.email, "wrong password"), ("nobody@example.com", PASSWORD), (bob.email, PASSWORD)]

    answers: list[Any] = [knock(browser_of(), door, *one) for one in tries]

    assert hashed == [password for _, password in tries]
    assert len({answer.status_code for answer in answers}) == 1
    if door.startswith("/api/"):
        assert len({answer.content.replace(answer["X-Request-ID"].encode(), b"") for answer in answers}) == 1
    else:
        assert len({str(answer.context["form"].errors) for answer in answers}) == 1


@pytest.mark.parametrize("door", DOORS)
def test_no_interface_hashes_over_the_limit(
    browser_of: Browser, ada: User, door: str, hashed: list[str], settings: Settings
) -> None:
    settings.RATES = dict.fromkeys(settings.RATES, "1/d")
    knock(browser_of(), DOORS[0], ada.email, "wrong")
    hashed.clear()

    answer = knock(browser_of(), door, ada.email, PASSWORD)

    assert answer.status_code != 302
    assert hashed == []


def test_current_password_checks_are_limited_before_hashing(
    browser_of: Browser, ada: User, hashed: list[str], settings: Settings
) -> None:
    settings.RATES = dict.fromkeys(settings.RATES, "1/d")
    adas = browser_of(ada)
    adas.post("/password/", {"current_password": "wrong", "new_password": NEW})
    hashed.clear()

    for address in ("/password/", "/account/email/", "/admin/password_change/", "/api/v1/auth/password/"):
        body = {"current_password": PASSWORD, "new_password": NEW, "old_password": PASSWORD, "new_password1": NEW}
        adas.post(address, body | {"new_password2": NEW, "email": "new@example.com"})

    assert hashed == []
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize(
    ("change", "status"), [({"role": "USER"}, 403), ({"is_active": False}, 401), ({"password": "!"}, 401)], ids=str
)
def test_deactivated_user_is_refused_at_the_next_request_of_every_interface(
    browser_of: Browser, ada: User, change: dict[str, Any], status: int
) -> None:
    by_token, by_session = as_caller(ada), browser_of(ada)
    before = [by_token.get("/api/v1/reports/summary/"), by_session.get("/api/v1/reports/summary/"), by_session.get("/admin/")]

    User.objects.filter(pk=ada.pk).update(**change)

    after = [by_token.get("/api/v1/reports/summary/"), by_session.get("/api/v1/reports/summary/"), by_session.get("/admin/")]
    assert [answer.status_code for answer in before] == [200, 200, 200]
    assert [answer.status_code for answer in after] == [status, status, 302]


def test_former_superuser_sees_no_users(browser_of: Browser, root: User) -> None:
    roots = browser_of(root)
    before = roots.get("/admin/accounts/user/").status_code

    User.objects.filter(pk=root.pk).update(is_superuser=False)

    assert (before, roots.get("/admin/accounts/user/").status_code) == (200, 403)
