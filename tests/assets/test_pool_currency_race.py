"""A pool's currency changed while credits are put into it: both orders, in two sessions that have not committed."""

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from wallet.actions import edit_pool
from wallet.actions.issue_assets import issue_many
from wallet.assets.models import CashbackAsset, CreditPool

pytestmark = pytest.mark.django_db(transaction=True)
Change = Callable[[], object]


@pytest.fixture
def pool() -> CreditPool:
    return edit_pool.open_pool(None, name="Races", kind="SIGNUP", currency="INR")


@pytest.fixture
def moving(issue: Callable[..., CashbackAsset]) -> CashbackAsset:
    return issue(currency="INR", total_value=Decimal(5))


def issuing(pool: CreditPool) -> Change:
    """Issue as the actions do, with the currency of the pool as it was read: PostgreSQL must not rely on that."""
    return lambda: issue_many(None, pool, count=1, title="Race", total_value=Decimal(5))


def putting_in(asset: CashbackAsset, pool: CreditPool) -> Change:
    return lambda: CashbackAsset.objects.filter(pk=asset.pk).update(pool=pool)


def changing_currency(pool: CreditPool) -> Change:
    return lambda: CreditPool.objects.filter(pk=pool.pk).update(currency="JPY")


def constraint_of(error: BaseException | None) -> str:
    """Return the name of the rule that refused, which an action may have put in words."""
    while not isinstance(error, IntegrityError):
        assert error
        error = error.__cause__
    return str(error.__cause__.diag.constraint_name)  # type: ignore[union-attr]


def in_flight(first: Change, second: Change) -> list[str]:
    """Begin `first`, begin `second` before it commits, and return what became of each."""
    outcomes: list[str] = []
    begun, waiting = threading.Event(), threading.Event()

    def run(change: Change, *, hold: bool) -> None:
        try:
            with transaction.atomic():
                change()
                if hold:
                    begun.set()
                    waiting.wait(1)
            outcomes.append("done")
        except (IntegrityError, ValidationError) as error:
            outcomes.append(constraint_of(error))
        finally:
            connection.close()

    holder = threading.Thread(target=run, args=(first,), kwargs={"hold": True})
    follower = threading.Thread(target=run, args=(second,), kwargs={"hold": False})
    holder.start()
    assert begun.wait(5)
    follower.start()
    follower.join(0.5)
    waiting.set()
    holder.join()
    follower.join()
    return outcomes


def currencies(pool: CreditPool) -> set[str]:
    pool.refresh_from_db()
    return {pool.currency, *CashbackAsset.objects.filter(pool=pool).values_list("currency", flat=True)}


def test_a_pool_keeps_its_currency_while_a_credit_is_being_issued_into_it(pool: CreditPool) -> None:
    assert in_flight(issuing(pool), changing_currency(pool)) == ["done", "pool_currency"]
    assert currencies(pool) == {"INR"}


def test_a_credit_is_not_issued_into_a_pool_whose_currency_is_being_changed(pool: CreditPool) -> None:
    assert in_flight(changing_currency(pool), issuing(pool)) == ["done", "asset_pool_currency"]
    assert currencies(pool) == {"JPY"}


def test_a_pool_keeps_its_currency_while_a_credit_is_being_put_into_it(pool: CreditPool, moving: CashbackAsset) -> None:
    assert in_flight(putting_in(moving, pool), changing_currency(pool)) == ["done", "pool_currency"]
    assert currencies(pool) == {"INR"}


def test_a_credit_is_not_put_into_a_pool_whose_currency_is_being_changed(pool: CreditPool, moving: CashbackAsset) -> None:
    assert in_flight(changing_currency(pool), putting_in(moving, pool)) == ["done", "asset_pool_currency"]
    assert currencies(pool) == {"JPY"}


def test_any_other_change_of_a_pool_does_not_wait_for_an_issue(pool: CreditPool) -> None:
    """Closing a pool is urgent, and an issue of 100,000 credits takes seconds."""
    with transaction.atomic():
        issuing(pool)()
        finished = threading.Event()

        def close_pool() -> None:
            edit_pool.update_pool(pool.pk, None, is_active=False)
            finished.set()
            connection.close()

        closing = threading.Thread(target=close_pool)
        closing.start()
        assert finished.wait(1.5)
        closing.join()
