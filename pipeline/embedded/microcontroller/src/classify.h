/* The model as one function, on TensorFlow Lite Micro, for C and C++. */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes the MODEL_CLASSES outputs for one image: the probabilities of the classes or labels, or the
 * number; answer.h says what the answer is. `image` is MODEL_PIXELS raw values, row by row, with the channels of a pixel or of a moment side by side; scaling is part of
 * the model. The first call sets up the interpreter. Returns false and writes nothing if the array is
 * not the model that was verified or the runtime refuses it. Not thread-safe.
 */
bool classify(const MODEL_VALUE *image, float *outputs);

/* How much of MODEL_ARENA_BYTES is really used on this processor; 0 if classify() fails. */
size_t classify_arena_used_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
