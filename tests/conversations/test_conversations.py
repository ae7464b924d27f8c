"""Plays protocol talk against the pure session; `--rewrite` records what the server says now.

A conversation is a text file. `#` at the start of a line is a comment. What the world and the clients do is written by
hand; every line that starts with `server` is what the session answered, and is checked:

    dialect sotw|delta
    world cds x=1 -y; rds r=1>x     set and remove resources of the group, at once; `>` names what they refer to
    drop                            forget the group
    client eds [a,b] #1 at 7        SotW: the names, the nonce, the version
    client eds +a -b #1 has a=1     delta: subscribe, unsubscribe, the nonce, initial_resource_versions
    client eds #1 "words"           a NACK
    reconnect                       the stream ends, another of the same node begins
    wait 1.5                        seconds pass
    hurry                           from here on a line takes no time
    client@n2 ..., reconnect@n2     another node of the group

A cluster refers to the endpoints of its own name unless it says otherwise.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from xds_server.domain.limits import Limits
from xds_server.domain.resource import TYPES, Resource, ResourceType
from xds_server.state.cache import GroupCache, TypeShelf
from xds_server.xds.messages import DeltaRequest, Heard, Push, Refused, Request, SotwRequest
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.session import Session

HERE = Path(__file__).parent
KINDS = {kind.short.lower(): kind for kind in TYPES.values()}
REFERS_TO = {"lds": "cds", "rds": "cds", "cds": "eds"}
CLIENT = re.compile(
    r"(?P<kind>[\w./]*)(?P<names>(?: \[[^\]]*\]| [+-]\S+)*)(?: #(?P<nonce>\S+))?(?: at (?P<version>\S+))?"
    r"(?: has(?P<held>(?: [^\s\"]+=\S+)+))?(?: \"(?P<error>.*)\")?"
)


class Table:
    """One group, its nodes, and the clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.step_s = 0.11  # every line takes longer than the debounce
        self.delta = False
        self.cache = GroupCache()
        self.picture = self.cache.picture("g")
        self.quarantines: dict[str, Quarantine] = {}
        self.sessions: dict[str, Session] = {}
        self.ids = itertools.count(1)

    def look(self, kind: ResourceType) -> tuple[TypeShelf, Quarantine]:
        shelf = self.picture.shelf(kind)
        return shelf, self.quarantines.setdefault(kind.url, Quarantine(shelf))

    def session(self, node: str) -> Session:
        if node not in self.sessions:
            self.sessions[node] = Session(self.look, Limits(), session_id=next(self.ids), delta=self.delta)
        return self.sessions[node]

    def play(self, line: str) -> Iterator[str]:
        """Do what a line says; yield what the server says to it."""
        self.now += self.step_s
        verb, _, rest = line.partition(" ")
        verb, _, node = verb.partition("@")
        match verb:
            case "dialect":
                self.delta = rest == "delta"
            case "world":
                self.world(rest)
            case "drop":
                self.cache.drop("g")
            case "wait":
                self.now += float(rest)
            case "hurry":
                self.step_s = 0.0
            case "reconnect":
                self.session(node).leave()
                del self.sessions[node]
            case "client":
                yield from self.client(rest, node)
            case _:
                raise AssertionError(f"unknown line: {line}")
        yield from self.quiet()

    def world(self, rest: str) -> None:
        upsert, remove = [], []
        for part in filter(None, rest.split(";")):
            short, *things = part.split()
            for thing in things:
                if thing.startswith("-"):
                    remove.append((KINDS[short].url, thing[1:]))
                else:
                    upsert.append(resource(short, thing))
        self.cache.update("g", upsert, remove)

    def client(self, rest: str, node: str) -> Iterator[str]:
        at = f"@{node}" if node else ""
        try:
            answer = self.session(node).receive(request(rest, delta=self.delta), self.now)
        except Refused as refusal:
            yield f"server{at} refuses {refusal.code}: {refusal}"
            return
        if answer.heard is not Heard.ASKED:
            names = " of " + " ".join(sorted(answer.names)) if answer.names else ""
            yield f"server{at} hears {answer.heard.value}{names}"

    def quiet(self) -> Iterator[str]:
        """Yield everything that is pushed until nobody has more to say."""
        for node, session in self.sessions.items():
            while pushes := session.pushes(self.now):
                for push in pushes:
                    at = f"@{node}" if node else ""
                    yield f"server{at} {push.type.short.lower()} {told(push, self.delta)} #{push.nonce}"


def resource(short: str, thing: str) -> Resource:
    """`x=1>a,rds:b`: name, version, what it refers to."""
    head, _, refs = thing.partition(">")
    name, version = head.split("=")
    named = [r.rpartition(":") for r in refs.split(",") if r] or ([("", "", name)] if short == "cds" else [])
    references = tuple((KINDS[kind or REFERS_TO[short]].url, target) for kind, _, target in named)
    version, _, ttl = version.partition("~")
    body = f"{name}{version}".encode()
    return Resource(KINDS[short].url, name, version, body, references, float(ttl) if ttl else None)


def request(rest: str, *, delta: bool) -> Request:
    """What a client line says."""
    said = CLIENT.fullmatch(rest)
    assert said is not None, f"cannot read: client {rest}"
    url = KINDS[said["kind"]].url if said["kind"] in KINDS else said["kind"]
    nonce, error, words = said["nonce"] or "", said["error"], said["names"].split()
    if not delta:
        names = frozenset(n for n in said["names"].strip(" []").split(",") if n)
        return SotwRequest(url, names, nonce, said["version"] or "", error)
    held = dict(pair.split("=") for pair in (said["held"] or "").split())
    plus, minus = (frozenset(w[1:] for w in words if w[0] == sign) for sign in "+-")
    return DeltaRequest(url, plus, minus, nonce, held, error)


def told(push: Push, delta: bool) -> str:
    """A push in words, by name."""
    words = [f"{r.name}={r.version}" for r in push.resources] + [f"-{name}" for name in push.removed if delta]
    words += [f"{r.name}~" for r in push.heartbeats]
    return " ".join(sorted(words, key=lambda w: w.lstrip("-"))) if words else "nothing"


def played(text: str) -> str:
    """Return the conversation with the server's lines as they are now."""
    table, lines = Table(), []
    for line in text.splitlines():
        if line.startswith("server"):
            continue
        lines.append(line)
        if line.strip() and not line.startswith("#"):
            lines.extend(table.play(line.strip()))
    return "\n".join(lines) + "\n"


FILES = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_conversation(path: Path, rewrite: bool) -> None:
    """The server says exactly what the conversation records."""
    text = path.read_text()
    now = played(text)
    if rewrite:
        path.write_text(now)
    assert now == text or rewrite, f"the server talks differently; `pytest {path.parent} --rewrite` records it"


def test_there_are_conversations() -> None:
    """The room is not empty."""
    assert FILES
