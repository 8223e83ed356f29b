"""Sets Django up. Imported first by processes that do not run `manage.py`."""

import django

django.setup()
