"""A rule that somebody could switch off is red in verify_ledger and in the deploy check."""

from io import StringIO

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection, transaction

from tests.ledger.roles import sql, trigger
from wallet.verification.enforcement import weakened_rules

PINNED = "SET search_path = pg_catalog, public, pg_temp"
HOLES = {
    "another switch": (
        f"CREATE OR REPLACE FUNCTION public.{{rule}}() RETURNS trigger LANGUAGE plpgsql {PINNED} AS"
        " $$ BEGIN IF current_setting('mine.off', true) = 'on' THEN RETURN NEW; END IF; RAISE check_violation; END $$",
        ["function {rule} believes a setting that any session may change"],
    ),
    "origin only": (
        "ALTER TABLE ledger_entry ENABLE TRIGGER {rule}",
        ["trigger {rule} of ledger_entry does not always fire"],
    ),
    "disabled": (
        "ALTER TABLE ledger_entry DISABLE TRIGGER {rule}",
        ["trigger {rule} of ledger_entry does not always fire"],
    ),
    "dropped": ("DROP TRIGGER {rule} ON ledger_entry", ["trigger {rule} is not there"]),
    "no search_path": (
        "ALTER FUNCTION public.{rule}() RESET search_path",
        ["function {rule} looks names up as the session says (its search_path is not pinned)"],
    ),
    "temporary tables first": (
        "ALTER FUNCTION public.{rule}() SET search_path = public",
        ["function {rule} looks names up as the session says (its search_path is not pinned)"],
    ),
}


def made_anew(rule: str) -> str:
    """Return the SQL by which a migration of pgtrigger makes one of our triggers: with its switch."""
    ((model, made),) = [(model, made) for model, made in pgtrigger.registered() if made.get_pgid(model) == rule]
    return str(made.compile(model).install_sql)


class Undo(Exception):
    """Rolls a hole back."""


def check(*options: str) -> str:
    said = StringIO()
    call_command("check", *options, "--database", "default", stdout=said, stderr=said)
    return said.getvalue()


def test_every_rule_is_enforced(db: None) -> None:
    assert weakened_rules(connection) == []
    assert "no issues" in check("--tag", "database", "--deploy")


@pytest.mark.parametrize("privilege", ["CONNECT", "TEMPORARY"])
def test_a_database_that_is_open_to_everybody_is_named(db: None, privilege: str) -> None:
    with pytest.raises(Undo), transaction.atomic():
        ((name,),) = query("SELECT current_database()")
        sql(f'GRANT {privilege} ON DATABASE "{name}" TO PUBLIC')
        with pytest.raises(SystemCheckError, match=rf"cashback\.W002.*has {privilege} on the database"):
            check("--tag", "database", "--deploy", "--fail-level", "WARNING")
        raise Undo


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_named(db: None, hole: str) -> None:
    rule = trigger("entry_append_only_rows")
    attack, found = HOLES[hole]

    with pytest.raises(Undo), transaction.atomic():
        sql(attack.format(rule=rule))
        assert weakened_rules(connection) == [sentence.format(rule=rule) for sentence in found]
        with pytest.raises(SystemCheckError, match=r"cashback\.E002"):
            check("--tag", "database", "--deploy")
        assert "no issues" in check("--tag", "database")  # which migrate asks before it mends the hole
        raise Undo
    assert weakened_rules(connection) == []


@pytest.mark.parametrize("hole", ["made anew", "no search_path", "disabled"])
def test_grant_app_role_mends_what_a_migration_or_a_restore_left(db: None, hole: str) -> None:
    rule = trigger("entry_append_only_rows")
    sql(made_anew(rule) if hole == "made anew" else HOLES[hole][0].format(rule=rule))
    assert weakened_rules(connection) != []

    call_command("grant_app_role", stdout=StringIO())

    assert weakened_rules(connection) == []
    ((source,),) = query(f"SELECT prosrc FROM pg_proc WHERE proname = '{rule}'")
    assert "this table is append-only" in source
    assert "ignore" not in source


def query(statement: str) -> list[tuple[str]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_verify_ledger_is_red_while_the_switch_lives() -> None:
    rule = trigger("entry_append_only_rows")
    said = StringIO()
    sql(made_anew(rule))
    try:
        with pytest.raises(CommandError, match="FAILED"):
            call_command("verify_ledger", stdout=said, stderr=StringIO())
    finally:
        call_command("grant_app_role", stdout=StringIO())

    assert "I25: function _pgtrigger_should_ignore believes a setting that any session may change" in said.getvalue()
    call_command("verify_ledger", stdout=StringIO(), stderr=StringIO())
