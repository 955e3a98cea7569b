/* Devices: parts of a GPU, several near to one another, what is told of them, what is refused. */
#include "terms.h"

enum { MILLI = 1000, MEMORY = 81920 };

static slotwise_device_t device(const char *id, uint32_t island) {
    slotwise_device_t d;
    memset(&d, 0, sizeof d);
    d.id = text(id);
    d.memory = MEMORY;
    d.island = island;
    return d;
}

/* Four devices: two on island 0, two on island 7. */
static slotwise_worker_t shared(slotwise_engine_t engine, const char *id) {
    const slotwise_device_t devices[] = {device("0", 0), device("1", 0), device("2", 7),
                                         device("3", 7)};
    slotwise_worker_spec_t s = spec(id, 64000, 262144);
    slotwise_worker_t w = 0;
    s.gpu_type = text("H100");
    s.devices = devices;
    s.device_count = 4;
    OK(slotwise_worker_add(engine, &s, &w));
    return w;
}

static slotwise_terms_t asks(uint32_t count, uint32_t milli, uint64_t memory, uint32_t island) {
    slotwise_terms_t terms = terms_new();
    terms.device_count = count;
    terms.device_milli = milli;
    terms.device_memory = memory;
    terms.island = island;
    return terms;
}

static int32_t reserve(slotwise_engine_t engine, slotwise_terms_t terms, uint64_t *ticket) {
    slotwise_request_t job = request(NULL, 1000, 1024);
    slotwise_placement_t placed;
    job.terms = &terms;
    int32_t status = slotwise_reserve(engine, &job, &placed);
    if (status == SLOTWISE_OK) *ticket = placed.ticket;
    return status;
}

static slotwise_granted_t granted(slotwise_engine_t engine, uint64_t ticket) {
    slotwise_granted_t g;
    fill(&g, sizeof g);
    OK(slotwise_granted(engine, ticket, &g));
    CHECK(g.reserved == 0);
    return g;
}

/* What the four devices have free, as one after the other. */
static void check_free(slotwise_engine_t engine, slotwise_worker_t w, const uint32_t milli[4],
                       const uint64_t memory[4]) {
    slotwise_device_state_t states[5];
    size_t count = 0;
    fill(states, sizeof states);
    OK(slotwise_worker_devices(engine, w, states, 5, &count));
    CHECK(count == 4 && untouched(states + 4, sizeof *states));
    for (size_t k = 0; k < 4; k++) {
        CHECK(states[k].free_milli == milli[k] && states[k].free_memory == memory[k]);
        CHECK(states[k].memory == MEMORY && states[k].island == (k < 2 ? 0 : 7));
    }
}

static void check_all_free(slotwise_engine_t engine, slotwise_worker_t w) {
    check_free(engine, w, (const uint32_t[]){MILLI, MILLI, MILLI, MILLI},
               (const uint64_t[]){MEMORY, MEMORY, MEMORY, MEMORY});
    CHECK(info(engine, w).free.gpus == 4 && info(engine, w).total.gpus == 4);
}

static void parts_share_a_device(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = shared(engine, "w");
    uint64_t half = 0, more = 0, whole = 0, none = 0;
    check_all_free(engine, w);
    OK(reserve(engine, asks(1, 500, MEMORY / 2, 0), &half));
    slotwise_granted_t g = granted(engine, half);
    CHECK(g.devices == 1 && g.milli == 500 && g.memory == MEMORY / 2);
    /* Where there is least, so that the others stay whole. */
    OK(reserve(engine, asks(1, 400, 0, 0), &more));
    g = granted(engine, more);
    CHECK(g.devices == 1 && g.milli == 400 && g.memory == 0);
    check_free(engine, w, (const uint32_t[]){100, MILLI, MILLI, MILLI},
               (const uint64_t[]){MEMORY / 2, MEMORY, MEMORY, MEMORY});
    CHECK(info(engine, w).free.gpus == 3 && info(engine, w).version == 2);
    OK(reserve(engine, asks(3, MILLI, 0, 0), &whole));
    CHECK(granted(engine, whole).devices == 14 && granted(engine, whole).milli == MILLI);
    CHECK_STATUS(reserve(engine, asks(1, 101, 0, 0), &none), SLOTWISE_BUSY);
    CHECK(last_error().dimension == SLOTWISE_GPUS && last_error().reasons.gpus == 1);
    CHECK_STATUS(reserve(engine, asks(5, MILLI, 0, 0), &none), SLOTWISE_NEVER);
    CHECK_STATUS(reserve(engine, asks(1, 1, MEMORY + 1, 0), &none), SLOTWISE_NEVER);

    OK(slotwise_release(engine, half, NULL));
    OK(slotwise_release(engine, more, NULL));
    OK(slotwise_release(engine, whole, NULL));
    check_all_free(engine, w);
    CHECK_STATUS(slotwise_release(engine, half, NULL), SLOTWISE_NOT_HELD);
    check_all_free(engine, w);
    finish(engine, 0);
}

static void several_are_near_to_one_another(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = shared(engine, "w");
    uint64_t one = 0, pair = 0, apart = 0;
    OK(reserve(engine, asks(1, 1, 0, 0), &one));
    CHECK(granted(engine, one).devices == 1);
    CHECK_STATUS(reserve(engine, asks(3, MILLI, 0, SLOTWISE_ISLAND_INSIST), &pair), SLOTWISE_NEVER);
    OK(reserve(engine, asks(2, MILLI, 0, SLOTWISE_ISLAND_INSIST), &pair));
    CHECK(granted(engine, pair).devices == 12);
    CHECK_STATUS(reserve(engine, asks(2, MILLI, 0, SLOTWISE_ISLAND_INSIST), &apart), SLOTWISE_BUSY);
    OK(slotwise_release(engine, pair, NULL));
    OK(reserve(engine, asks(3, MILLI, 0, SLOTWISE_ISLAND_PREFER), &apart));
    CHECK(granted(engine, apart).devices == 14);
    OK(slotwise_release(engine, apart, NULL));
    OK(reserve(engine, asks(2, MILLI, 0, SLOTWISE_ISLAND_ANY), &pair));
    CHECK(granted(engine, pair).devices == 6);
    OK(slotwise_release(engine, pair, NULL));
    OK(slotwise_release(engine, one, NULL));
    check_all_free(engine, w);
    finish(engine, 0);
}

static void it_is_told_who_holds_what(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = shared(engine, "w"), plain = worker(engine, "plain", 1000, 1000);
    slotwise_placement_t placed;
    uint64_t part = 0;
    OK(reserve(engine, asks(1, 250, 7, 0), &part));
    /* Held, and without devices: with terms, without. */
    slotwise_terms_t terms = until(50);
    slotwise_request_t job = request("a", 10, 10);
    job.terms = &terms;
    OK(slotwise_reserve_on(engine, plain, &job, NULL, &placed));
    slotwise_granted_t g = granted(engine, placed.ticket);
    CHECK(g.devices == 0 && g.milli == 0 && g.memory == 0);
    job = request("b", 10, 10);
    OK(slotwise_reserve_on(engine, plain, &job, NULL, &placed));
    CHECK(granted(engine, placed.ticket).devices == 0);
    size_t count = 77;
    OK(slotwise_worker_devices(engine, plain, NULL, 0, &count));
    CHECK(count == 0);

    /* As far as there is room. */
    slotwise_device_state_t states[2];
    fill(states, sizeof states);
    OK(slotwise_worker_devices(engine, w, states, 1, &count));
    CHECK(count == 4 && states[0].free_milli == 750 && untouched(states + 1, sizeof *states));

    /* A change of the amount leaves the devices; their number stays. */
    slotwise_resources_t need = {2000, 512, 0};
    OK(slotwise_resize(engine, part, &need, NULL));
    CHECK(granted(engine, part).devices == 1 && granted(engine, part).memory == 7);
    need.gpus = 1;
    CHECK_STATUS(slotwise_resize(engine, part, &need, NULL), SLOTWISE_DEVICES_STAY);
    CHECK(info(engine, w).held.cpu == 2000);

    const uint64_t wrong[] = {0, UINT64_MAX};
    fill(&g, sizeof g);
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
        CHECK_STATUS(slotwise_granted(engine, wrong[k], &g), SLOTWISE_NOT_HELD);
    OK(slotwise_release(engine, part, NULL));
    CHECK_STATUS(slotwise_granted(engine, part, &g), SLOTWISE_NOT_HELD);
    CHECK(untouched(&g, sizeof g));
    check_all_free(engine, w);
    finish(engine, 2);
}

/* Requests for a number of GPUs go elsewhere, and an explanation says so. */
static void numbers_and_devices_do_not_mix(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = shared(engine, "w");
    slotwise_request_t job = request("x", 10, 10);
    slotwise_placement_t placed;
    job.gpus = 1;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_NEVER);
    SIZED(slotwise_explanation_t, why);
    slotwise_explained_t explained;
    size_t count = 0;
    OK(slotwise_explain(engine, &job, &why, &explained, 1, &count));
    CHECK(why.status == SLOTWISE_NEVER && why.mismatches.devices == 1 && why.reserved == 0);
    CHECK(why.mismatches.gpu_type == 0 && why.mismatches.gpu_separation == 0);
    CHECK(count == 1 && explained.worker == w && explained.reason == SLOTWISE_REASON_MISMATCH);
    CHECK(explained.detail == SLOTWISE_MISMATCH_DEVICES);

    /* A gang has devices each, or none: five do not fit on four, two do. */
    slotwise_terms_t terms = asks(1, 600, 0, 0), all = asks(4, 1000, 0, 0);
    slotwise_request_t jobs[] = {request("a", 1, 1), request("b", 1, 1), request("c", 1, 1),
                                 request("d", 1, 1), request("e", 1, 1)};
    slotwise_placement_t both[5];
    SIZED(slotwise_batch_t, batch);
    for (size_t k = 0; k < 5; k++) jobs[k].terms = &terms;
    batch.requests = jobs;
    batch.placements = both;
    batch.count = 5;
    batch.mode = SLOTWISE_ALL_OR_NOTHING;
    OK(slotwise_reserve_batch(engine, &batch, NULL));
    CHECK(both[0].status == SLOTWISE_PEER && both[4].status == SLOTWISE_BUSY);
    CHECK(info(engine, w).version == 0);
    batch.count = 2;
    OK(slotwise_reserve_batch(engine, &batch, NULL));
    CHECK(granted(engine, both[0].ticket).devices == 1 && both[0].version == 1);
    CHECK(granted(engine, both[1].ticket).devices == 2 && both[1].version == 2);
    jobs[2].terms = &all;
    OK(slotwise_explain(engine, &jobs[2], &why, &explained, 1, &count));
    CHECK(why.status == SLOTWISE_BUSY && why.reasons.gpus == 1);
    CHECK(explained.reason == SLOTWISE_REASON_SHORT && explained.missing.gpus == 2);

    /* A device is a GPU to a quota. */
    slotwise_quota_t quota = {SLOTWISE_UNLIMITED, SLOTWISE_UNLIMITED, 1};
    uint64_t ticket = 0, over = 0;
    terms.flags = SLOTWISE_ACCOUNT;
    terms.account = account(engine, "acme");
    OK(slotwise_quota_set(engine, terms.account, &quota));
    OK(reserve(engine, terms, &ticket));
    CHECK_STATUS(reserve(engine, terms, &over), SLOTWISE_QUOTA_EXCEEDED);
    CHECK(last_error().dimension == SLOTWISE_GPUS && last_error().limit == 1);
    finish(engine, 3);
}

/* A device is claimed, and is nobody's while those on it have not left. */
static void devices_are_made_room_for(void) {
    slotwise_engine_t engine = engine_new();
    shared(engine, "w");
    slotwise_terms_t low = asks(2, 1000, 0, 0), high = asks(1, 600, 0, 0);
    low.flags = SLOTWISE_PREEMPTABLE;
    low.priority = -1;
    uint64_t all = 0, more = 0;
    OK(reserve(engine, low, &all));
    OK(reserve(engine, low, &more));
    slotwise_request_t job = request("job", 1, 1);
    job.terms = &high;
    SIZED(slotwise_preemption_t, plan);
    slotwise_victim_t victims[2];
    size_t count = 0;
    OK(slotwise_preemption_plan(engine, &job, &plan, victims, 2, &count));
    CHECK(count == 1 && plan.victim_count == 1 && victims[0].ticket == all);
    slotwise_placement_t claim, placed;
    OK(slotwise_preempt(engine, &job, &plan, victims, count, &claim));
    CHECK(claim.provisional == 1);
    slotwise_granted_t g = granted(engine, claim.ticket);
    CHECK(g.devices == 1 && g.milli == 600);
    CHECK_STATUS(slotwise_confirm(engine, claim.ticket, &placed), SLOTWISE_WAITING);
    OK(slotwise_release(engine, all, NULL));
    CHECK_STATUS(reserve(engine, asks(2, 1000, 0, 0), &more), SLOTWISE_BUSY);
    OK(slotwise_confirm(engine, claim.ticket, &placed));
    CHECK(placed.provisional == 0);
    finish(engine, 2);
}

static void requests_that_cannot_be_right_change_nothing(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = shared(engine, "w");
    slotwise_request_t job = request("x", 1, 1);
    slotwise_placement_t placed;
    const struct {
        slotwise_terms_t terms;
        int32_t status;
        uint64_t given, limit;
    } bad[] = {
        {asks(1, 1001, 0, 0), SLOTWISE_DEVICE_OVER_WHOLE, 1001, 1000},
        {asks(1, UINT32_MAX, 0, 0), SLOTWISE_DEVICE_OVER_WHOLE, UINT32_MAX, 1000},
        {asks(1, 0, 0, 0), SLOTWISE_DEVICE_EMPTY, 0, 0},
        {asks(2, 500, 0, 0), SLOTWISE_DEVICE_PARTS, 2, 1},
        {asks(17, 1000, 0, 0), SLOTWISE_TOO_MANY_DEVICES, 17, SLOTWISE_MAX_DEVICES},
        {asks(UINT32_MAX, 1, 0, 0), SLOTWISE_TOO_MANY_DEVICES, UINT32_MAX, SLOTWISE_MAX_DEVICES},
        {asks(1, 1, 1 << 27, 0), SLOTWISE_TOO_LARGE, 1 << 27, (1 << 27) - 1},
        {asks(1, 1, 0, 3), SLOTWISE_UNKNOWN_VALUE, 3, 0},
        {asks(1, 1, 0, UINT32_MAX), SLOTWISE_UNKNOWN_VALUE, UINT32_MAX, 0},
        /* Without devices there is nothing to say of them. */
        {asks(0, 500, 0, 0), SLOTWISE_UNKNOWN_VALUE, 500, 0},
        {asks(0, 0, 7, 0), SLOTWISE_UNKNOWN_VALUE, 7, 0},
        {asks(0, 0, 0, 1), SLOTWISE_UNKNOWN_VALUE, 1, 0},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        job.terms = &bad[k].terms;
        fill(&placed, sizeof placed);
        CHECK_STATUS(slotwise_reserve(engine, &job, &placed), bad[k].status);
        CHECK(last_error().given == bad[k].given && last_error().limit == bad[k].limit);
        CHECK_STATUS(slotwise_reserve_on(engine, w, &job, NULL, &placed), bad[k].status);
        CHECK(untouched(&placed, sizeof placed));
    }
    slotwise_terms_t terms = asks(1, 500, 0, 0);
    job.terms = &terms;
    job.gpus = 1;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_GPUS_BESIDE_DEVICES);
    job.gpus = 0;
    terms.reserved2 = 1;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_RESERVED);
    check_all_free(engine, w);
    CHECK(info(engine, w).version == 0);
    finish(engine, 0);
}

static void workers_that_cannot_be_right_are_not_registered(void) {
    world_t w = world();
    slotwise_device_t devices[17];
    char names[17][3];
    for (int k = 0; k < 17; k++) {
        snprintf(names[k], sizeof names[k], "%d", k);
        devices[k] = device(names[k], 0);
    }
    slotwise_worker_spec_t s = spec("x", 100, 100);
    slotwise_worker_t added = 77;
    s.devices = devices;
    s.device_count = 17;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_TOO_MANY_DEVICES);
    CHECK(last_error().given == 17 && last_error().limit == SLOTWISE_MAX_DEVICES);
    s.device_count = SIZE_MAX;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_COUNT);
    s.device_count = 3;
    devices[2].id = text("0");
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_DUPLICATE_DEVICE);
    CHECK(last_error().index == 2);
    devices[2].id = text(NULL);
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_NAME_LENGTH);
    devices[2].id.length = 1;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_NULL_POINTER);
    CHECK(last_error().index == 2);
    devices[2] = device("2", 0);
    const uint32_t islands[] = {255, 256, 257, UINT32_MAX};
    for (int k = 0; k < 4; k++) {
        devices[2].island = islands[k];
        CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_ISLAND_TOO_HIGH);
        CHECK(last_error().given == islands[k] && last_error().limit == SLOTWISE_MAX_ISLAND);
        CHECK(last_error().index == 2);
    }
    devices[2] = device("2", SLOTWISE_MAX_ISLAND);
    devices[2].reserved = 1;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_RESERVED);
    devices[2].reserved = 0;
    devices[2].memory = 1 << 27;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_TOO_LARGE);
    CHECK(last_error().dimension == SLOTWISE_MEMORY && last_error().given == 1 << 27);
    devices[2].memory = 0;
    s.devices = (const slotwise_device_t *)(const void *)((const char *)devices + 1);
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_MISALIGNED);
    s.devices = NULL;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_NULL_POINTER);
    s.devices = devices;
    s.total.gpus = 4;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_GPUS_BESIDE_DEVICES);
    s.total.gpus = 0;
    s.set_aside.gpus = 1;
    CHECK_STATUS(slotwise_worker_add(w.engine, &s, &added), SLOTWISE_GPUS_BESIDE_DEVICES);
    s.set_aside.gpus = 0;
    /* One that is right beside one that is not. */
    slotwise_worker_spec_t two[2] = {s, s};
    slotwise_added_t results[2];
    size_t registered = 0;
    two[0].total.gpus = 2;
    two[1].total.gpus = 3;
    OK(slotwise_workers_add(w.engine, two, 0, 2, results, &registered));
    CHECK(registered == 1 && results[0].status == SLOTWISE_GPUS_BESIDE_DEVICES);
    CHECK(results[1].status == SLOTWISE_OK && added == 77);
    /* Its devices stay as they are, and their number with them. */
    slotwise_worker_spec_t change = spec("x", 200, 100);
    change.total.gpus = 4;
    CHECK_STATUS(slotwise_worker_update(w.engine, "x", 1, &change, SLOTWISE_SET_TOTAL, NULL),
                 SLOTWISE_GPUS_BESIDE_DEVICES);
    CHECK(info(w.engine, results[1].worker).total.cpu == 100);
    s.total.cpu = 300;
    OK(slotwise_worker_update(w.engine, "x", 1, &s, SLOTWISE_SET_TOTAL, NULL));
    CHECK(info(w.engine, results[1].worker).total.cpu == 300);
    CHECK(info(w.engine, results[1].worker).total.gpus == 3);
    size_t count = 0;
    OK(slotwise_worker_remove(w.engine, "x", 1, NULL, 0, &count));
    unchanged(w);
}

static void arguments_that_are_wrong(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine, stale = engine_new(), closed = engine_new();
    OK(slotwise_engine_free(stale));
    OK(slotwise_engine_close(closed));
    union {
        slotwise_device_state_t states[2];
        slotwise_granted_t granted;
        size_t count;
    } u;
    size_t count = 77;
    fill(&u, sizeof u);
    CHECK_STATUS(slotwise_worker_devices(e, w.worker, NULL, 1, &count), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_worker_devices(e, w.worker, NULL, 0, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_worker_devices(e, w.worker, u.states, 2, &u.count), SLOTWISE_OVERLAP);
    CHECK_STATUS(slotwise_worker_devices(e, w.worker, u.states, SIZE_MAX, &count), SLOTWISE_COUNT);
    void *odd = (char *)u.states + 1;
    CHECK_STATUS(slotwise_worker_devices(e, w.worker, odd, 1, &count), SLOTWISE_MISALIGNED);
    CHECK_STATUS(slotwise_worker_devices(e, 0, u.states, 2, &count), SLOTWISE_UNKNOWN_WORKER);
    CHECK_STATUS(slotwise_worker_devices(stale, 0, u.states, 2, &count), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_worker_devices(closed, 0, u.states, 2, &count), SLOTWISE_CLOSED);
    CHECK_STATUS(slotwise_granted(e, w.ticket, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_granted(e, w.ticket, odd), SLOTWISE_MISALIGNED);
    CHECK_STATUS(slotwise_granted(stale, 1, &u.granted), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_granted(closed, 1, &u.granted), SLOTWISE_CLOSED);
    CHECK(untouched(&u, sizeof u) && count == 77);
    OK(slotwise_engine_free(closed));
    unchanged(w);
}

int main(void) {
    const test_t tests[] = {
        TEST(parts_share_a_device),
        TEST(several_are_near_to_one_another),
        TEST(it_is_told_who_holds_what),
        TEST(numbers_and_devices_do_not_mix),
        TEST(devices_are_made_room_for),
        TEST(requests_that_cannot_be_right_change_nothing),
        TEST(workers_that_cannot_be_right_are_not_registered),
        TEST(arguments_that_are_wrong),
    };
    return RUN(tests);
}
