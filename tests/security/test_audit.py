"""The audit log: each event once, with user and origin, and never a secret."""

import json
import logging
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import audit, throttles
from accounts.models import User
from accounts.tokens import issue_pair
from kernel import rate_limits
from tests.conftest import PASSWORD
from tests.mail import link_in, send_queued_emails
from wallet.assets.models import CashbackAsset

Audited = Callable[[], list[dict[str, Any]]]
NEW = "another horse battery"
API = "/api/v1/auth/"


def send(client: Client, path: str, body: dict[str, str], access: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    return client.post(path if path.startswith("/") else f"{API}{path}", body, content_type="application/json", headers=headers)


def told(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what happened, how it ended, who did it and at which door."""
    return [(one["event"], one["outcome"], one["user"], one["door"]) for one in events]


# --- Who comes and goes ------------------------------------------------------------------------------------------------


def test_registration_is_recorded_once_per_interface(client: Client, db: None, audited: Audited) -> None:
    send(client, "register/", {"email": "carol@example.com", "password": PASSWORD})
    client.post("/register/", {"email": "dave@example.com", "password": PASSWORD})

    carol, dave = (str(User.objects.get(email=f"{name}@example.com").pk) for name in ("carol", "dave"))
    assert told(audited()) == [("register", "done", carol, "api"), ("register", "done", dave, "pages")]


def test_sign_in_is_recorded_once_per_interface(client: Client, ada: User, audited: Audited) -> None:
    send(client, "token/", {"email": ada.email, "password": PASSWORD})
    Client().post("/sign-in/", {"username": ada.email, "password": PASSWORD})
    Client().post("/admin/login/", {"username": ada.email, "password": PASSWORD})

    assert told(audited()) == [("sign_in", "done", str(ada.pk), door) for door in ("api", "pages", "admin")]
    assert {event["email"] for event in audited()} == {audit.email_digest("ADA@example.com")}


@pytest.mark.parametrize(
    ("email", "password"), [("alice@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("bob@example.com", PASSWORD)]
)
def test_refused_sign_in_is_recorded_once_per_interface(
    *, client: Client, alice: User, bob: User, audited: Audited, email: str, password: str
) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)

    send(client, "token/", {"email": email, "password": password})
    for address in ("/sign-in/", "/admin/login/"):
        client.post(address, {"username": email, "password": password})

    assert told(audited()) == [("sign_in", "refused", None, door) for door in ("api", "pages", "admin")]
    assert {event["email"] for event in audited()} == {audit.email_digest(email)}


def test_console_sign_in_by_a_user_is_recorded_as_refused(client: Client, alice: User, audited: Audited) -> None:
    client.post("/admin/login/", {"username": alice.email, "password": PASSWORD})

    assert told(audited()) == [("sign_in", "refused", None, "admin")]


@pytest.mark.parametrize(
    "body", [{}, {"username": "alice@example.com"}, {"username": "alice@example.com", "password": "x" * 129}]
)
def test_a_form_that_no_password_was_checked_for_is_no_sign_in(
    client: Client, alice: User, audited: Audited, body: dict[str, str]
) -> None:
    client.post("/sign-in/", body)

    assert audited() == []


@pytest.mark.parametrize("address", ["/sign-out/", "/admin/logout/"])
def test_signing_out_by_page_is_recorded_once(client: Client, ada: User, audited: Audited, address: str) -> None:
    client.force_login(ada)

    client.post(address)
    client.post(address)

    assert told(audited()) == [("sign_out", "done", str(ada.pk), "admin" if "admin" in address else "pages")]
    assert client.get("/password/").status_code == 302


def test_signing_out_by_token_is_recorded_once(client: Client, alice: User, audited: Audited) -> None:
    pair = issue_pair(alice)

    send(client, "logout/", {"refresh": pair.refresh}, pair.access)

    assert told(audited()) == [("sign_out", "done", str(alice.pk), "api")]


def test_signing_out_everywhere_else_is_recorded_once(client: Client, alice: User, audited: Audited) -> None:
    client.force_login(alice)

    client.post("/account/sign-out-elsewhere/", {"current_password": PASSWORD})

    assert told(audited()) == [("sign_out", "done", str(alice.pk), "pages")]
    assert audited()[0]["where"] == "elsewhere"


def test_password_change_is_recorded_once_per_interface(client: Client, alice: User, audited: Audited) -> None:
    send(client, "password/", {"current_password": PASSWORD, "new_password": NEW}, issue_pair(alice).access)
    client.force_login(User.objects.get())
    client.post("/password/", {"current_password": NEW, "new_password": PASSWORD})

    assert told(audited()) == [("password_change", "done", str(alice.pk), door) for door in ("api", "pages")]


def test_a_changed_email_is_recorded_once_and_by_its_digest(client: Client, alice: User, audited: Audited) -> None:
    client.force_login(alice)

    client.post("/account/email/", {"email": "Rao@example.com", "current_password": PASSWORD})
    client.post("/account/email/", {"email": "other@example.com", "current_password": "wrong"})
    client.post(link_in(send_queued_emails()[0]))

    assert told(audited()) == [("email_change", outcome, str(alice.pk), "pages") for outcome in ("refused", "done")]
    assert audited()[0]["code"] == "wrong_password"
    assert audited()[1]["email"] == audit.email_digest("rao@example.com")
    assert audited()[1]["before"] == audit.email_digest("alice@example.com")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"email": "alice@example.com", "password": NEW}, "email_taken"),
        (
            {"email": "carol@example.com", "password": "12345"},
            "password_entirely_numeric password_too_common password_too_short",
        ),
    ],
)
def test_refused_registration_is_recorded_once_per_interface(
    client: Client, alice: User, audited: Audited, body: dict[str, str], code: str
) -> None:
    send(client, "register/", body)
    client.post("/register/", body)

    assert told(audited()) == [("register", "refused", None, door) for door in ("api", "pages")]
    assert {(event["code"], event["email"]) for event in audited()} == {(code, audit.email_digest(body["email"]))}


@pytest.mark.usefixtures("_two_tries")
def test_a_registration_beyond_the_limit_is_recorded(client: Client, db: None, audited: Audited) -> None:
    for number in range(3):
        send(client, "register/", {"email": f"carol{number}@example.com", "password": NEW})

    event = audited()[-1]
    assert (event["event"], event["action"], event["counted"]) == ("limit", "register", "ip:127.0.0.1")


def test_wrong_current_password_is_recorded_for_every_form(client: Client, alice: User, audited: Audited) -> None:
    client.force_login(alice)
    wrong = {"current_password": "wrong secret", "new_password": NEW, "email": "rao@example.com"}

    send(client, "password/", {name: wrong[name] for name in ("current_password", "new_password")}, issue_pair(alice).access)
    for address in ("/password/", "/account/email/", "/account/sign-out-elsewhere/"):
        client.post(address, wrong)

    who = str(alice.pk)
    assert told(audited()) == [
        ("password_change", "refused", who, "api"),
        ("password_change", "refused", who, "pages"),
        ("email_change", "refused", who, "pages"),
        ("sign_out", "refused", who, "pages"),
    ]
    assert {event["code"] for event in audited()} == {"wrong_password"}


def test_a_replayed_refresh_token_is_recorded_with_its_family(client: Client, alice: User, audited: Audited) -> None:
    pair = issue_pair(alice)
    for _ in range(2):
        send(client, "token/refresh/", {"refresh": pair.refresh})

    (event,) = audited()
    assert told([event]) == [("token_refresh", "refused", str(alice.pk), "api")]
    assert (event["code"], event["family"]) == ("token_reused", str(alice.token_families.get().pk))


def test_user_activation_and_role_change_are_recorded(client: Client, root: User, alice: User, audited: Audited) -> None:
    client.force_login(root)
    form = {"email": "carol@example.com", "role": "ADMIN", "usable_password": "true", "password1": NEW, "password2": NEW}

    client.post(reverse("admin:accounts_user_add"), form)
    client.post(
        reverse("admin:accounts_user_change", args=[alice.pk]), {"email": alice.email, "role": "ADMIN", "is_active": "on"}
    )
    client.post(
        reverse("admin:auth_user_password_change", args=[alice.pk]),
        {"password1": NEW, "password2": NEW, "usable_password": "true"},
    )

    carol = User.objects.get(email="carol@example.com")
    assert told(audited()) == [("person_change", "done", str(root.pk), "admin")] * 3
    assert [(event["person"], event["role"]) for event in audited()] == [
        (str(carol.pk), "ADMIN"),
        (str(alice.pk), "ADMIN"),
        (str(alice.pk), "ADMIN"),
    ]
    assert ["Role" in event.get("changed", "") for event in audited()] == [False, True, False]


# --- Who is refused ----------------------------------------------------------------------------------------------------


@pytest.fixture
def _two_tries(settings: Settings) -> None:
    settings.RATES = dict.fromkeys(settings.RATES, "2/d")


@pytest.mark.usefixtures("_two_tries")
def test_a_limit_that_is_hit_is_recorded_once_a_try(client: Client, alice: User, audited: Audited) -> None:
    for _ in range(3):
        send(client, "token/", {"email": alice.email, "password": "wrong"})
    client.post("/sign-in/", {"username": alice.email, "password": "wrong"})

    last = audited()[2:]
    assert told(last) == [("limit", "refused", None, "api"), ("limit", "refused", None, "pages")]
    assert {(event["action"], event["counted"]) for event in last} <= {
        ("sign_in", "ip:127.0.0.1"),
        ("sign_in", f"email:{audit.email_digest(alice.email)},ip:127.0.0.1"),
    }


@pytest.mark.usefixtures("_two_tries")
def test_a_limit_on_claims_names_the_user(
    client: Client, alice: User, issue: Callable[..., CashbackAsset], audited: Audited
) -> None:
    asset, access = issue(), issue_pair(alice).access
    for _ in range(3):
        send(client, f"/api/v1/assets/{asset.pk}/claim/", {}, access)

    (event,) = audited()
    assert (event["event"], event["action"], event["counted"]) == ("limit", "claim", f"user:{alice.pk}")


def test_missing_permission_is_recorded_once_per_interface(alice: User, ada: User, audited: Audited) -> None:
    by_token, browser, strict = Client(), Client(), Client(enforce_csrf_checks=True)
    browser.force_login(ada)
    strict.force_login(alice)

    send(by_token, "/api/v1/assets/", {}, issue_pair(alice).access)
    browser.get(reverse("admin:accounts_user_changelist"))
    strict.post("/password/", {})
    strict.post("/api/v1/auth/password/", {}, content_type="application/json")

    assert told(audited()) == [
        ("permission", "refused", str(alice.pk), "api"),
        ("permission", "refused", str(ada.pk), "admin"),
        ("permission", "refused", str(alice.pk), "pages"),
        ("permission", "refused", None, "api"),  # a session without its token is nobody's
    ]


@pytest.mark.parametrize("room", ["admin:index", "admin:ledger_entry_changelist", "system"])
def test_user_without_console_access_is_recorded_once(client: Client, alice: User, audited: Audited, room: str) -> None:
    client.force_login(alice)

    assert client.get(reverse(room)).status_code == 302
    assert told(audited()) == [("permission", "refused", str(alice.pk), "admin")]


def test_a_demoted_operator_is_recorded_where_the_console_was_open_before(client: Client, ada: User, audited: Audited) -> None:
    client.force_login(ada)
    client.get("/admin/")
    User.objects.filter(pk=ada.pk).update(role="USER")

    client.post(reverse("admin:assets_cashbackasset_add"), {})

    assert told(audited()) == [("permission", "refused", str(ada.pk), "admin")]


def test_redirect_to_sign_in_is_not_recorded_as_refused(db: None, audited: Audited) -> None:
    for address in ("/admin/", "/dashboard/"):
        assert Client().get(address).status_code == 302

    assert audited() == []


def test_redirect_within_the_console_is_not_recorded_as_refused(client: Client, ada: User, audited: Audited) -> None:
    client.force_login(ada)

    assert client.get("/admin/login/").status_code == 302
    assert client.get("/admin/ledger").status_code == 301
    assert audited() == []


def test_refused_anonymous_request_is_recorded_without_user(db: None, audited: Audited) -> None:
    Client(enforce_csrf_checks=True).post("/sign-in/", {})

    assert told(audited()) == [("permission", "refused", None, "pages")]


# --- Who takes data out ------------------------------------------------------------------------------------------------


def test_export_is_recorded_once_per_interface(
    client: Client, ada: User, issue: Callable[..., CashbackAsset], audited: Audited
) -> None:
    issue()
    client.force_login(ada)

    for shape in ("csv", "xlsx"):
        client.get(reverse("admin:ledger_claimedasset_export", args=[shape]))
    for address in ("/api/v1/reports/ownership/?format=csv", "/api/v1/reports/ownership/"):
        client.get(address)
    call_command("ownership_report", format="csv", stdout=StringIO())

    by_ada = [("export", "done", str(ada.pk), door) for door in ("admin", "admin", "api")]
    assert told(audited()) == [*by_ada, ("export", "done", None, "shell")]


# --- The line itself ---------------------------------------------------------------------------------------------------


def test_line_has_time_origin_and_request(client: Client, alice: User, audited: Audited) -> None:
    form = {"username": alice.email, "password": PASSWORD}
    client.post("/sign-in/?next=/claims/", form, REMOTE_ADDR="192.0.2.7", headers={"X-Request-ID": "01JDX5-one"})

    (event,) = audited()
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "event": "sign_in",
        "outcome": "done",
        "user": str(alice.pk),
        "door": "pages",
        "ip": "192.0.2.7",
        "method": "POST",
        "path": "/sign-in/",
        "request_id": "01JDX5-one",
        "email": audit.email_digest(alice.email),
    }


def test_input_cannot_inject_a_second_line(client: Client, alice: User, audited: Audited) -> None:
    forged = 'x\n{"event": "sign_in", "outcome": "done"}\r\n\u2028'
    strict = Client(enforce_csrf_checks=True)

    strict.post(f"/credits/{alice.pk}/claim/", {"key": forged}, headers={"X-Forwarded-For": forged, "User-Agent": forged})
    send(client, "token/", {"email": f"{forged}@example.com", "password": forged})

    lines = [json.dumps(event) for event in audited()]
    assert all("\n" not in line and "forged" not in line for line in lines)
    assert [event["event"] for event in audited()] == ["permission"]


def test_outside_local_tests_the_lines_are_bare_json_on_the_errors_stream() -> None:
    described: dict[str, Any] = django_settings.LOGGING
    logger = described["loggers"]["cashback.audit"]
    handler = described["handlers"][logger["handlers"][0]]

    assert (logger["level"], logger["propagate"]) == ("INFO", False)
    assert described["formatters"][handler["formatter"]]["format"] == "{message}"
    live = logging.getLogger("cashback.audit").handlers[0]
    assert isinstance(live, logging.StreamHandler)
    assert live.stream in (sys.stderr, sys.__stderr__) or live.stream.name == "<stderr>"


def test_an_emails_digest_is_the_same_however_it_is_typed_and_needs_our_key(settings: Settings) -> None:
    digest = audit.email_digest(" Alice@Example.com ")
    settings.SECRET_KEY = "k" * 50
    elsewhere = audit.email_digest("alice@example.com")

    assert len(digest) == 32
    assert digest != elsewhere
    assert audit.email_digest("\ud800")


def test_no_line_of_any_log_holds_a_secret(
    client: Client, db: None, audited: Audited, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    """The whole life of somebody's sign-ins, right and wrong, with every logger at its most talkative."""
    caplog.set_level(logging.DEBUG)
    settings.RATES = dict.fromkeys(settings.RATES, "20/d")
    first, second, wrong = "first secret 8c1f", "second secret 2d7a", "wrong secret 5e9b"
    who = {"email": "carol.secret@example.com"}
    secrets = [first, second, wrong, who["email"]]

    send(client, "register/", who | {"password": first})
    send(client, "register/", who | {"password": first})
    send(client, "token/", who | {"password": wrong})
    for _ in range(2):
        pair = send(client, "token/", who | {"password": first}).json()
        secrets += pair.values()
        successor = send(client, "token/refresh/", {"refresh": pair["refresh"]}).json()
        secrets += successor.values()
        send(client, "token/refresh/", {"refresh": pair["refresh"]})
        send(client, "logout/", {"refresh": successor["refresh"]}, successor["access"])
    pair = send(client, "token/", who | {"password": first}).json()
    send(client, "password/", {"current_password": wrong, "new_password": second}, pair["access"])
    send(client, "password/", {"current_password": first, "new_password": second}, pair["access"])
    client.post("/sign-in/", {"username": who["email"], "password": wrong})
    client.post("/sign-in/", {"username": who["email"], "password": second})
    secrets += [client.cookies["sessionid"].value, User.objects.get().password]
    client.get("/dashboard/", headers={"Authorization": f"Bearer {pair['access']}"})
    client.post("/password/", {"current_password": wrong, "new_password": second})
    client.post("/sign-out/")
    for _ in range(25):
        send(client, "token/", who | {"password": wrong})

    said = "\n".join(
        record.getMessage() + str(record.__dict__.get("request", "")) + (record.exc_text or "") for record in caplog.records
    )
    assert {event["event"] for event in audited()} == {
        "register",
        "sign_in",
        "token_refresh",
        "sign_out",
        "password_change",
        "limit",
    }
    assert len(secrets) == 14
    assert [
        secret for secret in [*secrets, django_settings.SECRET_KEY, django_settings.JWT_SIGNING_KEY] if secret in said
    ] == []


def test_the_limiters_keys_hold_no_email(db: None, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    original = rate_limits.seconds_to_wait

    def listening(action: str, identity: str) -> int:
        counted.append(identity)
        return original(action, identity)

    monkeypatch.setattr(throttles, "seconds_to_wait", listening)
    send(client, "token/", {"email": "alice@example.com", "password": "wrong"})

    email = f"email:{audit.email_digest('alice@example.com')}"
    assert counted == ["ip:127.0.0.1", f"{email},ip:127.0.0.1", email]


def test_reading_a_person_leaves_a_line_without_the_email(
    browser_of: Callable[..., Client], alice: User, ada: User, audited: Callable[[], list[dict[str, Any]]]
) -> None:
    console = browser_of(ada)
    console.get(reverse("customer", args=[alice.pk]))
    console.get(reverse("customer_search"), {"q": "bob@example.com"})

    view, search = audited()
    assert (view["event"], view["outcome"], view["user"], view["person"]) == (
        "person_view",
        "done",
        str(ada.pk),
        str(alice.pk),
    )
    assert (search["event"], search["email"]) == ("person_search", audit.email_digest("bob@example.com"))
    assert "example.com" not in str([view, search])
