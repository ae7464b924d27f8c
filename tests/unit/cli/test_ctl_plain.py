"""Plain data of messages, plain words of numbers."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from xds_server.cli import ctl_plain
from xds_server.pb.admin.v1 import admin_pb2 as pb


def test_a_message_becomes_plain_data():
    """Absent optionals are left out, enums are words, integers stay integers, maps and times are readable."""
    node = pb.Node(id="n1", connected=True)
    node.types["EDS"].state = pb.SYNC_STATE_NOT_REQUESTED
    node.types["EDS"].since.FromSeconds(0)
    shown = ctl_plain.plain(node)
    assert (shown["id"], shown["connected"], shown["streams"], "since" in shown) == ("n1", True, 0, False)
    assert shown["types"]["EDS"]["state"] == "NOT_REQUESTED"
    assert shown["types"]["EDS"]["since"] == "1970-01-01T00:00:00Z"
    write = pb.WriteResponse(revision=2**40, differences=[pb.Difference(fact="x")])
    assert (ctl_plain.plain(write)["revision"], len(ctl_plain.plain(write)["differences"])) == (2**40, 1)
    change = pb.Change()
    change.after.update({"weight": 1, "share": None, "parts": [0.5, 2]})
    assert str(ctl_plain.plain(change)["after"]["weight"]) == "1"
    assert ctl_plain.plain(change)["after"] == {"weight": 1, "share": None, "parts": [0.5, 2]}


def test_absent_is_a_dash():
    """What was not seen is a dash, never zero."""
    load = pb.Load(rps=1.25)
    assert (ctl_plain.number(load, "rps", ".1f"), ctl_plain.number(load, "latency_ms")) == ("1.2", "-")
    assert (ctl_plain.percent(load, "share"), ctl_plain.clock(Timestamp()), ctl_plain.ago(Timestamp())) == (
        "-",
        "-",
        "-",
    )


@pytest.mark.parametrize(("age", "words"), [(0, "0s"), (59, "59s"), (180, "3m"), (7300, "2h"), (200_000, "2d")])
def test_ages_are_short(age, words):
    """An age is told in its largest unit."""
    assert ctl_plain.ago(Timestamp(seconds=1_000_000), 1_000_000 + age) == words
