"""What the vendors' own clients send for the same wish: recorded once, kept in ``recordings``, compared by the tests.

``python record.py nsx`` runs in an environment with vcf-nsx, ``python record.py aci`` in one with ansible: ``make
record-fabrics`` makes both. Each client talks to a server on loopback that answers as little as it needs to go on.
"""

import json
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).parent / "recordings"
SUBNET = "sn-0000000000000001"
GATEWAY = "192.0.2.17/28"
SEGMENT = f"xds-server-{SUBNET}"
TAGS = {"xds-server/owner": "xds-server", "xds-server/subnet": SUBNET, "xds-server/generation": "3"}


class Recorder(ThreadingHTTPServer):
    """Notes every request; ``answers``: (method, path) -> body, anything else gets {} or what ``otherwise`` says."""

    def __init__(self, answers: dict[tuple[str, str], object], otherwise: object) -> None:
        super().__init__(("127.0.0.1", 0), Note)
        self.answers = answers
        self.otherwise = otherwise
        self.noted: list[dict[str, object]] = []


class Note(BaseHTTPRequestHandler):
    """One request, noted without its headers: they name the client, not the wish."""

    server: Recorder

    def _note(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        where = urlsplit(unquote(self.path))
        noted = {"method": self.command, "path": where.path, "query": where.query}
        told = json.loads(body) if body else None
        self.server.noted.append({**noted, "body": told})
        if told and "fvSubnet" in told:  # from now on it is there
            self.server.answers["GET", where.path] = {"totalCount": "1", "imdata": [told]}
        answer = self.server.answers.get((self.command, where.path), self.server.otherwise)
        told = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.send_header("set-cookie", "APIC-cookie=recorded")
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _note  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def nsx() -> tuple[list[dict[str, object]], str]:
    """Create, read, correct, look at and delete a segment with VMware's client."""
    from importlib.metadata import version

    import requests
    from vcf.nsx.model_client import Segment, SegmentSubnet, Tag
    from vcf.nsx.policy.api.v1.infra import realized_state_client, tier_1s_client
    from vcf.nsx.policy.api.v1.infra.tier_1s import segments_client
    from vmware.vapi.bindings.stub import StubConfiguration
    from vmware.vapi.lib.connect import get_requests_connector

    path = f"/policy/api/v1/infra/tier-1s/t1/segments/{SEGMENT}"
    there = {"id": SEGMENT, "resource_type": "Segment", "_revision": 0, "subnets": [{"gateway_address": GATEWAY}]}
    with recorder({("GET", path): there, ("PUT", path): there}, {"results": [], "result_count": 0}) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        connector = get_requests_connector(requests.Session(), msg_protocol="rest", url=url)
        stub = StubConfiguration(connector)
        segment = Segment(
            display_name=SEGMENT,
            subnets=[SegmentSubnet(gateway_address=GATEWAY)],
            tags=[Tag(scope=scope, tag=tag) for scope, tag in TAGS.items()],
        )
        segments = tier_1s_client.Segments(stub)
        segments.policy_lm_patch_segment("t1", SEGMENT, segment)
        segment.revision = segments.policy_lm_read_segment("t1", SEGMENT).revision
        segments.policy_lm_create_or_replace_segment("t1", SEGMENT, segment)
        intent = f"/infra/tier-1s/t1/segments/{SEGMENT}"
        realized_state_client.Status(stub).policy_lm_read_intent_status(intent_path=intent)
        realized_state_client.RealizedEntities(stub).policy_lm_list_realized_entities(intent_path=intent)
        segments.policy_lm_list_segments("t1")
        segments_client.Ports(stub).policy_lm_list_tier1_segment_ports("t1", SEGMENT)
        segments.policy_lm_delete_segment("t1", SEGMENT)
        return server.noted, f"vcf-nsx {version('vcf-nsx')}"


def aci() -> tuple[list[dict[str, object]], str]:
    """Create, query and delete a subnet with Cisco's collection."""
    from importlib.metadata import version

    with recorder({}, {"totalCount": "0", "imdata": []}) as server, tempfile.TemporaryDirectory() as at:
        common = {
            "host": "127.0.0.1",
            "port": server.server_port,
            "use_ssl": False,
            "username": "admin",
            "password": "recorded",
            "tenant": "T",
            "bd": "B",
            "output_level": "debug",
        }
        wish = {
            "gateway": GATEWAY.partition("/")[0],
            "mask": 28,
            "scope": ["public"],
            "description": f"xds-server {SUBNET}",
            "annotation": f"xds-server:xds-server:{SUBNET}:3",
        }
        where = {key: wish[key] for key in ("gateway", "mask")}
        tasks = [{**wish, "state": "present"}, {**where, "state": "query"}, {**where, "state": "absent"}]
        domain = {"cisco.aci.aci_bd": {**common, "state": "query"}}
        module = "cisco.aci.aci_bd_subnet"
        play = [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "tasks": [domain, *({module: {**common, **task}} for task in tasks)],
            }
        ]
        book = Path(at, "play.json")
        book.write_text(json.dumps(play), encoding="utf-8")
        playbook = Path(sys.prefix, "bin", "ansible-playbook")
        python = f"ansible_python_interpreter={sys.executable}"
        subprocess.run([playbook, "-i", "localhost,", "-c", "local", "-e", python, book], check=True, cwd=at)
        for note in server.noted:
            if note["path"] == "/api/aaaLogin.json":
                note["body"]["aaaUser"]["attributes"]["pwd"] = "..."
        return server.noted, f"ansible {version('ansible')}, cisco.aci"


class recorder:  # noqa: N801 - a context, used like a function
    """A recorder that serves while the block runs."""

    def __init__(self, answers: dict[tuple[str, str], object], otherwise: object) -> None:
        self._server = Recorder(answers, otherwise)

    def __enter__(self) -> Recorder:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    kind = sys.argv[1]
    requests_sent, client = {"nsx": nsx, "aci": aci}[kind]()
    HERE.mkdir(exist_ok=True)
    recorded = {"client": client, "requests": requests_sent}
    (HERE / f"{kind}.json").write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
