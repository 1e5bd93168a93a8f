/*
 * The layers that a network may have, on int8 values. A value q stands for the real number
 * scale * (q - zero_point). What depends on the network stands in constant structs in model.c.
 *
 * Maps are stored row by row, with the channels of a pixel side by side. `least` and `most` limit
 * the output, which is how an activation such as ReLU is part of a layer.
 */
#ifndef LAYERS_H
#define LAYERS_H

#include <stdint.h>

struct map {
    int32_t height, width, channels;
};

struct plane {
    int32_t height, width;
};

/* What turns a 32-bit sum into an output: rescale(sum, multiplier, shift) + zero_point. */
struct scaling {
    const int32_t *multipliers;
    const int8_t *shifts;
    int32_t per_channel; /* 1: multipliers and shifts have one element for each channel; 0: one */
    int32_t zero_point, least, most;
};

/* Convolution: each output is a bias and the products of a filter with a window of the input. */
struct convolution {
    struct map input, output;
    struct plane filter, stride, dilation, padding; /* padding: rows above, columns to the left */
    int32_t filter_channels; /* fewer than the input's if the channels are convolved in groups */
    int32_t input_zero_point;
    const int8_t *weights; /* (output channels, filter height, filter width, filter channels) */
    int32_t packed;        /* 1: weights of four bits, see dot_product.h; 0: a byte each */
    const int32_t *biases;
    struct scaling scaling;
};

/* `window` is room for the values under one filter. */
void layer_convolution(const struct convolution *layer, const int8_t *input, int16_t *window,
                       int8_t *output);

/* Each channel has filters of its own: output channel c sees input channel c / multiplier. */
struct depthwise_convolution {
    struct map input, output;
    struct plane filter, stride, dilation, padding;
    int32_t multiplier; /* output channels for each input channel */
    int32_t input_zero_point;
    const int8_t *weights; /* (filter height, filter width, output channels) */
    const int32_t *biases;
    struct scaling scaling;
};

void layer_depthwise_convolution(const struct depthwise_convolution *layer, const int8_t *input,
                                 int8_t *output);

/* Dense: each output is a bias and the products of a row of weights with all inputs. */
struct fully_connected {
    int32_t rows; /* how many vectors the same weights are applied to, mostly 1 */
    int32_t inputs, outputs;
    const int8_t *weights; /* (outputs, inputs) */
    int32_t packed;        /* 1: weights of four bits, see dot_product.h; 0: a byte each */
    const int32_t *biases; /* less the products of the weights with the zero point of the input */
    struct scaling scaling;
};

void layer_fully_connected(const struct fully_connected *layer, const int8_t *input,
                           int8_t *output);

struct pooling {
    struct map input, output;
    struct plane filter, stride, padding;
    int32_t least, most;
};

void layer_max_pooling(const struct pooling *layer, const int8_t *input, int8_t *output);
void layer_average_pooling(const struct pooling *layer, const int8_t *input, int8_t *output);

/* The mean over `count` values that are `inner` bytes apart, `outer` times. */
struct mean {
    int32_t outer, count, inner;
    int32_t input_zero_point, multiplier, shift, output_zero_point; /* 1 / count is included */
};

void layer_mean(const struct mean *layer, const int8_t *input, int8_t *output);

/* How two inputs are walked through together; a step of 0 repeats an input (broadcasting). */
struct grid {
    int32_t counts[4], first_steps[4], second_steps[4];
};

struct operand {
    int32_t zero_point, multiplier, shift;
};

/* Both inputs are brought to a common scale, with 20 more bits, before they are added. */
struct addition {
    struct grid grid;
    struct operand first, second;
    int32_t multiplier, shift, zero_point, least, most;
};

void layer_addition(const struct addition *layer, const int8_t *first, const int8_t *second,
                    int8_t *output);

struct multiplication {
    struct grid grid;
    int32_t first_zero_point, second_zero_point;
    int32_t multiplier, shift, zero_point, least, most;
};

void layer_multiplication(const struct multiplication *layer, const int8_t *first,
                          const int8_t *second, int8_t *output);

/* Surrounds up to four dimensions with `value`. */
struct padding {
    int32_t input[4], before[4], output[4];
    int32_t value;
};

void layer_padding(const struct padding *layer, const int8_t *input, int8_t *output);

/* Copies one part of a concatenation: blocks of `bytes` to places `step` bytes apart. */
struct concatenation {
    int32_t blocks, bytes, offset, step;
};

void layer_concatenation(const struct concatenation *layer, const int8_t *input, int8_t *output);

/* Softmax of `rows` vectors. The output has the scale 1/256 and the zero point -128. */
struct softmax {
    int32_t rows, classes;
    int32_t multiplier, shift; /* bring a difference of two inputs to the scale 2^-26 */
    int32_t least;             /* differences below it count as nothing */
};

void layer_softmax(const struct softmax *layer, const int8_t *input, int8_t *output);

/* A function of each value, such as 1 / (1 + exp(-x)): the output for q is values[q + 128]. */
struct table {
    int32_t count;
    const int8_t *values;
};

void layer_table(const struct table *layer, const int8_t *input, int8_t *output);

/* Brings values to another scale and zero point. */
struct quantization {
    int32_t count;
    int32_t input_zero_point, multiplier, shift, zero_point;
};

void layer_quantization(const struct quantization *layer, const int8_t *input, int8_t *output);
void layer_quantization_from_uint8(const struct quantization *layer, const uint8_t *input,
                                   int8_t *output);
void layer_quantization_to_uint8(const struct quantization *layer, const int8_t *input,
                                 uint8_t *output);

#endif
