"""The conformance suite: our server keeps every rule in every variant, and servers that break one are caught."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from grpc import aio

from tests.fakes.broken_xds import FAULTS, Fault, broken
from xds_server.conformance.adapter import Subject, ourselves
from xds_server.conformance.script import read
from xds_server.conformance.suite import Trial, Verdict, judge, trials
from xds_server.domain.resource import EDS


def told(verdicts: Sequence[Verdict]) -> str:
    """Return what went wrong first, with its talk."""
    failed = [verdict for verdict in verdicts if verdict.violation]
    return "\n".join(
        [f"{len(failed)} of {len(verdicts)} failed"]
        + [f"{v.trial.id}: {v.violation}\n  " + "\n  ".join(v.lines[-15:]) for v in failed[:3]]
    )


@pytest.mark.slow
async def test_our_server_keeps_every_rule() -> None:
    """Every case passes in every dialect, type and transport that it is true of."""
    chosen = trials()
    assert len({trial.case.id for trial in chosen}) >= 100
    async with ourselves() as subject:
        verdicts = await judge(subject, chosen, parallel=96)
    assert not any(verdict.violation for verdict in verdicts), told(verdicts)


def of_a_fault(fault: Fault) -> list[Trial]:
    """Return a variant or two of each case that must fail."""
    chosen = {}
    for trial in trials([f"{case}/*/ads" for case in fault.caught_by]):
        if trial.kind in {"eds", "cds", "story"}:
            chosen.setdefault((trial.case.id, trial.dialect, trial.case.wish), trial)
    return list(chosen.values())


@pytest.mark.slow
async def test_a_server_that_breaks_one_rule_is_caught() -> None:
    """Each fault fails its cases, and the door that makes the faults is innocent when it makes none."""
    innocent: dict[str, list[Verdict]] = {}
    guilty: dict[str, list[Verdict]] = {}

    async def judged(subject: Subject, fault: Fault, name: str, into: dict[str, list[Verdict]]) -> None:
        async with broken(subject.target, fault) as target:
            into[name] = await judge(Subject(target, subject.adapter), of_a_fault(fault))

    for into, spoil in ((innocent, False), (guilty, True)):
        async with ourselves() as subject, asyncio.TaskGroup() as tasks:
            for name, fault in FAULTS.items():
                played = fault if spoil else Fault(fault.caught_by)
                tasks.create_task(judged(subject, played, name, into))
    through_the_door = [verdict for verdicts in innocent.values() for verdict in verdicts]
    assert not any(verdict.violation for verdict in through_the_door), told(through_the_door)
    for name, fault in FAULTS.items():
        failed = {verdict.trial.case.id for verdict in guilty[name] if verdict.violation}
        assert failed == set(fault.caught_by), (name, told(guilty[name]))


@pytest.mark.parametrize(
    ("answer", "caught"),
    [
        (lambda told: told[0], {"all-that-changed", "one-more-name", "not-there-yet"}),  # it never looks again
        (lambda _told: discovery_pb2.DiscoveryResponse(type_url=EDS.url).SerializeToString(), {"names", "neighbours"}),
    ],
    ids=["stale", "empty"],
)
async def test_a_fetch_that_is_wrong_is_caught(answer: Callable[[list[bytes]], bytes], caught: set[str]) -> None:
    """A server whose unary methods always give their first answer, or none, fails; what goes through untouched passes."""
    chosen = trials([f"{case}/sotw/eds/fetch" for case in caught])
    async with ourselves() as subject:
        for spoiled in (False, True):
            async with fetching(subject.target, answer if spoiled else lambda told: told[-1]) as target:
                verdicts = await judge(Subject(target, subject.adapter), chosen)
            failed = {verdict.trial.case.id for verdict in verdicts if verdict.violation}
            assert failed == (caught if spoiled else set()), told(verdicts)


@asynccontextmanager
async def fetching(target: str, spoil: Callable[[list[bytes]], bytes]) -> AsyncIterator[str]:
    """Stand before the endpoints' Fetch of a server; ``spoil`` picks from what each node was told so far."""
    answers: dict[str, list[bytes]] = defaultdict(list)
    async with aio.insecure_channel(target) as channel:
        forward: Any = channel.unary_unary("/envoy.service.endpoint.v3.EndpointDiscoveryService/FetchEndpoints")

        async def fetch(raw: bytes, _context: Any) -> bytes:
            told = answers[discovery_pb2.DiscoveryRequest.FromString(raw).node.id]
            told.append(await forward(raw))
            return spoil(told)

        method = {"FetchEndpoints": grpc.unary_unary_rpc_method_handler(fetch)}
        service = grpc.method_handlers_generic_handler("envoy.service.endpoint.v3.EndpointDiscoveryService", method)
        server = aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(grace=0)


def test_only_what_the_protocol_has_is_played() -> None:
    """No virtual hosts in state of the world, no Fetch in delta, and what is to be left out is left out."""
    assert not trials(["*/sotw/vhds/*", "*/delta/*/fetch", "*/vhds/fetch"])
    assert {trial.transport for trial in trials(without=["*/fetch", "*/srds/*"])} == {"ads", "single"}
    kinds = {trial.kind for trial in trials(["names"], ["*/fetch", "*/srds/*", "*/vhds/*"])}
    assert kinds == {"cds", "lds", "rds", "eds", "sds", "rtds", "ecds"}


async def test_a_failure_is_told_with_its_talk() -> None:
    """A verdict holds the rule broken, in words, and what was said before."""
    (case,) = read("case x\nrule r\nsee TTL\nfor delta; eds; ads\nset a=1\nask a\nexpect a=1\norder eds:b=7", "test")
    async with ourselves() as subject:
        (verdict,) = await judge(subject, [Trial(case, "delta", "eds", "ads")])
    assert "it should be eds:b=7" in verdict.violation
    assert any(line.startswith("server EDS a=1") for line in verdict.lines)
