/* The model as one C function. */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <stdint.h>

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes the probabilities of the MODEL_CLASSES classes for one image. `image` is MODEL_PIXELS raw
 * bytes, 0 to 255, row by row, with the channels of a pixel side by side; scaling is part of the
 * model. Keeps no state and allocates nothing on the heap.
 */
void classify(const uint8_t *image, float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
