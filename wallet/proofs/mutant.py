"""The same claim with its row lock removed: what the checker must be able to see.

It lives here, never in the product: there is no switch that could be thrown by mistake, and `remove_guards` refuses any
database but a scratch one.
"""

import time
from uuid import UUID

from django.db import connection, transaction

from accounts.models import User
from wallet import claims
from wallet.assets.models import AssetNotFound, CashbackAsset, Status
from wallet.ledger import idempotency
from wallet.ledger.idempotency import Request
from wallet.proofs import scratch
from wallet.proofs.arena import Racer
from wallet.proofs.ways import Direct, Heard, given, heard, person, request

# Between the look and the write, so that a double is found every time and not only on an unlucky day.
WINDOW_SECONDS = 0.1

# What would refuse a second owner, a second entry, or two that disagree.
GUARDS = "^pgtrigger_(asset_final|entry_equals_asset|asset_claimed_has_entry)_"
DROP_TRIGGERS = f"""
DO $$
DECLARE guard record;
BEGIN
    FOR guard IN SELECT tgname AS name, tgrelid::regclass AS place FROM pg_trigger WHERE tgname ~ '{GUARDS}' LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', guard.name, guard.place);
    END LOOP;
END $$
"""  # noqa: S608  (made of the constant above)
DROP_CONSTRAINTS = """
DROP INDEX entry_one_claim_per_asset;
ALTER TABLE assets_cashbackasset DROP CONSTRAINT asset_claim_slot;
"""


class Unguarded(Direct):
    """Looks, waits, and takes what may be gone by then."""

    def asset(self, racer: Racer, asset: str) -> Heard:
        """Ask the mutant of claims.claim."""
        return heard(lambda: claim(UUID(asset), person(racer)))

    def pool(self, racer: Racer, pool: str, key: str) -> Heard:
        """Ask the mutant of claims.claim_any."""
        return heard(lambda: claim_any(UUID(pool), person(racer), request(racer, pool, key)))


def remove_guards() -> None:
    """Drop the constraints and triggers that would refuse a double; raise RuntimeError outside a scratch database."""
    scratch.insist()
    with connection.cursor() as cursor:
        cursor.execute(DROP_CONSTRAINTS)
        cursor.execute(DROP_TRIGGERS)


def claim(asset_id: UUID, user: User) -> claims.Claim:
    """Claim one asset by checking first and writing later."""
    with transaction.atomic():
        return take(CashbackAsset.objects.filter(pk=asset_id).first(), user, None)


def claim_any(pool_id: UUID, user: User, request: Request) -> claims.Claim:
    """Claim any asset of a pool by looking first and writing later."""
    with transaction.atomic():
        if not idempotency.reserve([request]):
            answer = idempotency.stored(request)
            return claims.Claim(answer.body, answer.status_code, replayed=True)
        asset = CashbackAsset.objects.claimable().filter(pool=pool_id).soonest_expiry_first().first()
        if asset is None:
            raise claims.PoolSoldOut
        return take(asset, user, request)


def take(asset: CashbackAsset | None, user: User, request: Request | None) -> claims.Claim:
    """Hand over what was AVAILABLE when it was looked at."""
    if asset is None:
        raise AssetNotFound
    if asset.status != Status.AVAILABLE:
        raise claims.AssetAlreadyClaimed
    time.sleep(WINDOW_SECONDS)
    return given(asset, user, request)
