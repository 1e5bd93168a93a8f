/* The model as one C function. */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <stdint.h>

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes the probabilities of the MODEL_CLASSES classes for one image of MODEL_PIXELS raw bytes, 0 to 255, row by row and
 * channel by channel within a pixel. Scaling is inside. It keeps no state and takes nothing from the heap.
 */
void classify(const uint8_t *image, float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
