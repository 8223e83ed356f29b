"""`manage.py grant`."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from kernel.transactions import Busy
from tests.commands.conftest import Ended
from wallet.actions import grant_file
from wallet.actions.grant_batch import grant_lines
from wallet.actions.issue_assets import issue_many
from wallet.assets.models import CreditPool
from wallet.ledger.models import Entry, Grant

pytestmark = pytest.mark.django_db(transaction=True)
Write = Callable[..., Path]


@pytest.fixture
def people(tmp_path: Path) -> Write:
    """Write a file of grants."""

    def write(*lines: str, header: str = "user,reference") -> Path:
        path = tmp_path / "people.csv"
        path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
        return path

    return write


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool]) -> CreditPool:
    pool = open_pool(name="Gifts")
    issue_many(None, pool, count=30, title="Gift", total_value=100)
    return pool


def run(path: Path, *options: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("grant", "--file", str(path), "--pool", "gifts", "--reason", "gift", *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def report_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.with_name(f"{path.name}.report.csv").open(encoding="utf-8")))


def test_each_line_is_reported(people: Write, pool: CreditPool, alice: User, bob: User) -> None:
    path = people("r-1;alice@example.com", "r-2;nobody@example.com", f"r-3;{bob.pk}", header="Reference;User")

    out, _ = run(path)

    assert out.startswith("3 lines: 2 granted, 0 granted before, 1 refused (1 not_found). Report: ")
    claims = {str(entry.user_id): str(entry.pk) for entry in Entry.objects.all()}
    assert report_of(path) == [
        ["line", "user", "reference", "outcome", "claim", "code"],
        ["2", "alice@example.com", "r-1", "granted", claims[str(alice.pk)], ""],
        ["3", "nobody@example.com", "r-2", "refused", "", "not_found"],
        ["4", str(bob.pk), "r-3", "granted", claims[str(bob.pk)], ""],
    ]


def test_a_dry_run_grants_nothing_and_says_what_is_missing(people: Write, pool: CreditPool, alice: User) -> None:
    path = people(*(f"alice@example.com,r-{n}" for n in range(40)))

    out, err = run(path, "--dry-run")

    assert out.startswith("40 lines: 40 granted, 0 granted before, 0 refused (dry run, nothing changed).")
    assert "The pool has 30 credits to grant now, and 40 would be granted." in err
    assert Entry.objects.count() == 0


def test_a_run_that_was_interrupted_is_run_again(
    people: Write, pool: CreditPool, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = people(*(f"alice@example.com,r-{n}" for n in range(20)))
    monkeypatch.setattr(grant_file, "MAX_LINES", 3)
    monkeypatch.setattr(grant_file, "PART_LINES", 6)
    monkeypatch.setattr(grant_file, "BUSY_SECONDS", 0.01)

    def fail(order: object, lines: list[object], *, dry_run: bool) -> object:
        if any(line.reference == "r-9" for line in lines):  # type: ignore[attr-defined]
            raise Busy
        return grant_lines(order, lines, dry_run=dry_run)  # type: ignore[arg-type]

    monkeypatch.setattr(grant_file, "grant_lines", fail)
    with pytest.raises(CommandError, match="busy"):
        run(path)
    before = Grant.objects.count()
    monkeypatch.setattr(grant_file, "grant_lines", grant_lines)

    out, _ = run(path)

    assert 9 <= before < 20
    assert out.startswith(f"20 lines: {20 - before} granted, {before} granted before, 0 refused.")
    assert Grant.objects.count() == 20
    assert [row[0] for row in report_of(path)[1:]] == [str(number) for number in range(2, 22)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user\nalice@example.com\n", "line 1: the columns must be user and reference."),
        ("user,reference\nalice@example.com,r-1\nbob\n", "line 3: expected 2 cells, found 1."),
        ("user,reference\n", "one row per grant"),
        ("", "the columns must be user and reference."),
        ('user,reference\nalice@example.com,"r', "line 2: this is not CSV"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_grants_nothing(
    tmp_path: Path, pool: CreditPool, alice: User, text: str, says: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text)

    with pytest.raises(CommandError, match=says):
        run(path)
    assert Entry.objects.count() == 0


def test_more_lines_than_a_file_may_have_are_refused(
    people: Write, pool: CreditPool, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grant_file, "MAX_FILE_LINES", 2)

    with pytest.raises(CommandError, match="line 4: more than 2 lines"):
        run(people("alice@example.com,1", "alice@example.com,2", "alice@example.com,3"))
    assert Entry.objects.count() == 0


def test_wrong_arguments_end_with_one_line(shell: Callable[..., Ended], people: Write, pool: CreditPool) -> None:
    path = people("alice@example.com,1")
    wrong = [
        (("--file", "none.csv", "--pool", "Gifts", "--reason", "gift"), "none.csv is not a regular file."),
        (("--file", str(path), "--pool", "None", "--reason", "gift"), 'Pool not found: "None".'),
        (("--file", str(path), "--pool", "Gifts", "--reason", "x" * 21), "at most 20 characters"),
    ]
    for arguments, says in wrong:
        ended = shell("grant", *arguments)
        assert ended.code in (1, 2), ended
        assert says in ended.err
        assert len(ended.err.splitlines()) == 1
