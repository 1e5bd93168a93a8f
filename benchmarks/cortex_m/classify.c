/*
 * images.raw -> probabilities.raw, through semihosting; prints the instructions that an answer
 * takes.
 */
#include <stdio.h>

#include "classify.h"
#include "instructions.h"

int main(void)
{
    static MODEL_VALUE image[MODEL_PIXELS];
    FILE *images = fopen("images.raw", "rb"), *answers = fopen("probabilities.raw", "wb");
    uint64_t total = 0, count = 0;
    if (!images || !answers)
        return 1;
    while (fread(image, 1, sizeof image, images) == sizeof image) {
        float probabilities[MODEL_CLASSES];
        begin_counting();
        classify(image, probabilities);
        total += instructions();
        count++;
        if (fwrite(probabilities, sizeof probabilities, 1, answers) != 1)
            return 2;
    }
    printf("%lu\n", (unsigned long)(count ? total / count : 0));
    return fclose(answers) ? 2 : 0;
}
