"""Whom Envoy's words name."""

import pytest

from xds_server.xds.suspects import named, one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Error adding/updating cluster(s) bad: unknown type", ["bad"]),
        ("Error adding/updating cluster(s) bad-two: unknown type", ["bad-two"]),
        ("listener 'bad' is no good", ["bad"]),
        ("a cluster is bad", []),
        ("malformed: cluster good-one has no endpoints", ["good-one"]),
        ("something about not-good-one-either", []),
        ("nothing at all", []),
    ],
)
def test_named(text: str, expected: list[str]) -> None:
    """A name counts where it stands alone; short ones only in quotes or before a colon."""
    assert named(text, ["a", "bad", "bad-two", "good-one"]) == expected


def test_words_are_fit_for_a_table() -> None:
    """One line, without control characters, cut in the middle because the reason stands last."""
    assert one_line("a\n\tb\x00c") == "a b c"
    assert one_line("  ") == "rejected without a reason"
    cut = one_line("x" * 5000 + " the reason")
    assert len(cut) < 1100
    assert cut.endswith("the reason")
