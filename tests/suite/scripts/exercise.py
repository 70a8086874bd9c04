"""What programs expect of a file system, tried in a folder.

    exercise.py FOLDER [LEFT-OUT...]

Each step is tried in a folder of its own and prints 'ok NAME', or 'FAILED NAME' and the reason. A step
named as LEFT-OUT is not run. The expectations are POSIX's, seen from one machine: run it on a local
folder to see that they are right.
"""

import errno
import fcntl
import hashlib
import mmap
import os
import random
import stat
import sys
import traceback

STEPS = []


def step(function):
    STEPS.append(function)
    return function


def fails(number, action, *words):
    try:
        action(*words)
    except OSError as error:
        assert error.errno == number, (os.strerror(number), error)
    else:
        raise AssertionError('%s%r succeeded' % (action.__name__, words))


def refused(action, *words):
    try:
        action(*words)
    except OSError:
        return
    raise AssertionError('%s%r succeeded' % (action.__name__, words))


def content(path):
    with open(path, 'rb') as file:
        return file.read()


def put(path, data):
    with open(path, 'wb') as file:
        file.write(data)


@step
def create():
    put('new', b'content')
    assert content('new') == b'content' and os.stat('new').st_size == 7
    fails(errno.EEXIST, os.open, 'new', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert content('new') == b'content', 'O_EXCL left it alone'
    os.close(os.open('exclusive', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    assert content('exclusive') == b''
    fails(errno.ENOENT, os.open, 'missing', os.O_RDWR)
    fails(errno.ENOENT, os.open, 'missing/new', os.O_CREAT | os.O_WRONLY)
    fails(errno.ENOTDIR, os.open, 'new/below', os.O_CREAT | os.O_WRONLY)
    fails(errno.EISDIR, os.open, '.', os.O_WRONLY)


@step
def a_new_file_is_seen_while_it_is_written():
    with open('growing', 'wb', buffering=0) as file:
        assert os.path.exists('growing') and 'growing' in os.listdir('.')
        file.write(b'x' * 10000)
        os.fsync(file.fileno())
        assert os.fstat(file.fileno()).st_size == 10000
        assert os.stat('growing').st_size == 10000
        assert content('growing') == b'x' * 10000
        file.write(b'y')
    assert content('growing') == b'x' * 10000 + b'y'


@step
def truncate_to_nothing_and_write_again():
    put('file', b'long content' * 1000)
    for text in (b'short', b'', b'a little longer'):
        put('file', text)
        assert content('file') == text, content('file')
    with open('file', 'r+b') as file:
        file.truncate(0)
        file.write(b'again')
    assert content('file') == b'again'


@step
def truncate_up_and_down():
    put('file', b'0123456789')
    os.truncate('file', 4)
    assert content('file') == b'0123'
    os.truncate('file', 8)
    assert content('file') == b'0123\0\0\0\0'
    with open('file', 'r+b', buffering=0) as file:
        file.truncate(2)
        assert os.fstat(file.fileno()).st_size == 2
        file.truncate(100000)
        assert file.seek(0, os.SEEK_END) == 100000
        file.write(b'end')
    assert content('file') == b'01' + bytes(99998) + b'end'


@step
def write_in_place():
    original = random.Random(1).randbytes(300000)
    put('file', original)
    inode = os.stat('file').st_ino
    expected = bytearray(original)
    choice = random.Random(2)
    with open('file', 'r+b', buffering=0) as file:
        for _ in range(60):
            at, length = choice.randrange(310000), choice.choice((1, 7, 512, 4096, 20000))
            data = choice.randbytes(length)
            assert os.pwrite(file.fileno(), data, at) == length
            if at > len(expected):
                expected.extend(bytes(at - len(expected)))
            expected[at:at + length] = data
            at = choice.randrange(len(expected))
            assert os.pread(file.fileno(), 5000, at) == bytes(expected[at:at + 5000])
    assert content('file') == bytes(expected)
    assert os.stat('file').st_ino == inode


@step
def write_far_beyond_the_end():
    with open('sparse', 'wb', buffering=0) as file:
        file.write(b'start')
        file.seek(5_000_000)
        file.write(b'far')
        assert os.fstat(file.fileno()).st_size == 5_000_003
    whole = content('sparse')
    assert whole[:5] == b'start' and whole[-3:] == b'far'
    assert hashlib.sha256(whole[5:-3]).digest() == hashlib.sha256(bytes(4_999_995)).digest()


@step
def append():
    put('log', b'one\n')
    with open('log', 'ab', buffering=0) as file:
        file.write(b'two\n')
        file.write(b'three\n')
    with open('log', 'ab') as file:
        file.write(b'four\n')
    assert content('log') == b'one\ntwo\nthree\nfour\n', content('log')
    with open('created-by-append', 'ab') as file:
        file.write(b'first')
    assert content('created-by-append') == b'first'


@step
def two_opens_of_one_file():
    put('file', b'a' * 20000)
    with open('file', 'r+b', buffering=0) as one, open('file', 'r+b', buffering=0) as two:
        os.pwrite(one.fileno(), b'ONE', 0)
        os.pwrite(two.fileno(), b'TWO', 10000)
        os.fsync(one.fileno())
        os.fsync(two.fileno())
        assert os.pread(two.fileno(), 3, 0) == b'ONE'
        assert os.pread(one.fileno(), 3, 10000) == b'TWO'
    whole = content('file')
    assert whole[:3] == b'ONE' and whole[10000:10003] == b'TWO' and len(whole) == 20000


@step
def a_reader_keeps_what_it_has_opened_while_it_is_replaced():
    put('page', b'old ' * 5000)
    with open('page', 'rb', buffering=0) as reader:
        assert reader.read(4) == b'old '
        put('page.new', b'new ' * 5000)
        os.rename('page.new', 'page')
        assert content('page') == b'new ' * 5000
        assert reader.read(4) == b'old ', 'the old file is still open'
    assert sorted(os.listdir('.')) == ['page'], os.listdir('.')


@step
def rename_over_a_file_that_is_written():
    put('target', b'target')
    writer = open('target', 'r+b', buffering=0)
    put('source', b'source')
    os.rename('source', 'target')
    writer.write(b'TARGET')
    writer.close()
    assert content('target') == b'source', content('target')
    assert not os.path.exists('source')


@step
def rename_a_file_that_is_written():
    with open('before', 'wb', buffering=0) as file:
        file.write(b'first ')
        os.rename('before', 'after')
        file.write(b'second')
        os.fsync(file.fileno())
        assert os.stat('after').st_size == 12
    assert content('after') == b'first second', content('after')
    assert os.listdir('.') == ['after'], os.listdir('.')


@step
def save_as_editors_do():
    put('page', b'version 1')
    os.chmod('page', 0o755)
    with open('.page.tmp', 'wb') as file:
        file.write(b'version 2')
        file.flush()
        os.fsync(file.fileno())
    os.chmod('.page.tmp', stat.S_IMODE(os.stat('page').st_mode))
    os.rename('.page.tmp', 'page')
    assert content('page') == b'version 2' and os.stat('page').st_mode & 0o111
    # And the other way: the old one is moved aside, the new one is written in its place.
    os.rename('page', 'page~')
    put('page', b'version 3')
    os.unlink('page~')
    assert content('page') == b'version 3' and os.listdir('.') == ['page'], os.listdir('.')


@step
def rename_folders():
    os.makedirs('a/b/c')
    put('a/b/c/file', b'deep')
    os.rename('a', 'z')
    assert content('z/b/c/file') == b'deep' and not os.path.exists('a')
    os.mkdir('empty')
    os.rename('z/b', 'empty')
    assert content('empty/c/file') == b'deep'
    os.mkdir('full')
    put('full/file', b'')
    # Which error it is, SFTP cannot say.
    refused(os.rename, 'empty', 'full')
    refused(os.rename, 'empty', 'full/file')
    assert content('empty/c/file') == b'deep' and content('full/file') == b''


@step
def unlink_a_file_that_is_open():
    put('file', b'still here')
    with open('file', 'r+b', buffering=0) as file:
        os.unlink('file')
        assert not os.path.exists('file')
        file.write(b'STILL')
        file.seek(0)
        assert file.read() == b'STILL here'
        put('file', b'another')
        assert content('file') == b'another'
    assert content('file') == b'another'
    assert os.listdir('.') == ['file'], os.listdir('.')


@step
def map_and_write_shared():
    put('mapped', bytes(200000))
    with open('mapped', 'r+b') as file:
        with mmap.mmap(file.fileno(), 0) as memory:
            memory[0:5] = b'start'
            memory[100000:100006] = b'middle'
            memory[-3:] = b'end'
            memory.flush()
    whole = content('mapped')
    assert whole[:5] == b'start' and whole[100000:100006] == b'middle' and whole[-3:] == b'end'
    assert len(whole) == 200000 and whole.count(0) == 200000 - 14
    with open('mapped', 'rb') as file:
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
            assert memory[100000:100006] == b'middle'


@step
def many_entries():
    names = {'entry %04d' % number for number in range(400)}
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    assert set(os.listdir('.')) == names
    for name in sorted(names)[::2]:
        os.unlink(name)
    assert len(os.listdir('.')) == 200


@step
def names():
    odd = [b'caf\xe9', b'two\nlines', b'-dash', b'*?[x]', b'back\\slash', b'\xff\xfe', b'n' * 255,
           'naïve'.encode(), b' ', b'...', b'quote"\'']
    for name in odd:
        put(name, name)
    assert sorted(os.listdir(b'.')) == sorted(odd), os.listdir(b'.')
    assert all(content(name) == name for name in odd)
    refused(os.open, b'n' * 256, os.O_CREAT | os.O_WRONLY)


@step
def symbolic_links():
    put('file', b'content')
    os.symlink('file', 'link')
    os.symlink('nowhere', 'dangling')
    assert os.readlink('link') == 'file' and content('link') == b'content'
    assert stat.S_ISLNK(os.lstat('link').st_mode) and stat.S_ISREG(os.stat('link').st_mode)
    fails(errno.ENOENT, os.stat, 'dangling')
    fails(errno.EEXIST, os.symlink, 'x', 'link')
    os.unlink('link')
    assert content('file') == b'content'


@step
def symbolic_links_upwards():
    put('file', b'content')
    os.mkdir('folder')
    os.symlink('../file', 'folder/up')
    assert content('folder/up') == b'content'


@step
def hard_links():
    put('file', b'content')
    os.link('file', 'second')
    assert content('second') == b'content'
    os.unlink('file')
    assert content('second') == b'content'
    fails(errno.EEXIST, lambda: (put('file', b''), os.link('file', 'second')))
    fails(errno.ENOENT, os.link, 'missing', 'third')


@step
def modes():
    put('tool', b'#!/bin/sh\n')
    os.chmod('tool', 0o755)
    assert os.stat('tool').st_mode & 0o111, oct(os.stat('tool').st_mode)
    os.chmod('tool', 0o644)
    assert not os.stat('tool').st_mode & 0o111
    with open('tool', 'rb') as file:
        os.fchmod(file.fileno(), 0o700)
    assert os.stat('tool').st_mode & 0o100
    fails(errno.ENOENT, os.chmod, 'missing', 0o644)


@step
def times():
    put('file', b'content')
    os.utime('file', (1_000_000_000, 1_100_000_000))
    assert int(os.stat('file').st_mtime) == 1_100_000_000
    os.mkdir('folder')
    os.utime('folder', (1_000_000_000, 1_200_000_000))
    assert int(os.stat('folder').st_mtime) == 1_200_000_000
    put('file', b'changed')
    assert abs(os.stat('file').st_mtime - os.stat('.').st_mtime) < 1_000_000


@step
def times_of_a_file_that_is_written():
    with open('file', 'wb', buffering=0) as file:
        file.write(b'content')
        os.utime(file.fileno(), (1_000_000_000, 1_100_000_000))
    assert int(os.stat('file').st_mtime) == 1_100_000_000, os.stat('file').st_mtime
    assert content('file') == b'content'


@step
def owners_that_stay():
    put('file', b'content')
    os.chown('file', -1, -1)
    found = os.stat('file')
    os.chown('file', found.st_uid, found.st_gid)
    assert content('file') == b'content'


@step
def folders():
    os.mkdir('folder')
    fails(errno.EEXIST, os.mkdir, 'folder')
    put('folder/file', b'')
    fails(errno.ENOTEMPTY, os.rmdir, 'folder')
    fails(errno.ENOTDIR, os.rmdir, 'folder/file')
    fails(errno.EISDIR, os.unlink, 'folder')
    os.unlink('folder/file')
    os.rmdir('folder')
    assert os.listdir('.') == []
    fails(errno.ENOENT, os.rmdir, 'folder')


@step
def a_file_that_cannot_be_written_is_left_alone():
    put('file', b'content')
    os.chmod('file', 0o444)
    assert content('file') == b'content'
    os.chmod('file', 0o644)
    put('file', b'changed')
    assert content('file') == b'changed'


@step
def a_temporary_file_of_the_system():
    import tempfile
    with tempfile.NamedTemporaryFile(dir='.', prefix='tmp') as file:
        file.write(b'x' * 100000)
        file.flush()
        assert content(file.name) == b'x' * 100000
    assert os.listdir('.') == []


@step
def a_database():
    import sqlite3
    for round_ in range(2):
        database = sqlite3.connect('base.sqlite', isolation_level=None)
        database.execute('create table if not exists t (n integer primary key, s text)')
        database.execute('begin')
        database.executemany('insert into t (s) values (?)', [('row %d' % n,) for n in range(200)])
        database.execute('commit')
        database.execute('delete from t where n % 3 = 0')
        assert database.execute('pragma integrity_check').fetchone() == ('ok',)
        database.close()
    assert sqlite3.connect('base.sqlite').execute('select count(*) from t').fetchone()[0] > 200


@step
def room():
    found = os.statvfs('.')
    assert found.f_blocks > 0 and found.f_bavail > 0 and found.f_namemax >= 255, found


@step
def locks():
    with open('lock', 'wb') as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@step
def whole_blocks_at_once():
    data = random.Random(3).randbytes(3 * 1024 * 1024 + 11)
    with open('blocks', 'wb', buffering=0) as file:
        at = 0
        while at < len(data):
            at += file.write(data[at:at + 1024 * 1024])
    assert hashlib.sha256(content('blocks')).digest() == hashlib.sha256(data).digest()


def main():
    top, left_out = sys.argv[1], sys.argv[2:]
    failed = False
    for function in STEPS:
        name = function.__name__
        if name in left_out:
            continue
        os.mkdir(os.path.join(top, name))
        os.chdir(os.path.join(top, name))
        try:
            function()
            print('ok', name)
        except Exception as error:
            failed = True
            line = traceback.extract_tb(error.__traceback__)
            line = [frame for frame in line if frame.name == name][-1].lineno
            print('FAILED %s, line %d: %s: %s' % (name, line, type(error).__name__, error))
        os.chdir('/')
    raise SystemExit(1 if failed else 0)


main()
