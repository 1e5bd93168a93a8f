#include "framing.h"

#include <string.h>

/*
 * The Lanczos filter as Pillow 13 computes it for 8 bits (Resample.c): weights with 22 fractional
 * bits, rounded to 8 bits between columns and rows. Pillow has each weight as a double before it
 * rounds; here it has 40 fractional bits, which round to the same.
 */

#define SUPPORT 3 /* of the Lanczos filter, in pixels */
#define PARTS 10000
#define ONE ((int64_t)1 << 40) /* of sinc and its argument */
#define HALF_BITS ((int64_t)1 << 20)
#define WEIGHT_BITS 22 /* as in Pillow, whose sums fit into 32 bits */

struct size {
    int width, height;
};

/* The part of the picture that is used, what it becomes, and how. */
struct plan {
    int left, top, channels;
    struct size part, inner;
    int rows_first;            /* Pillow 13 begins with the rows if that saves more work */
    int column_taps, row_taps; /* the most old pixels that a new one uses */
};

struct scratch {
    int64_t *exact;   /* the weights of one window in units of ONE */
    int32_t *windows; /* of each new column: its first old one, their number and weights */
    int32_t *weights; /* of the old rows of a new row */
    int32_t *sums;    /* of a new row */
    uint8_t *line;    /* a row of the picture */
    uint8_t *lines;   /* the last rows whose columns are resized; row n is at n % row_taps */
};

static int smaller(int first, int second)
{
    return first < second ? first : second;
}

static int larger(int first, int second)
{
    return first > second ? first : second;
}

/* The quotient, rounded to the nearest integer, halves up. */
static int divide(int64_t value, int64_t by)
{
    return (int)((2 * value + by) / (2 * by));
}

/* The largest size within `size` that has the aspect ratio of `shape`. */
static struct size fitted(struct size shape, struct size size)
{
    const int64_t across = (int64_t)size.width * shape.height;
    const int64_t down = (int64_t)size.height * shape.width;
    if (across < down)
        size.height = larger(divide(across, shape.width), 1);
    else
        size.width = larger(divide(down, shape.height), 1);
    return size;
}

static int taps(int length, int size)
{
    return smaller((int)((int64_t)2 * SUPPORT * larger(length, size) / size) + 2, length);
}

static struct plan planned(const struct picture *picture, const struct framing *framing,
                           const struct framing_size *input)
{
    const struct size whole = {picture->width, picture->height};
    struct plan plan = {0, 0, input->channels, whole, {input->width, input->height}, 0, 0, 0};
    if (framing->method == FRAMING_LETTERBOX)
        plan.inner = fitted(whole, plan.inner);
    if (framing->method == FRAMING_CENTRE_CROP) {
        plan.part = fitted(plan.inner, whole);
        plan.left = (whole.width - plan.part.width) / 2;
        plan.top = (whole.height - plan.part.height) / 2;
    }
    if (framing->method == FRAMING_REGION) {
        const int *region = framing->region;
        const int64_t width = whole.width, height = whole.height;
        plan.left = smaller(divide(region[0] * width, PARTS), whole.width - 1);
        plan.top = smaller(divide(region[1] * height, PARTS), whole.height - 1);
        plan.part.width = larger(divide(region[2] * width, PARTS) - plan.left, 1);
        plan.part.height = larger(divide(region[3] * height, PARTS) - plan.top, 1);
    }
    const int fewer_rows = plan.part.height - plan.inner.height;
    const int fewer_columns = plan.part.width - plan.inner.width;
    plan.rows_first = fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
    plan.column_taps = taps(plan.part.width, plan.inner.width);
    plan.row_taps = taps(plan.part.height, plan.inner.height);
    return plan;
}

/* The product of two numbers in units of ONE, of which one is below 4 and the other at most 1. */
static int64_t product(int64_t first, int64_t second)
{
    return (first / HALF_BITS * second + first % HALF_BITS * second / HALF_BITS) / HALF_BITS;
}

/* sinc(x) = sin(pi x) / (pi x) of x = value / unit, in units of ONE. */
static int64_t sinc(int64_t value, int64_t unit)
{
    /* ONE * pi^2k / (2k + 1)!, of the Taylor series, with alternating signs */
    static const int64_t terms[] = {
        ONE,         -1808624133424, 892520235358, -209733848642, 28749862717, -2579543378,
        163199184,   -7670054,       278310,       -8032,         189,
    };
    const int64_t nearest = (2 * value + (value < 0 ? -unit : unit)) / (2 * unit);
    const int64_t rest = value - nearest * unit; /* the sine has the period 2 */
    const int64_t square = product(rest * ONE / unit, rest * ONE / unit);
    int64_t sum = 0;
    for (int term = sizeof terms / sizeof *terms - 1; term >= 0; term--)
        sum = terms[term] + product(sum, square);
    return nearest == 0 ? sum : (nearest % 2 ? -1 : 1) * product(sum, rest * ONE / value);
}

/*
 * The old pixels that new pixel `index` of `size` uses, of `length`: returns the first of them, and
 * writes their number and their weights in units of 1 / (1 << WEIGHT_BITS).
 */
static int weigh(int length, int size, int index, int *count, int32_t *weights, int64_t *exact)
{
    const int64_t unit = 2 * (int64_t)larger(length, size);
    const int64_t centre = (2 * (int64_t)index + 1) * length; /* in 1 / (2 * size) pixels */
    const int start = larger((int)((centre - SUPPORT * unit + size) / (2 * size)), 0);
    const int end = (int)((centre + SUPPORT * unit + size) / (2 * size));
    int64_t total = 0;
    *count = smaller(end, length) - start;
    for (int tap = 0; tap < *count; tap++) {
        const int64_t distance = (2 * (int64_t)(start + tap) + 1) * size - centre;
        const int inside = distance >= -SUPPORT * unit && distance < SUPPORT * unit;
        exact[tap] = inside ? product(sinc(distance, unit), sinc(distance, SUPPORT * unit)) : 0;
        total += exact[tap];
    }
    for (int tap = 0; tap < *count; tap++) {
        const int64_t half = exact[tap] < 0 ? -total / 2 : total / 2;
        weights[tap] = (int32_t)((exact[tap] * (1 << WEIGHT_BITS) + half) / total);
    }
    return start;
}

static uint8_t rounded(int32_t sum)
{
    return (uint8_t)(sum < 0 ? 0 : smaller(sum >> WEIGHT_BITS, 255));
}

/* `value` of that opacity on white, as Pillow rounds it. */
static uint8_t on_white(int value, int opacity)
{
    const int sum = 128 * (value * opacity + 255 * (255 - opacity)) + (128 << 7);
    return (uint8_t)(((sum >> 8) + sum) >> 15);
}

static void read_pixel(const struct picture *picture, size_t index, uint8_t *colours)
{
    const int wide = picture->format >= PICTURE_RGB565_LE;
    const uint8_t *bytes = picture->pixels + index * (wide ? 2 : (size_t)picture->format);
    if (wide) {
        const int low_first = picture->format == PICTURE_RGB565_LE;
        const int value = low_first ? bytes[1] << 8 | bytes[0] : bytes[0] << 8 | bytes[1];
        const int red = value >> 11, green = value >> 5 & 63, blue = value & 31;
        colours[0] = (uint8_t)(red << 3 | red >> 2);
        colours[1] = (uint8_t)(green << 2 | green >> 4);
        colours[2] = (uint8_t)(blue << 3 | blue >> 2);
        return;
    }
    for (int colour = 0; colour < 3; colour++)
        colours[colour] = bytes[picture->format <= PICTURE_GREY_ALPHA ? 0 : colour];
    if (picture->format == PICTURE_GREY_ALPHA || picture->format == PICTURE_RGBA)
        for (int colour = 0; colour < 3; colour++)
            colours[colour] = on_white(colours[colour], bytes[picture->format - 1]);
}

/* Row `row` of the part of the picture, in the channels of the input. */
static void read_row(const struct picture *picture, const struct plan *plan, int row, uint8_t *line)
{
    size_t index = (size_t)(plan->top + row) * (size_t)picture->width + (size_t)plan->left;
    for (int column = 0; column < plan->part.width; column++, index++, line += plan->channels) {
        uint8_t colours[3];
        read_pixel(picture, index, colours);
        if (plan->channels == 3)
            memcpy(line, colours, 3);
        else /* ITU-R 601 in 16 fractional bits, as in Pillow */
            *line = (uint8_t)(
                (19595u * colours[0] + 38470u * colours[1] + 7471u * colours[2] + 0x8000u) >> 16);
    }
}

static void weigh_columns(const struct plan *plan, const struct scratch *scratch)
{
    int32_t *window = scratch->windows;
    for (int column = 0; column < plan->inner.width; column++, window += 2 + plan->column_taps) {
        int count;
        window[0] = weigh(plan->part.width, plan->inner.width, column, &count, window + 2,
                          scratch->exact);
        window[1] = count;
    }
}

static void resize_columns(const struct plan *plan, const struct scratch *scratch, uint8_t *result)
{
    const int32_t *window = scratch->windows;
    for (int column = 0; column < plan->inner.width; column++, window += 2 + plan->column_taps)
        for (int channel = 0; channel < plan->channels; channel++) {
            const uint8_t *old = scratch->line + window[0] * plan->channels + channel;
            int32_t sum = 1 << (WEIGHT_BITS - 1);
            for (int tap = 0; tap < window[1]; tap++, old += plan->channels)
                sum += window[2 + tap] * *old;
            *result++ = rounded(sum);
        }
}

/* Row `row`, its columns resized; reads the rows from `next` to it, of which the last are kept. */
static const uint8_t *resized_line(const struct picture *picture, const struct plan *plan,
                                   const struct scratch *scratch, int row, int *next)
{
    const size_t bytes = (size_t)plan->inner.width * (size_t)plan->channels;
    for (; *next <= row; ++*next) {
        read_row(picture, plan, *next, scratch->line);
        resize_columns(plan, scratch, scratch->lines + (size_t)(*next % plan->row_taps) * bytes);
    }
    return scratch->lines + (size_t)(row % plan->row_taps) * bytes;
}

/* Writes the inner image to `image`, whose rows are `stride` bytes apart. */
static void resize(const struct picture *picture, const struct plan *plan,
                   const struct scratch *scratch, uint8_t *image, size_t stride)
{
    const int width = plan->rows_first ? plan->part.width : plan->inner.width;
    const size_t values = (size_t)width * (size_t)plan->channels;
    int next = 0; /* the first row that was not read, unless rows come first */
    for (int row = 0; row < plan->inner.height; row++, image += stride) {
        int count, old = weigh(plan->part.height, plan->inner.height, row, &count,
                               scratch->weights, scratch->exact);
        uint8_t *result = plan->rows_first ? scratch->line : image;
        for (size_t value = 0; value < values; value++)
            scratch->sums[value] = 1 << (WEIGHT_BITS - 1);
        for (int tap = 0; tap < count; tap++, old++) {
            const uint8_t *line = scratch->line;
            if (plan->rows_first)
                read_row(picture, plan, old, scratch->line);
            else
                line = resized_line(picture, plan, scratch, old, &next);
            for (size_t value = 0; value < values; value++)
                scratch->sums[value] += scratch->weights[tap] * line[value];
        }
        for (size_t value = 0; value < values; value++)
            result[value] = rounded(scratch->sums[value]);
        if (plan->rows_first)
            resize_columns(plan, scratch, image);
    }
}

/* Where each part of the scratch memory ends, in bytes from its beginning. */
static size_t divided(const struct plan *plan, size_t ends[5])
{
    const size_t channels = (size_t)plan->channels, row_taps = (size_t)plan->row_taps;
    const size_t window = 2 + (size_t)plan->column_taps, columns = (size_t)plan->inner.width;
    const size_t values = channels * (size_t)larger(plan->part.width, plan->inner.width);
    ends[0] = sizeof(int64_t) * (size_t)larger(plan->column_taps, plan->row_taps);
    ends[1] = ends[0] + sizeof(int32_t) * columns * window;
    ends[2] = ends[1] + sizeof(int32_t) * row_taps;
    ends[3] = ends[2] + sizeof(int32_t) * values;
    ends[4] = ends[3] + values;
    return ends[4] + (plan->rows_first ? 0 : row_taps * columns * channels);
}

size_t framing_scratch(const struct picture *picture, const struct framing *framing,
                       const struct framing_size *input)
{
    const struct plan plan = planned(picture, framing, input);
    size_t ends[5];
    return divided(&plan, ends);
}

void framing_run(const struct picture *picture, const struct framing *framing,
                 const struct framing_size *input, uint8_t *image, void *memory)
{
    const struct plan plan = planned(picture, framing, input);
    const size_t stride = (size_t)input->width * (size_t)input->channels;
    /* What is cut around the middle begins at half the difference, rounded down: a margin up. */
    const size_t left = (size_t)(input->width - plan.inner.width + 1) / 2;
    const size_t top = (size_t)(input->height - plan.inner.height + 1) / 2;
    uint8_t *bytes = memory;
    size_t ends[5];
    divided(&plan, ends);
    const struct scratch scratch = {
        memory, (int32_t *)(void *)(bytes + ends[0]), (int32_t *)(void *)(bytes + ends[1]),
        (int32_t *)(void *)(bytes + ends[2]), bytes + ends[3], bytes + ends[4],
    };
    memset(image, 0, (size_t)input->height * stride);
    weigh_columns(&plan, &scratch);
    resize(picture, &plan, &scratch, image + top * stride + left * (size_t)input->channels, stride);
}
