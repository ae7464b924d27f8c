"""Answers: what is stored under an idempotency key, so that the same request gets the same answer for a day.

Knows the body of an answer and the fingerprint of a request. Does not know HTTP.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

from xds_server.domain.subnets import Allocation, SubnetRequest
from xds_server.ports import Answer
from xds_server.state.records import from_body, request_body, to_body

KEPT_S = 24 * 3600.0


def answer_for(key: str, allocation: Allocation, now_s: float) -> Answer:
    """Return the answer to keep: the allocation as it was first granted."""
    body = {"subnet_id": allocation.id, "allocation": to_body(allocation)}
    return Answer(key, fingerprint(allocation.request), body, now_s + KEPT_S)


def answered(answer: Answer) -> Allocation:
    """Return the allocation of a stored answer, as it was then."""
    return from_body(str(answer.body["subnet_id"]), cast(Mapping[str, Any], answer.body["allocation"]))


def fingerprint(request: SubnetRequest) -> str:
    """Return what tells one request from another, defaults filled in."""
    return hashlib.sha256(json.dumps(request_body(request), sort_keys=True).encode()).hexdigest()
