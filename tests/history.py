"""A past that no test can wait for."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection

from wallet.actions.claim_batch import Claim


def backdate(claim: Claim, by: timedelta) -> None:
    """Move a claim into the past, as the tables' owner with their rules lifted."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, key in (("ledger_entry", "id"), ("assets_cashbackasset", "asset")):
            cursor.execute(
                "SELECT tgname, tgenabled FROM pg_trigger"
                " WHERE NOT tgisinternal AND tgrelid = %s::regclass AND tgtype & 16 > 0 AND tgenabled <> 'D'",
                [table],
            )
            rules = cursor.fetchall()
            for name, _ in rules:
                cursor.execute(f'ALTER TABLE {table} DISABLE TRIGGER "{name}"')
            cursor.execute(
                f"UPDATE {table} SET claimed_at = claimed_at - %s::interval WHERE id = %s", [str(by), claim.receipt[key]]
            )
            for name, enabled in rules:
                always = "ALWAYS" if enabled == "A" else ""
                cursor.execute(f'ALTER TABLE {table} ENABLE {always} TRIGGER "{name}"')
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@contextmanager
def lifted(rule: str, table: str) -> Iterator[None]:
    """Lift one trigger of ours from a table, as its owner, and put it back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE %s", [f"pgtrigger_{rule}_%"])
        ((name,),) = cursor.fetchall()
        cursor.execute(f'ALTER TABLE {table} DISABLE TRIGGER "{name}"')
        yield
        cursor.execute(f'ALTER TABLE {table} ENABLE ALWAYS TRIGGER "{name}"')
