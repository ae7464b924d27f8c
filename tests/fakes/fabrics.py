"""Fabrics for tests: a port in a dict, and NSX, APIC and Neutron as far as we use them, every request recorded.

``faults``: answers given instead of the next ones; an exception is raised. What they answer follows the vendors'
documents and, for Neutron, a real server (tests/fabrics); what we send is compared with the vendors' own clients.
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

import httpx

from xds_server.domain.fabrics import DONE, FabricNetwork, Progress
from xds_server.domain.names import SubnetId
from xds_server.ports import NetworkFabric, Unavailable

Fault = httpx.Response | Exception | Callable[[], None]
BUSY_PAGE = httpx.Response(503, html="<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>")
LOST = httpx.ReadTimeout("the answer is lost")
"""A fault after which the request was carried out all the same."""
PASSWORD = "s3cret-of-the-fabric"


class MemoryFabric:
    """``there``: what is attached. ``fail_with``: raised while set. ``answers``: given before it is done, by subnet."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.there: dict[SubnetId, FabricNetwork] = {}
        self.fail_with: Unavailable | None = None
        self.answers: list[Progress] = []
        self.calls: list[tuple[str, str]] = []

    def _called(self, what: str, subnet: str = "") -> Progress | None:
        self.calls.append((what, subnet))
        if self.fail_with:
            raise self.fail_with
        return self.answers.pop(0) if self.answers and what != "ours" else None

    async def attach(self, wanted: FabricNetwork) -> Progress:
        """Attach."""
        answer = self._called("attach", wanted.subnet)
        if answer is None:
            self.there[wanted.subnet] = wanted
        return answer or DONE

    async def detach(self, subnet: SubnetId) -> Progress:
        """Detach."""
        answer = self._called("detach", subnet)
        if answer is None:
            self.there.pop(subnet, None)
        return answer or DONE

    async def ours(self) -> Mapping[SubnetId, int]:
        """Tell."""
        self._called("ours")
        return {subnet: network.generation for subnet, network in self.there.items()}

    async def close(self) -> None:
        """Nothing to let go of."""


class FakeController:
    """What the three have in common: sessions that end, faults, a record."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, object]] = []
        self.faults: list[Fault] = []
        self.sessions = 0
        self.session = ""

    def transport(self) -> httpx.MockTransport:
        """Return what the adapter is given."""
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        form = "form" in request.headers.get("content-type", "")
        body = None if form or not request.content else json.loads(request.content)
        self.requests.append((request.method, path, body))
        fault = self.faults.pop(0) if self.faults else None
        if fault is LOST:
            self._answered(request, path, body)
            raise LOST
        if fault is not None:
            if isinstance(fault, Exception):
                raise fault
            if isinstance(fault, httpx.Response):
                return fault
            fault()
        return self._answered(request, path, body)

    def _answered(self, request: httpx.Request, path: str, body: object) -> httpx.Response:
        login = self.login(request, path, body)
        if login is not None:
            return login
        if not self.logged_in(request):
            return self.logged_out()
        query = {key: values[0] for key, values in parse_qs(request.url.query.decode()).items()}
        return self.respond(request.method, path, body, query, request.headers)

    def asked(self, *methods: str) -> list[tuple[str, str]]:
        """Return method and path of what was asked."""
        return [(method, path) for method, path, _ in self.requests if not methods or method in methods]

    def end_session(self) -> None:
        """Forget who is logged in."""
        self.session = ""

    def login(self, request: httpx.Request, path: str, body: object) -> httpx.Response | None:
        """Answer a login; None: it is none."""
        raise NotImplementedError

    def logged_in(self, request: httpx.Request) -> bool:
        """Return whether a request carries the session."""
        raise NotImplementedError

    def logged_out(self) -> httpx.Response:
        """Answer somebody who is not logged in."""
        return httpx.Response(401, text="log in")

    def respond(
        self, method: str, path: str, body: object, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> httpx.Response:
        """Answer a request."""
        raise NotImplementedError

    def _new_session(self) -> str:
        self.sessions += 1
        self.session = f"session-{self.sessions}"
        return self.session


@contextmanager
def over_http(fake: FakeController, port: int = 0) -> Iterator[str]:
    """Let a fake be asked by other processes, over HTTP on loopback; it outlives them. Yields its URL."""
    one_by_one = threading.Lock()

    class Asked(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are written apart: 40 ms each

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = httpx.Request(self.command, f"http://{self.headers['host']}{self.path}", content=body,
                                    headers=dict(self.headers))  # fmt: skip
            with one_by_one:
                answer = fake.answer(request)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name != "content-length":
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing: whoever asked was killed."""

    server = Server(("127.0.0.1", port), Asked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class FakeNsx(FakeController):
    """One tier-1 gateway t1. ``status``: realisation of new segments; ``ports``: segments with ports on them."""

    def __init__(self) -> None:
        super().__init__()
        self.segments: dict[str, dict[str, object]] = {}
        self.status = ["REALIZED"]
        self.ports: set[str] = set()
        self.page = 2

    def login(self, request: httpx.Request, path: str, body: object) -> httpx.Response | None:
        """A form; a cookie and a token against forgery."""
        if path != "/api/session/create":
            return None
        form = parse_qs(request.content.decode())
        if form != {"j_username": ["admin"], "j_password": [PASSWORD]}:
            return httpx.Response(403, json={"error_code": 403, "error_message": "The credentials were incorrect"})
        session = self._new_session()
        return httpx.Response(200, headers={"set-cookie": f"JSESSIONID={session}; Path=/", "x-xsrf-token": session})

    def logged_in(self, request: httpx.Request) -> bool:
        """Cookie and token."""
        cookie = request.headers.get("cookie", "")
        return bool(self.session) and self.session in cookie and request.headers.get("x-xsrf-token") == self.session

    def respond(self, method, path, body, query, headers) -> httpx.Response:
        """Segments, their ports, their realisation."""
        base = "/policy/api/v1/infra"
        if path.startswith(f"{base}/realized-state/status"):
            status = self.status.pop(0) if len(self.status) > 1 else self.status[0]
            return httpx.Response(200, json={"publish_status": status, "intent_path": query["intent_path"]})
        if path.startswith(f"{base}/realized-state/realized-entities"):
            return httpx.Response(200, json={"results": [{"alarms": [{"message": "no edge cluster"}]}]})
        segment = path.removeprefix(f"{base}/tier-1s/t1/segments").strip("/")
        if not segment:
            return self._listed(query)
        if segment.endswith("/ports"):
            name = segment.removesuffix("/ports")
            return httpx.Response(200, json={"results": [{"id": "p"}] if name in self.ports else []})
        return self._one(method, segment, body)

    def _listed(self, query: Mapping[str, str]) -> httpx.Response:
        start = int(query.get("cursor", 0))
        some = list(self.segments.values())[start : start + self.page]
        more = {"cursor": str(start + self.page)} if start + self.page < len(self.segments) else {}
        return httpx.Response(200, json={"results": some, "result_count": len(self.segments), **more})

    def _one(self, method: str, name: str, body) -> httpx.Response:
        there = self.segments.get(name)
        if method != "PATCH" and there is None:
            return httpx.Response(404, json={"error_code": 600, "error_message": f"{name} could not be found"})
        if method == "DELETE":
            del self.segments[name]
            return httpx.Response(200)
        if method == "GET":
            return httpx.Response(200, json=there)
        if method == "PUT" and body.get("_revision") != there["_revision"]:
            return httpx.Response(412, json={"error_code": 604, "error_message": "The object has been modified"})
        revision = there["_revision"] + 1 if there else 0
        self.segments[name] = {**(there or {}), **body, "id": name, "_revision": revision}
        return httpx.Response(200, json=self.segments[name] if method == "PUT" else None)


class FakeApic(FakeController):
    """One bridge domain, tn-T/BD-B. ``faults_of``: ip -> the text of a grave fault."""

    def __init__(self) -> None:
        super().__init__()
        self.subnets: dict[str, dict[str, str]] = {}
        self.faults_of: dict[str, str] = {}
        self.has_domain = True

    def login(self, request: httpx.Request, path: str, body) -> httpx.Response | None:
        """A token, in body and cookie."""
        if path != "/api/aaaLogin.json":
            return None
        if body["aaaUser"]["attributes"] != {"name": "admin", "pwd": PASSWORD}:
            return _apic_error(401, "Username or password is incorrect - FAILED local authentication")
        attributes = {"token": self._new_session(), "refreshTimeoutSeconds": "600"}
        return httpx.Response(200, json={"totalCount": "1", "imdata": [{"aaaLogin": {"attributes": attributes}}]})

    def logged_in(self, request: httpx.Request) -> bool:
        """The cookie."""
        return bool(self.session) and request.headers.get("cookie") == f"APIC-cookie={self.session}"

    def logged_out(self) -> httpx.Response:
        """The APIC says 403 when a token ran out."""
        return _apic_error(403, "Token was invalid (Error: Token timeout)")

    def respond(self, method, path, body, query, headers) -> httpx.Response:
        """The bridge domain with its subnets, and each subnet."""
        domain = "/api/mo/uni/tn-T/BD-B"
        if path == f"{domain}.json":
            children = [{"fvSubnet": {"attributes": told}} for told in self.subnets.values()]
            found = [{"fvBD": {"attributes": {"name": "B"}, "children": children}}] if self.has_domain else []
            return httpx.Response(200, json={"totalCount": str(len(found)), "imdata": found})
        ip = path.removeprefix(f"{domain}/subnet-[").removesuffix("].json")
        if method == "GET":
            faults = [_fault(self.faults_of[ip])] if ip in self.faults_of else []
            return httpx.Response(200, json={"totalCount": str(len(faults)), "imdata": faults})
        if method == "DELETE":
            self.subnets.pop(ip, None)
        else:
            self.subnets[ip] = {**self.subnets.get(ip, {}), **body["fvSubnet"]["attributes"]}
        return httpx.Response(200, json={"totalCount": "0", "imdata": []})


def _fault(text: str) -> dict[str, object]:
    return {"faultInst": {"attributes": {"code": "F0469", "severity": "critical", "descr": text}}}


def _apic_error(status: int, text: str) -> httpx.Response:
    error = {"error": {"attributes": {"code": str(status), "text": text}}}
    return httpx.Response(status, json={"totalCount": "1", "imdata": [error]})


class FakeNeutron(FakeController):
    """Networks, subnets, ports and one router, in the shapes of Neutron 29; Keystone beside it under /v3."""

    ROUTER = "11111111-2222-3333-4444-555555555555"

    def __init__(self) -> None:
        super().__init__()
        self.things: dict[str, dict[str, dict[str, object]]] = {"networks": {}, "subnets": {}, "ports": {}}
        self.status = "ACTIVE"
        self._ids = itertools.count(1)

    def login(self, request: httpx.Request, path: str, body) -> httpx.Response | None:
        """Keystone: the token is a header."""
        if path != "/v3/auth/tokens":
            return None
        if body["auth"]["identity"]["password"]["user"]["password"] != PASSWORD:
            return httpx.Response(
                401, json={"error": {"code": 401, "message": "The request you have made requires authentication."}}
            )
        return httpx.Response(201, headers={"x-subject-token": self._new_session()}, json={"token": {}})

    def logged_in(self, request: httpx.Request) -> bool:
        """The token."""
        return bool(self.session) and request.headers.get("x-auth-token") == self.session

    def logged_out(self) -> httpx.Response:
        """As keystonemiddleware says it."""
        return httpx.Response(401, json={"error": {"code": 401, "title": "Unauthorized"}})

    def respond(self, method, path, body, query, headers) -> httpx.Response:
        """Collections, members, tags, router interfaces."""
        kind, *rest = path.removeprefix("/v2.0/").split("/")
        if kind == "routers":
            return self._route(rest[1], body["subnet_id"])
        if not rest and method == "GET":
            return self._listed(kind, query)
        if not rest:
            return self._created(kind, body[kind[:-1]])
        there = self.things[kind].get(rest[0])
        if there is None:
            return _neutron_error(404, "NetworkNotFound", f"{kind} {rest[0]} could not be found.")
        return (
            self._deleted(kind, rest[0]) if method == "DELETE" else self._member(kind, there, body, headers, rest[1:])
        )

    def _member(self, kind: str, there, body, headers: Mapping[str, str], rest: list[str]) -> httpx.Response:
        if rest == ["tags"]:
            there["tags"] = body["tags"]
            return httpx.Response(200, json=body)
        if body:
            wanted = headers.get("if-match", "")
            if wanted and wanted != f"revision_number={there['revision_number']}":
                return _neutron_error(412, "RevisionNumberConstraintFailed", "Constrained to another revision")
            there.update(body[kind[:-1]], revision_number=there["revision_number"] + 1)
        return httpx.Response(200, json={kind[:-1]: there})

    def _listed(self, kind: str, query: Mapping[str, str]) -> httpx.Response:
        tags = set(query.get("tags", "").split(",")) - {""}
        found = [
            thing
            for thing in self.things[kind].values()
            if tags <= set(thing.get("tags", ())) and all(thing.get(k) == v for k, v in query.items() if k != "tags")
        ]
        return httpx.Response(200, json={kind: found})

    def _created(self, kind: str, asked) -> httpx.Response:
        if kind == "subnets" and any(
            s["cidr"] == asked["cidr"] and s["network_id"] == asked["network_id"] for s in self.things[kind].values()
        ):
            return _neutron_error(400, "InvalidInput", f"Requested subnet with cidr: {asked['cidr']} overlaps")
        status = {"status": self.status} if kind == "networks" else {}
        thing = {"id": f"id-{next(self._ids)}", "tags": [], "revision_number": 0, **status, **asked}
        self.things[kind][thing["id"]] = thing
        return httpx.Response(201, json={kind[:-1]: thing})

    def _deleted(self, kind: str, name: str) -> httpx.Response:
        if any(port["network_id"] == name for port in self.things["ports"].values()):
            return _neutron_error(409, "NetworkInUse", f"Unable to complete operation on network {name}.")
        del self.things[kind][name]
        self.things["subnets"] = {i: s for i, s in self.things["subnets"].items() if s["network_id"] != name}
        return httpx.Response(204)

    def _route(self, action: str, subnet: str) -> httpx.Response:
        ports = self.things["ports"]
        mine = {
            i: p for i, p in ports.items() if p["fixed_ips"][0]["subnet_id"] == subnet and p["device_id"] == self.ROUTER
        }
        if action == "remove_router_interface":
            for name in mine:
                del ports[name]
        else:
            network = self.things["subnets"][subnet]["network_id"]
            self.add_port(str(network), subnet, self.ROUTER, "network:router_interface")
        return httpx.Response(200, json={"subnet_id": subnet})

    def add_port(self, network: str, subnet: str, device: str, owner: str) -> None:
        """Put a port on a network."""
        name = f"id-{next(self._ids)}"
        fixed = [{"subnet_id": subnet, "ip_address": "192.0.2.1"}]
        self.things["ports"][name] = {
            "id": name,
            "network_id": network,
            "device_id": device,
            "device_owner": owner,
            "fixed_ips": fixed,
        }


def _neutron_error(status: int, kind: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"NeutronError": {"type": kind, "message": message, "detail": ""}})


_: type[NetworkFabric] = MemoryFabric
