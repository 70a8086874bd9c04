//! paramiko and asyncssh: what else they do, and what they keep of a refusal. (`sftp_python` has large
//! files, names and attributes.)

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use support::{Finished, Tree, tree};

use crate::client_stage::{AGE, Stage, age};
use crate::sftp_python::{ASYNCSSH, PARAMIKO, run};

#[test]
fn paramiko_does_all_that_it_offers() {
    let stage = Stage::dev("m-paramiko");
    fs::write(stage.desk.join("up"), tree::noise(71, 1_500_003)).unwrap();
    let script = "
import io
whole = open('up', 'rb').read()
assert sftp.putfo(io.BytesIO(whole), '/files/put', confirm=True).st_size == len(whole)
back = io.BytesIO()
sftp.getfo('/files/put', back, prefetch=False)
assert back.getvalue() == whole
sftp.put('up', '/code/up')
sftp.get('/code/up', 'down')
with sftp.open('/files/pipelined', 'wb') as file:
    file.set_pipelined(True)
    for at in range(0, len(whole), 10000):
        file.write(whole[at:at + 10000])
with sftp.open('/files/pipelined', 'r+b') as file:
    file.seek(1000)
    file.write(b'in the middle')
    file.seek(1000)
    assert file.read(13) == b'in the middle'
    assert file.stat().st_size == len(whole)
    file.truncate(500000)
    file.chmod(0o600)
    file.utime((1000000000, 1100000000))
    # No owner has a meaning here; the request fails nothing.
    file.chown(1234, 1234)
with sftp.open('/files/pipelined', 'rb') as file:
    chunks = file.readv([(0, 100), (1000, 13), (400000, 70000)])
    assert [len(chunk) for chunk in chunks] == [100, 13, 70000]
sftp.open('/files/exclusive', 'x').close()
try:
    sftp.open('/files/exclusive', 'x')
except IOError:
    pass
else:
    raise SystemExit('made twice')
sftp.mkdir('/code/new', 0o755)
sftp.rename('/code/up', '/code/new/renamed')
sftp.posix_rename('/code/new/renamed', '/code/index.php')
sftp.symlink('index.php', '/code/link.php')
assert sftp.readlink('/code/link.php') == 'index.php'
sftp.chown('/code/index.php', 0, 0)
sftp.chmod('/code/index.php', 0o755)
sftp.chdir('/code')
assert sftp.getcwd() == '/code'
sftp.remove('lib/menu.php')
sftp.rmdir('new')
names = sorted(row.filename for row in sftp.listdir_iter('/files'))
assert names == ['exclusive', 'pipelined', 'put'], names
";
    paramiko(&stage, "dev", script).ok();
    stage.same("up", "files/put", "down");
    stage.same("up", "code/index.php", "down");
    let changed = fs::metadata(stage.disk("files/pipelined")).unwrap();
    assert_eq!((changed.mtime(), changed.len()), (1_100_000_000, 500_000));
    let code = stage.site.tree("dev", "code");
    assert!(!code.holds("new") && !code.holds("lib/menu.php") && code.holds("lib/footer.php"));
}

#[test]
fn asyncssh_does_all_that_it_offers() {
    let stage = Stage::dev("m-asyncssh");
    let sample = Tree::sample().program("tool", "#!/bin/sh\n");
    sample.write(stage.desk.join("up"));
    age(&stage, &["up/tool", "up/index.php"]);
    let script = "
    await sftp.put(b'up', b'/code/up', recurse=True, preserve=True)
    await sftp.get(b'/code/up', b'down', recurse=True, preserve=True)
    await sftp.mkdir('/files/many')
    await sftp.mput('up/many/file-00*', '/files/many', block_size=1000, max_requests=3)
    os.mkdir('many')
    await sftp.mget('/files/many/*', 'many', block_size=500)
    await sftp.copy('/files/many/file-009', '/files/copied')
    await sftp.makedirs('/files/a/b/c', exist_ok=True)
    await sftp.makedirs('/files/a/b/c', exist_ok=True)
    await sftp.rename('/files/copied', '/files/a/b/c/moved')
    await sftp.posix_rename('/files/a/b/c/moved', '/code/index.php')
    await sftp.link('/code/index.php', '/code/second.php')
    await sftp.symlink('index.php', '/code/link.php')
    assert await sftp.readlink('/code/link.php') == 'index.php'
    assert await sftp.realpath('/files/../code/.') == '/code'
    assert await sftp.islink('/code/link.php') and await sftp.isfile('/code/link.php')
    assert await sftp.isdir('/code') and await sftp.exists('/code/tool') is False
    assert (await sftp.statvfs('/files')).bavail > 0
    await sftp.rmtree('/files/a')
    await sftp.truncate('/code/second.php', 5)
    await sftp.chmod('/code/second.php', 0o755)
    await sftp.utime('/code/second.php', (1000000000, 1100000000))
    # No owner has a meaning here; the request fails nothing.
    await sftp.chown('/code/second.php', 1234, 1234)
    await sftp.chdir('/code/lib')
    assert await sftp.getcwd() == '/code/lib'
    assert sorted(await sftp.glob('/code/up/many/file-03[0-4]'))[4] == '/code/up/many/file-034'
    async with sftp.open('/files/log', 'ab') as file:
        await file.write(b'one ')
        await file.write(b'two')
        await file.fsync()
    async with sftp.open('/files/log', 'r+b') as file:
        await file.write(b'ONE', 0)
        assert await file.read(3, 4) == b'two'
    names = [entry.filename async for entry in sftp.scandir('/files')]
    assert sorted(names) == ['.', '..', 'log', 'many'], names
";
    asyncssh(&stage, "dev", script).ok();
    for place in [stage.disk("code/up"), stage.desk.join("down")] {
        Tree::read(&place).must_equal(&sample);
        for name in ["tool", "index.php"] {
            let modified = fs::metadata(place.join(name)).unwrap().mtime();
            assert_eq!(modified, AGE, "{name} in {}", place.display());
        }
    }
    for number in 0..10 {
        let name = format!("file-{number:03}");
        stage.same(
            &format!("up/many/{name}"),
            &format!("files/many/{name}"),
            &format!("many/{name}"),
        );
    }
    let files = stage.site.tree("dev", "files");
    assert_eq!(files.content("log"), Some(&b"ONE two"[..]));
    // asyncssh has a link's two paths in the order of the draft.
    let link = fs::read_link(stage.disk("code/link.php")).unwrap();
    assert_eq!(link, Path::new("index.php"));
    let second = fs::metadata(stage.disk("code/second.php")).unwrap();
    assert_eq!((second.mtime(), second.len()), (1_100_000_000, 5));
}

#[test]
fn both_show_the_reason() {
    let stage = Stage::live("m-python-live");
    let told = |attempts: &[&str], finished: Finished| {
        let finished = finished.ok();
        let out = finished.out();
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), attempts.len(), "{finished}");
        for (attempt, line) in attempts.iter().zip(lines) {
            assert!(
                line.contains("Live environment is read-only") && line.contains("[incident "),
                "{attempt}: {line}"
            );
        }
    };
    stage.refused("evil.php", || {
        let attempts = [
            "put('evil.php', '/code/evil.php')",
            "put('evil.php', '/code/index.php')",
            "open('/code/index.php', 'a')",
            "truncate('/code/index.php', 0)",
            "mkdir('/code/evil')",
            "remove('/code/index.php')",
            "rename('/code/index.php', '/code/evil.php')",
            "symlink('index.php', '/code/evil.php')",
            "chmod('/code/index.php', 0o777)",
            "utime('/code/index.php', (0, 0))",
        ];
        let each = attempts.map(|attempt| {
            format!("try:\n    sftp.{attempt}\nexcept IOError as error:\n    print(error)\n")
        });
        told(&attempts, paramiko(&stage, "live", &each.concat()));
        let attempts = [
            "put('evil.php', '/code/evil.php')",
            "put('evil', '/code/evil', recurse=True)",
            "copy('/code/index.php', '/code/evil.php')",
            "truncate('/code/index.php', 0)",
            "makedirs('/code/evil')",
            "rmtree('/code/lib')",
            "posix_rename('/code/index.php', '/code/evil.php')",
            "link('/code/index.php', '/code/evil.php')",
            "symlink('index.php', '/code/evil.php')",
        ];
        let each = attempts.map(|attempt| {
            format!(
                "    try:\n        await sftp.{attempt}\n    except asyncssh.SFTPPermissionDenied as error:\n        print(error.reason)\n"
            )
        });
        told(&attempts, asyncssh(&stage, "live", &each.concat()));
    });
}

fn paramiko(stage: &Stage, environment: &str, script: &str) -> Finished {
    let whole = format!("{PARAMIKO}\n{script}");
    run(
        "paramiko",
        &whole,
        &stage.site,
        &stage.tom,
        environment,
        &stage.desk,
    )
}

/// Runs the body of a function that has `sftp`.
fn asyncssh(stage: &Stage, environment: &str, script: &str) -> Finished {
    let whole = format!("{ASYNCSSH}\nasync def work(sftp):\n{script}\nasyncio.run(main())\n");
    run(
        "asyncssh",
        &whole,
        &stage.site,
        &stage.tom,
        environment,
        &stage.desk,
    )
}
