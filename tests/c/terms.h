/* What tests of terms share. */
#ifndef TERMS_H
#define TERMS_H

#include "world.h"

static inline slotwise_terms_t terms_new(void) {
    SIZED(slotwise_terms_t, terms);
    return terms;
}

static inline slotwise_terms_t until(uint64_t time) {
    slotwise_terms_t terms = terms_new();
    terms.flags = SLOTWISE_HOLD;
    terms.hold_until = time;
    return terms;
}

static inline uint32_t account(slotwise_engine_t engine, const char *name) {
    uint32_t number = UINT32_MAX;
    OK(slotwise_account(engine, name, strlen(name), &number));
    return number;
}

static inline uint32_t group(slotwise_engine_t engine, const char *name) {
    uint32_t number = UINT32_MAX;
    OK(slotwise_spread_group(engine, name, strlen(name), SLOTWISE_SCOPE_WORKER, NULL, 0, &number));
    return number;
}

static inline size_t tick(slotwise_engine_t engine, uint64_t now) {
    size_t count = 0;
    OK(slotwise_tick(engine, now, NULL, 0, &count));
    return count;
}

static inline slotwise_error_t last_error(void) {
    SIZED(slotwise_error_t, error);
    OK(slotwise_last_error(&error));
    return error;
}

#endif
