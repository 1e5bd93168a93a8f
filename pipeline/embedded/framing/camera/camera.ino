/*
 * Says what the camera of an ESP32-S3-EYE sees; serial monitor at 115200 baud. Switch on PSRAM in
 * the menu Tools. The pins of other boards go into camera_image.h.
 */
#include <classify.h>
#include <answer.h>
#include <camera_image.h>

void setup()
{
    Serial.begin(115200);
    const char *fault = camera_start();
    if (fault != NULL)
        Serial.println(fault);
}

void loop()
{
    static uint8_t image[MODEL_PIXELS];
    char words[MODEL_WORDS];
    float outputs[MODEL_CLASSES];
    const char *fault = camera_image(image);
    if (fault != NULL) {
        Serial.println(fault);
        delay(1000);
        return;
    }
    classify(image, outputs);
    answer_words(outputs, words);
    Serial.println(words);
}
