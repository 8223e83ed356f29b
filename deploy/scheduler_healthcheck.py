"""Ask the database whether tasks have run in the last five minutes; the exit code says so.

Tasks are due every minute. With several schedulers this says that one of them works, not that this one does.
"""

import os
import sys
from pathlib import Path

import django
from django.db import Error, connection

RECENT = "SELECT coalesce(max(stopped) > now() - interval '5 minutes', false) FROM django_q_task"

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cashback.settings")
django.setup()
try:
    with connection.cursor() as cursor:
        cursor.execute(RECENT)
        sys.exit(0 if cursor.fetchone()[0] else "no task has run in the last five minutes")
except Error as error:
    sys.exit(str(error))
