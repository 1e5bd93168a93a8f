/* images.raw -> probabilities.raw, through semihosting. */
#include <stdio.h>

#include "classify.h"

int main(void)
{
    static uint8_t image[MODEL_PIXELS];
    FILE *images = fopen("images.raw", "rb"), *answers = fopen("probabilities.raw", "wb");
    if (!images || !answers)
        return 1;
    while (fread(image, 1, sizeof image, images) == sizeof image) {
        float probabilities[MODEL_CLASSES];
        classify(image, probabilities);
        if (fwrite(probabilities, sizeof probabilities, 1, answers) != 1)
            return 2;
    }
    return fclose(answers) ? 2 : 0;
}
