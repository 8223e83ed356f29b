#!/bin/sh
# What a release does before the web server and the scheduler start, as the owner of the tables. Safe to repeat.
set -eu
python manage.py check --deploy --fail-level ERROR
python manage.py migrate --noinput
python manage.py grant_app_role
python manage.py schedule_tasks
python manage.py check --deploy --fail-level ERROR --database default
