"""What is worth more than its pool's threshold waits for another operator, and is done once that one approves."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Role, User
from accounts.service_keys import create_key
from accounts.services import Scope, Service
from tests.approvals.conftest import THRESHOLD, expire, proposal_of, without_rules
from tests.concurrency import at_once
from tests.money.conftest import kinds, money, soon
from wallet.actions import edit_asset, edit_pool, import_csv, issue_assets, pool_lifecycle, recreate_asset
from wallet.actions.approvals import ApprovalRequired, AwaitsApproval
from wallet.actions.claim_decisions import ClaimLimitReached, PoolClosed, PoolSoldOut
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.decide_proposal import (
    FileMissing,
    OwnProposal,
    ProposalDecided,
    ProposalExpired,
    ProposalNotFound,
    ProposalOutdated,
    approve_proposal,
    refuse_proposal,
)
from wallet.actions.extend_lot import extend_lot
from wallet.actions.grant_credit import grant_credit
from wallet.actions.import_mistakes import FileChanged
from wallet.actions.payment_refusals import ExceedsClaim, ReferenceUsed
from wallet.assets.batches import Batch
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Grant, Lot, Movement, Proposal, ProposalKind, ProposalState
from wallet.ledger.proposals import MAX_FILE_BYTES
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
Dear = Callable[..., None]
DIWALI: dict[str, Any] = {"title": "Diwali", "total_value": Decimal("60.00")}


def issue_two(actor: User, pool: CreditPool, key: str = "k" * 20, **fields: Any) -> issue_assets.Issued:
    """Issue two credits of 60, together worth more than the threshold."""
    request = IdempotentRequest(actor, "issue", key, fingerprint(pool.pk, 2))
    return issue_assets.issue_in_pool(actor, pool.pk, count=2, request=request, **DIWALI | fields)


def gift(pool: CreditPool, to: User, **fields: Any) -> Any:
    return grant_credit(to, pool.pk, **{"reference": "ticket-1", "reason": "goodwill"} | fields)


# --- Grants ----------------------------------------------------------------------------------------------------------------


def test_a_grant_above_the_threshold_waits_and_is_done_when_another_operator_approves(
    ada: User, grace: User, alice: User, pool: CreditPool, dear: Dear
) -> None:
    dear()
    before = money()

    proposal = proposal_of(gift, pool, alice, actor=ada)

    assert (proposal.kind, proposal.amount, proposal.proposed_by_id) == (ProposalKind.GRANT, 500, ada.pk)
    assert (money(), Grant.objects.count()) == (before, 0)
    decided = approve_proposal(proposal.pk, grace, "as agreed")
    entry, grant = Entry.objects.get(), Grant.objects.get()
    assert decided.result == entry.pk == grant.pk
    assert (entry.user_id, entry.actor_id, grant.actor_id, decided.decided_by_id) == (alice.pk, ada.pk, ada.pk, grace.pk)
    assert gift(pool, alice, actor=ada).status_code == 200
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


def test_a_grant_up_to_the_threshold_needs_nobody_else(ada: User, alice: User, pool: CreditPool) -> None:
    issue_assets.issue_asset(ada, title="Small", total_value=THRESHOLD, pool=pool)

    assert gift(pool, alice, actor=ada).status_code == 201
    assert Proposal.objects.count() == 0


def test_a_services_grant_waits_for_an_operator_who_did_not_make_its_key(
    grace: User, alice: User, pool: CreditPool, dear: Dear, shop: Service
) -> None:
    dear()
    ada = User.objects.get(email="ada@example.com")
    create_key(shop, [Scope.GRANT], actor=ada)
    proposal = proposal_of(gift, pool, alice, service=shop)

    with pytest.raises(OwnProposal):
        approve_proposal(proposal.pk, ada)
    approve_proposal(proposal.pk, grace)

    assert Grant.objects.values_list("service", "actor").get() == (shop.pk, None)


def test_the_same_grant_again_is_the_same_proposal_and_another_one_with_its_reference_is_refused(
    ada: User, alice: User, bob: User, pool: CreditPool, dear: Dear
) -> None:
    dear()
    first, again = (proposal_of(gift, pool, alice, actor=ada) for _ in range(2))

    assert (first.pk, Proposal.objects.count()) == (again.pk, 1)
    with pytest.raises(ReferenceUsed):
        gift(pool, bob, actor=ada)


def test_an_approval_that_the_pools_rules_forbid_by_now_is_refused_and_the_proposal_stays(
    ada: User, grace: User, alice: User, pool: CreditPool, dear: Dear
) -> None:
    dear()
    proposal = proposal_of(gift, pool, alice, actor=ada)
    pool_lifecycle.pause_pool(pool.pk, ada)
    with pytest.raises(PoolClosed):
        approve_proposal(proposal.pk, grace)
    pool_lifecycle.resume_pool(pool.pk, ada)
    edit_asset.expire_asset(CashbackAsset.objects.get().pk, ada)
    with pytest.raises(PoolSoldOut):
        approve_proposal(proposal.pk, grace)
    dear(value="500.01")
    with pytest.raises(ProposalOutdated):
        approve_proposal(proposal.pk, grace)

    assert Proposal.objects.get().decided_at is None
    assert Entry.objects.count() == 0


def test_an_approval_does_not_pass_the_limit_per_user(
    ada: User, grace: User, alice: User, pool: CreditPool, dear: Dear
) -> None:
    dear(2)
    edit_pool.update_pool(pool.pk, ada, per_user_limit=1)
    first, second = (proposal_of(gift, pool, alice, actor=ada, reference=f"ticket-{n}") for n in range(2))
    approve_proposal(first.pk, grace)

    with pytest.raises(ClaimLimitReached):
        approve_proposal(second.pk, grace)


# --- Clawbacks and extensions ----------------------------------------------------------------------------------------------


def test_a_clawback_takes_exactly_what_was_shown_once_approved(ada: User, grace: User, lot: Lot) -> None:
    key = uuid4().hex
    proposal = proposal_of(clawback_credit, lot.pk, reason="fraud", note="see ticket", actor=ada, key=key)
    assert (proposal.amount, kinds()) == (500, [])

    approved = approve_proposal(proposal.pk, grace)

    movement = Movement.objects.get()
    assert (movement.pk, movement.actor_id, approved.decided_by_id) == (approved.result, ada.pk, grace.pk)
    assert (movement.amount, len(movement.note_digest or "")) == (500, 64)
    assert "see ticket" not in str(Proposal.objects.values().get())
    again = clawback_credit(lot.pk, reason="fraud", note="see ticket", actor=ada, key=key)
    assert (again.replayed, kinds()) == (True, ["CLAWBACK"])
    with pytest.raises(IdempotencyKeyReused):
        clawback_credit(lot.pk, reason="mistake", actor=ada, key=key)


def test_a_small_clawback_passes_and_a_proposed_one_that_no_longer_fits_is_refused(ada: User, grace: User, lot: Lot) -> None:
    proposal = proposal_of(clawback_credit, lot.pk, reason="fraud", actor=ada)
    clawback_credit(lot.pk, amount=Decimal("0.01"), reason="fraud", actor=ada)

    with pytest.raises(ExceedsClaim):
        approve_proposal(proposal.pk, grace)
    assert kinds() == ["CLAWBACK"]


def test_an_extension_waits_for_another_operator(ada: User, grace: User, lot: Lot) -> None:
    until = soon(days=60)
    proposal = proposal_of(extend_lot, lot.pk, until=until, reason="goodwill", actor=ada)

    approve_proposal(proposal.pk, grace)

    assert (Lot.objects.get().spendable_until, kinds()) == (until, ["EXTEND"])


# --- Issues ----------------------------------------------------------------------------------------------------------------


def test_an_issue_counts_by_its_total_and_its_repetition_gets_the_approved_answer(
    ada: User, grace: User, pool: CreditPool
) -> None:
    proposal = proposal_of(issue_two, ada, pool)
    assert (proposal.amount, CashbackAsset.objects.count()) == (120, 0)
    assert proposal_of(issue_two, ada, pool).pk == proposal.pk

    approved = approve_proposal(proposal.pk, grace)

    assert Batch.objects.values_list("pk", "created_by").get() == (approved.result, ada.pk)
    again = issue_two(ada, pool)
    assert (again.count, again.replayed, again.batch, CashbackAsset.objects.count()) == (2, True, approved.result, 2)


def test_one_dear_credit_waits_as_well(ada: User, grace: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_assets.issue_asset, ada, title="Dear", total_value=Decimal("100.01"), pool=pool)

    approve_proposal(proposal.pk, grace)

    assert CashbackAsset.objects.values_list("title", "total_value").get() == ("Dear", Decimal("100.01"))


def test_an_end_that_has_passed_by_the_approval_is_refused(ada: User, grace: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_two, ada, pool, expires_at=soon(seconds=0.3))
    while soon() < proposal.proposed_at + timedelta(seconds=0.4):
        pass

    with pytest.raises(ValidationError, match="in the past"):
        approve_proposal(proposal.pk, grace)


def test_an_issue_that_was_sent_again_under_a_higher_threshold_is_not_made_twice(
    ada: User, grace: User, pool: CreditPool
) -> None:
    proposal = proposal_of(issue_two, ada, pool)
    approve_proposal(proposal_of(edit_pool.update_pool, pool.pk, ada, approval_threshold=Decimal(500)).pk, grace)
    issue_two(ada, pool)

    with pytest.raises(ProposalOutdated):
        approve_proposal(proposal.pk, grace)

    assert CashbackAsset.objects.count() == 2


def test_the_same_recreation_is_one_proposal(ada: User, pool: CreditPool) -> None:
    """Also when the new credit gets the lifetime of its parent, which ends at another time with each request."""
    expires_at = timezone.now() + timedelta(hours=5)
    with without_rules():
        asset = CashbackAsset.objects.create(
            title="Dear", total_value=Decimal(500), currency="INR", pool=pool, expires_at=expires_at
        )
    edit_asset.expire_asset(asset.pk, ada)

    first, second = (proposal_of(recreate_asset.recreate_asset, asset.pk, ada) for _ in range(2))

    assert first == second


def test_a_dear_credit_is_recreated_by_two_and_a_dearer_one_is_not_made_by_a_change(
    ada: User, grace: User, pool: CreditPool, open_pool: Callable[..., CreditPool], dear: Dear
) -> None:
    dear()
    asset = CashbackAsset.objects.get()
    for changes in ({"total_value": Decimal("500.01")}, {"pool": None}, {"pool": open_pool(name="Another")}):
        with pytest.raises(ApprovalRequired):
            edit_asset.update_asset(asset.pk, ada, **changes)
    edit_asset.update_asset(asset.pk, ada, total_value=Decimal("499.00"))
    edit_asset.expire_asset(asset.pk, ada)

    proposal = proposal_of(recreate_asset.recreate_asset, asset.pk, ada)
    approve_proposal(proposal.pk, grace)

    child = CashbackAsset.objects.get(generation=2)
    assert (child.total_value, child.recreated_from_id, child.created_by_id) == (499, asset.pk, ada.pk)


# --- Imports ---------------------------------------------------------------------------------------------------------------


def checked_file(actor: User | None, path: Path, text: str) -> import_csv.CreditFile:
    path.write_text(text)
    contents = import_csv.CreditFile(path, actor).check()
    return import_csv.CreditFile(path, actor, expected=contents)


def test_an_import_waits_by_the_total_of_a_pool_and_keeps_its_file(
    ada: User, grace: User, pool: CreditPool, tmp_path: Path
) -> None:
    path = tmp_path / "credits.csv"
    file = checked_file(
        ada, path, f"title,total_value,currency,pool\nTea,60,,{pool.name}\nLamp,60,,{pool.name}\nFree,900,INR,\n"
    )
    proposal = proposal_of(import_csv.import_assets, file)
    path.unlink()
    assert (proposal.amount, CashbackAsset.objects.count()) == (120, 0)

    approved = approve_proposal(proposal.pk, grace)

    assert Batch.objects.values_list("pk", "file_name", "created_by").get() == (approved.result, "credits.csv", ada.pk)
    assert sorted(CashbackAsset.objects.values_list("title", flat=True)) == ["Free", "Lamp", "Tea"]


def test_a_large_import_is_approved_with_the_same_file_only(ada: User, grace: User, pool: CreditPool, tmp_path: Path) -> None:
    path, lines = tmp_path / "credits.csv", f"{'Tea ' * 49},1,,{pool.name}\n" * (MAX_FILE_BYTES // 200)
    file = checked_file(ada, path, f"title,total_value,currency,pool\n{lines}")
    proposal = proposal_of(import_csv.import_assets, file)
    other = tmp_path / "other.csv"
    other.write_text(f"title,total_value,currency,pool\nTea,1,,{pool.name}\n")

    with pytest.raises(FileMissing):
        approve_proposal(proposal.pk, grace)
    with pytest.raises(FileChanged):
        approve_proposal(proposal.pk, grace, file=other)
    approve_proposal(proposal.pk, grace, file=path)

    assert CashbackAsset.objects.count() == MAX_FILE_BYTES // 200


def test_without_a_known_proposer_nothing_waits(pool: CreditPool, tmp_path: Path) -> None:
    file = checked_file(None, tmp_path / "credits.csv", f"title,total_value,currency,pool\nTea,101,,{pool.name}\n")

    with pytest.raises(ApprovalRequired):
        import_csv.import_assets(file)
    assert (Proposal.objects.count(), CashbackAsset.objects.count()) == (0, 0)


# --- The threshold itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [None, Decimal(101)])
def test_a_threshold_is_raised_or_removed_by_two(ada: User, grace: User, pool: CreditPool, threshold: Decimal | None) -> None:
    proposal = proposal_of(edit_pool.update_pool, pool.pk, ada, approval_threshold=threshold)
    with pytest.raises(ValidationError, match="Save that change on its own"):
        edit_pool.update_pool(pool.pk, ada, approval_threshold=threshold, name="Another")
    pool.refresh_from_db()
    assert pool.approval_threshold == THRESHOLD

    approve_proposal(proposal.pk, grace)

    pool.refresh_from_db()
    assert pool.approval_threshold == threshold


def test_a_threshold_is_set_and_lowered_by_one_and_copied_with_its_pool(ada: User, pool: CreditPool) -> None:
    edit_pool.update_pool(pool.pk, ada, approval_threshold=Decimal(1))

    assert pool_lifecycle.duplicate_pool(pool.pk, ada, "Copy").approval_threshold == 1


# --- Decisions -------------------------------------------------------------------------------------------------------------


def test_who_proposed_it_does_not_decide_it(ada: User, alice: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_two, ada, pool)

    with pytest.raises(OwnProposal):
        approve_proposal(proposal.pk, ada)
    with pytest.raises(OwnProposal):
        refuse_proposal(proposal.pk, ada, "no")
    with pytest.raises(OwnProposal):
        approve_proposal(proposal.pk, alice)
    with pytest.raises(ProposalNotFound):
        approve_proposal(uuid4(), ada)


def test_a_refused_proposal_does_nothing_and_stays_refused(ada: User, grace: User, root: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_two, ada, pool)
    with pytest.raises(ValidationError, match="Give a reason"):
        refuse_proposal(proposal.pk, grace, " ")

    first, again = (refuse_proposal(proposal.pk, grace, "too much") for _ in range(2))

    assert (first.decided_at, again.decision_reason) == (again.decided_at, "too much")
    with pytest.raises(ProposalDecided):
        approve_proposal(proposal.pk, grace)
    with pytest.raises(ProposalDecided):
        refuse_proposal(proposal.pk, root, "no")
    with pytest.raises(AwaitsApproval, match="refused this"):
        issue_two(ada, pool)
    assert CashbackAsset.objects.count() == 0


def test_an_approval_sent_twice_is_done_once(ada: User, grace: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_two, ada, pool)

    first, again = (approve_proposal(proposal.pk, grace) for _ in range(2))

    assert (first.result, CashbackAsset.objects.count()) == (again.result, 2)


def test_of_two_who_decide_at_once_one_does(ada: User, grace: User, pool: CreditPool) -> None:
    heidi = User.objects.create_user("heidi@example.com", "x" * 20, role=Role.ADMIN)
    for number in range(5):
        proposal = proposal_of(issue_two, ada, pool, key=f"{number}" * 20)

        outcomes = at_once(lambda decider, pk=proposal.pk: approve_proposal(pk, decider), [grace, heidi] * 2)  # type: ignore[misc]

        winners = {outcome.decided_by_id for outcome in outcomes if isinstance(outcome, Proposal)}
        assert len(winners) == 1
        assert {type(outcome) for outcome in outcomes} == {Proposal, ProposalDecided}
        assert CashbackAsset.objects.count() == 2 * (number + 1)


def test_an_approval_and_a_refusal_at_once_agree_on_one(ada: User, grace: User, root: User, pool: CreditPool) -> None:
    root.role = Role.ADMIN
    root.save()
    proposal = proposal_of(issue_two, ada, pool)
    decisions: list[Callable[[], Proposal]] = [
        lambda: approve_proposal(proposal.pk, grace),
        lambda: refuse_proposal(proposal.pk, root, "no"),
    ]

    outcomes = at_once(lambda decide: decide(), decisions)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Proposal", "ProposalDecided"]
    approved = Proposal.objects.get().approved
    assert CashbackAsset.objects.count() == (2 if approved else 0)


def test_an_expired_proposal_is_not_decided(ada: User, grace: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_two, ada, pool)
    expire(proposal.pk)

    with pytest.raises(ProposalExpired):
        approve_proposal(proposal.pk, grace)
    assert Proposal.objects.get().state(soon()) == ProposalState.EXPIRED
    assert CashbackAsset.objects.count() == 0


def test_what_an_operator_proposed_who_is_none_any_more_is_not_done(ada: User, grace: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_two, ada, pool)
    User.objects.filter(pk=ada.pk).update(role=Role.USER)

    with pytest.raises(ProposalOutdated):
        approve_proposal(proposal.pk, grace)
    refuse_proposal(proposal.pk, grace, "left the company")


def test_decisions_are_in_the_audit_log(
    ada: User, grace: User, pool: CreditPool, audited: Callable[[], list[dict[str, Any]]]
) -> None:
    proposal = proposal_of(issue_two, ada, pool)
    with pytest.raises(OwnProposal):
        approve_proposal(proposal.pk, ada)
    approve_proposal(proposal.pk, grace)

    lines = [(line["user"], line["change"], line["outcome"]) for line in audited() if line["event"] == "proposal"]
    people = [str(user.pk) for user in (ada, ada, grace)]
    assert lines == list(zip(people, ("propose", "approve", "approve"), ("done", "refused", "done"), strict=True))


def test_the_ids_of_results_lead_back_to_who_decided(ada: User, grace: User, pool: CreditPool) -> None:
    approved = approve_proposal(proposal_of(issue_two, ada, pool).pk, grace)

    found = Proposal.objects.get(result=UUID(str(CashbackAsset.objects.values_list("batch", flat=True)[0])))
    assert (found.pk, found.proposed_by_id, found.decided_by_id) == (approved.pk, ada.pk, grace.pk)
