"""`python -m dev.payment_race PLAN FOLDER`: started by dev.payment_race.launch with a scratch database in its environment."""

import json
import sys
from pathlib import Path

import django

django.setup()

from dev.payment_race.plan import PaymentPlan  # noqa: E402
from dev.payment_race.runner import run_race  # noqa: E402
from kernel.refusals import Refusal  # noqa: E402  (models can be imported only now)

try:
    report = run_race(PaymentPlan(**json.loads(sys.argv[1])), Path(sys.argv[2]))
except Refusal as refusal:
    sys.exit(refusal.message)
print(json.dumps({"report": report.as_json()}), flush=True)  # noqa: T201
