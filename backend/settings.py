"""Every setting, read from the environment; a value that is missing or wrong stops the boot and says which.

Any variable NAME may be given as NAME_FILE instead: the path of a file with the value in it, as secrets are mounted.
"""

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from backend.logs import logging_config
from backend.production import ENVIRONMENTS, refuse

ROOT = Path(__file__).resolve().parent.parent


def env(name: str, default: str | None = None) -> str:
    """Return a variable, from NAME or from the file that NAME_FILE names. Raises ImproperlyConfigured when unset."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text().strip()
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"Set {name} (or {name}_FILE). `make serve` sets it for you on one machine.")
    return value


def env_bool(name: str, default: str = "0") -> bool:
    value = env(name, default).lower()
    if value not in ("0", "1", "true", "false"):
        raise ImproperlyConfigured(f"{name} is 0 or 1, not {value!r}.")
    return value in ("1", "true")


def env_int(name: str, default: int, least: int = 0) -> int:
    value = env(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise ImproperlyConfigured(f"{name} is a whole number from {least}, not {value!r}.")
    return int(value)


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


def networks(given: list[str]) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(item) for item in given]
    except ValueError as error:
        raise ImproperlyConfigured(f"A list of networks looks like 10.1.0.0/16,10.2.0.0/16: {error}.") from error


def ports(given: list[str]) -> list[int]:
    if not all(port.isdecimal() and 0 < int(port) < 65536 for port in given):
        raise ImproperlyConfigured(f"A list of ports looks like 443,8443, not {','.join(given)}.")
    return [int(port) for port in given]


def secret_ring(given: list[str]) -> dict[str, bytes]:
    """Read `name:64 hexadecimal digits` items, in their order (tenants/secrets.py). Raises ImproperlyConfigured."""
    ring: dict[str, bytes] = {}
    for item in given:
        name, _, digits = item.partition(":")
        fits = re.fullmatch(r"[A-Za-z0-9-]{1,40}", name) and re.fullmatch(r"[0-9a-fA-F]{64}", digits)
        if not fits or name in ring:  # which is not shown: it may be a key
            raise ImproperlyConfigured(
                "BESPOKE_SECRET_KEYS is a list of keys such as 2026-11:<what `openssl rand -hex 32` prints>, each under"
                " a name of its own, the one that seals first."
            )
        ring[name] = bytes.fromhex(digits)
    return ring


def database(url: str, options: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Turn postgresql://user:password@host:port/name?host=/socket/folder into Django's setting."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured("Database URLs begin with postgresql://")
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    host = unquote(query.pop("host", "")) or (parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or query.pop("port", "")),
        "OPTIONS": {**{key: unquote(value) for key, value in query.items()}, **options},
        "CONN_HEALTH_CHECKS": True,
        **settings,
    }


ENVIRONMENT = env("BESPOKE_ENVIRONMENT", "production")
if ENVIRONMENT not in ENVIRONMENTS:
    raise ImproperlyConfigured(f"BESPOKE_ENVIRONMENT is production or local, not {ENVIRONMENT!r}.")
SECRET_KEY = env("SECRET_KEY")
SECRET_RING = secret_ring([item.strip() for item in env("BESPOKE_SECRET_KEYS").split(",")])
DEBUG = env_bool("BESPOKE_DEBUG")
BASE_URL = env("BESPOKE_BASE_URL", "http://localhost:8000")
_SECURE = BASE_URL.startswith("https://")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS") or [urlsplit(BASE_URL).hostname or "", "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
CSRF_FAILURE_VIEW = "backend.web.views.outdated.refused"

# Three roles, three connections (docs/decisions/0001). Only migrations connect as the owner, with row security off so
# that a statement which policies would silently empty raises instead. A pool, because under ASGI every request would
# open a connection of its own.
_LIMITS = "-c statement_timeout=30s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"
# What is prepared finds its rows by keys, whatever they are. PostgreSQL would plan it anew each time all the same: a
# plan for the partition that a value lies in seems cheaper than one for all. It took half of a call's beginning.
_PLANS = "-c plan_cache_mode=force_generic_plan"
# `reconnect_timeout`: psycopg_pool backs off for up to five minutes by default, and a database that is back would wait.
_POOL = {
    "min_size": 1,
    "max_size": env_int("BESPOKE_DB_POOL", 24),
    "timeout": 5,
    "reconnect_timeout": 2,
    "max_lifetime": 1800,
}
_SERVING: dict[str, Any] = {"options": f"{_LIMITS} {_PLANS}", "connect_timeout": 5}
_POOLED = env_bool("BESPOKE_DB_POOLED", "1")
# A statement that is prepared belongs to a connection, which a pooler in transaction mode gives to somebody else next.
PREPARE_AFTER = 2 if env_bool("BESPOKE_DB_PREPARED", "1" if _POOLED else "0") else None
_SERVING["prepare_threshold"] = PREPARE_AFTER
# Threads of a web process in which its busiest doors ask the database (backend/threads.py). More of them wait for each
# other's turn at the interpreter rather than for PostgreSQL.
DOOR_THREADS = env_int("BESPOKE_DOOR_THREADS", 4, least=1)
if _POOLED:
    _SERVING["pool"] = _POOL
DATABASES = {
    "default": database(env("DATABASE_URL"), _SERVING),
    "operator": database(env("DATABASE_OPERATOR_URL"), _SERVING),
}
if os.environ.get("DATABASE_OWNER_URL") or os.environ.get("DATABASE_OWNER_URL_FILE"):
    DATABASES["owner"] = database(env("DATABASE_OWNER_URL"), {"options": "-c row_security=off -c lock_timeout=2s"})

REDIS_URL = env("REDIS_URL")
# allauth counts in it who knocks at the login: for all processes together, and nobody signs in while it is away.
CACHES = {
    "default": {
        "BACKEND": "backend.guesses.Guesses",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
        "KEY_PREFIX": "cache",
    }
}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "template_partials",
    "csp",
    "tenants",
    "features",
    "features.runs",
    "backend",
    "backend.web",
]

MIDDLEWARE = [
    "backend.middleware.request_id",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "backend.middleware.ErrorPages",
]

ROOT_URLCONF = "backend.urls"
ASGI_APPLICATION = "backend.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "backend" / "web" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "backend.web.context.shell",
            ],
        },
    },
]
STATIC_URL = "/static/"
STATIC_ROOT = ROOT / "staticfiles"
SERVESTATIC_USE_FINDERS = not STATIC_ROOT.exists()
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT.exists()
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

AUTH_USER_MODEL = "tenants.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "backend.accounts.Adapter"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""  # allauth would put the host there that a request names
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key", "reset_password": "10/m/ip,3/5m/key"}
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900  # seconds since the last proof of who one is, before one's own locks change
MFA_ADAPTER = "backend.second_factor.Adapter"
# allauth fears an address that is not verified, of a stranger who signed up with it. Nobody signs up here, and whoever
# has a password got it by a link that was mailed to the address.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Bespoke"
MFA_TOTP_TOLERANCE = 1  # periods of 30 s that a clock may be off
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
EMAIL_BACKEND = env("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", "bespoke@localhost")
EMAIL_HOST = env("EMAIL_HOST", "localhost")
EMAIL_PORT = env_int("EMAIL_PORT", 25)
EMAIL_HOST_USER = env("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS, EMAIL_USE_SSL = env_bool("EMAIL_USE_TLS"), env_bool("EMAIL_USE_SSL")
EMAIL_TIMEOUT = env_int("EMAIL_TIMEOUT", 10)  # a transaction waits for it (features/mailing.py)

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _SECURE
# Cookies know no ports: without the port in the name, two checkouts on one machine would sign each other out.
_PORT = urlsplit(BASE_URL).port or ""
SESSION_COOKIE_NAME = "__Host-session" if _SECURE else f"session{_PORT}"
CSRF_COOKIE_NAME = "__Host-csrf" if _SECURE else f"csrf{_PORT}"
MESSAGE_STORAGE = "backend.sessions.Messages"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True  # pages hold the token for their own scripts
SECURE_HSTS_SECONDS = 31_536_000 if _SECURE else 0
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env_bool("BESPOKE_BEHIND_PROXY") else None
# How many proxies of ours add to X-Forwarded-For: the address before theirs counts for logins; 0 believes no header.
ALLAUTH_TRUSTED_PROXY_COUNT = env_int("BESPOKE_PROXIES", 1 if SECURE_PROXY_SSL_HEADER else 0)
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [NONCE],  # and what such a script imports; without one, as in an answer of the API, none
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

LANGUAGE_CODE = "en"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["backend.api.asking.ActorAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["backend.api.asking.Known"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["backend.api.asking.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "backend.api.schema.DoorSchema",
    "EXCEPTION_HANDLER": "backend.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Bespoke",
    "DESCRIPTION": "Features that are behavior: run them, shape them for yourself, put them back.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {"Layer": ["user", "tenant"]},
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
}

# The model providers that targets may name: their endpoint and the vendor's credential for it.
PROVIDERS = {
    env("BESPOKE_PROVIDER", "openai"): {
        "base_url": env("OPENAI_BASE_URL", "https://api.openai.com/v1"),
        "api_key": env("OPENAI_API_KEY", ""),
    }
}

# What the alias of the catalog's features means at first, and what its tokens cost (micro-units per million).
DEFAULT_MODEL = {
    "alias": "standard",
    "provider": next(iter(PROVIDERS)),
    "model": env("BESPOKE_MODEL", "gpt-5-mini"),
    "input_price": env_int("BESPOKE_INPUT_PRICE", 250_000),
    "output_price": env_int("BESPOKE_OUTPUT_PRICE", 2_000_000),
    "max_tokens_parameter": env("BESPOKE_MAX_TOKENS_PARAMETER", "max_completion_tokens"),
}

# The worker: how many runs one process drives at once, how many of one tenant, and how long a claim stands unrenewed.
WORKER_SLOTS = env_int("BESPOKE_WORKER_SLOTS", 16)
TENANT_SLOTS = env_int("BESPOKE_TENANT_SLOTS", 0)  # over all workers; 0: half of the slots there are
LEASE_SECONDS = env_int("BESPOKE_LEASE_SECONDS", 30)
CANARY_SECONDS = env_int("BESPOKE_CANARY_SECONDS", 15)
CANARY_LATE_SECONDS = env_int("BESPOKE_CANARY_LATE_SECONDS", 60)
CURRENCY = env("BESPOKE_CURRENCY", "EUR")
CACHE_SECONDS = env_int("BESPOKE_CACHE_SECONDS", 86_400)  # for features that say nothing of it; 0 turns caching off
UNSTORED_SECONDS = env_int("BESPOKE_UNSTORED_SECONDS", 60)  # to fetch an output that is not to be stored
UNSTORED_BATCH_SECONDS = env_int("BESPOKE_UNSTORED_BATCH_SECONDS", 3600)  # the same for batches, from their end
OPEN_BATCHES = env_int("BESPOKE_OPEN_BATCHES", 20, 1)  # that a tenant may have which have not ended
BATCH_BYTES = env_int("BESPOKE_BATCH_BYTES", 256 * 1024 * 1024, 1)  # of the body of one
PREVIEW_COST = env_int("BESPOKE_PREVIEW_COST", 1_000_000)  # micro-units that one preview may cost at the worst

SECOND_APPROVAL = env_bool("BESPOKE_SECOND_APPROVAL")  # publishing to everybody, rollouts and withdrawals take two

# What a tenant and each of its credentials may ask for, where no number of their own says otherwise.
REQUESTS_PER_MINUTE = env_int("BESPOKE_REQUESTS_PER_MINUTE", 6000, 1)
KEY_REQUESTS_PER_MINUTE = env_int("BESPOKE_KEY_REQUESTS_PER_MINUTE", 3000, 1)
CONCURRENT_RUNS = env_int("BESPOKE_CONCURRENT_RUNS", 1000, 1)
KEY_CONCURRENT_RUNS = env_int("BESPOKE_KEY_CONCURRENT_RUNS", 500, 1)

# Where customers' own addresses may lead (tenants/outbound.py): the public internet by TLS at these ports, and networks
# of one's own that are named here, at any port and without TLS too.
OUTBOUND_PORTS = ports(env_list("BESPOKE_OUTBOUND_PORTS", "443"))
OUTBOUND_NETWORKS = networks(env_list("BESPOKE_OUTBOUND_NETWORKS"))

# Where audit chains' heads are told besides the log: a file that lines are added to, or an https address.
AUDIT_HEADS = env("BESPOKE_AUDIT_HEADS", "")

# How long backups are kept, by your own rule: reports of erasures say until when backups hold what was erased.
BACKUP_DAYS = env_int("BESPOKE_BACKUP_DAYS", 35, 1)

METRICS_TOKEN = env("BESPOKE_METRICS_TOKEN", "")
METRICS_PORT = env_int("BESPOKE_METRICS_PORT", 0)

LOG_FORMAT = env("BESPOKE_LOG_FORMAT", "json")
if LOG_FORMAT not in ("json", "console"):
    raise ImproperlyConfigured(f"BESPOKE_LOG_FORMAT is json or console, not {LOG_FORMAT!r}.")
LOGGING = logging_config(form=LOG_FORMAT, level=env("BESPOKE_LOG_LEVEL", "INFO"))

if ENVIRONMENT == "production":
    refuse(globals())
