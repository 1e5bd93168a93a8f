#include "picture.h"

#include <stdlib.h>
#include <string.h>

#include "program.h"

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_PNM
#define STBI_MAX_DIMENSIONS LONGEST_SIDE
#define STBI_NO_STDIO
#define STBI_NO_THREAD_LOCALS
#ifdef __clang__ /* half the time to compile */
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#endif
#include "stb_image.h"
#ifdef __clang__
#pragma clang attribute pop
#endif

int picture_begins(const uint8_t *bytes, size_t length)
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

const char *picture_read(const uint8_t *bytes, size_t length, struct picture *picture)
{
    int channels = 0;
    const char *fault = NULL;
    if (length > INT32_MAX)
        return "too large";
    if (*bytes != 'P' && (fault = png_fault(bytes, length)))
        return fault;
    if (stbi_info_from_memory(bytes, (int)length, &picture->width, &picture->height, &channels) &&
        (int64_t)picture->width * picture->height > LARGEST_PIXELS)
        return "it has more than 64,000,000 pixels";
    picture->pixels = stbi_load_from_memory(bytes, (int)length, &picture->width, &picture->height,
                                            &channels, 0);
    picture->format = (enum picture_format)channels;
    return picture->pixels ? NULL : stbi_failure_reason();
}

void picture_free(struct picture *picture)
{
    stbi_image_free((void *)picture->pixels);
}
