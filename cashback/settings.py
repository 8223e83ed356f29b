"""Everything that differs between machines is read here, from the environment, and fails loudly when it is wrong."""

import logging
import re
from datetime import timedelta
from ipaddress import ip_network
from itertools import combinations
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from psycopg.conninfo import conninfo_to_dict

django_stubs_ext.monkeypatch()
env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# "local": a developer's machine, whose servers and keys the project makes itself. Anything else: a real deployment.
LOCAL: bool = env.str("CASHBACK_ENV", "local") == "local"
if LOCAL:  # a deployment needs nothing of `dev`, nor the packages with the local servers
    from dev import services


def read_key(name: str) -> str:
    """Return the secret `name`; outside local mode it must be set and hold at least 32 bytes (RFC 7518 §3.2)."""
    value: str = env.str(name, "")
    if not value and LOCAL:
        return services.local_secret(name)
    if len(value.encode()) < 32 or len(set(value)) < 10:
        raise ImproperlyConfigured(f"{name} must be at least 32 random bytes: set it, e.g. to `openssl rand -base64 48`.")
    return value


def read_public_keys(name: str) -> list[str]:
    """Return Ed25519 public keys in hex (32 bytes each), separated by commas; none when `name` is not set."""
    value: str = env.str(name, "")
    keys = [key.strip() for key in value.split(",")] if value else []
    if not all(re.fullmatch(r"[0-9A-Fa-f]{64}", key) for key in keys):
        raise ImproperlyConfigured(
            f"{name} must be public keys of 64 hex digits, separated by commas: see manage.py seal_ledger --public-key."
        )
    return keys


def read_redis_url() -> str:
    """Return the URL of Redis: REDIS_URL, or the project's own server in local mode; empty where there is none."""
    url: str = env.str("REDIS_URL", "")
    if url and not re.match(r"(rediss?|unix)://", url):
        raise ImproperlyConfigured("REDIS_URL must be a URL, e.g. redis://host/0, or be left out.")
    return url or (LOCAL and services.redis_url()) or ""


def read_database_url() -> str:
    """Return the URL of the database: DATABASE_URL, or the project's own server in local mode."""
    url: str = env.str("DATABASE_URL", "")
    if not url and not LOCAL:
        raise ImproperlyConfigured("DATABASE_URL must be set outside local mode, e.g. postgresql://user:secret@host/name.")
    if url and not re.match(r"\w+://", url):
        raise ImproperlyConfigured("DATABASE_URL must be a URL, e.g. postgresql://user:secret@host/name.")
    return url or services.database_url()


def read_rate(name: str, default: str) -> str:
    """Return a rate: "count/period" with a period of s, m, h or d, or "off"."""
    value: str = env.str(name, default)
    if value != "off" and not re.fullmatch(r"[1-9]\d*/[1-9]?\d*[smhd]", value):
        raise ImproperlyConfigured(f'{name} must be a rate such as {default} (s, m, h or d), or off, not "{value}".')
    return value


def read_level(name: str, default: str) -> str:
    """Return one of Python's names for how much is logged."""
    value: str = env.str(name, default)
    if value not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured(f'{name} must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not "{value}".')
    return value


# --- Security ---------------------------------------------------------------------------------------------------------

DEBUG: bool = env.bool("DEBUG", False)
SECRET_KEY = read_key("SECRET_KEY")
JWT_SIGNING_KEY = read_key("JWT_SIGNING_KEY")
# Signs the ledger's seals; the public keys (hex) of keys it took the place of are still trusted.
SEAL_SIGNING_KEY = read_key("SEAL_SIGNING_KEY")
for name, other in combinations(("SEAL_SIGNING_KEY", "JWT_SIGNING_KEY", "SECRET_KEY"), 2):
    if globals()[name] == globals()[other]:
        raise ImproperlyConfigured(f"{name} must differ from {other}: who learns one must not hold the other.")
SEAL_PUBLIC_KEYS = read_public_keys("SEAL_PUBLIC_KEYS")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if LOCAL else [])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# How many proxies of ours append to X-Forwarded-For; 0 means the header is never believed.
TRUSTED_PROXIES: int = env.int("TRUSTED_PROXIES", 0)
# Who may read /metrics, e.g. 10.0.0.0/8. In a deployment this machine too must be named: a proxy on it makes all callers local.
LOOPBACK = ["127.0.0.0/8", "::1/128"] if LOCAL else []
METRICS_ALLOWED = [ip_network(network) for network in [*env.list("METRICS_ALLOWED", default=[]), *LOOPBACK]]
HTTPS: bool = env.bool("HTTPS", not LOCAL)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # asked from inside, without TLS
SECURE_HSTS_SECONDS: int = env.int("HSTS_SECONDS", 31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

# --- Parts ------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    *(["dev"] if LOCAL else []),
    "cashback",
    "wallet",
    "wallet.assets",
    "wallet.ledger",
    "accounts",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_ratelimit",
    "django_q",
    "pgtrigger",
    "pghistory",
]

MIDDLEWARE = [
    "cashback.http.request_connections.ConnectionMiddleware",
    "cashback.http.security_headers.SecurityHeadersMiddleware",
    "cashback.http.channel.ChannelMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "cashback.http.body_size.BodySizeMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "cashback.http.session_middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "cashback.http.slash.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "cashback.http.session_middleware.AuthenticationMiddleware",
    "cashback.http.session_middleware.MessageMiddleware",
    "cashback.http.session_middleware.HtmxMiddleware",
    "cashback.http.request_connections.RefusalMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "cashback.urls"
WSGI_APPLICATION = "cashback.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # The doors are packages of the wallet, not apps: their templates and tags are named here.
        "DIRS": [BASE_DIR / "wallet/pages/templates", BASE_DIR / "wallet/admin/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"pages": "wallet.pages.template_tags"},
            "context_processors": [
                "django.template.context_processors.i18n",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Data -------------------------------------------------------------------------------------------------------------

# How long an address or a server that says nothing is waited for; DATABASE_URL may say otherwise (`?connect_timeout=5`).
# Without these, libpq waits 130 s for a connection, and as long as TCP retries for an answer of a machine that is gone.
NETWORK_LIMITS = {
    "connect_timeout": 2,  # seconds, for each host and address; libpq takes no less
    "keepalives_idle": 3,  # seconds without a word until the other end is asked whether it is there
    "keepalives_interval": 2,  # seconds between two such questions
    "keepalives_count": 3,  # so many without an answer end the connection
    "tcp_user_timeout": 9_000,  # milliseconds that what was sent may stay unacknowledged (Linux)
}


def read_hosts(url: str) -> dict[str, str]:
    """Return HOST and PORT of a URL that names several hosts, as libpq understands it; empty for one host."""
    _, _, rest = url.partition("://")
    hosts = re.split("[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    if "," not in hosts:
        return {}
    found = conninfo_to_dict(f"postgresql://{hosts}/")
    ports = str(found.get("port", ""))
    return {"HOST": str(found["host"]), "PORT": ports if ports.strip(",") else ""}


def read_database() -> dict[str, Any]:
    """Return Django's description of the database, with the limits of DESIGN §5 and of the network on every connection."""
    url = read_database_url()
    database: dict[str, Any] = env.db_url_config(url) | read_hosts(url)
    if database["ENGINE"] == "django.db.backends.postgresql":
        database["ENGINE"] = "cashback.database"
    limits = {
        "lock_timeout": env.int("LOCK_TIMEOUT_MS", 2_000),
        "statement_timeout": env.int("STATEMENT_TIMEOUT_MS", 5_000),
        "idle_in_transaction_session_timeout": 5_000,
    }
    options = database["OPTIONS"] = NETWORK_LIMITS | database.get("OPTIONS", {})
    # A socket's folder stands behind the question mark of a URL; Django's dbshell looks for it under HOST.
    database["HOST"] = options.pop("host", database["HOST"])
    options["prepare_threshold"] = 1  # for the cursors that prepare at all
    options["options"] = " ".join(f"-c {name}={value}" for name, value in limits.items())
    # The threads of a web process share so many connections: one that each keeps for itself is no use to the others when
    # there are fewer than threads. 0 for commands and the cluster, whose forks could not share them.
    pooled = env.int("DATABASE_POOL", 0)
    if pooled:
        options["pool"] = {"min_size": 1, "max_size": pooled, "timeout": 2, "max_idle": 5}
    database["CONN_MAX_AGE"] = 0 if pooled else env.int("CONN_MAX_AGE", 60)
    database["CONN_HEALTH_CHECKS"] = True
    database["TEST"] = {"NAME": env.str("TEST_DATABASE", "test_cashback")}
    return database


DATABASES = {"default": read_database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PGHISTORY_APPEND_ONLY = True

# Expensive reads (accounts.expensive_reads): how many searches a process runs at once, and how long PostgreSQL works for one.
SEARCHES_AT_ONCE: int = env.int("SEARCHES_AT_ONCE", 1)
SEARCH_TIMEOUT_MS: int = env.int("SEARCH_TIMEOUT_MS", 2_000)
EXPORT_TIMEOUT_MS: int = env.int("EXPORT_TIMEOUT_MS", 60_000)
# How long PostgreSQL works for a process's searches, and for its files, as a part of one core: in between they rest.
SEARCH_SHARE: float = env.float("SEARCH_SHARE", 0.1)
EXPORT_SHARE: float = env.float("EXPORT_SHARE", 0.25)
# What a file of an export may grow to, in the system's temporary folder.
EXPORT_MEGABYTES: int = env.int("EXPORT_MEGABYTES", 1_024)


def read_caches() -> dict[str, Any]:
    """Return the caches: Redis when there is one, else this process's memory. The others are always this process's memory."""
    # Room for the counts of a flood of addresses: a cull would forget who asked too often.
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 50_000}}
    here = {name: memory | {"LOCATION": name} for name in ("local", "gone")}
    url = read_redis_url()
    if not url:
        return {"default": memory, "counts": memory} | here
    patience = env.int("REDIS_TIMEOUT_MS", 100) / 1000
    redis = {
        "BACKEND": "cashback.redis_cache.CircuitBreakingRedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "cashback",
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": patience,
            "SOCKET_TIMEOUT": patience,
        },
    }
    return {"default": redis, "counts": redis | {"BACKEND": "cashback.redis_cache.RateLimitCache"}} | here


CACHES = read_caches()
REDIS: bool = CACHES["default"]["BACKEND"].startswith("cashback.redis_cache")

# A crowd in front of one credit may be held by Redis before it reaches PostgreSQL: "redis", or empty for none.
CLAIM_LOCK: str = env.str("CLAIM_LOCK", "")
if CLAIM_LOCK not in ("", "redis"):
    raise ImproperlyConfigured(f'CLAIM_LOCK must be "redis" or empty, not "{CLAIM_LOCK}".')

# --- People -----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "landing"
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_AGE = 14 * 24 * 3600
PASSWORD_HASHERS = ["accounts.password_hashing.LimitedArgon2PasswordHasher"]
# How many passwords one process hashes at a time; each takes 100 MiB meanwhile.
HASHING_SLOTS: int = env.int("HASHING_SLOTS", 2)
if HASHING_SLOTS < 1:
    raise ImproperlyConfigured(f'HASHING_SLOTS must be at least 1, not "{HASHING_SLOTS}".')
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("ACCESS_TOKEN_MINUTES", 10)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ISSUER": "cashback",
    "AUDIENCE": "cashback-api",
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": False,
}
# Rates are "count/period"; "off" removes one (the race proof measures claims, not the limit).
RATES = {
    "claim": read_rate("RATE_CLAIM", "5/m"),
    "sign_in": read_rate("RATE_SIGN_IN", "5/m"),
    # Wrong passwords for one email, from all addresses together.
    "wrong_password": read_rate("RATE_WRONG_PASSWORD", "50/h"),
    "register": read_rate("RATE_REGISTER", "10/h"),
    "search": read_rate("RATE_SEARCH", "60/m"),
    "export": read_rate("RATE_EXPORT", "10/m"),
}
RATELIMIT_USE_CACHE = "counts"
# Without Redis the limits hold per process only; the product says so at start instead of refusing to start.
# It knows django-redis' own class by name, not ours made of it.
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.W001"] if REDIS else ["django_ratelimit.E003", "django_ratelimit.W001"]

# --- API --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["cashback.http.parsers.Utf8JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "cashback.http.negotiation.Negotiation",
    "DEFAULT_FILTER_BACKENDS": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "cashback.http.problem_details.handle_exception",
    # There is one, in the address: the schema would write any other name into its headers.
    "ALLOWED_VERSIONS": ["1.0.0"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cashback wallet",
    "DESCRIPTION": "Claim cashback credits once, keep them for ever.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "cashback.http.openapi_problems.describe_problems",
    ],
}

# --- The clock --------------------------------------------------------------------------------------------------------

# Tasks live in PostgreSQL: one enqueued by a rolled-back transaction does not run, a killed worker's task runs again.
Q_CLUSTER = {
    "name": "cashback",
    "orm": "default",
    "workers": env.int("CLUSTER_WORKERS", 2),
    "timeout": 240,
    "retry": env.int("CLUSTER_RETRY", 300),
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "label": "Schedules",
    "save_limit": 500,
    "poll": 1,
}

# --- Words and files --------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("hi", "हिन्दी")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
TIME_ZONE = "UTC"
USE_I18N = USE_TZ = True
STATIC_URL = "static/"
# In local mode files are served from where they are written; a deployment collects them (manage.py collectstatic).
STATIC_ROOT = None if LOCAL else BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if LOCAL
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = LOCAL
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
        "bare": {"format": "{message}", "style": "{"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "audit": {"class": "logging.StreamHandler", "formatter": "bare"},
    },
    "root": {"handlers": ["console"], "level": read_level("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django-q": {"level": "WARNING"},
        # Lines of JSON (accounts/audit.py), whatever the level of the rest.
        "cashback.audit": {"handlers": ["audit"], "level": "INFO", "propagate": False},
    },
}
UNFOLD = {
    "SITE_TITLE": "Cashback",
    "SITE_HEADER": "Cashback console",
    "SITE_SYMBOL": "savings",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _: static("cashback/mark.svg")}],
    "STYLES": [lambda _: static("console/console.css")],
    "SCRIPTS": [lambda _: static("console/console.js")],
    "LOGIN": {"form": "accounts.forms.ThrottledSignInForm"},
    "DASHBOARD_CALLBACK": "wallet.admin.dashboard.dashboard_context",
    "SIDEBAR": {"navigation": "wallet.admin.sidebar.sidebar_groups"},
    # The pages' green, from the lightest shade to the darkest.
    "COLORS": {
        "primary": {
            shade: f"oklch({lightness}% {chroma} 165)"
            for shade, lightness, chroma in [
                ("50", 97, 0.02),
                ("100", 94, 0.04),
                ("200", 89, 0.08),
                ("300", 83, 0.11),
                ("400", 74, 0.12),
                ("500", 60, 0.11),
                ("600", 47, 0.095),
                ("700", 41, 0.085),
                ("800", 35, 0.07),
                ("900", 30, 0.06),
                ("950", 22, 0.04),
            ]
        }
    },
}
