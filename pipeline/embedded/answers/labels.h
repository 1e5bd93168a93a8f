/* The answer of a model that gives several labels at once: those that hold. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdint.h>
#include <stdio.h>

#include "model.h"

#define ANSWER_VALUES MODEL_CLASSES /* 1 for each label that holds, 0 for the others */

/* Whether the label with this number holds, by its probability. */
static inline int label_holds(int label, float probability)
{
    static const float least[MODEL_CLASSES] = MODEL_HOLDS_FROM;
    return probability >= least[label];
}

/* The answer as ANSWER_VALUES integers. */
static inline void answer_values(const float *probabilities, uint32_t *values)
{
    for (int label = 0; label < MODEL_CLASSES; label++)
        values[label] = (uint32_t)label_holds(label, probabilities[label]);
}

/* Writes the answer in words of at most MODEL_WORDS bytes: the names of the labels that hold. */
static inline void answer_words(const float *probabilities, char *words)
{
    static const char *const names[MODEL_CLASSES] = MODEL_CLASS_NAMES;
    int length = 0;
    snprintf(words, MODEL_WORDS, "none of the labels");
    for (int label = 0; label < MODEL_CLASSES; label++)
        if (label_holds(label, probabilities[label]))
            length += snprintf(words + length, (size_t)(MODEL_WORDS - length), "%s%s",
                               length ? " + " : "", names[label]);
}

#endif
