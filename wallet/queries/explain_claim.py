"""Why a person can claim, or cannot: every rule of a claim with its figures now, in the order in which a claim checks them."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import DateTimeField, OuterRef, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from accounts.email_links import EmailNotVerified
from accounts.models import User
from kernel.refusals import Refusal
from kernel.timestamps import format_timestamp
from wallet.actions.claim_decisions import (
    AssetAlreadyClaimed,
    ClaimLimitReached,
    NeverSpendable,
    NotYetClaimable,
    PeriodLimitReached,
    PoolClosed,
    PoolSoldOut,
)
from wallet.actions.payment_refusals import WalletClosed
from wallet.assets.claim_rules import NEXT_PERIOD, ClaimsMade, PeriodIsFull
from wallet.assets.models import AssetExpired, AssetNotFound, AssetStatus, CashbackAsset, CreditPool, PoolNotFound
from wallet.assets.triggers import later_sql

PENDING_UNTIL = later_sql("now()", "coalesce(assets_creditpool.pending_for, interval '0')", "assets_creditpool.time_zone")
NEXT_CLAIM = NEXT_PERIOD.format(period="assets_creditpool.limit_period", zone="assets_creditpool.time_zone", at="now()")

OWN = "This user has claimed this credit already."


@dataclass(frozen=True)
class Rule:
    """One rule of a claim: whether it lets this person claim now, with its figures, and the refusal if it does not."""

    name: str
    allows: bool
    refusal: type[Refusal]
    figures: dict[str, Any] = field(default_factory=dict)
    detail: str | None = None  # in place of the refusal's

    def as_json(self) -> dict[str, Any]:
        """Return the rule in JSON types."""
        code = None if self.allows else self.refusal.code
        return {"rule": self.name, "allows": self.allows, "refusal": code, "figures": self.figures}


def explain_pool_claim(pool: CreditPool, user: User) -> dict[str, Any]:
    """Return whether `user` can claim from the pool now, and each rule with its figures."""
    row = pool_figures(pool, user)
    rules = [
        *person_rules(user),
        *pool_rules(row, user, PoolNotFound),
        credits_left(row),
        *limit_rules(row),
        spendable_rule(row),
    ]
    return explanation({"pool": str(pool.pk), "asset": None}, row.now, rules)


def explain_asset_claim(asset: CashbackAsset, user: User) -> dict[str, Any]:
    """Return whether `user` can claim the credit now, and each rule with its figures."""
    current = CashbackAsset.objects.with_current_status().annotate(now=Now()).select_related("pool").get(pk=asset.pk)
    rules = [*person_rules(user), *status_rules(current, user)]
    if current.pool is not None:
        row = pool_figures(current.pool, user)
        rules += [*pool_rules(row, user, AssetNotFound), *limit_rules(row), spendable_rule(row)]
    pool = str(current.pool_id) if current.pool_id else None
    return explanation({"pool": pool, "asset": str(asset.pk)}, current.now, rules)  # type: ignore[attr-defined]


def explanation(target: dict[str, Any], now: Any, rules: list[Rule]) -> dict[str, Any]:
    """Return the rules in JSON types, and the first that refuses."""
    broken = next((rule for rule in rules if not rule.allows), None)
    return target | {
        "at": format_timestamp(now),
        "can_claim": broken is None,
        "refusal": broken.refusal.code if broken else None,
        "detail": (broken.detail or broken.refusal.detail) if broken else None,
        "rules": [rule.as_json() for rule in rules],
    }


def pool_figures(pool: CreditPool, user: User) -> Any:
    """Return the pool with its supply, the user's claims in it and the time, by the database's clock."""
    figures = CreditPool.objects.with_is_open().with_supply().annotate(made=ClaimsMade(user.pk), now=Now())
    pending_until, next_period = (RawSQL(sql, [], DateTimeField()) for sql in (PENDING_UNTIL, NEXT_CLAIM))  # noqa: S611
    scheduled = CashbackAsset.objects.filter(pool=OuterRef("pk"), status=AssetStatus.SCHEDULED).order_by("claimable_from")
    figures = figures.annotate(next_start=Subquery(scheduled.values("claimable_from")[:1]))
    figures = figures.annotate(period_is_full=PeriodIsFull(user.pk), next_period=next_period)
    return figures.annotate(pending_until=pending_until).get(pk=pool.pk)


def person_rules(user: User) -> list[Rule]:
    """Return the rules about the person."""
    rules = [Rule("account_active", user.is_active, WalletClosed)]
    if settings.REQUIRE_VERIFIED_EMAIL:
        verified = user.email_verified_at
        rules.append(Rule("email_verified", bool(verified), EmailNotVerified, {"verified_at": format_timestamp(verified)}))
    return rules


def status_rules(asset: Any, user: User) -> list[Rule]:
    """Return the rules about a credit's own state."""
    is_own = asset.claimed_by_id == user.pk
    claimed = {"status": asset.current_status, "claimed_by_them": is_own}
    ends = {"expires_at": format_timestamp(asset.expires_at)}
    starts = {"claimable_from": format_timestamp(asset.claimable_from)}
    has_started = asset.claimable_from is None or asset.claimable_from <= asset.now
    return [
        Rule("not_claimed", asset.status != AssetStatus.CLAIMED, AssetAlreadyClaimed, claimed, OWN if is_own else None),
        Rule("not_expired", asset.current_status != AssetStatus.EXPIRED, AssetExpired, ends),
        Rule("started", has_started, NotYetClaimable, starts),
    ]


def pool_rules(row: Any, user: User, not_found: type[Refusal]) -> list[Rule]:
    """Return the rules about the pool's state and window."""
    archived = {"archived_at": format_timestamp(row.archived_at)}
    window = {"opens_at": format_timestamp(row.opens_at), "closes_at": format_timestamp(row.closes_at)}
    hidden = PoolClosed if user.is_admin else not_found
    is_within = row.opens_at <= row.now and (row.closes_at is None or row.now < row.closes_at)
    return [
        Rule("pool_active", row.is_active, hidden, archived),
        Rule("open_to_claims", not row.grants_only, hidden, {"grants_only": row.grants_only}),
        Rule("pool_window", is_within, PoolClosed, window),
    ]


def credits_left(row: Any) -> Rule:
    """Return the rule that a credit is left, with the one that a claim would give now."""
    first = CashbackAsset.objects.claimable().filter(pool=row.pk).soonest_expiry_first().values_list("pk", flat=True).first()
    figures = {
        "available": row.available,
        "next_asset": str(first) if first else None,
        "next_start": format_timestamp(row.next_start),
    }
    will_have = row.available > 0 or (row.next_start is not None and row.next_start <= row.now)
    return Rule("credits_left", will_have, PoolSoldOut, figures)


def limit_rules(row: Any) -> list[Rule]:
    """Return the rules of the pool's limits per user, in all and per period."""
    figures = {"limit": row.per_user_limit, "claimed": row.made}
    below_limit = row.per_user_limit is None or row.made < row.per_user_limit
    is_full = row.period_limit is not None and row.period_is_full
    of_period = {"limit": row.period_limit, "period": row.limit_period if row.period_limit is not None else None}
    of_period["next_claim_at"] = format_timestamp(row.next_period) if is_full else None
    return [
        Rule("per_user_limit", below_limit, ClaimLimitReached, figures),
        Rule("period_limit", not is_full, PeriodLimitReached, of_period),
    ]


def spendable_rule(row: Any) -> Rule:
    """Return the rule that a claimed credit can be spent before it ends."""
    figures = {"spendable_from": format_timestamp(row.pending_until), "valid_until": format_timestamp(row.valid_until)}
    return Rule("spendable", row.valid_until is None or row.valid_until > row.pending_until, NeverSpendable, figures)
