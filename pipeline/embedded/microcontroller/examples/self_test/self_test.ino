/* Reproduces the golden vectors on the board and times one image; serial monitor at 115200 baud. */
#include <classify.h>
#include <self_test.h>

void setup()
{
    Serial.begin(115200);
    while (!Serial)
        delay(10);
}

void loop()
{
    const float largest = largest_golden_difference();
    Serial.print(largest <= GOLDEN_TOLERANCE ? "passed" : "FAILED");
    Serial.print(": largest difference from the golden vectors is ");
    Serial.println(largest, 6);

    char words[MODEL_WORDS];
    float outputs[MODEL_CLASSES];
    const unsigned long start = micros();
    classify(golden_images[0], outputs);
    Serial.print(micros() - start);
    Serial.println(" microseconds per image");
    answer_words(outputs, words);
    Serial.print("the answer to the first image is ");
    Serial.println(words);

    Serial.print(classify_arena_used_bytes());
    Serial.print(" of ");
    Serial.print(MODEL_ARENA_BYTES);
    Serial.println(" bytes of the arena used");
    delay(5000);
}
