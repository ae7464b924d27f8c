"""Logs: one line per event, for people on a terminal, as JSON elsewhere.

Knows structlog. Does not know what is logged.
"""

import logging
import sys

import structlog


def configure(level: str, form: str | None) -> None:
    """Set up logging once. ``form``: text, json, or None to choose by whether a person watches."""
    number = _number(level)
    logging.basicConfig(level=number, stream=sys.stderr, format="%(message)s")
    text = form == "text" or (not form and sys.stderr.isatty())
    last: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if text else [structlog.processors.dict_tracebacks]),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def set_level(level: str) -> str:
    """Change the level of everything logged from now on; return the level before."""
    before = logging.getLevelName(logging.getLogger().level).lower()
    logging.getLogger().setLevel(_number(level))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_number(level)))
    return str(before)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
