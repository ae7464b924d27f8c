"""nftables: who may reach a subnet, the class of what it sends, and the kernel's own note of which prefixes are ours.

Speaks JSON to libnftables in this process (``libnftables.so.1``), each fact one atomic transaction; a name is a JSON
string, never a word of nft's language. Everything is in one table of our own. Knows nft's JSON. Does not know which
facts a subnet needs.
"""

import asyncio
import ctypes
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from xds_server.domain.addresses import read_prefix
from xds_server.domain.kernel import FRAME, LINK_GROUP, Fact, Part
from xds_server.domain.profiles import Rule
from xds_server.ports import KernelParts, Unavailable

_TABLE: Final = {"family": "inet", "name": "xds_server"}
_IN: Final = {"family": "inet", "table": "xds_server"}
_CHAIN: Final = "subnet-"
_BASE: Final = frozenset(str(name).split(" ")[0] for name in FRAME.value)
"""Names of the frame; what else somebody puts into the table is theirs."""
_JSON_OUTPUT: Final = 1 << 4
_IP: Final = {4: "ip", 6: "ip6"}
_TYPE: Final = {4: "ipv4_addr", 6: "ipv6_addr"}
_ICMP: Final = {4: "icmp", 6: "ipv6-icmp"}
_ESTABLISHED: Final = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
Json = dict[str, Any]


class Library:
    """``libnftables.so.1`` by ctypes: commands in, an answer or words out. Raises Unavailable without it."""

    def __init__(self) -> None:
        try:
            self._calls = _declared(ctypes.CDLL("libnftables.so.1"))
        except OSError as error:
            raise Unavailable("missing", f"{error}; install Debian's libnftables1") from error
        self._context = self._calls.nft_ctx_new(0)
        for buffered in (self._calls.nft_ctx_buffer_output, self._calls.nft_ctx_buffer_error):
            buffered(self._context)
        self._calls.nft_ctx_output_set_flags(self._context, _JSON_OUTPUT)

    def run(self, commands: Iterable[Json]) -> list[Json]:
        """Run commands as one transaction; return what they listed. Raises Unavailable with libnftables' words."""
        text = json.dumps({"nftables": list(commands)}).encode()
        failed = self._calls.nft_run_cmd_from_buffer(self._context, text)
        answer = self._calls.nft_ctx_get_output_buffer(self._context).decode()
        words = self._calls.nft_ctx_get_error_buffer(self._context).decode()
        if failed:
            raise Unavailable("refused", " ".join(words.split()) or "libnftables says nothing")
        listed: list[Json] = json.loads(answer)["nftables"] if answer else []
        return listed


class Nftables:
    """Our table in the network namespace that this process is in."""

    parts = frozenset({Part.FRAME, Part.CLAIM, Part.MARK, Part.POLICY})

    def __init__(self, library: Library) -> None:
        self._library = library

    async def observe(self) -> list[Fact]:
        """Return every fact of ours."""
        tables = await self._run({"list": {"tables": {"family": "inet"}}})
        if not any(item.get("table", {}).get("name") == _TABLE["name"] for item in tables):
            return []
        return list(_facts(await self._run({"list": {"table": _TABLE}})))

    async def make(self, fact: Fact) -> None:
        """Make a fact so, whatever it was like. Raises Unavailable with the kernel's words."""
        await self._told(fact, _MAKE[fact.part](fact))

    async def remove(self, fact: Fact) -> None:
        """Remove a fact that was observed. Raises Unavailable with the kernel's words."""
        await self._told(fact, _REMOVE[fact.part](fact))

    async def _told(self, fact: Fact, commands: list[Json]) -> None:
        try:
            await self._run(*commands)
        except Unavailable as error:
            raise Unavailable(error.reason, f"{fact.name}: {error}") from error

    async def _run(self, *commands: Json) -> list[Json]:
        return await asyncio.to_thread(self._library.run, commands)


# ---- seeing
def _facts(listed: list[Json]) -> Iterator[Fact]:
    rules: dict[str, list[str]] = defaultdict(list)
    for item in listed:
        if "rule" in item:
            rules[item["rule"]["chain"]].append(item["rule"].get("comment", ""))
    named = {kind: {i[kind]["name"]: i[kind] for i in listed if kind in i} for kind in ("map", "set", "chain")}
    base = [f"{name} {len(rules[name])}" for name in named["chain"] if name in _BASE]
    mapped = [name for name in (*named["map"], *named["set"]) if name in _BASE]
    yield Fact(Part.FRAME, (), tuple(sorted([*mapped, *base])))
    yield from _kept(named["map"], named["set"])
    guarded: dict[str, list[str]] = defaultdict(list)
    for version in _IP:
        for prefix, verdict in _elements(named["map"].get(f"policy{version}")):
            guarded[verdict["goto"]["target"]].append(prefix)
    for chain in named["chain"].keys() | guarded.keys():
        if chain.startswith(_CHAIN):
            subnet = chain.removeprefix(_CHAIN)
            yield Fact(Part.POLICY, (subnet,), (_seal(rules[chain]), *sorted(guarded[chain])), subnet)


def _kept(maps: dict[str, Json], sets: dict[str, Json]) -> Iterator[Fact]:
    for version in _IP:
        for prefix, number in _elements(maps.get(f"class{version}")):
            yield Fact(Part.MARK, (prefix,), (int(number.partition(":")[2], 16),))
        for element in (sets.get(f"ours{version}") or {}).get("elem", []):
            owner = element["elem"].get("comment", "")
            yield Fact(Part.CLAIM, (_text(element["elem"]["val"]),), (owner,), owner)


def _elements(mapped: Json | None) -> Iterator[tuple[str, Any]]:
    for key, value in (mapped or {}).get("elem", []):
        yield _text(key), value


def _text(value: Any) -> str:
    """Write a prefix; nft shows one of a single address as that address."""
    if isinstance(value, dict):
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    return f"{value}/{128 if ':' in value else 32}"


def _seal(comments: list[str]) -> str:
    """Return the digest that all rules of a chain bear if there are as many as they say, else what no digest is."""
    digest, _, count = comments[0].partition(" ") if comments else ("", "", "")
    return digest if set(comments) == {f"{digest} {count}"} and count == str(len(comments)) else "touched"


# ---- doing
def _frame(_fact: Fact) -> list[Json]:
    commands: list[Json] = [{"add": {"table": _TABLE}}]
    for chain, hook in (("input", "input"), ("egress", "postrouting")):
        base = {**_IN, "name": chain, "type": "filter", "hook": hook, "prio": 0, "policy": "accept"}
        commands += [{"add": {"chain": base}}, {"flush": {"chain": {**_IN, "name": chain}}}]
    for version, ip in _IP.items():
        kind: Json = {**_IN, "type": _TYPE[version], "flags": ["interval"]}
        commands += [
            {"add": {"set": {**kind, "name": f"ours{version}"}}},
            {"add": {"map": {**kind, "name": f"policy{version}", "map": "verdict"}}},
            {"add": {"map": {**kind, "name": f"class{version}", "map": "classid"}}},
        ]
        arriving, leaving = ({"payload": {"protocol": ip, "field": field}} for field in ("daddr", "saddr"))
        to_class = {"map": {"key": leaving, "data": f"@class{version}"}}
        commands += [
            _rule("input", [{"vmap": {"key": arriving, "data": f"@policy{version}"}}]),
            _rule("egress", [{"mangle": {"key": {"meta": {"key": "priority"}}, "value": to_class}}]),
        ]
    return commands


def _policy(fact: Fact) -> list[Json]:
    """Fill the subnet's chain anew and lead its prefixes there: callers meet the old rules or the new ones."""
    assert fact.profile is not None
    chain, digest = _CHAIN + str(fact.key[0]), str(fact.value[0])
    expressions: list[list[Json]] = [
        [_ESTABLISHED, {"accept": None}],
        *(expression for rule in fact.profile.allow for expression in _allowed(rule)),
        [{"drop": None}],
    ]
    comment = f"{digest} {len(expressions)}"
    return [
        {"add": {"chain": {**_IN, "name": chain}}},
        {"flush": {"chain": {**_IN, "name": chain}}},
        *(_rule(chain, expression, comment=comment) for expression in expressions),
        *(_element("add", "policy", str(p), {"goto": {"target": chain}}) for p in fact.value[1:]),
    ]


def _allowed(rule: Rule) -> Iterator[list[Json]]:
    """Yield the rule for each IP version that its sources are of; without sources it is for both."""
    sources = [read_prefix(source) for source in rule.sources]
    for version, ip in _IP.items():
        own = [{"prefix": {"addr": str(s.ip), "len": s.prefixlen}} for s in sources if s.version == version]
        if sources and not own:
            continue
        everybody = not own or any(s["prefix"]["len"] == 0 for s in own)
        saddr = {"payload": {"protocol": ip, "field": "saddr"}}
        whence = _equals({"meta": {"key": "nfproto"}}, f"ipv{version}") if everybody else _equals(saddr, {"set": own})
        yield [whence, _spoken(rule, version), {"accept": None}]


def _spoken(rule: Rule, version: int) -> Json:
    if rule.ports:
        return _equals({"payload": {"protocol": rule.protocol, "field": "dport"}}, {"set": sorted(set(rule.ports))})
    return _equals({"meta": {"key": "l4proto"}}, _ICMP[version] if rule.protocol == "icmp" else rule.protocol)


def _equals(left: Json, right: Any) -> Json:
    return {"match": {"op": "==", "left": left, "right": right}}


def _rule(chain: str, expression: list[Json], **more: str) -> Json:
    return {"add": {"rule": {**_IN, "chain": chain, "expr": expression, **more}}}


def _element(verb: str, name: str, prefix: str, value: Any = None) -> Json:
    read = read_prefix(prefix)
    key: Any = {"prefix": {"addr": str(read.ip), "len": read.prefixlen}}
    return {
        verb: {"element": {**_IN, "name": f"{name}{read.version}", "elem": [key if value is None else [key, value]]}}
    }


def _claim(fact: Fact) -> list[Json]:
    command = _element("add", "ours", str(fact.key[0]))
    (key,) = command["add"]["element"]["elem"]
    command["add"]["element"]["elem"] = [{"elem": {"val": key, "comment": fact.value[0]}}]
    return [command]


def _mark(fact: Fact) -> list[Json]:
    return [_element("add", "class", str(fact.key[0]), f"{LINK_GROUP:x}:{int(fact.value[0]):x}")]


def _open(fact: Fact) -> list[Json]:
    chain = {"chain": {**_IN, "name": _CHAIN + str(fact.key[0])}}
    return [
        *(_element("delete", "policy", str(p), {"goto": {"target": chain["chain"]["name"]}}) for p in fact.value[1:]),
        {"flush": chain},
        {"delete": chain},
    ]


def _unmark(fact: Fact) -> list[Json]:
    return [_element("delete", "class", str(fact.key[0]), f"{LINK_GROUP:x}:{int(fact.value[0]):x}")]


_MAKE: Final[dict[Part, Callable[[Fact], list[Json]]]] = {
    Part.FRAME: _frame,
    Part.CLAIM: _claim,
    Part.MARK: _mark,
    Part.POLICY: _policy,
}
_REMOVE: Final[dict[Part, Callable[[Fact], list[Json]]]] = {
    Part.FRAME: lambda _: [{"delete": {"table": _TABLE}}],
    Part.CLAIM: lambda fact: [_element("delete", "ours", str(fact.key[0]))],
    Part.MARK: _unmark,
    Part.POLICY: _open,
}


def _declared(calls: Any) -> Any:
    context, text = ctypes.c_void_p, ctypes.c_char_p
    for name, answers, takes in (
        ("nft_ctx_new", context, [ctypes.c_uint32]),
        ("nft_ctx_buffer_output", ctypes.c_int, [context]),
        ("nft_ctx_buffer_error", ctypes.c_int, [context]),
        ("nft_ctx_output_set_flags", None, [context, ctypes.c_uint]),
        ("nft_run_cmd_from_buffer", ctypes.c_int, [context, text]),
        ("nft_ctx_get_output_buffer", text, [context]),
        ("nft_ctx_get_error_buffer", text, [context]),
    ):
        call = getattr(calls, name)
        call.restype, call.argtypes = answers, takes
    return calls


_fits: Callable[[Library], KernelParts] = Nftables
