"""Settings, all read from the environment; README.md has the table of variables.

DEBUG is off unless asked for. Without DEBUG a SECRET_KEY must be given: there is no default to forget.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import environ
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Where a machine keeps what it makes: private servers, media, logs.
VAR = Path(env.str("GENRESITE_VAR", default=str(BASE_DIR / "var"))).resolve()

TESTING = "pytest" in sys.modules
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="only-ever-used-in-tests-" * 3 if TESTING else "")
if not SECRET_KEY:
    # Commands that need no secret (collectstatic in a container build, type checkers) say so themselves.
    if not env.bool("GENRESITE_NO_SECRETS", default=False):
        raise ImproperlyConfigured(
            "Set SECRET_KEY (50 or more random characters); `make demo` makes its own."
        )
    SECRET_KEY = "no-secrets-in-this-process"  # noqa: S105 - never signs anything, see above
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# True behind TLS: secure cookies, redirect, HSTS. False only for a site on loopback, as `make demo` is.
HTTPS = env.bool("HTTPS", default=not TESTING)

INSTALLED_APPS = [
    "genresite.apps.AdministrationConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "rest_framework",
    "ledger",
    "catalog",
    "predictor",
    "genresite.apps.GenresiteConfig",
]

MIDDLEWARE = [
    "predictor.api.middleware.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "genresite.outage.DatabaseOutageMiddleware",
]

ROOT_URLCONF = "genresite.urls"
WSGI_APPLICATION = "genresite.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Database -------------------------------------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", default="postgresql://localhost/genresite")
IN_CELERY = Path(sys.argv[0]).name == "celery" or env.bool("GENRESITE_CELERY", default=False)
# libpq's own reading of the address: sockets (`user@%2Frun%2Fpg/name`), TLS parameters and all.
_database = conninfo_to_dict(DATABASE_URL)
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.pop("dbname", "genresite"),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": str(_database.pop("port", "")),
        "OPTIONS": {
            "connect_timeout": 5,
            "options": "-c lock_timeout=60s -c idle_in_transaction_session_timeout=15min",
            **_database,
        },
    }
}
DATABASES["default"]["CONN_MAX_AGE"] = 0
if not (TESTING or IN_CELERY or env.bool("GENRESITE_NO_POOL", default=False)):
    # The pool checks a connection before lending it, so a restarted database costs one reconnect and no
    # error. Not in Celery workers, some of which fork, and not in tests: an open pool blocks DROP DATABASE.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": env.int("DATABASE_POOL_SIZE", default=16),
        "timeout": 5,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Broker, cache, workers -----------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
if TESTING:
    # Tests empty their broker: a database of their own, so that no running site loses its messages.
    REDIS_URL = (
        f"{REDIS_URL.partition('?')[0]}?db=9"
        if REDIS_URL.startswith("unix:")
        else urlsplit(REDIS_URL)._replace(path="/9").geturl()
    )


def _celery_broker_url(url: str) -> str:
    """Celery spells a Unix socket ``redis+socket://PATH?virtual_host=DB``; redis-py ``unix://PATH?db=DB``."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    return f"redis+socket://{parts.path}?virtual_host={parse_qs(parts.query).get('db', ['0'])[0]}"


CELERY_BROKER_URL = _celery_broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_DEFAULT_QUEUE = "io"
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 2}
CELERY_TASK_PUBLISH_RETRY = False  # whoever asks for work is told within 2 s that the broker is down
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    # Finds chunks whose worker died (the lease ran out) and wakes workers for whatever waits.
    "sweep-ledger": {
        "task": "ledger.tasks.sweep",
        "schedule": timedelta(seconds=15),
        "options": {"expires": 15},
    },
    # Finds trainings whose supervisor died, wakes the train worker for what waits, and asks for a scheduled one.
    "tend-trainings": {
        "task": "predictor.tasks.tend_trainings",
        "schedule": timedelta(seconds=15),
        "options": {"expires": 15, "queue": "io"},
    },
    # Finds films that lack a current prediction: newly imported or changed ones.
    "predict-missing": {
        "task": "predictor.tasks.start_missing_predictions",
        "schedule": timedelta(seconds=30),
        "options": {"expires": 30, "queue": "io"},
    },
    # Looks whether films from TMDB are due to be fetched again; TMDB_SYNC_HOURS says how often they are.
    "sync-tmdb": {
        "task": "catalog.tasks.start_tmdb_sync",
        "schedule": timedelta(minutes=15),
        "options": {"expires": 900, "queue": "io"},
    },
}

CACHES = {
    "default": {
        "BACKEND": "genresite.cache.FailOpenRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "genresite",
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
}

# Accounts and security ------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "browse"
LOGOUT_REDIRECT_URL = "browse"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # probes come from inside, without TLS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}
# Forms and uploads: a poster is at most 10 MB, a CSV is streamed to a file.
DATA_UPLOAD_MAX_MEMORY_SIZE = 11 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# Language, static files, media ----------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG
MEDIA_URL = "media/"
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(VAR / "media")))
# Where media are kept: in MEDIA_ROOT, or in a bucket, whose keys and region boto3 finds where it always does.
MEDIA_STORAGE = env.str("MEDIA_STORAGE", default="folder")
if MEDIA_STORAGE not in {"folder", "s3"}:
    raise ImproperlyConfigured(f"MEDIA_STORAGE is {MEDIA_STORAGE!r}; it has to be `folder` or `s3`.")
MEDIA_BUCKET = env.str("AWS_STORAGE_BUCKET_NAME", default="")
if MEDIA_STORAGE == "s3" and not MEDIA_BUCKET:
    raise ImproperlyConfigured(
        "Set AWS_STORAGE_BUCKET_NAME to the bucket that MEDIA_STORAGE=s3 keeps media in."
    )
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "genresite.folder_storage.FolderStorage"}
    if MEDIA_STORAGE == "folder"
    else {
        "BACKEND": "genresite.bucket_storage.BucketStorage",
        "OPTIONS": {
            "bucket_name": MEDIA_BUCKET,
            "endpoint_url": env.str("AWS_S3_ENDPOINT_URL", default="") or None,
        },
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# API ------------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "predictor.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["predictor.api.parsers.BoundedJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "predictor.api.negotiation.AlwaysJson",
    "DEFAULT_METADATA_CLASS": None,  # the schema describes the API, not OPTIONS
    "DEFAULT_SCHEMA_CLASS": "predictor.api.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "predictor.api.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    # Whose word on a client's address counts: the proxy's in front of us, and nobody's where there is none.
    "NUM_PROXIES": 1 if env.bool("BEHIND_PROXY", default=False) else 0,
}
# Online predictions an address, or an account, may ask for: N/s, N/min, N/h or N/d.
PREDICT_RATE_ANONYMOUS = env.str("PREDICT_RATE_ANONYMOUS", default="30/min")
PREDICT_RATE_USER = env.str("PREDICT_RATE_USER", default="1200/min")
REST_KNOX = {"TOKEN_TTL": timedelta(days=365), "AUTO_REFRESH": False}
SPECTACULAR_SETTINGS = {
    "TITLE": "Genresite API",
    "DESCRIPTION": "Films, what the model says of their genres, and predictions on request.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,  # a file goes in as bytes and comes out as an address
    # Fields of the same name with other choices.
    "ENUM_NAME_OVERRIDES": {
        "ImportState": "catalog.models.ImportRun.State",
        "TrainingState": "predictor.models.TrainingRun.State",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Genresite's own ------------------------------------------------------------------------------------------

# The model that `manage.py register_model` takes when not told another, and where registered ones are kept.
SHIPPED_MODEL = BASE_DIR / "models" / "genresite-v4"
MODEL_ROOT = Path(env.str("MODEL_ROOT", default=str(VAR / "models")))
# Where the train worker keeps snapshots, checkpoints and logs of trainings that are not done yet.
TRAINING_ROOT = Path(env.str("TRAINING_ROOT", default=str(VAR / "training")))
# Candidates beyond the newest so many are removed, unless promoted once or with predictions (predictor.pruning).
KEEP_CANDIDATES = env.int("KEEP_CANDIDATES", default=20)
# A training is asked for by itself so many days after the last one was; 0 is never.
RETRAIN_EVERY_DAYS = env.float("RETRAIN_EVERY_DAYS", default=0)
# Films a chunk: big enough to spread its cost, small enough that a lost worker loses little (about 5 s).
PREDICT_CHUNK_FILMS = env.int("PREDICT_CHUNK_FILMS", default=512)
# How long a page or API call waits for an online prediction before it answers 503.
ONLINE_TIMEOUT_SECONDS = env.float("ONLINE_TIMEOUT_SECONDS", default=20.0)
# Waiting online requests beyond which a new one is answered 503 with Retry-After.
ONLINE_QUEUE_LIMIT = env.int("ONLINE_QUEUE_LIMIT", default=256)
# A lease is renewed every third of it, so a dead worker's chunk is free again within this plus one sweep.
LEASE_SECONDS = env.float("LEASE_SECONDS", default=30.0)

# TMDB -----------------------------------------------------------------------------------------------------

# An API key (32 hexadecimal digits) or a read access token; without it nothing is asked of TMDB.
TMDB_API_KEY = env.str("TMDB_API_KEY", default="")
TMDB_API_BASE = env.str("TMDB_API_BASE", default="https://api.themoviedb.org/3")
TMDB_IMAGE_BASE = env.str("TMDB_IMAGE_BASE", default="https://image.tmdb.org/t/p/")
TMDB_EXPORT_BASE = env.str("TMDB_EXPORT_BASE", default="https://files.tmdb.org/p/exports/")
TMDB_LANGUAGE = env.str("TMDB_LANGUAGE", default="en-US")
# Of all workers together. TMDB's own upper limit is "somewhere in the 40 requests per second range".
TMDB_REQUESTS_PER_SECOND = env.float("TMDB_REQUESTS_PER_SECOND", default=40.0)
TMDB_POSTER_SIZE = env.str("TMDB_POSTER_SIZE", default="w342")
# TMDB lets nobody keep its data for longer than six months; a month before that they are fetched again.
TMDB_REFRESH_DAYS = env.int("TMDB_REFRESH_DAYS", default=150)
TMDB_REFRESH_FILMS = env.int("TMDB_REFRESH_FILMS", default=5_000)
# How often changes are asked for; 0 for never by itself.
TMDB_SYNC_HOURS = env.float("TMDB_SYNC_HOURS", default=6.0)

# Logging --------------------------------------------------------------------------------------------------

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "genresite.masking.MaskingFormatter",
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer()
                if env.bool("LOG_JSON", default=not DEBUG)
                else structlog.dev.ConsoleRenderer(colors=False),
            ],
            "foreign_pre_chain": [
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
            ],
        }
    },
    "filters": {"masking": {"()": "genresite.masking.MaskingFilter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.db.backends": {"level": "INFO"},
        "urllib3.connectionpool": {"filters": ["masking"]},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
