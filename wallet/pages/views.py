"""Views of the pages: landing, offers, dashboard, history, receipt, proof and the claim."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.expensive_reads import SEARCH, expensive_read_view
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import Claim
from wallet.assets.models import CashbackAsset
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Seal
from wallet.pages.auth import SignedInRequest, signed_in
from wallet.pages.balance_chart import balance_charts
from wallet.pages.claim_form import claim_response_page, claim_view, form_key
from wallet.pages.filters import HistoryFilter, OfferFilter
from wallet.pages.offer_rows import OfferRows
from wallet.pages.offers import (
    POOLS_CHECKED,
    POOLS_SHOWN,
    build_offer,
    offers_like,
    open_pools,
    pools_for,
    pools_on_offer,
    refused_pool_ids,
)
from wallet.pages.pagination import paginate
from wallet.queries.inclusion_proof import NotSealedYet, NoValidSeal, inclusion_proof

LANDING_OFFERS = 6
OFFERS_PER_PAGE = 9
DASHBOARD_OFFERS = 3


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Introduce the product and show some current offers; no sign-in is needed."""
    pools = pools_on_offer()[:POOLS_SHOWN]
    offers = [build_offer(row) for row in OfferRows(CashbackAsset.objects.claimable(), open_pools())[:LANDING_OFFERS]]
    return render(request, "pages/landing.html", {"pools": pools, "offers": offers})


def is_filtered(request: HttpRequest) -> bool:
    """Return whether the query string has any filter, order or page."""
    return any(request.GET.values())


def filtered_list(request: SignedInRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Return a list's page with its filter, 400 when that is invalid; a script then loads the page, to show the errors."""
    status = context["filter"].status
    if status != HTTPStatus.OK and request.htmx:
        return HttpResponse(headers={"HX-Redirect": request.get_full_path()})
    return render(request, template, context, status=status)


@require_safe
@signed_in
@expensive_read_view(SEARCH, is_filtered)
def offers(request: SignedInRequest) -> HttpResponse:
    """Show the pools and the offers, filtered and sorted."""
    pools = list(pools_for(request.user)[:POOLS_CHECKED])
    offer_filter = OfferFilter(request.GET, [pool for pool in pools if pool.phase == "1 open"])  # type: ignore[attr-defined]
    offer_rows = OfferRows(offer_filter.apply(CashbackAsset.objects.claimable()), open_pools(), offer_filter.order())
    rows = paginate(offer_rows, request.GET.get("page"), OFFERS_PER_PAGE)
    refused_pools = refused_pool_ids(pools)
    page = rows.map(lambda row: build_offer(row, refused_pools))
    shown = pools[:POOLS_SHOWN] if page.number == 1 and not offer_filter.is_filtered() else []
    context = {
        "page": page,
        "filter": offer_filter,
        "claimable_pools": [pool for pool in shown if pool.can_claim],
        "other_pools": [pool for pool in shown if not pool.can_claim],
    }
    return filtered_list(request, "pages/offers.html", context)


@require_safe
@signed_in
def dashboard(request: SignedInRequest) -> HttpResponse:
    """Show the user's wallet: balances, their growth, and the offers that expire soonest."""
    refused_pools = refused_pool_ids(pools_for(request.user)[:POOLS_CHECKED])
    expiring = CashbackAsset.objects.claimable().filter(expires_at__isnull=False)
    rows = OfferRows(expiring, open_pools().exclude(pk__in=refused_pools))[:DASHBOARD_OFFERS]
    return render(
        request,
        "pages/dashboard.html",
        {"balances": balance_charts(request.user), "expiring_offers": [build_offer(row) for row in rows]},
    )


@require_safe
@signed_in
@expensive_read_view(SEARCH, is_filtered)
def my_claims(request: SignedInRequest) -> HttpResponse:
    """Show the user's claims, newest first."""
    history_filter = HistoryFilter(request.GET)
    entries = history_filter.apply(Entry.objects.filter(user=request.user)).select_related("asset__pool").newest_first()
    context = {"page": paginate(entries, request.GET.get("page")), "filter": history_filter}
    return filtered_list(request, "pages/my_claims.html", context)


@require_safe
@signed_in
def receipt(request: SignedInRequest, entry_id: UUID) -> HttpResponse:
    """Show the receipt of one of the user's claims and its seal. htmx polls the seal until there is one."""
    entry = own_claim_or_404(request, entry_id)
    seal = Seal.objects.covering(entry.xid).well_formed().defer("leaves").first()
    template = "pages/_seal.html" if request.htmx else "pages/receipt.html"
    return render(request, template, {"entry": entry, "seal": seal})


@require_safe
@signed_in
def download_proof(request: SignedInRequest, entry_id: UUID) -> HttpResponse:
    """Send the inclusion proof of one of the user's claims as a file."""
    entry = own_claim_or_404(request, entry_id)
    try:
        content = inclusion_proof(entry)
    except NoValidSeal as refusal:
        messages.error(request, refusal.message)
        return redirect("receipt", entry.pk)
    except NotSealedYet:
        messages.info(request, _("This claim is still being verified. Its proof will be available within a minute."))
        return redirect("receipt", entry.pk)
    disposition = f'attachment; filename="claim-{entry.pk}.json"'
    return JsonResponse(content, headers={"Content-Disposition": disposition}, json_dumps_params={"indent": 2})


def own_claim_or_404(request: SignedInRequest, entry_id: UUID) -> Entry:
    """Return the user's own claim; raise Http404 for any other id."""
    entry = Entry.objects.filter(pk=entry_id, user=request.user).select_related("asset__pool").first()
    if entry is None:
        raise Http404
    return entry


@claim_view
def claim_asset_view(request: SignedInRequest, asset_id: UUID) -> HttpResponse:
    """Claim one credit."""

    def next_offer() -> dict[str, Any]:
        return {"offer": offers_like(asset_id, request.user)}

    return claim_response_page(request, lambda: claim_asset(asset_id, request.user), next_offer)


@claim_view
def claim_pool_view(request: SignedInRequest, pool_id: UUID) -> HttpResponse:
    """Claim the credit of a pool that expires soonest, once per form: the key was created with the page."""

    def claim() -> Claim:
        key = form_key(request)
        return claim_from_pool(
            pool_id, request.user, IdempotentRequest(request.user, "claim", key, fingerprint("pool", pool_id))
        )

    def next_offer() -> dict[str, Any]:
        return {"pool": pools_for(request.user).filter(pk=pool_id).first()}

    return claim_response_page(request, claim, next_offer)
