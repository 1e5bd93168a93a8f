#include "log_mel.h"

#include "log_mel_tables.h"

#define QUIETEST 200 /* the least level */
#define HIGHEST 255
#define HALF ((MODEL_WINDOW - 1) / 2)

/*
 * A cosine is the same, and a sine the negative, as many samples before the end of a turn as after
 * its beginning. So the sums and the differences of such pairs of samples take half the products.
 */
static int32_t sums[MODEL_WINDOW / 2 + 1], differences[HALF + 1];

static void fold(const int16_t *samples)
{
    sums[0] = samples[0] * (int32_t)hann[0];
    for (int index = 1; index <= HALF; index++) {
        int32_t early = samples[index] * (int32_t)hann[index];
        int32_t late = samples[MODEL_WINDOW - index] * (int32_t)hann[MODEL_WINDOW - index];
        sums[index] = early + late;
        differences[index] = early - late;
    }
    if (MODEL_WINDOW % 2 == 0)
        sums[MODEL_WINDOW / 2] = samples[MODEL_WINDOW / 2] * (int32_t)hann[MODEL_WINDOW / 2];
}

static uint64_t squared(int64_t amplitude)
{
    uint64_t magnitude = (uint64_t)(amplitude < 0 ? -amplitude : amplitude) >> LOG_MEL_SHIFT;
    return magnitude * magnitude;
}

/* The energy of a bin of the discrete Fourier transform. */
static uint64_t bin_energy(int bin)
{
    int64_t real = sums[0] * (int64_t)cosines[0], imaginary = 0;
    int turn = 0;
    for (int index = 1; index <= HALF; index++) {
        turn += bin;
        if (turn >= MODEL_WINDOW)
            turn -= MODEL_WINDOW;
        real += sums[index] * (int64_t)cosines[turn];
        imaginary += differences[index] * (int64_t)sines[turn];
    }
    if (MODEL_WINDOW % 2 == 0)
        real += sums[MODEL_WINDOW / 2] * (int64_t)cosines[bin % 2 ? MODEL_WINDOW / 2 : 0];
    return squared(real) + squared(imaginary);
}

/* In eighths of a doubling; 0 for 0. */
static uint16_t logarithm(uint64_t energy)
{
    int exponent = 0;
    if (energy == 0)
        return 0;
    while (energy >> exponent > 1)
        exponent++;
    energy = exponent < 6 ? energy << (6 - exponent) : energy >> (exponent - 6);
    return (uint16_t)(8 * exponent + logarithms[energy & 63]);
}

void log_mel_energies(const int16_t *samples, uint16_t *energies)
{
    static uint64_t bands[MODEL_WIDTH];
    for (int band = 0; band < MODEL_WIDTH; band++)
        bands[band] = 0;
    fold(samples);
    for (int bin = 0; bin < LOG_MEL_BINS; bin++) {
        const struct log_mel_weights *weights = &bin_weights[bin];
        uint64_t energy = bin_energy(LOG_MEL_FIRST_BIN + bin);
        bands[weights->band] += energy * weights->own;
        if (weights->next)
            bands[weights->band + 1] += energy * weights->next;
    }
    for (int band = 0; band < MODEL_WIDTH; band++)
        energies[band] = logarithm(bands[band]);
}

void log_mel_features(const uint16_t *energies, int first, uint8_t *image)
{
    const int count = MODEL_HEIGHT * MODEL_WIDTH, start = first * MODEL_WIDTH;
    int level = QUIETEST;
    for (int index = 0; index < count; index++)
        if (energies[index] > level)
            level = energies[index];
    for (int index = 0; index < count; index++) {
        int at = start + index;
        int below = level - energies[at < count ? at : at - count];
        int feature = HIGHEST - (below + below / 2);
        image[index] = (uint8_t)(feature < 0 ? 0 : feature);
    }
}
