/*
 * Words in a stream of sound: serving/listening.py in C, for a microphone. Windows of the model's
 * length slide over it, the means of their probabilities are compared, and of those within a window
 * of each other only the largest is a word.
 *
 *     static struct listener listener;
 *     struct listen_word word;
 *     size_t used;
 *
 *     for (; count > 0; samples += used, count -= used) {
 *         used = listen_add(&listener, samples, count);
 *         if (!listener.is_due)
 *             continue;
 *         listen_image(&listener, image);
 *         classify(image, probabilities);
 *         if (listen_hear(&listener, probabilities, &word))
 *             say(word.class_number);
 *     }
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <stddef.h>
#include <stdint.h>

#include "log_mel.h"

#ifndef LISTEN_HOP
#define LISTEN_HOP MODEL_LISTEN_HOP /* frames from one window to the next */
#endif
#ifndef LISTEN_SMOOTHING
#define LISTEN_SMOOTHING MODEL_LISTEN_SMOOTHING /* windows whose mean is taken */
#endif
#ifndef LISTEN_THRESHOLD
#define LISTEN_THRESHOLD MODEL_LISTEN_THRESHOLD /* the least mean probability of a word */
#endif
#define LISTEN_STEP ((size_t)LISTEN_HOP * MODEL_HOP) /* samples from one window to the next */
/* Windows that begin within the length of one, itself included. */
#define LISTEN_REPEATS ((MODEL_SAMPLES + LISTEN_STEP - 1) / LISTEN_STEP)

struct listen_word {
    uint64_t start; /* the sample of the stream at which its windows begin */
    int class_number;
    float probability; /* the mean */
};

/* Begins as zeros, as static variables do. Its values are for listen.c, but for the first two. */
struct listener {
    int is_due; /* whether a window is full, and must be classified */
    uint8_t ignored[MODEL_CLASSES]; /* set to 1 for classes that are not words, such as noise */
    int16_t samples[MODEL_WINDOW];                 /* of the frame that is not yet full */
    uint16_t energies[MODEL_HEIGHT * MODEL_WIDTH]; /* a ring of frames */
    float recent[LISTEN_SMOOTHING][MODEL_CLASSES]; /* a ring */
    struct listen_word best;
    uint32_t windows, best_window; /* how many were heard, and which was the best */
    int filled, skipped, first, frames;
    int is_held; /* whether there is a best */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Takes samples up to the end of the next window, and returns how many of them. */
size_t listen_add(struct listener *listener, const int16_t *samples, size_t count);

/* Writes the MODEL_PIXELS bytes of the window for classify(). */
void listen_image(const struct listener *listener, uint8_t *image);

/*
 * Takes the MODEL_CLASSES probabilities of that window. Returns 1 if a word has ended, which it
 * writes: that is one window after it, when nothing has surpassed it.
 */
int listen_hear(struct listener *listener, const float *probabilities, struct listen_word *word);

/* Returns 1 and writes the last word, if the stream has ended before one window after it. */
int listen_end(struct listener *listener, struct listen_word *word);

#ifdef __cplusplus
}
#endif

#endif
