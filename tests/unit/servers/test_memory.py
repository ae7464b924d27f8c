"""Memory: what a process gives back, and how often."""

import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
from xds_server.decisions import windows
from xds_server.servers.memory import keep_freed

if sys.argv[1] == "kept":
    assert keep_freed()
rows = np.random.default_rng(0).normal(100, 5, (256, 600)).astype(np.float32)
windows.prepare(rows)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    windows.prepare(rows)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    """Count a fresh process's page faults while it makes the windows of 2,048 rows."""
    found = subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True, timeout=60)
    return int(found.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt(3) is glibc's")
def test_freed_memory_is_not_asked_for_again():
    """With it kept, forecasts' arrays cost next to no page fault; without, some at every chunk."""
    given, kept = _faults("given back"), _faults("kept")
    assert kept < 200 < given
