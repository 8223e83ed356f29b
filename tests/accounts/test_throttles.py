"""Rate limits and their identities."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections
from django.test import Client, RequestFactory
from django.utils import translation
from django_redis import get_redis_connection
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIRequestFactory

from accounts import throttles
from accounts.models import User
from accounts.throttles import ClaimThrottle
from kernel import rate_limits
from kernel.client_address import client_identity, client_ip
from kernel.rate_limits import RateLimited, format_wait
from tests.accounts.conftest import Send
from tests.concurrency import at_once
from tests.conftest import PASSWORD

# Counting gives the thread's database connection back, if there is one.
pytestmark = pytest.mark.django_db
LONG = {"claim": "5/d", "sign_in": "5/d", "wrong_password": "7/d", "register": "10/d"}  # a window that no test sees the end of


@pytest.fixture(autouse=True)
def _long_windows(settings: Settings) -> None:
    settings.RATES = LONG


@pytest.fixture
def _dead_store(settings: Settings, tmp_path: Path) -> None:
    """Redis is down: its address is a socket without a listener."""
    unreachable = {"LOCATION": f"unix://{tmp_path}/none.sock"}
    settings.CACHES = django_settings.CACHES | {
        name: django_settings.CACHES[name] | unreachable for name in ("default", "counts")
    }


@pytest.fixture
def _no_store(settings: Settings) -> None:
    """There never was a Redis."""
    memory = django_settings.CACHES["local"] | {"LOCATION": "default"}
    settings.CACHES = django_settings.CACHES | {"default": memory, "counts": memory}


def allowed(action: str, tries: int, identity: str) -> int:
    """Return how many of so many tries were let through."""
    return sum(rate_limits.seconds_to_wait(action, identity) == 0 for _ in range(tries))


# --- Identities -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "ip"),
    [
        (0, None, "192.0.2.1"),
        (0, "203.0.113.9", "192.0.2.1"),
        (1, None, "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "203.0.113.9", "unknown"),
        (1, "6.6.6.6, rubbish", "unknown"),
        (1, "", "192.0.2.1"),
        (1, "6.6.6.6,", "unknown"),
        (1, "6.6.6.6, ,203.0.113.9", "203.0.113.9"),
        (1, "," * 5000, "unknown"),
        (1, "\x00\r\n", "unknown"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "fe80::1%eth0", "fe80::1"),
        (9, "1.1.1.1,2.2.2.2", "unknown"),
        # With ports, as Azure and AWS can send them, and as RFC 7239 writes nodes.
        (1, "203.0.113.9:11000", "203.0.113.9"),
        (1, "6.6.6.6:1, 203.0.113.9:11000", "203.0.113.9"),
        (2, "203.0.113.9:11000, 10.0.0.2:443", "203.0.113.9"),
        (1, "203.0.113.9:_port", "203.0.113.9"),
        (1, '"203.0.113.9:11000"', "203.0.113.9"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "[2001:db8::1]:11000", "2001:db8::1"),
        (1, '"[2001:db8::1]:11000"', "2001:db8::1"),
        (1, "2001:db8:0:0:0:0:0:1:11000", "2001:db8::1"),
        (1, "[::ffff:203.0.113.9]:11000", "203.0.113.9"),
        (1, "[fe80::1%25eth0]:11000", "fe80::1"),
        (1, '6.6.6.6, "7.7.7.7, 203.0.113.9', "203.0.113.9"),  # a client's open quote hides nothing
        # What no address can be read from.
        (1, "unknown", "unknown"),
        (1, "127.0.0.1, unknown", "unknown"),
        (1, "unix:", "unknown"),
        (1, "_hidden", "_hidden"),
        (1, '"_SEVKISEK"', "_SEVKISEK"),
        (1, "_a b", "unknown"),
        (1, "203.0.113.9:99999999", "unknown"),
        (1, "203.0.113.9:", "unknown"),
        (1, "203.0.113.009", "unknown"),
        (1, "٢٠٣.0.113.9", "unknown"),
        (1, "[127.0.0.1]x", "unknown"),
        (1, "[2001:db8::1", "unknown"),
        (1, "localhost", "unknown"),
        (1, "for=127.0.0.1", "unknown"),
    ],
)
def test_only_trusted_proxies_determine_the_client_address(
    settings: Settings, proxies: int, forwarded: str | None, ip: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    header: dict[str, Any] = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}

    assert client_ip(RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", **header)) == ip


def test_a_peer_without_an_address_is_counted_as_one() -> None:
    assert client_identity(RequestFactory().get("/", REMOTE_ADDR="")) == "ip:unknown"


@pytest.mark.parametrize("forwarded", ["unknown", "_hidden", "rubbish", "127.0.0.1, ", "203.0.113.9:x"])
def test_what_a_proxy_cannot_name_is_never_the_proxy_itself(settings: Settings, forwarded: str) -> None:
    settings.TRUSTED_PROXIES = 1
    through_proxy = RequestFactory().get("/", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)

    assert client_identity(through_proxy) in ("ip:unknown", "ip:_hidden")
    assert client_identity(through_proxy) != client_identity(RequestFactory().get("/", REMOTE_ADDR="127.0.0.1"))


def test_clients_behind_a_proxy_that_sends_ports_are_counted_apart(client: Client, db: None, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1

    def sign_in(address: str) -> int:
        body = {"email": f"{address.partition(':')[0]}@example.com", "password": "wrong password"}
        headers = {"HTTP_X_FORWARDED_FOR": address}
        return client.post("/api/v1/auth/token/", body, "application/json", **headers).status_code  # type: ignore[arg-type]

    one = [sign_in(f"203.0.113.1:{port}") for port in range(11000, 11006)]

    assert one == [401] * 5 + [429]
    assert sign_in("203.0.113.2:11000") == 401


def test_ipv6_network_of_a_household_is_one_identity() -> None:
    first, second, other = (
        client_identity(RequestFactory().get("/", REMOTE_ADDR=ip)) for ip in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    )

    assert first == second == "ip:2001:db8::/64"
    assert other != first


def test_an_email_is_counted_however_it_is_typed_and_never_stored() -> None:
    identity = throttles.email_identity(" Alice@Example.com ")

    assert identity == throttles.email_identity("alice@example.com")
    assert "alice" not in identity
    assert throttles.email_identity("\ud800")


# --- How often ---------------------------------------------------------------------------------------------------------


def test_five_are_allowed_and_others_are_not_touched(db: None) -> None:
    assert allowed("sign_in", 8, "email:a") == 5
    assert allowed("sign_in", 8, "email:b") == 5
    assert allowed("claim", 8, "email:a") == 5


def test_off_disables_a_limit(settings: Settings) -> None:
    settings.RATES = LONG | {"claim": "off"}

    assert allowed("claim", 50, "user:x") == 50


def test_the_refusal_says_when_to_come_back() -> None:
    allowed("sign_in", 5, "email:a")

    with pytest.raises(RateLimited) as refused:
        throttles.check_rate("sign_in", "email:b", "email:a")

    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 86_400
    assert refused.value.message == f"Too many attempts. Please wait {refused.value.retry_after} seconds, then try again."


@pytest.mark.parametrize(
    ("seconds", "english", "hindi"),
    [
        (1, "1 second", "1 सेकंड"),
        (120, "120 seconds", "120 सेकंड"),
        (121, "3 minutes", "3 मिनट"),
        (3_541, "60 minutes", "60 मिनट"),
        (7_201, "3 hours", "3 घंटे"),
        (86_400, "24 hours", "24 घंटे"),
    ],
)
def test_wait_is_formatted_in_words_and_rounded_up(seconds: int, english: str, hindi: str) -> None:
    said = []
    for language in ("en", "hi"):
        with translation.override(language):
            said.append(format_wait(seconds))

    assert said == [english, hindi]


def test_a_claim_is_counted_per_user_whatever_their_address(
    alice: User, bob: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def claims(user: User, times: int) -> int:
        request: Any = APIRequestFactory().post("/")
        request.user = user
        return sum(claimed(request) for _ in range(times))

    def claimed(request: Any) -> bool:
        try:
            return ClaimThrottle().allow_request(request, None)
        except RateLimited:
            return False

    with django_assert_num_queries(0):
        assert (claims(alice, 7), claims(bob, 7)) == (5, 5)


def test_json_and_the_page_fill_one_bucket(post: Send, client: Client, alice: User) -> None:
    form = {"username": "Alice@example.com", "password": "wrong"}
    statuses = [client.post("/sign-in/", form).status_code for _ in range(3)]
    statuses += [post("token/", {"email": alice.email, "password": "wrong"}).status_code for _ in range(2)]

    assert statuses == [200, 200, 200, 401, 401]
    assert post("token/", {"email": alice.email, "password": PASSWORD}).status_code == 429
    assert client.post("/sign-in/", form | {"password": PASSWORD}).status_code == 429


def test_a_forged_header_buys_no_further_try(post: Send, alice: User) -> None:
    for n in range(5):
        post("token/", {"email": f"{n}@example.com", "password": "wrong"}, None, **{"X-Forwarded-For": f"6.6.6.{n}"})

    sixth = post("token/", {"email": alice.email, "password": PASSWORD}, None, **{"X-Forwarded-For": "6.6.6.6"})

    assert sixth.status_code == 429


def test_many_threads_at_once_get_five(db: None) -> None:
    outcomes = at_once(lambda _: rate_limits.seconds_to_wait("sign_in", "email:a"), range(12))

    assert sum(outcome == 0 for outcome in outcomes) == 5


def test_eight_processes_at_once_get_five() -> None:
    context = get_context("fork")
    barrier, results = context.Barrier(8), context.SimpleQueue()
    identity = f"email:{uuid4()}"  # this process may count nothing, and then it forgets nothing

    def ask() -> None:
        del connections["default"]  # the parent's, if it has one
        barrier.wait(30)
        results.put((os.getpid(), allowed("sign_in", 3, identity)))

    processes = [context.Process(target=ask) for _ in range(8)]
    for process in processes:
        process.start()
    answers = [results.get() for _ in processes]
    for process in processes:
        process.join()

    assert len({pid for pid, _ in answers}) == 8
    assert sum(count for _, count in answers) == 5


# --- Without Redis -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_dead_store")
def test_without_its_store_signing_in_is_open_a_little_and_claims_are_open(caplog: pytest.LogCaptureFixture) -> None:
    assert allowed("sign_in", 8, "email:a") == 5
    assert allowed("register", 8, "ip:192.0.2.1") == 5
    assert allowed("claim", 50, "user:x") == 50
    assert "Redis does not count" in caplog.text


@pytest.mark.usefixtures("_dead_store")
def test_users_sign_in_without_redis(post: Send, alice: User) -> None:
    tries = [post("token/", {"email": alice.email, "password": PASSWORD}).status_code for _ in range(6)]

    assert tries == [200] * 5 + [429]


@pytest.mark.usefixtures("_no_store")
def test_where_there_is_no_redis_limits_hold_in_this_process() -> None:
    assert allowed("sign_in", 8, "email:a") == 5
    assert allowed("claim", 8, "user:x") == 5


@contextmanager
def emptied_all_the_time() -> Iterator[None]:
    """Another client flushes the counters repeatedly."""
    over = threading.Event()

    def empty() -> None:
        while not over.is_set():
            caches["counts"].clear()

    emptier = threading.Thread(target=empty)
    emptier.start()
    try:
        yield
    finally:
        over.set()
        emptier.join()


class EmptiedInBetween(LocMemCache):
    """A process's memory that held a count a moment ago, and is emptied before it counts up."""

    def add(self, *args: Any, **options: Any) -> bool:
        self.clear()
        return False


def test_flush_during_a_count_refuses_no_request(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    memory = {"BACKEND": f"{__name__}.EmptiedInBetween", "LOCATION": "emptied"}
    settings.CACHES = django_settings.CACHES | {"counts": memory}

    assert rate_limits.seconds_to_wait("claim", "user:1") == 0
    assert "does not count" in caplog.text


def test_redis_has_no_middle_of_a_count(caplog: pytest.LogCaptureFixture) -> None:
    with emptied_all_the_time():
        for _ in range(500):
            rate_limits.seconds_to_wait("claim", "user:1")

    assert "does not count" not in caplog.text
    caches["counts"].clear()
    rate_limits.seconds_to_wait("claim", "user:1")
    assert all(get_redis_connection().ttl(key) > 0 for key in get_redis_connection().keys("*"))


def test_a_try_is_one_question_to_redis() -> None:
    redis = get_redis_connection()
    rate_limits.seconds_to_wait("claim", "user:1")
    before = redis.info("commandstats")

    rate_limits.seconds_to_wait("claim", "user:1")

    after = redis.info("commandstats")
    asked = {name for name in after if after[name]["calls"] > before.get(name, {"calls": 0})["calls"]}
    assert asked == {"cmdstat_multi", "cmdstat_set", "cmdstat_incrby", "cmdstat_exec", "cmdstat_info"}
