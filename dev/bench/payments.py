"""Payments of one credit and of five, beside pgbench doing the same statements; holds with captures; one hot wallet."""
