/* load_metrics.c - the policy's "metrics": a file for the textfile collector of node_exporter. */
#include "load.h"

#include <string.h>

#define EVERY_DEFAULT 15
#define DAY	      86400

static void read_textfile(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	static const char expected[] =
		"expected the path of a file whose name ends in .prom (others are not collected), "
		"such as \"/var/lib/prometheus/node-exporter/qfwatch.prom\"";
	struct policy_metrics *metrics = into;
	char *path = load_path(loader, value, at, expected);
	const char *dot = path ? strrchr(path, '.') : NULL;

	/* A name, too, not only ".prom". */
	if (path && (!dot || strcmp(dot, ".prom") != 0 || dot[-1] == '/'))
		load_wrong_value(loader, at, value, expected);
	metrics->textfile = path;
}

static void read_every(struct loader *loader, json_t *value, const struct load_place *at,
		       void *into)
{
	struct policy_metrics *metrics = into;

	load_duration(loader, value, at, 1, DAY,
		      "expected a duration from \"1s\" to \"1d\", such as \"15s\"",
		      &metrics->every);
}

static const struct load_field metrics_fields[] = {
	{"textfile", read_textfile,
	 "name the file, such as \"/var/lib/prometheus/node-exporter/qfwatch.prom\""},
	{"every", read_every, NULL},
	{0},
};

void load_metrics(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct policy *policy = into;

	policy->metrics.every = EVERY_DEFAULT;
	if (load_is_object(loader, value, at,
			   "expected an object, such as {\"textfile\": "
			   "\"/var/lib/prometheus/node-exporter/qfwatch.prom\"}"))
		load_object(loader, value, at, metrics_fields, &policy->metrics);
}
