/* Writes the compiled array to standard output; exits with 0 if it is aligned and undamaged. */
#include <cstdint>
#include <cstdio>

#include "model_data.h"

int main()
{
    const bool written =
        std::fwrite(model_data, 1, model_data_length, stdout) == model_data_length;
    const bool aligned = reinterpret_cast<std::uintptr_t>(model_data) % 16 == 0;
    return written && aligned && model_data_intact() ? 0 : 1;
}
