"""`manage.py import_assets`."""

import io
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tests.commands.conftest import Ended
from wallet.actions import import_csv, import_mistakes, issue_assets
from wallet.assets.models import CashbackAsset, CreditPool

Command = Callable[..., str]
Write = Callable[..., Path]
OpenPool = Callable[..., CreditPool]


def refusal(command: Command, path: Path, *options: str) -> str:
    """Import a file that must be refused whole, and return the words."""
    with pytest.raises(CommandError) as refused:
        command("import_assets", str(path), *options)
    assert CashbackAsset.objects.count() == 0
    return str(refused.value)


def test_the_example_file_imports_cleanly_after_seed(command: Command) -> None:
    command("seed")
    before = CashbackAsset.objects.count()

    said = command("import_assets", str(settings.BASE_DIR / "examples/credits.csv"))

    assert said == "1,000 credits imported: AED 180.00, INR 148255.00, USD 187.50.\n"
    assert CashbackAsset.objects.count() == before + 1000


def test_row_becomes_a_credit(command: Command, csv_file: Write, open_pool: OpenPool) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")

    command("import_assets", str(csv_file('"Sweets, large",75.50,INR,Diwali,2090-10-20')))

    asset = CashbackAsset.objects.get()
    assert (asset.title, asset.total_value, asset.currency, asset.pool) == ("Sweets, large", Decimal("75.50"), "INR", pool)
    assert (asset.status, asset.expires_at) == ("AVAILABLE", datetime(2090, 10, 20, 18, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2090-10-20T10:00:00Z", datetime(2090, 10, 20, 10, tzinfo=UTC)),
        ("2090-10-20t10:00:00.25z", datetime(2090, 10, 20, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("2090-10-20 10:00:00+05:30", datetime(2090, 10, 20, 4, 30, tzinfo=UTC)),
        ("2090-10-20", datetime(2090, 10, 21, tzinfo=UTC)),
        ("", None),
    ],
)
def test_expiry_is_a_date_a_timestamp_or_blank(command: Command, csv_file: Write, written: str, meant: datetime) -> None:
    command("import_assets", str(csv_file(f"Cashback,10.00,INR,,{written}")))

    assert CashbackAsset.objects.get().expires_at == meant


def test_columns_may_be_in_any_order_and_currency_defaults_to_the_pools(
    command: Command, csv_file: Write, open_pool: OpenPool
) -> None:
    open_pool(currency="KWD")

    command("import_assets", str(csv_file("Diwali,,,1.005,Cashback", header="pool,expires_at,currency,total_value,title")))

    assert CashbackAsset.objects.values_list("total_value", "currency").get() == (Decimal("1.005"), "KWD")


def test_byte_order_mark_crlf_quotes_and_blank_lines_are_accepted(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    text = '\ufeff"title",total_value,currency,pool,expires_at\r\n\r\n"Say ""hello""",5,USD,,\r\n'
    path.write_bytes(text.encode())

    command("import_assets", str(path))

    assert CashbackAsset.objects.get().title == 'Say "hello"'


def test_pool_option_is_the_default_pool_of_rows_without_one(command: Command, csv_file: Write, open_pool: OpenPool) -> None:
    open_pool()
    open_pool(name="Holi")

    command("import_assets", str(csv_file("Cashback,5,,,", "Cashback,6,,Holi,")), "--pool", "Diwali")

    assert set(CashbackAsset.objects.values_list("total_value", "pool__name")) == {(5, "Diwali"), (6, "Holi")}


def test_a_dry_run_imports_nothing(command: Command, csv_file: Write) -> None:
    said = command("import_assets", str(csv_file("Cashback,5,INR,,", "Cashback,2.50,INR,,")), "--dry-run")

    assert said == "2 credits would be imported (dry run, nothing changed): INR 7.50.\n"
    assert CashbackAsset.objects.count() == 0


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (",5,INR,,", "title"),
        ("a\x07b,5,INR,,", "title"),
        ("x" * 201 + ",5,INR,,", "title"),
        ("Cashback,1e3,INR,,", "total_value"),
        ("Cashback,NaN,INR,,", "total_value"),
        ("Cashback,Infinity,INR,,", "total_value"),
        ('Cashback,"1,000.00",INR,,', "total_value"),
        ("Cashback,-5,INR,,", "total_value"),
        ("Cashback,+5,INR,,", "total_value"),
        ("Cashback,0,INR,,", "total_value"),
        ("Cashback,,INR,,", "total_value"),
        ("Cashback,0x10,INR,,", "total_value"),
        ("Cashback,1_000,INR,,", "total_value"),
        ("Cashback,५०,INR,,", "total_value"),
        ("Cashback,５,INR,,", "total_value"),
        ("Cashback,1.005,INR,,", "total_value"),
        ("Cashback,1.5,JPY,,", "total_value"),
        ("Cashback,1000000001,INR,,", "total_value"),
        (f"Cashback,{'9' * 400},INR,,", "total_value"),
        ("Cashback,5,inr,,", "currency"),
        ("Cashback,5,XXX,,", "currency"),
        ("Cashback,5,,,", "currency"),
        ("Cashback,5,USD,Diwali,", "currency"),
        ("Cashback,5,INR,Dewali,", "pool"),
        ("Cashback,5,INR,,2020-01-01", "expires_at"),
        ("Cashback,5,INR,,2090-02-30", "expires_at"),
        ("Cashback,5,INR,,9999-12-31", "expires_at"),
        ("Cashback,5,INR,,9999-12-31T23:59:59-12:00", "expires_at"),
        ("Cashback,5,INR,,31/12/2090", "expires_at"),
        ("Cashback,5,INR,,2090-10-20T10:00:00", "expires_at"),
        ("Cashback,5,INR,,tomorrow", "expires_at"),
    ],
)
def test_invalid_cell_is_reported_by_line_and_column(
    command: Command, csv_file: Write, open_pool: OpenPool, line: str, column: str
) -> None:
    open_pool()

    said = refusal(command, csv_file("Cashback,5,INR,,", line))

    assert said.startswith("Nothing was imported: 1 mistake in the file.\n  credits.csv, line 3, " + column + ": ")


def test_every_error_of_a_row_is_reported(command: Command, csv_file: Write) -> None:
    said = refusal(command, csv_file("Cashback,1e3,INR,Nowhere,soon"))

    assert [line.split(": ")[0] for line in said.splitlines()[1:]] == [
        "  credits.csv, line 2, total_value",
        "  credits.csv, line 2, pool",
        "  credits.csv, line 2, expires_at",
    ]


def test_row_after_a_quoted_line_break_has_its_true_line_number(command: Command, csv_file: Write) -> None:
    said = refusal(command, csv_file('"two\nlines",5,INR,,', "Cashback,x,INR,,"))

    assert "line 2, title" in said
    assert "line 4, total_value" in said


def test_first_fifty_errors_are_shown_and_all_are_counted(command: Command, csv_file: Write) -> None:
    said = refusal(command, csv_file(*["Cashback,x,INR,,"] * 70))

    assert "70 mistakes" in said
    assert len(said.splitlines()) == 52
    assert said.endswith("… and 20 more.")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("title,currency,pool,expires_at", "total_value: this column is missing."),
        ("title,total_value,currency,pool,expires_at,colour", "colour: unknown column."),
        ("title,total_value,currency,pool,expires_at,title", "title: duplicate column."),
        ("Title,total_value,currency,pool,Expires at,TITLE", "title: duplicate column."),
    ],
)
def test_invalid_header_is_refused(command: Command, csv_file: Write, header: str, said: str) -> None:
    assert said in refusal(command, csv_file("Cashback,5,INR,,", header=header))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "This file has no credits"),
        (b"title,total_value,currency,pool,expires_at\n", "This file has no credits"),
        (b"title,total_value,currency,pool,expires_at\nCaf\xe9,5,INR,,\n", "line 2: this is not UTF-8"),
        (b"title,total_value,currency,pool,expires_at\nCashback,5,INR\n", "line 2: expected 5 cells, found 3"),
        (b'title,total_value,currency,pool,expires_at\n"Cash"back,5,INR,,\n', "line 2: this is not CSV"),
        (b'title,total_value,currency,pool,expires_at\n"Cashback,5,INR,,\n', "line 2: this is not CSV"),
        (b"title,total_value,currency,pool,expires_at\rCashback,5,INR,,\r", "this is not CSV"),
        (b"x" * 100_000, "line 1: this line has more than 65536 bytes"),
    ],
)
def test_file_that_is_not_utf_8_csv_is_refused(command: Command, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "credits.csv"
    path.write_bytes(content)

    assert said in refusal(command, path)


def test_file_changed_between_check_and_import_is_refused(csv_file: Write, db: None) -> None:
    path = csv_file("Cashback,5,INR,,")
    checked = import_csv.CreditFile(path, None)
    checked.expected = checked.check()
    csv_file("Cashback,6,INR,,")

    with pytest.raises(import_mistakes.FileChanged):
        import_csv.import_assets(checked)

    assert CashbackAsset.objects.count() == 0


def test_file_grown_between_check_and_import_is_refused(csv_file: Write, db: None) -> None:
    path = csv_file("Cashback,5,INR,,")
    checked = import_csv.CreditFile(path, None)
    checked.expected = checked.check()
    csv_file("Cashback,5,INR,,", "Cashback,5,INR,,")

    with pytest.raises(import_mistakes.FileChanged):
        import_csv.import_assets(checked)

    assert CashbackAsset.objects.count() == 0


def test_retried_import_reads_the_file_from_its_start(csv_file: Write, db: None) -> None:
    checked = import_csv.CreditFile(csv_file("Cashback,5,INR,,", "Cashback,6,INR,,"), None)
    checked.expected = checked.check()
    next(iter(checked))

    assert import_csv.import_assets(checked) == 2
    assert CashbackAsset.objects.count() == 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path, db: None) -> None:
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("title,total_value,currency,pool,expires_at\n")
        file.writelines("Cashback,5.00,INR,,2090-01-01\n" for _ in range(5_000))

    tracemalloc.start()
    import_csv.CreditFile(path, None).check()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("name", "said"),
    [("-", "must be a regular file"), ("/", "is not a regular file"), ("/nowhere.csv", "File not found: /nowhere.csv")],
)
def test_file_argument_must_be_a_regular_file(db: None, name: str, said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        call_command("import_assets", name, stdout=io.StringIO())

    assert refused.value.returncode == 2


def test_an_unknown_pool_on_the_command_line_is_refused(command: Command, csv_file: Write) -> None:
    with pytest.raises(CommandError, match='Pool not found: "Nowhere"') as refused:
        command("import_assets", str(csv_file("Cashback,5,INR,,")), "--pool", "Nowhere")

    assert refused.value.returncode == 2


@pytest.mark.django_db(transaction=True)
def test_errors_are_printed_one_per_line_with_an_exit_code(csv_file: Write, shell: Callable[..., Ended]) -> None:
    refused = shell("import_assets", str(csv_file("Cashback,1e3,INR,,")))
    without_a_file = shell("import_assets")
    done = shell("import_assets", str(csv_file("Cashback,10.00,INR,,")))

    assert (refused.code, without_a_file.code, done.code) == (1, 2, 0)
    assert "Traceback" not in refused.err
    assert refused.err.splitlines()[1].startswith("  credits.csv, line 2, total_value:")
    assert done.out == "1 credit imported: INR 10.00.\n"


def test_rows_that_differ_only_in_title_are_separate_credits(command: Command, csv_file: Write) -> None:
    command("import_assets", str(csv_file("One,5,INR,,2090-01-01", " Two ,5,INR,,2090-01-01", "One,5,INR,,2090-01-01")))

    assert sorted(CashbackAsset.objects.values_list("title", flat=True)) == ["One", "One", "Two"]
    assert CashbackAsset.objects.values("total_value", "currency", "expires_at").distinct().count() == 1


@pytest.mark.parametrize("title", ["", "  ", "a\x07b", "x" * 201])
def test_invalid_title_is_found_in_a_row_equal_to_an_earlier_one(command: Command, csv_file: Write, title: str) -> None:
    assert "line 3, title" in refusal(command, csv_file("One,5,INR,,", f"{title},5,INR,,"))


def test_file_with_more_distinct_rows_than_the_cache_is_imported_completely(
    command: Command, csv_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_csv, "MAX_TEMPLATES", 2)

    command("import_assets", str(csv_file(*(f"Kind,{1 + number % 5},INR,," for number in range(20)))))

    assert CashbackAsset.objects.count() == 20
    assert CashbackAsset.objects.values("total_value").distinct().count() == 5


def test_progress_covers_the_whole_file(csv_file: Write, db: None) -> None:
    path = csv_file(*(f"Cashback {number},5.00,INR,,2090-01-01" for number in range(5_000)))
    told: list[int] = []

    import_csv.CreditFile(path, None, None, told.append).check()

    assert sum(told) == path.stat().st_size
    assert 2 < len(told) < 10


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Return the credits that were judged, each as what was known of it, as they are."""
    found: list[dict[str, object]] = []
    judge = issue_assets.build_asset

    def noted(*arguments: Any, **fields: Any) -> CashbackAsset:
        found.append(fields)
        return judge(*arguments, **fields)

    monkeypatch.setattr(issue_assets, "build_asset", noted)
    return found


def test_check_stops_after_a_thousand_invalid_rows(command: Command, csv_file: Write, judged: list[dict[str, object]]) -> None:
    """900 kB of commas were 180,000 lines, each judged for a fifth of a millisecond."""
    said = refusal(command, csv_file(*[",,,,"] * 5_000))

    assert len(judged) == 1_000
    assert "3,000 mistakes in its first 1,001 lines; the rest was not read." in said
    assert said.count("\n  ") == 50 + 1


def test_check_stops_after_many_invalid_rows_among_valid_ones(
    command: Command, csv_file: Write, judged: list[dict[str, object]]
) -> None:
    said = refusal(command, csv_file(*["Cup,5,INR,,", "Cup,x,INR,,"] * 1_500))

    assert len(judged) == 1 + 1_000
    assert "1,000 mistakes in its first 2,001 lines" in said


@pytest.mark.django_db
def test_check_within_a_request_stops_at_its_row_limit(csv_file: Write, judged: list[dict[str, object]]) -> None:
    path = csv_file(*(f"Cup,{number},INR,," for number in range(1, 40)))

    with pytest.raises(import_mistakes.TooManyKinds):
        import_csv.CreditFile(path, None, max_validated=20).check()

    assert len(judged) == 20
    assert import_csv.CreditFile(path, None, max_validated=39).check().count == 39
