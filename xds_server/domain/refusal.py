"""Refusal: a wish that was understood and not granted, with words for the one who wished.

Knows the kinds a caller must tell apart. Does not know which status code or exit code they become.
"""

from enum import StrEnum


class Kind(StrEnum):
    """Why a wish was refused.

    What it names is unknown, it is malformed, it is outdated, the state forbids it, or no endpoint may get traffic.
    """

    UNKNOWN = "unknown"
    INVALID = "invalid"
    STALE = "stale"
    FORBIDDEN = "forbidden"
    NO_ENDPOINT = "no_endpoint"


class Refusal(Exception):
    """The text says what, where, and what to do next; for INVALID it lists every fault."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
