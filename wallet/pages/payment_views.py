"""Views of a payment: its receipt, and the proofs of its movements."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from wallet.pages.auth import SignedInRequest, signed_in
from wallet.queries.inclusion_proof import NotSealedYet, NoValidSeal, inclusion_proof
from wallet.queries.payment_receipt import own_movement, payment_receipt


@require_safe
@signed_in
def payment(request: SignedInRequest, payment_id: UUID) -> HttpResponse:
    """Show the receipt of one of the user's payments: what it is, and which credits paid and why these."""
    receipt = payment_receipt(request.user.pk, payment_id)
    if receipt is None:
        raise Http404
    return render(request, "pages/payment.html", {"receipt": receipt, "payment": receipt.payment})


@require_safe
@signed_in
def download_movement_proof(request: SignedInRequest, movement_id: UUID) -> HttpResponse:
    """Send the inclusion proof of a movement of the user's wallet as a file."""
    movement = own_movement(request.user.pk, movement_id)
    if movement is None:
        raise Http404
    try:
        content = inclusion_proof(movement)
    except NotSealedYet as refusal:
        early = _("This payment is still being verified. Its proof will be available within a minute.")
        messages.info(request, refusal.message if isinstance(refusal, NoValidSeal) else early)
        page = ("payment", movement.payment_id) if movement.payment_id else ("receipt", movement.claim_id)
        return redirect(*page)
    disposition = f'attachment; filename="{movement.kind.lower()}-{movement.pk}.json"'
    return JsonResponse(content, headers={"Content-Disposition": disposition}, json_dumps_params={"indent": 2})
