/* The score of numbers: their distances from the true ones, in the unit of the model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "score.h"

#define SIGNIFICANT 0.05

/* How many values, their mean, and the sum of their squared distances from it (Welford, 1962). */
struct moments {
    double count, mean, squares;
};

static struct moments own, expected, added;
#ifdef MODEL_INTERVAL
static unsigned long inside;
#endif

static void take(struct moments *moments, double value)
{
    double distance = value - moments->mean;
    moments->count++;
    moments->mean += distance / moments->count;
    moments->squares += distance * (value - moments->mean);
}

/* How far the mean may be from that of all images, with this one-sided risk, by Student's t. */
static double margin(const struct moments *moments, double risk)
{
    double count = moments->count;
    double deviation = count > 1 ? sqrt(moments->squares / (count - 1)) : fabs(moments->mean);
    return gate_t_quantile(risk, count) * deviation / sqrt(count);
}

void score_add(const float *outputs, const float *reference, const uint8_t *label)
{
    uint32_t bits = label[0] | (uint32_t)label[1] << 8 | (uint32_t)label[2] << 16 |
                    (uint32_t)label[3] << 24;
    float shown;
    double error, expected_error;
    memcpy(&shown, &bits, 4);
    error = fabs((double)outputs[0] - (double)shown);
    expected_error = fabs((double)reference[0] - (double)shown);
    take(&own, error);
    take(&expected, expected_error);
    take(&added, error - expected_error);
#ifdef MODEL_INTERVAL
    inside += error <= MODEL_INTERVAL;
#endif
}

double score_bound(void) { return added.mean + margin(&added, SIGNIFICANT); }

int score_exceeds(double allowed) { return added.mean - margin(&added, CERTAIN) > allowed; }

void score_print(const struct maker *maker, double bound)
{
    double around = margin(&own, SIGNIFICANT / 2);
    printf("error\t%.9g\n", own.mean);
    printf("error_low\t%.9g\nerror_high\t%.9g\n", own.mean - around, own.mean + around);
    printf("keras_error\t%.9g\n", expected.mean);
    printf("error_added\t%.9g\nerror_added_bound\t%.9g\n", added.mean, bound);
    printf("max_error_added\t%.9g\n", maker->allowed);
#ifdef MODEL_INTERVAL
    printf("interval\t%.9g\ninside\t%lu\n", MODEL_INTERVAL, inside);
#endif
    printf("unit\t%s\n", MODEL_UNIT);
}

/* In the words of `_of_numbers` in serving/acceptance.py. */
void score_print_sentence(const struct maker *maker, enum verdict verdict, double bound,
                          double golden)
{
    unsigned long total = (unsigned long)added.count;
    if (verdict == WORSE && maker->verdict == WORSE)
        printf("worse: its maker found it worse than the model that it was made from; "
               ELSEWHERE "\n");
    else if (verdict == WORSE)
        printf("worse: on %lu examples it adds %.3g %s to the mean absolute error, significantly "
               "more than the %.3g allowed; " ELSEWHERE "\n",
               total, added.mean, MODEL_UNIT, maker->allowed);
    else if (verdict == NOT_SHOWN)
        printf("not shown: on %lu examples it adds at most %.3g %s to the mean absolute error, and "
               "the %lu of its maker do not show the %.3g allowed either\n",
               total, bound, MODEL_UNIT, maker->images, maker->allowed);
    else if (bound <= maker->allowed)
        printf("proven: on %lu examples it adds at most %.3g %s to the mean absolute error, where "
               "%.3g is allowed, and it reproduces the golden vectors within %.1g %s\n",
               total, bound, MODEL_UNIT, maker->allowed, golden, MODEL_UNIT);
    else
        printf("proven: its maker showed on %lu examples that it adds at most %.3g %s, and those "
               "here do not contradict it, where %.3g is allowed, and it reproduces the golden "
               "vectors within %.1g %s\n",
               maker->images, maker->bound, MODEL_UNIT, maker->allowed, golden, MODEL_UNIT);
}
