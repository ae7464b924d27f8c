"""The words of the configuration: addresses, ports, names and numbers, each checked where it is read.

Knows what one value may be. Does not know which keys there are.
"""

from pathlib import PurePath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from xds_server.domain import names
from xds_server.domain.addresses import read_address, read_place, read_prefix
from xds_server.domain.policy import BOUNDS

_STORE = "sqlite:///"


def _is_ip(text: str) -> str:
    try:
        return str(read_address(text))
    except ValueError:
        raise ValueError("must be an IP address such as 127.0.0.1 or ::1") from None


def _is_zone(text: str) -> str:
    names.Name(text.removesuffix("."))
    return text


def _is_directory(text: str) -> str:
    if not PurePath(text).is_absolute():
        raise ValueError("must be an absolute directory such as /run/envoy")
    return text


def _is_network(text: str) -> str:
    try:
        return str(read_prefix(text))
    except ValueError as error:
        raise ValueError(f"must be a prefix such as 10.77.0.0/16 ({error})") from None


def _is_listen(text: str) -> str:
    if text.startswith("unix:"):
        return read_place(text)
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("must be ADDRESS:PORT such as 127.0.0.1:18000, or unix:PATH")
    _is_ip(host.strip("[]"))
    return text


def _is_store(text: str) -> str:
    if not text.removeprefix(_STORE) or not text.startswith(_STORE):
        raise ValueError(f"must be {_STORE}PATH such as {_STORE}var/xds-server.db; no other store is built")
    return text


def _is_line(text: str) -> str:
    if len(text) > 255 or not names.is_one_line(text):
        raise ValueError("must be one line of up to 255 characters")
    return text


def _is_node_id(text: str) -> str:
    try:
        return names.NodeId(text)
    except names.InvalidName as error:
        raise ValueError(str(error)) from error


ApiPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]{1,64}){0,8}$")]
Line = Annotated[str, AfterValidator(_is_line)]
NodeId = Annotated[str, AfterValidator(_is_node_id)]
Operation = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9._-]{0,63}:[A-Za-z_][A-Za-z0-9._-]{0,63})?$")]
ApplianceName = Annotated[str, AfterValidator(names.ApplianceName)]
Directory = Annotated[str, AfterValidator(_is_directory)]
EndpointId = Annotated[str, AfterValidator(names.EndpointId)]
IpAddress = Annotated[str, AfterValidator(_is_ip)]
Label = Annotated[str, AfterValidator(names.Name)]
PoolName = Annotated[str, AfterValidator(names.PoolName)]
ServiceName = Annotated[str, AfterValidator(names.ServiceName)]
VirtualNetwork = Annotated[str, AfterValidator(names.VirtualNetwork)]
Address = Annotated[str, AfterValidator(read_place)]
Place = Annotated[str, AfterValidator(names.place)]
Zone = Annotated[str, AfterValidator(_is_zone)]
Network = Annotated[str, AfterValidator(_is_network)]
Listen = Annotated[str, AfterValidator(_is_listen)]
Port = Annotated[int, Field(ge=1, le=65535)]
Store = Annotated[str, AfterValidator(_is_store)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365, allow_inf_nan=False)]


class Part(BaseModel):
    """A mapping whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def no_truth(cls, value: object, info: ValidationInfo) -> object:
        """Refuse true and false, which Python counts as 1 and 0, except where there is a switch."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("neither true nor false is expected here; write a number, or put the text in quotes")
        return value


class Bounded(Part):
    """Numbers that ``domain.policy`` bounds by name."""

    @field_validator("*")
    @classmethod
    def within_bounds(cls, value: float, info: ValidationInfo) -> float:
        """Refuse what the policy would refuse, here, where the line is known."""
        low, high = BOUNDS[str(info.field_name)]
        if not low <= value <= high:
            raise ValueError(f"must be from {low:g} to {high:g}")
        return value
