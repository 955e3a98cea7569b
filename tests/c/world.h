/* What tests of bad input share: outputs that must not be written to, and an engine that must not
   change. */
#ifndef WORLD_H
#define WORLD_H

#include "check.h"

/* An output that must not be written to. */
#define CANARY 0xa5

static inline void fill(void *output, size_t size) { memset(output, CANARY, size); }

static inline int untouched(const void *output, size_t size) {
    const unsigned char *bytes = output;
    for (size_t k = 0; k < size; k++)
        if (bytes[k] != CANARY) return 0;
    return 1;
}

/* An engine with a worker that holds one reservation; where it stands is looked at again at the
   end. */
typedef struct world_t {
    slotwise_engine_t engine;
    slotwise_worker_t worker;
    uint64_t ticket;
} world_t;

static inline world_t world(void) {
    world_t w;
    w.engine = engine_new();
    w.worker = worker(w.engine, "w", 1000, 1000);
    slotwise_request_t job = request("held", 10, 10);
    slotwise_placement_t placed;
    OK(slotwise_reserve(w.engine, &job, &placed));
    w.ticket = placed.ticket;
    return w;
}

static inline void unchanged(world_t w) {
    slotwise_worker_info_t i = info(w.engine, w.worker);
    CHECK(i.version == 1 && i.held.cpu == 10 && i.state == SLOTWISE_STATE_READY);
    uint64_t workers = 0;
    OK(slotwise_counts(w.engine, &workers, NULL));
    CHECK(workers == 1);
    finish(w.engine, 1);
}

#endif
