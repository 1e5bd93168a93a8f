/*
 * classify FILE...        prints each window of a recording: file and second, the answer in words, as
 *                         answer.h writes them, and the outputs, separated by tabs
 * classify --windows FILE prints the same of windows: MODEL_PIXELS float32 each, little-endian
 * classify --prove FILE   tests the model on this device with acceptance.bin; the exit status is
 *                         0: proven, 3: not shown (too few windows for a verdict), 1: worse, or
 *                         the file cannot be used
 *
 * A FILE is a CSV, and - is standard input. Its first line names the columns, of which those of
 * MODEL_CHANNEL_NAMES are used, and `time`, in seconds, if there is one. Without names it has only
 * these channels, in their order. An empty cell or a gap in time is in no window. A shorter file
 * without either has one, held at its last row. Outputs have nine digits, which represent a float
 * exactly.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"
#include "program.h"
#include "window.h"

#define LONGEST_LINE 65536
#define MOST_CELLS 1024
#define GAP 1.5        /* sampling intervals; a longer one is a gap, as in serving/recording.py */
#define TOLERANCE 0.05 /* of the rate */
#define UNREADABLE "its line is too long, or holds a zero byte"
#define WRONG_RATE "the rate by its column time, in seconds, is not MODEL_RATE"

static const char *const channel_names[MODEL_CHANNELS] = MODEL_CHANNEL_NAMES;

struct table {
    const char *name;
    FILE *file;
    char separator, decimal; /* between cells, and in numbers; 0: not known yet */
    int cells, time; /* of a row; the column of the time, or -1 */
    int columns[MODEL_CHANNELS];
    unsigned long rows;
};

static int fault(const struct table *table, const char *reason)
{
    fprintf(stderr, "error: %s, row %lu: %s\n", table->name, table->rows, reason);
    return 1;
}

/* Makes a decimal comma a point, where a comma does not end a cell. The first number with either
 * tells; the other sign then makes a cell no number, for it may separate thousands. */
static void set_point(struct table *table, char *cell)
{
    char *sign = cell + strcspn(cell, ",.");
    if (table->separator == ',' || !*sign || !isdigit((unsigned char)sign[1]) ||
        cell[strspn(cell, "+-0123456789,.eE")] != '\0')
        return;
    if (!table->decimal)
        table->decimal = *sign;
    if (table->decimal == ',')
        *sign = *sign == ',' ? '.' : ',';
}

/* Reads a line into cells without blanks and quotes. Returns how many; 0 at the end, -1: too long,
 * or with a zero byte, as a card has them where the power failed. */
static int read_cells(struct table *table, char **cells)
{
    static char line[LONGEST_LINE];
    int count = 0;
    do {
        if (!fgets(line, sizeof line, table->file))
            return 0;
        if (!strchr(line, '\n') && !feof(table->file))
            return -1;
    } while (line[strspn(line, "\r\n")] == '\0');
    line[strcspn(line, "\r\n")] = '\0';
    if (!table->separator) {
        int most = 0;
        for (const char *mark = ",;\t"; *mark; mark++) {
            int found = 0;
            for (const char *at = line; *at; at++)
                found += *at == *mark;
            if (found > most || mark[0] == ',') {
                most = found;
                table->separator = *mark;
            }
        }
    }
    for (char *at = line + (memcmp(line, "\xef\xbb\xbf", 3) ? 0 : 3); at;) {
        char *end = strchr(at, table->separator), *last;
        if (count == MOST_CELLS)
            return -1;
        at += strspn(at, " \"");
        cells[count++] = at;
        if (end)
            *end = '\0';
        for (last = at + strlen(at); last > at && strchr(" \"", last[-1]);)
            *--last = '\0';
        set_point(table, cells[count - 1]);
        at = end ? end + 1 : NULL;
    }
    return count;
}

static int is_number(const char *cell, double *value)
{
    char *end;
    *value = *cell ? strtod(cell, &end) : NAN;
    return !*cell || !*end;
}

/* Finds the columns in the first line. Returns whether it has names, or -1 for a fault. */
static int find_columns(struct table *table, char **cells, int count)
{
    double value;
    int numbers = 0, found = 0;
    table->cells = count;
    table->time = -1;
    for (int index = 0; index < count; index++)
        numbers += is_number(cells[index], &value);
    if (numbers == count) {
        for (int channel = 0; channel < MODEL_CHANNELS; channel++)
            table->columns[channel] = channel;
        return count == MODEL_CHANNELS ? 0 : -1;
    }
    for (int index = 0; index < count; index++) {
        if (!strcmp(cells[index], "time"))
            table->time = index;
        for (int channel = 0; channel < MODEL_CHANNELS; channel++)
            if (!strcmp(cells[index], channel_names[channel])) {
                table->columns[channel] = index;
                found++;
            }
    }
    return found == MODEL_CHANNELS ? 1 : -1;
}

/* The values of a row, and its time. Returns what is wrong with it, or NULL. */
static const char *read_row(const struct table *table, char **cells, int count, float *row,
                            double *time)
{
    double value;
    if (count != table->cells)
        return "it has more or fewer cells than the first line";
    for (int channel = 0; channel < MODEL_CHANNELS; channel++) {
        if (!is_number(cells[table->columns[channel]], &value))
            return "it has a cell that is not a number";
        row[channel] = (float)value;
    }
    *time = 0;
    if (table->time >= 0 && !is_number(cells[table->time], time))
        return "its time is not a number";
    return NULL;
}

static void print_window(const struct table *table, const struct window *window)
{
    static float values[MODEL_PIXELS];
    static char name[LONGEST_LINE];
    snprintf(name, sizeof name, "%s %.2f s", table->name,
             (double)(table->rows - MODEL_STEPS) / (double)MODEL_RATE);
    window_read(window, values);
    print_answer(name, values);
    fflush(stdout);
}

static int is_rate(double intervals, double seconds)
{
    return fabs(intervals / seconds / (double)MODEL_RATE - 1) <= TOLERANCE;
}

static int classify_rows(struct table *table)
{
    static char *cells[MOST_CELLS];
    static struct window window;
    float row[MODEL_CHANNELS];
    double time, before = NAN, begin = NAN;
    int windows = 0, in_row = 0, count = read_cells(table, cells), named;
    if (count <= 0)
        return fault(table, count ? UNREADABLE : "the file holds no rows");
    named = find_columns(table, cells, count);
    if (named < 0)
        return fault(table, "the channels of the model are not its columns (MODEL_CHANNEL_NAMES)");
    window_reset(&window);
    for (int is_first = !named;; is_first = 0) {
        const char *reason;
        if (!is_first && (count = read_cells(table, cells)) <= 0)
            break;
        table->rows++;
        if ((reason = read_row(table, cells, count, row, &time)) != NULL)
            return fault(table, reason);
        if (table->time >= 0 && !isnan(before) &&
            !(time > before && (time - before) * (double)MODEL_RATE <= GAP)) {
            window_reset(&window);
            in_row = 0;
        }
        if (!in_row++)
            begin = time;
        before = time;
        if (table->time >= 0 && in_row == MODEL_STEPS && !is_rate(MODEL_STEPS - 1, time - begin))
            return fault(table, WRONG_RATE);
        if (window_add(&window, row)) {
            print_window(table, &window);
            windows++;
        }
    }
    table->rows += count < 0;
    if (count < 0)
        return fault(table, UNREADABLE);
    if (window.count > 1 && window.count == (int)table->rows && in_row < MODEL_STEPS) {
        if (table->time >= 0 && !is_rate(in_row - 1, time - begin))
            return fault(table, WRONG_RATE);
        while (!window_add(&window, row))
            continue;
        table->rows = MODEL_STEPS;
        print_window(table, &window);
        return 0;
    }
    return windows ? 0 : fault(table, "the file holds no window of rows that follow each other");
}

static int classify_csv(const char *name)
{
    struct table table = {name, NULL, 0, 0, 0, -1, {0}, 0};
    int failed;
    table.file = strcmp(name, "-") ? fopen(name, "rb") : stdin;
    if (!table.file) {
        fprintf(stderr, "error: %s cannot be read\n", name);
        return 1;
    }
    failed = classify_rows(&table);
    if (table.file != stdin)
        fclose(table.file);
    return failed;
}

static int classify_windows(const char *name, const uint8_t *bytes, size_t length)
{
    if (length == 0 || length % MODEL_BYTES) {
        fprintf(stderr, "error: the %lu bytes of %s are not a multiple of %lu, those of a window\n",
                (unsigned long)length, name, (unsigned long)MODEL_BYTES);
        return 1;
    }
    for (size_t start = 0; start < length; start += MODEL_BYTES) {
        static float values[MODEL_PIXELS];
        memcpy(values, bytes + start, MODEL_BYTES);
        print_answer(name, values);
    }
    return 0;
}

static int print_usage(FILE *file)
{
    fprintf(file,
            "%s %s\n"
            "usage: classify FILE...\n"
            "       classify --windows FILE\n"
            "       classify --prove acceptance.bin\n"
            "A FILE is a CSV with the columns",
            MODEL_NAME, MODEL_VERSION);
    for (int channel = 0; channel < MODEL_CHANNELS; channel++)
        fprintf(file, " %s", channel_names[channel]);
    fprintf(file, " at %g Hz; - is standard input.\n", (double)MODEL_RATE);
    return file == stderr ? 2 : 0;
}

int main(int count, char **arguments)
{
    int failed = 0;
    if (count < 2 || !strcmp(arguments[1], "--help"))
        return print_usage(count < 2 ? stderr : stdout);
    if (!strcmp(arguments[1], "--prove") || !strcmp(arguments[1], "--windows")) {
        const int proves = !strcmp(arguments[1], "--prove");
        if (count != 3)
            fprintf(stderr, "error: %s expects one file\n", arguments[1]);
        return count == 3 ? with_file(arguments[2], proves ? prove : classify_windows) : 2;
    }
    for (int index = 1; index < count; index++)
        failed |= classify_csv(arguments[index]);
    return failed;
}
