#include "sums.h"

/* The mean, halves rounded away from zero. */
static int32_t rounded_mean(int32_t sum, int32_t count)
{
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

/* The rows or columns of the input under a filter of `length` that begins at `start`. */
static struct span window(int32_t start, int32_t size, int32_t length)
{
    struct span positions = inside(start, size, length, 1);
    struct span places = {start + positions.first, start + positions.end};
    return places;
}

/* The largest value of a window or its mean. */
static int32_t pooled(const struct pooling *layer, const int8_t *input, struct span rows,
                      struct span columns, int32_t average)
{
    int32_t largest = INT8_MIN, sum = 0;
    for (int32_t row = rows.first; row < rows.end; row++)
        for (int32_t column = columns.first; column < columns.end; column++) {
            int32_t value = input[(row * layer->input.width + column) * layer->input.channels];
            largest = value > largest ? value : largest;
            sum += value;
        }
    return average ? rounded_mean(sum, (rows.end - rows.first) * (columns.end - columns.first))
                   : largest;
}

static void pool(const struct pooling *layer, const int8_t *input, int8_t *output, int32_t average)
{
    for (int32_t y = 0; y < layer->output.height; y++)
        for (int32_t x = 0; x < layer->output.width; x++) {
            int32_t top = y * layer->stride.height - layer->padding.height;
            int32_t left = x * layer->stride.width - layer->padding.width;
            struct span rows = window(top, layer->input.height, layer->filter.height);
            struct span columns = window(left, layer->input.width, layer->filter.width);
            for (int32_t channel = 0; channel < layer->output.channels; channel++)
                *output++ = clamp(pooled(layer, input + channel, rows, columns, average),
                                  layer->least, layer->most);
        }
}

void layer_max_pooling(const struct pooling *layer, const int8_t *input, int8_t *output)
{
    pool(layer, input, output, 0);
}

void layer_average_pooling(const struct pooling *layer, const int8_t *input, int8_t *output)
{
    pool(layer, input, output, 1);
}
