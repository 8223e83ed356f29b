"""Why a person can claim, or cannot: every rule of a claim with its figures now, in the order in which a claim checks them."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import DateTimeField
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
    PoolClosed,
    PoolSoldOut,
)
from wallet.actions.payment_refusals import WalletClosed
from wallet.assets.claim_rules import ClaimsMade
from wallet.assets.models import AssetExpired, AssetNotFound, AssetStatus, CashbackAsset, CreditPool, PoolNotFound
from wallet.assets.triggers import later_sql

PENDING_UNTIL = later_sql("now()", "coalesce(assets_creditpool.pending_for, interval '0')", "assets_creditpool.time_zone")


@dataclass(frozen=True)
class Rule:
    """One rule of a claim: whether it lets this person claim now, with its figures, and the refusal if it does not."""

    name: str
    allows: bool
    refusal: type[Refusal]
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the rule in JSON types."""
        code = None if self.allows else self.refusal.code
        return {"rule": self.name, "allows": self.allows, "refusal": code, "figures": self.figures}


def explain_pool_claim(pool: CreditPool, user: User) -> dict[str, Any]:
    """Return whether `user` can claim from the pool now, and each rule with its figures."""
    row = pool_figures(pool, user)
    rules = [*person_rules(user), *pool_rules(row, user, PoolNotFound), credits_left(row), limit_rule(row), spendable_rule(row)]
    return explanation({"pool": str(pool.pk), "asset": None}, row.now, rules)


def explain_asset_claim(asset: CashbackAsset, user: User) -> dict[str, Any]:
    """Return whether `user` can claim the credit now, and each rule with its figures."""
    current = CashbackAsset.objects.with_current_status().annotate(now=Now()).select_related("pool").get(pk=asset.pk)
    rules = [*person_rules(user), *status_rules(current, user)]
    if current.pool is not None:
        row = pool_figures(current.pool, user)
        rules += [*pool_rules(row, user, AssetNotFound), limit_rule(row), spendable_rule(row)]
    pool = str(current.pool_id) if current.pool_id else None
    return explanation({"pool": pool, "asset": str(asset.pk)}, current.now, rules)  # type: ignore[attr-defined]


def explanation(target: dict[str, Any], now: Any, rules: list[Rule]) -> dict[str, Any]:
    """Return the rules in JSON types, and the first that refuses."""
    broken = next((rule for rule in rules if not rule.allows), None)
    return target | {
        "at": format_timestamp(now),
        "can_claim": broken is None,
        "refusal": broken.refusal.code if broken else None,
        "detail": broken.refusal.detail if broken else None,
        "rules": [rule.as_json() for rule in rules],
    }


def pool_figures(pool: CreditPool, user: User) -> Any:
    """Return the pool with its supply, the user's claims in it and the time, by the database's clock."""
    figures = CreditPool.objects.with_is_open().with_supply().annotate(made=ClaimsMade(user.pk), now=Now())
    pending_until = RawSQL(PENDING_UNTIL, [], DateTimeField())  # noqa: S611  (a constant)
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
    return [
        Rule("not_claimed", asset.status != AssetStatus.CLAIMED, AssetAlreadyClaimed, claimed),
        Rule("not_expired", asset.current_status != AssetStatus.EXPIRED, AssetExpired, ends),
    ]


def pool_rules(row: Any, user: User, not_found: type[Refusal]) -> list[Rule]:
    """Return the rules about the pool's state and window."""
    archived = {"archived_at": format_timestamp(row.archived_at)}
    window = {"opens_at": format_timestamp(row.opens_at), "closes_at": format_timestamp(row.closes_at)}
    is_within = row.opens_at <= row.now and (row.closes_at is None or row.now < row.closes_at)
    return [
        Rule("pool_active", row.is_active, PoolClosed if user.is_admin else not_found, archived),
        Rule("pool_window", is_within, PoolClosed, window),
    ]


def credits_left(row: Any) -> Rule:
    """Return the rule that a credit is left, with the one that a claim would give now."""
    first = CashbackAsset.objects.claimable().filter(pool=row.pk).soonest_expiry_first().values_list("pk", flat=True).first()
    figures = {"available": row.available, "next_asset": str(first) if first else None}
    return Rule("credits_left", first is not None, PoolSoldOut, figures)


def limit_rule(row: Any) -> Rule:
    """Return the rule of the pool's limit per user."""
    figures = {"limit": row.per_user_limit, "claimed": row.made}
    return Rule("per_user_limit", row.per_user_limit is None or row.made < row.per_user_limit, ClaimLimitReached, figures)


def spendable_rule(row: Any) -> Rule:
    """Return the rule that a claimed credit can be spent before it ends."""
    figures = {"spendable_from": format_timestamp(row.pending_until), "valid_until": format_timestamp(row.valid_until)}
    return Rule("spendable", row.valid_until is None or row.valid_until > row.pending_until, NeverSpendable, figures)
