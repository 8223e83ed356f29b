"""/wallet/: balances per currency, what is left of each credit, and one history, of the caller or of a user for a service."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.expensive_reads import SEARCH, ExpensiveRead
from accounts.permissions import ScopeMissing
from accounts.services import Scope
from kernel.openapi import operation
from wallet.actions.payment_refusals import UserNotFound
from wallet.api.filters import LotFilter
from wallet.api.pagination import HistoryPagination
from wallet.api.service_viewsets import ServiceViewSet, user_or_service
from wallet.api.viewsets import BaseViewSet
from wallet.api.wallet_queries import HistoryQuery, WalletQuery
from wallet.api.wallet_serializers import HistorySerializer, LotSerializer, WalletSerializer
from wallet.ledger.models import Lot
from wallet.queries.wallet_history import WalletHistory
from wallet.queries.wallet_lots import lots_of
from wallet.queries.wallet_summary import wallet_summary


class WalletViewSet(ServiceViewSet):
    """A wallet: the caller's, or that of the user whom a service names."""

    permissions: ClassVar = {"list": user_or_service(Scope.READ_WALLETS)}
    queries: ClassVar = {"list": WalletQuery}
    serializer_class = WalletSerializer
    pagination_class = None
    filter_backends = ()

    def expensive_read(self) -> ExpensiveRead | None:
        """Return SEARCH for a time in the past, which costs the history up to then."""
        return SEARCH if self.request.query_params.get("as_of") else None

    @operation(
        "Show balances",
        ScopeMissing,
        UserNotFound,
        operation_id="wallet_retrieve",
        parameters=[WalletQuery],
        responses=WalletSerializer,
    )
    def list(self, request: Request) -> Response:
        """Return per currency what can be spent, what is held and pending, and what ends soon, now or as of then."""
        query = self.validated_query()
        balances = wallet_summary(self.wallet_owner(query.get("user")), query.get("as_of"))
        return Response(WalletSerializer({"balances": balances}).data)


class LotViewSet(ListModelMixin, ServiceViewSet):
    """What is left of each claimed credit."""

    permissions: ClassVar = {"list": user_or_service(Scope.READ_WALLETS)}
    serializer_class = LotSerializer
    queryset = Lot.objects.all()
    filterset_class = LotFilter
    orderings: ClassVar = {"spendable_until": "spendable_until"}
    ordering = "spendable_until"
    indexed_filters = frozenset({"user", "currency"})

    def get_queryset(self) -> QuerySet[Lot]:
        """Return the credits of the wallet: those with something left unless others are asked for."""
        parameters = self.request.query_params
        return lots_of(self.wallet_owner(parameters.get("user")), is_open=parameters.get("open") != "false")

    @operation("List credits by end", ScopeMissing, UserNotFound)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return what is left of each credit, soonest end first, never-ending last."""
        return super().list(request, *args, **kwargs)


class HistoryViewSet(BaseViewSet):
    """The caller's history: claims, payments, refunds and lapses."""

    permissions: ClassVar = {"list": IsAuthenticated}
    queries: ClassVar = {"list": HistoryQuery}
    serializer_class = HistorySerializer
    pagination_class = HistoryPagination
    filter_backends = ()
    orderings: ClassVar = {"at": "at"}
    ordering = "-at"
    indexed_filters = frozenset({"from", "to"})

    @operation("List what happened", operation_id="wallet_history_list", parameters=[HistoryQuery])
    def list(self, request: Request) -> Response:
        """Return claims and movements, newest first."""
        filters = self.validated_query()
        wanted = WalletHistory(
            self.user.pk,
            kinds=[filters["kind"]] if "kind" in filters else (),
            currency=filters.get("currency"),
            since=filters.get("from"),
            until=filters.get("to"),
        )
        return self.get_paginated_response(self.get_serializer(self.paginate_queryset(wanted), many=True).data)  # type: ignore[arg-type]
