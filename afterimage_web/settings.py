"""Settings. Everything that differs between servers comes from the environment; `.env.example` lists it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from afterimage_web import embedded
from afterimage_web.environment import (
    WrongSetting,
    checked_address,
    checked_database,
    checked_keys,
    env_flag,
    env_list,
    env_log_level,
    env_number,
    env_text,
    env_time_zone,
)
from afterimage_web.keyfiles import key_from
from afterimage_web.logs import tells_something

BASE_DIR = Path(__file__).resolve().parent.parent

DATA_DIR = Path(os.environ.get("AFTERIMAGE_DATA", BASE_DIR / "data")).absolute()
DEBUG = env_flag("DEBUG")
SERVICES = embedded.urls_from(os.environ, DATA_DIR)  # first: it says clearly if the data folder cannot be used
SECRET_KEY = os.environ.get("SECRET_KEY") or key_from(DATA_DIR / "secret_key")
ENCRYPTION_KEYS = checked_keys(env_list("ENCRYPTION_KEYS") or [key_from(DATA_DIR / "encryption_key")])

# -- services: addresses from the environment, or the embedded ones of the data folder ----------------------------------

DATABASE_URL = SERVICES.database
REDIS_URL = embedded.redis_py_url(checked_address("REDIS_URL", SERVICES.redis))
QDRANT_URL = checked_address("QDRANT_URL", SERVICES.qdrant)
QDRANT_API_KEY = os.environ.get("QDRANT_API_KEY") or None

_database = checked_database(DATABASE_URL)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.pop("dbname", "afterimage"),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": _database.pop("port", ""),
        "OPTIONS": dict(_database),
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
    }
}
REDIS_PATIENCE = {"socket_connect_timeout": 5, "socket_timeout": 10}
"""Seconds: a queue that hangs must not hang the pages."""
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": REDIS_PATIENCE,
    }
}

# -- Django -------------------------------------------------------------------------------------------------------------

ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
SITE_URL = checked_address("SITE_URL", env_text("SITE_URL", "http://127.0.0.1:8000")).rstrip("/")

INSTALLED_APPS = [
    "afterimage_web",
    "datasets",
    "generation",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "ninja",
]

MIDDLEWARE = [
    "afterimage_web.health.answer_checks",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "afterimage_web.middleware.content_security_policy",
    "afterimage_web.api_problems.answers_in_json",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "afterimage_web.urls"
WSGI_APPLICATION = "afterimage_web.wsgi.application"
AUTH_USER_MODEL = "datasets.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "datasets:project-list"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["afterimage_web.templatetags.ui", "template_partials.templatetags.partials"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "datasets.context.frame",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
INSTALLED_APPS.append("django.forms")

LANGUAGE_CODE = "en-us"
TIME_ZONE = env_time_zone("TIME_ZONE")
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)  # it finds them where they lie
WHITENOISE_MAX_AGE = 24 * 60 * 60
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "afterimage_web.static_files.VersionedStaticFiles"},
}
MEDIA_ROOT = DATA_DIR / "files"
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 2**20
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
UPLOAD_MAX_BYTES = env_number("UPLOAD_MAX_MB", 200) * 2**20

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
BEHIND_TLS = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"telling": {"()": "django.utils.log.CallbackFilter", "callback": tells_something}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["telling"]}},
    "root": {"handlers": ["console"], "level": env_log_level("LOG_LEVEL")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
    },
}

# -- Celery: the queue is a hint, the database is the state ---------------------------------------------------------------

CELERY_BROKER_URL = embedded.kombu_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_connect_timeout": 5,
    "priority_steps": [0, 3, 6],
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_TASK_DEFAULT_QUEUE = "default"
# Priority 0 comes first: the ticks, and what somebody waits for at a page. Files to read, hundreds at once, come last.
CELERY_TASK_ROUTES: dict[str, dict[str, Any]] = {
    "generation.tasks.pull_run": {"queue": "press"},
    "generation.tasks.tick": {"queue": "default", "priority": 0},
    "generation.tasks.look_for_alerts": {"queue": "default", "priority": 0},
    "generation.tasks.deliver_alerts": {"queue": "default", "priority": 0},
    "generation.tasks.run_trial": {"queue": "default", "priority": 0},
    "datasets.tasks.tick": {"queue": "default", "priority": 0},
    "datasets.tasks.ingest_file": {"queue": "default", "priority": 6},
    "datasets.tasks.clear_corpus": {"queue": "default", "priority": 6},
    "*": {"queue": "default", "priority": 3},
}
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE = {
    "pull-runs": {"task": "generation.tasks.tick", "schedule": 2.0, "options": {"expires": 10}},
    "look-for-alerts": {"task": "generation.tasks.look_for_alerts", "schedule": 60.0, "options": {"expires": 50}},
    "forget-vectors": {"task": "generation.tasks.forget_vectors", "schedule": 3600.0, "options": {"expires": 600}},
    "forget-sessions": {"task": "datasets.tasks.forget_sessions", "schedule": 3600.0, "options": {"expires": 600}},
    "recover-files": {"task": "datasets.tasks.tick", "schedule": 15.0, "options": {"expires": 30}},
}

# -- e-mail: alerts, to the members who ask for them; without a server nothing is sent -------------------------------------

EMAIL_HOST = os.environ.get("EMAIL_HOST", "")
EMAIL_PORT = env_number("EMAIL_PORT", 587)
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_SSL = env_flag("EMAIL_USE_SSL")
EMAIL_USE_TLS = env_flag("EMAIL_USE_TLS", not EMAIL_USE_SSL)
if EMAIL_USE_SSL and EMAIL_USE_TLS:
    raise WrongSetting("EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other: set one of them to 0.")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("EMAIL_FROM", "afterimage@localhost")

# -- the product's own ----------------------------------------------------------------------------------------------------

SLOT_LEASE_SECONDS = env_number("SLOT_LEASE_SECONDS", 30)
"""After this long without a sign of its worker, a conversation in the making is given to another one."""

EMBEDDER = "generation.adapters.embedder_for"
"""Dotted name of `async with (corpus_id) -> Embedder | None`: how workers turn passages into vectors."""

QUESTION_EMBEDDER = "generation.questions.ask_vector"
"""Dotted name of `(corpus, text, user, number) -> Asked`: how pages get the vectors of questions, without waiting."""

ALLOW_PRIVATE_WEBHOOKS = env_flag("ALLOW_PRIVATE_WEBHOOKS")
"""Whether alerts may be posted to addresses of this server's own network."""

AFTERIMAGE_EXTENSIONS: dict[str, dict[str, str]] = {}
"""What an installation adds to the press: a name and a dotted name, by kind. See docs/extending.md."""

LOCAL_EMBEDDING_MODELS: dict[str, str] = {
    name: place or name for name, _, place in (one.partition("=") for one in env_list("LOCAL_EMBEDDING_MODELS"))
}
"""SentenceTransformer models that workers may load, by the name that people choose, each with its folder or hub name.
Needs the extra `local-embeddings` on every worker."""

UNFOLD = {
    "SITE_TITLE": "AfterImage",
    "SITE_HEADER": "AfterImage",
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "afterimage_web.overview.overview",
}
