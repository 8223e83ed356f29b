"""Parts of pages that one claim changes: the offers and pools shown beside the claimed one, and the wallet.

The script sends the ids of a page's parts with a claim, in fields named `shown`; the answer renews all of them.
"""

from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.http import HttpRequest

from accounts.models import User
from wallet.assets.models import CreditPool
from wallet.pages.balance_chart import balance_charts
from wallet.pages.offer_rows import offers_equal_to
from wallet.pages.offers import Offer, build_offer, pools_for, withdrawn_offer
from wallet.queries.open_credits import OpenCredits
from wallet.queries.wallet_balances import wallet_balances
from wallet.queries.wallet_history import WalletHistory

MAX_SHOWN = 100
RECENT_LINES = 5
CREDITS_SHOWN = 4
WALLET = "wallet"


@dataclass(frozen=True)
class ShownOffer:
    """An offer on a page, under the id of one of its credits. Written `offer-<id>`, claimed through its pool `pool-<id>`."""

    asset_id: UUID
    through_pool: bool = False

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the offer that the text names; None for any other text."""
        kind, _, value = text.partition("-")
        return cls(pk, kind == "pool") if kind in ("offer", "pool") and (pk := parse_id(value)) else None


def parse_id(text: str) -> UUID | None:
    """Return the UUID that the text is, else None."""
    try:
        return UUID(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class ShownParts:
    """The parts of the page from which a form was sent."""

    offers: list[ShownOffer]
    pool_ids: set[UUID]
    has_wallet: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Return the parts that the request's fields `shown` name; others are ignored."""
        texts = list(dict.fromkeys(request.POST.getlist("shown")))[:MAX_SHOWN]
        offers = [offer for text in texts if (offer := ShownOffer.parse(text))]
        heads = {pk for text in texts if text.startswith("head-") and (pk := parse_id(text.removeprefix("head-")))}
        return cls(offers, heads, WALLET in texts)


def renewed_parts(shown: ShownParts, target: ShownOffer | None, user: User) -> dict[str, Any]:
    """Return the template context of the parts as they are now: `offer` (the target), `others`, `heads` and the wallet's."""
    wanted = [*shown.offers, target] if target else shown.offers
    rows = offers_equal_to({offer.asset_id for offer in wanted})
    ids = shown.pool_ids.union(row["pool_id"] for row in rows.values() if row["pool_id"])
    pools = {pool.pk: pool for pool in pools_for(user).filter(pk__in=ids)} if ids else {}
    offers = {offer: renewed_offer(offer, rows, pools) for offer in wanted}
    return {
        "offer": offers[target] if target else None,
        "others": [offer for key, offer in offers.items() if target is None or key.asset_id != target.asset_id],
        "heads": [pools[pk] for pk in shown.pool_ids if pk in pools],
        **(wallet_parts(user) if shown.has_wallet else {}),
    }


def renewed_offer(shown: ShownOffer, rows: dict[UUID, dict[str, Any]], pools: dict[UUID, CreditPool]) -> Offer:
    """Return the offer as it is now."""
    row = rows.get(shown.asset_id)
    if row is None or (row["pool_id"] and row["pool_id"] not in pools):
        return withdrawn_offer(shown.asset_id)
    return build_offer(row, pools, through_pool=shown.through_pool, shown_as=shown.asset_id)


def wallet_parts(user: User) -> dict[str, Any]:
    """Return the template context of the wallet: balances with their course, credits by their end, and the latest changes."""
    balances = balance_charts(user)
    credits = OpenCredits(user.pk, [balance.currency for balance in balances])[: CREDITS_SHOWN + 1]
    return {
        "wallet": True,
        "balances": balances,
        "credits": credits[:CREDITS_SHOWN],
        "has_more_credits": len(credits) > CREDITS_SHOWN,
        "recent": recent_lines(user),
    }


def recent_lines(user: User) -> list[Any]:
    """Return the latest lines of the user's history, newest first."""
    return WalletHistory(user.pk)[:RECENT_LINES]


def balance_in(user: User, currency: str) -> Any:
    """Return all that the user has in a currency, None when nothing is left."""
    return next((line["balance"] for line in wallet_balances(user.pk) if line["currency"] == currency), None)
