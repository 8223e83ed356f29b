"""The search for a person, and one person's page for support."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import tokens
from accounts.devices import Client as SignInClient
from accounts.models import Revoked, TokenFamily, User
from kernel.uuid7 import uuid7
from tests.conftest import PASSWORD
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.notices.models import Notice
from wallet.queries import person

SEARCH = reverse("customer_search")
Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]


def page_of(user: User) -> str:
    return reverse("customer", args=[user.pk])


@pytest.mark.parametrize("text", ["alice@example.com", " ALICE@example.com ", "alic"])
def test_search_leads_to_the_only_match(console: Client, alice: User, bob: User, text: str) -> None:
    assert console.get(SEARCH, {"q": text})["Location"] == page_of(alice)


def test_search_by_id_leads_to_the_person(console: Client, alice: User) -> None:
    assert console.get(SEARCH, {"q": str(alice.pk)})["Location"] == page_of(alice)


def test_exact_email_leads_to_its_person_though_longer_ones_match(console: Client, alice: User) -> None:
    User.objects.create_user("alice@example.com.au", PASSWORD)

    assert console.get(SEARCH, {"q": "alice@example.com"})["Location"] == page_of(alice)


def test_prefix_of_several_emails_lists_them(console: Client) -> None:
    for number in range(23):
        User.objects.create_user(f"carol{number:02}@example.com")

    context = console.get(SEARCH, {"q": "carol"}).context

    assert [user.email for user in context["found"]][:2] == ["carol00@example.com", "carol01@example.com"]
    assert (len(context["found"]), context["more"]) == (20, True)


@pytest.mark.parametrize("text", ["lice@", "%", "_lice", "8b8dd920-763c-46db-8e99-84cf7886ce93", "a\x00b"])
def test_search_without_a_match_says_what_is_compared(console: Client, alice: User, text: str) -> None:
    answer = console.get(SEARCH, {"q": text})

    assert answer.status_code == 200
    assert answer.context["found"] == []


def test_search_uses_the_index_of_emails(console: Client, make_users: Callable[[int], list[User]]) -> None:
    with CaptureQueriesContext(connection) as queries:
        person.find_people("carol")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + queries.captured_queries[0]["sql"])
        plan = "\n".join(row for (row,) in cursor.fetchall())

    assert "Index Cond" in plan


@pytest.fixture
def busy_alice(alice: User, ada: User, open_pool: OpenPool, issue: Issue, root: User) -> User:
    """Alice owns credits in two currencies and has reached a pool's limit; she signed in twice and root changed her."""
    welcome = open_pool(name="Welcome", per_user_limit=1)
    for credit in (issue(pool=welcome, title="Hello"), issue(title="Lamp"), issue(title="Tea", currency="USD")):
        claim_asset(credit.pk, alice)
    tokens.issue_pair(alice)
    TokenFamily.objects.filter(user=alice).revoke(Revoked.LOGOUT)
    tokens.issue_pair(alice)
    browser = Client()
    browser.force_login(root)
    change = reverse("admin:accounts_user_change", args=[alice.pk])
    browser.post(change, {"email": alice.email, "role": "USER"})  # without is_active: deactivated
    alice.refresh_from_db()
    return alice


def test_everything_of_a_person_is_on_one_page(console: Client, busy_alice: User) -> None:
    page = console.get(page_of(busy_alice))
    context = page.context

    assert [(line["currency"], line["value"]) for line in context["balances"]] == [
        ("INR", "200.00\N{NO-BREAK SPACE}INR"),
        ("USD", "100.00\N{NO-BREAK SPACE}USD"),
    ]
    assert sorted(line["title"] for line in context["claims"]) == ["Hello", "Lamp", "Tea"]
    assert len(context["credits"]) == 3
    assert [(line["name"], line["limit"]) for line in context["limits"]] == [("Welcome", 1)]
    assert [line.state for line in context["sign_ins"]] == ["Active", "Signed out"]
    assert [change.user.email for change in context["changes"]] == ["root@example.com"]
    text = page.content.decode()
    for part in ("Deactivated", "Member since", str(busy_alice.pk), "Changed Active."):
        assert part in text


def test_page_links_each_part_to_the_whole_list(console: Client, busy_alice: User) -> None:
    page = console.get(page_of(busy_alice))

    for part in ("credits", "claims"):
        url = page.context["lists"][part]
        assert url.replace("&", "&amp;") in page.content.decode()
        assert console.get(url).context["cl"].result_count == 3


def test_page_offers_nothing_to_edit_to_an_operator(console: Client, root_client: Client, busy_alice: User) -> None:
    edit = reverse("admin:accounts_user_change", args=[busy_alice.pk])

    assert "Edit user" not in console.get(page_of(busy_alice)).content.decode()
    main = console.get(page_of(busy_alice)).content.decode().partition('id="content"')[2].partition("</main>")[0]
    assert 'method="post"' not in main  # the one form asks from which pool they want to claim
    assert "<input" not in main
    assert edit in root_client.get(page_of(busy_alice)).content.decode()


def test_each_part_is_bounded_and_the_page_takes_the_same_queries(
    *,
    console: Client,
    busy_alice: User,
    issue: Issue,
    open_pool: OpenPool,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    User.objects.filter(pk=busy_alice.pk).update(is_active=True)
    console.get(page_of(busy_alice))  # content types are cached from now on
    with django_assert_max_num_queries(12) as few:
        console.get(page_of(busy_alice))
    for number in range(15):
        claim_asset(issue(pool=open_pool(name=f"Pool {number}", per_user_limit=1)).pk, busy_alice)
        tokens.issue_pair(busy_alice)

    with django_assert_num_queries(len(few)):
        context = console.get(page_of(busy_alice)).context

    assert [len(context[part]) for part in ("credits", "claims", "limits", "sign_ins")] == [10, 10, 10, 10]


def test_notices_are_shown_with_what_became_of_them(console: Client, alice: User) -> None:
    states_now = ({"state": "SKIPPED", "skip_reason": "OPTED_OUT"}, {"state": "WAITING"})
    for pk, fields in zip(sorted(uuid7() for _ in states_now), states_now, strict=True):  # ids of one millisecond have no order
        Notice.objects.create(id=pk, user=alice, kind="granted", key=str(pk), payload={}, **fields)

    states = [line["state"] for line in console.get(page_of(alice)).context["notices"]]

    assert states == ["Waiting", "Not sent: the customer turned these emails off"]


def test_person_without_anything_has_words_in_every_part(console: Client, bob: User) -> None:
    page = console.get(page_of(bob)).content.decode()

    for words in (
        "nothing to spend",
        "No credits yet.",
        "No claims yet.",
        "No sign-ins yet.",
        "No changes by",
        "No emails yet.",
    ):
        assert words in page


def test_unknown_person_is_not_found(console: Client) -> None:
    assert console.get(reverse("customer", args=[uuid4()])).status_code == 404


@pytest.mark.parametrize(("ended", "state"), [({}, "Active"), ({"expires_at": timezone.now() - timedelta(1)}, "Expired")])
def test_sign_in_says_whether_it_still_counts(alice: User, ended: dict[str, Any], state: str) -> None:
    tokens.issue_pair(alice)
    TokenFamily.objects.update(**ended)

    assert [line.state for line in person.latest_sign_ins(alice)] == [state]


def test_sign_in_before_a_new_password_does_not_count(alice: User) -> None:
    tokens.issue_pair(alice)
    alice.set_password("a quite different one")
    alice.save()

    assert [line.state for line in person.latest_sign_ins(alice)] == ["The password was changed"]


def test_owners_lead_to_the_page_of_the_person(console: Client, busy_alice: User) -> None:
    customers = console.get(reverse("admin:ledger_claimedasset_owners")).content.decode()

    assert f"{SEARCH}?q=alice%40example.com" in customers
    assert page_of(busy_alice) in console.get(reverse("admin:assets_cashbackasset_changelist")).content.decode()


def test_sign_ins_of_browsers_and_apps_are_listed_with_their_devices(console: Client, alice: User) -> None:
    tokens.issue_pair(alice, SignInClient("192.0.2.7", "okhttp/4.12.0"))
    browser = Client(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
    browser.force_login(alice)
    browser.get("/dashboard/")

    page = console.get(page_of(alice))

    assert sorted((line.kind, line.state) for line in page.context["sign_ins"]) == [("app", "Active"), ("browser", "Active")]
    text = page.content.decode()
    for line in page.context["sign_ins"]:
        assert line.device in text
    assert "192.0.2.7" in text
