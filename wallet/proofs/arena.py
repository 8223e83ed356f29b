"""The people and the credits of a race, made through the product's own acts."""

from dataclasses import dataclass
from decimal import Decimal

from accounts.models import User
from accounts.tokens import issue_pair
from wallet import issuing, pools
from wallet.assets.models import CashbackAsset, CreditPool, Kind
from wallet.proofs.plan import Plan
from wallet.proofs.verify import Supply

VALUE = Decimal("25.50")


@dataclass(frozen=True)
class Racer:
    """Somebody who wants credits; `token` is empty unless the race goes over HTTP."""

    id: str
    token: str


@dataclass(frozen=True)
class Arena:
    """Who fights for what, and how much was issued."""

    racers: list[Racer]
    credits: list[str]
    pool: str
    issued: Supply


def stock(plan: Plan) -> Arena:
    """Make the plan's users, credits and pool."""
    users = User.objects.bulk_create(User(email=f"racer{n}@example.com") for n in range(plan.users))
    prizes = pools.open_pool(None, name="Prizes", kind=Kind.PROMOTION, currency="INR")
    drained = pools.open_pool(None, name="Drained", kind=Kind.SIGNUP, currency="INR", per_user_limit=plan.limit)
    fill(prizes, plan.credits)
    fill(drained, plan.pool)
    return Arena(
        racers=[Racer(str(user.pk), issue_pair(user).access if plan.http else "") for user in users],
        credits=[str(pk) for pk in CashbackAsset.objects.filter(pool=prizes).order_by("pk").values_list("pk", flat=True)],
        pool=str(drained.pk),
        issued={(pool.pk, "INR"): (count, count * VALUE) for pool, count in ((prizes, plan.credits), (drained, plan.pool))},
    )


def fill(pool: CreditPool, count: int) -> None:
    """Issue `count` equal credits in the pool."""
    issuing.issue_all([issuing.prepared(None, title="Prize", total_value=VALUE, pool=pool) for _ in range(count)])
