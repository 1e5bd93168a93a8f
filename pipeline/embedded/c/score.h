/*
 * How good the answers are, beside those of the trained model: counts.c, if an answer is right or
 * wrong, or errors.c, if it is a number. The rules are those of serving/gate.py.
 */
#ifndef SCORE_H
#define SCORE_H

#include <stdint.h>

#include "gate.h"

#define ELSEWHERE "use another build on this device"

/* What acceptance.bin says of the maker's proof, and the loss that is allowed. */
struct maker {
    enum verdict verdict;
    unsigned long images;
    double bound, allowed;
};

/*
 * Takes the outputs for one image, those of the trained model (MODEL_CLASSES each), and the bytes of
 * its label: ANSWER_VALUES uint32_t, or a float.
 */
void score_add(const float *outputs, const float *reference, const uint8_t *label);

/* The one-sided upper 95 % bound of the loss. */
double score_bound(void);

/* Whether the loss is significantly more than allowed. */
int score_exceeds(double allowed);

/* Prints a line for each figure. */
void score_print(const struct maker *maker, double bound);

/* Prints the verdict with its reason; the golden vectors differ by at most `golden`. */
void score_print_sentence(const struct maker *maker, enum verdict verdict, double bound,
                          double golden);

#endif
