"""Requests run as the application's role, which cannot rewrite the ledger."""

import pytest
from django.db import ProgrammingError, connection
from django.http import HttpRequest, HttpResponse

from tests.application import AsTheApplication


def whoami(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return HttpResponse(cursor.fetchone()[0])


def rewrite(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_entry")
    return HttpResponse()


def test_a_request_runs_as_the_application_and_the_test_as_the_owner(db: None) -> None:
    answer = AsTheApplication(whoami)(HttpRequest())

    assert answer.content == b"cashback_app"
    assert whoami(HttpRequest()).content == b"cashback"


def test_a_request_cannot_delete_from_the_ledger(db: None) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        AsTheApplication(rewrite)(HttpRequest())
