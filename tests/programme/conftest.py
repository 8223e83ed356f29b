"""Rules, a pool with credits, people who register, pay and invite each other."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from accounts.invitations import Invitation
from accounts.models import User
from accounts.registration import register_user
from accounts.services import Service
from tests.admin.conftest import console  # noqa: F401  (fixture)
from tests.api.conftest import _no_rates, anonymous, as_ada, as_alice, by  # noqa: F401  (fixtures)
from tests.commands.conftest import command  # noqa: F401  (fixture)
from tests.conftest import PASSWORD
from tests.money.conftest import credit, other_shop, shop  # noqa: F401  (fixtures)
from tests.payments.conftest import as_other_shop, as_shop, new_key  # noqa: F401  (fixtures)
from wallet.actions import edit_rule
from wallet.actions.pay import pay
from wallet.actions.payment_answers import Answer
from wallet.actions.referral import ensure_referral_code
from wallet.actions.report_event import report_event
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.programme.models import GrantRule, Referral

OpenRule = Callable[..., GrantRule]
Fill = Callable[..., CreditPool]
Pay = Callable[..., Answer]
Invite = Callable[..., User]


@pytest.fixture
def fill(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]) -> Fill:
    """Open a pool with that many credits of 50 rupees."""

    def make(count: int, name: str = "Rewards", **fields: Any) -> CreditPool:
        pool = open_pool(name=name, **fields)
        for _ in range(count):
            issue(pool=pool, title=name, total_value=Decimal(50))
        return pool

    return make


@pytest.fixture
def open_rule(ada: User, fill: Fill) -> OpenRule:
    """Open a rule about an event; it has a pool of its own with that many credits unless one is named."""

    def make(event: str, credits: int = 3, **fields: Any) -> GrantRule:
        name = fields.pop("name", f"Rule {uuid4().hex[:6]}")
        pool = fields.pop("pool", None) or fill(credits, f"{name} pool")
        return edit_rule.open_rule(ada, name=name, pool=pool, event=event, **fields)

    return make


@pytest.fixture
def pay_once(credit: Callable[..., Any], shop: Service) -> Pay:  # noqa: F811
    """Let somebody claim a credit and pay from it; captured at once unless it is only held."""

    def make(user: User, amount: str = "10", capture: bool = True) -> Answer:
        credit("100", user)
        return pay(user, shop, currency="INR", amount=Decimal(amount), reference=f"order-{uuid4().hex}", capture=capture)

    return make


@pytest.fixture
def invite(db: None) -> Invite:
    """Let a friend register with somebody's code, from a network."""

    def make(referrer: User, email: str = "friend@example.com", network: str = "") -> User:
        return register_user(email, PASSWORD, Invitation(ensure_referral_code(referrer), network))

    return make


def referral_of(friend: User) -> Referral:
    return Referral.objects.get(friend=friend)


@pytest.fixture
def report(shop: Service) -> Callable[..., Answer]:  # noqa: F811
    """Report an event of somebody's from the shop."""

    def make(user: User, name: str, reference: str, **fields: Any) -> Answer:
        return report_event(shop, user, name=name, reference=reference, **fields)

    return make
