/* Hears words with an I2S microphone on an ESP32; serial monitor at 115200 baud. */
#include <ESP_I2S.h>
#include <classify.h>
#include <listen.h>

/* The pins of the microphone: bit clock, word select, data. */
#define CLOCK_PIN 26
#define SELECT_PIN 25
#define DATA_PIN 33

static const char *const class_names[MODEL_CLASSES] = MODEL_CLASS_NAMES;
static I2SClass microphone;
static struct listener listener;

/* TensorFlow Lite Micro may refuse the model, and the integer C, which has network.h, does not. */
static bool answer(const MODEL_VALUE *values, float *outputs)
{
#ifdef NETWORK_H
    classify(values, outputs);
    return true;
#else
    return classify(values, outputs);
#endif
}

void setup()
{
    Serial.begin(115200);
    microphone.setPins(CLOCK_PIN, SELECT_PIN, -1, DATA_PIN);
    if (!microphone.begin(I2S_MODE_STD, MODEL_RATE, I2S_DATA_BIT_WIDTH_16BIT, I2S_SLOT_MODE_MONO))
        Serial.println("the microphone does not start");
    /* If a class is not a word, such as noise: listener.ignored[its number] = 1; */
}

void loop()
{
    static int16_t samples[256];
    static uint8_t image[MODEL_PIXELS];
    const size_t count =
        microphone.readBytes(reinterpret_cast<char *>(samples), sizeof samples) / sizeof *samples;
    for (size_t at = 0; at < count;) {
        float probabilities[MODEL_CLASSES];
        struct listen_word word;
        at += listen_add(&listener, samples + at, count - at);
        if (!listener.is_due)
            continue;
        listen_image(&listener, image);
        if (!answer(image, probabilities))
            Serial.println("the model does not run");
        else if (listen_hear(&listener, probabilities, &word))
            Serial.println(class_names[word.class_number]);
    }
}
