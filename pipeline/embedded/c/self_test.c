/* Reproduces the golden vectors; exits with 0 if every output and class is equal. */
#include <stdio.h>

#include "golden.h"
#include "network.h"

int main(void)
{
    int differing = 0;
    for (int image = 0; image < GOLDEN_IMAGES; image++) {
        int8_t outputs[NETWORK_OUTPUTS];
        differing += network_run(golden_images[image], outputs) != golden_classes[image];
        for (int index = 0; index < NETWORK_OUTPUTS; index++)
            differing += outputs[index] != golden_outputs[image][index];
    }
    printf("%d golden vectors, %d of their outputs and classes differ\n", GOLDEN_IMAGES, differing);
    return differing != 0;
}
