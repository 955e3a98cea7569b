/* Half a GPU: a worker is registered with its devices, a job asks for a part of one and is told which it got.
 * The engine learns what jobs ask for, and tells how much of what is free is useless to them.
 *
 *   cc gpu.c $(pkg-config --cflags --libs slotwise) -o gpu
 */
#include <inttypes.h>
#include <slotwise.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program with the library's own sentence where a call must not fail. */
static void must(int32_t status) {
    if (status == SLOTWISE_OK) return;
    char sentence[256];
    slotwise_last_error_text(sentence, sizeof sentence, NULL);
    fprintf(stderr, "%s\n", sentence);
    exit(1);
}

int main(void) {
    slotwise_config_t config;
    must(slotwise_config_default(&config));
    config.policy = SLOTWISE_POLICY_ADAPTIVE;
    slotwise_engine_t engine;
    must(slotwise_engine_new(&config, &engine));

    /* Two GPUs of 80 GiB that are joined by NVLink, so on one island. */
    const slotwise_device_t devices[] = {
        {.id = SLOTWISE_TEXT("GPU-5e1a"), .memory = 81920, .island = 0},
        {.id = SLOTWISE_TEXT("GPU-77c0"), .memory = 81920, .island = 0},
    };
    slotwise_worker_spec_t node = {.size = sizeof node, .id = SLOTWISE_TEXT("node-a")};
    node.total.cpu = 32000;
    node.total.memory = 262144;
    node.devices = devices;
    node.device_count = 2;
    slotwise_worker_t worker;
    must(slotwise_worker_add(engine, &node, &worker));

    /* Half of one, and half of its memory. */
    slotwise_terms_t half = {.size = sizeof half, .device_count = 1, .device_milli = 500};
    half.device_memory = 40960;
    slotwise_request_t job = {.size = sizeof job, .id = "notebook", .id_length = 8, .cpu = 2000};
    job.memory = 8192;
    job.terms = &half;
    slotwise_placement_t placed;
    must(slotwise_reserve(engine, &job, &placed));

    slotwise_granted_t granted;
    must(slotwise_granted(engine, placed.ticket, &granted));
    for (int k = 0; k < 2; k++)
        if (granted.devices >> k & 1)
            printf("notebook has %" PRIu32 "/1000 and %" PRIu64 " MiB of %s\n", granted.milli,
                   granted.memory, devices[k].id.data);

    slotwise_device_state_t states[SLOTWISE_MAX_DEVICES];
    size_t count;
    must(slotwise_worker_devices(engine, worker, states, SLOTWISE_MAX_DEVICES, &count));
    for (size_t k = 0; k < count; k++)
        printf("%s has %" PRIu32 "/1000 and %" PRIu64 " MiB free\n", devices[k].id.data,
               states[k].free_milli, states[k].free_memory);

    slotwise_fragmentation_t figure;
    must(slotwise_fragmentation(engine, &figure));
    printf("%" PRIu64 "/1000 of %" PRIu64 "/1000 free are useless to such jobs\n",
           figure.unusable_milli, figure.free_milli);

    must(slotwise_release(engine, placed.ticket, NULL));
    must(slotwise_engine_free(engine));
    return 0;
}
