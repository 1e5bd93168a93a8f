/* The model as one function, on TensorFlow Lite Micro. C and C++ may include it. */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes the probabilities of the MODEL_CLASSES classes for one image of MODEL_PIXELS raw bytes, 0 to 255, row by row and
 * channel by channel within a pixel. Scaling is inside. The first call sets the interpreter up. False, and nothing
 * written, where the array is not the model that was proven or the runtime refuses it. Not for several threads at once.
 */
bool classify(const uint8_t *image, float *probabilities);

/* What the model really takes of MODEL_ARENA_BYTES with this library on this processor; 0 where classify() fails. */
size_t classify_arena_used_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
