/* Random layers, of the shapes that networks have, by our C and by another library. */
#include <math.h>

#include "comparison.h"

#define ROUNDS 500   /* of all kinds of layers */
#define VALUES 16384 /* in a tensor at most, and weights of a layer */
#define CHANNELS 48
#define SPREAD 74 /* the standard deviation of uniformly distributed int8 values */

static int8_t input[VALUES], second[VALUES], output[VALUES], weights[VALUES * 4];
static int16_t window[VALUES];
static int32_t biases[CHANNELS], multipliers[CHANNELS];
static int8_t shifts[CHANNELS];

/* At random; a quarter of the time the least and the largest alone, whose sums are the largest. */
static void fill(int8_t *values, int32_t count, int32_t least)
{
    int32_t extreme = pick(0, 3) == 0, rare = pick(0, 1);
    for (int32_t at = 0; at < count; at++) {
        int32_t is_least = rare ? pick(0, 63) == 0 : pick(0, 1);
        values[at] = (int8_t)(!extreme ? pick(least, INT8_MAX) : is_least ? least : INT8_MAX);
    }
}

static int32_t zero_point(void)
{
    static const int32_t frequent[] = {INT8_MIN, -1, 0, INT8_MAX};
    return pick(0, 1) ? frequent[pick(0, 3)] : pick(INT8_MIN, INT8_MAX);
}

static int32_t multiplier(void)
{
    return pick(1 << 30, INT32_MAX);
}

/* An activation limits half of the outputs. */
static int32_t least(int32_t zero)
{
    return pick(0, 1) ? zero : INT8_MIN;
}

/* Scales that bring sums of `products` products back into int8, sometimes with large biases. */
static struct scaling scaled(int32_t products, int32_t channels, int32_t per_channel)
{
    int32_t zero = zero_point();
    struct scaling scaling = {multipliers, shifts, per_channel, zero, least(zero), INT8_MAX};
    int32_t bits = (int32_t)lround(log2(SPREAD * sqrt(products))), large = pick(0, 4) == 0;
    for (int32_t channel = 0; channel < channels; channel++) {
        multipliers[channel] = multiplier();
        shifts[channel] = (int8_t)(large ? pick(-24, -23) : pick(-bits - 1, 1 - bits));
        biases[channel] = large ? pick(-(1 << 30), 1 << 30) : pick(-5000, 5000);
    }
    return scaling;
}

struct place {
    struct map input, output;
    struct plane filter, stride, dilation, padding;
};

static void place_axis(int32_t same, int32_t size, int32_t *filter, int32_t stride, int32_t dilation,
                       int32_t *padding, int32_t *places)
{
    int32_t covered = (*filter - 1) * dilation + 1, needed;
    if (!same && covered > size) {
        *filter = 1;
        covered = 1;
    }
    *places = same ? (size + stride - 1) / stride : (size - covered) / stride + 1;
    needed = (*places - 1) * stride + covered - size;
    *padding = same && needed > 0 ? needed / 2 : 0;
}

/* A window of up to 5 x 5 on up to 12 x 12 pixels, stride 1 or 2, with SAME or VALID padding. */
static struct place place(int32_t channels, int32_t filters, int32_t dilation)
{
    struct place it = {{pick(1, 12), pick(1, 12), channels}, {1, 1, filters}, {1, 1}, {1, 1},
                       {dilation, dilation},                 {0, 0}};
    int32_t same = pick(0, 1), stride = pick(1, 2), side = pick(1, 5);
    it.stride.height = it.stride.width = stride;
    it.filter.height = pick(0, 3) ? side : pick(1, 5);
    it.filter.width = side;
    place_axis(same, it.input.height, &it.filter.height, stride, dilation, &it.padding.height,
               &it.output.height);
    place_axis(same, it.input.width, &it.filter.width, stride, dilation, &it.padding.width,
               &it.output.width);
    return it;
}

static int32_t dilation(void)
{
    return pick(0, 5) ? 1 : 2;
}

static void convolution(void)
{
    int32_t groups = pick(0, 5) ? 1 : 2, depth = pick(0, 4) ? pick(1, 24) : 1;
    int32_t filters = groups * pick(1, CHANNELS / 2);
    struct place it = place(groups * depth, filters, dilation());
    int32_t products = it.filter.height * it.filter.width * depth;
    struct convolution layer = {it.input,   it.output, it.filter,    it.stride, it.dilation,
                                it.padding, depth,     zero_point(), weights,   biases,
                                scaled(products, filters, 1)};
    layer_convolution(&layer, input, window, output);
}

static void depthwise(void)
{
    int32_t times = pick(0, 3) ? 1 : pick(2, 4);
    int32_t channels = pick(0, 5) ? pick(1, CHANNELS / times) : 1, filters = channels * times;
    struct place it = place(channels, filters, dilation());
    int32_t products = it.filter.height * it.filter.width;
    struct depthwise_convolution layer = {it.input,   it.output, it.filter,    it.stride, it.dilation,
                                          it.padding, times,     zero_point(), weights,   biases,
                                          scaled(products, filters, 1)};
    layer_depthwise_convolution(&layer, input, output);
}

static void dense(void)
{
    int32_t inputs = pick(1, 300), outputs = pick(1, CHANNELS);
    struct fully_connected layer = {pick(1, 2), inputs, outputs, weights, biases,
                                    scaled(inputs, outputs, pick(0, 1))};
    layer_fully_connected(&layer, input, output);
}

static void pooling(void)
{
    int32_t channels = pick(1, CHANNELS), whole = pick(0, 3) == 0;
    struct place it = place(channels, channels, 1);
    struct pooling layer = {it.input, it.output, it.filter, it.stride, it.padding,
                            least(zero_point()), INT8_MAX};
    if (whole) { /* global pooling */
        layer.filter.height = it.input.height;
        layer.filter.width = it.input.width;
        layer.padding.height = layer.padding.width = 0;
        layer.output.height = layer.output.width = 1;
    }
    layer_max_pooling(&layer, input, output);
    layer_average_pooling(&layer, input, output);
}

static void arithmetic(void)
{
    struct grid grid = {{1, 1, 1, pick(1, 600)}, {0, 0, 0, 1}, {0, 0, 0, 1}};
    int32_t zero = zero_point();
    struct operand first = {zero_point(), multiplier(), pick(-3, 0)};
    struct operand other = {zero_point(), multiplier(), pick(-3, 0)};
    struct addition addition = {grid, first, other, multiplier(), pick(-20, -17), zero, least(zero),
                                INT8_MAX};
    struct multiplication product = {grid, zero_point(), zero_point(), multiplier(), pick(-8, -5),
                                     zero, least(zero), INT8_MAX};
    layer_addition(&addition, input, second, output);
    layer_multiplication(&product, input, second, output);
}

static void softmax(void)
{
    struct softmax layer = {pick(1, 3), pick(2, 40), multiplier(), pick(18, 25), 0};
    layer.least = -((31 << 26) >> layer.shift);
    layer_softmax(&layer, input, output);
}

int main(void)
{
    for (int32_t round = 0; round < ROUNDS; round++) {
        fill(input, VALUES, INT8_MIN);
        fill(second, VALUES, INT8_MIN);
        fill(weights, VALUES * 4, -INT8_MAX);
        convolution();
        depthwise();
        dense();
        pooling();
        arithmetic();
        softmax();
    }
    print_comparison();
    return 0;
}
