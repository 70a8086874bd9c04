//! OpenSSH's `sftp` with the options people give it, `scp` in its SFTP mode, and both over dropbear's
//! client. (`sftp_openssh` has trees, names, large files and resumption.)

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use support::{Client, Tree, tree};

use crate::client_stage::{AGE, Stage, age, says_why};

#[test]
fn each_option_of_sftp_carries_the_same_bytes() {
    let stage = Stage::dev("m-options");
    fs::write(stage.desk.join("up"), tree::noise(1, 1_500_003)).unwrap();
    let ways: [&[&str]; 8] = [
        &["-C"],
        &["-C", "-R", "256", "-B", "262000"],
        &["-R", "256", "-B", "262000"],
        &["-R", "1024", "-B", "1000"],
        &["-p"],
        &["-f"],
        &["-q", "-l", "4000000"],
        &["-o", "Ciphers=aes256-gcm@openssh.com"],
    ];
    for (number, options) in ways.iter().enumerate() {
        let batch = format!(
            "lcd {}\nput up /files/{number}\nget /files/{number} down-{number}\n",
            stage.desk.display()
        );
        let sftp = stage.site.sftp_with(&stage.tom, "dev", options, batch);
        sftp.run().ok();
        stage.same("up", &format!("files/{number}"), &format!("down-{number}"));
    }
    // The part that is there differs, so that a client that began again would be found out.
    let mut resumed = fs::read(stage.desk.join("up")).unwrap();
    resumed[..500_000].fill(b'x');
    for place in [stage.disk("files/part"), stage.desk.join("part")] {
        fs::write(place, &resumed[..500_000]).unwrap();
    }
    let batch = format!(
        "lcd {}\nput up /files/part\nget /files/0 part\n",
        stage.desk.display()
    );
    let sftp = stage.site.sftp_with(&stage.tom, "dev", &["-a"], batch);
    sftp.run().ok();
    stage.holds(&stage.disk("files/part"), &resumed);
    stage.holds(&stage.desk.join("part"), &resumed);
}

#[test]
fn sftp_takes_paths_on_its_command_line() {
    let stage = Stage::dev("m-words");
    let sample = Tree::sample();
    sample.write(stage.desk.join("up"));
    let there = stage.site.destination("dev");
    let sftp = |words: &[&str]| {
        let sftp = stage.tom.openssh("sftp").folder(&stage.desk);
        sftp.args(words)
    };
    let batch = "put -fpr up\n";
    sftp(&["-b", "-", &format!("{there}:/files")])
        .input(batch)
        .run()
        .ok();
    Tree::read(stage.disk("files/up")).must_equal(&sample);
    let down = stage.desk.join("down");
    fs::create_dir(&down).unwrap();
    sftp(&["-r", &format!("{there}:/files/up"), "down"])
        .run()
        .ok();
    Tree::read(down.join("up")).must_equal(&sample);
    sftp(&[&format!("{there}:/files/up/two-megabytes"), "one"])
        .run()
        .ok();
    stage.same("up/two-megabytes", "files/up/two-megabytes", "one");
}

#[test]
fn scp_keeps_times_and_modes_and_takes_patterns() {
    let stage = Stage::dev("m-scp");
    Tree::default()
        .program("up/tool", "#!/bin/sh\n")
        .file("up/page.txt", "page\n")
        .file("up/other.txt", tree::noise(2, 700_001))
        .write(&stage.desk);
    age(&stage, &["up/tool", "up/page.txt"]);
    let there = stage.site.destination("dev");
    let scp = |words: &[&str]| {
        let scp = stage.tom.openssh("scp").folder(&stage.desk).args(words);
        scp.run().ok()
    };
    scp(&["-p", "-r", "up", &format!("{there}:/code/scp")]);
    scp(&["-p", "-r", &format!("{there}:/code/scp"), "down"]);
    for place in [stage.disk("code/scp"), stage.desk.join("down")] {
        Tree::read(&place).must_equal(&Tree::read(stage.desk.join("up")));
        for name in ["tool", "page.txt"] {
            let found = fs::metadata(place.join(name)).unwrap();
            assert_eq!(found.mtime(), AGE, "{name} in {}", place.display());
        }
    }
    // Several at once, a pattern that the server's names answer, and from one place there to another.
    scp(&[
        "-C",
        "up/page.txt",
        "up/other.txt",
        &format!("{there}:/files/"),
    ]);
    fs::create_dir(stage.desk.join("matched")).unwrap();
    scp(&["-l", "8000", &format!("{there}:/files/*.txt"), "matched/"]);
    scp(&[
        "-3",
        &format!("{there}:/files/other.txt"),
        &format!("{there}:/code/third.txt"),
    ]);
    let expected = Tree::read(stage.desk.join("up")).without(|path| path == b"tool");
    Tree::read(stage.desk.join("matched")).must_equal(&expected);
    stage.same("up/other.txt", "code/third.txt", "matched/other.txt");
}

#[test]
fn sftp_and_scp_say_why_with_every_option() {
    let stage = Stage::live("m-sftp-live");
    let there = stage.site.destination("live");
    fs::set_permissions(
        stage.desk.join("evil.php"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let sftp = |options: &[&str], forbidden: &str| {
        let batch = format!("lcd {}\n{forbidden}\n", stage.desk.display());
        let sftp = stage.site.sftp_with(&stage.tom, "live", options, batch);
        says_why(sftp.run().fails());
    };
    let scp = |words: &[&str]| {
        let scp = stage.tom.openssh("scp").folder(&stage.desk);
        says_why(scp.args(words).run().fails());
    };
    stage.refused("evil.php", || {
        // It only goes on with what is there.
        sftp(&["-a"], "put evil.php /code/index.php");
        for options in [
            &["-C"][..],
            &["-R", "256", "-B", "262000"],
            &["-p"],
            &["-f"],
        ] {
            sftp(options, "put evil.php /code/evil.php");
            sftp(options, "put evil.php /code/index.php");
        }
        sftp(&["-r"], "put -r evil /code/evil");
        scp(&["evil.php", &format!("{there}:/code/evil.php")]);
        scp(&["-p", "evil.php", &format!("{there}:/code/index.php")]);
        scp(&["-C", "-r", "evil", &format!("{there}:/code/evil")]);
        scp(&[
            "-3",
            &format!("{there}:/code/index.php"),
            &format!("{there}:/code/copy.php"),
        ]);
    });
    // What may be read is read.
    let down = format!("{there}:/code/index.php");
    let scp = stage.tom.openssh("scp").folder(&stage.desk);
    scp.args([&down, "index.php"]).run().ok();
    let live = stage.site.tree("live", "code");
    stage.holds(
        &stage.desk.join("index.php"),
        live.content("index.php").unwrap(),
    );
}

#[test]
fn sftp_works_over_dropbear_s_client() {
    let stage = Stage::live("m-dropbear");
    fs::write(stage.desk.join("up"), tree::noise(3, 2_000_003)).unwrap();
    let ssh = dbclient(&stage);
    let sftp = |environment: &str, batch: &str| -> Client {
        let sftp = stage.client("sftp", environment).arg("-S").arg(&ssh);
        sftp.args(["-P", &stage.port(), "-b", "-"])
            .arg(format!("{}@127.0.0.1", stage.site.login(environment)))
            .input(batch)
    };
    sftp("dev", "put up /files/up\nget /files/up down\n")
        .run()
        .ok();
    stage.same("up", "files/up", "down");
    stage.refused("evil.php", || {
        says_why(sftp("live", "put evil.php /code/evil.php\n").run().fails());
    });
}

/// Makes a program that `sftp` takes for `ssh`, of dropbear's client.
fn dbclient(stage: &Stage) -> PathBuf {
    let key = stage.desk.join("id.dropbear");
    stage
        .client("dropbearconvert", "dev")
        .args(["openssh", "dropbear"])
        .arg(stage.tom.key())
        .arg(&key)
        .run()
        .ok();
    let program = stage.desk.join("ssh");
    let script = format!(
        "#!/bin/sh\nexec dbclient -y -y -i '{}' \"$@\"\n",
        key.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}
