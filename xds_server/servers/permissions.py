"""Permissions: what every RPC and every path needs, on one page.

Made from the services' descriptors, so that a new RPC that nobody thought of is in the table without a right: nobody
may call it until somebody decides. Does not know who calls.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from envoy.service.load_stats.v3 import lrs_pb2
from envoy.service.status.v3 import csds_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from xds_server.domain.access import Right
from xds_server.pb.admin.v1 import admin_pb2
from xds_server.pb.sam.v1 import sam_pb2
from xds_server.servers.services import methods

_ADMIN: Final = {
    Right.LOOK: (
        "ListNodes ListServices ListEndpoints GetPolicy SelectEndpoint Explain Replay WatchWeights ListChanges GetModel"
        " GetHealth"
    ),
    Right.CHANGE: (
        "RegisterEndpoint DeregisterEndpoint SetPolicy PinWeight UnpinWeight DrainEndpoint UndrainEndpoint UndoChange"
        " SetLogLevel"
    ),
}
_SUBNETS: Final = {Right.SUBNETS: "RequestSubnet ReleaseSubnet", Right.LOOK: "ListSubnets ListPools ListAutoscaling"}
_HEALTH: Final = {Right.OPEN: "Check List Watch"}
_REFLECTION: Final = {Right.LOOK: "ServerReflectionInfo"}
_STATUS: Final = {Right.LOOK: "StreamClientStatus FetchClientStatus"}
_LOAD: Final = {Right.NODE: "StreamLoadStats"}

Table = Mapping[str, Right | None]
"""Full method name (``/package.Service/Method``) -> the right it needs; None: nobody may."""


def _of(file: Any, rights: Mapping[Right, str]) -> Iterator[tuple[str, Right | None]]:
    """Yield the methods of the file's only service."""
    (service,) = file.DESCRIPTOR.services_by_name.values()
    given = {name: right for right, names in rights.items() for name in names.split()}
    for method in service.methods:
        yield f"/{service.full_name}/{method.name}", given.get(method.name)


PERMISSIONS: Final[Table] = {
    **dict.fromkeys(methods(), Right.NODE),
    **dict(_of(lrs_pb2, _LOAD)),
    **dict(_of(csds_pb2, _STATUS)),
    **dict(_of(admin_pb2, _ADMIN)),
    **dict(_of(sam_pb2, _SUBNETS)),
    **dict(_of(health_pb2, _HEALTH)),
    **dict(_of(reflection_pb2, _REFLECTION)),
}

_PATHS: Final = {("GET", "/healthz"): Right.OPEN, ("HEAD", "/healthz"): Right.OPEN}
_LOOKING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def path_right(method: str, path: str) -> Right:
    """Return what an HTTP request needs: looking is LOOK, /subnets is SUBNETS too, anything else CHANGE."""
    if (method, path) in _PATHS:
        return _PATHS[method, path]
    if path.startswith("/subnets/") and method == "POST":
        return Right.SUBNETS
    return Right.LOOK if method in _LOOKING else Right.CHANGE
