"""Laws of the tables: columns appear when there is something in them."""

import io
import time

import pytest
from rich.console import Console
from rich.text import Text

from xds_server.cli import ctl_grid
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


def _drawn(table: ctl_grid.Grid, *, colours: bool = False) -> list[str]:
    paper = Console(file=io.StringIO(), width=220, force_terminal=colours, color_system="standard" if colours else None)
    paper.print(table, crop=False)
    return [line.rstrip() for line in paper.file.getvalue().splitlines()]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("colours", [True, False])
def test_a_long_table_reads_as_a_short_one(monkeypatch, header, colours):
    """The same columns and text, whether Rich draws it or nobody folds it; wide letters and colours included."""
    rows = [["a", "1", Text("nacked", style="bold red")], ["漢字", "1000", "-"], ["", "20", "[b]why[/b]"]]
    table = ctl_grid.Grid(["NAME", ">COUNT", "STATE"], rows, title="checkout")
    table.show_header = header
    short = _drawn(table)
    monkeypatch.setattr(ctl_grid, "LONG", 0)
    assert _drawn(table) == short
    assert ("\x1b[1;31mnacked" in "".join(_drawn(table, colours=colours))) is colours


def test_five_thousand_rows_are_drawn_in_seconds():
    """An operator's pipe does not wait a minute for what took the server no time."""
    found = [pb.Endpoint(service="big", id=f"e{i}", address="10.0.0.1", port=i, reason="x" * 300) for i in range(5_000)]
    started = time.process_time()
    lines = _drawn(tables.endpoints(found))
    assert len(lines) == 5_001
    assert lines[-1].endswith("x" * 300)
    assert time.process_time() - started < 5
