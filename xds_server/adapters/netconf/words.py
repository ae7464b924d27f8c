"""Words: entries of ietf-interfaces and ietf-ip as XML, and NETCONF's requests (RFC 6241).

Everything is built as elements, so that no text can become markup. Knows namespaces. Does not know sessions.
"""

from typing import Any, Final

from lxml import etree

from xds_server.decisions.yang import Edit, Entry, Family, Malformed, from_json

BASE: Final = "urn:ietf:params:xml:ns:netconf:base:1.0"
_IF: Final = "urn:ietf:params:xml:ns:yang:ietf-interfaces"
_IP: Final = "urn:ietf:params:xml:ns:yang:ietf-ip"
_TYPES: Final = "urn:ietf:params:xml:ns:yang:iana-if-type"
_FAMILY: Final = {4: "ipv4", 6: "ipv6"}
_SPACES: Final = {"nc": BASE, "if": _IF, "ip": _IP}

Element = Any  # lxml has no types


def operation(name: str, **leaves: str) -> Element:
    """Return ``<name>`` with leaves; a leaf of '' is empty, '_' in its name stands for '-'."""
    made = etree.Element(f"{{{BASE}}}{name}", nsmap={None: BASE})
    for leaf, text in leaves.items():
        _leaf(made, BASE, leaf.replace("_", "-"), text)
    return made


def on(name: str, datastore: str) -> Element:
    """Return ``<name>`` whose target is a datastore."""
    made = operation(name)
    etree.SubElement(etree.SubElement(made, f"{{{BASE}}}target"), f"{{{BASE}}}{datastore}")
    return made


def get_interfaces() -> Element:
    """Return the question for all interfaces of the running configuration."""
    made = operation("get-config")
    etree.SubElement(etree.SubElement(made, f"{{{BASE}}}source"), f"{{{BASE}}}running")
    chosen = etree.SubElement(made, f"{{{BASE}}}filter", type="subtree")
    etree.SubElement(chosen, f"{{{_IF}}}interfaces", nsmap={None: _IF})
    return made


def edit_config(edits: list[Edit]) -> Element:
    """Return the change of the candidate that makes these edits."""
    made = on("edit-config", "candidate")
    _leaf(made, BASE, "default-operation", "merge")
    _leaf(made, BASE, "error-option", "rollback-on-error")
    interfaces = etree.SubElement(
        etree.SubElement(made, f"{{{BASE}}}config"), f"{{{_IF}}}interfaces", nsmap={None: _IF}
    )
    for edit in edits:
        what = "remove" if edit.entry is None else "create" if edit.new else "replace"
        if edit.entry is None:
            element = etree.SubElement(interfaces, f"{{{_IF}}}interface")
            _leaf(element, _IF, "name", edit.name)
        else:
            element = as_xml(edit.entry)
            interfaces.append(element)
        element.set(f"{{{BASE}}}operation", what)
    return made


def as_xml(entry: Entry) -> Element:
    """Return an entry as ``<interface>``."""
    made = etree.Element(f"{{{_IF}}}interface", nsmap={None: _IF, "nc": BASE, "ianaift": _TYPES})
    _leaf(made, _IF, "name", entry.name)
    _leaf(made, _IF, "description", entry.description)
    _leaf(made, _IF, "type", f"ianaift:{entry.kind}")
    _leaf(made, _IF, "enabled", str(entry.enabled).lower())
    for family in entry.families:
        made.append(_family_as_xml(family))
    return made


def _family_as_xml(family: Family) -> Element:
    made = etree.Element(f"{{{_IP}}}{_FAMILY[family.version]}", nsmap={None: _IP})
    _leaf(made, _IP, "enabled", str(family.enabled).lower())
    if family.mtu is not None:
        _leaf(made, _IP, "mtu", str(family.mtu))
    for ip, length in family.addresses:
        address = etree.SubElement(made, f"{{{_IP}}}address")
        _leaf(address, _IP, "ip", ip)
        _leaf(address, _IP, "prefix-length", str(length))
    return made


def _leaf(parent: Element, space: str, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{space}}}{name}").text = text or None


def entries(reply: Element) -> list[Entry]:
    """Return the interfaces of an answer to ``get_interfaces``; raises Malformed."""
    data = reply.find(f"{{{BASE}}}data")
    if data is None:
        raise Malformed("the answer to get-config holds no data")
    return [_from_xml(element) for element in data.iterfind("if:interfaces/if:interface", _SPACES)]


def _from_xml(element: Element) -> Entry:
    """Read an ``<interface>`` by way of its JSON, which has one reader."""
    told: dict[str, Any] = {
        leaf: text
        for leaf in ("name", "description", "type")
        if (text := element.findtext(f"if:{leaf}", namespaces=_SPACES)) is not None
    }
    told["enabled"] = element.findtext("if:enabled", "true", _SPACES).strip() == "true"
    for family in _FAMILY.values():
        if (found := element.find(f"ip:{family}", _SPACES)) is not None:
            told[f"ietf-ip:{family}"] = _family_from_xml(found)
    return from_json(told)


def _family_from_xml(element: Element) -> dict[str, Any]:
    addresses = [
        {
            "ip": address.findtext("ip:ip", namespaces=_SPACES),
            "prefix-length": address.findtext("ip:prefix-length", "-1", _SPACES),
        }
        for address in element.iterfind("ip:address", _SPACES)
    ]
    return {
        "enabled": element.findtext("ip:enabled", "true", _SPACES).strip() == "true",
        "mtu": element.findtext("ip:mtu", namespaces=_SPACES),
        "address": addresses,
    }


def refusal(reply: Element) -> str:
    """Return a server's words: of each ``rpc-error`` the tag, the message and where, on one line."""
    told = []
    for error in reply.iterfind("nc:rpc-error", _SPACES):
        said = [error.findtext(f"nc:error-{part}", "", _SPACES).strip() for part in ("tag", "message", "path")]
        told.append(": ".join(word for word in said if word))
    return " ".join("; ".join(told).split())[:500]


def is_denied(reply: Element) -> bool:
    """Return whether a server said that we may not."""
    tags = {e.findtext("nc:error-tag", "", _SPACES).strip() for e in reply.iterfind("nc:rpc-error", _SPACES)}
    return "access-denied" in tags
