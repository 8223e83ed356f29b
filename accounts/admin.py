"""The room of the people, for superusers: Django's model permissions are theirs alone (User.has_perm)."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit
from accounts.expensive_reads import SEARCH, expensive_read_view
from accounts.models import User, normal_email
from kernel.timestamps import format_minute


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    """A new person, whose email is kept as everybody's is."""

    def clean_email(self) -> str:
        """Return the email in lower case."""
        return normal_email(self.cleaned_data["email"])


class KnownUserForm(UserChangeForm):  # type: ignore[misc]
    """A person, whose email is kept as everybody's is."""

    clean_email = NewUserForm.clean_email


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User], ModelAdmin):  # type: ignore[misc]
    """People: add, change the role, let in or keep out; never delete, for the ledger keeps its owner."""

    form = KnownUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "role", "is_active", "is_superuser", "since")
    list_filter = ("role", "is_active", "is_superuser")
    search_fields = ("email",)
    search_help_text = "Email"
    ordering = ("-id",)
    filter_horizontal = ()
    readonly_fields = ("since", "last")
    show_full_result_count = False
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "password")}),
        ("What they may do", {"fields": ("role", "is_active", "is_superuser")}),
        ("History", {"fields": ("since", "last")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "role", "password1", "password2")}),)

    @method_decorator(expensive_read_view(SEARCH, lambda request: request.method in ("GET", "HEAD")))
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, which counts its rows."""
        return super().changelist_view(request, extra_context)

    @admin.display(description="member since (UTC)", ordering="created_at")
    def since(self, person: User) -> str:
        """Return when they became a user."""
        return format_minute(person.created_at)

    @admin.display(description="last sign-in (UTC)")
    def last(self, person: User) -> str | None:
        """Return when they last signed in to the pages or the console."""
        return format_minute(person.last_login) if person.last_login else None

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        """Record who let somebody in."""
        audit.record_event("person_change", "done", request.user, person=str(obj.pk), role=obj.role)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        """Record who changed what of somebody: their role, their password, whether they are let in."""
        audit.record_event("person_change", "done", request.user, person=str(obj.pk), role=obj.role, changed=str(message))
        return super().log_change(request, obj, message)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuse: untick "active" instead."""
        return False
