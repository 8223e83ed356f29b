"""`manage.py explain`, and the dry run of `open_lots`."""

from collections.abc import Callable

import pytest
from django.core.management import CommandError

from accounts.models import User
from tests.money.conftest import credit, shop, spend  # noqa: F401  (fixtures)
from wallet.actions.payment_answers import Answer
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Lot

pytestmark = pytest.mark.django_db(transaction=True)
Command = Callable[..., str]


def test_a_claim_is_explained_rule_by_rule(
    command: Command, alice: User, open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]
) -> None:
    asset = issue(pool=open_pool(per_user_limit=1))

    said = command("explain", "claim", "--user", "alice@example.com", "--pool", "diwali")

    assert said.startswith("They can claim.\n")
    assert "limit 1, claimed 0" in said
    assert command("explain", "claim", "--user", "alice@example.com", "--asset", str(asset.pk)).startswith("They can claim.\n")


def test_a_refusal_is_named_first(command: Command, alice: User, open_pool: Callable[..., CreditPool]) -> None:
    open_pool()

    said = command("explain", "claim", "--user", "alice@example.com", "--pool", "Diwali").splitlines()

    assert said[0] == "A claim would be refused: pool_sold_out."


def test_a_payment_is_explained_by_its_credits(
    command: Command,
    credit: Callable[..., Lot],  # noqa: F811
    spend: Callable[..., Answer],  # noqa: F811
) -> None:
    credit("40")
    credit("100")

    said = command("explain", "payment", spend("60").body["id"])

    assert said.startswith("60.00 INR. Draw order: ")
    assert "older_claim" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("claim", "--user", "nobody@example.com", "--pool", "Diwali"), 'User not found: "nobody@example.com".'),
        (("claim", "--user", "alice@example.com", "--pool", "None"), 'Pool not found: "None".'),
        (("payment", "00000000-0000-7000-8000-000000000000"), "Payment not found: 00000000-0000-7000-8000-000000000000."),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    command: Command, alice: User, arguments: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(CommandError) as refused:
        command("explain", *arguments)
    assert str(refused.value) == sentence


def test_opening_lots_has_a_dry_run(command: Command, credit: Callable[..., Lot]) -> None:  # noqa: F811
    credit("40")

    assert command("open_lots", "--dry-run") == "0 claims would be made spendable (dry run, nothing changed).\n"
