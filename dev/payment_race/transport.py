"""How clients pay: the protocol, and direct calls of the product's actions without a web server."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from accounts.models import User
from accounts.services import Service
from kernel.refusals import Refusal
from wallet.actions.capture_payment import capture_payment
from wallet.actions.pay import pay
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.verification.claim_log import Outcome

CURRENCY = "INR"


@dataclass(frozen=True)
class PaymentResponse:
    """A response as the client understood it (see PaymentAttempt)."""

    outcome: Outcome
    status: int | None
    code: str
    payment: dict[str, Any] | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether a client should repeat the request with the same key."""
        return self.outcome == "unknown" or self.code in ("busy", "request_in_progress")


class PaymentTransport(Protocol):
    """One connection of one service, used by one thread."""

    def pay(self, user: str, amount: int, reference: str, key: str, *, capture: bool) -> PaymentResponse:
        """Spend, or hold for the default time."""

    def capture(self, payment: str, key: str, amount: int | None = None, *, final: bool = True) -> PaymentResponse:
        """Capture a part of a hold, or all of it."""

    def release(self, payment: str, key: str) -> PaymentResponse:
        """Release a hold."""

    def refund(self, payment: str, key: str, amount: int | None, reference: str) -> PaymentResponse:
        """Refund a part of what was captured, or all that is left of it."""

    def close(self) -> None:
        """Close the connection."""


class DirectPayments:
    """Calls the actions on its own database connection."""

    def __init__(self, service: str) -> None:
        self.service = Service(id=UUID(service))
        connection.ensure_connection()

    def pay(self, user: str, amount: int, reference: str, key: str, *, capture: bool) -> PaymentResponse:
        """Call pay."""
        asked: dict[str, Any] = {"currency": CURRENCY, "amount": Decimal(amount), "reference": reference, "key": key}
        return to_response(lambda: pay(User(id=UUID(user)), self.service, capture=capture, **asked))

    def capture(self, payment: str, key: str, amount: int | None = None, *, final: bool = True) -> PaymentResponse:
        """Call capture_payment."""
        value = None if amount is None else Decimal(amount)
        return to_response(lambda: capture_payment(UUID(payment), self.service, amount=value, final=final, key=key))

    def release(self, payment: str, key: str) -> PaymentResponse:
        """Call release_payment."""
        return to_response(lambda: release_payment(UUID(payment), service=self.service, key=key))

    def refund(self, payment: str, key: str, amount: int | None, reference: str) -> PaymentResponse:
        """Call refund_payment."""
        value = None if amount is None else Decimal(amount)
        asked: dict[str, Any] = {"amount": value, "reference": reference, "reason": "returned", "key": key}
        return to_response(lambda: refund_payment(UUID(payment), service=self.service, **asked))

    def close(self) -> None:
        """Close this thread's connection."""
        connection.close()


def to_response(call: Callable[[], Answer]) -> PaymentResponse:
    """Call an action and return its result as the response that a client would get."""
    try:
        answer = call()
    except Refusal as refusal:
        return PaymentResponse("refused", None, refusal.code)
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        return PaymentResponse("unknown", None, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return PaymentResponse("ok", answer.status_code, str(answer.status_code), answer.body)
