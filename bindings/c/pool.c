/* A pool of threads that schedules jobs on 1,000 workers, while an operator cordons some of them.
 *
 *   cc -pthread pool.c $(pkg-config --cflags --libs slotwise) -o pool && ./pool [rounds]
 *
 * Each thread keeps a window of jobs alive. It places half of them in batches and half one by one,
 * gives them back by ticket or by id, and takes a busy cluster as what it is: a reason to give
 * something back and come again. At the end all is given back and the books are audited; the exit
 * status is 1 if they do not add up.
 */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <pthread.h>
#include <slotwise.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORKERS = 1000, THREADS = 8, BATCH = 16, WINDOW = 512 };

static slotwise_engine_t engine;
static long rounds = 2000;
static atomic_int working = THREADS;

/* Counts of one thread. */
typedef struct counts_t {
    uint64_t placed, refused, released;
} counts_t;

/* A job that is alive: known by its ticket and, unless it is anonymous, by its id. */
typedef struct alive_t {
    uint64_t ticket;
    char id[24];
} alive_t;

static void fail(const char *what, int32_t status) {
    char sentence[256] = "";
    slotwise_last_error_text(sentence, sizeof sentence, NULL);
    fprintf(stderr, "%s: %s (%s)\n", what, slotwise_status_text(status), sentence);
    exit(1);
}

static void must(const char *what, int32_t status) {
    if (status != SLOTWISE_OK) fail(what, status);
}

static uint64_t next(uint64_t *seed) { /* xorshift */
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

/* One of these sizes: between 1/4 and 4 cores. Together they ask for more than there is. */
static slotwise_request_t job(uint64_t *seed, const char *id) {
    slotwise_request_t request = {.size = sizeof request, .id = id};
    request.id_length = id ? strlen(id) : 0;
    request.cpu = UINT64_C(250) << next(seed) % 5;
    request.memory = UINT64_C(512) << next(seed) % 4;
    return request;
}

/* What a thread holds, as a ring: the oldest job ends first. */
typedef struct window_t {
    alive_t jobs[WINDOW];
    size_t first, count;
} window_t;

static void push(window_t *window, uint64_t ticket, const char *id) {
    alive_t *to = &window->jobs[(window->first + window->count++) % WINDOW];
    to->ticket = ticket;
    snprintf(to->id, sizeof to->id, "%s", id ? id : "");
}

static void end_oldest(window_t *window, size_t count, counts_t *counts) {
    for (; count > 0 && window->count > 0; count--) {
        alive_t *job = &window->jobs[window->first];
        window->first = (window->first + 1) % WINDOW;
        window->count--;
        /* By id where there is one: then a ticket need not be kept. */
        size_t length = strlen(job->id);
        must("release", length ? slotwise_release_id(engine, job->id, length, NULL)
                               : slotwise_release(engine, job->ticket, NULL));
        counts->released++;
    }
}

/* Waiting helps where it is busy: here, giving back what was held longest. Nothing else may come. */
static void refused(int32_t status, window_t *window, counts_t *counts) {
    if (status != SLOTWISE_BUSY) fail("reserve", status);
    counts->refused++;
    end_oldest(window, 2, counts);
}

static void *schedule(void *argument) {
    counts_t *counts = argument;
    uint64_t me = (uint64_t)(uintptr_t)argument, seed = me | 1, jobs = 0;
    window_t *window = calloc(1, sizeof *window);
    slotwise_request_t requests[BATCH];
    slotwise_placement_t placements[BATCH];
    slotwise_batch_t batch = {.size = sizeof batch, .requests = requests, .count = BATCH};
    batch.placements = placements;
    if (!window) fail("calloc", SLOTWISE_OK);

    must("retain", slotwise_engine_retain(engine)); /* while this thread calls */
    for (long round = 0; round < rounds; round++) {
        if (window->count + 2 * BATCH > WINDOW) end_oldest(window, 2 * BATCH, counts);
        /* Anonymous, many in one call. */
        for (size_t k = 0; k < BATCH; k++) requests[k] = job(&seed, NULL);
        must("batch", slotwise_reserve_batch(engine, &batch, NULL));
        for (size_t k = 0; k < BATCH; k++) {
            if (placements[k].status != SLOTWISE_OK) continue;
            push(window, placements[k].ticket, NULL);
            counts->placed++;
        }
        for (size_t k = 0; k < BATCH; k++)
            if (placements[k].status != SLOTWISE_OK) refused(placements[k].status, window, counts);
        /* By name, one by one. */
        for (size_t k = 0; k < BATCH; k++) {
            char id[24];
            snprintf(id, sizeof id, "%" PRIx64 "-%" PRIu64, me & 0xffffffff, jobs++);
            slotwise_request_t request = job(&seed, id);
            slotwise_placement_t placed;
            int32_t status = slotwise_reserve(engine, &request, &placed);
            if (status != SLOTWISE_OK) {
                refused(status, window, counts);
                continue;
            }
            push(window, placed.ticket, id);
            counts->placed++;
        }
    }
    end_oldest(window, WINDOW, counts);
    must("free", slotwise_engine_free(engine));
    free(window);
    atomic_fetch_sub(&working, 1);
    return NULL;
}

/* The operator: takes a few workers out of service and back, as long as jobs are scheduled. */
static void *operate(void *argument) {
    uint64_t *cordons = argument, seed = 88172645463325252;
    while (atomic_load(&working) > 0) {
        char id[24];
        int length = snprintf(id, sizeof id, "node-%d", (int)(next(&seed) % WORKERS));
        must("cordon", slotwise_worker_cordon(engine, id, (size_t)length, NULL));
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        must("uncordon", slotwise_worker_uncordon(engine, id, (size_t)length, NULL));
        ++*cordons;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1) rounds = atol(argv[1]);
    slotwise_config_t config;
    must("defaults", slotwise_config_default(&config));
    config.max_workers = WORKERS;
    config.max_reservations = 65536;
    must("engine", slotwise_engine_new(&config, &engine));
    for (int k = 0; k < WORKERS; k++) {
        char id[24];
        slotwise_worker_spec_t node = {.size = sizeof node};
        node.id.length = (size_t)snprintf(id, sizeof id, "node-%d", k);
        node.id.data = id;
        node.total.cpu = 4000;
        node.total.memory = 16384;
        must("worker", slotwise_worker_add(engine, &node, NULL));
    }

    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pthread_t threads[THREADS], operator_;
    static counts_t counts[THREADS];
    uint64_t cordons = 0;
    for (int k = 0; k < THREADS; k++)
        if (pthread_create(&threads[k], NULL, schedule, &counts[k])) fail("thread", SLOTWISE_OK);
    if (pthread_create(&operator_, NULL, operate, &cordons)) fail("thread", SLOTWISE_OK);
    for (int k = 0; k < THREADS; k++) pthread_join(threads[k], NULL);
    pthread_join(operator_, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);

    counts_t sum = {0, 0, 0};
    for (int k = 0; k < THREADS; k++) {
        sum.placed += counts[k].placed;
        sum.refused += counts[k].refused;
        sum.released += counts[k].released;
    }
    slotwise_audit_t audit = {.size = sizeof audit};
    must("audit", slotwise_audit(engine, &audit, NULL, 0));
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("%d threads, %d workers: %" PRIu64 " placed, %" PRIu64 " refused, %" PRIu64
           " released, %" PRIu64 " cordons, in %.2f s\n",
           THREADS, WORKERS, sum.placed, sum.refused, sum.released, cordons, seconds);
    int ok = audit.ok && audit.reservations == 0 && sum.placed == sum.released;
    printf("audit: %s\n", ok ? "the books add up" : "BROKEN");
    must("free", slotwise_engine_free(engine));
    return ok ? 0 : 1;
}
