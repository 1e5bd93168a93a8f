/* Each layer by our C and by CMSIS-NN, on the same input. */
#ifndef CMSIS_NN_H
#define CMSIS_NN_H

#include <stdint.h>

/* What goes on to the next layer: our output, or that of CMSIS-NN. */
extern int32_t cmsis_nn_passes_on;

/* Prints a line for each kind of layer, and begins anew. */
void print_comparison(void);

/* A random number from `least` to `most`, the same ones in every run. */
int32_t pick(int32_t least, int32_t most);

#endif
