"""/api/v1/: the entry points of the API that the caller may use."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.types import OpenApiTypes
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.authentication import TokenAuthentication
from accounts.models import User
from accounts.service_authentication import ServiceCaller, ServiceKeyAuthentication
from accounts.services import Scope
from kernel.openapi import operation
from kernel.strict_views import StrictView

# Entry points by their name in the response: the URL's name, or the address itself. Each group is for callers of one kind.
FOR_ALL = {"docs": "docs", "schema": "schema"}
FOR_VISITORS = {
    "register": "api_register",
    "sign_in": "api_token",
    "refresh": "api_refresh",
    "forgotten_password": "api_password_forgotten",
}
FOR_USERS = {
    "pools": "pool-list",
    "assets": "asset-list",
    "claims": "claim-list",
    "payments": "payment-list",
    "quote": "payment-quote",
    "wallet": "wallet-list",
    "lots": "lot-list",
    "history": "history-list",
    "referral": "referral-list",
    "friends": "friend-list",
    "me": "api_me",
    "emails": "api_notices",
    "sign_ins": "api_sign_ins",
    "data": "personal_data-list",
}
# Those of services, each with the scopes of which a key needs one.
FOR_SERVICES = {
    "payments": ("payment-list", {Scope.READ_PAYMENTS, Scope.HOLD, Scope.CAPTURE}),
    "quote": ("payment-quote", {Scope.QUOTE}),
    "wallet": ("wallet-list", {Scope.READ_WALLETS}),
    "lots": ("lot-list", {Scope.READ_WALLETS}),
    "grants": ("grant-list", {Scope.GRANT}),
    "grant_batch": ("grant-batch", {Scope.GRANT}),
    "feed": ("feed-list", {Scope.READ_EVENTS}),
    "webhooks": ("webhook-list", {Scope.MANAGE_WEBHOOKS}),
    "events": ("event-list", {Scope.REPORT_EVENTS}),
}
FOR_OPERATORS = {
    "batches": "batch-list",
    "grants": "grant-list",
    "grant_batch": "grant-batch",
    "feed": "feed-list",
    "proposals": "proposal-list",
    "ownership": "ownership-list",
    "summary": "summary-list",
    "trial_balance": "trial_balance-list",
    "liability": "liability-list",
    "breakage": "breakage-list",
    "settlement": "settlement-list",
    "journal": "journal-list",
}


def entry_points(caller: User | AnonymousUser | ServiceCaller) -> Iterator[tuple[str, str]]:
    """Yield (name in the response, name of the URL) of what the caller may use."""
    yield from FOR_ALL.items()
    if isinstance(caller, ServiceCaller):
        yield from ((name, url) for name, (url, scopes) in FOR_SERVICES.items() if scopes & caller.scopes)
    elif not isinstance(caller, User):
        yield from FOR_VISITORS.items()
    else:
        yield from FOR_USERS.items()
        yield from FOR_OPERATORS.items() if caller.is_staff else ()


class RootView(StrictView):
    """Entry points."""

    authentication_classes = (TokenAuthentication, ServiceKeyAuthentication, SessionAuthentication)
    permission_classes = (AllowAny,)

    def get_view_name(self) -> str:
        """Return the heading of the browsable page."""
        return "Cashback API"

    @operation("List the entry points", operation_id="root_retrieve", tags=["root"], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Return the addresses that the caller may use, by name. Without a token these are the public ones."""
        caller: Any = request.user
        return Response({name: reverse(url, request=request) for name, url in entry_points(caller)})
