/* Runs the golden vectors on this device; shared by the examples and the test on a PC. */
#ifndef SELF_TEST_H
#define SELF_TEST_H

#include "golden.h"
#include "network.h"

/* How many outputs and classes differ from the golden ones. */
static inline int golden_differences(void)
{
    int differing = 0;
    for (int image = 0; image < GOLDEN_IMAGES; image++) {
        int8_t outputs[NETWORK_OUTPUTS];
        differing += network_run(golden_images[image], outputs) != golden_classes[image];
        for (int index = 0; index < NETWORK_OUTPUTS; index++)
            differing += outputs[index] != golden_outputs[image][index];
    }
    return differing;
}

#endif
