"""House law: what is committed in xds_server/pb is what protos/ generates."""

import importlib.util
import sys
from pathlib import Path

import grpc_tools
import pytest

ROOT = Path(__file__).resolve().parents[2]


def _generator():
    spec = importlib.util.spec_from_file_location("protos_generate", ROOT / "protos" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A directory with freshly generated code."""
    target = tmp_path_factory.mktemp("pb")
    return target, _generator().generate(target)


def test_generated_code_is_fresh(fresh):
    """Every generated file is committed with exactly the content that `make protos` writes, and no other file is."""
    target, made = fresh
    committed = ROOT / "xds_server" / "pb"
    there = sorted(p.relative_to(committed) for p in committed.rglob("*.py*") if "__pycache__" not in p.parts)
    assert there == made, "files differ: run `make protos` and commit xds_server/pb"
    stale = [str(f) for f in made if (committed / f).read_bytes() != (target / f).read_bytes()]
    assert not stale, (
        f"{stale} are stale (grpcio-tools {grpc_tools.__file__}): run `make protos` and commit xds_server/pb"
    )


def test_generated_imports_resolve_in_our_package(fresh):
    """No generated module imports from outside xds_server.pb what protos/ defines."""
    _, made = fresh
    for name in (f for f in made if f.suffix == ".py"):
        dotted = ".".join(("xds_server", "pb", *name.with_suffix("").parts))
        module = importlib.import_module(dotted.removesuffix(".__init__"))
        assert module is sys.modules[dotted.removesuffix(".__init__")]
        source = Path(module.__file__).read_text("utf-8")
        assert "from xds_server." not in source.replace("from xds_server.pb.", ""), f"{name} leaves the package"


def test_every_rpc_of_the_contract_is_there():
    """The services offer every RPC that docs/surface.md names."""
    from xds_server.pb.admin.v1 import admin_pb2
    from xds_server.pb.sam.v1 import sam_pb2

    admin = admin_pb2.DESCRIPTOR.services_by_name["Admin"]
    wanted = """ListNodes ListServices ListEndpoints RegisterEndpoint DeregisterEndpoint GetPolicy SetPolicy PinWeight
        UnpinWeight DrainEndpoint UndrainEndpoint SelectEndpoint Explain WatchWeights ListChanges UndoChange GetModel
        SetLogLevel"""
    assert admin.full_name == "xds_server.admin.v1.Admin"
    assert {m.name for m in admin.methods} >= set(wanted.split())
    (sam,) = sam_pb2.DESCRIPTOR.services_by_name.values()
    assert {m.name for m in sam.methods} >= {"RequestSubnet", "ReleaseSubnet", "ListSubnets", "ListPools"}


def test_every_write_carries_reason_dry_run_and_generation():
    """Who changes something says why, may rehearse it, and may refuse to overwrite somebody else's change."""
    from xds_server.pb.admin.v1 import admin_pb2

    admin = admin_pb2.DESCRIPTOR.services_by_name["Admin"]
    writes = [m for m in admin.methods if m.output_type.name == "WriteResponse"]
    assert len(writes) == 8
    for method in writes:
        assert {"reason", "dry_run", "expected_generation"} <= set(method.input_type.fields_by_name), method.name
