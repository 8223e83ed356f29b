"""`manage.py explain`: why a person can claim, or cannot, and which credits paid a payment."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from accounts.email_addresses import normal_email
from accounts.models import User
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Payment
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.queries.explain_claim import explain_asset_claim, explain_pool_claim
from wallet.queries.payments import explain_payment


class Command(BaseCommand):
    """Explains a claim or a payment; changes nothing."""

    help = "Show why a person can claim from a pool or a credit now, or cannot; or which credits paid a payment, and why these."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="kind", metavar="WHAT", required=True, help="what to explain")
        claim = kinds.add_parser("claim", help="every rule of a claim with its figures")
        claim.add_argument("--user", required=True, metavar="EMAIL", help="who wants to claim")
        target = claim.add_mutually_exclusive_group(required=True)
        target.add_argument("--pool", metavar="NAME", help="any credit of this pool")
        target.add_argument("--asset", metavar="ID", type=UUID, help="this credit")
        payment = kinds.add_parser("payment", help="the credits that paid, in the order of drawing")
        payment.add_argument("payment", metavar="ID", type=UUID)

    def handle(self, *args: Any, kind: str, **options: Any) -> None:
        if kind == "claim":
            self.write_claim(explained_claim(options["user"], options["pool"], options["asset"]))
        else:
            self.write_payment(explained_payment(options["payment"]))

    def write_claim(self, explanation: dict[str, Any]) -> None:
        """Write whether the person can claim, and the rules."""
        said = "They can claim." if explanation["can_claim"] else f"A claim would be refused: {explanation['refusal']}."
        self.stdout.write(said)
        rows = [(rule["rule"], "yes" if rule["allows"] else "NO", figures_text(rule)) for rule in explanation["rules"]]
        output.write_table(self.stdout, ("rule", "holds", "figures"), rows)

    def write_payment(self, explanation: dict[str, Any]) -> None:
        """Write the credits that paid."""
        self.stdout.write(f"{explanation['amount']} {explanation['currency']}. Draw order: {explanation['order_drawn']}")
        columns = ("claim", "title", "amount", "spendable_until", "claimed_at", "drawn_before_next_by")
        rows = [[credit[name] for name in columns] for credit in explanation["credits"]]
        output.write_table(self.stdout, columns, rows, right=("amount",))


def explained_claim(email: str, pool_name: str | None, asset_id: UUID | None) -> dict[str, Any]:
    """Return the explanation of a claim. Raises CommandError."""
    user = User.objects.filter(email=normal_email(email)).first()
    if user is None:
        raise CommandError(f'User not found: "{email}".', returncode=2)
    if pool_name is not None:
        pool = CreditPool.objects.named(pool_name).first()
        if pool is None:
            raise CommandError(f'Pool not found: "{pool_name}".', returncode=2)
        return explain_pool_claim(pool, user)
    asset = CashbackAsset.objects.filter(pk=asset_id).first() if asset_id else None
    if asset is None:
        raise CommandError(f"Credit not found: {asset_id}.", returncode=2)
    return explain_asset_claim(asset, user)


def explained_payment(payment_id: UUID) -> dict[str, Any]:
    """Return the explanation of a payment. Raises CommandError."""
    payment = Payment.objects.filter(pk=payment_id).first()
    if payment is None:
        raise CommandError(f"Payment not found: {payment_id}.", returncode=2)
    return explain_payment(payment)


def figures_text(rule: dict[str, Any]) -> str:
    """Return the figures of a rule in one line."""
    return ", ".join(f"{name} {value}" for name, value in rule["figures"].items() if value is not None)
