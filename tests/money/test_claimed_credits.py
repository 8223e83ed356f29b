"""A claimed credit besides payments: validity, lapse, grant, clawback, extension, and the lots of earlier claims."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import as_owner, end_credit, end_hold, figures, kinds, money, soon
from wallet.actions import open_lots
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_decisions import ClaimLimitReached, NeverSpendable, PoolSoldOut
from wallet.actions.clawback_credit import clawback_credit, preview_clawback
from wallet.actions.end_holds import end_due_holds
from wallet.actions.extend_lot import extend_lot
from wallet.actions.grant_credit import grant_credit
from wallet.actions.issue_assets import issue_many
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_refusals import (
    ClaimClawedBack,
    ClaimNotFound,
    CreditEnded,
    ExceedsClaim,
    InsufficientCredit,
    LotsIncomplete,
    NotLater,
    ReferenceUsed,
    TooManyCredits,
    WalletClosed,
)
from wallet.actions.quote_payment import quote_payment
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotencyKeyReused, IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Grant, Lot, LotBackfill, Movement, Payment

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


# --- Validity --------------------------------------------------------------------------------------------------------------


def test_a_claim_opens_a_lot_that_never_ends_without_a_policy(credit: Credit, alice: User) -> None:
    lot, entry = credit("100"), Entry.objects.get()

    assert (lot.pk, lot.user_id, lot.total, lot.available) == (entry.pk, alice.pk, 100, 100)
    assert (lot.opened_at, lot.spendable_from, lot.spendable_until) == (entry.claimed_at, entry.claimed_at, None)
    assert (lot.draw_priority, lot.refund_grace_days, lot.clawback_reach, lot.service_id) == (2, 14, "CREDIT", None)


def test_a_credit_is_pending_then_valid_for_so_long(credit: Credit, open_pool: OpenPool, spend: Spend) -> None:
    lot = credit("100", pool=open_pool(pending_for="7 days", valid_for="48 hours"))

    assert lot.spendable_from == lot.opened_at + timedelta(days=7)
    assert lot.spendable_until == lot.opened_at + timedelta(days=9)
    entry = Entry.objects.get()
    assert (entry.spendable_from, entry.spendable_until) == (lot.spendable_from, lot.spendable_until)
    with pytest.raises(InsufficientCredit):
        spend("1")


def test_of_two_ends_the_earlier_counts(credit: Credit, open_pool: OpenPool) -> None:
    last = soon(days=3)

    assert credit("1", pool=open_pool(valid_for="30 days", valid_until=last)).spendable_until == last
    early = credit("1", pool=open_pool(name="Short", valid_for="1 hour", valid_until=last))
    assert early.spendable_until == early.opened_at + timedelta(hours=1)


@pytest.mark.parametrize("session_zone", ["UTC", "Pacific/Kiritimati", "America/New_York"])
def test_a_month_and_a_days_end_are_of_the_pools_zone_whatever_the_session_says(
    credit: Credit, open_pool: OpenPool, session_zone: str
) -> None:
    pool = open_pool(valid_for="1 month", ends_with_day=True, time_zone="Asia/Kolkata")
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, false)", [session_zone])
    lot = credit("1", pool=pool)
    connection.close()
    lot.refresh_from_db()

    assert lot.spendable_until is not None
    ends = lot.spendable_until.astimezone(ZoneInfo("Asia/Kolkata"))
    claimed = lot.opened_at.astimezone(ZoneInfo("Asia/Kolkata"))
    assert (ends.hour, ends.minute, ends.second, ends.microsecond) == (0, 0, 0, 0)
    assert ((ends - timedelta(days=1)).month - claimed.month) % 12 == 1


def test_a_credit_that_would_end_before_it_can_be_spent_is_not_claimed(issue: Issue, open_pool: OpenPool, alice: User) -> None:
    asset = issue(pool=open_pool(pending_for="7 days", valid_until=soon(days=5)))
    with pytest.raises(NeverSpendable):
        claim_asset(asset.pk, alice)
    assert Entry.objects.count() == Lot.objects.count() == 0


def test_an_amount_is_drawn_by_priority_then_soonest_end(credit: Credit, open_pool: OpenPool, spend: Spend) -> None:
    forever = credit("10")
    later = credit("10", pool=open_pool(name="Later", valid_for="9 days"))
    sooner = credit("10", pool=open_pool(name="Sooner", valid_for="2 days"))
    last = credit("10", pool=open_pool(name="Last", valid_for="1 day", draw_priority=3))
    first = credit("10", pool=open_pool(name="First", draw_priority=1))

    spend("45")

    drawn = Payment.objects.get().allocations.order_by("position").values_list("lot_id", "amount")
    assert list(drawn) == [
        (first.pk, 10),
        (sooner.pk, 10),
        (later.pk, 10),
        (forever.pk, 10),
        (last.pk, 5),
    ]


def test_a_credit_of_a_service_pays_there_only(
    credit: Credit, open_pool: OpenPool, spend: Spend, shop: Service, other_shop: Service
) -> None:
    lot = credit("10", pool=open_pool(service=shop))
    with pytest.raises(InsufficientCredit):
        spend("10", service=other_shop)
    spend("10")

    assert figures(lot) == {"spent": Decimal(10)}


def test_a_payment_draws_on_at_most_500_credits(
    issue: Issue, open_pool: OpenPool, ada: User, alice: User, spend: Spend
) -> None:
    pool = open_pool()
    issue_many(ada, pool, count=501, title="Small", total_value=Decimal(1))
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH claim AS (UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s RETURNING *)"
            " INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id) SELECT"
            " gen_random_uuid(), 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, claimed_by_id FROM claim",
            [alice.pk],
        )
    with pytest.raises(TooManyCredits, match=r"500\.00 INR") as refused:
        spend("501")
    assert refused.value.members == {"available": "500.00"}
    assert spend("500").body["amount"] == "500.00"
    assert spend("1").body["amount"] == "1.00"


def test_a_quote_says_what_would_be_drawn_and_what_is_passed_over(
    credit: Credit, open_pool: OpenPool, shop: Service, other_shop: Service, alice: User
) -> None:
    lot = credit("10")
    pending = credit("20", pool=open_pool(name="Pending", pending_for="7 days"))
    elsewhere = credit("30", pool=open_pool(name="Elsewhere", service=other_shop))
    before = money()

    quote = quote_payment(alice, shop, currency="INR", amount=Decimal(15), up_to=True)

    assert (quote["asked"], quote["covered"], quote["missing"]) == ("15.00", "10.00", "5.00")
    assert [(share["claim"], share["amount"]) for share in quote["allocations"]] == [(str(lot.pk), "10.00")]
    assert {(each["claim"], each["reason"]) for each in quote["passed_over"]} == {
        (str(pending.pk), "pending"),
        (str(elsewhere.pk), "other_service"),
    }
    assert quote_payment(alice, shop, currency="INR", amount=Decimal(15))["covered"] == "0.00"
    assert money() == before


# --- Sweeps ----------------------------------------------------------------------------------------------------------------


def test_an_ended_credit_lapses_dated_at_its_end(credit: Credit, spend: Spend) -> None:
    lot, other = credit("100"), credit("100")
    spend("30")
    ended = end_credit(lot)

    assert lapse_ended_credits() == 1
    assert lapse_ended_credits() == 0

    lapse = Movement.objects.get(kind="LAPSE")
    assert (lapse.claim_id, lapse.at, lapse.amount) == (lot.pk, ended, Decimal(70))
    assert figures(lot) == {"lapsed": Decimal(70), "spent": Decimal(30)}
    assert figures(other) == {"available": Decimal(100)}


def test_an_ended_credit_is_not_spent_swept_or_not(credit: Credit, spend: Spend) -> None:
    end_credit(credit("100"))
    with pytest.raises(InsufficientCredit):
        spend("1")


def test_a_hold_that_is_over_is_released_dated_at_its_end(credit: Credit, hold: Hold) -> None:
    lot, first = credit("100"), hold("40")
    hold("10")
    ended = end_hold(first)

    assert end_due_holds() == 1
    assert end_due_holds() == 0

    release = Movement.objects.get(kind="RELEASE")
    assert (release.payment_id, release.at) == (first, ended)
    assert figures(lot) == {"available": Decimal(90), "held": Decimal(10)}


# --- Grants ----------------------------------------------------------------------------------------------------------------


def test_a_grant_is_a_claim_for_somebody_with_its_reason(issue: Issue, open_pool: OpenPool, alice: User, ada: User) -> None:
    pool = open_pool()
    asset = issue(pool=pool)

    answer = grant_credit(alice, pool.pk, reference="ticket-7", reason="goodwill", actor=ada)

    entry, grant = Entry.objects.get(), Grant.objects.get()
    assert answer.body == entry.receipt()
    assert (entry.asset_id, entry.user_id, entry.actor_id) == (asset.pk, alice.pk, ada.pk)
    assert (grant.entry_id, grant.actor_id, grant.reference, grant.reason) == (entry.pk, ada.pk, "ticket-7", "goodwill")
    assert Lot.objects.get().available == 100


def test_a_grants_reference_grants_once(issue: Issue, open_pool: OpenPool, alice: User, bob: User, shop: Service) -> None:
    pool = open_pool()
    issue(pool=pool), issue(pool=pool)
    first = grant_credit(alice, pool.pk, reference="ticket-7", reason="goodwill", service=shop)

    assert grant_credit(alice, pool.pk, reference="ticket-7", reason="goodwill", service=shop) == Answer(first.body, 200)
    with pytest.raises(ReferenceUsed):
        grant_credit(bob, pool.pk, reference="ticket-7", reason="goodwill", service=shop)
    assert Entry.objects.count() == 1


def test_the_rules_of_a_claim_hold_for_a_grant(issue: Issue, open_pool: OpenPool, alice: User, bob: User, ada: User) -> None:
    pool = open_pool(per_user_limit=1)
    issue(pool=pool), issue(pool=pool)
    grant_credit(alice, pool.pk, reference="a", reason="goodwill", actor=ada)
    with pytest.raises(ClaimLimitReached):
        grant_credit(alice, pool.pk, reference="b", reason="goodwill", actor=ada)
    grant_credit(bob, pool.pk, reference="b", reason="goodwill", actor=ada)
    with pytest.raises(PoolSoldOut):
        grant_credit(ada, pool.pk, reference="c", reason="goodwill", actor=ada)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    bob.refresh_from_db()
    with pytest.raises(WalletClosed):
        grant_credit(bob, pool.pk, reference="d", reason="goodwill", actor=ada)


# --- Clawbacks -------------------------------------------------------------------------------------------------------------


def test_a_clawback_in_part_leaves_the_rest(credit: Credit, ada: User) -> None:
    lot = credit("100")

    answer = clawback_credit(lot.pk, amount=Decimal(30), actor=ada, reason="returned", note="order 7")

    assert (answer.body["amount"], answer.body["shortfall"]) == ("30.00", "0.00")
    assert figures(lot) == {"available": Decimal(70), "clawed_back": Decimal(30)}
    note = Movement.objects.get().note_digest
    assert note is not None
    assert len(note) == 64


def test_no_more_is_clawed_back_than_was_claimed(credit: Credit, ada: User) -> None:
    lot = credit("100")
    clawback_credit(lot.pk, amount=Decimal(30), actor=ada, reason="returned")
    with pytest.raises(ExceedsClaim):
        clawback_credit(lot.pk, amount=Decimal("70.01"), actor=ada, reason="returned")
    clawback_credit(lot.pk, actor=ada, reason="returned")
    with pytest.raises(ClaimClawedBack):
        clawback_credit(lot.pk, actor=ada, reason="returned")
    assert figures(lot) == {"clawed_back": Decimal(100)}


def test_with_the_reach_of_a_wallet_other_credits_bear_the_rest_in_draw_order(
    credit: Credit, open_pool: OpenPool, spend: Spend, ada: User
) -> None:
    lot = credit("100", pool=open_pool(name="Reaching", clawback_reach="WALLET", draw_priority=1))
    spend("80")
    others = [credit("30"), credit("20")]
    yen = credit("100", currency="JPY")

    answer = clawback_credit(lot.pk, actor=ada, reason="fraud")

    assert (answer.body["amount"], answer.body["shortfall"]) == ("70.00", "30.00")
    assert figures(lot) == {"spent": Decimal(80), "clawed_back": Decimal(20)}
    assert [figures(other) for other in others] == [{"clawed_back": Decimal(30)}, {"clawed_back": Decimal(20)}]
    assert figures(yen) == {"available": Decimal(100)}


def test_a_shortfall_alone_is_recorded_and_never_a_negative_balance(credit: Credit, spend: Spend, ada: User) -> None:
    lot = credit("100")
    spend("100")

    answer = clawback_credit(lot.pk, actor=ada, reason="fraud", key="a-key-of-16-chars")

    assert (answer.body["amount"], answer.body["shortfall"]) == ("0.00", "100.00")
    assert figures(lot) == {"spent": Decimal(100)}
    again = clawback_credit(lot.pk, actor=ada, reason="fraud", key="a-key-of-16-chars")
    assert again == Answer(answer.body, 201, replayed=True)
    with pytest.raises(IdempotencyKeyReused):
        clawback_credit(lot.pk, actor=ada, reason="other", key="a-key-of-16-chars")


def test_a_preview_of_a_clawback_changes_nothing(credit: Credit, spend: Spend) -> None:
    lot = credit("100")
    spend("60")
    before = money()

    assert preview_clawback(lot.pk) == {"amount": "40.00", "shortfall": "60.00"}
    assert money() == before


def test_a_service_changes_only_what_it_granted(
    issue: Issue, open_pool: OpenPool, alice: User, shop: Service, other_shop: Service
) -> None:
    pool = open_pool()
    issue(pool=pool)
    claim = UUID(grant_credit(alice, pool.pk, reference="t-7", reason="goodwill", service=shop).body["id"])
    with pytest.raises(ClaimNotFound):
        clawback_credit(claim, service=other_shop, reason="mistake")

    assert clawback_credit(claim, service=shop, reason="mistake").body["amount"] == "100.00"


# --- Extensions ------------------------------------------------------------------------------------------------------------


def test_a_credit_that_never_ends_or_has_ended_is_not_extended(credit: Credit, ada: User) -> None:
    forever, over = credit("100"), credit("100")
    end_credit(over)
    with pytest.raises(NotLater):
        extend_lot(forever.pk, until=soon(days=9), reason="goodwill", actor=ada)
    with pytest.raises(CreditEnded):
        extend_lot(over.pk, until=soon(days=9), reason="goodwill", actor=ada)
    assert kinds() == []


def test_a_clawed_back_credit_is_not_extended(credit: Credit, open_pool: OpenPool, ada: User) -> None:
    lot = credit("100", pool=open_pool(valid_for="2 days"))
    clawback_credit(lot.pk, actor=ada, reason="fraud")
    with pytest.raises(ClaimClawedBack):
        extend_lot(lot.pk, until=soon(days=9), reason="goodwill", actor=ada)


# --- Lots of earlier claims --------------------------------------------------------------------------------------------------


@pytest.fixture
def earlier_claims(credit: Credit) -> list[UUID]:
    """Five claims from before there were lots."""
    claims = [credit("10").pk for _ in range(5)]
    as_owner("DELETE FROM ledger_lot")
    LotBackfill.objects.create(id=1)
    return claims


def test_a_wallet_whose_lots_are_not_open_yet_is_busy_and_not_empty(
    earlier_claims: list[UUID], spend: Spend, alice: User, shop: Service
) -> None:
    with pytest.raises(LotsIncomplete):
        spend("10")
    with pytest.raises(LotsIncomplete):
        quote_payment(alice, shop, currency="INR", amount=Decimal(10))


def test_lots_of_earlier_claims_are_opened_in_batches_while_claims_go_on(
    earlier_claims: list[UUID], credit: Credit, spend: Spend
) -> None:
    with pytest.raises(LotsIncomplete):
        credit("10"), spend("10")
    progress: list[int] = []

    assert open_lots.open_lots(progress.append, batch_size=2)

    assert progress == [2, 4, 5, 5]
    assert Lot.objects.filter(available=10, spendable_until=None, draw_priority=2).count() == 6
    assert open_lots.open_lots()
    assert spend("60").status_code == 201


def test_the_application_opens_lots(earlier_claims: list[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE cashback_app")
        try:
            open_lots.open_lots(batch_size=2)
        finally:
            cursor.execute("RESET ROLE")

    assert Lot.objects.count() == 5


def test_the_command_says_how_many(earlier_claims: list[UUID], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("open_lots")

    assert "5" in capsys.readouterr().out
    assert LotBackfill.objects.get().completed_at is not None


def test_a_pool_claim_has_its_lot_too(issue: Issue, open_pool: OpenPool, alice: User) -> None:
    pool = open_pool(valid_for="3 days")
    issue(pool=pool)
    request = IdempotentRequest(alice, "claim", "a-key-of-16-chars", fingerprint("pool", pool.pk))

    claim = claim_from_pool(pool.pk, alice, request)

    lot = Lot.objects.get(pk=claim.receipt["id"])
    assert lot.spendable_until == lot.opened_at + timedelta(days=3)
    assert datetime.now(UTC) < lot.spendable_until
