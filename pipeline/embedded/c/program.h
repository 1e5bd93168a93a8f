/* What the parts of the program have of each other. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>

/* As in PNG, zip and Ethernet. */
uint32_t crc32_of(const uint8_t *bytes, size_t length);

/* Tries the model on an acceptance set, the bytes of acceptance.bin: prints what the gate says; the exit status. */
int prove(const char *name, const uint8_t *bytes, size_t length);

#endif
