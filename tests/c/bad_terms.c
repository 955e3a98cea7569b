/* What is wrong with terms, and with calls about time, accounts, groups, preemption and hand-offs, has a
   status of its own, and nothing is written or changed. */
#include "terms.h"

static void null_pointers(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    const int32_t null = SLOTWISE_NULL_POINTER;
    slotwise_request_t job = request("x", 1, 1);
    slotwise_placement_t placed;
    uint32_t number;
    size_t count;
    SIZED(slotwise_preemption_t, plan);
    CHECK_STATUS(slotwise_account(e, NULL, 1, &number), null);
    CHECK_STATUS(slotwise_account(e, "a", 1, NULL), null);
    CHECK_STATUS(slotwise_quota_set(e, 0, NULL), null);
    CHECK_STATUS(slotwise_usage(e, 0, NULL), null);
    CHECK_STATUS(slotwise_spread_group(e, NULL, 1, 0, NULL, 0, &number), null);
    CHECK_STATUS(slotwise_spread_group(e, "a", 1, 2, NULL, 1, &number), null);
    CHECK_STATUS(slotwise_spread_group(e, "a", 1, 0, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_spread_count(e, 0, w.worker, NULL), null);
    CHECK_STATUS(slotwise_tick(e, 5, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_tick(e, 5, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_ended_take(e, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_ended_take(e, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_now(e, NULL), null);
    CHECK_STATUS(slotwise_confirm_id(e, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_deadline(e, w.ticket, NULL), null);
    CHECK_STATUS(slotwise_heartbeat(e, NULL, 1, 5), null);
    CHECK_STATUS(slotwise_worker_ready_generation(e, NULL, 1, 5, NULL), null);
    CHECK_STATUS(slotwise_hand_off(e, NULL, 1, "y", 1, NULL, NULL, 0, &count), null);
    CHECK_STATUS(slotwise_hand_off(e, "w", 1, NULL, 1, NULL, NULL, 0, &count), null);
    CHECK_STATUS(slotwise_hand_off(e, "w", 1, "y", 1, NULL, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_hand_off(e, "w", 1, "y", 1, NULL, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_preemption_plan(e, NULL, &plan, NULL, 0, &count), null);
    CHECK_STATUS(slotwise_preemption_plan(e, &job, NULL, NULL, 0, &count), null);
    CHECK_STATUS(slotwise_preemption_plan(e, &job, &plan, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_preemption_plan(e, &job, &plan, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_preempt(e, NULL, &plan, NULL, 0, &placed), null);
    CHECK_STATUS(slotwise_preempt(e, &job, NULL, NULL, 0, &placed), null);
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, NULL, 1, &placed), null);
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, NULL, 0, NULL), null);
    slotwise_terms_t terms = terms_new();
    terms.limit_count = 1;
    job.terms = &terms;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), null);
    uint64_t now = 77;
    OK(slotwise_now(e, &now));
    CHECK(now == 0);
    unchanged(w);
}

/* The same wrong terms in every call that takes a request. */
static void refuse(world_t w, const slotwise_terms_t *terms, int32_t expected) {
    slotwise_engine_t e = w.engine;
    slotwise_request_t jobs[2] = {request(NULL, 1, 1), request(NULL, 1, 1)};
    slotwise_placement_t placed[2];
    int32_t status = 0;
    size_t count;
    SIZED(slotwise_preemption_t, plan);
    SIZED(slotwise_batch_t, batch);
    SIZED(slotwise_columns_t, columns);
    jobs[1].terms = terms;
    fill(placed, sizeof placed);
    CHECK_STATUS(slotwise_reserve(e, &jobs[1], placed), expected);
    CHECK_STATUS(slotwise_reserve_on(e, w.worker, &jobs[1], NULL, placed), expected);
    CHECK_STATUS(slotwise_preemption_plan(e, &jobs[1], &plan, NULL, 0, &count), expected);
    CHECK_STATUS(slotwise_preempt(e, &jobs[1], &plan, NULL, 0, placed), expected);
    batch.requests = jobs;
    batch.placements = placed;
    batch.count = 2;
    CHECK_STATUS(slotwise_dry_run(e, &batch, NULL, 0, NULL), expected);
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), expected);
    CHECK(last_error().index == 1);
    columns.count = 1;
    columns.common = &jobs[1];
    columns.statuses = &status;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), expected);
    CHECK(untouched(placed, sizeof placed) && status == 0);
}

static void terms_that_cannot_be_read(void) {
    world_t w = world();
    const uint32_t deltas[] = {1, 8, 0x10000, 0u - 1, 0u - 8};
    for (size_t k = 0; k < sizeof deltas / sizeof *deltas; k++) {
        slotwise_terms_t terms = terms_new();
        terms.size += deltas[k];
        refuse(w, &terms, SLOTWISE_STRUCT_SIZE);
    }
    slotwise_terms_t terms = terms_new();
    terms.reserved = UINT64_C(1) << 63;
    refuse(w, &terms, SLOTWISE_RESERVED);
    const uint32_t flags[] = {8, 0x80000000u, UINT32_MAX};
    for (size_t k = 0; k < 3; k++) {
        terms = terms_new();
        terms.flags = flags[k];
        refuse(w, &terms, SLOTWISE_UNKNOWN_VALUE);
    }
    terms = terms_new();
    terms.hold_until = 5;
    refuse(w, &terms, SLOTWISE_UNKNOWN_VALUE);
    terms = terms_new();
    terms.account = 5;
    refuse(w, &terms, SLOTWISE_UNKNOWN_VALUE);
    slotwise_limit_t limits[2] = {{0, 1}, {0, 1}};
    terms = terms_new();
    terms.limits = (const slotwise_limit_t *)(const void *)((const char *)limits + 1);
    terms.limit_count = 1;
    refuse(w, &terms, SLOTWISE_MISALIGNED);
    terms.limits = limits;
    terms.limit_count = SIZE_MAX;
    refuse(w, &terms, SLOTWISE_COUNT);
    terms = terms_new();
    refuse(w, (const slotwise_terms_t *)(const void *)((const char *)&terms + 1),
           SLOTWISE_MISALIGNED);
    unchanged(w);
}

/* What can be read and is refused by the engine, by request. */
static void terms_that_are_refused(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine, far = engine_new();
    slotwise_request_t job = request("x", 1, 1);
    slotwise_placement_t placed;
    slotwise_limit_t limits[5];
    slotwise_terms_t terms = terms_new();
    char name[2] = "a";
    uint32_t foreign_account = 0, foreign_group = 0;
    for (; name[0] < 'f'; name[0]++) {
        foreign_account = account(far, name);
        foreign_group = group(far, name);
    }
    job.terms = &terms;
    terms.flags = SLOTWISE_ACCOUNT;
    terms.account = foreign_account;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_UNKNOWN_ACCOUNT);
    terms.account = UINT32_MAX;
    CHECK_STATUS(slotwise_reserve_on(e, w.worker, &job, NULL, &placed), SLOTWISE_UNKNOWN_ACCOUNT);
    slotwise_quota_t quota = {1, 1, 1};
    SIZED(slotwise_usage_t, usage);
    CHECK_STATUS(slotwise_quota_set(e, foreign_account, &quota), SLOTWISE_UNKNOWN_ACCOUNT);
    CHECK_STATUS(slotwise_usage(e, foreign_account, &usage), SLOTWISE_UNKNOWN_ACCOUNT);
    terms = terms_new();
    terms.limits = limits;
    for (int k = 0; k < 5; k++) {
        limits[k].group = foreign_group;
        limits[k].at_most = 1;
    }
    terms.limit_count = 1;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_UNKNOWN_GROUP);
    uint64_t count = 0;
    CHECK_STATUS(slotwise_spread_count(e, foreign_group, w.worker, &count), SLOTWISE_UNKNOWN_GROUP);
    CHECK_STATUS(slotwise_spread_count(e, foreign_group, 0, &count), SLOTWISE_UNKNOWN_WORKER);
    terms.limit_count = 5;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_TOO_MANY_LIMITS);
    CHECK(last_error().given == 5 && last_error().limit == SLOTWISE_MAX_LIMITS);
    limits[0].group = group(e, "g");
    limits[0].at_most = 0;
    terms.limit_count = 1;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_BUSY);
    terms = until(0);
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_DEADLINE_PASSED);
    OK(slotwise_tick(e, 50, NULL, 0, &(size_t){0}));
    terms = until(50);
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_DEADLINE_PASSED);
    CHECK(last_error().given == 50 && last_error().limit == 50);
    size_t ended = 77;
    CHECK_STATUS(slotwise_tick(e, 49, NULL, 0, &ended), SLOTWISE_CLOCK_WENT_BACK);
    CHECK(last_error().given == 49 && last_error().limit == 50 && ended == 77);
    OK(slotwise_engine_free(far));
    unchanged(w);
}

static void names_scopes_and_plans_that_are_wrong(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    uint32_t number = 77;
    char longest[SLOTWISE_MAX_NAME_LENGTH + 1];
    memset(longest, 'x', sizeof longest);
    CHECK_STATUS(slotwise_account(e, "", 0, &number), SLOTWISE_NAME_LENGTH);
    CHECK_STATUS(slotwise_account(e, longest, sizeof longest, &number), SLOTWISE_NAME_LENGTH);
    CHECK_STATUS(slotwise_account(e, longest, SIZE_MAX, &number), SLOTWISE_COUNT);
    CHECK_STATUS(slotwise_spread_group(e, "g", 1, 2, "", 0, &number), SLOTWISE_NAME_LENGTH);
    CHECK_STATUS(slotwise_spread_group(e, "g", 1, 0, "zone", 4, &number), SLOTWISE_UNKNOWN_VALUE);
    CHECK_STATUS(slotwise_spread_group(e, "g", 1, 3, NULL, 0, &number), SLOTWISE_UNKNOWN_VALUE);
    CHECK(number == 77);

    slotwise_config_t config;
    slotwise_engine_t small = 0;
    OK(slotwise_config_default(&config));
    CHECK(config.max_accounts == 65536 && config.max_groups == 65536);
    config.max_accounts = 0;
    CHECK_STATUS(slotwise_engine_new(&config, &small), SLOTWISE_CONFIG);
    config.max_accounts = config.max_groups = 1;
    OK(slotwise_engine_new(&config, &small));
    account(small, "a");
    group(small, "a");
    CHECK_STATUS(slotwise_account(small, "b", 1, &number), SLOTWISE_TOO_MANY_NAMES);
    CHECK(last_error().limit == 1);
    CHECK_STATUS(slotwise_spread_group(small, "b", 1, 0, NULL, 0, &number),
                 SLOTWISE_TOO_MANY_NAMES);
    finish(small, 0);

    slotwise_request_t job = request("x", 1, 1);
    slotwise_placement_t placed;
    size_t count = 0;
    SIZED(slotwise_preemption_t, plan);
    slotwise_victim_t victim;
    memset(&victim, 0, sizeof victim);
    plan.size--;
    CHECK_STATUS(slotwise_preemption_plan(e, &job, &plan, &victim, 1, &count),
                 SLOTWISE_STRUCT_SIZE);
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, NULL, 0, &placed), SLOTWISE_STRUCT_SIZE);
    plan.size++;
    OK(slotwise_preemption_plan(e, &job, &plan, &victim, 1, &count));
    plan.reserved = 1;
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, NULL, 0, &placed), SLOTWISE_RESERVED);
    plan.reserved = 0;
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, &victim, 1, &placed), SLOTWISE_UNKNOWN_VALUE);
    plan.victim_count = 1;
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, NULL, 0, &placed), SLOTWISE_UNKNOWN_VALUE);
    victim.flags = 2;
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, &victim, 1, &placed), SLOTWISE_UNKNOWN_VALUE);
    victim.flags = 0;
    victim.reserved = 1;
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, &victim, 1, &placed), SLOTWISE_RESERVED);
    victim.reserved = 0;
    /* A plan that is made up is looked up, and nothing is believed. */
    victim.ticket = w.ticket;
    CHECK_STATUS(slotwise_preempt(e, &job, &plan, &victim, 1, &placed), SLOTWISE_VERSION_CONFLICT);
    SIZED(slotwise_usage_t, usage);
    usage.size += 8;
    CHECK_STATUS(slotwise_usage(e, 0, &usage), SLOTWISE_STRUCT_SIZE);
    unchanged(w);
}

static void handles_that_are_closed_or_stale(void) {
    slotwise_engine_t e = engine_new(), stale = engine_new();
    OK(slotwise_engine_free(stale));
    OK(slotwise_engine_close(e));
    slotwise_request_t job = request("x", 1, 1);
    slotwise_placement_t placed;
    slotwise_quota_t quota = {1, 1, 1};
    SIZED(slotwise_usage_t, usage);
    SIZED(slotwise_preemption_t, plan);
    uint32_t n = 0;
    uint64_t time = 0;
    size_t count = 0;
    const struct {
        slotwise_engine_t engine;
        int32_t status;
    } bad[] = {{e, SLOTWISE_CLOSED}, {stale, SLOTWISE_STALE_HANDLE}, {0, SLOTWISE_STALE_HANDLE}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        const slotwise_engine_t x = bad[k].engine;
        const int32_t status = bad[k].status;
        CHECK_STATUS(slotwise_account(x, "a", 1, &n), status);
        CHECK_STATUS(slotwise_quota_set(x, 0, &quota), status);
        CHECK_STATUS(slotwise_usage(x, 0, &usage), status);
        CHECK_STATUS(slotwise_spread_group(x, "a", 1, 0, NULL, 0, &n), status);
        CHECK_STATUS(slotwise_spread_count(x, 0, 0, &time), status);
        CHECK_STATUS(slotwise_tick(x, 1, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_ended_take(x, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_now(x, &time), status);
        CHECK_STATUS(slotwise_confirm(x, 1, NULL), status);
        CHECK_STATUS(slotwise_confirm_id(x, "a", 1, NULL), status);
        CHECK_STATUS(slotwise_deadline(x, 1, &time), status);
        CHECK_STATUS(slotwise_heartbeat(x, "a", 1, 1), status);
        CHECK_STATUS(slotwise_worker_ready_generation(x, "a", 1, 1, NULL), status);
        CHECK_STATUS(slotwise_hand_off(x, "a", 1, "b", 1, NULL, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_preemption_plan(x, &job, &plan, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_preempt(x, &job, &plan, NULL, 0, &placed), status);
    }
    OK(slotwise_engine_free(e));
}

/* Numbers that were never given out, and results that lie on each other. */
static void tickets_and_overlaps(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    slotwise_placement_t placed;
    const uint64_t tickets[] = {0, 1, w.ticket + 1, UINT64_MAX};
    uint64_t deadline = 77;
    for (size_t k = 0; k < sizeof tickets / sizeof *tickets; k++) {
        fill(&placed, sizeof placed);
        CHECK_STATUS(slotwise_confirm(e, tickets[k], &placed), SLOTWISE_NOT_HELD);
        CHECK_STATUS(slotwise_deadline(e, tickets[k], &deadline), SLOTWISE_NOT_HELD);
        CHECK(untouched(&placed, sizeof placed) && deadline == 77);
    }
    CHECK_STATUS(slotwise_confirm_id(e, "", 0, &placed), SLOTWISE_NOT_HELD);
    union {
        slotwise_expired_t expired[2];
        slotwise_lost_t lost[2];
        slotwise_victim_t victims[2];
        slotwise_preemption_t plan;
        slotwise_request_t job;
        size_t count;
    } u;
    memset(&u, 0, sizeof u);
    CHECK_STATUS(slotwise_tick(e, 1, u.expired, 2, &u.count), SLOTWISE_OVERLAP);
    CHECK_STATUS(slotwise_ended_take(e, u.expired, 2, &u.count), SLOTWISE_OVERLAP);
    CHECK_STATUS(slotwise_hand_off(e, "w", 1, "v", 1, NULL, u.lost, 2, &u.count), SLOTWISE_OVERLAP);
    size_t count = 0;
    slotwise_request_t job = request("x", 1, 1);
    u.plan.size = sizeof u.plan;
    CHECK_STATUS(slotwise_preemption_plan(e, &job, &u.plan, u.victims, 2, &count),
                 SLOTWISE_OVERLAP);
    CHECK_STATUS(slotwise_tick(e, 1, u.expired, SIZE_MAX, &count), SLOTWISE_COUNT);
    CHECK_STATUS(slotwise_tick(
                     e, 1, (slotwise_expired_t *)(void *)((char *)u.expired + 1), 1, &count),
                 SLOTWISE_MISALIGNED);
    OK(slotwise_now(e, &deadline));
    CHECK(deadline == 0);
    unchanged(w);
}

int main(void) {
    const test_t tests[] = {
        TEST(null_pointers),
        TEST(terms_that_cannot_be_read),
        TEST(terms_that_are_refused),
        TEST(names_scopes_and_plans_that_are_wrong),
        TEST(handles_that_are_closed_or_stale),
        TEST(tickets_and_overlaps),
    };
    return RUN(tests);
}
