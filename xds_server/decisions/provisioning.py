"""Provisioning: the next move of one allocation, from what is known of its node.

Each phase has one rule; a rule returns the moved allocation, or the time at which to look again. Knows the order of
the steps and how long each may take. Does not know how a node is observed.
"""

import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace

from xds_server.decisions.lifecycle import Event, follow
from xds_server.decisions.placement import place
from xds_server.domain.names import NodeId
from xds_server.domain.subnets import Allocation, Phase
from xds_server.domain.topology import Node

_LOOK_AGAIN_S = 0.2  # names usually go within milliseconds, and nothing here wakes when they do
_RETRY_S = (1.0, 2.0, 5.0, 15.0, 60.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    ``drain_s``: from leaving EDS and DNS to the listener's removal; ``close_s``: from there to the interface's, so that
    requests under way end.
    """

    drain_s: float = 2.0
    close_s: float = 1.0
    provision_timeout_s: float = 60.0
    node_timeout_s: float = 60.0
    release_timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of an allocation's node now.

    ``missing_s``: for how long it has been away, None while connected. ``serving``: it acknowledged this listener;
    ``unserved_s``: for how long it has been connected without, where it once did.
    ``silent``: it acknowledged that this listener is gone. ``problem``: its words of rejection, or ''. ``named``: who
    outside still tells clients of the address (a DNS server, a registry), or ''. ``has_agent``: an agent configures its
    interfaces; then ``attached``, ``detached`` and ``refusal`` say the same of the interface.
    ``fabric``: what its network fabric still has to do, before a node serves it or before its block may cool, or '';
    ``fabric_refusal``: why the fabric failed, or ''. ``fabric_silent``: it does not answer at all.
    """

    missing_s: float | None = None
    serving: bool = False
    unserved_s: float = 0.0
    silent: bool = False
    problem: str = ""
    named: str = ""
    has_agent: bool = False
    attached: bool = False
    detached: bool = False
    refusal: str = ""
    fabric: str = ""
    fabric_refusal: str = ""
    fabric_silent: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What else a rule looks at: the wall clock, the connected nodes, how many subnets each has, which have agents."""

    now_s: float
    nodes: Mapping[NodeId, Node]
    load: Mapping[NodeId, int]
    patience: Patience = Patience()
    with_agent: Container[NodeId] = ()


def next_move(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    """Return the allocation one move on, or the wall-clock time to look again (infinite: when something changes)."""
    rule = _RULES.get(allocation.phase)
    return rule(allocation, sight, scene) if rule else math.inf


def _provision(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    if allocation.node is None or not allocation.listening:
        return _join(allocation, sight, scene) if sight.fabric else _place(allocation, scene)
    if sight.has_agent and not allocation.attached:
        return replace(allocation, attached=True)
    configured = sight.attached or not sight.has_agent
    if sight.serving and configured:
        return _move(allocation, Event.SERVED, scene, _served_by(allocation.node))
    if sight.problem or sight.refusal:
        return _fail(allocation, scene, _refused(allocation, sight))
    return _await(allocation, sight, scene)


def _join(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    """No node before its fabric routes the subnet there. One that is away is waited for, as a node would be."""
    if sight.fabric_refusal:
        return _fail(allocation, scene, sight.fabric_refusal)
    if sight.fabric_silent:
        return _told(allocation, f"waiting: {sight.fabric}", math.inf)
    give_up = allocation.since_s + scene.patience.provision_timeout_s
    if scene.now_s < give_up:
        return _told(allocation, f"waiting: {sight.fabric}", give_up)
    return _fail(allocation, scene, f"not in time: {sight.fabric}")


def _await(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    if sight.missing_s is not None:
        return _lose(allocation, sight.missing_s, scene)
    give_up = allocation.since_s + scene.patience.provision_timeout_s
    if scene.now_s < give_up:
        return _told(allocation, _placed_on(allocation.node, attached=allocation.attached), give_up)
    return _fail(allocation, scene, f"node {allocation.node} has not acknowledged {_awaited(sight)} in time")


def _keep(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    """An active subnet moves only when its node is lost, can no longer have its interface, or came back and no longer
    serves it.
    """
    if sight.missing_s is not None:
        return _lose(allocation, sight.missing_s, scene)
    if sight.has_agent and not allocation.attached:
        return replace(allocation, attached=True)
    if sight.refusal:
        return _fail(allocation, scene, _refused(allocation, sight))
    if not sight.unserved_s:
        return _told(allocation, _served_by(allocation.node), math.inf)
    left_s = scene.patience.provision_timeout_s - sight.unserved_s
    if left_s > 0:
        return scene.now_s + left_s
    why = _refused(allocation, sight) if sight.problem else f"node {allocation.node} came back without its listener"
    return _fail(allocation, scene, why)


def _retry(allocation: Allocation, _sight: Sight, scene: Scene) -> Allocation | float:
    due = allocation.next_retry_s or 0.0
    if scene.now_s < due:
        return due
    return _move(allocation, Event.RETRIED, scene, "tried again")


def _release(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    if sight.named and not allocation.listening:
        return _unname(allocation, sight, scene)
    if allocation.node is None:
        return _leave(allocation, sight, scene) if sight.fabric else _cool(allocation, scene, _no_node(allocation))
    return _silence(allocation, sight, scene)


def _silence(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    patience = scene.patience
    if allocation.listening:
        drained = allocation.since_s + patience.drain_s
        if scene.now_s < drained:
            return drained
        moved = _move(allocation, Event.DRAINED, scene, f"waiting for node {allocation.node} to confirm the removal")
        return replace(moved, listening=False)
    if sight.silent:
        return _detach(allocation, sight, scene)
    return _give_up(allocation, sight, scene)


def _detach(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    """The listener is gone: the interface goes next, once requests under way have had the time to end."""
    if allocation.attached and not allocation.detaching:
        closed = allocation.since_s + scene.patience.drain_s + scene.patience.close_s
        if scene.now_s < closed:
            return closed
        why = f"waiting for the agent of node {allocation.node} to confirm the removal of the interface"
        return replace(allocation, detaching=True, reason=why)
    if sight.detached or not (allocation.attached or sight.has_agent):
        return _confirm(allocation, sight, scene, f"node {allocation.node} confirmed the removal")
    return _give_up(allocation, sight, scene)


def _confirm(allocation: Allocation, sight: Sight, scene: Scene, why: str) -> Allocation:
    """No node has anything of it left: its fabric lets go next; without one its block cools."""
    if sight.fabric:
        return replace(allocation, node=None, listening=False, attached=False, detaching=False, reason=why)
    return _cool(allocation, scene, why)


def _cool(allocation: Allocation, scene: Scene, why: str) -> Allocation:
    moved = _move(allocation, Event.CONFIRMED, scene, why)
    return replace(moved, listening=False, attached=False, detaching=False)


def _leave(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    """The fabric has as long as the node had; what is given up is removed there as soon as it can be."""
    given_up = allocation.since_s + 2 * scene.patience.release_timeout_s
    if scene.now_s < given_up:
        return _told(allocation, f"waiting for {sight.fabric}", given_up)
    return _cool(allocation, scene, f"given up waiting for {sight.fabric}")


def _no_node(allocation: Allocation) -> str:
    return "nothing serves it any more" if allocation.generation else "released before any node served it"


def _give_up(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    patience = scene.patience
    given_up = allocation.since_s + patience.release_timeout_s
    if scene.now_s < given_up:
        return given_up
    why = f"node {allocation.node} did not confirm the removal within {patience.release_timeout_s:g} s"
    return _confirm(allocation, sight, scene, why)


def _unname(allocation: Allocation, sight: Sight, scene: Scene) -> Allocation | float:
    """Nobody else gets an address that clients are still sent to under the old name."""
    given_up = allocation.since_s + scene.patience.release_timeout_s
    if scene.now_s < given_up:
        return _told(allocation, f"waiting for {sight.named} to stop naming its address", scene.now_s + _LOOK_AGAIN_S)
    why = f"{sight.named} did not stop naming its address within {scene.patience.release_timeout_s:g} s"
    return _confirm(allocation, sight, scene, why)


def _place(allocation: Allocation, scene: Scene) -> Allocation | float:
    """Choose a node. An allocation without one waits, and its reason says for what."""
    found = place(allocation, scene.nodes.values(), scene.load, avoid=allocation.node)
    if not isinstance(found, Node):
        return _told(allocation, found.why, math.inf)
    attached = found.id in scene.with_agent
    moved = _move(allocation, Event.PLACED, scene, _placed_on(found.id, attached=attached))
    return replace(
        moved,
        node=found.id,
        locality=found.locality,
        generation=allocation.generation + 1,
        listening=True,
        attached=attached,
        since_s=scene.now_s,
    )


def _lose(allocation: Allocation, missing_s: float, scene: Scene) -> Allocation | float:
    left = scene.patience.node_timeout_s - missing_s
    if left > 0:
        why = f"node {allocation.node} is away; it is placed elsewhere after {scene.patience.node_timeout_s:g} s"
        return _told(allocation, why, scene.now_s + left)
    moved = _move(allocation, Event.LOST, scene, f"node {allocation.node} is lost; looking for another")
    return replace(moved, node=None, listening=False, attached=False)


def _fail(allocation: Allocation, scene: Scene, why: str) -> Allocation:
    """A failed subnet keeps its block and remembers the node, to avoid it; the listener is taken back."""
    pause = _RETRY_S[min(allocation.attempts, len(_RETRY_S) - 1)]
    moved = _move(allocation, Event.FAILED, scene, why)
    return replace(
        moved, listening=False, attached=False, attempts=allocation.attempts + 1, next_retry_s=scene.now_s + pause
    )


def _placed_on(node: NodeId | None, *, attached: bool) -> str:
    return f"placed on node {node}, which must acknowledge {'the interface and ' if attached else ''}the listener"


def _awaited(sight: Sight) -> str:
    """Return what is not acknowledged yet, in words."""
    interface = ["the interface (its agent does)"] if sight.has_agent and not sight.attached else []
    return " and ".join([*interface, *([] if sight.serving else ["the listener"])])


def _refused(allocation: Allocation, sight: Sight) -> str:
    if sight.refusal:
        return f"the agent of node {allocation.node} could not configure the interface: {sight.refusal}"
    return f"node {allocation.node} rejected the listener: {sight.problem}"


def _served_by(node: NodeId | None) -> str:
    return f"node {node} serves it"


def _told(allocation: Allocation, why: str, look_again_s: float) -> Allocation | float:
    """Nothing to do until then, except that the reason is to say what is waited for."""
    return look_again_s if allocation.reason == why else replace(allocation, reason=why)


def _move(allocation: Allocation, event: Event, scene: Scene, reason: str) -> Allocation:
    moved = follow(allocation, event, scene.now_s, reason)
    assert moved is not None  # no rule here ends a life: cooled blocks are freed by ``allocate``
    return moved


_RULES: Mapping[Phase, Callable[[Allocation, Sight, Scene], Allocation | float]] = {
    Phase.PROVISIONING: _provision,
    Phase.ACTIVE: _keep,
    Phase.ERROR: _retry,
    Phase.RELEASING: _release,
}
