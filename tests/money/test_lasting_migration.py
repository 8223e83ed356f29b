"""The migration that sums credits without dates, on a database with payments: forward and back."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from django.core.management import call_command

from accounts.models import User
from tests import former_release
from wallet.actions import seal_ledger
from wallet.actions.payment_answers import Answer
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot
from wallet.queries.wallet_balances import wallet_balances
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def latest() -> Iterator[None]:
    """Apply all migrations again afterwards."""
    yield
    former_release.migrate_to_this_one()


def test_existing_credits_are_in_the_sums_after_migration(
    *,
    latest: None,
    credit: Callable[..., Lot],
    spend: Callable[..., Answer],
    hold: Callable[..., UUID],
    open_pool: Callable[..., CreditPool],
    alice: User,
    bob: User,
) -> None:
    credit("100"), credit("500", currency="JPY"), credit("7", user=bob)
    credit("20", pool=open_pool(valid_for="6 days"))
    spend("30")
    seal_ledger.seal_all()
    credit("11")
    hold("25")
    before = [wallet_balances(user.pk) for user in (alice, bob)]

    call_command("migrate", "ledger", "0014", verbosity=0, interactive=False)
    former_release.migrate_to_this_one()

    assert [wallet_balances(user.pk) for user in (alice, bob)] == before
    assert [line["balance"] for line in before[0]] == [101, 500]
    seal_ledger.seal_all()  # the way there and back may take longer than a claim may wait for its seal
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []
