"""Demo data: people, three pools and a little history, made through the same acts as everybody's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial

from django.db import connection
from django.utils import timezone

from accounts.models import Role, User
from kernel.sql import DEMO_DATA_LOCK
from wallet.actions import edit_asset, edit_pool, issue_assets
from wallet.actions.claim import claim_from_pool
from wallet.assets.models import CashbackAsset, CreditPool, PoolKind
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry

ADMIN = "admin@example.com"
PEOPLE = {"meera@example.com": Role.USER, "arjun@example.com": Role.USER, ADMIN: Role.ADMIN}

WELCOME, REFERRAL, FESTIVE = "Welcome bonus", "Refer a friend", "Festive cashback"
LIMITS = {WELCOME: (PoolKind.SIGNUP, 1), REFERRAL: (PoolKind.REFERRAL, 5), FESTIVE: (PoolKind.PROMOTION, None)}
RAINY = "Monsoon cashback"

# title, value in rupees, how many, days until they expire (None: never)
Offer = tuple[str, str, int, int | None]
OFFERS: dict[str, list[Offer]] = {
    WELCOME: [("Welcome to your wallet", "100.00", 10, 90), ("Welcome, early bird", "150.00", 2, 3)],
    REFERRAL: [("Thanks for inviting a friend", "250.00", 10, 180), ("Your third friend joined", "400.00", 4, 30)],
    FESTIVE: [
        ("Festival of lights cashback", "75.00", 10, 45),
        ("Weekend grocery cashback", "49.50", 6, 2),
        ("Metro recharge cashback", "20.00", 6, None),
        (RAINY, "60.00", 1, 30),
    ],
}
GOODWILL = "Goodwill credit"
CLAIMED = {"meera@example.com": (REFERRAL, FESTIVE), "arjun@example.com": (WELCOME, REFERRAL, FESTIVE)}


@dataclass(frozen=True)
class Step:
    """One thing the demo needs: what it is, whether it is there, how it is made."""

    what: str
    is_there: Callable[[], bool]
    make: Callable[[], None]


def demo_steps(password: Callable[[str], str]) -> list[Step]:
    """Return the demo's steps in their order; `password` gives the password of a person who is made, by email."""
    return [
        *(Step(email, partial(is_person, email), partial(create_person, email, password)) for email in PEOPLE),
        *(Step(f'pool "{name}"', partial(has_credits, name), partial(fill_pool, name)) for name in OFFERS),
        Step("credits in dollars", partial(is_titled, GOODWILL), show_goodwill),
        *(Step(f"claims of {email}", partial(has_claimed, email), partial(claim_some, email)) for email in CLAIMED),
        Step("an expired credit and its recreation", was_recreated, recreate_one),
    ]


def missing_steps(password: Callable[[str], str]) -> list[str]:
    """Return what `seed` would make now; changes nothing."""
    return [step.what for step in demo_steps(password) if not step.is_there()]


def create_demo_data(password: Callable[[str], str]) -> list[str]:
    """Make what is missing and return what was made. Cut short, it is completed by the next run.

    Raises Refusal or ValidationError when something of the same name is in the way.
    """
    with exclusive_lock():
        wanted = [step for step in demo_steps(password) if not step.is_there()]
        for step in wanted:
            step.make()
    return [step.what for step in wanted]


@contextmanager
def exclusive_lock() -> Iterator[None]:
    """Hold off a second seed at the same time; each step is a transaction of its own, so a lock of the session does it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock({DEMO_DATA_LOCK})")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_unlock({DEMO_DATA_LOCK})")


def is_person(email: str) -> bool:
    """Tell whether somebody has this email."""
    return User.objects.filter(email=email).exists()


def create_person(email: str, password: Callable[[str], str]) -> None:
    """Make a person."""
    User.objects.create_user(email, password(email), role=PEOPLE[email])


def has_credits(name: str) -> bool:
    """Tell whether the pool is there and was ever filled."""
    return CashbackAsset.objects.filter(pool__name=name).exists()


def fill_pool(name: str) -> None:
    """Open the pool, unless it is, and issue its credits."""
    admin, (kind, limit) = demo_admin(), LIMITS[name]
    pool = CreditPool.objects.filter(name=name).first() or edit_pool.open_pool(
        admin, name=name, kind=kind, currency="INR", per_user_limit=limit, time_zone="Asia/Kolkata"
    )
    issue_assets.issue_assets([credit for offer in OFFERS[name] for credit in credits_of(offer, pool, admin)])


def credits_of(offer: Offer, pool: CreditPool, admin: User) -> list[CashbackAsset]:
    """Return the offer's credits, not saved yet."""
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


def is_titled(title: str) -> bool:
    """Tell whether there is a credit with this title."""
    return CashbackAsset.objects.filter(title=title).exists()


def show_goodwill() -> None:
    """Issue two credits in dollars that belong to no pool."""
    admin = demo_admin()
    credit = partial(issue_assets.build_asset, admin, title=GOODWILL, total_value=Decimal("5.00"), currency="USD")
    issue_assets.issue_assets([credit(), credit()])


def has_claimed(email: str) -> bool:
    """Tell whether this person holds anything."""
    return Entry.objects.filter(user__email=email).exists()


def claim_some(email: str) -> None:
    """Claim one credit of each of the person's pools, as they would."""
    user = User.objects.get(email=email)
    for pool in CreditPool.objects.filter(name__in=CLAIMED[email]):
        request = IdempotentRequest(user, "seed", f"demo-{pool.pk}", fingerprint(pool.pk))
        claim_from_pool(pool.pk, user, request)


def was_recreated() -> bool:
    """Tell whether the demo's expired credit has its child."""
    return CashbackAsset.objects.filter(pool__name=FESTIVE, title=RAINY, generation__gt=1).exists()


def recreate_one() -> None:
    """Expire one credit before its time and issue it again."""
    admin = demo_admin()
    parent = CashbackAsset.objects.with_current_status().get(pool__name=FESTIVE, title=RAINY)
    if parent.current_status == "AVAILABLE":
        edit_asset.expire_asset(parent.pk, admin)
    edit_asset.recreate_asset(parent.pk, admin)


def demo_admin() -> User:
    """Return the demo's ADMIN, under whose name the demo is made."""
    return User.objects.get(email=ADMIN)
