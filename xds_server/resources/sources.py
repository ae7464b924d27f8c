"""Sources: where a client fetches a resource, and how a message rides inside an extension field.

Knows ADS as the only source that we hand out. Does not know any resource.
"""

from envoy.config.core.v3 import config_source_pb2, extension_pb2
from google.protobuf.message import Message

from xds_server.resources.payloads import wrapped


def ads() -> config_source_pb2.ConfigSource:
    """Return the source 'ask on the stream that you have'."""
    return config_source_pb2.ConfigSource(ads={}, resource_api_version="V3")


def extension(name: str, message: Message) -> extension_pb2.TypedExtensionConfig:
    """Return a message as a named extension."""
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=wrapped(message))
