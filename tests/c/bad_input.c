/* What is wrong with a call has a status of its own, and nothing is written or changed. */
#include "world.h"

static void null_pointers(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    const int32_t null = SLOTWISE_NULL_POINTER;
    slotwise_placement_t placed;
    slotwise_request_t job = request("x", 1, 1);
    slotwise_worker_spec_t s = spec("x", 1, 1);
    slotwise_worker_t found;
    size_t count;
    uint32_t selector;
    SIZED(slotwise_constraints_t, constraints);
    SIZED(slotwise_batch_t, batch);
    SIZED(slotwise_columns_t, columns);
    SIZED(slotwise_group_t, group);

    CHECK_STATUS(slotwise_config_default(NULL), null);
    CHECK_STATUS(slotwise_engine_new(NULL, NULL), null);
    CHECK_STATUS(slotwise_engine_config(e, NULL), null);
    CHECK_STATUS(slotwise_last_error(NULL), null);
    CHECK_STATUS(slotwise_last_error_text(NULL, 1, NULL), null);
    OK(slotwise_last_error_text(NULL, 0, NULL));

    CHECK_STATUS(slotwise_selector(e, NULL, &selector), null);
    CHECK_STATUS(slotwise_selector(e, &constraints, NULL), null);
    constraints.pool_count = 1;
    CHECK_STATUS(slotwise_selector(e, &constraints, &selector), null);
    constraints.pool_count = 0;
    constraints.label_count = 1;
    CHECK_STATUS(slotwise_selector(e, &constraints, &selector), null);
    constraints.label_count = 0;
    constraints.machine.length = 3;
    CHECK_STATUS(slotwise_selector(e, &constraints, &selector), null);

    CHECK_STATUS(slotwise_worker_add(e, NULL, &found), null);
    s.id.data = NULL;
    CHECK_STATUS(slotwise_worker_add(e, &s, &found), null);
    s = spec("x", 1, 1);
    s.label_count = 1;
    CHECK_STATUS(slotwise_worker_add(e, &s, &found), null);
    CHECK_STATUS(slotwise_workers_add(e, NULL, 0, 1, NULL, NULL), null);
    CHECK_STATUS(slotwise_worker_update(e, "w", 1, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_worker_update(e, NULL, 1, &s, 0, NULL), null);
    CHECK_STATUS(slotwise_worker_remove(e, "w", 1, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_worker_remove(e, "w", 1, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_worker_remove(e, NULL, 1, NULL, 0, &count), null);
    CHECK_STATUS(slotwise_lost_take(e, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_lost_take(e, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_worker_ready(e, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_worker_unready(e, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_worker_cordon(e, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_worker_uncordon(e, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_worker_drain(e, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_worker_find(e, NULL, 1, &found), null);
    CHECK_STATUS(slotwise_worker_find(e, "w", 1, NULL), null);
    CHECK_STATUS(slotwise_worker_info(e, w.worker, NULL), null);
    CHECK_STATUS(slotwise_worker_snapshot(e, w.worker, NULL), null);
    CHECK_STATUS(slotwise_worker_text(e, w.worker, SLOTWISE_TEXT_ID, 0, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_workers_list(e, SLOTWISE_LIST_POOL, NULL, 1, NULL, 0, &count), null);
    CHECK_STATUS(slotwise_workers_list(e, SLOTWISE_LIST_ALL, NULL, 0, NULL, 1, &count), null);
    CHECK_STATUS(slotwise_workers_list(e, SLOTWISE_LIST_ALL, NULL, 0, NULL, 0, NULL), null);

    CHECK_STATUS(slotwise_reserve(e, NULL, &placed), null);
    CHECK_STATUS(slotwise_reserve(e, &job, NULL), null);
    CHECK_STATUS(slotwise_reserve_on(e, w.worker, NULL, NULL, &placed), null);
    CHECK_STATUS(slotwise_reserve_on(e, w.worker, &job, NULL, NULL), null);
    job.id = NULL;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), null);
    job = request("x", 1, 1);
    job.key_length = 1;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), null);
    CHECK_STATUS(slotwise_reservation(e, NULL, 1, &placed), null);
    CHECK_STATUS(slotwise_reservation(e, "held", 4, NULL), null);
    CHECK_STATUS(slotwise_release_id(e, NULL, 4, NULL), null);
    CHECK_STATUS(slotwise_release_batch(e, NULL, 1, NULL, NULL, NULL), null);
    CHECK_STATUS(slotwise_resize(e, w.ticket, NULL, NULL), null);
    CHECK_STATUS(slotwise_resize_id(e, "held", 4, NULL, NULL), null);

    CHECK_STATUS(slotwise_reserve_batch(e, NULL, NULL), null);
    batch.count = 1;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), null);
    CHECK_STATUS(slotwise_dry_run(e, &batch, NULL, 0, NULL), null);
    CHECK_STATUS(slotwise_dry_run(e, NULL, NULL, 0, NULL), null);
    batch.count = 0;
    CHECK_STATUS(slotwise_dry_run(e, &batch, NULL, 1, NULL), null);
    CHECK_STATUS(slotwise_reserve_columns(e, NULL, NULL), null);
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), null);
    int32_t status;
    columns.statuses = &status;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), null);
    CHECK_STATUS(slotwise_groups_apply(e, NULL, 0, 1), null);
    group.step_count = 1;
    CHECK_STATUS(slotwise_groups_apply(e, &group, 0, 1), null);
    CHECK_STATUS(slotwise_stats(e, NULL), null);
    CHECK_STATUS(slotwise_audit(e, NULL, NULL, 0), null);
    SIZED(slotwise_audit_t, audit);
    CHECK_STATUS(slotwise_audit(e, &audit, NULL, 1), null);
    OK(slotwise_counts(e, NULL, NULL));
    unchanged(w);
}

static void sizes_that_are_unknown(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine, none;
    const int32_t size = SLOTWISE_STRUCT_SIZE;
    uint32_t selector;
    slotwise_placement_t placed;
    const uint32_t deltas[] = {1, 8, 0x10000};
    for (size_t k = 0; k < 3; k++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            uint32_t delta = (uint32_t)sign * deltas[k];
            SIZED(slotwise_config_t, config);
            config.size += delta;
            CHECK_STATUS(slotwise_engine_new(&config, &none), size);
            CHECK_STATUS(slotwise_engine_config(e, &config), size);
            SIZED(slotwise_constraints_t, constraints);
            constraints.size += delta;
            CHECK_STATUS(slotwise_selector(e, &constraints, &selector), size);
            slotwise_worker_spec_t s = spec("x", 1, 1);
            s.size += delta;
            CHECK_STATUS(slotwise_worker_add(e, &s, NULL), size);
            CHECK_STATUS(slotwise_workers_add(e, &s, 0, 1, NULL, NULL), size);
            CHECK_STATUS(slotwise_worker_update(e, "w", 1, &s, 0, NULL), size);
            SIZED(slotwise_worker_info_t, i);
            i.size += delta;
            CHECK_STATUS(slotwise_worker_info(e, w.worker, &i), size);
            CHECK_STATUS(slotwise_worker_cordon(e, "w", 1, &i), size);
            slotwise_request_t job = request("x", 1, 1);
            job.size += delta;
            CHECK_STATUS(slotwise_reserve(e, &job, &placed), size);
            CHECK_STATUS(slotwise_reserve_on(e, w.worker, &job, NULL, &placed), size);
            SIZED(slotwise_batch_t, batch);
            batch.requests = &job;
            batch.placements = &placed;
            batch.count = 1;
            CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), size);
            batch.size += delta;
            CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), size);
            CHECK_STATUS(slotwise_dry_run(e, &batch, NULL, 0, NULL), size);
            SIZED(slotwise_columns_t, columns);
            columns.size += delta;
            CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), size);
            SIZED(slotwise_group_t, group);
            group.size += delta;
            CHECK_STATUS(slotwise_groups_apply(e, &group, 0, 1), size);
            SIZED(slotwise_stats_t, stats);
            stats.size += delta;
            CHECK_STATUS(slotwise_stats(e, &stats), size);
            SIZED(slotwise_audit_t, audit);
            audit.size += delta;
            CHECK_STATUS(slotwise_audit(e, &audit, NULL, 0), size);
            SIZED(slotwise_error_t, error);
            error.size += delta;
            CHECK_STATUS(slotwise_last_error(&error), size);
        }
    }
    unchanged(w);
}

static void reserved_fields(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    const int32_t reserved = SLOTWISE_RESERVED;
    uint32_t selector;
    slotwise_placement_t placed;
    SIZED(slotwise_constraints_t, constraints);
    constraints.reserved = 1;
    CHECK_STATUS(slotwise_selector(e, &constraints, &selector), reserved);
    slotwise_worker_spec_t s = spec("x", 1, 1);
    s.reserved = 1;
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), reserved);
    CHECK_STATUS(slotwise_worker_update(e, "w", 1, &s, SLOTWISE_SET_TOTAL, NULL), reserved);
    slotwise_request_t job = request("x", 1, 1);
    SIZED(slotwise_terms_t, terms);
    terms.reserved = UINT64_C(1) << 63;
    job.terms = &terms;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), reserved);
    SIZED(slotwise_batch_t, batch);
    batch.reserved = 1;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), reserved);
    CHECK_STATUS(slotwise_dry_run(e, &batch, NULL, 0, NULL), reserved);
    SIZED(slotwise_columns_t, columns);
    columns.reserved = 1;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), reserved);
    SIZED(slotwise_group_t, group);
    group.reserved = 1;
    CHECK_STATUS(slotwise_groups_apply(e, &group, 0, 1), reserved);
    group.reserved = 0;
    slotwise_step_t step;
    slotwise_step_done_t done;
    memset(&step, 0, sizeof step);
    step.kind = SLOTWISE_STEP_RELEASE;
    step.reserved = 1;
    group.steps = &step;
    group.step_count = 1;
    group.done = &done;
    CHECK_STATUS(slotwise_groups_apply(e, &group, 0, 1), reserved);
    unchanged(w);
}

static void numbers_that_stand_for_nothing(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine, none;
    const int32_t unknown = SLOTWISE_UNKNOWN_VALUE;
    uint32_t selector;
    size_t count;
    slotwise_placement_t placed;
    slotwise_config_t config;
    OK(slotwise_config_default(&config));
    config.policy = SLOTWISE_POLICY_ADAPTIVE + 1;
    CHECK_STATUS(slotwise_engine_new(&config, &none), unknown);
    config.policy = 0;
    config.flags = 4;
    CHECK_STATUS(slotwise_engine_new(&config, &none), unknown);
    SIZED(slotwise_constraints_t, constraints);
    constraints.flags = 2;
    CHECK_STATUS(slotwise_selector(e, &constraints, &selector), unknown);
    slotwise_worker_spec_t s = spec("x", 1, 1);
    s.flags = 8;
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), unknown);
    s.flags = 0;
    s.tier = 256;
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), unknown);
    s.tier = 0;
    CHECK_STATUS(slotwise_worker_update(e, "w", 1, &s, 4096, NULL), unknown);
    slotwise_request_t job = request("x", 1, 1);
    const uint32_t policies[] = {SLOTWISE_POLICY_ADAPTIVE + 1, 64, 0x80000000u, 0xffffffffu};
    for (size_t k = 0; k < 4; k++) {
        job.policy = policies[k];
        CHECK_STATUS(slotwise_reserve(e, &job, &placed), unknown);
    }
    job.policy = 0;
    job.flags = 4;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), unknown);
    job.flags = 0;
    job.hash = 1;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), unknown);
    job.flags = SLOTWISE_HASH;
    job.key = "k";
    job.key_length = 1;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), unknown);
    SIZED(slotwise_batch_t, batch);
    batch.mode = 2;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), unknown);
    batch.mode = 0;
    batch.id = "b";
    batch.id_length = 1;
    CHECK_STATUS(slotwise_dry_run(e, &batch, NULL, 0, NULL), unknown);
    SIZED(slotwise_columns_t, columns);
    int32_t status;
    slotwise_request_t common = request("x", 1, 1);
    columns.statuses = &status;
    columns.common = &common;
    columns.mode = 7;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), unknown);
    columns.mode = 0;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), unknown);
    common = request(NULL, 1, 1);
    common.key = "k";
    common.key_length = 1;
    const uint64_t hash = 1;
    columns.hashes = &hash;
    columns.count = 1;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), unknown);
    SIZED(slotwise_group_t, group);
    slotwise_step_t step;
    slotwise_step_done_t done;
    memset(&step, 0, sizeof step);
    group.steps = &step;
    group.step_count = 1;
    group.done = &done;
    CHECK_STATUS(slotwise_groups_apply(e, &group, 0, 1), unknown);
    CHECK_STATUS(slotwise_workers_list(e, 3, NULL, 0, NULL, 0, &count), unknown);
    char buffer[4];
    CHECK_STATUS(slotwise_worker_text(e, w.worker, 7, 0, buffer, 4, NULL), unknown);
    CHECK_STATUS(slotwise_worker_text(e, w.worker, SLOTWISE_TEXT_ID, 1, buffer, 4, NULL), unknown);
    CHECK_STATUS(slotwise_worker_text(e, w.worker, SLOTWISE_TEXT_LABEL_KEY, 0, buffer, 4, NULL),
                 unknown);
    unchanged(w);
}

static void lengths_over_the_limit(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    char longest[301];
    memset(longest, 'x', sizeof longest);
    slotwise_placement_t placed;
    slotwise_request_t job = request("x", 1, 1);
    job.id = longest;
    job.id_length = SLOTWISE_MAX_ID_LENGTH + 1;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_ID_LENGTH);
    SIZED(slotwise_error_t, error);
    OK(slotwise_last_error(&error));
    CHECK(error.given == 65 && error.limit == 64);
    job.id_length = SIZE_MAX;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_COUNT);
    CHECK_STATUS(slotwise_release_id(e, longest, 65, NULL), SLOTWISE_NOT_HELD);
    slotwise_worker_spec_t s = spec("x", 1, 1);
    s.id.data = longest;
    s.id.length = 65;
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), SLOTWISE_ID_LENGTH);
    s.id.length = 0;
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), SLOTWISE_ID_LENGTH);
    s = spec("x", 1, 1);
    s.pool.data = longest;
    s.pool.length = SLOTWISE_MAX_NAME_LENGTH + 1;
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), SLOTWISE_NAME_LENGTH);
    s = spec("x", 8388608, 1);
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), SLOTWISE_TOO_LARGE);
    OK(slotwise_last_error(&error));
    CHECK(error.given == 8388608 && error.limit == 8388607 && error.dimension == SLOTWISE_CPU);
    s = spec("x", 1, 1);
    s.set_aside.memory = 2;
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), SLOTWISE_SET_ASIDE);
    s.set_aside.memory = 0;
    s.gpu_type = text("A10G");
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), SLOTWISE_GPU_TYPE);
    job = request("x", 0, 0);
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_EMPTY);
    job.gpus = 256;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_TOO_LARGE);
    job.gpus = UINT64_MAX;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_TOO_LARGE);
    slotwise_resources_t need = {0, 0, 0};
    CHECK_STATUS(slotwise_resize(e, w.ticket, &need, NULL), SLOTWISE_EMPTY);
    need.memory = UINT64_MAX;
    CHECK_STATUS(slotwise_resize(e, w.ticket, &need, NULL), SLOTWISE_TOO_LARGE);
    SIZED(slotwise_constraints_t, constraints);
    static slotwise_text_t pools[65];
    static char names[65][4];
    for (int k = 0; k < 65; k++) {
        snprintf(names[k], sizeof names[k], "%d", k);
        pools[k] = text(names[k]);
    }
    constraints.pools = pools;
    constraints.pool_count = 65;
    uint32_t selector;
    CHECK_STATUS(slotwise_selector(e, &constraints, &selector), SLOTWISE_LIST_LENGTH);
    constraints.pool_count = SLOTWISE_MAX_COUNT + 1;
    CHECK_STATUS(slotwise_selector(e, &constraints, &selector), SLOTWISE_COUNT);
    slotwise_config_t config;
    slotwise_engine_t none = 0;
    OK(slotwise_config_default(&config));
    config.max_workers = 0;
    CHECK_STATUS(slotwise_engine_new(&config, &none), SLOTWISE_CONFIG);
    config.max_workers = UINT64_MAX;
    CHECK_STATUS(slotwise_engine_new(&config, &none), SLOTWISE_CONFIG);
    OK(slotwise_last_error(&error));
    CHECK(error.limit == 16777216 && none == 0);
    SIZED(slotwise_columns_t, columns);
    int32_t status;
    slotwise_request_t common = request(NULL, 1, 1);
    columns.statuses = &status;
    columns.common = &common;
    columns.ids = longest;
    columns.count = 1;
    columns.id_width = 65;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), SLOTWISE_ID_LENGTH);
    columns.id_width = 0;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), SLOTWISE_ID_LENGTH);
    const uint64_t falling[] = {3, 2};
    columns.id_offsets = falling;
    CHECK_STATUS(slotwise_reserve_columns(e, &columns, NULL), SLOTWISE_OFFSETS);
    SIZED(slotwise_batch_t, batch);
    batch.id = longest;
    batch.id_length = 65;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_ID_LENGTH);
    batch.id_length = 0;
    CHECK_STATUS(slotwise_reserve_batch(e, &batch, NULL), SLOTWISE_ID_LENGTH);
    unchanged(w);
}

static void ids_are_bytes(void) {
    slotwise_engine_t e = engine_new();
    slotwise_worker_spec_t s = spec("x", 10, 10);
    s.id.data = "\xff\x00\xfe";
    s.id.length = 3;
    s.pool.data = "\x80";
    s.pool.length = 1;
    slotwise_worker_t w, found;
    OK(slotwise_worker_add(e, &s, &w));
    OK(slotwise_worker_find(e, "\xff\x00\xfe", 3, &found));
    CHECK(found == w);
    char buffer[4];
    size_t length = 0;
    OK(slotwise_worker_text(e, w, SLOTWISE_TEXT_ID, 0, buffer, 4, &length));
    CHECK(length == 3 && memcmp(buffer, "\xff\x00\xfe", 4) == 0);
    slotwise_request_t job = request("x", 1, 1);
    job.id = "\xc3\x28\x00";
    job.id_length = 3;
    slotwise_placement_t placed;
    OK(slotwise_reserve(e, &job, &placed));
    CHECK_STATUS(slotwise_release_id(e, "\xc3\x28", 2, NULL), SLOTWISE_NOT_HELD);
    OK(slotwise_release_id(e, "\xc3\x28\x00", 3, NULL));
    finish(e, 0);
}

static void handles_that_are_stale(void) {
    slotwise_engine_t e = engine_new(), closed = engine_new();
    OK(slotwise_engine_free(e));
    OK(slotwise_engine_close(closed));
    const struct {
        slotwise_engine_t engine;
        int32_t status;
    } bad[] = {{e, SLOTWISE_STALE_HANDLE},
               {0, SLOTWISE_STALE_HANDLE},
               {UINT64_MAX, SLOTWISE_STALE_HANDLE},
               {e + SLOTWISE_MAX_ENGINES, SLOTWISE_STALE_HANDLE},
               {closed | UINT64_C(1) << 63, SLOTWISE_STALE_HANDLE},
               {closed, SLOTWISE_CLOSED}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        slotwise_engine_t h = bad[k].engine;
        int32_t status = bad[k].status;
        slotwise_placement_t placed;
        slotwise_request_t job = request("x", 1, 1);
        slotwise_worker_spec_t s = spec("x", 1, 1);
        slotwise_worker_t w;
        slotwise_snapshot_t snapshot;
        slotwise_resources_t need = {1, 1, 0};
        size_t count;
        uint32_t selector;
        SIZED(slotwise_config_t, config);
        SIZED(slotwise_constraints_t, constraints);
        SIZED(slotwise_worker_info_t, i);
        SIZED(slotwise_batch_t, batch);
        SIZED(slotwise_columns_t, columns);
        SIZED(slotwise_stats_t, stats);
        SIZED(slotwise_audit_t, audit);
        fill(&placed, sizeof placed);
        CHECK_STATUS(slotwise_engine_config(h, &config), status);
        CHECK_STATUS(slotwise_selector(h, &constraints, &selector), status);
        CHECK_STATUS(slotwise_worker_add(h, &s, &w), status);
        CHECK_STATUS(slotwise_workers_add(h, &s, 0, 1, NULL, NULL), status);
        CHECK_STATUS(slotwise_worker_update(h, "x", 1, &s, 0, NULL), status);
        CHECK_STATUS(slotwise_worker_remove(h, "x", 1, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_lost_take(h, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_worker_ready(h, "x", 1, NULL), status);
        CHECK_STATUS(slotwise_worker_unready(h, "x", 1, NULL), status);
        CHECK_STATUS(slotwise_worker_cordon(h, "x", 1, NULL), status);
        CHECK_STATUS(slotwise_worker_uncordon(h, "x", 1, NULL), status);
        CHECK_STATUS(slotwise_worker_drain(h, "x", 1, NULL), status);
        CHECK_STATUS(slotwise_worker_find(h, "x", 1, &w), status);
        CHECK_STATUS(slotwise_worker_info(h, 1, &i), status);
        CHECK_STATUS(slotwise_worker_snapshot(h, 1, &snapshot), status);
        CHECK_STATUS(slotwise_worker_text(h, 1, 0, 0, NULL, 0, NULL), status);
        CHECK_STATUS(slotwise_workers_list(h, 0, NULL, 0, NULL, 0, &count), status);
        CHECK_STATUS(slotwise_reserve(h, &job, &placed), status);
        CHECK_STATUS(slotwise_reserve_on(h, 1, &job, NULL, &placed), status);
        CHECK_STATUS(slotwise_reservation(h, "x", 1, &placed), status);
        CHECK_STATUS(slotwise_release(h, 1, NULL), status);
        CHECK_STATUS(slotwise_release_id(h, "x", 1, NULL), status);
        CHECK_STATUS(slotwise_release_batch(h, NULL, 0, NULL, NULL, NULL), status);
        CHECK_STATUS(slotwise_resize(h, 1, &need, NULL), status);
        CHECK_STATUS(slotwise_resize_id(h, "x", 1, &need, NULL), status);
        CHECK_STATUS(slotwise_reserve_batch(h, &batch, NULL), status);
        CHECK_STATUS(slotwise_reserve_columns(h, &columns, NULL), status);
        CHECK_STATUS(slotwise_dry_run(h, &batch, NULL, 0, NULL), status);
        CHECK_STATUS(slotwise_groups_apply(h, NULL, 0, 0), status);
        CHECK_STATUS(slotwise_stats(h, &stats), status);
        CHECK_STATUS(slotwise_counts(h, NULL, NULL), status);
        CHECK_STATUS(slotwise_audit(h, &audit, NULL, 0), status);
        CHECK(untouched(&placed, sizeof placed));
        if (status == SLOTWISE_STALE_HANDLE) {
            CHECK_STATUS(slotwise_engine_retain(h), status);
            CHECK_STATUS(slotwise_engine_close(h), status);
            CHECK_STATUS(slotwise_engine_free(h), status);
        }
    }
    OK(slotwise_engine_free(closed));
}

static void more_engines_than_there_is_room_for(void) {
    static slotwise_engine_t engines[SLOTWISE_MAX_ENGINES];
    slotwise_config_t config;
    OK(slotwise_config_default(&config));
    config.max_workers = config.max_reservations = config.max_selectors = config.max_batches = 1;
    for (size_t k = 0; k < SLOTWISE_MAX_ENGINES; k++) OK(slotwise_engine_new(&config, &engines[k]));
    slotwise_engine_t more = 7;
    CHECK_STATUS(slotwise_engine_new(&config, &more), SLOTWISE_TOO_MANY_ENGINES);
    CHECK(more == 7);
    OK(slotwise_engine_free(engines[100]));
    OK(slotwise_engine_new(&config, &more));
    CHECK_STATUS(slotwise_engine_free(engines[100]), SLOTWISE_STALE_HANDLE);
    engines[100] = more;
    for (size_t k = 0; k < SLOTWISE_MAX_ENGINES; k++) OK(slotwise_engine_free(engines[k]));
}

static void numbers_that_name_nothing(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine;
    const uint64_t bad[] = {0, 1, UINT64_MAX, w.worker + 1, w.worker + (UINT64_C(1) << 32)};
    slotwise_request_t job = request("x", 1, 1);
    slotwise_placement_t placed;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        SIZED(slotwise_worker_info_t, i);
        slotwise_snapshot_t snapshot;
        CHECK_STATUS(slotwise_worker_info(e, bad[k], &i), SLOTWISE_UNKNOWN_WORKER);
        CHECK_STATUS(slotwise_worker_snapshot(e, bad[k], &snapshot), SLOTWISE_UNKNOWN_WORKER);
        CHECK_STATUS(slotwise_worker_text(e, bad[k], 0, 0, NULL, 0, NULL),
                     SLOTWISE_UNKNOWN_WORKER);
        CHECK_STATUS(slotwise_reserve_on(e, bad[k], &job, NULL, &placed), SLOTWISE_UNKNOWN_WORKER);
    }
    const uint64_t tickets[] = {0, 1, UINT64_MAX, w.ticket + 1, w.ticket + (UINT64_C(1) << 28)};
    slotwise_resources_t need = {1, 1, 0};
    for (size_t k = 0; k < sizeof tickets / sizeof *tickets; k++) {
        CHECK_STATUS(slotwise_release(e, tickets[k], NULL), SLOTWISE_NOT_HELD);
        CHECK_STATUS(slotwise_resize(e, tickets[k], &need, NULL), SLOTWISE_NOT_HELD);
    }
    job.selector = 12345;
    CHECK_STATUS(slotwise_reserve(e, &job, &placed), SLOTWISE_UNKNOWN_SELECTOR);
    slotwise_worker_spec_t s = spec("w", 1, 1);
    CHECK_STATUS(slotwise_worker_add(e, &s, NULL), SLOTWISE_DUPLICATE_WORKER);
    CHECK_STATUS(slotwise_worker_cordon(e, "nobody", 6, NULL), SLOTWISE_UNKNOWN_WORKER);
    unchanged(w);
}

/* A request by a hash that has nothing but amounts takes a shorter way, and is looked at as any. */
static void bare_requests(void) {
    world_t w = world();
    slotwise_engine_t e = w.engine, closed = engine_new();
    OK(slotwise_engine_close(closed));
    slotwise_placement_t placed[2];
    fill(placed, sizeof placed);
    SIZED(slotwise_request_t, good);
    good.flags = SLOTWISE_HASH;
    good.hash = UINT64_MAX;
    good.cpu = good.memory = 1;
    slotwise_placement_t *askew = (void *)((char *)placed + 1);
    CHECK_STATUS(slotwise_reserve(e, &good, NULL), SLOTWISE_NULL_POINTER);
    CHECK_STATUS(slotwise_reserve(e, &good, askew), SLOTWISE_MISALIGNED);
    CHECK_STATUS(slotwise_reserve(0, &good, placed), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_reserve(UINT64_MAX, &good, placed), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_reserve(e + SLOTWISE_MAX_ENGINES, &good, placed), SLOTWISE_STALE_HANDLE);
    CHECK_STATUS(slotwise_reserve(closed, &good, placed), SLOTWISE_CLOSED);
    /* What is wrong with the handle comes first. */
    CHECK_STATUS(slotwise_reserve(closed, &good, NULL), SLOTWISE_CLOSED);
    OK(slotwise_engine_free(closed));

    SIZED(slotwise_terms_t, terms);
    terms.reserved = 1;
    slotwise_request_t bad[] = {good, good, good, good, good, good, good, good, good, good, good};
    const int32_t expected[] = {SLOTWISE_STRUCT_SIZE, SLOTWISE_UNKNOWN_VALUE, SLOTWISE_UNKNOWN_VALUE,
                                SLOTWISE_UNKNOWN_VALUE, SLOTWISE_NULL_POINTER, SLOTWISE_NULL_POINTER,
                                SLOTWISE_RESERVED, SLOTWISE_EMPTY, SLOTWISE_TOO_LARGE,
                                SLOTWISE_UNKNOWN_SELECTOR, SLOTWISE_BUSY};
    bad[0].size -= 8;
    bad[1].flags = 0;
    bad[2].flags |= 4;
    bad[3].policy = SLOTWISE_POLICY_ADAPTIVE + 1;
    bad[4].id_length = 1;
    bad[5].key_length = 1;
    bad[6].terms = &terms;
    bad[7].cpu = bad[7].memory = 0;
    bad[8].memory = UINT64_MAX;
    bad[9].selector = 12345;
    bad[10].cpu = 991;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        CHECK_STATUS(slotwise_reserve(e, &bad[k], placed), expected[k]);
        SIZED(slotwise_error_t, error);
        OK(slotwise_last_error(&error));
        CHECK(error.status == expected[k]);
    }
    CHECK_STATUS(slotwise_reserve(e, (void *)((char *)bad + 4), placed), SLOTWISE_MISALIGNED);
    CHECK(untouched(placed, sizeof placed));
    unchanged(w);
}

static void every_status_has_a_text(void) {
    const int32_t statuses[] = {
        0,  1,  2,  10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 30, 31, 32, 33, 34, 35,
        36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 60, 61, 62, 63, 64,
        65, 66, 67, 68, 69, 70, 71, 72, 80, 81, 82, 83, 84, 85, 86, 87, 88, 99};
    for (size_t k = 0; k < sizeof statuses / sizeof *statuses; k++) {
        CHECK(strcmp(slotwise_status_text(statuses[k]), "unknown status") != 0);
    }
    CHECK(strcmp(slotwise_status_text(INT32_MIN), "unknown status") == 0);
}

int main(void) {
    const test_t tests[] = {
        TEST(null_pointers),
        TEST(sizes_that_are_unknown),
        TEST(reserved_fields),
        TEST(numbers_that_stand_for_nothing),
        TEST(lengths_over_the_limit),
        TEST(ids_are_bytes),
        TEST(handles_that_are_stale),
        TEST(more_engines_than_there_is_room_for),
        TEST(numbers_that_name_nothing),
        TEST(bare_requests),
        TEST(every_status_has_a_text),
    };
    return RUN(tests);
}
