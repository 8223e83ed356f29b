"""Load by sign-ins: many at once, with right and wrong passwords, while clients claim."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from accounts.models import User
from dev.chaos.experiment import (
    CLIENTS,
    Experiment,
    Outcome,
    create_people,
    fresh_database,
    judge_run,
    running_web,
    web_environment,
)
from dev.chaos.load import Load
from dev.race import web_server
from wallet.verification.checker import Violation
from wallet.verification.claim_log import Attempt

SIGN_IN_CLIENTS, AT_ONCE = 32, 24
LEAST_SHARE = 0.7  # of the claims that are made without sign-ins
WARM_SECONDS, ROUND_SECONDS, JUDGED_ROUNDS = 1.0, 6.0, 3
EMAIL, PASSWORD = "member@example.com", "a long enough passphrase"  # noqa: S105  (a test user)
EXPECTED = {PASSWORD: {200, 503}, "a wrong passphrase": {401, 503}}
Span = tuple[float, float]


@dataclass(frozen=True)
class SignIn:
    """One sign-in and its answer. `started` and `ended` are seconds since the epoch."""

    password: str
    started: float
    ended: float
    status: int


def hash_under_claims(experiment: Experiment) -> Outcome:
    """T26: clients claim alternately alone and beside 32 clients that sign in repeatedly, without rate limits."""
    fresh_database(experiment)
    fixture = create_people(experiment)
    User.objects.create_user(EMAIL, PASSWORD)
    rounds = max(1, int(experiment.seconds // ROUND_SECONDS))
    seconds = experiment.seconds / rounds / 2
    alone, beside, sign_ins = list[Span](), list[Span](), list[SignIn]()
    limits_off = dict.fromkeys(("RATE_SIGN_IN", "RATE_WRONG_PASSWORD"), "off")
    with running_web(web_environment(**limits_off), None) as (_, port):
        with Load(fixture, partial(web_server.HttpTransport, port), CLIENTS, experiment.seed) as load:
            sign_in_burst(port, WARM_SECONDS)  # each web process starts its hashing processes
            for _ in range(rounds):
                begun = time.time()
                sign_ins += sign_in_burst(port, seconds)
                alone.append((begun, time.time()))
                sign_ins += sign_in_burst(port, seconds)
                beside.append((alone[-1][1], time.time()))
    before, during = claims_per_second(load.log, alone), claims_per_second(load.log, beside)
    found = find_wrong_responses(sign_ins)
    if rounds >= JUDGED_ROUNDS and during < LEAST_SHARE * before:
        found.append(Violation("time", f"{during:,.0f} claims/s beside sign-ins, {before:,.0f} without"))
    checked = sum(sign_in.status != 503 for sign_in in sign_ins)
    note = (
        f"{before:,.0f} claims/s alone, {during:,.0f} beside {most_at_once(sign_ins)} sign-ins at once: {checked} passwords"
        f" checked, {len(sign_ins) - checked} answered 503, the slowest after {slowest_sign_in(sign_ins):.1f} s"
    )
    return judge_run(load.log, fixture, checked, experiment.least, note=note, more=found)


def sign_in_burst(port: int, seconds: float) -> list[SignIn]:
    """Sign in from all clients at the same time and repeatedly for some seconds; return every sign-in."""
    barrier, deadline = threading.Barrier(SIGN_IN_CLIENTS), time.time() + seconds

    def client(number: int) -> list[SignIn]:
        password = list(EXPECTED)[number % len(EXPECTED)]
        barrier.wait(seconds)
        return list(sign_in_until(port, password, deadline))

    with ThreadPoolExecutor(SIGN_IN_CLIENTS) as clients:
        return [sign_in for made in clients.map(client, range(SIGN_IN_CLIENTS)) for sign_in in made]


def sign_in_until(port: int, password: str, deadline: float) -> Iterator[SignIn]:
    """Sign in until the deadline, over one connection, waiting after a 503 as its Retry-After says."""
    connection = http.client.HTTPConnection(web_server.HOST, port, timeout=web_server.ANSWER_SECONDS)
    body = json.dumps({"email": EMAIL, "password": password})
    while (started := time.time()) < deadline:
        connection.request("POST", "/api/v1/auth/token/", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        yield SignIn(password, started, time.time(), answer.status)
        time.sleep(max(0.0, min(float(answer.headers.get("Retry-After", 0)), deadline - time.time())))
    connection.close()


def find_wrong_responses(sign_ins: list[SignIn]) -> list[Violation]:
    """Return violations for sign-ins with a wrong status, and for too few of them at once."""
    wrong = Counter(sign_in.status for sign_in in sign_ins if sign_in.status not in EXPECTED[sign_in.password])
    found = [Violation("count", f"{count} sign-ins were answered {status}") for status, count in wrong.items()]
    if most_at_once(sign_ins) < AT_ONCE:
        found.append(Violation("count", f"only {most_at_once(sign_ins)} sign-ins were in flight at once"))
    return found


def claims_per_second(log: list[Attempt], spans: list[Span]) -> float:
    """Return how many claims a second were made within the spans."""
    made = [attempt.ended for attempt in log if attempt.outcome == "ok"]
    within = sum(begun <= ended < over for ended in made for begun, over in spans)
    return within / sum(over - begun for begun, over in spans)


def most_at_once(sign_ins: list[SignIn]) -> int:
    """Return the largest number of sign-ins that were in flight at the same time."""
    changes = sorted([(sign_in.started, 1) for sign_in in sign_ins] + [(sign_in.ended, -1) for sign_in in sign_ins])
    return max(accumulate(change for _, change in changes), default=0)


def slowest_sign_in(sign_ins: list[SignIn]) -> float:
    """Return how many seconds the slowest answer took."""
    return max((sign_in.ended - sign_in.started for sign_in in sign_ins), default=0.0)
