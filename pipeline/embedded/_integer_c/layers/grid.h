/* Walks through two inputs together. */
#ifndef GRID_H
#define GRID_H

#include "layers.h"

/* Calls `combine` for each pair of values; `layer` is passed on to it. */
static inline void walk(const struct grid *grid, const int8_t *first, const int8_t *second,
                        int8_t *output, const void *layer,
                        int8_t (*combine)(const void *layer, int8_t first, int8_t second))
{
    const int32_t *counts = grid->counts, *a = grid->first_steps, *b = grid->second_steps;
    for (int32_t i = 0; i < counts[0]; i++)
        for (int32_t j = 0; j < counts[1]; j++)
            for (int32_t k = 0; k < counts[2]; k++) {
                const int8_t *left = first + i * a[0] + j * a[1] + k * a[2];
                const int8_t *right = second + i * b[0] + j * b[1] + k * b[2];
                for (int32_t l = 0; l < counts[3]; l++)
                    *output++ = combine(layer, left[l * a[3]], right[l * b[3]]);
            }
}

#endif
