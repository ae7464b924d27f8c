"""The cast: every controller and server of the control plane, with what it reads and what it writes.

Knows everybody's constructor. Decides nothing, opens nothing: ``app`` hands out clocks, adapters and tasks.
"""

import uuid

import structlog

from xds_server.adapters.envoy_stats import EnvoyStats
from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.adapters.ring_file import RingFile
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.config import Settings, facts
from xds_server.config.afar import node_configurators
from xds_server.config.current import Configured
from xds_server.config.outside import fabrics, name_services, registries
from xds_server.controllers.allocate import Allocate
from xds_server.controllers.announce import Announce
from xds_server.controllers.arrive import Arrive
from xds_server.controllers.attach import Attach, Fabrics
from xds_server.controllers.autoscale import Autoscale, Scene
from xds_server.controllers.base import Controller, Step
from xds_server.controllers.configure_afar import ConfigureAfar
from xds_server.controllers.forecast import ForecastStep
from xds_server.controllers.front_ends import Presence
from xds_server.controllers.keep_rings import KeepRings
from xds_server.controllers.names import Balanced, NamesStep
from xds_server.controllers.operate import Desk
from xds_server.controllers.provision import Provision
from xds_server.controllers.publish import Publish
from xds_server.controllers.register import RegisterStep
from xds_server.controllers.remember import Recalled, Remember, recall
from xds_server.controllers.replay import Replay, Shelf
from xds_server.controllers.scrape import Scrape, ScrapeOptions
from xds_server.controllers.weigh import Sources, WeighStep
from xds_server.domain.names import NodeId, SubnetId
from xds_server.domain.policy import Pin
from xds_server.domain.resource import EDS
from xds_server.domain.topology import Node, NodeKind, Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock, Store, Unavailable
from xds_server.servers.admin_picture import Picture
from xds_server.servers.ads import AdsServer
from xds_server.servers.certificates import Tls
from xds_server.servers.convergence import ConvergenceView
from xds_server.servers.csds import ClientStatus
from xds_server.servers.fleet import Fleet
from xds_server.servers.gate import Gate
from xds_server.servers.lrs import LoadReporting
from xds_server.servers.serving import Clocks, Serving
from xds_server.servers.subnet_desk import SubnetDesk
from xds_server.servers.workers.front import Front
from xds_server.state.afar import Heard
from xds_server.state.cache import GroupCache
from xds_server.state.history import History
from xds_server.state.ledger import Ledger
from xds_server.state.waiting import WaitingRoom
from xds_server.state.watchable import Watchable

_log = structlog.get_logger(__name__)
_SQLITE = "sqlite:///"
_NEEDED = {"allocate", "publish", "weigh"}  # before these have run, nothing can be served


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
        self.afar: dict[NodeId, Heard] = {NodeId(p.node): Watchable(None) for p in settings.node_configurators}
        self.fleet = Fleet(self.configured.services, self.configured.plan, self.afar)
        self.gate = Gate(self.configured.access)
        self.load_reports = LoadReporting(self.gate.admit_node, clock.wall)
        self._serving = self._one_process() if settings.workers == 1 else self._workers()
        self.ads: Serving = self._serving
        self.fleet.attach(self.ads)

    def _one_process(self) -> AdsServer:
        made: AdsServer = AdsServer(
            self.cache,
            group_of=self.gate.before(self.fleet.group_of),
            clocks=Clocks(self.clock.now, self.clock.wall),
            limits=facts.limits(self.settings),
            more=(self.load_reports.handler(), ClientStatus(lambda: made, self.cache).handler()),
            gate=self.gate,
        )
        return made

    def _workers(self) -> Front:
        return Front(
            self.cache,
            count=self.settings.workers,
            group_of=self.fleet.group_of,
            clocks=Clocks(self.clock.now, self.clock.wall),
            limits=facts.limits(self.settings),
            access=self.configured.access,
            take_load=self.load_reports.keep,
        )

    async def open(self, tls: Tls) -> None:
        """Open the xDS port. Raises OSError, CannotListen."""
        address = self.settings.listen.xds
        if isinstance(self._serving, Front):
            await self._serving.start(address, tls.paths("xds"))
        else:
            await self._serving.start(address, tls.grpc("xds"))

    async def compose(self) -> None:
        """Read what is durable, then put everybody in place, before anybody watches."""
        await self.ledger.load()
        self._compose_subnets()
        self._compose_services()
        await self.announce.step()  # so that no service is published without its subnets' endpoints
        await self.desk.load()
        self._compose_weights(await recall(self.store))
        self._compose_names()

    def _compose_subnets(self) -> None:
        """Requests wait in the room; the ledger remembers; allocate, provision and announce move on; fabrics follow."""
        plan, clock, ledger = self.configured.plan, self.clock, self.ledger
        patience = facts.patience(self.settings)
        presence = Presence(self.fleet.nodes, clock, patience.node_timeout_s)
        self.room = room = WaitingRoom(lambda: SubnetId(f"sn-{uuid.uuid4().hex[:16]}"))
        self.allocate = Allocate(ledger, room, plan, clock)
        self.fabrics = [Attach(fabric, ledger, plan, clock) for fabric in fabrics(self.settings)]
        routed = Fabrics({step.fabric.name: step for step in self.fabrics}, plan)
        self.provision = Provision(
            ledger, self.fleet, presence, patience, clock, named_by=self._named_by, fabrics=routed
        )
        every_s = {NodeId(part.node): part.every_s for part in self.settings.node_configurators}
        self.remotes = [
            ConfigureAfar(node, afar, self.afar[node], ledger.allocations, plan, clock=clock, every_s=every_s[node])
            for node, afar in node_configurators(self.settings).items()
        ]
        self.announce = Announce(ledger, self.fleet, presence, plan, clock)
        self.subnet_desk = SubnetDesk(
            ledger, room, plan, self.allocate.pools, clock, scaled=lambda: self.autoscale.scaled.value
        )

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
        self.scrape = Scrape(
            self._scraped,
            self._services,
            self.stats,
            self.history,
            self.clock,
            ScrapeOptions(endpoints_per_s=telemetry.endpoints_per_s),
            reports=lambda: self.load_reports.latest,
        )
        self.keep_rings = KeepRings(self.history, RingFile(facts.rings(self.settings)), self.clock)
        self.forecast = ForecastStep(self.history, self.model, SeasonalForecaster(), self.clock, self.desk.services)

    def _compose_weights(self, recalled: Recalled) -> None:
        """Services, telemetry, forecasts and pins make weights; they are remembered, then published."""
        sources = Sources(
            samples=self.history.samples,
            forecasts=self.forecast.forecasts,
            services=self.desk.services,
            pins=self.desk.pins,
            nodes=lambda: self.fleet.connected.value,
            paths=lambda: self.scrape.paths.value,
        )
        self.weigh = WeighStep(sources, self.clock, self.history.interval_s, remembered=recalled)
        shelf = Shelf(self.history, self.desk.services, self.desk.pins, self.weigh.decided)
        self.replay = Replay(shelf, self.model, SeasonalForecaster(), self.clock)
        scene = Scene(self.configured.plan, self.desk.services, self.weigh.decided, self.forecast.forecasts)
        self.autoscale = Autoscale(scene, self.ledger, self.room, self.clock)
        self.remember = Remember(self.store, self.weigh.weights, recalled)
        self.publish = Publish(
            services=self.desk.services,
            weights=self.remember.published,
            allocations=self.ledger.allocations,
            plan=self.configured.plan,
            nodes=self.fleet.connected,
            agents=self.fleet.agents,
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

    def _compose_names(self) -> None:
        """DNS servers and registries are told what load balancing knows, each by a controller of its own."""
        balanced = Balanced(self.desk.services, self.weigh.decided, self.publish.published)
        self.names = [
            NamesStep(server, balanced, self.clock, self.history.interval_s) for server in name_services(self.settings)
        ]

        self.registries = registries(self.settings)
        self.registers = [
            RegisterStep(registry, self.desk.services, self.publish.published, self.clock)
            for registry in self.registries
        ]

    def _outside(self) -> list[NamesStep | RegisterStep]:
        return [*self.names, *self.registers]

    def _named_by(self, address: str) -> str:
        return ", ".join(step.name for step in self._outside() if step.names_address(address))

    def degraded(self) -> list[str]:
        """Return what is not as good as it could be, though everything works."""
        named = [
            f"{step.name}: {step.problem}" for step in (*self._outside(), *self.fabrics, *self.remotes) if step.problem
        ]
        refused = [f"{subject}: {why}" for subject, why in sorted(self.publish.refusals.value.items())]
        return ([f"forecast: {why}"] if (why := self.forecast.because) else []) + named + refused

    def heard(self) -> tuple[int, int]:
        """Return how many Envoys' telemetry was heard lately, and of how many."""
        return self.scrape.coverage.heard, self.scrape.coverage.nodes

    def _rehearse(self, service: Service, pins: tuple[Pin, ...]) -> WeightTable | None:
        return self.weigh.rehearse(service, pins)

    def _services(self) -> tuple[Service, ...]:
        return tuple(self.desk.services.value.values())

    def _scraped(self) -> list[Node]:
        return [n for n in self.fleet.connected.value.values() if n.kind is NodeKind.SIDECAR and n.telemetry]

    def controllers(self) -> list[Controller]:
        """Return everybody who loops, in the order in which data flows."""
        steps: tuple[Step, ...] = (
            self.fleet, self.allocate, self.provision, self.announce, self.desk, self.scrape, self.forecast,
            self.keep_rings, self.weigh, self.autoscale, self.remember, self.publish, self.arrive, *self.names,
            *self.registers, *self.fabrics, *self.remotes,
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
