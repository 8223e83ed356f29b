"""Transports of claims: the protocol, and direct calls of the product's actions without a web server."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from accounts.models import User
from dev.race.fixture import Participant
from kernel.refusals import Refusal
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import Claim, record_claims
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CashbackAsset
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.verification.claim_log import Outcome


@dataclass(frozen=True)
class ClaimResponse:
    """A response as the client understood it (see Attempt)."""

    outcome: Outcome
    status: int | None
    code: str
    receipt: dict[str, Any] | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether a client should repeat the request with the same key."""
        return self.outcome == "unknown" or self.code in ("busy", "request_in_progress")


class Transport(Protocol):
    """One connection, used by one thread."""

    def asset(self, participant: Participant, asset: str) -> ClaimResponse:
        """Claim one credit."""

    def pool(self, participant: Participant, pool: str, key: str) -> ClaimResponse:
        """Claim any credit of a pool."""

    def close(self) -> None:
        """Close the connection."""


class DirectTransport:
    """Calls the actions on its own database connection."""

    def __init__(self) -> None:
        connection.ensure_connection()

    def asset(self, participant: Participant, asset: str) -> ClaimResponse:
        """Call claim_asset."""
        return to_response(lambda: claim_asset(UUID(asset), user_of(participant)))

    def pool(self, participant: Participant, pool: str, key: str) -> ClaimResponse:
        """Call claim_from_pool."""
        return to_response(lambda: claim_from_pool(UUID(pool), user_of(participant), pool_request(participant, pool, key)))

    def close(self) -> None:
        """Close this thread's connection."""
        connection.close()


def user_of(participant: Participant) -> User:
    """Return the participant as a User."""
    return User(id=UUID(participant.id))


def pool_request(participant: Participant, pool: str, key: str) -> IdempotentRequest:
    """Return the idempotent request, equal for every retry."""
    return IdempotentRequest(user_of(participant), "pool-claim", key, fingerprint(pool))


def record_claim(asset: CashbackAsset, user: User, request: IdempotentRequest | None = None) -> Claim:
    """Record a claim within the caller's transaction, as the action does, without its checks. Raises Refusal."""
    claim_request = ClaimRequest(asset.pk, user, request)
    outcome = record_claims([(claim_request, asset)])[claim_request]
    assert isinstance(outcome, Claim)
    return outcome


def to_response(call: Callable[[], Claim]) -> ClaimResponse:
    """Call an action and return its result as the response that a client would get."""
    try:
        claim = call()
    except Refusal as refusal:
        return ClaimResponse("refused", None, refusal.code)
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        return ClaimResponse("unknown", None, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return ClaimResponse("ok", claim.status_code, str(claim.status_code), claim.receipt)
