"""Neutron's API server, real, one request after the other: SQLite, no Keystone, no agents.

Runs in the environment that has neutron (``make test-fabrics``): ``python neutron_serve.py DIRECTORY PORT``.
"""

import os
import sys
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

CONFIGURATION = """
[DEFAULT]
auth_strategy = noauth
core_plugin = ml2
service_plugins = router
transport_url = fake://
state_path = {at}
api_paste_config = {paste}
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[database]
connection = sqlite:///{at}/neutron.db
[oslo_concurrency]
lock_path = {at}
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers =
extension_drivers =
"""


class Quiet(WSGIRequestHandler):
    """Answers without a line per request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main(at: Path, port: int) -> None:
    """Make the tables, then serve until ended."""
    paste = Path(sys.prefix, "etc", "neutron", "api-paste.ini")
    configuration = at / "neutron.conf"
    configuration.write_text(CONFIGURATION.format(at=at, paste=paste), encoding="utf-8")
    os.environ["OS_NEUTRON_CONFIG_FILES"] = str(configuration)
    sys.argv = ["neutron-api", "--config-file", str(configuration)]

    import sqlalchemy
    from neutron.db.migration.models import head

    head.get_metadata().create_all(sqlalchemy.create_engine(f"sqlite:///{at}/neutron.db"))
    from neutron.wsgi.api import application

    make_server("127.0.0.1", port, application, handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
