//! libssh, by a program made of its own calls, and Node's ssh2-sftp-client, on which editors' SFTP
//! extensions are built. Both show the status message itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;

use support::{Client, Finished, Tree, cache, tree};

use crate::client_stage::{Stage, says_why};

#[test]
fn libssh_transfers_and_changes_attributes() {
    let stage = Stage::dev("m-libssh");
    fs::write(stage.desk.join("up"), tree::noise(31, 2_000_003)).unwrap();
    let commands = "put up /code/up\nget /code/up down\nmkdir /code/new\nls /code\n\
                    mv /code/up /code/new/moved\nsymlink moved /code/new/link\nstatvfs /code\n\
                    mkdir /files/gone\nrmdir /files/gone\nrm /code/index.php\n\
                    chmod /code/new/moved\nchown /code/new/moved\ntimes /code/new/moved\n";
    let listed = libssh(&stage, "dev", commands).run().ok();
    for name in ["up", "new", "index.php", "lib"] {
        assert!(listed.out().lines().any(|line| line == name), "{listed}");
    }
    stage.same("up", "code/new/moved", "down");
    assert!(!stage.site.tree("dev", "code").holds("index.php"));
    let found = fs::metadata(stage.disk("code/new/moved")).unwrap();
    assert_eq!(found.mtime(), 1_100_000_000);
    assert_ne!(found.mode() & 0o100, 0);
    // No owner has a meaning here; the request failed nothing.
    assert_ne!(found.uid(), 1234);
    // libssh has a link's two paths in the order of the draft.
    let link = fs::read_link(stage.disk("code/new/link")).unwrap();
    assert_eq!(link.to_str(), Some("moved"));
}

#[test]
fn libssh_shows_the_reason() {
    let stage = Stage::live("m-libssh-live");
    stage.refused("evil.php", || {
        for command in [
            "put evil.php /code/evil.php",
            "put evil.php /code/index.php",
            "mkdir /code/evil",
            "mv /code/index.php /code/evil.php",
            "symlink index.php /code/evil.php",
            "rm /code/index.php",
            "rmdir /code/lib",
            "chmod /code/index.php",
            "chown /code/index.php",
            "times /code/index.php",
        ] {
            says_why(libssh(&stage, "live", command).run().fails());
        }
    });
    libssh(&stage, "live", "get /code/index.php index.php\n")
        .run()
        .ok();
    let live = stage.site.tree("live", "code");
    let expected = live.content("index.php").unwrap();
    stage.holds(&stage.desk.join("index.php"), expected);
}

#[test]
fn node_transfers_files_and_trees() {
    let stage = Stage::dev("m-node");
    fs::write(stage.desk.join("up"), tree::noise(32, 1_500_003)).unwrap();
    // Node's names are UTF-8.
    let sample = Tree::sample().without(|path| std::str::from_utf8(path).is_err());
    sample.write(stage.desk.join("tree"));
    let script = "
assert.strictEqual(await sftp.cwd(), '/');
await sftp.put('up', '/files/put');
await sftp.fastPut('up', '/files/fast', { concurrency: 64, chunkSize: 32768 });
await sftp.put(Buffer.from('from memory'), '/files/buffer', { writeStreamOptions: { mode: 0o644 } });
await sftp.append(Buffer.from(', and more'), '/files/buffer');
assert.strictEqual((await sftp.get('/files/buffer')).toString(), 'from memory, and more');
await sftp.get('/files/put', 'got');
await sftp.fastGet('/files/fast', 'fast', { concurrency: 64 });
await sftp.uploadDir('tree', '/code/tree');
await sftp.downloadDir('/code/tree', 'back');
await sftp.mkdir('/files/a/b/c', true);
await sftp.rename('/files/buffer', '/files/a/renamed');
await sftp.posixRename('/files/a/renamed', '/files/a/b/c/moved');
await sftp.rcopy('/files/a/b/c/moved', '/files/copied');
await sftp.chmod('/files/copied', 0o755);
assert.strictEqual(await sftp.exists('/files/a'), 'd');
assert.strictEqual(await sftp.exists('/files/copied'), '-');
assert.strictEqual(await sftp.exists('/files/missing'), false);
assert.strictEqual((await sftp.stat('/files/copied')).size, 21);
const names = (await sftp.list('/files')).map((entry) => entry.name).sort();
assert.deepStrictEqual(names, ['a', 'copied', 'fast', 'put']);
await sftp.rmdir('/files/a', true);
await sftp.delete('/code/index.php');
const raw = (name, ...words) => new Promise((done, failed) =>
  sftp.sftp[name](...words, (error) => (error ? failed(error) : done())));
await raw('symlink', 'copied', '/files/link');
await raw('utimes', '/files/copied', 1000000000, 1100000000);
// No owner has a meaning here; the request fails nothing.
await raw('chown', '/files/copied', 1234, 1234);
";
    node(&stage, "dev", script).run().ok();
    stage.same("up", "files/put", "got");
    stage.same("up", "files/fast", "fast");
    Tree::read(stage.disk("code/tree")).must_equal_but_modes(&sample);
    Tree::read(stage.desk.join("back")).must_equal_but_modes(&sample);
    let files = stage.site.tree("dev", "files");
    assert_eq!(files.content("copied"), Some(&b"from memory, and more"[..]));
    assert!(!files.holds("a") && !stage.site.tree("dev", "code").holds("index.php"));
    // ssh2 has a link's two paths in the order of the draft.
    let link = fs::read_link(stage.disk("files/link")).unwrap();
    assert_eq!(link.to_str(), Some("copied"));
    let found = fs::metadata(stage.disk("files/copied")).unwrap();
    assert_eq!(found.mtime(), 1_100_000_000);
    let other = fs::metadata(stage.disk("files/put")).unwrap();
    assert_eq!((found.uid(), found.gid()), (other.uid(), other.gid()));
}

#[test]
fn node_shows_the_reason() {
    let stage = Stage::live("m-node-live");
    let attempts = [
        "put('evil.php', '/code/evil.php')",
        "fastPut('evil.php', '/code/index.php')",
        "append(Buffer.from('evil'), '/code/index.php')",
        "mkdir('/code/evil')",
        "uploadDir('evil', '/code/evil')",
        "delete('/code/index.php')",
        "rmdir('/code/lib', true)",
        "rename('/code/index.php', '/code/evil.php')",
        "posixRename('/code/index.php', '/code/evil.php')",
        "rcopy('/code/index.php', '/code/evil.php')",
        "chmod('/code/index.php', 0o777)",
    ];
    stage.refused("evil.php", || {
        let script: String = attempts
            .iter()
            .map(|attempt| {
                format!("await sftp.{attempt}.then(() => 'it worked', (e) => e.message).then(console.log);\n")
            })
            .collect();
        let told = node(&stage, "live", &script).run().ok();
        let lines = told.out();
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines.len(), attempts.len(), "{told}");
        for (attempt, line) in attempts.iter().zip(lines) {
            assert!(
                line.contains("Live environment is read-only") && line.contains("[incident "),
                "{attempt}: {line}"
            );
        }
    });
}

fn libssh(stage: &Stage, environment: &str, commands: &str) -> Client {
    let address = stage.site.address();
    let program = compiled(stage);
    stage
        .client(program.to_str().unwrap(), environment)
        .arg(address.ip().to_string())
        .args([stage.port(), stage.site.login(environment)])
        .arg(stage.tom.key())
        .input(commands)
}

/// Compiles the program, once in each gateway's folder.
fn compiled(stage: &Stage) -> PathBuf {
    static COMPILING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = COMPILING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let program = stage.site.gateway.folder().join("libssh-client");
    if !program.exists() {
        let source = program.with_extension("c");
        fs::write(&source, include_str!("scripts/libssh.c")).unwrap();
        let compiled: Finished = Client::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
            .args([&program, &source])
            .arg("-lssh")
            .run();
        assert!(
            compiled.code == Some(0),
            "This test needs the Debian package libssh-dev. tests/install-clients.sh installs it. {compiled}"
        );
    }
    program
}

fn node(stage: &Stage, environment: &str, script: &str) -> Client {
    let whole = format!(
        "{}main(async (sftp) => {{\n{script}\n}}).catch((error) => {{ console.error(error); process.exit(1); }});\n",
        include_str!("scripts/ssh2-sftp-client.js")
    );
    stage
        .client("node", environment)
        .env("NODE_PATH", cache::node_modules())
        .args(["-e", &whole])
}
