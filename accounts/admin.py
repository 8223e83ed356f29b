"""The console's section of users, for superusers only (see User.has_perm)."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit
from accounts.email_addresses import normal_email
from accounts.expensive_reads import SEARCH, expensive_read_view
from accounts.models import User
from kernel.timestamps import format_minute


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    """Adds a user with a normalised email."""

    def clean_email(self) -> str:
        """Return the email in its one form."""
        return normal_email(self.cleaned_data["email"])


class ExistingUserForm(UserChangeForm):  # type: ignore[misc]
    """Changes a user with a normalised email."""

    clean_email = NewUserForm.clean_email


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User], ModelAdmin):  # type: ignore[misc]
    """Users: add, change role, activate or deactivate. They are never deleted, as the ledger refers to them."""

    form = ExistingUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "role", "is_active", "is_superuser", "member_since")
    list_filter = ("role", "is_active", "is_superuser")
    search_fields = ("email",)
    search_help_text = "Email"
    ordering = ("-id",)
    filter_horizontal = ()
    readonly_fields = ("member_since", "last_sign_in")
    show_full_result_count = False
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "password")}),
        ("Permissions", {"fields": ("role", "is_active", "is_superuser")}),
        ("History", {"fields": ("member_since", "last_sign_in")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "role", "password1", "password2")}),)

    @method_decorator(expensive_read_view(SEARCH, lambda request: request.method in ("GET", "HEAD")))
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list. It counts its rows, so it is an expensive read."""
        return super().changelist_view(request, extra_context)

    @admin.display(description="member since (UTC)", ordering="created_at")
    def member_since(self, user: User) -> str:
        """Return the time of registration."""
        return format_minute(user.created_at)

    @admin.display(description="last sign-in (UTC)")
    def last_sign_in(self, user: User) -> str | None:
        """Return the time of the last sign-in to the pages or the console."""
        return format_minute(user.last_login) if user.last_login else None

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
