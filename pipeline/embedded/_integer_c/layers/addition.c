#include "fixed_point.h"
#include "grid.h"

/* More bits while two inputs of different scales are added. */
#define SPARE_BITS 20

static int32_t common_scale(const struct operand *operand, int8_t value)
{
    int32_t difference = value - operand->zero_point;
    return rescale(difference * (1 << SPARE_BITS), operand->multiplier, operand->shift);
}

static int8_t add(const void *parameters, int8_t first, int8_t second)
{
    const struct addition *layer = parameters;
    int32_t sum = common_scale(&layer->first, first) + common_scale(&layer->second, second);
    int32_t value = rescale(sum, layer->multiplier, layer->shift);
    return clamp(value + layer->zero_point, layer->least, layer->most);
}

void layer_addition(const struct addition *layer, const int8_t *first, const int8_t *second,
                    int8_t *output)
{
    walk(&layer->grid, first, second, output, layer, add);
}
