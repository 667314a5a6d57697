/* listener.h - the socket that the policy's "listen" names, and the token that has to be shown
 * there.
 *
 * A Unix socket has the mode 0660 and the policy's group before anybody can connect. One that a
 * daemon left behind when it was killed is replaced; one that somebody listens on, and what is no
 * socket, is not. The folder is made where only that is missing.
 */
#ifndef QFWATCH_LISTENER_H
#define QFWATCH_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "qfwatch/policy.h"
#include "qfwatch/problem.h"

/* Longest and shortest token, bytes. */
#define LISTENER_TOKEN_LEAST 16
#define LISTENER_TOKEN_MOST  512

struct listener {
	int fd;	    /* listens, O_NONBLOCK; -1: none */
	char *path; /* of the Unix socket; NULL: TCP */
	dev_t device;
	ino_t inode;
};

#define LISTENER_NONE ((struct listener){.fd = -1})

/* Returns 0 and *ret, or -errno with the finding and its remedy in *problems. -EADDRINUSE: somebody
 * listens there. */
int listener_open(const struct policy_listen *config, struct listener *ret,
		  struct problems *problems);

/* Adds what would keep listener_open and listener_read_token from doing their work on this machine,
 * in their words and with its place: a group that is not there, a folder that is not, something
 * else in the way, the token file. Opens no socket, so it says nothing of who listens there. */
void listener_judge(const struct policy_listen *config, struct problems *problems);

/* Does its name still lead to it? Always for TCP. */
bool listener_is_there(const struct listener *listener);

/* Gives the socket that is open the group that the policy has now. Returns 0, or -errno with the
 * finding. */
int listener_regroup(const struct listener *listener, const struct policy_listen *config,
		     struct problems *problems);

/* Closes it, and removes its name if that still leads to it. */
void listener_close(struct listener *listener);

/* Reads the first line of the policy's token file into token[LISTENER_TOKEN_MOST + 1]; "" where the
 * policy names none. Returns 0, or -errno with the finding: it is not there, is no regular file,
 * others may read it, it is too short. */
int listener_read_token(const struct policy_listen *config, char *token, struct problems *problems);

#endif
