"""Each address in its one form: domains in Unicode (IDNA, UTS 46, NFC). Accounts that are one mailbox are never merged.

An account whose new form belongs to another account keeps its address as it is and is reported: its user signs in as before. An
operator decides, e.g. changes one of the emails or deactivates one of the accounts.
"""

import sys

import email_validator
from django.db import migrations
from django.db.models import Q


def canonical_email(email):
    """Return the one form of an address, or None for what is no address to the package."""
    try:
        found = email_validator.validate_email(
            email,
            allow_smtputf8=False,
            allow_quoted_local=True,
            allow_domain_literal=True,
            check_deliverability=False,
            globally_deliverable=False,
        )
    except ValueError:
        return None
    return found.normalized.lower()


def rewrite_emails(apps, schema_editor):
    """Rewrite the addresses that are not in their one form, oldest account first."""
    users = apps.get_model("accounts", "User").objects.using(schema_editor.connection.alias)
    others = users.filter(Q(email__regex=r"[^\x01-\x7f]") | Q(email__contains="xn--") | Q(email__contains='"'))
    for user in others.order_by("pk"):
        email = canonical_email(user.email)
        if email is None or email == user.email:
            continue
        if users.filter(email=email).exists():
            print(f"Not changed: account {user.pk} has another form of the email of an existing account.", file=sys.stderr)
            continue
        users.filter(pk=user.pk).update(email=email)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_users_of_sessions")]

    operations = [migrations.RunPython(rewrite_emails, migrations.RunPython.noop)]
