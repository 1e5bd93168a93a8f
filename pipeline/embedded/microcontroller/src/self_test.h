/* Runs the golden vectors on this device; shared by the examples and the host test. */
#ifndef SELF_TEST_H
#define SELF_TEST_H

#include <cmath>

#include "classify.h"
#include "golden.h"

/* The largest difference from a golden output; infinite if the model does not run. */
inline float largest_golden_difference()
{
    float largest = 0.0f;
    for (int image = 0; image < GOLDEN_IMAGES; image++) {
        float outputs[MODEL_CLASSES];
        if (!classify(golden_images[image], outputs))
            return INFINITY;
        for (int index = 0; index < MODEL_CLASSES; index++)
            largest = std::fmax(
                largest, std::fabs(outputs[index] - golden_outputs[image][index]));
    }
    return largest;
}

#endif
