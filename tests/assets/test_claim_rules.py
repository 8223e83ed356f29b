"""The rules of a claim, written once: the ORM, the claim's statements and the trigger reach the same decision."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from kernel.transactions import violated_constraint
from wallet.actions.claim import claim_asset
from wallet.actions.claim_sql import WAIT, read_allowances
from wallet.assets.claim_rules import CLAIMS_MADE, POOL_IS_OPEN, ClaimsMade, pool_is_open_sql
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.assets.triggers import CLAIM_SQL

HOUR = timedelta(hours=1)
WINDOWS: dict[str, tuple[bool, timedelta, timedelta | None, bool]] = {
    "no end": (True, -HOUR, None, True),
    "within its window": (True, -HOUR, HOUR, True),
    "not yet open": (True, HOUR, None, False),
    "closed": (True, -2 * HOUR, -HOUR, False),
    "inactive": (False, -HOUR, None, False),
    "inactive and closed": (False, -2 * HOUR, -HOUR, False),
}
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def claim_by_sql(asset: CashbackAsset, user: User) -> str | None:
    """Claim by SQL and undo it; return the violated constraint, or None for a claim that the trigger accepts."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s WHERE id = %s", [user.pk, asset.pk]
            )
            transaction.set_rollback(True)
    except IntegrityError as error:
        return violated_constraint(error)
    return None


@pytest.mark.parametrize("window", WINDOWS)
def test_orm_statement_and_trigger_agree_on_whether_a_pool_is_open(
    open_pool: OpenPool, issue: Issue, alice: User, window: str
) -> None:
    is_active, opens, closes, expected = WINDOWS[window]
    now = timezone.now()
    pool = open_pool()
    asset = issue(pool=pool)
    CreditPool.objects.filter(pk=pool.pk).update(is_active=is_active, opens_at=now + opens, closes_at=closes and now + closes)

    listed = CreditPool.objects.with_is_open().with_can_claim(CashbackAsset.objects.all(), alice).get(pk=pool.pk)

    assert (listed.is_open, listed.can_claim) == (expected, expected)
    assert read_allowances([(pool.pk, alice.pk)], WAIT)[pool.pk, alice.pk].is_open is expected
    assert claim_by_sql(asset, alice) == (None if expected else "pool_open")


@pytest.mark.parametrize(
    ("at", "expected"), [("09:59:59", False), ("10:00:00", True), ("10:59:59.999999", True), ("11:00:00", False)]
)
def test_a_window_includes_its_start_and_excludes_its_end(db: None, at: str, expected: bool) -> None:
    pool = "(SELECT true AS is_active, time '10:00' AS opens_at, time '11:00' AS closes_at) AS pool"
    is_open = pool_is_open_sql("pool", at=f"time '{at}'")

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {is_open} FROM {pool}")
        (found,) = cursor.fetchone()

    assert found is expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_orm_statement_and_trigger_agree_on_what_a_user_may_still_claim(
    open_pool: OpenPool, issue: Issue, alice: User, bob: User, limit: int
) -> None:
    pool = open_pool(per_user_limit=limit)
    for _ in range(min(limit, 2)):
        claim_asset(issue(pool=pool).pk, alice)
    following = issue(pool=pool)

    made = {user.pk: CreditPool.objects.annotate(n=ClaimsMade(user.pk)).get(pk=pool.pk).n for user in (alice, bob)}  # type: ignore[attr-defined]

    taken = CashbackAsset.objects.filter(pool=pool, status="CLAIMED")
    assert made == {user.pk: taken.filter(claimed_by=user).count() for user in (alice, bob)}
    for user in (alice, bob):
        remaining = limit - made[user.pk]
        can_claim = CreditPool.objects.with_can_claim(CashbackAsset.objects.all(), user).get(pk=pool.pk).can_claim
        assert read_allowances([(pool.pk, user.pk)], WAIT)[pool.pk, user.pk].remaining == remaining
        assert can_claim is (remaining > 0)
        with transaction.atomic():
            refused = claim_by_sql(following, user)
        assert refused == (None if remaining > 0 else "pool_claim_limit")


def test_a_rule_in_the_orm_is_the_text_itself(db: None) -> None:
    columns = {name: f'"assets_creditpool"."{name}"' for name in ("is_active", "opens_at", "closes_at")}
    is_open = str(CreditPool.objects.with_is_open().query)

    assert POOL_IS_OPEN.format(at="STATEMENT_TIMESTAMP()", **columns) in is_open
    assert pool_is_open_sql("pool", at="NEW.claimed_at") in CLAIM_SQL
    assert CLAIMS_MADE.format(pool="NEW.pool_id", user="NEW.claimed_by_id") in CLAIM_SQL
