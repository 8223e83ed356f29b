"""How a racer asks for credits without a web server: straight at the product's acts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from accounts.models import User
from dev.race.fixture import Racer
from kernel.refusals import Refusal
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import Claim, record_claims
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CashbackAsset
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.verification.claim_log import Outcome


@dataclass(frozen=True)
class ClaimResponse:
    """An answer as its asker understood it (see Attempt)."""

    outcome: Outcome
    status: int | None
    code: str
    receipt: dict[str, Any] | None = None

    @property
    def worth_another_try(self) -> bool:
        """Whether a client should ask again, with the same key."""
        return self.outcome == "unknown" or self.code in ("busy", "request_in_progress")


class Transport(Protocol):
    """One client with one connection, used by one thread."""

    def asset(self, racer: Racer, asset: str) -> ClaimResponse:
        """Ask for one credit."""

    def pool(self, racer: Racer, pool: str, key: str) -> ClaimResponse:
        """Ask for any credit of a pool."""

    def close(self) -> None:
        """Hang up."""


class DirectTransport:
    """Calls the acts on a database connection of its own."""

    def __init__(self) -> None:
        connection.ensure_connection()

    def asset(self, racer: Racer, asset: str) -> ClaimResponse:
        """Ask claims.claim."""
        return to_response(lambda: claim_asset(UUID(asset), user_of(racer)))

    def pool(self, racer: Racer, pool: str, key: str) -> ClaimResponse:
        """Ask claims.claim_any."""
        return to_response(lambda: claim_from_pool(UUID(pool), user_of(racer), pool_request(racer, pool, key)))

    def close(self) -> None:
        """Close this thread's connection."""
        connection.close()


def user_of(racer: Racer) -> User:
    """Return the racer as the acts want them."""
    return User(id=UUID(racer.id))


def pool_request(racer: Racer, pool: str, key: str) -> IdempotentRequest:
    """Return the request that a retry repeats."""
    return IdempotentRequest(user_of(racer), "pool-claim", key, fingerprint(pool))


def record_claim(asset: CashbackAsset, user: User, request: IdempotentRequest | None = None) -> Claim:
    """Hand over an asset within the caller's transaction, as the act does, without the looks before it. Raises Refusal."""
    wanted = ClaimRequest(asset.pk, user, request)
    outcome = record_claims([(wanted, asset)])[wanted]
    assert isinstance(outcome, Claim)
    return outcome


def to_response(ask: Callable[[], Claim]) -> ClaimResponse:
    """Ask, and note the answer as a client would."""
    try:
        claim = ask()
    except Refusal as refusal:
        return ClaimResponse("refused", None, refusal.code)
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        return ClaimResponse("unknown", None, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return ClaimResponse("ok", claim.status_code, str(claim.status_code), claim.receipt)
