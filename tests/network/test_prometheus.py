"""A real Prometheus scrapes the real server, and executes every query of the dashboard and every alert."""

import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.envoy.world import free_port
from tests.fakes.metric_names import series
from tests.fakes.required import program
from tests.unit.test_dashboards import DOCKER, EXPRESSIONS, NAMES
from xds_server.demo.control import ControlPlane
from xds_server.demo.programs import Program, until

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]

FILLED = {"xds_subnets", "xds_controller_run_seconds_bucket"}
"""Series with labels that the running server always has, besides those without labels."""
POOLS = re.compile(r"xds_subnet_pool_\w+")


@dataclass
class Watcher:
    """A Prometheus that watches a control plane."""

    api: httpx.AsyncClient

    async def query(self, expression: str) -> list[Any]:
        """Execute an expression; an error of Prometheus is an error of the test."""
        answer = (await self.api.get("/api/v1/query", params={"query": expression})).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        return list(answer["data"]["result"])


def _config(directory: Path, target: str) -> Path:
    """Write docker/'s own configuration with another target and a quicker pulse."""
    config = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    shutil.copy(DOCKER / "prometheus/alerts.yml", directory)
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def binary() -> str:
    """Debian's prometheus; skips (or fails, where it is required) when there is none."""
    return program("prometheus", "prometheus", "prometheus")


@pytest.fixture
async def watcher(binary: str, tmp_path: Path) -> AsyncIterator[Watcher]:
    """The real server with a pool, and a Prometheus of our own, both on free loopback ports."""
    xds, admin, http, own = (f"127.0.0.1:{free_port()}" for _ in range(4))
    config = {
        "listen": {"xds": xds, "admin": admin, "http": http},
        "services": [
            {
                "name": "checkout",
                "listen_port": 15001,
                "endpoints": [{"id": "a1", "address": "127.0.0.1", "port": 9001}],
            }
        ],
        "security_profiles": {"web": {"allow": []}},
        "pools": [{"name": "zone-a", "prefixes": ["127.77.0.0/16"], "location": "z1", "security_profiles": ["web"]}],
    }
    async with contextlib.AsyncExitStack() as stack:
        control = ControlPlane(config, tmp_path)
        stack.push_async_callback(control.stop)
        await control.start()
        command = [
            binary,
            f"--config.file={_config(tmp_path, http)}",
            f"--storage.tsdb.path={tmp_path / 'samples'}",
            f"--web.listen-address={own}",
        ]
        prometheus = await Program.start("prometheus", command, tmp_path)
        stack.push_async_callback(prometheus.stop)
        api = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://{own}", timeout=10))
        made = Watcher(api)

        async def scraped_twice() -> bool:
            try:
                found = await made.query('count_over_time(up{job="xds-server"}[1m]) >= 3')
            except (httpx.TransportError, ValueError):  # it is not up yet, or says so in plain text
                return False
            return bool(found)

        await until(scraped_twice, what="Prometheus has scraped three times", deadline_s=30, of=prometheus)
        yield made


def _runnable(expression: str) -> str:
    """Fill in what Grafana fills in."""
    return expression.replace("$__rate_interval", "1m").replace("$service", ".*")


async def test_prometheus_reads_it_all(watcher: Watcher) -> None:
    """Every query and alert runs on what a real Prometheus scraped, and what it scraped is what metrics.py names."""
    await _every_expression_runs(watcher)
    await _rules_are_healthy(watcher)
    await _the_scrape_is_clean(watcher)


async def _every_expression_runs(watcher: Watcher) -> None:
    """Each expression parses and executes; those whose series always exist return data."""
    (up,) = await watcher.query('up{job="xds-server"}')
    assert up["value"][1] == "1"
    labels, empty = series(), []
    for where, expression in EXPRESSIONS:
        found = await watcher.query(_runnable(expression))
        named = NAMES.findall(expression)
        always = all(not labels[name] or name in FILLED or POOLS.fullmatch(name) for name in named)
        compares = re.search(r"[<>]|==", expression)
        if always and not compares and not found:
            empty.append(f"{where}: {expression}")
    assert not empty


async def _rules_are_healthy(watcher: Watcher) -> None:
    """Prometheus evaluates every rule without error, and a healthy idle server fires none."""
    groups: list[Any] = []

    async def evaluated() -> bool:
        groups[:] = (await watcher.api.get("/api/v1/rules")).json()["data"]["groups"]
        return all(rule["health"] == "ok" for group in groups for rule in group["rules"])

    await until(evaluated, what="every rule was evaluated", deadline_s=30)
    rules = [rule for group in groups for rule in group["rules"]]
    written = yaml.safe_load((DOCKER / "prometheus/alerts.yml").read_text())["groups"]
    assert len(rules) == sum(len(group["rules"]) for group in written) > 0
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


async def _the_scrape_is_clean(watcher: Watcher) -> None:
    """What Prometheus stored of us is what metrics.py names, with the process's own figures."""
    names = (await watcher.api.get("/api/v1/label/__name__/values")).json()["data"]
    ours = {n for n in names if n.startswith(("xds_", "process_"))}
    assert {n for n in ours if not n.endswith("_created")} <= series().keys()
    assert {"xds_streams", "xds_store_commit_seconds_bucket", "process_resident_memory_bytes"} <= ours
