/*
 * slotwise: an embedded, lock-free, in-process scheduling engine. The C interface, and its manual.
 *
 * Made from src/ffi by `SLOTWISE_WRITE=1 cargo test --test header`; do not edit.
 * Licence: Apache-2.0 OR MIT.
 *
 * A program makes an engine, registers its workers, compiles the constraints that it uses into
 * selectors, and then asks where each container, job or request should run:
 *
 *     slotwise_engine_t engine;
 *     slotwise_engine_new(NULL, &engine);
 *
 *     slotwise_worker_spec_t node = {.size = sizeof node, .id = SLOTWISE_TEXT("node-a"),
 *                                    .total = {.cpu = 16000, .memory = 65536}};
 *     slotwise_worker_add(engine, &node, NULL);
 *
 *     slotwise_request_t job = {.size = sizeof job, .id = "job-1", .id_length = 5, .cpu = 500,
 *                               .memory = 1024};
 *     slotwise_placement_t placed;
 *     int32_t status = slotwise_reserve(engine, &job, &placed);
 *     if (status == SLOTWISE_OK) slotwise_release(engine, placed.ticket, NULL);
 *     else fprintf(stderr, "%s\n", slotwise_status_text(status));
 *
 *     slotwise_engine_free(engine);
 *
 * STATUS. Functions that can fail return an int32_t: SLOTWISE_OK (0), or why nothing was done. A
 * number once given is never given to anything else; new ones may be added. slotwise_status_text
 * has a text for each; slotwise_last_error and slotwise_last_error_text tell, of the last failure
 * on the calling thread, what was given, what the limit is, which entry of an array is to blame,
 * and why workers were out of the question. Beside the statuses that a function names, each can
 * return SLOTWISE_PANIC, and each that takes an engine what a handle can be wrong of:
 * SLOTWISE_STALE_HANDLE and SLOTWISE_CLOSED.
 *
 * OUTPUTS come last, and are written on success alone, except where a function says otherwise. What
 * is called optional may be NULL. Arrays that are read must not overlap arrays that are written
 * (SLOTWISE_OVERLAP); arrays that are only read may, and entries may alternate: requests and
 * results side by side in structures of the host's own, at one stride. What ids, texts and terms
 * point to is not looked at for that.
 *
 * STRUCTURES that begin with `size` have it set to their sizeof by the caller, so that they can
 * grow. Reserved fields are 0. A structure that is all zero but for its size means the defaults.
 * They hold integers and pointers, no enumerations and no booleans: numbers that stand for nothing
 * are refused (SLOTWISE_UNKNOWN_VALUE). `const` means that nothing is written. Nothing that is
 * passed in is kept after the call.
 *
 * TEXTS AND IDS are bytes by pointer and length, any bytes: UTF-8 is not asked for, a final NUL not
 * needed. NULL with length 0 is none.
 *
 * UNITS. CPU is in millicores, memory in MiB, GPUs are whole; parts of a device are in thousandths of
 * it.
 *
 * HANDLES. An engine is a number, counted: slotwise_engine_new gives one reference,
 * slotwise_engine_retain another, slotwise_engine_free takes one back, in any order. One that was
 * freed is stale for ever and is refused, also when another engine was made since. A closed one
 * (slotwise_engine_close) is refused, too, and lives until its last reference is freed: let each
 * thread that calls keep one, and closing is safe at any time. Selectors, workers, tickets,
 * accounts and spread groups are numbers as well and need no freeing; a wrong one is refused.
 *
 * THREADS. Every function may be called from any thread at any time; calls that take no lock never
 * wait for another thread, not even for one that was stopped half-way. The library starts no
 * thread, reads no clock, and never calls back into the program: what happens to reservations on
 * its own account (slotwise_lost_take, slotwise_ended_take) is asked for.
 *
 * TERMS. A request may point to slotwise_terms_t: to be held for a time only, until it is confirmed
 * (slotwise_confirm); to be charged to an account with a quota; to be one of a group of which there may
 * be so many in one place; to have a rank, by which it displaces others or is displaced
 * (slotwise_preempt); to get a part of a GPU, or GPUs of which it is told which they are
 * (slotwise_granted), on workers that were registered with their devices. One that points to none pays
 * nothing for it.
 *
 * TIME is the host's: slotwise_tick tells what it is, in the host's own unit, and ends what is due.
 * Deadlines and leases are such times. A host that has none never calls it.
 *
 * FORK. A child gets a copy of every engine as it was; parent and child do not see each other's
 * changes. If another thread was in a call that takes a lock while its parent forked, such calls
 * wait for ever in the child: fork before there are threads, or call exec, or make a new engine
 * only if no thread was making or freeing one.
 *
 * SIGNALS. Nothing here may be called from a signal handler, nor left by longjmp.
 *
 * PANICS do not leave the library: SLOTWISE_PANIC tells of a fault in it. A library built with
 * `make install PANIC=abort` is smaller and ends the process instead.
 *
 * UNLOADING. The shared library stays loaded once it was, since threads keep what they need of it.
 */


#ifndef SLOTWISE_H
#define SLOTWISE_H

#include <stddef.h>
#include <stdint.h>
/* The version of this header; slotwise_version() is that of the library that runs. */
#define SLOTWISE_VERSION "0.1.0"
#define SLOTWISE_VERSION_MAJOR 0
#define SLOTWISE_VERSION_MINOR 1
#define SLOTWISE_VERSION_PATCH 0

/* A text given as a literal. */
#define SLOTWISE_TEXT(literal) {(literal), sizeof(literal) - 1}
/* A quota without a limit. */
#define SLOTWISE_UNLIMITED UINT64_MAX
/* The index of a worker's slot, from 0. */
#define SLOTWISE_WORKER_INDEX(worker) ((uint32_t)((worker) & UINT32_C(0xffffffff)))
/* Of a worker that slotwise_dry_run_with answers with: its place in `added` plus one, or 0 where it is
   a registered one. */
#define SLOTWISE_WORKER_ADDED(worker) ((worker) >> 32 ? UINT32_C(0) : (uint32_t)(worker))


/**
 * Changes with every change of this interface that an older caller could notice.
 */
#define SLOTWISE_ABI_VERSION 1

/**
 * Most engines that a process keeps at once.
 */
#define SLOTWISE_MAX_ENGINES 4096

/**
 * Most entries in an array that one call takes.
 */
#define SLOTWISE_MAX_COUNT 16777216

/**
 * Longest id of a request, worker or batch, in bytes.
 */
#define SLOTWISE_MAX_ID_LENGTH 64

/**
 * Longest pool, GPU type, tenant, machine, label key, label value, account or spread group, in
 * bytes.
 */
#define SLOTWISE_MAX_NAME_LENGTH 255

/**
 * Most spread groups that one request can be a member of.
 */
#define SLOTWISE_MAX_LIMITS 4

/**
 * Most devices of one worker, and most that one request can ask for.
 */
#define SLOTWISE_MAX_DEVICES 16

/**
 * Highest island of a device.
 */
#define SLOTWISE_MAX_ISLAND 254

/**
 * Most kinds of requests that a policy which learns tells apart.
 */
#define SLOTWISE_MAX_KINDS 512

/**
 * Most pools, GPU types, labels or values of one label in a constraint.
 */
#define SLOTWISE_MAX_LIST_LENGTH 64

/**
 * Done.
 */
#define SLOTWISE_OK 0

/**
 * Refused: it would fit on a registered worker if others left or a state changed. Wait, or make
 * room.
 */
#define SLOTWISE_BUSY 1

/**
 * Refused: no registered worker that it may use could ever hold it. Add a worker.
 */
#define SLOTWISE_NEVER 2

/**
 * A pointer is NULL that must not be.
 */
#define SLOTWISE_NULL_POINTER 10

/**
 * A pointer or a stride is not aligned to what it points to.
 */
#define SLOTWISE_MISALIGNED 11

/**
 * A structure's `size` is none that this library knows.
 */
#define SLOTWISE_STRUCT_SIZE 12

/**
 * A reserved field is not zero.
 */
#define SLOTWISE_RESERVED 13

/**
 * A number stands for nothing: a flag, policy, mode, field or kind, or fields that exclude each
 * other.
 */
#define SLOTWISE_UNKNOWN_VALUE 14

/**
 * A stride is smaller than what it steps over.
 */
#define SLOTWISE_STRIDE 15

/**
 * An array that is read overlaps one that is written, or two that are written overlap.
 */
#define SLOTWISE_OVERLAP 16

/**
 * More entries than a call takes (SLOTWISE_MAX_COUNT), or a length beyond any memory.
 */
#define SLOTWISE_COUNT 17

/**
 * Offsets of packed ids fall.
 */
#define SLOTWISE_OFFSETS 18

/**
 * An array for results is too small; the call says how many entries it needs.
 */
#define SLOTWISE_ARRAY_TOO_SMALL 19

/**
 * No such engine: the handle was freed, or never given out.
 */
#define SLOTWISE_STALE_HANDLE 20

/**
 * The engine is closed.
 */
#define SLOTWISE_CLOSED 21

/**
 * As many engines as a process keeps (SLOTWISE_MAX_ENGINES). Free some.
 */
#define SLOTWISE_TOO_MANY_ENGINES 22

/**
 * An id is too long (SLOTWISE_MAX_ID_LENGTH), or empty where it must not be.
 */
#define SLOTWISE_ID_LENGTH 30

/**
 * The request needs nothing in every dimension.
 */
#define SLOTWISE_EMPTY 31

/**
 * More than any worker can have.
 */
#define SLOTWISE_TOO_LARGE 32

/**
 * The id stands twice in one batch; the first stands.
 */
#define SLOTWISE_DUPLICATE_ID 33

/**
 * Another thread is at work on this very id, batch id or reservation. Ask again.
 */
#define SLOTWISE_IN_FLIGHT 34

/**
 * The selector is not one of this engine's.
 */
#define SLOTWISE_UNKNOWN_SELECTOR 35

/**
 * No such worker is registered, or not any more.
 */
#define SLOTWISE_UNKNOWN_WORKER 36

/**
 * The worker is not at the version that the caller expected; slotwise_last_error says at which it
 * is and what is free there.
 */
#define SLOTWISE_VERSION_CONFLICT 37

/**
 * As many reservations as the engine keeps. Raise max_reservations.
 */
#define SLOTWISE_LEDGER_FULL 38

/**
 * Other changes came first too many times. Ask again.
 */
#define SLOTWISE_CONTENDED 39

/**
 * Another entry of the same all-or-nothing batch or group could not be served.
 */
#define SLOTWISE_PEER 40

/**
 * Nothing is held under this name: released already, lost with its worker, or never reserved.
 */
#define SLOTWISE_NOT_HELD 41

/**
 * It is held on another worker than the one named.
 */
#define SLOTWISE_OTHER_WORKER 42

/**
 * What a reservation should grow by is not free there; slotwise_last_error says what is missing.
 */
#define SLOTWISE_SHORT 43

/**
 * The worker's state takes nothing more.
 */
#define SLOTWISE_STATE 44

/**
 * The worker was removed during the call, and the reservation went with it.
 */
#define SLOTWISE_LOST 45

/**
 * The batch id is that of a batch with another number of requests.
 */
#define SLOTWISE_OTHER_BATCH 46

/**
 * The account is charged with as much as its quota allows, or nearly; slotwise_last_error says
 * with how much, and in which dimension.
 */
#define SLOTWISE_QUOTA_EXCEEDED 47

/**
 * The account is not one of this engine's.
 */
#define SLOTWISE_UNKNOWN_ACCOUNT 48

/**
 * The spread group is not one of this engine's.
 */
#define SLOTWISE_UNKNOWN_GROUP 49

/**
 * More limits than a request can have (SLOTWISE_MAX_LIMITS).
 */
#define SLOTWISE_TOO_MANY_LIMITS 50

/**
 * It would end before it begins: the host's clock has come to its deadline, or the end of its
 * lease.
 */
#define SLOTWISE_DEADLINE_PASSED 51

/**
 * It is promised what others hold who have not left yet: release them once they have stopped.
 */
#define SLOTWISE_WAITING 52

/**
 * The time is before that of the last tick.
 */
#define SLOTWISE_CLOCK_WENT_BACK 53

/**
 * A name is too long (SLOTWISE_MAX_NAME_LENGTH), or empty where it must not be.
 */
#define SLOTWISE_NAME_LENGTH 60

/**
 * More is set aside than the worker has.
 */
#define SLOTWISE_SET_ASIDE 61

/**
 * A GPU type is given but no GPU.
 */
#define SLOTWISE_GPU_TYPE 62

/**
 * A worker of this id is registered. Update it, or remove it first.
 */
#define SLOTWISE_DUPLICATE_WORKER 63

/**
 * As many workers as the engine keeps. Raise max_workers.
 */
#define SLOTWISE_TABLE_FULL 64

/**
 * A list of a constraint is too long (SLOTWISE_MAX_LIST_LENGTH), or a label has no value.
 */
#define SLOTWISE_LIST_LENGTH 65

/**
 * As many selectors as the engine keeps. Reuse handles, or raise max_selectors.
 */
#define SLOTWISE_TOO_MANY_SELECTORS 66

/**
 * A limit of the configuration is out of its range.
 */
#define SLOTWISE_CONFIG 67

/**
 * The processor lacks an instruction that the engine needs.
 */
#define SLOTWISE_PROCESSOR 68

/**
 * The signal or update is of a generation of the rollout that is over.
 */
#define SLOTWISE_OLD_GENERATION 69

/**
 * Only a pending worker can be handed off.
 */
#define SLOTWISE_NOT_PENDING 70

/**
 * A worker cannot be handed off to itself.
 */
#define SLOTWISE_HAND_OFF_TO_ITSELF 71

/**
 * As many accounts or spread groups as the engine keeps. Raise max_accounts or max_groups.
 */
#define SLOTWISE_TOO_MANY_NAMES 72

/**
 * More than 1,000 thousandths of a device are asked for.
 */
#define SLOTWISE_DEVICE_OVER_WHOLE 80

/**
 * Devices are asked for, but nothing of them: device_milli is 0.
 */
#define SLOTWISE_DEVICE_EMPTY 81

/**
 * A part of each of several devices is asked for: of several, each must be whole.
 */
#define SLOTWISE_DEVICE_PARTS 82

/**
 * More devices than a worker can have (SLOTWISE_MAX_DEVICES).
 */
#define SLOTWISE_TOO_MANY_DEVICES 83

/**
 * GPUs by number beside devices: a request asks for one of the two; a worker with devices has as
 * many GPUs as devices, none of them set aside.
 */
#define SLOTWISE_GPUS_BESIDE_DEVICES 84

/**
 * Two devices of the worker have the same id; slotwise_last_error says which is the second.
 */
#define SLOTWISE_DUPLICATE_DEVICE 85

/**
 * A device's island is too high (SLOTWISE_MAX_ISLAND).
 */
#define SLOTWISE_ISLAND_TOO_HIGH 86

/**
 * The worker's GPUs are devices: a reservation can hold no number of GPUs there, and its devices stay
 * as they are.
 */
#define SLOTWISE_DEVICES_STAY 87

/**
 * No request has come yet to a policy that learns, or other threads have its planners in hand.
 */
#define SLOTWISE_NOTHING_LEARNED 88

/**
 * A fault in slotwise itself. Nothing was oversold; please report it with what it wrote to the
 * standard error stream.
 */
#define SLOTWISE_PANIC 99

/**
 * No dimension.
 */
#define SLOTWISE_NO_DIMENSION 0

/**
 * CPU, in millicores.
 */
#define SLOTWISE_CPU 1

/**
 * Memory, in MiB.
 */
#define SLOTWISE_MEMORY 2

/**
 * Whole GPUs.
 */
#define SLOTWISE_GPUS 3

/**
 * Nobody has looked: the engine does not count reasons, or the request names its worker.
 */
#define SLOTWISE_OUTLOOK_UNKNOWN 0

/**
 * A pending worker that the request may use has room for it now: wait until it is ready, or hold
 * the capacity there at once with SLOTWISE_AHEAD.
 */
#define SLOTWISE_OUTLOOK_WAIT 1

/**
 * No worker that is on its way will take it: to start one, make room or change the request is all
 * that helps.
 */
#define SLOTWISE_OUTLOOK_START 2

/**
 * The engine's own policy, where a request names none. In a configuration: affinity.
 */
#define SLOTWISE_POLICY_DEFAULT 0

/**
 * Start at the place that the affinity key hashes to and go round until one fits.
 */
#define SLOTWISE_POLICY_AFFINITY 1

/**
 * The fitting worker with the lowest index.
 */
#define SLOTWISE_POLICY_FIRST_FIT 2

/**
 * The fitting worker that is left with the least free share (best fit).
 */
#define SLOTWISE_POLICY_TIGHTEST_FIT 3

/**
 * The fitting worker that is left with the largest free share (worst fit).
 */
#define SLOTWISE_POLICY_SPREAD 4

/**
 * Two workers by two hashes; the emptier one wins.
 */
#define SLOTWISE_POLICY_POWER_OF_TWO 5

/**
 * The fitting worker whose free amounts, weighed with what the request asks of each, are least.
 */
#define SLOTWISE_POLICY_DOT_PRODUCT 6

/**
 * The fitting worker where the least free GPU becomes useless to the requests that are typical so far
 * (fragmentation gradient descent).
 */
#define SLOTWISE_POLICY_FGD 7

/**
 * The fitting worker where the least is destroyed of what the mix of requests so far would still place.
 */
#define SLOTWISE_POLICY_ADAPTIVE 8

/**
 * Let requests without GPUs onto GPU workers.
 */
#define SLOTWISE_NO_GPU_SEPARATION 1

/**
 * Do not count reasons of refusals: a refusal then costs about as much as a placement, also among
 * a million workers.
 */
#define SLOTWISE_NO_REASONS 2

/**
 * No constraint: every open, shared, not preemptable worker.
 */
#define SLOTWISE_SELECTOR_ANY 0

/**
 * Preemptable workers too.
 */
#define SLOTWISE_ACCEPT_PREEMPTABLE 1

/**
 * Serves only requests that name its pool.
 */
#define SLOTWISE_REQUIRES_SELECTOR 1

/**
 * Of a worker: may be taken away at short notice, and serves only requests that accept that. Of
 * terms: the reservation may be displaced by a request of higher priority (slotwise_preempt).
 */
#define SLOTWISE_PREEMPTABLE 2

/**
 * Registered while still being started: holds only reservations made ahead until it is ready.
 */
#define SLOTWISE_PENDING 4

/**
 * Registered, on its way: takes only reservations made ahead.
 */
#define SLOTWISE_STATE_PENDING 1

/**
 * Takes requests.
 */
#define SLOTWISE_STATE_READY 2

/**
 * Takes nothing new, by the operator's intent.
 */
#define SLOTWISE_STATE_CORDONED 3

/**
 * Takes nothing new and is being emptied.
 */
#define SLOTWISE_STATE_DRAINING 4

/**
 * slotwise_worker_update changes the total.
 */
#define SLOTWISE_SET_TOTAL 1

/**
 * It changes what is set aside.
 */
#define SLOTWISE_SET_SET_ASIDE 2

/**
 * It changes the GPU type.
 */
#define SLOTWISE_SET_GPU_TYPE 4

/**
 * It changes the pool.
 */
#define SLOTWISE_SET_POOL 8

/**
 * It changes the priority.
 */
#define SLOTWISE_SET_PRIORITY 16

/**
 * It changes the tier.
 */
#define SLOTWISE_SET_TIER 32

/**
 * It puts new labels in place of all there are.
 */
#define SLOTWISE_SET_LABELS 64

/**
 * It changes the tenant.
 */
#define SLOTWISE_SET_TENANT 128

/**
 * It changes the machine.
 */
#define SLOTWISE_SET_MACHINE 256

/**
 * It changes whether SLOTWISE_REQUIRES_SELECTOR is set.
 */
#define SLOTWISE_SET_REQUIRES_SELECTOR 512

/**
 * It changes whether SLOTWISE_PREEMPTABLE is set.
 */
#define SLOTWISE_SET_PREEMPTABLE 1024

/**
 * It changes the generation of the rollout.
 */
#define SLOTWISE_SET_GENERATION 2048

/**
 * slotwise_workers_list lists all workers.
 */
#define SLOTWISE_LIST_ALL 0

/**
 * It lists those of a pool; of none, with the empty name.
 */
#define SLOTWISE_LIST_POOL 1

/**
 * It lists those on a machine.
 */
#define SLOTWISE_LIST_MACHINE 2

/**
 * slotwise_worker_text gives the worker's id.
 */
#define SLOTWISE_TEXT_ID 0

/**
 * It gives its pool; empty for none.
 */
#define SLOTWISE_TEXT_POOL 1

/**
 * It gives the model of its GPUs; empty for none.
 */
#define SLOTWISE_TEXT_GPU_TYPE 2

/**
 * It gives the tenant that it serves alone; empty for none.
 */
#define SLOTWISE_TEXT_TENANT 3

/**
 * It gives the machine that it runs on; empty for none.
 */
#define SLOTWISE_TEXT_MACHINE 4

/**
 * It gives the key of a label, by its place among the worker's labels, which are sorted by key.
 */
#define SLOTWISE_TEXT_LABEL_KEY 5

/**
 * It gives the value of a label, by the same place.
 */
#define SLOTWISE_TEXT_LABEL_VALUE 6

/**
 * Several devices may be anywhere on their worker.
 */
#define SLOTWISE_ISLAND_ANY 0

/**
 * They are on as few islands as the worker allows.
 */
#define SLOTWISE_ISLAND_PREFER 1

/**
 * They are on one island, or not on this worker.
 */
#define SLOTWISE_ISLAND_INSIST 2

/**
 * Of a spread group, one place is a worker.
 */
#define SLOTWISE_SCOPE_WORKER 0

/**
 * It is a machine; a worker that names none is one of its own.
 */
#define SLOTWISE_SCOPE_MACHINE 1

/**
 * It is all workers with the same value of a label, as a zone. Workers without the label are out
 * of the question.
 */
#define SLOTWISE_SCOPE_LABEL 2

/**
 * `hold_until` is set: the reservation is provisional.
 */
#define SLOTWISE_HOLD 1

/**
 * `account` is set: the reservation is charged to it.
 */
#define SLOTWISE_ACCOUNT 4

/**
 * May also be held on pending workers: a reservation made ahead.
 */
#define SLOTWISE_AHEAD 1

/**
 * `hash` says where the probe starts, in place of `key` and of the id.
 */
#define SLOTWISE_HASH 2

/**
 * Each request for itself; the placements are those that the same requests one by one would get.
 */
#define SLOTWISE_INDEPENDENT 0

/**
 * All or none, across workers: a gang. One that does not fit leaves every worker as it was.
 */
#define SLOTWISE_ALL_OR_NOTHING 1

/**
 * It takes the request.
 */
#define SLOTWISE_REASON_FITS 0

/**
 * It does not match; `detail` is the rule, SLOTWISE_MISMATCH_....
 */
#define SLOTWISE_REASON_MISMATCH 1

/**
 * It takes nothing of the kind in its state; `detail` is the state, SLOTWISE_STATE_....
 */
#define SLOTWISE_REASON_STATE 2

/**
 * Not enough is free; `missing` is how much more would have to be. Where devices are asked for, its
 * `gpus` are how many more of them would have to have room for what is asked of each; where they are
 * to be on one island, on the one where the fewest are missing.
 */
#define SLOTWISE_REASON_SHORT 3

/**
 * It could not hold the request when empty; `missing` is by how much its capacity is too small; of
 * devices, how many more it would have to have.
 */
#define SLOTWISE_REASON_TOO_SMALL 4

/**
 * As many of a group of the request's are in its place as may be, or it is in none.
 */
#define SLOTWISE_REASON_SPREAD 5

/**
 * The request names another machine.
 */
#define SLOTWISE_MISMATCH_MACHINE 1

/**
 * The worker serves another tenant alone.
 */
#define SLOTWISE_MISMATCH_TENANT 2

/**
 * It is in another pool, or serves only requests that name its own.
 */
#define SLOTWISE_MISMATCH_POOL 3

/**
 * A label is missing or has another value.
 */
#define SLOTWISE_MISMATCH_LABELS 4

/**
 * GPUs on one side only.
 */
#define SLOTWISE_MISMATCH_GPU_SEPARATION 5

/**
 * Its GPUs are of another type.
 */
#define SLOTWISE_MISMATCH_GPU_TYPE 6

/**
 * It is preemptable and the request does not accept that.
 */
#define SLOTWISE_MISMATCH_PREEMPTABLE 7

/**
 * Its GPUs are told apart as devices, and the request asks for a number of them; or the other way
 * round. Looked at before SLOTWISE_MISMATCH_GPU_TYPE.
 */
#define SLOTWISE_MISMATCH_DEVICES 8

/**
 * Hold `need` under `id` (empty: anonymous).
 */
#define SLOTWISE_STEP_RESERVE 1

/**
 * Give back what `id` holds on this worker.
 */
#define SLOTWISE_STEP_RELEASE_ID 2

/**
 * Give back what `ticket` holds on this worker.
 */
#define SLOTWISE_STEP_RELEASE 3

/**
 * A reservation that was not confirmed in time.
 */
#define SLOTWISE_EXPIRED 1

/**
 * A reservation that ended with its worker, whose lease was over.
 */
#define SLOTWISE_LOST_WITH_WORKER 2

/**
 * A worker whose lease was over; what was held there comes right after it.
 */
#define SLOTWISE_WORKER_EXPIRED 3

/**
 * It is a victim of another claim and about to leave already.
 */
#define SLOTWISE_LEAVING 1

/**
 * How many workers were out of the question for which reason; each counts once, under the first
 * reason in this order. All zero where the engine does not count reasons.
 */
typedef struct slotwise_reasons_t {
    /**
     * Registered workers that the request's selector does not match.
     */
    uint32_t not_matching;
    /**
     * Matching, but not in a state that takes the request.
     */
    uint32_t not_ready;
    /**
     * Ready, but short of CPU.
     */
    uint32_t cpu;
    /**
     * Ready with enough CPU, but short of memory.
     */
    uint32_t memory;
    /**
     * Ready with enough CPU and memory, but short of GPUs, or of devices.
     */
    uint32_t gpus;
    /**
     * Ready with enough of everything, but in a place where as many of the request's group are as
     * may be, or that is none for the group.
     */
    uint32_t spread;
} slotwise_reasons_t;

/**
 * What is known of a failure. What a status has nothing to say of is 0.
 */
typedef struct slotwise_error_t {
    /**
     * sizeof(slotwise_error_t), set by the caller.
     */
    uint32_t size;
    /**
     * The status that the call returned; SLOTWISE_OK where none has failed yet.
     */
    int32_t status;
    /**
     * The dimension that it is about: what is blocking, too large, or short.
     */
    uint32_t dimension;
    /**
     * SLOTWISE_VERSION_CONFLICT, SLOTWISE_STATE, SLOTWISE_NOT_PENDING: the worker's state.
     */
    uint32_t state;
    /**
     * What was given, where it is out of a range; a length in bytes, or a number of entries.
     * SLOTWISE_QUOTA_EXCEEDED: what is in use. SLOTWISE_WAITING: how many have not left.
     */
    uint64_t given;
    /**
     * The limit that was passed or reached. SLOTWISE_DEADLINE_PASSED, SLOTWISE_CLOCK_WENT_BACK:
     * the time that the last tick told. SLOTWISE_OLD_GENERATION: the worker's generation.
     */
    uint64_t limit;
    /**
     * The place in an array of the entry that is to blame.
     */
    uint64_t index;
    /**
     * SLOTWISE_VERSION_CONFLICT: the worker's version now.
     */
    uint64_t version;
    /**
     * SLOTWISE_VERSION_CONFLICT: what is free there now. SLOTWISE_SHORT: what is missing.
     */
    uint64_t cpu;
    /**
     * The same of memory.
     */
    uint64_t memory;
    /**
     * The same of GPUs.
     */
    uint64_t gpus;
    /**
     * SLOTWISE_BUSY, SLOTWISE_NEVER: why workers were out of the question.
     */
    struct slotwise_reasons_t reasons;
    /**
     * SLOTWISE_BUSY, SLOTWISE_NEVER: whether something is on its way that will take it, as
     * SLOTWISE_OUTLOOK_....
     */
    uint32_t outlook;
    /**
     * 0.
     */
    uint32_t reserved;
} slotwise_error_t;

/**
 * Limits and rules of an engine, fixed when it is made. slotwise_config_default fills one in.
 * Memory is reserved as address space and touched as it is used.
 */
typedef struct slotwise_config_t {
    /**
     * sizeof(slotwise_config_t).
     */
    uint32_t size;
    /**
     * SLOTWISE_NO_GPU_SEPARATION, SLOTWISE_NO_REASONS, or both. Default 0.
     */
    uint32_t flags;
    /**
     * Most workers registered at once: 1 to 16,777,216. Default 1,048,576.
     */
    uint64_t max_workers;
    /**
     * Most reservations alive at once: 1 to 134,217,728. Default 1,048,576.
     */
    uint64_t max_reservations;
    /**
     * Most compiled selectors: 1 to 1,048,576. Default 65,536.
     */
    uint64_t max_selectors;
    /**
     * How many of the last batch ids are remembered for replay: 1 to 1,048,576. Default 4,096.
     */
    uint64_t max_batches;
    /**
     * SLOTWISE_POLICY_..., used where a request names none.
     */
    uint32_t policy;
    /**
     * How many threads may place at once by a policy that learns, fgd or adaptive: 1 to 64. Each such
     * planner knows the requests that came to it, and has up to 20 bytes for each worker and each of up
     * to 512 kinds of requests; none costs anything before it is used. A thread that finds all of them
     * in others' hands places by tightest fit. Default 4.
     */
    uint32_t max_planners;
    /**
     * Most accounts: 1 to 16,777,216. Default 65,536.
     */
    uint64_t max_accounts;
    /**
     * Most spread groups: 1 to 16,777,216. Default 65,536.
     */
    uint64_t max_groups;
    /**
     * How many refused requests are kept for slotwise_unmet_demand: up to 1,048,576, and 0 for none;
     * above 8, rounded down to a multiple of 8. The room for them, 128 bytes each, is taken when the
     * first request is refused. Default 4,096.
     */
    uint64_t max_unmet;
    /**
     * Where the random numbers of the adaptive policy start. Default 1.
     */
    uint64_t seed;
} slotwise_config_t;

/**
 * A counted reference to an engine. 0 is never one.
 */
typedef uint64_t slotwise_engine_t;

/**
 * A text by pointer and length. NULL data is none, which is not the same as an empty one.
 */
typedef struct slotwise_text_t {
    /**
     * Its bytes: any, not only UTF-8, and no final NUL.
     */
    const char *data;
    /**
     * How many.
     */
    size_t length;
} slotwise_text_t;

/**
 * A label that a worker must have, with one of these values.
 */
typedef struct slotwise_label_in_t {
    /**
     * The label's key.
     */
    struct slotwise_text_t key;
    /**
     * The values that will do.
     */
    const struct slotwise_text_t *values;
    /**
     * How many: 1 to SLOTWISE_MAX_LIST_LENGTH.
     */
    size_t value_count;
} slotwise_label_in_t;

/**
 * Which workers a request may use, and in what order. All zero but the size: any open, shared, not
 * preemptable worker.
 */
typedef struct slotwise_constraints_t {
    /**
     * sizeof(slotwise_constraints_t).
     */
    uint32_t size;
    /**
     * SLOTWISE_ACCEPT_PREEMPTABLE, or 0.
     */
    uint32_t flags;
    /**
     * Only workers on this machine; the pool rule does not apply. NULL data: on any.
     */
    struct slotwise_text_t machine;
    /**
     * Workers of this tenant beside the shared ones. NULL data: only shared ones.
     */
    struct slotwise_text_t tenant;
    /**
     * Only workers of these pools: all of an earlier one come before any of a later one within a
     * tier. At most SLOTWISE_MAX_LIST_LENGTH; one that stands twice counts where it stands first.
     */
    const struct slotwise_text_t *pools;
    /**
     * How many; 0: no pool is named.
     */
    size_t pool_count;
    /**
     * Only workers with all of these labels. A key that stands twice keeps its last values.
     */
    const struct slotwise_label_in_t *labels;
    /**
     * How many.
     */
    size_t label_count;
    /**
     * GPUs of these types, the preferred ones first. Naming a type makes a request for 0 GPUs one
     * for 1.
     */
    const struct slotwise_text_t *gpu_types;
    /**
     * How many; 0: any type.
     */
    size_t gpu_type_count;
    /**
     * 0.
     */
    uint64_t reserved;
} slotwise_constraints_t;

/**
 * Amounts in every dimension.
 */
typedef struct slotwise_resources_t {
    /**
     * CPU in millicores; 1,000 is one core. At most 8,388,607.
     */
    uint64_t cpu;
    /**
     * Memory in MiB. At most 134,217,727.
     */
    uint64_t memory;
    /**
     * Whole GPUs. At most 255.
     */
    uint64_t gpus;
} slotwise_resources_t;

/**
 * A label of a worker.
 */
typedef struct slotwise_label_t {
    /**
     * Its key; not empty.
     */
    struct slotwise_text_t key;
    /**
     * Its value.
     */
    struct slotwise_text_t value;
} slotwise_label_t;

/**
 * A GPU that can be shared, as the host registers it with its worker.
 */
typedef struct slotwise_device_t {
    /**
     * The host's name of it, one of a kind among the worker's: 1 to SLOTWISE_MAX_NAME_LENGTH bytes.
     */
    struct slotwise_text_t id;
    /**
     * Its memory in MiB. 0 where the host does not count it: then nothing but 0 can be asked for.
     */
    uint64_t memory;
    /**
     * Devices with the same number are near to one another: on one NUMA node, or joined by NVLink.
     * 0 to SLOTWISE_MAX_ISLAND.
     */
    uint32_t island;
    /**
     * 0.
     */
    uint32_t reserved;
} slotwise_device_t;

/**
 * A worker as the host registers it. All zero but the size, id and total: a ready, open worker
 * without pool and labels.
 */
typedef struct slotwise_worker_spec_t {
    /**
     * sizeof(slotwise_worker_spec_t).
     */
    uint32_t size;
    /**
     * SLOTWISE_REQUIRES_SELECTOR, SLOTWISE_PREEMPTABLE, SLOTWISE_PENDING, or several.
     */
    uint32_t flags;
    /**
     * The host's name of it: 1 to SLOTWISE_MAX_ID_LENGTH bytes, unique among registered workers.
     */
    struct slotwise_text_t id;
    /**
     * What it has in all.
     */
    struct slotwise_resources_t total;
    /**
     * Part of that which the host keeps for itself (rented out, kept for the system).
     */
    struct slotwise_resources_t set_aside;
    /**
     * Higher is tried first within a tier.
     */
    int32_t priority;
    /**
     * The host's own order, before priority: 0 to 255; every worker of tier 0 comes before any of
     * tier 1.
     */
    uint32_t tier;
    /**
     * The pool it belongs to. NULL data or empty: none.
     */
    struct slotwise_text_t pool;
    /**
     * The model of its GPUs. NULL data or empty: none.
     */
    struct slotwise_text_t gpu_type;
    /**
     * Serves only this tenant. NULL data: shared, serves all.
     */
    struct slotwise_text_t tenant;
    /**
     * The machine it runs on, when a machine carries several workers. NULL data: none.
     */
    struct slotwise_text_t machine;
    /**
     * Its labels. A key that stands twice keeps its last value.
     */
    const struct slotwise_label_t *labels;
    /**
     * How many.
     */
    size_t label_count;
    /**
     * 0.
     */
    uint64_t reserved;
    /**
     * The generation of the rollout that it belongs to. In an update: a later one; the worker is
     * pending then until slotwise_worker_ready_generation of that generation.
     */
    uint64_t generation;
    /**
     * Ends with the first slotwise_tick at or after this time of the host's clock, unless
     * slotwise_heartbeat puts that off; for a worker on its way, until when it is waited for. 0:
     * it stays until it is removed. Not looked at in an update.
     */
    uint64_t lease;
    /**
     * Its GPUs one by one, so that requests can ask for parts of one, or are told which they got
     * (slotwise_terms_t). `total.gpus` is 0 or as many, and none is set aside. Requests for a number
     * of GPUs are not placed on such a worker; requests for devices are placed on no other. They stay
     * as they are while it is registered: an update looks at their number alone, for `total`.
     */
    const struct slotwise_device_t *devices;
    /**
     * How many: at most SLOTWISE_MAX_DEVICES.
     */
    size_t device_count;
} slotwise_worker_spec_t;

/**
 * The engine's name for one registration of a worker: the index of its slot (from 0) in the lower
 * 32 bits, which registration of that slot, from 1, in the upper ones. Never 0. Refused once the
 * worker has been removed, also when its id was registered again.
 */
typedef uint64_t slotwise_worker_t;

/**
 * What became of one worker of slotwise_workers_add.
 */
typedef struct slotwise_added_t {
    /**
     * The engine's name of it; 0 where it was not registered.
     */
    slotwise_worker_t worker;
    /**
     * SLOTWISE_OK, or why not.
     */
    int32_t status;
    /**
     * 0.
     */
    uint32_t reserved;
} slotwise_added_t;

/**
 * What is free, signed: less than nothing where a worker's total was lowered under what is held.
 */
typedef struct slotwise_free_t {
    /**
     * CPU in millicores.
     */
    int64_t cpu;
    /**
     * Memory in MiB.
     */
    int64_t memory;
    /**
     * Whole GPUs.
     */
    int64_t gpus;
} slotwise_free_t;

/**
 * A worker as it is at one version.
 */
typedef struct slotwise_worker_info_t {
    /**
     * sizeof(slotwise_worker_info_t), set by the caller.
     */
    uint32_t size;
    /**
     * SLOTWISE_STATE_....
     */
    uint32_t state;
    /**
     * The engine's name of it.
     */
    slotwise_worker_t worker;
    /**
     * Version of its slot when it was read.
     */
    uint64_t version;
    /**
     * What it has in all.
     */
    struct slotwise_resources_t total;
    /**
     * What the host keeps for itself.
     */
    struct slotwise_resources_t set_aside;
    /**
     * What reservations hold.
     */
    struct slotwise_resources_t held;
    /**
     * total - set_aside - held. Where its GPUs are devices, those that are free as a whole.
     */
    struct slotwise_free_t free;
    /**
     * Its priority.
     */
    int32_t priority;
    /**
     * Its tier.
     */
    uint32_t tier;
    /**
     * SLOTWISE_REQUIRES_SELECTOR, SLOTWISE_PREEMPTABLE, or both.
     */
    uint32_t flags;
    /**
     * How many labels it has.
     */
    uint32_t label_count;
    /**
     * The generation of the rollout that it belongs to.
     */
    uint64_t generation;
    /**
     * When it ends unless it is heard of before; 0: it stays until it is removed.
     */
    uint64_t lease;
} slotwise_worker_info_t;

/**
 * A reservation that ended because its worker was removed.
 */
typedef struct slotwise_lost_t {
    /**
     * Its ticket, which is not valid any more.
     */
    uint64_t ticket;
    /**
     * The worker that it was on.
     */
    slotwise_worker_t worker;
    /**
     * What it held.
     */
    struct slotwise_resources_t amount;
    /**
     * Length of its id in bytes; 0 for an anonymous one.
     */
    uint32_t id_length;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Its id.
     */
    char id[64];
} slotwise_lost_t;

/**
 * A worker's slot at one instant.
 */
typedef struct slotwise_snapshot_t {
    /**
     * The slot's version.
     */
    uint64_t version;
    /**
     * What is free.
     */
    struct slotwise_free_t free;
    /**
     * SLOTWISE_STATE_....
     */
    uint32_t state;
    /**
     * 0.
     */
    uint32_t reserved;
} slotwise_snapshot_t;

/**
 * What a device has free.
 */
typedef struct slotwise_device_state_t {
    /**
     * Thousandths of it that are free; 1,000: it is free as a whole.
     */
    uint32_t free_milli;
    /**
     * Its island.
     */
    uint32_t island;
    /**
     * Memory that is free, in MiB.
     */
    uint64_t free_memory;
    /**
     * Its memory in MiB.
     */
    uint64_t memory;
} slotwise_device_state_t;

/**
 * What a reservation holds of its worker's devices.
 */
typedef struct slotwise_granted_t {
    /**
     * Bit i: the device at place i of those that the worker was registered with. 0: none.
     */
    uint64_t devices;
    /**
     * Thousandths of each.
     */
    uint32_t milli;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Memory of each, in MiB.
     */
    uint64_t memory;
} slotwise_granted_t;

/**
 * How much one account may be charged with in all. SLOTWISE_UNLIMITED: as much as there is.
 */
typedef struct slotwise_quota_t {
    /**
     * CPU in millicores.
     */
    uint64_t cpu;
    /**
     * Memory in MiB.
     */
    uint64_t memory;
    /**
     * Whole GPUs.
     */
    uint64_t gpus;
} slotwise_quota_t;

/**
 * What an account is charged with, and what it may be.
 */
typedef struct slotwise_usage_t {
    /**
     * sizeof(slotwise_usage_t), set by the caller.
     */
    uint32_t size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * What its reservations hold in all, and what is being tried this moment.
     */
    struct slotwise_resources_t used;
    /**
     * Its limits.
     */
    struct slotwise_quota_t quota;
} slotwise_usage_t;

/**
 * How many of a group may be in one place.
 */
typedef struct slotwise_limit_t {
    /**
     * The group that the request is a member of, from slotwise_spread_group.
     */
    uint32_t group;
    /**
     * So many, this one included, at least 1; 1 is anti-affinity.
     */
    uint32_t at_most;
} slotwise_limit_t;

/**
 * What a request comes under beside what it needs and where it may be. All zero but the size: none
 * of it. Requests point to it, many to one if they like; nothing is written to it, and nothing of
 * it is kept.
 */
typedef struct slotwise_terms_t {
    /**
     * sizeof(slotwise_terms_t).
     */
    uint32_t size;
    /**
     * SLOTWISE_HOLD, SLOTWISE_PREEMPTABLE (a request of higher priority may displace it),
     * SLOTWISE_ACCOUNT, or several.
     */
    uint32_t flags;
    /**
     * With SLOTWISE_HOLD: the reservation is provisional. Unless slotwise_confirm comes before,
     * the first slotwise_tick at or after this time of the host's clock ends it, and its capacity
     * returns. Otherwise 0.
     */
    uint64_t hold_until;
    /**
     * Its rank in a preemption: higher may displace lower.
     */
    int32_t priority;
    /**
     * With SLOTWISE_ACCOUNT: whose quota it is charged to, from slotwise_account. Otherwise 0.
     */
    uint32_t account;
    /**
     * Groups that it is a member of. Where it cannot be counted without going over a limit, it is
     * not placed. NULL where there are none.
     */
    const struct slotwise_limit_t *limits;
    /**
     * How many: at most SLOTWISE_MAX_LIMITS.
     */
    size_t limit_count;
    /**
     * 0.
     */
    uint64_t reserved;
    /**
     * Asks for so many devices, all of them different, on one worker that was registered with
     * devices: 1 to SLOTWISE_MAX_DEVICES. The request's `gpus` is 0 then, and slotwise_granted says
     * which they are. Its account is charged with a GPU for each, also for a part. 0: asks for
     * none, and what follows is 0 too.
     */
    uint32_t device_count;
    /**
     * Thousandths of each: 1 to 1,000; of several devices, 1,000.
     */
    uint32_t device_milli;
    /**
     * Memory of each, in MiB. 0 where it does not count. More than there can be is
     * SLOTWISE_TOO_LARGE.
     */
    uint64_t device_memory;
    /**
     * SLOTWISE_ISLAND_...: of several devices, whether they are to be near to one another.
     */
    uint32_t island;
    /**
     * 0.
     */
    uint32_t reserved2;
} slotwise_terms_t;

/**
 * What one container, job or call needs. Fill it in once and use it again: nothing is written to
 * it, and nothing of it is kept.
 */
typedef struct slotwise_request_t {
    /**
     * sizeof(slotwise_request_t).
     */
    uint32_t size;
    /**
     * SLOTWISE_AHEAD, SLOTWISE_HASH, or both.
     */
    uint32_t flags;
    /**
     * The host's name of it: unique among live reservations. NULL: anonymous, known by its ticket
     * alone.
     */
    const char *id;
    /**
     * At most SLOTWISE_MAX_ID_LENGTH bytes; 0: anonymous.
     */
    size_t id_length;
    /**
     * How much CPU it needs, in millicores. At least one of the three is not 0.
     */
    uint64_t cpu;
    /**
     * How much memory, in MiB.
     */
    uint64_t memory;
    /**
     * How many whole GPUs, by number: 0 where its terms ask for devices. A selector that names GPU
     * types makes 0 a 1.
     */
    uint64_t gpus;
    /**
     * Which workers it may use: from slotwise_selector, or SLOTWISE_SELECTOR_ANY.
     */
    uint32_t selector;
    /**
     * SLOTWISE_POLICY_....
     */
    uint32_t policy;
    /**
     * What decides where the probe starts, instead of the id: a function, an image, a model, a
     * tenant. NULL: the id does.
     */
    const char *key;
    /**
     * Its bytes.
     */
    size_t key_length;
    /**
     * With SLOTWISE_HASH: a hash of the host, used as it is; its bits should be well mixed.
     * Otherwise 0.
     */
    uint64_t hash;
    /**
     * What it comes under beside: a time limit, a rank, a quota, limits on its group, devices. NULL:
     * nothing.
     */
    const struct slotwise_terms_t *terms;
} slotwise_request_t;

/**
 * Where a request was placed, or why not.
 */
typedef struct slotwise_placement_t {
    /**
     * Names the reservation from now on; never 0, never used again for another. 0 where there is
     * none.
     */
    uint64_t ticket;
    /**
     * Where it is; 0 where it was not placed.
     */
    slotwise_worker_t worker;
    /**
     * The worker's version that the reservation made.
     */
    uint64_t version;
    /**
     * SLOTWISE_OK, or why it was not placed.
     */
    int32_t status;
    /**
     * 1: the id was held already; this is that reservation, and nothing was changed.
     */
    uint8_t existing;
    /**
     * 1: it is yet to be confirmed (SLOTWISE_HOLD, slotwise_preempt).
     */
    uint8_t provisional;
    /**
     * SLOTWISE_BUSY, SLOTWISE_NEVER, SLOTWISE_TOO_LARGE: the dimension that it is for, or
     * SLOTWISE_NO_DIMENSION.
     */
    uint16_t dimension;
} slotwise_placement_t;

/**
 * What a release did.
 */
typedef struct slotwise_released_t {
    /**
     * Where the reservation was.
     */
    slotwise_worker_t worker;
    /**
     * The worker's version that the release made; 0 where nothing was credited.
     */
    uint64_t version;
    /**
     * What was held.
     */
    struct slotwise_resources_t amount;
    /**
     * 1: credited to the worker. 0: the worker was removed meanwhile, and there was nothing left to
     * credit.
     */
    uint32_t credited;
    /**
     * SLOTWISE_OK, or why nothing was released.
     */
    int32_t status;
} slotwise_released_t;

/**
 * What a resize did.
 */
typedef struct slotwise_resized_t {
    /**
     * The reservation.
     */
    uint64_t ticket;
    /**
     * Where it is.
     */
    slotwise_worker_t worker;
    /**
     * The worker's version that the resize made; as it was where the amount did not change.
     */
    uint64_t version;
    /**
     * What was held before.
     */
    struct slotwise_resources_t before;
} slotwise_resized_t;

/**
 * An array of requests, and where their results go.
 */
typedef struct slotwise_batch_t {
    /**
     * sizeof(slotwise_batch_t).
     */
    uint32_t size;
    /**
     * SLOTWISE_INDEPENDENT or SLOTWISE_ALL_OR_NOTHING.
     */
    uint32_t mode;
    /**
     * The requests.
     */
    const struct slotwise_request_t *requests;
    /**
     * Bytes from one request to the next, a multiple of 8; 0: side by side.
     */
    size_t request_stride;
    /**
     * How many: 0 to SLOTWISE_MAX_COUNT.
     */
    size_t count;
    /**
     * Room for as many results; each is written, in the order of the requests.
     */
    struct slotwise_placement_t *placements;
    /**
     * Bytes from one result to the next, a multiple of 8; 0: side by side.
     */
    size_t placement_stride;
    /**
     * Room for as many counts of reasons, side by side; written for requests that were refused
     * and zeroed for others. NULL: not wanted.
     */
    struct slotwise_reasons_t *reasons;
    /**
     * The batch's own id: the same id again has no effect and gets the same answer. NULL: none.
     */
    const char *id;
    /**
     * Its bytes: 1 to SLOTWISE_MAX_ID_LENGTH.
     */
    size_t id_length;
    /**
     * 0.
     */
    uint64_t reserved;
} slotwise_batch_t;

/**
 * What a batch did.
 */
typedef struct slotwise_batch_done_t {
    /**
     * Requests that hold something now, existing ones included.
     */
    uint64_t placed;
    /**
     * Requests that do not.
     */
    uint64_t failed;
    /**
     * 1: the batch id was known; the answer is that of then, and nothing was changed.
     */
    uint32_t replayed;
    /**
     * 0.
     */
    uint32_t reserved;
} slotwise_batch_done_t;

/**
 * Requests as columns of `count` entries, and columns for their results. What no column gives,
 * `common` does.
 */
typedef struct slotwise_columns_t {
    /**
     * sizeof(slotwise_columns_t).
     */
    uint32_t size;
    /**
     * SLOTWISE_INDEPENDENT or SLOTWISE_ALL_OR_NOTHING.
     */
    uint32_t mode;
    /**
     * How many: 0 to SLOTWISE_MAX_COUNT.
     */
    size_t count;
    /**
     * What all have in common, its terms as well. Its id must be empty.
     */
    const struct slotwise_request_t *common;
    /**
     * The ids' bytes. NULL: all are anonymous.
     */
    const char *ids;
    /**
     * `count` + 1 offsets into `ids`, rising: id k lies from offset k up to offset k + 1. NULL: the
     * ids have a fixed width.
     */
    const uint64_t *id_offsets;
    /**
     * Without offsets: the width of an id, at most SLOTWISE_MAX_ID_LENGTH; NULs at its end do not
     * count.
     */
    size_t id_width;
    /**
     * CPU in millicores. NULL: as in `common`; so for all that follow.
     */
    const uint64_t *cpu;
    /**
     * Memory in MiB.
     */
    const uint64_t *memory;
    /**
     * Whole GPUs.
     */
    const uint64_t *gpus;
    /**
     * Selectors.
     */
    const uint32_t *selectors;
    /**
     * Hashes that say where the probes start.
     */
    const uint64_t *hashes;
    /**
     * Room for tickets; 0 for requests that were not placed. NULL: not wanted; so for workers and
     * versions.
     */
    uint64_t *tickets;
    /**
     * Room for workers; 0 for requests that were not placed.
     */
    slotwise_worker_t *workers;
    /**
     * Room for the versions that the reservations made.
     */
    uint64_t *versions;
    /**
     * Room for the status of each. Not NULL.
     */
    int32_t *statuses;
    /**
     * The batch's own id, as in slotwise_batch_t. NULL: none.
     */
    const char *batch_id;
    /**
     * Its bytes.
     */
    size_t batch_id_length;
    /**
     * 0.
     */
    uint64_t reserved;
} slotwise_columns_t;

/**
 * What is supposed to have happened before. All zero but the size: nothing.
 */
typedef struct slotwise_supposition_t {
    /**
     * sizeof(slotwise_supposition_t).
     */
    uint32_t size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Tickets of reservations that are given back. One that is not held credits nothing; named
     * twice, it credits once.
     */
    const uint64_t *credited;
    /**
     * How many.
     */
    size_t credited_count;
    /**
     * Workers that are removed, and what they hold with them. One that is not registered, or not
     * any more, is passed by.
     */
    const slotwise_worker_t *without;
    /**
     * How many.
     */
    size_t without_count;
    /**
     * Workers that are registered, in this order, after all that are; ready, or pending with
     * SLOTWISE_PENDING.
     */
    const struct slotwise_worker_spec_t *added;
    /**
     * How many.
     */
    size_t added_count;
    /**
     * Bytes from one of them to the next, a multiple of 8; 0: side by side.
     */
    size_t added_stride;
} slotwise_supposition_t;

/**
 * How many workers do not match a request, by the first rule that keeps them from it.
 */
typedef struct slotwise_mismatches_t {
    /**
     * SLOTWISE_MISMATCH_MACHINE.
     */
    uint32_t machine;
    /**
     * SLOTWISE_MISMATCH_TENANT.
     */
    uint32_t tenant;
    /**
     * SLOTWISE_MISMATCH_POOL.
     */
    uint32_t pool;
    /**
     * SLOTWISE_MISMATCH_LABELS.
     */
    uint32_t labels;
    /**
     * SLOTWISE_MISMATCH_GPU_SEPARATION.
     */
    uint32_t gpu_separation;
    /**
     * SLOTWISE_MISMATCH_GPU_TYPE.
     */
    uint32_t gpu_type;
    /**
     * SLOTWISE_MISMATCH_PREEMPTABLE.
     */
    uint32_t preemptable;
    /**
     * SLOTWISE_MISMATCH_DEVICES.
     */
    uint32_t devices;
} slotwise_mismatches_t;

/**
 * Where least would have to be freed.
 */
typedef struct slotwise_near_miss_t {
    /**
     * The worker; 0 where there is none.
     */
    slotwise_worker_t worker;
    /**
     * Its version when it was looked at.
     */
    uint64_t version;
    /**
     * What would have to be freed there for the request to fit.
     */
    struct slotwise_resources_t missing;
} slotwise_near_miss_t;

/**
 * What slotwise_reserve would say of a request, and why.
 */
typedef struct slotwise_explanation_t {
    /**
     * sizeof(slotwise_explanation_t), set by the caller.
     */
    uint32_t size;
    /**
     * SLOTWISE_OK: it would be placed, or its id is held; SLOTWISE_BUSY or SLOTWISE_NEVER.
     */
    int32_t status;
    /**
     * SLOTWISE_OK: where it fits, or is held; otherwise 0.
     */
    slotwise_worker_t worker;
    /**
     * The version at which that worker was looked at.
     */
    uint64_t version;
    /**
     * The reservation that its id holds; 0: none.
     */
    uint64_t ticket;
    /**
     * SLOTWISE_BUSY: the dimension that most ready workers are short of. SLOTWISE_NEVER: the one in
     * which no matching worker is large enough, where one alone is to blame. SLOTWISE_NO_DIMENSION
     * where the lack is of matching or ready workers.
     */
    uint32_t dimension;
    /**
     * SLOTWISE_BUSY, SLOTWISE_NEVER: whether something is on its way that will take it, as
     * SLOTWISE_OUTLOOK_....
     */
    uint32_t outlook;
    /**
     * Registered workers that would take it.
     */
    uint32_t fitting;
    /**
     * The others, by reason; counted also where the engine does not count reasons.
     */
    struct slotwise_reasons_t reasons;
    /**
     * Those that do not match, by rule.
     */
    struct slotwise_mismatches_t mismatches;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Of the matching workers in a state that takes it and too full by now, the one of which the
     * smallest share is missing, summed over dimensions; of equals the one with the lower index.
     */
    struct slotwise_near_miss_t nearest;
} slotwise_explanation_t;

/**
 * One worker, and what it is to the request: the first reason that is true of it.
 */
typedef struct slotwise_explained_t {
    /**
     * The worker.
     */
    slotwise_worker_t worker;
    /**
     * Its version when it was looked at: while it stands there, what is said of it is true.
     */
    uint64_t version;
    /**
     * SLOTWISE_REASON_....
     */
    uint32_t reason;
    /**
     * The rule or the state, where the reason has one; otherwise 0.
     */
    uint32_t detail;
    /**
     * What is missing, where the reason has it; otherwise 0.
     */
    struct slotwise_resources_t missing;
} slotwise_explained_t;

/**
 * What was refused lately of the requests with one selector.
 */
typedef struct slotwise_demand_t {
    /**
     * Their selector.
     */
    uint32_t selector;
    /**
     * How many there are: `joining`, `packed` and `unservable` together.
     */
    uint32_t requests;
    /**
     * What they need in all. A device counts as a GPU, also where only a part of it is asked for.
     */
    struct slotwise_resources_t need;
    /**
     * How many of them fit on workers that are ready, or pending, as they are now.
     */
    uint32_t joining;
    /**
     * How many of the others are packed onto new workers of the shape.
     */
    uint32_t packed;
    /**
     * The new workers that these make necessary. Requests of several selectors may share one; it is
     * counted where its largest request is, so that the sum is the number to start.
     */
    uint32_t workers;
    /**
     * How many cannot be served by a worker of the shape: too large for it, or their selector does
     * not match it.
     */
    uint32_t unservable;
} slotwise_demand_t;

/**
 * A kind of requests that came, and how often.
 */
typedef struct slotwise_kind_t {
    /**
     * CPU in millicores.
     */
    uint64_t cpu;
    /**
     * How often it came, counts of long ago halved: the mix is its share of the sum.
     */
    uint64_t count;
    /**
     * How many devices; whole GPUs that were asked for by number count as such.
     */
    uint32_t devices;
    /**
     * Thousandths of each; 0 where none is asked for.
     */
    uint32_t milli;
    /**
     * How many of the types of GPUs that workers have would do; 0: any.
     */
    uint32_t gpu_types;
    /**
     * 0.
     */
    uint32_t reserved;
} slotwise_kind_t;

/**
 * How much of what is free of GPUs is useless to the requests that come.
 */
typedef struct slotwise_fragmentation_t {
    /**
     * Thousandths of GPUs that workers which are ready have free.
     */
    uint64_t free_milli;
    /**
     * What a request drawn from the mix is expected to find useless of that: where it is too little of
     * one GPU, or the worker has too little CPU left, or is of the wrong type; all, for a request that
     * needs no GPU.
     */
    uint64_t unusable_milli;
    /**
     * Requests that the mix was learned from.
     */
    uint64_t arrived;
} slotwise_fragmentation_t;

/**
 * A move that is proposed.
 */
typedef struct slotwise_move_t {
    /**
     * The reservation that is to move.
     */
    uint64_t ticket;
    /**
     * The worker that it is on.
     */
    slotwise_worker_t from;
    /**
     * The worker to go to.
     */
    slotwise_worker_t to;
    /**
     * The version of `from` when it is this move's turn.
     */
    uint64_t from_version;
    /**
     * The version of `to` when it is this move's turn.
     */
    uint64_t to_version;
    /**
     * The devices that it will get there: bit i is the one at place i of those that the worker was
     * registered with.
     */
    uint64_t devices;
    /**
     * Thousandths of GPUs that become useful by it.
     */
    uint64_t frees_milli;
} slotwise_move_t;

/**
 * One step of a group.
 */
typedef struct slotwise_step_t {
    /**
     * SLOTWISE_STEP_....
     */
    uint32_t kind;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * For the kinds that name an id.
     */
    const char *id;
    /**
     * Its bytes.
     */
    size_t id_length;
    /**
     * For SLOTWISE_STEP_RELEASE.
     */
    uint64_t ticket;
    /**
     * For SLOTWISE_STEP_RESERVE.
     */
    struct slotwise_resources_t need;
} slotwise_step_t;

/**
 * What became of one step.
 */
typedef struct slotwise_step_done_t {
    /**
     * SLOTWISE_OK, or why it was not done.
     */
    int32_t status;
    /**
     * 1: the id was held already; nothing was changed for it.
     */
    uint8_t existing;
    /**
     * 1: the reservation is yet to be confirmed.
     */
    uint8_t provisional;
    /**
     * SLOTWISE_BUSY, SLOTWISE_NEVER, SLOTWISE_TOO_LARGE: the dimension that it is for.
     */
    uint16_t dimension;
    /**
     * Of a reserve: the reservation's ticket. Otherwise 0.
     */
    uint64_t ticket;
    /**
     * The worker; 0 where the step was not done.
     */
    slotwise_worker_t worker;
    /**
     * The worker's version that the step made; 0 where the worker was removed meanwhile and a
     * release had nothing left to credit.
     */
    uint64_t version;
    /**
     * Of a release: what was held.
     */
    struct slotwise_resources_t amount;
} slotwise_step_done_t;

/**
 * The steps for one worker.
 */
typedef struct slotwise_group_t {
    /**
     * sizeof(slotwise_group_t).
     */
    uint32_t size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * The worker's id.
     */
    struct slotwise_text_t worker;
    /**
     * What to do there.
     */
    const struct slotwise_step_t *steps;
    /**
     * How many.
     */
    size_t step_count;
    /**
     * Room for as many results; each is written.
     */
    struct slotwise_step_done_t *done;
} slotwise_group_t;

/**
 * What a tick has ended: a reservation or a worker.
 */
typedef struct slotwise_expired_t {
    /**
     * Its ticket, which is not valid any more; 0 of a worker.
     */
    uint64_t ticket;
    /**
     * The worker that it was on, or that it was.
     */
    slotwise_worker_t worker;
    /**
     * What it held; 0 of a worker.
     */
    struct slotwise_resources_t amount;
    /**
     * Length of its id in bytes; 0 for an anonymous reservation.
     */
    uint32_t id_length;
    /**
     * SLOTWISE_EXPIRED, SLOTWISE_LOST_WITH_WORKER or SLOTWISE_WORKER_EXPIRED.
     */
    uint32_t kind;
    /**
     * Its id, the worker's where it is one.
     */
    char id[64];
} slotwise_expired_t;

/**
 * What a hand-off did.
 */
typedef struct slotwise_handed_t {
    /**
     * The worker that holds it all now.
     */
    slotwise_worker_t worker;
    /**
     * Reservations that it took over from another registration; 0 where that has only got another
     * id.
     */
    uint64_t moved;
} slotwise_handed_t;

/**
 * Where a request would fit if others left. Good for one use at one version.
 */
typedef struct slotwise_preemption_t {
    /**
     * sizeof(slotwise_preemption_t), set by the caller.
     */
    uint32_t size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * The worker.
     */
    slotwise_worker_t worker;
    /**
     * The version at which this is true.
     */
    uint64_t version;
    /**
     * How many would have to leave; 0 if it fits without.
     */
    uint64_t victim_count;
    /**
     * How many victims of other claims the request has to wait for, too.
     */
    uint64_t leaving_count;
} slotwise_preemption_t;

/**
 * A reservation that would have to leave, or is about to.
 */
typedef struct slotwise_victim_t {
    /**
     * Its ticket.
     */
    uint64_t ticket;
    /**
     * What it holds, devices apart; 0 with SLOTWISE_LEAVING, as all that follows.
     */
    struct slotwise_resources_t amount;
    /**
     * Its rank.
     */
    int32_t priority;
    /**
     * SLOTWISE_LEAVING, or 0.
     */
    uint32_t flags;
    /**
     * Length of its id in bytes; 0 for an anonymous one.
     */
    uint32_t id_length;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Its id.
     */
    char id[64];
} slotwise_victim_t;

/**
 * Counters since the engine was made, summed over threads. Each is exact; together they are not one
 * instant's picture.
 */
typedef struct slotwise_stats_t {
    /**
     * sizeof(slotwise_stats_t), set by the caller.
     */
    uint32_t size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Reservations made.
     */
    uint64_t placed;
    /**
     * Requests answered with the reservation that their id held already.
     */
    uint64_t existing;
    /**
     * Requests refused because nothing is free now: the want of capacity.
     */
    uint64_t busy;
    /**
     * Requests refused because nothing registered could ever hold them.
     */
    uint64_t never;
    /**
     * Reservations given back.
     */
    uint64_t released;
    /**
     * Reservations made larger or smaller.
     */
    uint64_t resized;
    /**
     * Compare-and-swaps that another change of the same slot came before and that were done again
     * inside: contention, which no caller sees.
     */
    uint64_t cas_retries;
    /**
     * Version conflicts returned to callers who asked for a version.
     */
    uint64_t version_conflicts;
    /**
     * All-or-nothing batches undone and planned anew because another change took their place.
     */
    uint64_t gang_rollbacks;
    /**
     * Candidates looked at per request that was decided: entry k counts requests that looked at
     * fewer than 2^k and at least 2^(k-1).
     */
    uint64_t probes[24];
    /**
     * Provisional reservations that were confirmed.
     */
    uint64_t confirmed;
    /**
     * Provisional reservations that were not, and have ended.
     */
    uint64_t expired;
    /**
     * Reservations that were told to leave by preemptions.
     */
    uint64_t preempted;
} slotwise_stats_t;

/**
 * What an audit found.
 */
typedef struct slotwise_audit_t {
    /**
     * sizeof(slotwise_audit_t), set by the caller.
     */
    uint32_t size;
    /**
     * 1: the books add up. 0: slotwise is broken; see the imbalances.
     */
    uint32_t ok;
    /**
     * Registered workers looked at.
     */
    uint64_t workers;
    /**
     * Live reservations counted.
     */
    uint64_t reservations;
    /**
     * Workers with less free than nothing, because their totals were lowered.
     */
    uint64_t over_committed;
    /**
     * Workers that other threads kept changing all the while, so that only bounds could be checked;
     * 0 when nothing else runs.
     */
    uint64_t unsettled;
    /**
     * Slots whose books do not add up.
     */
    uint64_t imbalances;
} slotwise_audit_t;

/**
 * One slot whose books do not add up.
 */
typedef struct slotwise_imbalance_t {
    /**
     * The slot's worker.
     */
    slotwise_worker_t worker;
    /**
     * What live reservations hold, by the ledger.
     */
    struct slotwise_resources_t held;
    /**
     * total - set_aside - free - held: CPU, memory, GPUs.
     */
    int64_t missing[3];
} slotwise_imbalance_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What a status means, as a text that is never freed; never NULL, also for numbers that are no
 * status.
 *
 * Threads: any. Safety: takes no pointer.
 */
const char *slotwise_status_text(int32_t status);

/**
 * What is known of the last failure of a call on this thread. Calls that succeed leave it as it
 * is; so does this one.
 *
 * Returns SLOTWISE_NULL_POINTER or SLOTWISE_STRUCT_SIZE and writes nothing where `error` is wrong.
 *
 * Threads: each has its own.
 * Safety: `error` points to a slotwise_error_t whose size is set.
 */
int32_t slotwise_last_error(struct slotwise_error_t *error);

/**
 * The last failure of a call on this thread, as a sentence with its numbers. Writes at most
 * `capacity` bytes, a final NUL among them, and sets `*length` (unless NULL) to the sentence's own
 * length without it: if that is `capacity` or more, it was cut. Empty where none has failed.
 *
 * Returns SLOTWISE_NULL_POINTER where `buffer` is NULL and `capacity` is not 0.
 *
 * Threads: each has its own.
 * Safety: `buffer` has room for `capacity` bytes; `length` is NULL or points to a size_t.
 */
int32_t slotwise_last_error_text(char *buffer, size_t capacity, size_t *length);

/**
 * The version of the library that runs, as "major.minor.patch"; never freed. SLOTWISE_VERSION is
 * that of the header.
 *
 * Threads: any. Safety: takes no pointer.
 */
const char *slotwise_version(void);

/**
 * The number of the interface of the library that runs. A caller that was compiled against another
 * SLOTWISE_ABI_VERSION must not go on.
 *
 * Threads: any. Safety: takes no pointer.
 */
uint32_t slotwise_abi_version(void);

/**
 * Fills in the defaults, the size included.
 *
 * Returns SLOTWISE_NULL_POINTER.
 *
 * Threads: any. Safety: `config` points to a slotwise_config_t.
 */
int32_t slotwise_config_default(struct slotwise_config_t *config);

/**
 * Makes an engine without workers and gives the caller one reference to it. `config` NULL: the
 * defaults.
 *
 * Returns SLOTWISE_CONFIG where a limit is out of its range (slotwise_last_error says what was
 * given and what the limit is), SLOTWISE_PROCESSOR, SLOTWISE_TOO_MANY_ENGINES,
 * SLOTWISE_UNKNOWN_VALUE, SLOTWISE_RESERVED, SLOTWISE_STRUCT_SIZE, SLOTWISE_NULL_POINTER.
 *
 * Threads: any. Takes a lock.
 * Safety: `config` is NULL or points to a slotwise_config_t; `engine` points to a
 * slotwise_engine_t.
 */
int32_t slotwise_engine_new(const struct slotwise_config_t *config, slotwise_engine_t *engine);

/**
 * The configuration that an engine was made with.
 *
 * Returns SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
 *
 * Threads: any. No lock.
 * Safety: `config` points to a slotwise_config_t whose size is set.
 */
int32_t slotwise_engine_config(slotwise_engine_t engine, struct slotwise_config_t *config);

/**
 * One reference more: the engine lives until each has been freed. The handle is the same number.
 * Also of an engine that is closed.
 *
 * Returns SLOTWISE_STALE_HANDLE.
 *
 * Threads: any. Takes a lock. Safety: takes no pointer.
 */
int32_t slotwise_engine_retain(slotwise_engine_t engine);

/**
 * From now on every call with this engine returns SLOTWISE_CLOSED, save retain, close and free.
 * Calls that are under way end as they would have. Closing again does nothing.
 *
 * Returns SLOTWISE_STALE_HANDLE.
 *
 * Threads: any. Takes a lock. Safety: takes no pointer.
 */
int32_t slotwise_engine_close(slotwise_engine_t engine);

/**
 * One reference less. With the last, the engine is gone, and the handle is stale for ever: it is
 * told from every engine that comes after it.
 *
 * Returns SLOTWISE_STALE_HANDLE where there is none left to free.
 *
 * Threads: any. Takes a lock. Freeing the last reference while another thread is in a call with
 * it is an error that cannot be told from here: let each thread that calls keep a reference.
 * Safety: takes no pointer.
 */
int32_t slotwise_engine_free(slotwise_engine_t engine);

/**
 * Compiles constraints into a selector: a number that is valid for the engine's life. The same
 * constraints always give the same one. Hosts intern what they use and pass the number with each
 * request.
 *
 * Returns SLOTWISE_NAME_LENGTH, SLOTWISE_LIST_LENGTH, SLOTWISE_TOO_MANY_SELECTORS,
 * SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
 * SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock; O(classes) when the constraints are new.
 * Safety: `constraints` points to a slotwise_constraints_t, whose lists have as many entries as
 * it says; `selector` points to a uint32_t.
 */
int32_t slotwise_selector(slotwise_engine_t engine,
                          const struct slotwise_constraints_t *constraints,
                          uint32_t *selector);

/**
 * Registers a worker. O(log workers); placements go on meanwhile.
 *
 * Returns SLOTWISE_DUPLICATE_WORKER, SLOTWISE_ID_LENGTH, SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_LARGE,
 * SLOTWISE_SET_ASIDE, SLOTWISE_GPU_TYPE, SLOTWISE_TABLE_FULL, SLOTWISE_NULL_POINTER,
 * SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, or what a
 * handle can be wrong of. Of its devices: SLOTWISE_TOO_MANY_DEVICES, SLOTWISE_DUPLICATE_DEVICE,
 * SLOTWISE_ISLAND_TOO_HIGH, SLOTWISE_GPUS_BESIDE_DEVICES, SLOTWISE_MISALIGNED.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: `spec` points to a slotwise_worker_spec_t; `worker` is NULL or points to a
 * slotwise_worker_t.
 */
int32_t slotwise_worker_add(slotwise_engine_t engine,
                            const struct slotwise_worker_spec_t *spec,
                            slotwise_worker_t *worker);

/**
 * Registers many under one lock, each for itself: one entry of `added` each, in order. `stride`:
 * bytes from one spec to the next; 0: side by side. `*registered` (unless NULL): how many were.
 *
 * Returns SLOTWISE_OK also where some were refused; the entry says why. Where a structure cannot
 * be read (SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
 * SLOTWISE_ISLAND_TOO_HIGH, SLOTWISE_STRIDE, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or
 * what a handle can be wrong of), none is registered and nothing is written.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: `specs` has `count` entries, `added` is NULL or has room for as many; `registered` is
 * NULL or points to a size_t.
 */
int32_t slotwise_workers_add(slotwise_engine_t engine,
                             const struct slotwise_worker_spec_t *specs,
                             size_t stride,
                             size_t count,
                             struct slotwise_added_t *added,
                             size_t *registered);

/**
 * Changes a worker as one step. `fields`: SLOTWISE_SET_..., what of `spec` is to be taken over;
 * the rest of it, its id too, is not looked at. `info` (unless NULL) gets the worker as it then
 * is. A total may be lowered under what is held: nothing is taken from anybody, and nothing new is
 * placed until enough has been released.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_LARGE, SLOTWISE_SET_ASIDE,
 * SLOTWISE_GPU_TYPE, SLOTWISE_GPUS_BESIDE_DEVICES, SLOTWISE_OLD_GENERATION, SLOTWISE_NULL_POINTER,
 * SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, or what a handle
 * can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: `id` has `id_length` bytes; `spec` points to a slotwise_worker_spec_t; `info` is NULL or
 * points to a slotwise_worker_info_t whose size is set.
 */
int32_t slotwise_worker_update(slotwise_engine_t engine,
                               const char *id,
                               size_t id_length,
                               const struct slotwise_worker_spec_t *spec,
                               uint32_t fields,
                               struct slotwise_worker_info_t *info);

/**
 * Takes a worker out and ends what was held there, each reservation once. A release that comes
 * later finds nothing, also when the id has been registered again.
 *
 * Writes the reservations that ended to `lost`, at most `capacity` of them, and sets `*count` to
 * how many ended. Those that there was no room for are kept: slotwise_lost_take tells of them.
 * `lost` NULL and `capacity` 0: all are kept. O(most reservations there ever were).
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP,
 * SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: `id` has `id_length` bytes; `lost` has room for `capacity` entries; `count` points to a
 * size_t.
 */
int32_t slotwise_worker_remove(slotwise_engine_t engine,
                               const char *id,
                               size_t id_length,
                               struct slotwise_lost_t *lost,
                               size_t capacity,
                               size_t *count);

/**
 * Tells of reservations that ended with their worker and that slotwise_worker_remove or
 * slotwise_hand_off had no room for, each once, the oldest first: writes at most `capacity` of
 * them to `lost` and sets `*count` to how many it wrote. Fewer than `capacity`: there are no more.
 *
 * Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a
 * handle can be wrong of.
 *
 * Threads: any; each reservation goes to one of them. Takes a lock.
 * Safety: `lost` has room for `capacity` entries; `count` points to a size_t.
 */
int32_t slotwise_lost_take(slotwise_engine_t engine,
                           struct slotwise_lost_t *lost,
                           size_t capacity,
                           size_t *count);

/**
 * The host's readiness signal: a pending worker becomes ready. Does not lift a cordon. `info`
 * (unless NULL) gets the worker as it then is.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
 * can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: `id` has `id_length` bytes; `info` is NULL or points to a slotwise_worker_info_t whose
 * size is set.
 */
int32_t slotwise_worker_ready(slotwise_engine_t engine,
                              const char *id,
                              size_t id_length,
                              struct slotwise_worker_info_t *info);

/**
 * The readiness signal of an agent of this generation of the rollout: refused if the worker is of
 * a later one by now, so that a message from before an upgrade makes nothing ready. One of a later
 * generation counts, and is the worker's from then on. Otherwise as slotwise_worker_ready.
 *
 * Returns SLOTWISE_OLD_GENERATION (slotwise_last_error has both), SLOTWISE_UNKNOWN_WORKER,
 * SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: as slotwise_worker_ready.
 */
int32_t slotwise_worker_ready_generation(slotwise_engine_t engine,
                                         const char *id,
                                         size_t id_length,
                                         uint64_t generation,
                                         struct slotwise_worker_info_t *info);

/**
 * Takes the readiness back: the worker is pending again. What it holds stays. Otherwise as
 * slotwise_worker_ready.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
 * can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: as slotwise_worker_ready.
 */
int32_t slotwise_worker_unready(slotwise_engine_t engine,
                                const char *id,
                                size_t id_length,
                                struct slotwise_worker_info_t *info);

/**
 * The operator's durable intent that nothing new lands here. Once this returns, nothing does; what
 * is held stays. Otherwise as slotwise_worker_ready.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
 * can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: as slotwise_worker_ready.
 */
int32_t slotwise_worker_cordon(slotwise_engine_t engine,
                               const char *id,
                               size_t id_length,
                               struct slotwise_worker_info_t *info);

/**
 * Lifts cordon and drain: the worker is as ready as its last readiness signal said. Otherwise as
 * slotwise_worker_ready.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
 * can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: as slotwise_worker_ready.
 */
int32_t slotwise_worker_uncordon(slotwise_engine_t engine,
                                 const char *id,
                                 size_t id_length,
                                 struct slotwise_worker_info_t *info);

/**
 * As slotwise_worker_cordon, to empty the worker: `held` of `info` says how much is still there.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
 * can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: as slotwise_worker_ready.
 */
int32_t slotwise_worker_drain(slotwise_engine_t engine,
                              const char *id,
                              size_t id_length,
                              struct slotwise_worker_info_t *info);

/**
 * The engine's name for the worker of this id.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can
 * be wrong of.
 *
 * Threads: any. No lock.
 * Safety: `id` has `id_length` bytes; `worker` points to a slotwise_worker_t.
 */
int32_t slotwise_worker_find(slotwise_engine_t engine,
                             const char *id,
                             size_t id_length,
                             slotwise_worker_t *worker);

/**
 * A worker in full.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle
 * can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: `info` points to a slotwise_worker_info_t whose size is set.
 */
int32_t slotwise_worker_info(slotwise_engine_t engine,
                             slotwise_worker_t worker,
                             struct slotwise_worker_info_t *info);

/**
 * A worker's slot as it is this instant.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can
 * be wrong of.
 *
 * Threads: any. No lock.
 * Safety: `snapshot` points to a slotwise_snapshot_t.
 */
int32_t slotwise_worker_snapshot(slotwise_engine_t engine,
                                 slotwise_worker_t worker,
                                 struct slotwise_snapshot_t *snapshot);

/**
 * A text of a worker. `field`: SLOTWISE_TEXT_...; `index`: which label, 0 for the other fields.
 * Writes at most `capacity` bytes, a final NUL among them, and sets `*length` (unless NULL) to the
 * text's own length without it: if that is `capacity` or more, it was cut. Texts may hold any
 * bytes, NUL too.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_UNKNOWN_VALUE (no such field or label),
 * SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock.
 * Safety: `buffer` has room for `capacity` bytes; `length` is NULL or points to a size_t.
 */
int32_t slotwise_worker_text(slotwise_engine_t engine,
                             slotwise_worker_t worker,
                             uint32_t field,
                             uint32_t index,
                             char *buffer,
                             size_t capacity,
                             size_t *length);

/**
 * Lists workers in full, by index. `by`: SLOTWISE_LIST_...; the name is the pool's or machine's,
 * and not looked at for SLOTWISE_LIST_ALL. Writes at most `capacity` entries to `infos` (their size
 * need not be set) and sets `*count` to how many there are. O(workers).
 *
 * Returns SLOTWISE_UNKNOWN_VALUE, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP,
 * SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock; the list is that of one instant.
 * Safety: `name` has `name_length` bytes; `infos` has room for `capacity` entries; `count` points
 * to a size_t.
 */
int32_t slotwise_workers_list(slotwise_engine_t engine,
                              uint32_t by,
                              const char *name,
                              size_t name_length,
                              struct slotwise_worker_info_t *infos,
                              size_t capacity,
                              size_t *count);

/**
 * What each device of a worker has free, in the order in which they were registered. Writes at most
 * `capacity` entries to `states` and sets `*count` to how many there are, at most
 * SLOTWISE_MAX_DEVICES; 0 where the worker was registered without.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP,
 * SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock, under which placements go on; what is told is of one
 * instant.
 * Safety: `states` has room for `capacity` entries; `count` points to a size_t.
 */
int32_t slotwise_worker_devices(slotwise_engine_t engine,
                                slotwise_worker_t worker,
                                struct slotwise_device_state_t *states,
                                size_t capacity,
                                size_t *count);

/**
 * Which devices a reservation holds, and how much of each. All 0 where it asked for none.
 *
 * Returns SLOTWISE_NOT_HELD, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be
 * wrong of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `granted` points to a slotwise_granted_t.
 */
int32_t slotwise_granted(slotwise_engine_t engine,
                         uint64_t ticket,
                         struct slotwise_granted_t *granted);

/**
 * The account of this name: a number that is valid for the engine's life, the same one for the
 * same name. One that there was not is opened: unlimited, and nothing is charged to it. Ask once,
 * and name it in slotwise_terms_t.
 *
 * Returns SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_MANY_NAMES, SLOTWISE_NULL_POINTER,
 * SLOTWISE_MISALIGNED, SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. Takes a lock.
 * Safety: `name` has `name_length` bytes; `account` points to a uint32_t.
 */
int32_t slotwise_account(slotwise_engine_t engine,
                         const char *name,
                         size_t name_length,
                         uint32_t *account);

/**
 * Limits what an account may be charged with from now on. What it is charged with already stays,
 * also if that is more.
 *
 * Returns SLOTWISE_UNKNOWN_ACCOUNT, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle
 * can be wrong of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `quota` points to a slotwise_quota_t.
 */
int32_t slotwise_quota_set(slotwise_engine_t engine,
                           uint32_t account,
                           const struct slotwise_quota_t *quota);

/**
 * What an account is charged with, and its quota.
 *
 * Returns SLOTWISE_UNKNOWN_ACCOUNT, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
 * SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `usage` points to a slotwise_usage_t whose size is set.
 */
int32_t slotwise_usage(slotwise_engine_t engine, uint32_t account, struct slotwise_usage_t *usage);

/**
 * The group of this name and scope, of which there may be so many in one place: a number that is
 * valid for the engine's life, the same one for the same name and scope. `scope`:
 * SLOTWISE_SCOPE_...; `label`: for SLOTWISE_SCOPE_LABEL the label's key, otherwise empty. Ask
 * once, and name it in slotwise_limit_t.
 *
 * Returns SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_MANY_NAMES, SLOTWISE_UNKNOWN_VALUE,
 * SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. Takes a lock.
 * Safety: `name` has `name_length` bytes, `label` has `label_length`; `group` points to a
 * uint32_t.
 */
int32_t slotwise_spread_group(slotwise_engine_t engine,
                              const char *name,
                              size_t name_length,
                              uint32_t scope,
                              const char *label,
                              size_t label_length,
                              uint32_t *group);

/**
 * How many of a group are in the place of this worker.
 *
 * Returns SLOTWISE_UNKNOWN_WORKER; SLOTWISE_UNKNOWN_GROUP, also where the worker is out of the
 * question for the group, since it lacks its label; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or
 * what a handle can be wrong of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `count` points to a uint64_t.
 */
int32_t slotwise_spread_count(slotwise_engine_t engine,
                              uint32_t group,
                              slotwise_worker_t worker,
                              uint64_t *count);

/**
 * Holds capacity for a request on the worker that the policy gives it. An id that is held already
 * is answered with that reservation, and nothing changes. O(1) while the first candidates fit; no
 * allocation once the thread has made its first calls.
 *
 * Returns SLOTWISE_BUSY or SLOTWISE_NEVER where no worker took it (slotwise_last_error has the
 * reasons); SLOTWISE_ID_LENGTH, SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE, SLOTWISE_UNKNOWN_SELECTOR,
 * SLOTWISE_IN_FLIGHT, SLOTWISE_CONTENDED, SLOTWISE_LEDGER_FULL, SLOTWISE_NULL_POINTER,
 * SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, or what a
 * handle can be wrong of. Of its terms: SLOTWISE_QUOTA_EXCEEDED, SLOTWISE_UNKNOWN_ACCOUNT,
 * SLOTWISE_UNKNOWN_GROUP, SLOTWISE_TOO_MANY_LIMITS, SLOTWISE_DEADLINE_PASSED, SLOTWISE_COUNT; of the
 * devices that they ask for: SLOTWISE_DEVICE_OVER_WHOLE, SLOTWISE_DEVICE_EMPTY,
 * SLOTWISE_DEVICE_PARTS, SLOTWISE_TOO_MANY_DEVICES, SLOTWISE_GPUS_BESIDE_DEVICES.
 *
 * Threads: any. No lock, no system call.
 * Safety: `request` points to a slotwise_request_t; `placement` points to a slotwise_placement_t.
 */
int32_t slotwise_reserve(slotwise_engine_t engine,
                         const struct slotwise_request_t *request,
                         struct slotwise_placement_t *placement);

/**
 * Holds capacity on one named worker, if its other attributes suit the request (the pool apart,
 * which a request that names its worker skips). With `expected`, any change of the worker since
 * that version is a conflict; NULL: a change that leaves room is none.
 *
 * Returns SLOTWISE_VERSION_CONFLICT (slotwise_last_error has the version and what is free now),
 * SLOTWISE_UNKNOWN_WORKER, or as slotwise_reserve.
 *
 * Threads: any. No lock, no system call.
 * Safety: as slotwise_reserve; `expected` is NULL or points to a uint64_t.
 */
int32_t slotwise_reserve_on(slotwise_engine_t engine,
                            slotwise_worker_t worker,
                            const struct slotwise_request_t *request,
                            const uint64_t *expected,
                            struct slotwise_placement_t *placement);

/**
 * The reservation that an id holds; `existing` is 1.
 *
 * Returns SLOTWISE_NOT_HELD, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be
 * wrong of.
 *
 * Threads: any. No lock.
 * Safety: `id` has `id_length` bytes; `placement` points to a slotwise_placement_t.
 */
int32_t slotwise_reservation(slotwise_engine_t engine,
                             const char *id,
                             size_t id_length,
                             struct slotwise_placement_t *placement);

/**
 * Gives back what a ticket holds, exactly once: a second release, a late one, or one of a number
 * that was never a ticket finds nothing and changes nothing. `released` may be NULL. O(1), no
 * allocation.
 *
 * Returns SLOTWISE_NOT_HELD, SLOTWISE_IN_FLIGHT, SLOTWISE_MISALIGNED, or what a handle can be wrong
 * of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `released` is NULL or points to a slotwise_released_t.
 */
int32_t slotwise_release(slotwise_engine_t engine,
                         uint64_t ticket,
                         struct slotwise_released_t *released);

/**
 * Gives back what an id holds; otherwise as slotwise_release.
 *
 * Returns SLOTWISE_NOT_HELD, SLOTWISE_IN_FLIGHT, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or
 * what a handle can be wrong of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `id` has `id_length` bytes; `released` is NULL or points to a slotwise_released_t.
 */
int32_t slotwise_release_id(slotwise_engine_t engine,
                            const char *id,
                            size_t id_length,
                            struct slotwise_released_t *released);

/**
 * Gives back many, each for itself. Of ticket k, `statuses[k]` says what became of it and
 * `released[k]` what it held; either array may be NULL. `*count_released` (unless NULL): how many
 * were. No allocation.
 *
 * Returns SLOTWISE_OK also where some were not held; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
 * SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can be wrong of, with nothing released and
 * nothing written.
 *
 * Threads: any. No lock, no system call.
 * Safety: `tickets` has `count` entries; `statuses` and `released` are NULL or have room for as
 * many; `count_released` is NULL or points to a size_t.
 */
int32_t slotwise_release_batch(slotwise_engine_t engine,
                               const uint64_t *tickets,
                               size_t count,
                               int32_t *statuses,
                               struct slotwise_released_t *released,
                               size_t *count_released);

/**
 * Makes a live reservation hold `need` instead of what it holds, as one change of its worker. A
 * dimension that does not grow never stands in the way. `resized` may be NULL. O(1), no
 * allocation.
 *
 * Returns SLOTWISE_SHORT where it would grow and there is no room (slotwise_last_error says what is
 * missing), SLOTWISE_STATE where it would grow and the worker takes nothing more; nothing has
 * changed then. SLOTWISE_LOST: the worker was removed during the call, and the reservation has
 * ended, which is told here and not by slotwise_worker_remove. SLOTWISE_NOT_HELD,
 * SLOTWISE_IN_FLIGHT, SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE, SLOTWISE_DEVICES_STAY, SLOTWISE_CONTENDED,
 * SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong of.
 *
 * Threads: any. No lock, no system call. Others who name the reservation meanwhile are told
 * SLOTWISE_IN_FLIGHT.
 * Safety: `need` points to a slotwise_resources_t; `resized` is NULL or points to a
 * slotwise_resized_t.
 */
int32_t slotwise_resize(slotwise_engine_t engine,
                        uint64_t ticket,
                        const struct slotwise_resources_t *need,
                        struct slotwise_resized_t *resized);

/**
 * Makes what an id holds another amount; otherwise as slotwise_resize.
 *
 * Returns as slotwise_resize.
 *
 * Threads: any. No lock, no system call.
 * Safety: as slotwise_resize; `id` has `id_length` bytes.
 */
int32_t slotwise_resize_id(slotwise_engine_t engine,
                           const char *id,
                           size_t id_length,
                           const struct slotwise_resources_t *need,
                           struct slotwise_resized_t *resized);

/**
 * Reserves for many requests in one call. Writes one result a request, in the caller's order.
 * `done` may be NULL. No allocation once the thread has done a batch of this size, of up to 16,384
 * requests, but for requests on terms.
 *
 * Returns SLOTWISE_OK also where requests were refused; each result has its own status. Where the
 * call itself is wrong, nothing was placed and nothing was written: SLOTWISE_NULL_POINTER,
 * SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
 * SLOTWISE_STRIDE, SLOTWISE_COUNT, SLOTWISE_OVERLAP (slotwise_last_error says at which request), or
 * what a handle can be wrong of. With a batch id: SLOTWISE_ID_LENGTH, SLOTWISE_IN_FLIGHT while
 * another thread is doing it, SLOTWISE_OTHER_BATCH.
 *
 * Threads: any. No lock, no system call.
 * Safety: `batch` points to a slotwise_batch_t, whose arrays have as many entries as it says;
 * `done` is NULL or points to a slotwise_batch_done_t.
 */
int32_t slotwise_reserve_batch(slotwise_engine_t engine,
                               const struct slotwise_batch_t *batch,
                               struct slotwise_batch_done_t *done);

/**
 * Reserves for many requests in one call, from columns into columns; otherwise as
 * slotwise_reserve_batch.
 *
 * Returns SLOTWISE_OK also where requests were refused; each has its own status. Where the call
 * itself is wrong, nothing was placed and nothing was written: SLOTWISE_OFFSETS where offsets of
 * ids fall, SLOTWISE_ID_LENGTH where the width of ids or the batch id's length is wrong,
 * SLOTWISE_UNKNOWN_VALUE where `common` has an id or a key beside hashes, or as
 * slotwise_reserve_batch.
 *
 * Threads: any. No lock, no system call.
 * Safety: `columns` points to a slotwise_columns_t, whose columns have as many entries as it says;
 * `ids` has as many bytes as the last offset, or `count` times the width; `done` is NULL or points
 * to a slotwise_batch_done_t.
 */
int32_t slotwise_reserve_columns(slotwise_engine_t engine,
                                 const struct slotwise_columns_t *columns,
                                 struct slotwise_batch_done_t *done);

/**
 * What slotwise_reserve_batch would do now, if the reservations of `credited` were gone; changes
 * nothing. Of a request that would be placed, `worker` and `version` say where it would go and at
 * which version that worker was looked at; `ticket` is 0 unless its id is held already. A credited
 * ticket that is not held credits nothing. The batch must have no id. Allocates.
 *
 * Returns as slotwise_reserve_batch; SLOTWISE_UNKNOWN_VALUE where the batch has an id.
 *
 * Threads: any. No lock.
 * Safety: as slotwise_reserve_batch; `credited` has `credited_count` entries.
 */
int32_t slotwise_dry_run(slotwise_engine_t engine,
                         const struct slotwise_batch_t *batch,
                         const uint64_t *credited,
                         size_t credited_count,
                         struct slotwise_batch_done_t *done);

/**
 * As slotwise_dry_run, on another branch of the state: with reservations given back, workers
 * removed and workers registered. `supposition` NULL: nothing is supposed. Changes nothing.
 *
 * The requests are placed as if the workers of `added` had been registered after all others. Of a
 * request that would go to one of them, `worker` is its place in `added` plus one, `version` is 0:
 * SLOTWISE_WORKER_ADDED tells these from names of registered workers, of which it makes 0. Where an
 * affinity key or power of two choices would lead once they were registered, and whether there is
 * room in the table of workers, is not foreseen. Refusals count the workers that are supposed to be
 * there, and no others. For each request also O(added_count). Allocates.
 *
 * Returns as slotwise_dry_run and, for a worker of `added` that could not be registered, as
 * slotwise_worker_add, with nothing written (slotwise_last_error says at which place it stands);
 * SLOTWISE_DUPLICATE_WORKER unless the worker of its id is in `without`.
 *
 * Threads: any. No lock.
 * Safety: as slotwise_reserve_batch; `supposition` is NULL or points to a slotwise_supposition_t,
 * whose arrays have as many entries as it says.
 */
int32_t slotwise_dry_run_with(slotwise_engine_t engine,
                              const struct slotwise_batch_t *batch,
                              const struct slotwise_supposition_t *supposition,
                              struct slotwise_batch_done_t *done);

/**
 * How many of `n` copies of this request would be placed one after another, each anonymous, on that
 * branch of the state. `supposition` NULL: as things are. Changes nothing. As expensive as a dry run
 * of the copies that are placed, and one more. Allocates.
 *
 * Returns SLOTWISE_OK also where none would be; SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE,
 * SLOTWISE_UNKNOWN_SELECTOR, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE,
 * SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_STRIDE, SLOTWISE_COUNT, SLOTWISE_OVERLAP;
 * what can be wrong with its terms; for a worker of `added` as slotwise_dry_run_with; or what a handle
 * can be wrong of.
 *
 * Threads: any. No lock.
 * Safety: `request` points to a slotwise_request_t; `supposition` as of slotwise_dry_run_with; `fit`
 * points to a uint32_t.
 */
int32_t slotwise_replicas(slotwise_engine_t engine,
                          const struct slotwise_request_t *request,
                          uint32_t n,
                          const struct slotwise_supposition_t *supposition,
                          uint32_t *fit);

/**
 * What slotwise_reserve would say of this request right now, and why: counts by reason and by rule,
 * the nearest miss and, where it is wanted, every registered worker's own reason. Changes nothing.
 *
 * Writes at most `capacity` workers to `workers`, by index, and sets `*count` to how many there are.
 * `workers` NULL, `capacity` 0 and `count` NULL: none are wanted, which is cheaper.
 *
 * Every worker is looked at once. What is said of one that is named is true as of the version that
 * stands beside it, so that a request which is said to fit fits as long as that worker is at that
 * version. Whether there is room for one more reservation is not foreseen. O(workers). Allocates.
 *
 * Returns SLOTWISE_OK also where the request would be refused (`status` of the explanation says so);
 * SLOTWISE_ID_LENGTH, SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE, SLOTWISE_UNKNOWN_SELECTOR,
 * SLOTWISE_IN_FLIGHT, what can be wrong with its terms, SLOTWISE_NULL_POINTER (also of `count` where
 * `capacity` is not 0), SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED,
 * SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock, under which placements go on.
 * Safety: `request` points to a slotwise_request_t; `explanation` points to a slotwise_explanation_t
 * whose size is set; `workers` has room for `capacity` entries; `count` is NULL or points to a
 * size_t.
 */
int32_t slotwise_explain(slotwise_engine_t engine,
                         const struct slotwise_request_t *request,
                         struct slotwise_explanation_t *explanation,
                         struct slotwise_explained_t *workers,
                         size_t capacity,
                         size_t *count);

/**
 * What was refused at `since` or later, by the clock that slotwise_tick tells, and is not held by now,
 * by selector, and what it would take to serve it: how many of the requests fit on workers that are
 * there or on their way, and how many workers of `shape` would serve the others. The shape's id may be
 * empty.
 * Writes at most `capacity` entries to `demand`, by selector, and sets `*count` to how many there
 * are: where that is more, ask again with more room.
 *
 * Requests that were refused as busy or never are noted, those of a refused all-or-nothing batch all
 * together; not those that name their worker, and no dry runs. The same id refused again is the same
 * request; anonymous ones are one each time. Of each the last refusal counts. The last max_unmet are
 * kept. One that is found held is forgotten, as if by slotwise_forget_unmet. Workers that are
 * registered as pending count at once, and are not asked for again; cordoned and draining ones take
 * none. O(requests x (requests + workers)) at worst. Allocates.
 *
 * Returns SLOTWISE_NAME_LENGTH, SLOTWISE_TOO_LARGE, SLOTWISE_SET_ASIDE or SLOTWISE_GPU_TYPE for a
 * shape that could not be registered under any id; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
 * SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_COUNT, SLOTWISE_OVERLAP,
 * or what a handle can be wrong of.
 *
 * Threads: any. No lock.
 * Safety: `shape` points to a slotwise_worker_spec_t, whose texts and labels are as long as it says;
 * `demand` has room for `capacity` entries; `count` points to a size_t.
 */
int32_t slotwise_unmet_demand(slotwise_engine_t engine,
                              const struct slotwise_worker_spec_t *shape,
                              uint64_t since,
                              struct slotwise_demand_t *demand,
                              size_t capacity,
                              size_t *count);

/**
 * Forgets that this id was refused: its request was withdrawn, or met elsewhere. `*forgotten`
 * (optional) is 1 where anything was noted, otherwise 0, also for an id that can be no request's.
 * O(1).
 *
 * Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, or what a handle can be wrong
 * of.
 *
 * Threads: any. No lock.
 * Safety: `id` has `id_length` bytes; `forgotten` is NULL or points to a uint32_t.
 */
int32_t slotwise_forget_unmet(slotwise_engine_t engine,
                              const char *id,
                              size_t id_length,
                              uint32_t *forgotten);

/**
 * The kinds of requests that came to a policy that learns (SLOTWISE_POLICY_FGD,
 * SLOTWISE_POLICY_ADAPTIVE), most frequent first. Writes at most `capacity` entries to `kinds` and sets
 * `*count` to how many there are, at most SLOTWISE_MAX_KINDS, and `*arrived` (optional) to the number of
 * requests. Of several planners, the one is asked that has seen the most. O(kinds log kinds). Allocates.
 *
 * Returns SLOTWISE_NOTHING_LEARNED, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_COUNT,
 * SLOTWISE_OVERLAP, or what a handle can be wrong of.
 *
 * Threads: any. Waits for others who place by such a policy for some milliseconds at most.
 * Safety: `kinds` has room for `capacity` entries; `count` points to a size_t; `arrived` is NULL or points
 * to a uint64_t.
 */
int32_t slotwise_learned(slotwise_engine_t engine,
                         struct slotwise_kind_t *kinds,
                         size_t capacity,
                         size_t *count,
                         uint64_t *arrived);

/**
 * How much of what is free of GPUs is useless to the mix that slotwise_learned tells of.
 * O(workers x kinds that make up 95 % of the mix). Allocates.
 *
 * Returns SLOTWISE_NOTHING_LEARNED, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be
 * wrong of.
 *
 * Threads: any. Waits for others who place by such a policy for some milliseconds at most.
 * Safety: `fragmentation` points to a slotwise_fragmentation_t.
 */
int32_t slotwise_fragmentation(slotwise_engine_t engine,
                               struct slotwise_fragmentation_t *fragmentation);

/**
 * Proposes at most `capacity` moves of reservations that hold devices, each to a worker that no selector
 * tells apart from the one that it is on but by a label or a machine of its own, such that the least of
 * what is free is useless to the mix that slotwise_learned tells of. Greedy: each move is the one that
 * frees the most after those before it. Sets `*count` to how many there are, and `*before` and `*after`
 * (optional) to how it is and how it will be.
 *
 * Nothing is changed. For each move in turn, reserve what the reservation asked for on the worker to go
 * to, with its version expected (slotwise_reserve_on), by a policy that fills devices up; move the
 * work; and release the old reservation, which holds its id until then: the new one needs another, or none,
 * and is charged to its account beside the old one. A version that is another one says that somebody else was
 * there, and that it is time for another plan.
 *
 * O((workers x kinds of what is held + reservations) x kinds of the mix), and a small part of that for
 * each move. Allocates.
 *
 * Returns SLOTWISE_NOTHING_LEARNED, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_COUNT,
 * SLOTWISE_OVERLAP, or what a handle can be wrong of.
 *
 * Threads: any. Waits for others who place by such a policy for some milliseconds at most.
 * Safety: `moves` has room for `capacity` entries; `count` points to a size_t; `before` and `after` are
 * NULL or point to a slotwise_fragmentation_t each.
 */
int32_t slotwise_repack(slotwise_engine_t engine,
                        struct slotwise_move_t *moves,
                        size_t capacity,
                        size_t *count,
                        struct slotwise_fragmentation_t *before,
                        struct slotwise_fragmentation_t *after);

/**
 * Does each group's steps as one change of its worker, and each group by itself: either all of its
 * steps are done and the worker's version has risen by their number, or none is and the worker is
 * as it was. Releases count before reservations. No selector applies, only the worker's state and
 * what is free. A reservation that a group may give back is held until it has been; others who ask
 * for it meanwhile are told SLOTWISE_IN_FLIGHT. `stride`: bytes from one group to the next; 0: side
 * by side. Allocates.
 *
 * Returns SLOTWISE_OK also where groups were not done; each step has its own status. Where the call
 * itself is wrong, nothing was done and nothing was written: SLOTWISE_NULL_POINTER,
 * SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_RESERVED, SLOTWISE_UNKNOWN_VALUE,
 * SLOTWISE_STRIDE, SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can be wrong of.
 *
 * Threads: any. No lock.
 * Safety: `groups` has `count` entries, whose arrays have as many entries as they say.
 */
int32_t slotwise_groups_apply(slotwise_engine_t engine,
                              const struct slotwise_group_t *groups,
                              size_t stride,
                              size_t count);

/**
 * Tells the engine the time and ends what is due: provisional reservations whose `hold_until` is
 * `now` or before, and workers whose lease is, with all that they hold. Times are numbers of the
 * host's in whatever unit it counts, say milliseconds since it started; they do not go back. The
 * library reads no clock: nothing ends before a tick says that its time has come.
 *
 * Writes what has ended to `expired`, each once, at most `capacity` entries, and sets `*count` to
 * how many have ended. Those that there was no room for are kept: slotwise_ended_take tells of
 * them. `expired` NULL and `capacity` 0: all are kept. A confirmation or a heartbeat that comes
 * before the tick counts, however late it is; one that comes after is refused. Amortised O(1) for
 * each deadline that was ever set; with workers that are due, O(most reservations there ever
 * were). Allocates.
 *
 * Returns SLOTWISE_CLOCK_WENT_BACK where `now` is before the last one, and nothing has changed;
 * SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a handle
 * can be wrong of.
 *
 * Threads: any; ticks take turns, by a lock, and everything else goes on. With workers that are
 * due, takes the registry's lock.
 * Safety: `expired` has room for `capacity` entries; `count` points to a size_t.
 */
int32_t slotwise_tick(slotwise_engine_t engine,
                      uint64_t now,
                      struct slotwise_expired_t *expired,
                      size_t capacity,
                      size_t *count);

/**
 * Tells of what slotwise_tick has ended and had no room for, each once, the oldest first: writes
 * at most `capacity` entries to `expired` and sets `*count` to how many it wrote. Fewer than
 * `capacity`: there are no more.
 *
 * Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a
 * handle can be wrong of.
 *
 * Threads: any; each entry goes to one of them. Takes a lock.
 * Safety: `expired` has room for `capacity` entries; `count` points to a size_t.
 */
int32_t slotwise_ended_take(slotwise_engine_t engine,
                            struct slotwise_expired_t *expired,
                            size_t capacity,
                            size_t *count);

/**
 * The time that the last tick told; 0 before the first.
 *
 * Returns SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `now` points to a uint64_t.
 */
int32_t slotwise_now(slotwise_engine_t engine, uint64_t *now);

/**
 * Makes a provisional reservation a lasting one. One that is lasting already stays so; `existing`
 * of `placement` (unless NULL) is 1 then, and `version` is that of the reservation. O(1) but for
 * claims (slotwise_preempt), no allocation.
 *
 * Returns SLOTWISE_NOT_HELD, also where it has expired; SLOTWISE_IN_FLIGHT; SLOTWISE_WAITING for a
 * claim while reservations that it displaces have not been released (`given` of slotwise_error_t:
 * how many); SLOTWISE_MISALIGNED, or what a handle can be wrong of. Nothing has changed then.
 *
 * Threads: any. No lock, but for claims; no system call.
 * Safety: `placement` is NULL or points to a slotwise_placement_t.
 */
int32_t slotwise_confirm(slotwise_engine_t engine,
                         uint64_t ticket,
                         struct slotwise_placement_t *placement);

/**
 * Confirms what an id holds; otherwise as slotwise_confirm.
 *
 * Returns SLOTWISE_NULL_POINTER, SLOTWISE_COUNT, or as slotwise_confirm.
 *
 * Threads: any. No lock, but for claims; no system call.
 * Safety: as slotwise_confirm; `id` has `id_length` bytes.
 */
int32_t slotwise_confirm_id(slotwise_engine_t engine,
                            const char *id,
                            size_t id_length,
                            struct slotwise_placement_t *placement);

/**
 * When a provisional reservation ends unless it is confirmed.
 *
 * Returns SLOTWISE_NOT_HELD, also where it does not end by itself: it is confirmed, or never was
 * under SLOTWISE_HOLD; SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED, or what a handle can be wrong
 * of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `deadline` points to a uint64_t.
 */
int32_t slotwise_deadline(slotwise_engine_t engine, uint64_t ticket, uint64_t *deadline);

/**
 * A sign of life: the worker's lease runs until then. From its first heartbeat, or the `lease`
 * that it was registered with, a worker that is not heard of in time ends with the next
 * slotwise_tick, which tells of it; one that has no lease never does. A lease may be cut short.
 * O(1).
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, also once it has expired, whatever messages say (it may
 * register anew); SLOTWISE_DEADLINE_PASSED where the lease would be over already;
 * SLOTWISE_NULL_POINTER, SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. No lock, no system call.
 * Safety: `id` has `id_length` bytes.
 */
int32_t slotwise_heartbeat(slotwise_engine_t engine,
                           const char *id,
                           size_t id_length,
                           uint64_t until);

/**
 * A pending worker that was registered under the id `expected` while it was on its way is here,
 * and its id is `real`. What is held on it is held on that worker from now on, under the same ids
 * and tickets.
 *
 * If no worker of the real id is registered, the expected one gets that id and is the same
 * registration otherwise: pending until slotwise_worker_ready. If one is, as when the agent was
 * faster than the message that says who it is, it takes over what it has room for (unless it is
 * cordoned or draining); the expected one is removed, and what is left there ends: it is written
 * to `lost`, at most `capacity` entries, `*count` says how many there are, and slotwise_lost_take
 * tells of those that there was no room for. `handed` may be NULL. Where the real id is
 * registered, O(most reservations there ever were).
 *
 * Returns SLOTWISE_UNKNOWN_WORKER, SLOTWISE_NOT_PENDING where the expected worker is past that,
 * SLOTWISE_HAND_OFF_TO_ITSELF, SLOTWISE_ID_LENGTH, SLOTWISE_NULL_POINTER, SLOTWISE_MISALIGNED,
 * SLOTWISE_OVERLAP, SLOTWISE_COUNT, or what a handle can be wrong of.
 *
 * Threads: any. Takes the registry's lock. A reservation that is being taken over is
 * SLOTWISE_IN_FLIGHT to others for a moment.
 * Safety: `expected` has `expected_length` bytes, `real` has `real_length`; `handed` is NULL or
 * points to a slotwise_handed_t; `lost` has room for `capacity` entries; `count` points to a
 * size_t.
 */
int32_t slotwise_hand_off(slotwise_engine_t engine,
                          const char *expected,
                          size_t expected_length,
                          const char *real,
                          size_t real_length,
                          struct slotwise_handed_t *handed,
                          struct slotwise_lost_t *lost,
                          size_t capacity,
                          size_t *count);

/**
 * The best place for a request if others may be displaced for it: those that are under
 * SLOTWISE_PREEMPTABLE and whose priority is lower than that of the request's terms. On the worker
 * where the fewest have to leave, then with the lowest priorities, then with the least capacity.
 * Changes nothing; slotwise_preempt does what the plan says. The account's quota is not asked for
 * here.
 *
 * Devices are asked for as in slotwise_reserve: for a part of one, some of those on it leave; for
 * several as a whole, all that are on them.
 *
 * Writes those that would have to leave to `victims`, and after them those that are about to leave
 * for others and that it has to wait for (SLOTWISE_LEAVING); `*count`: how many in all. Looks at
 * every matching worker, and at all reservations there ever were at once. Allocates.
 *
 * Returns SLOTWISE_ARRAY_TOO_SMALL where there are more than `capacity`: `*count` says how many,
 * and nothing else is written. Where no set of victims would make room: as slotwise_reserve.
 * SLOTWISE_OVERLAP, SLOTWISE_COUNT.
 *
 * Threads: any. No lock.
 * Safety: `request` points to a slotwise_request_t; `preemption` points to a slotwise_preemption_t
 * whose size is set; `victims` has room for `capacity` entries; `count` points to a size_t.
 */
int32_t slotwise_preemption_plan(slotwise_engine_t engine,
                                 const struct slotwise_request_t *request,
                                 struct slotwise_preemption_t *preemption,
                                 struct slotwise_victim_t *victims,
                                 size_t capacity,
                                 size_t *count);

/**
 * Does what a plan says, as one change of its worker from exactly the plan's version, or nothing.
 * `victims`: the `count` entries that slotwise_preemption_plan wrote; of each, the ticket and the
 * flags are read. An id that is held already is answered with that reservation.
 *
 * As long as anybody has to leave, the reservation is a claim, `provisional` is 1: the host stops
 * the victims and gives each back once it really has stopped, and then slotwise_confirm makes the
 * claim a reservation like any other. Until then the victims hold what they hold, and nobody else
 * gets what they give back. A claim that is released, or that expires, gives back what it claimed.
 * Allocates.
 *
 * Returns SLOTWISE_VERSION_CONFLICT where the worker has changed since, or a victim is not what
 * the plan takes it for: make another plan. SLOTWISE_UNKNOWN_VALUE where the counts of
 * `preemption` are not those of `victims`. Otherwise as slotwise_reserve; SLOTWISE_COUNT.
 *
 * Threads: any. Takes a lock for a short time if anybody has to leave.
 * Safety: `request` points to a slotwise_request_t, `preemption` to a slotwise_preemption_t;
 * `victims` has `count` entries; `placement` points to a slotwise_placement_t.
 */
int32_t slotwise_preempt(slotwise_engine_t engine,
                         const struct slotwise_request_t *request,
                         const struct slotwise_preemption_t *preemption,
                         const struct slotwise_victim_t *victims,
                         size_t count,
                         struct slotwise_placement_t *placement);

/**
 * What has been done so far: "conflicts or capacity?" answered in numbers.
 *
 * Returns SLOTWISE_NULL_POINTER, SLOTWISE_STRUCT_SIZE, or what a handle can be wrong of.
 *
 * Threads: any. Takes a lock for a short time; O(threads).
 * Safety: `stats` points to a slotwise_stats_t whose size is set.
 */
int32_t slotwise_stats(slotwise_engine_t engine, struct slotwise_stats_t *stats);

/**
 * How many workers are registered, and how many reservations are alive. Either may be NULL.
 * Reservations are counted: O(most there ever were).
 *
 * Returns SLOTWISE_MISALIGNED, or what a handle can be wrong of.
 *
 * Threads: any. No lock.
 * Safety: `workers` and `reservations` are NULL or point to a uint64_t.
 */
int32_t slotwise_counts(slotwise_engine_t engine, uint64_t *workers, uint64_t *reservations);

/**
 * Proves for every registered worker that free + set aside + live reservations = total, while other
 * threads go on. Writes slots whose books do not add up to `imbalances`, at most `capacity` of
 * them; `audit` says how many there are.
 *
 * Returns SLOTWISE_OK also where the books do not add up (`ok` is 0); SLOTWISE_NULL_POINTER,
 * SLOTWISE_MISALIGNED, SLOTWISE_STRUCT_SIZE, SLOTWISE_COUNT, SLOTWISE_OVERLAP, or what a handle can
 * be wrong of.
 *
 * Threads: any. Takes the registry's lock; O(workers + most reservations there ever were).
 * Safety: `audit` points to a slotwise_audit_t whose size is set; `imbalances` has room for
 * `capacity` entries.
 */
int32_t slotwise_audit(slotwise_engine_t engine,
                       struct slotwise_audit_t *audit,
                       struct slotwise_imbalance_t *imbalances,
                       size_t capacity);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SLOTWISE_H */
