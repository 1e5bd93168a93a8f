/* The vector table; QEMU's loader fills the memory. */
#include <stdint.h>
#include <stdlib.h>

extern uint8_t stack_top[];
/* Semihosting: files and the exit status are the host's. */
extern void initialise_monitor_handles(void);
int main(void);

void reset(void)
{
    initialise_monitor_handles();
    _Exit(main());
}

static void fault(void)
{
    _Exit(3);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    stack_top, reset, fault, fault, fault, fault, fault};
