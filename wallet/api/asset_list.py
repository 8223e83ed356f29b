"""What the list of credits consists of, part by part.

A part is found by an index of its own, in the order asked for; the OR of all parts would be found by reading what nobody
wants, such as a million credits of a campaign that are claimed.
"""

from collections.abc import Mapping

from django.db.models import Q

from accounts.models import User
from wallet.assets.models import AssetStatus, CashbackAsset
from wallet.assets.querysets import DUE


def asset_list_branches(user: User, asked: Mapping[str, str]) -> list[Q]:
    """Return the parts in which `user` finds what the parameters ask for; the search is in them, other filters are not."""
    text = asked.get("search", "")
    holds = Q(title__icontains=text) if text else Q()
    own = Q(claimed_by=user) & holds
    if asked.get("mine") == "true":
        return [own]
    titled = search_branches(text) if text else Q()
    of = {
        AssetStatus.AVAILABLE: [Q(status=AssetStatus.AVAILABLE) & titled],
        AssetStatus.EXPIRED: [Q(status=AssetStatus.EXPIRED) & titled, DUE & titled],
        AssetStatus.CLAIMED: [Q(status=AssetStatus.CLAIMED) & holds if user.is_admin else own],
    }
    if status := asked.get("status"):
        return of[AssetStatus(status)]
    if user.is_admin and not text:
        return [Q()]
    return [of[AssetStatus.AVAILABLE][0], of[AssetStatus.EXPIRED][0], *of[AssetStatus.CLAIMED]]


def search_branches(text: str) -> Q:
    """Return a condition that names the titles which hold the text, or, when they are too many to name, asks each title."""
    titles = CashbackAsset.objects.titles_with(text)
    return Q(title__icontains=text) if titles is None else Q(title__in=titles)
