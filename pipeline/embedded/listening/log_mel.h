/*
 * From sound to the model's input: serving/log_mel.py, which prepared the training recordings, with
 * the same features to the bit. Integers only, no library, no heap. Two calls must not overlap.
 */
#ifndef LOG_MEL_H
#define LOG_MEL_H

#include <stdint.h>

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes the MODEL_WIDTH logarithms of the energies of a frame: MODEL_WINDOW samples. They are in
 * eighths of a doubling, and do not depend on other frames.
 */
void log_mel_energies(const int16_t *samples, uint16_t *energies);

/*
 * Writes the MODEL_PIXELS bytes of the model's input, of the energies of MODEL_HEIGHT frames. They
 * may lie in a ring: `first` is the frame that is the earliest.
 */
void log_mel_features(const uint16_t *energies, int first, uint8_t *image);

#ifdef __cplusplus
}
#endif

#endif
