"""Refusal: a wish that was understood and not granted, with words for the one who wished.

Knows the kinds a caller must tell apart. Does not know which status code or exit code they become.
"""

from enum import StrEnum


class Kind(StrEnum):
    """Why a wish was refused: what it names is unknown, it is malformed, it is outdated, or the state forbids it."""

    UNKNOWN = "unknown"
    INVALID = "invalid"
    STALE = "stale"
    FORBIDDEN = "forbidden"


class Refusal(Exception):
    """The text says what, where, and what to do next; for INVALID it lists every fault."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
