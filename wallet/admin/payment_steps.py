"""What an operator does to a payment or a claimed credit: each asked for, shown, and then done by the action."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from kernel.timestamps import format_second
from wallet.actions.clawback_credit import clawback_credit, preview_clawback
from wallet.actions.extend_lot import extend_lot
from wallet.actions.grant_credit import grant_credit
from wallet.actions.payment_refusals import ExceedsRefundable, NotLater
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.admin import formatting
from wallet.admin.money_forms import ClawbackForm, ExtendForm, GrantForm, RefundForm, ReleaseForm, Step, money_page
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Lot, Payment
from wallet.money import format_amount
from wallet.queries.refund_preview import Outcome, ReturnedCredit, preview_refund

Preview = tuple[list[Any], dict[str, str]]


def release_page(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Release what a payment holds."""
    payment = get_object_or_404(Payment.objects.select_related("user", "service"), pk=payment_id)
    held = formatting.format_money(payment.held, payment.currency)
    lines = [
        _("%(amount)s goes back to the credits it came from. A credit that has ended meanwhile lapses.") % {"amount": held}
    ]
    step = Step(
        title=_("Release payment"),
        button=_("Release %(amount)s") % {"amount": held},
        done=_("The payment was released."),
        form=ReleaseForm,
        preview=lambda _options: (lines, {}),
        run=lambda actor, key, options: release_payment(payment_id, actor=actor, key=key, **options),
        back=page_of(payment),
        facts=payment_facts(payment),
    )
    return money_page(request, step)


def refund_page(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Refund a payment, wholly or in part."""
    payment = get_object_or_404(Payment.objects.select_related("user", "service"), pk=payment_id)
    refundable = formatting.format_money(payment.captured - payment.refunded, payment.currency)
    step = Step(
        title=_("Refund payment"),
        button=_("Refund"),
        done=_("The payment was refunded."),
        form=RefundForm,
        preview=lambda options: refund_lines(payment, options.get("amount")),
        run=lambda actor, key, options: refund_payment(payment_id, actor=actor, key=key, **options),
        back=page_of(payment),
        facts=[*payment_facts(payment), _("Can be refunded: %(amount)s") % {"amount": refundable}],
    )
    return money_page(request, step)


def page_of(payment: Payment) -> str:
    """Return the URL of a payment's page."""
    return reverse("admin:ledger_payment_change", args=[payment.pk])


def payment_facts(payment: Payment) -> list[Any]:
    """Return what a payment is, in sentences."""
    names = {"reference": payment.reference, "service": payment.service.name, "person": payment.user.email}
    return [_("Order %(reference)s at %(service)s, by %(person)s") % names]


def refund_lines(payment: Payment, amount: Decimal | None) -> Preview:
    """Return what a refund would bring back to each credit; raise ExceedsRefundable."""
    refundable = payment.captured - payment.refunded
    asked = refundable if amount is None else amount
    if not 0 < asked <= refundable:
        raise ExceedsRefundable(refundable, payment.currency)
    lines = [returned_sentence(credit, payment.currency) for credit in preview_refund(payment.pk, asked)]
    return lines, {"amount": format_amount(asked, payment.currency)}


def returned_sentence(credit: ReturnedCredit, currency: str) -> str:
    """Return what becomes of what one credit gets back."""
    texts = {
        Outcome.SPENDABLE: _("%(amount)s goes back to %(title)s and can be spent again."),
        Outcome.RENEWED: _("%(amount)s goes back to %(title)s, which has ended, and can be spent until %(until)s UTC."),
        Outcome.LAPSES: _("%(amount)s goes back to %(title)s, which has ended, and lapses at once."),
        Outcome.TAKEN_BACK: _("%(amount)s goes back to %(title)s, which was clawed back, and is taken at once."),
    }
    until = format_second(credit.spendable_until) if credit.spendable_until else ""
    return texts[credit.outcome] % {
        "amount": formatting.format_money(credit.amount, currency),
        "title": credit.title,
        "until": until,
    }


def clawback_page(request: HttpRequest, claim_id: UUID) -> HttpResponse:
    """Claw back a claimed credit, wholly or in part."""
    lot = get_object_or_404(Lot.objects.select_related("user", "entry__asset"), pk=claim_id)
    step = Step(
        title=_("Claw back credit"),
        button=_("Claw back"),
        done=_("The credit was clawed back."),
        form=ClawbackForm,
        preview=lambda options: clawback_lines(lot, options.get("amount")),
        run=lambda actor, key, options: clawback_credit(claim_id, actor=actor, key=key, **options),
        back=reverse("admin:ledger_entry_change", args=[claim_id]),
        facts=credit_facts(lot),
    )
    return money_page(request, step)


def clawback_lines(lot: Lot, amount: Decimal | None) -> Preview:
    """Return what a clawback would take; raises the refusals of clawback_credit."""
    asked = lot.total - lot.clawback_total if amount is None else amount
    taking = {name: Decimal(text) for name, text in preview_clawback(lot.pk, amount).items()}
    now, later = (formatting.format_money(taking[name], lot.currency) for name in ("amount", "shortfall"))
    lines = [_("%(amount)s is taken back now.") % {"amount": now}]
    if taking["shortfall"]:
        lines.append(_("%(amount)s is held or spent. It is taken as soon as it comes back.") % {"amount": later})
    return lines, {"amount": format_amount(asked, lot.currency)}


def extend_page(request: HttpRequest, claim_id: UUID) -> HttpResponse:
    """Extend a claimed credit."""
    lot = get_object_or_404(Lot.objects.select_related("user", "entry__asset"), pk=claim_id)
    step = Step(
        title=_("Extend credit"),
        button=_("Extend"),
        done=_("The credit was extended."),
        form=ExtendForm,
        preview=lambda options: extension_lines(lot, options["until"]),
        run=lambda actor, key, options: extend_lot(claim_id, actor=actor, key=key, **options),
        back=reverse("admin:ledger_entry_change", args=[claim_id]),
        facts=credit_facts(lot),
    )
    return money_page(request, step)


def extension_lines(lot: Lot, until: Any) -> Preview:
    """Return what an extension would change; raise NotLater."""
    if lot.spendable_until is None or until <= lot.spendable_until:
        raise NotLater
    times = {"was": format_second(lot.spendable_until), "now": format_second(until)}
    left = formatting.format_money(lot.available, lot.currency)
    return [
        _("The credit ends on %(now)s UTC instead of %(was)s UTC.") % times,
        _("Left to spend: %(amount)s") % {"amount": left},
    ], {}


def credit_facts(lot: Lot) -> list[Any]:
    """Return what a claimed credit is, in sentences."""
    ends = f"{format_second(lot.spendable_until)} UTC" if lot.spendable_until else _("never")
    figures = {
        name: formatting.format_money(getattr(lot, name), lot.currency) for name in ("total", "available", "held", "spent")
    }
    names = {"title": lot.entry.asset.title, "person": lot.user.email, "ends": ends}
    return [
        _("%(title)s, claimed by %(person)s. Ends: %(ends)s.") % names,
        _("%(total)s in all: %(available)s available, %(held)s held, %(spent)s spent.") % figures,
    ]


def grant_page(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Grant a customer a credit of a pool."""
    person = get_object_or_404(User, pk=user_id)
    step = Step(
        title=_("Grant credit"),
        button=_("Grant"),
        done=_("The credit was granted."),
        form=GrantForm,
        preview=lambda options: grant_lines(person, options["pool"]),
        run=lambda actor, _key, options: grant_credit(person, options.pop("pool").pk, actor=actor, **options),
        back=reverse("customer", args=[user_id]),
        facts=[_("For %(person)s") % {"person": person.email}],
    )
    return money_page(request, step)


def grant_lines(person: User, pool: Any) -> Preview:
    """Return which credit a grant would give."""
    credit = CashbackAsset.objects.claimable().filter(pool=pool).order_by("expires_at", "id").first()
    if credit is None:
        return [_("%(pool)s has no credit left to claim.") % {"pool": pool}], {}
    value = formatting.format_money(credit.total_value, credit.currency)
    names = {"person": person.email, "title": credit.title, "value": value, "pool": pool}
    return [_("%(person)s gets %(title)s, worth %(value)s, of %(pool)s.") % names], {}
