/*
 * An SFTP client made of libssh's own calls: libssh HOST PORT LOGIN KEY < COMMANDS
 *
 * A command is a word and its paths, one a line. For one that fails, the line "COMMAND: " and what
 * libssh says of the failure are printed; the exit status is then 1.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <unistd.h>

#include <libssh/libssh.h>
#include <libssh/sftp.h>

static int put(sftp_session sftp, const char *local, const char *remote)
{
    char buffer[32000];
    ssize_t got;
    int failed = 0, from = open(local, O_RDONLY);
    sftp_file to = sftp_open(sftp, remote, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (from < 0 || to == NULL)
        return -1;
    while (!failed && (got = read(from, buffer, sizeof buffer)) > 0)
        failed = sftp_write(to, buffer, (size_t)got) != got;
    close(from);
    if (sftp_extension_supported(sftp, "fsync@openssh.com", "1"))
        failed |= sftp_fsync(to) != 0;
    return (sftp_close(to) != 0) | failed ? -1 : 0;
}

/* Reads with several requests in the air. */
static int get(sftp_session sftp, const char *remote, const char *local)
{
    enum { AT_ONCE = 8, SIZE = 30000 };
    static char buffer[SIZE];
    int requests[AT_ONCE], next = 0, got = 1, i;
    int to = open(local, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    sftp_file from = sftp_open(sftp, remote, O_RDONLY, 0);

    if (to < 0 || from == NULL)
        return -1;
    for (i = 0; i < AT_ONCE; i++)
        requests[i] = sftp_async_read_begin(from, SIZE);
    for (; got > 0; next = (next + 1) % AT_ONCE) {
        got = sftp_async_read(from, buffer, SIZE, (uint32_t)requests[next]);
        if (got > 0 && write(to, buffer, (size_t)got) != got)
            return -1;
        requests[next] = sftp_async_read_begin(from, SIZE);
    }
    for (i = 1; i < AT_ONCE; i++)
        sftp_async_read(from, buffer, SIZE, (uint32_t)requests[(next + i - 1) % AT_ONCE]);
    close(to);
    return sftp_close(from) == 0 && got == 0 ? 0 : -1;
}

static int list(sftp_session sftp, const char *path)
{
    sftp_dir folder = sftp_opendir(sftp, path);
    sftp_attributes entry;

    if (folder == NULL)
        return -1;
    while ((entry = sftp_readdir(sftp, folder)) != NULL) {
        printf("%s\n", entry->name);
        sftp_attributes_free(entry);
    }
    return sftp_dir_eof(folder) && sftp_closedir(folder) == 0 ? 0 : -1;
}

static int times(sftp_session sftp, const char *path)
{
    struct timeval when[2] = { { 1000000000, 0 }, { 1100000000, 0 } };

    return sftp_utimes(sftp, path, when);
}

static int room(sftp_session sftp, const char *path)
{
    sftp_statvfs_t found = sftp_statvfs(sftp, path);
    int some = found != NULL && found->f_bavail > 0;

    if (found != NULL)
        sftp_statvfs_free(found);
    return some ? 0 : -1;
}

static int obey(sftp_session sftp, const char *word, const char *one, const char *two)
{
    if (strcmp(word, "put") == 0) return put(sftp, one, two);
    if (strcmp(word, "get") == 0) return get(sftp, one, two);
    if (strcmp(word, "ls") == 0) return list(sftp, one);
    if (strcmp(word, "mkdir") == 0) return sftp_mkdir(sftp, one, 0755);
    if (strcmp(word, "rmdir") == 0) return sftp_rmdir(sftp, one);
    if (strcmp(word, "rm") == 0) return sftp_unlink(sftp, one);
    if (strcmp(word, "mv") == 0) return sftp_rename(sftp, one, two);
    if (strcmp(word, "symlink") == 0) return sftp_symlink(sftp, one, two);
    if (strcmp(word, "chmod") == 0) return sftp_chmod(sftp, one, 0755);
    if (strcmp(word, "chown") == 0) return sftp_chown(sftp, one, 1234, 1234);
    if (strcmp(word, "times") == 0) return times(sftp, one);
    if (strcmp(word, "statvfs") == 0) return room(sftp, one);
    return -1;
}

int main(int count, char **words)
{
    ssh_session session = ssh_new();
    ssh_key key;
    sftp_session sftp;
    char line[1000], word[32], one[400], two[400];
    int status = 0;

    if (count != 5 || session == NULL)
        return 2;
    ssh_options_set(session, SSH_OPTIONS_HOST, words[1]);
    ssh_options_set(session, SSH_OPTIONS_PORT_STR, words[2]);
    ssh_options_set(session, SSH_OPTIONS_USER, words[3]);
    if (ssh_connect(session) != SSH_OK
        || ssh_pki_import_privkey_file(words[4], NULL, NULL, NULL, &key) != SSH_OK
        || ssh_userauth_publickey(session, NULL, key) != SSH_AUTH_SUCCESS
        || (sftp = sftp_new(session)) == NULL || sftp_init(sftp) != SSH_OK) {
        printf("no session: %s\n", ssh_get_error(session));
        return 2;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        one[0] = two[0] = '\0';
        if (sscanf(line, "%31s %399s %399s", word, one, two) < 1)
            continue;
        if (obey(sftp, word, one, two) != 0) {
            printf("%s: %s (%d)\n", word, ssh_get_error(session), sftp_get_error(sftp));
            status = 1;
        }
    }
    sftp_free(sftp);
    ssh_disconnect(session);
    ssh_free(session);
    ssh_key_free(key);
    return status;
}
