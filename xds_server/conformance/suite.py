"""Suite: every case in every variant, played at once against one server, and what came of it.

A variant is dialect x type x transport; it has a group of its own in the server, so that nothing is shared but cores.
Knows who is judged only by address. Does not know how verdicts are shown.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from grpc import aio

from xds_server.conformance.adapter import Subject
from xds_server.conformance.books import Violation
from xds_server.conformance.client import OPTIONS, Client
from xds_server.conformance.player import Player
from xds_server.conformance.script import Case, cases
from xds_server.pb.conformance.v1.adapter_pb2_grpc import AdapterStub

PARALLEL: Final = 48
_PATIENCE_S: Final = 120.0
_FIRST_ANSWER_S: Final = 10.0


class CannotJudge(Exception):
    """The server or its adapter cannot be reached; nothing was judged."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One case in one variant. ``id`` is stable from release to release: ``case/dialect/type/transport``."""

    case: Case
    dialect: str
    kind: str
    transport: str

    @property
    def id(self) -> str:
        """Return its name."""
        return f"{self.case.id}/{self.dialect}/{self.kind}/{self.transport}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a trial. ``violation``: the rule broken, in words; empty when it was kept. ``lines``: the talk."""

    trial: Trial
    violation: str
    seconds: float
    lines: tuple[str, ...] = ()


def trials(
    only: Sequence[str] = (), without: Sequence[str] = (), *, wishes: bool = True, found: Iterable[Case] | None = None
) -> list[Trial]:
    """Return the trials whose id or case matches one of the patterns (shell's wildcards); all without a pattern.

    ``without``: patterns of what is left out, such as what a server does not offer. ``wishes``: also what is no rule of
    the protocol. Raises script.BadScript.
    """
    chosen = []
    for case in cases() if found is None else found:
        if case.wish and not wishes:
            continue
        variants = [(d, k, t) for d in case.dialects for k in case.kinds for t in case.transports if _is(d, k, t)]
        chosen += [Trial(case, *variant) for variant in variants]
    wanted = [t for t in chosen if not only or any(_matches(t, pattern) for pattern in only)]
    return [t for t in wanted if not any(_matches(t, pattern) for pattern in without)]


def _is(dialect: str, kind: str, transport: str) -> bool:
    """Return whether the protocol has such a method: virtual hosts are delta alone, Fetch is state of the world."""
    return dialect == "sotw" and kind != "vhds" if transport == "fetch" else dialect == "delta" or kind != "vhds"


def _matches(trial: Trial, pattern: str) -> bool:
    return fnmatchcase(trial.id, pattern) or fnmatchcase(trial.case.id, pattern)


async def judge(
    subject: Subject,
    chosen: Sequence[Trial],
    *,
    parallel: int = PARALLEL,
    told: Callable[[Verdict], None] = lambda _verdict: None,
) -> list[Verdict]:
    """Play the trials; ``told`` hears each verdict as it falls. Raises CannotJudge."""
    async with _reached(subject.target) as target, _reached(subject.adapter) as door:
        adapter = AdapterStub(door)
        free = asyncio.Semaphore(parallel)
        run = f"conformance-{time.time_ns():x}"  # what an earlier run left behind is another group
        verdicts: list[Verdict] = []

        async def one(trial: Trial) -> None:
            async with free:
                verdicts.append(await _verdict(trial, run, target, adapter))
            told(verdicts[-1])

        async with asyncio.TaskGroup() as tasks:
            for trial in chosen:
                if not trial.case.alone:
                    tasks.create_task(one(trial))
        for trial in chosen:
            if trial.case.alone:
                await one(trial)
    order = {trial.id: place for place, trial in enumerate(chosen)}
    return sorted(verdicts, key=lambda verdict: order[verdict.trial.id])


async def _verdict(trial: Trial, run: str, target: aio.Channel, adapter: Any) -> Verdict:
    start = time.monotonic()
    violation = ""
    async with asyncio.TaskGroup() as readers:
        player = Player(trial.case, f"{run}/{trial.id}", Client(target, readers), adapter)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await player.play(trial.dialect, trial.kind, trial.transport)
        except Violation as error:
            violation = str(error)
        except TimeoutError:
            violation = f"the case was not over in {_PATIENCE_S:g} s"
        except aio.AioRpcError as error:
            violation = f"the adapter failed: {error.code().name}: {error.details()}"
    return Verdict(trial, violation, time.monotonic() - start, tuple(player.lines) if violation else ())


@asynccontextmanager
async def _reached(address: str) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(address, options=OPTIONS) as channel:
        try:
            async with asyncio.timeout(_FIRST_ANSWER_S):
                await channel.channel_ready()
        except TimeoutError:
            raise CannotJudge(
                f"nobody answers at {address}; start the server and its adapter, then try again"
            ) from None
        yield channel
