#include "sound.h"

#include <string.h>

#include "model.h"

#define PCM 1
#define EXTENSIBLE 0xfffe /* what the samples are is told further on */
#define FORMAT_BYTES 40

static unsigned little_endian(const uint8_t *bytes, int count)
{
    unsigned value = 0;
    while (count--)
        value = value << 8 | bytes[count];
    return value;
}

int sound_begin(FILE *file, struct sound *sound)
{
    sound->file = file;
    sound->used = 0;
    sound->left = UINT64_MAX;
    sound->count = fread(sound->begin, 1, sizeof sound->begin, file);
    return sound->count == 4 && !memcmp(sound->begin, "RIFF", 4);
}

size_t sound_bytes(struct sound *sound, uint8_t *bytes, size_t count)
{
    size_t done = 0;
    if (count > sound->left)
        count = (size_t)sound->left;
    while (done < count && sound->used < sound->count)
        bytes[done++] = sound->begin[sound->used++];
    done += fread(bytes + done, 1, count - done, sound->file);
    sound->left -= done;
    return done;
}

size_t sound_samples(struct sound *sound, int16_t *samples, size_t count)
{
    uint8_t bytes[512];
    size_t done = 0;
    while (done < count) {
        size_t wanted = (count - done) * 2 < sizeof bytes ? (count - done) * 2 : sizeof bytes;
        size_t length = sound_bytes(sound, bytes, wanted);
        for (size_t at = 0; at + 1 < length; at += 2) {
            int value = (int)little_endian(bytes + at, 2);
            samples[done++] = (int16_t)(value < 0x8000 ? value : value - 0x10000);
        }
        if (length < wanted)
            break;
    }
    return done;
}

/* Reads past bytes; 0 if the file ends before. */
static int skip(struct sound *sound, uint32_t count)
{
    uint8_t bytes[512];
    while (count) {
        size_t wanted = count < sizeof bytes ? count : sizeof bytes;
        if (sound_bytes(sound, bytes, wanted) < wanted)
            return 0;
        count -= (uint32_t)wanted;
    }
    return 1;
}

static const char *format_fault(const uint8_t *format, uint32_t size)
{
    unsigned tag = little_endian(format, 2);
    if (tag == EXTENSIBLE && size >= 26)
        tag = little_endian(format + 24, 2);
    if (tag != PCM || little_endian(format + 14, 2) != 16)
        return "it has other samples than 16-bit PCM";
    if (little_endian(format + 2, 2) != 1)
        return "it has more than one channel";
    return little_endian(format + 4, 4) == MODEL_RATE ? NULL : "it has another rate";
}

const char *sound_header(struct sound *sound)
{
    uint8_t chunk[12], format[FORMAT_BYTES];
    int has_format = 0;
    if (sound_bytes(sound, chunk, 12) < 12 || memcmp(chunk + 8, "WAVE", 4))
        return "it is no WAV file";
    while (sound_bytes(sound, chunk, 8) == 8) {
        uint32_t size = little_endian(chunk + 4, 4), known = 0;
        if (!memcmp(chunk, "data", 4)) {
            sound->left = size;
            return has_format ? NULL : "it does not say what its samples are";
        }
        if (!memcmp(chunk, "fmt ", 4) && size >= 16) {
            const char *fault;
            known = size < FORMAT_BYTES ? size : FORMAT_BYTES;
            if (sound_bytes(sound, format, known) < known)
                break;
            fault = format_fault(format, known);
            if (fault)
                return fault;
            has_format = 1;
        }
        if (!skip(sound, size - known) || !skip(sound, size % 2))
            break;
    }
    return "it is cut short";
}
