"""Logs: one JSON object per event on stderr, ours and the libraries' alike, and never content.

Text that a library or the database words may repeat what was sent (PostgreSQL's DETAIL has row values, provider errors
have bodies). So of an exception its class, SQLSTATE and places are logged, never its message or locals; and of a
library's line that comes with an exception, the template alone.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import PurePath
from typing import Any

import structlog

FRAMES = 30  # the innermost places of one exception that are told
CHAIN = 5  # causes told
TEMPLATE_ONLY = ("django.request", "django.security", "celery.app.trace")  # whose arguments are paths and messages

Event = MutableMapping[str, Any]


class Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders what structlog and stdlib loggers say, without the arguments of lines that could hold content."""

    def format(self, record: logging.LogRecord) -> str:
        foreign = not isinstance(record.msg, dict)
        if foreign and (record.exc_info or record.name.startswith(TEMPLATE_ONLY)):
            record = logging.makeLogRecord({**record.__dict__, "msg": str(record.msg), "args": ()})
        return super().format(record)


def told(error: BaseException | None) -> list[dict[str, Any]]:
    """An exception and its causes, outermost first: {type, sqlstate, frames: ["file:line function"]}."""
    found: list[dict[str, Any]] = []
    while error is not None and len(found) < CHAIN:
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        row: dict[str, Any] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
        if sqlstate := getattr(error, "sqlstate", None):
            row["sqlstate"] = sqlstate
        row["frames"] = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        found.append(row)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def role() -> str:
    """What this process is: worker, beat, command, or web."""
    words = sys.argv[1:]
    if "celery" in PurePath(sys.argv[0]).parts or PurePath(sys.argv[0]).stem == "celery":
        return next((word for word in words if word in ("worker", "beat")), "celery")
    return "command" if PurePath(sys.argv[0]).stem == "manage" else "web"


def logging_config(*, form: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING for `json` or `console`, having set structlog up to go the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer = structlog.dev.ConsoleRenderer(colors=False) if form == "console" else structlog.processors.JSONRenderer()
    formatter = {
        "()": Formatter,
        "foreign_pre_chain": shared,
        "processors": [Formatter.remove_processors_meta, _without_text, _named, renderer],
    }
    quiet = ("httpx2", "httpcore2", "openai", "celery.worker.strategy", "celery.app.trace", "celery.beat")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"events": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "events"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            **{name: {"level": "WARNING"} for name in quiet},
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            "django.request": {"level": "ERROR"},  # what is below is in our own line of each request
            "django.security": {"level": "CRITICAL"},  # it words what a caller sent; the line has the 400 and the 403
            "uvicorn": {"level": "INFO", "handlers": [], "propagate": True},
            "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},  # it logs raw queries
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        },
    }


def _without_text(logger: Any, name: str, event: Event) -> Event:
    """Replace an exception by what `told` says of it."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["raised"] = told(error)
    return event


def _named(logger: Any, name: str, event: Event) -> Event:
    event["role"] = _ROLE
    return event


def _short(path: str) -> str:
    return "/".join(PurePath(path).parts[-3:])


_ROLE = role()
