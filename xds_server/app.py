"""The control plane, composed: who reads what, who writes what, who is told.

The only place that hands out clocks, randomness, adapters and tasks. Knows everybody's constructor. Decides nothing.
"""

import asyncio
import random
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from xds_server import metrics
from xds_server.adapters.envoy_stats import EnvoyStats
from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.adapters.system_clock import SystemClock
from xds_server.config import InvalidConfiguration, Settings, facts
from xds_server.config.current import Configured, needs_restart
from xds_server.controllers.allocate import Allocate
from xds_server.controllers.announce import Announce
from xds_server.controllers.arrive import Arrive
from xds_server.controllers.base import Controller, not_ready
from xds_server.controllers.forecast import ForecastStep
from xds_server.controllers.front_ends import Presence
from xds_server.controllers.operate import Desk
from xds_server.controllers.provision import Provision
from xds_server.controllers.publish import Publish
from xds_server.controllers.remember import Recalled, Remember, recall
from xds_server.controllers.scrape import Scrape
from xds_server.controllers.weigh import Sources, WeighStep
from xds_server.decisions.selection import chooser
from xds_server.domain.names import SubnetId
from xds_server.domain.policy import Pin
from xds_server.domain.resource import EDS
from xds_server.domain.topology import Node, NodeKind, Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock, Store, Unavailable
from xds_server.servers.admin import Admin, serve_admin
from xds_server.servers.admin_picture import Picture
from xds_server.servers.ads import AdsServer, Clocks
from xds_server.servers.certificates import Tls, UnusableCertificates
from xds_server.servers.convergence import ConvergenceView
from xds_server.servers.csds import ClientStatus
from xds_server.servers.fleet import Fleet
from xds_server.servers.garbage import collect_rarely
from xds_server.servers.gate import Gate
from xds_server.servers.http import HttpServer, application
from xds_server.servers.listening import CannotListen
from xds_server.servers.lrs import LoadReporting
from xds_server.servers.sam_grpc import sam_service
from xds_server.servers.sam_http import sam_routes
from xds_server.servers.smart_endpoint import SmartEndpoints
from xds_server.servers.subnet_desk import SubnetDesk
from xds_server.state.cache import GroupCache
from xds_server.state.history import History
from xds_server.state.ledger import Ledger
from xds_server.state.waiting import WaitingRoom

_log = structlog.get_logger(__name__)
_SQLITE = "sqlite:///"
_NEEDED = {"allocate", "publish", "weigh"}  # before these have run, nothing can be served


class CannotStart(Exception):
    """Something that the control plane cannot do without is not to be had; the text says what to do."""


class ControlPlane:
    """The cast. Each line names what somebody reads; what they write are their public watchables."""

    weigh: WeighStep

    def __init__(self, settings: Settings, store: Store, clock: Clock, model: OnnxForecaster | Unavailable) -> None:
        self.settings = settings
        self.clock = clock
        self.store = store
        self.model = model
        self.configured = Configured.of(settings)
        self.ledger = Ledger(store)
        self.cache = GroupCache()
        self.history = History(settings.telemetry.interval_s)
        self.fleet = Fleet(self.configured.services, self.configured.plan)
        self.gate = Gate(self.configured.access)
        self.load_reports = LoadReporting(self.gate.admit_node, clock.wall)
        self.ads = AdsServer(
            self.cache,
            group_of=self.gate.before(self.fleet.group_of),
            clocks=Clocks(clock.now, clock.wall),
            limits=facts.limits(settings),
            more=(self.load_reports.handler(), ClientStatus(lambda: self.ads, self.cache).handler()),
            gate=self.gate,
        )
        self.fleet.attach(self.ads)

    async def compose(self) -> None:
        """Read what is durable, then put everybody in place, before anybody watches."""
        await self.ledger.load()
        self._compose_subnets()
        self._compose_services()
        await self.announce.step()  # so that no service is published without its subnets' endpoints
        await self.desk.load()
        self._compose_weights(await recall(self.store))

    def _compose_subnets(self) -> None:
        """Requests wait in the room; the ledger remembers; allocate, provision and announce move allocations on."""
        plan, clock, ledger = self.configured.plan, self.clock, self.ledger
        patience = facts.patience(self.settings)
        presence = Presence(self.fleet.nodes, clock, patience.node_timeout_s)
        room = WaitingRoom(lambda: SubnetId(f"sn-{uuid.uuid4().hex[:16]}"))
        self.allocate = Allocate(ledger, room, plan, clock)
        self.provision = Provision(ledger, self.fleet, presence, patience, clock)
        self.announce = Announce(ledger, self.fleet, presence, plan, clock)
        self.subnet_desk = SubnetDesk(ledger, room, plan, self.allocate.pools, clock)

    def _compose_services(self) -> None:
        """Configuration, subnets and operators make the services; telemetry of them makes history and forecasts."""
        self.desk = Desk(
            self.store,
            self.clock,
            self.configured.services,
            self.announce.endpoints,
            self._rehearse,
        )
        telemetry = self.settings.telemetry
        self.stats = EnvoyStats(
            self._services, telemetry.allowed_networks, self.clock, allowed_sockets=telemetry.allowed_sockets
        )
        self.scrape = Scrape(self._scraped, self._services, self.stats, self.history, self.clock)
        self.forecast = ForecastStep(self.history, self.model, SeasonalForecaster(), self.clock, self.desk.services)

    def _compose_weights(self, recalled: Recalled) -> None:
        """Services, telemetry, forecasts and pins make weights; they are remembered, then published."""
        sources = Sources(
            samples=self.history.samples,
            forecasts=self.forecast.forecasts,
            services=self.desk.services,
            pins=self.desk.pins,
            nodes=lambda: self.fleet.connected.value,
        )
        self.weigh = WeighStep(sources, self.clock, self.history.interval_s, remembered=recalled)
        self.remember = Remember(self.store, self.weigh.weights, recalled)
        self.publish = Publish(
            services=self.desk.services,
            weights=self.remember.published,
            allocations=self.ledger.allocations,
            plan=self.configured.plan,
            nodes=self.fleet.connected,
            cache=self.cache,
            clock=self.clock,
        )
        self.convergence = ConvergenceView(self.ads, self.cache)
        self.arrive = Arrive(
            self.publish.published,
            self.history.samples,
            self.ads.observations,
            lambda: self.ads.settled(EDS),
            self.clock,
        )

    def _rehearse(self, service: Service, pins: tuple[Pin, ...]) -> WeightTable | None:
        return self.weigh.rehearse(service, pins)

    def _services(self) -> tuple[Service, ...]:
        return tuple(self.desk.services.value.values())

    def _scraped(self) -> list[Node]:
        return [n for n in self.fleet.connected.value.values() if n.kind is NodeKind.SIDECAR and n.telemetry]

    def controllers(self) -> list[Controller]:
        """Return everybody who loops, in the order in which data flows."""
        steps = (
            self.fleet, self.allocate, self.provision, self.announce, self.desk, self.scrape, self.forecast,
            self.weigh, self.remember, self.publish, self.arrive,
        )  # fmt: skip
        return [Controller(step, self.clock) for step in steps]

    def picture(self) -> Picture:
        """Return what the admin API looks at."""
        return Picture(
            services=self.desk.services,
            pins=self.desk.pins,
            published=self.publish.published,
            decided=self.weigh.decided,
            samples=self.history.samples,
            forecasts=self.forecast.forecasts,
            observations=self.ads.observations,
            nodes=self.ads.nodes,
            convergence=self.convergence,
            telemetry_problems=lambda: self.scrape.problems,
            model_card=lambda: {} if isinstance(self.model, Unavailable) else self.model.card,
            clock=self.clock,
        )


async def serve(settings: Settings, reload: Callable[[], Settings], set_level: Callable[[str], str]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP takes the file again. Raises CannotStart.

    ``reload`` reads the configuration anew; ``set_level`` sets the log level and returns the one before.
    """
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with running(settings, set_level) as plane:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: _reload(plane, reload))
        await over.wait()
        _log.info("stopping")


def _reload(plane: ControlPlane, read: Callable[[], Settings]) -> None:
    """Take a new file, or say everything that is wrong with it and go on with the old one."""
    try:
        settings = read()
    except InvalidConfiguration as error:
        _log.error("the new configuration is refused; the running one stays", faults=error.faults)
        return
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


def _http(plane: ControlPlane, smart: SmartEndpoints, missing: Callable[[], list[str]], tls: Tls) -> HttpServer:
    app = application(
        sam_routes(plane.subnet_desk),
        not_ready=missing,
        degraded=lambda: [f"forecast: {why}"] if (why := plane.forecast.because) else [],
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
        await stack.enter_async_context(plane.stats)
        controllers = plane.controllers()
        smart = SmartEndpoints(plane.picture(), chooser(random.Random()))  # noqa: S311 - spreads traffic, guards nothing
        admin = Admin(plane.picture(), plane.desk, smart, set_level)
        try:
            tls = facts.tls(settings)
            http = _http(plane, smart, lambda: not_ready(controllers, _NEEDED), tls)
            await plane.ads.start(settings.listen.xds, tls.grpc("xds"))
            stack.push_async_callback(plane.ads.stop)
            sam = sam_service(plane.subnet_desk)
            gated = serve_admin(admin, settings.listen.admin, sam, credentials=tls.grpc("admin"), gate=plane.gate)
            await stack.enter_async_context(gated)
        except (CannotListen, UnusableCertificates, OSError, RuntimeError) as error:
            raise CannotStart(str(error)) from error
        group = await stack.enter_async_context(asyncio.TaskGroup())  # last: it would wrap what is raised above it
        tasks = [group.create_task(controller.run(), name=controller.name) for controller in controllers]
        tasks += [group.create_task(http.run(), name="http"), group.create_task(plane.ads.watch(), name="ads")]
        collect_rarely()
        metrics.LEADER.set(1)
        _log.info("serving", **settings.listen.model_dump())
        try:
            yield plane
        finally:
            for task in tasks:
                task.cancel()
