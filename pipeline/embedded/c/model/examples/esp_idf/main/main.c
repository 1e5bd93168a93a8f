/* Reproduces the golden vectors on the board and times one answer:
 * `idf.py set-target esp32s3 flash monitor` */
#include <stdio.h>

#include "answer.h"
#include "classify.h"
#include "esp_timer.h"
#include "self_test.h"

void app_main(void)
{
    const int differing = golden_differences();
    char words[MODEL_WORDS];
    float outputs[MODEL_CLASSES];
    int64_t start;
    printf("%s: %d outputs and classes of the golden vectors differ\n",
           differing == 0 ? "passed" : "FAILED", differing);
    start = esp_timer_get_time();
    classify(golden_images[0], outputs);
    printf("%d microseconds for an answer\n", (int)(esp_timer_get_time() - start));
    answer_words(outputs, words);
    printf("the first answer is %s\n", words);
}
