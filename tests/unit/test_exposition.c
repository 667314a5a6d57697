/* test_exposition.c - the text format, read back by a reader of its own that follows the format's
 * description and not our writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/exposition.h"

#include "../support/testing.h"

static void wrote(const struct exposition *exposition, const char *text)
{
	assert_int_equal(exposition->length, strlen(text));
	assert_memory_equal(exposition->text, text, exposition->length);
}

static void numbers(void **state)
{
	struct exposition out = {0};
	const struct exposition_label labels[] = {{"tier", "Q"}, {"state", "idle"}};

	(void)state;
	exposition_family(&out, "a_total", EXPOSITION_COUNTER, "What a is.");
	exposition_number(&out, NULL, 0, 0);
	exposition_number(&out, labels, 1, UINT64_MAX);
	exposition_number(&out, labels, 2, 7);
	exposition_family(&out, "b_seconds", EXPOSITION_GAUGE, "What b is.");
	exposition_nanoseconds(&out, NULL, 0, 0);
	exposition_nanoseconds(&out, NULL, 0, 1);
	exposition_nanoseconds(&out, NULL, 0, 1500000000);
	exposition_nanoseconds(&out, NULL, 0, INT64_C(1700000000) * 1000000000);
	exposition_nanoseconds(&out, NULL, 0, -20000000);
	exposition_nanoseconds(&out, NULL, 0, INT64_MIN);
	wrote(&out, "# HELP a_total What a is.\n# TYPE a_total counter\n"
		    "a_total 0\n"
		    "a_total{tier=\"Q\"} 18446744073709551615\n"
		    "a_total{tier=\"Q\",state=\"idle\"} 7\n"
		    "# HELP b_seconds What b is.\n# TYPE b_seconds gauge\n"
		    "b_seconds 0\nb_seconds 0.000000001\nb_seconds 1.5\nb_seconds 1700000000\n"
		    "b_seconds -0.02\nb_seconds -9223372036.854775808\n");
	exposition_clear(&out);
	wrote(&out, "");
	exposition_free(&out);
	exposition_free(&out);
}

static void histograms(void **state)
{
	static const int64_t bounds[] = {20000, 1000000, 60000000000};
	static const uint64_t counts[] = {1, 0, 2, 4};
	struct exposition out = {0};

	(void)state;
	exposition_family(&out, "h_seconds", EXPOSITION_HISTOGRAM, "H.");
	exposition_histogram(&out, bounds, 3, counts, UINT64_C(5000000001));
	wrote(&out, "# HELP h_seconds H.\n# TYPE h_seconds histogram\n"
		    "h_seconds_bucket{le=\"0.00002\"} 1\nh_seconds_bucket{le=\"0.001\"} 1\n"
		    "h_seconds_bucket{le=\"60\"} 3\nh_seconds_bucket{le=\"+Inf\"} 7\n"
		    "h_seconds_sum 5.000000001\nh_seconds_count 7\n");
	exposition_free(&out);
}

/* Reads an escaped text up to `end` ('"' or newline), which is passed over. */
static const char *unescape(const char *at, char end, char *ret)
{
	for (; *at != end; at++) {
		assert_true(*at && *at != '\n');
		if (*at != '\\') {
			*ret++ = *at;
			continue;
		}
		at++;
		assert_true(*at == '\\' || *at == 'n' || (*at == '"' && end == '"'));
		*ret++ = *at == 'n' ? '\n' : *at;
	}
	*ret = 0;
	return at + 1;
}

static void any_text_comes_back(void **state)
{
	static const char letters[] = "a\\\"\n{},= \t#\xc3\xa9n";
	uint64_t random = 5;

	(void)state;
	for (size_t i = 0; i < testing_scale(20000); i++) {
		char help[32], value[32], other[32], back[64], expected[64];
		struct exposition out = {0};
		const struct exposition_label labels[] = {{"l", value}, {"m", other}};
		char *texts[] = {help, value, other};
		const char *at;

		for (size_t t = 0; t < N(texts); t++) {
			size_t length = testing_random(&random) % 31;

			for (size_t k = 0; k < length; k++)
				texts[t][k] =
					letters[testing_random(&random) % (sizeof letters - 1)];
			texts[t][length] = 0;
		}
		exposition_family(&out, "x", EXPOSITION_GAUGE, help);
		exposition_number(&out, labels, 2, i);
		exposition_number(&out, labels, 0, 0);
		assert_int_equal(out.text[out.length - 1], '\n');
		out.text[out.length - 1] = 0;
		assert_memory_equal(out.text, "# HELP x ", 9);
		at = unescape(out.text + 9, '\n', back);
		assert_string_equal(back, help);
		assert_memory_equal(at, "# TYPE x gauge\nx{l=\"", 20);
		at = unescape(at + 20, '"', back);
		assert_string_equal(back, value);
		assert_memory_equal(at, ",m=\"", 4);
		at = unescape(at + 4, '"', back);
		assert_string_equal(back, other);
		snprintf(expected, sizeof expected, "} %zu\nx 0", i);
		assert_string_equal(at, expected);
		exposition_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(histograms),
		cmocka_unit_test(any_text_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
