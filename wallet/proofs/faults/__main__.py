"""`python -m wallet.proofs.faults FOLDER SEED {"T3": seconds, …}`: started by wallet.proofs.faults.play."""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import django

from wallet.proofs.faults.stage import TEMPLATE, stage_in

folder, seed, wanted = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
stage = stage_in(folder)
os.environ["DATABASE_URL"] = stage.database_url(TEMPLATE)
os.environ["REDIS_URL"] = stage.redis_url()
django.setup()

from wallet.proofs import attempts  # noqa: E402  (models can be imported only now)
from wallet.proofs.faults.catalogue import FAULTS  # noqa: E402
from wallet.proofs.faults.scene import Scene, prepare  # noqa: E402


def say(**what: object) -> None:
    """Tell whoever started this."""
    print(json.dumps(what), flush=True)  # noqa: T201


def end(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that what was started is stopped."""
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, end)
stage.start()
prepare()
for name, seconds in wanted.items():
    say(now=name)
    fault = FAULTS[name]
    outcome = fault.run(Scene(stage, seconds, seed, name, fault.least(seconds)))
    attempts.write(folder / f"{name}.jsonl", outcome.log)
    fields = asdict(outcome)
    del fields["log"]
    say(fault=name, outcome=fields)
