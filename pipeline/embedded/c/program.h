/* Functions shared between the parts of the program. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"

/* The CRC-32 of PNG, zip and Ethernet. */
uint32_t crc32_of(const uint8_t *bytes, size_t length);

/* Passes all bytes of the file `name` to `use` and returns its exit status; - is standard input. */
int with_file(const char *name, int (*use)(const char *, const uint8_t *, size_t));

/* The names of the classes, in the order of their numbers. */
extern const char *const class_names[];

/* Prints the name, the answer and all outputs of an input for classify(). */
void print_answer(const char *name, const MODEL_VALUE *image);

/* Tests the model on the bytes of acceptance.bin and prints the verdict; the exit status. */
int prove(const char *name, const uint8_t *bytes, size_t length);

#endif
