/* The calls about what policies have learned, and what follows from it; as bridge.h. */
#ifndef SLOTWISE_GO_BRIDGE_LEARNING_H
#define SLOTWISE_GO_BRIDGE_LEARNING_H

#include "bridge.h"

static inline void sw_learned(slotwise_engine_t engine, slotwise_kind_t *kinds, size_t capacity,
                              size_t *count, uint64_t *arrived, slotwise_error_t *err) {
    SW_TRY(slotwise_learned(engine, kinds, capacity, count, arrived));
}

static inline void sw_fragmentation(slotwise_engine_t engine,
                                    slotwise_fragmentation_t *fragmentation,
                                    slotwise_error_t *err) {
    SW_TRY(slotwise_fragmentation(engine, fragmentation));
}

static inline void sw_repack(slotwise_engine_t engine, slotwise_move_t *moves, size_t capacity,
                             size_t *count, slotwise_fragmentation_t *before,
                             slotwise_fragmentation_t *after, slotwise_error_t *err) {
    SW_TRY(slotwise_repack(engine, moves, capacity, count, before, after));
}

#endif
