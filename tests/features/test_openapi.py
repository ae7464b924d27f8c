"""The HTTP API keeps its own word: every operation answers what /openapi.json says, whatever it is asked."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

OPERATIONS = 7
_TRIED = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The subnet half as a process of its own, with its HTTP API."""
    path: Path = tmp_path_factory.mktemp("openapi") / "s.db"
    command = (sys.executable, "-m", "tests.fakes.sam_process", str(path), "1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def operations(url: str) -> list[schemathesis.APIOperation]:
    """Return every operation of the document."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    return [result.ok() for result in schema.get_all_operations()]


@pytest.mark.slow
def test_every_operation_answers_as_documented(url: str):
    """Generated requests, good and bad, get a documented status, content type and body; never a server error."""
    tried = operations(url)
    assert len(tried) >= OPERATIONS
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    for operation in tried:
        _explore(operation, checks)


def _explore(operation: schemathesis.APIOperation, checks: list) -> None:
    can_be_wrong = len(operation.query) or len(operation.body)
    modes = schemathesis.GenerationMode
    for mode in (modes.POSITIVE, modes.NEGATIVE) if can_be_wrong else (modes.POSITIVE,):

        @_TRIED
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=checks)

        call()


async def test_its_examples_work(url: str):
    """What the document shows can be typed: the example request is granted, the example release understood."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        document = (await http.get("/openapi.json")).json()
        bodies = document["components"]["schemas"]
        granted = await http.post("/subnets/request", json=bodies["RequestBody"]["examples"][0])
        assert granted.status_code == 201, granted.text
        released = await http.post("/subnets/release", json={"subnet_id": granted.json()["subnet_id"]})
        assert released.status_code == 202
        unknown = await http.post("/subnets/release", json=bodies["ReleaseBody"]["examples"][0])
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_subnet")
