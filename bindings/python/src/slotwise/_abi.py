"""The C interface as ctypes sees it. Made by tools/generate_abi.py; do not edit."""

from __future__ import annotations

from ctypes import (
    CDLL,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict, Tuple

VERSION = "0.1.0"
VERSION_MAJOR = 0
VERSION_MINOR = 1
VERSION_PATCH = 0
UNLIMITED = 18446744073709551615
ABI_VERSION = 1
MAX_ENGINES = 4096
MAX_COUNT = 16777216
MAX_ID_LENGTH = 64
MAX_NAME_LENGTH = 255
MAX_LIMITS = 4
MAX_DEVICES = 16
MAX_ISLAND = 254
MAX_KINDS = 512
MAX_LIST_LENGTH = 64
OK = 0
BUSY = 1
NEVER = 2
NULL_POINTER = 10
MISALIGNED = 11
STRUCT_SIZE = 12
RESERVED = 13
UNKNOWN_VALUE = 14
STRIDE = 15
OVERLAP = 16
COUNT = 17
OFFSETS = 18
ARRAY_TOO_SMALL = 19
STALE_HANDLE = 20
CLOSED = 21
TOO_MANY_ENGINES = 22
ID_LENGTH = 30
EMPTY = 31
TOO_LARGE = 32
DUPLICATE_ID = 33
IN_FLIGHT = 34
UNKNOWN_SELECTOR = 35
UNKNOWN_WORKER = 36
VERSION_CONFLICT = 37
LEDGER_FULL = 38
CONTENDED = 39
PEER = 40
NOT_HELD = 41
OTHER_WORKER = 42
SHORT = 43
STATE = 44
LOST = 45
OTHER_BATCH = 46
QUOTA_EXCEEDED = 47
UNKNOWN_ACCOUNT = 48
UNKNOWN_GROUP = 49
TOO_MANY_LIMITS = 50
DEADLINE_PASSED = 51
WAITING = 52
CLOCK_WENT_BACK = 53
NAME_LENGTH = 60
SET_ASIDE = 61
GPU_TYPE = 62
DUPLICATE_WORKER = 63
TABLE_FULL = 64
LIST_LENGTH = 65
TOO_MANY_SELECTORS = 66
CONFIG = 67
PROCESSOR = 68
OLD_GENERATION = 69
NOT_PENDING = 70
HAND_OFF_TO_ITSELF = 71
TOO_MANY_NAMES = 72
DEVICE_OVER_WHOLE = 80
DEVICE_EMPTY = 81
DEVICE_PARTS = 82
TOO_MANY_DEVICES = 83
GPUS_BESIDE_DEVICES = 84
DUPLICATE_DEVICE = 85
ISLAND_TOO_HIGH = 86
DEVICES_STAY = 87
NOTHING_LEARNED = 88
PANIC = 99
NO_DIMENSION = 0
CPU = 1
MEMORY = 2
GPUS = 3
OUTLOOK_UNKNOWN = 0
OUTLOOK_WAIT = 1
OUTLOOK_START = 2
POLICY_DEFAULT = 0
POLICY_AFFINITY = 1
POLICY_FIRST_FIT = 2
POLICY_TIGHTEST_FIT = 3
POLICY_SPREAD = 4
POLICY_POWER_OF_TWO = 5
POLICY_DOT_PRODUCT = 6
POLICY_FGD = 7
POLICY_ADAPTIVE = 8
NO_GPU_SEPARATION = 1
NO_REASONS = 2
SELECTOR_ANY = 0
ACCEPT_PREEMPTABLE = 1
REQUIRES_SELECTOR = 1
PREEMPTABLE = 2
PENDING = 4
STATE_PENDING = 1
STATE_READY = 2
STATE_CORDONED = 3
STATE_DRAINING = 4
SET_TOTAL = 1
SET_SET_ASIDE = 2
SET_GPU_TYPE = 4
SET_POOL = 8
SET_PRIORITY = 16
SET_TIER = 32
SET_LABELS = 64
SET_TENANT = 128
SET_MACHINE = 256
SET_REQUIRES_SELECTOR = 512
SET_PREEMPTABLE = 1024
SET_GENERATION = 2048
LIST_ALL = 0
LIST_POOL = 1
LIST_MACHINE = 2
TEXT_ID = 0
TEXT_POOL = 1
TEXT_GPU_TYPE = 2
TEXT_TENANT = 3
TEXT_MACHINE = 4
TEXT_LABEL_KEY = 5
TEXT_LABEL_VALUE = 6
ISLAND_ANY = 0
ISLAND_PREFER = 1
ISLAND_INSIST = 2
SCOPE_WORKER = 0
SCOPE_MACHINE = 1
SCOPE_LABEL = 2
HOLD = 1
ACCOUNT = 4
AHEAD = 1
HASH = 2
INDEPENDENT = 0
ALL_OR_NOTHING = 1
REASON_FITS = 0
REASON_MISMATCH = 1
REASON_STATE = 2
REASON_SHORT = 3
REASON_TOO_SMALL = 4
REASON_SPREAD = 5
MISMATCH_MACHINE = 1
MISMATCH_TENANT = 2
MISMATCH_POOL = 3
MISMATCH_LABELS = 4
MISMATCH_GPU_SEPARATION = 5
MISMATCH_GPU_TYPE = 6
MISMATCH_PREEMPTABLE = 7
MISMATCH_DEVICES = 8
STEP_RESERVE = 1
STEP_RELEASE_ID = 2
STEP_RELEASE = 3
EXPIRED = 1
LOST_WITH_WORKER = 2
WORKER_EXPIRED = 3
LEAVING = 1


class reasons_t(Structure):
    not_matching: int
    not_ready: int
    cpu: int
    memory: int
    gpus: int
    spread: int
    _fields_ = [
        ("not_matching", c_uint32),
        ("not_ready", c_uint32),
        ("cpu", c_uint32),
        ("memory", c_uint32),
        ("gpus", c_uint32),
        ("spread", c_uint32),
    ]


class error_t(Structure):
    size: int
    status: int
    dimension: int
    state: int
    given: int
    limit: int
    index: int
    version: int
    cpu: int
    memory: int
    gpus: int
    reasons: reasons_t
    outlook: int
    reserved: int
    _fields_ = [
        ("size", c_uint32),
        ("status", c_int32),
        ("dimension", c_uint32),
        ("state", c_uint32),
        ("given", c_uint64),
        ("limit", c_uint64),
        ("index", c_uint64),
        ("version", c_uint64),
        ("cpu", c_uint64),
        ("memory", c_uint64),
        ("gpus", c_uint64),
        ("reasons", reasons_t),
        ("outlook", c_uint32),
        ("reserved", c_uint32),
    ]


class config_t(Structure):
    size: int
    flags: int
    max_workers: int
    max_reservations: int
    max_selectors: int
    max_batches: int
    policy: int
    max_planners: int
    max_accounts: int
    max_groups: int
    max_unmet: int
    seed: int
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("max_workers", c_uint64),
        ("max_reservations", c_uint64),
        ("max_selectors", c_uint64),
        ("max_batches", c_uint64),
        ("policy", c_uint32),
        ("max_planners", c_uint32),
        ("max_accounts", c_uint64),
        ("max_groups", c_uint64),
        ("max_unmet", c_uint64),
        ("seed", c_uint64),
    ]


class text_t(Structure):
    data: Any
    length: int
    _fields_ = [
        ("data", c_char_p),
        ("length", c_size_t),
    ]


class label_in_t(Structure):
    key: text_t
    values: Any
    value_count: int
    _fields_ = [
        ("key", text_t),
        ("values", POINTER(text_t)),
        ("value_count", c_size_t),
    ]


class constraints_t(Structure):
    size: int
    flags: int
    machine: text_t
    tenant: text_t
    pools: Any
    pool_count: int
    labels: Any
    label_count: int
    gpu_types: Any
    gpu_type_count: int
    reserved: int
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("machine", text_t),
        ("tenant", text_t),
        ("pools", POINTER(text_t)),
        ("pool_count", c_size_t),
        ("labels", POINTER(label_in_t)),
        ("label_count", c_size_t),
        ("gpu_types", POINTER(text_t)),
        ("gpu_type_count", c_size_t),
        ("reserved", c_uint64),
    ]


class resources_t(Structure):
    cpu: int
    memory: int
    gpus: int
    _fields_ = [
        ("cpu", c_uint64),
        ("memory", c_uint64),
        ("gpus", c_uint64),
    ]


class label_t(Structure):
    key: text_t
    value: text_t
    _fields_ = [
        ("key", text_t),
        ("value", text_t),
    ]


class device_t(Structure):
    id: text_t
    memory: int
    island: int
    reserved: int
    _fields_ = [
        ("id", text_t),
        ("memory", c_uint64),
        ("island", c_uint32),
        ("reserved", c_uint32),
    ]


class worker_spec_t(Structure):
    size: int
    flags: int
    id: text_t
    total: resources_t
    set_aside: resources_t
    priority: int
    tier: int
    pool: text_t
    gpu_type: text_t
    tenant: text_t
    machine: text_t
    labels: Any
    label_count: int
    reserved: int
    generation: int
    lease: int
    devices: Any
    device_count: int
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("id", text_t),
        ("total", resources_t),
        ("set_aside", resources_t),
        ("priority", c_int32),
        ("tier", c_uint32),
        ("pool", text_t),
        ("gpu_type", text_t),
        ("tenant", text_t),
        ("machine", text_t),
        ("labels", POINTER(label_t)),
        ("label_count", c_size_t),
        ("reserved", c_uint64),
        ("generation", c_uint64),
        ("lease", c_uint64),
        ("devices", POINTER(device_t)),
        ("device_count", c_size_t),
    ]


class added_t(Structure):
    worker: int
    status: int
    reserved: int
    _fields_ = [
        ("worker", c_uint64),
        ("status", c_int32),
        ("reserved", c_uint32),
    ]


class free_t(Structure):
    cpu: int
    memory: int
    gpus: int
    _fields_ = [
        ("cpu", c_int64),
        ("memory", c_int64),
        ("gpus", c_int64),
    ]


class worker_info_t(Structure):
    size: int
    state: int
    worker: int
    version: int
    total: resources_t
    set_aside: resources_t
    held: resources_t
    free: free_t
    priority: int
    tier: int
    flags: int
    label_count: int
    generation: int
    lease: int
    _fields_ = [
        ("size", c_uint32),
        ("state", c_uint32),
        ("worker", c_uint64),
        ("version", c_uint64),
        ("total", resources_t),
        ("set_aside", resources_t),
        ("held", resources_t),
        ("free", free_t),
        ("priority", c_int32),
        ("tier", c_uint32),
        ("flags", c_uint32),
        ("label_count", c_uint32),
        ("generation", c_uint64),
        ("lease", c_uint64),
    ]


class lost_t(Structure):
    ticket: int
    worker: int
    amount: resources_t
    id_length: int
    reserved: int
    id: Any
    _fields_ = [
        ("ticket", c_uint64),
        ("worker", c_uint64),
        ("amount", resources_t),
        ("id_length", c_uint32),
        ("reserved", c_uint32),
        ("id", c_char * 64),
    ]


class snapshot_t(Structure):
    version: int
    free: free_t
    state: int
    reserved: int
    _fields_ = [
        ("version", c_uint64),
        ("free", free_t),
        ("state", c_uint32),
        ("reserved", c_uint32),
    ]


class device_state_t(Structure):
    free_milli: int
    island: int
    free_memory: int
    memory: int
    _fields_ = [
        ("free_milli", c_uint32),
        ("island", c_uint32),
        ("free_memory", c_uint64),
        ("memory", c_uint64),
    ]


class granted_t(Structure):
    devices: int
    milli: int
    reserved: int
    memory: int
    _fields_ = [
        ("devices", c_uint64),
        ("milli", c_uint32),
        ("reserved", c_uint32),
        ("memory", c_uint64),
    ]


class quota_t(Structure):
    cpu: int
    memory: int
    gpus: int
    _fields_ = [
        ("cpu", c_uint64),
        ("memory", c_uint64),
        ("gpus", c_uint64),
    ]


class usage_t(Structure):
    size: int
    reserved: int
    used: resources_t
    quota: quota_t
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("used", resources_t),
        ("quota", quota_t),
    ]


class limit_t(Structure):
    group: int
    at_most: int
    _fields_ = [
        ("group", c_uint32),
        ("at_most", c_uint32),
    ]


class terms_t(Structure):
    size: int
    flags: int
    hold_until: int
    priority: int
    account: int
    limits: Any
    limit_count: int
    reserved: int
    device_count: int
    device_milli: int
    device_memory: int
    island: int
    reserved2: int
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("hold_until", c_uint64),
        ("priority", c_int32),
        ("account", c_uint32),
        ("limits", POINTER(limit_t)),
        ("limit_count", c_size_t),
        ("reserved", c_uint64),
        ("device_count", c_uint32),
        ("device_milli", c_uint32),
        ("device_memory", c_uint64),
        ("island", c_uint32),
        ("reserved2", c_uint32),
    ]


class request_t(Structure):
    size: int
    flags: int
    id: Any
    id_length: int
    cpu: int
    memory: int
    gpus: int
    selector: int
    policy: int
    key: Any
    key_length: int
    hash: int
    terms: Any
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("id", c_char_p),
        ("id_length", c_size_t),
        ("cpu", c_uint64),
        ("memory", c_uint64),
        ("gpus", c_uint64),
        ("selector", c_uint32),
        ("policy", c_uint32),
        ("key", c_char_p),
        ("key_length", c_size_t),
        ("hash", c_uint64),
        ("terms", POINTER(terms_t)),
    ]


class placement_t(Structure):
    ticket: int
    worker: int
    version: int
    status: int
    existing: int
    provisional: int
    dimension: int
    _fields_ = [
        ("ticket", c_uint64),
        ("worker", c_uint64),
        ("version", c_uint64),
        ("status", c_int32),
        ("existing", c_uint8),
        ("provisional", c_uint8),
        ("dimension", c_uint16),
    ]


class released_t(Structure):
    worker: int
    version: int
    amount: resources_t
    credited: int
    status: int
    _fields_ = [
        ("worker", c_uint64),
        ("version", c_uint64),
        ("amount", resources_t),
        ("credited", c_uint32),
        ("status", c_int32),
    ]


class resized_t(Structure):
    ticket: int
    worker: int
    version: int
    before: resources_t
    _fields_ = [
        ("ticket", c_uint64),
        ("worker", c_uint64),
        ("version", c_uint64),
        ("before", resources_t),
    ]


class batch_t(Structure):
    size: int
    mode: int
    requests: Any
    request_stride: int
    count: int
    placements: Any
    placement_stride: int
    reasons: Any
    id: Any
    id_length: int
    reserved: int
    _fields_ = [
        ("size", c_uint32),
        ("mode", c_uint32),
        ("requests", POINTER(request_t)),
        ("request_stride", c_size_t),
        ("count", c_size_t),
        ("placements", POINTER(placement_t)),
        ("placement_stride", c_size_t),
        ("reasons", POINTER(reasons_t)),
        ("id", c_char_p),
        ("id_length", c_size_t),
        ("reserved", c_uint64),
    ]


class batch_done_t(Structure):
    placed: int
    failed: int
    replayed: int
    reserved: int
    _fields_ = [
        ("placed", c_uint64),
        ("failed", c_uint64),
        ("replayed", c_uint32),
        ("reserved", c_uint32),
    ]


class columns_t(Structure):
    size: int
    mode: int
    count: int
    common: Any
    ids: Any
    id_offsets: Any
    id_width: int
    cpu: Any
    memory: Any
    gpus: Any
    selectors: Any
    hashes: Any
    tickets: Any
    workers: Any
    versions: Any
    statuses: Any
    batch_id: Any
    batch_id_length: int
    reserved: int
    _fields_ = [
        ("size", c_uint32),
        ("mode", c_uint32),
        ("count", c_size_t),
        ("common", POINTER(request_t)),
        ("ids", c_char_p),
        ("id_offsets", c_void_p),
        ("id_width", c_size_t),
        ("cpu", c_void_p),
        ("memory", c_void_p),
        ("gpus", c_void_p),
        ("selectors", c_void_p),
        ("hashes", c_void_p),
        ("tickets", c_void_p),
        ("workers", c_void_p),
        ("versions", c_void_p),
        ("statuses", c_void_p),
        ("batch_id", c_char_p),
        ("batch_id_length", c_size_t),
        ("reserved", c_uint64),
    ]


class supposition_t(Structure):
    size: int
    reserved: int
    credited: Any
    credited_count: int
    without: Any
    without_count: int
    added: Any
    added_count: int
    added_stride: int
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("credited", c_void_p),
        ("credited_count", c_size_t),
        ("without", c_void_p),
        ("without_count", c_size_t),
        ("added", POINTER(worker_spec_t)),
        ("added_count", c_size_t),
        ("added_stride", c_size_t),
    ]


class mismatches_t(Structure):
    machine: int
    tenant: int
    pool: int
    labels: int
    gpu_separation: int
    gpu_type: int
    preemptable: int
    devices: int
    _fields_ = [
        ("machine", c_uint32),
        ("tenant", c_uint32),
        ("pool", c_uint32),
        ("labels", c_uint32),
        ("gpu_separation", c_uint32),
        ("gpu_type", c_uint32),
        ("preemptable", c_uint32),
        ("devices", c_uint32),
    ]


class near_miss_t(Structure):
    worker: int
    version: int
    missing: resources_t
    _fields_ = [
        ("worker", c_uint64),
        ("version", c_uint64),
        ("missing", resources_t),
    ]


class explanation_t(Structure):
    size: int
    status: int
    worker: int
    version: int
    ticket: int
    dimension: int
    outlook: int
    fitting: int
    reasons: reasons_t
    mismatches: mismatches_t
    reserved: int
    nearest: near_miss_t
    _fields_ = [
        ("size", c_uint32),
        ("status", c_int32),
        ("worker", c_uint64),
        ("version", c_uint64),
        ("ticket", c_uint64),
        ("dimension", c_uint32),
        ("outlook", c_uint32),
        ("fitting", c_uint32),
        ("reasons", reasons_t),
        ("mismatches", mismatches_t),
        ("reserved", c_uint32),
        ("nearest", near_miss_t),
    ]


class explained_t(Structure):
    worker: int
    version: int
    reason: int
    detail: int
    missing: resources_t
    _fields_ = [
        ("worker", c_uint64),
        ("version", c_uint64),
        ("reason", c_uint32),
        ("detail", c_uint32),
        ("missing", resources_t),
    ]


class demand_t(Structure):
    selector: int
    requests: int
    need: resources_t
    joining: int
    packed: int
    workers: int
    unservable: int
    _fields_ = [
        ("selector", c_uint32),
        ("requests", c_uint32),
        ("need", resources_t),
        ("joining", c_uint32),
        ("packed", c_uint32),
        ("workers", c_uint32),
        ("unservable", c_uint32),
    ]


class kind_t(Structure):
    cpu: int
    count: int
    devices: int
    milli: int
    gpu_types: int
    reserved: int
    _fields_ = [
        ("cpu", c_uint64),
        ("count", c_uint64),
        ("devices", c_uint32),
        ("milli", c_uint32),
        ("gpu_types", c_uint32),
        ("reserved", c_uint32),
    ]


class fragmentation_t(Structure):
    free_milli: int
    unusable_milli: int
    arrived: int
    _fields_ = [
        ("free_milli", c_uint64),
        ("unusable_milli", c_uint64),
        ("arrived", c_uint64),
    ]


class move_t(Structure):
    ticket: int
    to: int
    from_version: int
    to_version: int
    devices: int
    frees_milli: int
    _fields_ = [
        ("ticket", c_uint64),
        ("from", c_uint64),
        ("to", c_uint64),
        ("from_version", c_uint64),
        ("to_version", c_uint64),
        ("devices", c_uint64),
        ("frees_milli", c_uint64),
    ]


class step_t(Structure):
    kind: int
    reserved: int
    id: Any
    id_length: int
    ticket: int
    need: resources_t
    _fields_ = [
        ("kind", c_uint32),
        ("reserved", c_uint32),
        ("id", c_char_p),
        ("id_length", c_size_t),
        ("ticket", c_uint64),
        ("need", resources_t),
    ]


class step_done_t(Structure):
    status: int
    existing: int
    provisional: int
    dimension: int
    ticket: int
    worker: int
    version: int
    amount: resources_t
    _fields_ = [
        ("status", c_int32),
        ("existing", c_uint8),
        ("provisional", c_uint8),
        ("dimension", c_uint16),
        ("ticket", c_uint64),
        ("worker", c_uint64),
        ("version", c_uint64),
        ("amount", resources_t),
    ]


class group_t(Structure):
    size: int
    reserved: int
    worker: text_t
    steps: Any
    step_count: int
    done: Any
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("worker", text_t),
        ("steps", POINTER(step_t)),
        ("step_count", c_size_t),
        ("done", POINTER(step_done_t)),
    ]


class expired_t(Structure):
    ticket: int
    worker: int
    amount: resources_t
    id_length: int
    kind: int
    id: Any
    _fields_ = [
        ("ticket", c_uint64),
        ("worker", c_uint64),
        ("amount", resources_t),
        ("id_length", c_uint32),
        ("kind", c_uint32),
        ("id", c_char * 64),
    ]


class handed_t(Structure):
    worker: int
    moved: int
    _fields_ = [
        ("worker", c_uint64),
        ("moved", c_uint64),
    ]


class preemption_t(Structure):
    size: int
    reserved: int
    worker: int
    version: int
    victim_count: int
    leaving_count: int
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("worker", c_uint64),
        ("version", c_uint64),
        ("victim_count", c_uint64),
        ("leaving_count", c_uint64),
    ]


class victim_t(Structure):
    ticket: int
    amount: resources_t
    priority: int
    flags: int
    id_length: int
    reserved: int
    id: Any
    _fields_ = [
        ("ticket", c_uint64),
        ("amount", resources_t),
        ("priority", c_int32),
        ("flags", c_uint32),
        ("id_length", c_uint32),
        ("reserved", c_uint32),
        ("id", c_char * 64),
    ]


class stats_t(Structure):
    size: int
    reserved: int
    placed: int
    existing: int
    busy: int
    never: int
    released: int
    resized: int
    cas_retries: int
    version_conflicts: int
    gang_rollbacks: int
    probes: Any
    confirmed: int
    expired: int
    preempted: int
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("placed", c_uint64),
        ("existing", c_uint64),
        ("busy", c_uint64),
        ("never", c_uint64),
        ("released", c_uint64),
        ("resized", c_uint64),
        ("cas_retries", c_uint64),
        ("version_conflicts", c_uint64),
        ("gang_rollbacks", c_uint64),
        ("probes", c_uint64 * 24),
        ("confirmed", c_uint64),
        ("expired", c_uint64),
        ("preempted", c_uint64),
    ]


class audit_t(Structure):
    size: int
    ok: int
    workers: int
    reservations: int
    over_committed: int
    unsettled: int
    imbalances: int
    _fields_ = [
        ("size", c_uint32),
        ("ok", c_uint32),
        ("workers", c_uint64),
        ("reservations", c_uint64),
        ("over_committed", c_uint64),
        ("unsettled", c_uint64),
        ("imbalances", c_uint64),
    ]


class imbalance_t(Structure):
    worker: int
    held: resources_t
    missing: Any
    _fields_ = [
        ("worker", c_uint64),
        ("held", resources_t),
        ("missing", c_int64 * 3),
    ]


STRUCTURES: Tuple[Any, ...] = (
    reasons_t,
    error_t,
    config_t,
    text_t,
    label_in_t,
    constraints_t,
    resources_t,
    label_t,
    device_t,
    worker_spec_t,
    added_t,
    free_t,
    worker_info_t,
    lost_t,
    snapshot_t,
    device_state_t,
    granted_t,
    quota_t,
    usage_t,
    limit_t,
    terms_t,
    request_t,
    placement_t,
    released_t,
    resized_t,
    batch_t,
    batch_done_t,
    columns_t,
    supposition_t,
    mismatches_t,
    near_miss_t,
    explanation_t,
    explained_t,
    demand_t,
    kind_t,
    fragmentation_t,
    move_t,
    step_t,
    step_done_t,
    group_t,
    expired_t,
    handed_t,
    preemption_t,
    victim_t,
    stats_t,
    audit_t,
    imbalance_t,
)

FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "slotwise_status_text": (c_char_p, (c_int32,)),
    "slotwise_last_error": (c_int32, (POINTER(error_t),)),
    "slotwise_last_error_text": (c_int32, (c_char_p, c_size_t, c_void_p)),
    "slotwise_version": (c_char_p, ()),
    "slotwise_abi_version": (c_uint32, ()),
    "slotwise_config_default": (c_int32, (POINTER(config_t),)),
    "slotwise_engine_new": (c_int32, (POINTER(config_t), c_void_p)),
    "slotwise_engine_config": (c_int32, (c_uint64, POINTER(config_t))),
    "slotwise_engine_retain": (c_int32, (c_uint64,)),
    "slotwise_engine_close": (c_int32, (c_uint64,)),
    "slotwise_engine_free": (c_int32, (c_uint64,)),
    "slotwise_selector": (c_int32, (c_uint64, POINTER(constraints_t), c_void_p)),
    "slotwise_worker_add": (c_int32, (c_uint64, POINTER(worker_spec_t), c_void_p)),
    "slotwise_workers_add": (
        c_int32,
        (
            c_uint64,
            POINTER(worker_spec_t),
            c_size_t,
            c_size_t,
            POINTER(added_t),
            c_void_p,
        ),
    ),
    "slotwise_worker_update": (
        c_int32,
        (
            c_uint64,
            c_char_p,
            c_size_t,
            POINTER(worker_spec_t),
            c_uint32,
            POINTER(worker_info_t),
        ),
    ),
    "slotwise_worker_remove": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(lost_t), c_size_t, c_void_p)),
    "slotwise_lost_take": (c_int32, (c_uint64, POINTER(lost_t), c_size_t, c_void_p)),
    "slotwise_worker_ready": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(worker_info_t))),
    "slotwise_worker_ready_generation": (
        c_int32,
        (
            c_uint64,
            c_char_p,
            c_size_t,
            c_uint64,
            POINTER(worker_info_t),
        ),
    ),
    "slotwise_worker_unready": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(worker_info_t))),
    "slotwise_worker_cordon": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(worker_info_t))),
    "slotwise_worker_uncordon": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(worker_info_t))),
    "slotwise_worker_drain": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(worker_info_t))),
    "slotwise_worker_find": (c_int32, (c_uint64, c_char_p, c_size_t, c_void_p)),
    "slotwise_worker_info": (c_int32, (c_uint64, c_uint64, POINTER(worker_info_t))),
    "slotwise_worker_snapshot": (c_int32, (c_uint64, c_uint64, POINTER(snapshot_t))),
    "slotwise_worker_text": (c_int32, (c_uint64, c_uint64, c_uint32, c_uint32, c_char_p, c_size_t, c_void_p)),
    "slotwise_workers_list": (
        c_int32,
        (
            c_uint64,
            c_uint32,
            c_char_p,
            c_size_t,
            POINTER(worker_info_t),
            c_size_t,
            c_void_p,
        ),
    ),
    "slotwise_worker_devices": (c_int32, (c_uint64, c_uint64, POINTER(device_state_t), c_size_t, c_void_p)),
    "slotwise_granted": (c_int32, (c_uint64, c_uint64, POINTER(granted_t))),
    "slotwise_account": (c_int32, (c_uint64, c_char_p, c_size_t, c_void_p)),
    "slotwise_quota_set": (c_int32, (c_uint64, c_uint32, POINTER(quota_t))),
    "slotwise_usage": (c_int32, (c_uint64, c_uint32, POINTER(usage_t))),
    "slotwise_spread_group": (
        c_int32,
        (
            c_uint64,
            c_char_p,
            c_size_t,
            c_uint32,
            c_char_p,
            c_size_t,
            c_void_p,
        ),
    ),
    "slotwise_spread_count": (c_int32, (c_uint64, c_uint32, c_uint64, c_void_p)),
    "slotwise_reserve": (c_int32, (c_uint64, POINTER(request_t), POINTER(placement_t))),
    "slotwise_reserve_on": (
        c_int32,
        (
            c_uint64,
            c_uint64,
            POINTER(request_t),
            c_void_p,
            POINTER(placement_t),
        ),
    ),
    "slotwise_reservation": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(placement_t))),
    "slotwise_release": (c_int32, (c_uint64, c_uint64, POINTER(released_t))),
    "slotwise_release_id": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(released_t))),
    "slotwise_release_batch": (
        c_int32,
        (
            c_uint64,
            c_void_p,
            c_size_t,
            c_void_p,
            POINTER(released_t),
            c_void_p,
        ),
    ),
    "slotwise_resize": (c_int32, (c_uint64, c_uint64, POINTER(resources_t), POINTER(resized_t))),
    "slotwise_resize_id": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(resources_t), POINTER(resized_t))),
    "slotwise_reserve_batch": (c_int32, (c_uint64, POINTER(batch_t), POINTER(batch_done_t))),
    "slotwise_reserve_columns": (c_int32, (c_uint64, POINTER(columns_t), POINTER(batch_done_t))),
    "slotwise_dry_run": (c_int32, (c_uint64, POINTER(batch_t), c_void_p, c_size_t, POINTER(batch_done_t))),
    "slotwise_dry_run_with": (
        c_int32,
        (
            c_uint64,
            POINTER(batch_t),
            POINTER(supposition_t),
            POINTER(batch_done_t),
        ),
    ),
    "slotwise_replicas": (
        c_int32,
        (
            c_uint64,
            POINTER(request_t),
            c_uint32,
            POINTER(supposition_t),
            c_void_p,
        ),
    ),
    "slotwise_explain": (
        c_int32,
        (
            c_uint64,
            POINTER(request_t),
            POINTER(explanation_t),
            POINTER(explained_t),
            c_size_t,
            c_void_p,
        ),
    ),
    "slotwise_unmet_demand": (
        c_int32,
        (
            c_uint64,
            POINTER(worker_spec_t),
            c_uint64,
            POINTER(demand_t),
            c_size_t,
            c_void_p,
        ),
    ),
    "slotwise_forget_unmet": (c_int32, (c_uint64, c_char_p, c_size_t, c_void_p)),
    "slotwise_learned": (c_int32, (c_uint64, POINTER(kind_t), c_size_t, c_void_p, c_void_p)),
    "slotwise_fragmentation": (c_int32, (c_uint64, POINTER(fragmentation_t))),
    "slotwise_repack": (
        c_int32,
        (
            c_uint64,
            POINTER(move_t),
            c_size_t,
            c_void_p,
            POINTER(fragmentation_t),
            POINTER(fragmentation_t),
        ),
    ),
    "slotwise_groups_apply": (c_int32, (c_uint64, POINTER(group_t), c_size_t, c_size_t)),
    "slotwise_tick": (c_int32, (c_uint64, c_uint64, POINTER(expired_t), c_size_t, c_void_p)),
    "slotwise_ended_take": (c_int32, (c_uint64, POINTER(expired_t), c_size_t, c_void_p)),
    "slotwise_now": (c_int32, (c_uint64, c_void_p)),
    "slotwise_confirm": (c_int32, (c_uint64, c_uint64, POINTER(placement_t))),
    "slotwise_confirm_id": (c_int32, (c_uint64, c_char_p, c_size_t, POINTER(placement_t))),
    "slotwise_deadline": (c_int32, (c_uint64, c_uint64, c_void_p)),
    "slotwise_heartbeat": (c_int32, (c_uint64, c_char_p, c_size_t, c_uint64)),
    "slotwise_hand_off": (
        c_int32,
        (
            c_uint64,
            c_char_p,
            c_size_t,
            c_char_p,
            c_size_t,
            POINTER(handed_t),
            POINTER(lost_t),
            c_size_t,
            c_void_p,
        ),
    ),
    "slotwise_preemption_plan": (
        c_int32,
        (
            c_uint64,
            POINTER(request_t),
            POINTER(preemption_t),
            POINTER(victim_t),
            c_size_t,
            c_void_p,
        ),
    ),
    "slotwise_preempt": (
        c_int32,
        (
            c_uint64,
            POINTER(request_t),
            POINTER(preemption_t),
            POINTER(victim_t),
            c_size_t,
            POINTER(placement_t),
        ),
    ),
    "slotwise_stats": (c_int32, (c_uint64, POINTER(stats_t))),
    "slotwise_counts": (c_int32, (c_uint64, c_void_p, c_void_p)),
    "slotwise_audit": (c_int32, (c_uint64, POINTER(audit_t), POINTER(imbalance_t), c_size_t)),
}


def bind(library: CDLL) -> None:
    """Tells ctypes of every function what it takes and what it returns."""
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = list(arguments)
