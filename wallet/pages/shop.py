"""The demo shop: pay orders with credit, as the customer and as the shop. Only where the setting DEMO_SHOP is on."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.models import User
from kernel import refusal_counts
from kernel.refusals import Refusal
from wallet.actions import demo_shop
from wallet.actions.demo_shop import Basket
from wallet.actions.payment_answers import Answer
from wallet.pages.auth import SignedInRequest, signed_in
from wallet.pages.claim_form import claim_view, form_key
from wallet.pages.shop_forms import AmountForm, BasketForm
from wallet.queries.demo_orders import demo_order, demo_orders, quote_order
from wallet.queries.payment_receipt import PaymentReceipt
from wallet.queries.refund_preview import preview_refund

# What to say of a refusal, by its code: what happened, and what to do next.
REFUSAL_MESSAGES = {
    "insufficient_credit": _("You don't have that much credit to spend here. Use a smaller amount."),
    "credit_held": _("Part of your credit is held for another order. Use a smaller amount, or wait for that order."),
    "wallet_closed": _("This account is closed, so nothing can be paid from its wallet."),
    "too_many_credits": _("That would take more than 500 credits. Use a smaller amount."),
    "invalid_amount": _("Enter an amount of more than 0, with at most two decimals."),
    "exceeds_held": _("That's more than this order still holds."),
    "hold_expired": _("The hold has ended and the credit is back in the wallet. Place a new order."),
    "already_captured": _("This order was already shipped. A return gives the credit back."),
    "already_released": _("This order was already cancelled."),
    "exceeds_refundable": _("That's more than can come back from this order."),
    "idempotency_key_required": _("The form was incomplete. This page is up to date; try again."),
    "idempotency_key_reused": _("This form was already used. The page shows what it did."),
    "busy": _("The wallet is busy. Try again; nothing happens twice."),
}


def shop_view(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Require the demo shop to be on and a user to be signed in."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.DEMO_SHOP:
            raise Http404
        return signed_in(view)(request, *args, **kwargs)

    return wrapper


def shop_form(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Accept a form of the demo shop; respond 405 to any method but POST."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.DEMO_SHOP:
            raise Http404
        return claim_view(view)(request, *args, **kwargs)

    return wrapper


@shop_view
@require_safe
def shop(request: SignedInRequest) -> HttpResponse:
    """Show the products, what is in the basket, which credits would pay for it, and the latest orders."""
    form = BasketForm(request.GET)
    context = {"form": form, "basket": form.basket, "orders": demo_orders(request.user)}
    if form.basket.quantities and form.is_valid():
        context |= checkout_of(request.user, form)
    return render(request, "shop/shop.html", context, status=200 if form.is_valid() else 400)


def checkout_of(user: User, form: BasketForm) -> dict[str, Any]:
    """Return the quote and the fields of the form that places the order, or why there is none."""
    basket, credit = form.basket, form.credit
    try:
        quote = quote_order(user, basket, credit)
    except Refusal as refusal:
        return {"refusal": refusal_text(refusal)}
    fields = {**basket.quantities, "credit": quote.covered}
    asked = basket.total if credit is None else credit
    return {"quote": quote, "fields": fields, "rest": basket.total - quote.covered, "available": asked - quote.missing}


@shop_form
def place_order(request: SignedInRequest) -> HttpResponse:
    """Place the order: hold the credit for it."""
    form = BasketForm(request.POST)
    basket, credit = form.basket, form.credit
    back = f"{reverse('shop')}?{urlencode(basket.quantities)}"
    if not basket.quantities or credit is None:
        missing = (
            gettext("Choose how much credit to use.")
            if basket.quantities
            else gettext("Your basket is empty. Choose a product first.")
        )
        messages.warning(request, form_error(form) or missing)
        return redirect(back)
    answer = attempt(request, lambda: demo_shop.place_order(request.user, basket, credit, form_key(request)))
    if answer is None:
        return redirect(back)
    messages.success(request, gettext("Order placed. The credit is held for it."))
    return redirect("shop_order", answer.body["id"])


@shop_view
@require_safe
def order(request: SignedInRequest, payment_id: UUID) -> HttpResponse:
    """Show an order: to the customer how far it is, to the shop what it can do; and what a return would bring back."""
    receipt = own_order_or_404(request, payment_id)
    form = AmountForm(request.GET if "amount" in request.GET else None, "return")
    context: dict[str, Any] = {"receipt": receipt, "payment": receipt.payment, "return_form": form}
    context["basket"] = Basket.of_reference(receipt.payment.reference)
    context["rest"] = (receipt.order_total or receipt.payment.amount) - receipt.payment.amount
    if form.is_valid() and receipt.figures.refundable:
        amount = receipt.figures.refundable if form.amount is None else form.amount
        if not 0 < amount <= receipt.figures.refundable:
            form.add_error("amount", REFUSAL_MESSAGES["exceeds_refundable"])
        else:
            context |= {"return_amount": amount, "preview": preview_refund(payment_id, amount)}
    return render(request, "shop/order.html", context, status=400 if form.errors else 200)


@shop_form
def ship_order(request: SignedInRequest, payment_id: UUID) -> HttpResponse:
    """As the shop: ship a part of the order, or all the rest of it."""
    own_order_or_404(request, payment_id)
    done = gettext("Shipped. The shop has taken the credit for it.")
    return change_order(request, payment_id, demo_shop.ship_order, done)


@shop_form
def return_order(request: SignedInRequest, payment_id: UUID) -> HttpResponse:
    """As the shop: take the goods back and return the credit."""
    own_order_or_404(request, payment_id)
    return change_order(
        request, payment_id, demo_shop.return_order, gettext("Returned. The credit is back where it came from.")
    )


@shop_form
def cancel_order(request: SignedInRequest, payment_id: UUID) -> HttpResponse:
    """As the shop: cancel what is not shipped."""
    own_order_or_404(request, payment_id)
    if attempt(request, lambda: demo_shop.cancel_order(payment_id, form_key(request))):
        messages.success(request, gettext("Cancelled. What was held is available again."))
    return redirect("shop_order", payment_id)


def change_order(request: SignedInRequest, payment_id: UUID, action: Callable[..., Answer], done: str) -> HttpResponseRedirect:
    """Do something with an amount of an order, and say so or why not."""
    form = AmountForm(request.POST, "change")
    if not form.is_valid():
        messages.warning(request, form_error(form))
    elif attempt(request, lambda: action(payment_id, form.amount, form_key(request))):
        messages.success(request, done)
    return redirect("shop_order", payment_id)


def form_error(form: Form) -> str:
    """Return the first error of a form, empty when it has none."""
    return next((str(error) for errors in form.errors.values() for error in errors), "")


def attempt(request: SignedInRequest, action: Callable[[], Answer]) -> Answer | None:
    """Return the answer of an action; None after a refusal, which the next page then shows."""
    try:
        return action()
    except Refusal as refusal:
        refusal_counts.count_refusal(refusal.code)
        messages.warning(request, refusal_text(refusal))
        return None


def refusal_text(refusal: Refusal) -> str:
    """Return a refusal in the words of the shop."""
    return str(REFUSAL_MESSAGES.get(refusal.code, refusal.message))


def own_order_or_404(request: SignedInRequest, payment_id: UUID) -> PaymentReceipt:
    """Return the user's own order; raise Http404 for any other id."""
    receipt = demo_order(request.user, payment_id)
    if receipt is None:
        raise Http404
    return receipt
