"""Comparison of a role's privileges in the database with those that it should have (cashback.database.roles)."""

import re
from collections.abc import Iterator

from django.db import connection, transaction

from cashback.database import roles

# Privilege by table and column; the column is empty for a privilege on the whole table.
GRANTED = """
    WITH relation AS (
        SELECT pg_class.oid, relname::text AS name, relacl, relowner FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
    )
    SELECT name, privilege_type, '' FROM relation
    CROSS JOIN aclexplode(coalesce(relacl, acldefault('r', relowner))) AS acl WHERE acl.grantee = %(role)s::regrole
    UNION
    SELECT name, privilege_type, attname::text FROM relation JOIN pg_attribute ON attrelid = relation.oid
    CROSS JOIN aclexplode(attacl) AS acl WHERE acl.grantee = %(role)s::regrole
"""
ROLE_CONFIGURATION = "SELECT coalesce(rolconfig, '{}') FROM pg_roles WHERE rolname = %s"
Privilege = tuple[str, str, str]


def set_privileges(role: str) -> bool:
    """Create the role if it is missing and grant it exactly its privileges; return whether it was created."""
    with transaction.atomic(), connection.cursor() as cursor:
        created = roles.create_role(role)
        for statement in roles.grant_statements(role):
            cursor.execute(statement)
    return created


def wrong_privileges(role: str) -> list[str]:
    """Return a sentence for each kind of difference between the role's privileges and those that it should have."""
    if not roles.role_exists(role):
        return [f"The role {role} does not exist."]
    with connection.cursor() as cursor:
        cursor.execute(GRANTED, {"role": f'"{role}"'})
        granted = set(cursor.fetchall())
        cursor.execute(ROLE_CONFIGURATION, [role])
        (found,) = cursor.fetchone()
    expected = set(expected_privileges())
    unset = sorted(name for name, value in roles.ROLE_SETTINGS.items() if f"{name}={value}" not in found)
    return [
        *describe_difference(f"{role} lacks", expected - granted),
        *describe_difference(f"{role} has, but must not have,", granted - expected),
        *([f"{role} has no {', '.join(unset)}."] if unset else []),
    ]


def expected_privileges() -> Iterator[Privilege]:
    """Yield what grant_statements grants on tables, views and columns."""
    for view in roles.VIEWS:
        yield view, "SELECT", ""
    for table in connection.introspection.table_names():
        for privilege, columns in re.findall(r"([A-Z]+)(?: \(([^)]*)\))?", roles.table_privileges(table)):
            yield from ((table, privilege, column) for column in columns.split(", "))


def describe_difference(verb: str, difference: set[Privilege]) -> list[str]:
    """Return one sentence about the privileges, or nothing if there are none."""
    if not difference:
        return []
    table, privilege, column = min(difference)
    example = f"{privilege} on {table}{f'.{column}' if column else ''}"
    return [f"{verb} {example}{f' and {len(difference) - 1} more' if len(difference) > 1 else ''}."]
