/*
 * Inputs of the model from the camera of an ESP32, framed as the pictures of the training were. Only
 * a program that includes it needs Espressif's driver esp32-camera: Arduino's core for the ESP32 has
 * it, and for ESP-IDF it is a component.
 */
#ifndef CAMERA_IMAGE_H
#define CAMERA_IMAGE_H

#include <esp_camera.h>
#include <stdlib.h>
#include <string.h>

#include "framing.h"
#include "model.h"

/*
 * Starts the camera with the pins of an ESP32-S3-EYE; for another board change them. Frames are
 * small, because they are not compressed, and only one is kept. Returns NULL, or what is wrong.
 */
static inline const char *camera_start(void)
{
    camera_config_t config;
    memset(&config, 0, sizeof config);
    config.pin_pwdn = -1;
    config.pin_reset = -1;
    config.pin_xclk = 15;
    config.pin_sccb_sda = 4;
    config.pin_sccb_scl = 5;
    config.pin_d7 = 16;
    config.pin_d6 = 17;
    config.pin_d5 = 18;
    config.pin_d4 = 12;
    config.pin_d3 = 10;
    config.pin_d2 = 8;
    config.pin_d1 = 9;
    config.pin_d0 = 11;
    config.pin_vsync = 6;
    config.pin_href = 7;
    config.pin_pclk = 13;
    config.xclk_freq_hz = 20000000;
    config.ledc_timer = LEDC_TIMER_0;
    config.ledc_channel = LEDC_CHANNEL_0;
    config.pixel_format = MODEL_CHANNELS == 1 ? PIXFORMAT_GRAYSCALE : PIXFORMAT_RGB565;
    config.frame_size = FRAMESIZE_QVGA;
    config.fb_count = 1;
    config.fb_location = CAMERA_FB_IN_PSRAM;
    config.grab_mode = CAMERA_GRAB_WHEN_EMPTY;
    return esp_camera_init(&config) == ESP_OK ? NULL : "the camera does not start";
}

/* Writes the MODEL_PIXELS bytes of a frame for classify(). Returns NULL, or what is wrong. */
static inline const char *framed(const camera_fb_t *frame, uint8_t *image)
{
    static const struct framing framing = MODEL_FRAMING;
    static const struct framing_size size = {MODEL_HEIGHT, MODEL_WIDTH, MODEL_CHANNELS};
    const int is_grey = frame->format == PIXFORMAT_GRAYSCALE;
    const struct picture picture = {frame->buf, (int)frame->width, (int)frame->height,
                                    is_grey ? PICTURE_GREY : PICTURE_RGB565_BE};
    void *scratch;
    if (!is_grey && frame->format != PIXFORMAT_RGB565)
        return "the frame is neither grey nor RGB565";
    if (frame->len != frame->width * frame->height * (is_grey ? 1 : 2))
        return "the frame is not complete";
    scratch = malloc(framing_scratch(&picture, &framing, &size));
    if (scratch == NULL)
        return "there is too little memory to frame the picture";
    framing_run(&picture, &framing, &size, image, scratch);
    free(scratch);
    return NULL;
}

/* The same for the next frame of the camera. */
static inline const char *camera_image(uint8_t *image)
{
    camera_fb_t *frame = esp_camera_fb_get();
    const char *fault = frame == NULL ? "the camera gives no frame" : framed(frame, image);
    if (frame != NULL)
        esp_camera_fb_return(frame);
    return fault;
}

#endif
