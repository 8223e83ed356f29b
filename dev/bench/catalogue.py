"""The catalogue of measurements."""

from collections.abc import Callable
from dataclasses import dataclass

from dev.bench import (
    claims_http,
    grants,
    growth,
    hosts,
    issue,
    lapses,
    large_ledger,
    large_tables,
    lists,
    ownership_export,
    payments,
    profile,
    sweep,
    upgrade,
    verify,
    webhooks,
)
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure


@dataclass(frozen=True)
class Bench:
    """One measurement: its description, with the yardstick, and its function."""

    what: str
    run: Callable[[BenchEnvironment], list[Figure]]


BENCHES = {
    "claims": Bench(
        "claims of distinct credits over HTTP, beside pgbench and beside the code before", claims_http.bench_claims
    ),
    "pool": Bench("claims of any credit of one hot pool over HTTP, beside pgbench", claims_http.bench_hot_pool),
    "stampede": Bench("500 users at one credit, beside as many requests of GET auth/me/", claims_http.bench_stampede),
    "steps": Bench("the CPU that a claim costs in Python, step by step, beside the code before", claims_http.bench_steps),
    "profile": Bench("the profile of one claim: its CPU in Python by part, beside the code before", profile.bench_profile),
    "large": Bench(
        "claims over HTTP on 5,000,000 assets and 2,000,000 entries, beside 10,000 and 4,000", large_tables.bench_large_tables
    ),
    "lists": Bench(
        "lists and pages over HTTP on 5,000,000 assets and 2,000,000 entries, beside 10,000 and 4,000", lists.bench_lists
    ),
    "sweep": Bench(
        "the sweep of a million due credits beside one of 10,000, and claims during a sweep beside claims alone",
        sweep.bench_sweep,
    ),
    "ownership": Bench(
        "the ownership report of a million credits as a file over HTTP, beside COPY TO", ownership_export.bench_ownership
    ),
    "issue": Bench("a million credits issued from a file by command, beside one raw COPY of the same rows", issue.bench_issue),
    "payments": Bench(
        "payments of one credit and of five over HTTP, beside pgbench; holds with captures; one hot wallet; one service",
        payments.bench_payments,
    ),
    "ledger": Bench("payments over HTTP with 5,000,000 lots in the tables, beside 5,000", large_ledger.bench_large_ledger),
    "grants": Bench("a million grants from a file by command, beside single claims by pgbench", grants.bench_grants),
    "lapses": Bench(
        "a million ended credits lapse: rows a second, and claims and payments beside the sweep", lapses.bench_lapses
    ),
    "upgrade": Bench(
        "claims while the lots of 2,000,000 earlier claims are opened, beside claims alone", upgrade.bench_upgrade
    ),
    "hosts": Bench(
        "the CPU that a claim costs PostgreSQL with one, two and four web processes at the same load", hosts.bench_hosts
    ),
    "growth": Bench(
        "bytes of a credit, a claim and a payment on disk, and 7,000,000 old idempotency keys forgotten", growth.bench_growth
    ),
    "webhooks": Bench(
        "webhook events a second to one receiver, beside bare requests with the same bodies", webhooks.bench_webhooks
    ),
    "verify": Bench(
        "verify_ledger on a million entries and a million movements: time and memory, beside their limits", verify.bench_verify
    ),
}
