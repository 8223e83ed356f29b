"""An in-process cache of claimed assets and their owners, which spares the database most lost claims of a stampede.

An owner never changes, so a cached owner is right as long as no committed claim is lost: it is cached for the server's timeline
that showed it, and a request that was authenticated on another timeline asks the database (docs/adr/0014). Whether an asset is
still available is never decided here.
"""

from uuid import UUID

from django.core.cache import caches

from accounts.models import User
from wallet.assets.models import CashbackAsset


def remember_owner(asset: CashbackAsset) -> None:
    """Cache the owner of a claimed asset, which must have been read from a committed row with its server's timeline."""
    if asset.server_timeline:
        caches["claimed"].set(owner_key(asset.server_timeline, asset.pk), str(asset.claimed_by_id), None)


def is_claimed_by_other(asset_id: UUID, user: User) -> bool:
    """Return whether the cache has another owner than `user` for the asset, on the timeline from which `user` was read."""
    if not user.server_timeline:
        return False
    owner_id = caches["claimed"].get(owner_key(user.server_timeline, asset_id))
    return owner_id is not None and owner_id != str(user.pk)


def owner_key(timeline: str, asset_id: UUID) -> str:
    """Return the key of an asset's owner; keys of earlier timelines are never read again and give way to others."""
    return f"{timeline}:{asset_id}"
