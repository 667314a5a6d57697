/* test_addresses.c - SHA-256, HMAC, the key file, and what events say of addresses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/addresses.h"
#include "qfwatch/events.h"

#include "../support/lines.h"
#include "../support/testing.h"

static const char *hex(const unsigned char *bytes)
{
	static char text[SHA256_BYTES * 2 + 1];

	for (size_t i = 0; i < SHA256_BYTES; i++)
		snprintf(text + i * 2, 3, "%02x", bytes[i]);
	return text;
}

/* FIPS 180-2, appendix B, and the empty message. */
static void sha256_examples(void)
{
	static const struct {
		const char *text, *expected;
	} table[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	unsigned char hash[SHA256_BYTES];
	struct sha256 sha;

	for (size_t i = 0; i < N(table); i++) {
		sha256_begin(&sha);
		sha256_add(&sha, table[i].text, strlen(table[i].text));
		sha256_end(&sha, hash);
		check_text(hex(hash), table[i].expected);
	}
	sha256_begin(&sha);
	for (int i = 0; i < 1000000 / 125; i++) {
		char piece[125];

		memset(piece, 'a', sizeof(piece));
		sha256_add(&sha, piece, sizeof(piece));
	}
	sha256_end(&sha, hash);
	check_text(hex(hash), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Cut anywhere, it is the same; and each length around the padding is another one. */
static void sha256_pieces(void)
{
	unsigned char whole[SHA256_BYTES], cut[SHA256_BYTES], bytes[200];
	struct sha256 sha;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7);
	for (size_t length = 0; length <= sizeof(bytes); length++) {
		sha256_begin(&sha);
		sha256_add(&sha, bytes, length);
		sha256_end(&sha, whole);
		for (size_t at = 0; at <= length; at += 13) {
			sha256_begin(&sha);
			sha256_add(&sha, bytes, at);
			sha256_add(&sha, bytes + at, length - at);
			sha256_end(&sha, cut);
			check(memcmp(whole, cut, sizeof(cut)) == 0);
		}
	}
}

/* RFC 4231, section 4. */
static void hmac_examples(void)
{
	unsigned char key[131], data[50], hash[SHA256_BYTES];
	struct hmac_sha256 hmac;

	memset(key, 0x0b, 20);
	hmac_sha256_key(&hmac, key, 20);
	hmac_sha256(&hmac, "Hi There", 8, hash);
	check_text(hex(hash), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256_key(&hmac, "Jefe", 4);
	hmac_sha256(&hmac, "what do ya want for nothing?", 28, hash);
	check_text(hex(hash), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	hmac_sha256_key(&hmac, key, 20);
	hmac_sha256(&hmac, data, sizeof(data), hash);
	check_text(hex(hash), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	/* The same key again: nothing of the last message is left in it. */
	hmac_sha256(&hmac, data, sizeof(data), hash);
	check_text(hex(hash), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	/* A key longer than a block. */
	hmac_sha256_key(&hmac, key, sizeof(key));
	hmac_sha256(&hmac, "Test Using Larger Than Block-Size Key - Hash Key First", 54, hash);
	check_text(hex(hash), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* ---- the key file ---- */

#define KEY "0123456789abcdef0123456789abcdef"

static struct policy hashing(char *path)
{
	static struct policy_sink sink = {.type = POLICY_SINK_STDOUT};

	return (struct policy){.addresses = POLICY_ADDRESSES_HASH,
			       .addresses_key = path,
			       .sinks = &sink,
			       .n_sinks = 1,
			       .events = UINT32_MAX};
}

static void refused(const char *why)
{
	struct addresses addresses = {.how = POLICY_ADDRESSES_FULL};
	char *path = strdup(testing_path("key"));
	struct policy policy = hashing(path);
	struct problems problems = {0};

	check(addresses_configure(&addresses, &policy, &problems) < 0);
	check_equal(problems.count, 1);
	check_equal(problems_exit_code(&problems), 3);
	check(strstr(problems.list[0].text, "events at /events/addresses_key: cannot use"));
	if (!strstr(problems.list[0].text, why))
		check_text(problems.list[0].text, why);
	check_equal(addresses.how, POLICY_ADDRESSES_FULL);
	problems_free(&problems);
	free(path);
}

static void key_files(void)
{
	struct addresses addresses = {0};
	struct problems problems = {0};
	struct policy policy;
	char *path;

	refused("(No such file or directory): make it");
	testing_write("key", "%s", KEY);
	check(chmod("key", 0640) == 0);
	refused("(mode 0640): nobody but its owner may read it: chmod 0600");
	check(chmod("key", 0604) == 0);
	refused("(mode 0604)");
	testing_write("key", "%.31s", KEY);
	check(chmod("key", 0600) == 0);
	refused("(less than 32 bytes)");
	check(unlink("key") == 0);
	testing_mkdir("key");
	refused("regular file");
	check(rmdir("key") == 0 && mkfifo("key", 0600) == 0);
	refused("not a regular file");
	check(unlink("key") == 0);
	{
		static char much[4097];

		testing_put("key", much, sizeof(much));
	}
	check(chmod("key", 0600) == 0);
	refused("(more than 4096 bytes)");
	testing_write("key", "%s", KEY);
	check(chmod("key", 0400) == 0);
	path = strdup(testing_path("key"));
	policy = hashing(path);
	check_equal(addresses_configure(&addresses, &policy, &problems), 0);
	check_equal(problems.count, 0);
	free(path);
	testing_all_closed();
}

/* ---- in events ---- */

static struct events *showing(enum policy_addresses how)
{
	struct events *events = events_new(false);
	char *path = strdup(testing_path("key"));
	struct policy policy = hashing(path);
	struct problems problems = {0};

	testing_write("key", "%s", KEY);
	check(chmod("key", 0600) == 0);
	policy.addresses = how;
	check_equal(events_configure(events, &policy, &problems), 0);
	check_equal(events_want_addresses(events),
		    how == POLICY_ADDRESSES_HASH || how == POLICY_ADDRESSES_FULL);
	free(path);
	return events;
}

static json_t *render(struct events *events, const struct event *event)
{
	char line[EVENTS_LINE_MAX];

	return lines_parse(line, events_render(events, event, 1, 1, line));
}

static const char *const recipients[] = {"Some.One@Example.NET", "root", "<>"};
static const char *const domains[] = {"example.net"};

static struct event an_event(void)
{
	return (struct event){
		.action = EVENT_MESSAGE_MOVED,
		.text = "text",
		.id = "id",
		.id_length = 2,
		.has_message = true,
		.domains = domains,
		.n_domains = 1,
		.sender = "me@example.org",
		.recipients = recipients,
		.n_recipients = 3,
	};
}

static const char *item(json_t *json, const char *path, size_t index)
{
	return json_string_value(json_array_get(lines_at(json, path), index));
}

static void four_ways(void)
{
	struct event event = an_event();
	struct events *events = showing(POLICY_ADDRESSES_NONE);
	json_t *json = render(events, &event);

	check_equal(json_object_size(lines_at(json, "email")), 1);
	check_text(lines_text(json, "email/local_id"), "id");
	check(!lines_at(json, "qfwatch/message/recipient_domains"));
	check_equal(lines_number(json, "qfwatch/message/attempts"), 0);
	json_decref(json);
	events_free(events);

	events = showing(POLICY_ADDRESSES_DOMAIN);
	json = render(events, &event);
	check_equal(json_object_size(lines_at(json, "email")), 1);
	check_text(item(json, "qfwatch/message/recipient_domains", 0), "example.net");
	json_decref(json);
	events_free(events);

	events = showing(POLICY_ADDRESSES_FULL);
	json = render(events, &event);
	check_equal(json_array_size(lines_at(json, "email/from/address")), 1);
	check_text(item(json, "email/from/address", 0), "me@example.org");
	check_equal(json_array_size(lines_at(json, "email/to/address")), 3);
	check_text(item(json, "email/to/address", 0), "Some.One@Example.NET");
	check_text(item(json, "email/to/address", 1), "root");
	check_text(item(json, "email/to/address", 2), "<>");
	check_text(item(json, "qfwatch/message/recipient_domains", 0), "example.net");
	check(!lines_at(json, "qfwatch/truncated"));
	json_decref(json);
	/* Without a queue id, and without a sender. */
	event.id = NULL;
	event.sender = NULL;
	json = render(events, &event);
	check_equal(json_object_size(lines_at(json, "email")), 1);
	json_decref(json);
	event.n_recipients = 0;
	json = render(events, &event);
	check(!lines_at(json, "email"));
	json_decref(json);
	events_free(events);
}

/* The digits are those of: printf %s ADDRESS | openssl dgst -sha256 -hmac KEY */
static void hashes(void)
{
	struct event event = an_event();
	struct events *events = showing(POLICY_ADDRESSES_HASH);
	static const char *const same[] = {"some.one@example.net"};
	json_t *json = render(events, &event);
	char *first;

	check_text(item(json, "email/from/address", 0),
		   "hmac-sha256:cfff35ed241b55e894731f92c1cc3cdd@example.org");
	check_text(item(json, "email/to/address", 0),
		   "hmac-sha256:b1a792fcc52351d027f0714d8e4ff524@example.net");
	check_text(item(json, "email/to/address", 1),
		   "hmac-sha256:8fe99a5a80670ea3022512310e0f871d");
	check_text(item(json, "email/to/address", 2), "<>");
	first = strdup(item(json, "email/to/address", 0));
	json_decref(json);
	/* Case does not make another address. */
	event.recipients = same;
	event.n_recipients = 1;
	event.sender = "";
	json = render(events, &event);
	check_text(item(json, "email/to/address", 0), first);
	check_text(item(json, "email/from/address", 0), "<>");
	free(first);
	json_decref(json);
	events_free(events);
}

/* Too many, too long, of any bytes: the line stays a line, and says that it is cut. */
static void too_much(void)
{
	static const char *const units[] = {"x", "\"", "\x01", "\xff", "\xc3\xa4", "@"};
	static char text[20000];

	for (size_t how = 0; how < 2; how++) {
		struct events *events =
			showing(how ? POLICY_ADDRESSES_HASH : POLICY_ADDRESSES_FULL);

		for (size_t i = 0; i < N(units) * 40; i++) {
			const char *many[EVENT_MAX_DOMAINS];
			const char *unit = units[i % N(units)];
			size_t length = i * i / 3;
			struct event event = an_event();
			json_t *json;

			text[0] = 'a';
			for (size_t k = 1; k < length + 10; k += strlen(unit))
				memcpy(text + k, unit, strlen(unit) + 1);
			for (size_t k = 0; k < N(many); k++)
				many[k] = text;
			event.recipients = many;
			event.n_recipients = N(many);
			event.sender = text;
			event.domains = many;
			event.n_domains = N(many);
			event.text = event.reason = event.tier = event.from = event.to =
				event.rule = i % 7 ? text : "short";
			event.path = event.remedy = i % 5 ? NULL : text;
			event.error = i % 3 ? 0 : EPROTONOSUPPORT;
			json = render(events, &event);
			check(json_is_true(lines_at(json, "qfwatch/truncated")) ||
			      json_array_size(lines_at(json, "email/to/address")) == N(many));
			json_decref(json);
		}
		events_free(events);
	}
}

/* What was cut before it came here. */
static void cut_before(void)
{
	struct event event = an_event();
	struct events *events = showing(POLICY_ADDRESSES_FULL);
	json_t *json;

	event.recipients_cut = true;
	json = render(events, &event);
	check(json_is_true(lines_at(json, "qfwatch/truncated")));
	json_decref(json);
	events_free(events);
}

static void lists(void)
{
	struct address_list list = {0}, copy;
	const char *found[ADDRESS_LIST_MAX];
	char text[200];

	check_equal(address_list_from(&list, 0, found), 0);
	address_list_add(&list, "me@example.org and more", 14);
	address_list_add(&list, "", 0);
	address_list_add(&list, "a\0b", 3);
	copy = list;
	memset(&list, 'x', sizeof(list));
	check_equal(address_list_from(&copy, 0, found), 3);
	check_text(found[0], "me@example.org");
	check_text(found[1], "");
	check_text(found[2], "a");
	check_equal(address_list_from(&copy, 1, found), 2);
	check_text(found[0], "");
	check(!copy.cut);
	/* As many as there is room for, by their number and by their length. */
	for (int i = 3; i < ADDRESS_LIST_MAX; i++)
		address_list_add(&copy, "b", 1);
	check(!copy.cut);
	address_list_add(&copy, "c", 1);
	check(copy.cut);
	check_equal(address_list_from(&copy, 0, found), ADDRESS_LIST_MAX);
	check_text(found[ADDRESS_LIST_MAX - 1], "b");
	copy = (struct address_list){0};
	memset(text, 't', sizeof(text));
	while (!copy.cut)
		address_list_add(&copy, text, sizeof(text));
	check_equal(copy.count, sizeof(copy.bytes) / (sizeof(text) + 1));
	/* What would fit after one that did not is left out, too: the order stays. */
	address_list_add(&copy, "short", 5);
	check_equal(address_list_from(&copy, 0, found), copy.count);
	check_equal(strlen(found[copy.count - 1]), sizeof(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(sha256_examples), APART(sha256_pieces), APART(hmac_examples),
		APART(key_files),	APART(four_ways),     APART(hashes),
		APART(too_much),	APART(cut_before),    APART(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
