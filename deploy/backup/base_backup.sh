#!/bin/sh
# Make a base backup below FOLDER and verify it; base backups older than KEEP_DAYS (14) are removed, then the log before the
# oldest that is left. Run it on the backup machine: base_backup.sh /var/backups/cashback
set -eu
folder=$1
keep=${KEEP_DAYS:-14}
source=${BACKUP_SOURCE:-"postgresql://replicator@db1,db2,db3/?target_session_attrs=prefer-standby&connect_timeout=2"}
new="$folder/base/$(date -u +%Y-%m-%dT%H-%M-%SZ)"
mkdir -p "$folder/base" "$folder/wal"
pg_basebackup --dbname="$source" --pgdata="$new.partial" --wal-method=stream --checkpoint=fast --no-password
${VERIFY:-pg_verifybackup} --quiet "$new.partial"
mv "$new.partial" "$new"
find "$folder/base" -mindepth 1 -maxdepth 1 -mtime "+$keep" -exec rm -r {} +
oldest=$(find "$folder/base" -mindepth 1 -maxdepth 1 ! -name '*.partial' | sort | head -n 1)
first=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$oldest/backup_label")
pg_archivecleanup "$folder/wal" "$first"
echo "Kept $new; the log in $folder/wal begins with $first."
