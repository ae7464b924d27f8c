"""Script: cases as data: a rule of the protocol, what it is true of, and the steps that show it; read from text files.

    case  wildcard-everything
    rule  An empty list of names in the first request means everything.
    see   How the client specifies what resources to return
    scenario 1
    for   sotw delta; cds lds; ads single

    set a=1 b=1
    ask
    expect a=1 b=1
    ack
    quiet

A step is ``[sotw:|delta:] [WHO:] [TYPE:] VERB WORDS [, OPTION]...``. The README of this package tells them all. Knows
what can be written. Does not know what it does.
"""

import re
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

from xds_server.conformance.content import KINDS, Thing
from xds_server.domain.resource import CDS, ResourceType

PAGE: Final = "https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol"
VERBS: Final = frozenset(
    {
        *("set", "drop", "ask", "forget", "list", "again", "ack", "nack", "reconnect", "send"),
        *("expect", "quiet", "settle", "holds", "order", "heartbeat", "ends", "crowd", "storm"),
    }
)
_TYPES: Final = {
    "any": tuple(KINDS),
    "complete": ("cds", "lds", "srds"),
    "named": ("eds", "rds", "sds", "rtds", "ecds", "vhds"),
}
_THING: Final = re.compile(
    r"(?:(?P<kind>[a-z]+):)?(?P<name>[^=:]+)=(?P<content>\d+)(?:>(?P<reference>[^~+]+))?(?:~(?P<ttl>\d+))?"
    r"(?:\+(?P<padding>\d+))?"
)
_MANY: Final = re.compile(r"(?P<number>\d+)\*(?P<name>[^=]+)(?P<rest>.*)")
_PREFIX: Final = re.compile(r"(sotw|delta|neighbour|twin|stranger|" + "|".join(KINDS) + r"): ")


class BadScript(ValueError):
    """A case file that cannot be read; the text says where and what would do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line. ``dialect``: sotw, delta or both (empty); ``who`` does or hears it; ``kind``: None: the case's."""

    text: str
    verb: str
    words: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    dialect: str = ""
    who: str = "client"
    kind: ResourceType | None = None


@dataclass(slots=True)
class Case:
    """One rule and how to see it kept.

    ``wish``: no rule of the protocol, but what users of control planes ask for. ``alone``: it is a load: nothing else
    is played meanwhile.
    """

    id: str
    rule: str = ""
    section: str = ""
    scenario: str = ""
    wish: bool = False
    alone: bool = False
    dialects: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    transports: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)

    @property
    def link(self) -> str:
        """Return the address of the section of the protocol page."""
        return f"{PAGE}#{re.sub(r'[^a-z0-9]+', '-', self.section.lower()).strip('-')}"


def cases() -> list[Case]:
    """Return every case of the suite, in the order of the files. Raises BadScript."""
    folder = resources.files(__package__) / "cases"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".txt")), key=lambda f: f.name)
    found = [case for file in files for case in read(file.read_text("utf-8"), file.name)]
    ids = [case.id for case in found]
    if twice := {i for i in ids if ids.count(i) > 1}:
        raise BadScript(f"cases {sorted(twice)} are told twice; an id stands for one case")
    return found


def read(text: str, where: str) -> list[Case]:
    """Return the cases of a file. ``where``: what errors call it. Raises BadScript."""
    found: list[Case] = []
    for number, line in enumerate((raw.split("#")[0].strip() for raw in text.splitlines()), 1):
        word, _, rest = line.partition(" ")
        if word == "case":
            found.append(Case(rest.strip()))
        elif line and not found:
            raise BadScript(f"{where}:{number}: a file begins with a case")
        elif line:
            _take(found[-1], line, f"{where}:{number}")
    return [_whole(case) for case in found]


def _take(case: Case, line: str, where: str) -> None:
    word, _, rest = line.partition(" ")
    try:
        if not _head(case, word, rest.strip()):
            case.steps.append(step(line))
    except BadScript as error:
        raise BadScript(f"{where}: {error}") from None


def _whole(case: Case) -> Case:
    for part in ("rule", "section", "dialects", "kinds", "transports", "steps"):
        if not getattr(case, part):
            raise BadScript(f"case {case.id} lacks its {part}")
    return case


def _head(case: Case, word: str, rest: str) -> bool:
    """Take a line that says what a case is about; return whether it was one."""
    match word:
        case "rule":
            case.rule = f"{case.rule} {rest}".strip()
        case "see":
            case.section = rest
        case "scenario":
            case.scenario = rest
        case "wish":
            case.wish = True
        case "alone":
            case.alone = True
        case "for":
            _for(case, rest)
        case _:
            return False
    return True


def _for(case: Case, rest: str) -> None:
    parts = [part.split() for part in rest.split(";")]
    if len(parts) != 3:
        raise BadScript("write: for DIALECTS; TYPES; TRANSPORTS")
    kinds = [kind for word in parts[1] for kind in _TYPES.get(word, (word,))]
    for words, known in (
        (parts[0], {"sotw", "delta"}),
        (kinds, {*KINDS, "story"}),
        (parts[2], {"ads", "single", "fetch"}),
    ):
        if strange := set(words) - known:
            raise BadScript(f"{sorted(strange)} is none of {sorted(known)}")
    case.dialects, case.kinds, case.transports = tuple(parts[0]), tuple(kinds), tuple(parts[2])


def step(line: str) -> Step:
    """Read one step. Raises BadScript."""
    dialect, who, kind, rest = "", "client", None, line
    while found := _PREFIX.match(rest):
        word, rest = found[1], rest[found.end() :]
        if word in KINDS:
            kind = KINDS[word]
        elif word in {"sotw", "delta"}:
            dialect = word
        else:
            who = word
    said, *options = [part.strip() for part in rest.split(",")]
    verb, *words = said.split()
    if verb not in VERBS:
        raise BadScript(f"{verb!r} is no verb; use one of {', '.join(sorted(VERBS))}")
    return Step(line, verb, tuple(one for word in words for one in _spread(word)), tuple(options), dialect, who, kind)


def _spread(word: str) -> list[str]:
    """Return the word; for ``500*name=1`` so many, numbered behind the name."""
    found = _MANY.fullmatch(word)
    if found is None:
        return [word]
    return [f"{found['name']}{i:06d}{found['rest']}" for i in range(int(found["number"]))]


def thing(word: str, default: ResourceType) -> Thing:
    """Read ``[type:]name=content[>reference][~ttl][+padding]``. Raises BadScript."""
    found = _THING.fullmatch(word)
    if found is None:
        raise BadScript(f"{word!r} is no resource; write name=1")
    kind = KINDS[found["kind"]] if found["kind"] else default
    ttl = float(found["ttl"]) if found["ttl"] else None
    return Thing(kind, found["name"], int(found["content"]), found["reference"] or "", ttl, int(found["padding"] or 0))


def absent(word: str, default: ResourceType) -> tuple[ResourceType, str]:
    """Read ``-name`` or ``type:-name``."""
    kind, _, name = word.rpartition(":")
    return (KINDS[kind] if kind else default), name.removeprefix("-")


def is_absent(word: str) -> bool:
    """Return whether a word says that something is not, or no more."""
    return word.rpartition(":")[2].startswith("-")


STORY: Final = CDS
"""The type of steps that name none, in cases of several types."""
