"""A reload: what may change is told to everybody who watches; the rest is named as waiting for a restart."""

from xds_server.config.current import Configured, needs_restart
from xds_server.config.schema import Settings


def test_a_reload_is_heard_and_equal_ones_are_silent():
    """Services change by one revision; the same settings again change nothing."""
    configured = Configured.of(Settings())
    services = configured.services.revision
    changed = Settings(services=({"name": "checkout", "listen_port": 15001},))
    configured.reload(changed)
    assert list(configured.services.value) == ["checkout"]
    configured.reload(changed)
    assert configured.services.revision == services + 1
    assert configured.plan.revision == 0


def test_what_only_a_restart_takes_over_is_named():
    """A moved port is not silently ignored."""
    before = Settings()
    after = Settings(listen={"xds": "127.0.0.1:1"}, services=({"name": "a", "listen_port": 1},))
    assert needs_restart(before, after) == ["listen"]
