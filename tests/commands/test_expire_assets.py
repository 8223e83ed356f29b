"""`manage.py expire_assets`."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone

from tests.commands.conftest import Ended
from wallet.assets.models import CashbackAsset

Command = Callable[..., str]
Issue = Callable[..., CashbackAsset]


def make_due(*assets: CashbackAsset) -> None:
    """Move the expiry into the past, as time does."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE assets_cashbackasset DISABLE TRIGGER USER")
        past = timezone.now() - timedelta(hours=1)
        CashbackAsset.objects.filter(pk__in=[asset.pk for asset in assets]).update(expires_at=past)
        cursor.execute("ALTER TABLE assets_cashbackasset ENABLE TRIGGER USER")


def statuses() -> list[str]:
    return sorted(CashbackAsset.objects.values_list("status", flat=True))


def test_only_due_credits_are_marked_expired(command: Command, issue: Issue) -> None:
    make_due(issue(), issue())
    issue()

    assert command("expire_assets") == "2 credits marked EXPIRED.\n"
    assert statuses() == ["AVAILABLE", "EXPIRED", "EXPIRED"]


def test_second_run_marks_nothing(command: Command, issue: Issue) -> None:
    make_due(issue())
    command("expire_assets")

    assert command("expire_assets") == "0 credits marked EXPIRED.\n"


def test_a_dry_run_only_counts(command: Command, issue: Issue) -> None:
    make_due(issue())

    assert command("expire_assets", "--dry-run") == "1 credit would be marked EXPIRED (dry run, nothing changed).\n"
    assert statuses() == ["AVAILABLE"]


def test_small_batches_have_the_same_result(command: Command, issue: Issue) -> None:
    make_due(*(issue() for _ in range(5)))

    assert command("expire_assets", "--batch", "2") == "5 credits marked EXPIRED.\n"


@pytest.mark.parametrize("batch", ["0", "-1", "many", "1.5"])
def test_batch_must_be_a_positive_whole_number(command: Command, batch: str) -> None:
    with pytest.raises(CommandError, match="not a positive whole number"):
        command("expire_assets", f"--batch={batch}")


def test_unreachable_database_is_reported_in_one_sentence(shell: Callable[..., Ended]) -> None:
    ended = shell("expire_assets", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    assert ended.code == 1
    assert ended.err.startswith("CommandError: Cannot use the database")
    assert "Traceback" not in ended.err
