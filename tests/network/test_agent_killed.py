"""kill -9 of the agent before every single call into a real kernel: the next one finishes, nothing is leaked or doubled."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.network.edge import namespace, require_namespaces, sh

pytestmark = [pytest.mark.network, pytest.mark.slow]
FOREIGN_TABLE = "add table inet foreign; add chain inet foreign input { type filter hook input priority 10 ; }"


class Agents:
    """One agent after the other, each in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def reconcile(self, scene: str, calls: int | None = None) -> dict[str, Any] | None:
        """Let a new one make the kernel have a scene; None: it died before its call number ``calls``."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"scene": scene, "calls": calls}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "it ended"
        return json.loads(line)


@contextmanager
def agents(name: str, kind: str, at: Path) -> Iterator[Agents]:
    """Agents in a namespace."""
    command = [sys.executable, "-m", "tests.fakes.kernel_process", name, kind, str(at / "resolv")]
    with (
        (at / "log").open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=Path.cwd()
        ) as process,
    ):
        yield Agents(process)
        assert process.stdin
        process.stdin.close()


def of_others(name: str) -> str:
    """Make things like ours, of others; return all that the usual tools tell of the whole namespace."""
    for command in (
        f"ip -n {name} link add up0 type veth peer name up1",
        f"ip -n {name} link set up0 addrgenmode none up",
        f"ip -n {name} addr add 10.78.0.1/24 dev up0",
        f"ip -n {name} link add xsforeign type bridge",
        f"ip -n {name} rule add from 10.9.0.0/24 lookup 99 pref 10077",
        f"ip -n {name} route add local 10.9.0.0/24 dev lo proto 99",
        f"ip -n {name} route add throw default table 99 proto 99",
        f"tc -n {name} qdisc add dev up1 root handle 7864: htb",
    ):
        sh(command)
    for command in FOREIGN_TABLE.split("; add"):
        sh(f"ip netns exec {name} nft {command if command.startswith('add') else 'add' + command}")
    return everything(name)


def everything(name: str) -> str:
    """Return a namespace as the usual tools print it, but for the default queueing, which comes by itself."""
    told = [sh(f"ip -n {name} -br {what}") for what in ("link", "addr")]
    told += [sh(f"ip -n {name} {f} {what}") for f in ("-4", "-6") for what in ("rule", "route show table all")]
    told += [sh(f"ip netns exec {name} nft list ruleset"), sh(f"tc -n {name} class show dev up0")]
    return "\n".join([*told, *(line for line in sh(f"tc -n {name} qdisc").splitlines() if "htb" in line)])


@pytest.mark.parametrize("kind", ["", "lo"], ids=["its own choice", "lo"])
def test_killed_before_every_call_into_the_kernel(kind: str, tmp_path: Path):
    """Coming, changing and going; after each death a new agent has exactly what is wanted; in the end all is as before."""
    require_namespaces()
    with namespace("killed") as name:
        before = of_others(name)
        with agents(name, kind, tmp_path) as some:
            never_killed = {scene: some.reconcile(scene) for scene in ("one", "changed", "nothing")}
            assert not any(found["refused"] or found["differs"] for found in never_killed.values())
            assert everything(name) == before
            deaths = dict.fromkeys(never_killed, 0)
            for calls in count():
                for scene, whole in never_killed.items():
                    if deaths[scene] == calls:
                        deaths[scene] += some.reconcile(scene, calls) is None
                    assert some.reconcile(scene) == whole
                assert everything(name) == before
                if calls + 1 not in deaths.values():
                    break
        assert min(deaths["one"], deaths["nothing"]) > 15
        assert list((tmp_path / "resolv").iterdir()) == []
