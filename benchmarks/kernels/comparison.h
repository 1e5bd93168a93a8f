/*
 * Each layer by our C and by another library, on the same input. The linker's --wrap leads each
 * call of a layer to cmsis_nn.c or esp_nn.c, which call the library as TensorFlow Lite Micro does.
 */
#ifndef COMPARISON_H
#define COMPARISON_H

#include <stdint.h>

#include "layers/layers.h"

#define SPARE_BITS 20 /* as in addition.c */
#define MOST_CHANNELS 1024
#define MOST_VALUES 65536

enum kind {
    CONVOLUTION,
    GROUPED_1X1, /* convolution of single pixels in groups, where it is counted apart */
    DEPTHWISE,
    DENSE,
    MAX_POOLING,
    AVERAGE_POOLING,
    ADDITION,
    PRODUCT,
    SOFTMAX,
    KINDS
};

/* What goes on to the next layer: our output, or the other one. */
extern int32_t theirs_pass_on;

extern int8_t theirs[MOST_VALUES];
extern int32_t room[MOST_VALUES / 4], their_multipliers[MOST_CHANNELS], their_shifts[MOST_CHANNELS];

/* Instructions since begin_counting(), where they can be counted. */
void begin_counting(void);
uint64_t instructions(void);

/* Ends the program unless the condition holds. */
void must(int32_t holds, const char *what);

/* What the library asks for a layer. */
void reserve(enum kind kind, int32_t bytes);

/* One multiplier and one shift for each channel. */
void expand(const struct scaling *scaling, int32_t channels);

int32_t map_size(const struct map *map);

/* TensorFlow Lite Micro repeats inputs (broadcasting) with its reference kernels. */
int32_t is_one_run(const struct grid *grid);

void count_instructions(enum kind kind, uint64_t ours, uint64_t others);
void compare(enum kind kind, int8_t *output, int32_t count);

/* The library first, as the output may lie where an input does. */
#define BOTH(kind, call_of_theirs, call_of_ours, count)                                            \
    do {                                                                                           \
        uint64_t others;                                                                           \
        must((count) <= MOST_VALUES, "a layer is too large");                                      \
        begin_counting();                                                                          \
        call_of_theirs;                                                                            \
        others = instructions();                                                                   \
        begin_counting();                                                                          \
        call_of_ours;                                                                              \
        count_instructions(kind, instructions(), others);                                          \
        compare(kind, output, count);                                                              \
    } while (0)

/* Prints a line for each kind of layer, and begins anew. */
void print_comparison(void);

/* A random number from `least` to `most`, the same ones in every run. */
int32_t pick(int32_t least, int32_t most);

#endif
