"""Memory: how a process of our own looks for garbage and gives memory back.

Called once, by whoever owns the process: a program that embeds the server keeps its own settings. Knows Python's
collector of cycles and the C library's allocator.
"""

import ctypes
import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000
_LARGEST: Final = 4 * 2**20
_KEPT: Final = 64 * 2**20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""


def keep_freed() -> bool:
    """Let the C library keep up to 64 MiB that it was given back; return whether it can (glibc does).

    A forecast's arrays come and go every few milliseconds. By default their pages go back to the kernel each time and
    are asked for anew: 2,000 page faults for 256 rows, a seventh of the time that their windows take.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, _KEPT))


def collect_rarely() -> None:
    """Leave alone what start-up made, and look for new cycles after 50,000 new objects instead of 700.

    Each stream is some 100 objects that live for hours and form next to no cycles; a wave of pushes makes thousands
    more that die by themselves, and every look at them is a pause of the event loop for nothing. 50,000 objects are
    about 10 MB: what is left lying about until it is found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
