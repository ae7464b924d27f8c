"""Every metric on one page: name, help, labels. Label sets are bounded; node ids never become labels.

Knows names (docs/surface.md, Metrics). Does not know who counts.
"""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY = CollectorRegistry(auto_describe=True)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"xds_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"xds_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
    return Histogram(f"xds_{name}", text, labels, registry=REGISTRY, buckets=buckets)


# ---- xDS streams
STREAMS = _gauge("streams", "Open xDS streams.")
PUSHES = _counter("pushes_total", "Responses sent.", "type")
ACKS = _counter("acks_total", "Responses acknowledged.", "type")
NACKS = _counter("nacks_total", "Responses rejected.", "type")
QUARANTINED = _gauge("quarantined_resources", "Resource versions held back after a NACK.", "type")
OUT_OF_SYNC = _gauge("out_of_sync_nodes", "Connected nodes that have not acknowledged what they were sent.", "type")
CONVERGENCE_SECONDS = _histogram("convergence_seconds", "From a change to the last node's ACK of it.")
SAMPLE_TO_ACK_SECONDS = _histogram(
    "sample_to_ack_seconds", "From a telemetry sample to the ACK of the weights it led to."
)
PUSH_BUILD_SECONDS = _histogram("push_build_seconds", "Building new resources of all groups.")
RESPONSE_BYTES = _histogram(
    "response_bytes",
    "Size of responses.",
    buckets=(256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0),
)
ADMISSION_REJECTED = _counter("admission_rejected_total", "Streams refused.", "reason")
ADMISSION_WAITING = _gauge("admission_waiting_streams", "Streams that wait for their turn to be let in.")
ORDER_TIMEOUTS = _counter(
    "order_timeouts_total", "Listeners and routes sent although their clusters were not acknowledged in time."
)
UNKNOWN_TYPES = _counter("unknown_type_requests_total", "Requests for types that are not served; ignored.")

# ---- telemetry and forecast
TELEMETRY_AGE_SECONDS = _gauge("telemetry_age_seconds", "Age of the newest sample.", "service")
TELEMETRY_SCRAPE_FAILURES = _counter("telemetry_scrape_failures_total", "Failed readings of Envoys.", "reason")
TELEMETRY_DISBELIEVED = _counter("telemetry_disbelieved_total", "Values that cannot be, by why; left out.", "reason")
TELEMETRY_COVERAGE_RATIO = _gauge(
    "telemetry_coverage_ratio", "Part of the connected Envoys whose rates are in the newest sample."
)
MODEL_INFERENCE_SECONDS = _histogram("model_inference_seconds", "One batch through the forecaster.")
MODEL_CONFIDENCE = _gauge("model_confidence", "Mean confidence of the estimates used, 0..1.", "service")
MODEL_FALLBACK = _gauge("model_fallback", "1 while the fallback forecasts instead of the model.", "service")
MODEL_INFO = _gauge("model_info", "The loaded model.", "version", "sha256")

# ---- weights
ENDPOINT_WEIGHT = _gauge(
    "endpoint_weight", "Published weight; 1000 = fair share (capped series).", "service", "endpoint"
)
ENDPOINT_SCORE = _gauge("endpoint_score", "Score 0..1; the best is 1 (capped series).", "service", "endpoint")
WEIGHT_CHANGES = _counter("weight_changes_total", "Weight tables that changed.", "service", "cause")
WEIGHTS_SHADOW = _gauge("weights_shadow", "1 while weights are computed and shown, not published.", "service")

# ---- subnets
SUBNET_POOL_ADDRESSES = _gauge("subnet_pool_addresses", "Addresses of the pool.", "pool")
SUBNET_POOL_USED_ADDRESSES = _gauge("subnet_pool_used_addresses", "Addresses held by subnets.", "pool")
SUBNET_POOL_COOLING_ADDRESSES = _gauge("subnet_pool_cooling_addresses", "Addresses in cool-down.", "pool")
SUBNET_POOL_LARGEST_FREE = _gauge("subnet_pool_largest_free_addresses", "Size of the largest free block.", "pool")
SUBNET_POOL_FRAGMENTATION = _gauge("subnet_pool_fragmentation_ratio", "1 - largest free block / all free.", "pool")
SUBNETS = _gauge("subnets", "Allocations by phase.", "phase")
AUTOSCALE_WANTED = _gauge(
    "autoscale_subnets_wanted", "Subnets that autoscaling wants an appliance to hold.", "appliance"
)
SUBNET_EXHAUSTED = _counter("subnet_exhausted_total", "Requests refused because nothing fits.", "reason")
STORE_COMMIT_SECONDS = _histogram("store_commit_seconds", "One durable transaction.")

# ---- names
DNS_UPDATES = _counter("dns_updates_total", "Names written to DNS, by what became of it.", "result")
REGISTRY_UPDATES = _counter("registry_updates_total", "Rounds with a registry, by what became of them.", "result")

# ---- network fabrics
FABRIC_OPERATIONS = _counter(
    "fabric_operations_total", "What network fabrics were asked, by what became of it.", "operation", "result"
)
FABRIC_ATTACHED = _gauge("fabric_attached_subnets", "Subnets known to be attached to a network fabric.", "fabric")

# ---- the process
CONTROLLER_SECONDS = _histogram("controller_run_seconds", "One successful step of a controller.", "controller")
CONTROLLER_FAILURES = _counter("controller_failures_total", "Failed steps; each is retried.", "controller")
LEADER = _gauge("leader", "1 while this process decides (always, until replicas come).")
CERT_EXPIRY_TIMESTAMP_SECONDS = _gauge(
    "cert_expiry_timestamp_seconds", "When our certificate expires, in seconds since 1970; NaN without TLS."
)
CERT_EXPIRY_TIMESTAMP_SECONDS.set(math.nan)
PROCESS = ProcessCollector(registry=REGISTRY)
"""CPU seconds, memory, open files and start time of this process, under Prometheus's usual names."""
