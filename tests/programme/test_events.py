"""`POST events/`: services report what happened, once per reference and per key."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from accounts.service_keys import NewKey
from accounts.services import Scope, Service
from kernel.statements import database_time
from kernel.timestamps import format_timestamp
from tests.api.conftest import Caller
from tests.concurrency import at_once
from tests.payments.conftest import post, problem, with_key
from tests.programme.conftest import OpenRule
from wallet.actions import edit_rule
from wallet.actions.grant_dues import grant_due_credits
from wallet.actions.report_event import report_event
from wallet.programme.models import GrantDue, ReportedEvent

pytestmark = pytest.mark.django_db(transaction=True)
KEY, OTHER_KEY = "a-key-of-16-chars", "b-key-of-16-chars"


def event(**fields: Any) -> dict[str, Any]:
    return {"name": "review.written", "reference": "review-1", "user": "alice@example.com"} | fields


@pytest.fixture
def review(open_rule: OpenRule) -> Any:
    return open_rule("REPORTED", event_name="review.written")


@pytest.mark.usefixtures("review")
def test_an_event_is_recorded_and_its_credit_granted(as_shop: Caller, shop: Service, alice: User) -> None:
    answer = post(as_shop, "events/", event(occurred_at="2025-11-01T12:00:00Z"))

    reported = ReportedEvent.objects.get()
    assert (answer.status_code, answer.json()) == (
        201,
        {
            "id": str(reported.pk),
            "name": "review.written",
            "reference": "review-1",
            "user": str(alice.pk),
            "occurred_at": "2025-11-01T12:00:00Z",
            "reported_at": answer.json()["reported_at"],
            "credits_due": 1,
        },
    )
    assert (reported.service, reported.user) == (shop, alice)
    assert grant_due_credits() == 1


@pytest.mark.usefixtures("review")
def test_the_same_reference_again_is_the_same_event(as_shop: Caller, alice: User) -> None:
    first = post(as_shop, "events/", event())
    again = post(as_shop, "events/", event(user=str(alice.pk)))

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert GrantDue.objects.count() == 1


@pytest.mark.usefixtures("review")
def test_the_same_key_again_is_answered_as_the_first_time(as_shop: Caller, alice: User) -> None:
    first, again = post(as_shop, "events/", event(), KEY), post(as_shop, "events/", event(), KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert problem(post(as_shop, "events/", event(reference="review-2"), KEY)) == (422, "idempotency_key_reused")
    assert ReportedEvent.objects.count() == 1


@pytest.mark.usefixtures("review")
def test_a_reference_of_another_event_is_refused(as_shop: Caller, alice: User, bob: User) -> None:
    post(as_shop, "events/", event(), KEY)

    for other in (event(user=bob.email), event(occurred_at="2025-11-01T12:00:00Z")):
        assert problem(post(as_shop, "events/", other, OTHER_KEY)) == (409, "reference_used")
    assert ReportedEvent.objects.count() == 1


@pytest.mark.usefixtures("review")
def test_references_are_of_one_service(as_shop: Caller, as_other_shop: Caller, alice: User) -> None:
    assert [post(caller, "events/", event()).status_code for caller in (as_shop, as_other_shop)] == [201, 201]


@pytest.mark.usefixtures("review", "alice")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "review.deleted"}, (400, "unknown_event")),
        ({"name": "Review Written"}, (400, "unknown_event")),
        ({"reference": " review"}, (400, "invalid_reference")),
        ({"user": "nobody@example.com"}, (404, "not_found")),
        ({"user": None}, (400, "invalid")),
        ({"occurred_at": "yesterday"}, (400, "invalid")),
        ({"extra": 1}, (400, "invalid")),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_recorded(
    as_shop: Caller,
    fields: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    assert problem(post(as_shop, "events/", event(**fields))) == expected
    assert not ReportedEvent.objects.exists()


@pytest.mark.usefixtures("review", "alice")
def test_an_event_that_is_yet_to_happen_is_refused_beside_its_time(as_shop: Caller) -> None:
    later = format_timestamp(database_time() + timedelta(minutes=6))

    answer = post(as_shop, "events/", event(occurred_at=later))

    assert problem(answer) == (400, "invalid")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [("occurred_at", "future")]
    assert not ReportedEvent.objects.exists()


@pytest.mark.usefixtures("review", "alice")
def test_the_clock_of_a_service_may_be_a_few_minutes_ahead(as_shop: Caller) -> None:
    soon = format_timestamp(database_time() + timedelta(minutes=4))

    assert post(as_shop, "events/", event(occurred_at=soon)).json()["occurred_at"] == soon


def test_an_event_that_only_a_paused_rule_knows_is_recorded_and_nothing_is_due(
    as_shop: Caller,
    review: Any,
    ada: User,
    alice: User,
) -> None:
    edit_rule.update_rule(review.pk, ada, is_active=False)

    answer = post(as_shop, "events/", event())

    assert (answer.status_code, answer.json()["credits_due"]) == (201, 0)


@pytest.mark.usefixtures("review", "alice")
def test_only_a_service_with_the_scope_reports(
    as_alice: Caller,
    as_ada: Caller,
    new_key: Callable[..., NewKey],
) -> None:
    others = set(Scope.values) - {Scope.REPORT_EVENTS}

    assert problem(post(with_key(new_key(*others).text), "events/", event())) == (403, "scope_missing")
    assert [problem(post(caller, "events/", event())) for caller in (as_alice, as_ada)] == [(403, "permission_denied")] * 2
    assert post(with_key(new_key(Scope.REPORT_EVENTS).text), "events/", event()).status_code == 201


@pytest.mark.usefixtures("review")
def test_one_event_reported_by_many_at_once_is_recorded_once(shop: Service, alice: User) -> None:
    answers = at_once(lambda _: report_event(shop, alice, name="review.written", reference="review-1"), range(8))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]  # type: ignore[union-attr]
    assert GrantDue.objects.count() == ReportedEvent.objects.count() == 1


@pytest.mark.usefixtures("review", "alice")
def test_reported_events_never_change(as_shop: Caller) -> None:
    post(as_shop, "events/", event())

    for statement in ("UPDATE programme_reportedevent SET name = 'x'", "DELETE FROM programme_reportedevent"):
        with pytest.raises(Exception, match="append-only"), connection.cursor() as cursor:
            cursor.execute(statement)
