"""The asset list as a union of branches, each of which an index of its own serves.

A single OR over all branches would scan rows that the caller may not see, such as a million claimed credits of a campaign.
"""

from collections.abc import Mapping

from django.db.models import Q

from accounts.models import User
from kernel.readable_text import normal_text
from wallet.assets.models import AssetStatus, CashbackAsset
from wallet.assets.querysets import DUE


def asset_list_branches(user: User, parameters: Mapping[str, str]) -> list[Q]:
    """Return the branches that hold the rows `user` asked for. They include the search, but no other filter."""
    text = normal_text(parameters.get("search", ""))
    title_contains = Q(title__icontains=text) if text else Q()
    own = Q(claimed_by=user) & title_contains
    if parameters.get("mine") == "true":
        return [own]
    title_matches = search_condition(text) if text else Q()
    by_status = {
        AssetStatus.SCHEDULED: [Q(status=AssetStatus.SCHEDULED) & title_matches],
        AssetStatus.AVAILABLE: [Q(status=AssetStatus.AVAILABLE) & title_matches],
        AssetStatus.EXPIRED: [Q(status=AssetStatus.EXPIRED) & title_matches, DUE & title_matches],
        AssetStatus.CLAIMED: [Q(status=AssetStatus.CLAIMED) & title_contains if user.is_admin else own],
    }
    if status := parameters.get("status"):
        return by_status[AssetStatus(status)]
    if user.is_admin and not text:
        return [Q()]
    # A due row is AVAILABLE in its table, so the second EXPIRED branch would return it twice. Credits that start later are
    # listed when they are asked for.
    once = (AssetStatus.AVAILABLE, AssetStatus.EXPIRED)
    return [*(by_status[status][0] for status in once), *by_status[AssetStatus.CLAIMED]]


def search_condition(text: str) -> Q:
    """Return a condition that lists the matching titles, or a substring match when there are too many of them to list."""
    titles = CashbackAsset.objects.titles_with(text)
    return Q(title__icontains=text) if titles is None else Q(title__in=titles)
