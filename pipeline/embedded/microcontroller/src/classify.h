/* The model as one function, on TensorFlow Lite Micro, for C and C++. */
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
 * Writes the probabilities of the MODEL_CLASSES classes for one image. `image` is MODEL_PIXELS raw
 * values, row by row, with the channels of a pixel or of a moment side by side; scaling is part of
 * the model. The first call sets up the interpreter. Returns false and writes nothing if the array is
 * not the model that was verified or the runtime refuses it. Not thread-safe.
 */
bool classify(const MODEL_VALUE *image, float *probabilities);

/* The class with the largest of the probabilities, or -1 for none: it is below MODEL_ACCEPT_FROM. */
static inline int classify_answer(const float *probabilities)
{
    int best = 0;
    for (int index = 1; index < MODEL_CLASSES; index++)
        if (probabilities[index] > probabilities[best])
            best = index;
    return probabilities[best] >= MODEL_ACCEPT_FROM ? best : -1;
}

/* How much of MODEL_ARENA_BYTES is really used on this processor; 0 if classify() fails. */
size_t classify_arena_used_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
