"""`python -m wallet.proofs PLAN FOLDER`: started by wallet.proofs.prove with a scratch database in its environment."""

import json
import sys
from pathlib import Path

import django

django.setup()

from accounts.refusals import Refusal  # noqa: E402  (models can be imported only now)
from wallet.proofs.director import direct  # noqa: E402
from wallet.proofs.plan import Plan  # noqa: E402

try:
    report = direct(Plan(**json.loads(sys.argv[1])), Path(sys.argv[2]))
except Refusal as refusal:
    sys.exit(refusal.message)
print(json.dumps({"report": report.as_json()}), flush=True)  # noqa: T201
