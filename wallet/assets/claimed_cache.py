"""An in-process cache of claimed assets and their owners, which spares the database most lost claims of a stampede.

An owner never changes, so a cached owner is right as long as no committed claim is lost (docs/adr/0014). Whether an asset is
still available is never decided here.
"""

from uuid import UUID

from django.core.cache import caches

from accounts.models import User
from wallet.assets.models import CashbackAsset


def remember_owner(asset: CashbackAsset) -> None:
    """Cache the owner of a claimed asset, which must have been read from a committed row."""
    caches["claimed"].set(str(asset.pk), str(asset.claimed_by_id), None)


def is_claimed_by_other(asset_id: UUID, user: User) -> bool:
    """Return whether the cache has another owner than `user` for the asset."""
    owner_id = caches["claimed"].get(str(asset_id))
    return owner_id is not None and owner_id != str(user.pk)
