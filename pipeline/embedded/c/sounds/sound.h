/* WAV files, samples and inputs of the model, from a file of any length. */
#ifndef SOUND_H
#define SOUND_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sound {
    FILE *file;
    uint8_t begin[4]; /* what the file begins with, read to learn what it is */
    size_t count, used;
    uint64_t left; /* bytes of the samples of a WAV file */
};

/* Reads how the file begins. Returns whether that is a WAV file. */
int sound_begin(FILE *file, struct sound *sound);

/* Reads the header of a WAV file. Returns NULL, or what is wrong with it. */
const char *sound_header(struct sound *sound);

/* Reads at most `count` bytes, and returns how many there were. */
size_t sound_bytes(struct sound *sound, uint8_t *bytes, size_t count);

/* Reads at most `count` samples, and returns how many there were. */
size_t sound_samples(struct sound *sound, int16_t *samples, size_t count);

#endif
