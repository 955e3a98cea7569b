/* Policies that learn: what they know, what is useless to it, and which moves would change that. */
#include "terms.h"

enum { WORKERS = 3, ROOM = 600 };

static slotwise_engine_t learning(uint32_t policy) {
    slotwise_config_t config;
    slotwise_engine_t engine = 0;
    OK(slotwise_config_default(&config));
    CHECK(config.max_planners == 4 && config.seed == 1);
    config.policy = policy;
    config.seed = 42;
    OK(slotwise_engine_new(&config, &engine));
    for (int k = 0; k < WORKERS; k++) {
        char id[] = {(char)('a' + k), 0};
        slotwise_device_t devices[2];
        memset(devices, 0, sizeof devices);
        devices[0].id = text("0");
        devices[1].id = text("1");
        slotwise_worker_spec_t s = spec(id, 64000, 262144);
        s.devices = devices;
        s.device_count = 2;
        OK(slotwise_worker_add(engine, &s, NULL));
    }
    return engine;
}

static slotwise_placement_t place(slotwise_engine_t engine, slotwise_worker_t on, uint32_t milli) {
    slotwise_request_t job = request(NULL, 1000, 1024);
    slotwise_terms_t terms = terms_new();
    slotwise_placement_t placed;
    terms.device_count = 1;
    terms.device_milli = milli;
    job.terms = &terms;
    if (on == 0) {
        OK(slotwise_reserve(engine, &job, &placed));
    } else {
        OK(slotwise_reserve_on(engine, on, &job, NULL, &placed));
    }
    return placed;
}

static void a_plan_of_moves_is_carried_out(uint32_t policy) {
    slotwise_engine_t engine = learning(policy);
    slotwise_kind_t kinds[SLOTWISE_MAX_KINDS + 1];
    slotwise_fragmentation_t figure, before, after;
    slotwise_move_t moves[WORKERS + 1];
    size_t count = 77;
    uint64_t arrived = 77;
    fill(&figure, sizeof figure);
    CHECK_STATUS(slotwise_learned(engine, kinds, 1, &count, &arrived), SLOTWISE_NOTHING_LEARNED);
    CHECK_STATUS(slotwise_fragmentation(engine, &figure), SLOTWISE_NOTHING_LEARNED);
    CHECK_STATUS(slotwise_repack(engine, moves, 1, &count, NULL, NULL), SLOTWISE_NOTHING_LEARNED);
    CHECK(count == 77 && arrived == 77 && untouched(&figure, sizeof figure));

    /* A device is left with 400 on each of two workers; what comes wants a whole one. */
    slotwise_placement_t whole = place(engine, 0, 1000);
    slotwise_placement_t partial = place(engine, 0, 600);
    OK(slotwise_release(engine, whole.ticket, NULL));
    OK(slotwise_release(engine, partial.ticket, NULL));
    for (int k = 0; k < 9; k++) OK(slotwise_release(engine, place(engine, 0, 1000).ticket, NULL));
    slotwise_worker_t w[2];
    OK(slotwise_worker_find(engine, "a", 1, &w[0]));
    OK(slotwise_worker_find(engine, "b", 1, &w[1]));
    slotwise_placement_t first = place(engine, w[0], 300), second = place(engine, w[1], 300);

    fill(kinds, sizeof kinds);
    OK(slotwise_learned(engine, kinds, SLOTWISE_MAX_KINDS, &count, &arrived));
    CHECK(count == 2 && arrived == 11 && untouched(kinds + 2, sizeof *kinds));
    CHECK(kinds[0].count == 10 && kinds[0].milli == 1000 && kinds[0].devices == 1);
    CHECK(kinds[1].count == 1 && kinds[1].milli == 600 && kinds[1].cpu == 1000);
    CHECK(kinds[0].gpu_types == 0 && kinds[0].reserved == 0);
    fill(kinds, sizeof kinds);
    OK(slotwise_learned(engine, kinds, 1, &count, NULL));
    CHECK(count == 2 && untouched(kinds + 1, sizeof *kinds));

    OK(slotwise_fragmentation(engine, &figure));
    CHECK(figure.free_milli == 2 * WORKERS * 1000 - 600 && figure.arrived == 11);
    CHECK(figure.unusable_milli > 0);
    fill(moves, sizeof moves);
    OK(slotwise_repack(engine, moves, WORKERS, &count, &before, &after));
    CHECK(count == 1 && untouched(moves + 1, sizeof *moves));
    CHECK(memcmp(&before, &figure, sizeof before) == 0);
    CHECK(after.unusable_milli + moves[0].frees_milli == before.unusable_milli);
    if (moves[0].from == w[1]) { /* Either frees as much as the other. */
        slotwise_placement_t other = first;
        first = second;
        second = other;
    }
    CHECK(moves[0].ticket == first.ticket && moves[0].from == first.worker);
    CHECK(moves[0].to == second.worker && moves[0].to_version == second.version);
    CHECK(moves[0].devices == 1);

    slotwise_request_t job = request(NULL, 1000, 1024);
    slotwise_terms_t terms = terms_new();
    slotwise_placement_t moved;
    terms.device_count = 1;
    terms.device_milli = 300;
    job.terms = &terms;
    OK(slotwise_reserve_on(engine, moves[0].to, &job, &moves[0].to_version, &moved));
    OK(slotwise_release(engine, first.ticket, NULL));
    OK(slotwise_fragmentation(engine, &figure));
    CHECK(figure.unusable_milli == after.unusable_milli);
    OK(slotwise_repack(engine, NULL, 0, &count, NULL, NULL));
    CHECK(count == 0);
    OK(slotwise_release(engine, second.ticket, NULL));
    OK(slotwise_release(engine, moved.ticket, NULL));
    finish(engine, 0);
}

static void adaptive_plans_moves_that_can_be_carried_out(void) {
    a_plan_of_moves_is_carried_out(SLOTWISE_POLICY_ADAPTIVE);
}

static void fgd_plans_moves_that_can_be_carried_out(void) {
    a_plan_of_moves_is_carried_out(SLOTWISE_POLICY_FGD);
}

static void numbers_out_of_range(void) {
    slotwise_config_t config;
    slotwise_engine_t engine = 0;
    OK(slotwise_config_default(&config));
    config.max_planners = 0;
    CHECK_STATUS(slotwise_engine_new(&config, &engine), SLOTWISE_CONFIG);
    config.max_planners = 65;
    CHECK_STATUS(slotwise_engine_new(&config, &engine), SLOTWISE_CONFIG);
    config.max_planners = 64;
    config.policy = SLOTWISE_POLICY_ADAPTIVE + 1;
    CHECK_STATUS(slotwise_engine_new(&config, &engine), SLOTWISE_UNKNOWN_VALUE);
}

static void arguments_that_are_wrong(void) {
    slotwise_engine_t e = learning(SLOTWISE_POLICY_FGD), closed = engine_new(), stale = engine_new();
    union {
        size_t count;
        slotwise_kind_t kinds[2];
        slotwise_move_t moves[2];
        slotwise_fragmentation_t figure;
        char bytes[sizeof(slotwise_move_t) + 1];
    } u;
    size_t count = 0;
    OK(slotwise_engine_close(closed));
    OK(slotwise_engine_free(stale));
    (void)place(e, 0, 500);
    CHECK_STATUS(slotwise_learned(e, NULL, 1, &count, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_learned(e, u.kinds, 2, NULL, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_learned(e, u.kinds, 2, &u.count, NULL), SLOTWISE_OVERLAP);
    CHECK_STATUS(slotwise_learned(e, u.kinds, SIZE_MAX, &count, NULL), SLOTWISE_COUNT);
    CHECK_STATUS(slotwise_learned(e, (void *)(u.bytes + 1), 1, &count, NULL), SLOTWISE_MISALIGNED);
    CHECK_STATUS(slotwise_learned(closed, u.kinds, 2, &count, NULL), SLOTWISE_CLOSED);
    CHECK_STATUS(slotwise_learned(stale, u.kinds, 2, &count, NULL), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_fragmentation(e, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_fragmentation(e, (void *)(u.bytes + 1)), SLOTWISE_MISALIGNED);
    CHECK_STATUS(slotwise_fragmentation(closed, &u.figure), SLOTWISE_CLOSED);
    CHECK_STATUS(slotwise_fragmentation(stale, &u.figure), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_repack(e, NULL, 1, &count, NULL, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_repack(e, u.moves, 2, NULL, NULL, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_repack(e, u.moves, 2, &u.count, NULL, NULL), SLOTWISE_OVERLAP);
    CHECK_STATUS(slotwise_repack(e, u.moves, 2, &count, &u.figure, NULL), SLOTWISE_OVERLAP);
    CHECK_STATUS(slotwise_repack(e, u.moves, SIZE_MAX, &count, NULL, NULL), SLOTWISE_COUNT);
    CHECK_STATUS(slotwise_repack(e, (void *)(u.bytes + 1), 1, &count, NULL, NULL),
                 SLOTWISE_MISALIGNED);
    CHECK_STATUS(slotwise_repack(closed, u.moves, 2, &count, NULL, NULL), SLOTWISE_CLOSED);
    CHECK_STATUS(slotwise_repack(stale, u.moves, 2, &count, NULL, NULL), SLOTWISE_STALE_HANDLE);
    OK(slotwise_engine_free(closed));
    finish(e, 1);
}

int main(void) {
    const test_t tests[] = {
        TEST(adaptive_plans_moves_that_can_be_carried_out),
        TEST(fgd_plans_moves_that_can_be_carried_out),
        TEST(numbers_out_of_range),
        TEST(arguments_that_are_wrong),
    };
    return RUN(tests);
}
