"""The README tells the truth: its links lead somewhere, its commands exist, its code runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    """Every relative link of a page names a file or folder of the repository."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES[:1], ids=["README.md"])
def test_make_targets_exist(page: Path):
    """Every `make TARGET` that is shown is a target."""
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", page.read_text())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(("program", "commands"), [
    ("xds-server", ("serve", "check", "print-config", "bootstrap", "demo", "model", "version")),
    ("xdsctl", ("status", "nodes", "services", "endpoints", "weights", "policy", "select", "subnets", "explain", "diff",
                "history", "undo", "top", "model")),
])  # fmt: skip
def test_commands_exist(program: str, commands: tuple[str, ...]):
    """Every command that the pages name is offered by its program."""
    tool = Path(sys.executable).with_name(program)
    offered = subprocess.run([tool, "--help"], capture_output=True, text=True, check=True).stdout
    for command in commands:
        assert re.search(rf"\b{command}\b", offered), command


async def test_the_embedding_example_runs(capsys):
    """The Python block of the README works as it stands, given the three messages it names."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    messages = {
        "cluster": cluster_pb2.Cluster(name="checkout"),
        "load_assignment": endpoint_pb2.ClusterLoadAssignment(cluster_name="checkout"),
        "listener": listener_pb2.Listener(name="checkout", api_listener={"api_listener": {"type_url": "t"}}),
    }
    body = "\n".join(f"    {line}" for line in block.splitlines())
    names: dict[str, object] = {}
    exec(f"async def example({', '.join(messages)}):\n{body}", names)
    await names["example"](**messages)
    assert capsys.readouterr().out.endswith("{}\n")


def test_the_configuration_example_is_good(tmp_path):
    """The YAML block of docs/surface.md passes `xds-server check`."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "surface.md").read_text(), re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(block)
    tool = Path(sys.executable).with_name("xds-server")
    done = subprocess.run([tool, "check", "-c", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
