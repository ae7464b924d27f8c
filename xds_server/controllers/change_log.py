"""The change log, read backwards: which rows were one wish, what one may put back, what stood at a revision.

Knows rows with their before-images. Does not know how they are read, nor what is in force now.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from xds_server.controllers import override_documents as documents
from xds_server.domain.refusal import Kind, Refusal
from xds_server.ports import Change

EXPIRE: Final = "expire"
ROLL_BACK: Final = "roll-back"
_FROM: Final = "from revision "


def concerns(change: Change, service: str) -> bool:
    """Return whether a row is of a service (empty: any)."""
    return not service or change.subject.split("/")[1:2] == [service]


def reason_of_roll_back(revision: int, newest: int, reason: str) -> str:
    """Return the reason as the log keeps it: it names both pictures."""
    return f"{_FROM}{newest} to {revision}" + (f": {reason}" if reason else "")


def act(revision: int, rows: Sequence[Change]) -> list[Change]:
    """Return the rows of the one wish that ``revision`` belongs to: same moment, actor, action and endpoint."""
    asked = next((c for c in rows if c.revision == revision), None)
    return [c for c in rows if _wish(c) == _wish(asked)] if asked else []


def _wish(c: Change) -> tuple[float, str, str, str]:
    return c.at_s, c.actor, c.action, c.reason if c.action == ROLL_BACK else c.subject.partition("/")[2]


def undoable(revision: int, rows: Sequence[Change]) -> str:
    """Return the service whose one change this is; raises Refusal when it cannot be put back by itself."""
    if not rows:
        raise Refusal(Kind.UNKNOWN, f"there is no change at revision {revision}; `xdsctl history` lists them")
    kind, _, key = rows[0].subject.partition("/")
    if rows[0].action == EXPIRE:
        raise Refusal(Kind.FORBIDDEN, f"the time of {rows[0].subject} had come; pin it again instead")
    if rows[0].action == ROLL_BACK:
        before = rows[0].reason.removeprefix(_FROM).partition(" ")[0]
        raise Refusal(
            Kind.FORBIDDEN,
            f"revision {revision} is part of a roll-back; `xdsctl undo --to {before}` takes all of it back",
        )
    if kind not in documents.KINDS:
        raise Refusal(
            Kind.FORBIDDEN,
            f"revision {revision} ({rows[0].action} {rows[0].subject}) is no operator's setting and cannot be put "
            "back; subnets are given back with `xdsctl subnets release`",
        )
    return key.partition("/")[0]


def stood_at(revision: int, rows: Sequence[Change], service: str) -> Mapping[str, documents.Body | None]:
    """Return what every operator's fact that changed since ``revision`` was then (subject -> body; None: not there).

    ``rows``: newest first, down to the one at ``revision``, which counts with all of its wish. Only of ``service``
    (empty: of all).
    """
    wish = {c.revision for c in act(revision, rows)}
    return {
        c.subject: c.before
        for c in rows
        if c.revision > revision
        and c.revision not in wish
        and c.subject.partition("/")[0] in documents.KINDS
        and concerns(c, service)
    }
