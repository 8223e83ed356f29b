"""/wallet/: the caller's balances per currency."""

from typing import ClassVar

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.openapi import operation
from wallet.api.filters import check_parameters
from wallet.api.response_serializers import WalletSerializer
from wallet.api.viewsets import BaseViewSet
from wallet.ledger.models import Entry


class WalletViewSet(BaseViewSet):
    """The caller's wallet."""

    permissions: ClassVar = {"list": IsAuthenticated}
    serializer_class = WalletSerializer
    pagination_class = None
    filter_backends = ()

    @operation("Show the caller's balances", operation_id="wallet_retrieve", responses=WalletSerializer)
    def list(self, request: Request) -> Response:
        """Return the exact sum and the number of the caller's claims per currency."""
        check_parameters(request, set())
        return self.respond_with({"balances": Entry.objects.balances_of(self.user)})
