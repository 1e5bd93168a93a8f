#include <stdio.h>

#include "classify.h"
#include "program.h"

const char *const class_names[MODEL_CLASSES] = MODEL_CLASS_NAMES;

void print_answer(const char *name, const MODEL_VALUE *image)
{
    float probabilities[MODEL_CLASSES];
    int best = 0, answer = classify(image, probabilities);
    for (int class = 1; class < MODEL_CLASSES; class++)
        if (probabilities[class] > probabilities[best])
            best = class;
    printf(answer < 0 ? "%s\tnone (best guess %s)" : "%s\t%s", name, class_names[best]);
    for (int class = 0; class < MODEL_CLASSES; class++)
        printf("\t%.9g", (double)probabilities[class]);
    printf("\n");
}
