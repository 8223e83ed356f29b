"""The users and credits of a race, created through the product's own actions."""

from dataclasses import dataclass
from decimal import Decimal

from accounts.models import User
from accounts.tokens import issue_pair
from dev.race.plan import Plan
from wallet.actions import edit_pool, issue_assets
from wallet.assets.models import CashbackAsset, CreditPool, PoolKind
from wallet.verification.checker import Supply

VALUE = Decimal("25.50")


@dataclass(frozen=True)
class Participant:
    """A user who claims; `token` is empty unless the race is over HTTP."""

    id: str
    token: str


@dataclass(frozen=True)
class RaceFixture:
    """The participants, the credits and pool that they claim, and the totals issued."""

    participants: list[Participant]
    credits: list[str]
    pool: str
    issued: Supply


def create_fixture(plan: Plan) -> RaceFixture:
    """Make the plan's users, credits and pool."""
    users = User.objects.bulk_create(User(email=f"participant{n}@example.com") for n in range(plan.users))
    prizes = edit_pool.open_pool(None, name="Prizes", kind=PoolKind.PROMOTION, currency="INR")
    drained = edit_pool.open_pool(None, name="Drained", kind=PoolKind.SIGNUP, currency="INR", per_user_limit=plan.limit)
    issue_credits(prizes, plan.credits)
    issue_credits(drained, plan.pool)
    return RaceFixture(
        participants=[Participant(str(user.pk), issue_pair(user).access if plan.http else "") for user in users],
        credits=[str(pk) for pk in CashbackAsset.objects.filter(pool=prizes).order_by("pk").values_list("pk", flat=True)],
        pool=str(drained.pk),
        issued={(pool.pk, "INR"): (count, count * VALUE) for pool, count in ((prizes, plan.credits), (drained, plan.pool))},
    )


def issue_credits(pool: CreditPool, count: int) -> None:
    """Issue `count` equal credits in the pool."""
    issue_assets.issue_assets(
        [issue_assets.build_asset(None, title="Prize", total_value=VALUE, pool=pool) for _ in range(count)]
    )
