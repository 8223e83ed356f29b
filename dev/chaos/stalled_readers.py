"""Stalled readers: continuous searches, and downloads that are not read, while clients claim."""

import contextlib
import http.client
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import uuid4

from django.db import connection

from accounts.models import Role, User
from accounts.tokens import issue_pair
from dev.chaos.experiment import Experiment, Outcome, RunningLoad, under_load
from dev.chaos.load import Load
from dev.chaos.redis_faults import environment_with
from dev.race import web_server
from wallet.actions import issue_assets
from wallet.assets.bulk_insert import AssetTemplate, TemplatedAsset
from wallet.verification.checker import Violation

SEARCHERS, DOWNLOADS = 24, 16
TITLES, TITLES_PER_SECOND = 300_000, 12_500  # a short run makes fewer: so many for each of its seconds
SEARCH, REPORT = "/api/v1/assets/?search=zanzibar", "/api/v1/reports/ownership/?format=csv"
LEAST_RATIO = 0.7
REFUSED_SECONDS = 3.0  # as long as the answer says
ENOUGH_SECONDS = 10.0  # of claims with the readers and as many without: fewer are the luck of a moment
SPANS = 5  # two without readers, two with them, and one with a flood
# The product's own limit. What the limits are for is shown by a run with
# PROVE_RATE_SEARCH=off SEARCHES_AT_ONCE=24 SEARCH_SHARE=1 EXPORT_SHARE=1.
RATE_SEARCH = os.environ.get("PROVE_RATE_SEARCH", "60/m")


@dataclass(frozen=True)
class Titles:
    """Credits without a pool that differ in their titles; iterable any number of times."""

    template: AssetTemplate
    number: int

    def __iter__(self) -> Iterator[TemplatedAsset]:
        return (TemplatedAsset(self.template, f"Credit of {uuid4().hex}") for _ in range(self.number))


@dataclass
class Readers:
    """The readers of one web; a context manager.

    `answers` counts the searches' statuses, `begun` the downloads of which the first byte came. The searchers of a flood ask
    again at once when they are refused, and nothing is downloaded.
    """

    port: int
    searcher: str
    operator: str
    is_flood: bool = False
    over: threading.Event = field(default_factory=threading.Event)
    answers: Counter[int] = field(default_factory=Counter)
    begun: int = 0

    def __enter__(self) -> "Readers":
        self.sockets = contextlib.ExitStack()
        self.threads = [threading.Thread(target=self.search) for _ in range(SEARCHERS)]
        self.threads += [threading.Thread(target=self.stall) for _ in range(0 if self.is_flood else DOWNLOADS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def search(self) -> None:
        """Search for what no title holds; who is refused waits as long as the answer says, but in a flood."""
        client = http.client.HTTPConnection(web_server.HOST, self.port, timeout=web_server.ANSWER_SECONDS)
        while not self.over.is_set():
            client.request("GET", SEARCH, headers={"Authorization": f"Bearer {self.searcher}"})
            answer = client.getresponse()
            answer.read()
            self.answers[answer.status] += 1
            if answer.status != 200 and not self.is_flood:
                self.over.wait(float(answer.headers["Retry-After"]))
        client.close()

    def stall(self) -> None:
        """Ask for the file until it comes, and read nothing but its first bytes; who is refused asks again later."""
        while not self.over.is_set():
            with socket.socket() as asked:
                asked.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                asked.settimeout(web_server.ANSWER_SECONDS)
                asked.connect((web_server.HOST, self.port))
                lines = (f"GET {REPORT} HTTP/1.1", f"Host: {web_server.HOST}", f"Authorization: Bearer {self.operator}", "", "")
                asked.sendall("\r\n".join(lines).encode())
                if b" 200 " in asked.recv(64):
                    self.begun += 1
                    self.over.wait()
            self.over.wait(REFUSED_SECONDS)


def stall_readers(experiment: Experiment) -> Outcome:
    """T27: claims go on at 0.7 of their speed while one user searches and an operator's downloads stand still."""
    spans: dict[str, list[float]] = {"without": [], "with": []}
    answers, flood = Counter[int](), Counter[int]()

    def inject(load: RunningLoad) -> int:
        insert_titles(int(min(TITLES, TITLES_PER_SECOND * experiment.seconds)))
        searcher, operator = reader_tokens()
        step = experiment.seconds / SPANS
        time.sleep(min(1.0, step))  # for warming up
        begun = 0
        for _ in range(2):
            spans["without"].append(claim_speed(load.clients, step))
            with Readers(load.web.port, searcher, operator) as readers:
                spans["with"].append(claim_speed(load.clients, step))
            answers.update(readers.answers)
            begun += readers.begun
        with Readers(load.web.port, searcher, operator, is_flood=True) as readers:
            spans["flood"] = [claim_speed(load.clients, step)]
        flood.update(readers.answers)
        return begun + answers[200]

    with environment_with(RATE_SEARCH=RATE_SEARCH):
        outcome = under_load(experiment, inject)
    return compare_claim_speed(outcome, spans, answers, flood, experiment.seconds)


def compare_claim_speed(
    outcome: Outcome, spans: dict[str, list[float]], answers: Counter[int], flood: Counter[int], seconds: float
) -> Outcome:
    """Add what the readers cost the claims, when enough of them tell.

    A flood is not judged: each of its refusals costs the web about what any request does.
    """
    without, beside = (sum(spans[name]) / len(spans[name]) for name in ("without", "with"))
    told = ", ".join(f"{number} answered {status}" for status, number in sorted(answers.items()))
    ratio = beside / without
    refusals = (sum(flood.values()) - flood[200]) * SPANS / seconds
    note = (
        f"{beside:,.0f} claims a second beside the readers, {without:,.0f} without ({ratio:.2f}); searches: {told};"
        f" {spans['flood'][0]:,.0f} claims a second beside {refusals:,.0f} refusals a second of searchers who do not wait"
    )
    if 2 * seconds / SPANS < ENOUGH_SECONDS:
        return outcome.with_note(f"{note}; too few seconds to judge the speed")
    if ratio < LEAST_RATIO:
        outcome.violations.append(Violation("time", f"claims fell below {LEAST_RATIO} of their speed"))
    return outcome.with_note(note)


def claim_speed(load: Load, seconds: float) -> float:
    """Let clients claim for some seconds and return how many claims a second they made."""
    before, begun = load.claims(), time.monotonic()
    time.sleep(seconds)
    return (load.claims() - before) / (time.monotonic() - begun)


def insert_titles(number: int) -> None:
    """Issue credits with so many titles, and have PostgreSQL know of them as it would a minute later."""
    issue_assets.issue_assets(
        Titles(AssetTemplate(issue_assets.build_asset(None, title="One", total_value=Decimal(1), currency="INR")), number)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) assets_cashbackasset")


def reader_tokens() -> tuple[str, str]:
    """Return the tokens of a user who searches and of an operator who takes files."""
    searcher = User.objects.create(email="searcher@example.com")
    operator = User.objects.create(email="operator@example.com", role=Role.ADMIN)
    return issue_pair(searcher).access, issue_pair(operator).access
