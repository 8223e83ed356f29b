"""The rules of approvals hold for SQL typed by hand."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from accounts.models import User
from cashback.database.roles import APP_ROLE
from tests.approvals.conftest import expire, proposal_of, refuses, without_rules
from tests.approvals.test_actions import issue_two
from wallet.actions.decide_proposal import approve_proposal
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Lot, Proposal
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
DECIDE = "UPDATE ledger_proposal SET decided_by_id = %s, approved = %s, decision_reason = '', result = %s WHERE id = %s"
INSERT_GRANT = (
    "INSERT INTO ledger_grant (entry_id, actor_id, reference, reason, fingerprint) VALUES (%s, %s, 'ticket-1', 'goodwill', '')"
)
INSERT_MOVEMENT = """
INSERT INTO ledger_movement (id, kind, user_id, currency, amount, claim_id, shortfall, reason, actor_id, channel)
VALUES (%s, %s, %s, 'INR', 500, %s, %s, 'fraud', %s, 'sql')
"""


@pytest.fixture
def proposal(ada: User, pool: CreditPool) -> Proposal:
    return proposal_of(issue_two, ada, pool)


def test_nobody_decides_their_own_proposal(ada: User, proposal: Proposal) -> None:
    refuses("proposal_decided_by_another", DECIDE, ada.pk, False, None, proposal.pk)


def test_only_operators_decide(alice: User, proposal: Proposal) -> None:
    refuses("proposal_decided_by_operator", DECIDE, alice.pk, False, None, proposal.pk)


def test_a_proposal_is_decided_once_and_never_changes(ada: User, grace: User, root: User, proposal: Proposal) -> None:
    refuses("proposal_fixed", "UPDATE ledger_proposal SET amount = 1 WHERE id = %s", proposal.pk)
    refuses("proposal_fixed", "UPDATE ledger_proposal SET parameters = '{}' WHERE id = %s", proposal.pk)
    refuses("proposal_fixed", "UPDATE ledger_proposal SET expires_at = now() + interval '1 year'")
    refuses("proposal_kept", "DELETE FROM ledger_proposal")
    refuses("proposal_kept", "TRUNCATE ledger_proposal")
    with connection.cursor() as cursor:
        cursor.execute(DECIDE, [grace.pk, False, None, proposal.pk])
    refuses("proposal_decided", DECIDE, grace.pk, False, None, proposal.pk)
    refuses("proposal_decided", "UPDATE ledger_proposal SET decision_reason = 'x'")


def test_an_expired_proposal_is_not_decided(grace: User, proposal: Proposal) -> None:
    expire(proposal.pk)

    refuses("proposal_expired", DECIDE, grace.pk, False, None, proposal.pk)


def test_an_approval_without_its_result_is_refused(grace: User, proposal: Proposal) -> None:
    refuses("proposal_carried_out", DECIDE, grace.pk, True, uuid4(), proposal.pk)
    refuses("proposal_result_if_approved", DECIDE, grace.pk, True, None, proposal.pk)


def test_a_proposal_is_not_made_decided(ada: User, grace: User, proposal: Proposal) -> None:
    copy = """
        INSERT INTO ledger_proposal (id, kind, pool_id, parameters, shown, amount, currency, reason, proposed_by_id,
            fingerprint, channel, decided_by_id, approved, decision_reason, result)
        SELECT %s, kind, pool_id, parameters, shown, amount, currency, reason, proposed_by_id, fingerprint, channel, %s, true,
            '', id FROM ledger_proposal
    """
    refuses("proposal_undecided_first", copy, uuid4(), grace.pk)


def test_credits_worth_more_than_the_threshold_are_not_issued(ada: User, pool: CreditPool) -> None:
    insert = """
        INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, pool_id, generation, batch_id)
        VALUES (%s, 'Dear', 60, 'INR', 'AVAILABLE', %s, 1, %s), (%s, 'Dear', 41, 'INR', 'AVAILABLE', %s, 1, %s)
    """
    batch = uuid4()

    refuses("approval_required", insert, uuid4(), pool.pk, batch, uuid4(), pool.pk, batch)
    refuses("approval_required", insert, uuid4(), pool.pk, None, uuid4(), pool.pk, None)
    assert CashbackAsset.objects.count() == 0


def test_a_batch_counts_over_its_transactions(ada: User, pool: CreditPool) -> None:
    insert = """
        INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, pool_id, generation, batch_id)
        VALUES (%s, 'Tea', 60, 'INR', 'AVAILABLE', %s, 1, %s)
    """
    batch = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(insert, [uuid4(), pool.pk, batch])

    refuses("approval_required", insert, uuid4(), pool.pk, batch)


def test_a_grant_or_change_above_the_threshold_is_refused(ada: User, lot: Lot) -> None:
    refuses("approval_required", INSERT_GRANT, lot.pk, ada.pk)
    for kind, shortfall in (("CLAWBACK", Decimal(0)), ("EXTEND", None)):
        refuses("approval_required", INSERT_MOVEMENT, uuid4(), kind, lot.user_id, lot.pk, shortfall, ada.pk)


def test_a_credit_is_not_made_dear_and_not_moved(pool: CreditPool, lot: Lot, dear: Callable[..., None]) -> None:
    dear()
    refuses("approval_required", "UPDATE assets_cashbackasset SET total_value = 501 WHERE status = 'AVAILABLE'")
    refuses("approval_required", "UPDATE assets_cashbackasset SET pool_id = NULL WHERE status = 'AVAILABLE'")


def test_a_threshold_is_not_raised_or_removed_by_one(pool: CreditPool) -> None:
    refuses("approval_required", "UPDATE assets_creditpool SET approval_threshold = 101")
    refuses("approval_required", "UPDATE assets_creditpool SET approval_threshold = NULL")
    refuses("pool_approval_threshold_range", "UPDATE assets_creditpool SET approval_threshold = -1")


def test_an_approval_counts_only_for_what_it_names(ada: User, grace: User, pool: CreditPool, proposal: Proposal) -> None:
    """An approval is not a permission: of another batch, or of more than was shown."""
    insert = """
        INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, pool_id, generation, batch_id,
            created_by_id)
        VALUES (%s, 'Dear', %s, 'INR', 'AVAILABLE', %s, 1, %s, %s)
    """
    for value, batch in ((Decimal("120.01"), None), (Decimal(120), uuid4())):
        result = uuid4()
        with pytest.raises(Exception) as refused, transaction.atomic(), connection.cursor() as cursor:  # noqa: PT011
            cursor.execute(DECIDE, [grace.pk, True, result, proposal.pk])
            cursor.execute(insert, [uuid4(), value, pool.pk, batch or result, ada.pk])
        diagnosis: Any = refused.value.__cause__
        assert diagnosis.diag.constraint_name == "approval_required"
    assert CashbackAsset.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("decided_by_id = proposed_by_id", "was decided by who proposed it"),
        ("expires_at = decided_at", "expired at"),
        ("result = id", "its result"),
    ],
)
def test_the_checker_names_a_decision_that_was_forged(
    ada: User, grace: User, pool: CreditPool, change: str, sentence: str
) -> None:
    proposal = approve_proposal(proposal_of(issue_two, ada, pool).pk, grace)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_proposal DROP CONSTRAINT proposal_decided_by_another")
    with without_rules(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE ledger_proposal SET {change}")  # noqa: S608

    with snapshot_connection() as reader:
        found = [str(violation) for violation in verify_everything(reader) if violation.invariant == "I26"]

    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE ledger_proposal ADD CONSTRAINT proposal_decided_by_another CHECK (decided_by_id IS NULL"
            " OR proposed_by_id IS NULL OR NOT (decided_by_id = proposed_by_id AND proposed_by_id IS NOT NULL)) NOT VALID"
        )
    assert [line.startswith(f"I26: proposal {proposal.pk}") and sentence in line for line in found] == [True]


def test_the_application_writes_only_decisions(grace: User, proposal: Proposal) -> None:
    for statement in ("UPDATE ledger_proposal SET amount = 1", "UPDATE ledger_proposal SET proposed_by_id = NULL"):
        with pytest.raises(Exception, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {APP_ROLE}")
            cursor.execute(statement)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {APP_ROLE}")
        cursor.execute(DECIDE, [grace.pk, False, None, proposal.pk])


def test_claims_and_payments_of_users_need_no_approval(lot: Lot) -> None:
    assert Entry.objects.values_list("amount", "user").get() == (500, lot.user_id)
