/* What requests may come under, the host's clock, preemption and hand-offs, once each. */
#include "terms.h"

static void a_provisional_reservation_is_confirmed_or_ends(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "w", 100, 100);
    slotwise_terms_t terms = until(10);
    slotwise_request_t job = request("a", 10, 10);
    slotwise_placement_t a, b, again;
    job.terms = &terms;
    OK(slotwise_reserve(engine, &job, &a));
    CHECK(a.provisional == 1 && a.existing == 0 && a.version == 1);
    job.id = "b";
    OK(slotwise_reserve_on(engine, w, &job, NULL, &b));
    job.terms = NULL;
    OK(slotwise_reserve(engine, &job, &again));
    CHECK(again.provisional == 1 && again.existing == 1 && again.ticket == b.ticket);
    OK(slotwise_reservation(engine, "b", 1, &again));
    CHECK(again.provisional == 1);
    uint64_t deadline = 0, now = 77;
    OK(slotwise_deadline(engine, a.ticket, &deadline));
    CHECK(deadline == 10);
    OK(slotwise_confirm(engine, a.ticket, &again));
    CHECK(again.ticket == a.ticket && !again.provisional && !again.existing && again.worker == w);
    OK(slotwise_confirm_id(engine, "a", 1, &again));
    CHECK(again.existing == 1);
    OK(slotwise_confirm(engine, a.ticket, NULL));
    CHECK_STATUS(slotwise_deadline(engine, a.ticket, &deadline), SLOTWISE_NOT_HELD);
    OK(slotwise_now(engine, &now));
    CHECK(now == 0);
    slotwise_expired_t ended[2];
    size_t count = 7;
    OK(slotwise_tick(engine, 9, ended, 2, &count));
    CHECK(count == 0);
    OK(slotwise_tick(engine, 10, ended, 2, &count));
    CHECK(count == 1 && ended[0].kind == SLOTWISE_EXPIRED && ended[0].ticket == b.ticket);
    CHECK(ended[0].worker == w && ended[0].amount.cpu == 10 && ended[0].id_length == 1);
    CHECK(ended[0].id[0] == 'b' && ended[0].id[1] == 0);
    OK(slotwise_now(engine, &now));
    CHECK(now == 10);
    CHECK_STATUS(slotwise_confirm(engine, b.ticket, &again), SLOTWISE_NOT_HELD);
    CHECK_STATUS(slotwise_confirm_id(engine, "b", 1, NULL), SLOTWISE_NOT_HELD);
    CHECK(info(engine, w).held.cpu == 10);
    SIZED(slotwise_stats_t, stats);
    OK(slotwise_stats(engine, &stats));
    CHECK(stats.confirmed == 1 && stats.expired == 1 && stats.preempted == 0);
    finish(engine, 1);
}

static void what_has_ended_is_told_once(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_spec_t s = spec("mortal", 100, 100);
    s.lease = 10;
    OK(slotwise_worker_add(engine, &s, NULL));
    slotwise_worker_t w = 0;
    OK(slotwise_worker_find(engine, "mortal", 6, &w));
    CHECK(info(engine, w).lease == 10);
    char id[2] = "a";
    slotwise_terms_t terms = until(10);
    for (; id[0] < 'e'; id[0]++) {
        slotwise_request_t job = request(id, 1, 1);
        slotwise_placement_t placed;
        if (id[0] < 'c') job.terms = &terms;
        OK(slotwise_reserve(engine, &job, &placed));
    }
    slotwise_expired_t ended[8];
    size_t count = 0;
    OK(slotwise_tick(engine, 10, ended, 1, &count));
    CHECK(count == 5);
    OK(slotwise_ended_take(engine, ended + 1, 2, &count));
    CHECK(count == 2);
    OK(slotwise_ended_take(engine, NULL, 0, &count));
    CHECK(count == 0);
    OK(slotwise_ended_take(engine, ended + 3, 5, &count));
    CHECK(count == 2);
    OK(slotwise_ended_take(engine, ended + 5, 3, &count));
    CHECK(count == 0);
    unsigned seen = 0;
    const uint32_t kinds[] = {SLOTWISE_EXPIRED, SLOTWISE_EXPIRED, SLOTWISE_WORKER_EXPIRED,
                              SLOTWISE_LOST_WITH_WORKER, SLOTWISE_LOST_WITH_WORKER};
    for (size_t k = 0; k < 5; k++) {
        CHECK(ended[k].kind == kinds[k] && ended[k].worker == w);
        if (k != 2) seen |= 1u << (ended[k].id[0] - 'a');
    }
    CHECK(seen == 15);
    CHECK(ended[2].ticket == 0 && ended[2].id_length == 6 && !strcmp(ended[2].id, "mortal"));
    CHECK_STATUS(slotwise_heartbeat(engine, "mortal", 6, 20), SLOTWISE_UNKNOWN_WORKER);
    finish(engine, 0);
}

static void a_heartbeat_puts_the_end_off(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "w", 100, 100);
    CHECK(info(engine, w).lease == 0);
    OK(slotwise_heartbeat(engine, "w", 1, 10));
    OK(slotwise_heartbeat(engine, "w", 1, 20));
    CHECK(info(engine, w).lease == 20 && tick(engine, 10) == 0);
    CHECK_STATUS(slotwise_heartbeat(engine, "w", 1, 10), SLOTWISE_DEADLINE_PASSED);
    slotwise_error_t error = last_error();
    CHECK(error.given == 10 && error.limit == 10);
    CHECK(tick(engine, 20) == 1);
    CHECK_STATUS(slotwise_worker_find(engine, "w", 1, &w), SLOTWISE_UNKNOWN_WORKER);
    finish(engine, 0);
}

static void a_quota_is_kept(void) {
    slotwise_engine_t engine = engine_new();
    worker(engine, "w", 1000, 1000);
    uint32_t acme = account(engine, "acme");
    CHECK(account(engine, "acme") == acme && account(engine, "other") != acme);
    SIZED(slotwise_usage_t, usage);
    OK(slotwise_usage(engine, acme, &usage));
    CHECK(usage.quota.cpu == SLOTWISE_UNLIMITED && usage.quota.gpus == SLOTWISE_UNLIMITED);
    CHECK(usage.used.cpu == 0 && usage.reserved == 0);
    slotwise_quota_t quota = {SLOTWISE_UNLIMITED, 100, 0};
    OK(slotwise_quota_set(engine, acme, &quota));
    slotwise_terms_t terms = terms_new();
    terms.flags = SLOTWISE_ACCOUNT;
    terms.account = acme;
    slotwise_request_t jobs[4];
    slotwise_placement_t placed[4], one;
    for (int k = 0; k < 4; k++) {
        jobs[k] = request(NULL, 10, 30);
        jobs[k].terms = &terms;
    }
    SIZED(slotwise_batch_t, batch);
    batch.requests = jobs;
    batch.placements = placed;
    batch.count = 4;
    slotwise_batch_done_t done;
    OK(slotwise_reserve_batch(engine, &batch, &done));
    CHECK(done.placed == 3 && placed[3].status == SLOTWISE_QUOTA_EXCEEDED);
    CHECK(placed[3].dimension == SLOTWISE_MEMORY && placed[3].ticket == 0);
    CHECK_STATUS(slotwise_reserve(engine, &jobs[0], &one), SLOTWISE_QUOTA_EXCEEDED);
    slotwise_error_t error = last_error();
    CHECK(error.given == 90 && error.limit == 100 && error.dimension == SLOTWISE_MEMORY);
    slotwise_resources_t more = {10, 41, 0};
    CHECK_STATUS(slotwise_resize(engine, placed[0].ticket, &more, NULL), SLOTWISE_QUOTA_EXCEEDED);
    error = last_error();
    CHECK(error.given == 90 && error.limit == 100 && error.dimension == SLOTWISE_MEMORY);
    OK(slotwise_usage(engine, acme, &usage));
    CHECK(usage.used.cpu == 30 && usage.used.memory == 90 && usage.quota.memory == 100);
    for (int k = 0; k < 3; k++) OK(slotwise_release(engine, placed[k].ticket, NULL));
    batch.mode = SLOTWISE_ALL_OR_NOTHING;
    OK(slotwise_reserve_batch(engine, &batch, &done));
    CHECK(done.placed == 0 && placed[0].status == SLOTWISE_PEER);
    OK(slotwise_usage(engine, acme, &usage));
    CHECK(usage.used.cpu == 0 && usage.used.memory == 0);

    /* Columns have one for all. */
    slotwise_request_t common = request(NULL, 1, 60);
    common.terms = &terms;
    uint64_t tickets[2];
    int32_t statuses[2];
    SIZED(slotwise_columns_t, columns);
    columns.count = 2;
    columns.common = &common;
    columns.tickets = tickets;
    columns.statuses = statuses;
    OK(slotwise_reserve_columns(engine, &columns, &done));
    CHECK(statuses[0] == SLOTWISE_OK && statuses[1] == SLOTWISE_QUOTA_EXCEEDED);
    OK(slotwise_usage(engine, acme, &usage));
    CHECK(usage.used.memory == 60);
    finish(engine, 1);
}

static void a_group_is_spread(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_label_t zone = {text("zone"), text("north")};
    slotwise_worker_spec_t s = spec("a", 100, 100);
    s.labels = &zone;
    s.label_count = 1;
    slotwise_worker_t a = 0, b = worker(engine, "b", 100, 100);
    OK(slotwise_worker_add(engine, &s, &a));
    slotwise_limit_t limits[2];
    uint32_t zones = 0, machines = 0;
    OK(slotwise_spread_group(engine, "db", 2, SLOTWISE_SCOPE_LABEL, "zone", 4, &zones));
    OK(slotwise_spread_group(engine, "db", 2, SLOTWISE_SCOPE_MACHINE, NULL, 0, &machines));
    limits[0].group = group(engine, "db");
    CHECK(group(engine, "db") == limits[0].group && zones != limits[0].group && zones != machines);
    limits[0].at_most = 1;
    limits[1].group = zones;
    limits[1].at_most = 5;
    slotwise_terms_t terms = terms_new();
    terms.limits = limits;
    terms.limit_count = 1;
    slotwise_request_t jobs[3];
    slotwise_placement_t placed[3];
    slotwise_reasons_t reasons[3];
    for (int k = 0; k < 3; k++) {
        jobs[k] = request(NULL, 1, 1);
        jobs[k].terms = k == 1 ? NULL : &terms;
    }
    /* Those with terms and those without, side by side. */
    jobs[1].cpu = 7;
    SIZED(slotwise_batch_t, batch);
    batch.requests = jobs;
    batch.placements = placed;
    batch.reasons = reasons;
    batch.count = 3;
    OK(slotwise_reserve_batch(engine, &batch, NULL));
    for (int k = 0; k < 3; k++) CHECK(placed[k].status == SLOTWISE_OK && !placed[k].provisional);
    CHECK(placed[0].worker != placed[2].worker);
    slotwise_placement_t one;
    CHECK_STATUS(slotwise_reserve(engine, &jobs[0], &one), SLOTWISE_BUSY);
    CHECK(last_error().reasons.spread == 2);
    uint64_t count = 9;
    OK(slotwise_spread_count(engine, limits[0].group, b, &count));
    CHECK(count == 1);
    limits[0].at_most = 3;
    terms.limit_count = 2;
    OK(slotwise_reserve(engine, &jobs[0], &one));
    CHECK(one.worker == a);
    OK(slotwise_spread_count(engine, zones, a, &count));
    CHECK(count == 1);
    CHECK_STATUS(slotwise_spread_count(engine, zones, b, &count), SLOTWISE_UNKNOWN_GROUP);
    finish(engine, 4);
}

static void others_leave_for_a_higher_priority(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "w", 100, 100);
    slotwise_terms_t low = terms_new(), high = terms_new();
    low.flags = SLOTWISE_PREEMPTABLE;
    low.priority = -5;
    high.priority = 5;
    slotwise_request_t job = request("low", 80, 80);
    slotwise_placement_t victim, claim, second;
    job.terms = &low;
    OK(slotwise_reserve(engine, &job, &victim));
    job = request("high", 70, 70);
    job.terms = &high;
    SIZED(slotwise_preemption_t, plan);
    slotwise_victim_t victims[2];
    size_t count = 0;
    fill(victims, sizeof victims);
    CHECK_STATUS(slotwise_preemption_plan(engine, &job, &plan, NULL, 0, &count),
                 SLOTWISE_ARRAY_TOO_SMALL);
    CHECK(count == 1 && plan.worker == 0 && last_error().given == 0 && last_error().limit == 1);
    OK(slotwise_preemption_plan(engine, &job, &plan, victims, 2, &count));
    CHECK(count == 1 && plan.victim_count == 1 && plan.leaving_count == 0);
    CHECK(plan.worker == w && plan.version == 1 && plan.size == sizeof plan);
    CHECK(victims[0].ticket == victim.ticket && victims[0].amount.cpu == 80);
    CHECK(victims[0].priority == -5 && victims[0].flags == 0 && victims[0].reserved == 0);
    CHECK(victims[0].id_length == 3 && strcmp(victims[0].id, "low") == 0);
    CHECK(untouched(victims + 1, sizeof *victims));
    OK(slotwise_preempt(engine, &job, &plan, victims, count, &claim));
    CHECK(claim.provisional == 1 && claim.worker == w && claim.version == 2);
    CHECK_STATUS(slotwise_confirm(engine, claim.ticket, NULL), SLOTWISE_WAITING);
    CHECK(last_error().given == 1);
    /* Good for one use. */
    slotwise_request_t other = request("other", 70, 70);
    other.terms = &high;
    CHECK_STATUS(slotwise_preempt(engine, &other, &plan, victims, count, &second),
                 SLOTWISE_VERSION_CONFLICT);
    CHECK(last_error().version == 2);
    OK(slotwise_preempt(engine, &job, &plan, victims, count, &second));
    CHECK(second.existing == 1 && second.ticket == claim.ticket);
    /* The rest of what the victim holds, for another one that waits for it as well. */
    other = request("other", 20, 20);
    other.terms = &high;
    OK(slotwise_preemption_plan(engine, &other, &plan, victims, 2, &count));
    CHECK(count == 1 && plan.victim_count == 0 && plan.leaving_count == 1);
    CHECK(victims[0].flags == SLOTWISE_LEAVING && victims[0].ticket == victim.ticket);
    CHECK(victims[0].id_length == 0 && victims[0].amount.cpu == 0);
    OK(slotwise_preempt(engine, &other, &plan, victims, count, &second));
    OK(slotwise_release(engine, victim.ticket, NULL));
    OK(slotwise_confirm(engine, claim.ticket, NULL));
    OK(slotwise_confirm(engine, second.ticket, &second));
    CHECK(!second.provisional && info(engine, w).free.cpu == 10);
    /* What fits displaces nobody, and needs no room for victims. */
    other = request("fits", 10, 10);
    OK(slotwise_preemption_plan(engine, &other, &plan, NULL, 0, &count));
    CHECK(count == 0);
    OK(slotwise_preempt(engine, &other, &plan, NULL, 0, &second));
    CHECK(!second.provisional);
    SIZED(slotwise_stats_t, stats);
    OK(slotwise_stats(engine, &stats));
    CHECK(stats.preempted == 1 && stats.confirmed == 2);
    finish(engine, 3);
}

static void an_expected_worker_comes(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_spec_t s = spec("expected", 100, 100);
    s.flags = SLOTWISE_PENDING;
    slotwise_worker_t expected = 0, real = 0;
    OK(slotwise_worker_add(engine, &s, &expected));
    slotwise_request_t job = request("one", 60, 60);
    job.flags = SLOTWISE_AHEAD;
    slotwise_placement_t one, two, held;
    OK(slotwise_reserve(engine, &job, &one));
    job = request("two", 30, 30);
    job.flags = SLOTWISE_AHEAD;
    OK(slotwise_reserve(engine, &job, &two));
    slotwise_handed_t handed;
    size_t count = 9;
    OK(slotwise_hand_off(engine, "expected", 8, "i-1", 3, &handed, NULL, 0, &count));
    CHECK(count == 0 && handed.worker == expected && handed.moved == 0);
    /* The agent was faster, and its worker is smaller. */
    real = worker(engine, "i-2", 70, 70);
    OK(slotwise_hand_off(engine, "i-1", 3, "i-2", 3, &handed, NULL, 0, &count));
    CHECK(count == 1 && handed.worker == real && handed.moved == 1);
    slotwise_lost_t lost[2];
    OK(slotwise_lost_take(engine, lost, 2, &count));
    CHECK(count == 1 && lost[0].worker == expected);
    OK(slotwise_reservation(engine, lost[0].ticket == two.ticket ? "one" : "two", 3, &held));
    CHECK(held.worker == real);
    CHECK_STATUS(slotwise_hand_off(engine, "i-2", 3, "i-3", 3, NULL, NULL, 0, &count),
                 SLOTWISE_NOT_PENDING);
    CHECK(last_error().state == SLOTWISE_STATE_READY);
    CHECK_STATUS(slotwise_hand_off(engine, "i-2", 3, "i-2", 3, NULL, NULL, 0, &count),
                 SLOTWISE_HAND_OFF_TO_ITSELF);
    CHECK_STATUS(slotwise_hand_off(engine, "i-1", 3, "i-3", 3, NULL, NULL, 0, &count),
                 SLOTWISE_UNKNOWN_WORKER);
    finish(engine, 1);
}

static void readiness_is_of_a_generation(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_spec_t s = spec("w", 100, 100);
    s.flags = SLOTWISE_PENDING;
    s.generation = 3;
    OK(slotwise_worker_add(engine, &s, NULL));
    SIZED(slotwise_worker_info_t, i);
    CHECK_STATUS(slotwise_worker_ready_generation(engine, "w", 1, 2, &i), SLOTWISE_OLD_GENERATION);
    CHECK(last_error().given == 2 && last_error().limit == 3);
    OK(slotwise_worker_ready_generation(engine, "w", 1, 3, &i));
    CHECK(i.state == SLOTWISE_STATE_READY && i.generation == 3);
    s.generation = 4;
    OK(slotwise_worker_update(engine, "w", 1, &s, SLOTWISE_SET_GENERATION, &i));
    CHECK(i.state == SLOTWISE_STATE_PENDING && i.generation == 4 && i.total.cpu == 100);
    s.generation = 1;
    CHECK_STATUS(slotwise_worker_update(engine, "w", 1, &s, SLOTWISE_SET_GENERATION, &i),
                 SLOTWISE_OLD_GENERATION);
    OK(slotwise_worker_update(engine, "w", 1, &s, SLOTWISE_SET_PRIORITY, &i));
    CHECK(i.generation == 4);
    OK(slotwise_worker_ready_generation(engine, "w", 1, 9, NULL));
    finish(engine, 0);
}

int main(void) {
    const test_t tests[] = {
        TEST(a_provisional_reservation_is_confirmed_or_ends),
        TEST(what_has_ended_is_told_once),
        TEST(a_heartbeat_puts_the_end_off),
        TEST(a_quota_is_kept),
        TEST(a_group_is_spread),
        TEST(others_leave_for_a_higher_priority),
        TEST(an_expected_worker_comes),
        TEST(readiness_is_of_a_generation),
    };
    return RUN(tests);
}
