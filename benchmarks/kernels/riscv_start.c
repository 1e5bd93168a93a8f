/* Starts a program of picolibc under QEMU's user mode, which has no control registers to set. */
#include <stdlib.h>
#include <string.h>

extern char __bss_start[], __bss_size[];
int main(void);

__attribute__((used)) static void begin(void)
{
    memset(__bss_start, 0, (size_t)__bss_size);
    exit(main());
}

__attribute__((naked)) void _start(void)
{
    __asm__(".option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
            "la tp, __tls_base\ncall begin\n");
}
