"""The house keeps its own laws: floors, sizes, no shadowing of Envoy's package, nothing of one machine in the tree."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(p for p in (ROOT / "xds_server").rglob("*.py") if "pb" not in p.relative_to(ROOT).parts)
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()


def test_floors_hold():
    """Imports go downwards only: import-linter keeps every contract of pyproject.toml."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_are_small_and_signed(path: Path):
    """A module has a sign on its door, 300 lines at most, functions of 60 at most."""
    source = path.read_text()
    tree = ast.parse(source)
    assert ast.get_docstring(tree), "no docstring"
    assert source.count("\n") <= 300, "too long"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is too long"


def test_no_python_shadows_envoys_package():
    """`envoy/` holds YAML only: a module there would hide the protobuf package of the same name."""
    assert not list((ROOT / "envoy").rglob("*.py"))


def test_no_vague_rooms():
    """There is no utils, helpers, common, core or base package."""
    vague = {"utils", "helpers", "common", "core", "base"}
    assert not [p for p in (ROOT / "xds_server").rglob("*") if p.is_dir() and p.name in vague]


def test_no_bare_tasks_and_no_work_on_import():
    """Tasks live in a TaskGroup; nobody calls asyncio.create_task or ensure_future."""
    bare = re.compile(r"asyncio\.(create_task|ensure_future)\(")
    assert [p.name for p in ROOMS if bare.search(p.read_text())] == []


@pytest.mark.skipif(not TRACKED, reason="no git checkout")
def test_nothing_of_one_machine_is_committed():
    """Lock files carry hashes, not index addresses; no absolute home of a developer stands anywhere."""
    pattern = re.compile(r"--(extra-)?index-url|--find-links|/home/[a-z]+/|/root/")
    for name in TRACKED:
        path = ROOT / name
        if path.suffix in {".onnx", ".png"} or path == Path(__file__) or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        assert not pattern.search(text), name


def test_comments_cite_pages_that_are_here():
    """Every page below docs that code or tests cite is here."""
    for path in [*ROOMS, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "protos").rglob("*.proto"))]:
        for page in re.findall(r"docs/[\w/-]+\.md", path.read_text()):
            assert (ROOT / page).exists(), f"{path.relative_to(ROOT)} cites {page}"


def test_every_locked_package_has_a_hash():
    """What is installed is what was reviewed."""
    for lock in ("requirements.lock", "requirements-dev.lock"):
        entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text())
        pinned = [entry for entry in entries if "==" in entry.split("\n")[0]]
        assert pinned
        assert all("--hash=sha256:" in entry for entry in pinned)
        assert not any(entry.startswith("torch==") for entry in pinned)
