/* The vector table; QEMU's loader fills the memory. */
#include <stdint.h>
#include <stdlib.h>

extern uint8_t stack_top[];
/* Semihosting: files and the exit status are the host's. */
extern void initialise_monitor_handles(void);
int main(void);

/* Floating point and Helium, which are off at first. */
#define COPROCESSORS (*(volatile uint32_t *)0xE000ED88)

void reset(void)
{
#if defined(__ARM_FP)
    COPROCESSORS |= 0xFu << 20;
#endif
    initialise_monitor_handles();
    _Exit(main());
}

static void fault(void)
{
    _Exit(3);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    stack_top, reset, fault, fault, fault, fault, fault};
