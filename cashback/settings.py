"""Django's settings. Values that differ between deployments come from environment variables (cashback.env)."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import django_stubs_ext
from django.templatetags.static import static

from cashback.database_env import read_database, read_replica
from cashback.env import (
    LOCAL,
    env,
    read_absolute_path,
    read_caches,
    read_claim_lock,
    read_command,
    read_email_url,
    read_int,
    read_key,
    read_level,
    read_log_format,
    read_log_stream,
    read_origins,
    read_positive_int,
    read_public_keys,
    read_public_url,
    read_rate,
    read_telemetry,
    require_distinct,
)
from cashback.formats.en import formats

django_stubs_ext.monkeypatch()
BASE_DIR = Path(__file__).resolve().parent.parent

# --- Security ---------------------------------------------------------------------------------------------------------

DEBUG: bool = env.bool("DEBUG", False)
SECRET_KEY = read_key("SECRET_KEY")
JWT_SIGNING_KEY = read_key("JWT_SIGNING_KEY")
# Signs the ledger's seals. Public keys (hex) of earlier signing keys remain trusted: SEAL_PUBLIC_KEYS.
SEAL_SIGNING_KEY = read_key("SEAL_SIGNING_KEY")
require_distinct({"SEAL_SIGNING_KEY": SEAL_SIGNING_KEY, "JWT_SIGNING_KEY": JWT_SIGNING_KEY, "SECRET_KEY": SECRET_KEY})
SEAL_PUBLIC_KEYS = read_public_keys("SEAL_PUBLIC_KEYS")
# The scheduler appends new seals to the file each minute, after the command took them to another machine.
SEAL_EXPORT_FILE = read_absolute_path("SEAL_EXPORT_FILE")
SEAL_EXPORT_COMMAND = read_command("SEAL_EXPORT_COMMAND", needs={"SEAL_EXPORT_FILE": SEAL_EXPORT_FILE})
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if LOCAL else [])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Origins of browser apps elsewhere that may call the API, e.g. https://shop.example. None: no cross-origin call is allowed.
CORS_ALLOWED_ORIGINS = read_origins("CORS_ALLOWED_ORIGINS")
# Whether such an app may use the visitor's session here. Off: it sends an access token.
CORS_ALLOW_CREDENTIALS: bool = env.bool("CORS_ALLOW_CREDENTIALS", False)
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "device-token",
    "idempotency-key",
    "if-match",
    "x-csrftoken",
    "x-request-id",
    "x-wallet-position",
]
CORS_EXPOSE_HEADERS = [
    "Content-Disposition",
    "Device-Token",
    "ETag",
    "Idempotency-Replayed",
    "Retry-After",
    "X-Request-ID",
    "X-Wallet-Position",
]
# How many trusted proxies append to X-Forwarded-For; with 0 the header is ignored.
TRUSTED_PROXIES: int = read_int("TRUSTED_PROXIES", 0)
# Networks that may read /metrics, e.g. 10.0.0.0/8. Loopback must be listed in a deployment: behind a local proxy every caller
# has a loopback address.
LOOPBACK = ["127.0.0.0/8", "::1/128"] if LOCAL else []
METRICS_ALLOWED = [ip_network(network) for network in [*env.list("METRICS_ALLOWED", default=[]), *LOOPBACK]]
HTTPS: bool = env.bool("HTTPS", not LOCAL)
PUBLIC_URL = read_public_url("PUBLIC_URL", ALLOWED_HOSTS, HTTPS)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # requested inside the network, without TLS
SECURE_HSTS_SECONDS: int = read_int("HSTS_SECONDS", 31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

# Errors and traces are sent only if these are set (cashback.telemetry).
SENTRY_DSN = read_telemetry("SENTRY_DSN", sentry_sdk="sentry-sdk")
OTEL_ENDPOINT = read_telemetry("OTEL_EXPORTER_OTLP_ENDPOINT", opentelemetry="opentelemetry-exporter-otlp-proto-http")

# --- Apps -------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    *(["dev"] if LOCAL else []),
    "cashback",
    "wallet",
    "wallet.assets",
    "wallet.ledger",
    "wallet.programme",
    "wallet.delivery",
    "wallet.notices",
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
    # The second factor (accounts.two_factor).
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    *(["corsheaders"] if CORS_ALLOWED_ORIGINS else []),
]

MIDDLEWARE = [
    "cashback.http.request_log.RequestMiddleware",
    *(["cashback.telemetry.TracingMiddleware"] if OTEL_ENDPOINT else []),
    "cashback.http.request_connections.ConnectionMiddleware",
    "cashback.http.security_headers.SecurityHeadersMiddleware",
    # Before what may answer by itself, such as a redirect; only where it is used, as it costs every request.
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "cashback.http.channel.ChannelMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "cashback.http.body_size.BodySizeMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "cashback.http.session_middleware.SessionMiddleware",
    "cashback.http.language.LanguageMiddleware",
    "cashback.http.slash.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "cashback.http.session_middleware.AuthenticationMiddleware",
    "cashback.http.time_zone.TimeZoneMiddleware",
    "cashback.http.session_middleware.MessageMiddleware",
    "cashback.http.session_middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

DEMO_SHOP: bool = env.bool("DEMO_SHOP", LOCAL)  # the pages below /shop/
# Folders with the platform's own templates, which replace ours of the same name, e.g. site/terms.html.
SITE_TEMPLATES: list[str] = env.list("SITE_TEMPLATES", default=[])
ROOT_URLCONF = "cashback.urls"
WSGI_APPLICATION = "cashback.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # The interfaces are packages of the wallet, not apps, so their templates and tags are listed here.
        "DIRS": [*SITE_TEMPLATES, BASE_DIR / "wallet/pages/templates", BASE_DIR / "wallet/admin/templates"],
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

DATABASES = {"default": read_database()}
# Whether replication may be asynchronous, so that a failover loses the last acknowledged commits (cashback.E010).
ACCEPT_LOST_COMMITS: bool = env.bool("ACCEPT_LOST_COMMITS", False)
# A standby for expensive reads (kernel.replicas). Without one, nothing of it is installed.
if replica := read_replica():
    DATABASES["replica"] = replica
    DATABASE_ROUTERS = ["cashback.database.router.ReplicaRouter"]
    MIDDLEWARE.insert(
        MIDDLEWARE.index("cashback.http.request_connections.ConnectionMiddleware") + 1,
        "cashback.http.replica.ReplicaMiddleware",
    )
# The largest lag of a replica that is read from, for those who wrote nothing just before.
DATABASE_REPLICA_MAX_LAG: int = read_positive_int("DATABASE_REPLICA_MAX_LAG", 120)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PGHISTORY_APPEND_ONLY = True

# Expensive reads (accounts.expensive_reads): searches that one process runs at once, and statement timeouts.
SEARCHES_AT_ONCE: int = read_int("SEARCHES_AT_ONCE", 1)
SEARCH_TIMEOUT_MS: int = read_int("SEARCH_TIMEOUT_MS", 2_000)
EXPORT_TIMEOUT_MS: int = read_int("EXPORT_TIMEOUT_MS", 60_000)
# How long PostgreSQL works for a process's searches, and for its files, as a part of one core: in between they rest.
SEARCH_SHARE: float = env.float("SEARCH_SHARE", 0.1)
EXPORT_SHARE: float = env.float("EXPORT_SHARE", 0.25)
# Maximum size of an exported file in the system's temporary folder.
EXPORT_MEGABYTES: int = read_int("EXPORT_MEGABYTES", 1_024)


CACHES = read_caches()
REDIS: bool = CACHES["default"]["BACKEND"].startswith("cashback.redis_cache")

# "redis": concurrent claims of one credit queue at a lock in Redis before they reach PostgreSQL. Empty: no such lock.
CLAIM_LOCK = read_claim_lock("CLAIM_LOCK")

# --- Users ------------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "landing"
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_AGE = 14 * 24 * 3600
PASSWORD_HASHERS = ["accounts.password_hashing.LimitedArgon2PasswordHasher"]
# Passwords that one process hashes at a time; each hash takes 100 MiB.
HASHING_SLOTS = read_positive_int("HASHING_SLOTS", 2)
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "accounts.passwords.UsableCharactersValidator"},
]
# Links in emails for a new password and for a verified email.
PASSWORD_RESET_TIMEOUT = read_positive_int("EMAIL_LINK_MINUTES", 60) * 60
REQUIRE_VERIFIED_EMAIL: bool = env.bool("REQUIRE_VERIFIED_EMAIL", False)  # to claim
REQUIRE_TWO_FACTOR: bool = env.bool("REQUIRE_TWO_FACTOR", False)  # to use the console
OTP_TOTP_ISSUER = "Cashback"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=read_int("ACCESS_TOKEN_MINUTES", 10)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ISSUER": "cashback",
    "AUDIENCE": "cashback-api",
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": False,
}
# Rates are "count/period"; "off" disables one (the race proof measures claims, not the limit).
RATES = {
    "claim": read_rate("RATE_CLAIM", "5/m"),
    "sign_in": read_rate("RATE_SIGN_IN", "5/m"),
    # Wrong passwords for one email, over all addresses.
    "wrong_password": read_rate("RATE_WRONG_PASSWORD", "50/h"),
    "register": read_rate("RATE_REGISTER", "10/h"),
    # Links by email: requests from one address, and emails to one mailbox.
    "email_link_request": read_rate("RATE_EMAIL_LINK_REQUEST", "20/h"),
    "email_link": read_rate("RATE_EMAIL_LINK", "5/h"),
    # Wrong service keys from one address.
    "service_key": read_rate("RATE_SERVICE_KEY", "20/m"),
    # Quotes, and whatever changes a payment: of one user, and of one service.
    "quote": read_rate("RATE_QUOTE", "60/m"),
    "payment": read_rate("RATE_PAYMENT", "30/m"),
    "service_quote": read_rate("RATE_SERVICE_QUOTE", "6000/m"),
    "service_payment": read_rate("RATE_SERVICE_PAYMENT", "6000/m"),
    # Pages of the feed, of one operator and of one service.
    "feed": read_rate("RATE_FEED", "60/m"),
    "service_feed": read_rate("RATE_SERVICE_FEED", "600/m"),
    "personal_data": read_rate("RATE_PERSONAL_DATA", "5/h"),
    "search": read_rate("RATE_SEARCH", "60/m"),
    "export": read_rate("RATE_EXPORT", "10/m"),
}
RATELIMIT_USE_CACHE = "counts"
# Without Redis the limits hold per process, about which cashback.W001 warns. django-ratelimit knows django-redis' class by
# name, not our subclass of it.
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
    # The version is in the path. drf-spectacular would add any other version to the media types.
    "ALLOWED_VERSIONS": ["1.0.0"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cashback wallet",
    "DESCRIPTION": "API for issuing and claiming cashback credits.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "KindEnum": "wallet.assets.models.PoolKind",
        "MovementKindEnum": "wallet.api.payment_serializers.MOVEMENT_KINDS",
        "CreditChangeKindEnum": "wallet.api.payment_serializers.CHANGE_KINDS",
        "HistoryKindEnum": "wallet.api.payment_serializers.HISTORY_KINDS",
        "PaymentStateEnum": "wallet.ledger.payment_state.PaymentState",
        "ProposalKindEnum": "wallet.ledger.proposals.ProposalKind",
        "ProposalStateEnum": "wallet.ledger.proposals.ProposalState",
        "EventTypeEnum": "wallet.delivery.event_types.EVENT_TYPES",
        "WebhookStateEnum": "wallet.delivery.models.WEBHOOK_STATES",
        "CreditStateEnum": "wallet.api.payment_serializers.CREDIT_STATES",
    },
    "PATH_CONVERTER_OVERRIDES": {"any_case_uuid": {"type": "string", "format": "uuid"}},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "cashback.http.openapi_problems.describe_problems",
    ],
}

# --- Scheduler --------------------------------------------------------------------------------------------------------

# Tasks are rows of PostgreSQL: a task enqueued by a rolled-back transaction does not run, a killed worker's task runs again.
Q_CLUSTER = {
    "name": "cashback",
    "orm": "default",
    "workers": read_int("CLUSTER_WORKERS", 4),
    "timeout": 240,
    "retry": read_int("CLUSTER_RETRY", 300),
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "label": "Schedules",
    "save_limit": 500,
    "poll": 1,
}

# --- Webhooks -----------------------------------------------------------------------------------------------------------

# How long a receiver may take to answer, in seconds, and how long to wait after its first failure; the waits then double.
WEBHOOK_TIMEOUT: float = read_positive_int("WEBHOOK_TIMEOUT", 10)
WEBHOOK_RETRY_SECONDS: float = read_positive_int("WEBHOOK_RETRY_SECONDS", 5)
# Whether webhooks may use http:// and go to private addresses, such as this machine. Local mode only (cashback.checks).
WEBHOOK_PRIVATE_ADDRESSES: bool = env.bool("WEBHOOK_PRIVATE_ADDRESSES", LOCAL)

# --- Mail ---------------------------------------------------------------------------------------------------------------

EMAIL_CONFIG = read_email_url("EMAIL_URL")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", "Cashback <no-reply@localhost>")

# --- Languages, files, logging ----------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("hi", "हिन्दी")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
TIME_ZONE = "UTC"
USE_I18N = USE_TZ = True
# Dates and times are typed in ISO 8601, in every language. The settings of the same names are for third parties that read them.
FORMAT_MODULE_PATH = ["cashback.formats"]
DATE_INPUT_FORMATS, TIME_INPUT_FORMATS, DATETIME_INPUT_FORMATS = (
    formats.DATE_INPUT_FORMATS,
    formats.TIME_INPUT_FORMATS,
    formats.DATETIME_INPUT_FORMATS,
)
STATIC_URL = "static/"
# In local mode static files are served from the source folders; a deployment collects them (manage.py collectstatic).
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
# "json": one JSON object per line, and one line per request.
LOG_FORMAT = read_log_format("LOG_FORMAT")
# Where the log goes. Containers set stdout; commands write what they were asked for there, so it is not the default.
LOG_STREAM = f"ext://sys.{read_log_stream('LOG_STREAM')}"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
        "json": {"()": "cashback.log_format.JSONFormatter"},
        "bare": {"format": "{message}", "style": "{"},
    },
    "filters": {
        "request_id": {"()": "cashback.log_format.RequestIdFilter"},
        "client_error": {"()": "cashback.log_format.ClientErrorFilter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "stream": LOG_STREAM,
            "formatter": LOG_FORMAT,
            "filters": ["request_id", "client_error"],
        },
        "audit": {"class": "logging.StreamHandler", "stream": LOG_STREAM, "formatter": "bare"},
    },
    "root": {"handlers": ["console"], "level": read_level("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django-q": {"level": "WARNING"},
        # The audit log: lines of JSON (accounts/audit.py), independent of LOG_LEVEL.
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
    # The green of the pages, from the lightest shade to the darkest.
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
