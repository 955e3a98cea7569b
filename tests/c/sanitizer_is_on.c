/* Faults that a sanitizer or valgrind must report: whoever lets these pass was not on. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **arguments) {
    volatile int large = INT_MAX;
    char *volatile block = malloc(8);
    if (count != 2 || !block) return 2;
    if (strcmp(arguments[1], "use-after-free") == 0) {
        free(block);
        return block[count] == 77;
    }
    if (strcmp(arguments[1], "overflow") == 0) {
        large += count;
    } else if (strcmp(arguments[1], "leak") == 0) {
        block = NULL;
        return 0;
    }
    free(block);
    return large == 0;
}
