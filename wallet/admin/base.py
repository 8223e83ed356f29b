"""What every room of the admin has in common: who may enter, and how an act is called from a form."""

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin

from accounts.expensive_reads import SEARCH, expensive_read_view
from accounts.models import User
from kernel.refusals import Refusal
from kernel.transactions import Busy

SAFE = ("GET", "HEAD", "OPTIONS")


def require_operator(request: HttpRequest) -> User:
    """Return who runs the supply; raise PermissionDenied for anybody else."""
    if isinstance(request.user, User) and request.user.is_admin:
        return request.user
    raise PermissionDenied


def is_operator(request: HttpRequest) -> bool:
    """Return whether the caller's row, read for this request, says ADMIN."""
    return isinstance(request.user, User) and request.user.is_admin


def error_sentence(error: Refusal | ValidationError) -> str:
    """Return an act's no as one sentence."""
    return error.message if isinstance(error, Refusal) else " ".join(error.messages)


class ActionForm(forms.ModelForm[Model]):
    """A form whose content is given to an act; what the act refused is shown beside the fields."""

    refused: Refusal | ValidationError | None = None

    def clean(self) -> dict[str, Any]:
        """Say what the act said, when this form has been refused."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if isinstance(self.refused, ValidationError) and hasattr(self.refused, "error_dict"):
            for name, errors in self.refused.error_dict.items():
                self.add_error(name if name in self.fields else None, errors)
        elif self.refused:
            self.add_error(NON_FIELD_ERRORS, error_sentence(self.refused))
        return cleaned


class WithoutTransaction(DjangoModelAdmin[Any]):
    """Takes away the transaction that Django puts around a form: an act opens its own and has committed when it returns."""

    @method_decorator(csrf_protect)
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show or take the form; what the act refuses is shown in the form, with all that was typed."""
        if "_saveasnew" in request.POST:  # Django takes it from any form, offered or not
            raise PermissionDenied
        arguments = (request, object_id, form_url, extra_context)
        try:
            return self._changeform_view(*arguments)  # type: ignore[attr-defined, no-any-return]
        except (Refusal, ValidationError) as error:
            request.refused = error  # type: ignore[attr-defined]
            answer: HttpResponse = self._changeform_view(*arguments)  # type: ignore[attr-defined]
            if isinstance(error, Busy):
                answer.status_code, answer.headers["Retry-After"] = HTTPStatus.SERVICE_UNAVAILABLE, str(error.retry_after)
            return answer

    @method_decorator(csrf_protect)
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Ask, then delete through the act; a refusal becomes a message."""
        try:
            return self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined, no-any-return]
        except Refusal as refusal:
            messages.error(request, refusal.message)
            return redirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))


MOST_COUNTED = 5_000


class AtLeast(int):
    """A count that ended before the rows did."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of the first MOST_COUNTED rows: to count all of a large table takes as long as there are rows."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are; AtLeast(MOST_COUNTED) where there are more."""
        counted: int = self.object_list.order_by()[: MOST_COUNTED + 1].count()  # type: ignore[attr-defined]
        return counted if counted <= MOST_COUNTED else AtLeast(MOST_COUNTED)


class OperatorAdmin(ModelAdmin, WithoutTransaction):  # type: ignore[misc]
    """A room for operators: they may look. What else they may do, a room says itself; everybody else may nothing."""

    list_per_page = 100
    paginator = BoundedPaginator
    show_full_result_count = False
    list_filter_submit = True

    @method_decorator(expensive_read_view(SEARCH, lambda request: request.method in SAFE))
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, which counts its rows."""
        return super().changelist_view(request, extra_context)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the room to operators."""
        return is_operator(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let operators look."""
        return is_operator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse, unless a room says otherwise."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse, unless a room says otherwise."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse, unless a room says otherwise."""
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out Django's own bulk delete: it goes past the acts."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *rest: Any) -> HttpResponse | None:
        """Do the chosen action; ids that are none, which no page of ours sends, choose nothing."""
        try:
            return super().response_action(request, queryset, *rest)
        except ValidationError as error:
            messages.error(request, error_sentence(error))
            return None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, which knows what the act said of it."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.refused = getattr(request, "refused", None)
        return form


class ReadOnlyAdmin(OperatorAdmin):
    """A room where nobody changes anything, superusers included."""

    actions = None

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list; there is nothing to send here."""
        return super().changelist_view(require_safe_method(request), extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show one row; there is nothing to send here, and no history of what never changes."""
        return super().changeform_view(
            require_safe_method(request), object_id, form_url, {"show_history": False} | (extra_context or {})
        )


def require_safe_method(request: HttpRequest) -> HttpRequest:
    """Return a request that only reads; raise PermissionDenied for any other."""
    if request.method not in SAFE:
        raise PermissionDenied
    return request
