"""One node group for tests of the pure protocol: its shelves, its quarantines, resources in one line."""

from xds_server.domain.resource import CDS, EDS, LDS, RDS, Resource, ResourceType
from xds_server.state.cache import GroupCache, TypeShelf
from xds_server.xds.quarantine import Quarantine

_NAMES_BY_ITSELF = {LDS: RDS, RDS: CDS}


def made(kind: ResourceType, name: str, version: str = "1", *names: str) -> Resource:
    """Return a resource; a cluster refers to the endpoints of its name, a route to these clusters, and so on."""
    if kind is CDS:
        references = ((EDS.url, name),)
    else:
        references = tuple((_NAMES_BY_ITSELF[kind].url, other) for other in names) if names else ()
    return Resource(kind.url, name, version, f"{name}{version}".encode(), references)


class Group:
    """The group "g"."""

    def __init__(self, *resources: Resource, ready: bool = True) -> None:
        self.cache = GroupCache()
        self.picture = self.cache.picture("g")
        self.quarantines: dict[str, Quarantine] = {}
        if ready:
            self.cache.replace("g", resources)

    def look(self, kind: ResourceType) -> tuple[TypeShelf, Quarantine]:
        """Return what a session looks at."""
        shelf = self.picture.shelf(kind)
        return shelf, self.quarantines.setdefault(kind.url, Quarantine(shelf))

    def put(self, *resources: Resource) -> None:
        """Set resources."""
        self.cache.update("g", resources)

    def remove(self, kind: ResourceType, *names: str) -> None:
        """Remove resources."""
        self.cache.update("g", remove=[(kind.url, name) for name in names])
