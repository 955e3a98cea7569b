/* The calls that say what would be, and why; as bridge.h. */
#ifndef SLOTWISE_GO_BRIDGE_FORESIGHT_H
#define SLOTWISE_GO_BRIDGE_FORESIGHT_H

#include "bridge.h"

static inline void sw_explain(slotwise_engine_t engine, const char *id, size_t id_length,
                              const char *key, size_t key_length, const sw_need_t *need,
                              const sw_terms_t *terms, const slotwise_limit_t *limits,
                              size_t limit_count, slotwise_explanation_t *explanation,
                              slotwise_explained_t *workers, size_t capacity, size_t *count,
                              slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_UNDER(request, terms, limits, limit_count);
    SW_TRY(slotwise_explain(engine, &request, explanation, workers, capacity, count));
}

static inline void sw_unmet_demand(slotwise_engine_t engine, const slotwise_worker_spec_t *shape,
                                   uint64_t since, slotwise_demand_t *demand, size_t capacity,
                                   size_t *count, slotwise_error_t *err) {
    SW_TRY(slotwise_unmet_demand(engine, shape, since, demand, capacity, count));
}

static inline void sw_forget_unmet(slotwise_engine_t engine, const char *id, size_t id_length,
                                   uint32_t *forgotten, slotwise_error_t *err) {
    SW_TRY(slotwise_forget_unmet(engine, id, id_length, forgotten));
}

static inline slotwise_supposition_t sw_supposition(const uint64_t *credited, size_t credited_count,
                                                    const uint64_t *without, size_t without_count,
                                                    const slotwise_worker_spec_t *added,
                                                    size_t added_count) {
    slotwise_supposition_t supposition = {.size = sizeof supposition,
                                          .credited = credited,
                                          .credited_count = credited_count,
                                          .without = without,
                                          .without_count = without_count,
                                          .added = added,
                                          .added_count = added_count};
    return supposition;
}

/* The requests lie in pinned memory, side by side, and all that they point to. */
static inline void sw_dry_run_with(slotwise_engine_t engine, uintptr_t requests, size_t count,
                                   uint32_t mode, const char *id, size_t id_length,
                                   const uint64_t *credited, size_t credited_count,
                                   const uint64_t *without, size_t without_count,
                                   const slotwise_worker_spec_t *added, size_t added_count,
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
    slotwise_supposition_t supposition = sw_supposition(credited, credited_count, without,
                                                        without_count, added, added_count);
    SW_TRY(slotwise_dry_run_with(engine, &batch, &supposition, done));
}

static inline void sw_replicas(slotwise_engine_t engine, const char *id, size_t id_length,
                               const char *key, size_t key_length, const sw_need_t *need,
                               const sw_terms_t *terms, const slotwise_limit_t *limits,
                               size_t limit_count, uint32_t n, const uint64_t *credited,
                               size_t credited_count, const uint64_t *without, size_t without_count,
                               const slotwise_worker_spec_t *added, size_t added_count,
                               uint32_t *fit, slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_UNDER(request, terms, limits, limit_count);
    slotwise_supposition_t supposition = sw_supposition(credited, credited_count, without,
                                                        without_count, added, added_count);
    SW_TRY(slotwise_replicas(engine, &request, n, &supposition, fit));
}

#endif
