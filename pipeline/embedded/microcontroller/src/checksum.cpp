#include "model_data.h"

/* CRC-32 of IEEE 802.3. Computed without a table, since it runs once and flash is scarce. */
bool model_data_intact(void)
{
    uint32_t remainder = 0xFFFFFFFFu;
    for (uint32_t index = 0; index < model_data_length; index++) {
        remainder ^= model_data[index];
        for (int bit = 0; bit < 8; bit++)
            remainder = (remainder >> 1) ^ (0xEDB88320u & (0u - (remainder & 1u)));
    }
    return (remainder ^ 0xFFFFFFFFu) == model_data_crc32;
}
