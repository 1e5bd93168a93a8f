/*
 * What the page for sounds calls beside exports.c. It writes samples at `samples`, at most `block()`
 * at a time, and `add` takes them up to the end of a window. If one `is_due`, `window` writes its
 * features at `image`, predict() its probabilities, and `hear` takes them.
 */
#include <string.h>

#include "model.h"

/* The page lets its user choose what is a constant on a chip. */
static float threshold = MODEL_LISTEN_THRESHOLD;
#define LISTEN_THRESHOLD threshold
#include "listen.c"

#define EXPORT(name) __attribute__((export_name(name)))
#define BLOCK 8192 /* samples */

uint8_t *image_address(void);
float *probabilities_address(void);

static int16_t samples[BLOCK];
static struct listener listener;
static struct listen_word word;

EXPORT("samples") int16_t *samples_address(void) { return samples; }

EXPORT("block") int block(void) { return BLOCK; }

EXPORT("window_samples") int window_samples(void) { return MODEL_SAMPLES; }

EXPORT("step") int step(void) { return LISTEN_STEP; }

EXPORT("threshold") float default_threshold(void) { return MODEL_LISTEN_THRESHOLD; }

/* The beginning of a stream; every class is a word. */
EXPORT("begin") void begin(void) { memset(&listener, 0, sizeof listener); }

EXPORT("require") void require(float least) { threshold = least; }

EXPORT("ignore") void ignore(int class_number, int is_ignored)
{
    listener.ignored[class_number] = (uint8_t)is_ignored;
}

/* Returns how many samples were used. */
EXPORT("add") int add(int from, int count)
{
    return (int)listen_add(&listener, samples + from, (size_t)count);
}

EXPORT("is_due") int is_due(void) { return listener.is_due; }

EXPORT("window") void window(void) { listen_image(&listener, image_address()); }

/* Returns 1 if a word has ended. */
EXPORT("hear") int hear(void) { return listen_hear(&listener, probabilities_address(), &word); }

/* Returns 1 if the stream has ended within a word. */
EXPORT("end") int end(void) { return listen_end(&listener, &word); }

EXPORT("word_start") double word_start(void) { return (double)word.start; }

EXPORT("word_class") int word_class(void) { return word.class_number; }

EXPORT("word_probability") float word_probability(void) { return word.probability; }
