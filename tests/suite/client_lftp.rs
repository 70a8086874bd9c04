//! lftp: mirrors both ways, in parallel, deleting, only what is newer, and resumed. It shows the status
//! message itself, but for a folder that it could not make: then only what failed next.

use std::fs;
use std::os::unix::fs::MetadataExt;

use support::{Client, Tree, tree};

use crate::client_stage::{AGE, Stage, age, says_why};

#[test]
fn lftp_mirrors_only_what_has_changed() {
    let stage = Stage::dev("m-lftp");
    let names = ["up/a.php", "up/lib/b.php", "up/c.bin"];
    Tree::default()
        .program(names[0].strip_prefix("up/").unwrap(), "a\n")
        .file("lib/b.php", "b\n")
        .file("c.bin", tree::noise(41, 900_001))
        .write(stage.desk.join("up"));
    age(&stage, &names);
    for area in ["files", "code"] {
        let up = format!("mirror -R -P 4 up /{area}/up\n");
        lftp(&stage, "dev", &up).run().ok();
        let sent = Tree::read(stage.desk.join("up"));
        Tree::read(stage.disk(area).join("up")).must_equal(&sent);
        // The times went along, so there is nothing left to do.
        let modified = fs::metadata(stage.disk(area).join("up/lib/b.php")).unwrap();
        assert_eq!(modified.mtime(), AGE);
        for again in ["--only-newer", "--delete", "--ignore-time"] {
            let again =
                format!("mirror -R -v {again} up /{area}/up\nmirror -v {again} /{area}/up up\n");
            lftp(&stage, "dev", &again)
                .run()
                .ok()
                .says_not("Transferring");
        }
    }
    fs::write(stage.desk.join("up/a.php"), "a, changed\n").unwrap();
    fs::remove_file(stage.desk.join("up/c.bin")).unwrap();
    fs::write(stage.disk("code/up/stray.php"), "stray").unwrap();
    let told = lftp(
        &stage,
        "dev",
        "mirror -R -v -P 4 --delete --only-newer up /code/up\nmirror -a -P 4 /code/up down\n",
    );
    let told = told.run().ok();
    told.says("a.php").says("stray.php").says_not("b.php'");
    let sent = Tree::read(stage.desk.join("up"));
    Tree::read(stage.disk("code/up")).must_equal(&sent);
    Tree::read(stage.desk.join("down")).must_equal(&sent);
}

#[test]
fn lftp_resumes_both_ways_and_fetches_in_pieces() {
    let stage = Stage::dev("m-lftp-resume");
    let whole = tree::noise(42, 2_400_007);
    let mut resumed = whole.clone();
    resumed[..1_000_000].fill(b'x');
    fs::write(stage.desk.join("whole"), &whole).unwrap();
    for place in [stage.disk("files/part"), stage.desk.join("part")] {
        fs::write(place, &resumed[..1_000_000]).unwrap();
    }
    let script = "put whole -o /files/whole\nput -c whole -o /files/part\n\
                  get -c /files/whole -o part\npget -n 4 /files/whole -o pieces\n";
    lftp(&stage, "dev", script).run().ok();
    stage.same("whole", "files/whole", "pieces");
    stage.holds(&stage.disk("files/part"), &resumed);
    stage.holds(&stage.desk.join("part"), &resumed);
}

#[test]
fn lftp_s_other_commands_do_what_they_say() {
    let stage = Stage::dev("m-lftp-commands");
    Tree::default()
        .file("up/one", "1")
        .file("up/two", "2")
        .write(&stage.desk);
    let script = "mirror -R up /code/up\nchmod 700 /code/up/one\nmv /code/up/one /code/up/uno\n\
                  ln -s uno /code/up/link\nmkdir -p /code/deep/er\nmput -O /code/deep up/*\n\
                  mrm /code/deep/t*\nrm -r /code/lib\ncat /code/up/uno\ndu /code/up\ncls -1 /code/up\n";
    lftp(&stage, "dev", script).run().ok().says("/code/up/link");
    let code = stage.site.tree("dev", "code");
    for (path, there) in [
        ("up/uno", true),
        ("up/one", false),
        ("deep/er", true),
        ("deep/one", true),
        ("deep/two", false),
        ("lib", false),
    ] {
        assert_eq!(code.holds(path), there, "{path}");
    }
    let link = fs::read_link(stage.disk("code/up/link")).unwrap();
    assert_eq!(link.to_str(), Some("uno"));
}

#[test]
fn lftp_says_why() {
    let stage = Stage::live("m-lftp-live");
    stage.refused("evil.php", || {
        for forbidden in [
            "put -O /code evil.php",
            "put -c evil.php -o /code/index.php",
            "mirror -R -P 4 evil /code",
            "mirror -R --delete evil /code",
            "mkdir /code/evil",
            "rm /code/index.php",
            "rm -r /code/lib",
            "mv /code/index.php /code/evil.php",
            "ln -s index.php /code/evil.php",
            "chmod 777 /code/index.php",
        ] {
            says_why(lftp(&stage, "live", forbidden).run().fails());
        }
        // Here lftp keeps the reason to itself unless it is asked to tell all.
        let folder = "debug 5\nmirror -R evil /code/evil\n";
        let told = lftp(&stage, "live", folder).run().fails();
        told.says("Access failed: No such file or directory. (/code/evil)");
    });
    let down = "mirror -P 4 /code down\n";
    lftp(&stage, "live", down).run().ok();
    Tree::read(stage.desk.join("down")).must_equal_but_modes(&stage.site.tree("live", "code"));
}

fn lftp(stage: &Stage, environment: &str, script: &str) -> Client {
    let settings = format!(
        "set cmd:fail-exit yes\nset net:max-retries 2\nset net:timeout 60\n\
         set sftp:connect-program \"ssh -a -x -F {}\"\nopen sftp://{}:@{}\n",
        stage.tom.config().display(),
        stage.site.login(environment),
        stage.site.address()
    );
    stage
        .client("lftp", environment)
        .args(["-c", &(settings + script)])
}
