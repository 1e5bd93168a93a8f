/* The answer of a model that gives one class of several. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdint.h>
#include <stdio.h>

#include "model.h"

#define ANSWER_VALUES 1 /* the number of a class */

/* The class with the largest probability. */
static inline int likeliest_class(const float *probabilities)
{
    int best = 0;
    for (int index = 1; index < MODEL_CLASSES; index++)
        if (probabilities[index] > probabilities[best])
            best = index;
    return best;
}

/* That class, or -1 for none: its probability is below MODEL_ACCEPT_FROM. */
static inline int accepted_class(const float *probabilities)
{
    const int best = likeliest_class(probabilities);
    return probabilities[best] >= MODEL_ACCEPT_FROM ? best : -1;
}

/* The answer as ANSWER_VALUES integers, whatever its probability. */
static inline void answer_values(const float *probabilities, uint32_t *values)
{
    values[0] = (uint32_t)likeliest_class(probabilities);
}

/* Writes the answer in words of at most MODEL_WORDS bytes. */
static inline void answer_words(const float *probabilities, char *words)
{
    static const char *const names[MODEL_CLASSES] = MODEL_CLASS_NAMES;
    const char *best = names[likeliest_class(probabilities)];
    snprintf(words, MODEL_WORDS, accepted_class(probabilities) < 0 ? "none (best guess %s)" : "%s",
             best);
}

#endif
