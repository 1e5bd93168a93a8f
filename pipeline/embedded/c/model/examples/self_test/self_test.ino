/* Reproduces the golden vectors on the board and times one answer; serial monitor at 115200 baud. */
#include <classify.h>
#include <answer.h>
#include <self_test.h>

void setup()
{
    Serial.begin(115200);
    while (!Serial)
        delay(10);
}

void loop()
{
    const int differing = golden_differences();
    Serial.print(differing == 0 ? "passed: " : "FAILED: ");
    Serial.print(differing);
    Serial.println(" outputs and classes of the golden vectors differ");

    char words[MODEL_WORDS];
    float outputs[MODEL_CLASSES];
    const unsigned long start = micros();
    classify(golden_images[0], outputs);
    Serial.print(micros() - start);
    Serial.println(" microseconds for an answer");
    answer_words(outputs, words);
    Serial.print("the first answer is ");
    Serial.println(words);
    delay(5000);
}
