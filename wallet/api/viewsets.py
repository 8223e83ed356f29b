"""What every address of this door has in common: who is let in, what a body may hold, how a thing is answered."""

from contextlib import ExitStack
from typing import Any, ClassVar, cast

from django.db.models import Q, QuerySet
from django.http import HttpResponseBase
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from accounts.expensive_reads import SEARCH, ExpensiveRead
from accounts.models import User
from wallet.api.filters import StrictFilters
from wallet.api.pagination import CursorPages


class NotSupported(BasePermission):
    """Lets nobody in: what an action gets that named no permission."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return False."""
        return False


class BaseViewSet(GenericViewSet[Any]):
    """Denies by default: each action names who may call it and what its body holds."""

    permissions: ClassVar[dict[str, type[BasePermission]]]
    bodies: ClassVar[dict[str, type[BaseSerializer[Any]]]] = {}
    orderings: ClassVar[dict[str, str]] = {"created_at": "id"}  # ids are made in order of time
    ordering: ClassVar[str] = "-created_at"
    # What a list may be narrowed by without reading more of a table than it shows; every other filter makes it a search.
    found_by_index: ClassVar[frozenset[str]] = frozenset()
    basename: str

    http_method_names = ["get", "head", "post", "patch", "delete"]
    pagination_class: type[CursorPages] | None = CursorPages
    filter_backends: Any = (StrictFilters,)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer the request; the place of an expensive read is free afterwards."""
        with ExitStack() as self.reads:
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let the caller in; raise RateLimited or ReadsBusy when an expensive read must not be now."""
        super().initial(request, *args, **kwargs)
        if kind := self.expensive_read():
            self.reads.enter_context(kind.for_user(self.user))

    def expensive_read(self) -> ExpensiveRead | None:
        """Return which expensive read this request is, if it is one."""
        plain = {*CursorPages.parameters, "format", *self.found_by_index}
        searches = self.action == "list" and any(
            self.request.query_params[name] for name in {*self.request.query_params} - plain
        )
        return SEARCH if searches else None

    @property
    def user(self) -> User:
        """Who asks; nobody anonymous passes the permissions."""
        return cast("User", self.request.user)

    def get_permissions(self) -> list[Any]:
        """Ask the action's permission; a method that the address does not have is told so to whoever signed in."""
        return [(self.permissions.get(self.action, NotSupported) if self.action else IsAuthenticated)()]

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return what the action's body holds, or else how things are shown."""
        return self.bodies.get(self.action) or super().get_serializer_class()

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter lists; one thing is found by its id alone."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def parts(self) -> list[Q]:
        """Return conditions that hold for a list's rows, each for those that an index of its own finds."""
        return [Q()]

    def body(self) -> dict[str, Any]:
        """Return the checked body. Raises ValidationError."""
        body = self.get_serializer(data=self.request.data, partial=self.action == "partial_update")
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)

    def must_be_empty(self) -> None:
        """Refuse a body that holds anything. Raises ValidationError."""
        if self.request.data != {}:
            self.body()

    def shown(self, thing: Any, status: int = 200) -> Response:
        """Answer with one thing, as lists show it."""
        assert self.serializer_class is not None
        return Response(self.serializer_class(thing, context=self.get_serializer_context()).data, status)
