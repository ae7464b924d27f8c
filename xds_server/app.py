"""The control plane, running: opened from what is durable, served until it is told to stop, reloaded on the way.

The only place that hands out clocks, randomness, adapters and tasks. Who reads what stands in ``plane``.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog

from xds_server import metrics
from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.adapters.system_clock import SystemClock
from xds_server.config import InvalidConfiguration, Settings, facts
from xds_server.config.current import needs_restart
from xds_server.controllers.base import not_ready
from xds_server.decisions.selection import chooser
from xds_server.plane import ControlPlane
from xds_server.ports import Unavailable
from xds_server.servers.admin import Admin, serve_admin
from xds_server.servers.admin_picture import Health
from xds_server.servers.certificates import Tls, UnusableCertificates
from xds_server.servers.console import console
from xds_server.servers.garbage import collect_rarely
from xds_server.servers.http import HttpServer, application
from xds_server.servers.listening import CannotListen
from xds_server.servers.sam_grpc import sam_service
from xds_server.servers.sam_http import sam_routes
from xds_server.servers.smart_endpoint import SmartEndpoints

_log = structlog.get_logger(__name__)
_SQLITE = "sqlite:///"
_NEEDED = {"allocate", "publish", "weigh"}  # before these have run, nothing can be served


class CannotStart(Exception):
    """Something that the control plane cannot do without is not to be had; the text says what to do."""


async def serve(
    settings: Settings, reload: Callable[[], Settings], set_level: Callable[[str], str], early: Collection[int] = ()
) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP takes the file again. Raises CannotStart.

    ``reload`` reads the configuration anew; ``set_level`` sets the log level and returns the one before. ``early``: a
    SIGHUP that came before there was anybody to take it.
    """
    over, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, again.set)
    if early:
        again.set()
    async with running(settings, set_level) as plane, asyncio.TaskGroup() as tasks:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        reloading = tasks.create_task(_keep_reloading(plane, reload, again))
        await over.wait()
        reloading.cancel()
        _log.info("stopping")


async def _keep_reloading(plane: ControlPlane, read: Callable[[], Settings], again: asyncio.Event) -> None:
    """Take the file whenever asked, one reload at a time, beside all else: a large one takes seconds to read."""
    while True:
        await again.wait()
        again.clear()
        try:
            _take(plane, await asyncio.to_thread(read))
        except InvalidConfiguration as error:
            _log.error("the new configuration is refused; the running one stays", faults=error.faults)
        except Exception:  # noqa: BLE001 - the next reload must find somebody
            _log.exception("the new configuration could not be taken; the running one stays")


def _take(plane: ControlPlane, settings: Settings) -> None:
    plane.configured.reload(settings)
    waiting = needs_restart(plane.settings, settings)
    by_hand = plane.desk.tuned()
    _log.info(
        "configuration reloaded", services=len(settings.services), needs_restart=waiting, tuned_over_the_file=by_hand
    )


async def _opened(url: str) -> SqliteStore:
    try:
        return await SqliteStore.open(url.removeprefix(_SQLITE))
    except Unavailable as error:
        raise CannotStart(f"the store {url} cannot be opened: {error}") from error


def _model(path: Path) -> OnnxForecaster | Unavailable:
    """Load the model; without it the fallback forecasts, and says so."""
    try:
        return OnnxForecaster.load(path)
    except Unavailable as error:
        _log.warning("no model; the seasonal fallback forecasts", why=str(error))
        return error


def _http(plane: ControlPlane, admin: Admin, smart: SmartEndpoints, health: Health, tls: Tls) -> HttpServer:
    app = application(
        sam_routes(plane.subnet_desk),
        console(admin),
        not_ready=health.not_ready,
        degraded=health.degraded,
        select=lambda service, network: smart.choose(service, network).as_json(),
    )
    settings = plane.settings
    return HttpServer(app, settings.listen.http, insecure=settings.insecure, tls=tls.http("http"), gate=plane.gate)


@asynccontextmanager
async def running(settings: Settings, set_level: Callable[[str], str]) -> AsyncIterator[ControlPlane]:
    """Run the control plane while the block runs. Raises CannotStart."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store = await _opened(settings.store)
        stack.push_async_callback(store.close)
        plane = ControlPlane(settings, store, clock, _model(settings.model.path))
        try:
            await plane.compose()
        except (ValueError, Unavailable) as error:
            raise CannotStart(f"the store {settings.store}: {error}") from error
        await plane.keep_rings.take_up()
        stack.push_async_callback(plane.keep_rings.at_the_end)
        await stack.enter_async_context(plane.stats)
        for registry in plane.registries:
            stack.push_async_callback(registry.close)
        for step in plane.fabrics:
            stack.push_async_callback(step.fabric.close)
        for remote in plane.remotes:
            stack.push_async_callback(remote.close)
        controllers = plane.controllers()
        health = Health(lambda: not_ready(controllers, _NEEDED), plane.degraded, plane.heard)
        picture = replace(plane.picture(), health=health)
        smart = SmartEndpoints(picture, chooser(random.Random()))  # noqa: S311 - spreads traffic, guards nothing
        admin = Admin(picture, plane.desk, smart, set_level, replays=plane.replay)
        try:
            tls = facts.tls(settings)
            http = _http(plane, admin, smart, health, tls)
            await plane.open(tls)
            stack.push_async_callback(plane.ads.stop)
            sam = sam_service(plane.subnet_desk)
            gated = serve_admin(admin, settings.listen.admin, sam, credentials=tls.grpc("admin"), gate=plane.gate)
            await stack.enter_async_context(gated)
        except (CannotListen, UnusableCertificates, OSError, RuntimeError) as error:
            raise CannotStart(str(error)) from error
        group = await stack.enter_async_context(asyncio.TaskGroup())  # last: it would wrap what is raised above it
        tasks = [group.create_task(controller.run(), name=controller.name) for controller in controllers]
        tasks += [group.create_task(http.run(), name="http"), group.create_task(plane.ads.watch(), name="ads")]
        tasks.append(group.create_task(plane.gate.watch(), name="gate"))
        collect_rarely()
        metrics.LEADER.set(1)
        _log.info("serving", **settings.listen.model_dump())
        try:
            yield plane
        finally:
            for task in tasks:
                task.cancel()
