"""Netconf: a node whose interfaces are configured by NETCONF (RFC 6241): ietf-interfaces, one transaction a change.

Locks, reads, edits the candidate, commits, reads back, and only then confirms the commit where the server can take one
back. Knows the order of requests. Does not know SSH or XML. Remembers a session, and nothing else.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from xds_server.adapters.netconf import words
from xds_server.adapters.netconf.session import Place, Refused, Session
from xds_server.decisions.yang import Edit, Entry, Malformed, differences, edits
from xds_server.domain.interfaces import Interface
from xds_server.domain.names import SubnetId
from xds_server.ports import NodeConfigurator, Unavailable

T = TypeVar("T")
_REQUESTS: Final = 20
"""So many requests one call takes at most, before it is one per subnet: bounds how long a call may block."""
_CONFIRM_S: Final = "60"
"""A commit that is not confirmed within so many seconds undoes itself, if our session has not ended before."""


class Netconf:
    """One node."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session: Session | None = None
        self._lock = asyncio.Lock()

    async def observe(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[str, tuple[str, ...]]:
        """Return what differs from what is wanted, in words, by subnet. Raises Unavailable."""
        return await self._in_thread(lambda session: differences(_read(session), wanted), _REQUESTS)

    async def reconcile(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, str]:
        """Make the node hold these interfaces and no others of ours; return its words for those it refused.

        All in one transaction; if the node refuses that, one transaction for each, to tell which. Raises Unavailable.
        """
        return await self._in_thread(lambda session: _reconcile(session, wanted), _REQUESTS * (len(wanted) + 1))

    async def close(self) -> None:
        """Hang up; what is configured stays."""
        self._hang_up()

    async def _in_thread(self, work: Callable[[Session], T], requests: int) -> T:
        async with self._lock:
            done = False
            try:
                async with asyncio.timeout(self._place.timeout_s * requests):
                    found = await asyncio.to_thread(self._with_session, work)
                    done = True
                    return found
            except TimeoutError:
                raise Unavailable("timeout", f"{self._place}: it is too slow") from None
            except Malformed as error:
                raise Unavailable("malformed", f"{self._place}: {error}") from error
            except Refused as error:
                raise Unavailable("refused", f"{self._place}: {error}") from error
            finally:
                if not done:  # in which state it is nobody knows; a thread that still waits there wakes
                    self._hang_up()

    def _with_session(self, work: Callable[[Session], T]) -> T:
        if self._session is None:
            self._session = Session(self._place)
        return work(self._session)

    def _hang_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _reconcile(session: Session, wanted: Mapping[SubnetId, Interface]) -> dict[SubnetId, str]:
    with _locked(session):
        changes, refused = edits(_read(session), wanted)
        return {**refused, **_apply(session, changes)}


@contextmanager
def _locked(session: Session) -> Iterator[None]:
    """Keep others out of the candidate, and from committing theirs, until ours is committed.

    Not the running configuration: netconfd then takes a commit back in words only.
    """
    session.ask(words.on("lock", "candidate"))
    try:
        yield
    finally:
        with suppress(Refused, Unavailable):  # it goes with the session at the latest
            session.ask(words.on("unlock", "candidate"))


def _apply(session: Session, changes: list[Edit]) -> dict[SubnetId, str]:
    if not changes:
        return {}
    try:
        _commit(session, changes)
    except Refused as why:
        session.ask(words.operation("discard-changes"))
        if len(changes) == 1:
            return {changes[0].subnet: str(why)}
    else:
        return {}
    refused: dict[SubnetId, str] = {}
    for change in changes:
        refused |= _apply(session, [change])
    return refused


def _commit(session: Session, changes: list[Edit]) -> None:
    """Change, commit, read back, confirm; what was committed otherwise than asked is taken back. Raises Refused."""
    session.ask(words.edit_config(changes))
    confirms = session.confirms
    session.ask(
        words.operation("commit", confirmed="", confirm_timeout=_CONFIRM_S) if confirms else words.operation("commit")
    )
    there = {entry.name: entry for entry in _read(session)}
    untrue = [change.name for change in changes if there.get(change.name) != change.entry]
    if not untrue:
        if confirms:
            session.ask(words.operation("commit"))
        return
    if confirms:
        session.ask(words.operation("cancel-commit"))
    raise Refused(f"committed, and read back otherwise: {', '.join(untrue[:5])}")


def _read(session: Session) -> list[Entry]:
    return words.entries(session.ask(words.get_interfaces()))


_fits: Callable[[Place], NodeConfigurator] = Netconf
