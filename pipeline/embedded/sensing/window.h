/*
 * The last rows of a sensor: the windows of `serving predict` and of the training, as rows come.
 *
 *     static struct window window;
 *     static float values[MODEL_PIXELS];
 *
 *     if (window_add(&window, row)) {
 *         window_read(&window, values);
 *         classify(values, probabilities);
 *     }
 */
#ifndef WINDOW_H
#define WINDOW_H

#include "model.h"

#ifndef WINDOW_STEP
#define WINDOW_STEP MODEL_STEP /* rows from one window to the next */
#endif

/* Begins as zeros, as static variables do. */
struct window {
    float rows[MODEL_STEPS][MODEL_CHANNELS]; /* a ring */
    int next;                                /* where the next row goes, which is the oldest one */
    int count;                               /* rows that count for the next window */
};

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Adds MODEL_CHANNELS values. Returns 1 if a window is full: once after MODEL_STEPS rows, and then
 * after each WINDOW_STEP. A row with NaN or infinity is left out, and windows begin after it.
 */
int window_add(struct window *window, const float *row);

/* Begins again, as after a gap in time. */
void window_reset(struct window *window);

/* Writes the MODEL_PIXELS values of the window for classify(), the oldest row first. */
void window_read(const struct window *window, float *values);

#ifdef __cplusplus
}
#endif

#endif
