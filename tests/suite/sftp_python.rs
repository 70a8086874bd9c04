//! Python's SFTP clients: paramiko, which asks for a whole file before it reads the first answer, and
//! asyncssh, which keeps many requests in the air.

use std::fs;
use std::path::Path;
use std::time::Duration;

use support::{Finished, Person, Role, Shared, Site, Tree, clients, tree};

static SHARED: Shared = Shared::new();

/// Begins a script: `sftp` is connected as the person to the environment.
pub(crate) const PARAMIKO: &str = "
import os, stat, paramiko
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(os.environ['HOST'], int(os.environ['PORT']), os.environ['LOGIN'],
               key_filename=os.environ['KEY'], allow_agent=False, look_for_keys=False, timeout=60)
sftp = client.open_sftp()
sftp.get_channel().settimeout(60)
";

pub(crate) const ASYNCSSH: &str = "
import asyncio, os, asyncssh
async def main():
    async with asyncssh.connect(os.environ['HOST'], port=int(os.environ['PORT']),
                                username=os.environ['LOGIN'], client_keys=[os.environ['KEY']],
                                known_hosts=None, config=None) as connection:
        async with connection.start_sftp_client() as sftp:
            await work(sftp)
";

#[test]
fn paramiko_reads_a_large_file_with_all_of_it_asked_for() {
    let (site, tom) = site("y-prefetch");
    let desk = tom.desk("prefetch");
    let content = tree::noise(31, 64 * 1024 * 1024 + 1);
    fs::write(desk.join("up"), &content).unwrap();
    let script = format!(
        "{PARAMIKO}
assert sftp.put('up', '/files/large').st_size == {size}
sftp.get('/files/large', 'down')
with sftp.open('/files/large', 'rb') as file:
    file.prefetch()
    file.seek({size} // 2)
    open('middle', 'wb').write(file.read(1000000))
",
        size = content.len()
    );
    run("paramiko", &script, &site, &tom, "dev", &desk).ok();
    assert!(
        fs::read(desk.join("down")).unwrap() == content,
        "what came down differs"
    );
    let half = content.len() / 2;
    assert!(fs::read(desk.join("middle")).unwrap() == content[half..half + 1_000_000]);
    assert!(
        fs::read(site.disk("dev", "files").join("large")).unwrap() == content,
        "on disk"
    );
}

#[test]
fn paramiko_sees_attributes_and_names_as_they_are() {
    let (site, tom) = site("y-attributes");
    let desk = tom.desk("attributes");
    let script = format!(
        "{PARAMIKO}
with sftp.open(b'/files/caf\\xe9', 'w') as file:
    file.write('latin')
with sftp.open('/files/caf\\u00e9', 'w') as file:
    file.write('unicode')
sftp.mkdir('/files/folder', 0o755)
sftp.symlink('caf\\u00e9', '/files/link')
assert sftp.stat(b'/files/caf\\xe9').st_size == 5
assert sftp.open(b'/files/caf\\xe9').read() == b'latin'
# paramiko 2 cannot list a folder that holds a name which is not UTF-8.
sftp.posix_rename(b'/files/caf\\xe9', '/files/renamed')
rows = {{row.filename: row for row in sftp.listdir_attr('/files')}}
assert sorted(rows) == ['caf\\u00e9', 'folder', 'link', 'renamed'], rows
assert rows['renamed'].st_size == 5
assert stat.S_ISDIR(rows['folder'].st_mode)
assert stat.S_ISLNK(rows['link'].st_mode)
assert stat.S_ISREG(sftp.stat('/files/link').st_mode)
assert stat.S_ISLNK(sftp.lstat('/files/link').st_mode)
assert sftp.readlink('/files/link') == 'caf\\u00e9'
assert sftp.normalize('.') == '/', sftp.normalize('.')
assert sftp.normalize('/files/../code/.') == '/code'
sftp.utime('/files/link', (1000, 2000))
assert sftp.stat('/files/link').st_mtime == 2000
sftp.truncate('/files/link', 3)
with sftp.open('/files/link', 'a') as file:
    file.write('!')
assert sftp.open('/files/link').read() == b'uni!'
try:
    sftp.stat('/files/missing')
except FileNotFoundError:
    pass
else:
    raise SystemExit('missing was found')
"
    );
    run("paramiko", &script, &site, &tom, "dev", &desk).ok();
    let files = site.tree("dev", "files");
    assert_eq!(files.content("renamed"), Some(&b"latin"[..]));
    assert_eq!(files.content("caf\u{e9}"), Some(&b"uni!"[..]));
}

#[test]
fn asyncssh_keeps_many_requests_in_the_air() {
    let (site, tom) = site("y-async");
    let desk = tom.desk("async");
    let content = tree::noise(32, 20 * 1024 * 1024 + 5);
    fs::write(desk.join("up"), &content).unwrap();
    let sample = Tree::sample();
    sample.write(desk.join("tree"));
    let script = format!(
        "{ASYNCSSH}
async def work(sftp):
    await sftp.put('up', '/files/large', max_requests=256, block_size=16384)
    await sftp.get('/files/large', 'down', max_requests=256, block_size=16384)
    await sftp.put('up', '/files/blocks', max_requests=8, block_size=200000)
    await sftp.get('/files/blocks', 'blocks', max_requests=8, block_size=200000)
    await sftp.put(b'tree', b'/files/tree', recurse=True)
    await sftp.get(b'/files/tree', b'back', recurse=True)
    found = sorted(await sftp.glob('/files/tree/many/file-00*'))
    assert found == ['/files/tree/many/file-00%d' % n for n in range(10)], found
    async def echo(number):
        name = '/files/echo-%d' % number
        async with sftp.open(name, 'wb') as file:
            await file.write(b'%d' % number)
        async with sftp.open(name, 'rb') as file:
            assert await file.read() == b'%d' % number
    await asyncio.gather(*(echo(number) for number in range(200)))
asyncio.run(main())
"
    );
    run("asyncssh", &script, &site, &tom, "dev", &desk).ok();
    for place in ["down", "blocks"] {
        assert!(
            fs::read(desk.join(place)).unwrap() == content,
            "{place} differs"
        );
    }
    assert!(
        fs::read(site.disk("dev", "files").join("large")).unwrap() == content,
        "on disk"
    );
    Tree::read(site.disk("dev", "files").join("tree")).must_equal_but_modes(&sample);
    Tree::read(desk.join("back")).must_equal_but_modes(&sample);
}

/// Runs `script` with Debian's Python as `person`, whose way to the environment is in HOST, PORT,
/// LOGIN and KEY.
pub(crate) fn run(
    module: &str,
    script: &str,
    site: &Site,
    person: &Person,
    environment: &str,
    folder: &Path,
) -> Finished {
    clients::python(module, script)
        .env("HOME", person.home())
        .env("HOST", site.address().ip().to_string())
        .env("PORT", site.address().port().to_string())
        .env("LOGIN", site.login(environment))
        .env("KEY", person.key())
        .folder(folder)
        .limit(Duration::from_secs(180))
        .run()
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
