"""The pages: what is on offer, what is mine, and the claim."""

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
from wallet.pages import offers as on_offer
from wallet.pages.auth import SignedIn, signed_in
from wallet.pages.balance_chart import balance_charts
from wallet.pages.claim_form import claim_response_page, claim_view, form_key
from wallet.pages.filters import HistoryFilter, OfferFilter
from wallet.pages.offer_rows import OfferRows
from wallet.pages.offers import POOLS_KNOWN, POOLS_SHOWN, build_offer, closed_to_user, offers_like, open_pools, pools_for
from wallet.pages.pagination import paginate
from wallet.queries.inclusion_proof import NotSealedYet, NoValidSeal, inclusion_proof

ON_LANDING = 6
OFFERS_SHOWN = 9
ENDING_FIRST = 3


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Say what this is and what is on offer now, to anybody."""
    pools = on_offer.pools_on_offer()[:POOLS_SHOWN]
    offers = [build_offer(row) for row in OfferRows(CashbackAsset.objects.claimable(), open_pools())[:ON_LANDING]]
    return render(request, "pages/landing.html", {"pools": pools, "offers": offers})


def narrows(request: HttpRequest) -> bool:
    """Return whether a list was asked for in another way than it is shown at first."""
    return any(request.GET.values())


@require_safe
@signed_in
@expensive_read_view(SEARCH, narrows)
def offers(request: SignedIn) -> HttpResponse:
    """Show the pools and what can be claimed now, searched, filtered and sorted as asked."""
    pools = list(pools_for(request.user)[:POOLS_KNOWN])
    wanted = OfferFilter(request.GET, [pool for pool in pools if pool.phase == "1 open"])  # type: ignore[attr-defined]
    found = OfferRows(wanted.apply(CashbackAsset.objects.claimable()), open_pools(), wanted.order())
    rows = paginate(found, request.GET.get("page"), OFFERS_SHOWN)
    refused = closed_to_user(pools)
    page = rows.of(lambda row: build_offer(row, refused))
    shown = pools[:POOLS_SHOWN] if page.number == 1 and not wanted.narrows() else []
    sides = {"giving": [pool for pool in shown if pool.can_claim], "still": [pool for pool in shown if not pool.can_claim]}
    return render(request, "pages/offers.html", {"page": page, "filter": wanted} | sides)


@require_safe
@signed_in
def dashboard(request: SignedIn) -> HttpResponse:
    """Show the user's wallet: balances, how they grew, and what could be claimed before it ends."""
    refused = closed_to_user(pools_for(request.user)[:POOLS_KNOWN])
    ending = CashbackAsset.objects.claimable().filter(expires_at__isnull=False)
    rows = OfferRows(ending, open_pools().exclude(pk__in=refused))[:ENDING_FIRST]
    return render(
        request,
        "pages/dashboard.html",
        {"balances": balance_charts(request.user), "ending": [build_offer(row) for row in rows]},
    )


@require_safe
@signed_in
@expensive_read_view(SEARCH, narrows)
def my_claims(request: SignedIn) -> HttpResponse:
    """Show what the user claimed, newest first."""
    wanted = HistoryFilter(request.GET)
    mine = wanted.apply(Entry.objects.filter(user=request.user)).select_related("asset__pool").newest_first()
    return render(request, "pages/my_claims.html", {"page": paginate(mine, request.GET.get("page")), "filter": wanted})


@require_safe
@signed_in
def receipt(request: SignedIn, entry_id: UUID) -> HttpResponse:
    """Show one claim of the user's own, and whether the ledger has sealed it; a part of the page asks for the latter again."""
    entry = own_claim_or_404(request, entry_id)
    seal = Seal.objects.covering(entry.xid).well_formed().defer("leaves").first()
    template = "pages/_seal.html" if request.htmx else "pages/receipt.html"
    return render(request, template, {"entry": entry, "seal": seal})


@require_safe
@signed_in
def download_proof(request: SignedIn, entry_id: UUID) -> HttpResponse:
    """Hand out what proves a claim of the user's own, as a file."""
    entry = own_claim_or_404(request, entry_id)
    try:
        content = inclusion_proof(entry)
    except NoValidSeal as refusal:
        messages.error(request, refusal.message)
        return redirect("receipt", entry.pk)
    except NotSealedYet:
        messages.info(request, _("This claim is not sealed yet. Its proof will be here within a minute."))
        return redirect("receipt", entry.pk)
    name = f'attachment; filename="claim-{entry.pk}.json"'
    return JsonResponse(content, headers={"Content-Disposition": name}, json_dumps_params={"indent": 2})


def own_claim_or_404(request: SignedIn, entry_id: UUID) -> Entry:
    """Return the user's own claim; raise Http404, for somebody else's as for none."""
    entry = Entry.objects.filter(pk=entry_id, user=request.user).select_related("asset__pool").first()
    if entry is None:
        raise Http404
    return entry


@claim_view
def claim_asset_view(request: SignedIn, asset_id: UUID) -> HttpResponse:
    """Claim one credit."""

    def rest() -> dict[str, Any]:
        return {"offer": offers_like(asset_id, request.user)}

    return claim_response_page(request, lambda: claim_asset(asset_id, request.user), rest)


@claim_view
def claim_pool_view(request: SignedIn, pool_id: UUID) -> HttpResponse:
    """Claim any credit of a pool, once per form: its key was made when the page was rendered."""

    def claim() -> Claim:
        key = form_key(request)
        return claim_from_pool(
            pool_id, request.user, IdempotentRequest(request.user, "claim", key, fingerprint("pool", pool_id))
        )

    def rest() -> dict[str, Any]:
        return {"pool": pools_for(request.user).filter(pk=pool_id).first()}

    return claim_response_page(request, claim, rest)
