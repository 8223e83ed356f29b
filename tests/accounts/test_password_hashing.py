"""Limits of password hashing, with the product's own hasher."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password
from django.db import connection, connections, transaction
from django.test import Client
from pytest_django import Settings

from accounts import password_hashing
from accounts.argon2_process import NICENESS
from accounts.email_links import make_link_token, password_tokens
from accounts.models import Role, User
from accounts.password_hashing import MAX_WAITING_PER_SLOT, HashingBusy, HashingProcess, LimitedArgon2PasswordHasher
from accounts.tokens import issue_pair
from cashback import settings as product
from tests.concurrency import at_once
from tests.conftest import PASSWORD

SLOTS = 2
NEW = "another horse battery"
Act = Callable[[User, str], Any]


@pytest.fixture(autouse=True)
def _real_hasher(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for limit in ("SLOT_TIMEOUT_SECONDS", "HASH_TIMEOUT_SECONDS"):
        monkeypatch.setattr(password_hashing, limit, 60)  # however busy the machine is
    settings.PASSWORD_HASHERS = product.PASSWORD_HASHERS
    settings.HASHING_SLOTS = SLOTS
    settings.RATES = dict.fromkeys(settings.RATES, "off")
    LimitedArgon2PasswordHasher.forget_pool()
    yield
    for process in LimitedArgon2PasswordHasher.process_pool().idle:
        process.kill()
    LimitedArgon2PasswordHasher.forget_pool()


@contextmanager
def slots_taken() -> Iterator[threading.Event]:
    """Take every slot of this process until the event is set or the block ends."""
    pool, over = LimitedArgon2PasswordHasher.process_pool(), threading.Event()
    for semaphore in [pool.callers, pool.slots] * SLOTS:
        semaphore.acquire()

    def give_back() -> None:
        over.wait(60)
        for semaphore in [pool.callers, pool.slots] * SLOTS:
            semaphore.release()

    holder = threading.Thread(target=give_back)
    holder.start()
    try:
        yield over
    finally:
        over.set()
        holder.join()


# --- The hash itself -----------------------------------------------------------------------------------------------------


def test_the_product_hashes_as_django_does_and_reads_what_it_wrote() -> None:
    written = Argon2PasswordHasher().encode(PASSWORD, "somesaltandmore1")

    assert LimitedArgon2PasswordHasher().encode(PASSWORD, "somesaltandmore1") == written
    assert check_password(PASSWORD, written)
    assert not check_password("wrong", written)
    assert not LimitedArgon2PasswordHasher().must_update(make_password(PASSWORD))


@pytest.mark.parametrize("password", ["पासवर्ड", 'a"b\\c\n', "\x00\u2028 ", ""])
def test_any_password_is_hashed_as_it_is(password: str) -> None:
    assert Argon2PasswordHasher().verify(password, make_password(password))


def test_no_more_hashes_than_slots_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[HashingProcess] = []
    begin = HashingProcess.__init__

    def recorded(self: HashingProcess) -> None:
        started.append(self)
        begin(self)

    monkeypatch.setattr(HashingProcess, "__init__", recorded)

    with ThreadPoolExecutor(SLOTS * (1 + MAX_WAITING_PER_SLOT)) as callers:
        hashes = list(callers.map(make_password, [PASSWORD] * SLOTS * (1 + MAX_WAITING_PER_SLOT)))

    assert len(set(hashes)) == SLOTS * (1 + MAX_WAITING_PER_SLOT)
    assert len(started) == SLOTS


def test_caller_beyond_the_waiting_limit_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = LimitedArgon2PasswordHasher.process_pool()
    for _ in range(SLOTS * (1 + MAX_WAITING_PER_SLOT)):
        pool.callers.acquire()
    monkeypatch.setattr(pool, "slots", None)  # the slots must not be used

    with pytest.raises(HashingBusy):
        make_password(PASSWORD)


def test_caller_is_refused_after_the_slot_timeout_without_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    with slots_taken():
        monkeypatch.setattr(password_hashing, "SLOT_TIMEOUT_SECONDS", 0.1)
        with pytest.raises(HashingBusy):
            make_password(PASSWORD)

    assert not LimitedArgon2PasswordHasher.process_pool().idle
    assert make_password(PASSWORD)


def hashing_process() -> HashingProcess:
    """Return the process that hashed for this one."""
    make_password(PASSWORD)
    (process,) = LimitedArgon2PasswordHasher.process_pool().idle
    return process


def test_hashing_has_lower_priority_than_serving() -> None:
    pid = hashing_process().process.pid

    # No priority is lower than 19, which is reached also where the tests themselves run with a lower one than usual.
    assert os.getpriority(os.PRIO_PROCESS, pid) == NICENESS == 19


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are chosen on Linux only")
def test_hashing_uses_any_core_where_what_serves_is_pinned_to_one() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        pid = hashing_process().process.pid
    finally:
        os.sched_setaffinity(0, allowed)

    assert os.sched_getaffinity(pid) >= allowed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_hashing_process_that_is_lost_makes_one_caller_try_again(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    process = hashing_process().process
    monkeypatch.setattr(password_hashing, "HASH_TIMEOUT_SECONDS", 0.5)
    os.kill(process.pid, number)

    with pytest.raises(HashingBusy):
        make_password(PASSWORD)

    monkeypatch.setattr(password_hashing, "HASH_TIMEOUT_SECONDS", 60)
    assert process.returncode == -signal.SIGKILL
    assert make_password(PASSWORD)


def test_where_no_process_can_be_started_the_answer_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    with pytest.raises(HashingBusy):
        make_password(PASSWORD)


def test_hashing_process_exits_with_its_parent() -> None:
    process = hashing_process().process
    LimitedArgon2PasswordHasher.process_pool().idle.clear()
    assert process.stdin is not None

    process.stdin.close()

    assert process.wait(30) == 0


def test_a_forked_process_hashes_with_processes_of_its_own() -> None:
    hashed = make_password(PASSWORD)

    child = os.fork()
    if not child:
        os._exit(0 if check_password(PASSWORD, hashed) else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert check_password(PASSWORD, hashed)


# --- No connection waits for it --------------------------------------------------------------------------------------------


def wrapper() -> Any:
    """Return a new wrapper of the test's connection, of our own engine."""
    return connections.create_connection("default")


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The threads of this test share one connection, as those of a web process share a few."""
    settings = connection.settings_dict
    monkeypatch.setitem(settings, "OPTIONS", settings["OPTIONS"] | {"pool": {"min_size": 1, "max_size": 1, "timeout": 1}})
    monkeypatch.setitem(settings, "CONN_MAX_AGE", 0)
    pool = wrapper().pool
    pool.open()
    yield pool
    wrapper().close_pool()


def post(path: str, **body: str) -> Act:
    """Return a function that submits a form, signed in unless the form is the sign-in."""

    def send(user: User, session: str) -> Any:
        browser = Client(headers={"Cookie": f"sessionid={session}"})
        given = {name: text.replace("EMAIL", user.email) for name, text in body.items()}
        link = make_link_token(user, password_tokens)
        return browser.post(path.replace("PK", str(user.pk)).replace("LINK", link), given)

    return send


def call(path: str, **body: str) -> Act:
    """Return an act: a call of the API."""

    def send(user: User, session: str) -> Any:
        headers = {"Authorization": f"Bearer {session}"} if "password" in path else {}
        given = {name: text.replace("EMAIL", user.email) for name, text in body.items()}
        return Client().post(f"/api/v1/auth/{path}", given, content_type="application/json", headers=headers)

    return send


ACTS = {
    "sign in by API": (call("token/", email="EMAIL", password=PASSWORD), 200),
    "sign in by API, wrong": (call("token/", email="EMAIL", password="wrong"), 401),
    "sign in by API, unknown": (call("token/", email="nobody@example.com", password=PASSWORD), 401),
    "sign in by page": (post("/sign-in/", username="EMAIL", password=PASSWORD), 302),
    "sign in to the console": (post("/admin/login/?next=/admin/", username="EMAIL", password=PASSWORD), 302),
    "register by API": (call("register/", email="carol@example.com", password=NEW), 201),
    "register by page": (post("/register/", email="carol@example.com", password=NEW), 302),
    "change the password by API": (call("password/", current_password=PASSWORD, new_password=NEW), 204),
    "change the password": (post("/password/", current_password=PASSWORD, new_password=NEW), 302),
    "change the email": (post("/account/email/", current_password=PASSWORD, email="carol@example.com"), 302),
    "sign out elsewhere": (post("/account/sign-out-elsewhere/", current_password=PASSWORD), 302),
    "start two-step verification": (post("/account/two-step/start/", current_password=PASSWORD), 302),
    "close the account": (post("/account/close/", current_password=PASSWORD), 302),
    "choose a new password by link": (post("/password/reset/LINK/", new_password=NEW), 302),
    "a superuser adds a user": (
        post("/admin/accounts/user/add/", email="carol@example.com", role="USER", password1=NEW, password2=NEW),
        302,
    ),
    "a superuser gives a password": (post("/admin/accounts/user/PK/password/", password1=NEW, password2=NEW), 302),
}
STRANGERS = ("sign in", "register", "choose")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ACTS)
def test_caller_that_waits_for_a_slot_holds_no_connection(name: str, request: pytest.FixtureRequest) -> None:
    act, status = ACTS[name]
    user = User.objects.create_user("ada@example.com", PASSWORD, role=Role.ADMIN, is_superuser=True)
    User.objects.create_user("eve@example.com", PASSWORD, role=Role.ADMIN)
    secret = "" if name.startswith(STRANGERS) else issue_pair(user).access if "API" in name else session_of(user)
    pool = request.getfixturevalue("one_connection")

    with ThreadPoolExecutor(1) as visitor:
        with slots_taken() as over:
            answer = visitor.submit(visited, act, user, secret)
            wait_until_hashing()
            pool.putconn(pool.getconn(timeout=0.5))  # raises when the visitor keeps the only one
            over.set()
        assert answer.result(60).status_code == status


def session_of(user: User) -> str:
    browser = Client()
    browser.force_login(user)
    return browser.cookies["sessionid"].value


def visited(act: Callable[..., Any], *given: Any) -> Any:
    """Do it in a thread of its own, which leaves no connection open."""
    try:
        return act(*given)
    finally:
        connections.close_all()


def wait_until_hashing(callers: int = 1) -> None:
    """Wait until this many callers wait for a slot."""
    pool = LimitedArgon2PasswordHasher.process_pool()
    for _ in range(1000):
        if pool.callers._value <= SLOTS * MAX_WAITING_PER_SLOT - callers:
            return
        threading.Event().wait(0.01)
    raise AssertionError("no caller waits for a slot")


@pytest.mark.django_db
def test_within_a_transaction_the_connection_stays() -> None:
    with transaction.atomic():
        before = connection.connection
        make_password(PASSWORD)

        assert connection.connection is before


# --- What a visitor is answered --------------------------------------------------------------------------------------------


@pytest.fixture
def _busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with slots_taken():
        monkeypatch.setattr(password_hashing, "SLOT_TIMEOUT_SECONDS", 0.05)
        yield


@pytest.mark.django_db
@pytest.mark.usefixtures("_busy")
def test_the_api_answers_busy_and_when_to_ask_again() -> None:
    answer = Client().post(
        "/api/v1/auth/token/", {"email": "nobody@example.com", "password": PASSWORD}, content_type="application/json"
    )

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "busy", "2")


@pytest.mark.django_db
@pytest.mark.usefixtures("_busy")
@pytest.mark.parametrize("path", ["/sign-in/", "/admin/login/", "/register/"])
def test_a_page_says_that_too_many_are_asking(path: str) -> None:
    answer: Any = Client().post(path, {"username": "a@example.com", "email": "a@example.com", "password": PASSWORD})

    said = "We're very busy right now. Please wait 2 seconds, then try again."
    assert said in unescape(answer.content.decode())
    if not path.startswith("/admin/"):
        assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert User.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_concurrent_sign_ins_are_answered_correctly_or_busy() -> None:
    User.objects.create_user("alice@example.com", PASSWORD)

    def sign_in(number: int) -> int:
        password = PASSWORD if number % 2 else "wrong"
        body = {"email": "alice@example.com", "password": password}
        return Client().post("/api/v1/auth/token/", body, content_type="application/json").status_code

    statuses = at_once(sign_in, range(24))

    assert set(statuses[1::2]) <= {200, 503}
    assert set(statuses[::2]) <= {401, 503}
    assert 200 in statuses
    assert 401 in statuses


# --- What changed meanwhile --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}], ids=["closed", "another password"])
def test_sign_in_fails_when_the_account_changes_while_hashing(change: dict[str, Any]) -> None:
    user = User.objects.create_user("alice@example.com", PASSWORD)
    browser = Client()
    with ThreadPoolExecutor(2) as visitors:
        with slots_taken() as over:
            by_api = visitors.submit(visited, ACTS["sign in by API"][0], user, "")
            by_page = visitors.submit(visited, browser.post, "/sign-in/", {"username": user.email, "password": PASSWORD})
            wait_until_hashing(2)
            User.objects.filter(pk=user.pk).update(**change)
            over.set()
        answer, _ = by_api.result(60), by_page.result(60)

    access = answer.json().get("access", "")
    assert Client().get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {access}"}).status_code == 401
    assert browser.get("/account/").status_code == 302


@pytest.mark.django_db(transaction=True)  # hashing takes long under load, and no transaction is open meanwhile
def test_a_weaker_hash_is_renewed_but_not_over_a_password_that_was_changed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create_user("alice@example.com", PASSWORD)
    stale = User.objects.get()
    monkeypatch.setattr(LimitedArgon2PasswordHasher, "time_cost", 3)

    assert user.check_password(PASSWORD)
    renewed = User.objects.get().password
    assert "t=3" in renewed

    assert stale.check_password(PASSWORD)
    assert User.objects.get().password == renewed
