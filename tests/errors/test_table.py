"""The mapping of refusals to HTTP."""

import gc
import importlib
import pkgutil
import re

import pytest
from django.test import Client

import accounts
import kernel
import wallet
from cashback.http import problem_details
from cashback.http.openapi_problems import status_by_code
from cashback.http.problem_details import STATUS, problem_for, status_of
from cashback.http.problem_pages import all_kinds
from cashback.http.problems import ProblemKind
from cashback.http.protocol_problems import PROTOCOL_PROBLEMS
from kernel.rate_limits import RateLimited
from kernel.refusals import CATEGORIES, Conflict, Refusal, all_refusals, subclasses
from kernel.transactions import Busy
from wallet.actions.claim_decisions import AllInFlight

CONTRACT = {
    400: {
        *("idempotency_key_required", "file_changed", "file_empty", "file_refused", "too_many_rows", "link_not_valid"),
        *("invalid_amount", "invalid_cursor", "invalid_hold", "invalid_reference", "unknown_event"),
    },
    401: {
        "key_not_valid",
        "bad_credentials",
        "token_not_valid",
        "token_reused",
        "two_factor_required",
        "two_factor_not_valid",
        "two_factor_not_set_up",
    },
    403: {"scope_missing", "own_proposal"},
    404: {"not_found"},
    409: {
        "asset_already_claimed",
        "asset_expired",
        "asset_not_available",
        "asset_not_expired",
        "already_recreated",
        "pool_sold_out",
        "pool_closed",
        "pool_not_empty",
        "claim_limit_reached",
        "asset_not_yet_claimable",
        "request_in_progress",
        "email_taken",
        "email_not_verified",
        "email_already_verified",
        "last_admin",
        "two_factor_setup_expired",
        "not_sealed_yet",
        "never_spendable",
        *("insufficient_credit", "credit_held", "too_many_credits", "wallet_closed", "reference_used"),
        *("exceeds_held", "hold_expired", "already_captured", "already_released", "exceeds_refundable"),
        *("claim_clawed_back", "exceeds_claim", "not_later", "credit_ended", "rule_cap_reached", "referral_decided"),
        *("approval_required", "proposal_decided", "proposal_expired", "proposal_outdated", "file_missing"),
    },
    412: {"precondition_failed"},
    422: {"idempotency_key_reused"},
    429: {"rate_limited"},
    503: {"busy"},
}


# A page says what to do next in a sentence or clause that begins with one of these.
NEXT_STEP = re.compile(
    r"(?:^|[.:,] |\bor |\bthen )(?i:another operator must|approve|archive|ask|capture|check|choose|claim|claw|continue|correct"
    r"|enter|expire|give|grant|import|issue|make|narrow|open|pay|raise|read|recreate|refresh|refund|refuse|reload|see|send|set|sign"
    r"|split|start|tell|try|use|verify|wait|you can) "
)
# What only the shell runs answers by its exit code.
SHELL = ("dev.race", "dev.bench", "wallet.management")


def every_refusal() -> list[type[Refusal]]:
    """Return every refusal of the product."""
    modules = ("accounts.", "kernel.", "wallet.")
    found = {kind for kind in subclasses(Refusal) if kind.__module__.startswith(modules)}
    return sorted(found - set(CATEGORIES), key=lambda kind: kind.__qualname__)


@pytest.fixture(scope="module", autouse=True)
def _everything_is_loaded() -> None:
    for package in (accounts, kernel, wallet):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and not module.name.startswith(SHELL):
                importlib.import_module(module.name)


def test_every_refusal_derives_from_a_category_with_a_status() -> None:
    assert set(STATUS) == set(CATEGORIES)
    assert set(every_refusal()) - set(all_refusals()) == set()
    assert len(every_refusal()) > 25


def test_the_handler_imports_no_refusal_of_the_product() -> None:
    known = {value for value in vars(problem_details).values() if isinstance(value, type) and issubclass(value, Refusal)}

    # The two that answer errors of others: DRF's throttles and PostgreSQL's.
    assert known - {*CATEGORIES, Refusal} == {Busy, RateLimited}


def test_new_refusal_touches_one_file(client: Client, db: None) -> None:
    members = {"code": "wallet_frozen", "meaning": "The wallet is frozen.", "detail": "This wallet is frozen. Contact support."}
    kind: type[Refusal] | None = type("WalletFrozen", (Conflict,), members)
    assert kind is not None

    found, page = problem_for(kind()), client.get("/problems/wallet_frozen/").content.decode()

    assert found is not None
    assert (found.status, found.body()["type"]) == (409, "/problems/wallet_frozen/")
    assert status_by_code()["wallet_frozen"] == 409
    assert "409 Conflict" in page
    assert "The wallet is frozen." in page
    kind = None
    gc.collect()  # other tests list every refusal there is


def test_a_code_has_one_status() -> None:
    statuses: dict[str, set[int]] = {}
    for kind in [*PROTOCOL_PROBLEMS, *(ProblemKind(status_of(each), each.code, "", "") for each in every_refusal())]:
        statuses.setdefault(kind.code, set()).add(kind.status)

    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}


def test_table_matches_the_contract() -> None:
    said: dict[int, set[str]] = {}
    for kind in every_refusal():
        said.setdefault(status_of(kind), set()).add(kind.code)

    assert said == CONTRACT


def test_every_refusal_says_what_it_means_and_what_to_do() -> None:
    for kind in every_refusal():
        assert kind.meaning.endswith("."), kind
        assert kind.detail.endswith("."), kind


def test_every_page_says_what_to_do_next() -> None:
    kinds = {(kind.code, kind.meaning, kind.detail) for kind in all_kinds()}

    assert len(kinds) > 90
    assert [detail for _, _, detail in kinds if not NEXT_STEP.search(detail)] == []
    assert [meaning for _, meaning, detail in kinds if meaning == detail] == []


def test_every_404_has_one_pattern() -> None:
    details = {kind.detail for kind in all_kinds() if kind.status == 404}

    assert len(details) > 12
    assert [detail for detail in details if not re.fullmatch(r"([A-Z][a-z -]* n|N)ot found\. [A-Z].+\.", detail)] == []


def test_a_kind_of_busy_is_busy_in_its_own_words() -> None:
    found = problem_for(AllInFlight())

    assert found is not None
    assert (found.status, found.code, found.headers["Retry-After"]) == (503, "busy", "1")
    assert found.detail == AllInFlight.detail


def test_retry_after_is_in_seconds() -> None:
    found = problem_for(RateLimited(42))

    assert found is not None
    assert (found.status, found.headers) == (429, {"Retry-After": "42"})


def test_internal_exceptions_are_not_problems() -> None:
    assert problem_for(ZeroDivisionError()) is None
