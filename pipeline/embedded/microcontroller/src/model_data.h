/* The TensorFlow Lite file as an array, and a check that it is still the one that was verified. */
#ifndef MODEL_DATA_H
#define MODEL_DATA_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char model_data[]; /* aligned to 16 bytes, as the interpreter requires */
extern const uint32_t model_data_length;
extern const uint32_t model_data_crc32; /* IEEE 802.3, like zlib's crc32() */

bool model_data_intact(void);

#ifdef __cplusplus
}
#endif

#endif
