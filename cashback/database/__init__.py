"""Django's PostgreSQL engine, with a pool that gets over a lost server at once."""
