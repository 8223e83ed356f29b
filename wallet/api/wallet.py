"""/wallet/: what the caller claimed, per currency."""

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
    """The caller's wallet: the sums of their entries."""

    permissions: ClassVar = {"list": IsAuthenticated}
    serializer_class = WalletSerializer
    pagination_class = None
    filter_backends = ()

    @operation("Show the caller's balances", operation_id="wallet_retrieve", responses=WalletSerializer)
    def list(self, request: Request) -> Response:
        """Return per currency the exact sum and the number of the caller's claims."""
        check_parameters(request, set())
        return self.shown({"balances": Entry.objects.balances_of(self.user)})
