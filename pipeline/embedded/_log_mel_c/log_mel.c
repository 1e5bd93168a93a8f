#include "log_mel.h"

/* The logarithm of an energy, in steps of an eighth of a doubling; 0 for no energy. */
static int32_t logarithm(uint64_t energy) {
    int32_t exponent = 0;
    uint64_t mantissa;
    if (energy == 0) return 0;
    while (energy >> exponent > 1) exponent++;
    mantissa = exponent > LOG_MEL_MANTISSA_BITS ? energy >> (exponent - LOG_MEL_MANTISSA_BITS)
                                                : energy << (LOG_MEL_MANTISSA_BITS - exponent);
    return LOG_MEL_STEPS * exponent +
           log_mel_logarithms[mantissa - ((uint64_t)1 << LOG_MEL_MANTISSA_BITS)];
}

/* The magnitude of a sum, without the bits that its square has no room for. */
static uint64_t amplitude(int64_t sum) {
    return (uint64_t)(sum < 0 ? -sum : sum) >> LOG_MEL_SHIFT;
}

static uint64_t energy_of_bin(const int32_t windowed[LOG_MEL_WINDOW], int bin) {
    int64_t real = 0, imaginary = 0;
    uint64_t a, b;
    int n, turn = 0;
    for (n = 0; n < LOG_MEL_WINDOW; n++) {
        real += (int64_t)windowed[n] * log_mel_cosine[turn];
        imaginary += (int64_t)windowed[n] * log_mel_sine[turn];
        turn += bin;
        if (turn >= LOG_MEL_WINDOW) turn -= LOG_MEL_WINDOW;
    }
    a = amplitude(real);
    b = amplitude(imaginary);
    return a * a + b * b;
}

void log_mel_init(log_mel_state *state) { state->level = LOG_MEL_QUIETEST; }

void log_mel_frame(log_mel_state *state, const int16_t samples[LOG_MEL_WINDOW],
                   uint8_t features[LOG_MEL_BANDS]) {
    int32_t windowed[LOG_MEL_WINDOW], level = state->level - LOG_MEL_DECAY;
    uint64_t energies[LOG_MEL_BANDS] = {0};
    int32_t logarithms[LOG_MEL_BANDS];
    int n, bin, band;
    for (n = 0; n < LOG_MEL_WINDOW; n++) windowed[n] = (int32_t)samples[n] * log_mel_window[n];
    for (bin = 0; bin < LOG_MEL_BINS; bin++) {
        uint64_t energy = energy_of_bin(windowed, bin);
        for (band = 0; band < LOG_MEL_BANDS; band++)
            energies[band] += energy * log_mel_weights[bin][band];
    }
    if (level < LOG_MEL_QUIETEST) level = LOG_MEL_QUIETEST;
    for (band = 0; band < LOG_MEL_BANDS; band++) {
        logarithms[band] = logarithm(energies[band]);
        if (logarithms[band] > level) level = logarithms[band];
    }
    for (band = 0; band < LOG_MEL_BANDS; band++) {
        int32_t feature = logarithms[band] - level + LOG_MEL_HIGHEST;
        features[band] = (uint8_t)(feature < 0 ? 0 : feature);
    }
    state->level = level;
}
