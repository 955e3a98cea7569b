/* The table of host scenarios, tests/cases.txt, through the C interface. The table's path is the
   argument. */
#include <pthread.h>

#include "table.h"
#include "table_devices.h"

/* --- workers --------------------------------------------------------------------------------- */

static slotwise_label_t labels[NAMES];
static char label_texts[LENGTH];

static slotwise_worker_spec_t spec_of(const char *id) {
    slotwise_worker_spec_t s = spec(id, amount("cpu", 0), amount("memory", 0));
    s.total.gpus = amount("gpus", 0);
    s.set_aside.cpu = number("set_aside_cpu");
    s.set_aside.memory = number("set_aside_memory");
    s.set_aside.gpus = number("set_aside_gpus");
    s.gpu_type = text(arg("type"));
    s.pool = text(arg("pool"));
    s.tenant = text(arg("tenant"));
    s.machine = text(arg("machine"));
    s.priority = arg("priority") ? (int32_t)strtol(arg("priority"), NULL, 10) : 0;
    s.tier = (uint32_t)number("tier");
    s.generation = number("generation");
    s.lease = number("lease");
    if (has(arg("flags"), "requires_selector")) s.flags |= SLOTWISE_REQUIRES_SELECTOR;
    if (has(arg("flags"), "preemptable")) s.flags |= SLOTWISE_PREEMPTABLE;
    if (has(arg("flags"), "pending")) s.flags |= SLOTWISE_PENDING;
    char *items[NAMES];
    s.label_count = split(copy(arg("labels"), label_texts), ',', items, NAMES);
    for (size_t k = 0; k < s.label_count; k++) {
        char *value = strchr(items[k], ':');
        CHECK(value);
        *value++ = 0;
        labels[k].key = text(items[k]);
        labels[k].value = text(value);
    }
    s.labels = labels;
    devices_of(&s);
    return s;
}

static void facts(const slotwise_worker_info_t *i) {
    static const char *const states[] = {"removed", "pending", "ready", "cordoned", "draining"};
    put("state", states[i->state]);
    put_number("version", (int64_t)i->version);
    put_number("free_cpu", i->free.cpu);
    put_number("free_memory", i->free.memory);
    put_number("free_gpus", i->free.gpus);
    put_number("held_cpu", (int64_t)i->held.cpu);
    put_number("held_memory", (int64_t)i->held.memory);
    put_number("held_gpus", (int64_t)i->held.gpus);
    put_number("generation", (int64_t)i->generation);
    put_number("lease", (int64_t)i->lease);
}

static int workers_step(const char *op) {
    const char *id = arg("id");
    size_t length = id ? strlen(id) : 0;
    SIZED(slotwise_worker_info_t, i);
    if (strcmp(op, "worker") == 0) {
        slotwise_worker_spec_t s = spec_of(must("id"));
        tell(slotwise_worker_add(engine, &s, NULL));
    } else if (strcmp(op, "workers") == 0) {
        static slotwise_worker_spec_t specs[LISTED];
        static char ids[LISTED][32];
        size_t count = number("count"), registered = 0;
        CHECK(count <= LISTED);
        for (size_t k = 0; k < count; k++) {
            snprintf(ids[k], sizeof ids[k], "%s%zu", must("prefix"), k);
            specs[k] = spec_of(ids[k]);
        }
        OK(slotwise_workers_add(engine, specs, 0, count, NULL, &registered));
        put_number("registered", (int64_t)registered);
    } else if (strcmp(op, "update") == 0) {
        slotwise_worker_spec_t s = spec_of(id);
        uint32_t fields = (arg("cpu") ? SLOTWISE_SET_TOTAL : 0) |
                          (arg("pool") ? SLOTWISE_SET_POOL : 0) |
                          (arg("priority") ? SLOTWISE_SET_PRIORITY : 0) |
                          (arg("generation") ? SLOTWISE_SET_GENERATION : 0) |
                          (arg("set_aside_cpu") || arg("set_aside_memory") || arg("set_aside_gpus")
                               ? SLOTWISE_SET_SET_ASIDE
                               : 0);
        tell(slotwise_worker_update(engine, id, length, &s, fields, NULL));
    } else if (strcmp(op, "remove") == 0) {
        static slotwise_lost_t lost[NAMES];
        size_t count = 0;
        if (tell(slotwise_worker_remove(engine, id, length, lost, NAMES, &count))) return 1;
        put_lost(lost, count);
    } else if (strcmp(op, "ready") == 0) {
        tell(arg("generation") ? slotwise_worker_ready_generation(engine, id, length,
                                                                  number("generation"), NULL)
                               : slotwise_worker_ready(engine, id, length, NULL));
    } else if (strcmp(op, "unready") == 0) {
        tell(slotwise_worker_unready(engine, id, length, NULL));
    } else if (strcmp(op, "cordon") == 0) {
        tell(slotwise_worker_cordon(engine, id, length, NULL));
    } else if (strcmp(op, "uncordon") == 0) {
        tell(slotwise_worker_uncordon(engine, id, length, NULL));
    } else if (strcmp(op, "drain") == 0) {
        tell(slotwise_worker_drain(engine, id, length, NULL));
    } else if (strcmp(op, "info") == 0) {
        slotwise_worker_t w;
        if (tell(slotwise_worker_find(engine, id, length, &w))) return 1;
        OK(slotwise_worker_info(engine, w, &i));
        facts(&i);
    } else if (strcmp(op, "list") == 0) {
        const char *by = must("by"), *name = arg("name");
        uint32_t kind = strcmp(by, "pool") == 0      ? SLOTWISE_LIST_POOL
                        : strcmp(by, "machine") == 0 ? SLOTWISE_LIST_MACHINE
                                                     : SLOTWISE_LIST_ALL;
        static slotwise_worker_info_t infos[LISTED];
        size_t count = 0;
        OK(slotwise_workers_list(engine, kind, name, name ? strlen(name) : 0, infos, LISTED,
                                 &count));
        put_number("count", (int64_t)count);
    } else if (strcmp(op, "counts") == 0) {
        uint64_t workers = 0, reservations = 0;
        OK(slotwise_counts(engine, &workers, &reservations));
        put_number("workers", (int64_t)workers);
        put_number("reservations", (int64_t)reservations);
    } else {
        return 0;
    }
    return 1;
}

static void selector_step(void) {
    SIZED(slotwise_constraints_t, c);
    static char buffers[3][LENGTH];
    char *pools[NAMES], *types[NAMES], *keys[NAMES], *values[NAMES];
    slotwise_text_t pool_texts[NAMES], type_texts[NAMES], value_texts[NAMES];
    slotwise_label_in_t in[NAMES];
    c.pool_count = split(copy(arg("pools"), buffers[0]), ',', pools, NAMES);
    for (size_t k = 0; k < c.pool_count; k++) pool_texts[k] = text(pools[k]);
    c.gpu_type_count = split(copy(arg("types"), buffers[1]), ',', types, NAMES);
    for (size_t k = 0; k < c.gpu_type_count; k++) type_texts[k] = text(types[k]);
    c.label_count = split(copy(arg("labels"), buffers[2]), ',', keys, NAMES);
    size_t used = 0;
    for (size_t k = 0; k < c.label_count; k++) {
        char *list = strchr(keys[k], ':');
        CHECK(list);
        *list++ = 0;
        in[k].key = text(keys[k]);
        in[k].values = value_texts + used;
        in[k].value_count = split(list, '|', values, NAMES - used);
        for (size_t n = 0; n < in[k].value_count; n++) value_texts[used++] = text(values[n]);
    }
    c.pools = pool_texts;
    c.gpu_types = type_texts;
    c.labels = in;
    c.machine = text(arg("machine"));
    c.tenant = text(arg("tenant"));
    if (has(arg("flags"), "accept_preemptable")) c.flags = SLOTWISE_ACCEPT_PREEMPTABLE;
    uint32_t selector = 0;
    OK(slotwise_selector(engine, &c, &selector));
    entry(selectors, &selector_count, must("name"), 1)->value = selector;
}

/* --- reservations ---------------------------------------------------------------------------- */

static uint32_t policy_of(const char *name) {
    static const char *const names[] = {"default",      "affinity", "first_fit",
                                        "tightest_fit", "spread",   "power_of_two"};
    for (uint32_t k = 0; name && k < sizeof names / sizeof *names; k++)
        if (strcmp(names[k], name) == 0) return k;
    if (name) die("is no policy:", name);
    return SLOTWISE_POLICY_DEFAULT;
}

/* NULL where the step names none of it. They are valid until the next step. */
static const slotwise_terms_t *terms_of(void) {
    static slotwise_terms_t terms;
    static slotwise_limit_t limits[SLOTWISE_MAX_LIMITS];
    char buffer[LENGTH], *items[NAMES];
    memset(&terms, 0, sizeof terms);
    terms.size = sizeof terms;
    if (arg("hold")) terms.flags |= SLOTWISE_HOLD;
    terms.hold_until = number("hold");
    terms.priority = arg("priority") ? (int32_t)strtol(arg("priority"), NULL, 10) : 0;
    if (number("preemptable")) terms.flags |= SLOTWISE_PREEMPTABLE;
    if (arg("account")) {
        terms.flags |= SLOTWISE_ACCOUNT;
        terms.account = (uint32_t)entry(accounts, &account_count, arg("account"), 0)->value;
    }
    terms.limits = limits;
    terms.limit_count = split(copy(arg("limits"), buffer), ',', items, NAMES);
    CHECK(terms.limit_count <= SLOTWISE_MAX_LIMITS);
    for (size_t k = 0; k < terms.limit_count; k++) {
        char *at_most = strchr(items[k], ':');
        CHECK(at_most);
        *at_most++ = 0;
        limits[k].group = (uint32_t)entry(groups, &group_count, items[k], 0)->value;
        limits[k].at_most = (uint32_t)strtoul(at_most, NULL, 10);
    }
    int devices = device_terms(&terms);
    return terms.flags || terms.priority || terms.limit_count || devices ? &terms : NULL;
}

static slotwise_request_t request_of(const char *id, size_t index) {
    slotwise_request_t r = request(id, amount("cpu", index), amount("memory", index));
    r.gpus = amount("gpus", index);
    if (arg("selector"))
        r.selector = (uint32_t)entry(selectors, &selector_count, arg("selector"), 0)->value;
    r.policy = policy_of(arg("policy"));
    r.key = arg("key");
    r.key_length = r.key ? strlen(r.key) : 0;
    if (number("ahead")) r.flags |= SLOTWISE_AHEAD;
    r.terms = terms_of();
    return r;
}

static void remember(const char *id, uint64_t ticket) {
    if (ticket) entry(tickets, &ticket_count, id, 1)->value = ticket;
}

static void placed_at(const char *id, const slotwise_placement_t *placed) {
    char name[32];
    remember(id, placed->ticket);
    put("worker", worker_name(placed->worker, name));
    put_number("existing", placed->existing);
    put_number("provisional", placed->provisional);
    put_number("version", (int64_t)placed->version);
}

static void many(const slotwise_placement_t *placements, char **ids, size_t count) {
    for (size_t k = 0; k < count; k++) {
        char name[32];
        append("statuses", status_name(placements[k].status));
        append("workers", worker_name(placements[k].worker, name));
        remember(ids[k], placements[k].ticket);
    }
}

static void batch_step(int dry) {
    char buffer[LENGTH], credit[LENGTH], *ids[NAMES], *credited[NAMES];
    slotwise_request_t requests[NAMES];
    slotwise_placement_t placements[NAMES];
    uint64_t credits[NAMES];
    SIZED(slotwise_batch_t, batch);
    batch.count = split(copy(must("ids"), buffer), ',', ids, NAMES);
    for (size_t k = 0; k < batch.count; k++) requests[k] = request_of(ids[k], k);
    batch.requests = requests;
    batch.placements = placements;
    if (arg("mode")) batch.mode = SLOTWISE_ALL_OR_NOTHING;
    slotwise_batch_done_t done;
    if (dry) {
        size_t count = split(copy(arg("credit"), credit), ',', credited, NAMES);
        for (size_t k = 0; k < count; k++)
            credits[k] = entry(tickets, &ticket_count, credited[k], 0)->value;
        OK(slotwise_dry_run(engine, &batch, credits, count, &done));
    } else {
        batch.id = arg("batch_id");
        batch.id_length = batch.id ? strlen(batch.id) : 0;
        if (tell(slotwise_reserve_batch(engine, &batch, &done))) return;
        put_number("replayed", done.replayed);
    }
    many(placements, ids, dry ? 0 : batch.count);
    for (size_t k = 0; dry && k < batch.count; k++) {
        char name[32];
        append("statuses", status_name(placements[k].status));
        append("workers", worker_name(placements[k].worker, name));
    }
}

static void group_step(void) {
    char buffer[LENGTH], *items[NAMES];
    slotwise_step_t steps[NAMES];
    slotwise_step_done_t done[NAMES];
    memset(steps, 0, sizeof steps);
    SIZED(slotwise_group_t, group);
    group.worker = text(must("worker"));
    group.step_count = split(copy(must("steps"), buffer), ',', items, NAMES);
    for (size_t k = 0; k < group.step_count; k++) {
        char *parts[5] = {0};
        split(items[k], ':', parts, 5);
        int reserve = strcmp(parts[0], "reserve") == 0;
        steps[k].kind = reserve ? SLOTWISE_STEP_RESERVE : SLOTWISE_STEP_RELEASE_ID;
        steps[k].id = parts[1];
        steps[k].id_length = strlen(parts[1]);
        if (!reserve) continue;
        steps[k].need.cpu = strtoull(parts[2], NULL, 10);
        steps[k].need.memory = strtoull(parts[3], NULL, 10);
        steps[k].need.gpus = strtoull(parts[4], NULL, 10);
    }
    group.steps = steps;
    group.done = done;
    OK(slotwise_groups_apply(engine, &group, 0, 1));
    for (size_t k = 0; k < group.step_count; k++) {
        append("statuses", status_name(done[k].status));
        remember(steps[k].id, done[k].ticket);
    }
}

static pthread_barrier_t start;

typedef struct racer_t {
    slotwise_request_t request;
    int32_t status;
} racer_t;

static void *run_racer(void *racer) {
    racer_t *r = racer;
    slotwise_placement_t placed;
    pthread_barrier_wait(&start);
    r->status = slotwise_reserve(engine, &r->request, &placed);
    return NULL;
}

static void race_step(void) {
    static char names[LISTED][32];
    char buffer[LENGTH], *ids[LISTED];
    static racer_t racers[LISTED];
    pthread_t threads[LISTED];
    size_t count = split(copy(arg("ids"), buffer), ',', ids, LISTED);
    int placed = 0, busy = 0, over_quota = 0;
    for (size_t k = 0; k < number("count"); k++) {
        CHECK(count < LISTED);
        snprintf(names[k], sizeof names[k], "%s%zu", must("prefix"), k);
        ids[count++] = names[k];
    }
    CHECK(pthread_barrier_init(&start, NULL, (unsigned)count) == 0);
    for (size_t k = 0; k < count; k++) {
        racers[k].request = request_of(ids[k], k);
        CHECK(pthread_create(&threads[k], NULL, run_racer, &racers[k]) == 0);
    }
    for (size_t k = 0; k < count; k++) {
        CHECK(pthread_join(threads[k], NULL) == 0);
        placed += racers[k].status == SLOTWISE_OK;
        busy += racers[k].status == SLOTWISE_BUSY;
        over_quota += racers[k].status == SLOTWISE_QUOTA_EXCEEDED;
    }
    CHECK(pthread_barrier_destroy(&start) == 0);
    put_number("ok", placed);
    put_number("busy", busy);
    put_number("quota_exceeded", over_quota);
}

static void released_step(int32_t status, const slotwise_released_t *released) {
    if (tell(status) == SLOTWISE_OK) put_number("credited", released->credited);
}

static void reservations_step(const char *op) {
    const char *id = arg("id");
    size_t length = id ? strlen(id) : 0;
    slotwise_placement_t placed;
    slotwise_released_t released;
    if (strcmp(op, "reserve") == 0) {
        slotwise_request_t r = request_of(must("id"), 0);
        if (tell(slotwise_reserve(engine, &r, &placed)) == SLOTWISE_OK) placed_at(id, &placed);
    } else if (strcmp(op, "reserve_on") == 0) {
        slotwise_request_t r = request_of(must("id"), 0);
        slotwise_worker_t w;
        OK(slotwise_worker_find(engine, must("worker"), strlen(must("worker")), &w));
        uint64_t version = number("expected");
        const uint64_t *expected = arg("expected") ? &version : NULL;
        if (tell(slotwise_reserve_on(engine, w, &r, expected, &placed)) == SLOTWISE_OK)
            placed_at(id, &placed);
    } else if (strcmp(op, "release") == 0) {
        released_step(slotwise_release_id(engine, id, length, &released), &released);
    } else if (strcmp(op, "release_ticket") == 0) {
        uint64_t ticket = entry(tickets, &ticket_count, must("of"), 0)->value;
        released_step(slotwise_release(engine, ticket, &released), &released);
    } else if (strcmp(op, "resize") == 0) {
        slotwise_resources_t need = {amount("cpu", 0), amount("memory", 0), amount("gpus", 0)};
        tell(slotwise_resize_id(engine, id, length, &need, NULL));
    } else if (strcmp(op, "selector") == 0) {
        selector_step();
    } else if (strcmp(op, "batch") == 0) {
        batch_step(0);
    } else if (strcmp(op, "dry_run") == 0) {
        batch_step(1);
    } else if (strcmp(op, "group") == 0) {
        group_step();
    } else if (strcmp(op, "race") == 0) {
        race_step();
    } else {
        die("is no step:", op);
    }
}

#include "table_foresight.h"
#include "table_terms.h"

/* --- the table ------------------------------------------------------------------------------- */

static void engine_step(void) {
    slotwise_config_t config;
    OK(slotwise_config_default(&config));
    config.policy = policy_of(arg("policy"));
    if (has(arg("flags"), "no_gpu_separation")) config.flags |= SLOTWISE_NO_GPU_SEPARATION;
    if (has(arg("flags"), "no_reasons")) config.flags |= SLOTWISE_NO_REASONS;
    OK(slotwise_engine_free(engine));
    OK(slotwise_engine_new(&config, &engine));
}

static void end_case(void) {
    if (!engine) return;
    SIZED(slotwise_audit_t, audit);
    OK(slotwise_audit(engine, &audit, NULL, 0));
    CHECK(audit.ok == 1);
    OK(slotwise_engine_free(engine));
    engine = 0;
}

/* Reads `key=value` after `key=value`. */
static void read_fields(char *line, fields_t *fields) {
    fields->count = 0;
    if (!line) return;
    for (char *pair = strtok(line, " \t\r\n"); pair; pair = strtok(NULL, " \t\r\n")) {
        char *value = strchr(pair, '=');
        if (!value) die("has no value:", pair);
        *value++ = 0;
        CHECK(fields->count < FIELDS);
        snprintf(fields->all[fields->count].key, sizeof fields->all[0].key, "%s", pair);
        snprintf(fields->all[fields->count++].value, LENGTH, "%s", value);
    }
}

static void compare_with(const fields_t *expected) {
    for (size_t k = 0; k < expected->count; k++) {
        char buffer[LENGTH], *choices[NAMES];
        const char *value = find(&got, expected->all[k].key);
        size_t count = split(copy(expected->all[k].value, buffer), '|', choices, NAMES);
        int fits = 0;
        for (size_t n = 0; n < count; n++) fits |= value && strcmp(choices[n], value) == 0;
        if (!fits) {
            fprintf(stderr, "%s is %s, not %s\n", expected->all[k].key, value ? value : "nothing",
                    expected->all[k].value);
            die("fails:", expected->all[k].key);
        }
    }
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    FILE *table = fopen(arguments[1], "r");
    CHECK(table);
    static fields_t expected;
    char line[1024];
    size_t cases = 0, steps = 0;
    while (fgets(line, sizeof line, table)) {
        line_number++;
        line[strcspn(line, "\n")] = 0;
        if (!line[0] || line[0] == '#') continue;
        if (strncmp(line, "case ", 5) == 0) {
            end_case();
            engine = engine_new();
            selector_count = ticket_count = account_count = group_count = 0;
            plan_count = 0;
            cases++;
            continue;
        }
        char *arrow = strstr(line, "->");
        if (arrow) {
            *arrow = 0;
            arrow += 2;
        }
        char *op = line, *rest = strchr(line, ' ');
        if (rest) *rest++ = 0;
        read_fields(rest, &args);
        got.count = 0;
        if (strcmp(op, "engine") == 0) {
            engine_step();
        } else if (!workers_step(op) && !terms_step(op) && !foresight_step(op) &&
                   !devices_step_of(op)) {
            reservations_step(op);
        }
        read_fields(arrow, &expected);
        compare_with(&expected);
        steps++;
    }
    end_case();
    CHECK(fclose(table) == 0);
    CHECK(cases >= 20 && steps >= 100);
    printf("test table_of_host_scenarios_holds ... ok (%zu cases, %zu steps)\n", cases, steps);
    printf("test result: ok. 1 passed; 0 failed\n");
    return 0;
}
