/* What Swift cannot import: functions that glibc's headers declare for _GNU_SOURCE only, and an
 * instruction that not every processor has. Nothing else belongs here; every decision is made in
 * Swift. */
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

extern int fallocate64(int descriptor, int mode, int64_t offset, int64_t length);
extern int sync_file_range(int descriptor, int64_t offset, int64_t length, unsigned flags);

/* fallocate(2) with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE: frees the whole blocks in the
 * range, zeroes the rest of it, and does not change the file's length. */
static inline int
clinux_punch_hole(int descriptor, int64_t offset, int64_t length)
{
    return fallocate64(descriptor, 0x02 | 0x01, offset, length);
}

/* open(2) with O_DIRECT: reads and writes bypass the page cache. */
static inline int
clinux_open_directly(const char *path, int flags)
{
    return open(path, flags | __O_DIRECT, 0600);
}

/* sync_file_range(2) with SYNC_FILE_RANGE_WRITE: starts the write-back of the range. */
static inline int
clinux_begin_writing(int descriptor, int64_t offset, int64_t length)
{
    return sync_file_range(descriptor, offset, length, 0x02);
}

/* sync_file_range(2) with SYNC_FILE_RANGE_WAIT_BEFORE: waits for write-back of the range that is
 * in progress. It only paces the writer: neither the file's size nor the disk's own cache is
 * synced. */
static inline int
clinux_await_writing(int descriptor, int64_t offset, int64_t length)
{
    return sync_file_range(descriptor, offset, length, 0x01);
}

/* CRC-32C by instruction: SSE 4.2's crc32, or that of ARMv8's CRC extension. It takes eight bytes,
 * and its result is available after three cycles, so that three independent sums take the time of
 * one. Sums are raw: neither input nor output is inverted. */
#if defined(__x86_64__)
#define CLINUX_HAS_CRC32C 1
#define CLINUX_CRC32C_TARGET __attribute__((target("sse4.2")))
#define CLINUX_CRC32C_WORD(sum, word) ((uint32_t)__builtin_ia32_crc32di((sum), (word)))
#define CLINUX_CRC32C_BYTE(sum, byte) __builtin_ia32_crc32qi((sum), (byte))

static inline int
clinux_can_crc32c(void)
{
    /* Leaf 1, bit 20 of ECX: SSE 4.2. */
    uint32_t a = 1, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (int)(c >> 20 & 1);
}
#elif defined(__aarch64__) && defined(__linux__)
#define CLINUX_HAS_CRC32C 1
#define CLINUX_CRC32C_TARGET __attribute__((target("crc")))
#define CLINUX_CRC32C_WORD(sum, word) __builtin_arm_crc32cd((sum), (word))
#define CLINUX_CRC32C_BYTE(sum, byte) __builtin_arm_crc32cb((sum), (byte))

extern unsigned long getauxval(unsigned long type);

static inline int
clinux_can_crc32c(void)
{
    /* AT_HWCAP, HWCAP_CRC32 */
    return (int)(getauxval(16) >> 7 & 1);
}
#else
#define CLINUX_HAS_CRC32C 0
static inline int clinux_can_crc32c(void) { return 0; }
#endif

#if CLINUX_HAS_CRC32C
CLINUX_CRC32C_TARGET static inline uint64_t
clinux_word(const uint8_t *bytes)
{
    uint64_t word;
    __builtin_memcpy(&word, bytes, sizeof word);
    return word;
}

/* The sum of `count` bytes, continued from `sum`. Requires that clinux_can_crc32c() returns 1. */
CLINUX_CRC32C_TARGET static inline uint32_t
clinux_crc32c(uint32_t sum, const uint8_t *bytes, size_t count)
{
    for (; count >= 8; bytes += 8, count -= 8) {
        sum = CLINUX_CRC32C_WORD(sum, clinux_word(bytes));
    }
    for (; count > 0; bytes++, count--) sum = CLINUX_CRC32C_BYTE(sum, *bytes);
    return sum;
}

/* The sums of three adjacent stretches of `count` bytes each, continued from sums[0..2]. `count` is
 * a multiple of 8. */
CLINUX_CRC32C_TARGET static inline void
clinux_crc32c_three(uint32_t sums[3], const uint8_t *bytes, size_t count)
{
    uint32_t first = sums[0], second = sums[1], third = sums[2];
    for (const uint8_t *end = bytes + count; bytes < end; bytes += 8) {
        first = CLINUX_CRC32C_WORD(first, clinux_word(bytes));
        second = CLINUX_CRC32C_WORD(second, clinux_word(bytes + count));
        third = CLINUX_CRC32C_WORD(third, clinux_word(bytes + 2 * count));
    }
    sums[0] = first;
    sums[1] = second;
    sums[2] = third;
}
#else
static inline uint32_t
clinux_crc32c(uint32_t sum, const uint8_t *bytes, size_t count)
{
    (void)bytes, (void)count;
    return sum;
}

static inline void
clinux_crc32c_three(uint32_t sums[3], const uint8_t *bytes, size_t count)
{
    (void)sums, (void)bytes, (void)count;
}
#endif

#endif
