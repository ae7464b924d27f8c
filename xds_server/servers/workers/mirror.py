"""Mirror: a cache's changes as frames, and frames as changes of a copy that comes to equal versions.

Knows resources and their messages. Does not know who is connected.
"""

from collections.abc import Iterable, Sequence

from xds_server.domain.resource import Resource
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.state.cache import GroupCache, Picture, TypeShelf


def packed(resource: Resource) -> pb.Resource:
    """Return a resource as a message."""
    references = [pb.Reference(type_url=url, name=name) for url, name in resource.references]
    return pb.Resource(
        type_url=resource.type_url,
        name=resource.name,
        version=resource.version,
        body=resource.body,
        references=references,
        ttl_s=resource.ttl_s,
    )


def unpacked(message: pb.Resource) -> Resource:
    """Return a message's resource."""
    return Resource(
        message.type_url,
        message.name,
        message.version,
        message.body,
        tuple((reference.type_url, reference.name) for reference in message.references),
        message.ttl_s if message.HasField("ttl_s") else None,
    )


def change(revision: int, group: str, shelves: Sequence[TypeShelf], version: str | None) -> pb.Update:
    """Return what the last change did to these shelves of a group."""
    update = pb.Update(revision=revision, group=group, version=version)
    for shelf in shelves:
        for name in shelf.last.before:
            resource = shelf.get(name)
            if resource is None:
                update.removed.add(type_url=shelf.type.url, name=name)
            else:
                update.resources.append(packed(resource))
    return update


def whole(revision: int, picture: Picture) -> Iterable[pb.Update]:
    """Yield a group type by type, each with its version: for a copy that nobody looks at yet."""
    yield pb.Update(revision=revision, group=picture.group)
    for shelf in picture.shelves.values():
        resources = [packed(resource) for resource in shelf.all()]
        yield pb.Update(revision=revision, group=picture.group, resources=resources, version=shelf.version)


def replay(copy: GroupCache, update: pb.Update) -> None:
    """Do to a copy what was done."""
    removed = [(reference.type_url, reference.name) for reference in update.removed]
    version = update.version if update.HasField("version") else None
    copy.update(update.group, [unpacked(resource) for resource in update.resources], removed, version=version)
