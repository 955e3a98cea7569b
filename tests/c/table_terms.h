/* Steps of the clock, of accounts and groups, of preemption and hand-offs. For cases.c alone, which has
   what it stands on. */
#ifndef TABLE_TERMS_H
#define TABLE_TERMS_H

typedef struct plan_t {
    char name[32];
    slotwise_preemption_t preemption;
    slotwise_victim_t victims[NAMES];
    size_t count;
} plan_t;

static plan_t plans[8];
static size_t plan_count;

static void tick_step(void) {
    static slotwise_expired_t ended[NAMES];
    char ids[3][NAMES][65];
    size_t counts[3] = {0}, count = 0, room = 1;
    uint64_t now = 0;
    int32_t status = tell(slotwise_tick(engine, number("now"), ended, room, &count));
    OK(slotwise_now(engine, &now));
    put_number("now", (int64_t)now);
    if (status) return;
    CHECK(count <= NAMES);
    if (count > room) {
        size_t rest = 0;
        OK(slotwise_ended_take(engine, ended + room, NAMES - room, &rest));
        CHECK(room + rest == count);
    }
    for (size_t k = 0; k < count; k++) {
        uint32_t kind = ended[k].kind - SLOTWISE_EXPIRED;
        CHECK(kind < 3);
        snprintf(ids[kind][counts[kind]++], 65, "%.*s", (int)ended[k].id_length, ended[k].id);
    }
    put_sorted("expired", ids[0], counts[0]);
    put_sorted("lost", ids[SLOTWISE_LOST_WITH_WORKER - SLOTWISE_EXPIRED], counts[1]);
    put_sorted("workers", ids[SLOTWISE_WORKER_EXPIRED - SLOTWISE_EXPIRED], counts[2]);
}

static void hand_off_step(void) {
    static slotwise_lost_t lost[NAMES];
    const char *expected = must("expected"), *real = must("real");
    slotwise_handed_t handed;
    size_t count = 0;
    char name[32];
    if (tell(slotwise_hand_off(engine, expected, strlen(expected), real, strlen(real), &handed, lost,
                               NAMES, &count)))
        return;
    put("worker", worker_name(handed.worker, name));
    put_number("moved", (int64_t)handed.moved);
    put_lost(lost, count);
}

static void account_step(void) {
    const char *name = must("name");
    uint32_t account = 0;
    if (tell(slotwise_account(engine, name, strlen(name), &account))) return;
    slotwise_quota_t quota = {
        arg("cpu") ? number("cpu") : SLOTWISE_UNLIMITED,
        arg("memory") ? number("memory") : SLOTWISE_UNLIMITED,
        arg("gpus") ? number("gpus") : SLOTWISE_UNLIMITED,
    };
    OK(slotwise_quota_set(engine, account, &quota));
    entry(accounts, &account_count, name, 1)->value = account;
}

static void usage_step(void) {
    uint64_t account = entry(accounts, &account_count, must("name"), 0)->value;
    SIZED(slotwise_usage_t, usage);
    if (tell(slotwise_usage(engine, (uint32_t)account, &usage))) return;
    put_number("cpu", (int64_t)usage.used.cpu);
    put_number("memory", (int64_t)usage.used.memory);
    put_number("gpus", (int64_t)usage.used.gpus);
}

static void spread_step(void) {
    const char *name = must("name"), *scope = must("scope"), *label = arg("label");
    uint32_t number_of_scope = strcmp(scope, "label") == 0     ? SLOTWISE_SCOPE_LABEL
                               : strcmp(scope, "machine") == 0 ? SLOTWISE_SCOPE_MACHINE
                                                               : SLOTWISE_SCOPE_WORKER;
    uint32_t group = 0;
    if (tell(slotwise_spread_group(engine, name, strlen(name), number_of_scope, label,
                                   label ? strlen(label) : 0, &group)))
        return;
    entry(groups, &group_count, name, 1)->value = group;
}

static void spread_count_step(void) {
    uint64_t group = entry(groups, &group_count, must("name"), 0)->value, count = 0;
    slotwise_worker_t w;
    OK(slotwise_worker_find(engine, must("worker"), strlen(must("worker")), &w));
    if (tell(slotwise_spread_count(engine, (uint32_t)group, w, &count))) return;
    put_number("count", (int64_t)count);
}

static void plan_step(void) {
    slotwise_request_t r = request_of(must("id"), 0);
    CHECK(plan_count < sizeof plans / sizeof *plans);
    plan_t *plan = &plans[plan_count];
    char name[32], ids[NAMES][65];
    size_t victims = 0;
    memset(plan, 0, sizeof *plan);
    plan->preemption.size = sizeof plan->preemption;
    if (tell(slotwise_preemption_plan(engine, &r, &plan->preemption, plan->victims, NAMES,
                                      &plan->count)))
        return;
    snprintf(plan->name, sizeof plan->name, "%s", must("name"));
    plan_count++;
    for (size_t k = 0; k < plan->count; k++) {
        const slotwise_victim_t *victim = &plan->victims[k];
        if (victim->flags & SLOTWISE_LEAVING) continue;
        snprintf(ids[victims++], 65, "%.*s", (int)victim->id_length, victim->id);
    }
    CHECK(victims == plan->preemption.victim_count);
    put("worker", worker_name(plan->preemption.worker, name));
    put_number("version", (int64_t)plan->preemption.version);
    put_sorted("victims", ids, victims);
    put_number("leaving", (int64_t)plan->preemption.leaving_count);
}

static void preempt_step(void) {
    slotwise_request_t r = request_of(must("id"), 0);
    const plan_t *plan = NULL;
    slotwise_placement_t placed;
    for (size_t k = 0; k < plan_count; k++)
        if (strcmp(plans[k].name, must("plan")) == 0) plan = &plans[k];
    if (!plan) die("is not known:", must("plan"));
    if (tell(slotwise_preempt(engine, &r, &plan->preemption, plan->victims, plan->count, &placed)))
        return;
    placed_at(must("id"), &placed);
}

static int terms_step(const char *op) {
    slotwise_placement_t placed;
    if (strcmp(op, "tick") == 0) {
        tick_step();
    } else if (strcmp(op, "confirm") == 0) {
        const char *id = must("id");
        if (tell(slotwise_confirm_id(engine, id, strlen(id), &placed)) == SLOTWISE_OK)
            placed_at(id, &placed);
    } else if (strcmp(op, "confirm_ticket") == 0) {
        uint64_t ticket = entry(tickets, &ticket_count, must("of"), 0)->value;
        if (tell(slotwise_confirm(engine, ticket, &placed)) == SLOTWISE_OK)
            placed_at(must("of"), &placed);
    } else if (strcmp(op, "deadline") == 0) {
        uint64_t ticket = entry(tickets, &ticket_count, must("of"), 0)->value, deadline = 0;
        if (tell(slotwise_deadline(engine, ticket, &deadline)) == SLOTWISE_OK)
            put_number("deadline", (int64_t)deadline);
    } else if (strcmp(op, "heartbeat") == 0) {
        tell(slotwise_heartbeat(engine, must("id"), strlen(must("id")), number("until")));
    } else if (strcmp(op, "hand_off") == 0) {
        hand_off_step();
    } else if (strcmp(op, "account") == 0) {
        account_step();
    } else if (strcmp(op, "usage") == 0) {
        usage_step();
    } else if (strcmp(op, "spread") == 0) {
        spread_step();
    } else if (strcmp(op, "spread_count") == 0) {
        spread_count_step();
    } else if (strcmp(op, "plan") == 0) {
        plan_step();
    } else if (strcmp(op, "preempt") == 0) {
        preempt_step();
    } else {
        return 0;
    }
    return 1;
}

#endif
