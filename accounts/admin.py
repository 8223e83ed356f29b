"""The console's section of users, for superusers only (see User.has_perm)."""

from typing import Any, ClassVar, cast

import django_otp.plugins.otp_static.admin
import django_otp.plugins.otp_totp.admin  # noqa: F401  (registers the devices, which are unregistered below)
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.utils.translation import override
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit, two_factor
from accounts.email_addresses import normal_email
from accounts.expensive_reads import SEARCH, expensive_read_view
from accounts.models import User
from kernel.opened_forms import LastChange, LockedRowMixin, OpenedForm
from kernel.strict_lists import StrictListMixin
from kernel.timestamps import format_minute

MOST_ENTRIES = 50  # of the admin log that are searched for the latest change of a field
# Their sections would show secrets. Operators look after their own device on the account page (accounts.two_factor_views).
for device in (TOTPDevice, StaticDevice):
    if admin.site.is_registered(device):
        admin.site.unregister(device)


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    """Adds a user with a normalised email."""

    def clean_email(self) -> str:
        """Return the email in its one form."""
        return normal_email(self.cleaned_data["email"])


class ExistingUserForm(OpenedForm, UserChangeForm):  # type: ignore[misc]
    """Changes a user with a normalised email."""

    def last_change(self, name: str) -> LastChange | None:
        """Return the latest change of a field through the console, from the admin log; None for any other channel."""
        entries = LogEntry.objects.filter(content_type__model="user", object_id=str(self.instance.pk)).select_related("user")
        with override(None):  # the log has the labels untranslated
            label = str(self.fields[name].label)
        changes = (entry for entry in entries.order_by("-action_time")[:MOST_ENTRIES] if label in entry.change_message)
        return next((LastChange(str(entry.user), entry.action_time) for entry in changes), None)

    clean_email = NewUserForm.clean_email

    class Meta(UserChangeForm.Meta):  # type: ignore[misc]
        help_texts: ClassVar = {
            "is_active": "Turn off instead of deleting: the ledger keeps its owner.",
            "is_superuser": "Can change roles, users and schedules.",
        }


@admin.register(User)
class UserAdmin(StrictListMixin, LockedRowMixin, DjangoUserAdmin[User], ModelAdmin):  # type: ignore[misc]
    """Users: add, change role, activate or deactivate. They are never deleted, as the ledger refers to them."""

    form = ExistingUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "role", "state", "is_superuser", "member_since")
    list_filter = ("role", "is_active", "is_superuser")
    search_fields = ("email",)
    search_help_text = "Email"
    ordering = ("-id",)
    filter_horizontal = ()
    readonly_fields = ("member_since", "last_sign_in", "two_factor_since", "closed_at")
    actions = ("remove_two_factor",)
    show_full_result_count = False
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "password")}),
        ("Permissions", {"fields": ("role", "is_active", "is_superuser")}),
        ("History", {"fields": ("member_since", "last_sign_in", "two_factor_since", "closed_at")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "role", "password1", "password2")}),)

    @method_decorator(expensive_read_view(SEARCH, lambda request: request.method in ("GET", "HEAD")))
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list. It counts its rows, so it is an expensive read."""
        return super().changelist_view(request, extra_context)

    @method_decorator([csrf_protect, sensitive_post_parameters()])
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Add a user without Django's transaction around the form, which would hold a connection while hashing."""
        return self._add_view(request, form_url, extra_context)  # type: ignore[no-any-return]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Show or process a form; only a change, which hashes nothing, has a transaction."""
        view = super().changeform_view if object_id else self._changeform_view
        return view(request, object_id, form_url, extra_context)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the user may be changed: a closed account never changes again."""
        return super().has_change_permission(request, obj) and not (obj and obj.closed_at)

    @admin.action(description="Remove two-step verification")
    def remove_two_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let users who lost their phone and recovery codes sign in with their password alone."""
        for user in queryset.exclude(two_factor_since=None):
            two_factor.reset_two_factor(user, cast(User, request.user))
            self.message_user(request, f"Two-step verification of {user.email} is off.")

    @admin.display(description="state", ordering="is_active")
    def state(self, user: User) -> str:
        """Return whether the account is active, inactive or closed."""
        return "closed account" if user.closed_at else "active" if user.is_active else "inactive"

    @admin.display(description="member since (UTC)", ordering="created_at")
    def member_since(self, user: User) -> str:
        """Return the time of registration."""
        return format_minute(user.created_at)

    @admin.display(description="last sign-in (UTC)")
    def last_sign_in(self, user: User) -> str | None:
        """Return the time of the last sign-in to the pages or the console."""
        return format_minute(user.last_login) if user.last_login else None

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save the user. An email that a superuser typed is not verified."""
        if change and "email" in form.changed_data:
            obj.email_verified_at, obj.pending_email = None, ""
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        """Record in the audit log who added the user."""
        audit.record_event("person_change", "done", request.user, person=str(obj.pk), role=obj.role)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        """Record in the audit log who changed which fields of the user."""
        audit.record_event("person_change", "done", request.user, person=str(obj.pk), role=obj.role, changed=str(message))
        return super().log_change(request, obj, message)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return False: users are deactivated instead."""
        return False
