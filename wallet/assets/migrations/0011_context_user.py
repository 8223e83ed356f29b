"""Index of the operators in the change history. Claims and sweeps write no context with a user, so they do not write it."""

from django.db import migrations

INDEX = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS assets_context_user ON pghistory_context ((metadata ->> 'user')) WHERE metadata ? 'user'
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [('assets', '0010_pseudonymise_history')]

    operations = [migrations.RunSQL(INDEX, 'DROP INDEX CONCURRENTLY IF EXISTS assets_context_user')]
