//! PHP says what the replaced value of thousands of random ones is, and whether it can still read what it
//! could read before.

use std::io::Write;
use std::process::{Command, Stdio};

use data_encoding::BASE64;

use super::replacing;
use crate::database::replace::Replacement;

const ORACLE: &str = include_str!("oracle.php");

/// The pairs of `oracle.php`.
fn pairs() -> Replacement {
    replacing(&[
        ("example.com", "dev.example.test"),
        ("www.example.com", "dev-www.example.test:8443"),
        ("example.com:8080", "localhost"),
        ("swap-one.test", "swap-two.test"),
        ("swap-two.test", "swap-one.test"),
        ("shop.example.com", "a.bc"),
    ])
}

fn php(script: &str, arguments: &[String], input: &[u8]) -> String {
    let mut child = Command::new("php")
        .args(["-n", "-d", "memory_limit=1G", "-r"])
        .arg(script.strip_prefix("<?php").unwrap_or(script))
        .arg("--")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("php is needed: tests/install-clients.sh installs it");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "php failed");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn random_values_become_what_php_makes_with_the_new_hosts() {
    let replacement = pairs();
    let (mut changed, mut all) = (0, 0);
    let arguments = ["1".to_owned(), "20000".to_owned()];
    for (seed, line) in php(ORACLE, &arguments, b"").lines().enumerate() {
        let (old, new) = line.split_once(' ').unwrap();
        let old = BASE64.decode(old.as_bytes()).unwrap();
        let new = BASE64.decode(new.as_bytes()).unwrap();
        let made = replacement.apply(&old);
        all += 1;
        changed += usize::from(old != new);
        let got = made.as_deref().unwrap_or(&old);
        assert!(
            got == new,
            "seed {}:\n{}\nbecame\n{}\nand not\n{}",
            seed + 1,
            String::from_utf8_lossy(&old),
            String::from_utf8_lossy(got),
            String::from_utf8_lossy(&new)
        );
    }
    assert!(all == 20_000 && changed > 8_000, "{changed} of {all}");
}

/// Reads pairs of lines and says for how many the first can be unserialised, and the second not.
const STILL: &str = r#"
$readable = 0; $lost = 0;
while (($line = fgets(STDIN)) !== false) {
    [$old, $new] = explode(' ', trim($line));
    $old = base64_decode($old); $new = base64_decode($new);
    $options = ['allowed_classes' => false, 'max_depth' => 0];
    if (@unserialize($old, $options) === false && $old !== 'b:0;') { continue; }
    $readable++;
    if (@unserialize($new, $options) === false) { $lost++; fwrite(STDERR, "$old\n$new\n"); }
}
echo "$readable $lost";
"#;

#[test]
fn what_php_could_read_it_can_still_read_after_random_damage() {
    let replacement = pairs();
    let arguments = ["50001".to_owned(), "6000".to_owned()];
    let mut lines = Vec::new();
    let mut random: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % (below.max(1) as u64)).unwrap()
    };
    for line in php(ORACLE, &arguments, b"").lines() {
        let mut old = BASE64
            .decode(line.split_once(' ').unwrap().0.as_bytes())
            .unwrap();
        for _ in 0..next(3) {
            let at = next(old.len());
            match next(5) {
                0 => old.truncate(at),
                1 if at < old.len() => old[at] = b"0123456789:;{}\"asOCN/\\ "[next(23)],
                2 => old.splice(at..at, *b"x").for_each(drop),
                3 => old.extend_from_slice(b"; and //example.com/"),
                _ if at < old.len() => drop(old.remove(at)),
                _ => (),
            }
        }
        let Some(new) = replacement.apply(&old) else {
            continue;
        };
        let line = format!("{} {}\n", BASE64.encode(&old), BASE64.encode(&new));
        lines.extend_from_slice(line.as_bytes());
    }
    let said = php(STILL, &[], &lines);
    let (readable, lost) = said.split_once(' ').unwrap();
    assert_eq!(lost, "0", "of {readable}");
    assert!(readable.parse::<u32>().unwrap() > 500, "{readable}");
}
