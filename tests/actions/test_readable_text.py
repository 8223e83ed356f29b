"""Titles and names of pools: one normal form, found in any, and no character that others could not see."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import User
from kernel.readable_text import check_readable, normal_text
from tests.api.conftest import ROOT
from tests.security.conftest import as_caller
from wallet.actions import edit_asset, edit_pool, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]
UNREADABLE = {
    "soft hyphen": "Di\u00adwali",
    "zero-width space": "Di\u200bwali",
    "word joiner": "Di\u2060wali",
    "byte order mark": "\ufeffDiwali!",
    "bidi override": "Di\u202ewali",
    "bidi isolate": "\u2066Diwali",
    "bidi mark": "Diwali\u200f!",
    "Arabic letter mark": "Di\u061cwali",
    "Hangul filler": "Di\u3164wali",
    "variation selector": "Di\ufe0fwali",
    "tag character": "Di\U000e0041wali",
    "control character": "Di\x07wali",
    "line break": "Di\nwali",
    "line separator": "Di\u2028wali",
    "blank braille": "Di\u2800wali",
    "private use": "Di\ue000wali",
    "joiner without need": "Di\u200dwali",
    "variation selector after a digit": "Save 5\ufe0f",
    "variation selector twice": "\u2764\ufe0f\ufe0f",
    "text presentation": "\u2764\ufe0e",
    "joiner after an emoji": "\u2764\ufe0f\u200d",
    "joiner between digits": "1\u200d2",
}
unreadable = pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
COMPOSED, DECOMPOSED = "Cr\u00e8me brul\u00e9e", "Cre\u0300me brule\u0301e"


@pytest.mark.parametrize(
    "text",
    [
        "Diwali \u20b9100 off!",
        "\u0926\u093f\u0935\u093e\u0932\u0940",
        "\u0915\u094d\u200d\u0937",
        "\u2728 \U0001f389",
        "Diwali \u2764\ufe0f",
        "\u2764\ufe0f\u200d\U0001f525 sale",
        "\U0001f469\u200d\U0001f4bb \U0001f9d1\U0001f3ff\u200d\U0001f91d\u200d\U0001f9d1\U0001f3fb",
        "1\ufe0f\u20e3 \U0001f1ee\U0001f1f3",
        "\u0915\u094d\u200d\u092f\u093e \u0915\u094d\u200c\u092f\u093e",
        COMPOSED,
        "\u0633\u0644\u0627\u0645",
    ],
)
def test_text_of_any_language_is_readable(text: str) -> None:
    check_readable(text)
    assert normal_text(text) == text


def test_text_is_stored_in_one_form() -> None:
    assert normal_text(f" \u00a0{DECOMPOSED}\u3000now ") == f"{COMPOSED} now"


@unreadable
def test_unreadable_titles_and_names_are_refused_by_the_api(ada: User, open_pool: OpenPool, text: str) -> None:
    pool, caller = open_pool(), as_caller(ada)
    body = {"title": text, "total_value": "1", "pool": str(pool.pk)}

    answers = [
        caller.post(f"{ROOT}/assets/", body, format="json"),
        caller.post(
            f"{ROOT}/pools/{pool.pk}/issue/",
            {"count": 1, "title": text, "total_value": "1"},
            format="json",
            headers={"Idempotency-Key": "k" * 16},
        ),
        caller.post(f"{ROOT}/pools/", {"name": text, "kind": "SIGNUP", "currency": "INR"}, format="json"),
        caller.patch(f"{ROOT}/pools/{pool.pk}/", {"name": text}, format="json"),
    ]

    assert [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in answers] == [(400, "title")] * 2 + [
        (400, "name")
    ] * 2
    assert (CashbackAsset.objects.count(), CreditPool.objects.get().name) == (0, "Diwali")


@unreadable
def test_unreadable_titles_and_names_are_refused_by_actions_and_files(
    ada: User, open_pool: OpenPool, issue: Issue, tmp_path: Path, text: str
) -> None:
    pool, asset, expired = open_pool(), issue(), edit_asset.expire_asset(issue().pk, ada)
    file = tmp_path / "credits.csv"
    file.write_text(f'title,total_value,currency,pool,expires_at\n"{text}",5,INR,,\n', encoding="utf-8")

    for refused in (
        lambda: issue(title=text),
        lambda: edit_asset.update_asset(asset.pk, ada, title=text),
        lambda: recreate_asset.recreate_asset(expired.pk, ada, title=text),
        lambda: open_pool(name=text),
        lambda: edit_pool.update_pool(pool.pk, ada, name=text),
    ):
        with pytest.raises(ValidationError, match="invisible or unsupported character"):
            refused()
    with pytest.raises(CommandError, match="line 2, title: remove the line break or the invisible or unsupported character"):
        call_command("import_assets", str(file), stderr=io.StringIO())


@unreadable
def test_unreadable_titles_and_names_are_refused_by_the_console(
    client: Client, ada: User, open_pool: OpenPool, text: str
) -> None:
    pool = open_pool()
    client.force_login(ada)
    credit = {"title": text, "total_value": "1", "currency": "INR", "_save": "Save"}
    named = {"name": text, "kind": "PROMOTION", "currency": "INR", "is_active": "on", "time_zone": "UTC", "_save": "Save"}
    many = {"key": "k" * 16, "count": "2", "title": text, "total_value": "1"}

    for url, form in (("cashbackasset/add/", credit), ("creditpool/add/", named), (f"creditpool/{pool.pk}/issue/", many)):
        page = client.post(f"/admin/assets/{url}", form)
        assert (
            page.status_code,
            b"invisible or unsupported character" in page.content or b"Null characters" in page.content,
        ) == (200, True)
    assert (CashbackAsset.objects.count(), CreditPool.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    "text",
    [text for name, text in UNREADABLE.items() if name != "private use" and "joiner" not in name.replace("word joiner", "")]
    + [DECOMPOSED],
)
def test_postgresql_refuses_them_too_and_leaves_claims_alone(open_pool: OpenPool, issue: Issue, alice: User, text: str) -> None:
    pool, asset = open_pool(), issue()

    for rule, statement, pk in (
        ("pool_name_readable", "UPDATE assets_creditpool SET name = %s WHERE id = %s", pool.pk),
        ("asset_title_readable", "UPDATE assets_cashbackasset SET title = %s WHERE id = %s", asset.pk),
    ):
        with pytest.raises(IntegrityError) as refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [text, pk])
        assert refused.value.__cause__.diag.constraint_name == rule  # type: ignore[union-attr]


# --- Names of pools ---------------------------------------------------------------------------------------------------------

SAME = [
    COMPOSED,
    DECOMPOSED,
    COMPOSED.upper(),
    f"  {COMPOSED} ",
    "Cr\u00e8me  brul\u00e9e",
    "Cr\u00e8me\u00a0brul\u00e9e",
    "cr\u00e8mebrul\u00e9e",
]


@pytest.mark.parametrize("name", SAME)
def test_a_pool_name_is_taken_however_it_is_written(client: Client, ada: User, open_pool: OpenPool, name: str) -> None:
    open_pool(name=COMPOSED)
    client.force_login(ada)
    form = {"name": name, "kind": "PROMOTION", "currency": "INR", "is_active": "on", "time_zone": "UTC", "_save": "Save"}

    answer = as_caller(ada).post(f"{ROOT}/pools/", {"name": name, "kind": "SIGNUP", "currency": "INR"}, format="json")
    page: Any = client.post("/admin/assets/creditpool/add/", form)

    assert [(error["field"], error["detail"]) for error in answer.json()["errors"]] == [
        ("name", "A pool with this name already exists. Choose another name.")
    ]
    assert page.context["adminform"].form.errors == {"name": ["A pool with this name already exists. Choose another name."]}
    assert CreditPool.objects.count() == 1


def test_a_pool_may_change_how_its_own_name_is_written(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(name=COMPOSED)

    assert edit_pool.update_pool(pool.pk, ada, name=DECOMPOSED.upper()).name == COMPOSED.upper()


@pytest.mark.parametrize("name", SAME)
def test_files_and_options_find_a_pool_however_it_is_written(open_pool: OpenPool, tmp_path: Path, name: str) -> None:
    pool, file, out = open_pool(name=COMPOSED), tmp_path / "credits.csv", io.StringIO()
    file.write_text(f"title,total_value,currency,pool,expires_at\nA,5,,{name},\nB,5,,,\n", encoding="utf-8")

    call_command("import_assets", str(file), pool=name, stdout=out, stderr=io.StringIO())
    call_command("ownership_report", pool=name, format="csv", stdout=out)

    assert CashbackAsset.objects.filter(pool=pool).count() == 2
    assert out.getvalue().count(COMPOSED) == 2


# --- Searches ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", [COMPOSED, DECOMPOSED, f" {COMPOSED} ", f"\u00a0{DECOMPOSED.lower()}\u3000"])
def test_a_search_finds_a_title_however_it_is_typed(client: Client, alice: User, ada: User, issue: Issue, search: str) -> None:
    issue(title=DECOMPOSED)

    found = [
        as_caller(user).get(f"{ROOT}/{address}/", {"search": search}).json()["results"]
        for user in (alice, ada)
        for address in ("assets", "reports/ownership")
        if user == ada or address == "assets"
    ]
    client.force_login(alice)
    offers = client.get("/offers/", {"q": search})
    client.force_login(ada)
    console = client.get("/admin/assets/cashbackasset/", {"q": search})

    assert [len(rows) for rows in found] == [1, 1, 1]
    assert COMPOSED in offers.content.decode()
    assert COMPOSED in console.content.decode()


@pytest.mark.parametrize("typed", ["b@xn--bcher-kva.example", " B@BU\u0308CHER.example "])
def test_a_search_finds_an_email_however_it_is_typed(client: Client, ada: User, issue: Issue, typed: str) -> None:
    owner = User.objects.create_user("b@b\u00fccher.example")
    claim_asset(issue().pk, owner)
    client.force_login(ada)

    report = as_caller(ada).get(f"{ROOT}/reports/ownership/", {"owner": typed}).json()["results"]
    pages = [client.get(f"/admin/ledger/claimedasset/{page}", {"q": typed}).content.decode() for page in ("", "owners/")]

    assert [row["owner"] for row in report] == [owner.email]
    assert [owner.email in page.replace(typed, "") for page in pages] == [True, True]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Love \u2764\ufe0f", "Love \u2764"),
        ("\u0915\u094d\u200d\u092f\u093e", "\u0915\u094d\u092f\u093e"),
        ("\u0915\u094d\u200d\u092f\u093e", "\u0915\u094d\u200c\u092f\u093e"),
    ],
)
def test_names_that_differ_by_an_invisible_character_are_one_name(
    open_pool: OpenPool, tmp_path: Path, first: str, second: str
) -> None:
    pool = open_pool(name=first)

    with pytest.raises(ValidationError, match="already exists"):
        open_pool(name=second)
    with pytest.raises(IntegrityError, match="pool_name_unique"), transaction.atomic():
        CreditPool(name=second, kind="SIGNUP", currency="INR").save()
    file = tmp_path / "credits.csv"
    file.write_text(f"title,total_value,currency,pool,expires_at\nLove \u2764\ufe0f,5,INR,{second},\n", encoding="utf-8")
    call_command("import_assets", str(file), stdout=io.StringIO(), stderr=io.StringIO())
    assert CashbackAsset.objects.get().pool == pool


def test_database_takes_emoji_and_refuses_a_variation_selector_elsewhere(issue: Issue) -> None:
    asset = issue(title="Diwali \u2764\ufe0f 1\ufe0f\u20e3")

    for text in ("a\ufe0f", "\ufe0f", "5\ufe0f", "\u2764\ufe0f\ufe0f", "\u2764\ufe0e"):
        with pytest.raises(IntegrityError, match="invisible"), transaction.atomic():
            CashbackAsset.objects.filter(pk=asset.pk).update(title=text)
