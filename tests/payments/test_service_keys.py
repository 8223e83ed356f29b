"""Keys of services: what each allows, and how it ends."""

import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import service_authentication
from accounts.models import User
from accounts.service_keys import NewKey, create_key, revoke_key, rotate_key, set_service_active
from accounts.services import Scope, Service, ServiceKey
from tests.api.conftest import ROOT, Caller
from tests.payments.conftest import PAYMENTS, order, post, problem, with_key

pytestmark = pytest.mark.django_db(transaction=True)
NewKeys = Callable[..., NewKey]
Audited = Callable[[], list[dict[str, Any]]]
# What each scope opens: method, path and body.
CALLS = {
    Scope.QUOTE: ("post", "payments/quote/", {"user": "alice@example.com", "currency": "INR", "amount": "1.00"}),
    Scope.HOLD: ("post", "payments/", order("1.00")),
    Scope.CAPTURE: ("post", "payments/", order("1.00", capture=True)),
    Scope.REFUND: ("post", f"payments/{'0' * 8}-0000-7000-8000-{'0' * 12}/refund/", {"reference": "r", "reason": "returned"}),
    Scope.READ_PAYMENTS: ("get", "payments/", None),
    Scope.READ_WALLETS: ("get", "wallet/?user=alice@example.com", None),
    Scope.GRANT: (
        "post",
        "grants/",
        {"user": "alice@example.com", "pool": f"{'0' * 8}-0000-7000-8000-{'0' * 12}", "reference": "t", "reason": "gift"},
    ),
    Scope.REPORT_EVENTS: ("post", "events/", {"user": "nobody@example.com", "name": "review.written", "reference": "r"}),
}


def call(key: str, scope: Scope) -> Any:
    """Send the request that the scope opens."""
    method, path, body = CALLS[scope]
    return getattr(with_key(key), method)(f"{ROOT}/{path}", body)


@pytest.mark.parametrize("scope", CALLS)
def test_each_scope_opens_its_calls_and_no_others(scope: Scope, new_key: NewKeys, alice: User) -> None:
    right, others = new_key(scope).text, new_key(*(set(Scope.values) - {scope})).text

    assert call(right, scope).status_code in (200, 201, 404, 409), call(right, scope).content
    refused = call(others, scope)
    assert problem(refused) == (403, "scope_missing")
    assert scope in refused.json()["detail"]


def test_only_a_fast_hash_of_the_key_is_stored(new_key: NewKeys) -> None:
    made = new_key()

    assert made.key.hash == f"sha512$${hashlib.sha512(made.text.encode()).hexdigest()}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(key)::text FROM accounts_servicekey AS key")
        assert made.text.partition(".")[2] not in cursor.fetchone()[0]


def other_than(letter: str) -> str:
    """Return another letter."""
    return "b" if letter == "a" else "a"


@pytest.mark.parametrize("change", ["revoked", "expired", "inactive", "other secret", "unknown", "no secret", "long", "odd"])
def test_a_key_that_is_not_valid_is_401(change: str, new_key: NewKeys, shop: Service) -> None:
    made = new_key()
    texts = {"other secret": made.text[:-1] + other_than(made.text[-1]), "unknown": other_than(made.text[0]) + made.text[1:]}
    texts |= {"no secret": made.key.prefix, "long": made.text + "x" * 5000, "odd": f"{made.key.prefix}.\x00é"}
    assert with_key(made.text).get(PAYMENTS).status_code == 200
    if change == "revoked":
        revoke_key(made.key)
    elif change == "expired":
        ServiceKey.objects.update(expires_at=timezone.now())
    elif change == "inactive":
        Service.objects.update(is_active=False)

    answer = with_key(texts.get(change, made.text)).get(PAYMENTS)

    assert problem(answer) == (401, "key_not_valid")


def test_a_wrong_key_and_a_wrong_body_are_401_first(new_key: NewKeys) -> None:
    made = new_key()

    for key, expected in ((made.text + "x", (401, "key_not_valid")), (made.text, (400, "parse_error"))):
        answer = Client().post(PAYMENTS, "{", content_type="application/json", HTTP_AUTHORIZATION=f"Api-Key {key}")
        assert problem(answer) == expected


def test_wrong_keys_are_limited_by_address_and_right_ones_are_not(new_key: NewKeys, settings: Settings) -> None:
    settings.RATES = settings.RATES | {"service_key": "2/h"}
    made = new_key()

    wrong = [with_key(f"{made.key.prefix}.wrong").get(PAYMENTS) for _ in range(3)]

    assert [problem(answer) for answer in wrong] == [(401, "key_not_valid")] * 2 + [(429, "rate_limited")]
    assert int(wrong[2].headers["Retry-After"]) > 0
    assert with_key(made.text).get(PAYMENTS).status_code == 200


# Addresses for users alone, and one for operators.
FOR_USERS = (
    "auth/me/",
    "assets/",
    "claims/",
    "pools/",
    "me/data/",
    "me/notices/",
    "me/sessions/",
    "referral/",
    "wallet/history/",
)
NO_ID = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("path", [*FOR_USERS, f"payments/{NO_ID}/proof/", f"payments/{NO_ID}/explain/"])
def test_a_service_is_told_that_an_address_is_for_users(path: str, new_key: NewKeys) -> None:
    answer = with_key(new_key().text).get(f"{ROOT}/{path}")

    assert problem(answer) == (403, "permission_denied")
    assert answer.json()["detail"] == "This is for users. Send an access token instead of a service key."


@pytest.mark.parametrize(("method", "path"), [("get", "reports/summary/"), ("get", "reports/settlement/"), ("post", "pools/")])
def test_a_service_is_told_that_an_address_is_for_operators(method: str, path: str, new_key: NewKeys) -> None:
    answer = getattr(with_key(new_key().text), method)(f"{ROOT}/{path}")

    assert problem(answer) == (403, "permission_denied")
    assert answer.json()["detail"] == "Only an ADMIN may do this. Send an access token instead of a service key."


def test_a_key_that_is_not_valid_is_401_where_only_users_may_call(new_key: NewKeys) -> None:
    text = new_key().text

    assert [problem(with_key(f"{text}x").get(f"{ROOT}/{path}")) for path in FOR_USERS] == [(401, "key_not_valid")] * len(
        FOR_USERS
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "payments/"),
        ("delete", "payments/"),
        ("get", "payments/quote/"),
        ("patch", f"payments/{NO_ID}/"),
        ("get", "events/"),
        ("get", "grants/"),
        ("post", "feed/"),
        ("post", "wallet/"),
        ("get", f"webhooks/{NO_ID}/"),
    ],
)
def test_a_method_that_an_address_does_not_have_is_405_for_services(method: str, path: str, new_key: NewKeys) -> None:
    for caller, expected in ((with_key(new_key().text), 405), (with_key(new_key(Scope.QUOTE).text), 405), (Caller(), 401)):
        assert problem(getattr(caller, method)(f"{ROOT}/{path}"))[0] == expected


def test_a_401_names_the_credentials_that_the_address_takes() -> None:
    asked = {path: Caller().get(f"{ROOT}/{path}")["WWW-Authenticate"] for path in ("feed/", "payments/", "claims/", "auth/me/")}

    assert asked == {
        "feed/": 'Bearer realm="api", Api-Key realm="api"',
        "payments/": 'Bearer realm="api", Api-Key realm="api"',
        "claims/": 'Bearer realm="api"',
        "auth/me/": 'Bearer realm="api"',
    }


@pytest.mark.parametrize(("method", "path"), [("get", "payments/"), ("get", "claims/"), ("get", "reports/summary/")])
def test_a_refused_service_is_named_in_the_audit_log(
    *, method: str, path: str, new_key: NewKeys, shop: Service, audited: Audited
) -> None:
    made = new_key(Scope.QUOTE)
    before = len(audited())

    getattr(with_key(made.text), method)(f"{ROOT}/{path}")

    (line,) = audited()[before:]
    assert (line["event"], line["outcome"], line["user"]) == ("permission", "refused", None)
    assert (line["service"], line["key"]) == (str(shop.pk), made.key.prefix)


def test_a_session_beside_a_key_does_not_count(new_key: NewKeys, client: Client, alice: User) -> None:
    client.force_login(alice)

    answer = client.get(PAYMENTS, HTTP_AUTHORIZATION=f"Api-Key {new_key(Scope.QUOTE).text}")

    assert problem(answer) == (403, "scope_missing")
    assert not answer.cookies


def test_key_service_and_user_are_found_by_one_statement(
    new_key: NewKeys, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    text = new_key().text
    for name in (str(alice.pk), "Alice@Example.com"):
        with django_assert_num_queries(1):
            caller = service_authentication.find_caller(text, name)
        assert caller is not None
        assert caller.named_user == alice
    for unknown in ("nobody@example.com", "alice", "alice@example.com\ud800", "\0", None):
        found = service_authentication.find_caller(text, unknown)
        assert found is not None
        assert found.named_user is None


def test_what_cannot_be_a_key_of_ours_is_not_looked_up(
    new_key: NewKeys, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    text = new_key().text
    for other in (text.ljust(65, "x"), text.ljust(5000, "x"), text[1:], f"x{text}", text.replace(".", ""), f"{text}é"):
        with django_assert_num_queries(0):
            assert service_authentication.find_caller(other, None) is None


def test_concurrent_look_ups_share_a_statement_and_get_their_own_answers(new_key: NewKeys, alice: User, bob: User) -> None:
    made = new_key()
    asked = [service_authentication.Asked(made.key.prefix, person.pk, None) for person in (alice, bob)]

    found = service_authentication.find_keys([*asked, service_authentication.Asked("nothing.", None, None)])

    assert [caller and caller.named_user for caller in found] == [alice, bob, None]


def test_the_last_use_is_recorded_once_a_minute_and_apart_from_the_request(new_key: NewKeys) -> None:
    made = new_key()
    caller = with_key(made.text)

    caller.get(PAYMENTS)
    first = wait_for_use(made.key)
    caller.get(PAYMENTS)
    service_authentication._recorder.submit(int).result()

    made.key.refresh_from_db()
    assert made.key.last_used_at == first
    ServiceKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    caller.get(PAYMENTS)
    service_authentication._recorder.submit(int).result()
    made.key.refresh_from_db()
    assert made.key.last_used_at is not None
    assert made.key.last_used_at > first


def wait_for_use(key: ServiceKey) -> Any:
    """Return when the key was used, once that is recorded."""
    for _ in range(100):
        key.refresh_from_db()
        if key.last_used_at:
            return key.last_used_at
        time.sleep(0.05)
    raise AssertionError("the use was not recorded")


def test_after_a_rotation_both_keys_are_valid_for_the_chosen_time(new_key: NewKeys, ada: User, audited: Audited) -> None:
    made = new_key(Scope.READ_PAYMENTS)

    successor = rotate_key(made.key, timedelta(hours=2), ada)

    made.key.refresh_from_db()
    assert made.key.expires_at is not None
    assert round((made.key.expires_at - timezone.now()) / timedelta(minutes=1)) == 120
    assert successor.key.scopes == made.key.scopes
    assert [with_key(text).get(PAYMENTS).status_code for text in (made.text, successor.text)] == [200, 200]
    event = audited()[-1]
    assert (event["change"], event["key"], event["successor"]) == ("rotate", made.key.prefix, successor.key.prefix)
    assert event["user"] == str(ada.pk)
    rotate_key(made.key, timedelta(0))
    assert problem(with_key(made.text).get(PAYMENTS)) == (401, "key_not_valid")


def test_a_rotation_never_makes_a_key_last_longer(new_key: NewKeys) -> None:
    soon = timezone.now() + timedelta(minutes=1)
    made = new_key(expires_at=soon)

    rotate_key(made.key, timedelta(days=1))

    made.key.refresh_from_db()
    assert made.key.expires_at == soon
    for overlap in (timedelta(days=91), -timedelta(seconds=1)):
        with pytest.raises(ValidationError):
            rotate_key(made.key, overlap)
    revoke_key(made.key)
    with pytest.raises(ValidationError, match="no longer valid"):
        rotate_key(made.key, timedelta(0))
    assert ServiceKey.objects.count() == 2


def test_unknown_and_missing_scopes_are_refused_by_the_database_too(shop: Service) -> None:
    for scopes in (["payments:steal"], []):
        with pytest.raises(ValidationError):
            create_key(shop, scopes)
        with pytest.raises(IntegrityError, match="service_key_scopes_known"):
            ServiceKey.objects.create(service=shop, prefix="x", hash="x", scopes=scopes)


def test_stopping_and_starting_a_service_is_audited_when_it_changes(shop: Service, ada: User, audited: Audited) -> None:
    for is_active in (True, False, False, True):
        set_service_active(shop, is_active, ada)

    assert [(event["change"], event["service"], event["user"]) for event in audited()] == [
        ("stop", str(shop.pk), str(ada.pk)),
        ("start", str(shop.pk), str(ada.pk)),
    ]


def test_no_line_of_the_audit_log_holds_a_secret(new_key: NewKeys, audited: Audited) -> None:
    made = new_key()
    with_key(made.text + "x").get(PAYMENTS)
    revoke_key(made.key)

    events = audited()
    assert [(event["event"], event["outcome"]) for event in events] == [
        ("service_key", outcome) for outcome in ("done", "refused", "done")
    ]
    assert {event["key"] for event in events} == {made.key.prefix}
    assert made.text.partition(".")[2] not in str(events)


def test_the_command_makes_rotates_lists_and_revokes(db: None) -> None:
    def run(*arguments: str) -> list[str]:
        out = StringIO()
        call_command("service_key", *arguments, stdout=out, stderr=StringIO())
        return out.getvalue().splitlines()

    (text,) = run("create", "Web shop", "--scopes", "payments:read", "--days", "30")
    prefix = text.partition(".")[0]
    assert with_key(text).get(PAYMENTS).status_code == 200
    assert run("list", "Web shop")[0].startswith(f"{prefix}  Web shop  active")
    assert text not in str(run("list"))
    (successor,) = run("rotate", prefix, "--hours", "0")
    assert [with_key(each).get(PAYMENTS).status_code for each in (text, successor)] == [401, 200]
    for verb in ("rotate", "revoke"):
        run(verb, successor.partition(".")[0], "--dry-run")
    assert ServiceKey.objects.count() == 2
    run("revoke", successor.partition(".")[0])
    assert with_key(successor).get(PAYMENTS).status_code == 401
    with pytest.raises(CommandError, match="No key begins with"):
        run("revoke", "nothing")


@pytest.mark.parametrize(("action", "path"), [("service_quote", "payments/quote/"), ("service_payment", "payments/")])
def test_a_service_is_limited_and_another_is_not(
    *, action: str, path: str, new_key: NewKeys, other_shop: Service, alice: User, settings: Settings
) -> None:
    settings.RATES = settings.RATES | {action: "1/h"}
    body = order("1.00") if path == "payments/" else {"user": "alice@example.com", "currency": "INR", "amount": "1.00"}
    callers = [with_key(new_key(service=service).text) for service in (None, other_shop)]

    answers = [post(caller, path, body).status_code for caller in (callers[0], callers[0], callers[1])]

    assert answers[1] == 429
    assert 429 not in (answers[0], answers[2])
