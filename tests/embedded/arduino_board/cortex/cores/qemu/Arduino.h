/* What the sketches use of Arduino, with the host's terminal in place of the serial line. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void setup();
void loop();
inline unsigned long micros() { return 0; }
inline void delay(unsigned long) { exit(0); } /* sketches wait at the end of a loop */

struct Terminal {
    explicit operator bool() const { return true; }
    void begin(long) {}
    void print(const char *text) { printf("%s", text); }
    void print(int number) { printf("%d", number); }
    void print(unsigned long number) { printf("%lu", number); }
    void println(const char *text) { puts(text); }
};
extern Terminal Serial;
