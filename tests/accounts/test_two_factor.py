"""Two-step verification of operators: set-up on the account page, a code at each sign-in, recovery."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from cryptography.exceptions import InvalidTag
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from accounts import tokens, two_factor
from accounts.models import User
from accounts.two_factor_devices import Authenticator
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
NOW = timezone.now().replace(microsecond=0)
TWO_STEP, API_SIGN_IN = "/account/two-step/", "/api/v1/auth/token/"


@pytest.fixture(autouse=True)
def clock(settings: Settings) -> Any:
    """The time stands still, and no limit but that of codes is reached."""
    settings.RATES = dict.fromkeys(settings.RATES, "off")
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def code_at(user: User, steps: int = 0) -> str:
    """Return the code that the user's app shows, `steps` times 30 seconds from now."""
    secret = Authenticator.objects.get(user=user).bin_key
    return f"{totp(secret, t0=-30 * steps):06d}"


@pytest.fixture
def codes(ada: User) -> list[str]:
    """Set up two-step verification for ada, a minute ago, and return the recovery codes."""
    two_factor.start_setup(ada, PASSWORD)
    found = two_factor.confirm_setup(ada, code_at(ada, -1), None)
    ada.refresh_from_db()
    return found


def sign_in_by_api(user: User, code: str | None = None, **options: Any) -> Any:
    body = {"email": user.email, "password": PASSWORD} | ({"code": code} if code is not None else {})
    return Client(**options).post(API_SIGN_IN, body, content_type="application/json")


def sign_in_by_form(page: str, user: User, code: str | None = None) -> tuple[Client, Any]:
    client = Client()
    body = {"username": user.email, "password": PASSWORD} | ({"code": code} if code is not None else {})
    return client, client.post(page, body)


def test_it_is_set_up_on_the_account_page_with_a_picture_and_a_first_code(client: Client, ada: User) -> None:
    other, pair = Client(), tokens.issue_pair(ada)
    for browser in (client, other):
        browser.force_login(ada)

    assert "Set up" in client.get(TWO_STEP).content.decode()
    page = client.post(f"{TWO_STEP}start/", {"current_password": PASSWORD}, follow=True).content.decode()
    assert "<svg" in page
    assert "style=" not in page.partition("<svg")[2].partition("</svg>")[0]
    done = client.post(f"{TWO_STEP}confirm/", {"code": code_at(ada)}).content.decode()

    assert done.count("<li><code>") == 10
    ada.refresh_from_db()
    assert ada.two_factor_since is not None
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302  # signed in without a code
    with pytest.raises(tokens.TokenNotValid):
        tokens.refresh_tokens(pair.refresh)


def test_the_set_up_needs_the_password_and_a_right_code_in_time(client: Client, ada: User, clock: Any) -> None:
    client.force_login(ada)

    wrong = client.post(f"{TWO_STEP}start/", {"current_password": "wrong"})
    assert "current_password" in wrong.context["form"].errors
    assert client.get(f"{TWO_STEP}confirm/").status_code == 302
    client.post(f"{TWO_STEP}start/", {"current_password": PASSWORD})
    refused = client.post(f"{TWO_STEP}confirm/", {"code": "000000"})
    clock.shift(timedelta(minutes=16))
    late = client.post(f"{TWO_STEP}confirm/", {"code": code_at(ada)})

    assert "code" in refused.context["form"].errors
    assert "took too long" in late.content.decode()
    ada.refresh_from_db()
    assert ada.two_factor_since is None


@pytest.mark.parametrize("path", ["", "start/", "confirm/", "codes/", "remove/"])
def test_only_operators_find_the_pages(client: Client, alice: User, path: str) -> None:
    client.force_login(alice)

    assert client.get(TWO_STEP + path).status_code == 404
    assert "Two-step verification" not in client.get("/account/").content.decode()


@pytest.mark.parametrize("page", ["/sign-in/", "/admin/login/"])
def test_the_forms_ask_for_the_code_once_the_password_was_right(page: str, ada: User, codes: list[str]) -> None:
    wrong_password = Client().post(page, {"username": ada.email, "password": "wrong"})
    _, asked = sign_in_by_form(page, ada)
    _, refused = sign_in_by_form(page, ada, "123456")
    client, _ = sign_in_by_form(page, ada, code_at(ada, 1))

    assert "authenticator app" not in wrong_password.content.decode()
    assert 'name="code"' in asked.content.decode()
    assert "That code is wrong" in refused.content.decode()
    assert 'name="code"' in refused.content.decode()
    assert client.get("/admin/").status_code == 302  # the wrong code delays the next
    assert asked.wsgi_request.user.is_anonymous


@pytest.mark.parametrize("page", ["/sign-in/", "/admin/login/"])
def test_a_right_code_signs_in(page: str, ada: User, codes: list[str]) -> None:
    client, _ = sign_in_by_form(page, ada, code_at(ada))

    assert client.get("/admin/").status_code == 200


def test_the_api_needs_the_code(ada: User, codes: list[str]) -> None:
    answers = [sign_in_by_api(ada), sign_in_by_api(ada, ""), sign_in_by_api(ada, code_at(ada))]

    assert [answer.status_code for answer in answers] == [401, 401, 200]
    assert [answer.json()["code"] for answer in answers[:2]] == ["two_factor_required"] * 2


def test_an_admin_without_a_device_needs_none(ada: User) -> None:
    assert sign_in_by_api(ada).status_code == 200
    assert sign_in_by_api(ada, "123456").status_code == 200
    assert sign_in_by_form("/admin/login/", ada)[0].get("/admin/").status_code == 200


def test_a_code_works_once(ada: User, codes: list[str]) -> None:
    code = code_at(ada)

    answers = [sign_in_by_api(ada, code), sign_in_by_api(ada, code)]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["code"] == "two_factor_not_valid"


def test_a_recovery_code_works_once_in_any_case_and_spacing(ada: User, codes: list[str]) -> None:
    answers = [sign_in_by_api(ada, code) for code in (codes[0].upper().replace("-", " "), codes[0])]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert StaticToken.objects.count() == 9


def test_wrong_codes_make_a_growing_pause_that_is_bounded(ada: User, codes: list[str], clock: Any) -> None:
    first, second = sign_in_by_api(ada, "000000"), sign_in_by_api(ada, code_at(ada))
    assert (first.status_code, second.status_code, second["Retry-After"]) == (401, 429, "1")
    for _ in range(30):
        clock.shift(timedelta(seconds=600))
        assert sign_in_by_api(ada, "000000").status_code == 401
    assert int(sign_in_by_api(ada, code_at(ada))["Retry-After"]) <= 512

    clock.shift(timedelta(seconds=513))
    assert sign_in_by_api(ada, code_at(ada)).status_code == 200


@pytest.mark.parametrize("code", ["é", "１２３４５６", "12345678901234567890", "' OR 1", "\x00"])
def test_an_odd_code_is_refused_plainly(ada: User, codes: list[str], code: str) -> None:
    assert sign_in_by_api(ada, code).status_code in (400, 401)
    assert sign_in_by_form("/sign-in/", ada, code)[1].status_code in (200, 429)


def test_no_table_holds_a_usable_secret_or_code(ada: User, codes: list[str]) -> None:
    secret = Authenticator.objects.get().bin_key

    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(d::text, ' ') FROM otp_totp_totpdevice d")
        (devices,) = cursor.fetchone()
        cursor.execute("SELECT string_agg(t::text, ' ') FROM otp_static_statictoken t")
        (stored,) = cursor.fetchone()

    assert secret.hex() not in devices
    assert [code for code in codes if code.replace("-", "") in stored] == []


def test_the_console_shows_no_devices(ada: User) -> None:
    assert {TOTPDevice, StaticDevice, Authenticator}.isdisjoint(admin.site._registry)


def test_a_secret_is_good_for_its_user_alone(ada: User, root: User, codes: list[str]) -> None:
    TOTPDevice.objects.update(user=root)

    with pytest.raises(InvalidTag):
        _ = Authenticator.objects.get().bin_key


def test_after_a_change_of_the_secret_key_a_code_is_refused_and_a_reset_helps(
    ada: User, codes: list[str], settings: Settings
) -> None:
    code = code_at(ada)
    settings.SECRET_KEY = "another secret key of more than thirty-two bytes"

    assert sign_in_by_api(ada, code).json()["code"] == "two_factor_not_valid"
    call_command("two_factor", "--reset", ada.email, stdout=StringIO())
    assert sign_in_by_api(ada).status_code == 200


def test_new_recovery_codes_replace_the_old_ones(ada: User, codes: list[str]) -> None:
    client, _ = sign_in_by_form("/sign-in/", ada, codes[0])

    page = client.post(f"{TWO_STEP}codes/", {"current_password": PASSWORD, "code": code_at(ada)}).content.decode()

    assert page.count("<li><code>") == 10
    assert codes[1] not in page
    assert sign_in_by_api(ada, codes[1]).status_code == 401


def test_it_is_turned_off_with_password_and_code(ada: User, codes: list[str]) -> None:
    client, _ = sign_in_by_form("/sign-in/", ada, codes[0])

    refused = client.post(f"{TWO_STEP}remove/", {"current_password": PASSWORD, "code": "aaaa-aaaa"})
    ada.refresh_from_db()
    assert (refused.status_code, ada.two_factor_since is None) == (200, False)
    client.post(f"{TWO_STEP}remove/", {"current_password": PASSWORD, "code": code_at(ada)})

    ada.refresh_from_db()
    assert (ada.two_factor_since, TOTPDevice.objects.count(), StaticDevice.objects.count()) == (None, 0, 0)
    assert sign_in_by_api(ada).status_code == 200


def test_a_superuser_removes_it_from_an_operator_who_lost_the_phone(root: User, ada: User, codes: list[str]) -> None:
    client = Client()
    client.force_login(root)

    client.post("/admin/accounts/user/", {"action": "remove_two_factor", "_selected_action": [str(ada.pk)]})

    assert sign_in_by_api(ada).status_code == 200


def test_the_command_removes_it(ada: User, codes: list[str]) -> None:
    said = StringIO()
    call_command("two_factor", "--reset", ada.email, "--dry-run", stdout=said)
    assert "would be removed" in said.getvalue()
    assert sign_in_by_api(ada).status_code == 401

    call_command("two_factor", "--reset", ada.email.upper(), stdout=said)

    assert sign_in_by_api(ada).status_code == 200
    with pytest.raises(CommandError, match="No user has the email"):
        call_command("two_factor", "--reset", "nobody@example.com")


def test_where_it_is_required_the_console_waits_for_the_set_up(client: Client, ada: User, settings: Settings) -> None:
    settings.REQUIRE_TWO_FACTOR = True
    client.force_login(ada)

    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    assert TWO_STEP in client.get("/admin/login/").content.decode()
    assert "set it up on your account page" in sign_in_by_form("/admin/login/", ada)[1].content.decode()
    assert sign_in_by_api(ada).json()["code"] == "two_factor_not_set_up"
    assert client.get("/api/v1/reports/summary/").status_code == 403
    client.post(f"{TWO_STEP}start/", {"current_password": PASSWORD})
    client.post(f"{TWO_STEP}confirm/", {"code": code_at(ada)})

    assert [client.get(path).status_code for path in ("/admin/", "/api/v1/reports/summary/")] == [200, 200]


def test_a_session_from_before_the_set_up_does_not_outlive_it(ada: User) -> None:
    before = Client()
    before.force_login(ada)
    two_factor.start_setup(ada, PASSWORD)

    two_factor.confirm_setup(ada, code_at(ada), None)

    assert before.get("/admin/").status_code == 302


def test_each_step_is_in_the_audit_log(ada: User, audited: Callable[[], list[dict[str, Any]]]) -> None:
    two_factor.start_setup(ada, PASSWORD)
    two_factor.confirm_setup(ada, code_at(ada), None)
    ada.refresh_from_db()
    sign_in_by_api(ada, "000000")
    two_factor.reset_two_factor(ada, None)

    said = [(line["event"], line["outcome"], line.get("code")) for line in audited()]
    assert said == [
        ("two_factor", "done", None),
        ("sign_in", "refused", "two_factor_not_valid"),
        ("two_factor", "done", None),
    ]
