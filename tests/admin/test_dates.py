"""A date is typed as year-month-day, in every language and at every interface; anything else is refused beside its field."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_q.models import Schedule
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_pair
from tests.admin.conftest import CREDITS, message_texts
from wallet.actions.csv_rows import parse_cell_expiry
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
AMBIGUOUS = [
    "03/04/2027",
    "3/4/27",
    "04.03.2027",
    "03-04-2027",
    "4 March 2027",
    "Mar 04 2027",
    "2027-3-4",
    "२०२७-०३-०४",
    "20270304",
]
LANGUAGES = ["en", "hi"]
CREDIT = {"title": "Lamp", "total_value": "1", "currency": "INR"}
POOL = {"name": "Holi", "kind": "PROMOTION", "currency": "INR", "is_active": "on", "time_zone": "UTC"}
WORDS = {"en": "Enter the date as year-month-day, for example 2027-03-31.", "hi": "2027-03-31"}


def errors_of(answer: Any, field: str) -> str:
    shown = answer.context
    form = shown["adminform"].form if "adminform" in shown else shown["form"]
    return " ".join(form.errors.get(field, []))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", AMBIGUOUS)
def test_an_ambiguous_date_is_refused_beside_its_field(
    console: Client, open_pool: OpenPool, issue: Issue, language: str, text: str
) -> None:
    pool, asset = open_pool(), issue(expires_at=datetime(2026, 12, 31, tzinfo=UTC))
    exact = {"expires_at_0": text, "expires_at_1": "10:00"}
    batch = {"key": "0123456789abcdef", "count": "1", "title": "Lamp", "total_value": "1"}
    extend = {"action": "extend", "_selected_action": str(asset.pk), "asked": "yes", "confirmed": "yes"}
    sent: list[tuple[str, dict[str, str], str]] = [
        (reverse("admin:assets_cashbackasset_add"), CREDIT | {"last_day": text}, "last_day"),
        (reverse("admin:assets_cashbackasset_add"), CREDIT | exact, "expires_at"),
        (reverse("admin:assets_creditpool_add"), POOL | {"opens_at_0": text, "opens_at_1": "10:00"}, "opens_at"),
        (reverse("admin:assets_creditpool_add"), POOL | {"closes_at_0": text, "closes_at_1": "10:00"}, "closes_at"),
        (reverse("admin:assets_creditpool_issue", args=[pool.pk]), batch | {"last_day": text}, "last_day"),
        (reverse("admin:assets_creditpool_issue", args=[pool.pk]), batch | exact, "expires_at"),
        (CREDITS, extend | {"last_day": text}, "last_day"),
        (CREDITS, extend | exact, "expires_at"),
    ]
    before = list(CashbackAsset.objects.values()), list(CreditPool.objects.values())

    for url, data, field in sent:
        answer = console.post(url, data, headers={"Accept-Language": language})
        assert answer.status_code == 200, (url, field)
        assert "2027-03-31" in errors_of(answer, field), (url, field)

    assert (list(CashbackAsset.objects.values()), list(CreditPool.objects.values())) == before


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["10.30", "10:30 AM", "1:30", "१०:३०", "25:00"])
def test_a_time_of_day_is_hours_and_minutes(console: Client, language: str, text: str) -> None:
    data = CREDIT | {"expires_at_0": "2027-03-31", "expires_at_1": text}

    answer = console.post(reverse("admin:assets_cashbackasset_add"), data, headers={"Accept-Language": language})

    assert "18:30" in errors_of(answer, "expires_at")
    assert not CashbackAsset.objects.exists()


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_iso_date_is_read_alike_in_every_language(console: Client, language: str) -> None:
    data = CREDIT | {"expires_at_0": " 2027-03-04 ", "expires_at_1": "10:00"}

    console.post(reverse("admin:assets_cashbackasset_add"), data, headers={"Accept-Language": language})

    assert CashbackAsset.objects.get().expires_at == datetime(2027, 3, 4, 10, tzinfo=UTC)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", AMBIGUOUS)
def test_an_ambiguous_date_in_a_filter_lists_nothing_and_says_so(
    console: Client, issue: Issue, language: str, text: str
) -> None:
    issue()
    query = {"created_at_from": text}

    answer = console.get(CREDITS, query, headers={"Accept-Language": language})

    assert list(answer.context["cl"].result_list) == []
    assert "2027-03-31" in message_texts(answer)[0]
    assert answer.content.decode().count("2027-03-31") >= 2  # the message, and beside the field


def test_a_last_day_before_the_first_lists_and_exports_nothing_and_says_so(console: Client, issue: Issue) -> None:
    issue()
    query = {"created_at_from": "2026-03-02", "created_at_to": "2026-03-01"}

    answer, file = console.get(CREDITS, query), console.get(f"{CREDITS}export/csv/", query, follow=True)

    assert list(answer.context["cl"].result_list) == []
    assert "The last day is before the first one." in message_texts(answer)[0]
    assert "text/html" in file["Content-Type"]


def test_an_export_with_an_ambiguous_date_is_refused_in_words(console: Client, issue: Issue) -> None:
    issue()

    answer = console.get(f"{CREDITS}export/csv/", {"created_at_from": "03/04/2027"}, follow=True)

    assert "text/html" in answer["Content-Type"]
    assert WORDS["en"] in answer.content.decode()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", AMBIGUOUS)
def test_pages_and_the_overview_refuse_it_too(client: Client, ada: User, language: str, text: str) -> None:
    client.force_login(ada)
    headers = {"Accept-Language": language}

    history = client.get(reverse("my_claims"), {"since": text}, headers=headers)
    overview = client.get(reverse("admin:index"), {"since": text}, headers=headers)

    assert "2027-03-31" in history.content.decode()
    assert "2027-03-31" in overview.content.decode()


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_the_api_and_files_refuse_it_too(ada: User, text: str) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_pair(ada).access}")

    body = api.post("/api/v1/assets/", CREDIT | {"expires_at": text}, format="json")
    parameters = [
        api.get("/api/v1/assets/", {"expires_before": text}),
        api.get("/api/v1/claims/", {"from": text}),
        api.get("/api/v1/reports/ownership/", {"expires_after": text}),
    ]

    assert [answer.status_code for answer in (body, *parameters)] == [400] * 4
    assert body.json()["errors"][0]["field"] == "expires_at"
    with pytest.raises(ValueError, match="2030-03-31"):
        parse_cell_expiry(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_forms_of_other_packages_refuse_it_too(root_client: Client, language: str) -> None:
    data = {"name": "sweep", "func": "wallet.tasks.expire", "schedule_type": "O", "repeats": "-1"}

    for text in AMBIGUOUS[:6]:
        root_client.post(
            reverse("admin:django_q_schedule_add"),
            data | {"next_run_0": text, "next_run_1": "10:00:00"},
            headers={"Accept-Language": language},
        )

    assert not Schedule.objects.exists()
