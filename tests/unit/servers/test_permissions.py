"""The table of permissions against the servers: every RPC that is served stands in it, and nothing else does."""

import importlib

import grpc
import pytest
from google.protobuf import descriptor_pool

from tests.fakes.fleet import Fleet
from xds_server.domain.access import Right
from xds_server.embed import ResourceCache, XdsServer
from xds_server.servers import permissions
from xds_server.servers.admin import serve_admin
from xds_server.servers.permissions import PERMISSIONS, path_right
from xds_server.servers.services import SERVICES

_READS = ("List", "Get", "Select", "Explain", "Replay", "Watch")
_FILES = ("discovery.v3.ads", "listener.v3.lds", "route.v3.rds", "route.v3.srds", "cluster.v3.cds", "endpoint.v3.eds",
          "secret.v3.sds", "runtime.v3.rtds", "extension.v3.config_discovery")  # fmt: skip


class _Recorder:
    """A server that only notes which methods it is given."""

    def __init__(self, *_, **__) -> None:
        self.methods: dict[str, object] = {}

    def add_generic_rpc_handlers(self, handlers) -> None:
        for handler in handlers:
            self.methods.update(getattr(handler, "_handler", handler)._method_handlers)  # Counted stands around some

    def add_registered_method_handlers(self, *_) -> None: ...

    def add_insecure_port(self, _) -> int:
        return 1

    async def start(self) -> None: ...

    async def stop(self, _) -> None: ...


@pytest.fixture
def recorder(monkeypatch):
    """Whatever server is made from now on is this one."""
    made = _Recorder()
    monkeypatch.setattr(grpc.aio, "server", lambda *_, **__: made)
    return made


def _descriptor_methods() -> set[str]:
    """Every method of the services that are served, from their descriptors."""
    pool = descriptor_pool.Default()
    names = {method.split("/")[1] for method in PERMISSIONS}
    services = [pool.FindServiceByName(name) for name in names]
    return {f"/{s.full_name}/{m.name}" for s in services for m in s.methods}


def test_every_rpc_of_every_service_has_a_right():
    """No RPC of a descriptor is missing, and none was left undecided."""
    for name in _FILES:
        importlib.import_module(f"envoy.service.{name}_pb2")
    assert _descriptor_methods() == set(PERMISSIONS)
    assert [method for method, right in PERMISSIONS.items() if right is None] == []


async def test_every_method_that_is_served_stands_in_the_table(recorder):
    """Both gRPC servers, as they register their methods."""
    async with XdsServer(ResourceCache(), listen="127.0.0.1:0", group_of=lambda _: "g"):
        pass
    async with serve_admin(Fleet().admin, "127.0.0.1:0"):
        pass
    served = set(recorder.methods)
    assert served <= set(PERMISSIONS)
    sam = {method for method in PERMISSIONS if "/xds_server.sam" in method}
    assert set(PERMISSIONS) - served == sam  # given to serve_admin by app


def test_an_rpc_nobody_thought_of_is_nobodys():
    """A method of a descriptor without an entry has no right."""
    forgotten = dict(permissions._of(permissions.admin_pb2, {Right.LOOK: "ListNodes"}))
    assert forgotten["/xds_server.admin.v1.Admin/PinWeight"] is None


def test_what_changes_something_is_never_for_looking():
    """Of our own APIs, only methods whose names read are a viewer's."""
    ours = {m: r for m, r in PERMISSIONS.items() if m.startswith("/xds_server.")}
    assert len(ours) >= 20
    for method, right in ours.items():
        assert (right is Right.LOOK) == method.rpartition("/")[2].startswith(_READS), method


def test_xds_methods_are_the_descriptors():
    """The table of services has exactly the kinds of RPC that each descriptor has."""
    for service in SERVICES:
        found = descriptor_pool.Default().FindServiceByName(service.name)
        assert {kind + service.noun for kind in service.kinds} == {method.name for method in found.methods}


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/healthz", Right.OPEN),
        ("GET", "/metrics", Right.LOOK),
        ("GET", "/subnets/status", Right.LOOK),
        ("POST", "/subnets/request", Right.SUBNETS),
        ("POST", "/subnets/release", Right.SUBNETS),
        ("POST", "/anything", Right.CHANGE),
        ("DELETE", "/healthz", Right.CHANGE),
        ("PUT", "/subnets/request", Right.CHANGE),
    ],
)
def test_paths_need_rights(method, path, right):
    """Looking is a viewer's; what is unknown and changes something is an operator's."""
    assert path_right(method, path) is right
    assert method != "GET" or path_right("HEAD", path) is right
