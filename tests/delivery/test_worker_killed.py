"""Real processes: workers are killed again and again, and receivers fail half the time."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections

from accounts.models import User
from accounts.services import Service
from dev.chaos.webhook_receiver import Receiver
from tests.delivery.conftest import reload, verify
from wallet.actions.edit_webhook import NewSecret
from wallet.actions.pay import pay
from wallet.actions.release_payment import release_payment
from wallet.delivery.ticks import append_tick, last_tick
from wallet.ledger.models import Lot, Movement

CHECKOUT = Path(__file__).resolve().parents[2]
WORKER = """
import django; django.setup()
from django.conf import settings
from django.db import connection
from wallet.actions import deliver_webhooks
settings.WEBHOOK_TIMEOUT, settings.WEBHOOK_RETRY_SECONDS = 0.4, 0.01
deliver_webhooks.PAUSE_SECONDS, deliver_webhooks.TICK_SECONDS = 0.05, 0.2
connection.settings_dict["NAME"] = {database!r}
print("up", flush=True)
deliver_webhooks.deliver_webhooks(300)
"""
KILLS, MOST_KILLS, WALLETS, PAYMENTS = 8, 12, 5, 60


def start_worker() -> subprocess.Popen[bytes]:
    """Start a process that sends webhooks, and nothing else, in the test's database; return it as soon as it is up."""
    code = WORKER.format(database=connection.settings_dict["NAME"])
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, env=environ, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker


@pytest.mark.django_db(transaction=True)
def test_every_event_arrives_at_least_once_and_in_order_though_workers_are_killed_and_receivers_fail_half_the_time(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    make_users: Callable[[int], list[User]],
    credit: Callable[..., Lot],
    shop: Service,
) -> None:
    chance = random.Random(15)
    outcomes: dict[int | str, int] = {}

    def fail_half_the_time() -> int | str:
        outcome = chance.choice((200, 200, 200, 200, 500, "cut", "lose", 503 if chance.random() < 0.8 else "hang"))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        return outcome

    receivers = [start_receiver(answer=fail_half_the_time) for _ in range(2)]
    dead = start_receiver(answer=lambda: "hang")
    made = [add(receiver) for receiver in receivers]
    add(dead)
    users = make_users(WALLETS)
    for user in users:
        credit("100000", user=user)

    def write() -> None:
        for number in range(PAYMENTS):
            paid = pay(
                users[number % WALLETS],
                shop,
                currency="INR",
                amount=Decimal(1),
                reference=f"o-{number}",
                capture=number % 3 > 0,
            )
            if number % 3 == 0:
                release_payment(UUID(paid.body["id"]), service=shop)
            time.sleep(0.2)
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    kills = 0
    worker = start_worker()
    deadline = time.monotonic() + 400
    try:
        while time.monotonic() < deadline:
            for _ in range(35):
                time.sleep(0.1)
                if is_done(writer, made, kills):
                    break
            else:
                if kills == MOST_KILLS:
                    continue
                worker.kill()  # SIGKILL
                worker.wait()
                kills += 1
                worker = start_worker()
                continue
            break
    finally:
        worker.kill()
        worker.wait()
        writer.join()

    expected = {f"movement_{pk}" for pk in Movement.objects.values_list("pk", flat=True)}
    for receiver, new in zip(receivers, made, strict=True):
        messages = verify(new.secret, receiver)
        print(  # noqa: T201  (the figures of the proof)
            f"{len(expected)} events, {len(messages)} messages kept, {len(set(receiver.ids))} different, "
            f"{len(messages) - len(set(receiver.ids))} doubled, {receiver.requests} requests, {kills} kills, {outcomes}"
        )
        assert set(receiver.ids) == expected
        assert_in_order(messages)
    assert kills >= KILLS
    assert outcomes.keys() >= {200, 500, 503, "cut", "lose"}


def is_done(writer: threading.Thread, made: list[NewSecret], kills: int) -> bool:
    """Return whether everything was sent, and workers were killed often enough."""
    append_tick()
    end = str(last_tick())
    sent = all(reload(new.endpoint).cursor == end for new in made)
    return sent and kills >= KILLS and not writer.is_alive()


def assert_in_order(messages: list[Any]) -> None:
    """Each wallet's events come by number when what was sent again is left out."""
    seen: set[str] = set()
    numbers: dict[str, list[int]] = {}
    for message in messages:
        if message["id"] not in seen:
            seen.add(message["id"])
            numbers.setdefault(message["data"]["user"], []).append(message["data"]["number"])
    assert len(numbers) == WALLETS
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))
