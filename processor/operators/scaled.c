// SPDX-License-Identifier: Apache-2.0
// Numerics kept by scale: exact sums whose display scale is a function of the multiset.
//
// PostgreSQL shows a sum with the largest scale among the values. Under retraction that scale can shrink again, so a
// group counts and sums its values for each scale apart, in slots (count, scale, sum of coefficients in 192 bits, sum
// of their squares in 320 bits where wanted). Nothing is rescaled while rows come and go; a slot whose count and sums
// are zero is free. A group starts with room for one scale and doubles when it meets more, up to the 64 that exist. A
// sum holds 2^63 rows of the largest coefficient (122 bits), so it never overflows.
#include "processor/operators/aggregate_internal.h"

struct __attribute__((packed)) slot {
    int64_t count;
    uint32_t scale;
    uint32_t unused;
    uint64_t sum[3];     // when the slot is BR_SUM_SLOT or larger
    uint64_t squares[5]; // when it is BR_SQUARES_SLOT
};

static uint32_t slot_words(uint32_t size) {
    return size == BR_SCALE_SLOT ? 0 : size == BR_SUM_SLOT ? 3 : 8;
}

static struct slot *slots_of(const struct br_aggregator *aggregator, struct br_tracker tracker, const uint8_t *value,
                             uint32_t *ret_capacity) {
    const struct br_group *group = (const struct br_group *)value;
    *ret_capacity = group->slot_capacity;
    return (struct slot *)(uintptr_t)(value + aggregator->fixed_size + group->slot_capacity * tracker.offset);
}

static struct slot *slot_at(struct slot *slots, struct br_tracker tracker, uint32_t index) {
    return (struct slot *)((uint8_t *)slots + index * tracker.size);
}

static bool is_free(const struct slot *slot, struct br_tracker tracker) {
    if (slot->count != 0)
        return false;
    uint64_t any = 0;
    for (uint32_t w = 0; w < slot_words(tracker.size); w++)
        any |= w < 3 ? slot->sum[w] : slot->squares[w - 3];
    return any == 0;
}

// The slot of the scale, or a free one made to it; NULL when there is no room.
static struct slot *find_slot(const struct br_aggregator *aggregator, struct br_tracker tracker, uint8_t *value,
                              unsigned scale) {
    uint32_t capacity;
    struct slot *slots = slots_of(aggregator, tracker, value, &capacity), *free_slot = NULL;
    for (uint32_t i = 0; i < capacity; i++) {
        struct slot *slot = slot_at(slots, tracker, i);
        bool unused = is_free(slot, tracker);
        if (!unused && slot->scale == scale)
            return slot;
        if (unused && free_slot == NULL)
            free_slot = slot;
    }
    if (free_slot != NULL)
        free_slot->scale = scale;
    return free_slot;
}

static struct slot *obtain_slot(struct br_aggregator *aggregator, struct br_tracker tracker, struct br_entry *entry,
                                unsigned scale, bool *ret_moved) {
    struct slot *slot = find_slot(aggregator, tracker, entry->value, scale);
    *ret_moved = slot == NULL;
    if (slot != NULL)
        return slot;
    uint32_t capacity = ((const struct br_group *)entry->value)->slot_capacity;
    BR_CHECK(capacity <= BR_NUMERIC_SCALE_MAX);
    br_group_relay(aggregator, entry, 2 * capacity, NULL, (struct br_slice){0});
    return find_slot(aggregator, tracker, entry->value, scale);
}

// --- two's complement words
static void add_words(uint64_t *words, uint32_t count, __int128 value) {
    unsigned __int128 bits = (unsigned __int128)value;
    uint64_t sign = value < 0 ? UINT64_MAX : 0, carry = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t part = i == 0 ? (uint64_t)bits : i == 1 ? (uint64_t)(bits >> 64) : sign;
        unsigned __int128 sum = (unsigned __int128)words[i] + part + carry;
        words[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

static void add_wide(uint64_t *words, uint32_t count, const struct br_int1280 *value) {
    uint64_t carry = value->negative ? 1 : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t part = value->negative ? ~value->limbs[i] : value->limbs[i];
        unsigned __int128 sum = (unsigned __int128)words[i] + part + carry;
        words[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

static void add_sum(struct slot *slot, __int128 coefficient, int32_t weight) {
    uint64_t words[3];
    memcpy(words, slot->sum, sizeof words);
    if (weight == 1 || weight == -1) {
        add_words(words, 3, weight < 0 ? -coefficient : coefficient);
    } else {
        struct br_int1280 value = br_int1280_from_int128(coefficient), factor = br_int1280_from_int128(weight);
        struct br_int1280 product = br_int1280_multiply(&value, &factor);
        add_wide(words, 3, &product);
    }
    memcpy(slot->sum, words, sizeof words);
}

static void add_square(struct slot *slot, __int128 coefficient, int32_t weight) {
    uint64_t words[5];
    memcpy(words, slot->squares, sizeof words);
    struct br_int1280 value = br_int1280_from_int128(coefficient), factor = br_int1280_from_int128(weight);
    struct br_int1280 square = br_int1280_multiply(&value, &value);
    struct br_int1280 product = br_int1280_multiply(&square, &factor);
    add_wide(words, 5, &product);
    memcpy(slot->squares, words, sizeof words);
}

bool br_scaled_add(struct br_aggregator *aggregator, struct br_tracker tracker, struct br_entry *entry,
                   struct br_numeric value, int32_t weight) {
    bool moved;
    struct slot *slot = obtain_slot(aggregator, tracker, entry, br_numeric_scale(value), &moved);
    __int128 coefficient = br_numeric_coefficient(value);
    slot->count += weight;
    if (tracker.size >= BR_SUM_SLOT)
        add_sum(slot, coefficient, weight);
    if (tracker.size >= BR_SQUARES_SLOT)
        add_square(slot, coefficient, weight);
    return moved;
}

bool br_scaled_count(struct br_aggregator *aggregator, struct br_tracker tracker, struct br_entry *entry,
                     unsigned scale, int32_t weight) {
    bool moved;
    obtain_slot(aggregator, tracker, entry, scale, &moved)->count += weight;
    return moved;
}

// --- results
unsigned br_scaled_largest(const struct br_aggregator *aggregator, struct br_tracker tracker, const uint8_t *value) {
    uint32_t capacity;
    struct slot *slots = slots_of(aggregator, tracker, value, &capacity);
    unsigned largest = 0;
    for (uint32_t i = 0; i < capacity; i++) {
        const struct slot *slot = slot_at(slots, tracker, i);
        if (!is_free(slot, tracker) && slot->scale > largest)
            largest = slot->scale;
    }
    return largest;
}

struct br_int1280 br_scaled_sum(const struct br_aggregator *aggregator, struct br_tracker tracker, const uint8_t *value,
                                unsigned scale) {
    uint32_t capacity;
    struct slot *slots = slots_of(aggregator, tracker, value, &capacity);
    struct br_int1280 total = {0};
    for (uint32_t i = 0; i < capacity; i++) {
        const struct slot *slot = slot_at(slots, tracker, i);
        if (is_free(slot, tracker))
            continue;
        uint64_t words[3];
        memcpy(words, slot->sum, sizeof words);
        struct br_int1280 sum = br_int1280_from_words(words, 3);
        sum = br_int1280_scale_up(&sum, scale - slot->scale);
        total = br_int1280_add(&total, &sum);
    }
    return total;
}

struct br_int1280 br_scaled_squares(const struct br_aggregator *aggregator, struct br_tracker tracker,
                                    const uint8_t *value, unsigned scale) {
    uint32_t capacity;
    struct slot *slots = slots_of(aggregator, tracker, value, &capacity);
    struct br_int1280 total = {0};
    for (uint32_t i = 0; i < capacity; i++) {
        const struct slot *slot = slot_at(slots, tracker, i);
        if (is_free(slot, tracker))
            continue;
        uint64_t words[5];
        memcpy(words, slot->squares, sizeof words);
        struct br_int1280 squares = br_int1280_from_words(words, 5);
        squares = br_int1280_scale_up(&squares, 2 * (scale - slot->scale));
        total = br_int1280_add(&total, &squares);
    }
    return total;
}

bool br_scaled_quick_sum(const struct br_aggregator *aggregator, struct br_tracker tracker, const uint8_t *value,
                         struct br_numeric *ret) {
    uint32_t capacity;
    struct slot *slots = slots_of(aggregator, tracker, value, &capacity);
    const struct slot *only = NULL;
    for (uint32_t i = 0; i < capacity; i++) {
        const struct slot *slot = slot_at(slots, tracker, i);
        if (is_free(slot, tracker))
            continue;
        if (only != NULL)
            return false;
        only = slot;
    }
    if (only == NULL)
        return false;
    __int128 sum = (__int128)((unsigned __int128)only->sum[1] << 64 | only->sum[0]);
    bool fits = only->sum[2] == (sum < 0 ? UINT64_MAX : 0);
    return fits && br_numeric_make(sum, only->scale, ret);
}

// --- layout
// Moves the slots to their places for the new capacity; `from` is a copy of the old value.
static void relay_slots(const struct br_aggregator *aggregator, const uint8_t *from, uint8_t *to, uint32_t capacity,
                        struct br_tracker tracker) {
    uint32_t old_capacity = ((const struct br_group *)from)->slot_capacity;
    if (tracker.size == 0)
        return;
    memcpy(to + aggregator->fixed_size + capacity * tracker.offset,
           from + aggregator->fixed_size + old_capacity * tracker.offset, old_capacity * tracker.size);
}

static struct br_slice tail_part(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                 const uint8_t *value) {
    return accumulator->form == BR_FORM_TEXT_EXTREME ? br_extreme_text(aggregator, accumulator, value)
                                                     : br_double_part(aggregator, accumulator, value);
}

// The tail has the parts of the accumulators one after the other.
static void relay_tail(struct br_aggregator *aggregator, const uint8_t *from, const struct br_accumulator *changed,
                       struct br_slice part) {
    for (uint32_t t = 0; t < aggregator->in_tail_count; t++) {
        const struct br_accumulator *accumulator = &aggregator->accumulators[aggregator->in_tail[t]];
        br_buffer_append_slice(&aggregator->other_buffer,
                               accumulator == changed ? part : tail_part(aggregator, accumulator, from));
    }
}

static void set_places(struct br_aggregator *aggregator, const uint8_t *from, uint8_t *to,
                       const struct br_accumulator *changed, struct br_slice part) {
    uint32_t offset = 0;
    for (uint32_t t = 0; t < aggregator->in_tail_count; t++) {
        const struct br_accumulator *accumulator = &aggregator->accumulators[aggregator->in_tail[t]];
        uint32_t len = (uint32_t)(accumulator == changed ? part : tail_part(aggregator, accumulator, from)).len;
        if (accumulator->form == BR_FORM_TEXT_EXTREME)
            br_extreme_set_place(accumulator, to, offset, len);
        else
            br_double_set_place(accumulator, to, offset, len);
        offset += len;
    }
}

void br_group_relay(struct br_aggregator *aggregator, struct br_entry *entry, uint32_t capacity,
                    const struct br_accumulator *changed, struct br_slice part) {
    br_buffer_clear(&aggregator->buffer);
    br_buffer_append(&aggregator->buffer, entry->value, entry->value_len);
    const uint8_t *from = aggregator->buffer.ptr;
    br_buffer_clear(&aggregator->other_buffer);
    relay_tail(aggregator, from, changed, part);
    uint32_t tail_at = aggregator->fixed_size + capacity * aggregator->slots_size;
    uint32_t tail_len = (uint32_t)aggregator->other_buffer.len;
    br_entry_resize(aggregator->groups, entry, tail_at + tail_len);
    uint8_t *to = entry->value;
    memcpy(to, from, aggregator->fixed_size);
    memset(to + aggregator->fixed_size, 0, tail_at - aggregator->fixed_size);
    for (uint32_t a = 0; a < aggregator->accumulator_count; a++)
        relay_slots(aggregator, from, to, capacity, aggregator->accumulators[a].tracker);
    for (uint32_t g = 0; g < aggregator->op.node->aggregate.group_count; g++)
        relay_slots(aggregator, from, to, capacity, aggregator->group_scales[g]);
    set_places(aggregator, from, to, changed, part);
    if (tail_len != 0)
        memcpy(to + tail_at, aggregator->other_buffer.ptr, tail_len);
    struct br_group *group = (struct br_group *)to;
    group->slot_capacity = capacity;
    group->tail_len = tail_len;
}
