"""The worker class under its earlier path, for `--worker-class cashback.worker.Worker`."""

from cashback.gunicorn_worker.worker import Worker

__all__ = ["Worker"]
