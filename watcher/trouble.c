/* trouble.c - see trouble.h */
#include "qfwatch/trouble.h"

#include <errno.h>

struct words {
	const char *text, *remedy;
	bool may_pass;
};

static const char look_at_qf[] =
	"look at the qf; sendmail would not take it either: remove it or put it right";

static const struct words words[TROUBLES] = {
	[TROUBLE_NONE] = {"none", "", false},
	[TROUBLE_GONE] = {"the message is gone", "", false},
	[TROUBLE_CHANGED] = {"the qf was replaced while it was being read", "", true},
	[TROUBLE_LOCKED] = {"the qf is locked", "", true},
	[TROUBLE_ERROR] = {"a system call failed", "", true},
	[TROUBLE_SYMLINK] = {"the qf is a symbolic link", "remove the link: sendmail makes none",
			     false},
	[TROUBLE_DIRECTORY] = {"the qf is a directory", "remove it: sendmail makes none", false},
	[TROUBLE_FIFO] = {"the qf is a FIFO", "remove it: sendmail makes none", false},
	[TROUBLE_SOCKET] = {"the qf is a socket", "remove it: sendmail makes none", false},
	[TROUBLE_DEVICE] = {"the qf is a device", "remove it: sendmail makes none", false},
	[TROUBLE_LINKS] =
		{"the qf has more than one link",
		 "find the other name (find -samefile) and remove the one that does not belong",
		 true},
	[TROUBLE_LARGE] = {"the qf is larger than 16 MiB", look_at_qf, false},
	[TROUBLE_UNREADABLE] =
		{"the qf cannot be read",
		 "give the user that runs qfwatch the right to read it, or CAP_DAC_OVERRIDE", true},
	[TROUBLE_EMPTY] = {NULL, "sendmail removes empty qf files by itself after a while", false},
	[TROUBLE_INCOMPLETE] = {NULL, look_at_qf, false},
	[TROUBLE_NO_CREATED] = {NULL, look_at_qf, false},
	[TROUBLE_NO_ATTEMPTS] = {NULL, look_at_qf, false},
	[TROUBLE_BAD_CREATED] = {NULL, look_at_qf, false},
	[TROUBLE_BAD_LAST_ATTEMPT] = {NULL, look_at_qf, false},
	[TROUBLE_BAD_ATTEMPTS] = {NULL, look_at_qf, false},
	[TROUBLE_TWICE] = {NULL, look_at_qf, false},
	[TROUBLE_TRAILING] = {NULL, look_at_qf, false},
	[TROUBLE_DATA_ELSEWHERE] =
		{"the qf has a d line: its df stands in another directory (queue groups)",
		 "use one directory for qf and df in tiers, without queue groups: sendmail loses "
		 "moved messages that have a d line",
		 false},
	[TROUBLE_BODY_MISSING] =
		{"its df is missing",
		 "look for the df in the other tiers; without it the message is lost", true},
	[TROUBLE_BODY_UNSAFE] = {"its df is not a regular file",
				 "remove what stands in the place of the df", true},
	[TROUBLE_BODY_LINKS] =
		{"its df has another link outside the tiers",
		 "find the other name (find -samefile) and remove the one that does not belong",
		 true},
	[TROUBLE_TARGET_HAS_QF] = {"the target tier already has that qf",
				   "compare the two; one of them must go", true},
	[TROUBLE_TARGET_HAS_DF] = {"the target tier already has that df",
				   "compare the two; one of them must go", true},
	[TROUBLE_OTHER_FILE_SYSTEM] = {"the target tier is on another file system",
				       "put all tiers on one file system (and one mount of it)",
				       true},
	[TROUBLE_LINK_REFUSED] = {"hard links are refused here",
				  "run qfwatch as the owner of the files or with CAP_FOWNER "
				  "(fs.protected_hardlinks), on "
				  "a file system that has hard links",
				  true},
	[TROUBLE_NO_ATOMIC_RENAME] =
		{"the file system cannot rename without replacing (RENAME_NOREPLACE)",
		 "put the tiers on ext4, XFS, Btrfs or tmpfs", true},
	[TROUBLE_NAME_TOO_LONG] = {"its queue id is too long to be handled",
				   "rename the message with sendmail stopped", false},
	[TROUBLE_CIRCLE] =
		{"the rules would move it in a circle",
		 "change the rules: it has stood in the target tier since its last attempt", false},
	[TROUBLE_TARGET_LOST] = {"the target tier is lost", "bring its directory back", true},
	[TROUBLE_AMBIGUOUS_ID] =
		{"sendmail cannot be told to return this message and no other",
		 "its queue id is part of another's, or no usual one: return it by hand", false},
	[TROUBLE_QUARANTINED] = {"it is quarantined",
				 "such a message can be deleted, or moved by hard links within one "
				 "file system; or release it with sendmail's -Q",
				 true},
	[TROUBLE_COSTLY] =
		{"a regular expression takes too long for its text",
		 "write one that fails sooner; until then the rule does not act on such a message",
		 false},
};

enum trouble trouble_of_verdict(enum qfile_verdict verdict)
{
	return verdict == QFILE_OK
		       ? TROUBLE_NONE
		       : (enum trouble)(TROUBLE_EMPTY + (int)verdict - (int)QFILE_EMPTY);
}

const char *trouble_text(enum trouble trouble)
{
	if (trouble >= TROUBLE_EMPTY && trouble <= TROUBLE_TRAILING)
		return qfile_verdict_text(
			(enum qfile_verdict)(trouble - TROUBLE_EMPTY + (int)QFILE_EMPTY));
	return words[trouble].text;
}

const char *trouble_remedy(enum trouble trouble)
{
	return words[trouble].remedy;
}

bool trouble_may_pass(enum trouble trouble)
{
	return words[trouble].may_pass;
}

const char *trouble_errno_remedy(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "run qfwatch as a user that may read and write the tiers (root, or smmta "
		       "with CAP_DAC_OVERRIDE and "
		       "CAP_FOWNER)";
	case ENOSPC:
		return "free space or inodes on the file system of the tiers";
	case EDQUOT:
		return "raise the disk quota of the user that owns the spool";
	case EROFS:
		return "mount the file system of the tiers read-write";
	case EIO:
		return "check the disk (dmesg)";
	case EMFILE:
		return "raise LimitNOFILE of the service";
	case ENFILE:
		return "raise the sysctl fs.file-max";
	case ENOMEM:
		return "free memory, or raise the service's MemoryMax";
	case EMLINK:
		return "the file system allows no more links: look for who makes them";
	case ENOLCK:
	case EOPNOTSUPP:
		return "put the tiers on a file system with file locks";
	default:
		return "";
	}
}
