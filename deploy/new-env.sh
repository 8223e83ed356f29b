#!/bin/sh
# Write a new .env for compose.yaml to standard output: three keys, two passwords, and what to edit.
set -eu
secret() { od -An -N36 -tx1 /dev/urandom | tr -d ' \n'; }
cat <<END
SECRET_KEY=$(secret)
JWT_SIGNING_KEY=$(secret)
SEAL_SIGNING_KEY=$(secret)
OWNER_PASSWORD=$(secret)
APP_PASSWORD=$(secret)
# The names under which your proxy passes requests on, and how many proxies there are.
ALLOWED_HOSTS=localhost
PUBLIC_URL=http://localhost:8000
TRUSTED_PROXIES=0
# Without a proxy that speaks HTTPS, for a trial on this machine only:
HTTPS=off
# dummymail:// sends nothing; see docs/operations.md.
EMAIL_URL=dummymail://
DEFAULT_FROM_EMAIL=Cashback <no-reply@localhost>
END
