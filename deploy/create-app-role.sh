#!/bin/sh
# Run once by PostgreSQL's image when the database is created: the role with which web server and scheduler connect.
# Its privileges are set by `manage.py grant_app_role` (deploy/migrate.sh).
set -eu
psql --set ON_ERROR_STOP=1 --set password="$APP_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE cashback_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
SQL
