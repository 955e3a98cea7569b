/* One C function for each call that Go makes. A failing call and the question what it failed of are
 * one crossing, because the answer belongs to the thread, and a goroutine may be on another one next.
 * Requests come in as plain numbers and byte pointers, so that no Go memory with pointers is passed;
 * nothing is returned, since a result would have to be copied once more on the way back. */
#ifndef SLOTWISE_GO_BRIDGE_H
#define SLOTWISE_GO_BRIDGE_H

#include <slotwise.h>
#include <string.h>

#ifdef __GNUC__
#define SW_SELDOM(x) __builtin_expect(!!(x), 0)
#else
#define SW_SELDOM(x) (x)
#endif

/* `err` comes in zeroed: its status is 0 unless the call fails. */
#define SW_TRY(call)                                                                               \
    do {                                                                                           \
        if (SW_SELDOM((call) != SLOTWISE_OK)) {                                                    \
            err->size = sizeof *err;                                                               \
            slotwise_last_error(err);                                                              \
        }                                                                                          \
    } while (0)

/* What a request is beside its id and key. */
typedef struct {
    uint64_t cpu, memory, gpus, hash;
    uint32_t selector, policy, flags, reserved;
} sw_need_t;

static inline slotwise_request_t sw_request(const char *id, size_t id_length, const char *key,
                                            size_t key_length, const sw_need_t *need) {
    slotwise_request_t request = {.size = sizeof request,
                                  .flags = need->flags,
                                  .id = id,
                                  .id_length = id_length,
                                  .cpu = need->cpu,
                                  .memory = need->memory,
                                  .gpus = need->gpus,
                                  .selector = need->selector,
                                  .policy = need->policy,
                                  .key = key,
                                  .key_length = key_length,
                                  .hash = need->hash};
    return request;
}

/* What terms are beside their limits. */
typedef struct {
    uint64_t hold_until;
    int32_t priority;
    uint32_t account, flags;
    uint32_t given; /* 0: the request is under none. */
    uint64_t device_memory;
    uint32_t device_count, device_milli, island, reserved;
} sw_terms_t;

/* Makes `request` be under the terms, which live as long as the block that this stands in. */
#define SW_UNDER(request, terms, limits, limit_count)                                              \
    slotwise_terms_t sw_under = {.size = sizeof sw_under,                                          \
                                 .flags = (terms)->flags,                                          \
                                 .hold_until = (terms)->hold_until,                                \
                                 .priority = (terms)->priority,                                    \
                                 .account = (terms)->account,                                      \
                                 .limits = (limits),                                               \
                                 .limit_count = (limit_count),                                     \
                                 .device_count = (terms)->device_count,                            \
                                 .device_milli = (terms)->device_milli,                            \
                                 .device_memory = (terms)->device_memory,                          \
                                 .island = (terms)->island};                                       \
    if ((terms)->given) (request).terms = &sw_under

static inline void sw_engine_new(const slotwise_config_t *config, slotwise_engine_t *engine,
                                 slotwise_error_t *err) {
    SW_TRY(slotwise_engine_new(config, engine));
}

static inline void sw_engine_config(slotwise_engine_t engine, slotwise_config_t *config,
                                    slotwise_error_t *err) {
    SW_TRY(slotwise_engine_config(engine, config));
}

static inline void sw_engine_close(slotwise_engine_t engine, slotwise_error_t *err) {
    SW_TRY(slotwise_engine_close(engine));
}

static inline void sw_selector(slotwise_engine_t engine, const slotwise_constraints_t *constraints,
                               uint32_t *selector, slotwise_error_t *err) {
    SW_TRY(slotwise_selector(engine, constraints, selector));
}

static inline void sw_worker_add(slotwise_engine_t engine, const slotwise_worker_spec_t *spec,
                                 slotwise_worker_t *worker, slotwise_error_t *err) {
    SW_TRY(slotwise_worker_add(engine, spec, worker));
}

static inline void sw_workers_add(slotwise_engine_t engine, const slotwise_worker_spec_t *specs,
                                  size_t count, slotwise_added_t *added, size_t *registered,
                                  slotwise_error_t *err) {
    SW_TRY(slotwise_workers_add(engine, specs, 0, count, added, registered));
}

static inline void sw_worker_update(slotwise_engine_t engine, const char *id, size_t id_length,
                                    const slotwise_worker_spec_t *spec, uint32_t fields,
                                    slotwise_worker_info_t *info, slotwise_error_t *err) {
    SW_TRY(slotwise_worker_update(engine, id, id_length, spec, fields, info));
}

enum { SW_READY, SW_UNREADY, SW_CORDON, SW_UNCORDON, SW_DRAIN };

static inline void sw_worker_turn(slotwise_engine_t engine, int what, const char *id,
                                  size_t id_length, slotwise_worker_info_t *info,
                                  slotwise_error_t *err) {
    switch (what) {
    case SW_READY: SW_TRY(slotwise_worker_ready(engine, id, id_length, info)); break;
    case SW_UNREADY: SW_TRY(slotwise_worker_unready(engine, id, id_length, info)); break;
    case SW_CORDON: SW_TRY(slotwise_worker_cordon(engine, id, id_length, info)); break;
    case SW_UNCORDON: SW_TRY(slotwise_worker_uncordon(engine, id, id_length, info)); break;
    default: SW_TRY(slotwise_worker_drain(engine, id, id_length, info)); break;
    }
}

static inline void sw_worker_remove(slotwise_engine_t engine, const char *id, size_t id_length,
                                    slotwise_lost_t *lost, size_t capacity, size_t *count,
                                    slotwise_error_t *err) {
    SW_TRY(slotwise_worker_remove(engine, id, id_length, lost, capacity, count));
}

static inline void sw_lost_take(slotwise_engine_t engine, slotwise_lost_t *lost, size_t capacity,
                                size_t *count, slotwise_error_t *err) {
    SW_TRY(slotwise_lost_take(engine, lost, capacity, count));
}

static inline void sw_worker_find(slotwise_engine_t engine, const char *id, size_t id_length,
                                  slotwise_worker_t *worker, slotwise_error_t *err) {
    SW_TRY(slotwise_worker_find(engine, id, id_length, worker));
}

static inline void sw_worker_info(slotwise_engine_t engine, slotwise_worker_t worker,
                                  slotwise_worker_info_t *info, slotwise_error_t *err) {
    SW_TRY(slotwise_worker_info(engine, worker, info));
}

static inline void sw_worker_snapshot(slotwise_engine_t engine, slotwise_worker_t worker,
                                      slotwise_snapshot_t *snapshot, slotwise_error_t *err) {
    SW_TRY(slotwise_worker_snapshot(engine, worker, snapshot));
}

static inline void sw_worker_text(slotwise_engine_t engine, slotwise_worker_t worker,
                                  uint32_t field, uint32_t index, char *buffer, size_t capacity,
                                  size_t *length, slotwise_error_t *err) {
    SW_TRY(slotwise_worker_text(engine, worker, field, index, buffer, capacity, length));
}

static inline void sw_workers_list(slotwise_engine_t engine, uint32_t by, const char *name,
                                   size_t name_length, slotwise_worker_info_t *infos,
                                   size_t capacity, size_t *count, slotwise_error_t *err) {
    SW_TRY(slotwise_workers_list(engine, by, name, name_length, infos, capacity, count));
}

/* The ids of listed workers, 64 bytes apart with their lengths; of one that has gone meanwhile, 0. */
static inline void sw_worker_ids(slotwise_engine_t engine, const slotwise_worker_info_t *infos,
                                 size_t count, char *ids, uint8_t *lengths) {
    for (size_t k = 0; k < count; k++) {
        char id[SLOTWISE_MAX_ID_LENGTH + 1];
        size_t length = 0;
        if (slotwise_worker_text(engine, infos[k].worker, SLOTWISE_TEXT_ID, 0, id, sizeof id,
                                 &length) != SLOTWISE_OK)
            length = 0;
        memcpy(ids + k * SLOTWISE_MAX_ID_LENGTH, id, length);
        lengths[k] = (uint8_t)length;
    }
}

static inline void sw_reserve(slotwise_engine_t engine, const char *id, size_t id_length,
                              const char *key, size_t key_length, const sw_need_t *need,
                              slotwise_placement_t *placement, slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_TRY(slotwise_reserve(engine, &request, placement));
}

/* The request lies in pinned memory, and all that it points to. */
static inline void sw_reserve_prepared(slotwise_engine_t engine, uintptr_t request,
                                       slotwise_placement_t *placement, slotwise_error_t *err) {
    SW_TRY(slotwise_reserve(engine, (const slotwise_request_t *)request, placement));
}

static inline void sw_reserve_on(slotwise_engine_t engine, slotwise_worker_t worker, const char *id,
                                 size_t id_length, const char *key, size_t key_length,
                                 const sw_need_t *need, const uint64_t *expected,
                                 slotwise_placement_t *placement, slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_TRY(slotwise_reserve_on(engine, worker, &request, expected, placement));
}

static inline void sw_reservation(slotwise_engine_t engine, const char *id, size_t id_length,
                                  slotwise_placement_t *placement, slotwise_error_t *err) {
    SW_TRY(slotwise_reservation(engine, id, id_length, placement));
}

static inline void sw_release(slotwise_engine_t engine, uint64_t ticket,
                              slotwise_released_t *released, slotwise_error_t *err) {
    SW_TRY(slotwise_release(engine, ticket, released));
}

static inline void sw_release_id(slotwise_engine_t engine, const char *id, size_t id_length,
                                 slotwise_released_t *released, slotwise_error_t *err) {
    SW_TRY(slotwise_release_id(engine, id, id_length, released));
}

static inline void sw_release_batch(slotwise_engine_t engine, const uint64_t *tickets, size_t count,
                                    int32_t *statuses, slotwise_released_t *released,
                                    size_t *count_released, slotwise_error_t *err) {
    SW_TRY(slotwise_release_batch(engine, tickets, count, statuses, released, count_released));
}

static inline void sw_resize(slotwise_engine_t engine, uint64_t ticket,
                             const slotwise_resources_t *need, slotwise_resized_t *resized,
                             slotwise_error_t *err) {
    SW_TRY(slotwise_resize(engine, ticket, need, resized));
}

static inline void sw_resize_id(slotwise_engine_t engine, const char *id, size_t id_length,
                                const slotwise_resources_t *need, slotwise_resized_t *resized,
                                slotwise_error_t *err) {
    SW_TRY(slotwise_resize_id(engine, id, id_length, need, resized));
}

/* The requests lie in pinned memory, side by side, and all that they point to. */
static inline void sw_reserve_batch(slotwise_engine_t engine, uintptr_t requests, size_t count,
                                    uint32_t mode, const char *id, size_t id_length,
                                    slotwise_placement_t *placements, slotwise_reasons_t *reasons,
                                    slotwise_batch_done_t *done, slotwise_error_t *err) {
    slotwise_batch_t batch = {.size = sizeof batch,
                              .mode = mode,
                              .requests = (const slotwise_request_t *)requests,
                              .count = count,
                              .placements = placements,
                              .reasons = reasons,
                              .id = id,
                              .id_length = id_length};
    SW_TRY(slotwise_reserve_batch(engine, &batch, done));
}

static inline void sw_dry_run(slotwise_engine_t engine, uintptr_t requests, size_t count,
                              uint32_t mode, const char *id, size_t id_length,
                              const uint64_t *credited, size_t credited_count,
                              slotwise_placement_t *placements, slotwise_reasons_t *reasons,
                              slotwise_batch_done_t *done, slotwise_error_t *err) {
    slotwise_batch_t batch = {.size = sizeof batch,
                              .mode = mode,
                              .requests = (const slotwise_request_t *)requests,
                              .count = count,
                              .placements = placements,
                              .reasons = reasons,
                              .id = id,
                              .id_length = id_length};
    SW_TRY(slotwise_dry_run(engine, &batch, credited, credited_count, done));
}

static inline void sw_reserve_columns(slotwise_engine_t engine, uint32_t mode, size_t count,
                                      const char *key, size_t key_length, const sw_need_t *common,
                                      const sw_terms_t *terms, const slotwise_limit_t *limits,
                                      size_t limit_count,
                                      const char *ids, const uint64_t *id_offsets, size_t id_width,
                                      const uint64_t *cpu, const uint64_t *memory,
                                      const uint64_t *gpus, const uint32_t *selectors,
                                      const uint64_t *hashes, uint64_t *tickets, uint64_t *workers,
                                      uint64_t *versions, int32_t *statuses, const char *batch_id,
                                      size_t batch_id_length, slotwise_batch_done_t *done,
                                      slotwise_error_t *err) {
    slotwise_request_t request = sw_request(NULL, 0, key, key_length, common);
    SW_UNDER(request, terms, limits, limit_count);
    slotwise_columns_t columns = {.size = sizeof columns,
                                  .mode = mode,
                                  .count = count,
                                  .common = &request,
                                  .ids = ids,
                                  .id_offsets = id_offsets,
                                  .id_width = id_width,
                                  .cpu = cpu,
                                  .memory = memory,
                                  .gpus = gpus,
                                  .selectors = selectors,
                                  .hashes = hashes,
                                  .tickets = tickets,
                                  .workers = workers,
                                  .versions = versions,
                                  .statuses = statuses,
                                  .batch_id = batch_id,
                                  .batch_id_length = batch_id_length};
    SW_TRY(slotwise_reserve_columns(engine, &columns, done));
}

static inline void sw_groups_apply(slotwise_engine_t engine, const slotwise_group_t *groups,
                                   size_t count, slotwise_error_t *err) {
    SW_TRY(slotwise_groups_apply(engine, groups, 0, count));
}

static inline void sw_stats(slotwise_engine_t engine, slotwise_stats_t *stats,
                            slotwise_error_t *err) {
    SW_TRY(slotwise_stats(engine, stats));
}

static inline void sw_counts(slotwise_engine_t engine, uint64_t *workers, uint64_t *reservations,
                             slotwise_error_t *err) {
    SW_TRY(slotwise_counts(engine, workers, reservations));
}

static inline void sw_audit(slotwise_engine_t engine, slotwise_audit_t *audit,
                            slotwise_imbalance_t *imbalances, size_t capacity,
                            slotwise_error_t *err) {
    SW_TRY(slotwise_audit(engine, audit, imbalances, capacity));
}

#endif
