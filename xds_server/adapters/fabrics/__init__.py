"""Network fabrics: VMware NSX, Cisco ACI, OpenStack Neutron, and none.

Each knows one vendor's requests; ``asking`` carries them. None knows why a subnet is attached.
"""

from xds_server.adapters.fabrics.aci import Aci, BridgeDomain
from xds_server.adapters.fabrics.asking import Access
from xds_server.adapters.fabrics.neutron import Neutron, Project
from xds_server.adapters.fabrics.none import NoFabric
from xds_server.adapters.fabrics.nsx import Nsx

__all__ = ["Access", "Aci", "BridgeDomain", "Neutron", "NoFabric", "Nsx", "Project"]
