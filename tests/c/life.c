/* Everything that the interface does, once. */
#include "check.h"

static void versions_agree(void) {
    CHECK(strcmp(slotwise_version(), SLOTWISE_VERSION) == 0);
    CHECK(slotwise_abi_version() == SLOTWISE_ABI_VERSION);
    CHECK(strcmp(slotwise_status_text(SLOTWISE_OK), "done") == 0);
    CHECK(strcmp(slotwise_status_text(-1), "unknown status") == 0);
}

static void engines_are_made_from_a_configuration(void) {
    slotwise_config_t config, got;
    OK(slotwise_config_default(&config));
    CHECK(config.size == sizeof config && config.policy == SLOTWISE_POLICY_AFFINITY);
    config.max_workers = 1;
    config.policy = SLOTWISE_POLICY_SPREAD;
    config.flags = SLOTWISE_NO_REASONS;
    slotwise_engine_t engine = 0;
    OK(slotwise_engine_new(&config, &engine));
    got.size = sizeof got;
    OK(slotwise_engine_config(engine, &got));
    CHECK(memcmp(&got, &config, sizeof got) == 0);
    worker(engine, "a", 100, 100);
    slotwise_worker_spec_t second = spec("b", 100, 100);
    CHECK_STATUS(slotwise_worker_add(engine, &second, NULL), SLOTWISE_TABLE_FULL);
    finish(engine, 0);
}

static void a_request_is_placed_and_given_back_once(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "node-a", 1000, 1000);
    slotwise_request_t job = request("job", 400, 500);
    slotwise_placement_t placed, again;
    OK(slotwise_reserve(engine, &job, &placed));
    CHECK(placed.worker == w && placed.version == 1 && placed.ticket != 0 && !placed.existing);
    CHECK(SLOTWISE_WORKER_INDEX(w) == 0);
    OK(slotwise_reserve(engine, &job, &again));
    CHECK(again.existing == 1 && again.ticket == placed.ticket && again.version == 1);
    OK(slotwise_reservation(engine, "job", 3, &again));
    CHECK(again.ticket == placed.ticket);

    slotwise_snapshot_t snapshot;
    OK(slotwise_worker_snapshot(engine, w, &snapshot));
    CHECK(snapshot.free.cpu == 600 && snapshot.free.memory == 500 && snapshot.version == 1);
    CHECK(snapshot.state == SLOTWISE_STATE_READY);

    slotwise_released_t released;
    OK(slotwise_release(engine, placed.ticket, &released));
    CHECK(released.worker == w && released.credited == 1 && released.version == 2);
    CHECK(released.amount.cpu == 400 && released.amount.memory == 500);
    CHECK_STATUS(slotwise_release(engine, placed.ticket, NULL), SLOTWISE_NOT_HELD);
    CHECK_STATUS(slotwise_release_id(engine, "job", 3, NULL), SLOTWISE_NOT_HELD);
    OK(slotwise_reserve(engine, &job, &placed));
    OK(slotwise_release_id(engine, "job", 3, NULL));
    finish(engine, 0);
}

static void a_refusal_says_why(void) {
    slotwise_engine_t engine = engine_new();
    worker(engine, "node-a", 1000, 1000);
    worker(engine, "node-b", 1000, 2000);
    slotwise_placement_t placed;
    slotwise_request_t large = request("large", 900, 1500), job = request("job", 500, 100);
    OK(slotwise_reserve(engine, &large, &placed));
    job.memory = 1200;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_BUSY);
    SIZED(slotwise_error_t, error);
    OK(slotwise_last_error(&error));
    CHECK(error.status == SLOTWISE_BUSY);
    CHECK(error.reasons.cpu == 1 && error.reasons.memory == 1 && error.reasons.not_ready == 0);
    job.memory = 5000;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_NEVER);
    OK(slotwise_last_error(&error));
    CHECK(error.status == SLOTWISE_NEVER && error.dimension == SLOTWISE_MEMORY);
    char sentence[256];
    size_t length = 0;
    OK(slotwise_last_error_text(sentence, sizeof sentence, &length));
    CHECK(length == strlen(sentence) && strncmp(sentence, "never for memory", 16) == 0);
    OK(slotwise_last_error_text(sentence, 6, &length));
    CHECK(strcmp(sentence, "never") == 0 && length > 6);
    finish(engine, 1);
}

static void selectors_are_interned(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_label_t zone = {text("zone"), text("north")};
    slotwise_worker_spec_t s = spec("gpu", 1000, 1000);
    s.total.gpus = 2;
    s.gpu_type = text("A10G");
    s.pool = text("train");
    s.labels = &zone;
    s.label_count = 1;
    s.tenant = text("acme");
    s.machine = text("host-7");
    s.flags = SLOTWISE_REQUIRES_SELECTOR | SLOTWISE_PREEMPTABLE;
    s.priority = -3;
    s.tier = 2;
    s.set_aside.cpu = 100;
    slotwise_worker_t w = 0;
    OK(slotwise_worker_add(engine, &s, &w));

    SIZED(slotwise_constraints_t, c);
    slotwise_text_t pool = text("train"), types[] = {text("T4"), text("A10G")};
    slotwise_text_t values[] = {text("south"), text("north")};
    slotwise_label_in_t in = {text("zone"), values, 2};
    c.pools = &pool;
    c.pool_count = 1;
    c.gpu_types = types;
    c.gpu_type_count = 2;
    c.labels = &in;
    c.label_count = 1;
    c.tenant = text("acme");
    c.flags = SLOTWISE_ACCEPT_PREEMPTABLE;
    uint32_t selector = 0, same = 0;
    OK(slotwise_selector(engine, &c, &selector));
    OK(slotwise_selector(engine, &c, &same));
    CHECK(selector == same && selector != SLOTWISE_SELECTOR_ANY);

    slotwise_request_t job = request("job", 100, 100);
    slotwise_placement_t placed;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_NEVER);
    job.selector = selector;
    OK(slotwise_reserve(engine, &job, &placed));
    slotwise_worker_info_t i = info(engine, w);
    CHECK(i.held.gpus == 1 && i.free.gpus == 1 && i.free.cpu == 800 && i.set_aside.cpu == 100);
    CHECK(i.priority == -3 && i.tier == 2 && i.label_count == 1);
    CHECK(i.flags == (SLOTWISE_REQUIRES_SELECTOR | SLOTWISE_PREEMPTABLE));
    job.selector = selector + 1;
    job.id = NULL;
    job.id_length = 0;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_UNKNOWN_SELECTOR);

    const struct {
        uint32_t field;
        const char *value;
    } texts[] = {{SLOTWISE_TEXT_ID, "gpu"},          {SLOTWISE_TEXT_POOL, "train"},
                 {SLOTWISE_TEXT_GPU_TYPE, "A10G"},   {SLOTWISE_TEXT_TENANT, "acme"},
                 {SLOTWISE_TEXT_MACHINE, "host-7"},  {SLOTWISE_TEXT_LABEL_KEY, "zone"},
                 {SLOTWISE_TEXT_LABEL_VALUE, "north"}};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        char buffer[16];
        size_t length = 0;
        OK(slotwise_worker_text(engine, w, texts[k].field, 0, buffer, sizeof buffer, &length));
        CHECK(strcmp(buffer, texts[k].value) == 0 && length == strlen(buffer));
    }
    finish(engine, 1);
}

static void workers_live(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_spec_t s = spec("w", 100, 100);
    s.flags = SLOTWISE_PENDING;
    slotwise_worker_t w = 0, found = 0;
    OK(slotwise_worker_add(engine, &s, &w));
    OK(slotwise_worker_find(engine, "w", 1, &found));
    CHECK(found == w);
    slotwise_request_t job = request(NULL, 10, 10);
    slotwise_placement_t placed;
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_BUSY);
    job.flags = SLOTWISE_AHEAD;
    OK(slotwise_reserve(engine, &job, &placed));
    SIZED(slotwise_worker_info_t, i);
    OK(slotwise_worker_ready(engine, "w", 1, &i));
    CHECK(i.state == SLOTWISE_STATE_READY && i.held.cpu == 10);
    OK(slotwise_worker_cordon(engine, "w", 1, &i));
    CHECK(i.state == SLOTWISE_STATE_CORDONED);
    OK(slotwise_worker_ready(engine, "w", 1, &i));
    CHECK(i.state == SLOTWISE_STATE_CORDONED);
    CHECK_STATUS(slotwise_reserve(engine, &job, &placed), SLOTWISE_BUSY);
    OK(slotwise_worker_uncordon(engine, "w", 1, NULL));
    OK(slotwise_worker_drain(engine, "w", 1, &i));
    CHECK(i.state == SLOTWISE_STATE_DRAINING && i.held.memory == 10);
    OK(slotwise_worker_uncordon(engine, "w", 1, NULL));
    OK(slotwise_worker_unready(engine, "w", 1, &i));
    CHECK(i.state == SLOTWISE_STATE_PENDING);
    OK(slotwise_worker_ready(engine, "w", 1, NULL));

    s.total.cpu = 5;
    s.pool = text("p");
    OK(slotwise_worker_update(engine, "w", 1, &s, SLOTWISE_SET_TOTAL | SLOTWISE_SET_POOL, &i));
    CHECK(i.free.cpu == -5 && i.total.cpu == 5 && i.worker == w);
    SIZED(slotwise_audit_t, audit);
    OK(slotwise_audit(engine, &audit, NULL, 0));
    CHECK(audit.ok == 1 && audit.over_committed == 1);

    slotwise_lost_t lost[1];
    size_t count = 0;
    OK(slotwise_worker_remove(engine, "w", 1, lost, 1, &count));
    CHECK(count == 1 && lost[0].ticket == placed.ticket && lost[0].id_length == 0);
    CHECK(lost[0].worker == w && lost[0].amount.cpu == 10);
    CHECK_STATUS(slotwise_release(engine, placed.ticket, NULL), SLOTWISE_NOT_HELD);
    CHECK_STATUS(slotwise_worker_remove(engine, "w", 1, lost, 1, &count), SLOTWISE_UNKNOWN_WORKER);
    i.size = sizeof i;
    CHECK_STATUS(slotwise_worker_info(engine, w, &i), SLOTWISE_UNKNOWN_WORKER);
    CHECK(worker(engine, "w", 1, 1) != w);
    finish(engine, 0);
}

static void what_is_lost_is_told_once(void) {
    slotwise_engine_t engine = engine_new();
    worker(engine, "w", 100, 100);
    char id[2] = "a";
    for (; id[0] < 'f'; id[0]++) {
        slotwise_request_t job = request(id, 1, 1);
        slotwise_placement_t placed;
        OK(slotwise_reserve(engine, &job, &placed));
    }
    slotwise_lost_t lost[8];
    size_t count = 0;
    OK(slotwise_worker_remove(engine, "w", 1, lost, 2, &count));
    CHECK(count == 5);
    OK(slotwise_lost_take(engine, lost + 2, 2, &count));
    CHECK(count == 2);
    OK(slotwise_lost_take(engine, lost + 4, 4, &count));
    CHECK(count == 1);
    OK(slotwise_lost_take(engine, lost + 5, 3, &count));
    CHECK(count == 0);
    unsigned seen = 0;
    for (size_t k = 0; k < 5; k++) {
        CHECK(lost[k].id_length == 1);
        seen |= 1u << (lost[k].id[0] - 'a');
    }
    CHECK(seen == 31);
    finish(engine, 0);
}

static void workers_come_many_and_are_listed(void) {
    slotwise_engine_t engine = engine_new();
    /* Specs that lie in a larger structure of the host's. */
    struct {
        slotwise_worker_spec_t spec;
        char name[16];
    } mine[200];
    for (int k = 0; k < 200; k++) {
        snprintf(mine[k].name, sizeof mine[k].name, "w-%d", k == 199 ? 0 : k);
        mine[k].spec = spec(mine[k].name, 100, 100);
        mine[k].spec.pool = text(k % 2 ? "odd" : "even");
        mine[k].spec.machine = text(k < 10 ? "m" : NULL);
    }
    static slotwise_added_t added[200];
    size_t registered = 0;
    OK(slotwise_workers_add(engine, &mine[0].spec, sizeof mine[0], 200, added, &registered));
    CHECK(registered == 199 && added[199].status == SLOTWISE_DUPLICATE_WORKER);
    CHECK(added[199].worker == 0 && SLOTWISE_WORKER_INDEX(added[7].worker) == 7);
    static slotwise_worker_info_t infos[200];
    size_t count = 0;
    OK(slotwise_workers_list(engine, SLOTWISE_LIST_ALL, NULL, 0, infos, 200, &count));
    CHECK(count == 199 && infos[198].worker == added[198].worker && infos[0].size == sizeof *infos);
    OK(slotwise_workers_list(engine, SLOTWISE_LIST_POOL, "odd", 3, infos, 2, &count));
    CHECK(count == 99 && infos[1].worker == added[3].worker);
    OK(slotwise_workers_list(engine, SLOTWISE_LIST_MACHINE, "m", 1, NULL, 0, &count));
    CHECK(count == 10);
    uint64_t workers = 0, reservations = 1;
    OK(slotwise_counts(engine, &workers, &reservations));
    CHECK(workers == 199 && reservations == 0);
    finish(engine, 0);
}

static void a_version_can_be_insisted_on(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "w", 100, 100);
    slotwise_request_t job = request(NULL, 10, 20);
    slotwise_placement_t placed;
    uint64_t version = 0;
    OK(slotwise_reserve_on(engine, w, &job, &version, &placed));
    CHECK_STATUS(slotwise_reserve_on(engine, w, &job, &version, &placed),
                 SLOTWISE_VERSION_CONFLICT);
    SIZED(slotwise_error_t, error);
    OK(slotwise_last_error(&error));
    CHECK(error.version == 1 && error.cpu == 90 && error.memory == 80);
    CHECK(error.state == SLOTWISE_STATE_READY);
    OK(slotwise_reserve_on(engine, w, &job, NULL, &placed));
    SIZED(slotwise_stats_t, stats);
    OK(slotwise_stats(engine, &stats));
    CHECK(stats.placed == 2 && stats.version_conflicts == 1 && stats.size == sizeof stats);
    finish(engine, 2);
}

static void reservations_are_resized(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "w", 100, 100);
    slotwise_request_t job = request("job", 40, 40);
    slotwise_placement_t placed;
    OK(slotwise_reserve(engine, &job, &placed));
    slotwise_resources_t need = {70, 10, 0};
    slotwise_resized_t resized;
    OK(slotwise_resize(engine, placed.ticket, &need, &resized));
    CHECK(resized.ticket == placed.ticket && resized.worker == w && resized.version == 2);
    CHECK(resized.before.cpu == 40 && resized.before.memory == 40);
    CHECK(info(engine, w).free.cpu == 30 && info(engine, w).free.memory == 90);
    need.cpu = 130;
    CHECK_STATUS(slotwise_resize_id(engine, "job", 3, &need, NULL), SLOTWISE_SHORT);
    SIZED(slotwise_error_t, error);
    OK(slotwise_last_error(&error));
    CHECK(error.cpu == 30 && error.memory == 0 && error.dimension == SLOTWISE_CPU);
    CHECK(info(engine, w).version == 2);
    OK(slotwise_worker_cordon(engine, "w", 1, NULL));
    need.cpu = 80;
    CHECK_STATUS(slotwise_resize_id(engine, "job", 3, &need, NULL), SLOTWISE_STATE);
    need.cpu = 1;
    OK(slotwise_resize_id(engine, "job", 3, &need, NULL));
    finish(engine, 1);
}

#define N 100

static void batches_are_sequences(void) {
    slotwise_engine_t engine = engine_new();
    worker(engine, "a", 40, 1000);
    worker(engine, "b", 40, 1000);
    struct {
        slotwise_request_t request;
        slotwise_placement_t placement;
        char id[8];
    } mine[N];
    static slotwise_reasons_t reasons[N];
    for (int k = 0; k < N; k++) {
        snprintf(mine[k].id, sizeof mine[k].id, "r-%d", k);
        mine[k].request = request(mine[k].id, 1, 1);
    }
    mine[3].request.id = mine[2].id;
    mine[4].request.id_length = 65;
    mine[4].request.id = "0123456789012345678901234567890123456789012345678901234567890123456";
    SIZED(slotwise_batch_t, batch);
    batch.requests = &mine[0].request;
    batch.placements = &mine[0].placement;
    batch.request_stride = batch.placement_stride = sizeof mine[0];
    batch.count = N;
    static slotwise_placement_t placements[N];
    batch.placements = placements;
    batch.placement_stride = 0;
    batch.reasons = reasons;
    slotwise_batch_done_t done;
    OK(slotwise_reserve_batch(engine, &batch, &done));
    CHECK(done.placed == 80 && done.failed == 20 && !done.replayed);
    CHECK(placements[3].status == SLOTWISE_DUPLICATE_ID);
    CHECK(placements[4].status == SLOTWISE_ID_LENGTH);
    CHECK(placements[99].status == SLOTWISE_BUSY && reasons[99].cpu == 2);
    CHECK(placements[99].dimension == SLOTWISE_CPU && placements[99].ticket == 0);
    CHECK(reasons[3].cpu == 0 && placements[0].ticket != 0);

    uint64_t tickets[N];
    int32_t statuses[N];
    slotwise_released_t released[N];
    for (int k = 0; k < N; k++) tickets[k] = placements[k].ticket;
    size_t count = 0;
    OK(slotwise_release_batch(engine, tickets, N, statuses, released, &count));
    CHECK(count == 80 && statuses[0] == SLOTWISE_OK && statuses[3] == SLOTWISE_NOT_HELD);
    CHECK(released[0].amount.cpu == 1 && released[3].status == SLOTWISE_NOT_HELD);
    OK(slotwise_release_batch(engine, tickets, N, NULL, NULL, NULL));
    finish(engine, 0);
}

static void a_gang_is_all_or_nothing_and_a_batch_id_has_one_effect(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "a", 3, 1000);
    slotwise_request_t requests[4];
    slotwise_placement_t placements[4], again[4];
    for (int k = 0; k < 4; k++) requests[k] = request(NULL, 1, 1);
    SIZED(slotwise_batch_t, batch);
    batch.mode = SLOTWISE_ALL_OR_NOTHING;
    batch.requests = requests;
    batch.placements = placements;
    batch.count = 4;
    slotwise_batch_done_t done;
    OK(slotwise_reserve_batch(engine, &batch, &done));
    CHECK(done.placed == 0 && placements[3].status == SLOTWISE_BUSY);
    CHECK(placements[0].status == SLOTWISE_PEER && info(engine, w).version == 0);
    batch.count = 3;
    batch.id = "batch-1";
    batch.id_length = 7;
    OK(slotwise_reserve_batch(engine, &batch, &done));
    CHECK(done.placed == 3 && !done.replayed && info(engine, w).version == 3);
    OK(slotwise_release(engine, placements[0].ticket, NULL));
    batch.placements = again;
    OK(slotwise_reserve_batch(engine, &batch, &done));
    CHECK(done.placed == 3 && done.replayed == 1);
    CHECK(memcmp(placements, again, 3 * sizeof *again) == 0);
    batch.count = 2;
    CHECK_STATUS(slotwise_reserve_batch(engine, &batch, &done), SLOTWISE_OTHER_BATCH);
    finish(engine, 2);
}

static void columns_are_batches(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "a", 100, 100);
    SIZED(slotwise_columns_t, columns);
    slotwise_request_t common = request(NULL, 1, 7);
    const uint64_t cpu[] = {10, 20, 200}, offsets[] = {0, 1, 3, 6};
    uint64_t tickets[3], versions[3];
    slotwise_worker_t workers[3];
    int32_t statuses[3];
    columns.count = 3;
    columns.common = &common;
    columns.cpu = cpu;
    columns.ids = "abbccc";
    columns.id_offsets = offsets;
    columns.tickets = tickets;
    columns.workers = workers;
    columns.versions = versions;
    columns.statuses = statuses;
    slotwise_batch_done_t done;
    OK(slotwise_reserve_columns(engine, &columns, &done));
    CHECK(done.placed == 2 && statuses[2] == SLOTWISE_NEVER && tickets[2] == 0 && workers[2] == 0);
    CHECK(workers[1] == w && versions[1] == 2);
    CHECK(info(engine, w).held.cpu == 30 && info(engine, w).held.memory == 14);
    slotwise_placement_t held;
    OK(slotwise_reservation(engine, "bb", 2, &held));
    CHECK(held.ticket == tickets[1]);
    /* Ids of a fixed width, as numpy has them: "bb" is held already. */
    const uint64_t hashes[] = {1, 2, 3};
    columns.id_offsets = NULL;
    columns.ids = "bb\0\0dd\0\0e\0f\0";
    columns.id_width = 4;
    columns.cpu = NULL;
    columns.hashes = hashes;
    OK(slotwise_reserve_columns(engine, &columns, &done));
    CHECK(done.placed == 3 && tickets[0] == held.ticket);
    OK(slotwise_release_id(engine, "dd", 2, NULL));
    OK(slotwise_release_id(engine, "e\0f", 3, NULL));
    finish(engine, 2);
}

static void groups_change_a_worker_once(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "a", 10, 10);
    slotwise_request_t job = request("old", 10, 10);
    slotwise_placement_t placed;
    OK(slotwise_reserve(engine, &job, &placed));
    slotwise_step_t steps[3];
    slotwise_step_done_t done[3];
    memset(steps, 0, sizeof steps);
    steps[0].kind = SLOTWISE_STEP_RESERVE;
    steps[0].id = "new";
    steps[0].id_length = 3;
    steps[0].need.cpu = steps[0].need.memory = 10;
    steps[1].kind = SLOTWISE_STEP_RELEASE_ID;
    steps[1].id = "old";
    steps[1].id_length = 3;
    SIZED(slotwise_group_t, group);
    group.worker = text("a");
    group.steps = steps;
    group.step_count = 2;
    group.done = done;
    OK(slotwise_groups_apply(engine, &group, 0, 1));
    CHECK(done[0].status == SLOTWISE_OK && done[0].ticket != 0 && done[0].worker == w);
    CHECK(done[1].status == SLOTWISE_OK && done[1].amount.cpu == 10 && done[1].ticket == 0);
    CHECK(info(engine, w).version == 3);
    steps[0].id = "more";
    steps[0].id_length = 4;
    steps[1].kind = SLOTWISE_STEP_RELEASE;
    steps[1].ticket = placed.ticket;
    OK(slotwise_groups_apply(engine, &group, 0, 1));
    CHECK(done[1].status == SLOTWISE_NOT_HELD && done[0].status == SLOTWISE_PEER);
    CHECK(info(engine, w).version == 3);
    finish(engine, 1);
}

static void a_dry_run_changes_nothing(void) {
    slotwise_engine_t engine = engine_new();
    slotwise_worker_t w = worker(engine, "a", 10, 10);
    slotwise_request_t job = request("old", 4, 4), replicas[3];
    slotwise_placement_t placed, foreseen[3];
    OK(slotwise_reserve(engine, &job, &placed));
    for (int k = 0; k < 3; k++) replicas[k] = request(NULL, 3, 3);
    SIZED(slotwise_batch_t, batch);
    batch.mode = SLOTWISE_ALL_OR_NOTHING;
    batch.requests = replicas;
    batch.placements = foreseen;
    batch.count = 3;
    slotwise_batch_done_t done;
    OK(slotwise_dry_run(engine, &batch, NULL, 0, &done));
    CHECK(done.placed == 0 && foreseen[2].status == SLOTWISE_BUSY);
    OK(slotwise_dry_run(engine, &batch, &placed.ticket, 1, &done));
    CHECK(done.placed == 3 && foreseen[0].worker == w && foreseen[0].ticket == 0);
    CHECK(foreseen[0].version == 1 && info(engine, w).version == 1);
    finish(engine, 1);
}

static void handles_are_counted(void) {
    slotwise_engine_t engine = engine_new(), other = engine_new();
    CHECK(engine != 0 && engine != other);
    OK(slotwise_engine_retain(engine));
    OK(slotwise_engine_free(engine));
    worker(engine, "a", 1, 1);
    OK(slotwise_engine_close(engine));
    OK(slotwise_engine_close(engine));
    uint64_t n = 77;
    CHECK_STATUS(slotwise_counts(engine, &n, NULL), SLOTWISE_CLOSED);
    CHECK(n == 77);
    OK(slotwise_engine_retain(engine));
    OK(slotwise_engine_free(engine));
    OK(slotwise_engine_free(engine));
    CHECK_STATUS(slotwise_engine_free(engine), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_engine_close(engine), SLOTWISE_STALE_HANDLE);
    /* Its place in the table is taken by another one; the old handle is still stale. */
    slotwise_engine_t next = engine_new();
    CHECK_STATUS(slotwise_counts(engine, &n, NULL), SLOTWISE_STALE_HANDLE);
    OK(slotwise_counts(next, &n, NULL));
    CHECK(n == 0);
    finish(next, 0);
    finish(other, 0);
}

/* A thread keeps what it found of the engine that it last called; what it keeps is that engine's. */
static void engines_take_turns_on_a_thread(void) {
    slotwise_engine_t engine = engine_new(), other = engine_new();
    worker(engine, "a", 100, 100);
    worker(other, "b", 100, 100);
    slotwise_request_t job = request(NULL, 1, 1);
    slotwise_placement_t placed;
    SIZED(slotwise_stats_t, stats);
    for (int k = 0; k < 10; k++) {
        OK(slotwise_reserve(engine, &job, &placed));
        OK(slotwise_reserve(other, &job, &placed));
        OK(slotwise_release(other, placed.ticket, NULL));
    }
    OK(slotwise_stats(engine, &stats));
    CHECK(stats.placed == 10 && stats.released == 0);
    OK(slotwise_stats(other, &stats));
    CHECK(stats.placed == 10 && stats.released == 10);
    finish(other, 0);
    for (int k = 1; k <= 10; k++) {
        /* Each takes the place of the one before in the table, and often in memory. */
        slotwise_engine_t next = engine_new();
        worker(next, "c", 100, 100);
        OK(slotwise_reserve(next, &job, &placed));
        CHECK_STATUS(slotwise_release(other, placed.ticket, NULL), SLOTWISE_STALE_HANDLE);
        OK(slotwise_release(next, placed.ticket, NULL));
        OK(slotwise_reserve(next, &job, &placed));
        OK(slotwise_stats(next, &stats));
        CHECK(stats.placed == 2 && stats.released == 1);
        OK(slotwise_engine_close(next));
        CHECK_STATUS(slotwise_reserve(next, &job, &placed), SLOTWISE_CLOSED);
        OK(slotwise_engine_free(next));
        CHECK_STATUS(slotwise_reserve(next, &job, &placed), SLOTWISE_STALE_HANDLE);
        CHECK_STATUS(slotwise_reserve(0, &job, &placed), SLOTWISE_STALE_HANDLE);
        other = next;
    }
    finish(engine, 10);
}

int main(void) {
    const test_t tests[] = {
        TEST(versions_agree),
        TEST(engines_are_made_from_a_configuration),
        TEST(a_request_is_placed_and_given_back_once),
        TEST(a_refusal_says_why),
        TEST(selectors_are_interned),
        TEST(workers_live),
        TEST(what_is_lost_is_told_once),
        TEST(workers_come_many_and_are_listed),
        TEST(a_version_can_be_insisted_on),
        TEST(reservations_are_resized),
        TEST(batches_are_sequences),
        TEST(a_gang_is_all_or_nothing_and_a_batch_id_has_one_effect),
        TEST(columns_are_batches),
        TEST(groups_change_a_worker_once),
        TEST(a_dry_run_changes_nothing),
        TEST(handles_are_counted),
        TEST(engines_take_turns_on_a_thread),
    };
    return RUN(tests);
}
