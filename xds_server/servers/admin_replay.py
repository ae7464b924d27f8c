"""Admin API, the supposing half: what another policy or forecaster would have done.

Knows the messages and what the comparison cannot know. Does not know how history is run through the law again, nor how
much of it may be asked for.
"""

import math
from typing import Final, Protocol

from xds_server.decisions.replay import Answer, Question, Tally
from xds_server.domain.refusal import Kind, Refusal
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.servers import admin_words as words
from xds_server.servers.admin_picture import Picture
from xds_server.servers.refusals import Context

USUAL_S: Final = 300.0
CAVEATS: Final = (
    "* an open-loop estimate, by the queue formula at the rates seen, which were made under the weights of then",
    "pins, drains, endpoints, nodes and distances are as they are now",
)


class Replays(Protocol):
    """Who runs history through the law again (controllers.replay)."""

    async def replay(self, question: Question) -> Answer:
        """Answer one question. Raises Refusal."""
        ...


class Supposing:
    """The RPC Replay of xds_server.admin.v1.Admin."""

    def __init__(self, picture: Picture, replays: Replays | None) -> None:
        self._clock_of = picture.wall_of
        self._replays = replays

    async def Replay(self, request: pb.ReplayRequest, _: Context) -> pb.ReplayResponse:  # noqa: N802 - gRPC's
        """Compare the policy and forecaster in force with those of the request, over the last seconds."""
        if self._replays is None:
            raise Refusal(Kind.FORBIDDEN, "this server keeps no history to replay")
        question = Question(
            service=request.service,
            change=lambda policy: words.tuned(policy, request.policy),
            forecaster=request.forecaster,
            last_s=request.last_s or USUAL_S,
        )
        answer = await self._replays.replay(question)
        return pb.ReplayResponse(
            service=answer.service.name,
            steps=answer.steps,
            run_up_steps=answer.run_up,
            step_s=answer.interval_s,
            until=words.timestamp(self._clock_of(answer.newest_s)),
            observed_latency_ms=_known(answer.observed_latency_ms),
            in_force=_course(*answer.in_force),
            changed=_course(*answer.changed),
            endpoints=_endpoints(answer),
            caveats=CAVEATS,
        )


def _course(forecaster: str, told: Tally) -> pb.Course:
    return pb.Course(
        forecaster=forecaster,
        pushes=told.pushes,
        churn=told.churn,
        latency_ms=_known(told.latency_ms),
        marginal_ms=_known(told.marginal_ms),
    )


def _endpoints(answer: Answer) -> list[pb.ReplayedEndpoint]:
    old, new = answer.in_force[1], answer.changed[1]
    return [
        pb.ReplayedEndpoint(
            id=endpoint.id,
            share_in_force=float(old.share[row]),
            share_changed=float(new.share[row]),
            first_in_force=int(old.first[row]),
            last_in_force=int(old.last[row]),
            first_changed=int(new.first[row]),
            last_changed=int(new.last[row]),
        )
        for row, endpoint in enumerate(answer.service.endpoints)
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
