/* What a host asks before it acts: why not, what is wanted, what would be if. */
#include "world.h"

static uint64_t hold(slotwise_engine_t engine, slotwise_worker_t on, const char *id, uint64_t cpu,
                     uint64_t memory) {
    slotwise_request_t job = request(id, cpu, memory);
    slotwise_placement_t placed;
    OK(slotwise_reserve_on(engine, on, &job, NULL, &placed));
    return placed.ticket;
}

static slotwise_worker_t pending(slotwise_engine_t engine, const char *id, uint64_t cpu,
                                 uint64_t memory) {
    slotwise_worker_spec_t s = spec(id, cpu, memory);
    s.flags = SLOTWISE_PENDING;
    slotwise_worker_t w = 0;
    OK(slotwise_worker_add(engine, &s, &w));
    return w;
}

static slotwise_error_t last_error(void) {
    SIZED(slotwise_error_t, error);
    OK(slotwise_last_error(&error));
    return error;
}

static void a_refusal_says_whether_to_wait(void) {
    slotwise_engine_t engine = engine_new();
    pending(engine, "coming", 1000, 1000);
    hold(engine, worker(engine, "full", 100, 100), "all", 100, 100);
    slotwise_request_t job = request(NULL, 600, 100);
    slotwise_placement_t placed;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_BUSY);
    CHECK(last_error().outlook == SLOTWISE_OUTLOOK_WAIT);
    job.cpu = 1001;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_NEVER);
    CHECK(last_error().outlook == SLOTWISE_OUTLOOK_START);
    job.cpu = 0;
    job.memory = 0;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_EMPTY);
    CHECK(last_error().outlook == SLOTWISE_OUTLOOK_UNKNOWN);
    finish(engine, 1);

    slotwise_config_t config;
    OK(slotwise_config_default(&config));
    config.flags = SLOTWISE_NO_REASONS;
    OK(slotwise_engine_new(&config, &engine));
    pending(engine, "coming", 1000, 1000);
    job = request(NULL, 600, 100);
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_BUSY);
    CHECK(last_error().outlook == SLOTWISE_OUTLOOK_UNKNOWN);
    finish(engine, 0);
}

static void an_explanation_names_rules_states_and_what_is_missing(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t half, most;
    worker(engine, "small", 400, 400);
    half = worker(engine, "half", 1000, 1000);
    most = worker(engine, "most", 1000, 1000);
    slotwise_worker_spec_t s = spec("off", 1000, 1000);
    s.pool = text("p");
    s.flags = SLOTWISE_REQUIRES_SELECTOR;
    OK(slotwise_worker_add(engine, &s, NULL));
    s = spec("theirs", 1000, 1000);
    s.tenant = text("t");
    OK(slotwise_worker_add(engine, &s, NULL));
    pending(engine, "coming", 1000, 1000);
    hold(engine, half, "h", 500, 500);
    hold(engine, most, "m", 700, 100);

    slotwise_request_t job = request("job", 600, 300);
    SIZED(slotwise_explanation_t, e);
    slotwise_explained_t workers[7];
    size_t count = 0;
    fill(workers, sizeof workers);
    OK(slotwise_explain(engine, &job, &e, workers, 7, &count));
    CHECK(e.size == sizeof e && e.status == SLOTWISE_BUSY && e.dimension == SLOTWISE_CPU);
    CHECK(e.outlook == SLOTWISE_OUTLOOK_WAIT && e.worker == 0 && e.version == 0 && e.ticket == 0);
    CHECK(e.fitting == 0 && e.reasons.not_matching == 2 && e.reasons.not_ready == 1);
    CHECK(e.reasons.cpu == 3 && e.reasons.memory == 0 && e.reasons.gpus == 0);
    CHECK(e.mismatches.pool == 1 && e.mismatches.tenant == 1 && e.mismatches.machine == 0);
    CHECK(e.mismatches.labels == 0 && e.mismatches.gpu_separation == 0);
    CHECK(e.mismatches.gpu_type == 0 && e.mismatches.preemptable == 0);
    CHECK(e.nearest.worker == half && e.nearest.version == 1);
    CHECK(e.nearest.missing.cpu == 100 && e.nearest.missing.memory == 0);
    const uint32_t reasons[][2] = {
        {SLOTWISE_REASON_TOO_SMALL, 0},
        {SLOTWISE_REASON_SHORT, 0},
        {SLOTWISE_REASON_SHORT, 0},
        {SLOTWISE_REASON_MISMATCH, SLOTWISE_MISMATCH_POOL},
        {SLOTWISE_REASON_MISMATCH, SLOTWISE_MISMATCH_TENANT},
        {SLOTWISE_REASON_STATE, SLOTWISE_STATE_PENDING},
    };
    CHECK(count == 6 && untouched(&workers[6], sizeof workers[6]));
    for (size_t k = 0; k < count; k++) {
        CHECK(SLOTWISE_WORKER_INDEX(workers[k].worker) == k);
        CHECK(workers[k].reason == reasons[k][0] && workers[k].detail == reasons[k][1]);
    }
    CHECK(workers[0].missing.cpu == 200 && workers[1].missing.cpu == 100);
    CHECK(workers[2].worker == most && workers[2].version == 1 && workers[2].missing.cpu == 300);
    CHECK(workers[3].missing.cpu == 0);

    /* As many as there is room for, and how many there are. */
    fill(workers, sizeof workers);
    count = 0;
    OK(slotwise_explain(engine, &job, &e, workers, 2, &count));
    CHECK(count == 6 && workers[1].worker == half && untouched(&workers[2], sizeof workers[2]));
    OK(slotwise_explain(engine, &job, &e, NULL, 0, &count));
    CHECK(count == 6 && e.status == SLOTWISE_BUSY);
    OK(slotwise_explain(engine, &job, &e, NULL, 0, NULL));
    CHECK(e.nearest.worker == half);

    /* What would have to be freed is enough when it is freed. */
    slotwise_resources_t less = {400, 500, 0};
    OK(slotwise_resize_id(engine, "h", 1, &less, NULL));
    OK(slotwise_explain(engine, &job, &e, workers, 7, &count));
    CHECK(e.status == SLOTWISE_OK && e.worker == half && e.version == 2 && e.ticket == 0);
    CHECK(e.fitting == 1 && workers[1].reason == SLOTWISE_REASON_FITS);
    CHECK(e.dimension == SLOTWISE_NO_DIMENSION && e.outlook == SLOTWISE_OUTLOOK_UNKNOWN);
    slotwise_placement_t placed;
    OK(slotwise_reserve(engine, &job, &placed));
    CHECK(placed.worker == half && placed.version == 3);
    OK(slotwise_explain(engine, &job, &e, NULL, 0, NULL));
    CHECK(e.status == SLOTWISE_OK && e.ticket == placed.ticket && e.worker == half);
    finish(engine, 3);
}

static void a_burst_asks_for_as_many_machines_as_it_needs(void) {
    slotwise_engine_t engine = engine_new();
    SIZED(slotwise_constraints_t, c);
    slotwise_text_t pool = text("p");
    c.pools = &pool;
    c.pool_count = 1;
    uint32_t selector = 0;
    OK(slotwise_selector(engine, &c, &selector));
    slotwise_placement_t placed;
    char id[] = "job-0";
    for (int k = 0; k < 8; k++) {
        id[4] = (char)('0' + k);
        slotwise_request_t job = request(id, 250, 100);
        if (k == 7) job.selector = selector;
        CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_NEVER);
        /* The same again is the same request. */
        CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_NEVER);
    }
    slotwise_worker_spec_t shape = spec(NULL, 1000, 1000);
    slotwise_demand_t demand[3];
    size_t count = 0;
    fill(demand, sizeof demand);
    OK(slotwise_unmet_demand(engine, &shape, 0, demand, 3, &count));
    CHECK(count == 2 && untouched(&demand[2], sizeof demand[2]));
    CHECK(demand[0].selector == SLOTWISE_SELECTOR_ANY && demand[0].requests == 7);
    CHECK(demand[0].need.cpu == 1750 && demand[0].need.memory == 700 && demand[0].packed == 7);
    CHECK(demand[0].workers == 2 && demand[0].joining == 0 && demand[0].unservable == 0);
    CHECK(demand[1].selector == selector && demand[1].requests == 1 && demand[1].unservable == 1);
    CHECK(demand[1].workers == 0 && demand[1].packed == 0);

    /* Machines that are on their way are not asked for again. */
    pending(engine, "coming", 1000, 1000);
    fill(demand, sizeof demand);
    OK(slotwise_unmet_demand(engine, &shape, 0, demand, 1, &count));
    CHECK(count == 2 && untouched(&demand[1], sizeof demand[1]));
    CHECK(demand[0].joining == 4 && demand[0].packed == 3 && demand[0].workers == 1);
    OK(slotwise_unmet_demand(engine, &shape, 0, NULL, 0, &count));
    CHECK(count == 2);
    OK(slotwise_unmet_demand(engine, &shape, 1, demand, 3, &count));
    CHECK(count == 0);

    uint32_t forgotten = 7;
    OK(slotwise_forget_unmet(engine, id, 5, &forgotten));
    CHECK(forgotten == 1);
    OK(slotwise_forget_unmet(engine, id, 5, &forgotten));
    CHECK(forgotten == 0);
    OK(slotwise_forget_unmet(engine, "job-0", 5, NULL));
    OK(slotwise_forget_unmet(engine, NULL, 0, &forgotten));
    CHECK(forgotten == 0);
    OK(slotwise_unmet_demand(engine, &shape, 0, demand, 3, &count));
    CHECK(count == 1 && demand[0].requests == 6);
    finish(engine, 0);

    /* Nothing is kept where nothing is to be. */
    slotwise_config_t config;
    OK(slotwise_config_default(&config));
    CHECK(config.max_unmet == 4096);
    config.max_unmet = 0;
    OK(slotwise_engine_new(&config, &engine));
    slotwise_request_t job = request("job", 1, 1);
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_NEVER);
    OK(slotwise_unmet_demand(engine, &shape, 0, demand, 3, &count));
    CHECK(count == 0);
    finish(engine, 0);
    config.max_unmet = (1 << 20) + 1;
    CHECK_STATUS(slotwise_engine_new(&config, &engine), SLOTWISE_CONFIG);
    CHECK(last_error().given == (1 << 20) + 1 && last_error().limit == 1 << 20);
}

static void a_branch_has_workers_gone_and_workers_there(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t a = worker(engine, "a", 1000, 1000), b = worker(engine, "b", 1000, 1000);
    uint64_t old = hold(engine, a, "old", 800, 800);
    slotwise_request_t copy = request("copy", 400, 400);
    uint32_t fit = 0;
    OK(slotwise_replicas(engine, &copy, UINT32_MAX, NULL, &fit));
    CHECK(fit == 2);
    SIZED(slotwise_supposition_t, s);
    OK(slotwise_replicas(engine, &copy, 1, &s, &fit));
    CHECK(fit == 1);
    s.credited = &old;
    s.credited_count = 1;
    OK(slotwise_replicas(engine, &copy, 100, &s, &fit));
    CHECK(fit == 4);
    s.without = &b;
    s.without_count = 1;
    OK(slotwise_replicas(engine, &copy, 100, &s, &fit));
    CHECK(fit == 2);
    /* In structures of the host's own. */
    struct {
        slotwise_worker_spec_t spec;
        uint64_t mine;
    } more[2];
    more[0].spec = spec("coming", 1000, 1000);
    more[0].spec.flags = SLOTWISE_PENDING;
    more[1].spec = spec("new", 800, 800);
    s.added = &more[0].spec;
    s.added_count = 2;
    s.added_stride = sizeof *more;
    OK(slotwise_replicas(engine, &copy, 100, &s, &fit));
    CHECK(fit == 4);
    copy.flags = SLOTWISE_AHEAD;
    OK(slotwise_replicas(engine, &copy, 100, &s, &fit));
    CHECK(fit == 6);
    copy.flags = 0;
    copy.cpu = 5000;
    OK(slotwise_replicas(engine, &copy, 100, &s, &fit));
    CHECK(fit == 0);

    slotwise_request_t jobs[4] = {request("old", 500, 500), request(NULL, 600, 600),
                                  request(NULL, 700, 700), request(NULL, 700, 700)};
    slotwise_placement_t foreseen[4];
    SIZED(slotwise_batch_t, batch);
    batch.requests = jobs;
    batch.placements = foreseen;
    batch.count = 4;
    slotwise_batch_done_t done;
    OK(slotwise_dry_run_with(engine, &batch, &s, &done));
    CHECK(done.placed == 2 && done.failed == 2);
    CHECK(foreseen[0].worker == a && foreseen[0].ticket == 0 && !foreseen[0].existing);
    CHECK(SLOTWISE_WORKER_ADDED(foreseen[0].worker) == 0 && foreseen[0].version == 1);
    CHECK(foreseen[1].status == SLOTWISE_OK && foreseen[1].worker == 2);
    CHECK(SLOTWISE_WORKER_ADDED(foreseen[1].worker) == 2 && foreseen[1].version == 0);
    CHECK(foreseen[2].status == SLOTWISE_BUSY && foreseen[2].worker == 0);
    CHECK(SLOTWISE_WORKER_ADDED(foreseen[2].worker) == 0);
    /* A supposed worker's number names none that is registered. */
    SIZED(slotwise_worker_info_t, i);
    CHECK_STATUS(slotwise_worker_info(engine, foreseen[1].worker, &i), SLOTWISE_UNKNOWN_WORKER);

    /* Nothing supposed is a dry run. */
    slotwise_placement_t same[4];
    OK(slotwise_dry_run(engine, &batch, NULL, 0, NULL));
    memcpy(same, foreseen, sizeof same);
    OK(slotwise_dry_run_with(engine, &batch, NULL, NULL));
    CHECK(memcmp(same, foreseen, sizeof same) == 0 && foreseen[0].ticket == old);

    /* The id of a worker may come again only if that worker goes. */
    more[1].spec.id = text("b");
    OK(slotwise_dry_run_with(engine, &batch, &s, NULL));
    s.without_count = 0;
    fill(foreseen, sizeof foreseen);
    fill(&done, sizeof done);
    CHECK_STATUS(slotwise_dry_run_with(engine, &batch, &s, &done), SLOTWISE_DUPLICATE_WORKER);
    CHECK(last_error().index == 1);
    fit = 77;
    CHECK_STATUS(slotwise_replicas(engine, &copy, 1, &s, &fit), SLOTWISE_DUPLICATE_WORKER);
    more[1].spec = spec("", 1, 1);
    CHECK_STATUS(slotwise_dry_run_with(engine, &batch, &s, &done), SLOTWISE_ID_LENGTH);
    more[1].spec = spec("new", UINT64_C(1) << 40, 1);
    CHECK_STATUS(slotwise_dry_run_with(engine, &batch, &s, &done), SLOTWISE_TOO_LARGE);
    CHECK(last_error().index == 1 && last_error().dimension == SLOTWISE_CPU);
    CHECK(last_error().given == UINT64_C(1) << 40);
    more[1].spec = spec("new", 1, 1);
    more[1].spec.reserved = 1;
    CHECK_STATUS(slotwise_dry_run_with(engine, &batch, &s, &done), SLOTWISE_RESERVED);
    CHECK(last_error().index == 1);
    CHECK(untouched(foreseen, sizeof foreseen) && untouched(&done, sizeof done) && fit == 77);
    CHECK(info(engine, a).version == 1 && info(engine, b).version == 0);
    finish(engine, 1);
}

static void pointers_that_are_null(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    const int32_t null = SLOTWISE_NULL_POINTER;
    slotwise_request_t job = request("x", 1, 1);
    slotwise_worker_spec_t shape = spec("x", 1, 1);
    slotwise_explained_t workers;
    slotwise_demand_t demand;
    size_t count;
    uint32_t fit;
    SIZED(slotwise_explanation_t, explanation);
    SIZED(slotwise_batch_t, batch);
    SIZED(slotwise_supposition_t, s);
    fill(&workers, sizeof workers);
    fill(&demand, sizeof demand);
    fill(&count, sizeof count);
    fill(&fit, sizeof fit);
    CHECK_STATUS(slotwise_explain(e, NULL, &explanation, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_explain(e, &job, NULL, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_explain(e, &job, &explanation, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_explain(e, &job, &explanation, &workers, 1, NULL), null);
    CHECK_STATUS(slotwise_unmet_demand(e, NULL, 0, &demand, 1, &count), null);
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, &demand, 1, NULL), null);
    shape.label_count = 1;
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, &demand, 1, &count), null);
    CHECK_STATUS(slotwise_forget_unmet(e, NULL, 1, &fit), null);
    CHECK_STATUS(slotwise_dry_run_with(e, NULL, &s, NULL), null);
    CHECK_STATUS(slotwise_replicas(e, NULL, 1, NULL, &fit), null);
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, NULL), null);
    s.credited_count = 1;
    CHECK_STATUS(slotwise_dry_run_with(e, &batch, &s, NULL), null);
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), null);
    s.credited_count = 0;
    s.without_count = 1;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), null);
    s.without_count = 0;
    s.added_count = 1;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), null);
    CHECK(untouched(&workers, sizeof workers) && untouched(&demand, sizeof demand));
    CHECK(untouched(&count, sizeof count) && untouched(&fit, sizeof fit));
    unchanged(w);
}

static void structures_that_cannot_be_right(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    slotwise_request_t job = request("x", 1, 1);
    slotwise_worker_spec_t shape = spec("x", 1, 1);
    slotwise_demand_t demand;
    size_t count;
    uint32_t fit;
    fill(&demand, sizeof demand);
    fill(&count, sizeof count);
    fill(&fit, sizeof fit);
    SIZED(slotwise_batch_t, batch);
    for (int sign = -1; sign <= 1; sign += 2) {
        const int32_t size = SLOTWISE_STRUCT_SIZE;
        uint32_t delta = (uint32_t)sign * 8;
        SIZED(slotwise_explanation_t, explanation);
        explanation.size += delta;
        CHECK_STATUS(slotwise_explain(e, &job, &explanation, NULL, 0, NULL), size);
        SIZED(slotwise_supposition_t, s);
        s.size += delta;
        CHECK_STATUS(slotwise_dry_run_with(e, &batch, &s, NULL), size);
        CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), size);
        slotwise_worker_spec_t wrong = shape;
        wrong.size += delta;
        CHECK_STATUS(slotwise_unmet_demand(e, &wrong, 0, &demand, 1, &count), size);
        s.size = sizeof s;
        s.added = &wrong;
        s.added_count = 1;
        CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), size);
        slotwise_request_t other = job;
        other.size += delta;
        explanation.size = sizeof explanation;
        CHECK_STATUS(slotwise_explain(e, &other, &explanation, NULL, 0, NULL), size);
        CHECK_STATUS(slotwise_replicas(e, &other, 1, NULL, &fit), size);
    }
    SIZED(slotwise_explanation_t, explanation);
    SIZED(slotwise_supposition_t, s);
    s.reserved = 1;
    CHECK_STATUS(slotwise_dry_run_with(e, &batch, &s, NULL), SLOTWISE_RESERVED);
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), SLOTWISE_RESERVED);
    s.reserved = 0;
    shape.reserved = 1;
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, &demand, 1, &count), SLOTWISE_RESERVED);
    shape.reserved = 0;
    shape.flags = 1u << 31;
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, &demand, 1, &count), SLOTWISE_UNKNOWN_VALUE);
    shape.flags = 0;
    shape.set_aside.cpu = 2;
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, &demand, 1, &count), SLOTWISE_SET_ASIDE);
    batch.id = "b";
    batch.id_length = 1;
    CHECK_STATUS(slotwise_dry_run_with(e, &batch, &s, NULL), SLOTWISE_UNKNOWN_VALUE);
    job.policy = 99;
    CHECK_STATUS(slotwise_explain(e, &job, &explanation, NULL, 0, NULL), SLOTWISE_UNKNOWN_VALUE);
    CHECK_STATUS(slotwise_replicas(e, &job, 1, NULL, &fit), SLOTWISE_UNKNOWN_VALUE);
    job = request("x", 0, 0);
    CHECK_STATUS(slotwise_explain(e, &job, &explanation, NULL, 0, NULL), SLOTWISE_EMPTY);
    CHECK_STATUS(slotwise_replicas(e, &job, 1, NULL, &fit), SLOTWISE_EMPTY);
    job.cpu = 1;
    job.selector = 12345;
    CHECK_STATUS(slotwise_explain(e, &job, &explanation, NULL, 0, NULL),
                 SLOTWISE_UNKNOWN_SELECTOR);
    CHECK_STATUS(slotwise_replicas(e, &job, 1, NULL, &fit), SLOTWISE_UNKNOWN_SELECTOR);
    job = request("x", 1, 1);

    /* What is not held, or not registered, changes nothing. */
    const uint64_t tickets[] = {0, 1, UINT64_MAX, w.ticket + 1, w.ticket, w.ticket};
    const slotwise_worker_t names[] = {0, 1, UINT64_MAX, w.worker + 1};
    s.credited = tickets;
    s.credited_count = 6;
    s.without = names;
    s.without_count = 4;
    slotwise_request_t all = request(NULL, 1000, 1000);
    OK(slotwise_replicas(e, &all, 2, &s, &fit));
    CHECK(fit == 1);
    fill(&fit, sizeof fit);

    s.credited_count = SLOTWISE_MAX_COUNT + 1;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), SLOTWISE_COUNT);
    s.credited_count = 0;
    s.without_count = SIZE_MAX;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), SLOTWISE_COUNT);
    s.without_count = 0;
    s.added = &shape;
    s.added_count = SIZE_MAX;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), SLOTWISE_COUNT);
    s.added_count = 1;
    s.added_stride = sizeof shape - 8;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), SLOTWISE_STRIDE);
    s.added_stride = sizeof shape + 4;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), SLOTWISE_MISALIGNED);
    s.added_count = 0;
    s.credited = (const uint64_t *)(const void *)((const char *)tickets + 4);
    s.credited_count = 1;
    s.added_stride = 0;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &fit), SLOTWISE_MISALIGNED);
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, &demand, SIZE_MAX, &count), SLOTWISE_COUNT);
    slotwise_explained_t one;
    CHECK_STATUS(slotwise_explain(e, &job, &explanation, &one, SIZE_MAX, &count), SLOTWISE_COUNT);
    CHECK(untouched(&demand, sizeof demand) && untouched(&count, sizeof count));
    CHECK(untouched(&fit, sizeof fit));
    unchanged(w);
}

static void arrays_that_overlap(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    const int32_t overlap = SLOTWISE_OVERLAP;
    union {
        slotwise_request_t request;
        slotwise_explanation_t explanation;
        slotwise_explained_t explained[4];
        slotwise_worker_spec_t spec;
        slotwise_demand_t demand[4];
        slotwise_supposition_t supposition;
        slotwise_placement_t placement;
        slotwise_batch_done_t done;
        uint64_t numbers[4];
        size_t count;
        uint32_t fit;
        char id[4];
    } shared;
    slotwise_request_t job = request(NULL, 1, 1);
    size_t count;
    SIZED(slotwise_explanation_t, explanation);
    shared.explanation.size = sizeof shared.explanation;
    CHECK_STATUS(slotwise_explain(e, &job, &shared.explanation, shared.explained, 4, &count),
                 overlap);
    CHECK_STATUS(slotwise_explain(e, &job, &shared.explanation, NULL, 0, &shared.count), overlap);
    CHECK_STATUS(slotwise_explain(e, &job, &explanation, shared.explained, 1, &shared.count),
                 overlap);
    shared.request = job;
    CHECK_STATUS(slotwise_explain(e, &shared.request, &explanation, shared.explained, 1, &count),
                 overlap);
    CHECK_STATUS(slotwise_explain(e, &shared.request, &explanation, NULL, 0, &shared.count),
                 overlap);

    shared.spec = spec("x", 1, 1);
    CHECK_STATUS(slotwise_unmet_demand(e, &shared.spec, 0, shared.demand, 1, &count), overlap);
    CHECK_STATUS(slotwise_unmet_demand(e, &shared.spec, 0, NULL, 0, &shared.count), overlap);
    slotwise_worker_spec_t shape = spec("x", 1, 1);
    CHECK_STATUS(slotwise_unmet_demand(e, &shape, 0, shared.demand, 4, &shared.count), overlap);
    CHECK_STATUS(slotwise_forget_unmet(e, shared.id, 4, &shared.fit), overlap);

    shared.request = job;
    CHECK_STATUS(slotwise_replicas(e, &shared.request, 1, NULL, &shared.fit), overlap);
    SIZED(slotwise_supposition_t, s);
    shared.supposition = s;
    CHECK_STATUS(slotwise_replicas(e, &job, 1, &shared.supposition, &shared.fit), overlap);
    slotwise_placement_t placement;
    slotwise_batch_done_t done;
    SIZED(slotwise_batch_t, batch);
    batch.requests = &job;
    batch.placements = &placement;
    batch.count = 1;
    CHECK_STATUS(slotwise_dry_run_with(e, &batch, &shared.supposition, &shared.done), overlap);
    for (int k = 0; k < 3; k++) {
        memset(&s, 0, sizeof s);
        s.size = sizeof s;
        memset(&shared, 0, sizeof shared);
        if (k == 0) s.credited = shared.numbers, s.credited_count = 1;
        if (k == 1) s.without = shared.numbers, s.without_count = 1;
        if (k == 2) {
            shared.spec = spec("x", 1, 1);
            s.added = &shared.spec;
            s.added_count = 1;
        }
        CHECK_STATUS(slotwise_replicas(e, &job, 1, &s, &shared.fit), overlap);
        CHECK_STATUS(slotwise_dry_run_with(e, &batch, &s, &shared.done), overlap);
        batch.placements = &shared.placement;
        CHECK_STATUS(slotwise_dry_run_with(e, &batch, &s, &done), overlap);
        batch.placements = &placement;
    }
    unchanged(w);
}

static void handles_that_are_stale(void) {
    slotwise_engine_t freed = engine_new(), closed = engine_new();
    OK(slotwise_engine_free(freed));
    OK(slotwise_engine_close(closed));
    const struct {
        slotwise_engine_t engine;
        int32_t status;
    } bad[] = {{freed, SLOTWISE_STALE_HANDLE}, {0, SLOTWISE_STALE_HANDLE},
               {UINT64_MAX, SLOTWISE_STALE_HANDLE}, {closed, SLOTWISE_CLOSED}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        slotwise_engine_t h = bad[k].engine;
        int32_t status = bad[k].status;
        slotwise_request_t job = request("x", 1, 1);
        slotwise_worker_spec_t shape = spec("x", 1, 1);
        size_t count;
        uint32_t fit;
        fill(&count, sizeof count);
        fill(&fit, sizeof fit);
        SIZED(slotwise_explanation_t, explanation);
        SIZED(slotwise_batch_t, batch);
        CHECK_STATUS(slotwise_explain(h, &job, &explanation, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_unmet_demand(h, &shape, 0, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_forget_unmet(h, "x", 1, &fit), status);
        CHECK_STATUS(slotwise_dry_run_with(h, &batch, NULL, NULL), status);
        CHECK_STATUS(slotwise_replicas(h, &job, 1, NULL, &fit), status);
        CHECK(untouched(&count, sizeof count) && untouched(&fit, sizeof fit));
    }
    OK(slotwise_engine_free(closed));
}

int main(void) {
    const test_t tests[] = {
        TEST(a_refusal_says_whether_to_wait),
        TEST(an_explanation_names_rules_states_and_what_is_missing),
        TEST(a_burst_asks_for_as_many_machines_as_it_needs),
        TEST(a_branch_has_workers_gone_and_workers_there),
        TEST(pointers_that_are_null),
        TEST(structures_that_cannot_be_right),
        TEST(arrays_that_overlap),
        TEST(handles_that_are_stale),
    };
    return RUN(tests);
}
