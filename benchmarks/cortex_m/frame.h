/* A frame of a camera, as esp32-camera gives it. */
#include "framing.h"
#include "model.h"

static const struct framing framing = MODEL_FRAMING;
static const struct framing_size size = {MODEL_HEIGHT, MODEL_WIDTH, MODEL_CHANNELS};
static struct picture frame = {0, 320, 240, PICTURE_RGB565_BE};
