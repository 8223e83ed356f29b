"""Files of credits: separators, workbooks, headers, missing pools, and the same file again."""

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from openpyxl import Workbook

from wallet.actions import import_csv, xlsx_rows
from wallet.actions.import_mistakes import FileRefused
from wallet.assets.batches import Batch
from wallet.assets.models import CashbackAsset, CreditPool

pytestmark = pytest.mark.django_db
OpenPool = Callable[..., CreditPool]
EXAMPLE = settings.BASE_DIR / "examples/credits.csv"


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "credits.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def workbook(tmp_path: Path, *rows: tuple[Any, ...]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "credits.xlsx")
    return tmp_path / "credits.xlsx"


def run(*arguments: Any) -> str:
    out = io.StringIO()
    call_command("import_assets", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def imported() -> list[tuple[Any, ...]]:
    return list(CashbackAsset.objects.order_by("title").values_list("title", "total_value", "currency", "expires_at"))


@pytest.mark.parametrize(
    "text",
    [
        "title;total_value;currency\nLamp, large;2.50;INR\n",
        "title\ttotal_value\tcurrency\nLamp, large\t2.50\tINR\n",
        "sep=;\r\ntitle;total_value;currency\r\nLamp, large;2.50;INR\r\n",
        '\ufefftitle,total_value,currency\n"Lamp, large",2.50,INR\n',
        '"Title","Total Value","CURRENCY"\n"Lamp, large",2.50,INR\n',
        'Title,total value , Currency,Expires At,POOL\n"Lamp, large",2.50,INR,,\n',
        'title,total-value,currency\n"Lamp, large",2.50,INR\n',
    ],
)
def test_separators_marks_and_headers_of_spreadsheet_programs_are_understood(tmp_path: Path, text: str) -> None:
    run(written(tmp_path, text))

    assert imported() == [("Lamp, large", Decimal("2.50"), "INR", None)]


def test_line_numbers_count_the_separator_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="line 3, total_value"):
        run(written(tmp_path, "sep=;\ntitle;total_value;currency\nLamp;x;INR\n"))


def test_workbook_is_imported_with_numbers_and_dates_as_they_are_shown(tmp_path: Path, open_pool: OpenPool) -> None:
    open_pool(time_zone="Asia/Kolkata")
    path = workbook(
        tmp_path,
        ("Title", "Total value", "Pool", "Expires at"),
        ("Lamp", 250.5, "Diwali", date(2090, 3, 31)),
        ("Tea", "12.00", "Diwali", "2090-03-31T18:30:00Z"),
        (None, None, None, None),
        ("Cup", 100, "Diwali", datetime(2090, 3, 31)),
    )

    run(path)

    end = datetime(2090, 3, 31, 18, 30, tzinfo=UTC)
    assert imported() == [
        ("Cup", Decimal(100), "INR", end),
        ("Lamp", Decimal("250.5"), "INR", end),
        ("Tea", Decimal(12), "INR", end),
    ]
    assert len(Batch.objects.get().file_digest) == 64


def test_mistakes_of_a_workbook_name_its_rows(tmp_path: Path) -> None:
    path = workbook(tmp_path, ("title", "total_value", "currency"), ("Lamp", 1, "INR"), ("Tea", "x", "INR"))

    with pytest.raises(CommandError, match="line 3, total_value"):
        run(path)


def test_damaged_workbook_is_refused_in_words(tmp_path: Path) -> None:
    whole = workbook(tmp_path, ("title", "total_value", "currency"), ("Lamp", 1, "INR")).read_bytes()

    for content in (whole[: len(whole) // 2], b"PK\x03\x04 nothing", whole.replace(b"sheet1", b"sheet9")):
        with pytest.raises(CommandError, match="not an Excel workbook"):
            run(written(tmp_path, content))


def packed(tmp_path: Path, part: bytes) -> Path:
    """Return a workbook with one more part."""
    path = workbook(tmp_path, ("title", "total_value", "currency"), ("Lamp", 1, "INR"))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/more.xml", part)
    return path


def test_workbook_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*_: Any, **__: Any) -> Any:
        raise AssertionError("the workbook was parsed")

    monkeypatch.setattr(xlsx_rows, "load_workbook", unread)
    path = packed(tmp_path, b" " * (xlsx_rows.MAX_UNPACKED_BYTES + 1))

    assert path.stat().st_size < 1_000_000
    with pytest.raises(CommandError, match="unpacks to too much"):
        run(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_workbook_that_declares_entities_is_refused(tmp_path: Path, encoding: str) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">]><lolz>&lol;</lolz>'

    with pytest.raises(CommandError, match="not an Excel workbook"):
        run(packed(tmp_path, bomb.encode(encoding)))


def test_workbook_with_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_rows, "MAX_ROWS", 3)
    path = workbook(tmp_path, ("title", "total_value", "currency"), *[("Lamp", 1, "INR")] * 3)

    with pytest.raises(CommandError, match="more than 3 rows"):
        run(path)


def test_missing_pools_are_one_mistake_with_names_and_number_of_lines() -> None:
    with pytest.raises(FileRefused) as refused:
        import_csv.CreditFile(EXAMPLE, None).check()

    (group,) = refused.value.groups
    assert group.message.startswith("3 pools do not exist: 948 lines.")
    assert (group.count, refused.value.count, len(group.lines)) == (948, 948, 5)
    assert {pool.name: pool.count for pool in refused.value.missing_pools} == {
        "Festive cashback": 636,
        "Refer a friend": 191,
        "Welcome bonus": 121,
    }
    assert refused.value.only_missing_pools


def test_command_names_missing_pools_together_and_creates_them_on_demand() -> None:
    with pytest.raises(CommandError, match="3 pools do not exist: 948 lines"):
        run(EXAMPLE)

    options = [f"--create-pool={name}" for name in ("Festive cashback=promotion:INR", "Refer a friend=REFERRAL:INR")]
    said = run(EXAMPLE, *options, "--create-pool", "Welcome bonus=SIGNUP:INR")

    assert said == "1,000 credits imported: AED 180.00, INR 148255.00, USD 187.50.\n"
    assert set(CreditPool.objects.values_list("name", "kind", "currency")) == {
        ("Festive cashback", "PROMOTION", "INR"),
        ("Refer a friend", "REFERRAL", "INR"),
        ("Welcome bonus", "SIGNUP", "INR"),
    }


def test_pools_are_not_created_when_the_import_fails(tmp_path: Path) -> None:
    path = written(tmp_path, "title,total_value,pool\nLamp,1,Holi\nTea,x,Holi\n")

    with pytest.raises(CommandError):
        run(path, "--create-pool", "Holi=PROMOTION:INR")

    assert CreditPool.objects.count() == 0


def test_other_mistakes_are_grouped_with_their_first_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "title,total_value,currency\n" + "".join(f"Lamp,x{n},INR\n" for n in range(20)) + ",1,INR\n")

    with pytest.raises(FileRefused) as refused:
        import_csv.CreditFile(path, None).check()

    assert [(group.column, group.count, group.lines) for group in refused.value.groups] == [
        ("total_value", 20, [2, 3, 4, 5, 6]),
        ("title", 1, [22]),
    ]


def test_the_same_file_again_needs_a_word(tmp_path: Path) -> None:
    path = written(tmp_path, "title,total_value,currency\nLamp,1,INR\n")
    run(path)
    batch = Batch.objects.get()

    with pytest.raises(CommandError, match=f"imported before.*{batch.pk}"):
        run(path)
    assert CashbackAsset.objects.count() == 1

    run(path, "--again")
    assert CashbackAsset.objects.count() == 2
    assert Batch.objects.filter(file_name="credits.csv", file_digest=batch.file_digest).count() == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "count"), [("y\n", 1), ("n\n", 0), ("", 0)])
def test_a_terminal_is_asked_with_the_total_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, count: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    asked = io.StringIO()
    try:
        path = str(written(tmp_path, "title,total_value,currency\nLamp,1.50,INR\n"))
        call_command("import_assets", path, stdout=io.StringIO(), stderr=asked)
    except CommandError as refusal:
        assert str(refusal) == "Nothing was imported."  # noqa: PT017

    assert "Issue 1 credit worth INR 1.50? [y/N]" in asked.getvalue()
    assert CashbackAsset.objects.count() == count


def test_a_terminal_is_offered_the_missing_pools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("\ny\n"))

    run(written(tmp_path, "title,total_value,pool,currency\nLamp,1.50,Holi,USD\n"))

    assert CreditPool.objects.values_list("name", "kind", "currency").get() == ("Holi", "PROMOTION", "USD")


def test_yes_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))

    run(written(tmp_path, "title,total_value,currency\nLamp,1.50,INR\n"), "--yes")

    assert CashbackAsset.objects.count() == 1
