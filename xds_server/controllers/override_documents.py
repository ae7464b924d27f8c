"""Override documents: how an operator's facts are written down in the store, and read back.

Knows the JSON shape of each kind. Does not know when they are written.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.overrides import Drain, Overrides
from xds_server.domain.policy import Pin, Policy
from xds_server.domain.topology import Endpoint, Locality, Service
from xds_server.domain.tuning import Tuning, tuned
from xds_server.ports import Document

Body = Mapping[str, Any]
Bodies = dict[tuple[str, str], Body]
"""Bodies by (kind, key); a key is ``service`` or ``service/endpoint`` (names hold no slash)."""

POLICY: Final = "policy"
PIN: Final = "pin"
DRAIN: Final = "drain"
ENDPOINT: Final = "endpoint"
KINDS: Final = (POLICY, PIN, DRAIN, ENDPOINT)
TOUCHED: Final = "operated"
"""Kind of the document per service whose generation counts the operator's changes."""


def write(overrides: Overrides) -> Bodies:
    """Return the body of every fact."""
    bodies: Bodies = {(POLICY, service): tuning for service, tuning in overrides.policies.items()}
    bodies |= {(PIN, _path(key)): _pin_body(pin) for key, pin in overrides.pins.items()}
    bodies |= {(DRAIN, _path(key)): asdict(drain) for key, drain in overrides.drains.items()}
    bodies |= {(ENDPOINT, _path(key)): asdict(endpoint) for key, endpoint in overrides.endpoints.items()}
    return bodies


def spelled_out(overrides: Overrides, services: Iterable[Service]) -> Bodies:
    """Return the body of every fact; these (configured) services with the whole policy as it is then in force."""
    policies = {s.name: tuned(s.policy, overrides.policies.get(s.name, {})) for s in services}
    return write(overrides) | {(POLICY, name): asdict(policy) for name, policy in policies.items()}


def read(bodies: Mapping[tuple[str, str], Body], generations: Mapping[ServiceName, int]) -> Overrides:
    """Return the overrides that ``write`` made; raises ValueError, TypeError or KeyError on a foreign shape."""

    def of(kind: str) -> Iterable[tuple[str, Body]]:
        return ((key, body) for (k, key), body in bodies.items() if k == kind)

    return Overrides(
        policies={ServiceName(key): _tuning_from(body) for key, body in of(POLICY)},
        pins={key_from(path): _pin_from(key_from(path), body) for path, body in of(PIN)},
        drains={key_from(path): Drain(**body) for path, body in of(DRAIN)},
        endpoints={key_from(path): _endpoint_from(body) for path, body in of(ENDPOINT)},
        generations=dict(generations),
    )


def read_documents(documents: Iterable[Document]) -> Overrides:
    """Return the overrides that the store's documents of ``KINDS`` and ``TOUCHED`` tell."""
    bodies: Bodies = {}
    generations: dict[ServiceName, int] = {}
    for document in documents:
        if document.kind == TOUCHED:
            generations[ServiceName(document.key)] = document.generation
        else:
            bodies[document.kind, document.key] = document.body
    return read(bodies, generations)


def put_back(overrides: Overrides, earlier: Mapping[str, Body | None]) -> Overrides:
    """Return the overrides with some facts (``kind/key``) replaced by their earlier bodies, or removed (None)."""
    bodies = write(overrides)
    for subject, body in earlier.items():
        kind, _, key = subject.partition("/")
        bodies.pop((kind, key), None)
        if body is not None:
            bodies[kind, key] = body
    return read(bodies, overrides.generations)


def key_from(path: str) -> EndpointKey:
    """Return the key behind ``service/endpoint``."""
    service, _, endpoint = path.partition("/")
    return EndpointKey(ServiceName(service), EndpointId(endpoint))


def _tuning_from(body: Body) -> Tuning:
    """Return the tuning behind a body; raises InvalidPolicy when bounds have tightened since it was written."""
    tuned(Policy(), body)
    return body


def _path(key: EndpointKey) -> str:
    return f"{key.service}/{key.endpoint}"


def _pin_body(pin: Pin) -> Body:
    until = None if math.isinf(pin.expires_at_s) else pin.expires_at_s
    value = {"weight": pin.weight, "share": pin.share}
    return value | {"reason": pin.reason, "set_at_s": pin.set_at_s, "expires_at_s": until}


def _pin_from(key: EndpointKey, body: Body) -> Pin:
    until = math.inf if body["expires_at_s"] is None else body["expires_at_s"]
    return Pin(key.service, key.endpoint, **{**body, "expires_at_s": until})


def _endpoint_from(body: Body) -> Endpoint:
    return Endpoint(**{**body, "id": EndpointId(body["id"]), "locality": Locality(**body["locality"])})
