"""Eligibility: what is wrong with a subnet request whatever is free, field by field, and which pools may serve it.

Knows what operators configured. Does not know what is held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from xds_server.decisions.sizing import usable, wanted_lengths
from xds_server.domain.subnets import Pool, SubnetPlan, SubnetRequest

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a request can never be granted: the field, a code for programs, and what would do."""

    field: str
    code: str
    text: str


def eligible_pools(request: SubnetRequest, plan: SubnetPlan) -> list[Pool]:
    """Return the pools that could serve the request if they were empty, in the configured order."""
    return [
        pool
        for pool in plan.pools
        if pool.location == request.location
        and pool.offers(request.security_profile)
        and pool.bandwidth_mbps >= request.bandwidth_mbps
        and wanted_lengths(request.num_ips, request.versions, pool)
    ]


def objections(request: SubnetRequest, plan: SubnetPlan) -> list[Objection]:
    """Return everything that makes the request impossible; empty when some pool could serve it."""
    found = [*_names(request, plan)]
    if not found and not eligible_pools(request, plan):
        found = [*_pools(request, plan)]
    return found


def _names(request: SubnetRequest, plan: SubnetPlan) -> Iterable[Objection]:
    if plan.appliance_of(request.service) is None:
        known = [a.service for a in plan.appliances]
        yield Objection("service", "unknown_service", _unknown(request.service, known, "no appliance supplies it"))
    locations = list(dict.fromkeys(pool.location for pool in plan.pools))
    if request.location not in locations:
        yield Objection("location", "unknown_location", _unknown(request.location, locations, "no pool is there"))
    profiles = list(dict.fromkeys([*plan.security_profiles, *(p for o in plan.pools for p in o.security_profiles)]))
    if request.security_profile not in profiles:
        text = _unknown(request.security_profile, profiles, "it is not defined")
        yield Objection("security_profile", "unknown_security_profile", text)


def _pools(request: SubnetRequest, plan: SubnetPlan) -> Iterable[Objection]:
    """Tell the first constraint, in this order, that no pool of the location meets."""
    here = [pool for pool in plan.pools if pool.location == request.location]
    offering = [pool for pool in here if pool.offers(request.security_profile)]
    if not offering:
        there = sorted({profile for pool in here for profile in pool.security_profiles})
        text = f"no pool at {request.location} offers {request.security_profile!r}; it offers {', '.join(there)}"
        return [Objection("security_profile", "profile_not_offered", text)]
    serving = [pool for pool in offering if all(pool.serves(version) for version in request.versions)]
    if not serving:
        text = f"no pool at {request.location} has prefixes for ip_version {request.ip_version.value!r}; try another"
        return [Objection("ip_version", "ip_version_not_offered", text)]
    sized = [pool for pool in serving if wanted_lengths(request.num_ips, request.versions, pool)]
    if not sized:
        most = max(min(usable(v, pool.lengths(v)[0]) for v in request.versions) for pool in serving)
        text = f"{request.num_ips} addresses are more than any subnet at {request.location} may have; at most {most}"
        return [Objection("num_ips", "too_large", text)]
    most_mbps = max(pool.bandwidth_mbps for pool in sized)
    text = f"{request.bandwidth_mbps:.17g} Mbit/s is beyond every pool at {request.location}; at most {most_mbps:g}"
    return [Objection("bandwidth_mbps", "bandwidth_beyond_pool", text)]


def _unknown(name: str, known: Sequence[str], why: str) -> str:
    near = get_close_matches(name[:64], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(map(str, known[:_SHOWN])) or 'none'}"
    return f"{name[:64]!r} is unknown: {why}; {hint}"
