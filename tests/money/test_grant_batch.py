"""Grants to many users at once: each line is granted or refused by itself, and a reference grants once."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from accounts.models import User
from accounts.services import Service
from tests.concurrency import at_once
from tests.money.conftest import soon
from wallet.actions.claim import claim_from_pool
from wallet.actions.grant_batch import GrantOrder, grant_lines, grant_many
from wallet.actions.grant_credit import grant_credit
from wallet.actions.grant_lines import GrantLine, LineResult, name_of_user
from wallet.actions.issue_assets import issue_many
from wallet.actions.payment_answers import Answer
from wallet.assets.models import CashbackAsset, CreditPool, PoolNotFound
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Grant, Lot
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


@pytest.fixture
def fill(open_pool: OpenPool) -> Callable[..., CreditPool]:
    """Open a pool with that many credits."""

    def make(count: int, **fields: object) -> CreditPool:
        pool = open_pool(**fields)
        if count:
            issue_many(None, pool, count=count, title="Gift", total_value=100)
        return pool

    return make


def words(results: list[LineResult]) -> list[str]:
    """Return the code of each refused line, and the outcome of each other."""
    return [result.refusal.code if result.refusal else result.outcome.value for result in results]


def violations() -> list[str]:
    connection.close()
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def test_every_line_is_granted_or_refused_by_itself(fill: Callable[..., CreditPool], alice: User, bob: User, ada: User) -> None:
    pool = fill(2, per_user_limit=1)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    lines = [
        GrantLine("Alice@Example.com", "a"),
        GrantLine("alice@example.com", "b"),
        GrantLine("nobody@example.com", "c"),
        GrantLine("ada@example.com", "d"),
        GrantLine("bob@example.com", " e"),
        GrantLine(str(bob.pk).upper(), "f"),
    ]

    results = grant_lines(GrantOrder(pool.pk, "gift"), lines)

    refused = ["claim_limit_reached", "not_found", "wallet_closed", "invalid_reference"]
    assert words(results) == ["granted", *refused, "granted"]
    entries = {entry.pk: entry.user_id for entry in Entry.objects.all()}
    assert entries == {results[0].claim_id: alice.pk, results[5].claim_id: bob.pk}
    grants = Grant.objects.values_list("entry", "reference", "reason", "service", "actor")
    assert set(grants) == {(results[0].claim_id, "a", "gift", None, None), (results[5].claim_id, "f", "gift", None, None)}
    assert Lot.objects.count() == 2
    assert violations() == []


def test_the_same_lines_again_grant_nothing_more(
    fill: Callable[..., CreditPool], alice: User, bob: User, shop: Service
) -> None:
    pool = fill(5)
    order = GrantOrder(pool.pk, "gift", service=shop)
    lines = [GrantLine("alice@example.com", "a"), GrantLine("bob@example.com", "b"), GrantLine("alice@example.com", "a")]

    first, again = (grant_lines(order, lines) for _ in range(2))

    assert (words(first), words(again)) == (["granted", "granted", "already_granted"], ["already_granted"] * 3)
    assert [result.claim_id for result in first] == [result.claim_id for result in again]
    assert Entry.objects.count() == 2


def test_a_reference_with_other_contents_is_refused(fill: Callable[..., CreditPool], alice: User, bob: User) -> None:
    pool = fill(5)
    lines = [GrantLine("alice@example.com", "a"), GrantLine("bob@example.com", "a")]

    assert words(grant_lines(GrantOrder(pool.pk, "gift"), lines)) == ["granted", "reference_used"]
    assert words(grant_lines(GrantOrder(pool.pk, "other"), lines)) == ["reference_used"] * 2
    assert Entry.objects.count() == 1


def test_one_reference_is_one_grant_whether_alone_or_among_others(
    fill: Callable[..., CreditPool], alice: User, bob: User, shop: Service
) -> None:
    pool = fill(5)
    alone = grant_credit(alice, pool.pk, reference="a", reason="gift", service=shop)
    order = GrantOrder(pool.pk, "gift", service=shop)

    results = grant_lines(order, [GrantLine("alice@example.com", "a"), GrantLine("bob@example.com", "b")])

    assert words(results) == ["already_granted", "granted"]
    assert str(results[0].claim_id) == alone.body["id"]
    assert grant_credit(bob, pool.pk, reference="b", reason="gift", service=shop) == Answer(
        Entry.objects.get(user=bob).receipt(), 200
    )


def test_what_the_pool_has_is_granted_soonest_expiry_first(open_pool: OpenPool, issue: Issue, alice: User, bob: User) -> None:
    pool = open_pool()
    issue(pool=pool)
    soonest = issue(pool=pool, expires_at=soon(days=9))
    lines = [GrantLine("alice@example.com", "a"), GrantLine("bob@example.com", "b"), GrantLine("bob@example.com", "c")]

    results = grant_lines(GrantOrder(pool.pk, "gift"), lines)

    assert words(results) == ["granted", "granted", "pool_sold_out"]
    assert Entry.objects.get(asset=soonest).user_id == alice.pk


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"is_active": False}, "pool_closed"), ({"valid_until": soon(days=-1)}, "never_spendable")],
)
def test_what_refuses_all_of_a_pool_refuses_each_line(
    fill: Callable[..., CreditPool], alice: User, bob: User, fields: dict[str, object], code: str
) -> None:
    pool = fill(3, **fields)

    results = grant_lines(GrantOrder(pool.pk, "gift"), [GrantLine("alice@example.com", "a"), GrantLine("bob@example.com", "b")])

    assert words(results) == [code, code]
    assert Entry.objects.count() == 0


def test_nothing_is_granted_from_no_pool_or_to_too_many(alice: User) -> None:
    with pytest.raises(PoolNotFound):
        grant_lines(GrantOrder(uuid4(), "gift"), [GrantLine("alice@example.com", "a")])
    with pytest.raises(PoolNotFound):
        grant_lines(GrantOrder(uuid4(), "gift"), [GrantLine("nobody@example.com", "a")])
    with pytest.raises(ValueError, match="more than 1000 lines"):
        grant_lines(GrantOrder(uuid4(), "gift"), [GrantLine("alice@example.com", "a")] * 1_001)


def test_a_dry_run_changes_nothing(fill: Callable[..., CreditPool], alice: User, bob: User) -> None:
    pool = fill(5, per_user_limit=1)
    lines = [GrantLine("alice@example.com", "a"), GrantLine("alice@example.com", "b"), GrantLine("nobody@example.com", "c")]

    results = grant_lines(GrantOrder(pool.pk, "gift"), lines, dry_run=True)

    assert words(results) == ["granted", "claim_limit_reached", "not_found"]
    assert Entry.objects.count() == 0


def test_a_key_gets_the_first_report_again(fill: Callable[..., CreditPool], alice: User, ada: User) -> None:
    pool = fill(1)
    lines = [GrantLine("alice@example.com", "a"), GrantLine("alice@example.com", "b")]
    request = IdempotentRequest(ada, "grants", "0123456789abcdef", fingerprint("x"))

    first = grant_many(pool.pk, lines, reason="gift", actor=ada, request=request)
    issue_many(None, pool, count=5, title="Gift", total_value=100)
    again = grant_many(pool.pk, lines, reason="gift", actor=ada, request=request)

    assert (first.body["granted"], first.body["refused"]) == (1, 1)
    assert (again.body, again.replayed) == (first.body, True)
    assert Entry.objects.get().actor_id == ada.pk


def test_four_runs_of_one_list_beside_claims_grant_each_line_once(
    fill: Callable[..., CreditPool], make_users: Callable[[int], list[User]]
) -> None:
    users = make_users(120)
    pool = fill(250, per_user_limit=2)
    lines = [GrantLine(user.email, f"gift-{number}") for number, user in enumerate(users)]

    def run(number: int) -> Any:
        if number < 4:
            given = lines if number % 2 else list(reversed(lines))
            return words(grant_lines(GrantOrder(pool.pk, "gift"), given))
        request = IdempotentRequest(users[number], "claim", uuid4().hex, fingerprint("x"))
        return claim_from_pool(pool.pk, users[number], request)

    outcomes: list[Any] = at_once(run, range(30))

    counts = Counter(word for told in outcomes[:4] for word in told)
    assert counts == {"granted": 120, "already_granted": 360}, outcomes
    assert Grant.objects.count() == 120
    assert Entry.objects.count() == 120 + sum(type(outcome).__name__ == "Claim" for outcome in outcomes[4:])
    assert violations() == []


@pytest.mark.parametrize("typed", ["alice@example.com", " ALICE@Example.com ", "Alice@EXAMPLE.COM"])
def test_an_email_is_found_however_it_is_typed(typed: str) -> None:
    assert name_of_user(typed) == "alice@example.com"


def test_a_name_in_unicode_and_its_ascii_form_are_one() -> None:
    assert name_of_user("a@xn--bcher-kva.example") == name_of_user("a@bücher.example") == "a@bücher.example"
