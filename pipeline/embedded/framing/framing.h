/*
 * From a picture of any size to the model's input: `frame` of serving/framing.py, which prepared the
 * training images, with the same result to the pixel. Integers only, no library, no heap.
 */
#ifndef FRAMING_H
#define FRAMING_H

#include <stddef.h>
#include <stdint.h>

#define LONGEST_SIDE (1 << 20) /* pixels; a longer side of a picture would overflow */

/* How the bytes of a pixel are laid out. The first four are their number. */
enum picture_format {
    PICTURE_GREY = 1,
    PICTURE_GREY_ALPHA,
    PICTURE_RGB,
    PICTURE_RGBA,      /* transparent pixels become white */
    PICTURE_RGB565_LE, /* 16 bits, the low byte first */
    PICTURE_RGB565_BE  /* 16 bits, the high byte first, as cameras send it */
};

enum framing_method {
    FRAMING_NONE, /* there is only code for it in other languages */
    FRAMING_RESIZE,
    FRAMING_LETTERBOX,
    FRAMING_CENTRE_CROP,
    FRAMING_REGION
};

struct picture {
    const uint8_t *pixels; /* row by row, without gaps */
    int width, height;
    enum picture_format format;
};

struct framing {
    enum framing_method method;
    int region[4]; /* left, top, right, bottom in ten-thousandths of the picture's sides */
};

struct framing_size {
    int height, width, channels; /* 1: grey, 3: red, green, blue */
};

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The bytes of scratch memory for such a picture: some lines of it, and not the whole. Its pixels
 * are not read.
 */
size_t framing_scratch(const struct picture *picture, const struct framing *framing,
                       const struct framing_size *input);

/*
 * Writes the height * width * channels bytes of the input to `image`. `scratch` has the bytes of
 * framing_scratch() and the alignment of malloc. The method must not be FRAMING_NONE.
 */
void framing_run(const struct picture *picture, const struct framing *framing,
                 const struct framing_size *input, uint8_t *image, void *scratch);

#ifdef __cplusplus
}
#endif

#endif
