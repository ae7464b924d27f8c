"""Laws of the tables: columns appear when there is something in them."""

import pytest

from xds_server.cli import ctl_tables as tables
from xds_server.pb.admin.v1 import admin_pb2 as pb


@pytest.mark.parametrize("table", [tables.weights, tables.endpoints])
def test_shadow_has_columns_only_where_a_service_is_in_shadow(table):
    """What the law would publish stands beside what is in force."""
    live = pb.Endpoint(service="a", id="a1", weight=1000, share=0.5)
    shadow = pb.Endpoint(service="b", id="b1", weight=1000, share=0.5, shadow_weight=700, shadow_share=0.35)
    assert "SHADOW" not in {c.header for c in table([live]).columns}
    columns = {c.header: list(c.cells) for c in table([live, shadow]).columns}
    assert [str(cell) for cell in columns["SHADOW"]] == ["-", "700"]
    assert str(columns["SHADOW SHARE"][1]) == "35.0%"


def test_priority_has_a_column_only_where_somebody_has_one():
    """Most fleets have one level: it needs no room."""
    low, high = pb.Endpoint(service="a", id="a1"), pb.Endpoint(service="a", id="a2", priority=3)
    assert "PRIORITY" not in [c.header for c in tables.endpoints([low]).columns]
    columns = {c.header: list(c.cells) for c in tables.endpoints([low, high]).columns}
    assert [str(cell) for cell in columns["PRIORITY"]] == ["0", "3"]
