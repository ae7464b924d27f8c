"""Suspects: which resources a rejection names. Envoy's text usually says so; otherwise nobody is accused by words."""

import re
from collections.abc import Iterable

_LONGEST_TEXT = 1024
_QUIET = 3  # names as short as English words are believed only where quotes or a colon stand beside them


def named(text: str, names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that stand in ``text`` as words of their own."""
    return [name for name in names if name in text and _stands_alone(text, name)]


def _stands_alone(text: str, name: str) -> bool:
    quoted = r"(?<=['\"`])" + re.escape(name) + r"(?=['\"`])|(?<![\w.-])" + re.escape(name) + r"(?=:)"
    if re.search(quoted, text):
        return True
    return len(name) > _QUIET and re.search(r"(?<![\w./-])" + re.escape(name) + r"(?![\w/-])", text) is not None


def one_line(text: str) -> str:
    """Return Envoy's words fit for a table: one line, cut in the middle because the reason stands last."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "rejected without a reason"
    if len(line) <= _LONGEST_TEXT:
        return line
    half = _LONGEST_TEXT // 2 - 3
    return f"{line[:half]} ... {line[-half:]}"
