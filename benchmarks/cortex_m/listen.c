/*
 * The words in samples.raw: a line for each word, with the sample at which it begins, its class and
 * its probability; then the instructions that the front end and the network take for a window.
 */
#include <stdio.h>

#include "classify.h"
#include "instructions.h"
#include "listen.h"

static struct listener listener;
static uint64_t in_front_end, in_network;
static uint32_t windows;

static void print_word(const struct listen_word *word)
{
    printf("%lu %d %.9g\n", (unsigned long)word->start, word->class_number,
           (double)word->probability);
}

static size_t hear(const int16_t *samples, size_t count)
{
    static uint8_t image[MODEL_PIXELS];
    float probabilities[MODEL_CLASSES];
    struct listen_word word;
    size_t used;
    begin_counting();
    used = listen_add(&listener, samples, count);
    if (listener.is_due)
        listen_image(&listener, image);
    in_front_end += instructions();
    if (!listener.is_due)
        return used;
    begin_counting();
    classify(image, probabilities);
    in_network += instructions();
    windows++;
    if (listen_hear(&listener, probabilities, &word))
        print_word(&word);
    return used;
}

int main(void)
{
    static int16_t samples[LISTEN_STEP];
    struct listen_word word;
    FILE *file = fopen("samples.raw", "rb");
    size_t count, used;
    if (!file)
        return 1;
    while ((count = fread(samples, sizeof *samples, LISTEN_STEP, file)) > 0)
        for (const int16_t *next = samples; count > 0; next += used, count -= used)
            used = hear(next, count);
    if (listen_end(&listener, &word))
        print_word(&word);
    if (!windows)
        return 2;
    printf("%lu %lu\n", (unsigned long)(in_front_end / windows),
           (unsigned long)(in_network / windows));
    return 0;
}
