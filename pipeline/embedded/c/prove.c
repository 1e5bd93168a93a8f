/*
 * The gate of verification on the device itself: does this program answer as the trained model did?
 *
 * acceptance.bin is little-endian:
 *   "EDGEACC1"
 *   uint32   numbers of golden vectors G, images N, values per image P and classes K
 *   uint32   the maker's verdict (enum verdict), and on how many images
 *   double   the maker's bound of the loss, the allowed loss, the tolerance of golden vectors
 *   values   golden images (G, P), bytes or, of a model of series, floats
 *   float    golden probabilities (G, K)
 *   values   images (N, P)
 *   uint32   labels (N,)
 *   float    the trained model's probabilities (N, K)
 *   uint32   CRC-32 of everything before it
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "classify.h"
#include "gate.h"
#include "program.h"

#define HEADER_BYTES 56
#define LONG_SECONDS 2
#define ELSEWHERE "use another build on this device"

struct acceptance {
    uint32_t golden, images, verdict, makers_images;
    double makers_bound, allowed, tolerance;
    const uint8_t *golden_images, *golden_probabilities, *pixels, *labels, *probabilities;
};

struct results {
    unsigned long correct, reference_correct, lost, gained, agreeing;
    unsigned long answered, answered_wrong; /* not rejected as none of the classes */
    double golden, largest; /* largest differences in a probability */
};

static uint32_t integer(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static float real(const uint8_t *bytes)
{
    uint32_t bits = integer(bytes);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static double long_real(const uint8_t *bytes)
{
    uint64_t bits = integer(bytes) | (uint64_t)integer(bytes + 4) << 32;
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

/* Fills the set. Returns what is wrong with the bytes, or NULL. */
static const char *parse(struct acceptance *set, const uint8_t *bytes, size_t length)
{
    uint64_t expected;
    if (length < HEADER_BYTES + 4 || memcmp(bytes, "EDGEACC1", 8))
        return "it is not an acceptance.bin";
    if (crc32_of(bytes, length - 4) != integer(bytes + length - 4))
        return "it is damaged, its checksum is wrong";
    if (integer(bytes + 16) != MODEL_PIXELS || integer(bytes + 20) != MODEL_CLASSES)
        return "it belongs to another model";
    set->golden = integer(bytes + 8);
    set->images = integer(bytes + 12);
    set->verdict = integer(bytes + 24);
    set->makers_images = integer(bytes + 28);
    set->makers_bound = long_real(bytes + 32);
    set->allowed = long_real(bytes + 40);
    set->tolerance = long_real(bytes + 48);
    expected = HEADER_BYTES + (uint64_t)set->golden * (MODEL_BYTES + 4 * MODEL_CLASSES) +
               (uint64_t)set->images * (MODEL_BYTES + 4 + 4 * MODEL_CLASSES) + 4;
    if (expected != length || !set->golden || !set->images || set->verdict > WORSE ||
        !(set->allowed > 0) || !(set->tolerance > 0))
        return "it is not what package writes";
    set->golden_images = bytes + HEADER_BYTES;
    set->golden_probabilities = set->golden_images + (size_t)set->golden * MODEL_BYTES;
    set->pixels = set->golden_probabilities + (size_t)set->golden * MODEL_CLASSES * 4;
    set->labels = set->pixels + (size_t)set->images * MODEL_BYTES;
    set->probabilities = set->labels + (size_t)set->images * 4;
    return NULL;
}

/*
 * Returns the likeliest class, and stores the one that this program answers, -1 for none. Stores the
 * class by `expected` (K floats) and the largest difference so far, which becomes infinite if a
 * probability is NaN or infinite.
 */
static int predict(const uint8_t *image, int *answer, const uint8_t *expected, int *expected_class,
                   double *largest)
{
    float probabilities[MODEL_CLASSES];
    int best = 0;
    *expected_class = 0;
    *answer = classify((const MODEL_VALUE *)(const void *)image, probabilities);
    for (int class = 0; class < MODEL_CLASSES; class++) {
        double difference = fabs((double)probabilities[class] - (double)real(expected + 4 * class));
        if (!(difference <= *largest)) /* also true for NaN */
            *largest = isfinite(difference) ? difference : HUGE_VAL;
        if (probabilities[class] > probabilities[best])
            best = class;
        if (real(expected + 4 * class) > real(expected + 4 * *expected_class))
            *expected_class = class;
    }
    return best;
}

static struct results run_all(const struct acceptance *set, clock_t *ticks)
{
    struct results results = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    clock_t start = clock();
    double seconds;
    int answer, reference;
    for (uint32_t index = 0; index < set->golden; index++)
        predict(set->golden_images + (size_t)index * MODEL_BYTES, &answer,
                set->golden_probabilities + (size_t)index * MODEL_CLASSES * 4, &reference,
                &results.golden);
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC / set->golden * set->images;
    if (seconds > LONG_SECONDS)
        fprintf(stderr, "%lu images, about %.0f s\n", (unsigned long)set->images, seconds);
    start = clock();
    for (uint32_t index = 0; index < set->images; index++) {
        int label = (int)integer(set->labels + 4 * (size_t)index);
        int class = predict(set->pixels + (size_t)index * MODEL_BYTES, &answer,
                            set->probabilities + (size_t)index * MODEL_CLASSES * 4, &reference,
                            &results.largest);
        results.correct += class == label;
        results.reference_correct += reference == label;
        results.lost += reference == label && class != label;
        results.gained += reference != label && class == label;
        results.agreeing += class == reference;
        results.answered += answer >= 0;
        results.answered_wrong += answer >= 0 && answer != label;
    }
    *ticks = clock() - start;
    return results;
}

static void print_not_shown(const struct acceptance *set, const struct results *results,
                            const char *counts, double bound)
{
    double total = set->images;
    long needed = gate_images_needed(set->allowed, results->lost / total, results->gained / total);
    printf("not shown: %s: neither these images nor the maker's %lu show that at most %.2g %% is "
           "lost (here %.2f %%); ",
           counts, (unsigned long)set->makers_images, 100 * set->allowed, 100 * bound);
    if (needed)
        printf("%ld images like these would show it\n", needed);
    else
        printf("it can be shown only if less is lost\n");
}

/* The verdict with its reason and a cure, in the words of `sentence` in serving/acceptance.py. */
static void print_sentence(const struct acceptance *set, const struct results *results,
                           enum verdict state, double bound)
{
    double total = set->images, allowed = 100 * set->allowed;
    char counts[100], golden[100];
    snprintf(counts, sizeof counts, "%lu of %lu images lost, %lu gained", results->lost,
             (unsigned long)set->images, results->gained);
    snprintf(golden, sizeof golden,
             "it reproduces the golden vectors of the maker's processor within %.1g",
             results->golden);
    if (results->golden == HUGE_VAL || results->largest == HUGE_VAL)
        printf("worse: some of its outputs are not finite numbers; " ELSEWHERE "\n");
    else if (results->golden > set->tolerance)
        printf("worse: its answers to the golden vectors differ from those on the maker's "
               "processor by up to %.2g, more than the %g tolerated; " ELSEWHERE "\n",
               results->golden, set->tolerance);
    else if (state == WORSE && set->verdict == WORSE)
        printf("worse: %s: its maker found it worse than the model that it was made from; "
               ELSEWHERE "\n", counts);
    else if (state == WORSE)
        printf("worse: %s: a loss of %.2f %%, significantly more than the %.2g %% allowed; "
               ELSEWHERE "\n", counts,
               100 * ((double)results->lost - (double)results->gained) / total, allowed);
    else if (state == PROVEN && bound <= set->allowed)
        printf("proven: %s, so it loses at most %.2f %% where %.2g %% is allowed, and %s\n", counts,
               100 * bound, allowed, golden);
    else if (state == PROVEN)
        printf("proven: its maker showed on %lu images that it loses at most %.2f %% where "
               "%.2g %% is allowed, %s, and the images here do not contradict it (%s)\n",
               (unsigned long)set->makers_images, 100 * set->makers_bound, allowed, golden, counts);
    else
        print_not_shown(set, results, counts, bound);
}

int prove(const char *name, const uint8_t *bytes, size_t length)
{
    struct acceptance set;
    struct results results;
    clock_t ticks;
    double total, low, high, bound;
    enum verdict state;
    const char *fault = parse(&set, bytes, length);
    if (fault) {
        fprintf(stderr, "error: %s cannot be used: %s\n", name, fault);
        return 1;
    }
    results = run_all(&set, &ticks);
    total = set.images;
    bound = gate_bound(results.lost, results.gained, total);
    /* The rule of `elsewhere` in serving/gate.py. */
    state = (enum verdict)set.verdict;
    if (results.golden > set.tolerance || results.largest == HUGE_VAL ||
        gate_exceeds(results.lost, results.gained, total, set.allowed))
        state = WORSE;
    else if (state == NOT_SHOWN && bound <= set.allowed)
        state = PROVEN;
    gate_interval(results.correct, total, &low, &high);
    printf("images\t%lu\n", (unsigned long)set.images);
    printf("accuracy\t%.9g\n", results.correct / total);
    printf("accuracy_low\t%.9g\naccuracy_high\t%.9g\n", low, high);
    printf("keras_accuracy\t%.9g\n", results.reference_correct / total);
    printf("lost\t%lu\ngained\t%lu\n", results.lost, results.gained);
    printf("mcnemar_p_value\t%.9g\n", gate_mcnemar(results.lost, results.gained));
    printf("accuracy_lost_bound\t%.9g\nmax_accuracy_drop\t%.9g\n", bound, set.allowed);
    printf("agreement\t%.9g\n", results.agreeing / total);
#ifdef NETWORK_ACCEPT_FROM
    printf("answered\t%lu\nanswered_wrong\t%lu\n", results.answered, results.answered_wrong);
#endif
    printf("largest_difference\t%.9g\n", results.largest);
    printf("golden_difference\t%.9g\n", results.golden);
    printf("milliseconds\t%.3g\n", 1000.0 * (double)ticks / CLOCKS_PER_SEC / total);
    print_sentence(&set, &results, state, bound);
    return state == PROVEN ? 0 : state == NOT_SHOWN ? 3 : 1;
}
