"""jetconf, real: a RESTCONF server over HTTP/2 with client certificates, that stores ietf-interfaces and applies none of it.

Runs in the environment that has jetconf (``make test-fabrics``):
``python jetconf_serve.py DIRECTORY PORT MODULES CERTIFICATE KEY CA``. What was committed stays in DIRECTORY.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import ModuleType

MODULES = {
    "ietf-interfaces": "2014-05-08", "ietf-ip": "2014-06-16", "iana-if-type": "2014-05-08",
    "ietf-yang-library": "2016-06-21", "ietf-inet-types": "2013-07-15", "ietf-yang-types": "2013-07-15",
}  # fmt: skip
TYPES = {"ietf-inet-types", "ietf-yang-types"}
EMPTY = {"ietf-interfaces:interfaces": {"interface": []}}


def library() -> dict[str, object]:
    """Return the YANG library: which modules of which revision."""
    modules = [
        {
            "name": name,
            "revision": revision,
            "namespace": f"urn:ietf:params:xml:ns:yang:{name}",
            "conformance-type": "import" if name in TYPES else "implement",
        }
        for name, revision in MODULES.items()
    ]
    return {"ietf-yang-library:modules-state": {"module-set-id": "tests", "module": modules}}


def backend(at: Path) -> None:
    """Make the package that jetconf asks for: what is stored is a file, nothing is done about it."""
    from jetconf.data import JsonDatastore

    package = at / "stored_only"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "yang-library-data.json").write_text(json.dumps(library()))
    sys.path.insert(0, str(at))
    datastore = ModuleType("stored_only.usr_datastore")
    datastore.UserDatastore = JsonDatastore
    sys.modules["stored_only.usr_datastore"] = datastore


def main(at: Path, port: int, modules: str, certificate: str, key: str, ca: str) -> None:
    """Serve until ended."""
    data = at / "data.json"
    if not data.exists():
        data.write_text(json.dumps(EMPTY))
    configuration = at / "jetconf.json"  # which is YAML, too
    words = {
        "GLOBAL": {
            "PIDFILE": f"{at}/pid", "YANG_LIB_DIR": modules, "DATA_JSON_FILE": str(data),
            "BACKEND_PACKAGE": "stored_only", "CLIENT_CN": True, "LOG_LEVEL": "error",
        },
        "HTTP_SERVER": {
            "DOC_ROOT": f"{at}/doc", "LISTEN_LOCALHOST_ONLY": True, "PORT": port,
            "SERVER_SSL_CERT": certificate, "SERVER_SSL_PRIVKEY": key, "CA_CERT": ca,
        },
        "NACM": {"ENABLED": False},
    }  # fmt: skip
    configuration.write_text(json.dumps(words))
    asyncio.set_event_loop(asyncio.new_event_loop())  # it takes the current one
    backend(at)
    from jetconf.__main__ import main as serve

    sys.argv = ["jetconf", "-c", str(configuration)]
    serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:7])
