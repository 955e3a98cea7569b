/* How the table of host scenarios is read: its fields, what its names stand for, and what is told of a
   call. For cases.c alone. */
#ifndef TABLE_H
#define TABLE_H

#include "check.h"

enum { FIELDS = 32, LENGTH = 512, NAMES = 64, LISTED = 256 };

typedef struct field_t {
    char key[32], value[LENGTH];
} field_t;

typedef struct fields_t {
    field_t all[FIELDS];
    size_t count;
} fields_t;

typedef struct entry_t {
    char name[32];
    uint64_t value;
} entry_t;

static slotwise_engine_t engine;
static entry_t selectors[NAMES], tickets[NAMES], accounts[NAMES], groups[NAMES];
static size_t selector_count, ticket_count, account_count, group_count;
static fields_t args, got;
static int line_number;

static void die(const char *what, const char *name) {
    fprintf(stderr, "cases.txt, line %d: %s %s\n", line_number, what, name);
    exit(1);
}

/* --- names and lists ------------------------------------------------------------------------- */

static const char *find(const fields_t *fields, const char *key) {
    for (size_t k = 0; k < fields->count; k++)
        if (strcmp(fields->all[k].key, key) == 0) return fields->all[k].value;
    return NULL;
}

static const char *arg(const char *key) { return find(&args, key); }

static const char *must(const char *key) {
    const char *value = arg(key);
    if (!value) die("is missing", key);
    return value;
}

static void put(const char *key, const char *value) {
    CHECK(got.count < FIELDS);
    snprintf(got.all[got.count].key, sizeof got.all[0].key, "%s", key);
    snprintf(got.all[got.count++].value, LENGTH, "%s", value);
}

static void put_number(const char *key, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    put(key, text);
}

/* Adds to a list under a key. */
static void append(const char *key, const char *value) {
    for (size_t k = 0; k < got.count; k++) {
        if (strcmp(got.all[k].key, key) != 0) continue;
        size_t used = strlen(got.all[k].value);
        snprintf(got.all[k].value + used, LENGTH - used, ",%s", value);
        return;
    }
    put(key, value);
}

/* Splits a list where it stands. */
static size_t split(char *list, char mark, char **items, size_t room) {
    size_t count = 0;
    while (list && *list) {
        CHECK(count < room);
        items[count++] = list;
        list = strchr(list, mark);
        if (list) *list++ = 0;
    }
    return count;
}

static char *copy(const char *text_, char *into) {
    snprintf(into, LENGTH, "%s", text_ ? text_ : "");
    return into;
}

static int has(const char *list, const char *item) {
    char buffer[LENGTH], *items[NAMES];
    size_t count = split(copy(list, buffer), ',', items, NAMES);
    for (size_t k = 0; k < count; k++)
        if (strcmp(items[k], item) == 0) return 1;
    return 0;
}

static uint64_t number(const char *key) {
    const char *value = arg(key);
    return value ? strtoull(value, NULL, 10) : 0;
}

/* An amount: one for all, or a list. */
static uint64_t amount(const char *key, size_t index) {
    char buffer[LENGTH], *items[NAMES];
    size_t count = split(copy(arg(key), buffer), ',', items, NAMES);
    if (count == 0) return 0;
    return strtoull(items[index < count ? index : 0], NULL, 10);
}

static entry_t *entry(entry_t *table, size_t *count, const char *name, int make) {
    for (size_t k = 0; k < *count; k++)
        if (strcmp(table[k].name, name) == 0) return &table[k];
    if (!make) die("is not known:", name);
    CHECK(*count < NAMES);
    snprintf(table[*count].name, sizeof table->name, "%s", name);
    return &table[(*count)++];
}

static const char *status_name(int32_t status) {
    static const struct {
        int32_t status;
        const char *name;
    } names[] = {{SLOTWISE_OK, "ok"},
                 {SLOTWISE_BUSY, "busy"},
                 {SLOTWISE_NEVER, "never"},
                 {SLOTWISE_EMPTY, "empty"},
                 {SLOTWISE_TOO_LARGE, "too_large"},
                 {SLOTWISE_ID_LENGTH, "id_length"},
                 {SLOTWISE_DUPLICATE_ID, "duplicate_id"},
                 {SLOTWISE_UNKNOWN_WORKER, "unknown_worker"},
                 {SLOTWISE_VERSION_CONFLICT, "version_conflict"},
                 {SLOTWISE_PEER, "peer"},
                 {SLOTWISE_NOT_HELD, "not_held"},
                 {SLOTWISE_OTHER_WORKER, "other_worker"},
                 {SLOTWISE_SHORT, "short"},
                 {SLOTWISE_STATE, "state"},
                 {SLOTWISE_OTHER_BATCH, "other_batch"},
                 {SLOTWISE_DUPLICATE_WORKER, "duplicate_worker"},
                 {SLOTWISE_TABLE_FULL, "table_full"},
                 {SLOTWISE_SET_ASIDE, "set_aside"},
                 {SLOTWISE_QUOTA_EXCEEDED, "quota_exceeded"},
                 {SLOTWISE_UNKNOWN_GROUP, "unknown_group"},
                 {SLOTWISE_DEADLINE_PASSED, "deadline_passed"},
                 {SLOTWISE_WAITING, "waiting"},
                 {SLOTWISE_CLOCK_WENT_BACK, "clock_went_back"},
                 {SLOTWISE_OLD_GENERATION, "old_generation"},
                 {SLOTWISE_NOT_PENDING, "not_pending"},
                 {SLOTWISE_HAND_OFF_TO_ITSELF, "hand_off_to_itself"},
                 {SLOTWISE_DEVICE_OVER_WHOLE, "device_over_whole"},
                 {SLOTWISE_DEVICE_EMPTY, "device_empty"},
                 {SLOTWISE_DEVICE_PARTS, "device_parts"},
                 {SLOTWISE_TOO_MANY_DEVICES, "too_many_devices"},
                 {SLOTWISE_GPUS_BESIDE_DEVICES, "gpus_beside_devices"},
                 {SLOTWISE_DUPLICATE_DEVICE, "duplicate_device"},
                 {SLOTWISE_ISLAND_TOO_HIGH, "island_too_high"},
                 {SLOTWISE_DEVICES_STAY, "devices_stay"}};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (names[k].status == status) return names[k].name;
    return slotwise_status_text(status);
}

static const char *dimension_name(uint32_t dimension) {
    static const char *const names[] = {"-", "cpu", "memory", "gpus"};
    return names[dimension];
}

/* The status of a call, and what is known of its failure. */
static int32_t tell(int32_t status) {
    put("status", status_name(status));
    if (status != SLOTWISE_OK) {
        SIZED(slotwise_error_t, error);
        OK(slotwise_last_error(&error));
        CHECK(error.status == status);
        put("dimension", dimension_name(error.dimension));
        if (status == SLOTWISE_SHORT) {
            put_number("missing_cpu", (int64_t)error.cpu);
            put_number("missing_memory", (int64_t)error.memory);
            put_number("missing_gpus", (int64_t)error.gpus);
        }
        if (status == SLOTWISE_VERSION_CONFLICT) put_number("now_version", (int64_t)error.version);
        if (status == SLOTWISE_WAITING) put_number("left", (int64_t)error.given);
        if (status == SLOTWISE_QUOTA_EXCEEDED) {
            put_number("used", (int64_t)error.given);
            put_number("limit", (int64_t)error.limit);
        }
    }
    return status;
}

static int compare(const void *a, const void *b) {
    return strcmp(((const char *)a), ((const char *)b));
}

/* Ids as the table has them: sorted, "-" for none. */
static void put_sorted(const char *key, char (*ids)[65], size_t count) {
    qsort(ids, count, sizeof *ids, compare);
    if (count == 0) put(key, "-");
    for (size_t k = 0; k < count; k++) append(key, ids[k]);
}

static void put_lost(const slotwise_lost_t *lost, size_t count) {
    char ids[NAMES][65];
    CHECK(count <= NAMES);
    for (size_t k = 0; k < count; k++)
        snprintf(ids[k], sizeof ids[k], "%.*s", (int)lost[k].id_length, lost[k].id);
    put_sorted("lost", ids, count);
}

static const char *worker_name(slotwise_worker_t w, char *buffer) {
    if (w == 0 || slotwise_worker_text(engine, w, SLOTWISE_TEXT_ID, 0, buffer, 32, NULL))
        return "-";
    return buffer;
}

#endif
