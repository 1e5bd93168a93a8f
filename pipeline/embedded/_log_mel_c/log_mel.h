/* Sounds as pictures: the features that the network was trained on, equal to Python's to the bit.

   Integers only, no heap. A stream calls log_mel_frame with each LOG_MEL_WINDOW samples,
   LOG_MEL_HOP samples apart. log_mel_tables.h holds the parameters. */
#ifndef LOG_MEL_H
#define LOG_MEL_H

#include <stdint.h>

#include "log_mel_tables.h"

typedef struct {
    int32_t level; /* of the loudest band so far, in steps */
} log_mel_state;

void log_mel_init(log_mel_state *state);
void log_mel_frame(log_mel_state *state, const int16_t samples[LOG_MEL_WINDOW],
                   uint8_t features[LOG_MEL_BANDS]);

#endif
