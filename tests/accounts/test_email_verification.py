"""A verified email: the link is sent at registration and again on request, and a deployment may require it for claims."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.tokens import TokenPair
from tests.accounts.conftest import Send
from tests.conftest import PASSWORD
from tests.mail import link_in, send_queued_emails, token_in
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

pytestmark = pytest.mark.django_db
NEW = {"email": "new@example.com", "password": PASSWORD}


def is_verified(email: str = "new@example.com") -> bool:
    return User.objects.get(email=email).email_verified_at is not None


def test_registering_on_the_page_sends_a_link_that_verifies_the_email(client: Client) -> None:
    client.post("/register/", NEW)
    (message,) = send_queued_emails()
    link = link_in(message)

    assert message.to == ["new@example.com"]
    assert "Not confirmed yet" in client.get("/account/").content.decode()
    assert "Is new@example.com your email?" in client.get(link).content.decode()
    assert not is_verified()

    page = client.post(link, follow=True).content.decode()

    assert "new@example.com is confirmed." in page
    assert "Not confirmed yet" not in page
    assert is_verified()


def test_registering_by_the_api_sends_a_link_whose_token_verifies_the_email(post: Send, client: Client) -> None:
    post("register/", NEW)
    token = token_in(send_queued_emails()[0])

    assert post("email/verify/", {"token": token}).status_code == 204

    access = post("token/", NEW).json()["access"]
    assert client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {access}"}).json()["email_verified_at"]
    assert post("email/verify/", {"token": token}).status_code == 400


def test_a_refused_registration_sends_nothing(client: Client, alice: User) -> None:
    client.post("/register/", NEW | {"email": alice.email})

    assert send_queued_emails() == []


def test_the_link_needs_no_sign_in_and_gives_none(client: Client) -> None:
    client.post("/register/", NEW)
    link = link_in(send_queued_emails()[0])

    stranger = Client()

    assert stranger.post(link).status_code == 302
    assert stranger.get("/account/").status_code == 302
    assert is_verified()


def test_the_link_is_sent_again_five_times_an_hour(client: Client, alice: User) -> None:
    client.force_login(alice)

    pages = [client.post("/account/email/resend/", follow=True).content.decode() for _ in range(6)]

    assert ["sent a link to alice@example.com" in page for page in pages] == [True] * 5 + [False]
    assert "Too many attempts" in pages[5]
    assert [message.to for message in send_queued_emails()] == [["alice@example.com"]] * 5


def test_the_api_sends_the_link_again_until_it_is_verified(client: Client, pair: TokenPair, alice: User) -> None:
    def resend() -> Any:
        headers = {"Authorization": f"Bearer {pair.access}"}
        return client.post("/api/v1/me/email/resend/", {}, content_type="application/json", headers=headers)

    assert resend().status_code == 202
    assert len(send_queued_emails()) == 1
    User.objects.update(email_verified_at="2026-01-01T00:00:00Z")
    answer = resend()

    assert (answer.status_code, answer.json()["code"]) == (409, "email_already_verified")
    assert send_queued_emails() == []


@pytest.mark.parametrize("required", [True, False])
def test_a_claim_needs_a_verified_email_only_where_it_is_required(
    *, client: Client, alice: User, pair: TokenPair, issue: Callable[..., CashbackAsset], settings: Settings, required: bool
) -> None:
    settings.REQUIRE_VERIFIED_EMAIL = required
    first, second = issue(), issue()
    client.force_login(alice)

    by_api = client.post(
        f"/api/v1/assets/{first.pk}/claim/", content_type="application/json", headers={"Authorization": f"Bearer {pair.access}"}
    )
    by_page = client.post(f"/credits/{second.pk}/claim/", follow=True).content.decode()

    assert by_api.status_code == (409 if required else 201)
    assert ("Confirm your email first" in by_page) == required
    assert Entry.objects.count() == (0 if required else 2)
    if required:
        assert by_api.json()["code"] == "email_not_verified"
        User.objects.filter(pk=alice.pk).update(email_verified_at="2026-01-01T00:00:00Z")
        again = client.post(
            f"/api/v1/assets/{first.pk}/claim/",
            content_type="application/json",
            headers={"Authorization": f"Bearer {pair.access}"},
        )
        assert again.status_code == 201
