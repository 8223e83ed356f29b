"""Requests of the test client run as the application's role: whatever a page or call does, it does without owning a table."""

from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, HttpResponse
from psycopg.pq import TransactionStatus

from cashback.database.roles import APP_ROLE


class AsTheApplication:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        become(APP_ROLE)
        try:
            return self.get_response(request)
        finally:
            become("NONE")


def become(role: str) -> None:
    """Take a role on the test's connection, past Django, so that counted queries stay the product's own."""
    session = connection.connection
    if session is not None and not session.closed and session.info.transaction_status != TransactionStatus.INERROR:
        session.execute(f"SET ROLE {role}")
