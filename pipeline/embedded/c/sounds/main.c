/*
 * classify FILE...        prints each sound's file, class and probabilities, separated by tabs; in
 *                         place of the class "none (best guess CLASS)" if the model rejects it
 * classify --listen FILE [CLASS...]
 *                         prints the words in a stream: seconds, class and probability, separated
 *                         by tabs; a CLASS is not a word, such as noise
 * classify --prove FILE   tests the model on this device with acceptance.bin; the exit status is
 *                         0: proven, 3: not shown (too few sounds for a verdict), 1: worse, or
 *                         the file cannot be used
 *
 * A FILE is a WAV file with one channel of 16-bit PCM at MODEL_RATE; - is standard input. Without
 * the header of a WAV file its bytes are features, MODEL_PIXELS a sound, or for --listen samples,
 * little-endian. Probabilities have nine digits, which represent a float exactly.
 */
#include <stdio.h>
#include <string.h>

#include "classify.h"
#include "listen.h"
#include "program.h"
#include "sound.h"

static struct listener listener;
static uint8_t image[MODEL_PIXELS];

static int fault(const char *name, const char *reason)
{
    fprintf(stderr,
            "error: %s cannot be used: %s; expected a WAV file with one channel of 16-bit PCM at "
            "%d Hz\n",
            name, reason, MODEL_RATE);
    return 1;
}

/* The first MODEL_SAMPLES samples, zero-padded. */
static int classify_wav(const char *name, struct sound *sound)
{
    static int16_t samples[MODEL_SAMPLES];
    if (!sound_samples(sound, samples, MODEL_SAMPLES))
        return fault(name, "it holds no samples");
    memset(&listener, 0, sizeof listener);
    listen_add(&listener, samples, MODEL_SAMPLES);
    listen_image(&listener, image);
    print_answer(name, image);
    memset(samples, 0, sizeof samples);
    return 0;
}

static int classify_features(const char *name, struct sound *sound)
{
    size_t length, count = 0;
    while ((length = sound_bytes(sound, image, MODEL_PIXELS)) == MODEL_PIXELS) {
        print_answer(name, image);
        count++;
    }
    if (!length && count)
        return 0;
    fprintf(stderr,
            "error: %s is no WAV file, and its bytes are not a multiple of %d, those of the "
            "features of one sound\n",
            name, MODEL_PIXELS);
    return 1;
}

static void print_word(const struct listen_word *word)
{
    printf("%.2f\t%s\t%.9g\n", (double)word->start / MODEL_RATE, class_names[word->class_number],
           (double)word->probability);
    fflush(stdout);
}

static void hear(const int16_t *samples, size_t count)
{
    while (count) {
        float probabilities[MODEL_CLASSES];
        struct listen_word word;
        size_t used = listen_add(&listener, samples, count);
        samples += used;
        count -= used;
        if (!listener.is_due)
            continue;
        listen_image(&listener, image);
        classify(image, probabilities);
        if (listen_hear(&listener, probabilities, &word))
            print_word(&word);
    }
}

/* The zeros after `count` samples, so that every sample is in a window. */
static void hear_padding(uint64_t count)
{
    static const int16_t zero = 0;
    const uint64_t windows =
        count <= MODEL_SAMPLES ? 1 : (count - MODEL_SAMPLES + LISTEN_STEP - 1) / LISTEN_STEP + 1;
    for (uint64_t end = MODEL_SAMPLES + (windows - 1) * LISTEN_STEP; count < end; count++)
        hear(&zero, 1);
}

static int listen_to(const char *name, struct sound *sound)
{
    static int16_t samples[LISTEN_STEP];
    struct listen_word word;
    uint64_t total = 0;
    size_t count;
    while ((count = sound_samples(sound, samples, LISTEN_STEP)) > 0) {
        hear(samples, count);
        total += count;
    }
    if (!total)
        return fault(name, "it holds no samples");
    hear_padding(total);
    if (listen_end(&listener, &word))
        print_word(&word);
    return 0;
}

/* Passes the file `name` to `use`, or to `otherwise` if it is no WAV file. */
static int with_sound(const char *name, int (*use)(const char *, struct sound *),
                      int (*otherwise)(const char *, struct sound *))
{
    FILE *file = strcmp(name, "-") ? fopen(name, "rb") : stdin;
    struct sound sound;
    const char *reason = NULL;
    int failed, is_wav;
    if (!file) {
        fprintf(stderr, "error: %s cannot be read\n", name);
        return 1;
    }
    is_wav = sound_begin(file, &sound);
    if (is_wav)
        reason = sound_header(&sound);
    failed = reason ? fault(name, reason) : (is_wav ? use : otherwise)(name, &sound);
    if (file != stdin)
        fclose(file);
    return failed;
}

static int print_usage(FILE *file)
{
    fprintf(file,
            "%s %s\n"
            "usage: classify FILE...\n"
            "       classify --listen FILE [CLASS THAT IS NO WORD]...\n"
            "       classify --prove acceptance.bin\n"
            "A FILE is a WAV file with one channel of 16-bit PCM at %d Hz; - is standard input. "
            "Without the header\nof a WAV file its bytes are features, %d a sound, or for --listen "
            "samples.\n",
            MODEL_NAME, MODEL_VERSION, MODEL_RATE, MODEL_PIXELS);
    return file == stderr ? 2 : 0;
}

/* Sets the classes that are not words; returns 0 if there is no such class. */
static int ignore(const char *name)
{
    for (int number = 0; number < MODEL_CLASSES; number++)
        if (!strcmp(name, class_names[number])) {
            listener.ignored[number] = 1;
            return 1;
        }
    fprintf(stderr, "error: the model has no class %s\n", name);
    return 0;
}

static int listen_main(int count, char **arguments)
{
    if (count < 3) {
        fprintf(stderr, "error: --listen expects a file\n");
        return 2;
    }
    for (int index = 3; index < count; index++)
        if (!ignore(arguments[index]))
            return 2;
    return with_sound(arguments[2], listen_to, listen_to);
}

int main(int count, char **arguments)
{
    int failed = 0;
    if (count < 2 || !strcmp(arguments[1], "--help"))
        return print_usage(count < 2 ? stderr : stdout);
    if (!strcmp(arguments[1], "--listen"))
        return listen_main(count, arguments);
    if (!strcmp(arguments[1], "--prove")) {
        if (count != 3)
            fprintf(stderr, "error: --prove expects one file, acceptance.bin\n");
        return count == 3 ? with_file(arguments[2], prove) : 2;
    }
    for (int index = 1; index < count; index++)
        failed |= with_sound(arguments[index], classify_wav, classify_features);
    return failed;
}
