/* What the C tests share. A program has a list of tests and prints a line that sums them up. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotwise.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_STATUS(call, expected)                                                               \
    do {                                                                                           \
        int32_t status_ = (call);                                                                  \
        if (status_ != (expected)) {                                                               \
            fprintf(stderr, "%s:%d: %s is %" PRId32 " (%s), not %s\n", __FILE__, __LINE__, #call,  \
                    status_, slotwise_status_text(status_), #expected);                            \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define OK(call) CHECK_STATUS(call, SLOTWISE_OK)

/* A structure, all zero but for its size. */
#define SIZED(type, name)                                                                          \
    type name;                                                                                     \
    memset(&name, 0, sizeof name);                                                                 \
    name.size = sizeof name

static inline slotwise_text_t text(const char *s) {
    slotwise_text_t t;
    t.data = s;
    t.length = s ? strlen(s) : 0;
    return t;
}

static inline slotwise_engine_t engine_new(void) {
    slotwise_engine_t engine = 0;
    OK(slotwise_engine_new(NULL, &engine));
    return engine;
}

static inline slotwise_worker_spec_t spec(const char *id, uint64_t cpu, uint64_t memory) {
    SIZED(slotwise_worker_spec_t, s);
    s.id = text(id);
    s.total.cpu = cpu;
    s.total.memory = memory;
    return s;
}

static inline slotwise_worker_t worker(slotwise_engine_t engine, const char *id, uint64_t cpu,
                                       uint64_t memory) {
    slotwise_worker_t w = 0;
    slotwise_worker_spec_t s = spec(id, cpu, memory);
    OK(slotwise_worker_add(engine, &s, &w));
    return w;
}

static inline slotwise_request_t request(const char *id, uint64_t cpu, uint64_t memory) {
    SIZED(slotwise_request_t, r);
    r.id = id;
    r.id_length = id ? strlen(id) : 0;
    r.cpu = cpu;
    r.memory = memory;
    return r;
}

static inline slotwise_worker_info_t info(slotwise_engine_t engine, slotwise_worker_t w) {
    SIZED(slotwise_worker_info_t, i);
    OK(slotwise_worker_info(engine, w, &i));
    return i;
}

/* The books add up, so many reservations are alive, and the engine is gone. */
static inline void finish(slotwise_engine_t engine, uint64_t reservations) {
    SIZED(slotwise_audit_t, audit);
    OK(slotwise_audit(engine, &audit, NULL, 0));
    CHECK(audit.ok == 1 && audit.imbalances == 0 && audit.unsettled == 0);
    CHECK(audit.reservations == reservations);
    OK(slotwise_engine_free(engine));
}

typedef struct test_t {
    const char *name;
    void (*body)(void);
} test_t;

#define TEST(name) {#name, name}

static inline int run(const test_t *tests, size_t count) {
    for (size_t k = 0; k < count; k++) {
        tests[k].body();
        printf("test %s ... ok\n", tests[k].name);
    }
    printf("test result: ok. %zu passed; 0 failed\n", count);
    return 0;
}

#define RUN(tests) run(tests, sizeof(tests) / sizeof *(tests))

#endif
