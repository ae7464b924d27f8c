"""Books: what one client has asked for, been told and answered, and what was put into its group.

Here stands what is true of every response whatever the case: the type was asked for, the nonce is new, no name comes
twice or uninvited, every body is one that was set. Does not know what a case expects beyond that.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from envoy.service.discovery.v3 import discovery_pb2

from xds_server.conformance.content import NoSuchMessage, Thing, same_bytes
from xds_server.domain.resource import ResourceType

_WRAPPER: Final = "type.googleapis.com/envoy.service.discovery.v3.Resource"


class Violation(Exception):
    """A rule was broken; the text says what was seen and what should have been."""


class World:
    """What was put into one group. ``now``: (type URL, name) -> resource."""

    def __init__(self) -> None:
        self.now: dict[tuple[str, str], Thing] = {}
        self._ever: dict[tuple[str, bytes], Thing] = {}

    def put(self, thing: Thing, body: bytes) -> None:
        """Note that a resource was set."""
        self.now[thing.kind.url, thing.name] = thing
        self._ever[thing.kind.url, body] = thing

    def take(self, kind: ResourceType, name: str) -> None:
        """Note that a resource was removed, if it was there."""
        self.now.pop((kind.url, name), None)

    def recognise(self, kind: ResourceType, body: bytes) -> Thing:
        """Return the resource that has these bytes. Raises Violation."""
        try:
            found = self._ever.get((kind.url, body)) or self._ever.get((kind.url, same_bytes(kind, body)))
        except NoSuchMessage as error:
            raise Violation(f"a {kind.short} resource cannot be read: {error}") from error
        if found is None:
            raise Violation(f"a {kind.short} resource holds what was never set for this group: {body[:60]!r}")
        return found

    def of(self, kind: ResourceType) -> dict[str, Thing]:
        """Return name -> resource, of one type."""
        return {name: thing for (url, name), thing in self.now.items() if url == kind.url}


@dataclass(slots=True)
class Heard:
    """One response in words. ``renewed``: names of heartbeats."""

    nonce: str
    version: str
    things: dict[str, Thing] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    renewed: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        words = [*map(str, self.things.values()), *(f"-{n}" for n in self.gone), *(f"{n}~" for n in self.renewed)]
        return " ".join(sorted(words, key=lambda word: word.lstrip("-"))[:12]) or "nothing"


@dataclass(slots=True)
class Book:
    """One type on one stream.

    ``star``: subscribed to ``*``; ``legacy``: subscribed to everything by never having named anything. ``held``,
    ``versions``, ``contents`` (name and version -> content) and ``version`` outlive the stream, as a client's memory
    does; ``version``: the last accepted one.
    """

    kind: ResourceType
    names: set[str] = field(default_factory=set)
    star: bool = False
    legacy: bool = True
    asked: bool = False
    nonces: list[str] = field(default_factory=list)
    unanswered: Heard | None = None
    inbox: deque[Heard] = field(default_factory=deque)
    held: dict[str, Thing] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    contents: dict[tuple[str, str], int] = field(default_factory=dict)
    version: str = ""

    def wants(self, name: str) -> bool:
        """Return whether the client has asked for this name, or for everything."""
        return self.star or self.legacy or name in self.names

    def listed(self) -> list[str]:
        """Return the names as a SotW request lists them."""
        return [*(["*"] if self.star else []), *sorted(self.names)]

    def start_again(self) -> None:
        """A new stream: nothing is asked, everything remembered."""
        self.names, self.star, self.legacy, self.asked = set(), False, True, False
        self.nonces, self.unanswered = [], None
        self.inbox.clear()

    def hear(self, response: Any, world: World, *, delta: bool, numbered: bool = True) -> Heard:
        """Read one response and hold it against what is always true. Raises Violation.

        ``numbered``: it needs a nonce; an answer to a unary call does not.
        """
        short = self.kind.short
        if not self.asked:
            raise Violation(f"a {short} response came on a stream that did not ask for it")
        if numbered:
            self._number(response.nonce)
        heard = Heard(response.nonce, response.system_version_info if delta else response.version_info)
        for resource in response.resources:
            self._take(heard, resource, world, delta=delta)
        heard.gone = set(response.removed_resources) if delta else set()
        if both := heard.gone & set(heard.things):
            raise Violation(f"{short} {sorted(both)} came and was removed in one response")
        for name in heard.things:
            if not self.wants(name):
                raise Violation(f"{short} {name!r} came though it was not asked for")
        return heard

    def _number(self, nonce: str) -> None:
        if not nonce:
            raise Violation(f"a {self.kind.short} response has no nonce; an answer to it could not be told apart")
        if nonce in self.nonces:
            raise Violation(f"nonce {nonce!r} came twice for {self.kind.short}; each response needs its own")
        self.nonces.append(nonce)

    def _take(self, heard: Heard, resource: Any, world: World, *, delta: bool) -> None:
        wrapper = resource if delta else _unwrapped(resource)
        if wrapper is not None and not wrapper.HasField("resource"):
            self._renew(heard, wrapper)
            return
        body = wrapper.resource if wrapper is not None else resource
        if body.type_url != self.kind.url:
            raise Violation(f"a {self.kind.short} response carries a {body.type_url}")
        thing = world.recognise(self.kind, body.value)
        if thing.name in heard.things:
            raise Violation(f"{self.kind.short} {thing.name!r} stands twice in one response")
        heard.things[thing.name] = thing
        ttl_s = wrapper.ttl.ToTimedelta().total_seconds() if wrapper is not None and wrapper.HasField("ttl") else None
        if ttl_s != thing.ttl_s:
            raise Violation(f"{thing} came with a time to live of {ttl_s} s; it was set with {thing.ttl_s}")
        if delta:
            self._label(thing, wrapper)

    def _renew(self, heard: Heard, wrapper: Any) -> None:
        known = self.versions.get(wrapper.name, wrapper.version)
        if wrapper.version != known:
            raise Violation(f"a heartbeat of {wrapper.name!r} has version {wrapper.version!r}; it came as {known!r}")
        heard.renewed.add(wrapper.name)

    def _label(self, thing: Thing, wrapper: Any) -> None:
        if wrapper.name != thing.name:
            raise Violation(f"{self.kind.short} {thing.name!r} came under the name {wrapper.name!r}")
        if not wrapper.version:
            raise Violation(f"{self.kind.short} {thing.name!r} has no version; nobody could come back with it")
        self._remember(thing, wrapper.version)

    def _remember(self, thing: Thing, version: str) -> None:
        content = self.contents.setdefault((thing.name, version), thing.content)
        if content != thing.content:
            raise Violation(f"{thing} came under the version that {thing.name}={content} had: {version!r}")
        self.versions[thing.name] = version

    def harmless(self, heard: Heard) -> bool:
        """Return whether a response only confirms that names which were given up are gone: allowed, not needed."""
        return bool(heard.gone) and not (heard.things or heard.renewed or any(map(self.wants, heard.gone)))

    def accept(self, heard: Heard, *, delta: bool) -> None:
        """Hold what came, as a client of that dialect does."""
        if not delta and self.kind.complete and not heard.renewed:
            self.held = {}
        self.held |= heard.things
        for name in heard.gone:
            self.held.pop(name, None)
            self.versions.pop(name, None)


def _unwrapped(payload: Any) -> Any:
    """Return the discovery.v3.Resource in a SotW response, or None for a bare one."""
    if payload.type_url != _WRAPPER:
        return None
    return discovery_pb2.Resource.FromString(payload.value)
