/* Counts instructions with QEMU's -icount shift=0, where each takes a nanosecond. */
#ifndef INSTRUCTIONS_H
#define INSTRUCTIONS_H

#include <stdint.h>

#define INSTRUCTIONS_A_TICK 40 /* of the board's clock of 25 MHz */

/* Timer 0 of the AN385 image: it counts down from a reload value, and is enabled by a bit. */
#define TIMER_CONTROL (*(volatile uint32_t *)0x40000000)
#define TIMER_VALUE (*(volatile uint32_t *)0x40000004)
#define TIMER_RELOAD (*(volatile uint32_t *)0x40000008)

static inline void begin_counting(void)
{
    TIMER_RELOAD = TIMER_VALUE = UINT32_MAX;
    TIMER_CONTROL = 1;
}

/* Instructions since begin_counting(). */
static inline uint64_t instructions(void)
{
    return (uint64_t)INSTRUCTIONS_A_TICK * (UINT32_MAX - TIMER_VALUE);
}

#endif
