"""Payments over HTTP: a service's calls of the API with its key."""

import json
from typing import Any

from dev.payment_race.transport import CURRENCY, PaymentResponse
from dev.race.web_server import HttpTransport

PATH = "/api/v1/payments/"


class HttpPayments:
    """One keep-alive connection to the API."""

    def __init__(self, port: int, api_key: str) -> None:
        self.http = HttpTransport(port)
        self.api_key = api_key

    def pay(self, user: str, amount: int, reference: str, key: str, *, capture: bool) -> PaymentResponse:
        """POST payments/."""
        asked = {"user": user, "currency": CURRENCY, "amount": str(amount), "reference": reference, "capture": capture}
        return self.post(PATH, key, asked)

    def capture(self, payment: str, key: str, amount: int | None = None, *, final: bool = True) -> PaymentResponse:
        """POST payments/{id}/capture/."""
        asked: dict[str, Any] = {"final": final} if amount is None else {"final": final, "amount": str(amount)}
        return self.post(f"{PATH}{payment}/capture/", key, asked)

    def release(self, payment: str, key: str) -> PaymentResponse:
        """POST payments/{id}/release/."""
        return self.post(f"{PATH}{payment}/release/", key, {})

    def refund(self, payment: str, key: str, amount: int | None, reference: str) -> PaymentResponse:
        """POST payments/{id}/refund/."""
        asked = {"reference": reference, "reason": "returned"} | ({"amount": str(amount)} if amount is not None else {})
        return self.post(f"{PATH}{payment}/refund/", key, asked)

    def close(self) -> None:
        """Hang up."""
        self.http.close()

    def post(self, path: str, key: str, body: dict[str, Any]) -> PaymentResponse:
        """Send one request and read its response."""
        headers = {"Authorization": f"Api-Key {self.api_key}", "Idempotency-Key": key, "Content-Type": "application/json"}
        response = self.http.post(path, headers, json.dumps(body))
        return PaymentResponse(response.outcome, response.status, response.code, response.receipt)
