"""Sign-in limits slow down guessing and do not lock out other users."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
INTERFACES = ["/api/v1/auth/token/", "/sign-in/", "/admin/login/"]


@pytest.fixture(autouse=True)
def _long_windows(settings: Settings) -> None:
    """No test sees the end of a window."""
    settings.RATES = settings.RATES | {"sign_in": "5/d", "wrong_password": "7/d"}


def sign_in(interface: str, email: str, password: str, ip: str) -> Any:
    """Send one sign-in from an address."""
    if interface.startswith("/api/"):
        body = {"email": email, "password": password}
        return Client().post(interface, body, content_type="application/json", REMOTE_ADDR=ip)
    return Client().post(interface, {"username": email, "password": password}, REMOTE_ADDR=ip)


def let_in(answer: Any) -> bool:
    return answer.status_code in (200, 302) and ("form" not in (answer.context or {}))


def refusal_code(answer: Any) -> str:
    """Return the code of a refusal by the API, the sign-in page or the console."""
    if answer.headers["Content-Type"].startswith("application/problem+json"):
        return str(answer.json()["code"])
    return str(answer.context["form"].non_field_errors().as_data()[0].code)


@pytest.mark.parametrize("interface", INTERFACES)
def test_refused_address_does_not_use_up_attempts_of_others(interface: str, ada: User) -> None:
    for number in range(5):
        sign_in(interface, f"victim{number}@example.com", "wrong", "203.0.113.9")

    refused = [sign_in(interface, ada.email, "wrong", "203.0.113.9") for _ in range(8)]

    assert {refusal_code(answer) for answer in refused} == {"rate_limited"}
    assert let_in(sign_in(interface, ada.email, PASSWORD, "192.0.2.1"))


@pytest.mark.parametrize("interface", INTERFACES)
def test_tries_at_another_address_use_up_none_of_the_owners(interface: str, ada: User) -> None:
    for _ in range(5):
        sign_in(interface, ada.email, "wrong", "203.0.113.9")

    assert let_in(sign_in(interface, ada.email, PASSWORD, "192.0.2.1"))


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_right_password_gets_in_however_often_it_was_guessed_wrong_elsewhere(interface: str, ada: User) -> None:
    guesses = [sign_in(interface, ada.email, "wrong", f"203.0.113.{number}") for number in range(10)]

    codes = [refusal_code(answer) for answer in guesses]
    assert codes[7:] == ["rate_limited"] * 3
    assert "rate_limited" not in codes[:7]
    assert let_in(sign_in(interface, ada.email, PASSWORD, "192.0.2.1"))


def test_right_passwords_are_not_counted_as_guesses(ada: User) -> None:
    for number in range(10):
        assert let_in(sign_in(INTERFACES[0], ada.email, PASSWORD, f"203.0.113.{number}"))

    assert refusal_code(sign_in(INTERFACES[0], ada.email, "wrong", "192.0.2.1")) == "bad_credentials"


def test_unknown_email_over_the_limit_is_answered_like_a_known_one(ada: User) -> None:
    def answers(email: str, first: int) -> list[tuple[int, str]]:
        tries = (sign_in(INTERFACES[0], email, "wrong", f"203.0.{first}.{number}") for number in range(9))
        return [(answer.status_code, answer.json()["code"]) for answer in tries]

    assert answers(ada.email, 113) == answers("nobody@example.com", 114)


def test_console_over_the_limit_does_not_reveal_a_correct_password(ada: User, alice: User) -> None:
    for number in range(7):
        sign_in("/admin/login/", alice.email, "wrong", f"203.0.113.{number}")

    answers = [sign_in("/admin/login/", alice.email, word, "192.0.2.1") for word in ("wrong", PASSWORD)]

    assert [refusal_code(answer) for answer in answers] == ["rate_limited"] * 2


def test_a_refused_try_says_how_long_to_wait(ada: User) -> None:
    answers = [sign_in(interface, ada.email, "wrong", "203.0.113.9") for interface in [INTERFACES[0]] * 5 + INTERFACES[:2]]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert all(int(answer["Retry-After"]) > 0 for answer in answers[5:])


def test_stolen_session_does_not_block_changes_by_its_owner(alice: User) -> None:
    """The owner at another address changes the password, which ends the stolen session."""
    thief, owner = Client(REMOTE_ADDR="203.0.113.9"), Client(REMOTE_ADDR="192.0.2.1")
    for browser in (thief, owner):
        browser.force_login(alice)
    change = {"current_password": "wrong", "new_password": "another horse battery"}
    guesses = [thief.post("/password/", change).status_code for _ in range(7)]

    answer = owner.post("/password/", change | {"current_password": PASSWORD})

    assert guesses == [200] * 5 + [429] * 2
    assert answer.status_code == 302
    assert thief.get("/account/").status_code == 302


def test_guesses_at_the_present_password_count_as_guesses_from_all_addresses(alice: User) -> None:
    codes = []
    for number in range(9):
        browser = Client(REMOTE_ADDR=f"203.0.113.{number}")
        browser.force_login(alice)
        codes.append(browser.post("/account/sign-out-elsewhere/", {"current_password": "wrong"}).status_code)

    assert codes == [200] * 7 + [429] * 2


def trusted(interface: str, user: User, ip: str) -> Client:
    """Return a client that has signed in once, and no longer is: it keeps only its device token."""
    client = Client(REMOTE_ADDR=ip)
    if interface.startswith("/api/"):
        body = {"email": user.email, "password": PASSWORD}
        answer = client.post(interface, body, content_type="application/json")
        client.defaults["HTTP_DEVICE_TOKEN"] = answer["Device-Token"]
    else:
        client.post(interface, {"username": user.email, "password": PASSWORD})
        del client.cookies["sessionid"]
    return client


def sign_in_with(client: Client, interface: str, email: str, password: str) -> Any:
    """Send one sign-in from a client."""
    if interface.startswith("/api/"):
        return client.post(interface, {"email": email, "password": password}, content_type="application/json")
    return client.post(interface, {"username": email, "password": password})


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_known_device_gets_in_however_often_others_guessed_at_its_address_and_elsewhere(interface: str, ada: User) -> None:
    device = trusted(interface, ada, "192.0.2.1")
    for number in range(10):
        sign_in(interface, ada.email, "wrong", f"203.0.113.{number}")
    for _ in range(10):
        sign_in(interface, ada.email, "wrong", "192.0.2.1")

    assert refusal_code(sign_in(interface, ada.email, PASSWORD, "192.0.2.1")) == "rate_limited"
    assert let_in(sign_in_with(device, interface, ada.email, PASSWORD))


def test_a_known_device_that_mistypes_is_not_told_to_wait_for_what_others_did(ada: User) -> None:
    device = trusted(INTERFACES[0], ada, "192.0.2.1")
    for number in range(10):
        sign_in(INTERFACES[0], ada.email, "wrong", f"203.0.113.{number}")

    assert refusal_code(sign_in_with(device, INTERFACES[0], ada.email, "wrong")) == "bad_credentials"


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_stolen_device_token_guesses_five_times_a_window(interface: str, ada: User) -> None:
    device = trusted(interface, ada, "192.0.2.1")

    codes = []
    for number in range(8):
        device.defaults["REMOTE_ADDR"] = f"203.0.113.{number}"
        codes.append(refusal_code(sign_in_with(device, interface, ada.email, "wrong")))

    assert codes.count("rate_limited") == 3
    assert codes[5:] == ["rate_limited"] * 3


def test_a_device_token_is_worth_nothing_for_another_email(ada: User, alice: User) -> None:
    device = trusted(INTERFACES[0], alice, "192.0.2.1")
    for _ in range(5):
        sign_in(INTERFACES[0], "nobody@example.com", "wrong", "192.0.2.1")

    assert refusal_code(sign_in_with(device, INTERFACES[0], ada.email, PASSWORD)) == "rate_limited"


@pytest.mark.parametrize("token", ["", "x", "a.b.c.d", "é", "0" * 32 + "." + "0" * 16 + ":1abc:forged"])
def test_a_made_up_device_token_changes_nothing(ada: User, token: str) -> None:
    for _ in range(5):
        sign_in(INTERFACES[0], ada.email, "wrong", "192.0.2.1")
    forger = Client(REMOTE_ADDR="192.0.2.1", HTTP_DEVICE_TOKEN=token.encode().decode("latin-1"))
    forger.cookies["device"] = token.encode().decode("latin-1")

    assert refusal_code(sign_in_with(forger, INTERFACES[0], ada.email, PASSWORD)) == "rate_limited"


def test_a_refused_sign_in_gives_no_device_token(ada: User) -> None:
    by_api = sign_in(INTERFACES[0], ada.email, "wrong", "192.0.2.1")
    by_page = sign_in(INTERFACES[1], ada.email, "wrong", "192.0.2.1")

    assert "Device-Token" not in by_api
    assert "device" not in by_page.cookies


def test_the_cookie_is_out_of_reach_of_scripts_and_lasts_a_year(ada: User, settings: Settings) -> None:
    settings.SESSION_COOKIE_SECURE = True

    cookie = sign_in(INTERFACES[1], ada.email, PASSWORD, "192.0.2.1").cookies["device"]

    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    assert cookie["max-age"] == 365 * 24 * 3600
    assert ada.email not in cookie.value
