"""Base classes of the console's sections: permissions, paginator, and forms that call actions."""

from http import HTTPStatus
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from accounts.email_addresses import search_text
from accounts.expensive_reads import SEARCH, expensive_read_view
from accounts.models import User
from kernel.date_fields import SplitDateTimeField
from kernel.opened_forms import LastChange, OpenedForm
from kernel.refusals import Refusal
from kernel.strict_lists import StrictListMixin
from kernel.transactions import Busy
from kernel.versions import ChangedMeanwhile
from wallet.actions.approvals import AwaitsApproval
from wallet.admin.filters import channel_label
from wallet.queries import change_history

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def require_operator(request: HttpRequest) -> User:
    """Return the caller; raise PermissionDenied unless they are an operator."""
    if isinstance(request.user, User) and request.user.is_admin:
        return request.user
    raise PermissionDenied


def is_operator(request: HttpRequest) -> bool:
    """Return whether the caller has the role ADMIN, as read from the database for this request."""
    return isinstance(request.user, User) and request.user.is_admin


def error_sentence(error: Refusal | ValidationError) -> str:
    """Return the message of a refusal or a validation error."""
    return error.message if isinstance(error, Refusal) else " ".join(error.messages)


def tell_that_it_waits(request: HttpRequest, waiting: AwaitsApproval) -> HttpResponse:
    """Say that an action waits for another operator, and lead to its proposal."""
    messages.info(request, waiting.message)
    return redirect("admin:ledger_proposal_change", waiting.proposal.pk)


def add_errors(form: forms.BaseForm, error: ValidationError) -> None:
    """Add the errors of an action beside their fields; an expiry that was given as a day, beside the day."""
    for name, errors in getattr(error, "error_dict", {NON_FIELD_ERRORS: [error]}).items():
        is_day = name == "expires_at" and "last_day" in form.changed_data
        form.add_error("last_day" if is_day else name if name in form.fields else None, errors)


class ActionForm(OpenedForm):
    """A form that calls an action and shows the action's refusal beside its fields."""

    refusal: Refusal | ValidationError | None = None

    def clean(self) -> dict[str, Any]:
        """Add the action's refusal to the errors of the form."""
        cleaned = super().clean()
        if isinstance(self.refusal, ValidationError):
            add_errors(self, self.refusal)
        elif self.refusal and not (isinstance(self.refusal, ChangedMeanwhile) and self.errors):
            self.add_error(NON_FIELD_ERRORS, self.refusal_sentence(self.refusal))
        return cleaned

    def refusal_sentence(self, refusal: Refusal | ValidationError) -> str:
        """Return the message above the form."""
        return error_sentence(refusal)

    def last_change(self, name: str) -> LastChange | None:
        """Return the latest change of a field in the change history."""
        change = change_history.last_change(self.instance, name)
        return (
            None if change is None else LastChange(change.who or channel_label(change.channel) or str(_("someone")), change.at)
        )


class WithoutTransaction(DjangoModelAdmin[Any]):
    """Removes the transaction that Django opens around a form: an action opens its own and has committed when it returns."""

    @method_decorator(csrf_protect)
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show or process the form. The action's refusal is shown in the form, with the values as typed."""
        if "_saveasnew" in request.POST:  # Django accepts it from any form
            raise PermissionDenied
        arguments = (request, object_id, form_url, extra_context)
        try:
            return self._changeform_view(*arguments)  # type: ignore[attr-defined, no-any-return]
        except AwaitsApproval as waiting:
            return tell_that_it_waits(request, waiting)
        except (Refusal, ValidationError) as error:
            request.refusal = error  # type: ignore[attr-defined]
            response: HttpResponse = self._changeform_view(*arguments)  # type: ignore[attr-defined]
            if isinstance(error, Busy):
                response.status_code, response.headers["Retry-After"] = HTTPStatus.SERVICE_UNAVAILABLE, str(error.retry_after)
            return response

    @method_decorator(csrf_protect)
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Confirm, then delete through the action. A refusal becomes a message."""
        try:
            return self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined, no-any-return]
        except ChangedMeanwhile:
            messages.error(request, _("This was changed after you opened the page, so it was not deleted. Look at it again."))
            return redirect(request.path)
        except Refusal as refusal:
            messages.error(request, refusal.message)
            return redirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))


def refused_filters(request: HttpRequest) -> str:
    """Return the sentence about the filters that could not be read; empty if all could."""
    refused: dict[str, list[str]] = getattr(request, "refused_filters", {})
    said = [_("This filter's value cannot be read: %(names)s.") % {"names": ", ".join(refused)}] if refused else []
    return " ".join(dict.fromkeys([*said, *(mistake for mistakes in refused.values() for mistake in mistakes)]))


class ComparableOrder(ChangeList):
    """Sorts amounts within their currency, as amounts of different ones are no numbers to compare."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the ordering, with the currency before an amount."""
        ordering: list[Any] = []
        for name in super().get_ordering(request, queryset):
            is_amount = str(name).lstrip("-") in ("total_value", "amount", "value")
            ordering += ["currency", name] if is_amount and "currency" not in ordering else [name]
        return ordering


MAX_COUNTED = 5_000


class AtLeast(int):
    """A count that stopped at its limit; shown with a plus sign."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of the first MAX_COUNTED rows, as a count of a large table is slow."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or AtLeast(MAX_COUNTED) when there are more."""
        counted: int = self.object_list.order_by()[: MAX_COUNTED + 1].count()  # type: ignore[attr-defined]
        return counted if counted <= MAX_COUNTED else AtLeast(MAX_COUNTED)


class OperatorAdmin(StrictListMixin, ModelAdmin, WithoutTransaction):  # type: ignore[misc]
    """A section for operators, read-only by default. Subclasses allow more; other users are refused."""

    list_per_page = 100
    paginator = BoundedPaginator
    show_full_result_count = False
    list_filter_submit = True
    formfield_overrides: ClassVar = {
        DateTimeField: {"form_class": SplitDateTimeField, "widget": UnfoldAdminSplitDateTimeWidget}
    }

    @method_decorator(expensive_read_view(SEARCH, lambda request: request.method in SAFE_METHODS))
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, 400 when a filter cannot be read. It counts its rows, so it is an expensive read."""
        response: HttpResponse = super().changelist_view(request, extra_context)
        if refused := refused_filters(request):
            response.status_code = HTTPStatus.BAD_REQUEST
            messages.error(request, refused)
        return response

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list, in which amounts are sorted within their currency."""
        parent: type[ChangeList] = super().get_changelist(request, **kwargs)
        return type("ComparableChangeList", (ComparableOrder, parent), {})

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Return the rows that match the term in the normal form of what is stored, and whether they may be duplicates."""
        return super().get_search_results(request, queryset, search_text(search_term))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the caller is an operator."""
        return is_operator(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the caller is an operator."""
        return is_operator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False; subclasses may allow it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False; subclasses may allow it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False; subclasses may allow it."""
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions without Django's bulk delete, which bypasses our actions."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *rest: Any) -> HttpResponse | None:
        """Run the selected action. Malformed ids, which our pages never send, become a message."""
        try:
            return super().response_action(request, queryset, *rest)
        except ValidationError as error:
            messages.error(request, error_sentence(error))
            return None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form class with the refusal of this request."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.refusal = getattr(request, "refusal", None)
        return form


class ReadOnlyAdmin(OperatorAdmin):
    """A section that is read-only for everyone, superusers included."""

    actions = None

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list; refuse any method that is not safe."""
        return super().changelist_view(require_safe_method(request), extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show one row without a history; refuse any method that is not safe."""
        return super().changeform_view(
            require_safe_method(request), object_id, form_url, {"show_history": False} | (extra_context or {})
        )


def require_safe_method(request: HttpRequest) -> HttpRequest:
    """Return the request; raise PermissionDenied unless its method is safe."""
    if request.method not in SAFE_METHODS:
        raise PermissionDenied
    return request
