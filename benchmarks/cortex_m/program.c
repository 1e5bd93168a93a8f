/*
 * A whole program without an operating system, whose flash and RAM are measured: a camera's driver
 * sets `pixels`, and whoever wants the answer reads `answer`. A model that takes no frames gets the
 * bytes of an image there.
 */
#include "frame.h"
#include "network.h"

extern uint8_t stack_top[];
static const uint8_t *volatile pixels;
static volatile int answer;

static void look(void)
{
    static int8_t outputs[NETWORK_OUTPUTS];
    if (framing.method != FRAMING_NONE) {
        static uint8_t image[MODEL_PIXELS];
        static int64_t scratch[SCRATCH_BYTES / 8 + 1];
        frame.pixels = pixels;
        framing_run(&frame, &framing, &size, image, scratch);
        answer = network_run(image, outputs);
    } else {
        answer = network_run(pixels, outputs);
    }
}

void reset(void)
{
    for (;;)
        if (pixels)
            look();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack_top, reset};
