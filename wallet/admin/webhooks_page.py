"""The console's page of webhooks: where events are sent to, how it goes, and what an operator can do about it."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from accounts.services import Service
from wallet.actions import edit_webhook
from wallet.actions.edit_webhook import NewSecret
from wallet.admin.base import require_operator, require_safe_method
from wallet.admin.services_page import valid_id
from wallet.delivery.event_types import EVENT_TYPES
from wallet.delivery.models import MAX_URL_LENGTH, WebhookEndpoint
from wallet.queries.webhooks import endpoint_states

OVERLAP = timedelta(hours=24)


class WebhookForm(forms.Form):
    """A new webhook."""

    service = forms.ModelChoiceField(Service.objects.all(), label=gettext_lazy("Service"), widget=UnfoldAdminSelectWidget)
    url = forms.CharField(label=gettext_lazy("URL"), max_length=MAX_URL_LENGTH, widget=UnfoldAdminTextInputWidget)
    event_types = forms.MultipleChoiceField(
        label=gettext_lazy("Event types"),
        help_text=gettext_lazy("Leave empty to send all types."),
        choices=[(name, name) for name in EVENT_TYPES],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )


def webhooks_page(request: HttpRequest) -> HttpResponse:
    """Show the webhooks with the end of their logs; a secret is shown in the answer that makes it, and never again."""
    actor = require_operator(request)
    form, made = WebhookForm(), None
    if request.method == "POST":
        form, made = run(request, actor)
    else:
        require_safe_method(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Webhooks"),
        "form": form,
        "made": made,
        "states": endpoint_states(),
    }
    return TemplateResponse(request, "admin/webhooks.html", context)


def run(request: HttpRequest, actor: User) -> tuple[WebhookForm, NewSecret | None]:
    """Do what the button says; return the form to show and the new secret, if there is one."""
    verb = request.POST.get("verb", "")
    if verb == "add":
        return add(WebhookForm(request.POST), actor)
    if verb not in ("test", "rotate", "pause", "start", "resend", "remove"):
        raise PermissionDenied
    try:
        endpoint = get_object_or_404(WebhookEndpoint.objects.select_related("service"), pk=valid_id(request, "webhook"))
        return WebhookForm(), change(request, endpoint, verb, actor)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return WebhookForm(), None


def add(form: WebhookForm, actor: User) -> tuple[WebhookForm, NewSecret | None]:
    """Add a webhook; return the form with its errors, or the secret."""
    if not form.is_valid():
        return form, None
    fields: dict[str, Any] = form.cleaned_data
    try:
        return WebhookForm(), edit_webhook.add_webhook(fields["service"], fields["url"], fields["event_types"], actor=actor)
    except ValidationError as error:
        form.add_error("url", error)
        return form, None


def change(request: HttpRequest, endpoint: WebhookEndpoint, verb: str, actor: User) -> NewSecret | None:
    """Do something with a webhook; return its new secret, if there is one. Raises ValidationError."""
    if verb == "rotate":
        return edit_webhook.rotate_webhook_secret(endpoint, OVERLAP, actor)
    if verb == "test":
        show_test(request, endpoint)
    elif verb == "resend":
        edit_webhook.resend_webhook(endpoint, actor=actor)
        messages.success(request, _("Sending goes on within a minute, from where it stopped."))
    elif verb == "remove":
        edit_webhook.remove_webhook(endpoint, actor)
        messages.success(request, _("The webhook is removed."))
    else:
        edit_webhook.set_webhook_active(endpoint, verb == "start", actor)
    return None


def show_test(request: HttpRequest, endpoint: WebhookEndpoint) -> None:
    """Send a test event and say what came of it."""
    attempt = edit_webhook.send_test_event(endpoint)
    if attempt.succeeded:
        result = {"status": attempt.status, "duration": attempt.duration_ms}
        messages.success(request, _("The test event arrived: %(status)s after %(duration)s ms.") % result)
    else:
        reason = f"{attempt.status or ''} {attempt.detail}".strip()
        messages.error(request, _("The test event did not arrive: %(reason)s") % {"reason": reason})
