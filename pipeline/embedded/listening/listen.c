#include "listen.h"

/* Keeps the samples that the next frame shares with the one that is full. */
static void next_frame(struct listener *listener)
{
    listener->filled = MODEL_HOP < MODEL_WINDOW ? MODEL_WINDOW - MODEL_HOP : 0;
    listener->skipped = MODEL_HOP < MODEL_WINDOW ? 0 : MODEL_HOP - MODEL_WINDOW;
    for (int index = 0; index < listener->filled; index++)
        listener->samples[index] = listener->samples[index + MODEL_HOP];
}

static void end_frame(struct listener *listener)
{
    log_mel_energies(listener->samples, listener->energies + listener->first * MODEL_WIDTH);
    listener->first = (listener->first + 1) % MODEL_HEIGHT;
    listener->frames++;
    if (listener->frames == (listener->windows ? LISTEN_HOP : MODEL_HEIGHT)) {
        listener->frames = 0;
        listener->is_due = 1;
    }
    next_frame(listener);
}

size_t listen_add(struct listener *listener, const int16_t *samples, size_t count)
{
    size_t used = 0;
    while (used < count && !listener->is_due) {
        int16_t sample = samples[used++];
        if (listener->skipped) {
            listener->skipped--;
            continue;
        }
        listener->samples[listener->filled++] = sample;
        if (listener->filled == MODEL_WINDOW)
            end_frame(listener);
    }
    return used;
}

void listen_image(const struct listener *listener, uint8_t *image)
{
    log_mel_features(listener->energies, listener->first, image);
}

/* The class with the largest mean probability of the last `count` windows, or -1 for no word. */
static int loudest(const struct listener *listener, int count, float *probability)
{
    int best = 0;
    *probability = -1.0f;
    for (int number = 0; number < MODEL_CLASSES; number++) {
        float sum = 0.0f;
        for (int window = 0; window < count; window++)
            sum += listener->recent[window][number];
        if (sum / (float)count > *probability) {
            *probability = sum / (float)count;
            best = number;
        }
    }
    if (listener->ignored[best] || *probability < MODEL_ACCEPT_FROM)
        return -1;
    return *probability >= LISTEN_THRESHOLD ? best : -1;
}

int listen_hear(struct listener *listener, const float *probabilities, struct listen_word *word)
{
    const uint32_t index = listener->windows++;
    const int count = index < LISTEN_SMOOTHING ? (int)index + 1 : LISTEN_SMOOTHING;
    float probability, *row = listener->recent[index % LISTEN_SMOOTHING];
    int class_number, has_ended = 0;
    for (int number = 0; number < MODEL_CLASSES; number++)
        row[number] = probabilities[number];
    listener->is_due = 0;
    if (listener->is_held && index - listener->best_window >= LISTEN_REPEATS)
        has_ended = listen_end(listener, word);
    class_number = loudest(listener, count, &probability);
    if (class_number >= 0 && (!listener->is_held || probability > listener->best.probability)) {
        listener->best.start = (2 * (uint64_t)index - (uint64_t)count + 1) * LISTEN_STEP / 2;
        listener->best.class_number = class_number;
        listener->best.probability = probability;
        listener->best_window = index;
        listener->is_held = 1;
    }
    return has_ended;
}

int listen_end(struct listener *listener, struct listen_word *word)
{
    const int is_held = listener->is_held;
    if (is_held)
        *word = listener->best;
    listener->is_held = 0;
    return is_held;
}
