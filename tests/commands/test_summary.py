"""`manage.py summary`."""

from collections.abc import Callable

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool


def test_summary_shows_issued_credits_by_status(
    command: Callable[..., str], issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool], alice: User
) -> None:
    pool = open_pool()
    claim_asset(issue(pool=pool).pk, alice)
    issue(pool=pool)

    line = command("summary").splitlines()[1]

    assert line.split("  ")[0] == "INR"
    assert [cell.strip() for cell in line.split("  ") if "/" in cell] == [
        "2 / 200.00",
        "0 / 0.00",
        "1 / 100.00",
        "1 / 100.00",
        "0 / 0.00",
        "0 / 0.00",
    ]


def test_summary_without_credits_says_what_to_do(command: Callable[..., str]) -> None:
    assert command("summary") == "No credits issued yet. See `manage.py import_assets`, or `manage.py seed` for a demo.\n"
