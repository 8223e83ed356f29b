"""The claim without its row lock: violations that the checker must detect.

It is not part of the product, which has no switch for its lock, and `remove_guards` refuses any database but a scratch
database.
"""

import time
from uuid import UUID

from django.db import connection, transaction

from accounts.models import User
from dev.race import scratch_database
from dev.race.fixture import Participant
from dev.race.transport import ClaimResponse, DirectTransport, pool_request, record_claim, to_response, user_of
from wallet.actions.claim_batch import Claim
from wallet.actions.claim_decisions import AssetAlreadyClaimed, PoolSoldOut
from wallet.assets.models import AssetNotFound, AssetStatus, CashbackAsset
from wallet.ledger import idempotency
from wallet.ledger.idempotency import IdempotentRequest

# Between check and write, so that duplicates occur every time.
WINDOW_SECONDS = 0.1

# The triggers that refuse a second owner, a second entry, or a mismatch of both.
GUARDS = "^pgtrigger_(asset_final|entry_equals_asset|asset_claimed_has_entry)_"
DROP_TRIGGERS = f"""
DO $$
DECLARE guard record;
BEGIN
    FOR guard IN SELECT tgname AS name, tgrelid::regclass AS on_table FROM pg_trigger WHERE tgname ~ '{GUARDS}' LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', guard.name, guard.on_table);
    END LOOP;
END $$
"""  # noqa: S608  (made of the constant above)
DROP_CONSTRAINTS = """
DROP INDEX entry_one_claim_per_asset;
ALTER TABLE assets_cashbackasset DROP CONSTRAINT asset_claim_slot;
"""


class Unguarded(DirectTransport):
    """Checks, waits, and writes without checking again."""

    def asset(self, participant: Participant, asset: str) -> ClaimResponse:
        """Call the mutant of claim_asset."""
        return to_response(lambda: claim_without_lock(UUID(asset), user_of(participant)))

    def pool(self, participant: Participant, pool: str, key: str) -> ClaimResponse:
        """Call the mutant of claim_from_pool."""
        return to_response(
            lambda: claim_from_pool_without_lock(UUID(pool), user_of(participant), pool_request(participant, pool, key))
        )


def remove_guards() -> None:
    """Drop the constraints and triggers that refuse duplicates; raise RuntimeError outside a scratch database."""
    scratch_database.require_scratch_database()
    with connection.cursor() as cursor:
        cursor.execute(DROP_CONSTRAINTS)
        cursor.execute(DROP_TRIGGERS)


def claim_without_lock(asset_id: UUID, user: User) -> Claim:
    """Claim one asset by checking first and writing later."""
    with transaction.atomic():
        return record_unlocked(CashbackAsset.objects.filter(pk=asset_id).first(), user, None)


def claim_from_pool_without_lock(pool_id: UUID, user: User, request: IdempotentRequest) -> Claim:
    """Claim any asset of a pool by checking first and writing later."""
    with transaction.atomic():
        if not idempotency.reserve_keys([request]):
            answer = idempotency.find_response(request)
            return Claim(answer.body, answer.status_code, replayed=True)
        asset = CashbackAsset.objects.claimable().filter(pool=pool_id).soonest_expiry_first().first()
        if asset is None:
            raise PoolSoldOut
        return record_unlocked(asset, user, request)


def record_unlocked(asset: CashbackAsset | None, user: User, request: IdempotentRequest | None) -> Claim:
    """Record a claim of an asset that was AVAILABLE when it was read."""
    if asset is None:
        raise AssetNotFound
    if asset.status != AssetStatus.AVAILABLE:
        raise AssetAlreadyClaimed
    time.sleep(WINDOW_SECONDS)
    return record_claim(asset, user, request)
