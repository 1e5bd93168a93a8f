#include "Arduino.h"

Terminal Serial;

int main()
{
    setup();
    for (;;)
        loop();
}
