"""Django's PostgreSQL engine with a connection pool that reconnects at once after a failover; the application's role."""
