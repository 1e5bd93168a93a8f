/*
 * classify FILE...    prints for each image its file, its class and its probabilities, separated by tabs
 *
 * A FILE is a PNG or a binary PGM or PPM of the model's size, or raw pixels: MODEL_PIXELS bytes for each image, one after
 * the other; - is standard input. Probabilities have nine digits, which hold a float to the last bit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_PNM
#define STBI_NO_STDIO
#define STBI_NO_THREAD_LOCALS
#include "stb_image.h"

static const char *const class_names[MODEL_CLASSES] = MODEL_CLASS_NAMES;

static void print(const char *name, const uint8_t *image)
{
    float probabilities[MODEL_CLASSES];
    int best = 0;
    classify(image, probabilities);
    for (int class = 1; class < MODEL_CLASSES; class++)
        if (probabilities[class] > probabilities[best])
            best = class;
    printf("%s\t%s", name, class_names[best]);
    for (int class = 0; class < MODEL_CLASSES; class++)
        printf("\t%.9g", (double)probabilities[class]);
    printf("\n");
}

/* All bytes of `file`, to be freed; NULL where it cannot be read or memory is short. */
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

static int is_picture(const uint8_t *bytes, size_t length)
{
    return length > 8 && (!memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) || !memcmp(bytes, "P5", 2) || !memcmp(bytes, "P6", 2));
}

static int classify_picture(const char *name, const uint8_t *bytes, size_t length)
{
    int width, height, channels;
    uint8_t *pixels = length > INT32_MAX ? NULL : stbi_load_from_memory(bytes, (int)length, &width, &height, &channels, MODEL_CHANNELS);
    if (!pixels) {
        fprintf(stderr, "error: %s is damaged: %s\n", name, length > INT32_MAX ? "too large" : stbi_failure_reason());
        return 1;
    }
    if (width != MODEL_WIDTH || height != MODEL_HEIGHT)
        fprintf(stderr, "error: %s is %d x %d; the model takes %d x %d\n", name, width, height, MODEL_WIDTH, MODEL_HEIGHT);
    else
        print(name, pixels);
    stbi_image_free(pixels);
    return width != MODEL_WIDTH || height != MODEL_HEIGHT;
}

static int classify_raw(const char *name, const uint8_t *bytes, size_t length)
{
    if (length == 0 || length % MODEL_PIXELS) {
        fprintf(stderr, "error: %s is no PNG or binary PGM, and its %lu bytes are not a multiple of %d, which is one image\n", name,
                (unsigned long)length, MODEL_PIXELS);
        return 1;
    }
    for (size_t start = 0; start < length; start += MODEL_PIXELS)
        print(name, bytes + start);
    return 0;
}

static int classify_file(const char *name)
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
    failed = is_picture(bytes, length) ? classify_picture(name, bytes, length) : classify_raw(name, bytes, length);
    free(bytes);
    return failed;
}

int main(int count, char **arguments)
{
    int failed = 0;
    if (count < 2 || !strcmp(arguments[1], "--help")) {
        fprintf(count < 2 ? stderr : stdout,
                "%s %s\nusage: classify FILE...\nA FILE is a PNG, binary PGM or PPM of %d x %d pixels, or raw bytes, %d for each image; - is "
                "standard input.\n",
                MODEL_NAME, MODEL_VERSION, MODEL_WIDTH, MODEL_HEIGHT, MODEL_PIXELS);
        return count < 2 ? 2 : 0;
    }
    for (int index = 1; index < count; index++)
        failed |= classify_file(arguments[index]);
    return failed;
}
