"""What a statement that takes too long comes to, wherever it is sent: 503, and never a 500."""

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts import authentication
from accounts.models import User
from tests.api.conftest import ROOT


def test_a_token_whose_family_is_not_found_in_time_is_answered_busy(
    alice: User, as_alice: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a transaction, which the timeout ends, nothing can be retried: what is told is the timeout."""
    sql = authentication.SELECT_LIVE_FAMILIES.rstrip()
    monkeypatch.setattr(authentication, "SELECT_LIVE_FAMILIES", f"{sql} AND pg_sleep(20) IS NOT NULL")
    as_alice.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20ms'")

    answer = as_alice.get(f"{ROOT}/assets/")

    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert answer.headers["Retry-After"]
