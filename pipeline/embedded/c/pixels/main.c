/*
 * classify FILE...        prints each image's file, the answer in words, as answer.h writes them, and
 *                         the outputs, separated by tabs
 * classify --prove FILE   tests the model on this device with acceptance.bin; the exit status is
 *                         0: proven, 3: not shown (too few images for a verdict), 1: worse, or
 *                         the file cannot be used
 *
 * A FILE is a PNG, a JPEG, a binary PGM or PPM, or raw pixels: MODEL_PIXELS bytes per image, one
 * after the other; - is standard input. Pictures are framed as those of the training were; if
 * MODEL_FRAMING has FRAMING_NONE, they must have the model's size. Outputs have nine digits, which
 * represent a float exactly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"
#include "framing.h"
#include "picture.h"
#include "program.h"

static int classify_framed(const char *name, const struct picture *picture)
{
    static const struct framing framing = MODEL_FRAMING;
    static const struct framing resize = {FRAMING_RESIZE, {0, 0, 0, 0}};
    static const struct framing_size input = {MODEL_HEIGHT, MODEL_WIDTH, MODEL_CHANNELS};
    static uint8_t image[MODEL_PIXELS];
    const int is_framed = framing.method != FRAMING_NONE;
    void *scratch;
    if (!is_framed && (picture->width != MODEL_WIDTH || picture->height != MODEL_HEIGHT)) {
        fprintf(stderr, "error: %s is %d x %d pixels; expected %d x %d\n", name, picture->width,
                picture->height, MODEL_WIDTH, MODEL_HEIGHT);
        return 1;
    }
    scratch = malloc(framing_scratch(picture, is_framed ? &framing : &resize, &input));
    if (!scratch) {
        fprintf(stderr, "error: there is too little memory for %s\n", name);
        return 1;
    }
    framing_run(picture, is_framed ? &framing : &resize, &input, image, scratch);
    free(scratch);
    print_answer(name, image);
    return 0;
}

static int classify_picture(const char *name, const uint8_t *bytes, size_t length)
{
    struct picture picture;
    const char *fault = picture_read(bytes, length, &picture);
    int failed;
    if (fault) {
        fprintf(stderr, "error: %s cannot be read: %s\n", name, fault);
        return 1;
    }
    failed = classify_framed(name, &picture);
    picture_free(&picture);
    return failed;
}

static int classify_raw(const char *name, const uint8_t *bytes, size_t length)
{
    if (length == 0 || length % MODEL_PIXELS) {
        fprintf(stderr,
                "error: %s is not a PNG, JPEG, PGM or PPM, and its %lu bytes are not a multiple of %d, "
                "the bytes of one image\n",
                name, (unsigned long)length, MODEL_PIXELS);
        return 1;
    }
    for (size_t start = 0; start < length; start += MODEL_PIXELS)
        print_answer(name, bytes + start);
    return 0;
}

static int classify_bytes(const char *name, const uint8_t *bytes, size_t length)
{
    return picture_begins(bytes, length) ? classify_picture(name, bytes, length)
                                         : classify_raw(name, bytes, length);
}

int main(int count, char **arguments)
{
    int failed = 0;
    if (count < 2 || !strcmp(arguments[1], "--help")) {
        fprintf(count < 2 ? stderr : stdout,
                "%s %s\n"
                "usage: classify FILE...\n"
                "       classify --prove acceptance.bin\n"
                "A FILE is a PNG, JPEG, binary PGM or PPM, or raw bytes, %d per image; - is "
                "standard input.\n",
                MODEL_NAME, MODEL_VERSION, MODEL_PIXELS);
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
