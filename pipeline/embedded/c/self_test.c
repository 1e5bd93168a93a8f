/* Reproduces the golden vectors; exits with 0 if all probabilities are within GOLDEN_TOLERANCE. */
#include <math.h>
#include <stdio.h>

#include "classify.h"
#include "golden.h"

int main(void)
{
    float largest = 0.0f;
    for (int image = 0; image < GOLDEN_IMAGES; image++) {
        float probabilities[MODEL_CLASSES];
        classify(golden_images[image], probabilities);
        for (int class = 0; class < MODEL_CLASSES; class++) {
            float difference = fabsf(probabilities[class] - golden_probabilities[image][class]);
            if (!(difference <= largest)) /* also true for NaN */
                largest = difference;
        }
    }
    printf("%d golden vectors, largest difference %g, allowed %g\n", GOLDEN_IMAGES, (double)largest,
           (double)GOLDEN_TOLERANCE);
    return largest <= GOLDEN_TOLERANCE ? 0 : 1;
}
