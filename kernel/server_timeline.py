"""The timeline of the database server: what a process remembers of the database holds only as long as it stays the same.

A failover, a restore or a new start may lose commits that were read before. PostgreSQL begins a new timeline when a standby is
promoted or a backup is recovered; a restored copy of its files has another start, and a restored dump another database.
"""

# NULL on a standby, whose timeline changes while its sessions go on. A scalar subquery runs once per statement, not per row.
SERVER_TIMELINE = """(SELECT CASE WHEN NOT pg_is_in_recovery() THEN concat_ws('-',
    left(pg_walfile_name(pg_current_wal_lsn()), 8), extract(epoch FROM pg_postmaster_start_time()), database.oid
) END FROM pg_database AS database WHERE database.datname = current_database())"""
