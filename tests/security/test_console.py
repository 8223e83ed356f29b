"""The console bypasses no rule that holds elsewhere."""

from collections.abc import Callable

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.conftest import PASSWORD

NEW = "another horse battery"
Browser = Callable[..., Client]


def test_the_consoles_own_change_of_password_leads_to_the_one_that_counts_tries(browser_of: Browser, ada: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}

    answers = [getattr(browser_of(ada), method)("/admin/password_change/", form) for method in ("get", "post")]

    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, "/password/")] * 2
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


def test_the_console_hashes_no_password_that_is_too_long(
    browser_of: Browser, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def recorded(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", recorded)

    for address in ("/admin/login/", "/sign-in/"):
        browser_of().post(address, {"username": ada.email, "password": "x" * 129})

    assert hashed == []


def test_the_way_to_a_page_on_the_site_leads_nowhere(browser_of: Browser, root: User) -> None:
    for kind in ContentType.objects.all():
        answer = browser_of(root).get(f"/admin/r/{kind.pk}/1/")
        assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index")), kind
