"""Budgets, credits that start day by day and bulk grants in a pool with an approval threshold of 100 rupees."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.utils import timezone

from accounts.models import User
from accounts.services import Service
from tests.api.conftest import ROOT, Caller
from tests.approvals.conftest import proposal_of, refuses
from tests.commands.conftest import command  # noqa: F401  (fixture)
from tests.ledger.roles import sql
from wallet.actions import edit_pool, issue_on_demand
from wallet.actions.claim import claim_from_pool
from wallet.actions.decide_proposal import approve_proposal
from wallet.actions.grant_batch import BulkApprovalRequired, GrantOrder, grant_lines, grant_many
from wallet.actions.grant_file import GrantFile, grant_file
from wallet.actions.grant_lines import GrantLine
from wallet.actions.issue_assets import issue_in_pool, issue_many
from wallet.actions.preview_proposal import preview_proposal
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Grant, Proposal

pytestmark = pytest.mark.django_db(transaction=True)
ON_DEMAND: dict[str, Any] = {"credit_title": "Bonus", "credit_value": Decimal(10)}


def states(pool: CreditPool) -> dict[str, int]:
    return dict(Counter(CashbackAsset.objects.filter(pool=pool).values_list("status", flat=True)))


def gifts(pool: CreditPool, count: int, value: int = 30) -> None:
    for _ in range(count):
        issue_many(None, pool, count=1, title="Gift", total_value=Decimal(value))


def lines(*users: User) -> list[GrantLine]:
    return [GrantLine(str(user.pk), f"gift-{number}") for number, user in enumerate(users)]


def test_a_budget_is_at_most_the_approval_threshold(pool: CreditPool, ada: User) -> None:
    with pytest.raises(ValidationError) as refused:
        edit_pool.update_pool(pool.pk, ada, budget=Decimal("100.01"), **ON_DEMAND)

    (error,) = refused.value.error_dict["budget"]
    assert error.code == "approval_required"
    assert "Another operator must approve a higher threshold first." in refused.value.message_dict["budget"][0]
    assert not Proposal.objects.exists()
    assert edit_pool.update_pool(pool.pk, ada, budget=Decimal(100), **ON_DEMAND).budget == 100
    assert states(pool) == {"AVAILABLE": 10}


def test_a_file_above_the_threshold_grants_nothing_through_any_interface(
    pool: CreditPool, make_users: Callable[[int], list[User]], tmp_path: Path
) -> None:
    gifts(pool, 4)
    people = make_users(4)
    path = tmp_path / "people.csv"
    path.write_text("user,reference\n" + "".join(f"{user.pk},line-{n}\n" for n, user in enumerate(people)))

    with pytest.raises(BulkApprovalRequired):
        grant_file(GrantFile(path), GrantOrder(pool.pk, "goodwill"), StringIO())

    assert not Entry.objects.exists()


def test_manual_sql_puts_no_budget_above_a_threshold(pool: CreditPool, open_pool: Callable[..., CreditPool]) -> None:
    given = "budget = %s, credit_title = 'Bonus', credit_value = 10 WHERE id = %s"
    refuses("pool_budget_below_threshold", f"UPDATE assets_creditpool SET {given}", 101, pool.pk)
    other = open_pool(name="Other", budget=Decimal(200), **ON_DEMAND)
    refuses("pool_budget_below_threshold", "UPDATE assets_creditpool SET approval_threshold = 199 WHERE id = %s", other.pk)
    sql("UPDATE assets_creditpool SET approval_threshold = 200 WHERE id = %s", other.pk)


def test_a_second_operator_who_approves_a_higher_threshold_makes_a_higher_budget_possible(
    pool: CreditPool, ada: User, grace: User
) -> None:
    approve_proposal(proposal_of(edit_pool.update_pool, pool.pk, ada, approval_threshold=Decimal(500)).pk, grace)

    assert edit_pool.update_pool(pool.pk, ada, budget=Decimal(500), **ON_DEMAND).budget == 500


def test_claims_have_credits_issued_below_the_threshold_without_anybody(
    pool: CreditPool, ada: User, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issue_on_demand, "BLOCK", 3)
    edit_pool.update_pool(pool.pk, ada, budget=Decimal(100), **ON_DEMAND)

    for _ in range(10):
        claim_from_pool(pool.pk, alice, IdempotentRequest(alice, "claim", uuid4().hex, fingerprint("x")))

    assert states(pool) == {"CLAIMED": 10}


def test_credits_that_start_day_by_day_wait_for_approval_with_their_days(pool: CreditPool, ada: User, grace: User) -> None:
    tomorrow = timezone.now().date() + timedelta(days=1)
    keyed = IdempotentRequest(ada, "issue", "k" * 20, fingerprint("drip"))
    days: dict[str, Any] = {"per_day": 4, "starts_on": tomorrow}

    proposal = proposal_of(issue_in_pool, ada, pool.pk, count=11, request=keyed, title="Drip", total_value=Decimal(10), **days)

    assert (proposal.shown["per_day"], proposal.shown["starts_on"]) == (4, str(tomorrow))
    assert preview_proposal(proposal)["count"] == 11
    assert states(pool) == {}
    approve_proposal(proposal.pk, grace)
    starts = Counter(CashbackAsset.objects.filter(pool=pool, status="SCHEDULED").values_list("claimable_from", flat=True))
    assert sorted(starts.values()) == [3, 4, 4]
    assert min(start.date() for start in starts if start) == tomorrow


def test_the_lines_of_a_bulk_grant_count_together(  # noqa: PLR0917
    pool: CreditPool, ada: User, alice: User, bob: User, shop: Service, as_ada: Caller
) -> None:
    gifts(pool, 4)
    people = lines(alice, bob, alice, bob)

    for asks in ({"actor": ada}, {"service": shop}, {}):
        with pytest.raises(BulkApprovalRequired):
            grant_many(pool.pk, people, reason="gift", **asks)
    with pytest.raises(BulkApprovalRequired):
        grant_lines(GrantOrder(pool.pk, "gift"), people, dry_run=True)
    body = {"pool": str(pool.pk), "reason": "gift", "lines": [line._asdict() for line in people]}
    answer = as_ada.post(f"{ROOT}/grants/batch/", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "approval_required")
    assert "nothing was granted" in answer.json()["detail"]
    assert (states(pool), Grant.objects.count(), Proposal.objects.count()) == ({"AVAILABLE": 4}, 0, 0)

    report = grant_many(pool.pk, people[:3], reason="gift", actor=ada).body
    assert (report["granted"], states(pool)) == (3, {"AVAILABLE": 1, "CLAIMED": 3})


def test_lines_that_were_granted_before_do_not_count(pool: CreditPool, ada: User, alice: User, bob: User) -> None:
    gifts(pool, 4)
    people = lines(alice, bob, alice, bob)
    grant_many(pool.pk, people[:3], reason="gift", actor=ada)

    report = grant_many(pool.pk, people, reason="gift", actor=ada).body

    assert (report["granted"], report["already_granted"]) == (1, 3)


def test_one_statement_of_grants_above_the_threshold_is_refused_by_postgresql(
    pool: CreditPool, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    gifts(pool, 4)
    monkeypatch.setattr("wallet.actions.grant_sql.needs_approval", lambda *_: False)

    with pytest.raises(BulkApprovalRequired):
        grant_lines(GrantOrder(pool.pk, "gift"), lines(alice, alice, alice, alice))

    assert (states(pool), Entry.objects.count()) == ({"AVAILABLE": 4}, 0)


def test_a_file_counts_as_a_whole_and_grants_nothing_above_the_threshold(  # noqa: PLR0917
    pool: CreditPool,
    alice: User,
    bob: User,
    tmp_path: Path,
    command: Callable[..., Any],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wallet.actions.grant_file.MAX_LINES", 1)
    gifts(pool, 4)
    path = tmp_path / "people.csv"
    text = "".join(f"{line.user},{line.reference}\n" for line in lines(alice, bob, alice, bob))
    path.write_text(f"user,reference\n{text}")
    options = ("grant", "--file", str(path), "--pool", pool.name, "--reason", "gift")

    for more in ((), ("--dry-run",)):
        with pytest.raises((CommandError, BulkApprovalRequired), match="more than the pool's approval threshold"):
            command(*options, *more)

    assert states(pool) == {"AVAILABLE": 4}
