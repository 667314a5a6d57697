/* load_tiers.c - the policy's "tiers": names and directories, and that no two of them are one. */
#include "load.h"

#include <string.h>

#include "paths.h"

#define TIER_NAME_MAX POLICY_TIER_NAME_MAX

#define TIER_NAME                                                                                  \
	"expected a tier's name: 1 to 64 bytes without \"/\" and control characters, and not "     \
	"\"*\""

#define DIRECTORY "expected a directory or a glob, such as \"/var/spool/mqueue\""

static void read_tier_name(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	const struct policy_tier *first = loader->policy->tiers;
	struct policy_tier *tier = into;
	const char *name = load_string(loader, value, at, TIER_NAME);

	if (!name)
		return;
	if (!*name || strlen(name) > TIER_NAME_MAX || text_has_control(name) || strchr(name, '/') ||
	    !strcmp(name, "*")) {
		load_wrong_value(loader, at, value, TIER_NAME);
		return;
	}
	for (const struct policy_tier *other = first; other < tier; other++) {
		if (other->name && !strcmp(other->name, name)) {
			struct text expected = {0};

			text_add(&expected,
				 "/tiers/%td has this name already; give each tier its own",
				 other - first);
			load_wrong_name(loader, at, "tier name", name, " twice", expected.bytes);
			return;
		}
	}
	tier->name = load_kept(loader, pool_copy(loader->pool, name));
}

/* Two tiers on one directory would each see the other's messages. What a glob finds, the spool
 * knows. */
static const char *clash(const struct policy_tier *tier, const struct policy_tier *other)
{
	if (!strcmp(tier->directory, other->directory))
		return " twice";
	if (tier->is_glob || other->is_glob)
		return NULL;
	if (paths_inside(tier->directory, other->directory))
		return " inside another tier's";
	if (paths_inside(other->directory, tier->directory))
		return " around another tier's";
	return NULL;
}

static void read_tier_directory(struct loader *loader, json_t *value, const struct load_place *at,
				void *into)
{
	const struct policy_tier *first = loader->policy->tiers;
	struct policy_tier *tier = into;

	tier->directory = load_path(loader, value, at, DIRECTORY);
	if (!tier->directory)
		return;
	tier->is_glob = paths_is_glob(tier->directory);
	for (const struct policy_tier *other = first; other < tier; other++) {
		const char *how = other->directory ? clash(tier, other) : NULL;
		struct text expected = {0};

		if (!how)
			continue;
		text_add(&expected, "/tiers/%td has ", other - first);
		text_quote(&expected, other->directory, strlen(other->directory));
		text_add(&expected, "; give each tier a directory of its own, beside the others");
		load_wrong_name(loader, at, "directory", tier->directory, how, expected.bytes);
		return;
	}
}

#define PLACE "expected \"hash\" (by the queue id) or \"emptiest\""

static void read_tier_place(struct loader *loader, json_t *value, const struct load_place *at,
			    void *into)
{
	struct policy_tier *tier = into;
	const char *place = load_string(loader, value, at, PLACE);

	if (!place)
		return;
	if (!strcmp(place, "emptiest"))
		tier->place = POLICY_PLACE_EMPTIEST;
	else if (strcmp(place, "hash") != 0)
		load_wrong_value(loader, at, value, PLACE);
}

static const struct load_field tier_fields[] = {
	{"name", read_tier_name, "give the tier a name, such as \"QUEUE\""},
	{"directory", read_tier_directory,
	 "say where the tier's messages are, such as \"/var/spool/mqueue\""},
	{"place", read_tier_place, NULL},
	{0},
};

void load_tiers(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	size_t count = json_array_size(value);
	struct policy *policy = into;

	if (count == 0) {
		load_wrong_value(loader, at, value, "expected a list of 1 to 64 tiers");
		return;
	}
	if (count > POLICY_MAX_TIERS) {
		struct text found = {0};

		text_add(&found, "%zu tiers", count);
		load_wrong(loader, at, found.bytes, "expected at most %d", POLICY_MAX_TIERS);
		count = POLICY_MAX_TIERS;
	}
	policy->tiers = load_kept(loader, pool_array(loader->pool, count, sizeof(*policy->tiers)));
	if (!policy->tiers)
		return;
	policy->n_tiers = count;
	for (size_t i = 0; i < count; i++) {
		struct load_place place = {.parent = at, .index = i};
		json_t *tier = json_array_get(value, i);

		if (load_is_object(loader, tier, &place,
				   "expected a tier: {\"name\": ..., \"directory\": ...}"))
			load_object(loader, tier, &place, tier_fields, &policy->tiers[i]);
	}
}
