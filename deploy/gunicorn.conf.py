"""Gunicorn's settings in a container: `gunicorn --config deploy/gunicorn.conf.py cashback.wsgi`.

Its own messages go to standard output as JSON, like those of the application (LOG_FORMAT=json, LOG_STREAM=stdout).
"""

import os

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
worker_class = "cashback.gunicorn_worker.worker.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 24
timeout = 30
graceful_timeout = 20
control_socket_disable = True
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "cashback.log_format.JSONFormatter"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"level": "INFO", "handlers": ["stdout"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stdout"], "propagate": False}},
}
