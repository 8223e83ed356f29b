"""A past that no test can wait for."""

from datetime import timedelta

from django.db import connection

from wallet.claims import Claim


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
            cursor.execute(f"UPDATE {table} SET claimed_at = claimed_at - %s WHERE id = %s", [by, claim.receipt[key]])
            for name, enabled in rules:
                always = "ALWAYS" if enabled == "A" else ""
                cursor.execute(f'ALTER TABLE {table} ENABLE {always} TRIGGER "{name}"')
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
