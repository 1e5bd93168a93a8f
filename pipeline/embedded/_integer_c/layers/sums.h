/* What layers have in common that sum over the inputs under a filter. */
#ifndef SUMS_H
#define SUMS_H

#include "fixed_point.h"
#include "layers.h"

static inline int8_t scaled(const struct scaling *scaling, int32_t channel, int32_t sum)
{
    int32_t at = scaling->per_channel ? channel : 0;
    int32_t value = rescale(sum, scaling->multipliers[at], scaling->shifts[at]);
    return clamp(value + scaling->zero_point, scaling->least, scaling->most);
}

/* The first position of a filter that lies inside the input, and the first behind it. */
struct span {
    int32_t first, end;
};

static inline int32_t ceiling_of_quotient(int32_t value, int32_t divisor)
{
    return value <= 0 ? 0 : (value + divisor - 1) / divisor;
}

/* For a filter of `length` whose first position is at `start` of an input of `size`. */
static inline struct span inside(int32_t start, int32_t size, int32_t length, int32_t dilation)
{
    int32_t end = ceiling_of_quotient(size - start, dilation);
    struct span span = {ceiling_of_quotient(-start, dilation), end < length ? end : length};
    return span;
}

#endif
