"""Which credits are gone, remembered in this process: a claimed credit never changes hands, so the memory is never wrong.

It spares the database the losers of a stampede. What is still available is never decided here.
"""

from uuid import UUID

from django.core.cache import caches

from accounts.models import User
from wallet.assets.models import CashbackAsset


def remember_owner(asset: CashbackAsset) -> None:
    """Note whose the asset is. Call it with what was read from a committed row."""
    caches["gone"].set(str(asset.pk), str(asset.claimed_by_id), None)


def is_claimed_by_other(asset_id: UUID, user: User) -> bool:
    """Tell whether the asset is known to belong to another user than `user`."""
    owner = caches["gone"].get(str(asset_id))
    return owner is not None and owner != str(user.pk)
