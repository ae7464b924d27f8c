"""Workers: several processes on one port that look like one server (docs/decisions/0006-workers.md).

``front`` is the parent's side, ``hand`` the worker's; ``wire`` is between them.
"""
