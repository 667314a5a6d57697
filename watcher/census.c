/* census.c - see census.h */
#include "qfwatch/census.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/columns.h"
#include "qfwatch/trouble.h"

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* If the file is being changed just now, one thread has to do. */
static void load_copies(struct census *census, const char *path, bool copies,
			const struct stat *loaded)
{
	struct problems ignored = {0};
	struct stat now;

	while (census->threads < (unsigned)sysconf(_SC_NPROCESSORS_ONLN) &&
	       census->threads < SURVEY_MAX_THREADS) {
		struct policy *copy = census->policies[0];

		if (copies || census->policies[0]->text_tiers) {
			copy = NULL;
			if (policy_load(path, &ignored, &copy) < 0)
				break;
			if (stat(path, &now) < 0 || !same_file(loaded, &now)) {
				policy_free(copy);
				break;
			}
		}
		census->policies[census->threads++] = copy;
	}
	problems_free(&ignored);
}

static int read_names(struct census *census, struct problems *problems)
{
	const char *directory = NULL, *remedy;
	int r = survey_names(&census->survey, &census->spool, census->policies[0], &directory);

	if (r == 0)
		return 0;
	remedy = trouble_errno_remedy(-r);
	problems_add(problems, PROBLEM_REFUSED, "%s: %s%s%s", directory, strerror(-r),
		     *remedy ? ": " : "", remedy);
	return r;
}

int census_open(struct census *census, const char *path, bool copies, struct problems *problems)
{
	struct spool_plan *directories;
	struct stat loaded = {0};
	int r;

	if (stat(path, &loaded) < 0)
		loaded.st_size = -1; /* policy_load says why */
	r = policy_load(path, problems, &census->policies[0]);
	if (r < 0)
		return r;
	census->threads = 1;
	r = spool_plan(&census->spool, census->policies[0], SPOOL_READ, problems, &directories);
	if (r < 0)
		return r;
	spool_commit(&census->spool, directories);
	load_copies(census, path, copies, &loaded);
	return read_names(census, problems);
}

void census_free(struct census *census)
{
	for (unsigned i = 1; i < census->threads; i++)
		if (census->policies[i] != census->policies[0])
			policy_free(census->policies[i]);
	policy_free(census->policies[0]);
	survey_free(&census->survey);
	spool_free(&census->spool);
	*census = (struct census){0};
}

uint64_t census_troubled(const struct census *census)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < TROUBLES; i++)
		sum += census->survey.troubles[i].messages;
	return sum;
}

uint64_t census_problems(const struct census *census)
{
	const struct survey_trouble *troubles = census->survey.troubles;

	return census_troubled(census) - troubles[TROUBLE_EMPTY].messages -
	       troubles[TROUBLE_INCOMPLETE].messages - troubles[TROUBLE_CHANGED].messages;
}

void census_print_troubles(const struct census *census, FILE *to)
{
	char number[32];

	for (size_t i = 0; i < TROUBLES; i++) {
		const struct survey_trouble *trouble = &census->survey.troubles[i];
		const char *remedy = trouble_remedy((enum trouble)i);

		if (trouble->messages)
			fprintf(to, "%s left alone: %s (%s in %s)%s%s.\n",
				columns_thousands(trouble->messages, number, sizeof number),
				trouble_text((enum trouble)i), trouble->example,
				census->policies[0]->tiers[trouble->tier].name, *remedy ? ": " : "",
				remedy);
	}
}
