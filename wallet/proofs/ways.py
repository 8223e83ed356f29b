"""How a racer asks for credits without a web server: straight at the product's acts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from accounts.models import User
from accounts.refusals import Refusal
from wallet import claims
from wallet.assets.models import CashbackAsset
from wallet.ledger.idempotency import Request, fingerprint
from wallet.proofs.arena import Racer
from wallet.proofs.attempts import Outcome


@dataclass(frozen=True)
class Heard:
    """An answer as its asker understood it (see Attempt)."""

    outcome: Outcome
    status: int | None
    code: str
    receipt: dict[str, Any] | None = None

    @property
    def worth_another_try(self) -> bool:
        """Whether a client should ask again, with the same key."""
        return self.outcome == "unknown" or self.code in ("busy", "request_in_progress")


class Way(Protocol):
    """One client with one connection, used by one thread."""

    def asset(self, racer: Racer, asset: str) -> Heard:
        """Ask for one credit."""

    def pool(self, racer: Racer, pool: str, key: str) -> Heard:
        """Ask for any credit of a pool."""

    def close(self) -> None:
        """Hang up."""


class Direct:
    """Calls the acts on a database connection of its own."""

    def __init__(self) -> None:
        connection.ensure_connection()

    def asset(self, racer: Racer, asset: str) -> Heard:
        """Ask claims.claim."""
        return heard(lambda: claims.claim(UUID(asset), person(racer)))

    def pool(self, racer: Racer, pool: str, key: str) -> Heard:
        """Ask claims.claim_any."""
        return heard(lambda: claims.claim_any(UUID(pool), person(racer), request(racer, pool, key)))

    def close(self) -> None:
        """Close this thread's connection."""
        connection.close()


def person(racer: Racer) -> User:
    """Return the racer as the acts want them."""
    return User(id=UUID(racer.id))


def request(racer: Racer, pool: str, key: str) -> Request:
    """Return the request that a retry repeats."""
    return Request(person(racer), "pool-claim", key, fingerprint(pool))


def given(asset: CashbackAsset, user: User, request: Request | None = None) -> claims.Claim:
    """Hand over an asset within the caller's transaction, as the act does, without the looks before it. Raises Refusal."""
    wanted = claims.Wanted(asset.pk, user, request)
    outcome = claims.hand_over([(wanted, asset)])[wanted]
    assert isinstance(outcome, claims.Claim)
    return outcome


def heard(ask: Callable[[], claims.Claim]) -> Heard:
    """Ask, and note the answer as a client would."""
    try:
        claim = ask()
    except Refusal as refusal:
        return Heard("refused", None, refusal.code)
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        return Heard("unknown", None, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return Heard("ok", claim.status_code, str(claim.status_code), claim.receipt)
