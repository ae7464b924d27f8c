"""Side: one client of a case: its stream, and a book per type that it talks about.

Turns what a step says into requests of either dialect, and responses into the books. Does not judge what was expected.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from xds_server.conformance.books import Book, Heard, Violation, World
from xds_server.conformance.client import DEADLINE_S, TTL_FEATURES, Client, Ended, Poll, Talk, method, node_of
from xds_server.domain.resource import TYPES, ResourceType

_SLICE_S: Final = 0.05
_STRANGE: Final = {"no type": "", "unknown type": "type.googleapis.com/unheard.Of"}


class Side:
    """One client. ``log``: every resource that came, in order; ``tell``: takes a line of what was said and heard.

    ``single``: talks to the service of that type, not to ADS; ``fetches``: by its unary method; ``spied``: versions
    that it should not know.
    """

    def __init__(self, client: Client, world: World, *, delta: bool, tell: Callable[[str], None]) -> None:
        self.client, self.world, self.delta = client, world, delta
        self.books: dict[str, Book] = {}
        self.log: list[str] = []
        self.single: ResourceType | None = None
        self.fetches = False
        self.spied: Mapping[str, str] = {}
        self.who = self.group = ""
        self._tell = tell
        self._talk: Talk | Poll | None = None

    def book(self, kind: ResourceType) -> Book:
        """Return the book of a type."""
        return self.books.setdefault(kind.url, Book(kind))

    def talk(self, *, anonymous: bool = False) -> Talk | Poll:
        """Return the stream, or what stands for one where each request is a call; opened when it is first needed.

        ``anonymous``: it never says who it is.
        """
        if self._talk is None:
            who = None if anonymous else node_of(self.who, self.group, TTL_FEATURES)
            if self.fetches and self.single is not None:
                self._talk = self.client.poll(self.single, who)
            else:
                path = method(delta=self.delta, single=self.single)
                self._talk = self.client.stream(path, delta=self.delta, node=who)
        return self._talk

    def close(self) -> None:
        """End the stream; the next request opens another, and nothing of this one is true of it but what is held."""
        if self._talk is not None:
            self._talk.close()
        self._talk = None
        for book in self.books.values():
            book.start_again()

    # ---- saying

    async def say(self, kind: ResourceType, options: Sequence[str], names: Iterable[str] = (), **fields: Any) -> None:
        """Send a request: SotW lists what the book lists, delta subscribes to ``names``. Options bend the request."""
        book = self.book(kind)
        book.asked = True
        if not self.delta:
            nonce = book.nonces[-1] if book.nonces else ""
            fields = {"version_info": book.version if book.nonces else "", "response_nonce": nonce} | fields
            names = book.listed()
        url, bent = self._bent(book, options)
        names = list(names) * (2 if "twice" in options else 1)
        self._tell(f"client {kind.short} {' '.join(names[:8])}{'...' if len(names) > 8 else ''} {_told(fields | bent)}")
        await self.talk(anonymous="as nobody" in options).say(url, *names, **(fields | bent))

    def _bent(self, book: Book, options: Sequence[str]) -> tuple[str, dict[str, Any]]:
        url, fields = book.kind.url, dict[str, Any]()
        for option in options:
            word, _, rest = option.partition(" ")
            if word == "nonce":
                fields["response_nonce"] = nonce_of(book, rest)
            elif word == "holding" and not self.delta:
                fields["version_info"] = book.version
            elif word in {"holding", "claiming"}:
                known = book.versions if word == "holding" else self.spied
                fields["initial_resource_versions"] = {name: known[name] for name in rest.split()}
            elif option == "as another":
                fields["node"] = node_of(self.who + "-another", self.group)
            elif option == "changed":
                fields["node"] = node_of(self.who, self.group, ("something.new",))
            elif option in _STRANGE:
                url = _STRANGE[option]
        return url, fields

    async def ask(self, kind: ResourceType, names: Iterable[str], options: Sequence[str] = ()) -> None:
        """Ask for more: nothing means everything, as long as nothing was ever named."""
        book, names = self.book(kind), list(names)
        was_everything = self.delta and book.asked and book.legacy  # delta: a name beside it leaves it as it is
        book.legacy = book.legacy and not names
        book.star = book.star or "*" in names or was_everything
        book.names |= set(names) - {"*"}
        without = [name for option in options if option.startswith("without ") for name in option.split()[1:]]
        book.names -= set(without)
        await self.say(kind, options, names, **({"resource_names_unsubscribe": without} if self.delta else {}))

    async def forget(self, kind: ResourceType, names: Iterable[str], options: Sequence[str] = ()) -> None:
        """Give up what was asked for."""
        book, names = self.book(kind), list(names)
        book.legacy = book.legacy and (book.asked or not self.delta)
        if "*" in names:
            book.star = book.legacy = False
        book.names -= set(names)
        await self.say(kind, options, **({"resource_names_unsubscribe": names} if self.delta else {}))

    async def answer(self, kind: ResourceType, error: str = "", options: Sequence[str] = ()) -> None:
        """Accept, or reject with these words, what was heard last; nothing if all is answered."""
        book = self.book(kind)
        if book.unanswered is None:
            return
        heard, book.unanswered = book.unanswered, None
        fields: dict[str, Any] = {"response_nonce": heard.nonce}
        if error:
            fields["error_detail"] = {"code": 13, "message": error}
        else:
            book.accept(heard, delta=self.delta)
            book.version = heard.version
        if self.fetches:
            return  # who fetches does not answer
        if not self.delta:
            fields["version_info"] = book.version
        await self.say(kind, options, **fields)

    # ---- hearing

    async def hear(self, kind: ResourceType, deadline_s: float = DEADLINE_S) -> Heard:
        """Return the next response of a type; others wait in their books. Raises TimeoutError and Violation."""
        book = self.book(kind)
        until = time.monotonic() + deadline_s
        while not book.inbox:
            await self._receive(max(0.0, until - time.monotonic()))
        return self._take(book)

    async def hear_any(self, deadline_s: float) -> tuple[ResourceType, Heard]:
        """Return the next response of whatever type. Raises TimeoutError and Violation.

        Silence counts only while this process has time to listen: a slice that took far too long is taken again.
        """
        left = deadline_s
        while not (waiting := [book for book in self.books.values() if book.inbox]):
            start = time.monotonic()
            try:
                await self._receive(min(left, _SLICE_S))
            except TimeoutError:
                if time.monotonic() - start < 2 * _SLICE_S:
                    left -= _SLICE_S
                if left <= 0:
                    raise
        return waiting[0].kind, self._take(waiting[0])

    def _take(self, book: Book) -> Heard:
        if book.unanswered is not None:  # a newer response settles an older one
            book.accept(book.unanswered, delta=self.delta)
        book.unanswered = book.inbox.popleft()
        return book.unanswered

    async def _receive(self, deadline_s: float) -> None:
        try:
            response = await self.talk().hear(deadline_s)
        except Ended as end:
            raise Violation(str(end)) from end
        kind = TYPES.get(response.type_url)
        if kind is None:
            raise Violation(f"a response of type {response.type_url!r} came")
        book = self.book(kind)
        heard = book.hear(response, self.world, delta=self.delta, numbered=not self.fetches)
        self._tell(f"server {kind.short} {heard} #{heard.nonce}")
        self.log += [f"{kind.short.lower()}:{thing}" for thing in heard.things.values()]
        self.log += [f"{kind.short.lower()}:-{name}" for name in sorted(self._lost(book, heard))]
        book.inbox.append(heard)

    def _lost(self, book: Book, heard: Heard) -> set[str]:
        """Return the names that a client loses by this response."""
        if self.delta or not book.kind.complete or heard.renewed:
            return heard.gone
        before = book.unanswered.things if book.unanswered is not None else book.held
        return set(before) - set(heard.things)


def nonce_of(book: Book, which: str) -> str:
    """Return the nonce of the response of that number, counted from 1; for any other word, one that never was."""
    return book.nonces[int(which) - 1] if which.isdigit() else "no-such-nonce"


def _told(fields: dict[str, Any]) -> str:
    """Return a request's fields in a few words."""
    words = {"response_nonce": "#{}", "version_info": "at {}", "resource_names_unsubscribe": "without {}"}
    told = [words.get(key, key + " {}").format(value) for key, value in fields.items() if value]
    return " ".join(told).replace("\n", " ")[:160]
