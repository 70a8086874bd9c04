"""Drives fzsftp, FileZilla's SFTP engine, as FileZilla does.

    fzsftp.py PROGRAM < COMMANDS

Commands are fzsftp's own, one a line ('get' and 'put' name the local file first and last, as
FileZilla writes them). What the engine says is printed as FileZilla's log would show it. The exit
status is 1 when a command failed.

The protocol (version 11, FileZilla 3.63: src/putty/fzsftp.h and src/engine/sftp) is lines of text: the
engine's begin with one character, '0' plus the kind of event; the answers to its questions begin with
'-'. File content passes through shared memory whose descriptor the engine inherits.
"""

import mmap
import os
import shlex
import subprocess
import sys

(REPLY, DONE, ERROR, VERBOSE, INFO, STATUS, RECV, SEND, LISTENTRY, ASK_HOSTKEY, ASK_HOSTKEY_CHANGED,
 ASK_HOSTKEY_BETTER, ASK_PASSWORD, TRANSFER, PREAMBLE, INSTRUCTION, QUOTA_RECV, QUOTA_SEND) = range(18)
IO_SIZE, IO_OPEN, IO_NEXTBUF, IO_FINALIZE = range(26, 30)
WITHOUT_TEXT = (QUOTA_RECV, QUOTA_SEND, IO_SIZE)
LINES = {LISTENTRY: 3, ASK_HOSTKEY: 2, ASK_HOSTKEY_CHANGED: 2, ASK_HOSTKEY_BETTER: 2}
BUFFER = 256 * 1024


class Engine:
    def __init__(self, program):
        self.shared = os.memfd_create('fzsftp')
        os.ftruncate(self.shared, BUFFER)
        self.memory = mmap.mmap(self.shared, BUFFER)
        self.engine = subprocess.Popen(
            [program, '-v'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[self.shared])
        self.local = None

    def say(self, line):
        self.engine.stdin.write(os.fsencode(line) + b'\n')
        self.engine.stdin.flush()

    def line(self):
        line = self.engine.stdout.readline()
        if not line:
            raise SystemExit('fzsftp has ended')
        return os.fsdecode(line.rstrip(b'\n'))

    def event(self):
        kind = self.engine.stdout.read(1)
        if not kind:
            raise SystemExit('fzsftp has ended')
        kind = kind[0] - ord('0')
        if kind in WITHOUT_TEXT:
            return kind, []
        return kind, [self.line() for _ in range(LINES.get(kind, 1))]

    def command(self, command):
        """Carries out one command; returns whether it succeeded."""
        words = shlex.split(command)
        if words[0] in ('get', 'reget'):
            self.local = open(words[2], 'ab' if words[0] == 'reget' else 'wb')
        elif words[0] in ('put', 'reput'):
            self.local = open(words[1], 'rb')
        self.say(command)
        complained = False
        while True:
            kind, text = self.event()
            complained = complained or kind == ERROR
            # Commands with an answer of their own end with it, the others with DONE.
            if kind == REPLY:
                print(text[0])
                return True
            if kind == DONE:
                if self.local:
                    self.local.close()
                    self.local = None
                # A chmod that was done ends as one that was not, but for the complaint.
                return not complained and (text[0].startswith('1') or words[0] == 'chmod')
            self.answer(kind, text)

    def answer(self, kind, text):
        if kind in (ASK_HOSTKEY, ASK_HOSTKEY_CHANGED):
            self.say('-y' if kind == ASK_HOSTKEY else '-n')
        elif kind == QUOTA_RECV:
            self.say('-0-')
        elif kind == QUOTA_SEND:
            self.say('-1-')
        elif kind == IO_SIZE:
            self.say('-%d' % os.fstat(self.local.fileno()).st_size)
        elif kind == IO_OPEN:
            self.open(int(text[0]))
        elif kind == IO_NEXTBUF:
            self.next_buffer(int(text[0]))
        elif kind == IO_FINALIZE:
            self.local.write(self.memory[:int(text[0])])
            self.say('-1')
        elif kind == LISTENTRY:
            print(text[0])
        elif kind in (ERROR, STATUS, INFO, VERBOSE):
            print(('Error: ' if kind == ERROR else '') + ' '.join(text))

    def open(self, offset):
        # All ones: the engine asks how much of a download is there already.
        end = 2 ** 64 - 1
        size = os.fstat(self.local.fileno()).st_size
        if self.local.readable():
            self.local.seek(offset)
        self.say('-%d %d %d' % (self.shared, BUFFER, size if offset == end else 0))

    def next_buffer(self, processed):
        if not self.local.readable():
            self.local.write(self.memory[:processed])
            self.say('-0 %d' % BUFFER)
            return
        content = self.local.read(BUFFER)
        self.memory[:len(content)] = content
        self.say('-0 %d' % len(content) if content else '-')


def main():
    engine = Engine(sys.argv[1])
    kind, text = engine.event()
    print('fzsftp says', kind, text)
    failed = False
    for command in sys.stdin.read().splitlines():
        print('Command:', command)
        if not engine.command(command):
            print('Failed:', command)
            failed = True
        sys.stdout.flush()
    raise SystemExit(1 if failed else 0)


main()
