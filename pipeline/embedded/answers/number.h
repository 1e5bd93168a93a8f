/* The answer of a model that gives a number in a unit, with its interval if there is one. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdint.h>
#include <stdio.h>

#include "model.h"

#define ANSWER_VALUES 1 /* the number, a float */

#ifdef MODEL_INTERVAL
/* The true number is between them for at least the share MODEL_COVERAGE of inputs. */
static inline double number_low(float number) { return (double)number - MODEL_INTERVAL; }
static inline double number_high(float number) { return (double)number + MODEL_INTERVAL; }
#endif

/* Writes the answer in words of at most MODEL_WORDS bytes, as `serving predict` does. */
static inline void answer_words(const float *number, char *words)
{
#ifdef MODEL_INTERVAL
    snprintf(words, MODEL_WORDS, "%.4g %s (%.4g to %.4g with %.4g %%)", (double)*number, MODEL_UNIT,
             number_low(*number), number_high(*number), 100 * MODEL_COVERAGE);
#else
    snprintf(words, MODEL_WORDS, "%.4g %s", (double)*number, MODEL_UNIT);
#endif
}

#endif
