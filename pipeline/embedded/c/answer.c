#include <stdio.h>

#include "answer.h"
#include "classify.h"
#include "program.h"

const char *const class_names[MODEL_CLASSES] = MODEL_CLASS_NAMES;

void print_answer(const char *name, const MODEL_VALUE *image)
{
    float outputs[MODEL_CLASSES];
    char words[MODEL_WORDS];
    classify(image, outputs);
    answer_words(outputs, words);
    printf("%s\t%s", name, words);
    for (int index = 0; index < MODEL_CLASSES; index++)
        printf("\t%.9g", (double)outputs[index]);
    printf("\n");
}
