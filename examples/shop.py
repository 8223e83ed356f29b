"""Pay an order with a user's credits, as a shop's backend does: quote, hold, capture in two parts, refund.

    python shop.py http://127.0.0.1:8000 PREFIX.SECRET alice@example.com INR 100.00

The key needs the scopes payments:quote, payments:hold, payments:capture and payments:refund. Standard library only.
"""

import json
import sys
import time
import uuid
from decimal import Decimal
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ATTEMPTS = 5


class Shop:
    """Calls the wallet. A request whose answer was lost is sent again with the same Idempotency-Key: it counts once."""

    def __init__(self, wallet: str, key: str) -> None:
        self.address, self.key = f"{wallet.rstrip('/')}/api/v1/payments/", key

    def post(self, path: str, **body: object) -> dict:
        """Return the answer; raise HTTPError for a refusal, whose body has a stable `code`."""
        headers = {"Authorization": f"Api-Key {self.key}", "Content-Type": "application/json"}
        headers["Idempotency-Key"] = uuid.uuid4().hex
        request = Request(self.address + path, json.dumps(body).encode(), headers)  # noqa: S310  (the caller's own address)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with urlopen(request, timeout=10) as answer:  # noqa: S310
                    return json.load(answer)
            except HTTPError as refusal:
                seconds = refusal.headers.get("Retry-After")
                if seconds is None or attempt == ATTEMPTS:
                    raise
                time.sleep(int(seconds))
            except URLError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(attempt)
        raise AssertionError("unreachable: every attempt returns or raises")


def pay_order(shop: Shop, user: str, currency: str, total: Decimal) -> None:
    """Pay as much of an order as the user's credits cover, deliver it in two parcels, and take one part back."""
    order = {"user": user, "currency": currency, "amount": str(total), "up_to": True}
    quote = shop.post("quote/", **order)
    print(f"Credit covers {quote['covered']} of {quote['asked']} {currency}; {quote['missing']} is paid by card.")
    reference = f"order-{uuid.uuid4().hex[:12]}"
    payment = shop.post("", **order, reference=reference, capture=False, hold_seconds=900, order_total=str(total))
    print(f"{payment['reference']}: {payment['held']} {currency} is held until {payment['held_until']}.")
    first = (Decimal(payment["held"]) / 2).quantize(Decimal(payment["held"]))
    payment = shop.post(f"{payment['id']}/capture/", amount=str(first), final=False)
    print(f"First parcel: {payment['captured']} {currency} is captured, {payment['held']} still held.")
    payment = shop.post(f"{payment['id']}/capture/")
    print(f"Second parcel: {payment['captured']} {currency} is captured.")
    payment = shop.post(f"{payment['id']}/refund/", amount=str(first), reference=f"{reference}-return", reason="returned")
    print(f"Return: {payment['refunded']} {currency} is refunded; the payment is {payment['state']}.")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    try:
        pay_order(Shop(sys.argv[1], sys.argv[2]), sys.argv[3], sys.argv[4], Decimal(sys.argv[5]))
    except HTTPError as refusal:
        sys.exit(f"Refused: {json.load(refusal)['detail']}")
