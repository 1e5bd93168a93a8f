/* The score of answers that are right or wrong. Of several labels at once, all must be right. */
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "network.h"
#include "score.h"

static struct {
    unsigned long total, correct, reference_correct, lost, gained, agreeing;
    unsigned long answered, answered_wrong; /* not rejected as none of the classes */
} counts;

void score_add(const float *outputs, const float *reference, const uint8_t *label)
{
    uint32_t own[ANSWER_VALUES], expected[ANSWER_VALUES], shown[ANSWER_VALUES];
    int right, expected_right;
    for (int index = 0; index < ANSWER_VALUES; index++, label += 4)
        shown[index] = label[0] | (uint32_t)label[1] << 8 | (uint32_t)label[2] << 16 |
                       (uint32_t)label[3] << 24;
    answer_values(outputs, own);
    answer_values(reference, expected);
    right = !memcmp(own, shown, sizeof own);
    expected_right = !memcmp(expected, shown, sizeof own);
    counts.total++;
    counts.correct += right;
    counts.reference_correct += expected_right;
    counts.lost += expected_right && !right;
    counts.gained += right && !expected_right;
    counts.agreeing += !memcmp(own, expected, sizeof own);
#ifdef NETWORK_ACCEPT_FROM
    counts.answered += accepted_class(outputs) >= 0;
    counts.answered_wrong += accepted_class(outputs) >= 0 && !right;
#endif
}

double score_bound(void) { return gate_bound(counts.lost, counts.gained, counts.total); }

int score_exceeds(double allowed)
{
    return gate_exceeds(counts.lost, counts.gained, counts.total, allowed);
}

void score_print(const struct maker *maker, double bound)
{
    double total = counts.total, low, high;
    gate_interval(counts.correct, total, &low, &high);
    printf("accuracy\t%.9g\n", counts.correct / total);
    printf("accuracy_low\t%.9g\naccuracy_high\t%.9g\n", low, high);
    printf("keras_accuracy\t%.9g\n", counts.reference_correct / total);
    printf("lost\t%lu\ngained\t%lu\n", counts.lost, counts.gained);
    printf("mcnemar_p_value\t%.9g\n", gate_mcnemar(counts.lost, counts.gained));
    printf("accuracy_lost_bound\t%.9g\nmax_accuracy_drop\t%.9g\n", bound, maker->allowed);
    printf("agreement\t%.9g\n", counts.agreeing / total);
#ifdef NETWORK_ACCEPT_FROM
    printf("answered\t%lu\nanswered_wrong\t%lu\n", counts.answered, counts.answered_wrong);
#endif
}

static void print_not_shown(const struct maker *maker, const char *words, double bound)
{
    double total = counts.total;
    long needed = gate_images_needed(maker->allowed, counts.lost / total, counts.gained / total);
    printf("not shown: %s: neither these examples nor the maker's %lu show that at most %.2g %% is "
           "lost (here %.2f %%); ",
           words, maker->images, 100 * maker->allowed, 100 * bound);
    if (needed)
        printf("%ld examples like these would show it\n", needed);
    else
        printf("it can be shown only if less is lost\n");
}

/* In the words of `sentence` in serving/acceptance.py. */
void score_print_sentence(const struct maker *maker, enum verdict verdict, double bound,
                          double golden)
{
    double total = counts.total, allowed = 100 * maker->allowed;
    char words[100], reproduced[100];
    snprintf(words, sizeof words, "%lu of %lu examples lost, %lu gained", counts.lost, counts.total,
             counts.gained);
    snprintf(reproduced, sizeof reproduced,
             "it reproduces the golden vectors of the maker's processor within %.1g", golden);
    if (verdict == WORSE && maker->verdict == WORSE)
        printf("worse: %s: its maker found it worse than the model that it was made from; "
               ELSEWHERE "\n", words);
    else if (verdict == WORSE)
        printf("worse: %s: a loss of %.2f %%, significantly more than the %.2g %% allowed; "
               ELSEWHERE "\n", words,
               100 * ((double)counts.lost - (double)counts.gained) / total, allowed);
    else if (verdict == PROVEN && bound <= maker->allowed)
        printf("proven: %s, so it loses at most %.2f %% where %.2g %% is allowed, and %s\n", words,
               100 * bound, allowed, reproduced);
    else if (verdict == PROVEN)
        printf("proven: its maker showed on %lu examples that it loses at most %.2f %% where "
               "%.2g %% is allowed, %s, and the examples here do not contradict it (%s)\n",
               maker->images, 100 * maker->bound, allowed, reproduced, words);
    else
        print_not_shown(maker, words, bound);
}
