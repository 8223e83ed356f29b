"""Titles and names may have emoji of several characters; names of pools differ by more than invisible characters.

Pools that collide are reported and none is changed: rename all but one of each, then migrate again.
"""

import django.db.models.functions.text
import pgtrigger.compiler
import pgtrigger.migrations
from django.core.management.base import CommandError
from django.db import migrations, models

COLLISIONS = r"""
SELECT string_agg(format('"%s" (%s)', name, id), ', ' ORDER BY id) FROM assets_creditpool
GROUP BY lower(regexp_replace(normalize(name, NFKC), '[\s\u200C\u200D\uFE0F]+', '', 'g'))
HAVING count(*) > 1 ORDER BY min(id::text)
"""


def report_collisions(apps, schema_editor):
    """Raise CommandError, which lists the pools whose names collide."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(COLLISIONS)
        groups = [names for (names,) in cursor.fetchall()]
    if groups:
        raise CommandError(
            "Pool names must differ by more than invisible characters. Rename all but one of each line, then migrate again:\n"
            + "\n".join(f"  {names}" for names in groups)
        )


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0014_pool_currency_kept'),
    ]

    operations = [
        migrations.RunPython(report_collisions, migrations.RunPython.noop),
        # Going back, this runs after the triggers are as they were.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_title_readable',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='pool_name_readable',
        ),
        migrations.RemoveConstraint(
            model_name='creditpool',
            name='pool_name_unique',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_title_readable', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.title ~ '[\\u0001-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u2800\\u3164\\uFE00-\\uFE0E\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF]|(^|[^\\u00A9\\u00AE\\u203C\\u2049\\u2122\\u2139\\u2194-\\u21AA\\u231A-\\u23FF\\u24C2\\u25AA-\\u25FE\\u2600-\\u27BF\\u2934\\u2935\\u2B00-\\u2BFF\\u3030\\u303D\\u3297\\u3299\\U0001F000-\\U0001FAFF#*0-9])\\uFE0F|[#*0-9]\\uFE0F(?!\\u20E3)' OR NEW.title IS NOT NFC NORMALIZED)", func="RAISE EXCEPTION 'this text has an invisible character, or is not in Unicode''s normal form NFC' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_title_readable';", hash='8f92cc62a000ef4ddf0f050cb29dcb6723eabd5d', operation='INSERT OR UPDATE OF "title"', pgid='pgtrigger_asset_title_readable_f5414', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='pool_name_readable', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.name ~ '[\\u0001-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u2800\\u3164\\uFE00-\\uFE0E\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF]|(^|[^\\u00A9\\u00AE\\u203C\\u2049\\u2122\\u2139\\u2194-\\u21AA\\u231A-\\u23FF\\u24C2\\u25AA-\\u25FE\\u2600-\\u27BF\\u2934\\u2935\\u2B00-\\u2BFF\\u3030\\u303D\\u3297\\u3299\\U0001F000-\\U0001FAFF#*0-9])\\uFE0F|[#*0-9]\\uFE0F(?!\\u20E3)' OR NEW.name IS NOT NFC NORMALIZED)", func="RAISE EXCEPTION 'this text has an invisible character, or is not in Unicode''s normal form NFC' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_name_readable';", hash='439ed244d431d90c21d4d4773000a9142a8ea551', operation='INSERT OR UPDATE OF "name"', pgid='pgtrigger_pool_name_readable_14761', table='assets_creditpool', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower(models.Func(models.Func(models.F('name'), output_field=models.CharField(), template='normalize(%(expressions)s, NFKC)'), output_field=models.CharField(), template="regexp_replace(%(expressions)s, '[\\s\\u200C\\u200D\\uFE0F]+', '', 'g')")), name='pool_name_unique', violation_error_code='unique', violation_error_message='A pool with this name already exists. Choose another name.'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
