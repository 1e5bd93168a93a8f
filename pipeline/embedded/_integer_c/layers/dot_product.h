/*
 * The sum of products that most of a network's time goes into. The order of addition does not
 * matter to integers, so vector instructions give the same sum: those of PCs (SSE2) and of
 * browsers. On Arm, compilers vectorize the plain loop well.
 *
 * Packed weights have four bits, from -8 to 7, and share a byte by twos: the first of them is its
 * lower half.
 */
#ifndef DOT_PRODUCT_H
#define DOT_PRODUCT_H

#include <stdint.h>

static inline int32_t weight_at(const int8_t *weights, int32_t index, int32_t packed)
{
    if (!packed)
        return weights[index];
    int32_t half = (weights[index / 2] >> (index % 2 ? 4 : 0)) & 15;
    return (half ^ 8) - 8;
}

#if defined(__SSE2__) && __STDC_HOSTED__

#include <emmintrin.h>

#define DOT_PRODUCT_STEP 16

static inline __m128i sixteen_weights(const int8_t *weights, int32_t index, int32_t packed)
{
    if (!packed)
        return _mm_loadu_si128((const __m128i *)(weights + index));
    __m128i pairs = _mm_loadl_epi64((const __m128i *)(weights + index / 2));
    __m128i first = _mm_and_si128(pairs, _mm_set1_epi8(15));
    __m128i second = _mm_and_si128(_mm_srli_epi16(pairs, 4), _mm_set1_epi8(15));
    __m128i sign = _mm_set1_epi8(8);
    return _mm_sub_epi8(_mm_xor_si128(_mm_unpacklo_epi8(first, second), sign), sign);
}

/* The sum for a multiple of DOT_PRODUCT_STEP. */
static inline int32_t dot_product_of_vectors(const int16_t *values, const int8_t *weights,
                                             int32_t count, int32_t packed)
{
    __m128i even = _mm_setzero_si128(), odd = even;
    for (int32_t at = 0; at < count; at += DOT_PRODUCT_STEP) {
        __m128i bytes = sixteen_weights(weights, at, packed);
        /* Each byte twice is a 16-bit number, whose upper half is the byte. */
        __m128i first = _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
        __m128i second = _mm_srai_epi16(_mm_unpackhi_epi8(bytes, bytes), 8);
        const __m128i *vectors = (const __m128i *)(values + at);
        even = _mm_add_epi32(even, _mm_madd_epi16(_mm_loadu_si128(vectors), first));
        odd = _mm_add_epi32(odd, _mm_madd_epi16(_mm_loadu_si128(vectors + 1), second));
    }
    __m128i sums = _mm_add_epi32(even, odd);
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(1, 0, 3, 2)));
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtsi128_si32(sums);
}

#elif defined(__wasm_simd128__)

#include <wasm_simd128.h>

#define DOT_PRODUCT_STEP 16

static inline v128_t sixteen_weights(const int8_t *weights, int32_t index, int32_t packed)
{
    if (!packed)
        return wasm_v128_load(weights + index);
    v128_t pairs = wasm_v128_load64_zero(weights + index / 2);
    v128_t first = wasm_v128_and(pairs, wasm_i8x16_splat(15)), second = wasm_u8x16_shr(pairs, 4);
    v128_t halves = wasm_i8x16_shuffle(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                       22, 7, 23);
    v128_t sign = wasm_i8x16_splat(8);
    return wasm_i8x16_sub(wasm_v128_xor(halves, sign), sign);
}

static inline int32_t dot_product_of_vectors(const int16_t *values, const int8_t *weights,
                                             int32_t count, int32_t packed)
{
    v128_t even = wasm_i32x4_splat(0), odd = even;
    for (int32_t at = 0; at < count; at += DOT_PRODUCT_STEP) {
        v128_t bytes = sixteen_weights(weights, at, packed);
        v128_t first = wasm_i16x8_extend_low_i8x16(bytes);
        v128_t second = wasm_i16x8_extend_high_i8x16(bytes);
        even = wasm_i32x4_add(even, wasm_i32x4_dot_i16x8(wasm_v128_load(values + at), first));
        odd = wasm_i32x4_add(odd, wasm_i32x4_dot_i16x8(wasm_v128_load(values + at + 8), second));
    }
    v128_t sums = wasm_i32x4_add(even, odd);
    return wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1) +
           wasm_i32x4_extract_lane(sums, 2) + wasm_i32x4_extract_lane(sums, 3);
}

#endif

static inline int32_t add_products(int32_t sum, const int16_t *values, const int8_t *weights,
                                   int32_t count, int32_t packed)
{
    int32_t at = 0;
#ifdef DOT_PRODUCT_STEP
    at = count - count % DOT_PRODUCT_STEP;
    sum += dot_product_of_vectors(values, weights, at, packed);
#endif
    for (; at < count; at++)
        sum += values[at] * weight_at(weights, at, packed);
    return sum;
}

/* sum + values[0] * weights[0] + ... + values[count - 1] * weights[count - 1] */
static inline int32_t add_dot_product(int32_t sum, const int16_t *values, const int8_t *weights,
                                      int32_t count, int32_t packed)
{
    /* With a constant in place of `packed`, the compiler makes two loops without a question. */
    return packed ? add_products(sum, values, weights, count, 1)
                  : add_products(sum, values, weights, count, 0);
}

/* How many bytes a row of `count` weights takes. */
static inline int32_t bytes_of_weights(int32_t count, int32_t packed)
{
    return packed ? (count + 1) / 2 : count;
}

#endif
