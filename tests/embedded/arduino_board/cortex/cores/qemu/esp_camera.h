/* What the sketch uses of Espressif's esp32-camera, with the file frames.raw in place of a sensor. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESP_OK 0
enum ledc { LEDC_TIMER_0, LEDC_CHANNEL_0 };
enum pixformat_t { PIXFORMAT_RGB565, PIXFORMAT_GRAYSCALE, PIXFORMAT_JPEG };
enum framesize_t { FRAMESIZE_QVGA };
enum camera_fb_location_t { CAMERA_FB_IN_PSRAM };
enum camera_grab_mode_t { CAMERA_GRAB_WHEN_EMPTY };

struct camera_config_t {
    int pin_pwdn, pin_reset, pin_xclk, pin_sccb_sda, pin_sccb_scl;
    int pin_d7, pin_d6, pin_d5, pin_d4, pin_d3, pin_d2, pin_d1, pin_d0;
    int pin_vsync, pin_href, pin_pclk, xclk_freq_hz;
    ledc ledc_timer, ledc_channel;
    pixformat_t pixel_format;
    framesize_t frame_size;
    size_t fb_count;
    camera_fb_location_t fb_location;
    camera_grab_mode_t grab_mode;
};
struct camera_fb_t {
    uint8_t *buf;
    size_t len, width, height;
    pixformat_t format;
};

static camera_fb_t camera_frame;
static FILE *camera_file;

static int esp_camera_init(const camera_config_t *config)
{
    camera_file = fopen("frames.raw", "rb");
    camera_frame.format = config->pixel_format;
    camera_frame.width = 320;
    camera_frame.height = 240;
    camera_frame.len = 320u * 240u * (config->pixel_format == PIXFORMAT_GRAYSCALE ? 1 : 2);
    camera_frame.buf = static_cast<uint8_t *>(malloc(camera_frame.len));
    return camera_file == NULL;
}

static camera_fb_t *esp_camera_fb_get()
{
    if (fread(camera_frame.buf, 1, camera_frame.len, camera_file) == camera_frame.len)
        return &camera_frame;
    return NULL; /* after the last frame */
}

/* A sketch that keeps the frame sees that it changes. */
static void esp_camera_fb_return(camera_fb_t *frame) { memset(frame->buf, 0, frame->len); }
