#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

uint32_t crc32_of(const uint8_t *bytes, size_t length)
{
    uint32_t table[256], crc = 0xffffffff;
    for (uint32_t byte = 0; byte < 256; byte++) {
        table[byte] = byte;
        for (int bit = 0; bit < 8; bit++)
            table[byte] = table[byte] >> 1 ^ (table[byte] & 1 ? 0xedb88320 : 0);
    }
    while (length--)
        crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
    return ~crc;
}

/* All bytes of `file`, to be freed by the caller; NULL if it cannot be read or memory runs out. */
static uint8_t *read_all(FILE *file, size_t *length)
{
    size_t room = 1 << 16, count;
    uint8_t *bytes = malloc(room);
    *length = 0;
    while (bytes && (count = fread(bytes + *length, 1, room - *length, file)) > 0) {
        *length += count;
        if (*length == room) {
            uint8_t *more = realloc(bytes, room *= 2);
            if (!more)
                free(bytes);
            bytes = more;
        }
    }
    if (bytes && ferror(file)) {
        free(bytes);
        bytes = NULL;
    }
    return bytes;
}

int with_file(const char *name, int (*use)(const char *, const uint8_t *, size_t))
{
    size_t length;
    FILE *file = strcmp(name, "-") ? fopen(name, "rb") : stdin;
    uint8_t *bytes = file ? read_all(file, &length) : NULL;
    int failed;
    if (file && file != stdin)
        fclose(file);
    if (!bytes) {
        fprintf(stderr, "error: %s cannot be read\n", name);
        return 1;
    }
    failed = use(name, bytes, length);
    free(bytes);
    return failed;
}
