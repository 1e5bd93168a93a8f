/* Reproduces the golden vectors on this machine; exits with 0 if within GOLDEN_TOLERANCE. */
#include "self_test.h"

#include <cstdio>

int main()
{
    const float largest = largest_golden_difference();
    std::printf("%d golden vectors, largest difference %g, allowed %g; arena: %u of %u bytes\n",
                GOLDEN_IMAGES, static_cast<double>(largest), static_cast<double>(GOLDEN_TOLERANCE),
                static_cast<unsigned>(classify_arena_used_bytes()),
                static_cast<unsigned>(MODEL_ARENA_BYTES));
    return largest <= GOLDEN_TOLERANCE ? 0 : 1;
}
