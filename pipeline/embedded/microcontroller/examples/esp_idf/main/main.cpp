/* Reproduces the golden vectors on the board and times one image:
 * `idf.py set-target esp32s3 flash monitor` */
#include <cstdio>

#include "esp_timer.h"
#include "self_test.h"

extern "C" void app_main(void)
{
    const float largest = largest_golden_difference();
    std::printf("%s: largest difference from the golden vectors is %g\n",
                largest <= GOLDEN_TOLERANCE ? "passed" : "FAILED", static_cast<double>(largest));

    char words[MODEL_WORDS];
    float outputs[MODEL_CLASSES];
    const int64_t start = esp_timer_get_time();
    classify(golden_images[0], outputs);
    std::printf("%d microseconds per image\n", static_cast<int>(esp_timer_get_time() - start));
    answer_words(outputs, words);
    std::printf("the answer to the first image is %s\n", words);
    std::printf("%u of %u bytes of the arena used\n",
                static_cast<unsigned>(classify_arena_used_bytes()),
                static_cast<unsigned>(MODEL_ARENA_BYTES));
}
