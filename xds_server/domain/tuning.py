"""Tuning: what an operator changed of a policy, field by field; the configuration keeps the say over the rest.

Knows how a tuning is found and laid over a policy. Does not know who tunes, nor what was configured.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

from xds_server.domain.policy import Failover, Policy

Tuning = Mapping[str, Any]
"""Field of Policy -> its value; of a part (preference, thresholds, ...) a mapping of the fields that were changed."""


def tuned(policy: Policy, tuning: Tuning) -> Policy:
    """Return the policy with the tuning laid over it; raises TypeError or ValueError on a foreign shape."""
    if not tuning:
        return policy
    if unknown := tuning.keys() - {f.name for f in fields(Policy)}:
        raise ValueError(f"a policy has no {', '.join(sorted(unknown))}")
    return replace(policy, **{name: _laid(getattr(policy, name), value) for name, value in tuning.items()})


def _laid(old: Any, value: Any) -> Any:
    return replace(old, **value) if is_dataclass(old) and not isinstance(old, type) else type(old)(value)


def added(tuning: Tuning, before: Policy, after: Policy) -> Tuning:
    """Return a tuning together with what makes ``after`` out of ``before``.

    Failover is one whole: its two scores bound each other, so that half of it might not fit under another half.
    """
    found = dict(tuning)
    for name in (f.name for f in fields(Policy)):
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(new, Failover):
            found[name] = asdict(new)
        elif is_dataclass(new) and not isinstance(new, type):
            was = asdict(old)
            found[name] = {**found.get(name, {}), **{k: v for k, v in asdict(new).items() if v != was[k]}}
        else:
            found[name] = new
    return found


def names(tuning: Tuning) -> list[str]:
    """Return the fields that are tuned, as ``part.field``."""
    return [
        f"{name}.{inner}" if inner else name
        for name, value in tuning.items()
        for inner in (value if isinstance(value, Mapping) else ("",))
    ]
