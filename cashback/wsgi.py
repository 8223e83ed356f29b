"""The web server's entrance."""

import os

from django.core.wsgi import get_wsgi_application

from cashback import local

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cashback.settings")
local.attach_if_wanted()
application = get_wsgi_application()
