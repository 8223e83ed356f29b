"""examples/shop.py pays, delivers and takes back an order through a real server."""

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from accounts.service_keys import NewKey
from accounts.services import Scope
from tests.money.conftest import figures, kinds
from wallet.ledger.models import Lot

SCRIPT = Path(__file__).parents[2] / "examples/shop.py"
pytestmark = pytest.mark.django_db(transaction=True)


def run(server: LiveServer, key: str, amount: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, str(SCRIPT), server.url, key, "alice@example.com", "INR", amount]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


def test_the_example_shop_pays_delivers_and_takes_back(
    live_server: LiveServer, new_key: Callable[..., NewKey], credit: Callable[..., Lot]
) -> None:
    lot = credit("100")

    ran = run(live_server, new_key(Scope.QUOTE, Scope.HOLD, Scope.CAPTURE, Scope.REFUND).text, "130.00")

    assert ran.returncode == 0, ran.stderr
    assert "Credit covers 100.00 of 130.00 INR; 30.00 is paid by card." in ran.stdout
    assert kinds() == ["HOLD", "CAPTURE", "CAPTURE", "REFUND"]
    assert figures(lot) == {"available": Decimal(50), "spent": Decimal(50)}


def test_the_example_says_why_it_was_refused(
    live_server: LiveServer, new_key: Callable[..., NewKey], credit: Callable[..., Lot]
) -> None:
    credit("100")

    ran = run(live_server, new_key(Scope.READ_PAYMENTS).text, "130.00")

    assert ran.returncode == 1
    assert "payments:quote" in ran.stderr
