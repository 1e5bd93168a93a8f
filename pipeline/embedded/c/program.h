/* Functions shared between the parts of the program. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32 of PNG, zip and Ethernet. */
uint32_t crc32_of(const uint8_t *bytes, size_t length);

/* Tests the model on the bytes of acceptance.bin and prints the verdict; the exit status. */
int prove(const char *name, const uint8_t *bytes, size_t length);

#endif
