/*
 * What the page calls: the address of the image, that of the probabilities, and predict(), which
 * returns the class, or -1 for none.
 */
#include "classify.h"

#define EXPORT(name) __attribute__((export_name(name)))

static uint8_t image[MODEL_PIXELS];
static float probabilities[MODEL_CLASSES];

EXPORT("image") uint8_t *image_address(void) { return image; }

EXPORT("probabilities") float *probabilities_address(void) { return probabilities; }

EXPORT("predict") int predict(void) { return classify(image, probabilities); }
