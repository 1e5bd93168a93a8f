/* Writes the compiled array to standard output; ends with 0 when it is aligned and is the model that was proven. */
#include <cstdint>
#include <cstdio>

#include "model_data.h"

int main()
{
    const bool written = std::fwrite(model_data, 1, model_data_length, stdout) == model_data_length;
    const bool aligned = reinterpret_cast<std::uintptr_t>(model_data) % 16 == 0;
    return written && aligned && model_data_intact() ? 0 : 1;
}
