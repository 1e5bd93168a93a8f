/*
 * inputs.raw through the network, in which our layers pass on their outputs, and then those of
 * the other library. Prints the comparison of the layers, and how many outputs and classes differ.
 */
#include "comparison.h"

#include <stdio.h>
#include <stdlib.h>

#include "network.h"

int main(void)
{
    static int8_t input[NETWORK_INPUTS], outputs[2][NETWORK_OUTPUTS];
    unsigned long inputs = 0, classes = 0, differing = 0, largest = 0;
    FILE *file = fopen("inputs.raw", "rb");
    if (!file)
        return 1;
    for (; fread(input, 1, sizeof input, file) == sizeof input; inputs++) {
        int answers[2];
        for (theirs_pass_on = 0; theirs_pass_on < 2; theirs_pass_on++)
            answers[theirs_pass_on] =
                network_run((void *)input, (void *)outputs[theirs_pass_on]);
        classes += answers[0] != answers[1];
        for (int at = 0; at < NETWORK_OUTPUTS; at++) {
            unsigned long apart = (unsigned long)abs(outputs[0][at] - outputs[1][at]);
            differing += apart > 0;
            largest = apart > largest ? apart : largest;
        }
    }
    print_comparison();
    printf("%lu %lu %lu %lu\n", inputs, differing, largest, classes);
    return 0;
}
