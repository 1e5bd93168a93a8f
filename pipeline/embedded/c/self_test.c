/* Reproduces the golden vectors; exits with 0 if every output and class is equal. */
#include <stdio.h>

#include "self_test.h"

int main(void)
{
    const int differing = golden_differences();
    printf("%d golden vectors, %d of their outputs and classes differ\n", GOLDEN_IMAGES, differing);
    return differing != 0;
}
