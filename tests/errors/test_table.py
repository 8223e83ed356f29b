"""The one table from refusals to HTTP."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import accounts
import wallet
from cashback.http.problem_details import STATUS, problem_for, status_of
from kernel.rate_limits import RateLimited
from kernel.refusals import Refusal
from wallet.actions.claim_decisions import AllInFlight

CONTRACT = {
    400: {"idempotency_key_required", "file_changed", "file_empty", "file_refused", "too_many_rows"},
    401: {"bad_credentials", "token_not_valid", "token_reused"},
    404: {"not_found"},
    409: {
        "asset_already_claimed",
        "asset_expired",
        "asset_not_available",
        "asset_not_expired",
        "already_recreated",
        "pool_sold_out",
        "pool_closed",
        "claim_limit_reached",
        "request_in_progress",
        "email_taken",
        "not_sealed_yet",
    },
    422: {"idempotency_key_reused"},
    429: {"rate_limited"},
    503: {"busy"},
}


# What only the shell runs answers by its exit code.
SHELL = ("dev.race", "dev.bench", "wallet.management")


def children(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for child in kind.__subclasses__():
        yield child
        yield from children(child)


def every_refusal() -> list[type[Refusal]]:
    """Every kind of refusal that can reach HTTP."""
    ours = (kind for kind in children(Refusal) if kind.__module__.startswith(("accounts.", "wallet.")))
    return [kind for kind in ours if not kind.__module__.startswith(SHELL)]


@pytest.fixture(scope="module", autouse=True)
def _everything_is_loaded() -> None:
    for house in (accounts, wallet):
        for module in pkgutil.walk_packages(house.__path__, f"{house.__name__}."):
            if ".migrations" not in module.name and not module.name.startswith(SHELL):
                importlib.import_module(module.name)


def test_every_refusal_has_its_status() -> None:
    missing = [kind for kind in every_refusal() if not any(parent in STATUS for parent in kind.__mro__)]

    assert missing == []


def test_the_table_says_what_the_contract_says() -> None:
    said: dict[int, set[str]] = {}
    for kind in every_refusal():
        said.setdefault(status_of(kind), set()).add(kind.code)

    assert said == CONTRACT


def test_every_refusal_tells_a_person_what_to_do() -> None:
    for kind in every_refusal():
        assert kind.detail.endswith("."), kind


def test_a_kind_of_busy_is_busy_in_its_own_words() -> None:
    found = problem_for(AllInFlight())

    assert found is not None
    assert (found.status, found.code, found.headers["Retry-After"]) == (503, "busy", "1")
    assert found.detail == AllInFlight.detail


def test_a_wait_is_told_in_seconds() -> None:
    found = problem_for(RateLimited(42))

    assert found is not None
    assert (found.status, found.headers) == (429, {"Retry-After": "42"})


def test_what_is_ours_alone_is_no_problem_of_theirs() -> None:
    assert problem_for(ZeroDivisionError()) is None
