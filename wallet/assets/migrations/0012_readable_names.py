"""Pools have names that differ by more than case, spaces and normal form, and texts that others can read.

Pools that collide are reported and none is changed: rename all but one of each, then migrate again. Titles and names from before
stay as they are; the triggers judge new and changed ones.
"""

import django.db.models.functions.text
import pgtrigger.compiler
import pgtrigger.migrations
from django.core.management.base import CommandError
from django.db import migrations, models

COLLISIONS = r"""
SELECT string_agg(format('"%s" (%s)', name, id), ', ' ORDER BY id) FROM assets_creditpool
GROUP BY lower(regexp_replace(normalize(name, NFKC), '\s+', '', 'g')) HAVING count(*) > 1 ORDER BY min(id::text)
"""


DROP_FUNCTIONS = """
DROP FUNCTION IF EXISTS pgtrigger_asset_title_readable_f5414();
DROP FUNCTION IF EXISTS pgtrigger_pool_name_readable_14761();
"""


def report_collisions(apps, schema_editor):
    """Raise CommandError, which lists the pools whose names collide."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(COLLISIONS)
        groups = [names for (names,) in cursor.fetchall()]
    if groups:
        raise CommandError(
            "Pool names must differ by more than case, spaces and Unicode form. Rename all but one of each line, then migrate"
            " again:\n" + "\n".join(f"  {names}" for names in groups)
        )


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0011_context_user'),
        ('ledger', '0012_history_pseudonymised'),  # harden_triggers
    ]

    operations = [
        migrations.RunPython(report_collisions, migrations.RunPython.noop),
        # Removing a trigger leaves its function; going back, this runs after the triggers are removed.
        migrations.RunSQL(migrations.RunSQL.noop, DROP_FUNCTIONS),
        migrations.AlterField(
            model_name='creditpool',
            name='name',
            field=models.CharField(max_length=100),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_title_readable', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.title ~ '[\\u0001-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u2800\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF]' OR NEW.title IS NOT NFC NORMALIZED)", func="RAISE EXCEPTION 'this text has an invisible character, or is not in Unicode''s normal form NFC' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_title_readable';", hash='c03950251c68b63d151daf1ffaa91859d73e9307', operation='INSERT OR UPDATE OF "title"', pgid='pgtrigger_asset_title_readable_f5414', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='pool_name_readable', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.name ~ '[\\u0001-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u2800\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF]' OR NEW.name IS NOT NFC NORMALIZED)", func="RAISE EXCEPTION 'this text has an invisible character, or is not in Unicode''s normal form NFC' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_name_readable';", hash='c463d11be6ab98371e75da2402a3008508dfa1ed', operation='INSERT OR UPDATE OF "name"', pgid='pgtrigger_pool_name_readable_14761', table='assets_creditpool', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower(models.Func(models.Func(models.F('name'), output_field=models.CharField(), template='normalize(%(expressions)s, NFKC)'), output_field=models.CharField(), template="regexp_replace(%(expressions)s, '\\s+', '', 'g')")), name='pool_name_unique', violation_error_code='unique', violation_error_message='A pool with this name already exists. Choose another name.'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
