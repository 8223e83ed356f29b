"""The list of sign-ins: browsers and apps in words, with address and last use; each can be ended."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.devices import describe_device
from accounts.models import BrowserSession, TokenFamily, User
from accounts.sessions import delete_expired_sessions
from tests.conftest import PASSWORD
from wallet.assets.models import CashbackAsset

pytestmark = pytest.mark.django_db
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SIGN_INS, SESSIONS = "/account/sign-ins/", "/api/v1/me/sessions/"


@pytest.fixture
def desktop(alice: User) -> Client:
    """Return alice's Chrome."""
    client = Client(headers={"User-Agent": CHROME}, REMOTE_ADDR="192.0.2.1")
    client.post("/sign-in/", {"username": alice.email, "password": PASSWORD})
    return client


@pytest.fixture
def app(alice: User) -> Client:
    """Return alice's app on another address."""
    client = Client(headers={"User-Agent": "okhttp/4.12.0"}, REMOTE_ADDR="192.0.2.2")
    body = {"email": alice.email, "password": PASSWORD}
    pair = client.post("/api/v1/auth/token/", body, content_type="application/json").json()
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {pair['access']}"
    return client


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (CHROME, "Chrome on Windows"),
        (CHROME.replace("Chrome/140.0.0.0 Safari/537.36", "Chrome/140.0.0.0 Safari/537.36 Edg/140.0"), "Edge on Windows"),
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("okhttp/4.12.0", "Android app"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown device"),
        ("<script>", "Unknown device"),
    ],
)
def test_a_device_is_named_in_words(user_agent: str, device: str) -> None:
    assert describe_device(user_agent) == device


def test_the_page_lists_browsers_and_apps_and_marks_this_one(desktop: Client, app: Client, bob: User) -> None:
    Client().force_login(bob)

    answer = desktop.get(SIGN_INS)

    listed = [(s.device, s.kind, s.address, s.is_current) for s in answer.context["sign_ins"]]
    assert listed == [("Chrome on Windows", "browser", "192.0.2.1", True), ("Android app", "app", "192.0.2.2", False)]
    assert "This device" in answer.content.decode()


def test_the_api_lists_the_same_from_the_apps_side(desktop: Client, app: Client) -> None:
    first, second = app.get(SESSIONS).json()

    assert (first["device"], first["kind"], first["address"], first["is_current"]) == ("Android app", "app", "192.0.2.2", True)
    assert (second["device"], second["is_current"]) == ("Chrome on Windows", False)
    assert set(first) == {"id", "kind", "device", "address", "created_at", "last_used_at", "is_current"}


def test_the_list_shows_no_key_that_signs_in(desktop: Client, app: Client) -> None:
    shown = desktop.get(SIGN_INS).content.decode() + app.get(SESSIONS).content.decode()

    assert desktop.cookies["sessionid"].value not in shown
    assert BrowserSession.objects.get().session_key not in shown


def test_one_sign_in_is_ended_and_refused_at_once(desktop: Client, app: Client) -> None:
    family = TokenFamily.objects.get()

    desktop.post(f"{SIGN_INS}{family.pk}/end/")

    assert app.get(SESSIONS).status_code == 401
    assert [s.kind for s in desktop.get(SIGN_INS).context["sign_ins"]] == ["browser"]


def test_an_app_ends_a_browsers_session(desktop: Client, app: Client) -> None:
    session = app.get(SESSIONS).json()[1]

    answers = [app.delete(f"{SESSIONS}{session['id']}/") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert desktop.get("/account/").status_code == 302
    assert BrowserSession.objects.count() == 0


def test_nobody_ends_a_sign_in_of_another(desktop: Client, app: Client, bob: User) -> None:
    bobs = Client()
    bobs.force_login(bob)
    ids = [item["id"] for item in app.get(SESSIONS).json()]

    for sign_in in [*ids, uuid4()]:
        assert bobs.delete(f"{SESSIONS}{sign_in}/").status_code == 404
        bobs.post(f"{SIGN_INS}{sign_in}/end/")

    assert (desktop.get("/account/").status_code, app.get(SESSIONS).status_code) == (200, 200)


def test_the_api_ends_all_others_and_stays(desktop: Client, app: Client) -> None:
    answer = app.post(f"{SESSIONS}end-others/", {"current_password": PASSWORD}, content_type="application/json")

    assert answer.status_code == 204
    assert desktop.get("/account/").status_code == 302
    assert [item["kind"] for item in app.get(SESSIONS).json()] == ["app"]


def test_sign_ins_that_a_password_change_ended_are_not_listed(desktop: Client, app: Client, alice: User) -> None:
    other = Client()
    other.force_login(alice)
    body = {"current_password": PASSWORD, "new_password": "another horse battery"}

    desktop.post("/password/", body)

    assert [s.is_current for s in desktop.get(SIGN_INS).context["sign_ins"]] == [True]
    User.objects.update(password=make_password("a third horse battery"))  # by any other way
    assert desktop.get(SIGN_INS).status_code == 302


def test_the_same_sign_in_keeps_its_age_when_its_key_changes(desktop: Client) -> None:
    earlier = timezone.now() - timedelta(days=3)
    BrowserSession.objects.update(created_at=earlier)

    desktop.post("/password/", {"current_password": PASSWORD, "new_password": "another horse battery"})

    assert BrowserSession.objects.latest("last_used_at").created_at == earlier


def test_use_is_recorded_once_in_five_minutes(desktop: Client) -> None:
    def updates() -> int:
        with CaptureQueriesContext(connection) as queries:
            desktop.get("/account/")
        return sum(query["sql"].startswith("UPDATE") for query in queries)

    assert updates() == 0
    earlier = timezone.now() - timedelta(minutes=6)
    BrowserSession.objects.update(last_used_at=earlier)
    assert (updates(), updates()) == (1, 0)
    assert BrowserSession.objects.get().last_used_at > earlier


def test_a_refresh_records_the_use_of_an_app(alice: User, client: Client) -> None:
    body = {"email": alice.email, "password": PASSWORD}
    pair = client.post("/api/v1/auth/token/", body, content_type="application/json").json()
    earlier = timezone.now() - timedelta(hours=1)
    TokenFamily.objects.update(last_used_at=earlier)

    client.post("/api/v1/auth/token/refresh/", {"refresh": pair["refresh"]}, content_type="application/json")

    assert TokenFamily.objects.get().last_used_at > earlier


@pytest.mark.parametrize("by", ["token", "session"])
def test_a_claim_writes_nothing_about_the_sign_in(
    *, by: str, desktop: Client, app: Client, issue: Callable[..., CashbackAsset]
) -> None:
    asset = issue()
    BrowserSession.objects.update(last_used_at=timezone.now() - timedelta(days=1))
    TokenFamily.objects.update(last_used_at=timezone.now() - timedelta(days=1))

    with CaptureQueriesContext(connection) as queries:
        answer: Any = (
            app.post(f"/api/v1/assets/{asset.pk}/claim/", content_type="application/json")
            if by == "token"
            else desktop.post(f"/credits/{asset.pk}/claim/")
        )

    assert answer.status_code == (201 if by == "token" else 302)
    sign_ins = ("accounts_browsersession", "accounts_tokenfamily", "django_session", "accounts_user")
    touching = [query["sql"] for query in queries if any(name in query["sql"] for name in sign_ins)]
    assert [sql for sql in touching if not sql.startswith("SELECT")] == []
    # The token's family and its user in one query, or the session and then its user.
    assert len(touching) == (1 if by == "token" else 2)


def test_expired_sessions_are_forgotten_with_their_addresses(desktop: Client) -> None:
    assert delete_expired_sessions() == 0
    BrowserSession.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    assert delete_expired_sessions() == 1
    assert Session.objects.count() == 0


def test_a_long_or_odd_user_agent_is_kept_short(alice: User) -> None:
    client = Client(headers={"User-Agent": "A\x00\x1b" + "é" * 500})

    client.post("/sign-in/", {"username": alice.email, "password": PASSWORD})

    assert len(BrowserSession.objects.get().user_agent) == 200
