/* PNG, JPEG and binary PGM or PPM files -> upright pixels. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "framing.h"

#define LARGEST_PIXELS 64000000

/* Whether the bytes begin as such a file does. */
int picture_begins(const uint8_t *bytes, size_t length);

/* Reads a file; returns NULL, or what is wrong with it. */
const char *picture_read(const uint8_t *bytes, size_t length, struct picture *picture);

void picture_free(struct picture *picture);

#endif
