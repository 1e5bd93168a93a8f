/*
 * The gate on the device itself: does this program answer here as the trained model did?
 *
 * acceptance.bin, little-endian: "EDGEACC1"; uint32: golden vectors G, images N, pixels P of an image, classes K, the
 * maker's verdict (enum verdict), on how many images; double: the most that it loses there, the loss that is allowed, the
 * tolerance of golden vectors. Then golden images G x P bytes and probabilities G x K float, images N x P bytes, labels
 * N uint32, the trained model's probabilities N x K float, and the CRC-32 of all before it.
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

struct acceptance {
    uint32_t golden, images, verdict, makers_images;
    double makers_bound, allowed, tolerance;
    const uint8_t *golden_images, *golden_probabilities, *pixels, *labels, *probabilities;
};

struct findings {
    unsigned long correct, reference_correct, lost, gained, agreeing;
    double golden, largest; /* differences of a probability */
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

/* Fills the set; what is wrong with the bytes, or NULL. */
static const char *parse(struct acceptance *set, const uint8_t *bytes, size_t length)
{
    uint64_t wanted;
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
    wanted = HEADER_BYTES + (uint64_t)set->golden * (MODEL_PIXELS + 4 * MODEL_CLASSES) +
             (uint64_t)set->images * (MODEL_PIXELS + 4 + 4 * MODEL_CLASSES) + 4;
    if (wanted != length || !set->golden || !set->images || set->verdict > WORSE || !(set->allowed > 0) || !(set->tolerance > 0))
        return "it is not what package writes";
    set->golden_images = bytes + HEADER_BYTES;
    set->golden_probabilities = set->golden_images + (size_t)set->golden * MODEL_PIXELS;
    set->pixels = set->golden_probabilities + (size_t)set->golden * MODEL_CLASSES * 4;
    set->labels = set->pixels + (size_t)set->images * MODEL_PIXELS;
    set->probabilities = set->labels + (size_t)set->images * 4;
    return NULL;
}

/* The class of an image here; its class by `expected`, K floats; and the largest difference, infinite where it is no number. */
static int answer(const uint8_t *image, const uint8_t *expected, int *expected_class, double *largest)
{
    float probabilities[MODEL_CLASSES];
    int best = 0;
    *expected_class = 0;
    classify(image, probabilities);
    for (int class = 0; class < MODEL_CLASSES; class++) {
        double difference = fabs((double)probabilities[class] - (double)real(expected + 4 * class));
        *largest = difference <= *largest ? *largest : isfinite(difference) ? difference : HUGE_VAL;
        if (probabilities[class] > probabilities[best])
            best = class;
        if (real(expected + 4 * class) > real(expected + 4 * *expected_class))
            *expected_class = class;
    }
    return best;
}

static struct findings try_all(const struct acceptance *set, clock_t *ticks)
{
    struct findings found = {0, 0, 0, 0, 0, 0, 0};
    clock_t start = clock();
    double seconds;
    int there;
    for (uint32_t index = 0; index < set->golden; index++)
        answer(set->golden_images + (size_t)index * MODEL_PIXELS, set->golden_probabilities + (size_t)index * MODEL_CLASSES * 4, &there,
               &found.golden);
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC / set->golden * set->images;
    if (seconds > LONG_SECONDS)
        fprintf(stderr, "%lu images, some %.0f s\n", (unsigned long)set->images, seconds);
    start = clock();
    for (uint32_t index = 0; index < set->images; index++) {
        int label = (int)integer(set->labels + 4 * (size_t)index);
        int here = answer(set->pixels + (size_t)index * MODEL_PIXELS, set->probabilities + (size_t)index * MODEL_CLASSES * 4, &there,
                          &found.largest);
        found.correct += here == label;
        found.reference_correct += there == label;
        found.lost += there == label && here != label;
        found.gained += there != label && here == label;
        found.agreeing += here == there;
    }
    *ticks = clock() - start;
    return found;
}

/* The verdict in words: on what it rests, and what would cure it; as `sentence` of serving/acceptance.py. */
static void print_sentence(const struct acceptance *set, const struct findings *found, enum verdict state, double bound)
{
    double total = set->images, allowed = 100 * set->allowed;
    char counted[100];
    snprintf(counted, sizeof counted, "%lu of %lu images lost, %lu gained", found->lost, (unsigned long)set->images, found->gained);
    if (found->golden == HUGE_VAL || found->largest == HUGE_VAL)
        printf("worse: some of its probabilities are not finite numbers; use another build on this device\n");
    else if (found->golden > set->tolerance)
        printf("worse: it answers golden vectors otherwise than on the maker's processor, by up to %.2g where %g is tolerated; "
               "use another build on this device\n", found->golden, set->tolerance);
    else if (state == WORSE && set->verdict == WORSE)
        printf("worse: %s: its maker found it worse than the model that it was made from; use another build on this device\n", counted);
    else if (state == WORSE)
        printf("worse: %s: a loss of %.2f %%, beyond chance more than the %.2g %% allowed; use another build on this device\n", counted,
               100 * ((double)found->lost - (double)found->gained) / total, allowed);
    else if (state == PROVEN && bound <= set->allowed)
        printf("proven: %s, so it loses at most %.2f %% where %.2g %% is allowed, and it answers the golden vectors as on the maker's "
               "processor, within %.1g\n", counted, 100 * bound, allowed, found->golden);
    else if (state == PROVEN)
        printf("proven: its maker showed on %lu images that it loses at most %.2f %% where %.2g %% is allowed, it answers the golden "
               "vectors as on the maker's processor, within %.1g, and the images here do not speak against it (%s)\n",
               (unsigned long)set->makers_images, 100 * set->makers_bound, allowed, found->golden, counted);
    else {
        long needed = gate_images_needed(set->allowed, found->lost / total, found->gained / total);
        printf("not shown: %s: neither these images nor the maker's %lu show that at most %.2g %% is lost "
               "(here %.2f %%); ", counted, (unsigned long)set->makers_images, allowed, 100 * bound);
        if (needed)
            printf("%ld images like these would show it\n", needed);
        else
            printf("it can be shown only if less is lost\n");
    }
}

int prove(const char *name, const uint8_t *bytes, size_t length)
{
    struct acceptance set;
    struct findings found;
    clock_t ticks;
    double total, low, high, bound;
    enum verdict state;
    const char *fault = parse(&set, bytes, length);
    if (fault) {
        fprintf(stderr, "error: %s cannot be used: %s\n", name, fault);
        return 1;
    }
    found = try_all(&set, &ticks);
    total = set.images;
    bound = gate_bound(found.lost, found.gained, total);
    /* as `elsewhere` of serving/gate.py */
    state = (enum verdict)set.verdict;
    if (found.golden > set.tolerance || found.largest == HUGE_VAL || gate_exceeds(found.lost, found.gained, total, set.allowed))
        state = WORSE;
    else if (state == NOT_SHOWN && bound <= set.allowed)
        state = PROVEN;
    gate_interval(found.correct, total, &low, &high);
    printf("images\t%lu\naccuracy\t%.9g\naccuracy_low\t%.9g\naccuracy_high\t%.9g\nkeras_accuracy\t%.9g\n", (unsigned long)set.images,
           found.correct / total, low, high, found.reference_correct / total);
    printf("lost\t%lu\ngained\t%lu\nmcnemar_p_value\t%.9g\naccuracy_lost_bound\t%.9g\nmax_accuracy_drop\t%.9g\n", found.lost, found.gained,
           gate_mcnemar(found.lost, found.gained), bound, set.allowed);
    printf("agreement\t%.9g\nlargest_difference\t%.9g\ngolden_difference\t%.9g\nmilliseconds\t%.3g\n", found.agreeing / total,
           found.largest, found.golden, 1000.0 * (double)ticks / CLOCKS_PER_SEC / total);
    print_sentence(&set, &found, state, bound);
    return state == PROVEN ? 0 : state == NOT_SHOWN ? 3 : 1;
}
