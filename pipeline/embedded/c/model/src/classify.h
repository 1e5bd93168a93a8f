/*
 * The network's outputs as probabilities, or as the number. Optional: it is the only file of the model that computes
 * in floating point, and network.h does without it.
 */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include "model.h"
#include "network.h"

/*
 * Writes the MODEL_CLASSES outputs for one image: the probabilities of the classes or labels, or the
 * number. Returns what network_run returns: of a model that gives one class of several, the class, or
 * -1 if it rejects the image. answer.h says what the answer is.
 * `image` is MODEL_PIXELS raw values, row by row, with the channels of a pixel or of a moment side
 * by side; scaling is part of the model. Two calls must not overlap.
 */
static inline int classify(const MODEL_VALUE *image, float *probabilities)
{
    int8_t outputs[MODEL_CLASSES];
    int class_number = network_run(image, outputs);
    for (int index = 0; index < MODEL_CLASSES; index++)
        probabilities[index] =
            NETWORK_OUTPUT_SCALE * (float)(outputs[index] - NETWORK_OUTPUT_ZERO_POINT);
    return class_number;
}

#endif
