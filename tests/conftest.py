"""What all tests share: the flag that rewrites recorded expectations (goldens, conversations) instead of checking them."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --rewrite: record what comes out now; review the difference with git."""
    parser.addoption("--rewrite", action="store_true", help="record goldens and conversations anew instead of checking")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether to record instead of to check."""
    return bool(request.config.getoption("--rewrite"))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Count what was skipped, and why."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        why = why.removeprefix("Skipped: ")
        reasons[why] = reasons.get(why, 0) + 1
    config.stash[_SKIPPED] = reasons


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say it as the very last line."""
    reasons = config.stash.get(_SKIPPED, None)
    if reasons is not None:
        told = "; ".join(f"{count} x {why}" for why, count in reasons.items())
        print(f"skipped: {told or 'nothing'}")  # noqa: T201 - the runner's last word


_SKIPPED = pytest.StashKey[dict[str, int]]()
