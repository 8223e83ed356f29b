"""A client that pays for orders, retries and logs every attempt."""

import random
import time
from collections.abc import Callable

from dev.payment_race.transport import PaymentResponse, PaymentTransport
from wallet.verification.payment_log import PaymentAttempt, Step

MAX_TRIES = 60  # of one request that was busy or unanswered
REPEATED = 0.2  # share of the payments that are asked for again: with the same key, or with a fresh key and the same reference
AMOUNTS = (2, 3, 4, 6)


class PaymentClient:
    """Sends one request at a time, repeats it with the same key until it is answered, and logs every attempt."""

    def __init__(self, transport: PaymentTransport, number: int, seed: int) -> None:
        self.transport, self.number, self.seed = transport, number, seed
        self.log: list[PaymentAttempt] = []
        self.keys, self.max_tries = 0, MAX_TRIES
        self.random = random.Random(f"{seed}/{number}")  # noqa: S311  (the run must be repeatable)

    def new_name(self) -> str:
        """Return a key, or a reference, that no other request has."""
        self.keys += 1
        return f"payment-{self.seed}-{self.number:04}-{self.keys:06}"

    def until_answered(
        self, step: Step, user: str, reference: str, send: Callable[[str], PaymentResponse], key: str = ""
    ) -> PaymentResponse:
        """Send a request with a key until it is answered, as clients should."""
        key = key or self.new_name()
        for again in range(self.max_tries):
            started = time.time()
            response = send(key)
            name = f"client {self.number}, request {len(self.log)}"
            told = (response.outcome, response.status, response.code, response.payment)
            self.log.append(PaymentAttempt(name, step, user, reference, key, started, time.time(), *told))
            if not response.is_retryable:
                break
            time.sleep(self.random.uniform(0.01, 0.05) * min(again + 1, 10))
        return response

    def pay(self, user: str, amount: int, *, capture: bool, reference: str = "") -> PaymentResponse:
        """Pay for an order; ask for some again, as after a lost answer."""
        reference, key = reference or self.new_name(), self.new_name()
        step: Step = "spend" if capture else "hold"

        def send(key: str) -> PaymentResponse:
            return self.transport.pay(user, amount, reference, key, capture=capture)

        response = self.until_answered(step, user, reference, send, key)
        if response.outcome == "ok" and self.random.random() < REPEATED:
            self.until_answered(step, user, reference, send, self.random.choice((key, "")))
        return response

    def capture(self, user: str, payment: str, amount: int | None = None, *, final: bool = True) -> PaymentResponse:
        """Capture a part of a hold, or all of it."""
        return self.until_answered(
            "capture", user, payment, lambda key: self.transport.capture(payment, key, amount, final=final)
        )

    def release(self, user: str, payment: str) -> PaymentResponse:
        """Release a hold."""
        return self.until_answered("release", user, payment, lambda key: self.transport.release(payment, key))

    def refund(self, user: str, payment: str, amount: int | None, reference: str) -> PaymentResponse:
        """Refund a part of what was captured, or all that is left of it."""
        return self.until_answered("refund", user, payment, lambda key: self.transport.refund(payment, key, amount, reference))

    def whole_order(self, user: str) -> None:
        """Hold, then capture, release and refund as shops do, and also as they should not."""
        amount, reference = self.random.choice(AMOUNTS), self.new_name()
        held = self.pay(user, amount, capture=False, reference=reference).payment
        if held is None:
            return
        payment = held["id"]
        steps: list[Callable[[], PaymentResponse]] = [
            lambda: self.capture(user, payment, amount // 2, final=False),
            lambda: self.capture(user, payment),
            lambda: self.release(user, payment),
            lambda: self.refund(user, payment, 1, f"{reference}-1"),
            lambda: self.refund(user, payment, amount - 1, f"{reference}-2"),
        ]
        # In order as a rule; sometimes the release overtakes, or steps are missing.
        if self.random.random() < 0.3:
            self.random.shuffle(steps)
        for step in steps[: self.random.randint(1, len(steps))]:
            step()
