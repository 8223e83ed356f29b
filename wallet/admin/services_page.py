"""The console's page of services and their keys: make, show once, rotate, revoke, and stop a service."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from accounts.service_keys import MAX_OVERLAP, NewKey, create_key, revoke_key, rotate_key, set_service_active
from accounts.services import Scope, Service, ServiceKey
from wallet.admin.base import require_operator, require_safe_method

MAX_HOURS = MAX_OVERLAP // timedelta(hours=1)


class KeyForm(forms.Form):
    """A new key, and its service if there is none of this name."""

    service = forms.CharField(label=gettext_lazy("Service"), max_length=100, widget=UnfoldAdminTextInputWidget)
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"), choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    days = forms.IntegerField(
        label=gettext_lazy("Valid for days"),
        help_text=gettext_lazy("Leave empty for a key without an end."),
        required=False,
        min_value=1,
        max_value=3_650,
        widget=UnfoldAdminIntegerFieldWidget,
    )


class RotateForm(forms.Form):
    """How long the earlier key stays valid."""

    hours = forms.IntegerField(min_value=0, max_value=MAX_HOURS)


def services_page(request: HttpRequest) -> HttpResponse:
    """Show the services with their keys; a new key is shown in the answer that makes it, and never again."""
    actor = require_operator(request)
    form, made = KeyForm(), None
    if request.method == "POST":
        form, made = run(request, actor)
    else:
        require_safe_method(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Services"),
        "form": form,
        "made": made,
        "services": listed_services(),
    }
    return TemplateResponse(request, "admin/services.html", context)


def listed_services() -> list[dict[str, Any]]:
    """Return each service with its keys and their states."""
    now = timezone.now()
    services = Service.objects.prefetch_related("keys__created_by")
    return [
        {"service": service, "keys": [{"key": key, "state": key.state(now)} for key in service.keys.all()]}
        for service in services
    ]


def run(request: HttpRequest, actor: User) -> tuple[KeyForm, NewKey | None]:
    """Do what the button says; return the form to show and the new key, if there is one."""
    verb = request.POST.get("verb", "")
    try:
        if verb == "create":
            return create(request, actor)
        if verb in ("rotate", "revoke"):
            return KeyForm(), change_key(request, actor, verb)
        if verb in ("stop", "start"):
            service = get_object_or_404(Service, pk=valid_id(request, "service"))
            set_service_active(service, verb == "start", actor)
            return KeyForm(), None
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return KeyForm(), None
    raise PermissionDenied


def create(request: HttpRequest, actor: User) -> tuple[KeyForm, NewKey | None]:
    """Make a key; return the form with its errors, or the key."""
    form = KeyForm(request.POST)
    if not form.is_valid():
        return form, None
    days = form.cleaned_data["days"]
    service, _is_new = Service.objects.get_or_create(name=form.cleaned_data["service"])
    expires_at = timezone.now() + timedelta(days=days) if days else None
    return KeyForm(), create_key(service, form.cleaned_data["scopes"], actor=actor, expires_at=expires_at)


def change_key(request: HttpRequest, actor: User, verb: str) -> NewKey | None:
    """Rotate or revoke a key; return the successor of a rotated one. Raises ValidationError."""
    key = get_object_or_404(ServiceKey.objects.select_related("service"), pk=valid_id(request, "key"))
    if verb == "revoke":
        revoke_key(key, actor)
        messages.success(request, _("Key %(prefix)s is revoked.") % {"prefix": key.prefix})
        return None
    form = RotateForm(request.POST)
    if not form.is_valid():
        raise ValidationError(_("Both keys can be valid for 0 hours to 90 days."))
    return rotate_key(key, timedelta(hours=form.cleaned_data["hours"]), actor)


def valid_id(request: HttpRequest, name: str) -> Any:
    """Return the id in a field. Raises ValidationError."""
    return forms.UUIDField().clean(request.POST.get(name))
