/*
 * classify FILE...        prints each image's file, class and probabilities, separated by tabs; in
 *                         place of the class "none (best guess CLASS)" if the model rejects it
 * classify --prove FILE   tests the model on this device with acceptance.bin; the exit status is
 *                         0: proven, 3: not shown (too few images for a verdict), 1: worse, or
 *                         the file cannot be used
 *
 * A FILE is a PNG or a binary PGM or PPM of the model's size, or raw pixels: MODEL_PIXELS bytes per
 * image, one after the other; - is standard input. Probabilities have nine digits, which represent
 * a float exactly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"
#include "program.h"

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_PNM
#define STBI_NO_STDIO
#define STBI_NO_THREAD_LOCALS
#ifdef __clang__ /* half the time to compile; pictures are small */
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#endif
#include "stb_image.h"
#ifdef __clang__
#pragma clang attribute pop
#endif

static const char *const class_names[MODEL_CLASSES] = MODEL_CLASS_NAMES;

static void print(const char *name, const uint8_t *image)
{
    float probabilities[MODEL_CLASSES];
    int best = 0, answer = classify(image, probabilities);
    for (int class = 1; class < MODEL_CLASSES; class++)
        if (probabilities[class] > probabilities[best])
            best = class;
    printf(answer < 0 ? "%s\tnone (best guess %s)" : "%s\t%s", name, class_names[best]);
    for (int class = 0; class < MODEL_CLASSES; class++)
        printf("\t%.9g", (double)probabilities[class]);
    printf("\n");
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

static int is_picture(const uint8_t *bytes, size_t length)
{
    return length > 8 && (!memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) || !memcmp(bytes, "P5", 2) ||
                          !memcmp(bytes, "P6", 2));
}

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

static uint32_t adler32_of(const uint8_t *bytes, size_t length)
{
    uint32_t low = 1, high = 0;
    while (length--) {
        low = (low + *bytes++) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Whether the compressed pixels, a zlib stream of `length` bytes, match the Adler-32 at its end. */
static int pixels_are_whole(const uint8_t *stream, size_t length)
{
    int unpacked_length = 0, whole;
    char *unpacked = NULL;
    if (length >= 6)
        unpacked = stbi_zlib_decode_malloc((const char *)stream, (int)length, &unpacked_length);
    whole = unpacked && adler32_of((const uint8_t *)unpacked, (size_t)unpacked_length) ==
                            big_endian(stream + length - 4);
    STBI_FREE(unpacked);
    return whole;
}

/* What is wrong with a PNG, or NULL. stb_image ignores checksums and what follows the pixels. */
static const char *png_fault(const uint8_t *bytes, size_t length)
{
    size_t size, packed = 0;
    const char *fault = "cut short";
    uint8_t *stream = malloc(length); /* the pixels may come in several parts */
    for (size_t at = 8; stream && length - at >= 12; at += size + 12) {
        const uint8_t *kind = bytes + at + 4;
        size = big_endian(bytes + at);
        if (size > length - at - 12)
            break;
        if (crc32_of(kind, size + 4) != big_endian(kind + 4 + size)) {
            fault = "a checksum is wrong";
            break;
        }
        if (!memcmp(kind, "IDAT", 4)) {
            memcpy(stream + packed, kind + 4, size);
            packed += size;
        }
        if (!memcmp(kind, "IEND", 4)) {
            if (at + size + 12 != length)
                fault = "something follows its end";
            else
                fault = pixels_are_whole(stream, packed) ? NULL : "a checksum is wrong";
            break;
        }
    }
    free(stream);
    return fault;
}

static int classify_picture(const char *name, const uint8_t *bytes, size_t length)
{
    int width, height, channels;
    const char *fault = NULL;
    uint8_t *pixels = NULL;
    if (length > INT32_MAX)
        fault = "too large";
    else if (*bytes != 'P')
        fault = png_fault(bytes, length);
    if (!fault)
        pixels = stbi_load_from_memory(bytes, (int)length, &width, &height, &channels,
                                       MODEL_CHANNELS);
    if (!pixels) {
        fprintf(stderr, "error: %s is damaged: %s\n", name, fault ? fault : stbi_failure_reason());
        return 1;
    }
    if (width != MODEL_WIDTH || height != MODEL_HEIGHT)
        fprintf(stderr, "error: %s is %d x %d pixels; expected %d x %d\n", name, width, height,
                MODEL_WIDTH, MODEL_HEIGHT);
    else
        print(name, pixels);
    stbi_image_free(pixels);
    return width != MODEL_WIDTH || height != MODEL_HEIGHT;
}

static int classify_raw(const char *name, const uint8_t *bytes, size_t length)
{
    if (length == 0 || length % MODEL_PIXELS) {
        fprintf(stderr,
                "error: %s is not a PNG, PGM or PPM, and its %lu bytes are not a multiple of %d, "
                "the bytes of one image\n",
                name, (unsigned long)length, MODEL_PIXELS);
        return 1;
    }
    for (size_t start = 0; start < length; start += MODEL_PIXELS)
        print(name, bytes + start);
    return 0;
}

static int classify_bytes(const char *name, const uint8_t *bytes, size_t length)
{
    return is_picture(bytes, length) ? classify_picture(name, bytes, length)
                                     : classify_raw(name, bytes, length);
}

/* Passes all bytes of the file `name` to `use` and returns its exit status. */
static int with_file(const char *name, int (*use)(const char *, const uint8_t *, size_t))
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

int main(int count, char **arguments)
{
    int failed = 0;
    if (count < 2 || !strcmp(arguments[1], "--help")) {
        fprintf(count < 2 ? stderr : stdout,
                "%s %s\n"
                "usage: classify FILE...\n"
                "       classify --prove acceptance.bin\n"
                "A FILE is a PNG, binary PGM or PPM of %d x %d pixels, or raw bytes, %d per image; "
                "- is standard input.\n",
                MODEL_NAME, MODEL_VERSION, MODEL_WIDTH, MODEL_HEIGHT, MODEL_PIXELS);
        return count < 2 ? 2 : 0;
    }
    if (!strcmp(arguments[1], "--prove")) {
        if (count != 3)
            fprintf(stderr, "error: --prove expects one file, acceptance.bin\n");
        return count == 3 ? with_file(arguments[2], prove) : 2;
    }
    for (int index = 1; index < count; index++)
        failed |= with_file(arguments[index], classify_bytes);
    return failed;
}
