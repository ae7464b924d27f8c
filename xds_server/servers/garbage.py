"""Garbage: Python's collector of cycles, set for a process that holds many long-lived streams.

Called once, by whoever owns the process: a program that embeds the server keeps its own settings. Knows the collector.
"""

import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000


def collect_rarely() -> None:
    """Leave alone what start-up made, and look for new cycles after 50,000 new objects instead of 700.

    Each stream is some 100 objects that live for hours and form next to no cycles; a wave of pushes makes thousands
    more that die by themselves, and every look at them is a pause of the event loop for nothing. 50,000 objects are
    about 10 MB: what is left lying about until it is found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
