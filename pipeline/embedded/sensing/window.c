#include "window.h"

int window_add(struct window *window, const float *row)
{
    for (int channel = 0; channel < MODEL_CHANNELS; channel++)
        if (!(row[channel] - row[channel] == 0.0f)) {
            window_reset(window);
            return 0;
        }
    for (int channel = 0; channel < MODEL_CHANNELS; channel++)
        window->rows[window->next][channel] = row[channel];
    window->next = (window->next + 1) % MODEL_STEPS;
    if (++window->count < MODEL_STEPS)
        return 0;
    window->count -= WINDOW_STEP;
    return 1;
}

void window_reset(struct window *window)
{
    window->count = 0;
}

void window_read(const struct window *window, float *values)
{
    for (int step = 0; step < MODEL_STEPS; step++) {
        const float *row = window->rows[(window->next + step) % MODEL_STEPS];
        for (int channel = 0; channel < MODEL_CHANNELS; channel++)
            *values++ = row[channel];
    }
}
