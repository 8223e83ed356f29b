"""Response times of lists on large tables, beside the same lists on small ones; over HTTP, one client, one connection."""

import contextlib
import http.client
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from accounts.models import Role
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.bench.tables import LARGE, QUICK_LARGE, SMALL, Tables, access_token, session
from dev.chaos.experiment import web_environment
from dev.race import web_server
from wallet.actions import seal_ledger

PAGES, QUICK_PAGES = 10_000, 100
REQUESTS = 30  # per list and round; the median counts
MAX_RATIO = 1.5
# The users: an ordinary one, one with many entries, and an ADMIN.
ORDINARY, HEAVY, ADMIN = "person2@example.com", "person0@example.com", "person1@example.com"
LISTS = {
    "assets, page 1": "assets/",
    "assets, page 1, as an ADMIN": "assets/",
    "assets on offer, soonest expiry first": "assets/?status=AVAILABLE&ordering=expires_at",
    "assets on offer, most valuable first": "assets/?status=AVAILABLE&ordering=-total_value",
    "assets of a user with many": "assets/?mine=true",
    "search for a word that few titles hold": "assets/?search=platinum",
    "search for a word that many titles hold": "assets/?search=diwali",
    "search for a word that no title holds": "assets/?search=zanzibar",
    "claims, page 1, of a user with many entries": "claims/",
    "claims, page 1, as an ADMIN": "claims/",
    "wallet of a user with many entries": "wallet/",
    "pools with their available credits": "pools/",
    "summary of the supply, as an ADMIN": "reports/summary/",
    "the landing page, signed out": "/",
    "the page of offers": "/offers/",
    "payments of a user with many payments": "payments/",
    "the wallet page of a user with many entries": "/dashboard/",
}


@dataclass(frozen=True, eq=False)
class Client:
    """A client of one server, with one keep-alive connection per list; pages with a session, the API with a token."""

    port: int
    tokens: dict[str, str]
    sessions: dict[str, str]

    def get(self, connection: http.client.HTTPConnection, path: str, user: str) -> bytes:
        """Return the body of a list, or of the page at a path from the root; raise RuntimeError unless it is 200."""
        if path.startswith("/"):
            cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={self.sessions[user]}"} if path != "/" else {}
            connection.request("GET", path, headers=cookie)
        else:
            connection.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Bearer {self.tokens[user]}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return body

    @contextmanager
    def connected(self) -> Iterator[http.client.HTTPConnection]:
        """Yield a connection."""
        connection = http.client.HTTPConnection(web_server.HOST, self.port, timeout=web_server.ANSWER_SECONDS)
        yield connection
        connection.close()

    def time(self, connection: http.client.HTTPConnection, path: str, user: str) -> float:
        """Return the time of one answer, in milliseconds."""
        started = time.perf_counter()
        self.get(connection, path, user)
        return 1000 * (time.perf_counter() - started)

    def nth_page(self, number: int) -> str:
        """Return the address of a page deep in the list of assets, found by following the links, a hundred rows at a time."""
        # Every fourth page of 25 begins with the same row as a page of a hundred.
        path = "assets/?page_size=100"
        with self.connected() as connection:
            for _ in range(number // 4):
                parts = urlsplit(json.loads(self.get(connection, path, ORDINARY))["next"])
                path = f"assets/?{parts.query}"
        return path.replace("page_size=100", "page_size=25")


def bench_lists(environment: BenchEnvironment) -> list[Figure]:
    """Request each list alternately on large and on small tables."""
    with contextlib.ExitStack() as stack:
        large = stack.enter_context(list_client(environment, "large", LARGE if not environment.quick else QUICK_LARGE))
        small = stack.enter_context(list_client(environment, "small", SMALL))
        figures = [compare_list(environment, name, {large: path, small: path}) for name, path in LISTS.items()]
        pages = environment.size(PAGES, QUICK_PAGES)
        deep = {large: large.nth_page(pages), small: small.nth_page(20)}
        figures.append(compare_list(environment, f"assets, page {pages:,} by cursor", deep))
    return figures


def compare_list(environment: BenchEnvironment, name: str, paths: dict[Client, str]) -> Figure:
    """Measure one list on large and on small tables, in milliseconds."""
    user = ADMIN if "ADMIN" in name else HEAVY if "many" in name.partition("user")[2] else ORDINARY
    rounds = []
    for number in range(environment.rounds):
        environment.report_progress(f"{name}, round {number + 1} of {environment.rounds}")
        large, small = median_times(paths, user)
        rounds.append((large, small))
    return Figure(name, MAX_RATIO, "less", rounds, "ms")


def median_times(paths: dict[Client, str], user: str) -> list[float]:
    """Return the median time of each client's list, requested alternately (A B, B A, …), request by request.

    A response takes some milliseconds, so that other load of the machine affects both sides alike. Thirty requests of one and
    then thirty of the other differed by half while their plans were equal.
    """
    taken: dict[Client, list[float]] = {client: [] for client in paths}
    with contextlib.ExitStack() as stack:
        requests = [(client, stack.enter_context(client.connected()), path) for client, path in paths.items()]
        for _ in range(1 + REQUESTS):
            for client, connection, path in requests:
                taken[client].append(client.time(connection, path, user))
            requests.reverse()
    return [statistics.median(times[1:]) for times in taken.values()]  # the first request warms up


@contextmanager
def list_client(environment: BenchEnvironment, name: str, tables: Tables) -> Iterator[Client]:
    """Serve a database with tables of these sizes to a client."""
    environment.report_progress(f"making {tables.assets:,} assets and {tables.entries:,} entries")
    environment.filled_database(name, tables)
    seal_ledger.seal_all()
    tokens = {ORDINARY: access_token(ORDINARY), HEAVY: access_token(HEAVY), ADMIN: access_token(ADMIN, Role.ADMIN)}
    with web_server.web_server(web_environment(), "--preload") as server:
        yield Client(server.port, tokens, {ORDINARY: session(ORDINARY), HEAVY: session(HEAVY)})
