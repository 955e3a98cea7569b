/* The calls about what requests may come under, about the clock, preemption, hand-offs
 * and devices; as bridge.h. */
#ifndef SLOTWISE_GO_BRIDGE_TERMS_H
#define SLOTWISE_GO_BRIDGE_TERMS_H

#include "bridge.h"

static inline void sw_reserve_on_terms(slotwise_engine_t engine, const char *id, size_t id_length,
                                       const char *key, size_t key_length, const sw_need_t *need,
                                       const sw_terms_t *terms, const slotwise_limit_t *limits,
                                       size_t limit_count, slotwise_placement_t *placement,
                                       slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_UNDER(request, terms, limits, limit_count);
    SW_TRY(slotwise_reserve(engine, &request, placement));
}

/* On one worker, on terms. */
static inline void sw_reserve_there(slotwise_engine_t engine, slotwise_worker_t worker,
                                    const char *id, size_t id_length, const char *key,
                                    size_t key_length, const sw_need_t *need,
                                    const sw_terms_t *terms, const slotwise_limit_t *limits,
                                    size_t limit_count, const uint64_t *expected,
                                    slotwise_placement_t *placement, slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_UNDER(request, terms, limits, limit_count);
    SW_TRY(slotwise_reserve_on(engine, worker, &request, expected, placement));
}

static inline void sw_account(slotwise_engine_t engine, const char *name, size_t name_length,
                              uint32_t *account, slotwise_error_t *err) {
    SW_TRY(slotwise_account(engine, name, name_length, account));
}

static inline void sw_quota_set(slotwise_engine_t engine, uint32_t account,
                                const slotwise_quota_t *quota, slotwise_error_t *err) {
    SW_TRY(slotwise_quota_set(engine, account, quota));
}

static inline void sw_usage(slotwise_engine_t engine, uint32_t account, slotwise_usage_t *usage,
                            slotwise_error_t *err) {
    SW_TRY(slotwise_usage(engine, account, usage));
}

static inline void sw_spread_group(slotwise_engine_t engine, const char *name, size_t name_length,
                                   uint32_t scope, const char *label, size_t label_length,
                                   uint32_t *group, slotwise_error_t *err) {
    SW_TRY(slotwise_spread_group(engine, name, name_length, scope, label, label_length, group));
}

static inline void sw_spread_count(slotwise_engine_t engine, uint32_t group,
                                   slotwise_worker_t worker, uint64_t *count,
                                   slotwise_error_t *err) {
    SW_TRY(slotwise_spread_count(engine, group, worker, count));
}

static inline void sw_tick(slotwise_engine_t engine, uint64_t now, slotwise_expired_t *expired,
                           size_t capacity, size_t *count, slotwise_error_t *err) {
    SW_TRY(slotwise_tick(engine, now, expired, capacity, count));
}

static inline void sw_ended_take(slotwise_engine_t engine, slotwise_expired_t *expired,
                                 size_t capacity, size_t *count, slotwise_error_t *err) {
    SW_TRY(slotwise_ended_take(engine, expired, capacity, count));
}

static inline void sw_now(slotwise_engine_t engine, uint64_t *now, slotwise_error_t *err) {
    SW_TRY(slotwise_now(engine, now));
}

static inline void sw_confirm(slotwise_engine_t engine, uint64_t ticket,
                              slotwise_placement_t *placement, slotwise_error_t *err) {
    SW_TRY(slotwise_confirm(engine, ticket, placement));
}

static inline void sw_confirm_id(slotwise_engine_t engine, const char *id, size_t id_length,
                                 slotwise_placement_t *placement, slotwise_error_t *err) {
    SW_TRY(slotwise_confirm_id(engine, id, id_length, placement));
}

static inline void sw_deadline(slotwise_engine_t engine, uint64_t ticket, uint64_t *deadline,
                               slotwise_error_t *err) {
    SW_TRY(slotwise_deadline(engine, ticket, deadline));
}

static inline void sw_heartbeat(slotwise_engine_t engine, const char *id, size_t id_length,
                                uint64_t until, slotwise_error_t *err) {
    SW_TRY(slotwise_heartbeat(engine, id, id_length, until));
}

static inline void sw_worker_ready_generation(slotwise_engine_t engine, const char *id,
                                              size_t id_length, uint64_t generation,
                                              slotwise_worker_info_t *info,
                                              slotwise_error_t *err) {
    SW_TRY(slotwise_worker_ready_generation(engine, id, id_length, generation, info));
}

static inline void sw_hand_off(slotwise_engine_t engine, const char *expected,
                               size_t expected_length, const char *real, size_t real_length,
                               slotwise_handed_t *handed, slotwise_lost_t *lost, size_t capacity,
                               size_t *count, slotwise_error_t *err) {
    SW_TRY(slotwise_hand_off(engine, expected, expected_length, real, real_length, handed, lost,
                             capacity, count));
}

static inline void sw_preemption_plan(slotwise_engine_t engine, const char *id, size_t id_length,
                                      const char *key, size_t key_length, const sw_need_t *need,
                                      const sw_terms_t *terms, const slotwise_limit_t *limits,
                                      size_t limit_count, slotwise_preemption_t *preemption,
                                      slotwise_victim_t *victims, size_t capacity, size_t *count,
                                      slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_UNDER(request, terms, limits, limit_count);
    SW_TRY(slotwise_preemption_plan(engine, &request, preemption, victims, capacity, count));
}

static inline void sw_preempt(slotwise_engine_t engine, const char *id, size_t id_length,
                              const char *key, size_t key_length, const sw_need_t *need,
                              const sw_terms_t *terms, const slotwise_limit_t *limits,
                              size_t limit_count, const slotwise_preemption_t *preemption,
                              const slotwise_victim_t *victims, size_t count,
                              slotwise_placement_t *placement, slotwise_error_t *err) {
    slotwise_request_t request = sw_request(id, id_length, key, key_length, need);
    SW_UNDER(request, terms, limits, limit_count);
    SW_TRY(slotwise_preempt(engine, &request, preemption, victims, count, placement));
}

static inline void sw_granted(slotwise_engine_t engine, uint64_t ticket,
                              slotwise_granted_t *granted, slotwise_error_t *err) {
    SW_TRY(slotwise_granted(engine, ticket, granted));
}

static inline void sw_worker_devices(slotwise_engine_t engine, slotwise_worker_t worker,
                                     slotwise_device_state_t *states, size_t capacity,
                                     size_t *count, slotwise_error_t *err) {
    SW_TRY(slotwise_worker_devices(engine, worker, states, capacity, count));
}

#endif
