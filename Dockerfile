# syntax=docker/dockerfile:1
# The wallet as a container: the web server, the scheduler and the commands are one image (see compose.yaml).
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /venv
COPY requirements.txt /tmp/requirements.txt
# The same pins as everywhere, checked by their hashes; nothing is compiled.
RUN /venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.txt
WORKDIR /app
COPY manage.py ./
COPY kernel ./kernel
COPY accounts ./accounts
COPY wallet ./wallet
COPY cashback ./cashback
COPY locale ./locale
COPY examples ./examples
COPY deploy ./deploy
# Static files do not depend on secrets, so these are thrown away with this step.
RUN key() { python -c 'import secrets; print(secrets.token_urlsafe(48))'; } \
    && CASHBACK_ENV=build DATABASE_URL=postgresql://build/none ALLOWED_HOSTS=build \
    SECRET_KEY="$(key)" JWT_SIGNING_KEY="$(key)" SEAL_SIGNING_KEY="$(key)" \
    /venv/bin/python manage.py collectstatic --noinput \
    && /venv/bin/python -m compileall -q /app

FROM python:3.13-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CASHBACK_ENV=production LOG_FORMAT=json DATABASE_POOL=0
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin cashback
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001
EXPOSE 8000
# Of the web server; the scheduler's is in compose.yaml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "deploy/healthcheck.py"]
STOPSIGNAL SIGTERM
CMD ["gunicorn", "--config", "deploy/gunicorn.conf.py", "cashback.wsgi"]
