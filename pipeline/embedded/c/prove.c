/*
 * The gate of verification on the device itself: does this program answer as the trained model did?
 *
 * acceptance.bin is little-endian:
 *   "EDGEACC1"
 *   uint32   numbers of golden vectors G, images N, values per image P and classes K
 *   uint32   the maker's verdict (enum verdict), and on how many images
 *   double   the maker's bound of the loss, the allowed loss, the tolerance of golden vectors
 *   values   golden images (G, P), bytes or, of a model of series, floats
 *   float    golden probabilities, or numbers (G, K)
 *   values   images (N, P)
 *   uint32   labels (N,), of several labels at once (N, K); of numbers float (N,)
 *   float    the trained model's probabilities or numbers (N, K)
 *   uint32   CRC-32 of everything before it
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "classify.h"
#include "program.h"
#include "score.h"

#define HEADER_BYTES 56
#define LONG_SECONDS 2

struct acceptance {
    uint32_t golden, images;
    struct maker maker;
    double tolerance;
    const uint8_t *golden_images, *golden_outputs, *pixels, *labels, *outputs;
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
    set->maker.images = integer(bytes + 28);
    set->maker.bound = long_real(bytes + 32);
    set->maker.allowed = long_real(bytes + 40);
    set->tolerance = long_real(bytes + 48);
    expected = HEADER_BYTES + (uint64_t)set->golden * (MODEL_BYTES + 4 * MODEL_CLASSES) +
               (uint64_t)set->images * (MODEL_BYTES + 4 * ANSWER_VALUES + 4 * MODEL_CLASSES) + 4;
    if (expected != length || !set->golden || !set->images || integer(bytes + 24) > WORSE ||
        !(set->maker.allowed > 0) || !(set->tolerance > 0))
        return "it is not what package writes";
    set->maker.verdict = (enum verdict)integer(bytes + 24);
    set->golden_images = bytes + HEADER_BYTES;
    set->golden_outputs = set->golden_images + (size_t)set->golden * MODEL_BYTES;
    set->pixels = set->golden_outputs + (size_t)set->golden * MODEL_CLASSES * 4;
    set->labels = set->pixels + (size_t)set->images * MODEL_BYTES;
    set->outputs = set->labels + (size_t)set->images * 4 * ANSWER_VALUES;
    return NULL;
}

/*
 * Writes the outputs for one image, and those `expected` (MODEL_CLASSES floats). Stores the largest
 * difference so far, which becomes infinite if an output is NaN or infinite.
 */
static void predict(const uint8_t *image, float *outputs, const uint8_t *expected, float *reference,
                    double *largest)
{
    classify((const MODEL_VALUE *)(const void *)image, outputs);
    for (int index = 0; index < MODEL_CLASSES; index++) {
        double difference;
        reference[index] = real(expected + 4 * index);
        difference = fabs((double)outputs[index] - (double)reference[index]);
        if (!(difference <= *largest)) /* also true for NaN */
            *largest = isfinite(difference) ? difference : HUGE_VAL;
    }
}

/* Runs and scores all images. Returns how long it took. */
static clock_t run_all(const struct acceptance *set, double *golden, double *largest)
{
    float outputs[MODEL_CLASSES], reference[MODEL_CLASSES];
    clock_t start = clock();
    double seconds;
    for (size_t index = 0; index < set->golden; index++)
        predict(set->golden_images + index * MODEL_BYTES, outputs,
                set->golden_outputs + index * MODEL_CLASSES * 4, reference, golden);
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC / set->golden * set->images;
    if (seconds > LONG_SECONDS)
        fprintf(stderr, "%lu images, about %.0f s\n", (unsigned long)set->images, seconds);
    start = clock();
    for (size_t index = 0; index < set->images; index++) {
        predict(set->pixels + index * MODEL_BYTES, outputs,
                set->outputs + index * MODEL_CLASSES * 4, reference, largest);
        score_add(outputs, reference, set->labels + index * 4 * ANSWER_VALUES);
    }
    return clock() - start;
}

/* The verdict with its reason and a cure, in the words of `sentence` in serving/acceptance.py. */
static void print_sentence(const struct acceptance *set, enum verdict verdict, double bound,
                           double golden, double largest)
{
    if (golden == HUGE_VAL || largest == HUGE_VAL)
        printf("worse: some of its outputs are not finite numbers; " ELSEWHERE "\n");
    else if (golden > set->tolerance)
        printf("worse: its answers to the golden vectors differ from those on the maker's "
               "processor by up to %.2g, more than the %g tolerated; " ELSEWHERE "\n",
               golden, set->tolerance);
    else
        score_print_sentence(&set->maker, verdict, bound, golden);
}

int prove(const char *name, const uint8_t *bytes, size_t length)
{
    struct acceptance set;
    double golden = 0, largest = 0, bound;
    clock_t ticks;
    enum verdict verdict;
    const char *fault = parse(&set, bytes, length);
    if (fault) {
        fprintf(stderr, "error: %s cannot be used: %s\n", name, fault);
        return 1;
    }
    ticks = run_all(&set, &golden, &largest);
    bound = score_bound();
    /* The rule of `elsewhere` in serving/gate.py. */
    verdict = set.maker.verdict;
    if (golden > set.tolerance || largest == HUGE_VAL || score_exceeds(set.maker.allowed))
        verdict = WORSE;
    else if (verdict == NOT_SHOWN && bound <= set.maker.allowed)
        verdict = PROVEN;
    printf("images\t%lu\n", (unsigned long)set.images);
    score_print(&set.maker, bound);
    printf("largest_difference\t%.9g\n", largest);
    printf("golden_difference\t%.9g\n", golden);
    printf("milliseconds\t%.3g\n", 1000.0 * (double)ticks / CLOCKS_PER_SEC / set.images);
    print_sentence(&set, verdict, bound, golden, largest);
    return verdict == PROVEN ? 0 : verdict == NOT_SHOWN ? 3 : 1;
}
