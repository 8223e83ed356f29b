"""Give the existing sessions of signed-in users their row in the list of sign-ins, so that nobody is signed out."""

from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations


def name_users_of_sessions(apps, schema_editor):
    """Give the sessions of signed-in users their row, so that nobody is signed out."""
    session, browser_session = apps.get_model("sessions", "Session"), apps.get_model("accounts", "BrowserSession")
    for row in session.objects.iterator():
        user_id = SessionStore().decode(row.session_data).get("_auth_user_id")
        if user_id:
            saved_at = row.expire_date - timedelta(seconds=settings.SESSION_COOKIE_AGE)
            browser_session(session_ptr=row, user_id=user_id, created_at=saved_at, last_used_at=saved_at).save_base(
                raw=True, force_insert=True
            )


class Migration(migrations.Migration):

    dependencies = [('accounts', '0004_sign_ins_and_email')]

    operations = [migrations.RunPython(name_users_of_sessions, migrations.RunPython.noop)]
