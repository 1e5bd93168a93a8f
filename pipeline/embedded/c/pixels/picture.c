#include "picture.h"

#include <stdlib.h>
#include <string.h>

#include "program.h"

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
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

static int is_png(const uint8_t *bytes, size_t length)
{
    return length > 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8);
}

static int is_jpeg(const uint8_t *bytes, size_t length)
{
    return length > 8 && !memcmp(bytes, "\xff\xd8\xff", 3);
}

int picture_begins(const uint8_t *bytes, size_t length)
{
    return is_png(bytes, length) || is_jpeg(bytes, length) ||
           (length > 8 && (!memcmp(bytes, "P5", 2) || !memcmp(bytes, "P6", 2)));
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

/* The EXIF orientation in the TIFF header of `length` bytes, 1 to 8; 1, upright, if it has none. */
static int orientation_in(const uint8_t *tiff, size_t length)
{
    const int low_first = length >= 8 && tiff[0] == 'I';
    size_t at;
    if (length < 8)
        return 1;
    at = low_first ? (size_t)tiff[7] << 24 | (size_t)tiff[6] << 16 | (size_t)tiff[5] << 8 | tiff[4]
                   : big_endian(tiff + 4);
    if (at > length)
        return 1;
    for (at += 2; at < length && length - at >= 12; at += 12) {
        const uint8_t *entry = tiff + at;
        const int tag = low_first ? entry[1] << 8 | entry[0] : entry[0] << 8 | entry[1];
        const int value = low_first ? entry[9] << 8 | entry[8] : entry[8] << 8 | entry[9];
        if (tag == 0x0112)
            return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

/*
 * What is wrong with the compressed pixels, a zlib stream of `length` bytes, or NULL. Its end has an
 * Adler-32. It may unpack to `room` bytes, so that a small file cannot fill the memory.
 */
static const char *pixels_fault(const uint8_t *stream, size_t length, size_t room)
{
    char *unpacked = length >= 6 ? malloc(room) : NULL;
    const int count = unpacked ? stbi_zlib_decode_buffer(unpacked, (int)room, (const char *)stream,
                                                         (int)length)
                               : -1;
    const int whole = count >= 0 && adler32_of((const uint8_t *)unpacked, (size_t)count) ==
                                        big_endian(stream + length - 4);
    free(unpacked);
    if (count < 0)
        return "its pixels cannot be unpacked";
    return whole ? NULL : "a checksum is wrong";
}

/* The most bytes of a PNG's pixels: up to 8 each, and one a row, in up to seven passes. */
static size_t png_room(const struct picture *picture)
{
    return 8 * (size_t)picture->width * (size_t)picture->height + 4 * (size_t)picture->height + 16;
}

/*
 * What is wrong with a PNG whose pixels take `room` bytes, or NULL; sets its orientation. stb_image
 * ignores checksums and what follows the pixels.
 */
static const char *png_fault(const uint8_t *bytes, size_t length, size_t room, int *orientation)
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
        if (!memcmp(kind, "eXIf", 4))
            *orientation = orientation_in(kind + 4, size);
        if (!memcmp(kind, "IEND", 4)) {
            if (at + size + 12 != length)
                fault = "something follows its end";
            else
                fault = pixels_fault(stream, packed, room);
            break;
        }
    }
    free(stream);
    return fault;
}

/*
 * What is wrong with a JPEG, or NULL; sets its orientation. It has no checksum, and stb_image makes
 * up what is missing at its end.
 */
static const char *jpeg_fault(const uint8_t *bytes, size_t length, int *orientation)
{
    size_t at = 2;
    while (length - at >= 4 && bytes[at] == 0xff) {
        const uint8_t *segment = bytes + at;
        const size_t size = 2 + (size_t)(segment[2] << 8 | segment[3]);
        if (segment[1] == 0xff) { /* markers may be padded with it */
            at++;
            continue;
        }
        if (size < 4 || size > length - at)
            break;
        if (segment[1] == 0xe1 && size > 10 && !memcmp(segment + 4, "Exif\0", 6))
            *orientation = orientation_in(segment + 10, size - 10);
        at += size;
        if (segment[1] == 0xda) /* pixels follow, up to the marker of the end */
            for (; at + 1 < length; at++)
                if (bytes[at] == 0xff && bytes[at + 1] == 0xd9)
                    return NULL;
    }
    return "cut short";
}

/* Turns the pixels upright; returns 0 if memory runs out. Orientations from 5 on swap the sides. */
static int turn(struct picture *picture, int orientation)
{
    const int width = picture->width, height = picture->height, swap = orientation >= 5;
    const int flip_x = orientation == 2 || orientation == 3 || orientation >= 7;
    const int flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const size_t bytes = (size_t)picture->format;
    uint8_t *turned = malloc((size_t)width * (size_t)height * bytes), *next = turned;
    if (!turned)
        return 0;
    for (int row = 0; row < (swap ? width : height); row++)
        for (int column = 0; column < (swap ? height : width); column++, next += bytes) {
            const int x = swap ? row : column, y = swap ? column : row;
            const size_t old_row = (size_t)(flip_y ? height - 1 - y : y);
            const size_t old_column = (size_t)(flip_x ? width - 1 - x : x);
            memcpy(next, picture->pixels + (old_row * (size_t)width + old_column) * bytes, bytes);
        }
    picture_free(picture);
    picture->pixels = turned;
    picture->width = swap ? height : width;
    picture->height = swap ? width : height;
    return 1;
}

const char *picture_read(const uint8_t *bytes, size_t length, struct picture *picture)
{
    int channels = 0, orientation = 1;
    const char *fault = NULL;
    if (length > INT32_MAX)
        return "too large";
    picture->width = picture->height = 0;
    if (stbi_info_from_memory(bytes, (int)length, &picture->width, &picture->height, &channels) &&
        (int64_t)picture->width * picture->height > LARGEST_PIXELS)
        return "it has more than 64,000,000 pixels";
    if (is_png(bytes, length))
        fault = png_fault(bytes, length, png_room(picture), &orientation);
    else if (is_jpeg(bytes, length))
        fault = jpeg_fault(bytes, length, &orientation);
    if (fault)
        return fault;
    picture->pixels = stbi_load_from_memory(bytes, (int)length, &picture->width, &picture->height,
                                            &channels, 0);
    picture->format = (enum picture_format)channels;
    if (!picture->pixels)
        return stbi_failure_reason();
    if (orientation > 1 && !turn(picture, orientation)) {
        picture_free(picture);
        return "memory ran out";
    }
    return NULL;
}

void picture_free(struct picture *picture)
{
    free((void *)picture->pixels);
}
