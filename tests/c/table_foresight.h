/* Steps that ask what would be, and why. For cases.c alone, which has what it stands on. */
#ifndef TABLE_FORESIGHT_H
#define TABLE_FORESIGHT_H

static void explain_step(void) {
    static const char *const outlooks[] = {"unknown", "wait", "start"};
    slotwise_request_t r = request_of(must("id"), 0);
    SIZED(slotwise_explanation_t, explained);
    char name[32];
    int32_t status = slotwise_explain(engine, &r, &explained, NULL, 0, NULL);
    if (status) {
        tell(status);
        return;
    }
    put("status", status_name(explained.status));
    put("worker", explained.worker ? worker_name(explained.worker, name) : "-");
    put("outlook", outlooks[explained.outlook]);
    put_number("fitting", explained.fitting);
    put_number("not_matching", explained.reasons.not_matching);
    put("nearest", explained.nearest.worker ? worker_name(explained.nearest.worker, name) : "-");
    put_number("missing_cpu", (int64_t)explained.nearest.missing.cpu);
    put_number("missing_memory", (int64_t)explained.nearest.missing.memory);
    put_number("missing_gpus", (int64_t)explained.nearest.missing.gpus);
}

static void replicas_step(void) {
    char buffer[LENGTH], *items[NAMES], ids[NAMES][32];
    uint64_t credited[NAMES];
    slotwise_worker_t without[NAMES];
    slotwise_worker_spec_t added[NAMES];
    SIZED(slotwise_supposition_t, supposed);
    slotwise_request_t r = request_of("", 0);
    uint32_t fit = 0;

    supposed.credited = credited;
    supposed.credited_count = split(copy(arg("credit"), buffer), ',', items, NAMES);
    for (size_t k = 0; k < supposed.credited_count; k++)
        credited[k] = entry(tickets, &ticket_count, items[k], 0)->value;
    supposed.without = without;
    supposed.without_count = split(copy(arg("without"), buffer), ',', items, NAMES);
    for (size_t k = 0; k < supposed.without_count; k++)
        OK(slotwise_worker_find(engine, items[k], strlen(items[k]), &without[k]));
    supposed.added = added;
    supposed.added_count = number("added");
    CHECK(supposed.added_count <= NAMES);
    memset(added, 0, sizeof added);
    for (size_t k = 0; k < supposed.added_count; k++) {
        added[k].size = sizeof added[k];
        added[k].id.length = (size_t)snprintf(ids[k], sizeof ids[k], "added-%zu", k);
        added[k].id.data = ids[k];
        added[k].total.cpu = number("added_cpu");
        added[k].total.memory = number("added_memory");
    }
    OK(slotwise_replicas(engine, &r, (uint32_t)number("n"), &supposed, &fit));
    put_number("fit", fit);
}

static void demand_step(void) {
    slotwise_demand_t demand[NAMES];
    SIZED(slotwise_worker_spec_t, shape);
    size_t count = 0;
    int64_t requests = 0, joining = 0, packed = 0, workers = 0, unservable = 0;
    shape.total.cpu = amount("cpu", 0);
    shape.total.memory = amount("memory", 0);
    OK(slotwise_unmet_demand(engine, &shape, number("since"), demand, NAMES, &count));
    CHECK(count <= NAMES);
    for (size_t k = 0; k < count; k++) {
        requests += demand[k].requests;
        joining += demand[k].joining;
        packed += demand[k].packed;
        workers += demand[k].workers;
        unservable += demand[k].unservable;
    }
    put_number("requests", requests);
    put_number("joining", joining);
    put_number("packed", packed);
    put_number("workers", workers);
    put_number("unservable", unservable);
}

static int foresight_step(const char *op) {
    if (strcmp(op, "explain") == 0) {
        explain_step();
    } else if (strcmp(op, "replicas") == 0) {
        replicas_step();
    } else if (strcmp(op, "demand") == 0) {
        demand_step();
    } else if (strcmp(op, "forget") == 0) {
        uint32_t forgotten = 0;
        OK(slotwise_forget_unmet(engine, must("id"), strlen(must("id")), &forgotten));
        put_number("forgotten", forgotten);
    } else {
        return 0;
    }
    return 1;
}

#endif
