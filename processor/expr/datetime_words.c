// SPDX-License-Identifier: Apache-2.0
// The words that PostgreSQL knows in dates and times, and the abbreviations of zones that always mean one offset.
#include "processor/expr/datetime_internal.h"

static const struct br_time_word words[] = {
    {"jan", BR_WORD_MONTH, 1},
    {"january", BR_WORD_MONTH, 1},
    {"feb", BR_WORD_MONTH, 2},
    {"february", BR_WORD_MONTH, 2},
    {"mar", BR_WORD_MONTH, 3},
    {"march", BR_WORD_MONTH, 3},
    {"apr", BR_WORD_MONTH, 4},
    {"april", BR_WORD_MONTH, 4},
    {"may", BR_WORD_MONTH, 5},
    {"jun", BR_WORD_MONTH, 6},
    {"june", BR_WORD_MONTH, 6},
    {"jul", BR_WORD_MONTH, 7},
    {"july", BR_WORD_MONTH, 7},
    {"aug", BR_WORD_MONTH, 8},
    {"august", BR_WORD_MONTH, 8},
    {"sep", BR_WORD_MONTH, 9},
    {"sept", BR_WORD_MONTH, 9},
    {"september", BR_WORD_MONTH, 9},
    {"oct", BR_WORD_MONTH, 10},
    {"october", BR_WORD_MONTH, 10},
    {"nov", BR_WORD_MONTH, 11},
    {"november", BR_WORD_MONTH, 11},
    {"dec", BR_WORD_MONTH, 12},
    {"december", BR_WORD_MONTH, 12},
    {"sun", BR_WORD_WEEKDAY, 0},
    {"sunday", BR_WORD_WEEKDAY, 0},
    {"mon", BR_WORD_WEEKDAY, 0},
    {"monday", BR_WORD_WEEKDAY, 0},
    {"tue", BR_WORD_WEEKDAY, 0},
    {"tues", BR_WORD_WEEKDAY, 0},
    {"tuesday", BR_WORD_WEEKDAY, 0},
    {"wed", BR_WORD_WEEKDAY, 0},
    {"wednesday", BR_WORD_WEEKDAY, 0},
    {"weds", BR_WORD_WEEKDAY, 0},
    {"thu", BR_WORD_WEEKDAY, 0},
    {"thur", BR_WORD_WEEKDAY, 0},
    {"thurs", BR_WORD_WEEKDAY, 0},
    {"thursday", BR_WORD_WEEKDAY, 0},
    {"fri", BR_WORD_WEEKDAY, 0},
    {"friday", BR_WORD_WEEKDAY, 0},
    {"sat", BR_WORD_WEEKDAY, 0},
    {"saturday", BR_WORD_WEEKDAY, 0},
    {"z", BR_WORD_ZONE, 0},
    {"utc", BR_WORD_ZONE, 0},
    {"gmt", BR_WORD_ZONE, 0},
    {"ut", BR_WORD_ZONE, 0},
    {"uct", BR_WORD_ZONE, 0},
    {"zulu", BR_WORD_ZONE, 0},
    {"est", BR_WORD_ZONE, -300},
    {"edt", BR_WORD_ZONE, -240},
    {"cst", BR_WORD_ZONE, -360},
    {"cdt", BR_WORD_ZONE, -300},
    {"mst", BR_WORD_ZONE, -420},
    {"mdt", BR_WORD_ZONE, -360},
    {"pst", BR_WORD_ZONE, -480},
    {"pdt", BR_WORD_ZONE, -420},
    {"akst", BR_WORD_ZONE, -540},
    {"akdt", BR_WORD_ZONE, -480},
    {"hst", BR_WORD_ZONE, -600},
    {"wet", BR_WORD_ZONE, 0},
    {"cet", BR_WORD_ZONE, 60},
    {"mez", BR_WORD_ZONE, 60},
    {"bst", BR_WORD_ZONE, 60},
    {"cest", BR_WORD_ZONE, 120},
    {"mesz", BR_WORD_ZONE, 120},
    {"eet", BR_WORD_ZONE, 120},
    {"eest", BR_WORD_ZONE, 180},
    {"sast", BR_WORD_ZONE, 120},
    {"jst", BR_WORD_ZONE, 540},
    {"acst", BR_WORD_ZONE, 570},
    {"aest", BR_WORD_ZONE, 600},
    {"nzst", BR_WORD_ZONE, 720},
    {"nzdt", BR_WORD_ZONE, 780},
    {"am", BR_WORD_MERIDIEM, 0},
    {"pm", BR_WORD_MERIDIEM, 1},
    {"ad", BR_WORD_ERA, 0},
    {"bc", BR_WORD_ERA, 1},
    {"at", BR_WORD_IGNORED, 0},
    {"on", BR_WORD_IGNORED, 0},
    {"t", BR_WORD_TIME_FOLLOWS, 0},
    {"j", BR_WORD_JULIAN, 0},
    {"jd", BR_WORD_JULIAN, 0},
    {"julian", BR_WORD_JULIAN, 0},
    {"epoch", BR_WORD_EPOCH, 0},
    {"infinity", BR_WORD_INFINITE, 0},
    {"+infinity", BR_WORD_INFINITE, 0},
    {"-infinity", BR_WORD_INFINITE, 0},
    {"now", BR_WORD_CLOCK, 0},
    {"today", BR_WORD_CLOCK, 0},
    {"tomorrow", BR_WORD_CLOCK, 0},
    {"yesterday", BR_WORD_CLOCK, 0},
    {"allballs", BR_WORD_MIDNIGHT, 0},
};

const struct br_time_word *br_time_word_find(const char *text, size_t len) {
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].text) == len && memcmp(words[i].text, text, len) == 0)
            return &words[i];
    return NULL;
}

bool br_time_word_is_known(const char *text, size_t len) {
    static const char *const others[] = {"d", "dow", "doy", "dst", "h", "isodow", "isoyear", "m", "mm", "s", "y"};
    const struct br_time_word *word = br_time_word_find(text, len);
    if (word != NULL)
        return word->kind != BR_WORD_ZONE;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strlen(others[i]) == len && memcmp(others[i], text, len) == 0)
            return true;
    return false;
}
