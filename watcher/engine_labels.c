/* engine_labels.c - the domains of messages, for those who ask (labels.h): kept only while the
 * policy listens. A qf that is read for another reason gives them on the way; those that were read
 * before are read once more, a few at a time, while nobody waits. */
#include "engine_parts.h"

/* Files read in one turn: whoever is due waits for them. */
#define READ_MOST 4

/* Messages passed in one turn that are labelled already. */
#define PASS_MOST 1024

void engine_labels_configure(struct engine *engine)
{
	bool wanted = engine->policy->listen.address && engine->mode == ENGINE_WATCH;

	if (!wanted) {
		labels_free(engine->labels);
		engine->labels = NULL;
		engine->labelling = false;
	} else if (!engine->labels) {
		engine->labels = labels_new();
		engine->labelling = table_count(engine->table) > 0;
		engine->label_at = MSGREF_NONE;
	}
}

/* Would reading the text of this qf tell domains that are not known? */
bool engine_labels_want(const struct engine *engine, msgref ref, const struct control *control)
{
	const struct message *message = table_get(engine->table, ref);

	return engine->labels &&
	       (!labels_are_known(engine->labels, ref) || message->flags & MESSAGE_RACY ||
		message->print != control_print(&control->stat));
}

/* Its text is at hand. */
void engine_label(struct engine *engine, msgref ref)
{
	if (engine->labels && engine->text)
		labels_set(engine->labels, ref, engine->text);
}

void engine_labels_forget(struct engine *engine, msgref ref)
{
	if (engine->labels)
		labels_clear(engine->labels, ref);
}

static void read_label(struct engine *engine, msgref ref)
{
	const struct message *message = table_get(engine->table, ref);
	const struct qdir *dir = engine_directory(engine, message);
	struct control control;
	char name[SPOOL_NAME_MAX];

	if (!engine_control_name(message, name))
		return;
	/* What cannot be read is left to the next look, which tells. */
	if (control_read(dir->qf, name, engine->buffer, &engine->noatime, &control) ==
		    TROUBLE_NONE &&
	    engine_read_text(engine, ref, &control) == 0)
		engine_label(engine, ref);
	engine_drop_text(engine);
	control_close(&control);
}

/* Returns true when there is more to do at once. */
bool engine_label_some(struct engine *engine)
{
	if (!engine->labelling)
		return false;
	for (int i = 0, read = 0; i < PASS_MOST && read < READ_MOST; i++) {
		const struct message *message;

		engine->label_at = table_next(engine->table, engine->label_at);
		if (!engine->label_at) {
			engine->labelling = false;
			return false;
		}
		message = table_get(engine->table, engine->label_at);
		if (!message->created || labels_are_known(engine->labels, engine->label_at) ||
		    engine_is_away(message) ||
		    engine_directory(engine, message)->state != QDIR_ACTIVE)
			continue;
		read_label(engine, engine->label_at);
		read++;
	}
	return true;
}
