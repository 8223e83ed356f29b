"""What several migrations of the ledger need. Never change it: a database made from them tomorrow equals one made long ago.

Django takes no module whose name begins with an underscore for a migration.
"""

from typing import Any

from django.db import models

# Run after each operation that makes triggers: they then fire under session_replication_role = replica too.
ENABLE_ALWAYS = """
DO $$
DECLARE t record;
BEGIN
    FOR t IN
        SELECT tgrelid::regclass AS place, tgname AS name FROM pg_trigger
        WHERE NOT tgisinternal AND tgname LIKE 'pgtrigger_%'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.place, t.name);
    END LOOP;
END $$;
"""

# The function that writes the subtotals does so as the tables' owner, and nobody makes it a trigger of a table of theirs.
CARRIED_BY_OWNER = """
DO $$
DECLARE rule text; f regprocedure;
BEGIN
    FOREACH rule IN ARRAY ARRAY['pgtrigger_seal_carried_%'] LOOP
        SELECT tgfoid INTO STRICT f FROM pg_trigger WHERE tgrelid = 'ledger_seal'::regclass AND tgname LIKE rule;
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = public, pg_temp', f);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
"""


class TransactionIdField(models.Field[int, int]):
    """PostgreSQL's `xid8`: what migrations call the live field (ledger.fields.TransactionIdField), wherever that moves."""

    def db_type(self, connection: Any) -> str:
        """Return the column's type."""
        return "xid8"

    def from_db_value(self, value: str | None, *_: Any) -> int | None:
        """Read what psycopg hands over as text."""
        return None if value is None else int(value)

    def get_prep_value(self, value: int | None) -> str | None:
        """Write a number in the text form that PostgreSQL casts to xid8."""
        return None if value is None else str(value)
