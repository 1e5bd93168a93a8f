#include "fixed_point.h"
#include "grid.h"

static int8_t multiply(const void *parameters, int8_t first, int8_t second)
{
    const struct multiplication *layer = parameters;
    int32_t product = (first - layer->first_zero_point) * (second - layer->second_zero_point);
    int32_t value = rescale(product, layer->multiplier, layer->shift);
    return clamp(value + layer->zero_point, layer->least, layer->most);
}

void layer_multiplication(const struct multiplication *layer, const int8_t *first,
                          const int8_t *second, int8_t *output)
{
    walk(&layer->grid, first, second, output, layer, multiply);
}
