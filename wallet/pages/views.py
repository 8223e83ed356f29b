"""The pages: what is on offer, what is mine, and the claim."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from wallet import claims
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import Request, fingerprint
from wallet.ledger.models import Entry
from wallet.pages.claiming import answer, claim_door, form_key
from wallet.pages.listing import page_of
from wallet.pages.offers import POOLS_SHOWN, SearchForm, credits_on_offer, pools_on_offer
from wallet.pages.people import SignedIn, signed_in

CREDITS_ON_LANDING = 6


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Say what this is and what is on offer now, to anybody."""
    pools: QuerySet[CreditPool] = pools_on_offer()[:POOLS_SHOWN]
    credits: QuerySet[CashbackAsset] = credits_on_offer().filter(pool=None)[:CREDITS_ON_LANDING]
    return render(request, "pages/landing.html", {"pools": pools, "credits": credits})


@require_safe
@signed_in
def dashboard(request: SignedIn) -> HttpResponse:
    """Show the user's balances, the pools and the credits that can be claimed now."""
    search = SearchForm(request.GET)
    page = page_of(credits_on_offer(search.title()), request.GET.get("page"))
    pools = pools_on_offer().with_can_claim(CashbackAsset.objects.all(), request.user)[:POOLS_SHOWN]
    balances = Entry.objects.filter(user=request.user).balances()
    return render(request, "pages/dashboard.html", {"balances": balances, "pools": pools, "page": page, "search": search})


@require_safe
@signed_in
def my_claims(request: SignedIn) -> HttpResponse:
    """Show what the user claimed, newest first."""
    mine = Entry.objects.filter(user=request.user).select_related("asset").newest_first()
    return render(request, "pages/my_claims.html", {"page": page_of(mine, request.GET.get("page"))})


@claim_door
def claim_asset(request: SignedIn, asset_id: UUID) -> HttpResponse:
    """Claim one credit."""
    return answer(request, lambda: claims.claim(asset_id, request.user))


@claim_door
def claim_pool(request: SignedIn, pool_id: UUID) -> HttpResponse:
    """Claim any credit of a pool, once per form: its key was made when the page was rendered."""

    def claim() -> claims.Claim:
        key = form_key(request)
        return claims.claim_any(pool_id, request.user, Request(request.user, "claim", key, fingerprint("pool", pool_id)))

    return answer(request, claim)
