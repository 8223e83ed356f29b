"""The bulk actions on credits."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wallet.actions import edit_asset, issue_assets, recreate_asset
from wallet.admin.asset_forms import ExtendForm, RecreateForm
from wallet.admin.bulk_actions import BulkAction
from wallet.assets.batches import BatchHeader
from wallet.assets.models import AssetStatus, CashbackAsset

EXPIRE = BulkAction(
    edit_asset.expire_asset,
    edit_asset.check_available,
    _("expire"),
    _("expired"),
    _("Expired credits can no longer be claimed. This cannot be undone, but an expired credit can be recreated."),
)
EXTEND = BulkAction(
    edit_asset.extend_asset,
    edit_asset.check_extendable,
    _("extend"),
    _("extended"),
    _("They can be claimed for longer. This never shortens an expiry."),
    ExtendForm,
    end=lambda asset, until: issue_assets.resolve_expiry(until, asset.pool),
)


def recreation_arguments(assets: Sequence[CashbackAsset], values: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """Return the expiry of each recreated credit: the chosen end, or one end for each offer."""
    if values["end"] is not recreate_asset.SAME_LIFETIME:
        return {asset.pk: {"expires_at": values["end"]} for asset in assets}
    expired = [asset for asset in assets if asset.current_status == AssetStatus.EXPIRED]
    ends = recreate_asset.common_ends(expired, values["now"])
    return {asset.pk: {"expires_at": ends.get(asset.pk)} for asset in assets}


RECREATE = BulkAction(
    recreate_asset.recreate_asset,
    recreate_asset.check_recreation,
    _("recreate"),
    _("recreated"),
    _("Each expired credit is issued again with the same value and keeps the original's duration."),
    RecreateForm,
    shared=lambda: {"batch": BatchHeader(gettext("Recreated credits"))},
    arguments=recreation_arguments,
    end=lambda asset, expires_at: issue_assets.resolve_expiry(expires_at, asset.pool),
    asks_first=False,
)
DELETE = BulkAction(
    edit_asset.delete_asset,
    edit_asset.check_deletable,
    _("delete"),
    _("deleted"),
    _("Claimed and recreated credits are kept. Deletions are recorded in the change log."),
)
