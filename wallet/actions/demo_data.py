"""Demo data: users, pools, rules, some history and payments at the demo shop, created with the same actions as real data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from accounts.models import Role, User
from kernel.sql import DEMO_DATA_LOCK
from wallet.actions import demo_payments, edit_asset, edit_pool, edit_rule, issue_assets, recreate_asset
from wallet.actions.claim import claim_from_pool
from wallet.actions.grant_credit import grant_credit
from wallet.assets.batches import BatchHeader
from wallet.assets.models import CashbackAsset, CreditPool, PoolKind
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry
from wallet.programme.events import GrantEvent
from wallet.programme.models import GrantRule

DEMO_DATA = "demo_data"  # the alias of the connection that holds the lock
ADMIN = "admin@example.com"
CUSTOMER = "meera@example.com"
ROLES = {CUSTOMER: Role.USER, "arjun@example.com": Role.USER, ADMIN: Role.ADMIN}

WELCOME, REFERRAL, FESTIVE, REWARDS = "Welcome bonus", "Refer a friend", "Festive cashback", "Friend rewards"
KINDS_AND_LIMITS = {
    WELCOME: (PoolKind.SIGNUP, 1),
    REFERRAL: (PoolKind.REFERRAL, 5),
    FESTIVE: (PoolKind.PROMOTION, None),
    REWARDS: (PoolKind.REFERRAL, 20),
}
EXPIRED_TITLE = "Monsoon cashback"

# title, value in rupees, number of credits, days until they expire (None: no expiry)
Offer = tuple[str, str, int, int | None]
OFFERS: dict[str, list[Offer]] = {
    WELCOME: [("Welcome to your wallet", "100.00", 10, 90), ("Welcome, early bird", "150.00", 2, 3)],
    REFERRAL: [("Thanks for inviting a friend", "250.00", 10, 180), ("Your third friend joined", "400.00", 4, 30)],
    REWARDS: [("Your friend's first order", "200.00", 20, None)],
    FESTIVE: [
        ("Festival of lights cashback", "75.00", 10, 45),
        ("Weekend grocery cashback", "49.50", 6, 2),
        ("Metro recharge cashback", "20.00", 6, None),
        (EXPIRED_TITLE, "60.00", 1, 30),
    ],
}
GOODWILL_TITLE = "Goodwill credit"
# What claims of these pools promise: a welcome can be spent after a week, a reward after the return window; a festive credit
# ends after five days. Rules grant from the first two, and users claim from the others.
POLICIES: dict[str, dict[str, Any]] = {
    WELCOME: {"pending_for": "7 days", "grants_only": True},
    REWARDS: {"pending_for": "14 days", "grants_only": True},
    FESTIVE: {"valid_for": "5 days"},
}
# name, event, pool: what the scheduler grants by itself.
RULES = (
    ("Welcome, once the email is verified", GrantEvent.EMAIL_VERIFIED, WELCOME),
    ("A friend's first order", GrantEvent.FRIEND_FIRST_PAYMENT, REWARDS),
)
CLAIMED_POOLS = {"meera@example.com": (REFERRAL, FESTIVE), "arjun@example.com": (WELCOME, REFERRAL, FESTIVE)}


@dataclass(frozen=True)
class Step:
    """One part of the demo data."""

    name: str
    exists: Callable[[], bool]
    create: Callable[[], None]


def demo_steps(password: Callable[[str], str]) -> list[Step]:
    """Return the steps in their order; `password` returns a new user's password by email."""
    return [
        *(Step(email, partial(user_exists, email), partial(create_user, email, password)) for email in ROLES),
        *(Step(f'pool "{name}"', partial(has_credits, name), partial(fill_pool, name)) for name in OFFERS),
        Step("credits in dollars", partial(has_credit_titled, GOODWILL_TITLE), issue_goodwill),
        *(Step(f"claims of {email}", partial(has_claimed, email), partial(claim_from_pools, email)) for email in CLAIMED_POOLS),
        Step("an expired credit and its recreation", was_recreated, expire_and_recreate_one),
        *(
            Step(f'rule "{name}"', partial(has_rule, name), partial(open_demo_rule, name, event, pool))
            for name, event, pool in RULES
        ),
        Step("payments in every state", demo_payments.are_complete, partial(create_payments, CUSTOMER)),
    ]


def missing_steps(password: Callable[[str], str]) -> list[str]:
    """Return the names of the steps that create_demo_data would run now."""
    return [step.name for step in demo_steps(password) if not step.exists()]


def create_demo_data(password: Callable[[str], str]) -> list[str]:
    """Create what is missing and return the names of the steps. The next run completes an interrupted one.

    Raises Refusal or ValidationError when existing data of the same name conflicts.
    """
    with demo_data_lock():
        steps = [step for step in demo_steps(password) if not step.exists()]
        for step in steps:
            step.create()
    return [step.name for step in steps]


def create_first_admin(password: Callable[[str], str]) -> bool:
    """Create the first operator, who may change everything, unless there is an operator; return whether one was created."""
    with demo_data_lock():
        if User.objects.filter(role=Role.ADMIN, is_active=True).exists():
            return False
        User.objects.create_superuser(ADMIN, password(ADMIN))
    return True


@contextmanager
def demo_data_lock() -> Iterator[None]:
    """Exclude a concurrent run during the block, by a transaction of another connection: each step has its own transaction.

    A session-level lock would not exclude anybody behind a pooler, and would stay with its session.
    """
    lock = connections["default"].copy(alias=DEMO_DATA)
    connections[DEMO_DATA] = lock
    try:
        with transaction.atomic(using=DEMO_DATA), lock.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0")
            cursor.execute(f"SELECT pg_advisory_xact_lock({DEMO_DATA_LOCK})")
            yield
    finally:
        lock.close()
        del connections[DEMO_DATA]


def user_exists(email: str) -> bool:
    """Return whether a user has this email."""
    return User.objects.filter(email=email).exists()


def create_user(email: str, password: Callable[[str], str]) -> None:
    """Create a user with the role in ROLES."""
    User.objects.create_user(email, password(email), role=ROLES[email])


def has_credits(name: str) -> bool:
    """Return whether the pool exists and has credits."""
    return CashbackAsset.objects.filter(pool__name=name).exists()


def fill_pool(name: str) -> None:
    """Open the pool unless it exists, and issue its credits."""
    admin, (kind, limit) = demo_admin(), KINDS_AND_LIMITS[name]
    pool = CreditPool.objects.named(name).first() or edit_pool.open_pool(
        admin, name=name, kind=kind, currency="INR", per_user_limit=limit, time_zone="Asia/Kolkata", **POLICIES.get(name, {})
    )
    credits = [credit for offer in OFFERS[name] for credit in build_credits(offer, pool, admin)]
    issue_assets.issue_assets(credits, batch=BatchHeader(name))


def build_credits(offer: Offer, pool: CreditPool, admin: User) -> list[CashbackAsset]:
    """Return the unsaved credits of an offer."""
    title, value, count, days = offer
    today = timezone.now().date()
    return [
        issue_assets.build_asset(
            admin,
            title=title,
            total_value=Decimal(value),
            pool=pool,
            expires_at=None if days is None else today + timedelta(days=days),
        )
        for _ in range(count)
    ]


def has_credit_titled(title: str) -> bool:
    """Return whether a credit has this title."""
    return CashbackAsset.objects.filter(title=title).exists()


def issue_goodwill() -> None:
    """Issue two credits in dollars without a pool."""
    admin = demo_admin()
    credit = partial(issue_assets.build_asset, admin, title=GOODWILL_TITLE, total_value=Decimal("5.00"), currency="USD")
    issue_assets.issue_assets([credit(), credit()], batch=BatchHeader(GOODWILL_TITLE))


def has_claimed(email: str) -> bool:
    """Return whether the user has claimed a credit."""
    return Entry.objects.filter(user__email=email).exists()


def claim_from_pools(email: str) -> None:
    """Claim one credit from each of the user's pools in CLAIMED_POOLS, or grant it where credits are only granted."""
    user = User.objects.get(email=email)
    for pool in CreditPool.objects.filter(name__in=CLAIMED_POOLS[email]):
        if pool.grants_only:
            grant_credit(user, pool.pk, reference=f"demo: {pool.name}, {email}", reason="welcome", actor=demo_admin())
            continue
        request = IdempotentRequest(user, "seed", f"demo-{pool.pk}", fingerprint(pool.pk))
        claim_from_pool(pool.pk, user, request)


def was_recreated() -> bool:
    """Return whether the demo's expired credit was recreated."""
    return CashbackAsset.objects.filter(pool__name=FESTIVE, title=EXPIRED_TITLE, generation__gt=1).exists()


def expire_and_recreate_one() -> None:
    """Expire one credit early and recreate it."""
    admin = demo_admin()
    parent = CashbackAsset.objects.with_current_status().get(pool__name=FESTIVE, title=EXPIRED_TITLE)
    if parent.current_status == "AVAILABLE":
        edit_asset.expire_asset(parent.pk, admin)
    recreate_asset.recreate_asset(parent.pk, admin)


def has_rule(name: str) -> bool:
    """Return whether a rule has this name."""
    return GrantRule.objects.filter(name=name).exists()


def open_demo_rule(name: str, event: GrantEvent, pool: str) -> None:
    """Open a rule that grants from one of the demo's pools."""
    edit_rule.open_rule(demo_admin(), name=name, event=event, pool=CreditPool.objects.named(pool).get())


def create_payments(email: str) -> None:
    """Pay orders at the demo shop as this user."""
    demo_payments.create_payments(User.objects.get(email=email))


def demo_admin() -> User:
    """Return the demo's ADMIN, who is the actor of every step."""
    return User.objects.get(email=ADMIN)
