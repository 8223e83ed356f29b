"""The upgrade of a ledger with many claims from before there were lots: claims go on, and payments wait until it is done."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event

import pytest
from django.db import connection, transaction

from accounts.models import User
from accounts.services import Service
from dev.bench.wallets import create_payers, fill_wallets, open_payable_pool
from kernel.transactions import Busy
from tests.money.conftest import as_owner
from wallet.actions import open_lots, seal_ledger
from wallet.actions.claim import claim_asset
from wallet.actions.pay import pay
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry, Lot, LotBackfill
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
EARLIER = 20_000


@pytest.fixture
def earlier_claims() -> Iterator[None]:
    """Claims as a database of the release before has them right after `migrate`."""
    create_payers(200, "earlier")
    fill_wallets(open_payable_pool("Earlier"), EARLIER, 10)
    as_owner("TRUNCATE ledger_lot")
    with transaction.atomic():
        LotBackfill.objects.create(id=1)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_payer")


@pytest.mark.usefixtures("earlier_claims")
def test_claims_go_on_and_payments_wait_while_the_lots_of_20000_claims_are_opened(
    issue: Callable[..., CashbackAsset], alice: User, shop: Service
) -> None:
    waiting, meanwhile, refused = [issue(total_value=Decimal(10)) for _ in range(300)], Event(), list[str]()

    def claim_on() -> int:
        """Claim, and try to pay, until all lots are open."""
        claimed = 0
        try:
            while waiting and not meanwhile.is_set():
                claim_asset(waiting.pop().pk, alice)
                claimed += 1
                try:
                    pay(alice, shop, currency="INR", amount=Decimal(1), reference=f"order-{claimed}")
                except Busy as busy:
                    refused.append(busy.code)
            return claimed
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        client = thread.submit(claim_on)
        assert open_lots.open_lots(batch_size=500, rest=1.0)
        meanwhile.set()
        claimed = client.result()

    assert claimed > 5
    assert set(refused) == {"busy"}
    assert Lot.objects.count() == Entry.objects.count() == EARLIER + claimed
    assert pay(alice, shop, currency="INR", amount=Decimal(15), reference="afterwards").status_code == 201
    seal_ledger.seal_all()
    connection.close()
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []
