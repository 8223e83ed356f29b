"""Ask the database whether tasks have run in the last five minutes; the exit code says so.

Tasks are due every minute. With several schedulers this says that one of them works, not that this one does.
"""

import os
import sys

import psycopg

RECENT = "SELECT coalesce(max(stopped) > now() - interval '5 minutes', false) FROM django_q_task"

try:
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5) as connection:
        row = connection.execute(RECENT).fetchone()
        sys.exit(0 if row and row[0] else "no task has run in the last five minutes")
except psycopg.Error as error:
    sys.exit(str(error))
