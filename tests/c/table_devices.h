/* Steps of devices. For cases.c alone, which has what it stands on. */
#ifndef TABLE_DEVICES_H
#define TABLE_DEVICES_H

/* The devices that a worker is registered with. They are valid until the next step. */
static void devices_of(slotwise_worker_spec_t *spec) {
    static slotwise_device_t devices[NAMES];
    static char texts[LENGTH];
    char *items[NAMES];
    size_t count = split(copy(arg("devices"), texts), ',', items, NAMES);
    memset(devices, 0, sizeof devices);
    for (size_t k = 0; k < count; k++) {
        char *memory = strchr(items[k], ':'), *island = memory ? strchr(memory + 1, ':') : NULL;
        CHECK(island);
        *memory++ = 0;
        *island++ = 0;
        devices[k].id = text(items[k]);
        devices[k].memory = strtoull(memory, NULL, 10);
        devices[k].island = (uint32_t)strtoul(island, NULL, 10);
    }
    spec->devices = count ? devices : NULL;
    spec->device_count = count;
}

/* The devices that a request asks for; whether it does. */
static int device_terms(slotwise_terms_t *terms) {
    const char *island = arg("island");
    if (!arg("device_count")) return 0;
    terms->device_count = (uint32_t)number("device_count");
    terms->device_milli = arg("device_milli") ? (uint32_t)number("device_milli") : 1000;
    terms->device_memory = number("device_memory");
    if (island && strcmp(island, "prefer") == 0) terms->island = SLOTWISE_ISLAND_PREFER;
    if (island && strcmp(island, "insist") == 0) terms->island = SLOTWISE_ISLAND_INSIST;
    return 1;
}

static void granted_step(void) {
    uint64_t ticket = entry(tickets, &ticket_count, must("of"), 0)->value;
    slotwise_granted_t granted;
    if (tell(slotwise_granted(engine, ticket, &granted))) return;
    if (granted.devices == 0) put("devices", "-");
    for (unsigned k = 0; k < SLOTWISE_MAX_DEVICES; k++) {
        char device[8];
        snprintf(device, sizeof device, "%u", k);
        if (granted.devices >> k & 1) append("devices", device);
    }
    put_number("milli", granted.milli);
    put_number("memory", (int64_t)granted.memory);
}

static void devices_step(void) {
    const char *id = must("id");
    slotwise_device_state_t states[SLOTWISE_MAX_DEVICES];
    slotwise_worker_t worker = 0;
    size_t count = 0;
    OK(slotwise_worker_find(engine, id, strlen(id), &worker));
    if (tell(slotwise_worker_devices(engine, worker, states, SLOTWISE_MAX_DEVICES, &count))) return;
    if (count == 0) put("free", "-");
    for (size_t k = 0; k < count; k++) {
        char free[40];
        snprintf(free, sizeof free, "%u:%llu", (unsigned)states[k].free_milli,
                 (unsigned long long)states[k].free_memory);
        append("free", free);
    }
}

static int devices_step_of(const char *op) {
    if (strcmp(op, "granted") == 0) {
        granted_step();
    } else if (strcmp(op, "devices") == 0) {
        devices_step();
    } else {
        return 0;
    }
    return 1;
}

#endif
