/* The shared library loaded into a program whose threads run already, as other languages load it:
 * each thread finds its own, and what ends with a thread is there for the next. */
#include <dlfcn.h>
#include <pthread.h>

#include "check.h"

static void *library;
static slotwise_engine_t engine;
static pthread_barrier_t loaded;

#define LOAD(name) __typeof__(&name) name##_ = (__typeof__(&name))dlsym(library, #name)

static void *pairs(void *unused) {
    (void)unused;
    LOAD(slotwise_reserve);
    LOAD(slotwise_release);
    SIZED(slotwise_request_t, job);
    job.cpu = job.memory = 1;
    for (int k = 0; k < 10000; k++) {
        slotwise_placement_t placed;
        CHECK(slotwise_reserve_(engine, &job, &placed) == SLOTWISE_OK);
        CHECK(slotwise_release_(engine, placed.ticket, NULL) == SLOTWISE_OK);
    }
    return NULL;
}

static void *early(void *unused) {
    pthread_barrier_wait(&loaded);
    return pairs(unused);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    pthread_t threads[8];
    CHECK(pthread_barrier_init(&loaded, NULL, 5) == 0);
    for (int k = 0; k < 4; k++) CHECK(pthread_create(&threads[k], NULL, early, NULL) == 0);
    library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fprintf(stderr, "%s\n", dlerror());
    CHECK(library != NULL);
    LOAD(slotwise_engine_new);
    LOAD(slotwise_engine_free);
    LOAD(slotwise_worker_add);
    LOAD(slotwise_stats);
    LOAD(slotwise_audit);
    CHECK(slotwise_engine_new_(NULL, &engine) == SLOTWISE_OK);
    slotwise_worker_spec_t s = spec("w", 1000, 1000);
    CHECK(slotwise_worker_add_(engine, &s, NULL) == SLOTWISE_OK);
    pthread_barrier_wait(&loaded);
    for (int k = 4; k < 8; k++) CHECK(pthread_create(&threads[k], NULL, pairs, NULL) == 0);
    pairs(NULL);
    for (int k = 0; k < 8; k++) CHECK(pthread_join(threads[k], NULL) == 0);
    for (int k = 0; k < 8; k++) {
        CHECK(pthread_create(&threads[k], NULL, pairs, NULL) == 0);
        CHECK(pthread_join(threads[k], NULL) == 0);
    }
    SIZED(slotwise_stats_t, stats);
    CHECK(slotwise_stats_(engine, &stats) == SLOTWISE_OK);
    CHECK(stats.placed == 170000 && stats.released == 170000);
    SIZED(slotwise_audit_t, audit);
    CHECK(slotwise_audit_(engine, &audit, NULL, 0) == SLOTWISE_OK);
    CHECK(audit.ok && audit.reservations == 0);
    CHECK(slotwise_engine_free_(engine) == SLOTWISE_OK);
    return 0;
}
