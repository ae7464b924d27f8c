"""Scripts: what can be written, and how a mistake is told."""

import pytest

from xds_server.conformance.script import BadScript, absent, cases, is_absent, read, step, thing
from xds_server.domain.resource import CDS, EDS, RDS

HEAD = "case x\nrule A rule\nsee When to send an update\nfor sotw delta; eds; ads single\n"
SECTIONS = {
    "ACK and NACK semantics summary",
    "ACK/NACK and resource type instance version",
    "Aggregated Discovery Service",
    "Basic Protocol Overview",
    "Deleting Resources",
    "Eventual consistency considerations",
    "Grouping Resources into Responses",
    "How the client specifies what resources to return",
    "Incremental xDS",
    "Knowing When a Requested Resource Does Not Exist",
    "RPC Services and Methods for Each Variant",
    "Resource updates",
    "Resource warming",
    "Subscribing to Resources",
    "TTL",
    "Unsubscribing From Resources",
    "Unsubscribing from Resources",
    "When to send an update",
}


def test_every_case_says_a_rule_of_a_section() -> None:
    """The suite's cases are unique, each is a sentence, and each names a section that the protocol page has."""
    found = cases()
    assert len({case.id for case in found}) == len(found) >= 100
    for case in found:
        assert case.rule.endswith("."), case.id
        assert case.section in SECTIONS, case.id
        assert case.link.startswith("https://www.envoyproxy.io/docs/")


def test_a_link_is_the_page_and_the_section() -> None:
    """The section's heading becomes the anchor that the page gives it."""
    (case,) = read(HEAD.replace("When to send an update", "ACK/NACK and resource type instance version") + "quiet", "f")
    assert case.link.endswith("xds_protocol#ack-nack-and-resource-type-instance-version")


def test_a_step_is_read_aloud() -> None:
    """Dialect, who, type, verb, words and options, in that order."""
    read_ = step("delta: neighbour: eds: ask a b, nonce 1, holding a")
    assert (read_.dialect, read_.who, read_.kind, read_.verb) == ("delta", "neighbour", EDS, "ask")
    assert (read_.words, read_.options) == (("a", "b"), ("nonce 1", "holding a"))
    assert step("again, nonce 1").options == ("nonce 1",)


def test_things_and_absences() -> None:
    """A resource has a type, a name, a content, and perhaps a reference, a time to live and padding."""
    made = thing("rds:r=2>c~3+40", CDS)
    assert (made.kind, made.name, made.content, made.reference) == (RDS, "r", 2, "c")
    assert (made.ttl_s, made.padding) == (3.0, 40)
    assert thing("a/b=1", EDS).kind is EDS
    assert step("set 2*r=1 -x").words == ("r000000=1", "r000001=1", "-x")
    assert is_absent("-a")
    assert is_absent("cds:-a")
    assert absent("cds:-a", EDS) == (CDS, "a")
    assert absent("-a", EDS) == (EDS, "a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("set a=1", "f:1: a file begins with a case"),
        (HEAD + "dance", "f:5: 'dance' is no verb; use one of"),
        (HEAD + "\n# nothing\nfor sotw; eds", "f:7: write: for DIALECTS; TYPES; TRANSPORTS"),
        (HEAD + "for sotw; eds; pigeon", "pigeon"),
        (HEAD, "case x lacks its steps"),
        ("case x\nquiet", "case x lacks its rule"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, words: str) -> None:
    """What is wrong in a file is told with file, line and what would do."""
    with pytest.raises(BadScript) as failure:
        read(text, "f")
    assert words in str(failure.value)


def test_a_thing_without_content_is_refused() -> None:
    """A resource needs a number that tells its content."""
    with pytest.raises(BadScript, match="write name=1"):
        thing("a", EDS)
