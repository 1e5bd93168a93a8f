#include "comparison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[KINDS] = {
    "CONV_2D",     "CONV_2D_1X1_IN_GROUPS", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED",
    "MAX_POOL_2D", "AVERAGE_POOL_2D",       "ADD",               "MUL",
    "SOFTMAX"};

static struct {
    uint32_t layers, values, differing, largest, room;
    uint64_t ours, theirs;
} found[KINDS];

int32_t theirs_pass_on;
int8_t theirs[MOST_VALUES];
int32_t room[MOST_VALUES / 4], their_multipliers[MOST_CHANNELS], their_shifts[MOST_CHANNELS];

void must(int32_t holds, const char *what)
{
    if (holds)
        return;
    printf("error: %s\n", what);
    exit(4);
}

void reserve(enum kind kind, int32_t bytes)
{
    must(bytes <= (int32_t)sizeof room, "a layer needs too much memory");
    if ((uint32_t)bytes > found[kind].room)
        found[kind].room = (uint32_t)bytes;
}

void count_instructions(enum kind kind, uint64_t ours, uint64_t others)
{
    found[kind].ours += ours;
    found[kind].theirs += others;
}

void compare(enum kind kind, int8_t *output, int32_t count)
{
    found[kind].layers++;
    found[kind].values += (uint32_t)count;
    for (int32_t at = 0; at < count; at++) {
        uint32_t apart = (uint32_t)abs(output[at] - theirs[at]);
        found[kind].differing += apart > 0;
        if (apart > found[kind].largest)
            found[kind].largest = apart;
    }
    if (theirs_pass_on)
        memcpy(output, theirs, (size_t)count);
}

void print_comparison(void)
{
    for (int32_t kind = 0; kind < KINDS; kind++)
        if (found[kind].layers)
            printf("%s %lu %lu %lu %lu %lu %llu %llu\n", names[kind],
                   (unsigned long)found[kind].layers, (unsigned long)found[kind].values,
                   (unsigned long)found[kind].differing, (unsigned long)found[kind].largest,
                   (unsigned long)found[kind].room,
                   (unsigned long long)found[kind].ours, (unsigned long long)found[kind].theirs);
    memset(found, 0, sizeof found);
}

int32_t pick(int32_t least, int32_t most)
{
    static uint32_t state = 1; /* Marsaglia's xorshift */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return least + (int32_t)(state % (uint32_t)(most - least + 1));
}

void expand(const struct scaling *scaling, int32_t channels)
{
    must(channels <= MOST_CHANNELS, "a layer has too many channels");
    for (int32_t channel = 0; channel < channels; channel++) {
        int32_t at = scaling->per_channel ? channel : 0;
        their_multipliers[channel] = scaling->multipliers[at];
        their_shifts[channel] = scaling->shifts[at];
    }
}

int32_t map_size(const struct map *map)
{
    return map->height * map->width * map->channels;
}

int32_t is_one_run(const struct grid *grid)
{
    return grid->counts[0] * grid->counts[1] * grid->counts[2] == 1 && grid->first_steps[3] == 1 &&
           grid->second_steps[3] == 1;
}
