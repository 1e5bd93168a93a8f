#include "classify.h"

/* In model.c, which is generated. */
void model(const uint8_t image[1][MODEL_HEIGHT][MODEL_WIDTH][MODEL_CHANNELS],
           float probabilities[1][MODEL_CLASSES]);

void classify(const uint8_t *image, float *probabilities)
{
    model((const uint8_t(*)[MODEL_HEIGHT][MODEL_WIDTH][MODEL_CHANNELS])image,
          (float(*)[MODEL_CLASSES])probabilities);
}
