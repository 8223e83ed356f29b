"""The wallets and the shop of a race, made by the product's own actions."""

from dataclasses import dataclass
from decimal import Decimal
from io import StringIO

from django.core.management import call_command

from accounts.models import User
from accounts.services import Service
from dev.payment_race.plan import LOT_VALUE, PaymentPlan
from wallet.actions import edit_pool, issue_assets
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool, PoolKind

SCOPES = ["payments:quote", "payments:hold", "payments:capture", "payments:refund", "payments:read"]


@dataclass(frozen=True)
class PaymentFixture:
    """The ids of the users whose wallets are emptied, of those whose orders take all steps, and of the service.

    `api_key` is the service's key; empty unless the race is over HTTP.
    """

    emptied: list[str]
    shared: list[str]
    service: str
    api_key: str = ""


def create_fixture(plan: PaymentPlan) -> PaymentFixture:
    """Make the plan's wallets and service."""
    service = Service.objects.create(name="Shop of the race")
    pool = edit_pool.open_pool(None, name="Payable", kind=PoolKind.PROMOTION, currency="INR")
    emptied = [fill_wallet(pool, f"payer{number}", plan.lots) for number in range(plan.wallets)]
    shared = [fill_wallet(pool, f"shopper{number}", plan.lots) for number in range(plan.wallets)]
    return PaymentFixture(emptied, shared, str(service.pk), create_api_key(service.name) if plan.http else "")


def create_api_key(service: str) -> str:
    """Make a key with which the service of this name may pay, capture, release and refund; return its text."""
    printed = StringIO()
    call_command("service_key", "create", service, scopes=SCOPES, stdout=printed, stderr=StringIO())
    return printed.getvalue().split()[-1]


def fill_wallet(pool: CreditPool, name: str, lots: int) -> str:
    """Create a user who claims so many credits of the pool; return their id."""
    user = User.objects.create(email=f"{name}@example.com")
    issue_assets.issue_assets(
        [issue_assets.build_asset(None, title="To spend", total_value=Decimal(LOT_VALUE), pool=pool) for _ in range(lots)]
    )
    for asset in CashbackAsset.objects.claimable().filter(pool=pool):
        claim_asset(asset.pk, user)
    return str(user.pk)
