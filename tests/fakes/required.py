"""Required: what a test does when the real thing it needs is not here.

Knows XDS_TEST_REQUIRE, the markers that must not be skipped. Does not know any server.
"""

import os
import shutil
from typing import NoReturn

import pytest


def absent(marker: str, why: str) -> NoReturn:
    """Skip and say why, or fail where XDS_TEST_REQUIRE names the marker."""
    if marker in os.environ.get("XDS_TEST_REQUIRE", "").split(","):
        pytest.fail(why)
    pytest.skip(why)


def program(name: str, marker: str, package: str) -> str:
    """Return the path of a program; absent when there is none."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    return found or absent(marker, f"{name} is not installed: apt-get install {package}")
