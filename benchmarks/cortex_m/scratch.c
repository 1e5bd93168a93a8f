/* Prints the bytes of memory that framing needs for a frame; 0 for a model that takes no frames. */
#include <stdio.h>

#include "frame.h"

int main(void)
{
    const int is_framed = framing.method != FRAMING_NONE;
    printf("%lu\n", is_framed ? (unsigned long)framing_scratch(&frame, &framing, &size) : 0);
    return 0;
}
