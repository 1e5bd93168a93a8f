/*
 * Prints what the model says of motion with an MPU-6050 on I2C; serial monitor at 115200 baud. The
 * model takes accelerations in g and rates of turn in radians a second: change the units below if
 * yours does not.
 */
#include <Wire.h>
#include <classify.h>
#include <answer.h>
#include <window.h>

/* Of the sensor, from its register map (RM-MPU-6000A-00). */
#define ADDRESS 0x68
#define POWER 0x6B        /* 0 wakes it */
#define GYROSCOPE 0x1B    /* 3: up to 2000 degrees a second, 16.4 counts for one */
#define ACCELEROMETER 0x1C /* 2: up to 8 g, 4096 counts for one */
#define VALUES 0x3B       /* acceleration, temperature and rate of turn, high byte first */
#define COUNTS 7
#define TEMPERATURE 3 /* the count that is neither */

static const float acceleration_unit = 1.0f / 4096.0f;            /* g; in m/s2: times 9.80665 */
static const float turn_unit = 3.14159265f / 180.0f / 16.4f;      /* radians a second */
static struct window window;
static unsigned long due; /* microseconds */

static void set_register(uint8_t number, uint8_t value)
{
    Wire.beginTransmission(ADDRESS);
    Wire.write(number);
    Wire.write(value);
    if (Wire.endTransmission() != 0)
        Serial.println("the sensor does not answer");
}

/* Reads ax ay az wx wy wz, in the order of MODEL_CHANNEL_NAMES. Returns whether the sensor answers. */
static bool read_row(float *row)
{
    Wire.beginTransmission(ADDRESS);
    Wire.write(VALUES);
    if (Wire.endTransmission(false) != 0 || Wire.requestFrom(ADDRESS, 2 * COUNTS) != 2 * COUNTS)
        return false;
    for (int index = 0; index < COUNTS; index++) {
        const int high = Wire.read(), low = Wire.read();
        const float count = static_cast<int16_t>(high << 8 | low);
        if (index != TEMPERATURE)
            *row++ = count * (index < TEMPERATURE ? acceleration_unit : turn_unit);
    }
    return true;
}

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
    static_assert(MODEL_CHANNELS == 6, "the sensor has six channels");
    Serial.begin(115200);
    Wire.begin();
    Wire.setClock(400000);
    set_register(POWER, 0);
    set_register(GYROSCOPE, 3 << 3);
    set_register(ACCELEROMETER, 2 << 3);
    due = micros();
}

void loop()
{
    static float row[MODEL_CHANNELS], values[MODEL_PIXELS];
    float outputs[MODEL_CLASSES];
    char words[MODEL_WORDS];
    if (static_cast<long>(micros() - due) < 0)
        return;
    due += static_cast<unsigned long>(1000000.0f / MODEL_RATE);
    if (!read_row(row)) {
        window_reset(&window);
        return;
    }
    if (!window_add(&window, row))
        return;
    window_read(&window, values);
    if (!answer(values, outputs)) {
        Serial.println("the model does not run");
        return;
    }
    answer_words(outputs, words);
    Serial.println(words);
}
