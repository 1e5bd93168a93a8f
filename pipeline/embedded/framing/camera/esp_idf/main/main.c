/* Says what the camera of an ESP32-S3-EYE sees: `idf.py set-target esp32s3 flash monitor` */
#include <stdio.h>

#include "answer.h"
#include "camera_image.h"
#include "classify.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

void app_main(void)
{
    static uint8_t image[MODEL_PIXELS];
    const char *fault = camera_start();
    if (fault != NULL) {
        printf("%s\n", fault);
        return;
    }
    for (;;) {
        char words[MODEL_WORDS];
        float outputs[MODEL_CLASSES];
        fault = camera_image(image);
        if (fault == NULL) {
            classify(image, outputs);
            answer_words(outputs, words);
        }
        printf("%s\n", fault == NULL ? words : fault);
        vTaskDelay(1); /* other tasks run, and the watchdog sees it */
    }
}
