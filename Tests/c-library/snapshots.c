/* Snapshots: every state of a run, whole and damaged in every way. */
#include "checks.h"

static unsigned char *snapshot_of(const lbfgsd_optimizer *optimizer, size_t *size) {
    size_t room = lbfgsd_snapshot_size(optimizer);
    CHECK(room > 0 && room % 8 == 0);
    unsigned char *bytes = malloc(room);
    EXPECT(LBFGSD_ERROR_ROOM, lbfgsd_snapshot(optimizer, bytes, room - 1, size, &error), "bytes");
    EXPECT(LBFGSD_OK, lbfgsd_snapshot(optimizer, bytes, room, size, &error), "");
    CHECK(*size == room);
    return bytes;
}

/* Writes and reads back the optimizer, which is destroyed; its snapshot must stay the same. */
static lbfgsd_optimizer *passed_on(lbfgsd_optimizer *optimizer, lbfgsd_status status) {
    size_t size, again;
    unsigned char *bytes = snapshot_of(optimizer, &size);
    lbfgsd_destroy(optimizer);
    lbfgsd_optimizer *restored;
    EXPECT(status == LBFGSD_EVALUATE ? LBFGSD_EVALUATE : LBFGSD_OK,
           lbfgsd_restore(&restored, bytes, size, &error), "");
    unsigned char *repeated = snapshot_of(restored, &again);
    CHECK(again == size && memcmp(bytes, repeated, size) == 0);
    free(bytes);
    free(repeated);
    return restored;
}

enum { n = 7, evaluations_max = 400 };

struct setting {
    int32_t mode, line_search, history_dtype;
    int bounded;
    double l1;
};

static lbfgsd_optimizer *created(const struct setting *setting) {
    double x0[n], lower[n], upper[n];
    rosenbrock_start(n, x0);
    for (int i = 0; i < n; i++) lower[i] = i % 3 ? -2 : -INFINITY, upper[i] = i % 3 ? 0.8 : 9;
    lbfgsd_options options = default_options(setting->mode);
    options.line_search = setting->line_search;
    options.history_dtype = setting->history_dtype;
    options.history_size = 5;
    options.max_iter = 30;
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create(&optimizer, n, x0, &options, &error), "");
    if (setting->bounded)
        EXPECT(LBFGSD_OK, lbfgsd_set_bounds(optimizer, lower, upper, &error), "");
    if (setting->l1 > 0)
        EXPECT(LBFGSD_OK, lbfgsd_set_uniform_l1(optimizer, setting->l1, &error), "");
    return optimizer;
}

/* Runs two steps and stores the points; reads the optimizer back between all events if asked. */
static int points_of(const struct setting *setting, int restores, double *points) {
    lbfgsd_optimizer *optimizer = created(setting);
    int count = 0;
    for (int step = 0; step < 2; step++) {
        lbfgsd_status status = lbfgsd_begin(optimizer, NULL, NULL);
        while (status == LBFGSD_EVALUATE) {
            if (restores) optimizer = passed_on(optimizer, status);
            CHECK(count < evaluations_max);
            double g[n], *x = points + n * count++;
            memcpy(x, lbfgsd_point(optimizer), sizeof g);
            double loss = count == 9 ? NAN : rosenbrock(n, x, g);
            status = lbfgsd_advance(optimizer, loss, count == 9 ? NULL : g, NULL);
        }
        CHECK(status == LBFGSD_FINISHED);
        lbfgsd_result before = result_of(optimizer);
        if (restores) optimizer = passed_on(optimizer, status);
        lbfgsd_result after = result_of(optimizer);
        CHECK(memcmp(&before, &after, sizeof before) == 0);
    }
    memcpy(points + n * count, lbfgsd_x(optimizer), n * sizeof *points);
    lbfgsd_destroy(optimizer);
    return count;
}

static void test_resumed_runs_have_the_same_bits(void) {
    static const struct setting settings[] = {
        {LBFGSD_MODE_ROBUST, LBFGSD_LINE_SEARCH_DEFAULT, LBFGSD_DTYPE_DEFAULT, 0, 0},
        {LBFGSD_MODE_ROBUST, LBFGSD_LINE_SEARCH_MORE_THUENTE, LBFGSD_BFLOAT16, 0, 0},
        {LBFGSD_MODE_ROBUST, LBFGSD_LINE_SEARCH_BACKTRACKING, LBFGSD_FLOAT32, 1, 0},
        {LBFGSD_MODE_ROBUST, LBFGSD_LINE_SEARCH_STRONG_WOLFE, LBFGSD_DTYPE_DEFAULT, 0, 0.25},
        {LBFGSD_MODE_ROBUST, LBFGSD_LINE_SEARCH_DEFAULT, LBFGSD_DTYPE_DEFAULT, 1, 0.25},
        {LBFGSD_MODE_TORCH, LBFGSD_LINE_SEARCH_STRONG_WOLFE, LBFGSD_DTYPE_DEFAULT, 0, 0},
        {LBFGSD_MODE_TORCH, LBFGSD_LINE_SEARCH_DEFAULT, LBFGSD_DTYPE_DEFAULT, 0, 0},
    };
    static double whole[n * (evaluations_max + 1)], resumed[n * (evaluations_max + 1)];
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        int count = points_of(&settings[i], 0, whole);
        CHECK(count > 9 && points_of(&settings[i], 1, resumed) == count);
        CHECK(memcmp(whole, resumed, n * (count + 1) * sizeof *whole) == 0);
    }
}

static void test_float32_resumes(void) {
    float x0[2] = {-1.2f, 1}, g[2];
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create_f32(&optimizer, 2, x0, NULL, &error), "");
    lbfgsd_status status = lbfgsd_begin(optimizer, NULL, NULL);
    for (int i = 0; i < 12 && status == LBFGSD_EVALUATE; i++) {
        float x[2];
        memcpy(x, lbfgsd_point_f32(optimizer), sizeof x);
        optimizer = passed_on(optimizer, status);
        CHECK(lbfgsd_get_dtype(optimizer) == LBFGSD_FLOAT32);
        CHECK(memcmp(x, lbfgsd_point_f32(optimizer), sizeof x) == 0);
        double loss = rosenbrock_f32(2, x, g);
        status = lbfgsd_advance_f32(optimizer, loss, g, NULL);
    }
    CHECK(status == LBFGSD_EVALUATE);
    lbfgsd_destroy(optimizer);
}

/* The checksum of the format, bit by bit: CRC-32C. */
static uint32_t crc32c(const unsigned char *bytes, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static void sign(unsigned char *bytes, size_t size) {
    uint32_t crc = crc32c(bytes, size - 8);
    for (int i = 0; i < 4; i++) bytes[size - 8 + i] = crc >> 8 * i & 255, bytes[size - 4 + i] = 0;
}

/* A snapshot in the middle of a line search, with pairs and bounds. */
static unsigned char *example(size_t *size) {
    struct setting setting = {LBFGSD_MODE_ROBUST, 0, LBFGSD_FLOAT32, 1, 0.25};
    lbfgsd_optimizer *optimizer = created(&setting);
    lbfgsd_status status = lbfgsd_begin(optimizer, NULL, NULL);
    for (int i = 0; i < 8; i++) {
        double g[n], loss = rosenbrock(n, lbfgsd_point(optimizer), g);
        status = lbfgsd_advance(optimizer, loss, g, NULL);
    }
    CHECK(status == LBFGSD_EVALUATE);
    unsigned char *bytes = snapshot_of(optimizer, size);
    lbfgsd_destroy(optimizer);
    return bytes;
}

static void test_damage_is_an_error(void) {
    size_t size;
    unsigned char *bytes = example(&size);
    lbfgsd_optimizer *restored;
    CHECK(crc32c((const unsigned char *)"123456789", 9) == 0xE3069283u);
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *shorter = malloc(cut ? cut : 1);
        memcpy(shorter, bytes, cut);
        EXPECT(LBFGSD_ERROR_SNAPSHOT, lbfgsd_restore(&restored, shorter, cut, &error), "");
        CHECK(restored == NULL);
        free(shorter);
    }
    /* A bit of each byte, another one each time. */
    for (size_t bit = 0; bit < 8 * size; bit += 9) {
        bytes[bit / 8] ^= 1 << bit % 8;
        EXPECT(LBFGSD_ERROR_SNAPSHOT, lbfgsd_restore(&restored, bytes, size, &error), "");
        bytes[bit / 8] ^= 1 << bit % 8;
    }
    bytes[8] = 2;
    EXPECT(LBFGSD_ERROR_SNAPSHOT, lbfgsd_restore(&restored, bytes, size, &error), "version 2");
    EXPECT(LBFGSD_ERROR_SNAPSHOT, lbfgsd_restore(&restored, bytes, SIZE_MAX, &error), "");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_restore(&restored, NULL, 8, &error), "bytes is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_restore(NULL, bytes, size, &error), "optimizer is NULL");
    free(bytes);
}

/* With a new checksum the bytes can say anything. They are refused, or can be used. */
static void test_forged_snapshots_do_no_harm(int rounds) {
    size_t size;
    unsigned char *bytes = example(&size), *forged = malloc(size);
    uint64_t random = 88172645463325252u;
    int accepted = 0;
    for (int round = 0; round < rounds; round++) {
        memcpy(forged, bytes, size);
        for (int change = 0; change <= round % 3; change++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            /* The first quarter has all of the structure. */
            size_t place = random % (round % 2 ? size : size / 4);
            forged[place] ^= round % 5 ? 1u << (random >> 40) % 8 : (unsigned)(random >> 48);
        }
        sign(forged, size);
        lbfgsd_optimizer *restored;
        lbfgsd_error error;
        lbfgsd_status status = lbfgsd_restore(&restored, forged, size, &error);
        if (status < 0) {
            CHECK(status == LBFGSD_ERROR_SNAPSHOT && restored == NULL && error.text[0]);
            continue;
        }
        accepted++;
        if (status == LBFGSD_OK) status = lbfgsd_begin(restored, NULL, NULL);
        if (lbfgsd_get_dtype(restored) == LBFGSD_FLOAT64)
            for (int i = 0; i < 20 && status == LBFGSD_EVALUATE; i++) {
                size_t count = lbfgsd_count(restored);
                double *g = lbfgsd_gradient_buffer(restored);
                double loss = rosenbrock(count, lbfgsd_point(restored), g);
                status = lbfgsd_advance(restored, loss, g, NULL);
            }
        if (status == LBFGSD_EVALUATE) lbfgsd_stop(restored, NULL);
        lbfgsd_destroy(restored);
    }
    CHECK(accepted > rounds / 20 && accepted < rounds);
    free(bytes);
    free(forged);
}

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 20000;
    test_resumed_runs_have_the_same_bits();
    test_float32_resumes();
    test_damage_is_an_error();
    test_forged_snapshots_do_no_harm(rounds);
    puts("snapshots: ok");
    return 0;
}
