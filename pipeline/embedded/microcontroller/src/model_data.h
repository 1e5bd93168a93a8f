/* The TensorFlow Lite file as an array, and whether it still is the one that was proven. */
#ifndef MODEL_DATA_H
#define MODEL_DATA_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char model_data[]; /* aligned to 16 bytes, as the interpreter wants it */
extern const uint32_t model_data_length;
extern const uint32_t model_data_crc32; /* IEEE 802.3, as zlib's crc32() */

bool model_data_intact(void);

#ifdef __cplusplus
}
#endif

#endif
