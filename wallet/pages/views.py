"""Views of the pages: landing, offers, pool, dashboard, history, receipt, proof and the claim."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.expensive_reads import PERSONAL_DATA, SEARCH, expensive_read_view
from accounts.models import User
from kernel.file_download import json_file_response
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import Claim
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Seal
from wallet.pages.auth import SignedInRequest, signed_in
from wallet.pages.claim_form import claim_response_page, claim_view, form_key
from wallet.pages.filters import HistoryFilter, OfferFilter
from wallet.pages.offer_rows import OfferRows
from wallet.pages.offers import (
    POOLS_CHECKED,
    POOLS_SHOWN,
    build_cards,
    build_offer,
    currencies_on_offer,
    open_pools,
    phase_of,
    pools_for,
    pools_of,
    refused_pool_ids,
    shown_pools,
)
from wallet.pages.page_parts import ShownOffer, wallet_parts
from wallet.pages.pagination import paginate
from wallet.queries.inclusion_proof import NotSealedYet, NoValidSeal, inclusion_proof
from wallet.queries.open_credits import OpenCredits
from wallet.queries.personal_data import personal_data_json
from wallet.queries.wallet_balances import wallet_balances

LANDING_OFFERS = 6
CARDS_PER_PAGE = 9
DASHBOARD_OFFERS = 3


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Introduce the product and show some current offers; no sign-in is needed."""
    rows = OfferRows(CashbackAsset.objects.claimable(), open_pools())[:LANDING_OFFERS]
    pools = pools_of(rows, pools_for(request.user) if isinstance(request.user, User) else shown_pools())
    return render(request, "pages/landing.html", {"offers": [build_offer(row, pools) for row in rows]})


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
    """Show the pools and the credits without a pool, each once, filtered and sorted."""
    known = list(pools_for(request.user)[:POOLS_CHECKED])
    offer_filter = OfferFilter(request.GET, [pool for pool in known if phase_of(pool) == "1 open"], currencies_on_offer())
    credits = offer_filter.apply(CashbackAsset.objects.claimable())
    page = paginate(OfferRows(credits, open_pools(), offer_filter.order()), request.GET.get("page"), CARDS_PER_PAGE)
    pools = pools_of(page.items, pools_for(request.user), known)
    is_whole = page.number == 1 and not offer_filter.is_filtered()
    others = [pool for pool in known if phase_of(pool) != "1 open" or not pool.available] if is_whole else []
    context = {
        "page": page,
        "cards": build_cards(page.items, pools, credits, filtered=offer_filter.is_filtered()),
        "filter": offer_filter,
        "other_pools": others[:POOLS_SHOWN],
    }
    return filtered_list(request, "pages/offers.html", context)


@require_safe
def pool_page(request: HttpRequest, pool_id: UUID) -> HttpResponse:
    """Show a pool with all of its offers; no sign-in is needed."""
    pools = pools_for(request.user) if isinstance(request.user, User) else shown_pools()
    pool = get_object_or_404(pools, pk=pool_id)
    this_pool = CreditPool.objects.filter(pk=pool_id)
    rows = OfferRows(CashbackAsset.objects.claimable(), this_pool, each_pool_once=False, without_pool=False)
    page = paginate(rows, request.GET.get("page"))
    is_only = page.number == 1 and len(page.items) == 1
    offers = [build_offer(row, {pool_id: pool}, through_pool=is_only) for row in page.items]
    return render(request, "pages/pool.html", {"pool": pool, "page": page, "offers": offers})


@require_safe
@signed_in
def dashboard(request: SignedInRequest) -> HttpResponse:
    """Show the user's wallet: balances, latest claims, their growth, and the offers that expire soonest."""
    known = list(pools_for(request.user)[:POOLS_CHECKED])
    expiring = CashbackAsset.objects.claimable().filter(expires_at__isnull=False)
    rows = OfferRows(expiring, open_pools().exclude(pk__in=refused_pool_ids(known)))[:DASHBOARD_OFFERS]
    pools = pools_of(rows, pools_for(request.user), known)
    offers = [build_offer(row, pools) for row in rows]
    return render(request, "pages/dashboard.html", {**wallet_parts(request.user), "expiring_offers": offers})


@require_safe
@signed_in
@expensive_read_view(SEARCH, is_filtered)
def my_claims(request: SignedInRequest) -> HttpResponse:
    """Show the user's claims, payments, refunds and ended credits, newest first."""
    history_filter = HistoryFilter(request.GET)
    page = paginate(history_filter.history_of(request.user), request.GET.get("page"))
    context = {"page": page, "filter": history_filter}
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


@require_safe
@signed_in
def credits(request: SignedInRequest) -> HttpResponse:
    """Show what is left of each of the user's credits, soonest end first."""
    currencies = [balance["currency"] for balance in wallet_balances(request.user.pk)]
    page = paginate(OpenCredits(request.user.pk, currencies), request.GET.get("page"))
    return render(request, "pages/credits.html", {"page": page})


@require_safe
@signed_in
@expensive_read_view(PERSONAL_DATA)
def download_data(request: SignedInRequest) -> HttpResponseBase:
    """Send everything that is stored about the user as a file."""
    return json_file_response("my-data.json", personal_data_json(request.user))


def own_claim_or_404(request: SignedInRequest, entry_id: UUID) -> Entry:
    """Return the user's own claim; raise Http404 for any other id."""
    entry = Entry.objects.filter(pk=entry_id, user=request.user).select_related("asset__pool", "lot").first()
    if entry is None:
        raise Http404
    return entry


@claim_view
def claim_asset_view(request: SignedInRequest, asset_id: UUID) -> HttpResponse:
    """Claim one credit."""
    return claim_response_page(request, lambda: claim_asset(asset_id, request.user), ShownOffer(asset_id))


@claim_view
def claim_pool_view(request: SignedInRequest, pool_id: UUID) -> HttpResponse:
    """Claim the credit of a pool that expires soonest, once per form: the key was created with the page."""

    def claim() -> Claim:
        key = form_key(request)
        return claim_from_pool(
            pool_id, request.user, IdempotentRequest(request.user, "claim", key, fingerprint("pool", pool_id))
        )

    return claim_response_page(request, claim)
