"""`manage.py change_credits`."""

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.batches import BulkJob
from wallet.assets.models import CashbackAsset, CreditPool

pytestmark = pytest.mark.django_db(transaction=True)
Issue = Callable[..., CashbackAsset]


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("change_credits", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool], issue: Issue, alice: User) -> CreditPool:
    """A pool of three credits, one of them claimed."""
    pool = open_pool()
    claim_asset(issue(pool=pool).pk, alice)
    issue(pool=pool)
    issue(pool=pool, expires_at=datetime(2090, 1, 1, tzinfo=UTC))
    return pool


def test_a_whole_pool_is_expired_and_the_job_recorded(pool: CreditPool) -> None:
    assert run("expire", "--pool", "Diwali") == "2 credits of 2 changed.\n"

    assert sorted(CashbackAsset.objects.values_list("status", flat=True)) == ["CLAIMED", "EXPIRED", "EXPIRED"]
    assert BulkJob.objects.values_list("state", "channel", "done").get() == ("DONE", "shell", 2)


def test_extension_says_what_was_left(pool: CreditPool) -> None:
    assert run("extend", "--pool", "Diwali", "--until", "2091-01-01") == "1 credit of 2 changed, 1 NOT_LATER.\n"


def test_dry_run_changes_nothing(pool: CreditPool) -> None:
    assert run("delete", "--pool", "Diwali", "--dry-run").startswith("2 credits would be tried")

    assert (CashbackAsset.objects.count(), BulkJob.objects.count()) == (3, 0)


def test_batch_is_deleted(issue: Issue) -> None:
    asset, other = issue(), issue()

    run("delete", "--batch", str(asset.batch_id))

    assert CashbackAsset.objects.get() == other


@pytest.mark.parametrize(
    "arguments",
    [
        ("expire", "--pool", "Nowhere"),
        ("expire", "--batch", "00000000-0000-7000-8000-000000000000"),
        ("extend", "--pool", "Diwali"),
        ("expire", "--pool", "Diwali", "--until", "never"),
    ],
)
def test_invalid_command_line_is_refused(pool: CreditPool, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as refused:
        run(*arguments)

    assert refused.value.returncode == 2
    assert BulkJob.objects.count() == 0
