"""Ask this container's web server whether it is alive; the exit code says so."""

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

try:
    with urlopen(f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/healthz", timeout=4) as answer:  # noqa: S310
        sys.exit(answer.status != 200)
except (URLError, OSError) as error:
    sys.exit(str(error))
