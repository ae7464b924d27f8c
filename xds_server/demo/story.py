"""The story: what the product promises, step by step, each step observed in numbers or failed loudly.

Knows what must be seen and how long one may wait for it. Does not know how the stage was set, nor how it is printed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from xds_server.demo.load import Window
from xds_server.demo.programs import Broken, until
from xds_server.demo.stage import SIDECARS, Stage

SLOWED: Final = "b6"
PINNED: Final = "b2"
DEAR: Final = ("b10", "b11", "b12")
TICKS: Final = 10
FORETOLD: Final = ("sample rate", "forecast rate", "sample latency", "forecast latency")
"""What the reason tree calls the numbers that are laid side by side."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a step observed: one sentence with its numbers, and a table for those who want more."""

    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class NotSeen(Exception):
    """A step's promise was not kept; the text says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Step:
    """One promise: its title, what is expected, and how to observe it."""

    title: str
    expected: str
    observe: Callable[[Stage], Awaitable[Seen]]


async def all_synced(stage: Stage) -> Seen:
    """Wait until the control plane holds every Envoy's ACK of every type that it asked for."""

    async def synced() -> list[Mapping[str, Any]]:
        stage.check()
        nodes = [n for n in (await stage.control.xdsctl("nodes"))["nodes"] if n.get("connected")]
        done = [n for n in nodes if _asked(n) and all(t["state"] == "SYNCED" for t in _asked(n).values())]
        return done if len(done) == len(stage.envoys) else []

    nodes = await until(synced, what="every node is SYNCED", deadline_s=60)
    rows = tuple(
        (n["id"], n["group"], " ".join(f"{t} {s['state']}" for t, s in sorted(_asked(n).items()))) for n in nodes
    )
    return Seen(f"{len(nodes)} of {len(stage.envoys)} nodes are SYNCED", ("node", "group", "types"), rows)


def _asked(node: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the types that a node subscribed to."""
    return {name: status for name, status in node["types"].items() if status["state"] != "NOT_REQUESTED"}


async def traffic_follows(stage: Stage) -> Seen:
    """Wait until the weights tell fast from slow, then compare shares with weights over ten seconds."""
    toys = stage.toys["checkout"].by_name
    fast, slow = ([n for n, b in toys.items() if b.speed == s] for s in (2.0, 0.5))

    async def apart() -> bool:
        weights = (await stage.in_envoys("checkout"))[0]
        return sum(weights[n] for n in fast) > 1.5 * sum(weights[n] for n in slow)

    await until(apart, what="weights of fast backends are 1.5 times those of slow ones", deadline_s=60, every_s=0.5)
    since = time.monotonic()
    before = await _mean_weights(stage, "checkout")
    await asyncio.sleep(10)
    after = await _mean_weights(stage, "checkout")
    window = await _window(stage, "checkout", since)
    weights = {n: (before[n] + after[n]) / 2 for n in toys}
    total = sum(weights.values())
    missed = sum(abs(window.share(n) - w / total) for n, w in weights.items()) / 2
    equal = sum(abs(window.share(n) - 1 / len(toys)) for n in toys) / 2
    rows = tuple(
        (n, f"{b.speed:g}", f"{weights[n]:.0f}", f"{weights[n] / total:.1%}", f"{window.share(n):.1%}")
        for n, b in toys.items()
    )
    seen = f"{window.requests} requests: shares lie {missed:.1%} from the weights and {equal:.1%} from an equal split"
    if not missed < equal / 2:
        raise NotSeen(seen)
    return Seen(seen, ("backend", "speed", "weight", "of all weight", "of all traffic"), rows)


async def model_forecasts(stage: Stage) -> Seen:
    """Wait until the model itself, not its fallback, forecasts, and lay its words beside what was seen."""
    told: dict[str, dict[str, float]] = {}

    async def foretold() -> Mapping[str, Any] | None:
        model: Mapping[str, Any] = await stage.control.xdsctl("model")
        if not model.get("card") or model.get("source") != model["card"]["name"]:
            return None
        for name in ("b1", "b2", "b3"):  # a tick whose forecast came late has none: the next one is looked at
            numbers = _numbers((await stage.control.xdsctl("explain", "checkout", name))["reason"])
            if numbers.keys() >= {*FORETOLD, "trust"}:
                told[name] = numbers
        return model if len(told) == 3 else None

    model = await until(foretold, what="the ONNX model's forecasts are weighed", deadline_s=90, every_s=0.5)
    rows = tuple((n, *(f"{t[term]:.1f}" for term in FORETOLD), f"{t['trust']:.2f}") for n, t in sorted(told.items()))
    seen = (
        f"{model['source']} {model['version']} looks {model['horizon']} steps ahead; trust is its recent back-test: "
        "at 0 it did no better than the last value, and the law only reacts"
    )
    return Seen(seen, ("backend", "requests/s seen", "forecast", "ms seen", "forecast", "trust"), rows)


async def slow_backend(stage: Stage) -> Seen:
    """Make a backend eight times slower in both services and watch weight, share and latency of both."""
    usual = stage.toys["checkout"].by_name[SLOWED].speed
    before = min(w[SLOWED] for w in await stage.in_envoys("checkout"))
    await stage.set_speed(SLOWED, usual / 8)
    slowed_at = time.monotonic()

    async def halved() -> bool:
        return all(w[SLOWED] <= before / 2 for w in await stage.in_envoys("checkout"))

    await until(halved, what=f"{SLOWED}'s weight {before} halves in every Envoy", deadline_s=TICKS, every_s=0.1)
    since = time.monotonic()
    await asyncio.sleep(15)
    ours, equal = await _window(stage, "checkout", since), await _window(stage, "checkout-equal", since)
    weight = (await _mean_weights(stage, "checkout"))[SLOWED]
    why = (await stage.control.xdsctl("explain", "checkout", SLOWED))["reason"]["why"]
    await stage.set_speed(SLOWED, usual)
    rows = tuple(
        (name, f"{w.share(SLOWED):.2%}", f"{w.p50_ms:.0f} ms", f"{w.p99_ms:.0f} ms", str(w.requests), str(w.errors))
        for name, w in (("weights by the law", ours), ("equal weights", equal))
    )
    seen = (
        f"weight {before} -> {before / 2:.0f} or less in {since - slowed_at:.1f} s, then {weight:.0f}; "
        f"share {ours.share(SLOWED):.2%} against {equal.share(SLOWED):.2%} with equal weights; xdsctl explain: {why}"
    )
    if not ours.share(SLOWED) < equal.share(SLOWED):
        raise NotSeen(seen)
    return Seen(seen, ("the same 15 s", f"share of {SLOWED}", "p50", "p99", "requests", "errors"), rows)


async def subnet_serves(stage: Stage) -> Seen:
    """Ask for a subnet and use it: at its own address, and through a sidecar as an endpoint of its service."""
    wish = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 100, "security_profile": "web", "location": "z1"}
    asked = time.monotonic()
    reply = await stage.control.api.post(
        "/subnets/request", params={"wait": "active", "timeout_s": 15}, json=wish, headers={"Idempotency-Key": "demo-1"}
    )
    if reply.status_code != 201 or reply.json()["phase"] != "active":
        raise NotSeen(f"POST /subnets/request answered {reply.status_code}: {reply.text}")
    active_s, network = time.monotonic() - asked, reply.json()["network"]
    port = stage.control.config["appliances"][0]["port"]
    where = f"{network['ip_address']}:{port}"
    direct = await stage.client.get(f"http://{where}/")

    async def joined() -> bool:
        return all(where in weights for weights in await stage.in_envoys("nat"))

    await until(joined, what=f"{where} is an endpoint of nat in every sidecar", deadline_s=10)
    nat = stage.service("nat")
    through = await stage.client.get(
        f"http://{SIDECARS['sidecar-1']}:{nat['listen_port']}/", headers={"host": nat["domains"][0]}
    )
    if not direct.status_code == through.status_code == httpx.codes.OK:
        raise NotSeen(f"{where} answered {direct.status_code}, through a sidecar {through.status_code}: {through.text}")
    by = f"{direct.headers.get('x-backend')}, through sidecar-1 {through.headers.get('x-backend')}"
    return Seen(f"{network['cidr']} active after {active_s:.1f} s; http://{where}/ answers by {by}")


async def pin_arrives(stage: Stage) -> Seen:
    """Pin a weight with xdsctl and find exactly that number in every Envoy."""
    before = (await _mean_weights(stage, "checkout"))[PINNED]
    pinned = ("weights", "pin", "checkout", PINNED, "100", "--reason", "disk swap", "--ttl", "10m")
    answer = await stage.control.xdsctl(*pinned)

    async def arrived() -> bool:
        return all(w[PINNED] == 100 for w in await stage.in_envoys("checkout"))

    await until(arrived, what=f"{PINNED} has weight 100 in every Envoy", deadline_s=10)
    rehearsed = next(d for d in answer["differences"] if d["fact"] == f"weight {PINNED}")
    told = f"xdsctl foretold {rehearsed['before']} -> {rehearsed['after']} at revision {answer['revision']}"
    return Seen(f"{PINNED}: {before:.0f} -> 100 in {len(SIDECARS)} of {len(SIDECARS)} Envoys; {told}")


async def policy_arrives(stage: Stage) -> Seen:
    """Give cost a weight in the policy and see dear backends lose theirs."""
    before = await _dear(stage)
    await stage.control.xdsctl("policy", "set", "checkout", "cost=0.5", "--reason", "end of quarter")

    async def cheaper() -> bool:
        return await _dear(stage) < 0.8 * before

    await until(
        cheaper, what=f"{'+'.join(DEAR)} fall below 0.8 of {before:.1%} of the weight", deadline_s=12, every_s=0.5
    )
    return Seen(f"dear backends {', '.join(DEAR)}: {before:.1%} -> {await _dear(stage):.1%} of the weight")


STEPS: Final = (
    Step("Every node is in sync", "3 sidecars and 1 front-end Envoy have ACKed what they were sent", all_synced),
    Step(
        "Traffic follows the weights",
        "shares lie nearer to the weights than half way to an equal split",
        traffic_follows,
    ),
    Step("The model forecasts", "the ONNX model, not its fallback, foretells load and latency", model_forecasts),
    Step(
        "A backend is made slow",
        f"its weight halves within {TICKS} ticks, its share falls below that with equal weights in the same seconds",
        slow_backend,
    ),
    Step("A subnet is requested", "its listener answers, and a request reaches it through a sidecar", subnet_serves),
    Step("An operator pins a weight", "every Envoy uses exactly that weight", pin_arrives),
    Step("An operator changes the policy", "dear backends lose a fifth of their weight or more", policy_arrives),
)


def _numbers(reason: Mapping[str, Any]) -> dict[str, float]:
    """Return every number of a reason tree by its name."""
    own = {} if reason.get("value") is None else {reason["what"]: float(reason["value"])}
    for inner in reason.get("because", ()):
        own |= _numbers(inner)
    return own


async def _mean_weights(stage: Stage, service: str) -> dict[str, float]:
    """Return each endpoint's weight, averaged over the sidecars (they differ only while a push is under way)."""
    told = await stage.in_envoys(service)
    return {name: sum(w.get(name, 0) for w in told) / len(told) for name in told[0]}


async def _dear(stage: Stage) -> float:
    """Return the dear backends' fraction of the weight."""
    weights = await _mean_weights(stage, "checkout")
    return sum(weights[n] for n in DEAR) / sum(weights.values())


async def _window(stage: Stage, service: str, since_s: float) -> Window:
    """Return what a service did since then, leaving out the last second, whose answers may still be under way."""
    window = stage.load.window(service, since_s, time.monotonic() - 1.0)
    if not window.served:
        raise Broken(f"no request of {service} was answered; see the Envoys' logs in {stage.run_dir}")
    return window
