"""Searches and exports of one user do not slow down claims, on a real web server and rule by rule."""

import http.client
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection

from accounts.models import User
from accounts.tokens import issue_pair
from dev.race import scratch_database, web_server
from wallet.actions import issue_assets
from wallet.assets.bulk_insert import AssetTemplate, TemplatedAsset
from wallet.assets.models import CreditPool

pytestmark = pytest.mark.django_db(transaction=True)

TITLES = 50_000
SEARCHERS, DOWNLOADS, CLAIMERS, CLAIMS_EACH = 24, 24, 4, 10
REPORT = "/api/v1/reports/ownership/?format=csv"


@dataclass
class Titles:
    """Credits that are all alike but for their titles; may be iterated any number of times."""

    template: AssetTemplate

    def __iter__(self) -> Iterator[TemplatedAsset]:
        return (TemplatedAsset(self.template, f"Credit of {uuid4().hex}") for _ in range(TITLES))


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool]) -> CreditPool:
    """A pool of credits of which no two have the same title."""
    made = open_pool()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    issue_assets.issue_assets(
        Titles(AssetTemplate(issue_assets.build_asset(None, title="One", total_value=Decimal(1), pool=made)))
    )
    connection.close()
    return made


@pytest.fixture
def server(pool: CreditPool) -> Iterator[web_server.Web]:
    """The product's web workers on this test's database, with the product's own limits but for the rates."""
    own = {
        "DATABASE_URL": scratch_database.database_url(connection.settings_dict),
        "DATABASE_POOL": "8",
        "LOG_LEVEL": "CRITICAL",
    }
    rates = dict.fromkeys(("RATE_CLAIM", "RATE_SEARCH", "RATE_EXPORT"), "off")
    with web_server.web_server(
        dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "cashback.settings"} | own | rates, "--preload"
    ) as serving:
        yield serving


@dataclass
class Attack:
    """Searches by one user who never pauses, and downloads by an operator who reads nothing of them."""

    port: int
    searcher: str
    operator: str
    over: threading.Event = field(default_factory=threading.Event)
    answers: Counter[int] = field(default_factory=Counter)

    def __enter__(self) -> "Attack":
        self.open = ExitStack()
        self.stalled = [self.open.enter_context(self.download()) for _ in range(DOWNLOADS)]
        self.threads = [threading.Thread(target=self.search) for _ in range(SEARCHERS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.open.close()

    def download(self) -> socket.socket:
        """Ask for the report and read nothing."""
        asked = socket.socket()
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        asked.settimeout(30)
        asked.connect((web_server.HOST, self.port))
        asked.sendall(
            f"GET {REPORT} HTTP/1.1\r\nHost: {web_server.HOST}\r\nAuthorization: Bearer {self.operator}\r\n\r\n".encode()
        )
        return asked

    def search(self) -> None:
        """Search for what no title holds, again and again."""
        client = http.client.HTTPConnection(web_server.HOST, self.port, timeout=60)
        while not self.over.is_set():
            client.request("GET", "/api/v1/assets/?search=zanzibar", headers={"Authorization": f"Bearer {self.searcher}"})
            answer = client.getresponse()
            answer.read()
            self.answers[answer.status] += 1
            if answer.status == 503:
                assert answer.headers["Retry-After"]
                self.over.wait(0.2)
        client.close()


def claims(port: int, pool: CreditPool, tokens: list[str]) -> Counter[int]:
    """Claim with so many people at once and return how each request was answered, without asking a second time."""
    answers: Counter[int] = Counter()

    def claim(token: str) -> None:
        client = http.client.HTTPConnection(web_server.HOST, port, timeout=60)
        for _ in range(CLAIMS_EACH):
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}
            client.request("POST", f"/api/v1/pools/{pool.pk}/claim/", headers=headers)
            answer = client.getresponse()
            answer.read()
            answers[answer.status] += 1
        client.close()

    threads = [threading.Thread(target=claim, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def sessions_at_work() -> list[str]:
    """Return what the sessions of other processes are doing in this database."""
    query = """
        SELECT left(query, 60) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'
    """
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [text for (text,) in cursor.fetchall()]


def wait_until_rested() -> list[str]:
    """Wait until no session works, at most so long, and return those that do all the same."""
    deadline = time.monotonic() + 20
    while (working := sessions_at_work()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return working


def test_claims_are_all_made_while_one_user_searches_and_another_reads_nothing(
    server: web_server.Web, pool: CreditPool, alice: User, ada: User, make_users: Callable[[int], list[User]]
) -> None:
    tokens = [issue_pair(user).access for user in make_users(CLAIMERS)]

    with Attack(server.port, issue_pair(alice).access, issue_pair(ada).access) as attack:
        time.sleep(2)
        answers = claims(server.port, pool, tokens)
        deadline = time.monotonic() + 20
        while not attack.answers[200] and time.monotonic() < deadline:
            time.sleep(0.1)

    assert answers == {201: CLAIMERS * CLAIMS_EACH}
    assert set(attack.answers) <= {200, 503}
    assert attack.answers[200] > 0


def test_unread_download_holds_no_database_session(server: web_server.Web, ada: User) -> None:
    token = issue_pair(ada).access

    with ExitStack() as stack:
        attack = Attack(server.port, token, token)
        stalled = [stack.enter_context(attack.download()) for _ in range(DOWNLOADS)]
        begun = [each.recv(12) for each in stalled]
        working = wait_until_rested()

        assert working == []
        assert Counter(begun)[b"HTTP/1.1 200"] >= 1
        assert set(begun) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}


def test_a_download_comes_whole_with_every_line(server: web_server.Web, ada: User) -> None:
    client = http.client.HTTPConnection(web_server.HOST, server.port, timeout=60)
    client.request("GET", REPORT, headers={"Authorization": f"Bearer {issue_pair(ada).access}"})
    answer = client.getresponse()

    assert (answer.status, answer.read().count(b"\n")) == (200, 1 + TITLES)
    client.close()
