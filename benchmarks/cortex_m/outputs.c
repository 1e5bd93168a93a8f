/*
 * images.raw -> outputs.raw, through semihosting, without the buffers of stdio: for a chip with
 * little RAM.
 */
#include <fcntl.h>
#include <unistd.h>

#include "network.h"

int main(void)
{
    static uint8_t image[NETWORK_INPUTS];
    int8_t outputs[NETWORK_OUTPUTS];
    int images = open("images.raw", O_RDONLY);
    int answers = open("outputs.raw", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (images < 0 || answers < 0)
        return 1;
    while (read(images, image, sizeof image) == (int)sizeof image) {
        network_run(image, outputs);
        if (write(answers, outputs, sizeof outputs) != (int)sizeof outputs)
            return 2;
    }
    return close(answers) ? 2 : 0;
}
