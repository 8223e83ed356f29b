"""Pages of emails: which kinds a person gets, and unsubscribing by the link of an email."""

from http import HTTPStatus

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.email_links import LinkNotValid
from accounts.languages import language_of
from wallet.actions.notice_preferences import change_notice_preferences, unsubscribe_by_link, user_of_unsubscribe_link
from wallet.notices.models import NoticeKind
from wallet.pages.auth import SignedInRequest, signed_in
from wallet.queries.notices import notice_preferences


class NoticesForm(forms.Form):
    """Asks which kinds of email the person wants, and in which language."""

    ending_soon = forms.BooleanField(
        label=gettext_lazy("Credits that end soon"),
        help_text=gettext_lazy("7 days and 1 day before a credit ends, at most one email a day."),
        required=False,
    )
    granted = forms.BooleanField(
        label=gettext_lazy("Credits you receive"),
        help_text=gettext_lazy("When you receive a credit that you didn't claim yourself."),
        required=False,
    )
    refunded = forms.BooleanField(
        label=gettext_lazy("Refunds"), help_text=gettext_lazy("When a refund arrives in your wallet."), required=False
    )
    language = forms.ChoiceField(label=gettext_lazy("Language of emails"), choices=settings.LANGUAGES)


@signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def notices(request: SignedInRequest) -> HttpResponse:
    """Show and change which emails the person gets."""
    current: dict[str, str | bool] = {**notice_preferences(request.user), "language": language_of(request.user)}
    form = NoticesForm(request.POST if request.method == "POST" else None, initial=current)
    if form.is_bound and form.is_valid():
        values = form.cleaned_data
        change_notice_preferences(request.user, {kind: values[kind] for kind in NoticeKind}, values["language"])
        messages.success(request, _("Your choice of emails is saved."))
        return redirect("account")
    return render(request, "pages/notices.html", {"form": form})


@csrf_exempt  # mail programs send the POST (RFC 8058); the signature in the address is what authorises it
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whether to end one kind of email, and end it. Opening the page changes nothing, because mail programs open links."""
    try:
        kind = unsubscribe_by_link(token) if request.method == "POST" else user_of_unsubscribe_link(token)[1]
    except LinkNotValid:
        return render(request, "pages/unsubscribe.html", status=HTTPStatus.BAD_REQUEST)
    return render(request, "pages/unsubscribe.html", {"kind": kind.label, "is_done": request.method == "POST"})
