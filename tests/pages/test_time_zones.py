"""Dates and times in the zone of the person: their preference, else the browser's, else UTC."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.conftest import PASSWORD
from tests.history import backdate
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry
from wallet.pages.balance_chart import balance_charts

KOLKATA = "Asia/Kolkata"
Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]


@pytest.fixture
def late_claim(alice: User, issue: Issue) -> Entry:
    """Alice's claim at 8 pm UTC on 3 days ago, which is the next day in Kolkata."""
    claim = claim_asset(issue().pk, alice)
    now = timezone.now()
    wanted = datetime.combine(now.date() - timedelta(days=3), datetime.min.time(), UTC) + timedelta(hours=20)
    backdate(claim, Entry.objects.get().claimed_at - wanted)
    return Entry.objects.get()


def in_kolkata(user: User) -> None:
    user.time_zone = KOLKATA
    user.save(update_fields=["time_zone"])


def text_of(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"


def test_history_receipt_and_wallet_show_the_time_of_the_persons_zone(
    alice_client: Client, alice: User, late_claim: Entry
) -> None:
    in_kolkata(alice)
    day = text_of(late_claim.claimed_at.date() + timedelta(days=1))

    for address in (reverse("my_claims"), reverse("receipt", args=[late_claim.pk]), reverse("dashboard")):
        page = alice_client.get(address).content.decode()
        assert f">{day}, 1:30 am</time>" in page
        assert "Times are in your time zone, India Standard Time." in page


def test_times_without_a_known_zone_are_in_utc_and_say_so(alice_client: Client, late_claim: Entry) -> None:
    page = alice_client.get(reverse("my_claims")).content.decode()

    assert f">{text_of(late_claim.claimed_at.date())}, 8:00 pm UTC</time>" in page
    assert "Times are in UTC." in page


def test_filter_days_are_days_of_the_persons_zone(alice_client: Client, alice: User, late_claim: Entry) -> None:
    in_utc, local = late_claim.claimed_at.date(), late_claim.claimed_at.date() + timedelta(days=1)

    def found(day: date) -> int:
        asked = {"since": f"{day}", "until": f"{day}"}
        return len(alice_client.get(reverse("my_claims"), asked).context["page"].items)

    assert (found(in_utc), found(local)) == (1, 0)
    in_kolkata(alice)
    assert (found(in_utc), found(local)) == (0, 1)


@pytest.mark.parametrize("name", [KOLKATA, "America/New_York", "UTC"])
@pytest.mark.parametrize("asked", [{"since": "0001-01-01"}, {"until": "9999-12-31"}, {"since": "9999-12-31"}])
def test_first_and_last_days_of_the_calendar_are_accepted(
    alice_client: Client, alice: User, issue: Issue, name: str, asked: dict[str, str]
) -> None:
    User.objects.update(time_zone=name)
    claim_asset(issue().pk, alice)

    page = alice_client.get(reverse("my_claims"), asked).context["page"]

    assert len(page.items) == (0 if asked.get("since") == "9999-12-31" else 1)


def test_chart_counts_days_of_the_persons_zone(alice: User, late_claim: Entry) -> None:
    with timezone.override(ZoneInfo(KOLKATA)):
        (balance,) = balance_charts(alice)

    assert balance.days[0].day == late_claim.claimed_at.date() + timedelta(days=1)


def test_member_since_is_a_day_of_the_persons_zone(alice_client: Client, alice: User) -> None:
    User.objects.update(created_at=datetime(2026, 3, 31, 20, tzinfo=UTC))
    before = alice_client.get(reverse("account")).content.decode()
    in_kolkata(alice)
    after = alice_client.get(reverse("account")).content.decode()

    assert ">31 Mar 2026</time>" in before
    assert ">1 Apr 2026</time>" in after


# --- Until a day --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["", KOLKATA, "America/New_York"])
def test_until_a_day_is_shown_as_that_day_in_every_zone(
    alice_client: Client, open_pool: OpenPool, issue: Issue, zone: str
) -> None:
    User.objects.update(time_zone=zone)
    pool = open_pool(name="Diwali", time_zone=KOLKATA, closes_at=datetime(2099, 12, 31, 18, 30, tzinfo=UTC))
    issue(pool=pool, title="until the 31st", expires_at=pool.end_of(date(2099, 3, 31)))
    issue(pool=pool, title="another")
    issue(title="without a pool", expires_at=datetime(2099, 5, 1, tzinfo=UTC))

    for address in (reverse("offers"), reverse("pool", args=[pool.pk]), reverse("landing"), reverse("dashboard")):
        page = alice_client.get(address).content.decode()
        assert ">31 Mar 2099</time>" in page, address
        assert ">1 Apr 2099" not in page
        if address != reverse("pool", args=[pool.pk]):
            assert ">30 Apr 2099</time>" in page
    assert "Closes <time" in alice_client.get(reverse("pool", args=[pool.pk])).content.decode()
    assert ">31 Dec 2099</time>" in alice_client.get(reverse("pool", args=[pool.pk])).content.decode()


def test_end_at_another_time_of_day_is_shown_with_its_time(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    User.objects.update(time_zone=KOLKATA)
    issue(pool=open_pool(time_zone=KOLKATA), expires_at=datetime(2099, 3, 31, 6, 30, tzinfo=UTC))

    assert ">31 Mar 2099, 12:00 pm</time>" in alice_client.get(reverse("offers")).content.decode()


def test_dates_are_written_in_hindi_without_the_misspelt_month(alice_client: Client, issue: Issue) -> None:
    User.objects.update(time_zone=KOLKATA)
    issue(expires_at=datetime(2099, 11, 5, 6, 30, tzinfo=UTC))

    page = alice_client.get(reverse("offers"), headers={"Accept-Language": "hi"}).content.decode()

    assert ">5 नव॰ 2099, 12:00 pm</time>" in page


# --- The preference -----------------------------------------------------------------------------------------------------


def test_browser_zone_is_used_when_signed_out(client: Client, issue: Issue) -> None:
    issue(expires_at=datetime(2099, 3, 31, 6, 30, tzinfo=UTC))
    client.cookies["timezone"] = KOLKATA

    page = client.get(reverse("landing")).content.decode()

    assert ">31 Mar 2099, 12:00 pm</time>" in page
    assert f'data-zone="{KOLKATA}"' in page


@pytest.mark.parametrize("odd", ["Mars/Olympus", "localtime", "Factory", "../../etc/passwd", "Asia/Kolkata'--", "x" * 5000, ""])
def test_cookie_that_is_not_a_time_zone_is_ignored(client: Client, db: None, odd: str) -> None:
    client.cookies["timezone"] = odd

    assert "Times are in UTC." in client.get(reverse("landing")).content.decode()


def test_sign_in_stores_the_browser_zone_once(client: Client, alice: User) -> None:
    form = {"username": alice.email, "password": PASSWORD}
    for zone in (KOLKATA, "America/New_York"):
        browser = Client()
        browser.cookies["timezone"] = zone
        browser.post(reverse("sign_in"), form)

    alice.refresh_from_db()
    assert alice.time_zone == KOLKATA


def test_registration_stores_the_browser_zone(client: Client, db: None) -> None:
    client.cookies["timezone"] = KOLKATA
    client.post(reverse("register"), {"email": "carol@example.com", "password": PASSWORD})

    assert User.objects.get().time_zone == KOLKATA


def test_preference_takes_precedence_over_the_browser(alice_client: Client, alice: User) -> None:
    in_kolkata(alice)
    alice_client.cookies["timezone"] = "America/New_York"

    assert "India Standard Time" in alice_client.get(reverse("account")).content.decode()


def test_time_zone_is_changed_on_its_page(alice_client: Client, alice: User) -> None:
    answer = alice_client.post(reverse("time_zone"), {"time_zone": "Asia/Kathmandu"})

    alice.refresh_from_db()
    assert (answer.status_code, answer["Location"], alice.time_zone) == (302, reverse("account"), "Asia/Kathmandu")
    assert "Nepal Time" in alice_client.get(reverse("account")).content.decode()


@pytest.mark.parametrize("odd", ["Mars/Olympus", "localtime", "Factory", "", "Asia/Kolkata\x00"])
def test_unknown_time_zone_is_refused_beside_the_field(alice_client: Client, alice: User, odd: str) -> None:
    answer = alice_client.post(reverse("time_zone"), {"time_zone": odd})

    alice.refresh_from_db()
    assert (answer.status_code, alice.time_zone) == (200, "")
    assert list(answer.context["form"].errors) == ["time_zone"]


def test_older_name_of_a_zone_can_be_kept(alice_client: Client, alice: User) -> None:
    User.objects.update(time_zone="Asia/Calcutta")

    assert '<option value="Asia/Calcutta" selected' in alice_client.get(reverse("time_zone")).content.decode()


def test_probe_reads_no_session(alice_client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        alice_client.get("/healthz")
