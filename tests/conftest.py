"""What all tests share: the flag that rewrites recorded expectations (goldens, conversations) instead of checking them."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --rewrite: record what comes out now; review the difference with git."""
    parser.addoption("--rewrite", action="store_true", help="record goldens and conversations anew instead of checking")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether to record instead of to check."""
    return bool(request.config.getoption("--rewrite"))
