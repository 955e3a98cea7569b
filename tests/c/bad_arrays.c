/* Arrays that are too long, of wrong entries, or that overlap; and what failures leave alone. */
#include "world.h"

static void a_batch_of_none_and_of_a_million(void) {
    slotwise_engine_t e = engine_new();
    slotwise_worker_t w = worker(e, "w", 8388607, 134217727);
    SIZED(slotwise_batch_t, batch);
    slotwise_batch_done_t done;
    OK(slotwise_reserve_batch(e, &batch, &done));
    CHECK(done.placed == 0 && done.failed == 0);
    OK(slotwise_dry_run(e, &batch, NULL, 0, &done));
    OK(slotwise_groups_apply(e, NULL, 0, 0));
    OK(slotwise_workers_add(e, NULL, 0, 0, NULL, NULL));
    OK(slotwise_release_batch(e, NULL, 0, NULL, NULL, NULL));
    enum { MILLION = 1000000 };
    slotwise_request_t *requests = calloc(MILLION, sizeof *requests);
    slotwise_placement_t *placements = calloc(MILLION, sizeof *placements);
    uint64_t *tickets = calloc(MILLION, sizeof *tickets);
    CHECK(requests && placements && tickets);
    for (size_t k = 0; k < MILLION; k++) requests[k] = request(NULL, 1, 1);
    batch.requests = requests;
    batch.placements = placements;
    for (uint32_t mode = SLOTWISE_INDEPENDENT; mode <= SLOTWISE_ALL_OR_NOTHING; mode++) {
        batch.count = MILLION;
        batch.mode = mode;
        OK(slotwise_reserve_batch(e, &batch, &done));
        CHECK(done.placed == MILLION);
        CHECK(info(e, w).held.cpu == MILLION);
        for (size_t k = 0; k < MILLION; k++) tickets[k] = placements[k].ticket;
        size_t count = 0;
        OK(slotwise_release_batch(e, tickets, MILLION, NULL, NULL, &count));
        CHECK(count == MILLION);
    }
    batch.count = SLOTWISE_MAX_COUNT + 1;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_COUNT);
    batch.count = SIZE_MAX;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_COUNT);
    batch.count = 2;
    batch.request_stride = SIZE_MAX & ~(size_t)7;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_COUNT);
    batch.request_stride = sizeof *requests - 8;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_STRIDE);
    batch.request_stride = sizeof *requests + 4;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_MISALIGNED);
    batch.request_stride = 0;
    batch.requests = (const slotwise_request_t *)((const char *)requests + 4);
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_MISALIGNED);
    free(requests);
    free(placements);
    free(tickets);
    finish(e, 0);
}

static void one_wrong_entry_stops_the_whole_call(void) {
    world_t w = world();
    slotwise_request_t requests[3];
    slotwise_placement_t placements[3];
    for (int k = 0; k < 3; k++) requests[k] = request(NULL, 1, 1);
    requests[2].policy = 99;
    fill(placements, sizeof placements);
    SIZED(slotwise_batch_t, batch);
    batch.requests = requests;
    batch.placements = placements;
    batch.count = 3;
    slotwise_batch_done_t done;
    fill(&done, sizeof done);
    CHECK_STATUS(slotwise_reserve_batch(w.engine, &batch, &done), SLOTWISE_UNKNOWN_VALUE);
    SIZED(slotwise_error_t, error);
    OK(slotwise_last_error(&error));
    CHECK(error.index == 2 && error.given == 99);
    CHECK(untouched(placements, sizeof placements) && untouched(&done, sizeof done));
    slotwise_worker_spec_t specs[2] = {spec("a", 1, 1), spec("b", 1, 1)};
    slotwise_added_t added[2];
    size_t registered;
    fill(added, sizeof added);
    specs[1].flags = 1u << 31;
    CHECK_STATUS(slotwise_workers_add(w.engine, specs, 0, 2, added, &registered),
                 SLOTWISE_UNKNOWN_VALUE);
    CHECK(untouched(added, sizeof added));
    unchanged(w);
}

static void arrays_that_overlap(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    const int32_t overlap = SLOTWISE_OVERLAP;
    union {
        slotwise_request_t requests[4];
        slotwise_placement_t placements[8];
        slotwise_batch_done_t done;
        slotwise_reasons_t reasons[4];
        uint64_t numbers[32];
        int32_t statuses[4];
        slotwise_released_t released[4];
        size_t count;
        slotwise_lost_t lost;
        slotwise_worker_info_t info;
        slotwise_audit_t audit;
        slotwise_imbalance_t imbalance;
    } shared;
    for (int k = 0; k < 4; k++) shared.requests[k] = request(NULL, 1, 1);
    slotwise_placement_t placements[4];
    SIZED(slotwise_batch_t, batch);
    batch.requests = shared.requests;
    batch.placements = shared.placements;
    batch.count = 4;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), overlap);
    CHECK_STATUS(slotwise_dry_run(e, &batch, NULL, 0, NULL), overlap);
    batch.placements = placements;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, &shared.done), overlap);
    batch.reasons = shared.reasons;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), overlap);
    batch.reasons = (slotwise_reasons_t *)(void *)placements;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), overlap);
    batch.reasons = NULL;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, (slotwise_batch_done_t *)(void *)&batch),
                 overlap);
    batch.requests = NULL;
    batch.count = 0;
    CHECK_STATUS(slotwise_dry_run(e, &batch, shared.numbers, 4, &shared.done), overlap);
    slotwise_request_t one = request(NULL, 1, 1);
    batch.requests = &one;
    batch.count = 1;
    batch.reasons = shared.reasons;
    CHECK_STATUS(slotwise_dry_run(e, &batch, shared.numbers, 4, NULL), overlap);
    batch.reasons = NULL;
    batch.placements = shared.placements;
    CHECK_STATUS(slotwise_dry_run(e, &batch, shared.numbers, 4, NULL), overlap);

    CHECK_STATUS(slotwise_release_batch(e, shared.numbers, 4, shared.statuses, NULL, NULL),
                 overlap);
    CHECK_STATUS(slotwise_release_batch(e, shared.numbers, 4, NULL, shared.released, NULL),
                 overlap);
    CHECK_STATUS(slotwise_release_batch(e, shared.numbers, 4, NULL, NULL, &shared.count), overlap);

    SIZED(slotwise_columns_t, columns);
    slotwise_request_t common = request(NULL, 1, 1);
    columns.common = &common;
    columns.count = 4;
    columns.cpu = shared.numbers;
    columns.statuses = shared.statuses;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), overlap);
    int32_t statuses[4];
    columns.statuses = statuses;
    columns.tickets = shared.numbers;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), overlap);
    columns.cpu = NULL;
    columns.versions = shared.numbers + 3;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), overlap);
    columns.versions = NULL;
    columns.ids = (const char *)shared.numbers;
    columns.id_width = 8;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), overlap);

    CHECK_STATUS(slotwise_lost_take(e, &shared.lost, 1, &shared.count), overlap);
    CHECK_STATUS(slotwise_worker_remove(e, "w", 1, &shared.lost, 1, &shared.count), overlap);
    CHECK_STATUS(slotwise_workers_list(e, 0, NULL, 0, &shared.info, 1, &shared.count), overlap);
    shared.audit.size = sizeof shared.audit;
    CHECK_STATUS(slotwise_audit(e, &shared.audit, &shared.imbalance, 1), overlap);
    uint64_t both;
    CHECK_STATUS(slotwise_counts(e, &both, &both), overlap);
    unchanged(w);
}

static void failures_write_nothing(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    slotwise_request_t large = request("x", 5000, 1);
    slotwise_placement_t placed;
    fill(&placed, sizeof placed);
    CHECK_STATUS(slotwise_reserve(e, &large, &placed), SLOTWISE_NEVER);
    uint64_t version = 0;
    large.cpu = 1;
    CHECK_STATUS(slotwise_reserve_on(e, w.worker, &large, &version, &placed),
                 SLOTWISE_VERSION_CONFLICT);
    CHECK_STATUS(slotwise_reservation(e, "nothing", 7, &placed), SLOTWISE_NOT_HELD);
    CHECK(untouched(&placed, sizeof placed));
    slotwise_released_t released;
    fill(&released, sizeof released);
    CHECK_STATUS(slotwise_release(e, 1, &released), SLOTWISE_NOT_HELD);
    CHECK_STATUS(slotwise_release_id(e, "x", 1, &released), SLOTWISE_NOT_HELD);
    CHECK(untouched(&released, sizeof released));
    slotwise_resized_t resized;
    slotwise_resources_t need = {5000, 1, 0};
    fill(&resized, sizeof resized);
    CHECK_STATUS(slotwise_resize(e, w.ticket, &need, &resized), SLOTWISE_SHORT);
    CHECK(untouched(&resized, sizeof resized));
    slotwise_worker_t found;
    fill(&found, sizeof found);
    CHECK_STATUS(slotwise_worker_find(e, "x", 1, &found), SLOTWISE_UNKNOWN_WORKER);
    CHECK(untouched(&found, sizeof found));
    slotwise_lost_t lost[2];
    size_t count;
    fill(lost, sizeof lost);
    fill(&count, sizeof count);
    CHECK_STATUS(slotwise_worker_remove(e, "x", 1, lost, 2, &count), SLOTWISE_UNKNOWN_WORKER);
    CHECK(untouched(lost, sizeof lost) && untouched(&count, sizeof count));
    unchanged(w);
}

int main(void) {
    const test_t tests[] = {
        TEST(a_batch_of_none_and_of_a_million),
        TEST(one_wrong_entry_stops_the_whole_call),
        TEST(arrays_that_overlap),
        TEST(failures_write_nothing),
    };
    return RUN(tests);
}
