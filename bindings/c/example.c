/* A small scheduler: two workers, a selector, a job that is placed, one that is refused and told why.
 *
 *   cc example.c $(pkg-config --cflags --libs slotwise) -o example
 */
#include <inttypes.h>
#include <slotwise.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with the library's own sentence where a call must not fail. */
static void must(int32_t status) {
    if (status == SLOTWISE_OK) return;
    char sentence[256];
    slotwise_last_error_text(sentence, sizeof sentence, NULL);
    fprintf(stderr, "%s\n", sentence);
    exit(1);
}

static slotwise_request_t job(const char *id, uint64_t cpu, uint64_t memory, uint32_t selector) {
    slotwise_request_t request = {.size = sizeof request, .id = id, .id_length = strlen(id)};
    request.cpu = cpu;
    request.memory = memory;
    request.selector = selector;
    return request;
}

int main(void) {
    if (slotwise_abi_version() != SLOTWISE_ABI_VERSION) {
        fprintf(stderr, "slotwise %s is not the one of this header\n", slotwise_version());
        return 1;
    }
    slotwise_engine_t engine;
    must(slotwise_engine_new(NULL, &engine));

    const char *names[] = {"node-a", "node-b"};
    for (int k = 0; k < 2; k++) {
        slotwise_worker_spec_t node = {.size = sizeof node, .pool = SLOTWISE_TEXT("web")};
        node.id.data = names[k];
        node.id.length = strlen(names[k]);
        node.total.cpu = 4000;    /* 4 cores */
        node.total.memory = 8192; /* 8 GiB */
        must(slotwise_worker_add(engine, &node, NULL));
    }

    /* Constraints are compiled once; requests carry the number. */
    slotwise_text_t pool = SLOTWISE_TEXT("web");
    slotwise_constraints_t constraints = {.size = sizeof constraints, .pools = &pool};
    constraints.pool_count = 1;
    uint32_t web;
    must(slotwise_selector(engine, &constraints, &web));

    slotwise_request_t small = job("job-1", 1500, 2048, web);
    slotwise_placement_t placed;
    must(slotwise_reserve(engine, &small, &placed));
    char name[SLOTWISE_MAX_ID_LENGTH + 1];
    must(slotwise_worker_text(engine, placed.worker, SLOTWISE_TEXT_ID, 0, name, sizeof name, NULL));
    printf("job-1 runs on %s, which is at version %" PRIu64 "\n", name, placed.version);

    slotwise_request_t large = job("job-2", 64000, 1024, web);
    int32_t status = slotwise_reserve(engine, &large, &placed);
    char sentence[256];
    must(slotwise_last_error_text(sentence, sizeof sentence, NULL));
    printf("job-2 is refused: %s\n", sentence);
    if (status != SLOTWISE_NEVER) return 1;

    must(slotwise_release_id(engine, "job-1", 5, NULL));
    slotwise_audit_t audit = {.size = sizeof audit};
    must(slotwise_audit(engine, &audit, NULL, 0));
    printf("audit: %" PRIu64 " workers, %" PRIu64 " reservations, %s\n", audit.workers,
           audit.reservations, audit.ok ? "the books add up" : "BROKEN");
    must(slotwise_engine_free(engine));
    return audit.ok ? 0 : 1;
}
