"""The worker class under its earlier path: `--worker-class cashback.worker.Worker` goes on working."""

from cashback.gunicorn_worker.worker import Worker

__all__ = ["Worker"]
