"""What the list of credits consists of, part by part.

A part is found by an index of its own, in the order asked for; the OR of all parts would be found by reading what nobody
wants, such as a million credits of a campaign that are claimed.
"""

from collections.abc import Mapping

from django.db.models import Q

from accounts.models import User
from wallet.assets.models import CashbackAsset, Status
from wallet.assets.querysets import DUE


def parts(user: User, asked: Mapping[str, str]) -> list[Q]:
    """Return the parts in which `user` finds what the parameters ask for; they narrow nothing."""
    own = Q(claimed_by=user)
    if asked.get("mine") == "true":
        return [own]
    titled = of_titles(asked.get("search", ""))
    unclaimed = {
        Status.AVAILABLE: [Q(status=Status.AVAILABLE) & titled],
        Status.EXPIRED: [Q(status=Status.EXPIRED) & titled, DUE & titled],
        Status.CLAIMED: [Q(status=Status.CLAIMED) if user.is_admin else own],
    }
    if status := asked.get("status"):
        return unclaimed[Status(status)]
    if user.is_admin and not titled:
        return [Q()]
    return [unclaimed[Status.AVAILABLE][0], unclaimed[Status.EXPIRED][0], *unclaimed[Status.CLAIMED]]


def of_titles(text: str) -> Q:
    """Return a condition that names the titles which hold the text, when they are few enough to name."""
    titles = CashbackAsset.objects.titles_with(text) if text else None
    return Q() if titles is None else Q(title__in=titles)
