"""xdsctl as a person types it: answers, shapes, exit codes, words of refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tests.fakes.fleet import CHECKOUT, weights
from xds_server.cli.ctl import app

EVERY = [
    ("status",), ("nodes",), ("services",), ("endpoints",), ("weights", "get"), ("policy", "get", "checkout"),
    ("select", "checkout", "-n", "vn-a"), ("subnets", "status"), ("subnets", "pools"), ("explain", "checkout", "a1"),
    ("why-not", "checkout"), ("why-not", "nat"),
    ("history",), ("model",), ("top", "--once"), ("weights", "unpin", "checkout", "a1"),
]  # fmt: skip


def _commands(group, before=()):
    import typer

    click = typer.main.get_command(group)

    def walk(command, path):
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*path, name))
        if not hasattr(command, "commands"):
            yield path

    return list(walk(click, before))


@pytest.mark.parametrize("words", _commands(app), ids=" ".join)
def test_every_command_helps_with_an_example(words):
    """--help works everywhere and shows how the command is typed, with -o and --server."""
    shown = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    assert f"Example: xdsctl {' '.join(words)}" in shown.stdout
    assert "--output" in shown.stdout
    assert "--server" in shown.stdout


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("shape", ["table", "json", "yaml"])
def test_every_command_answers_in_every_shape(xdsctl, words, shape):
    """Each command exits 0 and prints a table, JSON or YAML that can be read."""
    done = xdsctl(*words, "-o", shape)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()
    if shape == "json" and words[0] != "top":
        assert isinstance(json.loads(done.stdout), dict)
    if shape == "yaml" and words[0] != "top":
        assert isinstance(yaml.safe_load(done.stdout), dict)


@pytest.mark.parametrize(
    "words", [("services",), ("services", "-o", "json"), ("--help",), ("--version",)], ids=" ".join
)
def test_an_answer_that_cannot_be_written_is_told(xdsctl, words):
    """A full disk at the other end of a redirection: one line of what to do and 1, no traceback."""
    command = [sys.executable, "-c", "from xds_server.cli.ctl import main; main()", *words]
    environment = {**os.environ, "XDSCTL_SERVER": f"127.0.0.1:{xdsctl.port}"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "the answer could not be written: No space left on device; make room, or write it elsewhere\n"
    )


def test_tables_show_weight_beside_load(xdsctl):
    """One line tells weight and share, observed rate and share."""
    line = next(
        line for line in xdsctl("weights", "get", "checkout").stdout.splitlines() if line.lstrip().startswith("a1 ")
    )
    assert line.split()[:5] == ["a1", "1333", "66.6%", "60.0", "60.0%"]


def test_why_not_tells_of_those_without_traffic_only(xdsctl):
    """The endpoint of weight 0 is there with its reason; the others are not."""
    shown = json.loads(xdsctl("why-not", "checkout", "-o", "json").stdout)["without_traffic"]
    idle = [
        e["id"]
        for e in json.loads(xdsctl("endpoints", "checkout", "-o", "json").stdout)["endpoints"]
        if not e["weight"]
    ]
    assert [one["endpoint"]["id"] for one in shown] == idle != []
    assert shown[0]["reason"]["why"]
    assert "nat has no endpoint" in xdsctl("why-not", "nat").stdout


def test_status_tells_who_is_behind_and_why(xdsctl):
    """Who is out of sync, since when and why stands in one table."""
    assert "every connected node is in sync" in xdsctl("status").stdout
    xdsctl.call(xdsctl.fleet.clients.say, "n2", "NACKED", "weights out of range")
    shown = xdsctl("status").stdout
    assert "1 out of sync" in shown
    line = next(line for line in shown.splitlines() if line.startswith("n2"))
    assert line.split()[:3] == ["n2", "EDS", "nacked"]
    assert "weights out of range" in line
    behind = json.loads(xdsctl("nodes", "--out-of-sync", "-o", "json").stdout)["nodes"]
    assert [(n["id"], n["types"]["EDS"]["state"]) for n in behind] == [("n2", "NACKED")]


def test_a_node_that_cannot_be_read_is_named_with_why(xdsctl):
    """Status and nodes name whose telemetry is missing and why; when all is read they do not speak of it."""
    for command in ("status", "nodes"):
        assert "TELEMETRY" not in xdsctl(command).stdout
    why = "connect: 127.0.0.1:9901 refused (3 in a row; again in 20 s)"
    xdsctl.call(xdsctl.fleet.unread.update, {"n2": why})
    for command in ("status", "nodes"):
        shown = xdsctl(command).stdout
        assert any(line.split() == ["n2", *why.split()] for line in shown.splitlines()), shown
    told = json.loads(xdsctl("status", "-o", "json").stdout)
    assert (told["nodes"]["without_telemetry"], told["without_telemetry"]) == (1, {"n2": why})
    assert told["nodes"]["out_of_sync"] == 0


def test_numbers_stay_numbers_in_json(xdsctl):
    """Revisions and weights are numbers, not protobuf's strings."""
    xdsctl("weights", "pin", "checkout", "a1", "100", "--wait", "0")
    (change,) = json.loads(xdsctl("history", "-o", "json").stdout)["changes"]
    assert (change["revision"], change["after"]["weight"]) == (1, 100)
    assert json.loads(xdsctl("endpoints", "checkout", "-o", "json").stdout)["endpoints"][0]["weight"] == 1333


def test_pin_waits_until_every_node_runs_it(xdsctl):
    """Accepted, then acked 3/3 nodes: the command ends when all run the weight."""
    fleet = xdsctl.fleet
    xdsctl.call(fleet.offer, "v2")
    xdsctl.call(fleet.weights.set, {CHECKOUT: weights(a1=100)})
    for name in ("n1", "n2"):
        xdsctl.call(lambda n=name: fleet.clients.say(n, "SYNCED", running="v2"))
    xdsctl.loop.call_soon_threadsafe(
        xdsctl.loop.call_later, 0.3, lambda: fleet.clients.say("n3", "SYNCED", running="v2")
    )
    done = xdsctl("weights", "pin", "checkout", "a1", "100", "--reason", "disk swap", "--ttl", "2h")
    assert done.exit_code == 0, done.output
    assert "accepted at revision 1" in done.stdout
    assert done.stderr.splitlines()[-1] == "acked 3/3 nodes"
    assert " for 2h" in xdsctl("weights", "get", "checkout").stdout


def test_pin_that_does_not_arrive_is_told(xdsctl):
    """When nodes do not acknowledge in time the command says so and exits 1; the pin stands."""
    xdsctl.call(xdsctl.fleet.offer, "v2")
    xdsctl.call(xdsctl.fleet.weights.set, {CHECKOUT: weights(a1=100)})
    done = xdsctl("weights", "pin", "checkout", "a1", "100", "--wait", "0.5")
    assert done.exit_code == 1
    assert "accepted, but after 0.5 s: acked 0/3 nodes" in done.stderr


def test_a_rehearsal_tells_the_difference(xdsctl):
    """--dry-run prints what would change and changes nothing."""
    done = xdsctl("weights", "pin", "checkout", "a1", "100", "--dry-run")
    assert "nothing was changed" in done.stdout
    assert any(line.split() == ["weight", "a1", "1333", "100"] for line in done.stdout.splitlines())
    assert json.loads(xdsctl("history", "-o", "json").stdout) == {"changes": []}


def test_history_diff_and_undo(xdsctl):
    """A change is seen, its difference is shown, and undo puts it back."""
    xdsctl("policy", "set", "checkout", "cost=0.5", "--reason", "cheaper")
    assert "cheaper" in xdsctl("history", "--service", "checkout").stdout
    assert any(line.split() == ["preference.cost", "-", "0.5"] for line in xdsctl("diff", "1").stdout.splitlines())
    done = xdsctl("undo", "1", "--reason", "too cheap")
    assert done.exit_code == 0, done.output
    shown = json.loads(xdsctl("policy", "get", "checkout", "-o", "json").stdout)
    assert shown["policy"]["preference"]["cost"] == 0.0
    gone = xdsctl("diff", "99")
    assert (gone.exit_code, "xdsctl history" in gone.stderr) == (1, True)


def test_going_back_to_a_revision(xdsctl):
    """`undo --to` rehearses and then takes back everything since, and the log names both revisions."""
    xdsctl("policy", "set", "checkout", "cost=0.5")
    for endpoint in ("a1", "a2"):
        xdsctl("weights", "pin", "checkout", endpoint, "100", "--wait", "0")
    assert "nothing was changed" in xdsctl("undo", "--to", "1", "--dry-run").stdout
    done = xdsctl("undo", "--to", "1", "--service", "checkout", "--reason", "bad night")
    assert done.exit_code == 0, done.output
    rows = json.loads(xdsctl("history", "-o", "json").stdout)["changes"]
    assert [(r["action"], r["reason"]) for r in rows[:2]] == [("roll-back", "from revision 3 to 1: bad night")] * 2
    shown = json.loads(xdsctl("policy", "get", "checkout", "-o", "json").stdout)
    assert shown["policy"]["preference"]["cost"] == 0.5
    assert "everything is already so" in xdsctl("undo", "--to", str(rows[0]["revision"])).stdout
    for wrong in (("undo",), ("undo", "1", "--to", "1")):
        assert xdsctl(*wrong).exit_code == 2
    assert xdsctl("undo", "1", "--service", "checkout").exit_code == 1


def test_endpoints_by_hand(xdsctl):
    """An endpoint is registered and deregistered; drain and undrain are accepted."""
    assert xdsctl("register", "nat", "n1", "[::1]:9101", "--zone", "z1").exit_code == 0
    assert "::1:9101" in xdsctl("endpoints", "nat").stdout
    assert xdsctl("deregister", "nat", "n1").exit_code == 0
    assert xdsctl("weights", "drain", "checkout", "a2", "--wait", "0").exit_code == 0
    assert "drained by an operator" in xdsctl("endpoints", "checkout").stdout
    assert xdsctl("weights", "undrain", "checkout", "a2", "--wait", "0").exit_code == 0
    assert xdsctl("log-level", "debug").stdout.strip() == "info -> debug"


def test_subnets_are_requested_and_released(xdsctl):
    """A subnet is asked for, shown, and given back; its key is told when it was not given."""
    ask = ("subnets", "request", "--service", "nat", "--num-ips", "4", "--security-profile", "web", "--location", "z1")
    done = xdsctl(*ask, "--wait", "active", "-o", "json")
    assert done.exit_code == 0, done.output
    subnet = json.loads(done.stdout)["subnet"]
    assert (subnet["phase"], subnet["networks"][0]["cidr"]) == ("active", "127.77.0.0/29")
    assert "idempotency key" in done.stderr
    assert subnet["subnet_id"] in xdsctl("subnets", "status", "--service", "nat").stdout
    assert xdsctl("subnets", "release", subnet["subnet_id"]).exit_code == 0
    unknown = xdsctl("subnets", "release", "sn-99")
    assert (unknown.exit_code, "sn-99" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("endpoints", "chekout"), "did you mean checkout"),
        (("explain", "checkout", "a9"), "did you mean"),
        (("select", "checkout"), "offered to vn-a"),
        (("weights", "pin", "checkout", "a1", "5", "--expect-generation", "9"), "generation 0, not 9"),
        (("weights", "pin", "checkout", "a1", "0"), "drain the endpoint instead"),
        (("deregister", "checkout", "a1"), "drain it"),
        (("undo", "7"), "xdsctl history"),
        (("policy", "set", "checkout", "cost=-1"), "cost is -1"),
    ],
)
def test_a_refusal_exits_1_and_says_what_to_do(xdsctl, words, told):
    """What the server refuses is told in its words on stderr, and the exit code is 1."""
    done = xdsctl(*words)
    assert done.exit_code == 1, done.output
    assert told in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("weights", "pin", "checkout", "a1"), "either a weight"),
        (("weights", "pin", "checkout", "a1", "--share", "lots"), "no share"),
        (("weights", "pin", "checkout", "a1", "5", "--ttl", "soon"), "no duration"),
        (("policy", "set", "checkout", "min_score=1", "speed=3", "cost"), "speed"),
        (("register", "nat", "n1", "nowhere"), "ADDRESS:PORT"),
        (("subnets", "status", "--phase", "lost"), "must be one of"),
        (("nonsense",), "nonsense"),
    ],
)
def test_a_slip_exits_2(xdsctl, words, told):
    """What cannot be meant is refused before anybody is asked, with exit code 2."""
    done = xdsctl(*words)
    assert done.exit_code == 2, done.output
    assert told in done.stderr


def test_nobody_there_is_told_plainly():
    """When nothing listens, the address is told and what to try."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["--server", "127.0.0.1:1", "nodes"])
    assert done.exit_code == 1
    assert "cannot reach the admin API at 127.0.0.1:1" in done.stderr
    assert "xds-server serve" in done.stderr


def test_what_is_typed_wins_over_the_environment():
    """A server named before or after the command is asked, whatever XDSCTL_SERVER says; after the command wins."""
    runner = CliRunner(env={"COLUMNS": "200", "XDSCTL_SERVER": "127.0.0.1:3"})
    for typed, asked in (
        (["--server", "127.0.0.1:1", "nodes"], "127.0.0.1:1"),
        (["nodes", "--server", "127.0.0.1:2"], "127.0.0.1:2"),
        (["--server", "127.0.0.1:1", "nodes", "--server", "127.0.0.1:2"], "127.0.0.1:2"),
        (["nodes"], "127.0.0.1:3"),
    ):
        done = runner.invoke(app, typed)
        assert done.exit_code == 1
        assert asked in done.output
