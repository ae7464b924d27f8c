"""Configuration: one YAML file, the environment (``XDS_SERVER_*``) and flags become settings, or every error at once.

The only room that reads files, flags and environment for settings. Does not know what is done with them.
"""

from xds_server.config.load import InvalidConfiguration, load
from xds_server.config.schema import Settings

__all__ = ["InvalidConfiguration", "Settings", "load"]
