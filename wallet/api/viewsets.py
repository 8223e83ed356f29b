"""The base of every API viewset: permissions, request bodies and responses."""

from contextlib import ExitStack
from typing import Any, ClassVar, cast

from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponseBase
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from accounts.expensive_reads import SEARCH, ExpensiveRead
from accounts.models import User
from accounts.permissions import IsService
from accounts.refused_services import RefusedServices
from kernel.refusals import NotFound
from kernel.strict_serializers import StrictSerializer
from kernel.strict_views import StrictView
from kernel.versions import Precondition
from wallet.actions.approvals import AwaitsApproval
from wallet.api.conditional import etag_of, if_match
from wallet.api.filters import StrictFilterBackend
from wallet.api.pagination import CursorPagination
from wallet.api.proposal_serializers import ProposalSerializer


class DenyAll(BasePermission):
    """The permission of an action that declares none."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return False."""
        return False


class BaseViewSet(StrictView, RefusedServices, GenericViewSet[Any]):
    """A viewset that denies by default: each action declares its permission, its body and its query string."""

    permissions: ClassVar[dict[str, type[BasePermission]]]
    bodies: ClassVar[dict[str, type[BaseSerializer[Any]]]] = {}
    queries: ClassVar[dict[str, type[StrictSerializer]]] = {}
    orderings: ClassVar[dict[str, str]] = {"created_at": "id"}  # ids are UUIDv7, in order of time
    ordering: ClassVar[str] = "-created_at"
    # Filters that an index serves without reading more rows than the page shows; any other filter makes the list a search.
    indexed_filters: ClassVar[frozenset[str]] = frozenset()
    # The columns whose version is the entity tag of an object; without any, objects have none.
    version_columns: ClassVar[tuple[str, ...]] = ()
    # Raised for an object that does not exist, or that the caller may not see.
    not_found: ClassVar[type[NotFound]]
    basename: str

    http_method_names = ["get", "head", "post", "patch", "delete"]
    pagination_class: type[CursorPagination] | None = CursorPagination
    filter_backends: Any = (StrictFilterBackend,)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Handle the request, and release the slot of an expensive read afterwards."""
        with ExitStack() as self.read_slots:
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check permissions and reserve the slot of an expensive read. Raises RateLimited or ReadsBusy."""
        super().initial(request, *args, **kwargs)
        if kind := self.expensive_read():
            self.read_slots.enter_context(kind.for_user(self.user))

    def handle_exception(self, exc: Exception) -> Response:
        """Answer an error; an action that waits for another operator is answered 202 with its proposal."""
        if isinstance(exc, AwaitsApproval):
            return Response(ProposalSerializer(exc.proposal, context=self.get_serializer_context()).data, 202)
        return super().handle_exception(exc)

    def expensive_read(self) -> ExpensiveRead | None:
        """Return the kind of expensive read that this request is, or None."""
        if self.action != "list":
            return None
        cheap = {*CursorPagination.parameters, "format", *self.indexed_filters}
        parameters = self.request.query_params
        return SEARCH if any(parameters[name] for name in {*parameters} - cheap) else None

    def known_parameters(self) -> set[str]:
        """Return the fields of the action's query; of a list also its filters, and the parameters of its pages."""
        names = {*self.queries[self.action]().fields} if self.action in self.queries else set()
        if self.action != "list":
            return names
        filters = getattr(self, "filterset_class", None)
        pages = CursorPagination.parameters if self.pagination_class else ()
        return names.union(filters.base_filters if filters else (), pages)

    @property
    def user(self) -> User:
        """The caller. The permissions have already refused anonymous ones."""
        return cast("User", self.request.user)

    def get_permissions(self) -> list[Any]:
        """Return the action's permission. A method without an action is open to users and services, who then get 405."""
        return [(self.permissions.get(self.action, DenyAll) if self.action else IsAuthenticated | IsService)()]

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return the action's request serializer, or the response serializer when it has none."""
        return self.bodies.get(self.action) or super().get_serializer_class()

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows; none for a view of something else, of which the browsable page asks too."""
        if type(self).queryset is None:
            return User.objects.none()
        rows: QuerySet[Any] = super().get_queryset()
        return rows

    def get_object(self) -> Any:
        """Return the object of the address. Raises `not_found`."""
        try:
            return super().get_object()
        except Http404:
            raise self.not_found from None

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter lists; a single object is looked up by its id alone."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def branches(self) -> list[Q]:
        """Return the conditions whose union is the list, each served by an index of its own."""
        return [Q()]

    def validated_body(self) -> dict[str, Any]:
        """Return the validated body. Raises ValidationError."""
        serializer = self.get_serializer(data=self.request.data, partial=self.action == "partial_update")
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def validated_query(self) -> dict[str, Any]:
        """Return the validated parameters of the action's query. Raises ValidationError."""
        query = self.queries[self.action]
        names = query().fields
        serializer = query(data={name: value for name, value in self.request.query_params.items() if name in names and value})
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def require_empty_body(self) -> None:
        """Raise ValidationError when the body is not empty."""
        if self.request.data != {}:
            self.validated_body()

    def precondition(self) -> Precondition:
        """Return the precondition of the request (If-Match). Raises ValidationError."""
        return if_match(self.request, self.version_columns)

    def respond_with(self, instance: Any, status: int = 200) -> Response:
        """Return a response with one object, serialized as in lists, and its entity tag."""
        assert self.serializer_class is not None
        headers = {"ETag": etag_of(instance, self.version_columns)} if self.version_columns else None
        return Response(self.serializer_class(instance, context=self.get_serializer_context()).data, status, headers=headers)
