/* The way into a network of measurements, in floating point. */
#ifndef NORMALIZATION_H
#define NORMALIZATION_H

#include <stdint.h>

/* A factor and an offset for each channel, and then the scale and the zero point of int8. */
struct normalization {
    int32_t count, channels;
    const float *factors, *offsets;
    float scale;
    int32_t zero_point;
};

void layer_normalization(const struct normalization *layer, const float *input, int8_t *output);

#endif
