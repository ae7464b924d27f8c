"""Player: plays one case against one server and judges what it hears.

Each verb of a script is a method here. Knows when a client has been told what it should: exactly, in its dialect. Does
not know how cases are found, nor what comes of a verdict.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from xds_server.conformance import script
from xds_server.conformance.books import Heard, Violation, World
from xds_server.conformance.client import DEADLINE_S, QUIET_S, Client, Ended
from xds_server.conformance.content import KINDS, Thing
from xds_server.conformance.hostile import HOSTILE
from xds_server.conformance.judge import Judge
from xds_server.conformance.script import Case, Step
from xds_server.conformance.side import Side, nonce_of
from xds_server.domain.resource import ResourceType
from xds_server.pb.conformance.v1 import adapter_pb2 as pb

_ROUNDS: Final = 40
_ENOUGH: Final = 50


class Player:
    """One case in one variant. ``adapter``: stub of who puts resources into the server; ``lines``: what was said."""

    def __init__(self, case: Case, group: str, client: Client, adapter: Any) -> None:
        self.lines: list[str] = []
        self._case, self._group, self._client, self._adapter = case, group, client, adapter
        self._kind = script.STORY
        self._delta = False
        self._transport = ""
        self._sides: dict[str, Side] = {}
        self._worlds: dict[str, World] = {group: World()}

    async def play(self, dialect: str, kind: str, transport: str) -> None:
        """Play it. Raises Violation."""
        self._kind = KINDS.get(kind, script.STORY)
        self._delta, self._transport = dialect == "delta", transport
        try:
            for step in self._case.steps:
                if step.dialect in {"", dialect}:
                    await self._play(step)
        finally:
            for side in self._sides.values():
                side.close()
            for group in self._worlds:
                await self._adapter.Drop(pb.DropRequest(group=group), timeout=DEADLINE_S)

    async def _play(self, step: Step) -> None:
        self._tell(f"| {step.text}")
        verb: Callable[[Side, ResourceType, Step], Awaitable[None]] = getattr(self, f"_{step.verb}")
        try:
            await verb(self._side(step.who), step.kind or self._kind, step)
        except TimeoutError:
            raise Violation(f"nothing came in {DEADLINE_S:g} s; expected: {step.text}") from None
        except Ended as end:
            raise Violation(f"{end}; expected: {step.text}") from None

    def _side(self, who: str) -> Side:
        side = self._sides.get(who)
        if side is None:
            group = f"{self._group}/elsewhere" if who == "stranger" else self._group
            world = self._worlds.setdefault(group, World())
            side = self._sides[who] = Side(self._client, world, delta=self._delta, tell=self._tell)
            side.who, side.group = f"{group}/{'client' if who == 'twin' else who}", group
            side.single = self._kind if self._transport != "ads" else None
            side.fetches = self._transport == "fetch"
        return side

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) > _ENOUGH:
            del self.lines[0]

    # ---- the world

    async def _set(self, side: Side, kind: ResourceType, step: Step) -> None:
        request = pb.ChangeRequest(group=side.group)
        for word in step.words:
            if script.is_absent(word):
                where, name = script.absent(word, kind)
                request.remove.add(type_url=where.url, name=name)
                side.world.take(where, name)
            else:
                _put(request, side.world, script.thing(word, kind))
        await self._adapter.Change(request, timeout=DEADLINE_S)

    async def _drop(self, side: Side, _kind: ResourceType, _step: Step) -> None:
        await self._adapter.Drop(pb.DropRequest(group=side.group), timeout=DEADLINE_S)
        side.world.now.clear()

    # ---- what the client says

    async def _ask(self, side: Side, kind: ResourceType, step: Step) -> None:
        side.spied = self._side("client").book(kind).versions
        await side.ask(kind, step.words, step.options)

    async def _forget(self, side: Side, kind: ResourceType, step: Step) -> None:
        await side.forget(kind, step.words, step.options)

    async def _list(self, side: Side, kind: ResourceType, step: Step) -> None:
        book = side.book(kind)
        nonces = [nonce_of(book, option.split()[1]) for option in step.options if option.startswith("nonce ")]
        stale = bool(nonces) and nonces[-1] != book.nonces[-1]
        kept = (set(book.names), book.star, book.legacy)
        book.names, book.star = set(step.words) - {"*"}, "*" in step.words
        book.legacy = book.legacy and not step.words
        await side.say(kind, step.options)
        if stale:  # a request that the server must not take for the client's word
            book.names, book.star, book.legacy = kept

    async def _again(self, side: Side, kind: ResourceType, step: Step) -> None:
        await side.say(kind, step.options)

    async def _ack(self, side: Side, kind: ResourceType, step: Step) -> None:
        await side.answer(kind, options=step.options)

    async def _nack(self, side: Side, kind: ResourceType, step: Step) -> None:
        await side.answer(kind, error=" ".join(step.words) or "rejected", options=step.options)

    async def _reconnect(self, side: Side, _kind: ResourceType, _step: Step) -> None:
        side.close()

    async def _send(self, side: Side, _kind: ResourceType, step: Step) -> None:
        await side.talk().write(HOSTILE[step.words[0]](side.who, side.group, delta=self._delta))

    # ---- what the client hears

    async def _expect(self, side: Side, kind: ResourceType, step: Step) -> None:
        """Hear exactly this: things at this content, and for ``-name`` that there is none."""
        if step.words == ("nothing",):
            heard = await side.hear(kind)
            if heard.things or heard.gone:
                raise Violation(f"expected an empty response, heard {heard}")
            return
        wanted = {t.name: t for word in step.words if not script.is_absent(word) for t in [script.thing(word, kind)]}
        gone = {script.absent(word, kind)[1] for word in step.words if script.is_absent(word)}
        if not (wanted or self._delta or kind.complete):
            await self._rest(side)  # this dialect cannot tell that such a resource is no more
            return
        judge = Judge(side.book(kind), side.world.of(kind), wanted, gone)
        judged = judge.delta if self._delta else judge.complete if kind.complete else judge.named
        try:
            while not judged(await side.hear(kind)):
                await side.answer(kind)
        except TimeoutError:
            raise Violation(f"{judge.missing()} did not come in {DEADLINE_S:g} s; expected: {step.text}") from None

    async def _quiet(self, side: Side, _kind: ResourceType, _step: Step) -> None:
        """Hear nothing for a while."""
        try:
            while True:
                kind, heard = await side.hear_any(QUIET_S)
                if not side.book(kind).harmless(heard):
                    raise Violation(f"{kind.short} {heard} came though there was nothing to say")
                await side.answer(kind)
        except TimeoutError:
            return

    async def _settle(self, side: Side, _kind: ResourceType, _step: Step) -> None:
        """Accept everything until nothing more comes."""
        await self._accept(side)
        try:
            for _ in range(_ROUNDS):
                kind, _heard = await side.hear_any(QUIET_S)
                await side.answer(kind)
        except TimeoutError:
            return
        raise Violation(f"the server does not come to rest: {_ROUNDS} responses, every one of them accepted")

    async def _accept(self, side: Side) -> None:
        for book in list(side.books.values()):
            await side.answer(book.kind)

    async def _rest(self, side: Side) -> None:
        await self._settle(side, self._kind, Step("settle", "settle"))

    async def _holds(self, side: Side, kind: ResourceType, step: Step) -> None:
        """The client holds exactly this, now or when it has accepted what is on its way."""
        await self._accept(side)
        wanted, held = set(step.words), side.book(kind).held
        try:
            while {str(thing) for thing in held.values()} != wanted:
                heard, _ = await side.hear_any(DEADLINE_S)
                await side.answer(heard)
                held = side.book(kind).held
        except TimeoutError:
            told = sorted(map(str, held.values()))
            raise Violation(f"the client holds {told} of {kind.short}; it should hold {sorted(wanted)}") from None

    async def _order(self, side: Side, _kind: ResourceType, step: Step) -> None:
        """These came in this order."""
        places = [side.log.index(word) if word in side.log else -1 for word in step.words]
        if -1 in places or places != sorted(places):
            raise Violation(f"the order was {' '.join(side.log)}; it should be {' '.join(step.words)}")

    async def _heartbeat(self, side: Side, kind: ResourceType, step: Step) -> None:
        """Hear these renewed and nothing new; where absence is removal, perhaps by everything once more."""
        heard, held = await side.hear(kind), side.book(kind).held
        whole = not self._delta and kind.complete and heard.things == held
        if heard.gone or not (whole or (heard.renewed == set(step.words) and not heard.things)):
            raise Violation(f"expected a heartbeat of {' '.join(step.words)}, heard {heard}")

    async def _ends(self, side: Side, _kind: ResourceType, step: Step) -> None:
        """The server ends the stream, with one of these codes, or with any error."""
        try:
            code, words = await side.talk().ended()
        except TimeoutError:
            raise Violation(f"the stream lives on; expected: {step.text}") from None
        self._tell(f"server ends the stream: {code.name}: {words}")
        if code.name == "OK" or (step.words and code.name not in step.words):
            raise Violation(f"the stream ended with {code.name}: {words}; expected: {step.text}")

    # ---- load

    async def _crowd(self, _side: Side, kind: ResourceType, step: Step) -> None:
        """Many other clients of the group ask for everything that the words name, accept it, and stay."""
        for number in range(int(step.words[0])):
            member = self._side(f"member-{number}")
            await member.ask(kind, step.words[1:])
        for number in range(int(step.words[0])):
            member = self._side(f"member-{number}")
            await member.hear(kind)
            await member.answer(kind)

    async def _storm(self, side: Side, kind: ResourceType, step: Step) -> None:
        """Change one resource many times; hear few responses, and the last state."""
        last = script.thing(step.words[0], kind)
        most = int(step.options[0].split()[-1])  # responses in a second
        start, responses, latest = time.monotonic(), 0, 0
        for content in range(2, last.content + 1):
            request = pb.ChangeRequest(group=side.group)
            _put(request, side.world, Thing(last.kind, last.name, content))
            await self._adapter.Change(request, timeout=DEADLINE_S)
            while latest != last.content and (heard := await _next(side, kind, wait=content == last.content)):
                responses, latest = responses + 1, heard.things.get(last.name, last).content
                await side.answer(kind)
        allowed = most * max(1.0, time.monotonic() - start)
        if responses > allowed:
            raise Violation(f"{responses} responses for {last.content} changes; at most {allowed:.0f} are needed")


async def _next(side: Side, kind: ResourceType, *, wait: bool) -> Heard | None:
    """Return the next response; None if there is none yet and nobody waits for it."""
    try:
        return await side.hear(kind, DEADLINE_S if wait else 0.0)
    except TimeoutError:
        if wait:
            raise
        return None


def _put(request: pb.ChangeRequest, world: World, thing: Thing) -> None:
    body = thing.payload()
    put = request.set.add(name=thing.name, body=body)
    if thing.ttl_s is not None:
        put.ttl.FromMilliseconds(round(thing.ttl_s * 1000))
    world.put(thing, body.value)
