"""What is on offer, as the pages show it."""

from django import forms
from django.db.models import F, OuterRef, Q, Subquery

from wallet.assets.models import CashbackAsset, CreditPool
from wallet.assets.querysets import OPEN, AssetQuerySet, PoolQuerySet

POOLS_SHOWN = 12


class SearchForm(forms.Form):
    """Looks for credits by their title."""

    q = forms.CharField(
        label="Search by title", required=False, max_length=100, widget=forms.TextInput(attrs={"type": "search"})
    )

    def title(self) -> str:
        """Return what to look for; empty when nothing usable was typed."""
        return str(self.cleaned_data["q"]) if self.is_valid() else ""


def open_pools() -> PoolQuerySet:
    """Return the pools that take claims now."""
    return CreditPool.objects.filter(OPEN)


def pools_on_offer() -> PoolQuerySet:
    """Return the open pools: how many credits each has left (`available`), and the value of the next one (`next_value`)."""
    assets = CashbackAsset.objects.all()
    following = assets.claimable().filter(pool=OuterRef("pk")).soonest_expiry_first()
    return (
        open_pools()
        .with_supply(assets)
        .annotate(next_value=Subquery(following.values("total_value")[:1]))
        .order_by(F("closes_at").asc(nulls_last=True), "name")
    )


def credits_on_offer(title: str = "") -> AssetQuerySet:
    """Return what can be claimed now and is in no closed pool, what expires first foremost; `title` narrows it."""
    offered = CashbackAsset.objects.claimable().filter(Q(pool=None) | Q(pool__in=open_pools()), title__icontains=title)
    return offered.select_related("pool").soonest_expiry_first()
